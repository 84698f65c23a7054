/* SPDX-License-Identifier: MIT
 *
 * Channels: elements of one size go, by copy, from many senders to many receivers, first in first out, between tasks
 * of all shards of the runtime that the channel was opened in.
 *
 *     uvt_chan_t jobs, out;
 *     uvt_chan_open(&jobs, sizeof(struct job), 64, NULL);       both ends
 *     uvt_chan_clone(&out, &jobs, UVT_SEND);                     a sender's handle for somebody else
 *     uvt_chan_close(&jobs, UVT_SEND);
 *     while (uvt_recv(&jobs, &job) == 0) work_on(&job);          until the last sender has closed: UV_EOF
 *     uvt_chan_close(&jobs, UVT_BOTH);
 *
 * A handle has a sender's end, a receiver's, or both. Ends are counted, so a channel knows when nobody will send any
 * more (receivers take what is queued, then get UV_EOF) and when nobody will receive (senders get UV_EPIPE).
 *
 * Capacity is how many elements may be queued. With 0 sender and receiver meet: a send is done when somebody
 * has received it. A full channel makes senders wait, and UVT_UNBOUNDED says loudly that nothing does.
 *
 * Nobody barges in: what is sent goes to the receiver that has waited longest, and a slot that becomes free to
 * the sender that has. A call that was cancelled has sent or received nothing; one that was served before the cancel
 * came returns 0.
 *
 * A plain thread sends and receives in a function that it passes to uvt_block_on.
 */
#ifndef UVTASK_CHAN_H
#define UVTASK_CHAN_H

#include <uvtask/base.h>
#include <uvtask/select.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handle: the caller's memory, fields private. It may be moved before it is used; after that it must stay where it
 * is, and never be copied (uvt_chan_clone makes another one), until its ends are closed and the calls made with it have
 * returned. It may be used by several tasks, on several shards; only the close of its last end must not race with a
 * call that begins, or does not wait, on another shard, as with any memory that is given up (calls that wait are
 * woken). Tasks of other shards do best with clones. */
typedef struct uvt_chan {
    struct uvt__chan *c; /* NULL: closed */
    uint64_t gid;        /* the runtime it was made in; 0: {0} */
    size_t permits;      /* reserved slots not used yet */
    unsigned ends;       /* that are open */
    unsigned waiting;    /* calls that wait through it */
} uvt_chan_t;

/* Ends of a handle. */
enum { UVT_SEND = 1, UVT_RECV = 2, UVT_BOTH = 3 };

/* A capacity: queue whatever is sent, until memory is out. There is no back-pressure. */
#define UVT_UNBOUNDED SIZE_MAX

typedef struct uvt_chan_options {
    /* Called for every element that was sent and that nobody received, when the last receiver has closed. It is called
     * on the thread that closes, outside of locks, and must not suspend. */
    void (*drop)(void *elem);
} uvt_chan_options;

/* ---- its life ---- */

/* Makes a channel, and *ch a handle with both ends. elem_size may be 0: elements are then counted, not copied, and
 * every elem below may be NULL. The memory of a bounded channel is had at once, so that sending needs none. options may
 * be NULL.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL the sizes are too large; UV_ENOMEM */
UVT_EXTERN int uvt_chan_open(uvt_chan_t *ch, size_t elem_size, size_t capacity, const uvt_chan_options *options);

/* Makes *out another handle of the channel, with `ends` of those that ch has. Permits stay with ch.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL no ends, or ends that ch has not; UVT_ECLOSED ch has none any more */
UVT_EXTERN int uvt_chan_clone(uvt_chan_t *out, const uvt_chan_t *ch, unsigned ends);

/* Gives ends of this handle back; those it has not are ignored, so twice is as once. Who waits through them
 * gets UVT_ECLOSED, and so do later calls. With a sender's end its permits go back. With the last sender receivers take
 * what is queued, then get UV_EOF; with the last receiver senders get UV_EPIPE and what is queued is dropped. The
 * channel goes with its last handle. On a shard of another runtime, or a thread without, it does nothing while the
 * channel's runtime runs.
 * Suspends: never - On cancel: no effect - Thread: loop (any, after the runtime's end) - Errors: none */
UVT_EXTERN void uvt_chan_close(uvt_chan_t *ch, unsigned ends);

/* Ends the channel for everybody, from either end: nothing more is sent (senders, waiting ones too, get
 * UV_EPIPE), except with permits that are out. Receivers take what is queued, wait for those permits, then get UV_EOF.
 * Twice is as once. Handles are still to be closed.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UVT_ECLOSED */
