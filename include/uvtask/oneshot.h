/* SPDX-License-Identifier: MIT
 *
 * Oneshot: one value, sent once, from a task, a uv callback or another thread, to one receiver. It is the
 * bridge from callback code: start the callback operation with the oneshot as its data, then receive.
 * Joined with a task handle (uvt_spawn_oneshot) it is a task without a stack: it can be joined, aborted,
 * and belongs to its owner like any other.
 *
 * An object with two ends, a sender's and a receiver's; each is given back once, by send or close_tx and by
 * close_rx, in any order, and the second one frees the memory. The receiver may be a task of any shard of the runtime
 * that the oneshot was made in; only uvt_spawn_oneshot is for the shard it was made on.
 */
#ifndef UVTASK_ONESHOT_H
#define UVTASK_ONESHOT_H

#include <uvtask/base.h>
#include <uvtask/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvt_oneshot uvt_oneshot_t;

enum {
    UVT_ONESHOT_EXTERNAL = 1 /* another thread will send: while the sender's end is open, an idle loop waits
                                instead of reporting a deadlock */
};

/* Makes a oneshot with both ends open; it belongs to the shard it is made on. flags: 0 or UVT_ONESHOT_EXTERNAL.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EINVAL; UV_ENOMEM */
UVT_EXTERN int uvt_oneshot_new(uvt_oneshot_t **o, unsigned flags);

/* Sends and gives the sender's end back, whatever it returns. status and value reach the receiver as they
 * are. When it fails the value stays with the sender.
 * Suspends: never - On cancel: no effect - Thread: any
 * Errors: UVT_ECLOSED the receiver is gone; UVT_EGONE the runtime has ended */
UVT_EXTERN int uvt_oneshot_send(uvt_oneshot_t *o, int status, void *value);

/* Gives the sender's end back without sending: the receiver gets UV_EOF. NULL is allowed.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void uvt_oneshot_close_tx(uvt_oneshot_t *o);

/* Waits for the value. Returns 0 with *status and *value (each may be NULL) set as sent; later calls give
 * UVT_ECLOSED, never the value twice. The receiver's end stays open until close_rx.
 * Suspends: may - On cancel: UV_ECANCELED, a value that arrives is kept - Thread: task
 * Errors: UV_EOF the sender went away without sending; UVT_ECLOSED; UV_EBUSY another task receives */
UVT_EXTERN int uvt_oneshot_recv(uvt_oneshot_t *o, int *status, void **value);

/* As recv, never waiting: UV_EAGAIN while nothing was sent.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EAGAIN; UV_EOF; UVT_ECLOSED; UV_EBUSY another task receives */
UVT_EXTERN int uvt_oneshot_try_recv(uvt_oneshot_t *o, int *status, void **value);

/* Gives the receiver's end back: the value, if one was sent and not received, is returned through *value
 * (may be NULL) with 1, else 0. NULL for o is allowed.
 * Suspends: never - On cancel: no effect - Thread: loop (any, after the runtime's end)
 * Errors: UV_EBUSY a task is receiving; UVT_ESHARD also on a thread without a runtime */
UVT_EXTERN int uvt_oneshot_close_rx(uvt_oneshot_t *o, void **value);

/* Waits, at the sender's end, until the receiver is gone; returns 0.
 * Suspends: may - On cancel: UV_ECANCELED - Thread: task
 * Errors: UV_EBUSY another task waits so */
UVT_EXTERN int uvt_oneshot_wait_closed(uvt_oneshot_t *o);

/* Makes a child of the calling task that has a handle and no stack: it ends when the oneshot is sent
 * (status is the status sent; UVT_ECLOSED when that was received before), when its sender goes away (UV_EOF), or when
 * it is aborted: cancelled when the loop comes to it, unless something is sent before that; then the receiver's end is
 * closed, so the sender is told. It takes the receiver's end over. The sent value is stored to *value (may be NULL),
 * which must live as long as the task.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UV_EINVAL; UV_EBUSY; UV_ENOMEM */
#define uvt_spawn_oneshot(t, o, value) uvt_spawn_oneshot_at((t), (o), (value), UVT_SITE("oneshot"))
/* The function behind the macro.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: as uvt_spawn_oneshot */
UVT_EXTERN int uvt_spawn_oneshot_at(uvt_task_t *t, uvt_oneshot_t *o, void **value, const char *site);

#ifdef __cplusplus
}
#endif
#endif
