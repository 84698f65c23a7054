/* SPDX-License-Identifier: MIT
 *
 * Semaphores, oneshots and tokens. Of a semaphore: what is free and what is held is what it was made with, or its
 * limit since, and the oldest waiter is one that cannot be served. Of a oneshot: what was sent arrives, once. Of a
 * token: waiters return when it is cancelled, and then only.
 */
#include "run.h"

#include <stddef.h>

/* ---- semaphores ---- */

/* Every second one has a limit. */
static int semaphore_open(struct thing *t) {
    t->semaphore.bounded = t->n & 4;
    t->n %= 4;
    t->semaphore.limit = t->n;
    if (t->n == 0) t->semaphore.bounded = false; /* that would mean that there is none */
    return uvt_semaphore_init(&t->semaphore.it, t->n, t->semaphore.bounded ? t->n : 0);
}

static int permits_free(const struct thing *t) {
    return (int)t->semaphore.limit - (int)t->semaphore.held;
}

/* Whether one of the limits that there have been since the slot waits is such. */
static bool was_limit(const struct slot *s, bool (*such)(const struct slot *s, unsigned limit)) {
    const struct thing *t = s->thing;
    for (unsigned i = 0; i < t->semaphore.changes; i++)
        if (t->semaphore.was[i].until > s->began && such(s, t->semaphore.was[i].limit)) return true;
    return such(s, t->semaphore.limit);
}

static bool allows(const struct slot *s, unsigned limit) {
    return s->thing->semaphore.held + s->n <= limit;
}

static bool refuses(const struct slot *s, unsigned limit) {
    return s->thing->semaphore.bounded && limit > 0 && s->n > limit;
}

static bool acquire_prepare(struct slot *s) {
    s->n %= 4;
    return true;
}

static int acquire_call(struct slot *s) {
    return s->n == 1 ? uvt_semaphore_acquire(&s->thing->semaphore.it)
                     : uvt_semaphore_acquire_many(&s->thing->semaphore.it, s->n);
}

static uvt_case_t acquire_case(struct slot *s) {
    return uvt_case_acquire(&s->thing->semaphore.it, s->n);
}

static void acquire_done(struct slot *s, int rc) {
    struct thing *t = s->thing;
    if (rc == UV_ECANCELED || (rc == UVT_ECLOSED && t->closed) || (rc == UV_EINVAL && was_limit(s, refuses))) return;
    if (rc != 0) wrong(s, rc);
    if (s->n && !was_limit(s, allows)) broken("semaphore%u has given more permits than it has", t->index);
    t->semaphore.held += s->n;
    grip(s)->held += s->n;
}

/* The oldest waiter can be served; of a select, whose cases queue up in turns, each of them. On several shards it is
 * not known who is the oldest: everybody can be served. */
static bool acquire_possible(const struct slot *s) {
    const struct slot *oldest = s;
    unsigned most = 0;
    for (const struct slot *o = next_waiting(s->thing, NULL, NULL); o; o = next_waiting(s->thing, NULL, o))
        if (o->began < oldest->began) oldest = o;
    for (const struct slot *o = next_waiting(s->thing, NULL, NULL); o; o = next_waiting(s->thing, NULL, o))
        if ((!exact() || o->w == oldest->w) && o->n > most) most = o->n;
    return s->n == 0 || s->thing->closed || (int)most <= permits_free(s->thing);
}

static int try_acquire_call(struct slot *s) {
    return uvt_semaphore_try_acquire(&s->thing->semaphore.it, s->n);
}

static void try_acquire_done(struct slot *s, int rc) {
    bool there = (int)s->n <= permits_free(s->thing) && !next_waiting(s->thing, s->w, NULL) && !s->thing->closed;
    if (rc == UV_EAGAIN && exact() && there) wrong(s, rc);
    if (rc != UV_EAGAIN) acquire_done(s, rc);
}

static void give_back(struct worker *w, struct thing *t, unsigned n) {
    t->semaphore.held -= n;
    w->grip[t->index].held -= n;
}

static bool release_prepare(struct slot *s) {
    unsigned held = grip(s)->held;
    if (held == 0) return false;
    s->n = 1 + s->n % held;
    give_back(s->w, s->thing, s->n);
    return true;
}

