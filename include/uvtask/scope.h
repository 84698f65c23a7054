/* SPDX-License-Identifier: MIT
 *
 * Cancellation: one mechanism. A token is a node of a tree; cancelling it cancels everything below. A
 * scope binds a region of a task's code to a deadline, a token, or a shield. Aborting a task, closing a
 * set, a timeout and a shutdown are all the same thing underneath.
 *
 * Level-triggered: once a scope is cancelled, every suspending call in it returns UV_ECANCELED until the
 * scope ends (each such call still yields to the loop, so a task that does not listen cannot freeze it). Only the
 * closes of sets, streams and listeners, which say so, do their work all the same.
 * A completed operation beats a cancel: what was handed over already is delivered, the cancel is seen at
 * the next suspending call. C frames own memory, so nothing is ever unwound behind the code's back.
 *
 *     uvt_scope_t s;
 *     uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 100 });
 *     int rc = query();                   // sees UV_ECANCELED after 100 ms
 *     rc = uvt_scope_end(&s, rc);         // UV_ETIMEDOUT here
 *
 * A scope reaches the calls of its own task and the members of the sets opened inside it. It does not reach
 * children spawned with uvt_spawn: they belong to the task as a whole.
 *
 * Deadlines are armed when a task suspends under them and not before: an operation that completes at once
 * wins even against a deadline that has passed.
 */
#ifndef UVTASK_SCOPE_H
#define UVTASK_SCOPE_H

#include <uvtask/base.h>
#include <uvtask/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A cancellation token: heap object, reference-counted. Tasks of all shards of its runtime may wait for it, bind scopes
 * to it and derive tokens from it (which on another shard than its own may fail with UV_ENOMEM); it is usable from any
 * thread where it says so. Its deadline belongs to the shard that made it; elsewhere its reason is UVT_REASON_TOKEN. */
typedef struct uvt_token uvt_token_t;

/* A node of a timer list; embedded, never touched by users. */
typedef struct uvt__timer {
    struct uvt__timer *next, *prev; /* neighbours in the wheel's slot; next is NULL when not armed */
    uint64_t due;                   /* ms */
    void (*fire)(struct uvt__timer *t);
} uvt__timer_t;

/* Makes a token, cancelled when parent is or comes to be; parent may be NULL, or of another shard. The caller
 * holds the one reference. A child keeps its parent's memory, not its parent's owner: releasing the parent first is
 * fine and cancels nothing.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EINVAL token is NULL; UV_ENOMEM */
UVT_EXTERN int uvt_token_new(uvt_token_t **token, uvt_token_t *parent);

/* One more reference. Returns its argument.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN uvt_token_t *uvt_token_ref(uvt_token_t *token);

/* Gives a reference back; NULL is allowed. Never cancels anything.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void uvt_token_unref(uvt_token_t *token);

/* Cancels the token and its subtree: wakes its waiters and cancels the scopes bound to it. Nobody runs
 * inside this call. uvt_token_cancelled is true when it returns; from another thread or shard, and for
 * what is on other shards, the rest follows soon. Twice is as once (0). text (may be NULL) is kept, not copied.
 * Suspends: never - On cancel: no effect - Thread: any
 * Errors: UV_EINVAL token is NULL; UVT_EGONE the shard that made it has ended (its own flag is set all the same,
 *         those of the tokens below it are not) */
UVT_EXTERN int uvt_token_cancel(uvt_token_t *token, const char *text);

/* Cancels the token ms from now, unless it is cancelled first; a later call moves the time, UVT_FOREVER
 * takes it back.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL token is NULL, ms is negative; UVT_ESHARD another shard made it */
UVT_EXTERN int uvt_token_cancel_after(uvt_token_t *token, uint64_t ms);

/* Whether it was cancelled; for code that checks by itself.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN bool uvt_token_cancelled(const uvt_token_t *token);

/* Why it was cancelled; code is UVT_REASON_NONE while it is not, and UVT_REASON_TOKEN, whatever the cause, elsewhere
 * than on the shard that made it.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN uvt_reason uvt_token_reason(const uvt_token_t *token);

/* Waits until the token is cancelled and returns 0; any number of tasks may wait.
 * Suspends: may - On cancel: UV_ECANCELED - Thread: task
 * Errors: UV_EINVAL token is NULL; UV_ENOMEM (another shard's token) */
UVT_EXTERN int uvt_token_wait(uvt_token_t *token);

typedef struct uvt_scope_options {
    uint64_t timeout_ms; /* deadline this long after the begin; 0 none. For one that is over at once set
                            deadline to any time that has passed. It may come a thousandth later of what was computed
                            between the begin and the first suspension */
    uint64_t deadline;   /* deadline as a time of uvt_now; 0 none. With both, the earlier counts */
    uvt_token_t *token;  /* cancels the scope when it is cancelled; the scope holds a reference */
    bool shield;         /* cancels from outside of this scope do not reach inside; its own do */
} uvt_scope_options;

