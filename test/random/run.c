/* SPDX-License-Identifier: MIT
 *
 * Runs a program: the main task makes the objects, spawns the workers, looks after them, and checks what is left.
 */
#include "run.h"

#include <string.h>
#include <uvtask/test.h>

enum { AN_HOUR = 3600000 }; /* longer than all a program's sleeps and deadlines together */

struct run run;

/* ---- one operation ---- */

static void arm(struct worker *w, const struct op *op) {
    w->slots = op->cases ? op->cases : 1;
    for (unsigned i = 0; i < w->slots; i++) {
        const struct act *a = &op->acts[i];
        struct slot *s = &w->slot[i];
        memset(s, 0, sizeof *s);
        s->w = w;
        s->kind = kinds[a->kind];
        s->thing = &run.thing[a->thing];
        s->n = a->n;
        s->since = uvt_now();
        s->began = stamp();
        s->armed = s->kind->prepare(s);
    }
}

static bool any_armed(const struct worker *w) {
    for (unsigned i = 0; i < w->slots; i++)
        if (w->slot[i].armed) return true;
    return false;
}

/* Returns the code of the select, or of the call; *taken is the slot that this is the result of. */
static int call(struct worker *w, const struct op *op, int *taken, int *result) {
    *taken = 0;
    if (!op->cases) return *result = w->slot[0].kind->call(&w->slot[0]);
    uvt_case_t cases[CASES];
    for (unsigned i = 0; i < op->cases; i++) {
        cases[i] = w->slot[i].armed ? w->slot[i].kind->as_case(&w->slot[i]) : (uvt_case_t){ 0 };
        if (!w->slot[i].armed) cases[i].disabled = true;
    }
    unsigned flags = op->biased ? UVT_SELECT_BIASED : 0;
    int rc = op->tries ? uvt_try_select(cases, op->cases, flags) : uvt_select(cases, op->cases, flags);
    *taken = rc;
    *result = rc >= 0 ? cases[rc].result : UV_ECANCELED;
    if (rc >= op->cases || (rc >= 0 && !w->slot[rc].armed)) broken("worker %u: select took case %d", w->index, rc);
    if (rc < 0 && rc != UV_ECANCELED && !(op->tries && rc == UV_EAGAIN))
        broken("worker %u: select said %s", w->index, uvt_err_name(rc));
    return rc < 0 ? rc : *result;
}

/* With the lock held: a cancel needs a cause. */
static void check_cancel(const struct worker *w, const struct op *op, int inner, int outer) {
    bool deadline = op->wrap == WRAP_DEADLINE || op->wrap == WRAP_SHIELD;
    bool late = deadline && uvt_now() >= w->op_since + op->ms;
    bool token = op->wrap == WRAP_TOKEN && run.thing[op->token].token.perhaps;
    bool outside = (op->wrap != WRAP_SHIELD && perhaps_cancelled(w)) || run.deadlocked;
    if (inner == UV_ECANCELED && !late && !token && !outside)
        broken("worker %u: its %d. was cancelled for nothing", w->index, (int)(op - w->plan->op));
    if (outer == UV_ETIMEDOUT && !late) broken("worker %u: its %d. was out of time too early", w->index,
                                               (int)(op - w->plan->op));
    if (outer == UV_ECANCELED && inner != UV_ECANCELED) broken("worker %u: a scope made up a cancel", w->index);
    if (inner == UV_ECANCELED && !token && !outside && outer != UV_ETIMEDOUT)
        broken("worker %u: its %d. was out of time and the scope said %s", w->index, (int)(op - w->plan->op),
               uvt_err_name(outer));
}

static void scope_begin(uvt_scope_t *scope, const uvt_scope_options *o) {
    int rc = uvt_scope_begin(scope, o);
    if (starved(rc)) rc = uvt_scope_begin(scope, o); /* another shard's token takes memory */
    HOLDS(rc == 0);
}

static int perform(struct worker *w, const struct op *op) {
    uvt_scope_t scope;
    uvt_scope_options o = { 0 };
    o.shield = op->wrap == WRAP_SHIELD;
    if (op->wrap == WRAP_DEADLINE || op->wrap == WRAP_SHIELD) o.deadline = uvt_now() + op->ms;
    if (op->wrap == WRAP_TOKEN) o.token = run.thing[op->token].token.it;

    model_lock();
    w->op = op;
    w->op_since = uvt_now();
    arm(w, op);
    bool some = any_armed(w);
    if (!some) w->op = NULL;
    model_unlock();
    if (!some) return 0;

    if (op->wrap) scope_begin(&scope, &o);
    int taken, result;
    int rc = call(w, op, &taken, &result);
    int outer = op->wrap ? uvt_scope_end(&scope, rc) : rc;

    model_lock();
    for (unsigned i = 0; i < w->slots; i++) {
        struct slot *s = &w->slot[i];
        if (!s->armed) continue;
        s->kind->done(s, (int)i == taken ? result : UV_ECANCELED);
        s->armed = false;
    }
    check_cancel(w, op, rc, outer);
    w->op = NULL;
    w->slots = 0;
    model_unlock();
    return outer;
}

/* ---- workers ---- */

/* Runs however the worker has ended, and when its children have. */
static void worker_leaves(void *arg) {
    struct worker *w = arg;
    model_lock();
    w->leaving = true;
    w->op = NULL;
    w->slots = 0;
    model_unlock();
    for (unsigned i = 0; i < run.p->things; i++)
        if (run.thing[i].type->leave) run.thing[i].type->leave(w, &run.thing[i]);
    model_lock();
    has_ended(w);
    model_unlock();
}

