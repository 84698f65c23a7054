/* SPDX-License-Identifier: MIT
 *
 * The clock, sleeping and intervals. Times are milliseconds of the monotonic clock (uv_hrtime), read
 * fresh when something is armed: nothing fires early, not even after a long computation, and fractions
 * are rounded up. Timers that are due at the same millisecond fire in the order they were armed.
 */
#ifndef UVTASK_TIME_H
#define UVTASK_TIME_H

#include <uvtask/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Milliseconds of the monotonic clock (of the virtual clock, under the test kit). Only differences mean
 * anything. Deadlines are times of this clock.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN uint64_t uvt_now(void);

/* Sleeps for at least ms milliseconds. 0 yields. UVT_FOREVER (or anything a few thousand years away)
 * sleeps until cancelled.
 * Suspends: always - On cancel: UV_ECANCELED at once - Thread: task
 * Errors: UV_EINVAL ms is negative when read as int64_t, but for UVT_FOREVER */
UVT_EXTERN int uvt_sleep(uint64_t ms);

/* Sleeps until uvt_now() >= deadline; a deadline in the past yields.
 * Suspends: always - On cancel: UV_ECANCELED at once - Thread: task - Errors: none */
UVT_EXTERN int uvt_sleep_until(uint64_t deadline);

/* What an interval does with ticks that passed while nobody waited. */
typedef enum uvt_missed {
    UVT_MISSED_BURST, /* they come at once, one after another; the schedule stays */
    UVT_MISSED_SKIP,  /* the late one comes at once, those after it that have passed too are dropped and
                         counted; the next comes at a whole number of periods from the start */
    UVT_MISSED_DELAY  /* the next comes one period after the late one; the phase moves. Up to 5 ms are not late */
} uvt_missed;

/* A ticker. Plain data of the caller, nothing to release. */
typedef struct uvt_interval {
    uint64_t period; /* ms, > 0 */
    uint64_t next;   /* when the next tick is due */
    uvt_missed missed;
} uvt_interval_t;

/* Sets an interval up: the first tick is due one period from now.
 * Suspends: never - On cancel: no effect - Thread: any
 * Errors: UV_EINVAL period is 0 or beyond INT64_MAX, unknown policy */
UVT_EXTERN int uvt_interval_init(uvt_interval_t *iv, uint64_t period_ms, uvt_missed missed);

/* Waits for the next tick. Returns 0, or (UVT_MISSED_SKIP) the number of ticks dropped after this one.
 * Suspends: always - On cancel: UV_ECANCELED, the tick is not used up - Thread: task
 * Errors: UV_EINVAL */
UVT_EXTERN int uvt_interval_tick(uvt_interval_t *iv);

/* Moves the next tick to the given time (may be past: at once), and the phase with it. For "one period
 * from now" pass uvt_now() + iv->period.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void uvt_interval_reset_at(uvt_interval_t *iv, uint64_t when);

#ifdef __cplusplus
}
#endif
#endif
