/* SPDX-License-Identifier: MIT
 *
 * The barrier: a line that goes on as a whole when as many have come as were asked for. The last to come need not get
 * in line; it wakes the others, who are out of the line then, so that the next round can begin before they run.
 */
#include "sync/line.h"

int uvt_barrier_init(uvt_barrier_t *b, unsigned n) {
    uvt__shard *here = uvt__here();
    if (!here) return UVT_ENOTASK;
    if (!b) return UV_EINVAL;
    *b = (uvt_barrier_t){ .line.gid = here->gid, .parties = n };
    return 0;
}

int uvt_barrier_wait(uvt_barrier_t *b) {
    uvt__shard *here = uvt__here();
    int rc = uvt__line_check_task(here, b);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(here);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__wait w;
    w.choice = NULL;
    uvt__lock(b);
    bool leads = b->parties <= b->line.waiting + 1;
    if (leads) uvt__line_wake_all(&b->line);
    else uvt__line_join(&b->line, &w, here);
    uvt__unlock(b);
    return leads ? 1 : uvt__line_park(&b->line, &w, "barrier", uvt__line_abort);
}

unsigned uvt_barrier_waiting(const uvt_barrier_t *b) {
    return uvt__line_waiting(b);
}
