/* SPDX-License-Identifier: MIT
 *
 * What is known of streams whatever the order, and the checks that follow from it.
 */
#include "streams.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <uvtask/test.h>

struct run run;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void model_lock(void) {
    pthread_mutex_lock(&lock);
}

void model_unlock(void) {
    pthread_mutex_unlock(&lock);
}

void (*broken_hook)(void) = abort;

int index_of(const struct end *e) {
    return (int)(e - run.end);
}

static void end_print(const struct end *e) {
    fprintf(stderr, ", in: %llu of %llu and %llu%s%s%s%s", (unsigned long long)e->in->got,
            (unsigned long long)e->in->handed, (unsigned long long)e->in->active, e->closing ? ", closing" : "",
            e->closed ? ", closed" : "", e->torn ? ", torn" : "", e->shut_perhaps ? ", shut" : "");
    fprintf(stderr, ", port %u of listener %u, peer %d%s", e->conn->port, e->conn->listener,
            e->in->from ? index_of(e->in->from) : -1, e->in->from && e->in->from->closed ? " closed" : "");
}

UVT_NORETURN void broken_at(const char *file, int line, const char *format, ...) {
    va_list args;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    for (unsigned i = 0; i < run.p->workers; i++) {
        const struct worker *w = &run.worker[i];
        if (!w->op) continue;
        fprintf(stderr, "  worker %u is at %d: ", i, (int)(w->op - w->plan->op));
        op_print(stderr, w->op);
        if (w->end) fprintf(stderr, " (stream %d)", index_of(w->end));
        if (w->end) end_print(w->end);
        fprintf(stderr, "\n");
    }
    program_print(stderr, run.p);
    fflush(stderr);
    broken_hook();
    abort();
}

/* ---- bytes ---- */

enum { PERIOD = 65521 };

static char table[2 * PERIOD]; /* so that every period of it lies in one piece; no byte is 0, as an untouched one is */

void pattern_make(void) {
    if (table[0]) return;
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < PERIOD; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        table[i] = table[i + PERIOD] = (char)(x >> 32 | 1);
    }
}

/* The way's bytes from there on, of which a period is there. */
static const char *bytes_at(const struct way *way, uint64_t at) {
    return table + (at + way->key) % PERIOD;
}

void pattern(char *buf, size_t size, const struct way *way, uint64_t at) {
    for (size_t done = 0, n; done < size; done += n) {
        n = size - done < PERIOD ? size - done : PERIOD;
        memcpy(buf + done, bytes_at(way, at + done), n);
    }
}

void check_bytes(const struct end *e, const char *buf, size_t n, uint64_t at) {
    if (e->conn->blind) return;
    if (at + n > e->in->handed + e->in->active)
        broken("stream %d has read %zu at %llu, but %llu + %llu were written", index_of(e), n, (unsigned long long)at,
               (unsigned long long)e->in->handed, (unsigned long long)e->in->active);
    for (size_t i = 0; i < n; i++)
        if (buf[i] != *bytes_at(e->in, at + i))
            broken("stream %d has read another's byte, or at another place: %zu of %zu at %llu", index_of(e), i, n,
                   (unsigned long long)at);
}

/* ---- causes ---- */

bool injected(int rc) {
    if (rc == UV_ENOMEM && run.p->fail_alloc && uvt_test_fail_hit()) return true;
    return run.p->fail_uv && rc == run.p->fail_code && uvt_test_fail_hit();
}

bool perhaps_cancelled(const struct worker *w) {
    const struct op *op = w->op;
    if (!op) return w->cancelling;
    if (op->wrap != WRAP_SHIELD && w->cancelling) return true;
    if (op->wrap == WRAP_TOKEN) return run.token_cancelled;
    return op->wrap != WRAP_NONE && uvt_now() >= w->since + op->ms;
}

/* ---- ends ---- */

bool room(void) {
    return run.ends < FULL && run.conns < FULL;
}

/* Whether the new side belongs to this connection, which another with the same port may have come after. A port that is
 * in use is nobody else's; after a reset it is free at once, and a connection that was reset before it was accepted
 * leaves a client behind that the next one's server must not be taken for the peer of. The same holds for a server
 * whose client gave up unseen. */
static bool surely_of(const struct conn *c, int side) {
    struct sockaddr_storage a;
    const struct end *other = c->way[!side].from;
    if (c->way[side].from || c->blind) return false;
    if (side == 1) return !other->resets;
    return !other->closing && uvt_tcp_peername(other->s, &a) == 0;
}

static struct conn *conn_known(unsigned listener, unsigned port) {
    for (unsigned i = run.conns; port && i-- > 0;)
        if (run.conn[i].port == port && run.conn[i].listener == listener) return &run.conn[i];
    return NULL;
}

