/* SPDX-License-Identifier: MIT
 *
 * What locks and signals have in common: an object in the caller's memory that begins with a line of waiting tasks
 * (uvt__line_t), so that its address is the line's, and the one that its lock is found by. A line is at rest while
 * nobody waits; whoever gives something takes the oldest with uvt__line_claim. Everything but gid, which does not
 * change, is under the object's lock.
 */
#ifndef UVT_LINE_H
#define UVT_LINE_H

#include "sync/select.h"

/* What a call on an object checks first ... */
static inline int uvt__line_check(const uvt__shard *here, const void *object) {
    if (UNLIKELY(!here)) return UVT_ENOTASK;
    if (UNLIKELY(!object)) return UV_EINVAL;
    uint64_t gid = ((const uvt__line_t *)object)->gid;
    return UNLIKELY(gid != here->gid) ? uvt__stranger(gid) : 0;
}
/* ... and one that only a task can make. */
static inline int uvt__line_check_task(const uvt__shard *here, const void *object) {
    if (UNLIKELY(!here || !here->current)) return UVT_ENOTASK;
    return uvt__line_check(here, object);
}

/* With the lock held: the calling task (w's park need not be set yet) gets in line, ... */
void uvt__line_join(uvt__line_t *l, uvt__wait *w, uvt__shard *here);
/* ... or out of it: UVT_ABORT_LATER when what it waits for is on its way. */
int uvt__line_leave(uvt__line_t *l, uvt__wait *w);
/* With the lock held: the oldest waiter, whose task nobody else can serve any more, out of line but for its
 * uvt__wait_wake; NULL when there is none. */
uvt__wait *uvt__line_claim(uvt__line_t *l);
void uvt__line_wake_all(uvt__line_t *l);

/* Without it: parks the task that has got in line. abort is as a rule uvt__line_abort, which gets out of line. */
int uvt__line_park(uvt__line_t *l, uvt__wait *w, const char *what, int (*abort)(uvt_park_t *p));
int uvt__line_abort(uvt_park_t *p);
void uvt__line_unhook(uvt__part *p); /* the same for a case of a select */
unsigned uvt__line_waiting(const void *object); /* of NULL: 0 */

/* The handle of a lock's owner. The lock is held, so that one cannot let go and lives. It may be on another shard, and
 * be detached there. */
static inline uvt_task_t uvt__line_owner(const uvt__res *held) {
    uvt__task *t = held->owner;
    return t ? (uvt_task_t){ t, __atomic_load_n(&t->id, __ATOMIC_RELAXED) } : (uvt_task_t){ NULL, 0 };
}

#endif
