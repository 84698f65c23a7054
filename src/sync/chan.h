/* SPDX-License-Identifier: MIT
 *
 * The inside of channels, shared by chan.c (handles and life), chan_send.c and chan_recv.c. All of it is under the
 * channel's own lock, which is only taken where the runtime has several shards; `size`, `capacity` and `drop`
 * never change.
 *
 * Invariants: limit + reserved == slots, and len <= limit; the difference is the room. Who waits in tx has not been
 * served for lack of room, or of a receiver where there are no slots. While somebody waits in rx, len is 0 and, without
 * slots, nobody waits in tx but with the same select. A third party never brings a waiting sender and a waiting
 * receiver together: it could not claim two selects at once. It moves the one into the ring, and the ring's oldest to
 * the other.
 *
 * The record lives for its handles, and for every task that is parked in it, until that one has run again: a cancel
 * has to find the lock although the handle may have been closed meanwhile.
 */
#ifndef UVT_CHAN_H
#define UVT_CHAN_H

#include "sync/select.h"
#include <string.h>

typedef struct uvt__chan {
    /* One cache line: what every send and receive changes, so that it moves once between two cores. */
    atomic_uint locked;      /* 0 free, 1 taken */
    bool shut;               /* nothing more is sent, but with permits: ended, or nobody receives */
    bool ended;
    bool unbounded;
    size_t len;              /* elements queued */
    char *head, *tail;       /* the oldest element, and where the next one goes, in ring */
    uvt__waits tx, rx;       /* in tx, n is 0 for an element (slot), else a reservation; oldest first */
    /* What they only read. */
    size_t size;             /* bytes of an element */
    size_t capacity;         /* as asked for */
    size_t limit;            /* slots that are not reserved */
    char *ring, *end;        /* slots * size bytes; NULL when that is none */
    size_t slots;
    size_t reserved;         /* permits out */
    size_t senders, receivers; /* handles with that end */
    void (*drop)(void *elem);
    void *block;             /* the memory that the record lies in */
    atomic_uint refs;        /* handles, and tasks parked */
} uvt__chan;

/* A task in a plain call. */
typedef struct uvt__chan_wait {
    uvt__wait wait; /* its park's object is the handle */
    uvt__waits *q;  /* tx or rx of ... */
    uvt__chan *c;   /* ... this; a reference: the handle may be closed meanwhile */
} uvt__chan_wait;

void uvt__chan_lock_busy(uvt__chan *c); /* chan.c: somebody has it */
void uvt__chan_free(uvt__chan *c);
void uvt__chan_admit(uvt__chan *c);    /* there is room: serves those that wait for it */
void uvt__chan_settle(uvt__chan *c);   /* after permits went back, or a waiting sender left */
int uvt__chan_leave(uvt__chan *c, uvt__waits *q, uvt__wait *w);
int uvt__chan_abort(uvt_park_t *p);
int uvt__chan_grow(uvt__shard *s, uvt__chan *c, size_t n); /* unbounded, to room >= n; unlocks meanwhile */
void uvt__chan_shrink(uvt__chan *c);

static inline void uvt__chan_lock(const uvt__shard *s, uvt__chan *c) {
    if (LIKELY(s && !s->many)) return;
    unsigned free = 0;
    if (UNLIKELY(!atomic_compare_exchange_strong_explicit(&c->locked, &free, 1, memory_order_acquire,
                                                          memory_order_relaxed)))
        uvt__chan_lock_busy(c);
}

static inline void uvt__chan_unlock(const uvt__shard *s, uvt__chan *c) {
    if (LIKELY(s && !s->many)) return;
    atomic_store_explicit(&c->locked, 0, memory_order_release);
}

/* A read-modify-write only where another thread may count, too. */
static inline void uvt__chan_ref(const uvt__shard *s, uvt__chan *c) {
    if (LIKELY(s && !s->many))
        atomic_store_explicit(&c->refs, atomic_load_explicit(&c->refs, memory_order_relaxed) + 1, memory_order_relaxed);
    else atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

/* Not under the lock. Whoever has the lock came by an open handle, which counts until its close has had the lock: so
 * nobody is inside when the last reference goes. */
static inline void uvt__chan_unref(const uvt__shard *s, uvt__chan *c) {
    unsigned before = atomic_load_explicit(&c->refs, memory_order_relaxed);
    if (LIKELY(s && !s->many)) atomic_store_explicit(&c->refs, before - 1, memory_order_relaxed);
    else before = atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel);
    if (UNLIKELY(before == 1)) uvt__chan_free(c);
}