UVT_EXTERN int uvt_chan_end(uvt_chan_t *ch);

/* ---- sending ---- */

/* Sends a copy of *elem, waiting for a slot or, without capacity, for a receiver.
 * Suspends: may - On cancel: UV_ECANCELED, nothing was sent - Thread: task
 * Errors: UV_EPIPE nobody will receive, or the channel was ended; UVT_ECLOSED the handle has no sender's end (any
 *         more); UV_EINVAL elem is NULL; UV_ENOMEM unbounded ones only */
UVT_EXTERN int uvt_send(uvt_chan_t *ch, const void *elem);

/* As uvt_send, never waiting: UV_EAGAIN when it is full, or others wait already, or nobody waits to receive from
 * a channel without capacity.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EAGAIN; as uvt_send */
UVT_EXTERN int uvt_try_send(uvt_chan_t *ch, const void *elem);

/* Waits, in line with senders, until n slots are free, and keeps them for uvt_chan_send_reserved through this handle: n
 * permits. A permit counts as a full slot until it is used or given back. n == 0 is granted at once.
 * Suspends: may - On cancel: UV_ECANCELED, no permits - Thread: task
 * Errors: UV_EINVAL n is above the capacity; UV_EPIPE; UVT_ECLOSED; UV_ENOMEM unbounded ones only */
UVT_EXTERN int uvt_chan_reserve(uvt_chan_t *ch, size_t n);
/* As uvt_chan_reserve, never waiting.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EAGAIN; as uvt_chan_reserve */
UVT_EXTERN int uvt_chan_try_reserve(uvt_chan_t *ch, size_t n);

/* Sends with one of this handle's permits, also after uvt_chan_end. It needs no memory and never waits. When it fails
 * the permit is kept.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL no permit, or elem is NULL; UV_EPIPE nobody will receive; UVT_ECLOSED */
UVT_EXTERN int uvt_chan_send_reserved(uvt_chan_t *ch, const void *elem);

/* Gives n of this handle's permits back.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EINVAL it has fewer; UVT_ECLOSED */
UVT_EXTERN int uvt_chan_unreserve(uvt_chan_t *ch, size_t n);

/* ---- receiving ---- */

/* Receives the oldest element to *elem, waiting for one.
 * Suspends: may - On cancel: UV_ECANCELED, nothing was received - Thread: task
 * Errors: UV_EOF nothing is left and nothing will be sent; UVT_ECLOSED the handle has no receiver's end (any more);
 *         UV_EINVAL elem is NULL */
UVT_EXTERN int uvt_recv(uvt_chan_t *ch, void *elem);

/* As uvt_recv, never waiting: UV_EAGAIN when it is empty, or nobody waits to send to a channel without capacity.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EAGAIN; as uvt_recv */
UVT_EXTERN int uvt_try_recv(uvt_chan_t *ch, void *elem);

/* Waits for one element and takes, in order, what is there, at most `most`: to elems[0], elems[1], ... Returns how many
 * it took, 1 to most. With most == 0 it returns 0 at once and takes nothing from anybody.
 * Suspends: may - On cancel: UV_ECANCELED, nothing was received - Thread: task - Errors: as uvt_recv */
UVT_EXTERN ssize_t uvt_recv_many(uvt_chan_t *ch, void *elems, size_t most);

/* ---- questions ---- */

/* Elements queued now. 0 for a closed handle.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN size_t uvt_chan_len(const uvt_chan_t *ch);
/* As it was opened. 0 for a closed handle.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN size_t uvt_chan_capacity(const uvt_chan_t *ch);

typedef struct uvt_chan_stats {
    size_t len, capacity;     /* elements queued, and how many may be */
    size_t reserved;          /* permits that are out */
    size_t senders, receivers; /* handles with that end */
    size_t waiting_senders;   /* tasks in uvt_send, uvt_chan_reserve or a select with such a case */
    size_t waiting_receivers; /* tasks in uvt_recv, uvt_recv_many or such a select */
} uvt_chan_stats_t;

/* Fills *out, all of it of one moment.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EINVAL out is NULL; UVT_ECLOSED */
UVT_EXTERN int uvt_chan_stats(const uvt_chan_t *ch, uvt_chan_stats_t *out);

/* ---- cases of a select ---- */

/* uvt_send(ch, elem).
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_send */
UVT_EXTERN uvt_case_t uvt_case_send(uvt_chan_t *ch, const void *elem);
/* uvt_recv(ch, elem).
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_recv */
UVT_EXTERN uvt_case_t uvt_case_recv(uvt_chan_t *ch, void *elem);

#ifdef __cplusplus
}
#endif
#endif
