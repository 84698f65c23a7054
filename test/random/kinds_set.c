/* SPDX-License-Identifier: MIT
 *
 * Sets of workers. A worker's set is its own, and it has one at a time, with the options that its plan says. No more
 * members live than it has room for; of each it gives one result, or none if it discards them; and a failure that was
 * not handed out is what waiting for all and closing return.
 */
#include "run.h"

static bool is_member(const struct worker *m, const struct worker *owner) {
    return m->owner == owner && m->member && m->known && m->of_set == owner->sets;
}

static unsigned members(const struct worker *w, bool (*such)(const struct worker *m)) {
    unsigned n = 0;
    for (unsigned i = 0; i < run.p->workers; i++) n += is_member(&run.worker[i], w) && such(&run.worker[i]);
    return n;
}

static bool lives(const struct worker *m) {
    return !m->ended;
}

static bool has_result(const struct worker *m) {
    return m->ended && !m->joined;
}

/* What `next` waits for. */
static bool is_left(const struct worker *m) {
    return !m->ended || (!m->joined && !m->owner->plan->discard);
}

/* To be returned by wait and close. */
static bool has_failed(const struct worker *m) {
    bool keeps = m->owner->plan->discard || m->owner->plan->fail_fast;
    return m->ended && m->status < 0 && m->status != UV_ECANCELED && (keeps || !m->joined);
}

/* ---- spawning ---- */

static bool is_full(const struct worker *w) {
    return w->plan->limit && members(w, lives) >= w->plan->limit;
}

static void open_set(struct worker *w) {
    uvt_set_options o = { .limit = w->plan->limit, .fail_fast = w->plan->fail_fast, .discard = w->plan->discard };
    int rc = uvt_set_open(&w->set, &o);
    if (starved(rc)) rc = uvt_set_open(&w->set, &o);
    HOLDS(rc == 0);
    w->set_open = true;
    w->sets++;
    w->member_failed = w->member_has = false;
}

static bool set_spawn_prepare(struct slot *s) {
    if (!spawn_prepare(s)) return false;
    if (!s->w->set_open) open_set(s->w);
    s->other->member = true;
    s->other->of_set = s->w->sets;
    return true;
}

/* Nobody looks before it is known. */
static int spawned_as(struct worker *o, int rc, const uvt_task_t *task) {
    if (rc == 0) o->task = *task;
    return rc;
}

static int set_spawn_call(struct slot *s) {
    struct worker *o = s->other;
    uvt_task_t task;
    uvt_task_options options = worker_options(o);
    return spawned_as(o, uvt_set_spawn_opts(&s->w->set, &task, worker_body, o, &options), &task);
}

static int set_try_spawn_call(struct slot *s) {
    struct worker *o = s->other;
    uvt_task_t task;
    uvt_task_options options = worker_options(o);
    return spawned_as(o, uvt_set_try_spawn_at(&s->w->set, &task, worker_body, o, &options, UVT_SITE("worker")), &task);
}

/* Without effect when it was cancelled. */
static void set_spawn_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED) unspawned(s->other);
    else spawn_done(s, rc);
}

static void set_try_spawn_done(struct slot *s, int rc) {
    if (rc == UV_EBUSY && (!s->w->plan->limit || (exact() && !is_full(s->w)))) wrong(s, rc);
    set_spawn_done(s, rc == UV_EBUSY ? UV_ECANCELED : rc);
}

static bool set_spawn_possible(const struct slot *s) {
    return !is_full(s->w);
}

/* ---- waiting ---- */

static bool set_prepare(struct slot *s) {
    return s->w->set_open && !repeated(s); /* a set has one waiter */
}

static int set_next_call(struct slot *s) {
    return uvt_set_next(&s->w->set, &s->place.result);
}

static uvt_case_t set_next_case(struct slot *s) {
    return uvt_case_set_next(&s->w->set, &s->place.result);
}

static int set_try_next_call(struct slot *s) {
    return uvt_set_try_next(&s->w->set, &s->place.result);
}

static void set_next_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED) return;
    if (rc == UV_EOF && !members(s->w, is_left)) return;
    if (rc != 0 || s->w->plan->discard) wrong(s, rc);
    struct worker *m = s->place.result.arg;
    HOLDS(is_member(m, s->w));
    check_result(m, &s->place.result);
}

static void set_try_next_done(struct slot *s, int rc) {
    if (rc != UV_EAGAIN) set_next_done(s, rc);
    else if (exact() && !members(s->w, lives)) wrong(s, rc);
}

static bool set_next_possible(const struct slot *s) {
    return (members(s->w, has_result) && !s->w->plan->discard) || !members(s->w, is_left);
}

static int set_wait_call(struct slot *s) {
    return uvt_set_wait(&s->w->set);
}

/* A failure is a member's, and none is lost. */
static bool failure_of_member(const struct worker *w, int rc) {
    return rc < 0 ? failure_of_child(w, rc) : rc == 0 && !members(w, has_failed);
}

static void set_wait_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED) return;
    if (members(s->w, lives) || !failure_of_member(s->w, rc)) wrong(s, rc);
}

static bool set_wait_possible(const struct slot *s) {
    return !members(s->w, lives);
}

/* ---- ending ---- */

static void members_cut(struct worker *w, bool surely) {
    for (unsigned i = 0; i < run.p->workers; i++) {
        struct worker *m = &run.worker[i];
        if (!is_member(m, w) || m->ended) continue;
        m->cancelling = true;
        if (surely) m->cancelled = true;
    }
}

static bool set_abort_prepare(struct slot *s) {
    if (!s->w->set_open || s->n % 2) return false;
    members_cut(s->w, false);
    return true;
}

static int set_abort_call(struct slot *s) {
    return uvt_set_abort_all(&s->w->set);
}

static void set_abort_done(struct slot *s, int rc) {
    if (rc != 0) wrong(s, rc);
    members_cut(s->w, true);
}

static bool set_close_prepare(struct slot *s) {
    if (!s->w->set_open) return false;
    members_cut(s->w, true);
    return true;
}

static int set_close_call(struct slot *s) {
    return uvt_set_close(&s->w->set);
}

static void set_close_done(struct slot *s, int rc) {
    if (members(s->w, lives)) wrong(s, rc);
    if (rc == UV_ECANCELED ? members(s->w, has_failed) : !failure_of_member(s->w, rc)) wrong(s, rc);
    s->w->set_open = false;
    for (unsigned i = 0; i < run.p->workers; i++)
        if (is_member(&run.worker[i], s->w)) run.worker[i].joined = true;
}

const struct kind kind_set_spawn = { "set_spawn", set_spawn_prepare, set_spawn_call, NULL, set_spawn_done,
                                     set_spawn_possible };
const struct kind kind_set_try_spawn = {
    "set_try_spawn", set_spawn_prepare, set_try_spawn_call, NULL, set_try_spawn_done, NULL
};
const struct kind kind_set_try_next = {
    "set_try_next", set_prepare, set_try_next_call, NULL, set_try_next_done, NULL
};
const struct kind kind_set_next = { "set_next",    set_prepare,   set_next_call,
                                    set_next_case, set_next_done, set_next_possible };
const struct kind kind_set_wait = { "set_wait", set_prepare, set_wait_call, NULL, set_wait_done, set_wait_possible };
const struct kind kind_set_abort = { "set_abort", set_abort_prepare, set_abort_call, NULL, set_abort_done, NULL };
const struct kind kind_set_close = {
    "set_close", set_close_prepare, set_close_call, NULL, set_close_done, set_wait_possible
};
