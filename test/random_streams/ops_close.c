/* SPDX-License-Identifier: MIT
 *
 * Closing, owning, and many that come and go.
 */
#include "streams.h"

#include <unistd.h>

#include "../io/loopback.h"

/* ---- one stream ---- */

static int close_how(uvt_stream_t *s, const struct op *op) {
    if (op->kind == KIND_reset) return uvt_tcp_reset(s);
    return op->kind == KIND_close ? uvt_close(s) : uvt_close_soon(s);
}

static void check_close(struct call *c, int rc, bool before) {
    struct end *e = c->e;
    if (rc == UV_ECANCELED) broken("a close was cancelled");
    if (!call_failed(c, rc, false) && rc < 0) broken("close said %s", uvt_err_name(rc));
    if (rc == UV_EBADF && !before) broken("stream %d: the first close says EBADF", index_of(e));
    if (rc == 0) e->closed = true;
    if (rc == 0 && before) run.expected_left--; /* sooner than the end of its owner, who was ending */
}

int do_close(struct worker *w, const struct op *op) {
    struct call c;
    bool before = false;
    model_lock();
    bool some = w->in_close = call_begin(&c, w, op);
    if (some && c.e->shard == w->shard) {
        before = c.e->closing;
        if (!before && op->kind == KIND_reset) c.e->resets = true;
        end_closes(c.e);
    }
    model_unlock();
    if (!some) return 0;
    int rc = close_how(c.e->s, op);
    model_lock();
    w->in_close = false;
    check_close(&c, rc, before);
    model_unlock();
    return rc;
}

int do_close_soon(struct worker *w, const struct op *op) {
    return do_close(w, op);
}

int do_reset(struct worker *w, const struct op *op) {
    return do_close(w, op);
}

int do_own(struct worker *w, const struct op *op) {
    struct call c;
    model_lock();
    if (call_begin(&c, w, op)) {
        int rc = uvt_stream_own(c.e->s);
        if (!call_failed(&c, rc, false) && rc < 0) broken("own said %s", uvt_err_name(rc));
        if (rc == 0) c.e->owner = w;
        if (rc == 0 && uvt_stream_data(c.e->s) != c.e) broken("stream %d has become another", index_of(c.e));
    }
    model_unlock();
    return 0;
}

/* ---- many ---- */

enum { MOST = 80 };

/* Streams that are nobody's in the model, whose peers reset them; how many. */
static unsigned many_open(uvt_stream_t **s, unsigned wanted) {
    int rc = 0, peers[MOST], listener = lo_raw_listen(MOST);
    unsigned n = 0;
    while (rc == 0 && n < wanted) {
        int fd = lo_raw_connect(lo_port_of(listener));
        peers[n] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        rc = uvt_tcp_adopt(&s[n], fd);
        if (rc < 0) close(fd);
        if (rc < 0) close(peers[n]);
        n += rc == 0;
    }
    if (rc < 0 && !injected(rc)) broken("adopt said %s", uvt_err_name(rc));
    for (unsigned i = 0; i < n; i++) lo_raw_reset(peers[i]);
    close(listener);
    return n;
}

/* Behind so many others, it is kept the longest. */
static void one_more_closes(const struct worker *w, struct end *e) {
    if (!e || e->closing || e->shard != w->shard) return;
    end_closes(e);
    e->closed = true;
    HOLDS(uvt_close_soon(e->s) == 0);
}

/* More than there are records kept unused, so that some are used again. */
int do_many_closes(struct worker *w, const struct op *op) {
    uvt_stream_t *s[MOST];
    unsigned n = many_open(s, 40 + op->b % (MOST - 40));
    model_lock();
    run.closes[w->shard] += n;
    for (unsigned i = 0; i < n; i++) HOLDS(uvt_close_soon(s[i]) == 0);
    if (op->a % 2) one_more_closes(w, end_pick(w, op->a));
    model_unlock();
    return 0;
}

int do_listener_close(struct worker *w, const struct op *op) {
    unsigned l = op->a % LISTENERS;
    if (w->shard != 0 || op->b % 3) return 0;
    model_lock();
    bool before = run.listener[l].closing;
    run.listener[l].closing = true;
    w->in_close = !before;
    model_unlock();
    if (before) return 0;
    int rc = uvt_listener_close(run.listener[l].it);
    model_lock();
    w->in_close = false;
    if (rc != 0) broken("listener_close said %s", uvt_err_name(rc));
    run.listener[l].closed = true;
    model_unlock();
    return 0;
}
