/* SPDX-License-Identifier: MIT
 *
 * The lock for readers and writers: a count, a writer, and one line for both. Whoever comes gets in only when nobody is
 * in line; whoever leaves, also the line, lets in from its head as many as may be in together. The writer is on its
 * task's list of what is given back at the end, in the way the mutex's owner is (mutex.c): by its own thread.
 */
#include "sync/line.h"

enum { READ, WRITE }; /* a wait's n */

static int close_held(uvt__res *r);

int uvt_rwlock_init_at(uvt_rwlock_t *rw, unsigned readers, const char *site) {
    uvt__shard *here = uvt__here();
    if (!here) return UVT_ENOTASK;
    if (!rw || !site || readers > INT32_MAX) return UV_EINVAL;
    *rw = (uvt_rwlock_t){ .line.gid = here->gid, .held = { .site = site, .close = close_held } };
    rw->limit = readers ? readers : INT32_MAX;
    return 0;
}

/* ---- with the lock held ---- */

/* Whether one more may be in with those that are. */
static bool fits(const uvt_rwlock_t *rw, uint64_t kind) {
    return !rw->held.owner && (kind == WRITE ? rw->readers == 0 : rw->readers < rw->limit);
}

static void let_in(uvt_rwlock_t *rw) {
    uvt__line_t *l = &rw->line;
    while (l->waits.head && fits(rw, l->waits.head->n)) {
        uvt__wait *w = l->waits.head;
        l->waiting--;
        if (!uvt__wait_claim(&l->waits, w)) continue;
        if (w->n == WRITE) rw->held.owner = w->slot;
        else rw->readers++;
        uvt__wait_wake(&l->waits, w, 0);
    }
}

/* What a lock would say now: UV_EBUSY when it has to wait. */
static int look(const uvt_rwlock_t *rw, const uvt__task *t, uint64_t kind) {
    if (rw->held.owner == t) return UVT_EDEADLK;
    return !rw->line.waits.head && fits(rw, kind) ? 0 : UV_EBUSY;
}

static int take(uvt_rwlock_t *rw, uvt__task *t, uint64_t kind) {
    int rc = look(rw, t, kind);
    if (rc < 0) return rc;
    if (kind == READ) {
        rw->readers++;
    } else {
        rw->held.owner = t;
        uvt__res_link(&rw->held, t);
    }
    return 0;
}

static void join(uvt_rwlock_t *rw, uvt__wait *w, uvt__shard *here, uint64_t kind) {
    w->n = kind;
    w->slot = here->current; /* the writer to be */
    uvt__line_join(&rw->line, w, here);
}

static int leave(uvt_rwlock_t *rw, uvt__wait *w) {
    int left = uvt__line_leave(&rw->line, w);
    if (left == UVT_ABORT_DONE) let_in(rw); /* it may have been a writer that held readers back */
    return left;
}

/* ---- locking ---- */

static int wait_abort(uvt_park_t *p) {
    uvt_rwlock_t *rw = (uvt_rwlock_t *)p->object;
    uvt__lock(rw);
    int left = leave(rw, CONTAINER_OF(p, uvt__wait, park));
    uvt__unlock(rw);
    return left;
}

static int lock(uvt_rwlock_t *rw, uint64_t kind) {
    uvt__shard *here = uvt__here();
    int rc = uvt__line_check_task(here, rw);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(here);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__wait w;
    uvt__lock(rw);
    rc = take(rw, here->current, kind);
    w.choice = NULL;
    if (rc == UV_EBUSY) join(rw, &w, here, kind);
    uvt__unlock(rw);
    if (LIKELY(rc != UV_EBUSY)) return rc;
    rc = uvt__line_park(&rw->line, &w, kind == WRITE ? "write lock" : "read lock", wait_abort);
    if (rc == 0 && kind == WRITE) uvt__res_link(&rw->held, here->current);
    return rc;
}

static int try_lock(uvt_rwlock_t *rw, uint64_t kind) {
    uvt__shard *here = uvt__here();
    int rc = uvt__line_check_task(here, rw);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__lock(rw);
    rc = take(rw, here->current, kind);
    uvt__unlock(rw);
    return rc;
}

