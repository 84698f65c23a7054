/* SPDX-License-Identifier: MIT
 *
 * Barrier and once: a number of tasks that go on together, and something that is done by one task for all. Tasks of all
 * shards of one runtime may use them.
 */
#ifndef UVTASK_BARRIER_H
#define UVTASK_BARRIER_H

#include <uvtask/base.h>
#include <uvtask/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, fields private; nothing to free, but no task may wait when it goes away. */
typedef struct uvt_barrier {
    uvt__line_t line; /* those that have come: fewer than parties */
    unsigned parties; /* how many go on together */
} uvt_barrier_t;

/* For n tasks at a time; with 0 or 1 nobody ever waits.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_barrier_init(uvt_barrier_t *b, unsigned n);
/* Waits until n tasks have come, and begins again with the next n. 1 for the last to come, who leads; 0 for the others.
 * A task that gives up does not count as having come.
 * Suspends: may - On cancel: UV_ECANCELED, as if it had not come - Thread: task - Errors: none of its own */
UVT_EXTERN int uvt_barrier_wait(uvt_barrier_t *b);
/* How many have come and wait for the others.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN unsigned uvt_barrier_waiting(const uvt_barrier_t *b);

/* ---- once ---- */

/* The caller's memory, fields private, {0} (or static) to begin with; nothing to free, but no task may be in uvt_once
 * when it goes away. It belongs to the runtime that uses it first. */
typedef struct uvt_once {
    uvt__line_t line; /* empty unless somebody runs the function; gid is 0 until it is used */
    uvt__res_t held;  /* its owner is the task that runs it, NULL: none */
    int result;       /* valid when done */
    bool done;        /* written once */
} uvt_once_t;

/* Runs fn(arg) in the calling task, unless that was done before: then its value is returned. Others who call meanwhile
 * wait. A call of fn that fails (a negative code, which its caller returns), as it does when its task is cancelled, or
 * that panics, has not done it: the one who has waited longest, or comes next, runs its own fn then.
 * Suspends: may, and fn may - On cancel: UV_ECANCELED when it waits; fn sees the cancel itself - Thread: task
 * Errors: what fn returned; UVT_EDEADLK called by the fn that it runs; UV_EINVAL fn is NULL */
UVT_EXTERN int uvt_once(uvt_once_t *o, uvt_fn fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
