/* SPDX-License-Identifier: MIT
 *
 * Task sets: Tokio's JoinSet and Trio's nursery in one. A set owns its tasks, and closing it cancels and
 * awaits the ones that still run, so tasks may borrow the locals of the block between open and close. A
 * set lies under the scope it was opened in: a cancel of that scope reaches the members.
 *
 * A set that is left open is closed when the task that opened it ends.
 */
#ifndef UVTASK_SET_H
#define UVTASK_SET_H

#include <uvtask/base.h>
#include <uvtask/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handle like uvt_task_t; used up by close. */
typedef struct uvt_set {
    struct uvt__set *rec;
    uint64_t id;
} uvt_set_t;

typedef struct uvt_set_options {
    unsigned limit; /* at most so many live members: spawn waits for room, first come first served;
                       0 no limit */
    bool fail_fast; /* the first failure (not a cancellation) cancels the other members, also those that are spawned
                       after it, and is what wait and close return; failures after it can be read with
                       uvt_set_next */
    bool discard;   /* keep no results, for a set that lives as long as a server: next has nothing to
                       give; the first failure still comes out of wait or close */
    void (*drop)(void *arg); /* uvt_task_options.drop for members that bring none */
    int place;      /* uvt_task_options.place for members that bring none, which is 0: for here say
                       UVT_ON(uvt_shard_index()). Members with a start delay and those of uvt_set_start run here. A
                       wrong one is refused by the spawns */
} uvt_set_options;

/* Opens a set owned by the calling task; options may be NULL.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UV_EINVAL set is NULL; UV_ENOMEM */
UVT_EXTERN int uvt_set_open(uvt_set_t *set, const uvt_set_options *options);

/* uvt_set_spawn(uvt_set_t *set, uvt_fn fn, void *arg)
 * Spawns fn(arg) as a member. Any task of the set's shard that has its handle may spawn, members there included, also
 * while the owner waits in wait or close, which then waits for the new one, too; from other shards it is UVT_ESHARD
 * (uvt_call the set's). A full set makes the call wait for room.
 * Suspends: only when the set is full - On cancel: UV_ECANCELED, nothing was spawned - Thread: task
 * Errors: UV_EINVAL set or fn is NULL, an option is out of range, no such place; UVT_ESTALE the set is closed;
 *         UV_ENOMEM */
#define uvt_set_spawn(set, fn, ...) uvt_set_spawn_at((set), NULL, (fn), (__VA_ARGS__), NULL, UVT_SITE(#fn))
/* uvt_set_spawn_opts(set, t, fn, arg, const uvt_task_options *options): as uvt_set_spawn, with options (may
 * be NULL), and *t (may be NULL) gets a handle to abort the member by; it cannot be joined. As with uvt_spawn, a member
 * that is placed elsewhere must not look for it there.
 * Suspends: only when the set is full - On cancel: UV_ECANCELED - Thread: task - Errors: as uvt_set_spawn */
#define uvt_set_spawn_opts(set, t, fn, arg, ...)                                                       \
    uvt_set_spawn_at((set), (t), (fn), (arg), (__VA_ARGS__), UVT_SITE(#fn))
/* The function behind both.
 * Suspends: only when the set is full - On cancel: UV_ECANCELED - Thread: task - Errors: as uvt_set_spawn */
UVT_EXTERN int uvt_set_spawn_at(uvt_set_t *set, uvt_task_t *t, uvt_fn fn, void *arg,
                                const uvt_task_options *options, const char *site);

/* As uvt_set_spawn, never waiting.
 * Suspends: never - On cancel: no effect - Thread: task
 * Errors: as uvt_set_spawn, and UV_EBUSY the set is full */
#define uvt_set_try_spawn(set, fn, ...)                                                                \
    uvt_set_try_spawn_at((set), NULL, (fn), (__VA_ARGS__), NULL, UVT_SITE(#fn))
/* The function behind the macro.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: as uvt_set_try_spawn */
UVT_EXTERN int uvt_set_try_spawn_at(uvt_set_t *set, uvt_task_t *t, uvt_fn fn, void *arg,
                                    const uvt_task_options *options, const char *site);

/* Trio's nursery.start: spawns fn(arg) as a member and waits until it calls uvt_started(value); *value
 * (may be NULL) gets that. If the member ends first, its failure is the answer (and not kept as a
 * result), or UVT_ENOSTART if it had none.
 * Suspends: always - On cancel: the member is cancelled and awaited if it has not started yet, then
 * UV_ECANCELED, or its failure if it has ended with another - Thread: task
 * Errors: as uvt_set_spawn, UVT_ENOSTART, the member's own */
#define uvt_set_start(set, fn, arg, value) uvt_set_start_at((set), (fn), (arg), (value), UVT_SITE(#fn))
/* The function behind the macro.
 * Suspends: always - On cancel: as uvt_set_start - Thread: task - Errors: as uvt_set_start */
UVT_EXTERN int uvt_set_start_at(uvt_set_t *set, uvt_fn fn, void *arg, void **value, const char *site);

/* Called once by a member that was spawned by uvt_set_start.
 * Suspends: never - On cancel: no effect - Thread: task
 * Errors: UV_EINVAL the task was not spawned so, or has called before */
UVT_EXTERN int uvt_started(void *value);

/* Waits for the next member to end, in the order they end, and takes its result: 0 with *r filled (r may
 * be NULL), UV_EOF when the set has neither members nor results left. A member may call it, while others live: waiting
 * for itself it waits in vain.
 * Suspends: may - On cancel: UV_ECANCELED, no result is lost - Thread: task
 * Errors: UVT_ESTALE; UV_EBUSY another task waits on this set */
UVT_EXTERN int uvt_set_next(uvt_set_t *set, uvt_result *r);

/* As uvt_set_next, never waiting: UV_EAGAIN when members live but none has ended.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UVT_ESTALE; UV_EAGAIN; UV_EOF */
UVT_EXTERN int uvt_set_try_next(uvt_set_t *set, uvt_result *r);

/* Waits until no member lives. Results stay for uvt_set_next. Returns the first failure that next has not
 * handed out (with fail_fast and discard: the first failure), or 0.
 * Suspends: may - On cancel: UV_ECANCELED, members go on - Thread: task
 * Errors: UVT_ESTALE; UV_EBUSY another task waits on this set; UVT_EDEADLK a member calls it */
UVT_EXTERN int uvt_set_wait(uvt_set_t *set);

/* Cancels every member that lives now. Later ones are not affected.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UVT_ESTALE */
UVT_EXTERN int uvt_set_abort_all(uvt_set_t *set);

/* Hands every member to the runtime, as uvt_detach does; results are dropped, failures go to the runtime.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UVT_ESTALE */
UVT_EXTERN int uvt_set_detach_all(uvt_set_t *set);

/* Members that live plus results not yet taken; or a code.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UVT_ESTALE */
UVT_EXTERN int uvt_set_len(const uvt_set_t *set);

/* Cancels the members that live, awaits them, releases the set. Returns a failure as uvt_set_wait does;
 * or UV_ECANCELED when the caller is cancelled and some member ended cancelled whose result is still with the set (or
 * was discarded); or 0.
 * Suspends: may - On cancel: it goes on all the same, nothing outlives it - Thread: the task that opened
 * Errors: UVT_ESTALE closed before; UVT_EDEADLK called by a member; UV_EINVAL another task opened it */
UVT_EXTERN int uvt_set_close(uvt_set_t *set);

#ifdef __cplusplus
}
#endif
#endif
