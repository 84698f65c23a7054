/* SPDX-License-Identifier: MIT
 *
 * Channels. Every element is one of its own, so that it can be told what became of it: one that was sent is received
 * once or dropped once, one that was not sent never shows up. What was sent before another send began is not received
 * after that one's element was (first in, first out, whoever sends and receives).
 *
 * Each worker has a handle with both ends, and it is that worker's to close, so the last of them ends the channel.
 */
#include "run.h"

enum { VALUES = 256, ANY_CAPACITY = 5 };

static struct value {
    struct thing *thing;
    bool sent, unsent, gone;     /* the send succeeded, failed; it was received or dropped */
    uint64_t send_began, send_ended, recv_began, recv_ended; /* recv_*: 0 when it was dropped */
} values[VALUES];
static unsigned used;

static void dropped(void *elem) {
    const struct element *e = elem;
    model_lock();
    HOLDS(e->index < used && e->check == ~e->index);
    if (values[e->index].gone) broken("element %u was dropped after it was gone", e->index);
    values[e->index].gone = true;
    model_unlock();
}

static uvt_chan_t *handle(const struct slot *s) {
    return &grip(s)->chan;
}

static size_t capacity(const struct thing *t) {
    return t->n == ANY_CAPACITY - 1 ? UVT_UNBOUNDED : t->n;
}

static int chan_open(struct thing *t) {
    used = 0;
    t->n %= ANY_CAPACITY;
    uvt_chan_options o = { .drop = dropped };
    int rc = uvt_chan_open(&t->chan.it, sizeof(struct element), capacity(t), &o);
    for (unsigned i = 0; rc == 0 && i < run.p->workers; i++)
        rc = uvt_chan_clone(&run.worker[i].grip[t->index].chan, &t->chan.it, UVT_BOTH);
    uvt_chan_close(&t->chan.it, UVT_BOTH);
    t->chan.senders = t->chan.receivers = run.p->workers;
    return rc;
}

/* ---- sending ---- */

static bool send_prepare(struct slot *s) {
    if (used == VALUES) return false;
    s->place.element = (struct element){ used, ~used };
    values[used] = (struct value){ .thing = s->thing, .send_began = stamp() };
    used++;
    return true;
}

static int send_call(struct slot *s) {
    return uvt_send(handle(s), &s->place.element);
}

static uvt_case_t send_case(struct slot *s) {
    return uvt_case_send(handle(s), &s->place.element);
}

static int try_send_call(struct slot *s) {
    return uvt_try_send(handle(s), &s->place.element);
}

static bool may_be_closed(const struct slot *s, int rc, unsigned end) {
    return rc == UVT_ECLOSED && (s->w->grip[s->thing->index].closed & end);
}

static void send_done(struct slot *s, int rc) {
    struct value *v = &values[s->place.element.index];
    bool no_one = s->thing->chan.ended || s->thing->chan.receivers == 0;
    if (rc == 0) {
        v->sent = true;
        v->send_ended = stamp();
        return;
    }
    v->unsent = true;
    if (v->gone) broken("worker %u: element %u was received and its send failed", s->w->index, s->place.element.index);
    if (rc == UV_ECANCELED || may_be_closed(s, rc, UVT_SEND) || (rc == UV_EPIPE && no_one)) return;
    wrong(s, rc);
}

static void try_send_done(struct slot *s, int rc) {
    if (rc == UV_EAGAIN && s->thing->n == ANY_CAPACITY - 1) wrong(s, rc);
    send_done(s, rc == UV_EAGAIN ? UV_ECANCELED : rc);
}

/* Elements in the queue, when nothing moves. */
static unsigned queued(const struct thing *t) {
    unsigned n = 0;
    for (unsigned i = 0; i < used; i++) n += values[i].thing == t && values[i].sent && !values[i].gone;
    return n;
}

static bool other_in(const struct slot *s, const struct kind *a, const struct kind *b) {
    for (const struct slot *o = next_waiting(s->thing, s->w, NULL); o; o = next_waiting(s->thing, s->w, o))
        if (o->kind == a || o->kind == b) return true;
    return false;
}

static bool send_possible(const struct slot *s) {
    const struct thing *t = s->thing;
    return t->chan.ended || t->chan.receivers == 0 || queued(t) < capacity(t) ||
           (grip(s)->closed & UVT_SEND) ||
           other_in(s, &kind_recv, &kind_recv_many);
}

/* ---- receiving ---- */

static int recv_call(struct slot *s) {
    return uvt_recv(handle(s), &s->place.elements[0]);
}

static uvt_case_t recv_case(struct slot *s) {
    return uvt_case_recv(handle(s), &s->place.elements[0]);
}

static int try_recv_call(struct slot *s) {
    return uvt_try_recv(handle(s), &s->place.elements[0]);
}

static bool recv_prepare(struct slot *s) {
    s->n = 1;
    return true;
}