struct conn *conn_of(unsigned listener, unsigned port, int side) {
    struct conn *before = conn_known(listener, port);
    if (before && surely_of(before, side)) return before;
    struct conn *c = &run.conn[run.conns++];
    *c = (struct conn){ .port = port, .listener = listener, .blind = port == 0 || before };
    if (before && !before->way[side].from) before->blind = true;
    c->way[0].key = run.conns * 1009u;
    c->way[1].key = run.conns * 1009u + 503;
    return c;
}

void end_add(struct worker *w, uvt_stream_t *s, struct conn *c, int side) {
    struct end *e = &run.end[run.ends++];
    *e = (struct end){ .s = s, .conn = c, .shard = w->shard, .owner = w };
    e->out = &c->way[side];
    e->in = &c->way[!side];
    e->out->from = e->in->to = e;
    HOLDS(uvt_stream_data(s) == NULL);
    uvt_stream_set_data(s, e);
}

static bool usable(const struct end *e) {
    return !e->closing || run.closes[e->shard] - e->closed_at < KEPT;
}

struct end *end_pick(const struct worker *w, unsigned n) {
    bool any = n % 16 == 15; /* a closed one, or another shard's */
    struct end *fit[ENDS];
    unsigned fits = 0;
    for (unsigned i = 0; i < run.ends; i++) {
        struct end *e = &run.end[i];
        if (!usable(e) || (!any && (e->closed || e->shard != w->shard))) continue;
        fit[fits++] = e;
    }
    return fits ? fit[n / 2 % fits] : NULL;
}

void end_closes(struct end *e) {
    if (e->closing) return;
    e->closing = true;
    e->closed_at = run.closes[e->shard]++;
}

/* The other side of the stream is closed, or was never there, or may be so. */
bool peer_gone(const struct end *e) {
    const struct end *peer = e->in->from;
    const struct conn *c = e->conn;
    if (c->blind) return true;
    if (peer) return peer->closing;
    return e == c->way[1].from /* the client gave up */
           || (c->listener < LISTENERS && run.listener[c->listener].closing);
}

/* The kernel tells of a reset once: if a write has heard, even one that was left to libuv, no read will. */
static bool told_by_write(const struct end *e) {
    return e->write_failed || e->soft || e->out->active;
}

void check_end(const struct end *e, int rc, bool all) {
    const struct end *peer = e->in->from;
    if (e->spoilt || e->conn->blind) return;
    if (!peer_gone(e) && !(peer && peer->shut_perhaps))
        broken("stream %d is at its end, %s, out of nothing", index_of(e), uvt_err_name(rc));
    if (rc != UV_EOF || !peer || peer->spoilt || told_by_write(e)) return;
    if (peer->resets && peer->closed && !peer->shut_perhaps)
        broken("stream %d was reset, and says it has ended well", index_of(e));
    if (all && e->in->got < e->in->handed && !peer->soft && !e->in->active)
        broken("stream %d has ended well after %llu bytes of %llu", index_of(e), (unsigned long long)e->in->got,
               (unsigned long long)e->in->handed);
}

/* ---- calls ---- */

void call_begin_on(struct call *c, struct worker *w, struct end *e) {
    *c = (struct call){ .w = w, .e = e, .was_closed = e->closed, .got = e->in->got };
    c->sure = w->spent < 100 && !perhaps_cancelled(w) && !e->closing && e->shard == w->shard && run.p->shards == 1;
    w->end = e;
    w->spent += 20;
}

bool call_begin(struct call *c, struct worker *w, const struct op *op) {
    struct end *e = end_pick(w, op->a);
    if (e) call_begin_on(c, w, e);
    return e != NULL;
}

void call_reads(struct call *c, int by) {
    if (by > 0) c->others = c->e->sure_readers;
    c->e->readers += (unsigned)by;
    if (c->sure) c->e->sure_readers += (unsigned)by;
}

void call_writes(struct call *c, int by) {
    if (by > 0) c->others = c->e->sure_writers;
    c->e->writers += (unsigned)by;
    if (c->sure) c->e->sure_writers += (unsigned)by;
}

bool call_failed(struct call *c, int rc, bool busy) {
    struct end *e = c->e;
    const char *name = uvt_err_name(rc);
    c->w->end = NULL;
    if (rc == UV_ECANCELED) return true; /* looked at by op_perform */
    if (e->shard != c->w->shard) {
        if (rc != UVT_ESHARD) broken("stream %d of another shard: %d %s", index_of(e), rc, name);
        return true;
    }
    if (c->was_closed && rc != UV_EBADF) broken("stream %d was closed: %d %s", index_of(e), rc, name);
    if (rc >= 0) return false;
    if (rc == UV_EBADF) {
        if (!e->closing) broken("stream %d is open, and not: EBADF", index_of(e));
        e->closed = true;
    } else if (rc == UV_EBUSY) {
        if (!busy) broken("stream %d is busy with nothing", index_of(e));
    } else if (injected(rc) || (e->spoilt && rc == run.p->fail_code)) {
        e->spoilt = true;
    } else {
        return false;
    }
    return true;
}
