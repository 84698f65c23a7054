/* SPDX-License-Identifier: MIT
 *
 * Broadcast: every subscriber gets a copy of every element that is sent after it subscribed, in order, between tasks of
 * all shards of the runtime that the broadcast was opened in.
 *
 *     uvt_broadcast_t news;
 *     uvt_subscriber_t sub;
 *     uvt_broadcast_open(&news, sizeof(struct headline), 16);
 *     uvt_broadcast_subscribe(&sub, &news);
 *     ...
 *     while ((rc = uvt_broadcast_recv(&sub, &h)) == 0 || rc == UVT_ELAGGED)
 *         if (rc == 0) print(&h); else printf("%u lost\n", (unsigned)uvt_subscriber_lost(&sub));
 *     uvt_subscriber_close(&sub);
 *
 * A sender never waits for anybody: the last `capacity` elements are kept, and a subscriber that is further behind is
 * told how many it has lost (UVT_ELAGGED, once) and goes on with the oldest that is kept. Where no element may
 * be lost, use a channel for each receiver: that is back-pressure, which a broadcast has not.
 *
 * Elements are plain data: several receivers copy the same one, and nobody is told when it is overwritten. So there is
 * no drop function, and what an element points to needs an owner elsewhere, or a count of its own.
 *
 * A call that was cancelled has received nothing: the element is still there for the next one. What was there before
 * the cancel came is received. A plain thread sends and receives in a function that it passes to uvt_block_on.
 */
#ifndef UVTASK_BROADCAST_H
#define UVTASK_BROADCAST_H

#include <uvtask/base.h>
#include <uvtask/select.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The inside of handles, of broadcasts and watches alike. Private. */
struct uvt__cast_sender {
    struct uvt__cast *cast; /* NULL: closed */
    uint64_t gid;           /* the runtime it was made in; 0: {0} */
};
struct uvt__cast_reader {
    struct uvt__cast *cast;   /* NULL: closed */
    uint64_t gid;             /* the runtime it was made in; 0: {0} */
    uint64_t at;              /* how many elements there were when it had seen the last one that it has seen */
    uint64_t lost;            /* as of the last UVT_ELAGGED */
    struct uvt__wait *waiter; /* of the task that waits with it */
};

/* A sender's handle, and a subscriber: the caller's memory, fields private. Both must be closed, and stay where they
 * are until that is done and the calls made with them have returned; they are not copied but cloned. A handle may
 * be used by several tasks, on several shards, but its close must not race with a call that begins on another shard
 * (one that waits already is woken). Tasks of other shards do best with handles of their own. */
typedef struct uvt_broadcast {
    struct uvt__cast_sender end;
} uvt_broadcast_t;
typedef struct uvt_subscriber {
    struct uvt__cast_reader end;
} uvt_subscriber_t;

/* ---- the sender's side ---- */

/* Makes a broadcast that keeps the last `capacity` elements, and *b its first sender's handle; it has no subscriber
 * yet. All memory it will ever need is had here. elem_size may be 0: elements are then counted, not copied, and every
 * elem below may be NULL. An element is copied under the lock, so large ones are better kept elsewhere and sent as
 * pointers.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL capacity is 0, the sizes are too large; UV_ENOMEM */
UVT_EXTERN int uvt_broadcast_open(uvt_broadcast_t *b, size_t elem_size, size_t capacity);

/* Makes *out another sender's handle of the broadcast.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UVT_ECLOSED b was closed */
UVT_EXTERN int uvt_broadcast_clone(uvt_broadcast_t *out, const uvt_broadcast_t *b);

/* Gives the handle back; twice is as once. Who waits with it gets UVT_ECLOSED. After the last sender's handle
 * subscribers receive what they have not had yet, then UV_EOF. The memory goes with the last handle of both sides.
 * On a thread of another runtime, or of none, it does nothing while the handle's runtime runs.
 * Suspends: never - On cancel: no effect - Thread: loop (any, one at a time, after the runtime's end) - Errors: none */
UVT_EXTERN void uvt_broadcast_close(uvt_broadcast_t *b);

/* Sends a copy of *elem to all subscribers there are, and returns how many that is: 1 or more. Those that wait
 * are woken. Without subscribers nothing is sent, and none that comes later will see it.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EPIPE there is no subscriber; UVT_ECLOSED the handle was closed; UV_EINVAL elem is NULL */
UVT_EXTERN int uvt_broadcast_send(uvt_broadcast_t *b, const void *elem);

/* Waits until there is no subscriber, which may be so at once. If one has come again before the task runs, it goes on
 * waiting.
 * Suspends: may - On cancel: UV_ECANCELED - Thread: task - Errors: UVT_ECLOSED the handle was closed */
UVT_EXTERN int uvt_broadcast_wait_closed(uvt_broadcast_t *b);

/* ---- the subscriber's side ---- */

/* Makes *sub a subscriber: it will receive what is sent from now on.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UVT_ECLOSED b was closed */
UVT_EXTERN int uvt_broadcast_subscribe(uvt_subscriber_t *sub, const uvt_broadcast_t *b);

/* Makes *out another subscriber of the same broadcast, which also receives only what is sent from now on, wherever
 * `sub` is. That needs no sender's handle.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UVT_ECLOSED sub was closed */
UVT_EXTERN int uvt_subscriber_clone(uvt_subscriber_t *out, const uvt_subscriber_t *sub);

/* Gives the subscriber back, as uvt_broadcast_close does a sender. After the last one uvt_broadcast_send says UV_EPIPE.
 * Suspends: never - On cancel: no effect - Thread: loop (any, one at a time, after the runtime's end) - Errors: none */
UVT_EXTERN void uvt_subscriber_close(uvt_subscriber_t *sub);

/* Copies the next element to *elem, waiting for one.
 * Suspends: may - On cancel: UV_ECANCELED, nothing was received - Thread: task
 * Errors: UVT_ELAGGED elements were overwritten before they were received: uvt_subscriber_lost says how many, *elem is
 *         untouched, and the next call goes on with the oldest one that is kept;
 *         UV_EOF all is received and the last sender has gone; UVT_ECLOSED the subscriber was closed;
 *         UV_EBUSY another task waits with it (clone it); UV_EINVAL elem is NULL */
UVT_EXTERN int uvt_broadcast_recv(uvt_subscriber_t *sub, void *elem);

/* As uvt_broadcast_recv, never waiting: UV_EAGAIN when there is no element.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EAGAIN; as uvt_broadcast_recv */
UVT_EXTERN int uvt_broadcast_try_recv(uvt_subscriber_t *sub, void *elem);

/* How many elements were lost when a call with this subscriber said UVT_ELAGGED last; 0 if none has.
 * Suspends: never - On cancel: no effect - Thread: loop, the one that made the call - Errors: none */
UVT_EXTERN uint64_t uvt_subscriber_lost(const uvt_subscriber_t *sub);

/* ---- a case of a select ---- */

/* uvt_broadcast_recv(sub, elem).
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_broadcast_recv */
UVT_EXTERN uvt_case_t uvt_case_broadcast_recv(uvt_subscriber_t *sub, void *elem);

#ifdef __cplusplus
}
#endif
#endif
