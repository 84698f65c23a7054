/* SPDX-License-Identifier: MIT
 *
 * Mutexes, each with a condition, and locks of readers and writers. Who holds what never overlaps; who waits for a lock
 * when nothing moves waits for somebody who has it; who waits for a signal was not meant by one (told.c).
 */
#include "run.h"

/* ---- mutexes ---- */

static int mutex_open(struct thing *t) {
    int rc = uvt_cond_init(&t->lock.cond);
    return rc < 0 ? rc : uvt_mutex_init(&t->lock.mutex);
}

static int lock_call(struct slot *s) {
    return uvt_mutex_lock(&s->thing->lock.mutex);
}

static uvt_case_t lock_case(struct slot *s) {
    return uvt_case_lock(&s->thing->lock.mutex);
}

static void lock_done(struct slot *s, int rc) {
    struct thing *t = s->thing;
    if (rc == UV_ECANCELED || (rc == UVT_EDEADLK && t->lock.writer == s->w)) return;
    if (rc != 0) wrong(s, rc);
    if (t->lock.writer) broken("mutex%u: workers %u and %u have it", t->index, t->lock.writer->index, s->w->index);
    t->lock.writer = s->w;
}

static bool lock_possible(const struct slot *s) {
    return !s->thing->lock.writer || s->thing->lock.writer == s->w;
}

static int try_lock_call(struct slot *s) {
    return uvt_mutex_try_lock(&s->thing->lock.mutex);
}

static void try_lock_done(struct slot *s, int rc) {
    if (rc != UV_EBUSY) lock_done(s, rc);
    else if (exact() && !s->thing->lock.writer && !next_waiting(s->thing, s->w, NULL)) wrong(s, rc);
}

/* One that it does not have is refused. */
static bool unlock_prepare(struct slot *s) {
    bool own = s->thing->lock.writer == s->w;
    if (own) s->thing->lock.writer = NULL;
    s->n = own;
    return true;
}

static int unlock_call(struct slot *s) {
    return uvt_mutex_unlock(&s->thing->lock.mutex);
}

static void unlock_done(struct slot *s, int rc) {
    if (s->n ? rc != 0 : rc != UV_EPERM) wrong(s, rc);
}

static void mutex_leave(struct worker *w, struct thing *t) {
    model_lock();
    bool own = t->lock.writer == w;
    if (own) t->lock.writer = NULL;
    model_unlock();
    if (own) HOLDS(uvt_mutex_unlock(&t->lock.mutex) == 0);
}

static void mutex_close(struct thing *t) {
    HOLDS(uvt_mutex_waiting(&t->lock.mutex) == 0 && uvt_cond_waiting(&t->lock.cond) == 0);
    HOLDS(uvt_mutex_try_lock(&t->lock.mutex) == 0 && uvt_mutex_unlock(&t->lock.mutex) == 0);
}

const struct type type_mutex = { "mutex", mutex_open, mutex_leave, mutex_close };
const struct kind kind_lock = { "lock", always, lock_call, lock_case, lock_done, lock_possible };
const struct kind kind_try_lock = { "try_lock", always, try_lock_call, NULL, try_lock_done, NULL };
const struct kind kind_unlock = { "unlock", unlock_prepare, unlock_call, NULL, unlock_done, NULL };

/* ---- conditions ---- */

/* Getting the mutex again cannot be cancelled, and neither can waiting for the end of a child: a worker whose owner may
 * have the mutex meanwhile must not. */
static bool cond_wait_prepare(struct slot *s) {
    return !s->w->owner && unlock_prepare(s);
}

/* It has the mutex afterwards, whatever it says. */
static int cond_wait_call(struct slot *s) {
    return uvt_cond_wait(&s->thing->lock.cond, &s->thing->lock.mutex);
}

static void cond_wait_done(struct slot *s, int rc) {
    if (s->n == 0) {
        if (rc != UV_EPERM) wrong(s, rc);
        return;
    }
    lock_done(s, 0);
    if (rc == 0) hears(s);
    else if (rc != UV_ECANCELED) wrong(s, rc);
}

/* While somebody has the mutex it may be that it was told, or cancelled, and waits for that. */
static bool cond_wait_possible(const struct slot *s) {
    return !s->thing->lock.writer && was_told(s);
}

static bool cond_signal_prepare(struct slot *s) {
    tells(s, TOLD_ONE);
    return true;
}

static int cond_signal_call(struct slot *s) {
    return uvt_cond_signal(&s->thing->lock.cond);
}

static bool cond_broadcast_prepare(struct slot *s) {
    tells(s, TOLD_ALL);
    return true;
}

static int cond_broadcast_call(struct slot *s) {
    return uvt_cond_broadcast(&s->thing->lock.cond);
}

const struct kind kind_cond_wait = {
    "cond_wait", cond_wait_prepare, cond_wait_call, NULL, cond_wait_done, cond_wait_possible
};
const struct kind kind_cond_signal = { "cond_signal", cond_signal_prepare, cond_signal_call, NULL, must_succeed, NULL };
const struct kind kind_cond_broadcast = {
    "cond_broadcast", cond_broadcast_prepare, cond_broadcast_call, NULL, must_succeed, NULL
};

/* ---- readers and writers ---- */

static int rwlock_open(struct thing *t) {
    t->n %= 3; /* limit of readers; 0 none */
    return uvt_rwlock_init(&t->lock.rw, t->n);
}

