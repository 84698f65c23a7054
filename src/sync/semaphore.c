/* SPDX-License-Identifier: MIT
 *
 * The semaphore: a count and a queue. Permits go to the oldest waiter or, when nobody waits, into the
 * count; while anybody waits, newcomers queue up behind. The waiters' records lie on their tasks' stacks.
 */
#include "core/core.h"

struct uvt__sem_wait {
    uvt_park_t park;
    struct uvt__sem_wait *next, *prev;
    unsigned n;
};

#define NO_LIMIT INT32_MAX

int uvt_semaphore_init(uvt_semaphore_t *s, unsigned permits, unsigned limit) {
    uvt__shard *here = uvt__here();
    if (!here) return UVT_ENOTASK;
    if (!s || limit > NO_LIMIT || permits > (limit ? limit : NO_LIMIT)) return UV_EINVAL;
    *s = (uvt_semaphore_t){ .available = permits, .limit = limit ? limit : NO_LIMIT, .bounded = limit > 0 };
    s->shard = here->tag;
    return 0;
}

static void unhook(uvt_semaphore_t *s, struct uvt__sem_wait *w) {
    if (w->prev) w->prev->next = w->next;
    else s->head = w->next;
    if (w->next) w->next->prev = w->prev;
    else s->tail = w->prev;
    s->waiting--;
}

/* Hands permits to the oldest waiters while there are enough. */
static void grant(uvt_semaphore_t *s) {
    for (struct uvt__sem_wait *w; (w = s->head) != NULL && s->available >= (int64_t)w->n;) {
        s->available -= w->n;
        unhook(s, w);
        uvt_unpark(&w->park, 0);
    }
}

static int wait_abort(uvt_park_t *p) {
    uvt_semaphore_t *s = (uvt_semaphore_t *)p->object;
    unhook(s, CONTAINER_OF(p, struct uvt__sem_wait, park));
    grant(s); /* it may have been the one that held smaller requests back */
    return UVT_ABORT_DONE;
}

static int check(const uvt_semaphore_t *s, unsigned n) {
    uvt__shard *here = uvt__here();
    if (UNLIKELY(!here)) return UVT_ENOTASK;
    if (UNLIKELY(!s)) return UV_EINVAL;
    if (UNLIKELY(s->shard != here->tag)) return UVT_ESHARD;
    if (UNLIKELY(s->closed)) return UVT_ECLOSED;
    if (UNLIKELY(n > NO_LIMIT)) return UV_EINVAL;
    return 0;
}

int uvt_semaphore_acquire_many(uvt_semaphore_t *s, unsigned n) {
    uvt__shard *here = uvt__here();
    if (UNLIKELY(!here || !here->current)) return UVT_ENOTASK;
    int rc = check(s, n);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(here);
    if (UNLIKELY(rc < 0)) return rc;
    if (UNLIKELY(s->closed)) return UVT_ECLOSED;
    if (!s->head && s->available >= (int64_t)n) {
        s->available -= n;
        return 0;
    }
    if (n == 0) return 0;
    if ((int64_t)n > s->limit && s->limit > 0) return UV_EINVAL;
    struct uvt__sem_wait w = { .park = { .what = "semaphore", .object = s, .abort = wait_abort },
                               .prev = s->tail,
                               .n = n };
    if (s->tail) s->tail->next = &w;
    else s->head = &w;
    s->tail = &w;
    s->waiting++;
    return uvt_park(&w.park);
}

int uvt_semaphore_acquire(uvt_semaphore_t *s) {
    return uvt_semaphore_acquire_many(s, 1);
}

int uvt_semaphore_try_acquire(uvt_semaphore_t *s, unsigned n) {
    int rc = check(s, n);
    if (rc < 0) return rc;
    if ((int64_t)n > s->limit && s->limit > 0) return UV_EINVAL;
    if (n && (s->head || s->available < (int64_t)n)) return UV_EAGAIN;
    s->available -= n;
    return 0;
}

int uvt_semaphore_release(uvt_semaphore_t *s, unsigned n) {
    int rc = check(s, n);
    if (UNLIKELY(rc < 0 && rc != UVT_ECLOSED)) return rc;
    if (UNLIKELY(s->available + (int64_t)n > s->limit)) return UV_EINVAL;
    s->available += n;
    if (s->head) grant(s);
    return 0;
}

int uvt_semaphore_set_limit(uvt_semaphore_t *s, unsigned limit) {
    int rc = check(s, limit);
    if (rc < 0 && rc != UVT_ECLOSED) return rc;
    if (!s->bounded) return UV_EINVAL;
    s->available += (int64_t)limit - s->limit;
    s->limit = limit;
    grant(s);
    return 0;
}

void uvt_semaphore_close(uvt_semaphore_t *s) {
    if (!s || s->closed) return;
    s->closed = true;
    for (struct uvt__sem_wait *w; (w = s->head) != NULL;) {
        unhook(s, w);
        uvt_unpark(&w->park, UVT_ECLOSED);
    }
}

int64_t uvt_semaphore_available(const uvt_semaphore_t *s) {
    return s ? s->available : 0;
}

unsigned uvt_semaphore_waiting(const uvt_semaphore_t *s) {
    return s ? s->waiting : 0;
}
