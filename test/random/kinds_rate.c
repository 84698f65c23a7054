/* SPDX-License-Identifier: MIT
 *
 * Rate limiters. The model has a bucket of its own, of which it knows the least and the most that may be in it: less
 * than a millisecond's worth may be kept or lost when it is full. What is taken was there. On one shard, where the
 * order is known, whoever waited could not have had it a millisecond earlier, unless others were before it then.
 */
#include "run.h"

static int rate_open(struct thing *t) {
    t->rate.tokens = 1 + t->n % 3;
    t->rate.period = 1 + t->n / 3 % 8;
    t->rate.burst = 1 + t->n / 24 % 4;
    t->rate.least = t->rate.most = t->rate.burst * t->rate.period;
    t->rate.at = uvt_now();
    return uvt_rate_init(&t->rate.it, t->rate.tokens, t->rate.period, t->rate.burst);
}

/* What is in a bucket later, in tokens times the period, with room for so many units above the burst. */
static uint64_t filled(const struct thing *t, uint64_t units, uint64_t ms, unsigned above) {
    uint64_t full = t->rate.burst * t->rate.period + above;
    units += ms * t->rate.tokens;
    return units < full ? units : full;
}

static uint64_t later(uint64_t now, uint64_t then) {
    return now > then ? now - then : 0;
}

/* While somebody waits, as the slot did, a part of a millisecond's worth is not cut off. */
static uint64_t least_at(const struct slot *s, uint64_t now) {
    const struct thing *t = s->thing;
    uint64_t units = filled(t, t->rate.least, later(s->since, t->rate.at), 0);
    uint64_t waited = later(now, s->since > t->rate.at ? s->since : t->rate.at);
    return filled(t, units, waited, waited ? t->rate.tokens - 1 : 0);
}

static uint64_t most_at(const struct thing *t, uint64_t now) {
    return filled(t, t->rate.most, later(now, t->rate.at), t->rate.tokens - 1);
}

static bool rate_prepare(struct slot *s) {
    s->n %= s->thing->rate.burst + 2; /* one too many is refused */
    return true;
}

static int rate_call(struct slot *s) {
    return uvt_rate_acquire(&s->thing->rate.it, s->n);
}

static uvt_case_t rate_case(struct slot *s) {
    return uvt_case_rate(&s->thing->rate.it, s->n);
}

static int rate_try_call(struct slot *s) {
    return uvt_rate_try_acquire(&s->thing->rate.it, s->n);
}

/* Nobody who came before has left the line in this millisecond, known or not yet. */
static bool was_first(const struct slot *s, uint64_t now) {
    for (const struct slot *o = next_waiting(s->thing, s->w, NULL); o; o = next_waiting(s->thing, s->w, o))
        if (o->began < s->began) return false;
    return now > s->thing->rate.moved_up;
}

static void rate_taken(struct slot *s) {
    struct thing *t = s->thing;
    uint64_t now = uvt_now(), units = s->n * t->rate.period, least = least_at(s, now), most = most_at(t, now);
    if (units > most) broken("rate%u gave %u tokens too early to worker %u", t->index, s->n, s->w->index);
    if (exact() && now > s->since && was_first(s, now) && least_at(s, now - 1) >= units)
        broken("rate%u gave %u tokens too late to worker %u", t->index, s->n, s->w->index);
    t->rate.least = least > units ? least - units : 0;
    t->rate.most = most - units;
    if (now > t->rate.at) t->rate.at = now;
}

static void rate_done(struct slot *s, int rc) {
    struct thing *t = s->thing;
    bool too_many = s->n > t->rate.burst;
    if (rc == UV_EINVAL ? !too_many : (rc != 0 || too_many) && rc != UV_ECANCELED) wrong(s, rc);
    if (rc == 0 && s->n > 0) rate_taken(s);
    t->rate.moved_up = uvt_now(); /* those behind it */
}

static void rate_try_done(struct slot *s, int rc) {
    bool there = least_at(s, uvt_now()) >= s->n * s->thing->rate.period;
    if (rc != UV_EAGAIN) rate_done(s, rc);
    else if (s->n == 0 || (exact() && there && !next_waiting(s->thing, s->w, NULL))) wrong(s, rc);
}

/* Tokens come by themselves: all timers have fired, so nobody waits. */
const struct type type_rate = { "rate", rate_open, NULL, NULL };
const struct kind kind_rate = { "rate", rate_prepare, rate_call, rate_case, rate_done, NULL };
const struct kind kind_try_rate = { "try_rate", rate_prepare, rate_try_call, NULL, rate_try_done, NULL };
