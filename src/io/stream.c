/* SPDX-License-Identifier: MIT
 *
 * Streams: reading, ending and closing. (Writing is in write.c.)
 *
 * Reading stays armed between reads, since starting and stopping costs two epoll_ctl each; but libuv only says
 * that there is something. It is answered with "no buffer", which leaves the bytes in the kernel, and the task
 * takes them itself when it runs: into whatever buffer it likes then, a shared one included, and nothing is ever
 * read that nobody waits for. When data is there and nobody reads, twice running (the task is busy elsewhere,
 * and a level-triggered poll would spin), reading is stopped until the next reader comes.
 *
 * Whom the poll tells of bytes is woken after it, a group at a time, and the group's tasks run before the next is
 * woken: what waking a task brings into the cache is still there then.
 */
#include "io/io.h"
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

/* So many streams are left unread by one poll; further ones are read into their streams' stashes. libuv polls again,
 * and again, when it got as many events as it can take, 1024, and would be told of everything left unread each time. */
#define LEAVE 1000
#define STASH 1024
#define GROUP 16 /* readers woken together */

static void on_alloc(uv_handle_t *uv, size_t hint, uv_buf_t *buf) {
    uvt_stream_t *s = uv->data;
    (void)hint;
    buf->base = NULL;
    buf->len = 0;
    if (LIKELY(s->h.shard->io->left_unread < LEAVE) || !s->reader || s->told || s->stash_len > 0) return;
    if (!s->stash && (s->stash = uvt__alloc(STASH))) s->stash_cap = STASH;
    if (s->stash) *buf = uv_buf_init(s->stash, (unsigned)s->stash_cap);
}

static void wake(uvt_park_t **at, int rc) {
    uvt_park_t *p = *at;
    *at = NULL;
    if (p) uvt_unpark(p, rc);
}

static inline void wake_reader(uvt_stream_t *s, int rc) {
    uvt_park_t *p = s->reader;
    if (UNLIKELY(!p)) return;
    uvt__io_unwait(&s->reader, s->h.shard);
    uvt_unpark(p, rc);
}

/* After the poll. */
static void wake_told(uvt__shard *here) {
    struct uvt__io *io = here->io;
    uvt_stream_t *s;
    here->io_told = NULL;
    io->left_unread = 0;
    for (unsigned n = 1; (s = io->first_told); n++) {
        io->first_told = s->next_told;
        s->listed = false;
        if (s->told) wake_reader(s, 0); /* unless it was cancelled meanwhile, or the stream closed */
        s->told = false;
        if (n % GROUP == 0) uvt__run_some(here, GROUP);
    }
}

/* The reader is going to be woken. Where it is listed already (a task drives the loop by itself: not supported, but
 * harmless) it keeps its place. */
static void tell(uvt_stream_t *s) {
    struct uvt__io *io = s->h.shard->io;
    s->told = true;
    if (UNLIKELY(s->listed)) return;
    s->listed = true;
    s->next_told = NULL;
    *(io->first_told ? &io->last_told->next_told : &io->first_told) = s;
    io->last_told = s;
    s->h.shard->io_told = wake_told;
}

static void disarm(uvt_stream_t *s) {
    uv_read_stop(&s->h.uv.stream);
    s->reading = false;
}

/* As a rule UV_ENOBUFS, our own doing: there is something to read, be it an end or an error. */
static void on_read(uv_stream_t *uv, ssize_t n, const uv_buf_t *buf) {
    uvt_stream_t *s = uv->data;
    (void)buf;
    if (n > 0) {
        s->stash_at = 0;
        s->stash_len = (size_t)n;
    }
    if (n == 0) return;
    if (n < 0 && n != UV_ENOBUFS) { /* the end, or an error, came while reading into the stash */
        disarm(s);
        if (n != UV_EOF) s->read_end = (int)n; /* libuv says that of a reset behind bytes, too: recv knows better */
    }
    if (s->in_read && (!s->reader || s->told)) { /* told before; its task has not run yet */
        if (s->stash_len > 0) disarm(s); /* more than went there: the poll would not stop telling */
        return;
    }
    s->readable = n < 0 || (size_t)n == s->stash_cap;
    if (s->reader) {
        if (n < 0) s->h.shard->io->left_unread++;
        tell(s);
    } else {
        if (s->starved) disarm(s);
        s->starved = true;
    }
}

