/* SPDX-License-Identifier: MIT
 *
 * Events and barriers. Of an event that is set nobody waits; a barrier lets go of as many as it was made for, one of
 * them the leader, each time.
 */
#include "run.h"

/* ---- events ---- */

static int event_open(struct thing *t) {
    return uvt_event_init(&t->event.it);
}

static int event_wait_call(struct slot *s) {
    return uvt_event_wait(&s->thing->event.it);
}

static uvt_case_t event_case(struct slot *s) {
    return uvt_case_event(&s->thing->event.it);
}

static void event_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED) return;
    if (rc != 0 || s->thing->event.sets == 0) wrong(s, rc);
}

static bool event_possible(const struct slot *s) {
    return uvt_event_is_set(&s->thing->event.it);
}

static bool event_set_prepare(struct slot *s) {
    s->thing->event.sets++;
    return true;
}

static int event_set_call(struct slot *s) {
    return uvt_event_set(&s->thing->event.it);
}

static int event_clear_call(struct slot *s) {
    return uvt_event_clear(&s->thing->event.it);
}

static void event_close(struct thing *t) {
    HOLDS(uvt_event_waiting(&t->event.it) == 0);
}

const struct type type_event = { "event", event_open, NULL, event_close };
const struct kind kind_event_wait = { "event_wait", always, event_wait_call, event_case, event_done, event_possible };
const struct kind kind_event_set = { "event_set", event_set_prepare, event_set_call, NULL, must_succeed, NULL };
const struct kind kind_event_clear = { "event_clear", always, event_clear_call, NULL, must_succeed, NULL };

/* ---- barriers ---- */

static int barrier_open(struct thing *t) {
    t->n %= 4;
    return uvt_barrier_init(&t->barrier.it, t->n);
}

static int barrier_call(struct slot *s) {
    return uvt_barrier_wait(&s->thing->barrier.it);
}

static void barrier_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED) return;
    if (rc != 0 && rc != 1) wrong(s, rc);
    s->thing->barrier.through++;
    s->thing->barrier.leaders += (unsigned)rc;
}

static bool barrier_possible(const struct slot *s) {
    unsigned waiting = 0;
    for (const struct slot *o = next_waiting(s->thing, NULL, NULL); o; o = next_waiting(s->thing, NULL, o)) waiting++;
    return waiting >= s->thing->n;
}

static void barrier_close(struct thing *t) {
    HOLDS(uvt_barrier_waiting(&t->barrier.it) == 0);
    HOLDS(t->barrier.through == t->barrier.leaders * (t->n ? t->n : 1));
}

const struct type type_barrier = { "barrier", barrier_open, NULL, barrier_close };
const struct kind kind_barrier_wait = { "barrier_wait", always, barrier_call, NULL, barrier_done, barrier_possible };
