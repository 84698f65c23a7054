/* SPDX-License-Identifier: MIT
 *
 * The event: a flag and the tasks that wait for it. Setting it wakes them for good: a clear that follows does not take
 * it back from those who have not run yet. In line is nobody while it is set.
 */
#include "sync/line.h"

int uvt_event_init(uvt_event_t *e) {
    uvt__shard *here = uvt__here();
    if (!here) return UVT_ENOTASK;
    if (!e) return UV_EINVAL;
    *e = (uvt_event_t){ .line.gid = here->gid };
    return 0;
}

int uvt_event_set(uvt_event_t *e) {
    int rc = uvt__line_check(uvt__here(), e);
    if (rc < 0) return rc;
    uvt__lock(e);
    e->set = true;
    uvt__line_wake_all(&e->line);
    uvt__unlock(e);
    return 0;
}

int uvt_event_clear(uvt_event_t *e) {
    int rc = uvt__line_check(uvt__here(), e);
    if (rc < 0) return rc;
    uvt__lock(e);
    e->set = false;
    uvt__unlock(e);
    return 0;
}

static bool is_set(const uvt_event_t *e) {
    uvt__lock(e);
    bool set = e->set;
    uvt__unlock(e);
    return set;
}

bool uvt_event_is_set(const uvt_event_t *e) {
    return e && is_set(e);
}

/* Gets in line unless it is set: false then. */
static bool join_unless_set(uvt_event_t *e, uvt__wait *w) {
    uvt__lock(e);
    bool joins = !e->set;
    if (joins) uvt__line_join(&e->line, w, uvt__here());
    uvt__unlock(e);
    return joins;
}

int uvt_event_wait(uvt_event_t *e) {
    uvt__shard *here = uvt__here();
    int rc = uvt__line_check_task(here, e);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(here);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__wait w;
    w.choice = NULL;
    return join_unless_set(e, &w) ? uvt__line_park(&e->line, &w, "event", uvt__line_abort) : 0;
}

unsigned uvt_event_waiting(const uvt_event_t *e) {
    return uvt__line_waiting(e);
}

/* ---- as a case of a select ---- */

static int case_attempt(uvt_case_t *c) {
    int rc = uvt__line_check(uvt__here(), c->object);
    return rc < 0 ? rc : is_set(c->object) ? 0 : UV_EAGAIN;
}

static int case_hook(uvt__part *p) {
    return join_unless_set(p->c->object, &p->wait) ? 0 : UV_EAGAIN;
}

static const uvt__kind event_kind = { true, case_attempt, case_hook, uvt__finish_handed, uvt__line_unhook };

uvt_case_t uvt_case_event(uvt_event_t *e) {
    return (uvt_case_t){ .kind = &event_kind, .object = e };
}
