/* SPDX-License-Identifier: MIT
 *
 * Notify: a line of tasks, or one permit for the next that comes; never both. A notification goes to a task that
 * nothing else has served, and that task returns 0 whatever is cancelled meanwhile, so none is lost.
 */
#include "sync/line.h"

int uvt_notify_init(uvt_notify_t *n) {
    uvt__shard *here = uvt__here();
    if (!here) return UVT_ENOTASK;
    if (!n) return UV_EINVAL;
    *n = (uvt_notify_t){ .line.gid = here->gid };
    return 0;
}

/* With the lock held: as uvt__line_claim, from the other end. */
static uvt__wait *claim_last(uvt__line_t *l) {
    for (uvt__wait *w; (w = l->waits.tail) != NULL;) {
        l->waiting--;
        if (uvt__wait_claim(&l->waits, w)) return w;
    }
    return NULL;
}

static int notify(uvt_notify_t *n, uvt__wait *(*claim)(uvt__line_t *l)) {
    int rc = uvt__line_check(uvt__here(), n);
    if (rc < 0) return rc;
    uvt__lock(n);
    uvt__wait *w = claim(&n->line);
    if (w) uvt__wait_wake(&n->line.waits, w, 0);
    else n->permit = true;
    uvt__unlock(n);
    return 0;
}

int uvt_notify_one(uvt_notify_t *n) {
    return notify(n, uvt__line_claim);
}

int uvt_notify_last(uvt_notify_t *n) {
    return notify(n, claim_last);
}

int uvt_notify_all(uvt_notify_t *n) {
    int rc = uvt__line_check(uvt__here(), n);
    if (rc < 0) return rc;
    uvt__lock(n);
    uvt__line_wake_all(&n->line);
    uvt__unlock(n);
    return 0;
}

/* Takes the permit, or gets in line and says UV_EAGAIN. */
static int take_or_join(uvt_notify_t *n, uvt__wait *w) {
    uvt__lock(n);
    bool there = n->permit;
    n->permit = false;
    if (!there) uvt__line_join(&n->line, w, uvt__here());
    uvt__unlock(n);
    return there ? 0 : UV_EAGAIN;
}

int uvt_notify_wait(uvt_notify_t *n) {
    uvt__shard *here = uvt__here();
    int rc = uvt__line_check_task(here, n);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(here);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__wait w;
    w.choice = NULL;
    rc = take_or_join(n, &w);
    return rc == UV_EAGAIN ? uvt__line_park(&n->line, &w, "notification", uvt__line_abort) : rc;
}

unsigned uvt_notify_waiting(const uvt_notify_t *n) {
    return uvt__line_waiting(n);
}

/* ---- as a case of a select ---- */

static int case_attempt(uvt_case_t *c) {
    uvt_notify_t *n = c->object;
    int rc = uvt__line_check(uvt__here(), n);
    if (rc < 0) return rc;
    uvt__lock(n);
    rc = n->permit ? 0 : UV_EAGAIN;
    n->permit = false;
    uvt__unlock(n);
    return rc;
}

/* It leaves a permit that has come meanwhile to the next attempt. */
static int case_hook(uvt__part *p) {
    uvt_notify_t *n = p->c->object;
    uvt__lock(n);
    bool waits = !n->permit;
    if (waits) uvt__line_join(&n->line, &p->wait, uvt__here());
    uvt__unlock(n);
    return waits ? 0 : UV_EAGAIN;
}

static const uvt__kind notified_kind = { false, case_attempt, case_hook, uvt__finish_handed, uvt__line_unhook };

uvt_case_t uvt_case_notified(uvt_notify_t *n) {
    return (uvt_case_t){ .kind = &notified_kind, .object = n };
}
