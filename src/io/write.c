/* SPDX-License-Identifier: MIT
 *
 * Writing. What the socket takes at once goes at once, straight from the caller's buffers. What it
 * does not take is copied, a piece at a time, into a request of the stream's own, and the task waits until
 * libuv has sent that piece: so a slow peer holds the writer back, and a cancelled writer leaves nothing of
 * the caller's behind. A piece that is in flight when its writer is cancelled counts as written and is
 * still sent, in order, unless the stream is closed first.
 */
#include "io/io.h"
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PIECE ((size_t)64 << 10)
#define BUFS 16

/* Where a gathering write stands. */
struct cursor {
    const uv_buf_t *bufs;
    unsigned n;   /* buffers left */
    size_t at;    /* into the first */
    size_t done;  /* bytes handed over */
};

static void advance(struct cursor *c, size_t bytes) {
    c->done += bytes;
    for (c->at += bytes; c->n && c->at >= c->bufs->len; c->n--, c->bufs++) c->at -= c->bufs->len;
}

/* What uv_try_write does, but without a SIGPIPE, and by the cheaper system call. Nothing is in libuv's queue. */
static inline int send_one(uvt_stream_t *s, const void *buf, size_t size) {
    ssize_t n;
    do n = send(s->fd, buf, size < INT_MAX ? size : INT_MAX, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? uv_translate_sys_error(errno) : (int)n;
}

static int send_several(uvt_stream_t *s, const struct cursor *c) {
    uv_buf_t bufs[BUFS];
    struct msghdr m = { .msg_iov = (struct iovec *)bufs, .msg_iovlen = c->n < BUFS ? c->n : BUFS };
    ssize_t n;
    memcpy(bufs, c->bufs, m.msg_iovlen * sizeof *bufs);
    bufs[0].base += c->at;
    bufs[0].len -= c->at;
    do n = sendmsg(s->fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? uv_translate_sys_error(errno) : (int)n;
}

static bool is_full(int rc) {
    return rc == UV_EAGAIN || rc == UV_ENOBUFS;
}

/* As much as the kernel takes now; 0 none. */
static int try_now(uvt_stream_t *s, struct cursor *c) {
    int n = UVT_UV(c->n > 1 ? send_several(s, c) : send_one(s, c->bufs->base + c->at, c->bufs->len - c->at));
    if (is_full(n)) return 0;
    if (n > 0) advance(c, (size_t)n);
    return n;
}

static void free_copy(uvt_stream_t *s) {
    uvt__free(s->wcopy);
    s->wcopy = NULL;
}

/* The copy stays for the next piece while somebody waits who may have one. */
static void on_write(uv_write_t *req, int status) {
    uvt_stream_t *s = req->data;
    uvt_park_t *p = s->writer;
    s->in_flight = false;
    if (status < 0 && s->write_end == 0) s->write_end = status;
    s->writer = NULL;
    if (p) uvt_unpark(p, status);
    else free_copy(s);
}

static int write_abort(uvt_park_t *p) {
    ((uvt_stream_t *)p->object)->writer = NULL;
    return UVT_ABORT_DONE;
}

static int wait_flight(uvt_stream_t *s) {
    uvt_park_t p = { .what = "write", .object = s, .abort = write_abort };
    s->writer = &p;
    return uvt__io_park(&s->h, &p);
}

/* Copies the next piece and hands it to libuv, unless the kernel takes it now. */
static int send_piece(uvt_stream_t *s, struct cursor *c, bool try_first) {
    if (!s->wcopy && !(s->wcopy = uvt__alloc(PIECE))) return UV_ENOMEM;
    struct cursor look = *c;
    size_t n = 0;
    while (look.n && n < PIECE) {
        size_t k = look.bufs->len - look.at;
        if (k > PIECE - n) k = PIECE - n;
        memcpy(s->wcopy + n, look.bufs->base + look.at, k);
        n += k;
        advance(&look, k);
    }
    int sent = try_first ? UVT_UV(send_one(s, s->wcopy, n)) : 0;
    if (is_full(sent)) sent = 0;
    if (sent < 0) return sent;
    if ((size_t)sent == n) {
        *c = look;
        return 0;
    }
    advance(c, (size_t)sent);
    uv_buf_t buf = uv_buf_init(s->wcopy + sent, (unsigned)(n - (size_t)sent));
    s->req.write.data = s;
    int rc = UVT_UV(uv_write(&s->req.write, &s->h.uv.stream, &buf, 1, on_write));
    if (rc < 0) return rc;
    s->in_flight = true;
    *c = look;
    return 0;
}

/* tried: the kernel has taken all that it would. */
static int write_all(uvt_stream_t *s, struct cursor *c, bool tried) {
    advance(c, 0);
    for (; c->n; tried = false) {
        int rc = tried || s->in_flight ? 0 : try_now(s, c);
        if (LIKELY(rc > 0 && c->n == 0)) return 0;
        /* It took as many buffers as one call can have: it may take more, and in pieces, a copy being cheaper than a
         * call for every few of them. */
        bool more = rc > 0 && c->at == 0;
        while (rc >= 0 && c->n && !s->in_flight) rc = send_piece(s, c, more && uvt__goes_on(s->h.shard));
        if (rc < 0) return rc;
        if (!s->in_flight) return 0;
        rc = wait_flight(s);
        if (UNLIKELY(s->h.state != IO_OPEN)) return UV_EBADF;
        if (rc < 0) return rc == UV_ECANCELED && c->n == 0 ? 0 : rc;
    }
    return 0;
}

static int write_from(uvt_stream_t *s, struct cursor *c, bool tried, size_t *written) {
    s->in_write = true;
    int rc = write_all(s, c, tried);
    s->in_write = false;
    if (!s->in_flight) free_copy(s);
    if (UNLIKELY(rc < 0 && c->done > 0)) s->torn = true;
    if (written) *written = c->done;
    return rc;
}

static int may_write(uvt_stream_t *s) {
    int rc = uvt__io_check(s ? &s->h : NULL);
    if (UNLIKELY(rc < 0)) return rc;
    if (UNLIKELY(s->in_write)) return UV_EBUSY;
    if (UNLIKELY(s->torn)) return UVT_ETORN;
    if (UNLIKELY(s->write_end != 0)) return s->write_end;
    return 0;
}

static int begin_write(uvt_stream_t *s, bool valid) {
    int rc = may_write(s);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__shard *here = s->h.shard;
    if (UNLIKELY(!here->current)) return UVT_ENOTASK;
    if (UNLIKELY(!valid)) return UV_EINVAL;
    if (LIKELY(uvt__goes_on(here))) return 0;
    rc = uvt__io_checkpoint(&s->h);
    return rc < 0 ? rc : may_write(s);
}

int uvt_writev(uvt_stream_t *s, const uv_buf_t *bufs, unsigned n, size_t *written) {
    if (written) *written = 0;
    int rc = begin_write(s, bufs && n > 0);
    if (UNLIKELY(rc < 0)) return rc;
    struct cursor c = { bufs, n, 0, 0 };
    return write_from(s, &c, false, written);
}

/* What is left when the kernel has taken `sent`. */
static __attribute__((noinline)) int write_rest(uvt_stream_t *s, const char *buf, size_t size, size_t sent, bool tried,
                                                size_t *written) {
    uv_buf_t b = { .base = (char *)(uintptr_t)buf, .len = size };
    struct cursor c = { &b, 1, sent, sent };
    return write_from(s, &c, tried, written);
}

/* As a rule the kernel takes it all, so that comes first, in a small frame: of many tasks' stacks few are in the cache.
 */
int uvt_write(uvt_stream_t *s, const void *buf, size_t size, size_t *written) {
    if (written) *written = 0;
    int n = begin_write(s, buf || size == 0);
    if (UNLIKELY(n < 0)) return n;
    if (UNLIKELY(s->in_flight || size == 0)) return write_rest(s, buf, size, 0, false, written);
    n = UVT_UV(send_one(s, buf, size));
    if (UNLIKELY(n < 0 && !is_full(n))) return n;
    if (UNLIKELY((size_t)n != size)) return write_rest(s, buf, size, n < 0 ? 0 : (size_t)n, true, written);
    if (written) *written = size;
    return 0;
}

ssize_t uvt_try_write(uvt_stream_t *s, const void *buf, size_t size) {
    int rc = may_write(s);
    if (rc < 0) return rc;
    if (!buf || size == 0) return UV_EINVAL;
    if (s->in_flight) return UV_EAGAIN;
    return UVT_UV(send_one(s, buf, size));
}

int uvt_stream_mend(uvt_stream_t *s) {
    int rc = uvt__io_check(s ? &s->h : NULL);
    if (rc == 0) s->torn = false;
    return rc;
}