/* A scope. On the stack of its task as a rule, all fields private; valid from begin to end. */
typedef struct uvt_scope {
    struct uvt__task *task;            /* the task it was begun in; NULL when ended */
    struct uvt_scope *outer;           /* next enclosing scope of the task */
    uvt__timer_t timer;                /* armed only while the task suspends under it */
    uint64_t deadline;                 /* ms; UVT_FOREVER none */
    uint64_t begun;                    /* not 0: deadline is so long after this moment, by the processor's counter */
    uvt_token_t *token;                /* bound token or NULL */
    struct uvt_scope *tok_next;        /* neighbours in the token's list of scopes */
    struct uvt_scope *tok_prev;
    uvt_reason reason;                 /* valid when cancelled */
    const char *site;                  /* where it was begun */
    uint32_t sets;                     /* open task sets that lie directly under it */
    uint32_t magic;                    /* guards against a scope whose memory was reused */
    bool cancelled, shield, caught;
} uvt_scope_t;

/* uvt_scope_begin(uvt_scope_t *s, const uvt_scope_options *options)
 * Begins a scope in the calling task; options may be NULL (a scope to be cancelled by hand). Scopes of a
 * task nest strictly: end them in the reverse order.
 * Suspends: never - On cancel: no effect - Thread: task
 * Errors: UV_EINVAL a time is negative when read as int64_t (UVT_FOREVER is allowed), or the scope is
 *         open in this task already; UV_ENOMEM (another shard's token) */
#define uvt_scope_begin(s, ...) uvt_scope_begin_at((s), (__VA_ARGS__), UVT_SITE("scope"))
/* The function behind the macro.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: as uvt_scope_begin */
UVT_EXTERN int uvt_scope_begin_at(uvt_scope_t *s, const uvt_scope_options *options, const char *site);

/* Ends the innermost scope and says how. rc is the outcome of the code inside:
 *   rc is not UV_ECANCELED        rc: a result or another error wins over any cancel
 *   an outer scope is cancelled   UV_ECANCELED: the outermost one reports (a shield keeps outer ones out)
 *   this scope's deadline fired   UV_ETIMEDOUT
 *   otherwise                     UV_ECANCELED; uvt_scope_caught(s) tells that it was this scope's own
 * Ending a scope that is not the innermost one of its task is an assertion (its inner scopes' memory is
 * about to go); one that is not open in this task is UV_EINVAL.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: as above */
UVT_EXTERN int uvt_scope_end(uvt_scope_t *s, int rc);

/* Cancels an open scope. Its task, if parked inside and not shielded, wakes.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EINVAL not open */
UVT_EXTERN int uvt_scope_cancel(uvt_scope_t *s, const char *text);

/* Moves the deadline of an open scope to a time of uvt_now; UVT_FOREVER takes it off. Too late once the
 * scope is cancelled (no effect).
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EINVAL not open, a time that is negative */
UVT_EXTERN int uvt_scope_set_deadline(uvt_scope_t *s, uint64_t deadline);

/* Raises or lowers the shield of an open scope. Lowering it lets a cancel from outside in at once.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EINVAL not open */
UVT_EXTERN int uvt_scope_set_shield(uvt_scope_t *s, bool shield);

/* Whether the scope was cancelled, by whatever cause, and (after its end) whether the UV_ECANCELED that
 * ended it was its own, so that the code after it goes on. Both are readable after the end.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN bool uvt_scope_cancelled(const uvt_scope_t *s);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN bool uvt_scope_caught(const uvt_scope_t *s);

/* Runs fn(arg) in the calling task under a deadline ms from now: what fn returned, or UV_ETIMEDOUT when
 * the deadline made it return UV_ECANCELED. No child task, no allocation.
 * Suspends: as fn does - On cancel: as fn - Thread: task - Errors: UV_EINVAL fn is NULL or ms negative */
UVT_EXTERN int uvt_timeout(uint64_t ms, uvt_fn fn, void *arg);

/* Runs fn(arg) in the calling task shielded from cancels from outside, for grace_ms at most (UVT_FOREVER:
 * no limit; 0 is over at once): for clean-up that has to suspend. UV_ETIMEDOUT when the grace ran out.
 * Suspends: as fn does - On cancel: fn does not see it (but a deadlock ends its waits, too) - Thread: task
 * Errors: as uvt_timeout */
UVT_EXTERN int uvt_shielded(uint64_t grace_ms, uvt_fn fn, void *arg);

/* Runs fn(arg) in the calling task under a token: UV_ECANCELED when the token made it give up. A token
 * that is cancelled already keeps fn from starting.
 * Suspends: as fn does - On cancel: as fn - Thread: task
 * Errors: UV_EINVAL fn or token is NULL; UV_ENOMEM (another shard's token) */
UVT_EXTERN int uvt_under_token(uvt_token_t *token, uvt_fn fn, void *arg);

/* Whether the next suspending call of this task would say UV_ECANCELED: for long computations.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none (false outside of a task) */
UVT_EXTERN bool uvt_cancelled(void);

/* Why: the reason of the outermost cancel that reaches the calling task; code UVT_REASON_NONE if none.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN uvt_reason uvt_cancel_reason(void);

/* The deadline in force, as a time of uvt_now: the earliest of the calling task's own scopes up to the nearest
 * shield (one that reaches it from its set's opener is not told); 0 when cancelled already, UVT_FOREVER when
 * there is none.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN uint64_t uvt_deadline(void);

#ifdef __cplusplus
}
#endif
#endif