static int read_abort(uvt_park_t *p) {
    uvt_stream_t *s = (uvt_stream_t *)p->object;
    uvt__io_unwait(&s->reader, s->h.shard);
    return UVT_ABORT_DONE;
}

static ssize_t receive(uvt_stream_t *s, void *buf, size_t size, int flags) {
    ssize_t n;
    do n = recv(s->fd, buf, size, flags);
    while (n < 0 && errno == EINTR);
    return n < 0 ? uv_translate_sys_error(errno) : n == 0 ? UV_EOF : n;
}

static inline int hook(uvt_stream_t *s, uvt_park_t *p) {
    if (UNLIKELY(!s->reading)) {
        int rc = UVT_UV(uv_read_start(&s->h.uv.stream, on_alloc, on_read));
        if (rc < 0) return rc;
        s->reading = true;
    }
    uvt__io_wait(&s->reader, p, s->h.shard);
    s->told = s->starved = false;
    return 0;
}

static int wait_readable(uvt_stream_t *s) {
    uvt_park_t p = { .what = "read", .object = s, .abort = read_abort };
    int rc = hook(s, &p);
    if (LIKELY(rc == 0)) rc = uvt__io_park(&s->h, &p);
    if (UNLIKELY(rc == 0 && s->h.state != IO_OPEN)) rc = UV_EBADF;
    return rc;
}

/* The kernel said so instead of bytes; false when it may have some all the same. */
static bool end_reading(uvt_stream_t *s, int rc) {
    if (rc == UV_ENOBUFS || rc == UV_ENOMEM) return false;
    disarm(s);
    s->read_end = rc;
    return true;
}

/* Waits for bytes from the kernel; 0 when it put them into the stash, which was empty. */
static ssize_t read_kernel(uvt_stream_t *s, void *buf, size_t size) {
    size_t had = s->stash_len;
    if (size > INT_MAX) size = INT_MAX;
    while (LIKELY(s->read_end == 0)) {
        if (!s->readable) {
            int rc = wait_readable(s);
            if (UNLIKELY(rc < 0)) return rc;
            if (s->stash_len > had) return 0;
            if (s->read_end != 0) break;
        }
        ssize_t n = UVT_UV(receive(s, buf, size, 0));
        /* What does not fill the buffer was all there was: the poll will tell of more. */
        if (n < (ssize_t)size) s->readable = false;
        if (LIKELY(n > 0)) return n;
        if (n == UV_EAGAIN) continue;
        if (!end_reading(s, (int)n)) return n;
    }
    return s->read_end;
}

static int begin_read(uvt_stream_t *s, const void *buf, size_t size) {
    int rc = uvt__io_check(s ? &s->h : NULL);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__shard *here = s->h.shard;
    if (UNLIKELY(!here->current)) return UVT_ENOTASK;
    if (UNLIKELY(!buf || size == 0)) return UV_EINVAL;
    if (UNLIKELY(s->in_read)) return UV_EBUSY;
    if (UNLIKELY(!uvt__goes_on(here))) {
        rc = uvt__io_checkpoint(&s->h);
        if (rc < 0) return rc;
        if (s->in_read) return UV_EBUSY;
    }
    s->in_read = true;
    return 0;
}

static size_t take_stash(uvt_stream_t *s, void *buf, size_t size) {
    size_t n = s->stash_len < size ? s->stash_len : size;
    memcpy(buf, s->stash + s->stash_at, n);
    s->stash_at += n;
    s->stash_len -= n;
    if (s->stash_len == 0) s->stash_at = 0;
    return n;
}

