/* SPDX-License-Identifier: MIT
 *
 * The semaphore: a count and a queue. Permits go to the oldest waiter or, when nobody waits, into the
 * count; while anybody waits, newcomers queue up behind. The waiters' records lie on their tasks' stacks.
 * Where the runtime has several shards everything but `gid`, which never changes, is under the object's lock.
 */
#include "sync/select.h"

#define NO_LIMIT INT32_MAX

int uvt_semaphore_init(uvt_semaphore_t *s, unsigned permits, unsigned limit) {
    uvt__shard *here = uvt__here();
    if (!here) return UVT_ENOTASK;
    if (!s || limit > NO_LIMIT || permits > (limit ? limit : NO_LIMIT)) return UV_EINVAL;
    *s = (uvt_semaphore_t){ .available = permits, .limit = limit ? limit : NO_LIMIT, .bounded = limit > 0 };
    s->gid = here->gid;
    return 0;
}

static uvt__waits *queue(uvt_semaphore_t *s) {
    return (uvt__waits *)&s->waiters;
}

/* The oldest waiter, if there is enough for it. A select that asks twice holds nobody back with its bigger request but
 * those behind it, not its own smaller one. */
static uvt__wait *next_in_line(const uvt_semaphore_t *s) {
    uvt__wait *w = s->waiters.head;
    while (w && s->available < (int64_t)w->n) w = w->choice && w->next && w->next->choice == w->choice ? w->next : NULL;
    return w;
}

/* Hands permits to the oldest waiters while there are enough. */
static void grant(uvt_semaphore_t *s) {
    for (uvt__wait *w; (w = next_in_line(s)) != NULL;) {
        s->waiting--;
        if (!uvt__wait_claim(queue(s), w)) continue;
        s->available -= (int64_t)w->n;
        uvt__wait_wake(queue(s), w, 0);
    }
}

static int leave(uvt_semaphore_t *s, uvt__wait *w) {
    uvt__lock(s);
    int left = uvt__wait_leave(queue(s), w); /* LATER: the permits are on their way */
    if (left == UVT_ABORT_DONE) {
        s->waiting--;
        grant(s); /* it may have been the one that held smaller requests back */
    }
    uvt__unlock(s);
    return left;
}

static int wait_abort(uvt_park_t *p) {
    return leave((uvt_semaphore_t *)p->object, CONTAINER_OF(p, uvt__wait, park));
}

static int check(const uvt_semaphore_t *s, unsigned n) {
    uvt__shard *here = uvt__here();
    if (UNLIKELY(!here)) return UVT_ENOTASK;
    if (UNLIKELY(!s)) return UV_EINVAL;
    if (UNLIKELY(s->gid != here->gid)) return uvt__stranger(s->gid);
    if (UNLIKELY(n > NO_LIMIT)) return UV_EINVAL;
    return 0;
}

/* With the lock held: what an acquire would say now; UV_EAGAIN when it has to wait. */
static int look(const uvt_semaphore_t *s, int64_t n) {
    if (UNLIKELY(s->closed)) return UVT_ECLOSED;
    if (LIKELY(!s->waiters.head && s->available >= n) || n == 0) return 0;
    return n > s->limit && s->limit > 0 ? UV_EINVAL : UV_EAGAIN;
}

static void hook(uvt_semaphore_t *s, uvt__wait *w, uvt__shard *here) {
    s->waiting++;
    uvt__wait_hook(queue(s), w, here);
}

int uvt_semaphore_acquire_many(uvt_semaphore_t *s, unsigned n) {
    uvt__shard *here = uvt__here();
    if (UNLIKELY(!here || !here->current)) return UVT_ENOTASK;
    int rc = check(s, n);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(here);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__wait w;
    uvt__lock(s);
    rc = look(s, n);
    if (LIKELY(rc == 0)) {
        s->available -= n;
    } else if (rc == UV_EAGAIN) {
        w.n = n;
        w.choice = NULL;
        hook(s, &w, here);
    }
    uvt__unlock(s);
    if (LIKELY(rc != UV_EAGAIN)) return rc;
    w.park = (uvt_park_t){ .what = "semaphore", .object = s, .abort = wait_abort };
    rc = uvt_park(&w.park);
    uvt__lock(s); /* whoever has woken us may still be at it, and we may be about to free it */
    uvt__unlock(s);
    return rc;
}

