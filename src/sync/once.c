/* SPDX-License-Identifier: MIT
 *
 * Once: a task that runs a function, and a line of those who wait to hear of it. Success wakes them all; after a
 * failure the oldest becomes the one that runs it. The runner has it on its list of what is given back at its end, as
 * the owner of a mutex has (mutex.c), so that a panic in the function does not leave the others waiting.
 */
#include "sync/line.h"

/* A {0} object is adopted by the first runtime that comes. */
static int check(uvt_once_t *o, uvt__shard *here, uvt_fn fn) {
    uint64_t gid = 0;
    if (!here || !here->current) return UVT_ENOTASK;
    if (!o || !fn) return UV_EINVAL;
    if (__atomic_compare_exchange_n(&o->line.gid, &gid, here->gid, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return 0;
    return gid == here->gid ? 0 : UVT_ESHARD;
}

/* With the lock held: the oldest in line is to run it. */
static void pass_on(uvt_once_t *o) {
    uvt__wait *w = uvt__line_claim(&o->line);
    o->held.owner = w ? w->slot : NULL;
    if (w) uvt__wait_wake(&o->line.waits, w, 0);
}

/* The function has panicked. */
static int close_held(uvt__res *r) {
    uvt_once_t *o = CONTAINER_OF(r, uvt_once_t, held);
    uvt__lock(o);
    uvt__res_unlink(r, r->owner);
    pass_on(o);
    uvt__unlock(o);
    return 0;
}

static int run(uvt_once_t *o, uvt__task *t, uvt_fn fn, void *arg) {
    o->held.close = close_held;
    uvt__res_link(&o->held, t);
    int rc = fn(arg);
    uvt__lock(o);
    uvt__res_unlink(&o->held, t);
    if (rc < 0) {
        pass_on(o);
    } else {
        o->result = rc;
        o->held.owner = NULL;
        __atomic_store_n(&o->done, true, __ATOMIC_RELEASE);
        uvt__line_wake_all(&o->line);
    }
    uvt__unlock(o);
    return rc;
}

static bool is_done(const uvt_once_t *o) {
    return __atomic_load_n(&o->done, __ATOMIC_ACQUIRE);
}

int uvt_once(uvt_once_t *o, uvt_fn fn, void *arg) {
    uvt__shard *here = uvt__here();
    int rc = check(o, here, fn);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(here);
    if (UNLIKELY(rc < 0)) return rc;
    if (LIKELY(is_done(o))) return o->result;
    uvt__task *t = here->current;
    uvt__wait w;
    w.choice = NULL;
    w.slot = t;
    uvt__lock(o);
    bool waits = !o->done && o->held.owner;
    if (waits && o->held.owner == t) rc = UVT_EDEADLK;
    else if (waits) uvt__line_join(&o->line, &w, here);
    else if (!o->done) o->held.owner = t;
    uvt__unlock(o);
    if (waits && rc == 0) rc = uvt__line_park(&o->line, &w, "once", uvt__line_abort);
    if (rc < 0) return rc;
    return is_done(o) ? o->result : run(o, t, fn, arg);
}
