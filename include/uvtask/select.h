/* SPDX-License-Identifier: MIT
 *
 * Select: waits for several things at once and lets exactly one of them happen. The others are as if they had never
 * been tried: no message, permit or lock is taken, and nothing is handed to a case that has lost, on whatever
 * shard.
 *
 *     uvt_case_t c[] = { uvt_case_recv(&jobs, &job), uvt_case_token(stop), uvt_case_sleep(1000) };
 *     switch (uvt_select(c, 3, 0)) {
 *     case 0: if (c[0].result == UV_EOF) ...
 *
 * A case is made by a function named after what it does, and says what came of it in `result`, with the codes of the
 * plain call. A call that would fail at once (a closed channel, a handle that was joined; one that a second task may
 * not make, UV_EBUSY, even if the first is the same select) is a case that is ready. Objects and places for values
 * that a case names must live until the select has returned; the array may be used again.
 *
 * When several are possible one of them is taken, none of them always before another; UVT_SELECT_BIASED takes the first
 * in the array. No memory is allocated for up to 8 cases (but a little for a token of another shard). A case of a
 * queue (channel, lock, semaphore) waits in line there like any other task, and gives its place up when another case
 * wins.
 */
#ifndef UVTASK_SELECT_H
#define UVTASK_SELECT_H

#include <uvtask/base.h>
#include <uvtask/oneshot.h>
#include <uvtask/scope.h>
#include <uvtask/semaphore.h>
#include <uvtask/set.h>
#include <uvtask/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One case. `disabled` and `result` are the caller's to set and read, the rest is private. {0} is a disabled one. */
typedef struct uvt_case {
    const struct uvt__kind *kind; /* NULL: disabled */
    void *object;                 /* what the call is made on */
    void *out, *out2;             /* where values go, or come from */
    uint64_t n;                   /* number, time or id */
    uint64_t due;                 /* of a sleep that has begun; 0 not yet */
    const char *site;             /* of what the call makes */
    bool disabled;                /* neither waited for nor looked at */
    int result;                   /* of the case that was taken: what the plain call would have returned */
} uvt_case_t;

enum {
    UVT_SELECT_BIASED = 1 /* the first possible case in the array, instead of now this, now that */
};

/* Waits until one of n cases is possible, does it, and returns its index; its result is in cases[index].result. flags
 * is 0 or UVT_SELECT_BIASED. A deadline is a scope's, or a case of its own (uvt_case_sleep).
 * Suspends: may - On cancel: UV_ECANCELED, no case was taken - Thread: task
 * Errors: UV_EOF there is no case that is not disabled; UV_EINVAL cases is NULL, unknown flags, more than INT_MAX
 *         cases; UV_ENOMEM (more than 8 cases) */
UVT_EXTERN int uvt_select(uvt_case_t *cases, size_t n, unsigned flags);

/* As uvt_select, never waiting: UV_EAGAIN when no case is possible now (a default case).
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UV_EAGAIN; UV_EOF; UV_EINVAL */
UVT_EXTERN int uvt_try_select(uvt_case_t *cases, size_t n, unsigned flags);

/* ms from the beginning of the select; 0 is possible at once, UVT_FOREVER never. The result is 0.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: UV_EINVAL ms is negative */
UVT_EXTERN uvt_case_t uvt_case_sleep(uint64_t ms);
/* A time of uvt_now. The result is 0.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN uvt_case_t uvt_case_sleep_until(uint64_t deadline);

/* uvt_join(t, r).
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_join */
UVT_EXTERN uvt_case_t uvt_case_join(uvt_task_t t, uvt_result *r);
/* uvt_set_next(set, r): UV_EOF, at once, when the set is empty.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_set_next */
UVT_EXTERN uvt_case_t uvt_case_set_next(uvt_set_t *set, uvt_result *r);
/* uvt_token_wait(token).
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_token_wait */
UVT_EXTERN uvt_case_t uvt_case_token(uvt_token_t *token);
/* uvt_semaphore_acquire_many(s, n).
 * Suspends: never - On cancel: no effect - Thread: any
 * Errors: in the result: as uvt_semaphore_acquire_many */
UVT_EXTERN uvt_case_t uvt_case_acquire(uvt_semaphore_t *s, unsigned n);
/* uvt_oneshot_recv(o, status, value).
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_oneshot_recv */
UVT_EXTERN uvt_case_t uvt_case_oneshot(uvt_oneshot_t *o, int *status, void **value);

#ifdef __cplusplus
}
#endif
#endif