/* Adds at least one byte to the stash, which may then hold up to `most`. */
static ssize_t fill_stash(uvt_stream_t *s, size_t most) {
    if (s->stash_at > 0) {
        memmove(s->stash, s->stash + s->stash_at, s->stash_len);
        s->stash_at = 0;
    }
    if (s->stash_len == s->stash_cap || (s->stash_len == 0 && s->stash_cap < STASH && s->stash_cap < most)) {
        size_t cap = s->stash_cap < STASH ? STASH : s->stash_cap * 2;
        if (cap > most && most > s->stash_len) cap = most;
        char *more = uvt__alloc(cap);
        if (!more) return UV_ENOMEM;
        if (s->stash_len) memcpy(more, s->stash, s->stash_len);
        uvt__free(s->stash);
        s->stash = more;
        s->stash_cap = cap;
    }
    ssize_t n = read_kernel(s, s->stash + s->stash_len, s->stash_cap - s->stash_len);
    if (s->h.state != IO_OPEN) return UV_EBADF; /* and the stash is gone, bytes or not */
    if (n > 0) s->stash_len += (size_t)n;
    return n == 0 ? (ssize_t)s->stash_len : n;
}

static inline ssize_t read_some(uvt_stream_t *s, void *buf, size_t size) {
    ssize_t n = s->stash_len > 0 ? 0 : read_kernel(s, buf, size);
    return n == 0 ? (ssize_t)take_stash(s, buf, size) : n;
}

ssize_t uvt_read(uvt_stream_t *s, void *buf, size_t size) {
    ssize_t n = begin_read(s, buf, size);
    if (UNLIKELY(n < 0)) return n;
    n = read_some(s, buf, size);
    s->in_read = false;
    return n;
}

int uvt_read_exact(uvt_stream_t *s, void *buf, size_t size, size_t *got) {
    if (got) *got = 0;
    ssize_t n = begin_read(s, buf, size);
    if (n < 0) return (int)n;
    size_t have = 0;
    do {
        if (have > 0 && (n = uvt__io_go_on(&s->h)) < 0) break;
        n = read_some(s, (char *)buf + have, size - have);
        if (n > 0) have += (size_t)n;
    } while (n > 0 && have < size);
    s->in_read = false;
    if (got) *got = have;
    return n < 0 ? (int)n : 0;
}

ssize_t uvt_peek(uvt_stream_t *s, void *buf, size_t size) {
    ssize_t n = begin_read(s, buf, size);
    if (n < 0) return n;
    if (s->stash_len == 0) n = fill_stash(s, size);
    if (n >= 0) {
        n = (ssize_t)(s->stash_len < size ? s->stash_len : size);
        memcpy(buf, s->stash + s->stash_at, (size_t)n);
    }
    s->in_read = false;
    return n;
}

ssize_t uvt_read_until(uvt_stream_t *s, void *buf, size_t size, const void *delim, size_t len) {
    if (!delim || len == 0 || len > 256) return UV_EINVAL;
    ssize_t n = begin_read(s, buf, size);
    if (n < 0) return n;
    for (size_t seen = 0;;) {
        size_t have = s->stash_len < size ? s->stash_len : size;
        char *hit = have >= len ? memmem(s->stash + s->stash_at + seen, have - seen, delim, len) : NULL;
        if (hit) {
            n = (ssize_t)take_stash(s, buf, (size_t)(hit - (s->stash + s->stash_at)) + len);
            break;
        }
        if (have == size) {
            n = UV_EMSGSIZE;
            break;
        }
        seen = have >= len ? have - (len - 1) : 0;
        n = fill_stash(s, size);
        if (n < 0) break;
    }
    s->in_read = false;
    return n;
}

/* ---- to be readable, as a case of a select ---- */

static int may_read(const uvt_stream_t *s) {
    int rc = uvt__io_check(s ? &s->h : NULL);
    if (rc < 0) return rc;
    return s->in_read ? UV_EBUSY : 0;
}

static int case_attempt(uvt_case_t *c) {
    uvt_stream_t *s = c->object;
    int rc = may_read(s);
    char byte;
    if (rc < 0 || s->stash_len > 0 || s->read_end != 0) return rc;
    /* While nothing is armed nobody would tell, and a uvt_try_select in a loop would never see what is there. */
    if (!s->readable && s->reading) return UV_EAGAIN;
    ssize_t n = receive(s, &byte, 1, MSG_PEEK);
    s->readable = n != UV_EAGAIN;
    if (n < 0 && s->readable) end_reading(s, (int)n); /* the kernel says an error once only */
    return s->readable ? 0 : UV_EAGAIN;
}

