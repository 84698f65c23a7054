/* SPDX-License-Identifier: MIT
 *
 * For authors of new awaitables: the one primitive that everything which waits is built on. Not included
 * by <uvtask.h>.
 *
 *     1. hook a record somewhere that a completion will find it (a wait list, a request's data)
 *     2. uvt_park(&p): the task is set aside
 *     3. the completion (a uv callback or another task of the same shard) calls uvt_unpark(&p, result), exactly once
 *     4. uvt_park returns result
 *
 * Cancellation calls p.abort, at most once per park, and never after uvt_unpark:
 *     UVT_ABORT_DONE    the record was unhooked, no completion will come: park returns UV_ECANCELED
 *     UVT_ABORT_LATER   it cannot be stopped at once; uvt_unpark will still come (as a rule soon, because
 *                       abort asked for it) and its result is what park returns
 * A NULL abort means that the wait cannot be cancelled. What completed is never taken back: between
 * uvt_unpark and the task's running again a cancel has no effect on this park. An abort may be called with a lock
 * of the library held, which every cancel takes: it must not suspend, nor wait for another thread that could cancel.
 *
 * Requests and buffers that a thread or libuv may still write must not lie on the parked task's stack when
 * abort answers DONE: put them on the heap and let the completion free them.
 */
#ifndef UVTASK_PARK_H
#define UVTASK_PARK_H

#include <uvtask/base.h>
#include <uvtask/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { UVT_ABORT_DONE = 0, UVT_ABORT_LATER = 1 };

typedef struct uvt_park {
    const char *what;   /* what it waits for, in the dump's words: "semaphore", "read" (a literal) */
    const void *object; /* on which object; may be NULL */
    int (*abort)(struct uvt_park *p);
    /* private, valid while parked */
    struct uvt__task *task; /* the parked task; NULL once unparked */
    int result;
} uvt_park_t;

/* Sets the calling task aside until uvt_unpark and returns its result. what, object and abort are to be
 * set; the record must live until it returns. In a scope that is cancelled already, abort is called at
 * once, and after DONE the call yields once and returns UV_ECANCELED.
 * Suspends: always - On cancel: see above - Thread: task - Errors: UVT_ENOTASK, else the result */
UVT_EXTERN int uvt_park(uvt_park_t *p);

/* Makes the parked task ready, to return result from its uvt_park. On a record that is not parked (any
 * more) it does nothing and returns false.
 * Suspends: never - On cancel: no effect - Thread: loop, the parked task's (elsewhere it is an assertion)
 * Errors: none */
UVT_EXTERN bool uvt_unpark(uvt_park_t *p, int result);

/* For calls that may complete without parking: call it first. 0, or UV_ECANCELED in a cancelled scope
 * (after a yield), and every so often it yields, so that operations which always complete at once cannot
 * starve others.
 * Suspends: may - On cancel: UV_ECANCELED - Thread: task - Errors: UV_ECANCELED; UVT_ENOTASK */
UVT_EXTERN int uvt_checkpoint(void);

#ifdef __cplusplus
}
#endif
#endif
