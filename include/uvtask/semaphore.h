/* SPDX-License-Identifier: MIT
 *
 * A counting semaphore, first come first served. Permits are handed over: a release gives them to the
 * oldest waiter directly, so nobody barges in, and a large request at the head is not starved by small
 * ones behind it. Tasks of all shards of the runtime it was made in may use it; one that waits is woken by its own.
 */
#ifndef UVTASK_SEMAPHORE_H
#define UVTASK_SEMAPHORE_H

#include <uvtask/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, fields private; nothing to free, but no task may wait when it goes away
 * (uvt_semaphore_close first). */
typedef struct uvt_semaphore {
    int64_t available;               /* negative after the limit was lowered below what is in use */
    int64_t limit;                   /* most permits there may be */
    struct {
        struct uvt__wait *head, *tail;
    } waiters;                       /* oldest first */
    uint64_t gid;                    /* the runtime it was made in */
    unsigned waiting;                /* how many wait */
    bool bounded;                    /* made with a limit */
    bool closed;
} uvt_semaphore_t;

/* permits at the start, and at most limit ever (0: no bound but INT32_MAX).
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL permits beyond the limit, limit beyond INT32_MAX, NULL */
UVT_EXTERN int uvt_semaphore_init(uvt_semaphore_t *s, unsigned permits, unsigned limit);

/* Takes n permits (0 is granted at once), waiting behind earlier callers.
 * Suspends: may - On cancel: UV_ECANCELED, no permit taken - Thread: task
 * Errors: UVT_ECLOSED; UV_EINVAL n is above the limit (unless that is 0 for now), so it could never be granted */
UVT_EXTERN int uvt_semaphore_acquire_many(uvt_semaphore_t *s, unsigned n);
/* One permit.
 * Suspends: may - On cancel: UV_ECANCELED - Thread: task - Errors: UVT_ECLOSED */
UVT_EXTERN int uvt_semaphore_acquire(uvt_semaphore_t *s);

/* As acquire_many, never waiting: UV_EAGAIN when there are too few, or others wait already.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EAGAIN; UVT_ECLOSED; UV_EINVAL */
UVT_EXTERN int uvt_semaphore_try_acquire(uvt_semaphore_t *s, unsigned n);

/* Gives n permits back, or adds them. The value is unchanged when it fails. Works on a closed one too.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EINVAL more than the limit */
UVT_EXTERN int uvt_semaphore_release(uvt_semaphore_t *s, unsigned n);

/* Changes how many permits there are, for a semaphore made with a limit: those that are free become more or fewer by
 * the difference of the limits. So raising it lets waiters in at once, lowering it holds newcomers until enough has
 * come back (or was released for the first time, if it was made with fewer permits than its limit). 0 blocks all.
 * Waiters that ask for more than the new limit stay, until it is raised.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL made without a limit, limit beyond INT32_MAX */
UVT_EXTERN int uvt_semaphore_set_limit(uvt_semaphore_t *s, unsigned limit);

/* Fails all waiters, and acquires from now on, with UVT_ECLOSED. Outside of its runtime it does nothing.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN void uvt_semaphore_close(uvt_semaphore_t *s);

/* Permits free now (negative when more are in use than the limit allows), and tasks waiting.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN int64_t uvt_semaphore_available(const uvt_semaphore_t *s);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN unsigned uvt_semaphore_waiting(const uvt_semaphore_t *s);

#ifdef __cplusplus
}
#endif
#endif
