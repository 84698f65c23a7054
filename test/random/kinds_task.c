/* SPDX-License-Identifier: MIT
 *
 * Time, and what workers do to each other: spawn, join and abort. A worker joins only those it has spawned itself;
 * abort reaches everybody.
 */
#include "run.h"
#include <uvtask/test.h>

/* ---- time ---- */

static bool sleep_prepare(struct slot *s) {
    s->n %= 20;
    return true;
}

static int sleep_call(struct slot *s) {
    return uvt_sleep(s->n);
}

static uvt_case_t sleep_case(struct slot *s) {
    return uvt_case_sleep(s->n);
}

static void sleep_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED) return;
    if (rc != 0) wrong(s, rc);
    uint64_t took = uvt_now() - s->since;
    if (took < s->n) broken("worker %u slept too short", s->w->index);
    if (exact() && took > s->n) broken("worker %u slept too long", s->w->index);
}

static int yield_call(struct slot *s) {
    (void)s;
    return uvt_yield();
}

static void yield_done(struct slot *s, int rc) {
    if (rc != 0 && rc != UV_ECANCELED) wrong(s, rc);
}

const struct type type_time = { .name = "time" };
const struct kind kind_sleep = { "sleep", sleep_prepare, sleep_call, sleep_case, sleep_done, NULL };
const struct kind kind_yield = { "yield", always, yield_call, NULL, yield_done, NULL };

/* ---- spawn, join, abort ---- */

uvt_task_options worker_options(const struct worker *w) {
    unsigned place = w->plan->place;
    return (uvt_task_options){
        .place = place == 0 ? 0 : place == 5 ? UVT_ANY : UVT_ON((place - 1) % run.p->shards),
        .drop = run.p->fail_at ? worker_dropped : NULL,
    };
}

static struct worker *other_of(const struct slot *s) {
    return &run.worker[s->n % run.p->workers];
}

/* The first, from that number on, whom nobody has spawned yet. */
bool spawn_prepare(struct slot *s) {
    for (unsigned i = 0; i < run.p->workers; i++, s->n++) {
        s->other = other_of(s);
        if (s->other->claimed || s->other->plan->starts) continue;
        s->other->claimed = true;
        s->other->owner = s->w;
        return true;
    }
    return false;
}

static int spawn_call(struct slot *s) {
    struct worker *o = s->other;
    uvt_task_t task;
    uvt_task_options options = worker_options(o);
    int rc = uvt_spawn_opts(&task, worker_body, o, &options);
    if (rc == 0) o->task = task; /* nobody looks before it is known */
    return rc;
}

void unspawned(struct worker *w) {
    w->claimed = w->member = false;
    w->owner = NULL;
}

void spawn_done(struct slot *s, int rc) {
    if (starved(rc)) {
        unspawned(s->other);
        return;
    }
    if (rc != 0) wrong(s, rc);
    s->other->known = true;
}

bool failure_of_child(const struct worker *w, int status) {
    for (unsigned i = 0; i < run.p->workers; i++) {
        const struct worker *c = &run.worker[i];
        if (c->owner != w || !c->known) continue;
        if (c->status == status || failure_of_child(c, status)) return true;
    }
    return false;
}

void check_result(struct worker *w, const uvt_result *r) {
    HOLDS(w->ended && !w->joined);
    HOLDS(r->arg == w);
    w->joined = true;
    int status = w->status;
    uvt_outcome outcome = w->panicked ? UVT_PANICKED : status == UV_ECANCELED ? UVT_CANCELLED : UVT_RETURNED;
    if (r->status == status && r->outcome == outcome) {
        HOLDS(outcome != UVT_CANCELLED || r->reason.code != UVT_REASON_NONE);
        return;
    }
    if (status >= 0 && r->status < 0 && failure_of_child(w, r->status)) return;
    broken("worker %u ended with %d (outcome %d) and its result says %d (outcome %d)", w->index, status, outcome,
           r->status, r->outcome);
}

static bool join_prepare(struct slot *s) {
    s->other = other_of(s);
    if (s->other->owner != s->w || !s->other->known || s->other->member || s->other->joining || s->other->joined)
        return false;
    s->other->joining = true;
    return true;
}

static int join_call(struct slot *s) {
    return uvt_join(s->other->task, &s->place.result);
}

static uvt_case_t join_case(struct slot *s) {
    return uvt_case_join(s->other->task, &s->place.result);
}

static void join_done(struct slot *s, int rc) {
    s->other->joining = false;
    if (rc == UV_ECANCELED) return;
    if (rc != 0) wrong(s, rc);
    check_result(s->other, &s->place.result);
}

static bool join_possible(const struct slot *s) {
    return s->other->ended;
}

static bool abort_prepare(struct slot *s) {
    s->other = other_of(s);
    if (!s->other->known || s->n % 3 == 0) return false; /* rarer than the others: it makes programs short */
    s->other->cancelling = true;
    return true;
}

static int abort_call(struct slot *s) {
    return uvt_abort(s->other->task);
}

static void abort_done(struct slot *s, int rc) {
    if ((rc == UVT_ESTALE && (s->other->ended || s->other->leaving)) || starved(rc)) return;
    if (rc != 0) wrong(s, rc);
    s->other->cancelled = true;
}

static bool cancel_soon_prepare(struct slot *s) {
    if (s->n % 3 == 0) return false;
    s->w->cancelling = true;
    return true;
}

static int cancel_soon_call(struct slot *s) {
    return uvt_test_cancel_at(1 + s->n % 4);
}

static bool panic_prepare(struct slot *s) {
    if (s->n % 8) return false;
    s->w->panicked = true;
    returns(s->w, UVT_EPANIC);
    return true;
}

static int panic_call(struct slot *s) {
    uvt_panic("worker %u", s->w->index);
}

const struct type type_task = { .name = "task" };
const struct kind kind_spawn = { "spawn", spawn_prepare, spawn_call, NULL, spawn_done, NULL };
const struct kind kind_join = { "join", join_prepare, join_call, join_case, join_done, join_possible };
const struct kind kind_abort = { "abort", abort_prepare, abort_call, NULL, abort_done, NULL };
const struct kind kind_cancel_soon = { "cancel_soon", cancel_soon_prepare, cancel_soon_call, NULL, must_succeed, NULL };
const struct kind kind_panic = { "panic", panic_prepare, panic_call, NULL, must_succeed, NULL };
