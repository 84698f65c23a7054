/* SPDX-License-Identifier: MIT
 *
 * Channels. Every element is one of its own, so that it can be told what became of it: one that was sent is received
 * once or dropped once, one that was not sent never shows up. What was sent before another send began is not received
 * after that one's element was (first in, first out, whoever sends and receives).
 *
 * Permits count as full slots: what is queued and what is reserved is never more than the capacity, at any moment.
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

/* Slots that one who waits to send is in line for; 0: it does not. */
static unsigned wants(const struct slot *s) {
    return s->kind == &kind_send ? 1 : s->kind == &kind_reserve ? s->n : 0;
}

static unsigned most_wanted(const struct thing *t) {
    unsigned most = 0;
    for (const struct slot *o = next_waiting(t, NULL, NULL); o; o = next_waiting(t, NULL, o))
        if (wants(o) > most) most = wants(o);
    return most;
}

/* All of one moment, on whatever shard: what is reserved for sure, and nobody waits for what is there. */
static void check_room(const struct slot *s) {
    uvt_chan_stats_t stats;
    if (uvt_chan_stats(handle(s), &stats) < 0) return; /* closed */
    if (stats.reserved > stats.capacity || stats.len > stats.capacity - stats.reserved)
        broken("chan%u: %u elements and %u permits", s->thing->index, (unsigned)stats.len, (unsigned)stats.reserved);
    HOLDS(stats.reserved >= s->thing->chan.reserved);
    size_t room = stats.capacity - stats.reserved - stats.len;
    bool for_all = stats.capacity > 0 && room >= most_wanted(s->thing);
    if ((stats.waiting_senders && for_all) || (stats.waiting_receivers && stats.len))
        broken("chan%u: %u elements, %u permits, and %u senders and %u receivers wait", s->thing->index,
               (unsigned)stats.len, (unsigned)stats.reserved, (unsigned)stats.waiting_senders,
               (unsigned)stats.waiting_receivers);
}

/* Others wait to send: who does not wait does not barge in. (Without capacity it may meet one that also receives.) */
static bool others_send(const struct slot *s) {
    uvt_chan_stats_t stats;
    return exact() && s->thing->n > 0 && uvt_chan_stats(handle(s), &stats) == 0 && stats.waiting_senders > 0;
}

