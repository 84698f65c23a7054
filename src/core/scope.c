/* SPDX-License-Identifier: MIT
 *
 * Scopes: regions of a task's code with a deadline, a token or a shield. They are structures on the task's stack,
 * linked from the innermost outward. A deadline is put on the wheel only when the task suspends under it;
 * task->unarmed counts those that are not on it, so that a suspension pays one test. Until then even the clock is not
 * read: a timeout remembers the processor's counter (core/arch/ticks.h), from which its beginning is reckoned when
 * the clock is read to arm it.
 */
#include "core/core.h"
#include "core/arch/ticks.h"
#include <stdio.h>
#include <string.h>

#define MAGIC 0x5c09e5u
#define A_YEAR ((uint64_t)366 * 24 * 3600 * 1000) /* ms: longer timeouts are reckoned at once */

static void deadline_came(uvt__timer_t *t) {
    uvt_scope_t *sc = CONTAINER_OF(t, uvt_scope_t, timer);
    sc->deadline = UVT_FOREVER; /* it is neither armed nor to be armed any more */
    uvt__scope_fire(uvt__here(), sc, (uvt_reason){ .code = UVT_REASON_DEADLINE });
}

static bool pending(const uvt_scope_t *sc) {
    return sc->deadline != UVT_FOREVER && !sc->cancelled && !sc->timer.next;
}

/* Makes a time of a timeout; returns the time now, ms. */
static uint64_t settle(const uvt__shard *s, uvt_scope_t *sc) {
    if (sc->begun == 0) return uvt__now(s);
    uint64_t ticks = uvt__ticks(), now = uv_hrtime(); /* in this order: see uvt__at_ticks */
    sc->deadline += (uvt__at_ticks(s, sc->begun, ticks, now) + 999999) / 1000000;
    sc->begun = 0;
    return now / 1000000;
}

/* The task is about to suspend: deadlines that have passed count now, the others are armed. */
void uvt__scopes_arm(uvt__shard *s, uvt__task *t) {
    for (uvt_scope_t *sc = t->scope; sc && t->unarmed; sc = sc->outer) {
        if (!pending(sc)) continue;
        t->unarmed--;
        uint64_t now = settle(s, sc);
        if (sc->deadline <= now) deadline_came(&sc->timer);
        else uvt__timer_arm(s, &sc->timer, sc->deadline);
    }
}

static bool valid_time(uint64_t ms) {
    return (int64_t)ms >= 0 || ms == UVT_FOREVER;
}

int uvt_scope_begin_at(uvt_scope_t *sc, const uvt_scope_options *o, const char *site) {
    static const uvt_scope_options none;
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    uvt__task *t = s->current;
    if (!o) o = &none;
    for (const uvt_scope_t *open = t->scope; open; open = open->outer)
        if (open == sc) return UV_EINVAL;
    if (!sc || !valid_time(o->timeout_ms) || !valid_time(o->deadline)) return UV_EINVAL;
    uvt_token_t *token = NULL;
    if (o->token) {
        int rc = uvt__token_local(s, o->token, &token);
        if (rc < 0) return rc;
    }
    uint64_t deadline = o->deadline ? o->deadline : UVT_FOREVER, begun = 0;
    if (o->timeout_ms && !o->deadline && !s->virtual_clock && o->timeout_ms < A_YEAR && (begun = uvt__ticks()) != 0) {
        deadline = o->timeout_ms;
    } else if (o->timeout_ms) {
        uint64_t due = uvt__after(s, o->timeout_ms);
        if (due < deadline) deadline = due;
    }
    sc->task = t;
    sc->outer = t->scope;
    sc->timer.next = NULL;
    sc->timer.fire = deadline_came;
    sc->deadline = deadline;
    sc->begun = begun;
    sc->token = NULL;
    sc->site = site;
    sc->magic = MAGIC;
    sc->sets = 0;
    sc->cancelled = sc->caught = false;
    sc->shield = o->shield;
    sc->reason.code = UVT_REASON_NONE;
    t->scope = sc;
    if (deadline != UVT_FOREVER) t->unarmed++;
    if (UNLIKELY(o->shield && (t->flags & TF_CANCELLED))) uvt__task_recheck(s, t);
    if (token && uvt__token_bind(sc, token))
        uvt__scope_fire(s, sc, (uvt_reason){ .code = UVT_REASON_TOKEN, .text = uvt_token_reason(token).text });
    return 0;
}

