/* SPDX-License-Identifier: MIT
 *
 * Writing, in all its ways, and the end of it.
 */
#include "streams.h"

#include <stdlib.h>
#include <string.h>

/* ---- what came of it ---- */

static void check_write_code(struct call *c, int rc) {
    struct end *e = c->e;
    if (rc == UVT_ETORN) {
        if (!e->torn) broken("stream %d is torn by nothing", index_of(e));
        return;
    }
    if (rc != UV_EPIPE && rc != UV_ECONNRESET && rc != UV_ENOTCONN)
        broken("stream %d: a write said %s", index_of(e), uvt_err_name(rc));
    if (!e->spoilt && !peer_gone(e) && !(rc == UV_EPIPE && e->shut_perhaps))
        broken("stream %d: a write said %s, for nothing", index_of(e), uvt_err_name(rc));
    e->write_failed = true;
}

static void check_written(const struct end *e, int rc, size_t size, size_t written) {
    if (written > size || (rc == 0 && written != size))
        broken("stream %d: %zu of %zu were written, and that is %s", index_of(e), written, size, uvt_err_name(rc));
    if (written == 0) return;
    if (e->torn) broken("stream %d is torn and was written to", index_of(e));
    if (e->shut) broken("stream %d is shut down and was written to", index_of(e));
}

static void check_write(struct call *c, int rc, size_t size, size_t written) {
    struct end *e = c->e;
    e->out->handed += written;
    check_written(e, rc, size, written);
    if (!call_failed(c, rc, e->shutters > 0) && rc < 0) check_write_code(c, rc);
    if (written > 0) e->soft = rc < 0 || perhaps_cancelled(c->w);
    if (written > 0 && rc < 0) e->torn = true;
}

/* It may take less than all, and nothing. */
static void check_try_write(struct call *c, int rc, size_t size, size_t written) {
    if (rc == UV_EAGAIN) {
        c->w->end = NULL;
        return;
    }
    if (rc == 0 && written == 0) broken("worker %u: try_write has written nothing", c->w->index);
    check_write(c, rc, rc == 0 && written < size ? written : size, written);
}

/* ---- write, writev, try_write ---- */

static int write_several(struct end *e, const struct op *op, char *buf, size_t size, size_t *written) {
    uv_buf_t bufs[24];
    unsigned n = 1 + op->b / 4 % 24;
    for (size_t i = 0, at = 0; i < n; i++) {
        bool empty = (i * 7 + op->b) % 3 == 0;
        size_t k = i + 1 == n ? size - at : empty ? 0 : (size - at) / (n - i);
        bufs[i] = uv_buf_init(buf + at, (unsigned)k);
        at += k;
    }
    return uvt_writev(e->s, bufs, n, written);
}

static int write_how(struct end *e, const struct op *op, char *buf, size_t size, size_t *written) {
    if (op->kind == KIND_write) return uvt_write(e->s, buf, size, written);
    if (op->kind == KIND_writev) return write_several(e, op, buf, size, written);
    ssize_t n = uvt_try_write(e->s, buf, size);
    *written = n > 0 ? (size_t)n : 0;
    return n < 0 ? (int)n : 0;
}

/* Of two writers nobody could say where the second's bytes come. */
static bool begin_write(struct call *c, struct worker *w, const struct op *op, size_t size) {
    struct end *e = end_pick(w, op->a);
    if (!e || e->writers > 0) return false;
    call_begin_on(c, w, e);
    call_writes(c, 1);
    e->out->active = size;
    return true;
}

