/* SPDX-License-Identifier: MIT
 *
 * Cancellation: how a cancel spreads over the tree of tasks and sets, and whether it reaches a place.
 *
 * A task as a whole is cancelled through its base (abort, its owner's end, its set). Inside the task, scopes
 * nest: a call is cancelled when the innermost scopes, outward up to the first shield, or the base behind
 * them, are. The answer for the innermost place is kept in TF_CANCELLED. Children that a task spawned lie
 * under its base, not under its scopes; a set lies under the scope it was opened in.
 *
 * The walk is iterative (trees may be deep, stacks are small) and nothing in it changes the tree: a woken
 * task only gets into the ready queue.
 */
#include "core/core.h"

/* Whether a cancel reaches the code inside `from` (NULL: code outside of all scopes). */
bool uvt__scope_reached(const uvt__task *t, const uvt_scope_t *from) {
    for (const uvt_scope_t *sc = from; sc; sc = sc->outer) {
        if (sc->cancelled) return true;
        if (sc->shield) return false;
    }
    return (t->flags & TF_BASE_CANCELLED) != 0;
}

/* The reason of the outermost cancel that reaches it. */
uvt_reason uvt__reason_at(const uvt__task *t, const uvt_scope_t *from) {
    uvt_reason why = { .code = UVT_REASON_NONE };
    for (const uvt_scope_t *sc = from; sc; sc = sc->outer) {
        if (sc->cancelled) why = sc->reason;
        if (sc->shield) return why;
    }
    if (t->flags & TF_BASE_CANCELLED)
        why = (uvt_reason){ .code = (uvt_reason_code)t->reason_code, .text = t->reason_text };
    return why;
}

/* Brings the cancel to a task that is waiting. */
static void deliver(uvt__shard *s, uvt__task *t) {
    if (t->state == T_DELAYED) {
        uvt__timer_disarm(s, &t->timer);
        t->flags |= TF_SKIP;
        uvt__ready(s, t);
        return;
    }
    if (t->state != T_PARKED || !t->park || !t->park->abort || (t->flags & TF_ABORT_ASKED)) return;
    uvt_park_t *p = t->park;
    t->flags |= TF_ABORT_ASKED;
    if (p->abort(p) == UVT_ABORT_DONE) uvt_unpark(p, UV_ECANCELED);
}

/* After anything that may have changed what reaches the task's innermost place. */
void uvt__task_recheck(uvt__shard *s, uvt__task *t) {
    if (!uvt__scope_reached(t, t->scope)) {
        t->flags &= (uint16_t)~TF_CANCELLED;
        return;
    }
    t->flags |= TF_CANCELLED;
    deliver(s, t);
}

/* Marks one node; true when its children are to be visited, too. */
static bool visit(uvt__shard *s, uvt__node *n, uvt_reason why) {
    if (uvt__is_set(n)) {
        const uvt__node *up = uvt__owner(n);
        return !up || uvt__scope_reached(TASK_OF(up), SET_OF(n)->scope);
    }
    uvt__task *t = TASK_OF(n);
    if ((t->flags & TF_BASE_CANCELLED) || t->state == T_DONE) return false;
    if (UNLIKELY(t->state == T_SHARED)) s->withdraw(s, t);
    t->flags |= TF_BASE_CANCELLED;
    t->reason_code = (uint8_t)why.code;
    t->reason_text = why.text;
    if (t->flags & TF_STACKLESS) {
        t->behind->cancel(s, t);
        return false;
    }
    uvt__task_recheck(s, t);
    return true;
}

/* What a cancel is called one level further down. */
static uvt_reason inherited(uvt_reason why) {
    if (why.code != UVT_REASON_SHUTDOWN && why.code != UVT_REASON_DEADLOCK) why.code = UVT_REASON_OWNER;
    return why;
}

/* Visits everything below root; the direct members bear the reason itself. */
static void walk(uvt__shard *s, uvt__node *root, uvt_reason why) {
    bool descend = true;
    uvt_reason below = inherited(why);
    for (uvt__node *n = root;;) {
        if (descend && n->child) {
            n = n->child;
        } else {
            while (n != root && !n->next) n = uvt__owner(n);
            if (n == root) return;
            n = n->next;
        }
        descend = visit(s, n, uvt__owner(n) == root ? why : below);
    }
}

void uvt__cancel_task(uvt__shard *s, uvt__task *t, uvt_reason why) {
    if (visit(s, &t->node, why) && t->node.child) walk(s, &t->node, inherited(why));
}

/* Cancels what a node owns, not itself: a set's members; the children of a task that ends. For a task all
 * its sets go, too, whatever scope they were opened under. */
void uvt__cancel_children(uvt__shard *s, uvt__node *n, uvt_reason why) {
    if (uvt__is_set(n)) {
        walk(s, n, why);
        return;
    }
    for (uvt__node *c = n->child; c; c = c->next) {
        if (uvt__is_set(c)) walk(s, c, why);
        else uvt__cancel_task(s, TASK_OF(c), why);
    }
}

/* A scope is cancelled: its task if it is inside, and the sets that were opened inside. */
void uvt__scope_fire(uvt__shard *s, uvt_scope_t *sc, uvt_reason why) {
    uvt__task *t = sc->task;
    if (sc->cancelled) return;
    sc->cancelled = true;
    sc->reason = why;
    if (sc->timer.next) uvt__timer_disarm(s, &sc->timer);
    else if (sc->deadline != UVT_FOREVER) t->unarmed--;
    if (!(t->flags & TF_CANCELLED)) uvt__task_recheck(s, t);
    uvt__sets_recheck(s, sc);
}

static bool within(const uvt_scope_t *inner, const uvt_scope_t *sc) {
    while (inner && inner != sc) inner = inner->outer;
    return inner != NULL;
}

/* Cancels the sets that lie under a scope, or one inside it, if a cancel reaches them (now). */
void uvt__sets_recheck(uvt__shard *s, const uvt_scope_t *sc) {
    uint32_t left = sc->sets;
    uvt__task *t = sc->task;
    for (const uvt_scope_t *x = t->scope; x && x != sc; x = x->outer) left += x->sets;
    /* The newest children come first, so these sets do: there may be thousands of others behind them. */
    for (uvt__node *c = t->node.child; c && left > 0; c = c->next) {
        if (!uvt__is_set(c) || !within(SET_OF(c)->scope, sc)) continue;
        left--;
        if (uvt__scope_reached(t, SET_OF(c)->scope)) walk(s, c, uvt__reason_at(t, SET_OF(c)->scope));
    }
}

void uvt__task_sets_recheck(uvt__shard *s, uvt__task *t) {
    for (uvt__node *c = t->node.child; c; c = c->next)
        if (uvt__is_set(c) && uvt__scope_reached(t, SET_OF(c)->scope))
            walk(s, c, uvt__reason_at(t, SET_OF(c)->scope));
}

/* A scope ends before sets that lie under it: they come to lie under the next one. */
void uvt__sets_move_out(uvt__task *t, uvt_scope_t *sc) {
    if (sc->outer) sc->outer->sets += sc->sets;
    for (uvt__node *c = t->node.child; sc->sets > 0; c = c->next) {
        if (!uvt__is_set(c) || SET_OF(c)->scope != sc) continue;
        SET_OF(c)->scope = sc->outer;
        sc->sets--;
    }
}
