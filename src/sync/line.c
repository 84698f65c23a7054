/* SPDX-License-Identifier: MIT
 *
 * Lines of waiting tasks, as line.h describes them: getting in and out, and being served. The waits lie on their tasks'
 * stacks, or in a select's parts.
 */
#include "sync/line.h"

void uvt__line_join(uvt__line_t *l, uvt__wait *w, uvt__shard *here) {
    l->waiting++;
    uvt__wait_hook(&l->waits, w, here);
}

int uvt__line_leave(uvt__line_t *l, uvt__wait *w) {
    int left = uvt__wait_leave(&l->waits, w);
    if (left == UVT_ABORT_DONE) l->waiting--;
    return left;
}

uvt__wait *uvt__line_claim(uvt__line_t *l) {
    for (uvt__wait *w; (w = l->waits.head) != NULL;) {
        l->waiting--;
        if (uvt__wait_claim(&l->waits, w)) return w;
    }
    return NULL;
}

void uvt__line_wake_all(uvt__line_t *l) {
    for (uvt__wait *w; (w = uvt__line_claim(l)) != NULL;) uvt__wait_wake(&l->waits, w, 0);
}

int uvt__line_park(uvt__line_t *l, uvt__wait *w, const char *what, int (*abort)(uvt_park_t *p)) {
    w->park = (uvt_park_t){ .what = what, .object = l, .abort = abort };
    int rc = uvt_park(&w->park);
    uvt__lock(l); /* whoever has woken us may still be at it, and we may be about to free it */
    uvt__unlock(l);
    return rc;
}

int uvt__line_abort(uvt_park_t *p) {
    uvt__line_t *l = (uvt__line_t *)p->object;
    uvt__lock(l);
    int left = uvt__line_leave(l, CONTAINER_OF(p, uvt__wait, park));
    uvt__unlock(l);
    return left;
}

void uvt__line_unhook(uvt__part *p) {
    uvt__line_t *l = p->c->object;
    uvt__lock(l);
    uvt__line_leave(l, &p->wait);
    uvt__unlock(l);
}

unsigned uvt__line_waiting(const void *object) {
    const uvt__line_t *l = object;
    if (!l) return 0;
    uvt__lock(l);
    unsigned n = l->waiting;
    uvt__unlock(l);
    return n;
}
