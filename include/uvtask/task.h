/* SPDX-License-Identifier: MIT
 *
 * Tasks: stackful coroutines that stay on the loop they started on. Every task has an owner: the task
 * that spawned it, or a task set. When a task ends, the children that it neither joined nor detached are
 * cancelled and awaited before it counts as ended. A child may borrow its parent's locals as long as it is
 * joined, or its set closed, before they go out of scope; what must outlive the parent's body (it has
 * returned when leftover children are awaited) belongs elsewhere. A join that says UV_ECANCELED has joined nothing: for
 * children that borrow, where a cancel may come, use a set, whose close always awaits them.
 *
 * The end of a task, in this order: its body returns (or panics); children and sets left open are
 * cancelled and awaited; defers run, last first; streams left open are closed and locks left held passed
 * on, with a report; whoever joins is told. If the body succeeded but a child that nobody joined had failed,
 * that failure becomes the task's status: failures are never lost. (Of a task that failed itself, or was cancelled, its
 * own status is told and not its children's: join them, or put them into a set, to see those as well.)
 */
#ifndef UVTASK_TASK_H
#define UVTASK_TASK_H

#include <uvtask/base.h>
#include <uvtask/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handle: a small value, copied freely. Records are recycled but never freed while the runtime lives
 * and every task has its own id, so a handle that was used up is recognised (UVT_ESTALE), and so is one
 * of another or an ended runtime (UVT_ESHARD), until the process has made 65,534 further shards: then that may be taken
 * for one of the latest. {0} is no task. */
typedef struct uvt_task {
    struct uvt__task *rec;
    uint64_t id;
} uvt_task_t;

/* Private: what a task has to give back before it ends (a stream, a lock). A part of the thing, on the list of the
 * task that owns it, which alone touches the list. */
typedef struct uvt__res {
    struct uvt__res *next, *prev;     /* neighbours of the owner's */
    struct uvt__task *owner;          /* NULL: nobody's */
    const char *site;                 /* UVT_SITE: what it is and where it was made */
    int (*close)(struct uvt__res *r); /* the owner ends: gives it back and takes it off the list; may suspend */
} uvt__res_t;

/* Private: the tasks that wait for one thing, oldest first. */
typedef struct uvt__waits {
    struct uvt__wait *head, *tail;
} uvt__waits_t;

/* Private: what objects that tasks wait for begin with. */
typedef struct uvt__line {
    uvt__waits_t waits;
    uint64_t gid;     /* the runtime it was made in */
    unsigned waiting; /* how many wait */
} uvt__line_t;

typedef enum uvt_outcome {
    UVT_RETURNED,  /* the body returned (or could not start: UV_ENOMEM); see uvt_result.status */
    UVT_CANCELLED, /* it was cancelled and gave up: status is UV_ECANCELED, reason says why */
    UVT_PANICKED   /* uvt_panic: status is UVT_EPANIC, message says what */
} uvt_outcome;

/* Why something was cancelled. */
typedef enum uvt_reason_code {
    UVT_REASON_NONE,
    UVT_REASON_ABORT,    /* uvt_abort */
    UVT_REASON_OWNER,    /* the owner ended or closed its set */
    UVT_REASON_SET,      /* uvt_set_abort_all */
    UVT_REASON_SIBLING,  /* a member of a fail_fast set failed */
    UVT_REASON_DEADLINE, /* a scope's deadline came; of a token, its own or an outer token's */
    UVT_REASON_TOKEN,    /* uvt_token_cancel; of a scope, that its token was cancelled, whatever the cause */
    UVT_REASON_SCOPE,    /* uvt_scope_cancel */
    UVT_REASON_SHUTDOWN, /* the runtime ends */
    UVT_REASON_DEADLOCK, /* nothing was left that could have woken the task */
    UVT_REASON_TEST      /* the test kit's injected cancel */
} uvt_reason_code;

typedef struct uvt_reason {
    uvt_reason_code code;
    const char *text; /* the canceller's words or NULL; not copied: a literal, or outlives the runtime */
} uvt_reason;

