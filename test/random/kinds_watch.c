/* SPDX-License-Identifier: MIT
 *
 * Watches. A value that is read is one that no later one had replaced before the reading began, and no watcher goes
 * back in time; a change is told if and only if a value was set that the watcher has not looked at since, or it has
 * marked the latest. What a watcher has seen is known by when it looked: what was set before it began it has seen for
 * sure, what was set after it ended it has not.
 *
 * Each worker has a sender's handle and a watcher, which are its own to close.
 */
#include "run.h"

enum { SETTINGS = 256 };

static struct setting {
    const struct thing *thing;
    bool failed;
    uint64_t began, ended; /* stamps; ended 0: not yet */
} settings[SETTINGS]; /* the first are what watches begin with, by index */
static unsigned used;

static int watch_open(struct thing *t) {
    struct element first = { t->index, ~t->index };
    used = THINGS;
    settings[t->index] = (struct setting){ .thing = t, .began = stamp(), .ended = stamp() };
    int rc = uvt_watch_open(&t->watch, sizeof first, &first);
    for (unsigned i = 0; rc == 0 && i < run.p->workers; i++) {
        struct grip *g = &run.worker[i].grip[t->index];
        rc = uvt_watch_clone(&g->setter, &t->watch);
        if (rc == 0) rc = uvt_watch_subscribe(&g->watcher, &t->watch);
        g->value = t->index;
        g->saw_began = g->saw_ended = stamp();
    }
    uvt_watch_close(&t->watch);
    t->senders = t->receivers = run.p->workers;
    return rc;
}

static bool own_closed(const struct slot *s, unsigned end) {
    return grip(s)->closed & end;
}

/* ---- setting ---- */

static bool watch_set_prepare(struct slot *s) {
    if (used == SETTINGS) return false;
    s->place.element = (struct element){ used, ~used };
    settings[used++] = (struct setting){ .thing = s->thing, .began = stamp() };
    return true;
}

static int watch_set_call(struct slot *s) {
    return uvt_watch_set(&grip(s)->setter, &s->place.element);
}

static void watch_set_done(struct slot *s, int rc) {
    struct setting *e = &settings[s->place.element.index];
    e->failed = rc < 0;
    e->ended = stamp();
    if (own_closed(s, UVT_SEND) ? rc != UVT_ECLOSED : rc < 0 || rc > (int)run.p->workers) wrong(s, rc);
    if (rc >= 0 && exact() && rc != (int)s->thing->receivers) wrong(s, rc);
}

/* ---- looking ---- */

static void saw(const struct slot *s) {
    struct grip *g = grip(s);
    g->saw_began = s->began;
    g->saw_ended = stamp();
    g->marked = false;
}

static int watch_get_call(struct slot *s) {
    return uvt_watch_get(&grip(s)->watcher, &s->place.element);
}

static int watch_peek_call(struct slot *s) {
    return uvt_watch_peek(&grip(s)->watcher, &s->place.element);
}

static void watch_peek_done(struct slot *s, int rc) {
    if (rc != (own_closed(s, UVT_RECV) ? UVT_ECLOSED : 0)) wrong(s, rc);
    if (rc < 0) return;
    unsigned index = s->place.element.index;
    HOLDS(index < used && s->place.element.check == ~index);
    const struct setting *e = &settings[index], *before = &settings[grip(s)->value];
    HOLDS(e->thing == s->thing && !e->failed);
    if (e != before && e->ended && e->ended < before->began)
        broken("worker %u saw value %u after %u", s->w->index, index, grip(s)->value);
    for (unsigned i = 0; i < used; i++) {
        const struct setting *o = &settings[i];
        if (o->thing == s->thing && !o->failed && o->ended && o->ended < s->began && e->ended && e->ended < o->began)
            broken("worker %u saw value %u, which %u had replaced", s->w->index, index, i);
    }
    grip(s)->value = index;
}

static void watch_get_done(struct slot *s, int rc) {
    watch_peek_done(s, rc);
    if (rc == 0) saw(s);
}

static int mark_changed_call(struct slot *s) {
    return uvt_watch_mark_changed(&grip(s)->watcher);
}

static int mark_unchanged_call(struct slot *s) {
    return uvt_watch_mark_unchanged(&grip(s)->watcher);
}

static void mark_done(struct slot *s, int rc) {
    if (rc != (own_closed(s, UVT_RECV) ? UVT_ECLOSED : 0)) wrong(s, rc);
    if (rc < 0) return;
    saw(s);
    grip(s)->marked = s->kind == &kind_mark_changed;
}

