/* SPDX-License-Identifier: MIT
 *
 * Reading, in all its ways.
 */
#include "streams.h"

#include <stdlib.h>
#include <string.h>

/* What a read gave: its code or a count, and how many bytes it stored. */
struct got {
    ssize_t n;
    size_t size;
};

static void check_bytes_read(struct call *c, const struct op *op, const char *buf, size_t size) {
    struct end *e = c->e;
    if (c->others) broken("stream %d is read by two", index_of(e));
    if (e->eof) broken("stream %d has an end and bytes after it", index_of(e));
    check_bytes(e, buf, size, e->in->got);
    if (op->kind != KIND_peek) e->in->got += size;
}

static void check_read_code(struct call *c, const struct op *op, int rc) {
    struct end *e = c->e;
    bool until = op->kind == KIND_read_until; /* what has come before the end stays, to be read otherwise */
    if (until && rc == UV_EMSGSIZE) return;
    if (rc != UV_EOF && rc != UV_ECONNRESET && rc != UV_EPIPE)
        broken("stream %d: a read said %s", index_of(e), uvt_err_name(rc));
    check_end(e, rc, !until);
    if (rc == UV_EOF && !until) e->eof = true;
}

static void check_read(struct call *c, const struct op *op, struct got got, const char *buf, size_t size) {
    int rc = got.n < 0 ? (int)got.n : 0;
    call_reads(c, -1);
    bool failed = call_failed(c, rc, c->e->readers > 0);
    if (got.size > size) broken("worker %u read %zu of %zu", c->w->index, got.size, size);
    if (got.n == 0 && got.size == 0) broken("worker %u read nothing", c->w->index);
    if (got.size) check_bytes_read(c, op, buf, got.size);
    if (!failed && rc < 0) check_read_code(c, op, rc);
    if (op->kind == KIND_read_exact && rc == 0 && got.size != size)
        broken("worker %u: %zu of %zu are not exact", c->w->index, got.size, size);
    if (op->kind == KIND_read_until && rc == 0 && memchr(buf, 1 + op->b % 255, got.size) != buf + got.size - 1)
        broken("worker %u: read_until has not read until", c->w->index);
}

static struct got read_how(struct end *e, const struct op *op, char *buf, size_t size) {
    struct got got = { 0, 0 };
    char delim = (char)(1 + op->b % 255);
    switch (op->kind) {
    case KIND_read_exact:
        got.n = uvt_read_exact(e->s, buf, size, &got.size);
        return got;
    case KIND_read_until:
        got.n = uvt_read_until(e->s, buf, size, &delim, 1);
        break;
    case KIND_peek:
        got.n = uvt_peek(e->s, buf, size);
        break;
    default:
        got.n = uvt_read(e->s, buf, size);
    }
    got.size = got.n > 0 ? (size_t)got.n : 0;
    return got;
}

int do_read(struct worker *w, const struct op *op) {
    struct call c;
    size_t size = op->kind == KIND_drain ? 65536 : op->size ? op->size : 1;
    model_lock();
    bool some = call_begin(&c, w, op);
    if (some) call_reads(&c, 1);
    model_unlock();
    if (!some) return 0;
    char *buf = malloc(size);
    struct got got = read_how(c.e, op, buf, size);
    model_lock();
    check_read(&c, op, got, buf, size);
    model_unlock();
    free(buf);
    return got.n < 0 ? (int)got.n : 0;
}

int do_read_exact(struct worker *w, const struct op *op) {
    return do_read(w, op);
}

int do_read_until(struct worker *w, const struct op *op) {
    return do_read(w, op);
}

int do_peek(struct worker *w, const struct op *op) {
    return do_read(w, op);
}

/* Reads until there is nothing more, or so much. */
int do_drain(struct worker *w, const struct op *op) {
    int rc = 0;
    for (int i = 0; rc == 0 && i < 64; i++) rc = do_read(w, op);
    return rc;
}