/* Takes the innermost scope off the task. */
static void unlink_scope(uvt__shard *s, uvt__task *t, uvt_scope_t *sc) {
    if (sc->timer.next) uvt__timer_disarm(s, &sc->timer);
    else if (pending(sc)) t->unarmed--;
    if (sc->token) uvt__token_unbind(sc);
    bool unshielded = sc->shield && sc->sets > 0; /* sets that the shield has kept a cancel from */
    if (UNLIKELY(sc->sets > 0)) uvt__sets_move_out(t, sc);
    t->scope = sc->outer;
    sc->task = NULL;
    sc->magic = 0;
    if (UNLIKELY(sc->shield || (t->flags & TF_CANCELLED))) uvt__task_recheck(s, t);
    if (UNLIKELY(unshielded)) uvt__task_sets_recheck(s, t);
}

int uvt_scope_end(uvt_scope_t *sc, int rc) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    uvt__task *t = s->current;
    if (UNLIKELY(!sc)) return UV_EINVAL;
    if (UNLIKELY(t->scope != sc)) {
        for (uvt_scope_t *x = t->scope; x; x = x->outer)
            UVT_ASSERT(x != sc, "uvt_scope_end on a scope that is not the innermost one");
        return UV_EINVAL;
    }
    bool own = sc->cancelled;
    unlink_scope(s, t, sc);
    if (rc != UV_ECANCELED || !own) return rc;
    if (!sc->shield && (t->flags & TF_CANCELLED)) return rc;
    sc->caught = true;
    return sc->reason.code == UVT_REASON_DEADLINE ? UV_ETIMEDOUT : rc;
}

#define NAMED 8 /* open scopes that a report names */
static _Thread_local const char *left_open[NAMED];

static __attribute__((noinline)) void report_open(uvt__shard *s, const uvt__task *t, unsigned n) {
    char text[200] = "";
    for (unsigned i = 0, len = 0; i < n && i < NAMED && len < sizeof text; i++)
        len += (unsigned)snprintf(text + len, sizeof text - len, "%s%s", i ? ", " : "", left_open[i]);
    uvt__report(s, "leak: task %s returned with a scope open (%s)", uvt__name(t), text);
}

/* The task's body has returned, or panicked, with scopes open: unlinks them, so that nothing points into frames that
 * are gone. What is called may overwrite those frames, so there is no text on the stack before the last is unlinked. */
bool uvt__scopes_drop(uvt__shard *s, uvt__task *t, bool report) {
    unsigned n = 0;
    for (uvt_scope_t *sc; (sc = t->scope) != NULL; n++) {
        UVT_ASSERT(sc->magic == MAGIC && sc->task == t, "a task returned with a scope open, and its memory was reused");
        if (n < NAMED) left_open[n] = sc->site + strlen(sc->site) + 1;
        unlink_scope(s, t, sc);
    }
    if (n > 0 && report) report_open(s, t, n);
    return n > 0;
}

static uvt__shard *shard_of_open(uvt_scope_t *sc) {
    uvt__shard *s = uvt__here();
    return s && sc && sc->task && sc->magic == MAGIC && sc->task->id >> TAG_SHIFT == s->tag >> TAG_SHIFT ? s : NULL;
}