/* How a task ended. */
typedef struct uvt_result {
    uvt_task_t task; /* its (now used up) handle; its id tells members of a set apart */
    void *arg;       /* what it was spawned with */
    int status;      /* the value of the body; in place of a success the failure of a child that nobody joined, or
                        UVT_ESCOPE for a scope that was left open; UV_ECANCELED, UVT_EPANIC, or UV_ENOMEM when the body
                        could not start */
    uvt_outcome outcome;
    uvt_reason reason; /* valid for UVT_CANCELLED */
    char message[96];  /* valid for UVT_PANICKED, else ""; cut to fit */
} uvt_result;

typedef struct uvt_task_options {
    const char *name;        /* copied, cut to 31 bytes; default: the function's name */
    size_t stack_size;       /* bytes, as uvt_options.stack_size; default: the runtime's */
    uint64_t start_after_ms; /* Node's setTimeout: until it is due, the task costs its record and no stack.
                                Cancelled before that, it never runs. UVT_FOREVER never starts;
                                other negative values (as int64_t) are UV_EINVAL */
    void (*drop)(void *arg); /* called in place of the body if that never runs (cancelled during the start
                                delay; no memory for a stack), to release what arg owns. It runs on the loop
                                of the shard that spawned it, outside of tasks, and cannot suspend */
    int place;               /* which shard runs it: 0 the caller's, UVT_ANY, UVT_ON(k); see <uvtask/shard.h>.
                                UV_EINVAL with a start delay, unless it is 0 */
} uvt_task_options;

/* uvt_spawn(uvt_task_t *t, uvt_fn fn, void *arg)
 * Spawns fn(arg) as a child of the calling task; it runs when the caller next suspends, never inside
 * uvt_spawn (placed on another shard, it may run at once, beside the caller, and must not look for its own handle in
 * *t). *t gets the handle; t may be NULL, the caller owns the task all the same, nobody can
 * join it once it has ended, and nothing is left of it then but its failure. Scopes of the caller do
 * not reach the child: for work that a deadline is to bound, open a set inside the scope. A task without a
 * start delay runs its body even when it is cancelled first (its first suspending call then says
 * UV_ECANCELED); only when there is no memory for its stack (on another shard, also for its record
 * there) does it end, with status UV_ENOMEM, without having run: see uvt_task_options.drop.
 * Suspends: never - Thread: task
 * On cancel: no effect. A child of a task that is aborted is cancelled from birth, even when it is spawned in a
 * shield or a defer: for clean-up by several tasks open a set there
 * Errors: UV_EINVAL fn is NULL, stack size out of range, no such place, or one with a start delay; UV_ENOMEM */
#define uvt_spawn(t, fn, ...) uvt_spawn_at((t), (fn), (__VA_ARGS__), NULL, UVT_SITE(#fn))
/* uvt_spawn_opts(t, fn, arg, const uvt_task_options *options): as uvt_spawn, with options (may be NULL).
 * Suspends: never - On cancel: no effect - Thread: task - Errors: as uvt_spawn */
#define uvt_spawn_opts(t, fn, arg, ...) uvt_spawn_at((t), (fn), (arg), (__VA_ARGS__), UVT_SITE(#fn))
/* The function behind both macros.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: as uvt_spawn */
UVT_EXTERN int uvt_spawn_at(uvt_task_t *t, uvt_fn fn, void *arg, const uvt_task_options *options,
                            const char *site);

/* Waits for a task to end and uses its handle up. With r: returns 0 and fills *r; UV_ECANCELED says that it was not
 * joined and the handle is still good. Without (NULL): returns the task's status, so no failure is lost; that may be
 * UV_ECANCELED as well, so who may be cancelled himself and has to know should give an r. A stack that could not be had
 * when the task was due to start makes its status UV_ENOMEM (outcome returned).
 * Suspends: may - On cancel: UV_ECANCELED, the task and its handle stay as they are - Thread: task
 * Errors: UVT_ESTALE joined or detached before; UV_EBUSY another task is joining it; UVT_EDEADLK it is
 *         the caller itself or one of its owners; UV_EINVAL {0}, or the task belongs to a set or the runtime (as
 *         uvt_self() does where a task was placed) */
UVT_EXTERN int uvt_join(uvt_task_t t, uvt_result *r);

