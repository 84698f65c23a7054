/* SPDX-License-Identifier: MIT
 *
 * Listening and accepting. libuv takes one connection from the kernel and holds it, with the poll off, until
 * it is accepted: so a connection that comes while nobody accepts simply waits there for the next accept.
 */
#include "io/io.h"

#define BACKLOG 511

/* Moves the connection that libuv holds into a stream for the accepter. */
static int take(uvt_listener_t *l, uvt__task *owner, uvt_stream_t **out, const char *site) {
    uvt__ioh *h;
    int rc = uvt__io_new(l->h.shard, IO_STREAM, owner, site, &h);
    if (rc < 0) return rc;
    rc = UVT_UV(uv_accept(&l->h.uv.stream, &h->uv.stream));
    if (rc < 0) {
        uvt__io_close(h);
        return rc;
    }
    l->pending = false;
    (void)uv_tcp_nodelay(&h->uv.tcp, 1);
    *out = (uvt_stream_t *)h;
    return 0;
}

static void on_connection(uv_stream_t *uv, int status) {
    uvt_listener_t *l = uv->data;
    uvt_park_t *p = l->accepter;
    if (status == 0) l->pending = true;
    if (!p) {
        if (status < 0) l->failed = status;
        return;
    }
    l->accepter = NULL;
    uvt_unpark(p, status < 0 ? status : take(l, l->owner, l->out, l->site));
}

static int accept_abort(uvt_park_t *p) {
    ((uvt_listener_t *)p->object)->accepter = NULL;
    return UVT_ABORT_DONE;
}

void uvt__listener_closing(uvt_listener_t *l) {
    uvt_park_t *p = l->accepter;
    l->accepter = NULL;
    if (p) uvt_unpark(p, UV_EBADF);
}

int uvt_accept_at(uvt_listener_t *l, uvt_stream_t **out, const char *site) {
    int rc = uvt__io_check(l ? &l->h : NULL);
    if (rc < 0) return rc;
    uvt__shard *s = l->h.shard;
    if (!s->current) return UVT_ENOTASK;
    if (!out) return UV_EINVAL;
    if (l->accepter) return UV_EBUSY;
    rc = uvt__enter(s);
    if (rc < 0) return rc;
    if (l->h.state != IO_OPEN) return UV_EBADF;
    if (l->accepter) return UV_EBUSY;
    if (l->pending) return take(l, s->current, out, site);
    if (l->failed) {
        rc = l->failed;
        l->failed = 0;
        return rc;
    }
    uvt_park_t p = { .what = "accept", .object = l, .abort = accept_abort };
    l->accepter = &p;
    l->out = out;
    l->site = site;
    l->owner = s->current;
    return uvt_park(&p);
}

int uvt_tcp_listen_at(uvt_listener_t **out, const char *host, unsigned port, int backlog, const char *site) {
    struct sockaddr_storage addr;
    uvt__shard *s = uvt__here();
    uvt__ioh *h;
    if (!s || !s->current) return UVT_ENOTASK;
    if (!out || backlog < 0 || uvt__parse_addr(host, port, &addr) < 0) return UV_EINVAL;
    int rc = uvt__io_new(s, IO_LISTENER, s->current, site, &h);
    if (rc < 0) return rc;
    rc = UVT_UV(uv_tcp_bind(&h->uv.tcp, (struct sockaddr *)&addr, 0));
    if (rc == 0) rc = UVT_UV(uv_listen(&h->uv.stream, backlog ? backlog : BACKLOG, on_connection));
    if (rc < 0) {
        uvt__io_close(h);
        return rc;
    }
    *out = (uvt_listener_t *)h;
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
    int size = sizeof addr, rc = uvt__io_check(l ? &l->h : NULL);
    if (rc == 0) rc = uv_tcp_getsockname(&l->h.uv.tcp, (struct sockaddr *)&addr, &size);
    if (rc < 0) return rc;
    return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                            : ((struct sockaddr_in *)&addr)->sin_port);
}
