/* SPDX-License-Identifier: MIT
 *
 * What streams and listeners share: a record with a uv handle in it that is owned by a task, closed once,
 * and recycled (but not freed while the loop lives) after its close callback has run, no call is suspended on it and a
 * number of other records have been closed after it, so that a late call on it finds it closed rather than another's.
 */
#ifndef UVT_IO_H
#define UVT_IO_H

#include "sync/select.h"

enum { IO_STREAM, IO_LISTENER, IO_KINDS };
enum { IO_FREE, IO_OPEN, IO_CLOSING };

typedef struct uvt__ioh {
    void *block;               /* the memory that it lies in */
    struct uvt__ioh *next;     /* in the queue of closed ones */
    struct uvt__ioh *all;      /* every record there is */
    uvt__res res;              /* owner and site, valid while open */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_poll_t poll;        /* a listener's */
    } uv;
    uvt_park_t *closer;        /* who waits in close */
    uvt__shard *shard;         /* from here on: what every operation touches. It begins on a cache line */
    uint8_t state, kind;
    bool connecting;           /* a stream that its connect has not given out yet */
    uint32_t users;            /* calls that are suspended on it: closed or not, it stays what it is until they go on */
} uvt__ioh;

struct uvt_stream {
    uvt__ioh h;
    uvt_park_t *reader;       /* parked in a read */
    uvt_stream_t *next_told;  /* in the queue of those whose readers are woken after the poll */
    size_t stash_len;
    int fd;
    int read_end;             /* UV_EOF or an error: all that reads will ever say; 0 none */
    int write_end;            /* error of an earlier write; 0 none */
    bool told;                /* of something to read: the reader is to be woken */
    bool listed;              /* in that queue */
    bool reading;             /* uv_read_start is in force */
    bool readable;            /* there may be something in the kernel */
    bool starved;             /* data was there and no reader; the next time reading stops */
    bool in_read;             /* a task is in a reading call */
    bool in_write;            /* a task is in a writing call */
    bool in_flight;           /* wreq is libuv's */
    bool torn;                /* a write ended half way */
    /* to here: one cache line */
    char *stash;              /* bytes taken from the kernel for peek and read_until, and by a full poll */
    size_t stash_at, stash_cap;
    void *data;               /* the user's word */
    uvt_park_t *writer;       /* parked until wreq (or the connect) is done */
    char *wcopy;              /* what wreq is sending */
    union {
        uv_write_t write;
        uv_connect_t connect;
    } req;
    uv_shutdown_t sreq;
    uvt_park_t *shutter;
    bool shutting;            /* sreq is libuv's */
};

struct uvt_listener {
    uvt__ioh h;
    int fd;                   /* listening socket */
    int held;                 /* a connection taken from it that has no stream yet; negative none */
    uvt_park_t *accepter;
    bool polling;             /* the poll is armed */
    bool starved;             /* connections were there and no accepter; the next time polling stops */
};

/* What a shard's streams and listeners share. */
struct uvt__io {
    uvt__ioh *all;
    struct {
        uvt__ioh *head, *tail;
        size_t count;
    } closed[IO_KINDS];
    uvt_stream_t *first_told, *last_told; /* streams whose readers are woken after this poll */
    unsigned left_unread;     /* streams whose bytes this poll has left in the kernel */
    unsigned waiting;         /* readers and accepters that are parked */
};

/* A fresh record with its uv handle initialised (a listener's on fd), owned by the task. */
int uvt__io_new(uvt__shard *s, int kind, int fd, uvt__task *owner, const char *site, uvt__ioh **out);
/* 0 when an operation may use the record, else the code to return. */
static inline int uvt__io_check(const uvt__ioh *h) {
    uvt__shard *s = uvt__here();
    if (UNLIKELY(!s)) return UVT_ENOTASK;
    if (UNLIKELY(!h)) return UV_EINVAL;
    if (UNLIKELY(h->shard != s)) return UVT_ESHARD;
    if (UNLIKELY(h->state != IO_OPEN)) return UV_EBADF;
    return 0;
}
/* What is read and polled stays armed when nobody waits for it any more, so the handles do not count as something to
 * wait for (they are not referenced); tasks do: while there are any, a hook of the loop's is. */
static inline void uvt__io_wait(uvt_park_t **at, uvt_park_t *p, uvt__shard *s) {
    *at = p;
    if (s->io->waiting++ == 0) uv_ref((uv_handle_t *)&s->prepare);
}
static inline void uvt__io_unwait(uvt_park_t **at, uvt__shard *s) {
    *at = NULL;
    if (--s->io->waiting == 0) uv_unref((uv_handle_t *)&s->prepare);
}
/* Around whatever a call suspends in and looks at the record after. */
static inline void uvt__io_enter(uvt__ioh *h) {
    h->users++;
}
static inline void uvt__io_leave(uvt__ioh *h) {
    h->users--;
}
static inline int uvt__io_park(uvt__ioh *h, uvt_park_t *p) {
    uvt__io_enter(h);
    int rc = uvt_park(p);
    uvt__io_leave(h);
    return rc;
}
/* The beginning of a call, or a place within, where uvt__goes_on said no: 0 when the record is still open after it. */
int uvt__io_checkpoint(uvt__ioh *h);
/* Both, where nothing but that has to be looked at again after a suspension. */
static inline int uvt__io_go_on(uvt__ioh *h) {
    return uvt__goes_on(h->shard) ? 0 : uvt__io_checkpoint(h);
}
void uvt__io_own(uvt__ioh *h, uvt__task *owner);
void uvt__io_disown(uvt__ioh *h);
/* Starts closing: wakes whoever waits on it with UV_EBADF. */
void uvt__io_close(uvt__ioh *h);
/* Closes and waits until libuv has let go. */
int uvt__io_close_wait(uvt__ioh *h);

/* The parts of the kinds. */
int uvt__stream_opened(uvt_stream_t *s); /* its uv handle has its socket now */
void uvt__stream_closing(uvt_stream_t *s);
void uvt__stream_closed(uvt_stream_t *s);
void uvt__listener_closing(uvt_listener_t *l);
void uvt__listener_given_up(uvt_listener_t *l); /* its owner never ended, and the loop is closed */

/* resolve.c: the addresses of a host, to be freed with uv_freeaddrinfo. */
int uvt__resolve(const char *host, unsigned port, struct addrinfo **out);
int uvt__parse_addr(const char *host, unsigned port, struct sockaddr_storage *addr);

#endif
