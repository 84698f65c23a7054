/* SPDX-License-Identifier: MIT
 *
 * The rate limiter. A token is `period` units of credit, and every millisecond adds `tokens` units, so that
 * nothing is ever rounded. Waiters queue up; each has a timer on its own shard for when its tokens will be there,
 * those ahead of it considered, and whoever's timer fires grants as much as there is, to the oldest first.
 *
 * What is to hold under the lock: the oldest waiter's timer is armed, for no later than when its tokens are there.
 * Only a waiter that gives up can break that, for it lets those behind it move up. Then the oldest is given another
 * timer; on another shard, it is woken to do that itself, and keeps its place meanwhile (`away`). As a case of a select
 * it may lose that place to those behind, for its select begins anew.
 */
#include "sync/select.h"

#define NEVER UVT_FOREVER /* when a timer is due that is not armed */

int uvt_rate_init(uvt_rate_t *r, unsigned tokens, uint64_t period_ms, unsigned burst) {
    uvt__shard *s = uvt__here();
    if (!s) return UVT_ENOTASK;
    if (!r || tokens == 0 || tokens > INT32_MAX || period_ms == 0 || period_ms > INT32_MAX) return UV_EINVAL;
    if (burst == 0 || burst > INT32_MAX) return UV_EINVAL;
    *r = (uvt_rate_t){ .tokens = tokens, .period = period_ms, .burst = burst, .gid = s->gid };
    r->credit = r->burst * r->period;
    r->at = uvt__after(s, 0);
    return 0;
}

/* ---- credit, with the lock held ---- */

/* While somebody waits, the fraction of a millisecond by which tokens were there earlier than the clock could tell must
 * not be cut off, or the rate would drift. But not more: a loop that has stood still does not let a crowd through. */
static uint64_t credit_at(const uvt_rate_t *r, uint64_t now) {
    uint64_t most = r->burst * r->period + (r->waiting ? r->tokens - 1 : 0), passed = now > r->at ? now - r->at : 0;
    if (r->credit >= most || passed > (most - r->credit) / r->tokens) return most;
    return r->credit + passed * r->tokens;
}

/* A full bucket begins to fill when something is taken from it: not before the millisecond that has begun is over. */
static void refill(uvt_rate_t *r, uvt__shard *s) {
    uint64_t now = uvt__now(s);
    r->credit = credit_at(r, now);
    if (r->credit == r->burst * r->period) now = uvt__after(s, 0);
    if (now > r->at) r->at = now;
}

static bool enough(const uvt_rate_t *r, uint64_t n) {
    return r->credit >= n * r->period;
}

/* When n tokens will be there; NEVER when that is too far away to say (the timer is then set later on). */
static uint64_t due(const uvt_rate_t *r, uint64_t n) {
    if (n > (uint64_t)INT64_MAX / r->period) return NEVER;
    uint64_t needed = n * r->period;
    if (needed <= r->credit) return r->at;
    return r->at + (needed - r->credit + r->tokens - 1) / r->tokens;
}

/* ---- the queue, with the lock held ---- */

static uvt__waits *queue(uvt_rate_t *r) {
    return (uvt__waits *)&r->waiters;
}

static uvt__part *part_of(uvt__wait *w) {
    return CONTAINER_OF(w, uvt__part, wait);
}

static void time_came(uvt__timer_t *t);

static void arm(uvt__part *p, uint64_t when, uvt__shard *s) {
    p->timer.next = NULL;
    p->timer.due = NEVER;
    p->timer.fire = time_came;
    if (when != NEVER) uvt__timer_arm(s, &p->timer, when);
}

static void hook(uvt_rate_t *r, uvt__part *p, uint64_t n, uvt__shard *s) {
    p->wait.n = n;
    p->wait.slot = r;
    r->queued += n;
    r->waiting++;
    uvt__wait_hook(queue(r), &p->wait, s);
    arm(p, due(r, r->queued), s);
}

/* It does not wait any more. */
static void forget(uvt_rate_t *r, const uvt__wait *w) {
    r->queued -= w->n;
    r->waiting--;
}

/* Hands tokens to the oldest while there are enough, and sees to the timer of the one that is the oldest then. */
static void grant(uvt_rate_t *r, uvt__shard *s) {
    refill(r, s);
    for (uvt__wait *w; !r->away && (w = r->waiters.head) != NULL;) {
        bool now = enough(r, w->n);
        if (!now && part_of(w)->timer.due <= due(r, w->n)) return;
        if (!now && w->home == s->mailbox) {
            uvt__timer_disarm(s, &part_of(w)->timer);
            arm(part_of(w), due(r, w->n), s);
            return;
        }
        if (!uvt__wait_claim(queue(r), w)) {
            forget(r, w);
        } else if (now) {
            forget(r, w);
            r->credit -= w->n * r->period;
            uvt__wait_wake(queue(r), w, 0);
        } else {
            r->away = true;
            uvt__wait_wake(queue(r), w, UV_EAGAIN);
        }
    }
}

static void time_came(uvt__timer_t *t) {
    uvt_rate_t *r = CONTAINER_OF(t, uvt__part, timer)->wait.slot;
    uvt__lock(r);
    t->due = NEVER;
    grant(r, uvt__here());
    uvt__unlock(r);
}

/* The oldest, which was woken to set its timer anew, is here: 0 when its tokens are there by now. */
static int come_back(uvt_rate_t *r, uvt__wait *w, uvt__shard *s) {
    r->away = false;
    refill(r, s);
    if (!enough(r, w->n)) return UV_EAGAIN;
    forget(r, w);
    r->credit -= w->n * r->period;
    grant(r, s);
    return 0;
}

