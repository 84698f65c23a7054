/* SPDX-License-Identifier: MIT
 *
 * Events, notifications, barriers and once. Of an event that is set nobody waits; notifications go to as many as told.c
 * says, and to the next one when nobody waited; a barrier lets go of as many as it was made for, one of them the
 * leader, each time; what is to be done once is done by one at a time until it has succeeded, and all hear of that.
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

/* ---- notifications ---- */

static int notify_open(struct thing *t) {
    return uvt_notify_init(&t->notify.it);
}

static int notified_call(struct slot *s) {
    return uvt_notify_wait(&s->thing->notify.it);
}

static uvt_case_t notified_case(struct slot *s) {
    return uvt_case_notified(&s->thing->notify.it);
}

static void notified_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED) return;
    if (rc != 0) wrong(s, rc);
    hears(s);
    s->thing->notify.kept = false;
}

static bool notified_possible(const struct slot *s) {
    return s->thing->notify.kept || was_told(s);
}

/* Where nobody waits it is kept. */
static bool notify_prepare(struct slot *s) {
    tells(s, s->kind == &kind_notify_one ? TOLD_ONE : TOLD_LAST);
    if (exact() && !next_waiting(s->thing, s->w, NULL)) s->thing->notify.kept = true;
    return true;
}

static int notify_one_call(struct slot *s) {
    return uvt_notify_one(&s->thing->notify.it);
}

static int notify_last_call(struct slot *s) {
    return uvt_notify_last(&s->thing->notify.it);
}

static bool tells_all(struct slot *s) {
    tells(s, TOLD_ALL);
    return true;
}

static int notify_all_call(struct slot *s) {
    return uvt_notify_all(&s->thing->notify.it);
}

static void notify_close(struct thing *t) {
    HOLDS(uvt_notify_waiting(&t->notify.it) == 0);
    uvt_case_t one = uvt_case_notified(&t->notify.it);
    bool kept = uvt_try_select(&one, 1, 0) == 0;
    if (kept ? !ever_told(t) : t->notify.kept) broken("notify%u: one is %s", t->index, kept ? "made up" : "lost");
}

const struct type type_notify = { "notify", notify_open, NULL, notify_close };
const struct kind kind_notified = { "notified",    always,        notified_call,
                                    notified_case, notified_done, notified_possible };
const struct kind kind_notify_one = { "notify_one", notify_prepare, notify_one_call, NULL, must_succeed, NULL };
const struct kind kind_notify_last = { "notify_last", notify_prepare, notify_last_call, NULL, must_succeed, NULL };
const struct kind kind_notify_all = { "notify_all", tells_all, notify_all_call, NULL, must_succeed, NULL };

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

/* ---- once ---- */

enum { ONCE_DONE = 50, ONCE_FAILED = UV_ENOENT };

static int once_open(struct thing *t) {
    t->once.it = (uvt_once_t){ 0 };
    return 0;
}

static int once_body(void *arg);

static int once_call(struct slot *s) {
    return uvt_once(&s->thing->once.it, once_body, s);
}

/* What is done: it sleeps, finds that it cannot wait for itself, and succeeds, fails or panics. */
static int once_body(void *arg) {
    struct slot *s = arg;
    struct thing *t = s->thing;
    model_lock();
    if (t->once.runner) broken("once%u: workers %u and %u run it", t->index, t->once.runner->index, s->w->index);
    if (t->once.done) broken("once%u: worker %u runs it again", t->index, s->w->index);
    t->once.runner = s->w;
    model_unlock();
    int rc = uvt_sleep(s->n % 4), again = once_call(s);
    if (again != UVT_EDEADLK && again != UV_ECANCELED) wrong(s, again);
    if (rc == 0) rc = s->n % 3 ? ONCE_DONE + (int)s->w->index : ONCE_FAILED;
    model_lock();
    t->once.runner = NULL;
    t->once.done = rc >= 0;
    t->once.result = rc;
    s->fits = rc == ONCE_FAILED; /* it may say so */
    bool panics = s->n % 16 == 15;
    if (panics) {
        t->once.done = false;
        s->w->panicked = true;
        returns(s->w, UVT_EPANIC);
    }
    model_unlock();
    if (panics) uvt_panic("worker %u, in once", s->w->index);
    return rc;
}

static void once_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED || (rc == ONCE_FAILED && s->fits)) return;
    if (!s->thing->once.done || rc != s->thing->once.result) wrong(s, rc);
}

const struct type type_once = { "once", once_open, NULL, NULL };
const struct kind kind_once = { "once", always, once_call, NULL, once_done, NULL };