static int chan_open(struct thing *t) {
    used = 0;
    t->n %= ANY_CAPACITY;
    uvt_chan_options o = { .drop = dropped };
    int rc = uvt_chan_open(&t->chan.it, sizeof(struct element), capacity(t), &o);
    for (unsigned i = 0; rc == 0 && i < run.p->workers; i++)
        rc = uvt_chan_clone(&run.worker[i].grip[t->index].chan, &t->chan.it, UVT_BOTH);
    uvt_chan_close(&t->chan.it, UVT_BOTH);
    t->senders = t->receivers = run.p->workers;
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

static bool try_send_prepare(struct slot *s) {
    s->fits = !others_send(s);
    return send_prepare(s);
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

static bool nobody_receives(const struct slot *s) {
    return s->thing->receivers == 0;
}

/* What every send has done. */
static void sent(struct slot *s, int rc) {
    struct value *v = &values[s->place.element.index];
    check_room(s);
    if (rc == 0) {
        v->sent = true;
        v->send_ended = stamp();
        return;
    }
    v->unsent = true;
    if (v->gone) broken("worker %u: element %u was received and its send failed", s->w->index, s->place.element.index);
}

/* Only a channel without bounds needs memory to send. */
static bool no_memory(const struct slot *s, int rc) {
    return s->thing->n == ANY_CAPACITY - 1 && starved(rc);
}

static void send_done(struct slot *s, int rc) {
    sent(s, rc);
    if (rc == 0 || no_memory(s, rc) || rc == UV_ECANCELED || may_be_closed(s, rc, UVT_SEND)) return;
    if (rc != UV_EPIPE || !(s->thing->chan.ended || nobody_receives(s))) wrong(s, rc);
}

static void try_send_done(struct slot *s, int rc) {
    if (rc == UV_EAGAIN && s->thing->n == ANY_CAPACITY - 1) wrong(s, rc);
    if (rc == 0 && (!s->fits || (exact() && (s->thing->chan.ended || nobody_receives(s))))) wrong(s, rc);
    send_done(s, rc == UV_EAGAIN ? UV_ECANCELED : rc);
}

/* Elements in the queue, when nothing moves. */
static unsigned queued(const struct thing *t) {
    unsigned n = 0;
    for (unsigned i = 0; i < used; i++) n += values[i].thing == t && values[i].sent && !values[i].gone;
    return n;
}

static const struct slot *waits_in(const struct slot *s, const struct kind *kind) {
    for (const struct slot *o = next_waiting(s->thing, s->w, NULL); o; o = next_waiting(s->thing, s->w, o))
        if (o->kind == kind) return o;
    return NULL;
}

/* There is room for the oldest in line; on several shards, where that one is not known, for everybody. */
static bool room(const struct thing *t) {
    const struct slot *oldest = NULL;
    for (const struct slot *o = next_waiting(t, NULL, NULL); o; o = next_waiting(t, NULL, o))
        if (wants(o) && (!oldest || o->began < oldest->began)) oldest = o;
    return queued(t) + t->chan.reserved + (exact() ? wants(oldest) : most_wanted(t)) <= capacity(t);
}

static bool send_possible(const struct slot *s) {
    const struct thing *t = s->thing;
    if (t->chan.ended || nobody_receives(s) || (grip(s)->closed & UVT_SEND)) return true;
    return t->n ? room(t) : waits_in(s, &kind_recv) || waits_in(s, &kind_recv_many);
}

/* ---- permits ---- */

static bool reserve_prepare(struct slot *s) {
    s->n %= 4;
    return true;
}

static bool try_reserve_prepare(struct slot *s) {
    s->fits = !others_send(s);
    return reserve_prepare(s);
}

static int reserve_call(struct slot *s) {
    return uvt_chan_reserve(handle(s), s->n);
}

static int try_reserve_call(struct slot *s) {
    return uvt_chan_try_reserve(handle(s), s->n);
}

static void reserve_done(struct slot *s, int rc) {
    struct thing *t = s->thing;
    bool too_many = s->n > capacity(t);
    if (rc == 0) {
        if (too_many) wrong(s, rc);
        t->chan.reserved += s->n;
        grip(s)->held += s->n;
    }
    check_room(s);
    if (rc == 0 || rc == UV_ECANCELED || no_memory(s, rc) || may_be_closed(s, rc, UVT_SEND)) return;
    if (rc == UV_EINVAL && too_many) return;
    if (rc != UV_EPIPE || !(t->chan.ended || nobody_receives(s))) wrong(s, rc);
}

static void try_reserve_done(struct slot *s, int rc) {
    if (rc == UV_EAGAIN && (s->n == 0 || s->thing->n == ANY_CAPACITY - 1)) wrong(s, rc);
    if (rc == 0 && s->n > 0 && !s->fits) wrong(s, rc);
    reserve_done(s, rc == UV_EAGAIN ? UV_ECANCELED : rc);
}

static bool reserve_possible(const struct slot *s) {
    return s->n == 0 || s->n > capacity(s->thing) || send_possible(s);
}

/* Takes n of the worker's permits off, if it has so many: the call is to succeed then. */
static void permits_off(struct slot *s, unsigned n) {
    s->fits = n <= grip(s)->held && !(grip(s)->closed & UVT_SEND);
    if (!s->fits) return;
    grip(s)->held -= n;
    s->thing->chan.reserved -= n;
}

static bool send_reserved_prepare(struct slot *s) {
    if (!send_prepare(s)) return false;
    permits_off(s, 1);
    return true;
}

static int send_reserved_call(struct slot *s) {
    return uvt_chan_send_reserved(handle(s), &s->place.element);
}

static void send_reserved_done(struct slot *s, int rc) {
    if (rc == UV_EPIPE && s->fits && nobody_receives(s)) { /* it keeps its permit */
        grip(s)->held++;
        s->thing->chan.reserved++;
        sent(s, rc);
        return;
    }
    sent(s, rc);
    if (rc == 0 && (!s->fits || (exact() && nobody_receives(s)))) wrong(s, rc);
    if (rc != 0 && !(rc == UV_EINVAL && !s->fits) && !may_be_closed(s, rc, UVT_SEND)) wrong(s, rc);
}

/* One more than there are is refused. */
static bool unreserve_prepare(struct slot *s) {
    s->n = 1 + s->n % (grip(s)->held + 1);
    permits_off(s, s->n);
    return true;
}

static int unreserve_call(struct slot *s) {
    return uvt_chan_unreserve(handle(s), s->n);
}

static void unreserve_done(struct slot *s, int rc) {
    check_room(s);
    if (s->fits ? rc != 0 : rc != UV_EINVAL && !may_be_closed(s, rc, UVT_SEND)) wrong(s, rc);
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

/* Its end has come: permits that are out were waited for. */
static bool nothing_comes(const struct thing *t) {
    return (t->chan.ended && t->chan.reserved == 0) || t->senders == 0;
}

static void recv_many_done(struct slot *s, int rc) {
    const struct thing *t = s->thing;
    check_room(s);
    if (rc == UV_ECANCELED || may_be_closed(s, rc, UVT_RECV)) return;
    if (rc == UV_EOF && nothing_comes(t)) return;
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
    return queued(t) > 0 || nothing_comes(t) || (grip(s)->closed & UVT_RECV) ||
           (t->n == 0 && waits_in(s, &kind_send));
}

/* ---- the end ---- */

/* With a sender's end its permits go back. */
static void permits_back(struct thing *t, struct grip *g) {
    if (!(g->closed & UVT_SEND)) return;
    t->chan.reserved -= g->held;
    g->held = 0;
}

static bool chan_close_prepare(struct slot *s) {
    if (!close_prepare(s)) return false;
    permits_back(s->thing, grip(s));
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
    permits_back(t, &w->grip[t->index]);
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
const struct kind kind_try_send = { "try_send", try_send_prepare, try_send_call, NULL, try_send_done, NULL };
const struct kind kind_reserve = { "reserve", reserve_prepare, reserve_call, NULL, reserve_done, reserve_possible };
const struct kind kind_try_reserve = {
    "try_reserve", try_reserve_prepare, try_reserve_call, NULL, try_reserve_done, NULL
};
const struct kind kind_send_reserved = {
    "send_reserved", send_reserved_prepare, send_reserved_call, NULL, send_reserved_done, NULL
};
const struct kind kind_unreserve = { "unreserve", unreserve_prepare, unreserve_call, NULL, unreserve_done, NULL };
const struct kind kind_recv = { "recv", recv_prepare, recv_call, recv_case, recv_done, recv_possible };
const struct kind kind_try_recv = { "try_recv", recv_prepare, try_recv_call, NULL, try_recv_done, NULL };
const struct kind kind_recv_many = {
    "recv_many", recv_many_prepare, recv_many_call, NULL, recv_many_done, recv_possible
};
const struct kind kind_chan_close = { "chan_close", chan_close_prepare, chan_close_call, NULL, must_succeed, NULL };
const struct kind kind_chan_end = { "chan_end", chan_end_prepare, chan_end_call, NULL, must_succeed, NULL };