static int release_call(struct slot *s) {
    return uvt_semaphore_release(&s->thing->semaphore.it, s->n);
}

static bool semaphore_close_prepare(struct slot *s) {
    if (s->n % 4) return false;
    s->thing->closed = true;
    return true;
}

static int semaphore_close_call(struct slot *s) {
    uvt_semaphore_close(&s->thing->semaphore.it);
    return 0;
}

/* One change at a time, or it would not be known which was the last. A lower limit counts from when it is set. */
static bool limit_prepare(struct slot *s) {
    struct thing *t = s->thing;
    if (t->semaphore.changing || t->semaphore.changes == LIMITS) return false;
    s->n %= 5;
    t->semaphore.changing = true;
    if (t->semaphore.bounded) {
        t->semaphore.was[t->semaphore.changes].limit = t->semaphore.limit;
        t->semaphore.was[t->semaphore.changes++].until = UINT64_MAX;
        t->semaphore.limit = s->n;
    }
    return true;
}

static int limit_call(struct slot *s) {
    return uvt_semaphore_set_limit(&s->thing->semaphore.it, s->n);
}

static void limit_done(struct slot *s, int rc) {
    struct thing *t = s->thing;
    t->semaphore.changing = false;
    if (rc != (t->semaphore.bounded ? 0 : UV_EINVAL)) wrong(s, rc);
    if (rc == 0) t->semaphore.was[t->semaphore.changes - 1].until = stamp();
}

static void semaphore_leave(struct worker *w, struct thing *t) {
    model_lock();
    unsigned n = w->grip[t->index].held;
    give_back(w, t, n);
    model_unlock();
    HOLDS(uvt_semaphore_release(&t->semaphore.it, n) == 0);
}

static void semaphore_close(struct thing *t) {
    HOLDS(uvt_semaphore_waiting(&t->semaphore.it) == 0);
    int64_t left = uvt_semaphore_available(&t->semaphore.it);
    if (left != t->semaphore.limit)
        broken("semaphore%u: %d permits of %u are left", t->index, (int)left, t->semaphore.limit);
}

const struct type type_semaphore = { "semaphore", semaphore_open, semaphore_leave, semaphore_close };
const struct kind kind_acquire = { "acquire",    acquire_prepare, acquire_call,
                                   acquire_case, acquire_done,    acquire_possible };
const struct kind kind_try_acquire = { "try_acquire", acquire_prepare, try_acquire_call, NULL, try_acquire_done, NULL };
const struct kind kind_release = { "release", release_prepare, release_call, NULL, must_succeed, NULL };
const struct kind kind_semaphore_limit = { "semaphore_limit", limit_prepare, limit_call, NULL, limit_done, NULL };
const struct kind kind_semaphore_close = {
    "semaphore_close", semaphore_close_prepare, semaphore_close_call, NULL, must_succeed, NULL
};

/* ---- oneshots ---- */

enum { STATUS = 7 };

static int oneshot_open(struct thing *t) {
    return uvt_oneshot_new(&t->oneshot.it, 0);
}

static bool oneshot_send_prepare(struct slot *s) {
    if (s->thing->oneshot.sending || s->thing->oneshot.unsent) return false;
    s->thing->oneshot.sending = true;
    return true;
}

static int oneshot_send_call(struct slot *s) {
    return uvt_oneshot_send(s->thing->oneshot.it, STATUS, s->thing);
}

static void oneshot_send_done(struct slot *s, int rc) {
    if (rc != 0) wrong(s, rc); /* the receiver's end is open until the main task closes it */
    s->thing->oneshot.sent = true;
}

static bool oneshot_drop_prepare(struct slot *s) {
    if (s->thing->oneshot.sending || s->thing->oneshot.unsent || s->n % 4) return false;
    s->thing->oneshot.unsent = true;
    return true;
}

static int oneshot_drop_call(struct slot *s) {
    uvt_oneshot_close_tx(s->thing->oneshot.it);
    return 0;
}

static bool oneshot_recv_prepare(struct slot *s) {
    if (s->thing->oneshot.receiving) return false;
    s->thing->oneshot.receiving = true;
    return true;
}

static int oneshot_recv_call(struct slot *s) {
    return uvt_oneshot_recv(s->thing->oneshot.it, &s->place.got.status, &s->place.got.value);
}