/* The beginning of every call: 0, and the channel, when the handle is open here. */
static inline int uvt__chan_of(const uvt_chan_t *ch, const uvt__shard *s, uvt__chan **out) {
    if (UNLIKELY(!s)) return UVT_ENOTASK;
    if (UNLIKELY(!ch)) return UV_EINVAL;
    if (UNLIKELY(ch->gid != s->gid)) return uvt__stranger(ch->gid);
    *out = ch->c;
    return LIKELY(*out != NULL) ? 0 : UVT_ECLOSED;
}

/* The same of calls that may suspend: at their beginning, which may be where the handle is closed. */
static inline int uvt__chan_enter(const uvt_chan_t *ch, uvt__shard *s, uvt__chan **out) {
    if (UNLIKELY(!s || !s->current)) return UVT_ENOTASK;
    int rc = uvt__chan_of(ch, s, out);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(s);
    return UNLIKELY(rc < 0) ? rc : uvt__chan_of(ch, s, out);
}

/* Is there no place for an element, though it has bytes? */
static inline bool uvt__chan_missing(const uvt__chan *c, const void *elem) {
    return UNLIKELY(!elem) && c->size > 0;
}

static inline void uvt__chan_copy(const uvt__chan *c, void *to, const void *from) {
    if (LIKELY(c->size == 8)) memcpy(to, from, 8); /* one move instead of a call */
    else if (c->size > 0) memcpy(to, from, c->size);
}

/* ---- with the lock held ---- */

/* The slot n after p, which lie side by side, round the ring; elements without bytes have no slots. */
static inline char *uvt__chan_after(const uvt__chan *c, char *p, size_t n) {
    if (UNLIKELY(!p)) return NULL;
    p += n * c->size;
    return p == c->end ? c->ring : p;
}

/* uvt__wait_hook and those that unhook, with the handle's count. */
static inline void uvt__chan_hook(uvt__shard *s, uvt__chan *c, uvt__waits *q, uvt__wait *w, uvt_chan_t *ch) {
    uvt__chan_ref(s, c);
    w->park.object = ch;
    ch->waiting++;
    uvt__wait_hook(q, w, s);
}

static inline uvt_chan_t *uvt__chan_through(const uvt__wait *w) {
    return (uvt_chan_t *)w->park.object;
}

static inline bool uvt__chan_claim(uvt__waits *q, uvt__wait *w) {
    if (LIKELY(uvt__wait_claim(q, w))) return true;
    uvt__chan_through(w)->waiting--;
    return false;
}

static inline void uvt__chan_wake(uvt__waits *q, uvt__wait *w, int result) {
    uvt__chan_through(w)->waiting--;
    uvt__wait_wake(q, w, result);
}

/* To the receiver that has waited longest; false when none waits. */
static inline bool uvt__chan_hand(uvt__chan *c, const void *elem) {
    for (uvt__wait *w; (w = c->rx.head) != NULL;) {
        if (!uvt__chan_claim(&c->rx, w)) continue;
        uvt__chan_copy(c, w->slot, elem);
        uvt__chan_wake(&c->rx, w, 0);
        return true;
    }
    return false;
}

static inline size_t uvt__chan_room(const uvt__chan *c) {
    return c->limit - c->len;
}

/* To a receiver, or into the ring, where there is room. */
static inline void uvt__chan_put(uvt__chan *c, const void *elem) {
    if (UNLIKELY(c->rx.head != NULL) && uvt__chan_hand(c, elem)) return;
    uvt__chan_copy(c, c->tail, elem);
    c->tail = uvt__chan_after(c, c->tail, 1);
    c->len++;
}

/* Nothing is left, and nothing will come. */
static inline bool uvt__chan_over(const uvt__chan *c) {
    return c->len == 0 && c->reserved == 0 && (c->ended || c->senders == 0);
}

/* Is somebody else than the part's own select waiting there? */
static inline bool uvt__chan_met(const uvt__waits *q, const uvt__wait *own) {
    const uvt__wait *w = q->head;
    while (w && w->choice == own->choice) w = w->next;
    return w != NULL;
}

/* ---- without it ---- */

/* Parks a wait that has been hooked. Its reference is still to be given back. */
static inline int uvt__chan_park(uvt__chan *c, uvt__waits *q, uvt__chan_wait *w, const char *what) {
    w->c = c;
    w->q = q;
    w->wait.park.what = what;
    w->wait.park.abort = uvt__chan_abort;
    return uvt_park(&w->wait.park);
}

#endif