int do_write(struct worker *w, const struct op *op) {
    struct call c;
    size_t size = op->b % 4 == 3 ? (size_t)op->size * 12 : op->size, written = 12345;
    if (size == 0) size = 1;
    model_lock();
    bool some = begin_write(&c, w, op, size);
    model_unlock();
    if (!some) return 0;
    char *buf = malloc(size);
    pattern(buf, size, c.e->out, c.e->out->handed);
    int rc = write_how(c.e, op, buf, size, &written);
    memset(buf, 0, size); /* the library must not look at it any more */
    free(buf);
    model_lock();
    call_writes(&c, -1);
    c.e->out->active = 0;
    if (op->kind == KIND_try_write) check_try_write(&c, rc, size, written);
    else check_write(&c, rc, size, written);
    model_unlock();
    return rc;
}

int do_writev(struct worker *w, const struct op *op) {
    return do_write(w, op);
}

int do_try_write(struct worker *w, const struct op *op) {
    return do_write(w, op);
}

/* Writes nothing: says only whether one may. */
int do_probe(struct worker *w, const struct op *op) {
    struct call c;
    size_t written = 1;
    uv_buf_t none[2] = { { 0 } };
    model_lock();
    bool some = call_begin(&c, w, op);
    if (some) call_writes(&c, 1);
    model_unlock();
    if (!some) return 0;
    int rc = op->b % 2 ? uvt_write(c.e->s, NULL, 0, &written) : uvt_writev(c.e->s, none, 2, &written);
    model_lock();
    call_writes(&c, -1);
    if (!call_failed(&c, rc, c.e->writers > 0) && rc < 0) check_write_code(&c, rc);
    if (written != 0) broken("worker %u: nothing has %zu bytes", w->index, written);
    if (rc == 0 && c.others) broken("stream %d is written to by two", index_of(c.e));
    model_unlock();
    return rc;
}

int do_mend(struct worker *w, const struct op *op) {
    struct call c;
    model_lock();
    if (call_begin(&c, w, op)) {
        int rc = uvt_stream_mend(c.e->s);
        if (!call_failed(&c, rc, false) && rc < 0) broken("mend said %s", uvt_err_name(rc));
        if (rc == 0) c.e->torn = false;
    }
    model_unlock();
    return 0;
}

/* ---- shutdown ---- */

/* What was known of the stream before. */
struct was {
    bool shut, shut_perhaps, torn;
};

static bool begin_shutdown(struct call *c, struct was *was, struct worker *w, const struct op *op) {
    if (!call_begin(c, w, op)) return false;
    struct end *e = c->e;
    c->others = e->sure_writers;
    *was = (struct was){ .shut = e->shut, .shut_perhaps = e->shut_perhaps, .torn = e->torn };
    e->shut_perhaps = true;
    e->shutters++;
    return true;
}

static void check_shut(const struct call *c, const struct was *was) {
    struct end *e = c->e;
    if (was->shut) broken("stream %d is shut down twice", index_of(e));
    if (was->torn && e->torn) broken("stream %d is torn and was shut down", index_of(e));
    if (c->others) broken("stream %d was shut down in a write", index_of(e));
    e->shut = true;
    e->soft = false; /* it has waited for what libuv had */
}

static void check_shutdown(struct call *c, const struct was *was, int rc) {
    struct end *e = c->e;
    e->shutters--;
    bool failed = call_failed(c, rc, e->writers > 0 || e->shutters > 0 || was->shut_perhaps);
    if (rc == UV_ENOTCONN && !failed) HOLDS(was->shut_perhaps || peer_gone(e) || e->spoilt);
    else if (rc < 0 && !failed) check_write_code(c, rc);
    if (rc == 0) check_shut(c, was);
    bool refused = rc == UV_EBUSY || rc == UVT_ETORN;
    if (refused && e->shutters == 0 && !was->shut_perhaps) e->shut_perhaps = false;
}

int do_shutdown(struct worker *w, const struct op *op) {
    struct call c;
    struct was was;
    model_lock();
    bool some = begin_shutdown(&c, &was, w, op);
    model_unlock();
    if (!some) return 0;
    int rc = uvt_shutdown(c.e->s);
    model_lock();
    check_shutdown(&c, &was, rc);
    model_unlock();
    return rc;
}
