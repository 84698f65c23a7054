/* SPDX-License-Identifier: MIT
 *
 * Broadcasts. All elements of one are a sequence, the same for all subscribers: each receives every one of it in order,
 * or is told exactly how many it has lost, which it has only when it was more than the capacity behind. On one shard
 * the sequence is the order of the sends; with several, what the first to receive says, and no element is before one
 * whose send had ended when its own began.
 *
 * Each worker has a sender's handle and a subscriber, which are its own to close. Subscribing again is for one shard,
 * where it is known what comes next.
 */
#include "run.h"

enum { NEWS = 256, NONE = -1 };

static struct news {
    const struct thing *thing;
    int at;                      /* its place in the sequence, NONE: not known */
    bool unsent;                 /* the send failed */
    uint64_t send_began, send_ended; /* stamps; ended 0: not yet */
} news[NEWS];
static unsigned used;

static int broadcast_open(struct thing *t) {
    used = 0;
    t->n = 1 + t->n % 3;
    int rc = uvt_broadcast_open(&t->broadcast.it, sizeof(struct element), t->n);
    for (unsigned i = 0; rc == 0 && i < run.p->workers; i++) {
        struct grip *g = &run.worker[i].grip[t->index];
        rc = uvt_broadcast_clone(&g->sender, &t->broadcast.it);
        if (rc == 0) rc = uvt_broadcast_subscribe(&g->subscriber, &t->broadcast.it);
    }
    uvt_broadcast_close(&t->broadcast.it);
    t->senders = t->receivers = run.p->workers;
    return rc;
}

/* ---- sending ---- */

static bool broadcast_send_prepare(struct slot *s) {
    if (used == NEWS) return false;
    s->place.element = (struct element){ used, ~used };
    news[used++] = (struct news){ .thing = s->thing, .at = NONE, .send_began = stamp() };
    s->thing->broadcast.begun++;
    return true;
}

static int broadcast_send_call(struct slot *s) {
    return uvt_broadcast_send(&grip(s)->sender, &s->place.element);
}

static void broadcast_send_done(struct slot *s, int rc) {
    struct thing *t = s->thing;
    struct news *e = &news[s->place.element.index];
    bool own_closed = grip(s)->closed & UVT_SEND;
    if (rc > 0) {
        if (own_closed || rc > (int)run.p->workers || (exact() && rc != (int)t->receivers)) wrong(s, rc);
        if (exact()) e->at = (int)t->broadcast.sent;
        t->broadcast.sent++;
        e->send_ended = stamp();
        return;
    }
    t->broadcast.begun--;
    e->unsent = true;
    if (e->at != NONE) broken("element %u was received and its send failed", s->place.element.index);
    if (rc == UVT_ECLOSED ? !own_closed : rc != UV_EPIPE || t->receivers) wrong(s, rc);
}

/* ---- receiving ---- */

/* A subscriber has one waiter. What had been sent by then is there for it. */
static bool broadcast_recv_prepare(struct slot *s) {
    s->n = s->thing->broadcast.sent;
    return !repeated(s);
}

static int broadcast_recv_call(struct slot *s) {
    return uvt_broadcast_recv(&grip(s)->subscriber, &s->place.element);
}

static uvt_case_t broadcast_recv_case(struct slot *s) {
    return uvt_case_broadcast_recv(&grip(s)->subscriber, &s->place.element);
}

static int broadcast_try_recv_call(struct slot *s) {
    return uvt_broadcast_try_recv(&grip(s)->subscriber, &s->place.element);
}

/* The element is the next one of the sequence. */
static void check_place(const struct slot *s, struct news *e, int at) {
    for (unsigned i = 0; i < used; i++) {
        const struct news *o = &news[i];
        if (o->thing != s->thing || o->at == NONE || o == e) continue;
        if (o->at == at) broken("worker %u received element %d for element %u", s->w->index, (int)(e - news), i);
        const struct news *first = o->at < at ? o : e, *then = o->at < at ? e : o;
        if (then->send_ended && then->send_ended < first->send_began)
            broken("element %d was sent after %d", (int)(first - news), (int)(then - news));
    }
    if (e->at != NONE && e->at != at)
        broken("worker %u received element %d, the %d., as the %d.", s->w->index, (int)(e - news), e->at, at);
    e->at = at;
}

static void received(struct slot *s) {
    struct thing *t = s->thing;
    struct grip *g = grip(s);
    HOLDS(s->place.element.index < used && s->place.element.check == ~s->place.element.index);
    struct news *e = &news[s->place.element.index];
    HOLDS(e->thing == t && !e->unsent);
    if (s->n > g->at + t->n) broken("worker %u was not told of what it has lost", s->w->index);
    check_place(s, e, (int)g->at++);
}