/* Of a set's members no more live than it has room for. */
static void check_crowd(const struct worker *w) {
    unsigned live = 0;
    if (!w->member || w->owner->plan->limit == 0) return;
    for (unsigned i = 0; i < run.p->workers; i++) {
        const struct worker *m = &run.worker[i];
        live += m->owner == w->owner && m->member && m->started && !m->ended;
    }
    if (live > w->owner->plan->limit) broken("the set of worker %u has %u members", w->owner->index, live);
}

int worker_body(void *arg) {
    struct worker *w = arg;
    int rc = 0, status = w->plan->fails ? UV_EIO : 100 + (int)w->index;
    model_lock();
    if (w->started) broken("worker %u begins again", w->index);
    w->started = true;
    check_crowd(w);
    model_unlock();
    rc = uvt_defer(worker_leaves, w);
    if (starved(rc)) rc = uvt_defer(worker_leaves, w);
    HOLDS(rc == 0);
    for (unsigned i = 0; i < w->plan->ops && status != UV_ECANCELED; i++) {
        rc = perform(w, &w->plan->op[i]);
        if (rc == UV_ECANCELED && !w->plan->stubborn && uvt_cancelled()) status = UV_ECANCELED;
    }
    model_lock();
    returns(w, status);
    model_unlock();
    return status;
}

/* It will never run. */
void worker_dropped(void *arg) {
    struct worker *w = arg;
    model_lock();
    if (w->started || !starved(UV_ENOMEM)) broken("worker %u did not run", w->index);
    w->started = true;
    returns(w, UV_ENOMEM);
    has_ended(w);
    model_unlock();
}

/* ---- the main task ---- */

static void objects_open(void) {
    for (unsigned i = 0; i < run.p->things; i++) {
        struct thing *t = &run.thing[i];
        t->index = i;
        t->n = run.p->thing[i].n;
        t->type = types[run.p->thing[i].type];
        if (t->type->open) HOLDS(t->type->open(t) == 0);
    }
}

static void objects_close(void *arg) {
    (void)arg;
    uvt_test_fail_alloc(0);
    for (unsigned i = 0; i < run.p->workers; i++)
        if (run.worker[i].known && !run.worker[i].ended) broken("worker %u has outlived its owner", i);
    for (unsigned i = 0; i < run.p->things; i++)
        if (run.thing[i].type->close) run.thing[i].type->close(&run.thing[i]);
}

static void spawn_starters(void) {
    for (unsigned i = 0; i < run.p->workers; i++) {
        struct worker *w = &run.worker[i];
        w->index = i;
        w->plan = &run.p->plan[i];
    }
    for (unsigned i = 0; i < run.p->workers; i++) {
        struct worker *w = &run.worker[i];
        uvt_task_t task;
        model_lock();
        bool starts = w->plan->starts && !w->claimed;
        if (starts) w->claimed = true;
        model_unlock();
        if (!starts) continue;
        uvt_task_options options = worker_options(w);
        HOLDS(uvt_spawn_opts(&task, worker_body, w, &options) == 0);
        model_lock();
        w->task = task;
        w->known = true;
        model_unlock();
    }
}

static bool is_ours(const struct worker *w) {
    model_lock();
    bool ours = w->known && !w->owner;
    model_unlock();
    return ours;
}

static int join_all(void) {
    uvt_result r;
    for (unsigned i = 0; i < run.p->workers; i++) {
        struct worker *w = &run.worker[i];
        if (!is_ours(w)) continue;
        int rc = uvt_join(w->task, &r);
        if (rc == UV_ECANCELED) return rc;
        HOLDS(rc == 0);
        model_lock();
        check_result(w, &r);
        model_unlock();
    }
    return 0;
}

static void cancel_all(void) {
    model_lock();
    for (unsigned i = 0; i < run.p->workers; i++)
        if (!run.worker[i].owner) run.worker[i].cancelling = true;
    model_unlock();
    for (unsigned i = 0; i < run.p->workers; i++)
        if (is_ours(&run.worker[i])) HOLDS(uvt_abort(run.worker[i].task) == 0);
}

static int main_task(void *arg) {
    (void)arg;
    HOLDS(uvt_defer(objects_close, NULL) == 0);
    objects_open();
    spawn_starters();
    uvt_test_fail_alloc(run.p->fail_at);
    if (!run.p->unwatched) {
        HOLDS(uvt_sleep(AN_HOUR) == 0);
        model_lock();
        check_stuck();
        model_unlock();
        cancel_all();
    }
    int rc = join_all();
    if (rc < 0 && !run.deadlocked) broken("the main task was cancelled");
    return rc;
}

/* ---- the run ---- */

/* The first report of a deadlock comes before anything is cancelled for it. */
static void on_report(void *arg, const char *text) {
    (void)arg;
    model_lock();
    if (!run.deadlocked && strstr(text, "deadlock")) {
        if (!run.p->unwatched) broken("a deadlock, while the main task sleeps: %s", text);
        if (check_stuck() == 0) broken("a deadlock of nobody");
        run.deadlocked = true;
    }
    if (strncmp(text, "leak", 4) == 0 || strstr(text, "straggler")) broken("reported: %s", text);
    model_unlock();
}

void program_run(const struct program *p) {
    memset(&run, 0, sizeof run);
    run.p = p;
    size_t blocks = uvt_test_live_blocks();
    uvt_options o = { .shards = p->shards, .seed = p->shuffle, .report = on_report };
    int rc = uvt_test_run(main_task, NULL, &o);
    if (rc != (run.deadlocked ? UVT_EDEADLK : 0)) broken("the runtime said %d %s", rc, uvt_err_name(rc));
    if (uvt_test_live_blocks() != blocks)
        broken("memory is left: %d blocks", (int)(uvt_test_live_blocks() - blocks));
}

void program_run_number(uint64_t number) {
    static struct program p;
    program_of(&p, number);
    program_run(&p);
}
