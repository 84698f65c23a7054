/* SPDX-License-Identifier: MIT
 *
 * What workers do beside streams, and an operation within its scope.
 */
#include "streams.h"

#include <uvtask/park.h>
#include <uvtask/test.h>

int do_nothing(struct worker *w, const struct op *op) {
    (void)w;
    (void)op;
    return 0;
}

int do_sleep(struct worker *w, const struct op *op) {
    int rc = uvt_sleep(op->a % 16);
    w->spent = 0;
    return rc;
}

int do_yield(struct worker *w, const struct op *op) {
    (void)op;
    int rc = uvt_yield();
    w->spent = 0;
    return rc;
}

/* So that the next call yields at its beginning. */
int do_spend(struct worker *w, const struct op *op) {
    int rc = 0;
    w->spent = 128;
    for (unsigned i = 0; rc == 0 && i < 120u + op->b % 10; i++) rc = uvt_checkpoint();
    return rc;
}

int do_abort(struct worker *w, const struct op *op) {
    struct worker *other = &run.worker[op->a % run.p->workers];
    model_lock();
    bool may = other->task.id != 0 && !other->ended && other != w && w->shard == 0 && op->b % 2;
    uvt_task_t t = other->task;
    if (may) other->cancelling = true;
    model_unlock();
    if (may) HOLDS(uvt_abort(t) == 0);
    return 0;
}

int do_token_cancel(struct worker *w, const struct op *op) {
    (void)w;
    if (op->b % 2) return 0;
    model_lock();
    run.token_cancelled = true;
    model_unlock();
    HOLDS(uvt_token_cancel(run.token, NULL) == 0);
    return 0;
}

static int goes_by(void *arg) {
    (void)arg;
    return uvt_yield();
}

/* So many that are ready together that others have to wait for the poll, and what is closed goes before they run. */
int do_crowd(struct worker *w, const struct op *op) {
    uvt_set_t set;
    (void)w;
    int rc = uvt_set_open(&set, &(uvt_set_options){ .discard = true });
    if (rc < 0) return injected(rc) ? 0 : rc;
    for (unsigned i = 0; i < 200u + op->b; i++) {
        rc = uvt_set_spawn(&set, goes_by, NULL);
        if (rc < 0 && !injected(rc)) broken("spawn said %s", uvt_err_name(rc));
    }
    rc = uvt_yield();
    int closed = uvt_set_close(&set);
    if (closed < 0 && closed != UV_ECANCELED && !injected(closed)) broken("set_close said %s", uvt_err_name(closed));
    return rc;
}

static int (*const performers[])(struct worker *w, const struct op *op) = {
#define X(name, often) do_##name,
    KINDS(X)
#undef X
};

/* With the lock held: a cancel needs a cause. */
static void check_cancel(const struct worker *w, const struct op *op, int inner, int outer) {
    if (inner == UV_ECANCELED && !perhaps_cancelled(w))
        broken("worker %u: its %d. was cancelled for nothing", w->index, (int)(op - w->plan->op));
    if (outer != inner && !(inner == UV_ECANCELED && outer == UV_ETIMEDOUT))
        broken("worker %u: a scope made %s of %s", w->index, uvt_err_name(outer), uvt_err_name(inner));
}

/* False: there is no scope to be around it, or no memory for one. */
static bool wrap(uvt_scope_t *scope, const struct op *op) {
    uvt_scope_options o = { .shield = op->wrap == WRAP_SHIELD };
    if (op->wrap == WRAP_NONE) return false;
    if (op->wrap == WRAP_DEADLINE || op->wrap == WRAP_SHIELD) o.deadline = uvt_now() + op->ms;
    if (op->wrap == WRAP_TOKEN) o.token = run.token;
    int rc = uvt_scope_begin(scope, &o);
    HOLDS(rc == 0 || injected(rc));
    return rc == 0;
}

int op_perform(struct worker *w, const struct op *op) {
    uvt_scope_t scope;
    model_lock();
    w->since = uvt_now();
    w->op = op;
    model_unlock();
    bool wrapped = wrap(&scope, op);
    int inner = wrapped || op->wrap == WRAP_NONE ? performers[op->kind](w, op) : 0;
    int outer = wrapped ? uvt_scope_end(&scope, inner) : inner;
    model_lock();
    check_cancel(w, op, inner, outer);
    w->op = NULL;
    model_unlock();
    return outer;
}
