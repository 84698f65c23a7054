/* SPDX-License-Identifier: MIT
 *
 * The mutex: an owner and a line. Whoever unlocks names the next owner; so a mutex that is free has nobody in line, and
 * on one shard locking it takes no more than a look and getting it on the list of what the task gives back at its end.
 *
 * Only the owner's own thread may touch that list. The one that hands the mutex over, maybe on another shard, sets
 * held.owner alone, under the lock; the new owner puts it on its list when it runs. It cannot end before.
 */
#include "sync/mutex.h"

static int close_held(uvt__res *r);

int uvt_mutex_init_at(uvt_mutex_t *m, const char *site) {
    uvt__shard *here = uvt__here();
    if (!here) return UVT_ENOTASK;
    if (!m || !site) return UV_EINVAL;
    *m = (uvt_mutex_t){ .line.gid = here->gid, .held = { .site = site, .close = close_held } };
    return 0;
}

/* With the lock held: to the oldest in line, or to nobody. */
static void pass_on(uvt_mutex_t *m) {
    uvt__wait *w = uvt__line_claim(&m->line);
    m->held.owner = w ? w->slot : NULL;
    if (w) uvt__wait_wake(&m->line.waits, w, 0);
}

/* With the lock held. */
static int take(uvt_mutex_t *m, uvt__task *t) {
    if (m->held.owner) return m->held.owner == t ? UVT_EDEADLK : UV_EBUSY;
    m->held.owner = t;
    uvt__res_link(&m->held, t);
    return 0;
}

static void join(uvt_mutex_t *m, uvt__wait *w, uvt__shard *here) {
    w->slot = here->current; /* the owner to be */
    uvt__line_join(&m->line, w, here);
}

/* take, or getting in line with UV_EBUSY. */
static int take_or_join(uvt_mutex_t *m, uvt__wait *w, uvt__shard *here) {
    uvt__lock(m);
    int rc = take(m, here->current);
    w->choice = NULL;
    if (rc == UV_EBUSY) join(m, w, here);
    uvt__unlock(m);
    return rc;
}

static __attribute__((noinline)) int lock_slow(uvt_mutex_t *m, uvt__shard *here) {
    uvt__wait w;
    int rc = take_or_join(m, &w, here);
    if (rc != UV_EBUSY) return rc;
    rc = uvt__line_park(&m->line, &w, "mutex", uvt__line_abort);
    if (rc == 0) uvt__res_link(&m->held, here->current);
    return rc;
}

int uvt_mutex_lock(uvt_mutex_t *m) {
    uvt__shard *here = uvt__here();
    int rc = uvt__line_check_task(here, m);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(here);
    if (UNLIKELY(rc < 0)) return rc;
    if (UNLIKELY(here->many || m->held.owner)) return lock_slow(m, here);
    return take(m, here->current);
}

bool uvt__mutex_is_owner(uvt_mutex_t *m, const uvt__task *t) {
    uvt__lock(m);
    bool is = m->held.owner == t;
    uvt__unlock(m);
    return is;
}

void uvt__mutex_relock(uvt_mutex_t *m) {
    uvt__shard *here = uvt__here();
    uvt__wait w;
    if (take_or_join(m, &w, here) == 0) return;
    w.park = (uvt_park_t){ .what = "mutex", .object = m };
    uvt__park_shielded(&w.park);
    uvt__lock(m); /* as in uvt__line_park */
    uvt__unlock(m);
    uvt__res_link(&m->held, here->current);
}

int uvt_mutex_try_lock(uvt_mutex_t *m) {
    uvt__shard *here = uvt__here();
    int rc = uvt__line_check_task(here, m);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__lock(m);
    rc = take(m, here->current);
    uvt__unlock(m);
    return rc;
}

static __attribute__((noinline)) int unlock_slow(uvt_mutex_t *m, uvt__task *t) {
    uvt__lock(m);
    bool owner = m->held.owner == t;
    if (owner) {
        uvt__res_unlink(&m->held, t);
        pass_on(m);
    }
    uvt__unlock(m);
    return owner ? 0 : UV_EPERM;
}

int uvt_mutex_unlock(uvt_mutex_t *m) {
    uvt__shard *here = uvt__here();
    int rc = uvt__line_check_task(here, m);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__task *t = here->current;
    if (UNLIKELY(here->many || m->held.owner != t || m->line.waits.head)) return unlock_slow(m, t);
    uvt__res_unlink(&m->held, t);
    m->held.owner = NULL;
    return 0;
}

/* Its owner ends. */
static int close_held(uvt__res *r) {
    uvt_mutex_t *m = CONTAINER_OF(r, uvt_mutex_t, held);
    uvt__res_report(r, "still held");
    return unlock_slow(m, r->owner);
}

uvt_task_t uvt_mutex_owner(const uvt_mutex_t *m) {
    if (!m) return (uvt_task_t){ NULL, 0 };
    uvt__lock(m);
    uvt_task_t owner = uvt__line_owner(&m->held);
    uvt__unlock(m);
    return owner;
}

unsigned uvt_mutex_waiting(const uvt_mutex_t *m) {
    return uvt__line_waiting(m);
}

/* ---- as a case of a select ---- */

static int case_attempt(uvt_case_t *c) {
    int rc = uvt_mutex_try_lock(c->object);
    return rc == UV_EBUSY ? UV_EAGAIN : rc;
}

static int case_hook(uvt__part *p) {
    uvt_mutex_t *m = p->c->object;
    uvt__shard *here = uvt__here();
    uvt__lock(m);
    bool waits = m->held.owner && m->held.owner != here->current;
    if (waits) join(m, &p->wait, here);
    uvt__unlock(m);
    return waits ? 0 : UV_EAGAIN;
}

static int case_finish(uvt__part *p, int rc) {
    uvt_mutex_t *m = p->c->object;
    uvt__res_link(&m->held, uvt__current());
    return rc;
}

static const uvt__kind lock_kind = { false, case_attempt, case_hook, case_finish, uvt__line_unhook };

uvt_case_t uvt_case_lock(uvt_mutex_t *m) {
    return (uvt_case_t){ .kind = &lock_kind, .object = m };
}
