/* SPDX-License-Identifier: MIT
 *
 * The condition: a line of tasks that have left their mutex. A task gets in line before it lets go of the mutex, so no
 * signal of somebody who held it is missed. The locks of the two objects are never held together: who was signalled
 * gets in the mutex's line when it runs, and nobody can take it out of there.
 */
#include "sync/mutex.h"

int uvt_cond_init(uvt_cond_t *c) {
    uvt__shard *here = uvt__here();
    if (!here) return UVT_ENOTASK;
    if (!c) return UV_EINVAL;
    *c = (uvt_cond_t){ .line.gid = here->gid };
    return 0;
}

int uvt_cond_wait(uvt_cond_t *c, uvt_mutex_t *m) {
    uvt__shard *here = uvt__here();
    int rc = uvt__line_check_task(here, c);
    if (rc == 0) rc = uvt__line_check(here, m);
    if (UNLIKELY(rc < 0)) return rc;
    if (UNLIKELY(!uvt__mutex_is_owner(m, here->current))) return UV_EPERM;
    rc = uvt__enter(here);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__wait w;
    w.choice = NULL;
    uvt__lock(c);
    uvt__line_join(&c->line, &w, here);
    uvt__unlock(c);
    uvt_mutex_unlock(m);
    rc = uvt__line_park(&c->line, &w, "condition", uvt__line_abort);
    uvt__mutex_relock(m);
    return rc;
}

int uvt_cond_signal(uvt_cond_t *c) {
    int rc = uvt__line_check(uvt__here(), c);
    if (rc < 0) return rc;
    uvt__lock(c);
    uvt__wait *w = uvt__line_claim(&c->line);
    if (w) uvt__wait_wake(&c->line.waits, w, 0);
    uvt__unlock(c);
    return 0;
}

int uvt_cond_broadcast(uvt_cond_t *c) {
    int rc = uvt__line_check(uvt__here(), c);
    if (rc < 0) return rc;
    uvt__lock(c);
    uvt__line_wake_all(&c->line);
    uvt__unlock(c);
    return 0;
}

unsigned uvt_cond_waiting(const uvt_cond_t *c) {
    return uvt__line_waiting(c);
}
