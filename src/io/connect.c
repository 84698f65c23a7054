/* SPDX-License-Identifier: MIT
 *
 * Connecting, and what is TCP's own. A connect to one address waits on its stream; to give it up the stream
 * is closed, and the task goes on when libuv has let go of it. A connect to a name with several addresses
 * is a task set in which each attempt is a member (RFC 8305): the first that succeeds gives its stream to
 * the caller, closing the set cancels the others, which close theirs.
 */
#include "io/io.h"
#include <errno.h>
#include <sys/socket.h>

#define NEXT_ATTEMPT_MS 250 /* RFC 8305, section 5: "Connection Attempt Delay" */
#define MAX_ADDRS 16

/* ---- one address ---- */

static void on_connect(uv_connect_t *req, int status) {
    uvt_stream_t *s = req->data;
    uvt_park_t *p = s->writer;
    if (s->h.state != IO_OPEN) return; /* given up: the close callback wakes */
    s->writer = NULL;
    if (p) uvt_unpark(p, status);
}

static int connect_abort(uvt_park_t *p) {
    uvt_stream_t *s = (uvt_stream_t *)p->object;
    s->writer = NULL;
    s->h.closer = p; /* the wake-up is the end of the closing, with the code below */
    uvt__io_close(&s->h);
    return UVT_ABORT_LATER;
}

static int connect_one(uvt__shard *s, const struct sockaddr *addr, const char *site, uvt_stream_t **out) {
    uvt__ioh *h;
    int rc = uvt__io_new(s, IO_STREAM, -1, s->current, site, &h);
    if (rc < 0) return rc;
    uvt_stream_t *st = (uvt_stream_t *)h;
    uvt_park_t p = { .what = "connect", .object = st, .abort = connect_abort };
    st->req.connect.data = st;
    h->connecting = true;
    rc = UVT_UV(uv_tcp_connect(&st->req.connect, &h->uv.tcp, addr, on_connect));
    if (rc == 0) {
        st->writer = &p;
        rc = uvt__io_park(h, &p);
        if (h->state != IO_OPEN || h->closer == &p) return UV_ECANCELED; /* closed already */
    }
    h->connecting = false;
    if (rc < 0) {
        uvt__io_close_wait(h);
        return rc;
    }
    (void)uv_tcp_nodelay(&h->uv.tcp, 1);
    *out = st;
    return uvt__stream_opened(st);
}

int uvt_tcp_connect_addr_at(uvt_stream_t **out, const struct sockaddr *addr, const char *site) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if (!out || !addr) return UV_EINVAL;
    int rc = uvt__enter(s);
    return rc < 0 ? rc : connect_one(s, addr, site, out);
}

/* ---- several ---- */

struct race {
    uvt__task *caller;
    const char *site;
    uvt_stream_t *winner;
};

struct attempt {
    struct race *race;
    const struct sockaddr *addr;
};

static int attempt(void *arg) {
    struct attempt *a = arg;
    uvt_stream_t *st;
    int rc = connect_one(uvt__here(), a->addr, a->race->site, &st);
    if (rc < 0) return rc;
    if (a->race->winner) return uvt__io_close_wait(&st->h);
    a->race->winner = st;
    uvt__io_own(&st->h, a->race->caller);
    return 0;
}

/* Families alternate, in the resolver's order within each. */
static unsigned alternate(const struct addrinfo *list, const struct sockaddr **out) {
    const struct addrinfo *turn[2] = { list, list };
    int family[2] = { list->ai_family, list->ai_family == AF_INET6 ? AF_INET : AF_INET6 };
    unsigned n = 0;
    for (int k = 0; n < MAX_ADDRS && (turn[0] || turn[1]); k ^= 1) {
        while (turn[k] && turn[k]->ai_family != family[k]) turn[k] = turn[k]->ai_next;
        if (!turn[k]) continue;
        out[n++] = turn[k]->ai_addr;
        turn[k] = turn[k]->ai_next;
    }
    return n;
}

struct ending {
    uvt_set_t set;
    uvt_result r;
};

static int next_end(void *arg) {
    struct ending *e = arg;
    return uvt_set_next(&e->set, &e->r);
}