int uvt_semaphore_acquire(uvt_semaphore_t *s) {
    return uvt_semaphore_acquire_many(s, 1);
}

int uvt_semaphore_try_acquire(uvt_semaphore_t *s, unsigned n) {
    int rc = check(s, n);
    if (rc < 0) return rc;
    uvt__lock(s);
    rc = look(s, n);
    if (rc == 0) s->available -= n;
    uvt__unlock(s);
    return rc;
}

int uvt_semaphore_release(uvt_semaphore_t *s, unsigned n) {
    int rc = check(s, n);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__lock(s);
    if (UNLIKELY(s->available + (int64_t)n > s->limit)) {
        rc = UV_EINVAL;
    } else {
        s->available += n;
        if (s->waiters.head) grant(s);
    }
    uvt__unlock(s);
    return rc;
}

int uvt_semaphore_set_limit(uvt_semaphore_t *s, unsigned limit) {
    int rc = check(s, limit);
    if (rc < 0) return rc;
    if (!s->bounded) return UV_EINVAL;
    uvt__lock(s);
    s->available += (int64_t)limit - s->limit;
    s->limit = limit;
    grant(s);
    uvt__unlock(s);
    return 0;
}

void uvt_semaphore_close(uvt_semaphore_t *s) {
    if (check(s, 0) < 0) return;
    uvt__lock(s);
    s->closed = true;
    for (uvt__wait *w; (w = s->waiters.head) != NULL;) {
        s->waiting--;
        uvt__wait_wake(queue(s), w, UVT_ECLOSED);
    }
    uvt__unlock(s);
}

int64_t uvt_semaphore_available(const uvt_semaphore_t *s) {
    if (!s) return 0;
    uvt__lock(s);
    int64_t n = s->available;
    uvt__unlock(s);
    return n;
}

unsigned uvt_semaphore_waiting(const uvt_semaphore_t *s) {
    if (!s) return 0;
    uvt__lock(s);
    unsigned n = s->waiting;
    uvt__unlock(s);
    return n;
}

/* ---- as a case of a select ---- */

static int case_attempt(uvt_case_t *c) {
    return c->n > NO_LIMIT ? UV_EINVAL : uvt_semaphore_try_acquire(c->object, (unsigned)c->n);
}

/* Only waits of the same select are in line, and there is enough: permits came when it had begun to leave word. */
static bool held_back_by_itself(const uvt_semaphore_t *s, const uvt__part *p) {
    const uvt__wait *w = s->waiters.head;
    while (w && w->choice == p->wait.choice) w = w->next;
    return !w && s->available >= (int64_t)p->c->n;
}

static int case_hook(uvt__part *p) {
    uvt_semaphore_t *s = p->c->object;
    uvt__lock(s);
    bool waits = look(s, (int64_t)p->c->n) == UV_EAGAIN && !held_back_by_itself(s, p);
    p->wait.n = p->c->n;
    if (waits) hook(s, &p->wait, uvt__here());
    uvt__unlock(s);
    return waits ? 0 : UV_EAGAIN;
}

static void case_unhook(uvt__part *p) {
    leave(p->c->object, &p->wait);
}

static const uvt__kind acquire_kind = { false, case_attempt, case_hook, uvt__finish_handed, case_unhook };

uvt_case_t uvt_case_acquire(uvt_semaphore_t *s, unsigned n) {
    return (uvt_case_t){ .kind = &acquire_kind, .object = s, .n = n };
}
