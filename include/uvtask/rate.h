/* SPDX-License-Identifier: MIT
 *
 * A rate limiter: a bucket of tokens that fills at a steady rate up to a burst, for "at most 100 requests a second".
 * First come first served, and a large request at the head is not starved by small ones behind it. The arithmetic is
 * exact over any length of time, and tokens are never there early. Tasks of all shards of the runtime it was made in
 * may use it.
 */
#ifndef UVTASK_RATE_H
#define UVTASK_RATE_H

#include <uvtask/base.h>
#include <uvtask/select.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, fields private; nothing to free, but no task may wait when it goes away. */
typedef struct uvt_rate {
    uint64_t credit;   /* what there was at `at`, in tokens times `period`: every ms adds `tokens` */
    uint64_t at;       /* ms */
    uint64_t period;   /* ms */
    uint64_t tokens;   /* per period */
    uint64_t burst;    /* most tokens there may be */
    struct {
        struct uvt__wait *head, *tail;
    } waiters;         /* oldest first */
    uint64_t queued;   /* tokens that they wait for */
    uint64_t gid;      /* the runtime it was made in */
    unsigned waiting;  /* how many wait */
    bool away;         /* the oldest was woken to look at the time anew, and keeps its place meanwhile */
} uvt_rate_t;

/* `tokens` every period_ms, spread evenly over it, and at most `burst` at once, which are there at the start. Time is
 * counted in whole milliseconds: those waiting for what comes within one are let through together, and a burst that is
 * smaller than that holds a lone caller back.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL NULL, one of the numbers is 0 or beyond INT32_MAX */
UVT_EXTERN int uvt_rate_init(uvt_rate_t *r, unsigned tokens, uint64_t period_ms, unsigned burst);

/* Takes n tokens (0 is granted at once), waiting behind earlier callers until they are there.
 * Suspends: may - On cancel: UV_ECANCELED, no token taken - Thread: task
 * Errors: UV_EINVAL n is above the burst, so they would never be there together */
UVT_EXTERN int uvt_rate_acquire(uvt_rate_t *r, unsigned n);

/* As uvt_rate_acquire, never waiting: UV_EAGAIN when there are too few, or others wait already.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EAGAIN; UV_EINVAL */
UVT_EXTERN int uvt_rate_try_acquire(uvt_rate_t *r, unsigned n);

/* Whole tokens that are there now, and tasks waiting. 0 outside of its runtime.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN unsigned uvt_rate_available(const uvt_rate_t *r);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN unsigned uvt_rate_waiting(const uvt_rate_t *r);

/* uvt_rate_acquire(r, n) as a case of a select.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_rate_acquire */
UVT_EXTERN uvt_case_t uvt_case_rate(uvt_rate_t *r, unsigned n);

#ifdef __cplusplus
}
#endif
#endif