static bool recv_many_prepare(struct slot *s) {
    s->n = 1 + s->n % MANY;
    return true;
}

static int recv_many_call(struct slot *s) {
    return (int)uvt_recv_many(handle(s), s->place.elements, s->n);
}

static void took(const struct slot *s, const struct element *e) {
    HOLDS(e->index < used && e->check == ~e->index);
    struct value *v = &values[e->index];
    HOLDS(v->thing == s->thing);
    if (v->gone || v->unsent) broken("worker %u received element %u, which was %s", s->w->index, e->index,
                                     v->gone ? "gone" : "not sent");
    v->gone = true;
    v->recv_began = s->began;
    v->recv_ended = stamp();
}

static void recv_many_done(struct slot *s, int rc) {
    const struct thing *t = s->thing;
    if (rc == UV_ECANCELED || may_be_closed(s, rc, UVT_RECV)) return;
    if (rc == UV_EOF && (t->chan.ended || t->chan.senders == 0)) return;
    if (rc < 1 || rc > (int)s->n) wrong(s, rc);
    for (int i = 0; i < rc; i++) took(s, &s->place.elements[i]);
}

static void recv_done(struct slot *s, int rc) {
    if (rc > 0) wrong(s, rc);
    recv_many_done(s, rc == 0 ? 1 : rc);
}

static void try_recv_done(struct slot *s, int rc) {
    if (rc != UV_EAGAIN) recv_done(s, rc);
    else if (exact() && queued(s->thing) && !next_waiting(s->thing, s->w, NULL)) wrong(s, rc);
}

static bool recv_possible(const struct slot *s) {
    const struct thing *t = s->thing;
    return queued(t) > 0 || t->chan.ended || t->chan.senders == 0 || (grip(s)->closed & UVT_RECV) ||
           other_in(s, &kind_send, &kind_send);
}

/* ---- the end ---- */

static void ends_closed(struct thing *t, struct grip *g, unsigned ends) {
    if (ends & ~g->closed & UVT_SEND) t->chan.senders--;
    if (ends & ~g->closed & UVT_RECV) t->chan.receivers--;
    g->closed |= ends;
}

static bool chan_close_prepare(struct slot *s) {
    if (s->n % 4 == 0) return false;
    s->n %= 4;
    ends_closed(s->thing, grip(s), s->n);
    return true;
}

static int chan_close_call(struct slot *s) {
    uvt_chan_close(handle(s), s->n);
    return 0;
}

static bool chan_end_prepare(struct slot *s) {
    if (s->n % 4 || grip(s)->closed == UVT_BOTH) return false;
    s->thing->chan.ended = true;
    return true;
}

static int chan_end_call(struct slot *s) {
    return uvt_chan_end(handle(s));
}

static void chan_leave(struct worker *w, struct thing *t) {
    model_lock();
    ends_closed(t, &w->grip[t->index], UVT_BOTH);
    model_unlock();
    uvt_chan_close(&w->grip[t->index].chan, UVT_BOTH);
}

static void check_order(const struct value *a, const struct value *b) {
    if (a->thing != b->thing || !a->sent || !b->recv_ended || a->send_ended > b->send_began) return;
    if (a->recv_ended ? b->recv_ended < a->recv_began : true)
        broken("element %d overtook element %d", (int)(b - values), (int)(a - values));
}

static void chan_close(struct thing *t) {
    for (unsigned i = 0; i < run.p->workers; i++) uvt_chan_close(&run.worker[i].grip[t->index].chan, UVT_BOTH);
    for (unsigned i = 0; i < used; i++) {
        if (values[i].thing != t) continue;
        if (values[i].sent != values[i].gone)
            broken("element %u was %s and is %s", i, values[i].sent ? "sent" : "not sent",
                   values[i].gone ? "gone" : "lost");
        for (unsigned k = 0; k < used; k++) check_order(&values[i], &values[k]);
    }
}

const struct type type_chan = { "chan", chan_open, chan_leave, chan_close };
const struct kind kind_send = { "send", send_prepare, send_call, send_case, send_done, send_possible };
const struct kind kind_try_send = { "try_send", send_prepare, try_send_call, NULL, try_send_done, NULL };
const struct kind kind_recv = { "recv", recv_prepare, recv_call, recv_case, recv_done, recv_possible };
const struct kind kind_try_recv = { "try_recv", recv_prepare, try_recv_call, NULL, try_recv_done, NULL };
const struct kind kind_recv_many = {
    "recv_many", recv_many_prepare, recv_many_call, NULL, recv_many_done, recv_possible
};
const struct kind kind_chan_close = { "chan_close", chan_close_prepare, chan_close_call, NULL, must_succeed, NULL };
const struct kind kind_chan_end = { "chan_end", chan_end_prepare, chan_end_call, NULL, must_succeed, NULL };
