/* SPDX-License-Identifier: MIT
 *
 * Listening and accepting. The listening socket is polled (uv_poll) and accepted from by hand: uv_listen
 * takes connections ahead of us, and when descriptors run out it accepts and closes them, telling nobody.
 * Here a connection stays in the kernel's backlog until a task takes it, and running out is an error code.
 *
 * The poll stays armed between accepts; it is stopped only when connections come twice running with nobody
 * accepting, as a level-triggered poll would spin.
 */
#include "io/io.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 511

static int accept_fd(int fd) {
    int c;
#ifdef SOCK_CLOEXEC
    do c = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (c < 0 && errno == EINTR);
#else
    do c = accept(fd, NULL, NULL);
    while (c < 0 && errno == EINTR);
    if (c >= 0) (void)fcntl(c, F_SETFD, FD_CLOEXEC);
#endif
    return c < 0 ? uv_translate_sys_error(errno) : c;
}

/* There was a connection at most. accept(2) on Linux hands on what has befallen it on the network meanwhile. */
static bool withdrawn(int rc) {
    switch (rc) {
    case UV_EAGAIN:
    case UV_ECONNABORTED:
    case UV_EPROTO:
    case UV_ENETDOWN:
    case UV_ENETUNREACH:
    case UV_EHOSTDOWN:
    case UV_EHOSTUNREACH:
    case UV_ENONET: return true;
    default: return false;
    }
}

/* Takes one connection off the backlog into a stream: UV_EAGAIN when there is none. A connection for which
 * there is no memory is held for the next accept, and as no poll will tell of it, that is never UV_EAGAIN. */
static int take(uvt_listener_t *l, uvt_stream_t **out, const char *site) {
    uvt__ioh *h;
    if (l->held < 0) l->held = UVT_UV(accept_fd(l->fd));
    if (l->held < 0) return l->held;
    int rc = uvt__io_new(l->h.shard, IO_STREAM, -1, l->h.shard->current, site, &h);
    if (rc == 0 && (rc = UVT_UV(uv_tcp_open(&h->uv.tcp, l->held))) < 0) uvt__io_close(h);
    if (rc < 0) return withdrawn(rc) ? UV_ENOBUFS : rc;
    l->held = -1;
    (void)uv_tcp_nodelay(&h->uv.tcp, 1);
    *out = (uvt_stream_t *)h;
    return uvt__stream_opened(*out);
}

static void unhook(uvt_listener_t *l) {
    uvt__io_unwait(&l->accepter, l->h.shard);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    uvt_listener_t *l = poll->data;
    uvt_park_t *p = l->accepter;
    (void)events;
    if (status < 0 || (!p && l->starved)) {
        uv_poll_stop(poll);
        l->polling = false;
    }
    if (!p) {
        l->starved = true;
        return;
    }
    unhook(l);
    uvt_unpark(p, status);
}

static int accept_abort(uvt_park_t *p) {
    unhook((uvt_listener_t *)p->object);
    return UVT_ABORT_DONE;
}

void uvt__listener_closing(uvt_listener_t *l) {
    uvt_park_t *p = l->accepter;
    if (p) {
        unhook(l);
        uvt_unpark(p, UV_EBADF);
    }
    if (l->held >= 0) close(l->held);
}

void uvt__listener_given_up(uvt_listener_t *l) {
    if (l->held >= 0) close(l->held);
    close(l->fd);
}

static int hook(uvt_listener_t *l, uvt_park_t *p) {
    if (!l->polling) {
        int rc = UVT_UV(uv_poll_start(&l->h.uv.poll, UV_READABLE, on_poll));
        if (rc < 0) return rc;
        l->polling = true;
    }
    uvt__io_wait(&l->accepter, p, l->h.shard);
    l->starved = false;
    return 0;
}

/* Waits until a connection is there (or was: somebody may have withdrawn it). */
static int wait_readable(uvt_listener_t *l) {
    uvt_park_t p = { .what = "accept", .object = l, .abort = accept_abort };
    int rc = hook(l, &p);
    return rc < 0 ? rc : uvt__io_park(&l->h, &p);
}

