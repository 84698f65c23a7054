/* SPDX-License-Identifier: MIT
 *
 * How workers come by streams: connect, accept, and both ends of a plain connection.
 */
#include "streams.h"

#include "../io/loopback.h"

enum { BY_ADDRESS, BY_ADOPTION, BY_NAME, BY_NUMBER, HOWS }; /* ways to connect */

static unsigned port_in(const struct sockaddr_storage *a) {
    return ntohs(((const struct sockaddr_in *)a)->sin_port);
}

/* Or writers would hardly ever have to wait. */
static void narrow(uvt_stream_t *s) {
    int fd, small = 4096;
    if (!run.p->narrow || uv_fileno((uv_handle_t *)uvt_stream_handle(s), &fd) < 0) return;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

/* ---- connect ---- */

static int connect_plain(uvt_stream_t **s, unsigned port) {
    struct sockaddr_in addr = lo_addr(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0 ? uvt_tcp_adopt(s, fd) : -errno;
    if (rc < 0) close(fd);
    return rc == UV_EINVAL ? UV_ECONNRESET : rc; /* reset by its peer already, it is no connected socket any more */
}

static int connect_how(uvt_stream_t **s, unsigned port, unsigned how) {
    struct sockaddr_in addr = lo_addr(port);
    switch (how) {
    case BY_ADDRESS:
        return uvt_tcp_connect_addr(s, (struct sockaddr *)&addr);
    case BY_ADOPTION:
        return connect_plain(s, port);
    case BY_NAME: /* this may be ::1, too, where nobody is */
        return uvt_tcp_connect(s, "localhost", port);
    default:
        return uvt_tcp_connect(s, "127.0.0.1", port);
    }
}

static void check_connect(const struct worker *w, unsigned l, unsigned how, int rc) {
    if (rc >= 0 || rc == UV_ECANCELED || rc == UV_ECONNRESET || rc == UV_EPIPE || injected(rc)) return;
    if (run.listener[l].closing || (how == BY_NAME && rc == UV_ECONNREFUSED)) return;
    broken("worker %u: connect said %s", w->index, uvt_err_name(rc));
}

int do_connect(struct worker *w, const struct op *op) {
    unsigned l = op->a % LISTENERS, how = op->b % HOWS, port = 0;
    uvt_stream_t *s = NULL;
    struct sockaddr_storage a;
    model_lock();
    bool may = w->in_connect = room() && !run.listener[l].closing; /* its port may be another program's then */
    model_unlock();
    if (!may) return 0;
    int rc = connect_how(&s, run.listener[l].port, how);
    if (rc == 0) narrow(s);
    if (rc == 0 && uvt_tcp_sockname(s, &a) == 0) port = port_in(&a);
    model_lock();
    w->in_connect = false;
    check_connect(w, l, how, rc);
    if (rc == 0) end_add(w, s, conn_of(l, port, 0), 0);
    model_unlock();
    return rc;
}

/* ---- accept ---- */

void accepted(struct worker *w, unsigned l, uvt_stream_t *s) {
    struct sockaddr_storage a;
    unsigned port = uvt_tcp_peername(s, &a) == 0 ? port_in(&a) : 0; /* 0: reset already */
    narrow(s);
    end_add(w, s, conn_of(l, port, 1), 1);
}

void check_accept(const struct worker *w, unsigned l, int rc, bool busy) {
    if (rc >= 0 || rc == UV_ECANCELED || injected(rc)) return;
    /* Which would mean that nobody is there (any more). */
    if (rc == UV_ENOBUFS && (injected(UV_EAGAIN) || injected(UV_EHOSTUNREACH))) return;
    if (w->shard != 0 && rc == UVT_ESHARD) return;
    if (rc == UV_EBUSY && busy) return;
    if (rc == UV_EBADF && run.listener[l].closing) return;
    broken("worker %u: accept said %s", w->index, uvt_err_name(rc));
}

int do_accept(struct worker *w, const struct op *op) {
    unsigned l = op->a % LISTENERS;
    uvt_stream_t *s = NULL;
    model_lock();
    bool may = room(), closed = run.listener[l].closed;
    w->listener = l;
    run.listener[l].acceptors += may;
    model_unlock();
    if (!may) return 0;
    int rc = uvt_accept(run.listener[l].it, &s);
    model_lock();
    check_accept(w, l, rc, run.listener[l].acceptors > 1);
    if (closed && rc >= 0) broken("worker %u accepts from a closed listener", w->index);
    run.listener[l].acceptors--;
    if (rc == 0) accepted(w, l, s);
    model_unlock();
    return rc;
}

/* ---- both ends ---- */

/* Not another program's connection, which looks for a port where nobody is. */
static int accept_from(int listener, unsigned port) {
    for (;;) {
        struct sockaddr_storage a;
        socklen_t len = sizeof a;
        int fd = accept4(listener, (struct sockaddr *)&a, &len, SOCK_CLOEXEC);
        HOLDS(fd >= 0);
        if (port_in(&a) == port) return fd;
        close(fd);
    }
}

static unsigned plain_pair(int fd[2]) {
    int listener = lo_raw_listen(8);
    fd[0] = lo_raw_connect(lo_port_of(listener));
    unsigned port = lo_port_of(fd[0]);
    fd[1] = accept_from(listener, port);
    close(listener);
    return port;
}

int do_pair(struct worker *w, const struct op *op) {
    uvt_stream_t *s[2] = { NULL, NULL };
    int fd[2], rc[2];
    (void)op;
    model_lock();
    bool may = room();
    model_unlock();
    if (!may) return 0;
    unsigned port = plain_pair(fd);
    for (int i = 0; i < 2; i++) {
        rc[i] = uvt_tcp_adopt(&s[i], fd[i]);
        if (rc[i] < 0) close(fd[i]);
    }
    model_lock();
    struct conn *c = conn_of(ADOPTED, port, 0);
    c->blind |= rc[0] < 0 || rc[1] < 0;
    for (int i = 0; i < 2; i++) {
        if (rc[i] < 0 && !injected(rc[i])) broken("worker %u: adopt said %s", w->index, uvt_err_name(rc[i]));
        if (rc[i] == 0) narrow(s[i]);
        if (rc[i] == 0) end_add(w, s[i], c, i);
    }
    model_unlock();
    return 0;
}