static int case_hook(uvt__part *p) {
    uvt_stream_t *s = p->c->object;
    int rc = may_read(s);
    if (rc == 0) rc = hook(s, &p->wait.park);
    if (rc < 0) return rc;
    s->in_read = true;
    uvt__io_enter(&s->h);
    return 0;
}

static int case_finish(uvt__part *p, int rc) {
    uvt_stream_t *s = p->c->object;
    return rc == 0 && s->h.state != IO_OPEN ? UV_EBADF : rc;
}

static void case_unhook(uvt__part *p) {
    uvt_stream_t *s = p->c->object;
    if (s->reader == &p->wait.park) uvt__io_unwait(&s->reader, s->h.shard);
    s->in_read = false;
    uvt__io_leave(&s->h);
}

static const uvt__kind readable_kind = { true, case_attempt, case_hook, case_finish, case_unhook };

uvt_case_t uvt_case_readable(uvt_stream_t *s) {
    return (uvt_case_t){ .kind = &readable_kind, .object = s };
}

/* ---- shutdown, close ---- */

static void on_shutdown(uv_shutdown_t *req, int status) {
    uvt_stream_t *s = req->data;
    uvt_park_t *p = s->shutter;
    s->shutting = false;
    s->shutter = NULL;
    if (p) uvt_unpark(p, status);
}

static int shutdown_abort(uvt_park_t *p) {
    ((uvt_stream_t *)p->object)->shutter = NULL; /* it goes on by itself */
    return UVT_ABORT_DONE;
}

int uvt_shutdown(uvt_stream_t *s) {
    int rc = uvt__io_check(s ? &s->h : NULL);
    if (rc < 0) return rc;
    if (s->in_write || s->shutting) return UV_EBUSY;
    if (!s->h.shard->current) return UVT_ENOTASK;
    rc = uvt__io_go_on(&s->h);
    if (rc < 0) return rc;
    if (s->in_write || s->shutting) return UV_EBUSY;
    if (s->torn) return UVT_ETORN;
    s->sreq.data = s;
    rc = UVT_UV(uv_shutdown(&s->sreq, &s->h.uv.stream, on_shutdown));
    if (rc < 0) return rc;
    s->shutting = true;
    uvt_park_t p = { .what = "shutdown", .object = s, .abort = shutdown_abort };
    s->shutter = &p;
    return uvt_park(&p);
}

int uvt__stream_opened(uvt_stream_t *s) {
    return uv_fileno(&s->h.uv.handle, &s->fd);
}

/* libuv calls neither read nor connection callbacks when it closes. */
void uvt__stream_closing(uvt_stream_t *s) {
    wake_reader(s, UV_EBADF);
    wake(&s->shutter, UV_EBADF);
    if (!s->h.connecting) wake(&s->writer, UV_EBADF);
}

void uvt__stream_closed(uvt_stream_t *s) {
    uvt__free(s->stash);
    uvt__free(s->wcopy);
    s->stash = s->wcopy = NULL;
    s->stash_len = s->stash_cap = 0;
}

int uvt_close(uvt_stream_t *s) {
    if (!s) return 0;
    int rc = uvt__io_check(&s->h);
    if (rc < 0) return rc;
    return s->h.shard->current ? uvt__io_close_wait(&s->h) : UVT_ENOTASK;
}

int uvt_close_soon(uvt_stream_t *s) {
    int rc = uvt__io_check(s ? &s->h : NULL);
    if (rc == 0) uvt__io_close(&s->h);
    return rc;
}

int uvt_stream_own(uvt_stream_t *s) {
    int rc = uvt__io_check(s ? &s->h : NULL);
    if (rc < 0) return rc;
    if (!s->h.shard->current) return UVT_ENOTASK;
    uvt__io_own(&s->h, s->h.shard->current);
    return 0;
}

uv_stream_t *uvt_stream_handle(uvt_stream_t *s) {
    return uvt__io_check(s ? &s->h : NULL) == 0 ? &s->h.uv.stream : NULL;
}

void uvt_stream_set_data(uvt_stream_t *s, void *data) {
    if (s) s->data = data;
}

void *uvt_stream_data(const uvt_stream_t *s) {
    return s ? s->data : NULL;
}
