/* SPDX-License-Identifier: MIT
 *
 * Event and notify, two ways to tell waiting tasks that something has happened. An event is a state: set, until it is
 * cleared, and as long nobody waits. A notification is for one task: the one that has waited longest, or the next that
 * waits. Tasks of all shards of the runtime they were made in may use them, and callbacks on their loops may tell.
 */
#ifndef UVTASK_EVENT_H
#define UVTASK_EVENT_H

#include <uvtask/base.h>
#include <uvtask/select.h>
#include <uvtask/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, fields private; nothing to free, but no task may wait when it goes away. */
typedef struct uvt_event {
    uvt__line_t line; /* empty while it is set */
    bool set;
} uvt_event_t;

/* An event that is not set.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_event_init(uvt_event_t *e);
/* Sets it and wakes all that wait, who return 0 even if it is cleared before they run. Twice is as once.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_event_set(uvt_event_t *e);
/* Those who come from now on wait for the next set.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_event_clear(uvt_event_t *e);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: none (false) */
UVT_EXTERN bool uvt_event_is_set(const uvt_event_t *e);
/* Waits until it is set: at once when it is.
 * Suspends: may - On cancel: UV_ECANCELED - Thread: task - Errors: none of its own */
UVT_EXTERN int uvt_event_wait(uvt_event_t *e);
/* How many tasks wait.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN unsigned uvt_event_waiting(const uvt_event_t *e);

/* uvt_event_wait(e) as a case of a select.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_event_wait */
UVT_EXTERN uvt_case_t uvt_case_event(uvt_event_t *e);

/* ---- notify ---- */

/* The caller's memory, fields private; nothing to free, but no task may wait when it goes away. */
typedef struct uvt_notify {
    uvt__line_t line; /* empty while there is a permit */
    bool permit;      /* a notification that nobody has waited for yet */
} uvt_notify_t;

/* Without waiters and without a permit.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_notify_init(uvt_notify_t *n);
/* Wakes the task that has waited longest. When none waits, the next one to wait returns at once: one only, however
 * often this was called meanwhile.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_notify_one(uvt_notify_t *n);
/* The same of the task that came last.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_notify_last(uvt_notify_t *n);
/* Wakes all that wait now; nothing is kept for later ones.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none of its own */
UVT_EXTERN int uvt_notify_all(uvt_notify_t *n);
/* Waits for a notification, or takes the one that was kept. One that came is never lost to a cancel: 0 then.
 * Suspends: may - On cancel: UV_ECANCELED, no notification taken - Thread: task - Errors: none of its own */
UVT_EXTERN int uvt_notify_wait(uvt_notify_t *n);
/* How many tasks wait.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN unsigned uvt_notify_waiting(const uvt_notify_t *n);

/* uvt_notify_wait(n) as a case of a select.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_notify_wait */
UVT_EXTERN uvt_case_t uvt_case_notified(uvt_notify_t *n);

#ifdef __cplusplus
}
#endif
#endif
