/* SPDX-License-Identifier: MIT
 *
 * Sets of workers. A worker's set is its own, and it has one at a time.
 */
#include "run.h"

static struct worker *member_ended(const struct worker *w) {
    for (unsigned i = 0; i < run.p->workers; i++) {
        struct worker *m = &run.worker[i];
        if (m->owner == w && m->member && m->ended && !m->joined) return m;
    }
    return NULL;
}

static bool member_left(const struct worker *w, bool alive) {
    for (unsigned i = 0; i < run.p->workers; i++) {
        const struct worker *m = &run.worker[i];
        if (m->owner == w && m->member && m->known && !(alive ? m->ended : m->joined)) return true;
    }
    return false;
}

static bool set_spawn_prepare(struct slot *s) {
    if (!spawn_prepare(s)) return false;
    s->other->member = true;
    if (!s->w->set_open) HOLDS(uvt_set_open(&s->w->set, NULL) == 0);
    s->w->set_open = true;
    return true;
}

static int set_spawn_call(struct slot *s) {
    struct worker *o = s->other;
    uvt_task_t task;
    int rc = uvt_set_spawn_opts(&s->w->set, &task, worker_body, o, &(uvt_task_options){ .place = worker_place(o) });
    if (rc == 0) o->task = task;
    return rc;
}

static bool set_prepare(struct slot *s) {
    return s->w->set_open && !repeated(s); /* a set has one waiter */
}

static int set_next_call(struct slot *s) {
    return uvt_set_next(&s->w->set, &s->place.result);
}

static uvt_case_t set_next_case(struct slot *s) {
    return uvt_case_set_next(&s->w->set, &s->place.result);
}

static void set_next_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED) return;
    if (rc == UV_EOF && !member_left(s->w, false)) return;
    if (rc != 0) wrong(s, rc);
    struct worker *m = s->place.result.arg;
    HOLDS(m->owner == s->w && m->member);
    check_result(m, &s->place.result);
}

static bool set_next_possible(const struct slot *s) {
    return member_ended(s->w) || !member_left(s->w, false);
}

static int set_wait_call(struct slot *s) {
    return uvt_set_wait(&s->w->set);
}

/* A failure, if any, is a member's. */
static bool failure_of_member(const struct worker *w, int rc) {
    return rc == 0 || (rc < 0 && failure_of_child(w, rc));
}

static void set_wait_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED) return;
    if (member_left(s->w, true) || !failure_of_member(s->w, rc)) wrong(s, rc);
}

static bool set_wait_possible(const struct slot *s) {
    return !member_left(s->w, true);
}

static void members_cut(struct worker *w, bool surely) {
    for (unsigned i = 0; i < run.p->workers; i++) {
        struct worker *m = &run.worker[i];
        if (m->owner != w || !m->member || m->ended) continue;
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
    if (member_left(s->w, true)) wrong(s, rc);
    if (rc != UV_ECANCELED && !failure_of_member(s->w, rc)) wrong(s, rc);
    s->w->set_open = false;
    for (unsigned i = 0; i < run.p->workers; i++) /* those of a set to come are others */
        if (run.worker[i].owner == s->w && run.worker[i].member) run.worker[i].joined = true;
}

const struct kind kind_set_spawn = { "set_spawn", set_spawn_prepare, set_spawn_call, NULL, spawn_done, NULL };
const struct kind kind_set_next = { "set_next",    set_prepare,   set_next_call,
                                    set_next_case, set_next_done, set_next_possible };
const struct kind kind_set_wait = { "set_wait", set_prepare, set_wait_call, NULL, set_wait_done, set_wait_possible };
const struct kind kind_set_abort = { "set_abort", set_abort_prepare, set_abort_call, NULL, set_abort_done, NULL };
const struct kind kind_set_close = {
    "set_close", set_close_prepare, set_close_call, NULL, set_close_done, set_wait_possible
};
