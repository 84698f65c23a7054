/* SPDX-License-Identifier: MIT
 *
 * What the model knows of all workers alike: who may have been cancelled, who waits for what, and whether those who
 * still wait when nothing moves have a reason to.
 */
#include "run.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uvtask/test.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_ullong stamps;

void model_lock(void) {
    pthread_mutex_lock(&lock);
}

void model_unlock(void) {
    pthread_mutex_unlock(&lock);
}

uint64_t stamp(void) {
    return atomic_fetch_add(&stamps, 1) + 1;
}

bool exact(void) {
    return run.p->shards == 1;
}

/* ---- parts of many kinds ---- */

bool always(struct slot *s) {
    (void)s;
    return true;
}

void must_succeed(struct slot *s, int rc) {
    if (rc != 0) wrong(s, rc);
}

bool repeated(const struct slot *s) {
    for (const struct slot *before = s->w->slot; before < s; before++)
        if (before->armed && before->kind == s->kind && before->thing == s->thing) return true;
    return false;
}

void ends_closed(struct thing *t, struct grip *g, unsigned ends) {
    t->senders -= (ends & ~g->closed & UVT_SEND) != 0;
    t->receivers -= (ends & ~g->closed & UVT_RECV) != 0;
    g->closed |= ends;
}

bool close_prepare(struct slot *s) {
    s->n &= UVT_BOTH;
    ends_closed(s->thing, grip(s), s->n);
    return s->n != 0;
}

/* On another shard one may have come again by now. */
void no_reader_done(struct slot *s, int rc) {
    if (rc == UV_ECANCELED || (rc == UVT_ECLOSED && (grip(s)->closed & UVT_SEND))) return;
    if (rc != 0 || (exact() && s->thing->receivers)) wrong(s, rc);
}

bool no_reader_possible(const struct slot *s) {
    return s->thing->receivers == 0 || (grip(s)->closed & UVT_SEND);
}

bool starved(int rc) {
    if (rc != UV_ENOMEM || !run.p->fail_at || !uvt_test_fail_hit()) return false;
    uvt_test_fail_alloc(0);
    return true;
}

/* ---- what is broken ---- */

void (*broken_hook)(void) = abort;

static void broken_end(void) {
    if (broken_hook != abort) program_print(stderr, run.p); /* else whoever catches the signal does it */
    fflush(stderr);
    broken_hook();
}

UVT_NORETURN void broken_at(const char *file, int line, const char *format, ...) {
    va_list args;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    broken_end();
    abort();
}

static void slot_print(const struct slot *s) {
    fprintf(stderr, "worker %u in ", s->w->index);
    if (s->w->op) {
        fprintf(stderr, "%d: ", (int)(s->w->op - s->w->plan->op));
        op_print(stderr, run.p, s->w->op);
    }
    fprintf(stderr, ": %s of thing %u", s->kind->name, s->thing->index);
}

UVT_NORETURN void broken_result(const char *file, int line, const struct slot *s, int rc) {
    fprintf(stderr, "%s:%d: ", file, line);
    slot_print(s);
    fprintf(stderr, " said %d %s\n", rc, rc < 0 ? uvt_err_name(rc) : "");
    broken_end();
    abort();
}

/* ---- ends, and cancels ---- */

static bool failed(const struct worker *w) {
    return w->status < 0 && w->status != UV_ECANCELED;
}

/* The failure may go up to those that succeed, and be that of a member somewhere. */
void returns(struct worker *w, int status) {
    w->leaving = true;
    w->status = status;
    for (struct worker *up = w; failed(w) && up; up = up->owner)
        if (up->member) up->owner->member_failed = true;
}

void has_ended(struct worker *w) {
    w->ended = true;
    if (w->member && failed(w)) w->owner->member_has = true;
}

static bool fails_fast(const struct worker *w) {
    return w->member && w->owner->plan->fail_fast;
}

bool perhaps_cancelled(const struct worker *w) {
    for (; w; w = w->owner)
        if (w->cancelling || (w->owner && w->owner->leaving) || (fails_fast(w) && w->owner->member_failed)) return true;
    return run.deadlocked;
}

bool surely_cancelled(const struct worker *w) {
    for (; w; w = w->owner)
        if (w->cancelled || (w->owner && w->owner->leaving) || (fails_fast(w) && w->owner->member_has)) return true;
    return run.deadlocked;
}

/* ---- who waits ---- */

const struct slot *next_waiting(const struct thing *t, const struct worker *but, const struct slot *after) {
    const struct worker *w = after ? after->w : run.worker;
    const struct slot *s = after ? after + 1 : w->slot;
    for (;; s++) {
        while (s >= w->slot + w->slots) {
            if (++w >= run.worker + run.p->workers) return NULL;
            s = w->slot;
        }
        if (s->armed && s->thing == t && w != but) return s;
    }
}

/* Its body has returned: children are what it waits for. */
static bool has_live_child(const struct worker *w) {
    for (unsigned i = 0; i < run.p->workers; i++)
        if (run.worker[i].owner == w && run.worker[i].known && !run.worker[i].ended) return true;
    return false;
}

/* It was told, or cancelled, and waits for the mutex to be free, which nothing can keep it from. */
static bool relocks(const struct worker *w) {
    return w->slot[0].armed && w->slot[0].kind == &kind_cond_wait && w->slot[0].thing->lock.writer;
}

static void check_waits(const struct worker *w) {
    const struct op *op = w->op;
    if (relocks(w)) return;
    if (op->wrap == WRAP_DEADLINE || op->wrap == WRAP_SHIELD)
        broken("worker %u: the deadline of its %d. has not come", w->index, (int)(op - w->plan->op));
    if (op->wrap == WRAP_TOKEN && run.thing[op->token].token.surely)
        broken("worker %u waits under a cancelled token", w->index);
    if (surely_cancelled(w)) broken("worker %u was cancelled and waits", w->index);
    for (unsigned i = 0; i < w->slots; i++) {
        const struct slot *s = &w->slot[i];
        if (!s->armed || (s->kind->possible && !s->kind->possible(s))) continue;
        fprintf(stderr, "this could go on and waits: ");
        slot_print(s);
        fprintf(stderr, "\n");
        broken("a wake-up was lost");
    }
}

unsigned check_stuck(void) {
    unsigned stuck = 0;
    for (unsigned i = 0; i < run.p->workers; i++) {
        const struct worker *w = &run.worker[i];
        if (!w->known || w->ended) continue;
        stuck++;
        if (!w->started) broken("worker %u has not begun", i);
        if (w->leaving ? !has_live_child(w) : !w->op) broken("worker %u does nothing and has not ended", i);
        if (!w->leaving) check_waits(w);
    }
    return stuck;
}
