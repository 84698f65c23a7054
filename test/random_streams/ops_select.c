/* SPDX-License-Identifier: MIT
 *
 * Select: of a stream that is to be readable, sometimes of two, of an accept and a sleep.
 */
#include "streams.h"

enum { STREAMS = 2, ACCEPT = STREAMS, SLEEP, CASES };

struct choice {
    struct worker *w;
    const struct op *op;
    struct call call[STREAMS];
    bool stream[STREAMS], twice, accepts, sleeps, accept_busy; /* twice: both are the same */
    unsigned listener;
    uvt_stream_t *accepted;
    uvt_case_t cases[CASES];
};

static void arm_stream(struct choice *ch, int i, struct end *e) {
    struct call *c = &ch->call[i];
    if (!e) return;
    ch->stream[i] = true;
    call_begin_on(c, ch->w, e);
    bool at_once = c->sure;
    c->sure = false; /* it may be another case that it waits for */
    c->busy = e->readers > 0;
    call_reads(c, 1);
    if (!at_once) c->others = 0; /* they may go while it yields, and what it has found is looked at again then */
    ch->cases[i] = uvt_case_readable(e->s);
}

static void arm_accept(struct choice *ch) {
    ch->listener = ch->op->b % LISTENERS;
    ch->accepts = ch->op->b & 8 && room();
    if (!ch->accepts) return;
    ch->cases[ACCEPT] = uvt_case_accept(run.listener[ch->listener].it, &ch->accepted);
    ch->accept_busy = run.listener[ch->listener].acceptors++ > 0;
}

static void arm(struct choice *ch) {
    const struct op *op = ch->op;
    struct end *first = end_pick(ch->w, op->a), *second = op->b & 4 ? end_pick(ch->w, op->a + 7u) : NULL;
    arm_stream(ch, 1, second);
    arm_stream(ch, 0, first); /* the last that begins is where the worker is known to be */
    ch->twice = first && first == second;
    arm_accept(ch);
    ch->sleeps = op->b & 16;
    if (ch->sleeps) ch->cases[SLEEP] = uvt_case_sleep(op->size % 16);
}

/* It may be readable for bytes that another took since. */
static void check_readable(const struct call *c) {
    const struct end *e = c->e, *peer = e->in->from;
    if (c->others) broken("stream %d is readable, while another reads", index_of(e));
    if (e->in->got != c->got || e->in->got < e->in->handed + e->in->active) return;
    bool ended = peer_gone(e) || (peer && peer->shut_perhaps) || (e->shut_perhaps && e->write_failed);
    if (!ended && !e->spoilt && !e->conn->blind) broken("stream %d is readable for nothing", index_of(e));
}

static void done_stream(struct choice *ch, int i, bool taken) {
    struct call *c = &ch->call[i];
    int rc = ch->cases[i].result;
    if (!taken) {
        ch->w->end = NULL;
        return;
    }
    if (call_failed(c, rc, c->busy || ch->twice || c->e->readers > 0)) return;
    if (rc != 0) broken("readable said %s", uvt_err_name(rc));
    check_readable(c);
}

static void done_accept(struct choice *ch, bool taken) {
    int rc = ch->cases[ACCEPT].result;
    bool busy = ch->accept_busy || run.listener[ch->listener].acceptors > 1;
    run.listener[ch->listener].acceptors--;
    if (!taken) return;
    check_accept(ch->w, ch->listener, rc, busy);
    if (rc == 0) accepted(ch->w, ch->listener, ch->accepted);
}

static void check_code(const struct choice *ch, int rc) {
    bool any = ch->stream[0] || ch->stream[1] || ch->accepts || ch->sleeps;
    if (rc >= 0 || rc == UV_ECANCELED || injected(rc)) return;
    if (rc == UV_EAGAIN && ch->op->kind == KIND_try_select) return;
    if (rc == UV_EOF && !any) return; /* there is no case */
    broken("worker %u: select said %s", ch->w->index, uvt_err_name(rc));
}

int do_select(struct worker *w, const struct op *op) {
    struct choice ch = { .w = w, .op = op };
    unsigned flags = op->b & 32 ? UVT_SELECT_BIASED : 0;
    model_lock();
    arm(&ch);
    model_unlock();
    int rc = op->kind == KIND_select ? uvt_select(ch.cases, CASES, flags) : uvt_try_select(ch.cases, CASES, flags);
    model_lock();
    for (int i = 0; i < STREAMS; i++)
        if (ch.stream[i]) call_reads(&ch.call[i], -1);
    for (int i = 0; i < STREAMS; i++)
        if (ch.stream[i]) done_stream(&ch, i, rc == i);
    if (ch.accepts) done_accept(&ch, rc == ACCEPT);
    check_code(&ch, rc);
    model_unlock();
    return rc < 0 ? rc : 0;
}

int do_try_select(struct worker *w, const struct op *op) {
    return do_select(w, op);
}
