/* SPDX-License-Identifier: MIT
 *
 * Select. First every case is attempted, which needs no memory and touches no queue; only when none is possible the
 * task leaves word everywhere and parks on one choice (core/wait.c), which the first completion claims.
 *
 * On one shard nothing can change between the attempts and the park. With several, an object may have changed
 * when word is left there (hook says UV_EAGAIN then); the task withdraws its choice, takes its word back everywhere and
 * begins again. If somebody has claimed it by then, that case is the one: its wake-up is on its way. So a task never
 * holds two objects' locks, and never takes one case while it is being handed another.
 */
#include "sync/select.h"
#include <limits.h>

#define FEW 8 /* cases that need no allocation */

int uvt__finish_handed(uvt__part *p, int rc) {
    (void)p;
    return rc;
}

int uvt__finish_again(uvt__part *p, int rc) {
    return rc < 0 ? rc : p->c->kind->attempt(p->c);
}

struct select {
    uvt__choice choice; /* first: its park's object is this */
    uvt_case_t *cases;
    size_t n, start;    /* where the turn begins */
    uvt__part *parts;   /* as many as n; those that are not disabled are used */
};

static bool live(const uvt_case_t *c) {
    return c->kind && !c->disabled;
}

static size_t nth(const struct select *sel, size_t i) {
    size_t at = sel->start + i;
    return at < sel->n ? at : at - sel->n;
}

/* The index of a case that was possible, or UV_EAGAIN. */
static int attempt_all(struct select *sel) {
    for (size_t i = 0; i < sel->n; i++) {
        uvt_case_t *c = &sel->cases[nth(sel, i)];
        if (!live(c)) continue;
        c->result = c->kind->attempt(c);
        if (c->result != UV_EAGAIN) return (int)(c - sel->cases);
    }
    return UV_EAGAIN;
}

static void unhook_all_but(struct select *sel, const uvt__part *but) {
    for (size_t i = 0; i < sel->n; i++) {
        uvt__part *p = &sel->parts[i];
        if (!p->hooked || p == but) continue;
        p->hooked = false;
        p->c->kind->unhook(p);
    }
}

/* UV_EAGAIN when all have been left word; else the index of a case that is to be attempted again, or has failed. */
static int hook_all(struct select *sel) {
    for (size_t i = 0; i < sel->n; i++) {
        size_t at = nth(sel, i);
        uvt__part *p = &sel->parts[at];
        uvt_case_t *c = &sel->cases[at];
        if (!live(c)) continue;
        p->c = c;
        p->wait.choice = &sel->choice;
        p->wait.hooked = false;
        p->wait.park.abort = NULL;
        uvt__choice_part(&sel->choice, &p->wait.park);
        c->result = c->kind->hook(p);
        if (c->result != 0) return (int)at;
        p->hooked = true;
    }
    return UV_EAGAIN;
}

static int select_abort(uvt_park_t *p) {
    struct select *sel = CONTAINER_OF(p, struct select, choice.park);
    if (!uvt__choice_withdraw(&sel->choice)) return UVT_ABORT_LATER;
    unhook_all_but(sel, NULL);
    return UVT_ABORT_DONE;
}

/* Parks until a part has been woken, and sees what that one says: its index, UV_EAGAIN, or that it was cancelled. */
static int wait_for_one(struct select *sel) {
    int rc = uvt_park(&sel->choice.park);
    if (rc < 0) return rc; /* and abort has taken the word back */
    uvt__part *p = CONTAINER_OF(atomic_load(&sel->choice.won), uvt__part, wait.park);
    unhook_all_but(sel, p);
    p->c->result = p->c->kind->finish(p, p->wait.park.result);
    unhook_all_but(sel, NULL);
    return p->c->result == UV_EAGAIN ? UV_EAGAIN : (int)(p->c - sel->cases);
}

/* One round of leaving word and waiting; UV_EAGAIN: attempt everything again. */
static int wait_once(struct select *sel) {
    sel->choice.park = (uvt_park_t){ .what = "select", .object = sel->cases, .abort = select_abort };
    sel->choice.park.task = uvt__current();
    atomic_init(&sel->choice.won, NULL);
    for (size_t i = 0; i < sel->n; i++) sel->parts[i].hooked = false;
    int at = hook_all(sel);
    if (at < 0 || !uvt__choice_withdraw(&sel->choice)) return wait_for_one(sel);
    unhook_all_but(sel, NULL);
    return sel->cases[at].result == UV_EAGAIN ? UV_EAGAIN : at;
}

static int run(struct select *sel) {
    uvt__part few[FEW];
    sel->parts = few;
    if (sel->n > FEW && !(sel->parts = uvt__alloc(sel->n * sizeof *sel->parts))) return UV_ENOMEM;
    int rc;
    do rc = wait_once(sel);
    while (rc == UV_EAGAIN && (rc = attempt_all(sel)) == UV_EAGAIN);
    if (sel->parts != few) uvt__free(sel->parts);
    return rc;
}

/* Where to begin to look. Not one further each time: a task that makes two selects in a loop, or two tasks that take
 * turns, would meet the same few beginnings for ever. Steps of the golden section meet all of them, whatever part of
 * the steps one select sees, and none of them is left out for long. */
static size_t turn(uvt__shard *s, size_t n) {
    uint32_t at = s->select_turn++ * 2654435769u;
    return (size_t)((uint64_t)at * n >> 32);
}

/* Checks what can be checked, and where the turn begins; the number of cases that are not disabled. */
static int begin(struct select *sel, uvt__shard *s, uvt_case_t *cases, size_t n, unsigned flags) {
    if (!s || !s->current) return UVT_ENOTASK;
    if (!cases || (flags & ~(unsigned)UVT_SELECT_BIASED) || n > INT_MAX) return UV_EINVAL;
    int some = 0;
    for (size_t i = 0; i < n; i++) {
        some += live(&cases[i]);
        cases[i].due = 0;
    }
    if (some == 0) return UV_EOF;
    sel->cases = cases;
    sel->n = n;
    sel->start = flags & UVT_SELECT_BIASED ? 0 : turn(s, n);
    return some;
}

int uvt_select(uvt_case_t *cases, size_t n, unsigned flags) {
    struct select sel;
    uvt__shard *s = uvt__here();
    int rc = begin(&sel, s, cases, n, flags);
    if (rc < 0) return rc;
    bool goes_on = uvt__goes_on(s);
    if (UNLIKELY(s->current->flags & TF_CANCELLED)) return uvt__checkpoint_slow(s, s->current);
    rc = attempt_all(&sel);
    if (rc == UV_EAGAIN) return run(&sel);
    /* The others' turn comes after what was possible, not before: in between a stream of the cases could be closed and
     * its record be another's. What may have passed by then is told at once, since the call that makes use of it will
     * give way; but not twice running. */
    if (UNLIKELY(!goes_on)) {
        bool owed = s->select_owed == s->stats.switches;
        s->select_owed = s->stats.switches;
        if (owed || !cases[rc].kind->passing) (void)uvt_yield();
    }
    return rc;
}

int uvt_try_select(uvt_case_t *cases, size_t n, unsigned flags) {
    struct select sel;
    int rc = begin(&sel, uvt__here(), cases, n, flags);
    return rc < 0 ? rc : attempt_all(&sel);
}