static int connect_any(uvt__shard *s, const struct addrinfo *list, const char *site, uvt_stream_t **out) {
    const struct sockaddr *addrs[MAX_ADDRS];
    struct attempt attempts[MAX_ADDRS];
    struct race race = { .caller = s->current, .site = site };
    struct ending e;
    unsigned n = alternate(list, addrs), begun = 0;
    if (n == 0) return UV_EAI_NODATA;
    if (n == 1) return connect_one(s, addrs[0], site, out);
    int failure = UV_ECONNREFUSED, rc = uvt_set_open(&e.set, NULL);
    if (rc < 0) return rc;
    while (rc == 0 && !race.winner) {
        if (begun < n) {
            attempts[begun] = (struct attempt){ &race, addrs[begun] };
            rc = uvt_set_spawn(&e.set, attempt, &attempts[begun]);
            if (rc < 0) break;
            begun++;
        }
        rc = begun < n ? uvt_timeout(NEXT_ATTEMPT_MS, next_end, &e) : next_end(&e);
        if (rc == 0 && e.r.status < 0) failure = e.r.status;
        if (rc == UV_ETIMEDOUT) rc = 0;
    }
    uvt_set_close(&e.set); /* the failures of attempts were read, or do not matter any more */
    if (race.winner) {
        *out = race.winner;
        return 0;
    }
    return rc == UV_EOF ? failure : rc;
}

int uvt_tcp_connect_at(uvt_stream_t **out, const char *host, unsigned port, const char *site) {
    struct sockaddr_storage addr;
    struct addrinfo *list;
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if (!out || !host || port == 0 || port > 65535) return UV_EINVAL;
    int rc = uvt__enter(s);
    if (rc < 0) return rc;
    if (uvt__parse_addr(host, port, &addr) == 0) return connect_one(s, (struct sockaddr *)&addr, site, out);
    rc = uvt__resolve(host, port, &list);
    if (rc < 0) return rc;
    rc = connect_any(s, list, site, out);
    uv_freeaddrinfo(list);
    return rc;
}

/* ---- TCP's own ---- */

int uvt_tcp_adopt_at(uvt_stream_t **out, int fd, const char *site) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer, len = sizeof(int);
    int type;
    uvt__shard *s = uvt__here();
    uvt__ioh *h;
    if (!s || !s->current) return UVT_ENOTASK;
    if (!out) return UV_EINVAL;
    if (fd < 0) return UV_EBADF;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0) return errno == EBADF ? UV_EBADF : UV_EINVAL;
    if (type != SOCK_STREAM) return UV_EINVAL;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0) return UV_EINVAL;
    if (peer.ss_family != AF_INET && peer.ss_family != AF_INET6) return UV_EINVAL;
    int rc = uvt__io_new(s, IO_STREAM, -1, s->current, site, &h);
    if (rc < 0) return rc;
    rc = UVT_UV(uv_tcp_open(&h->uv.tcp, fd));
    if (rc < 0) {
        uvt__io_close(h);
        return rc;
    }
    *out = (uvt_stream_t *)h;
    return uvt__stream_opened(*out);
}

int uvt_tcp_sockname(uvt_stream_t *s, struct sockaddr_storage *addr) {
    int size = sizeof *addr, rc = uvt__io_check(s ? &s->h : NULL);
    return rc < 0 ? rc : uv_tcp_getsockname(&s->h.uv.tcp, (struct sockaddr *)addr, &size);
}

int uvt_tcp_peername(uvt_stream_t *s, struct sockaddr_storage *addr) {
    int size = sizeof *addr, rc = uvt__io_check(s ? &s->h : NULL);
    return rc < 0 ? rc : uv_tcp_getpeername(&s->h.uv.tcp, (struct sockaddr *)addr, &size);
}

int uvt_tcp_nodelay(uvt_stream_t *s, bool on) {
    int rc = uvt__io_check(s ? &s->h : NULL);
    return rc < 0 ? rc : uv_tcp_nodelay(&s->h.uv.tcp, on);
}

int uvt_tcp_keepalive(uvt_stream_t *s, bool on, unsigned delay_s) {
    int rc = uvt__io_check(s ? &s->h : NULL);
    return rc < 0 ? rc : uv_tcp_keepalive(&s->h.uv.tcp, on, delay_s);
}

int uvt_tcp_reset(uvt_stream_t *s) {
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    int rc = s ? uvt__io_check(&s->h) : 0;
    if (!s || rc < 0) return rc;
    (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    return uvt_close(s);
}