int uvt_rwlock_read_lock(uvt_rwlock_t *rw) {
    return lock(rw, READ);
}

int uvt_rwlock_write_lock(uvt_rwlock_t *rw) {
    return lock(rw, WRITE);
}

int uvt_rwlock_try_read_lock(uvt_rwlock_t *rw) {
    return try_lock(rw, READ);
}

int uvt_rwlock_try_write_lock(uvt_rwlock_t *rw) {
    return try_lock(rw, WRITE);
}

/* ---- unlocking ---- */

int uvt_rwlock_read_unlock(uvt_rwlock_t *rw) {
    int rc = uvt__line_check_task(uvt__here(), rw);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__lock(rw);
    if (rw->readers > 0) {
        rw->readers--;
        let_in(rw);
    } else {
        rc = UV_EPERM;
    }
    uvt__unlock(rw);
    return rc;
}

/* The writer lets go, and stays as so many readers. */
static int end_writing(uvt_rwlock_t *rw, unsigned readers) {
    uvt__shard *here = uvt__here();
    int rc = uvt__line_check_task(here, rw);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__lock(rw);
    if (rw->held.owner == here->current) {
        uvt__res_unlink(&rw->held, here->current);
        rw->held.owner = NULL;
        rw->readers = readers;
        let_in(rw);
    } else {
        rc = UV_EPERM;
    }
    uvt__unlock(rw);
    return rc;
}

int uvt_rwlock_write_unlock(uvt_rwlock_t *rw) {
    return end_writing(rw, 0);
}

int uvt_rwlock_downgrade(uvt_rwlock_t *rw) {
    return end_writing(rw, 1);
}

/* The writer ends. */
static int close_held(uvt__res *r) {
    uvt__res_report(r, "still held");
    return end_writing(CONTAINER_OF(r, uvt_rwlock_t, held), 0);
}

/* ---- looking ---- */

uvt_task_t uvt_rwlock_writer(const uvt_rwlock_t *rw) {
    if (!rw) return (uvt_task_t){ NULL, 0 };
    uvt__lock(rw);
    uvt_task_t writer = uvt__line_owner(&rw->held);
    uvt__unlock(rw);
    return writer;
}

unsigned uvt_rwlock_readers(const uvt_rwlock_t *rw) {
    if (!rw) return 0;
    uvt__lock(rw);
    unsigned n = rw->readers;
    uvt__unlock(rw);
    return n;
}

unsigned uvt_rwlock_waiting(const uvt_rwlock_t *rw) {
    return uvt__line_waiting(rw);
}

/* ---- as cases of a select; a case's n is the kind ---- */

static int case_attempt(uvt_case_t *c) {
    int rc = try_lock(c->object, c->n);
    return rc == UV_EBUSY ? UV_EAGAIN : rc;
}

static int case_hook(uvt__part *p) {
    uvt_rwlock_t *rw = p->c->object;
    uvt__shard *here = uvt__here();
    uvt__lock(rw);
    bool waits = look(rw, here->current, p->c->n) == UV_EBUSY;
    if (waits) join(rw, &p->wait, here, p->c->n);
    uvt__unlock(rw);
    return waits ? 0 : UV_EAGAIN;
}

static int case_finish(uvt__part *p, int rc) {
    uvt_rwlock_t *rw = p->c->object;
    if (p->c->n == WRITE) uvt__res_link(&rw->held, uvt__current());
    return rc;
}

static void case_unhook(uvt__part *p) {
    uvt_rwlock_t *rw = p->c->object;
    uvt__lock(rw);
    leave(rw, &p->wait);
    uvt__unlock(rw);
}

static const uvt__kind kind = { false, case_attempt, case_hook, case_finish, case_unhook };

uvt_case_t uvt_case_read_lock(uvt_rwlock_t *rw) {
    return (uvt_case_t){ .kind = &kind, .object = rw, .n = READ };
}

uvt_case_t uvt_case_write_lock(uvt_rwlock_t *rw) {
    return (uvt_case_t){ .kind = &kind, .object = rw, .n = WRITE };
}