static uvt_case_t oneshot_recv_case(struct slot *s) {
    return uvt_case_oneshot(s->thing->oneshot.it, &s->place.got.status, &s->place.got.value);
}

static void oneshot_recv_done(struct slot *s, int rc) {
    struct thing *t = s->thing;
    t->oneshot.receiving = false;
    if (rc == UV_ECANCELED || (rc == UVT_ECLOSED && t->oneshot.received)) return;
    if (rc == UV_EOF && t->oneshot.unsent) return;
    if (rc != 0) wrong(s, rc);
    HOLDS(t->oneshot.sending && !t->oneshot.received);
    HOLDS(s->place.got.status == STATUS && s->place.got.value == t);
    t->oneshot.received = true;
}

static bool oneshot_recv_possible(const struct slot *s) {
    return s->thing->oneshot.sent || s->thing->oneshot.unsent;
}

static int oneshot_try_recv_call(struct slot *s) {
    return uvt_oneshot_try_recv(s->thing->oneshot.it, &s->place.got.status, &s->place.got.value);
}

static void oneshot_try_recv_done(struct slot *s, int rc) {
    if (rc != UV_EAGAIN) {
        oneshot_recv_done(s, rc);
        return;
    }
    s->thing->oneshot.receiving = false;
    if (exact() && oneshot_recv_possible(s)) wrong(s, rc);
}

static void oneshot_close(struct thing *t) {
    void *value = NULL;
    if (!t->oneshot.sending && !t->oneshot.unsent) uvt_oneshot_close_tx(t->oneshot.it);
    int left = uvt_oneshot_close_rx(t->oneshot.it, &value);
    if (left != (t->oneshot.sent && !t->oneshot.received)) broken("oneshot%u: close_rx said %d", t->index, left);
    HOLDS(left == 0 || value == t);
}

const struct type type_oneshot = { "oneshot", oneshot_open, NULL, oneshot_close };
const struct kind kind_oneshot_send = {
    "oneshot_send", oneshot_send_prepare, oneshot_send_call, NULL, oneshot_send_done, NULL
};
const struct kind kind_oneshot_drop = {
    "oneshot_drop", oneshot_drop_prepare, oneshot_drop_call, NULL, must_succeed, NULL
};
const struct kind kind_oneshot_recv = { "oneshot_recv",    oneshot_recv_prepare, oneshot_recv_call,
                                        oneshot_recv_case, oneshot_recv_done,    oneshot_recv_possible };
const struct kind kind_oneshot_try_recv = {
    "oneshot_try_recv", oneshot_recv_prepare, oneshot_try_recv_call, NULL, oneshot_try_recv_done, NULL
};

/* ---- tokens ---- */

static int token_open(struct thing *t) {
    return uvt_token_new(&t->token.it, NULL);
}

static int token_wait_call(struct slot *s) {
    return uvt_token_wait(s->thing->token.it);
}

static uvt_case_t token_wait_case(struct slot *s) {
    return uvt_case_token(s->thing->token.it);
}

/* Another shard's token takes memory. */
static void token_wait_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED || (!exact() && starved(rc))) return;
    if (rc != 0 || !s->thing->token.perhaps) wrong(s, rc);
}

static bool token_wait_possible(const struct slot *s) {
    return s->thing->token.surely;
}

static bool token_cancel_prepare(struct slot *s) {
    s->thing->token.perhaps = true;
    return true;
}

static int token_cancel_call(struct slot *s) {
    return uvt_token_cancel(s->thing->token.it, "by a worker");
}

static void token_cancel_done(struct slot *s, int rc) {
    if (rc != 0) wrong(s, rc);
    s->thing->token.surely = true;
    HOLDS(uvt_token_cancelled(s->thing->token.it));
}

static void token_close(struct thing *t) {
    HOLDS(uvt_token_cancelled(t->token.it) == t->token.surely);
    uvt_token_unref(t->token.it);
}

const struct type type_token = { "token", token_open, NULL, token_close };
const struct kind kind_token_wait = { "token_wait",    always, token_wait_call,
                                      token_wait_case, token_wait_done,    token_wait_possible };
const struct kind kind_token_cancel = {
    "token_cancel", token_cancel_prepare, token_cancel_call, NULL, token_cancel_done, NULL
};