/* ---- changes ---- */

/* There is a value that the watcher has not seen: it may be, or it is so for sure. */
static bool unseen(const struct slot *s, bool surely) {
    const struct grip *g = grip(s);
    for (unsigned i = 0; i < used; i++) {
        const struct setting *o = &settings[i];
        if (o->thing != s->thing || o->failed) continue;
        if (surely ? o->ended && o->began > g->saw_ended : !o->ended || o->ended > g->saw_began) return true;
    }
    return g->marked;
}

/* A watcher has one waiter. */
static bool changed_prepare(struct slot *s) {
    s->fits = unseen(s, true);
    return !repeated(s);
}

static int changed_call(struct slot *s) {
    return uvt_watch_changed(&grip(s)->watcher);
}

static uvt_case_t changed_case(struct slot *s) {
    return uvt_case_watch_changed(&grip(s)->watcher);
}

static int try_changed_call(struct slot *s) {
    return uvt_watch_try_changed(&grip(s)->watcher);
}

static void changed_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED || (rc == UVT_ECLOSED && own_closed(s, UVT_RECV))) return;
    if (own_closed(s, UVT_RECV)) wrong(s, rc);
    if (rc == UV_EOF ? s->thing->senders || unseen(s, true) : rc != 0 || !unseen(s, false)) wrong(s, rc);
}

static void try_changed_done(struct slot *s, int rc) {
    if (rc != UV_EAGAIN) changed_done(s, rc);
    else if (s->fits || (exact() && s->thing->senders == 0)) wrong(s, rc);
}

static bool changed_possible(const struct slot *s) {
    return unseen(s, true) || s->thing->senders == 0 || own_closed(s, UVT_RECV);
}

/* ---- handles ---- */

static bool watch_again_prepare(struct slot *s) {
    return own_closed(s, UVT_RECV);
}

static int watch_again_call(struct slot *s) {
    return uvt_watch_subscribe(&grip(s)->watcher, &grip(s)->setter);
}

static void watch_again_done(struct slot *s, int rc) {
    if (rc != (own_closed(s, UVT_SEND) ? UVT_ECLOSED : 0)) wrong(s, rc);
    if (rc < 0) return;
    s->thing->receivers++;
    grip(s)->closed &= ~(unsigned)UVT_RECV;
    saw(s);
}

static void ends_close(struct grip *g, unsigned ends) {
    if (ends & UVT_SEND) uvt_watch_close(&g->setter);
    if (ends & UVT_RECV) uvt_watcher_close(&g->watcher);
}

static int watch_close_call(struct slot *s) {
    ends_close(grip(s), s->n);
    return 0;
}

static int no_watcher_call(struct slot *s) {
    return uvt_watch_wait_closed(&grip(s)->setter);
}

static void watch_leave(struct worker *w, struct thing *t) {
    model_lock();
    ends_closed(t, &w->grip[t->index], UVT_BOTH);
    model_unlock();
    ends_close(&w->grip[t->index], UVT_BOTH);
}

static void watch_close(struct thing *t) {
    for (unsigned i = 0; i < run.p->workers; i++) ends_close(&run.worker[i].grip[t->index], UVT_BOTH);
}

const struct type type_watch = { "watch", watch_open, watch_leave, watch_close };
const struct kind kind_watch_set = { "watch_set", watch_set_prepare, watch_set_call, NULL, watch_set_done, NULL };
const struct kind kind_watch_get = { "watch_get", always, watch_get_call, NULL, watch_get_done, NULL };
const struct kind kind_watch_peek = { "watch_peek", always, watch_peek_call, NULL, watch_peek_done, NULL };
const struct kind kind_mark_changed = { "mark_changed", always, mark_changed_call, NULL, mark_done, NULL };
const struct kind kind_mark_unchanged = { "mark_unchanged", always, mark_unchanged_call, NULL, mark_done, NULL };
const struct kind kind_changed = { "changed",    changed_prepare, changed_call,
                                   changed_case, changed_done,    changed_possible };
const struct kind kind_try_changed = { "try_changed", changed_prepare, try_changed_call, NULL, try_changed_done, NULL };
const struct kind kind_watch_again = {
    "watch_again", watch_again_prepare, watch_again_call, NULL, watch_again_done, NULL
};
const struct kind kind_watch_close = { "watch_close", close_prepare, watch_close_call, NULL, must_succeed, NULL };
const struct kind kind_no_watcher = {
    "no_watcher", always, no_watcher_call, NULL, no_reader_done, no_reader_possible
};