static void lagged(struct slot *s) {
    struct thing *t = s->thing;
    struct grip *g = grip(s);
    uint64_t lost = uvt_subscriber_lost(&g->subscriber), sent = g->at + lost + t->n; /* by then */
    if (lost == 0 || sent < s->n || sent > t->broadcast.begun || (exact() && sent != t->broadcast.sent))
        broken("worker %u has lost %u elements after the %u., of %u", s->w->index, (unsigned)lost, (unsigned)g->at,
               (unsigned)t->broadcast.sent);
    g->at += lost;
}

static void broadcast_recv_done(struct slot *s, int rc) {
    struct thing *t = s->thing;
    bool own_closed = grip(s)->closed & UVT_RECV;
    if (rc == UV_ECANCELED || (rc == UVT_ECLOSED && own_closed)) return;
    if (own_closed) wrong(s, rc);
    if (rc == UVT_ELAGGED) lagged(s);
    else if (rc == 0) received(s);
    else if (rc != UV_EOF || t->senders || grip(s)->at != t->broadcast.sent) wrong(s, rc);
    if (grip(s)->at > t->broadcast.begun) broken("worker %u has had more than was sent", s->w->index);
}

static void broadcast_try_recv_done(struct slot *s, int rc) {
    if (rc != UV_EAGAIN) broadcast_recv_done(s, rc);
    else if (grip(s)->at < s->n || (exact() && s->thing->senders == 0)) wrong(s, rc);
}

static bool broadcast_recv_possible(const struct slot *s) {
    return grip(s)->at < s->thing->broadcast.sent || s->thing->senders == 0 || (grip(s)->closed & UVT_RECV);
}

/* ---- handles ---- */

static bool subscribe_prepare(struct slot *s) {
    return exact() && (grip(s)->closed & UVT_RECV);
}

static int subscribe_call(struct slot *s) {
    return uvt_broadcast_subscribe(&grip(s)->subscriber, &grip(s)->sender);
}

static void subscribe_done(struct slot *s, int rc) {
    if (rc != ((grip(s)->closed & UVT_SEND) ? UVT_ECLOSED : 0)) wrong(s, rc);
    if (rc < 0) return;
    s->thing->receivers++;
    grip(s)->closed &= ~(unsigned)UVT_RECV;
    grip(s)->at = s->thing->broadcast.sent;
}

static void ends_close(struct grip *g, unsigned ends) {
    if (ends & UVT_SEND) uvt_broadcast_close(&g->sender);
    if (ends & UVT_RECV) uvt_subscriber_close(&g->subscriber);
}

static int broadcast_close_call(struct slot *s) {
    ends_close(grip(s), s->n);
    return 0;
}

static int no_subscriber_call(struct slot *s) {
    return uvt_broadcast_wait_closed(&grip(s)->sender);
}

static void broadcast_leave(struct worker *w, struct thing *t) {
    model_lock();
    ends_closed(t, &w->grip[t->index], UVT_BOTH);
    model_unlock();
    ends_close(&w->grip[t->index], UVT_BOTH);
}

static void broadcast_close(struct thing *t) {
    for (unsigned i = 0; i < run.p->workers; i++) ends_close(&run.worker[i].grip[t->index], UVT_BOTH);
    for (unsigned i = 0; i < used; i++)
        if (news[i].thing == t && news[i].at >= (int)t->broadcast.sent) broken("element %u is made up", i);
}

const struct type type_broadcast = { "broadcast", broadcast_open, broadcast_leave, broadcast_close };
const struct kind kind_broadcast_send = {
    "broadcast_send", broadcast_send_prepare, broadcast_send_call, NULL, broadcast_send_done, NULL
};
const struct kind kind_broadcast_recv = { "broadcast_recv",    broadcast_recv_prepare, broadcast_recv_call,
                                          broadcast_recv_case, broadcast_recv_done,    broadcast_recv_possible };
const struct kind kind_broadcast_try_recv = {
    "broadcast_try_recv", broadcast_recv_prepare, broadcast_try_recv_call, NULL, broadcast_try_recv_done, NULL
};
const struct kind kind_broadcast_close = {
    "broadcast_close", close_prepare, broadcast_close_call, NULL, must_succeed, NULL
};
const struct kind kind_subscribe = { "subscribe", subscribe_prepare, subscribe_call, NULL, subscribe_done, NULL };
const struct kind kind_no_subscriber = {
    "no_subscriber", always, no_subscriber_call, NULL, no_reader_done, no_reader_possible
};
