/* SPDX-License-Identifier: MIT
 *
 * The semaphore: a count and a queue. Permits go to the oldest waiter or, when nobody waits, into the
 * count; while anybody waits, newcomers queue up behind. The waiters' records lie on their tasks' stacks.
 * Where the runtime has several shards everything but `gid`, which never changes, is under the object's lock.
 */
#include "core/core.h"

struct uvt__sem_wait {
    uvt__wait wait;
    unsigned n;
};

#define NO_LIMIT INT32_MAX
#define WAIT_OF(w) CONTAINER_OF(w, struct uvt__sem_wait, wait)

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

/* Hands permits to the oldest waiters while there are enough. */
static void grant(uvt_semaphore_t *s) {
    for (uvt__wait *w; (w = s->waiters.head) != NULL && s->available >= (int64_t)WAIT_OF(w)->n;) {
        s->available -= WAIT_OF(w)->n;
        s->waiting--;
        uvt__wait_wake(queue(s), w, 0);
    }
}

static int wait_abort(uvt_park_t *p) {
    uvt_semaphore_t *s = (uvt_semaphore_t *)p->object;
    uvt__wait *w = CONTAINER_OF(p, uvt__wait, park);
    uvt__lock(s);
    bool hooked = w->hooked;
    if (hooked) {
        s->waiting--;
        uvt__wait_unhook(queue(s), w);
        grant(s); /* it may have been the one that held smaller requests back */
    }
    uvt__unlock(s);
    return hooked ? UVT_ABORT_DONE : UVT_ABORT_LATER; /* later: the permits are on their way */
}

static int check(const uvt_semaphore_t *s, unsigned n) {
    uvt__shard *here = uvt__here();
    if (UNLIKELY(!here)) return UVT_ENOTASK;
    if (UNLIKELY(!s)) return UV_EINVAL;
    if (UNLIKELY(s->gid != here->gid)) return UVT_ESHARD;
    if (UNLIKELY(n > NO_LIMIT)) return UV_EINVAL;
    return 0;
}

/* Takes the permits or hooks the wait, with the lock held: 1 when it has to wait. */
static int take_or_hook(uvt_semaphore_t *s, struct uvt__sem_wait *w, uvt__shard *here) {
    if (UNLIKELY(s->closed)) return UVT_ECLOSED;
    if (LIKELY(!s->waiters.head && s->available >= (int64_t)w->n)) {
        s->available -= w->n;
        return 0;
    }
    if (w->n == 0) return 0;
    if ((int64_t)w->n > s->limit && s->limit > 0) return UV_EINVAL;
    s->waiting++;
    w->wait.park = (uvt_park_t){ .what = "semaphore", .object = s, .abort = wait_abort };
    uvt__wait_hook(queue(s), &w->wait, here);
    return 1;
}

int uvt_semaphore_acquire_many(uvt_semaphore_t *s, unsigned n) {
    uvt__shard *here = uvt__here();
    if (UNLIKELY(!here || !here->current)) return UVT_ENOTASK;
    int rc = check(s, n);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(here);
    if (UNLIKELY(rc < 0)) return rc;
    struct uvt__sem_wait w;
    w.n = n;
    uvt__lock(s);
    rc = take_or_hook(s, &w, here);
    uvt__unlock(s);
    if (rc <= 0) return rc;
    rc = uvt_park(&w.wait.park);
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
    if (s->closed) rc = UVT_ECLOSED;
    else if ((int64_t)n > s->limit && s->limit > 0) rc = UV_EINVAL;
    else if (n && (s->waiters.head || s->available < (int64_t)n)) rc = UV_EAGAIN;
    else s->available -= n;
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