/* Cancels a task, its children and theirs: from now on every suspending call in it that is not shielded
 * returns UV_ECANCELED. It ends when its code has cleaned up; join it to know. Twice is as once. An ended
 * task is left as it is (0).
 * Suspends: never - On cancel: no effect - Thread: any (from another thread or shard it takes effect soon)
 * Errors: UVT_ESTALE the handle was used up (elsewhere than on its shard that is 0); UV_EINVAL {0}; from elsewhere
 *         UV_ENOMEM, UVT_EGONE or UVT_ESHARD the runtime has ended */
#define uvt_abort(t) uvt_abort_why((t), NULL)
/* As uvt_abort, with words for the reason.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: as uvt_abort */
UVT_EXTERN int uvt_abort_why(uvt_task_t t, const char *text);

/* Hands a task to the runtime: it is listed in dumps and cancelled and awaited at shutdown, and its
 * failure comes out of uvt_run. Uses the handle up.
 * Suspends: never - On cancel: no effect - Thread: task
 * Errors: UVT_ESTALE; UV_EBUSY a task is joining it; UV_EINVAL {0}, or it belongs to a set or the
 *         runtime already (as uvt_self() does where a task was placed) */
UVT_EXTERN int uvt_detach(uvt_task_t t);

/* Whether a task has ended: 1, 0, or a code.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UVT_ESTALE; UV_EINVAL {0} */
UVT_EXTERN int uvt_is_done(uvt_task_t t);

/* The calling task, {0} outside of one.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN uvt_task_t uvt_self(void);

/* A task's name, "?" for a handle that was used up or is another shard's. Valid until the task's record is released.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN const char *uvt_task_name(uvt_task_t t);

/* Lets all other ready tasks run, and now and then the loop poll for I/O: after 256 runs of tasks, or as many as one
 * poll has made ready when that is more.
 * Suspends: always - On cancel: UV_ECANCELED, having yielded - Thread: task - Errors: none */
UVT_EXTERN int uvt_yield(void);

/* Has fn(arg) called when the task ends, however it ends; last registered runs first. (One that is given up never
 * ends: see uvt_run, and note that defers run after children have ended, so that none can release the task's own
 * blocking job.) It may suspend: it
 * is shielded from cancellation for options.grace_ms altogether, then cancelled. It ends the scopes that it begins
 * (an assertion). After one that panics the next runs below it on the same stack, with a grace time of its own.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UV_EINVAL fn is NULL; UV_ENOMEM */
UVT_EXTERN int uvt_defer(void (*fn)(void *arg), void *arg);

/* Ends the calling task here, and only it: children are cancelled and awaited, defers run, whoever joins
 * sees UVT_PANICKED with the message; everybody else lives on. What the abandoned frames had allocated is
 * not freed unless a defer does it. In a blocking job or a chunk of a parallel loop it ends that (UVT_EPANIC).
 * Elsewhere it prints the message and aborts the process.
 * Suspends: does not return - On cancel: no effect - Thread: task, job, chunk - Errors: none */
UVT_EXTERN UVT_NORETURN void uvt_panic(const char *format, ...) UVT_PRINTF(1, 2);

/* Task-local values. A key is a small number, made once per process and never given back. */
typedef struct uvt_key {
    int index;
} uvt_key_t;

enum {
    UVT_KEY_INHERIT = 1 /* children start with the value their parent has when it spawns them */
};

/* Makes a key; flags is 0 or UVT_KEY_INHERIT. At most 32 keys per process.
 * Suspends: never - On cancel: no effect - Thread: any
 * Errors: UV_EINVAL unknown flags; UV_ENOSPC no key left */
UVT_EXTERN int uvt_key_create(uvt_key_t *key, unsigned flags);

/* Sets the calling task's value. What it points to must outlive the task and, where the key inherits, every
 * task that inherits it: children end first, but members it spawns into a set, and detached ones, may not.
 * On other shards the value is shared between threads.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UV_EINVAL no such key; UV_ENOMEM */
UVT_EXTERN int uvt_local_set(uvt_key_t key, void *value);

/* The calling task's value, NULL when unset or outside of a task.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void *uvt_local_get(uvt_key_t key);

#ifdef __cplusplus
}
#endif
#endif