int uvt_scope_cancel(uvt_scope_t *sc, const char *text) {
    uvt__shard *s = shard_of_open(sc);
    if (!s) return UV_EINVAL;
    uvt__scope_fire(s, sc, (uvt_reason){ .code = UVT_REASON_SCOPE, .text = text });
    return 0;
}

int uvt_scope_set_deadline(uvt_scope_t *sc, uint64_t deadline) {
    uvt__shard *s = shard_of_open(sc);
    if (!s || !valid_time(deadline)) return UV_EINVAL;
    if (sc->cancelled) return 0;
    uvt__task *t = sc->task;
    if (sc->timer.next) uvt__timer_disarm(s, &sc->timer);
    else if (pending(sc)) t->unarmed--;
    sc->deadline = deadline;
    sc->begun = 0;
    if (deadline == UVT_FOREVER) return 0;
    t->unarmed++;
    if (t->state == T_PARKED || t->state == T_READY) uvt__scopes_arm(s, t);
    return 0;
}

int uvt_scope_set_shield(uvt_scope_t *sc, bool shield) {
    uvt__shard *s = shard_of_open(sc);
    if (!s) return UV_EINVAL;
    if (sc->shield == shield) return 0;
    sc->shield = shield;
    uvt__task *t = sc->task;
    uvt__task_recheck(s, t);
    if (!shield) uvt__sets_recheck(s, sc);
    return 0;
}

bool uvt_scope_cancelled(const uvt_scope_t *sc) {
    return sc && sc->cancelled;
}

bool uvt_scope_caught(const uvt_scope_t *sc) {
    return sc && sc->caught;
}

/* ---- whole functions under a scope ---- */

static int under(const uvt_scope_options *o, uvt_fn fn, void *arg, const char *site) {
    uvt_scope_t sc;
    if (!fn) return UV_EINVAL;
    int rc = uvt_scope_begin_at(&sc, o, site);
    return rc < 0 ? rc : uvt_scope_end(&sc, fn(arg));
}

/* 0 is over at once, not "none". */
static int under_timeout(uint64_t ms, bool shield, uvt_fn fn, void *arg, const char *site) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    uvt_scope_options o = { .timeout_ms = ms, .deadline = ms ? 0 : uvt__now(s), .shield = shield };
    return under(&o, fn, arg, site);
}

int uvt_timeout(uint64_t ms, uvt_fn fn, void *arg) {
    return under_timeout(ms, false, fn, arg, UVT_SITE("uvt_timeout"));
}

int uvt_shielded(uint64_t grace_ms, uvt_fn fn, void *arg) {
    return under_timeout(grace_ms, true, fn, arg, UVT_SITE("uvt_shielded"));
}

int uvt_under_token(uvt_token_t *token, uvt_fn fn, void *arg) {
    if (!token || !fn) return UV_EINVAL;
    if (!uvt__current()) return UVT_ENOTASK;
    if (uvt_token_cancelled(token)) return UV_ECANCELED;
    return under(&(uvt_scope_options){ .token = token }, fn, arg, UVT_SITE("uvt_under_token"));
}

/* ---- questions ---- */

bool uvt_cancelled(void) {
    uvt__task *t = uvt__current();
    if (!t) return false;
    if (t->unarmed) uvt__scopes_arm(uvt__here(), t);
    return (t->flags & TF_CANCELLED) != 0;
}

uvt_reason uvt_cancel_reason(void) {
    uvt__task *t = uvt__current();
    return t ? uvt__reason_at(t, t->scope) : (uvt_reason){ .code = UVT_REASON_NONE };
}

uint64_t uvt_deadline(void) {
    uvt__task *t = uvt__current();
    uint64_t least = UVT_FOREVER;
    if (!t) return least;
    if (t->flags & TF_CANCELLED) return 0;
    for (uvt_scope_t *sc = t->scope; sc; sc = sc->outer) {
        if (sc->begun) settle(uvt__here(), sc);
        if (sc->deadline < least) least = sc->deadline;
        if (sc->shield) break;
    }
    return least;
}