static int may_accept(const uvt_listener_t *l, uvt_stream_t **out) {
    int rc = uvt__io_check(l ? &l->h : NULL);
    if (rc < 0) return rc;
    if (!l->h.shard->current) return UVT_ENOTASK;
    if (!out) return UV_EINVAL;
    return l->accepter ? UV_EBUSY : 0;
}

int uvt_accept_at(uvt_listener_t *l, uvt_stream_t **out, const char *site) {
    int rc = may_accept(l, out);
    if (rc < 0) return rc;
    rc = uvt__io_go_on(&l->h);
    while (rc == 0) {
        if (l->h.state != IO_OPEN) return UV_EBADF;
        if (l->accepter) return UV_EBUSY;
        rc = take(l, out, site);
        if (!withdrawn(rc)) return rc;
        rc = wait_readable(l);
    }
    return rc;
}

/* ---- as a case of a select ---- */

static int case_attempt(uvt_case_t *c) {
    int rc = may_accept(c->object, (uvt_stream_t **)c->out);
    if (rc == 0) rc = take(c->object, (uvt_stream_t **)c->out, c->site);
    return withdrawn(rc) ? UV_EAGAIN : rc;
}

static int case_hook(uvt__part *p) {
    int rc = may_accept(p->c->object, (uvt_stream_t **)p->c->out);
    if (rc == 0) rc = hook(p->c->object, &p->wait.park);
    if (rc == 0) uvt__io_enter(&((uvt_listener_t *)p->c->object)->h);
    return rc;
}

static void case_unhook(uvt__part *p) {
    uvt_listener_t *l = p->c->object;
    if (l->accepter == &p->wait.park) unhook(l);
    uvt__io_leave(&l->h);
}

static const uvt__kind accept_kind = { false, case_attempt, case_hook, uvt__finish_again, case_unhook };

uvt_case_t uvt_case_accept_at(uvt_listener_t *l, uvt_stream_t **s, const char *site) {
    return (uvt_case_t){ .kind = &accept_kind, .object = l, .out = (void *)s, .site = site };
}

/* ---- listening ---- */

/* A listening socket on addr; the descriptor, or a code. */
static int listen_fd(const struct sockaddr *addr, int backlog) {
    socklen_t size = addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int on = 1, fd = socket(addr->sa_family, SOCK_STREAM, 0);
    if (fd < 0) return uv_translate_sys_error(errno);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 && bind(fd, addr, size) == 0 &&
        listen(fd, backlog) == 0)
        return fd;
    int rc = uv_translate_sys_error(errno);
    close(fd);
    return rc;
}

int uvt_tcp_listen_at(uvt_listener_t **out, const char *host, unsigned port, int backlog, const char *site) {
    struct sockaddr_storage addr;
    uvt__shard *s = uvt__here();
    uvt__ioh *h;
    if (!s || !s->current) return UVT_ENOTASK;
    if (!out || backlog < 0 || uvt__parse_addr(host, port, &addr) < 0) return UV_EINVAL;
    int fd = UVT_UV(listen_fd((struct sockaddr *)&addr, backlog ? backlog : BACKLOG));
    if (fd < 0) return fd;
    int rc = uvt__io_new(s, IO_LISTENER, fd, s->current, site, &h);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *out = (uvt_listener_t *)h;
    (*out)->fd = fd;
    (*out)->held = -1;
    return 0;
}

int uvt_listener_close(uvt_listener_t *l) {
    if (!l) return 0;
    int rc = uvt__io_check(&l->h);
    if (rc < 0) return rc;
    return l->h.shard->current ? uvt__io_close_wait(&l->h) : UVT_ENOTASK;
}

int uvt_listener_port(uvt_listener_t *l) {
    struct sockaddr_storage addr;
    socklen_t size = sizeof addr;
    int rc = uvt__io_check(l ? &l->h : NULL);
    if (rc < 0) return rc;
    if (getsockname(l->fd, (struct sockaddr *)&addr, &size) != 0) return uv_translate_sys_error(errno);
    return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                            : ((struct sockaddr_in *)&addr)->sin_port);
}
