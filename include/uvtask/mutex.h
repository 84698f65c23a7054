/* SPDX-License-Identifier: MIT
 *
 * Mutex and condition. Tasks of one shard need no lock for what they do between two suspensions; a mutex is for what
 * has to stay as it is across one, and for what tasks of several shards share.
 *
 * Locks are granted first come first served and handed over: unlock makes the oldest waiter the owner at once, so
 * nobody barges in. The owner is known, and only it may unlock. A task that ends while it holds a mutex, by a panic or
 * because it forgot, is reported, and the lock passes on, so that nobody waits for ever; what it guards may be half
 * done then. Tasks of all shards of the runtime that a mutex or condition was made in may use it.
 */
#ifndef UVTASK_MUTEX_H
#define UVTASK_MUTEX_H

#include <uvtask/base.h>
#include <uvtask/select.h>
#include <uvtask/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, fields private; nothing to free, but no task may hold it or wait for it when it goes away. */
typedef struct uvt_mutex {
    uvt__line_t line; /* empty while it is free */
    uvt__res_t held;  /* its owner is the mutex's, NULL while it is free */
} uvt_mutex_t;

/* A free mutex. Its place in the source is kept for reports.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
#define uvt_mutex_init(m) uvt_mutex_init_at((m), UVT_SITE("mutex " #m))
/* What the macro calls: site is a UVT_SITE string that outlives the mutex.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EINVAL site is NULL */
UVT_EXTERN int uvt_mutex_init_at(uvt_mutex_t *m, const char *site);

/* Makes the calling task the owner, behind those that came before it.
 * Suspends: may - On cancel: UV_ECANCELED, not locked - Thread: task - Errors: UVT_EDEADLK it is the owner already */
UVT_EXTERN int uvt_mutex_lock(uvt_mutex_t *m);
/* As uvt_mutex_lock, never waiting.
 * Suspends: never - On cancel: no effect - Thread: task
 * Errors: UV_EBUSY another task is the owner; UVT_EDEADLK the calling one is */
UVT_EXTERN int uvt_mutex_try_lock(uvt_mutex_t *m);
/* Hands the mutex to the oldest waiter, or frees it.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UV_EPERM the calling task is not the owner */
UVT_EXTERN int uvt_mutex_unlock(uvt_mutex_t *m);

/* The owner now, {0} when it is free; and how many tasks wait.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN uvt_task_t uvt_mutex_owner(const uvt_mutex_t *m);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN unsigned uvt_mutex_waiting(const uvt_mutex_t *m);

/* uvt_mutex_lock(m) as a case of a select.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_mutex_lock */
UVT_EXTERN uvt_case_t uvt_case_lock(uvt_mutex_t *m);

/* ---- condition ---- */

/* Waiting, under a mutex, for a change that others signal. What is waited for is looked at in a loop:
 *
 *     while (!q->ready && (rc = uvt_cond_wait(&q->changed, &q->mutex)) == 0) continue;
 *
 * The caller's memory, fields private; nothing to free, but no task may wait when it goes away. */
typedef struct uvt_cond {
    uvt__line_t line;
} uvt_cond_t;

/* A condition that nobody waits for.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_cond_init(uvt_cond_t *c);

/* Unlocks m, waits for a signal, and locks m again: the calling task is the owner before and after, whatever is
 * returned. Locking again is shielded and may take as long as others hold m. A signal that came is never lost to a
 * cancel: 0 then. In a scope that is cancelled already m stays locked throughout.
 * Suspends: always - On cancel: UV_ECANCELED, with m locked - Thread: task
 * Errors: UV_EPERM the calling task is not the owner of m */
UVT_EXTERN int uvt_cond_wait(uvt_cond_t *c, uvt_mutex_t *m);
/* Wakes the task that has waited longest, if any. The mutex need not be held.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_cond_signal(uvt_cond_t *c);
/* Wakes all that wait now.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_cond_broadcast(uvt_cond_t *c);
/* How many tasks wait for a signal.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN unsigned uvt_cond_waiting(const uvt_cond_t *c);

#ifdef __cplusplus
}
#endif
#endif