/* ... and goes back to where it was. */
static void hook_first(uvt_rate_t *r, uvt__part *p, uvt__shard *s) {
    uvt__wait *w = &p->wait, *next = r->waiters.head;
    w->hooked = true;
    w->prev = NULL;
    w->next = next;
    if (next) next->prev = w;
    else r->waiters.tail = w;
    r->waiters.head = w;
    arm(p, due(r, w->n), s);
}

static int leave(uvt_rate_t *r, uvt__part *p) {
    uvt__shard *s = uvt__here();
    uvt__timer_disarm(s, &p->timer);
    uvt__lock(r);
    int left = uvt__wait_leave(queue(r), &p->wait); /* LATER: tokens are on their way, or it is the one that is away */
    if (left == UVT_ABORT_DONE) {
        forget(r, &p->wait);
        grant(r, s);
    }
    uvt__unlock(r);
    return left;
}

/* ---- the calls ---- */

static int wait_abort(uvt_park_t *park) {
    return leave((uvt_rate_t *)park->object, part_of(CONTAINER_OF(park, uvt__wait, park)));
}

static int check(const uvt_rate_t *r, uint64_t n) {
    uvt__shard *here = uvt__here();
    if (UNLIKELY(!here)) return UVT_ENOTASK;
    if (UNLIKELY(!r)) return UV_EINVAL;
    if (UNLIKELY(r->gid != here->gid)) return uvt__stranger(r->gid);
    return UNLIKELY(n > r->burst) ? UV_EINVAL : 0;
}

/* With the lock held: takes n tokens if nobody is to have some first, 0 or UV_EAGAIN. */
static int take(uvt_rate_t *r, uint64_t n, uvt__shard *s) {
    if (n == 0) return 0;
    refill(r, s);
    if (r->waiters.head || r->away || !enough(r, n)) return UV_EAGAIN;
    r->credit -= n * r->period;
    return 0;
}

/* Parks; the wait is unhooked afterwards. Its timer may have been left armed by a grant of another's. */
static int wait_for_turn(uvt_rate_t *r, uvt__part *p, uvt__shard *s) {
    int rc = UV_EAGAIN;
    while (rc == UV_EAGAIN) {
        p->wait.park = (uvt_park_t){ .what = "rate limiter", .object = r, .abort = wait_abort };
        rc = uvt_park(&p->wait.park);
        uvt__timer_disarm(s, &p->timer);
        uvt__lock(r); /* whoever has woken us may still be at it, and we may be about to free it */
        if (UNLIKELY(rc == UV_EAGAIN && (rc = come_back(r, &p->wait, s)) == UV_EAGAIN)) hook_first(r, p, s);
        uvt__unlock(r);
    }
    return rc;
}

int uvt_rate_acquire(uvt_rate_t *r, unsigned n) {
    uvt__shard *s = uvt__here();
    if (UNLIKELY(!s || !s->current)) return UVT_ENOTASK;
    int rc = check(r, n);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(s);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__part p;
    uvt__lock(r);
    rc = take(r, n, s);
    if (rc == UV_EAGAIN) {
        p.wait.choice = NULL;
        hook(r, &p, n, s);
    }
    uvt__unlock(r);
    return rc == UV_EAGAIN ? wait_for_turn(r, &p, s) : rc;
}

int uvt_rate_try_acquire(uvt_rate_t *r, unsigned n) {
    int rc = check(r, n);
    if (rc < 0) return rc;
    uvt__lock(r);
    rc = take(r, n, uvt__here());
    uvt__unlock(r);
    return rc;
}

unsigned uvt_rate_available(const uvt_rate_t *r) {
    if (check(r, 0) < 0) return 0;
    uvt__lock(r);
    uint64_t n = credit_at(r, uvt__now(uvt__here())) / r->period;
    uvt__unlock(r);
    return (unsigned)n;
}

unsigned uvt_rate_waiting(const uvt_rate_t *r) {
    if (check(r, 0) < 0) return 0;
    uvt__lock(r);
    unsigned n = r->waiting;
    uvt__unlock(r);
    return n;
}

/* ---- as a case of a select ---- */

static int case_attempt(uvt_case_t *c) {
    return uvt_rate_try_acquire(c->object, (unsigned)c->n);
}

static int case_hook(uvt__part *p) {
    uvt_rate_t *r = p->c->object;
    uvt__shard *s = uvt__here();
    uvt__lock(r);
    refill(r, s);
    bool waits = r->waiters.head || r->away || !enough(r, p->c->n);
    if (waits) hook(r, p, p->c->n, s);
    uvt__unlock(r);
    return waits ? 0 : UV_EAGAIN;
}

/* A case that was away has no place to keep: the select attempts its other cases before it leaves word again. */
static int case_finish(uvt__part *p, int rc) {
    uvt_rate_t *r = p->c->object;
    if (rc != UV_EAGAIN) return rc;
    uvt__shard *s = uvt__here();
    uvt__lock(r);
    rc = come_back(r, &p->wait, s);
    if (rc == UV_EAGAIN) {
        forget(r, &p->wait);
        grant(r, s);
    }
    uvt__unlock(r);
    return rc;
}

static void case_unhook(uvt__part *p) {
    leave(p->c->object, p);
}

static const uvt__kind rate_kind = { false, case_attempt, case_hook, case_finish, case_unhook };

uvt_case_t uvt_case_rate(uvt_rate_t *r, unsigned n) {
    return (uvt_case_t){ .kind = &rate_kind, .object = r, .n = n };
}