/* Again by one that has it would be misuse, or wait for itself. */
static bool rw_prepare(struct slot *s) {
    return s->thing->lock.writer != s->w && grip(s)->held == 0;
}

static int read_call(struct slot *s) {
    return uvt_rwlock_read_lock(&s->thing->lock.rw);
}

static uvt_case_t read_case(struct slot *s) {
    return uvt_case_read_lock(&s->thing->lock.rw);
}

static void read_done(struct slot *s, int rc) {
    struct thing *t = s->thing;
    if (rc == UV_ECANCELED) return;
    if (rc != 0) wrong(s, rc);
    if (t->lock.writer || (t->n && t->lock.readers >= t->n)) broken("rwlock%u: one reader too many", t->index);
    t->lock.readers++;
    grip(s)->held++;
}

static int write_call(struct slot *s) {
    return uvt_rwlock_write_lock(&s->thing->lock.rw);
}

static uvt_case_t write_case(struct slot *s) {
    return uvt_case_write_lock(&s->thing->lock.rw);
}

static void write_done(struct slot *s, int rc) {
    struct thing *t = s->thing;
    if (rc == UV_ECANCELED) return;
    if (rc != 0) wrong(s, rc);
    if (t->lock.writer || t->lock.readers) broken("rwlock%u: a writer beside others", t->index);
    t->lock.writer = s->w;
}

static bool write_possible(const struct slot *s) {
    return !s->thing->lock.writer && s->thing->lock.readers == 0;
}

static bool read_possible(const struct slot *s) {
    struct thing *t = s->thing;
    for (const struct slot *o = next_waiting(t, NULL, NULL); o; o = next_waiting(t, NULL, o))
        if (o->kind == &kind_write_lock) return write_possible(s); /* it may be behind a writer */
    return !t->lock.writer && (t->n == 0 || t->lock.readers < t->n);
}

static int try_read_call(struct slot *s) {
    return uvt_rwlock_try_read_lock(&s->thing->lock.rw);
}

static void try_read_done(struct slot *s, int rc) {
    if (rc != UV_EBUSY) read_done(s, rc);
    else if (exact() && read_possible(s) && !next_waiting(s->thing, s->w, NULL)) wrong(s, rc);
}

static int try_write_call(struct slot *s) {
    return uvt_rwlock_try_write_lock(&s->thing->lock.rw);
}

static void try_write_done(struct slot *s, int rc) {
    if (rc != UV_EBUSY) write_done(s, rc);
    else if (exact() && write_possible(s) && !next_waiting(s->thing, s->w, NULL)) wrong(s, rc);
}

static bool rw_give_back(struct worker *w, struct thing *t, bool *writes) {
    struct grip *g = &w->grip[t->index];
    *writes = t->lock.writer == w;
    if (*writes) t->lock.writer = NULL;
    else if (g->held) {
        g->held--;
        t->lock.readers--;
    } else return false;
    return true;
}

static bool rw_unlock_prepare(struct slot *s) {
    bool writes, some = rw_give_back(s->w, s->thing, &writes);
    s->n = writes;
    return some;
}

static int rw_unlock_call(struct slot *s) {
    return s->n ? uvt_rwlock_write_unlock(&s->thing->lock.rw) : uvt_rwlock_read_unlock(&s->thing->lock.rw);
}

static bool downgrade_prepare(struct slot *s) {
    if (s->thing->lock.writer != s->w) return false;
    s->thing->lock.writer = NULL; /* others may read before the call has returned */
    s->thing->lock.readers++;
    grip(s)->held++;
    return true;
}

static int downgrade_call(struct slot *s) {
    return uvt_rwlock_downgrade(&s->thing->lock.rw);
}

static void rwlock_leave(struct worker *w, struct thing *t) {
    bool writes;
    model_lock();
    bool some = rw_give_back(w, t, &writes);
    model_unlock();
    if (some) HOLDS((writes ? uvt_rwlock_write_unlock(&t->lock.rw) : uvt_rwlock_read_unlock(&t->lock.rw)) == 0);
}

static void rwlock_close(struct thing *t) {
    HOLDS(uvt_rwlock_waiting(&t->lock.rw) == 0 && uvt_rwlock_readers(&t->lock.rw) == 0);
    HOLDS(uvt_rwlock_try_write_lock(&t->lock.rw) == 0 && uvt_rwlock_write_unlock(&t->lock.rw) == 0);
}

const struct type type_rwlock = { "rwlock", rwlock_open, rwlock_leave, rwlock_close };
const struct kind kind_read_lock = { "read_lock", rw_prepare, read_call, read_case, read_done, read_possible };
const struct kind kind_write_lock = { "write_lock", rw_prepare, write_call, write_case, write_done, write_possible };
const struct kind kind_try_read_lock = { "try_read_lock", rw_prepare, try_read_call, NULL, try_read_done, NULL };
const struct kind kind_try_write_lock = { "try_write_lock", rw_prepare, try_write_call, NULL, try_write_done, NULL };
const struct kind kind_rw_unlock = { "rw_unlock", rw_unlock_prepare, rw_unlock_call, NULL, must_succeed, NULL };
const struct kind kind_downgrade = { "downgrade", downgrade_prepare, downgrade_call, NULL, must_succeed, NULL };
