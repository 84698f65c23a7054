/* SPDX-License-Identifier: MIT
 *
 * Channels: opening and closing them, what follows for those that wait, and the record's memory. How elements go in
 * and out is in chan_send.c and chan_recv.c.
 *
 * A close counts an end off, fails those that wait through the handle, and then lets everybody else have what it has
 * left: permits to senders, the end of the channel to both. Elements that nobody will receive are dropped after
 * the unlock; by then nothing can come in, so the ring is the closer's.
 */
#include "sync/chan.h"
#include <sched.h>

#define FIRST_SLOTS 32  /* of an unbounded channel */
#define KEEP_SLOTS 1024 /* what an unbounded one keeps when it is empty */
#define LINE 64         /* bytes of a cache line */
#define LONGEST 16      /* pauses between two looks at the lock */

/* The lock is held for a few instructions, or its holder's thread has lost its core. Waiting longer each time leaves
 * the channel's memory with the other core for several elements, which is faster for both than taking turns. */
void uvt__chan_lock_busy(uvt__chan *c) {
    for (unsigned pause = 1;; pause *= 2) {
        unsigned free = 0;
        if (atomic_load_explicit(&c->locked, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(&c->locked, &free, 1, memory_order_acquire, memory_order_relaxed))
            return;
        if (pause > LONGEST) sched_yield(), pause = LONGEST;
        for (unsigned i = 0; i < pause; i++) uvt__cpu_relax();
    }
}

/* ---- the record ---- */

void uvt__chan_free(uvt__chan *c) {
    uvt__free(c->ring);
    uvt__free(c->block);
}

/* Gives it n slots; what is in the ring must fit. Without bytes no memory is needed to count. */
static void set_ring(uvt__chan *c, char *ring, size_t n) {
    size_t first = (size_t)(c->end - c->head), used = ring && c->ring ? c->len * c->size : 0;
    if (first > used) first = used;
    if (first > 0) memcpy(ring, c->head, first);
    if (used > first) memcpy(ring + first, c->ring, used - first);
    c->head = c->ring = ring;
    c->tail = ring ? ring + used : NULL;
    c->end = ring ? ring + n * c->size : NULL;
    if (c->tail == c->end) c->tail = ring;
    c->limit += n - c->slots;
    c->slots = n;
}

int uvt__chan_grow(uvt__shard *s, uvt__chan *c, size_t n) {
    while (uvt__chan_room(c) < n && !c->shut) {
        size_t had = c->slots, want = had ? had : FIRST_SLOTS, least = n + c->len + c->reserved;
        if (least < n) return UV_ENOMEM;
        while (want < least) {
            if (want > SIZE_MAX / 2) return UV_ENOMEM;
            want *= 2;
        }
        if (c->size > 0 && want > SIZE_MAX / c->size) return UV_ENOMEM;
        uvt__chan_unlock(s, c);
        char *ring = c->size ? uvt__alloc(want * c->size) : NULL, *old = ring;
        uvt__chan_lock(s, c);
        if (c->size > 0 && !ring) {
            if (uvt__chan_room(c) < n && !c->shut) return UV_ENOMEM;
            break;
        }
        if (c->slots == had && uvt__chan_room(c) < n && !c->shut) { /* else things have changed: look again */
            old = c->ring;
            set_ring(c, ring, want);
        }
        uvt__free(old);
    }
    return 0;
}

void uvt__chan_shrink(uvt__chan *c) {
    if (c->slots <= KEEP_SLOTS || c->reserved > 0) return;
    uvt__free(c->ring);
    c->head = c->tail = c->ring = c->end = NULL;
    c->limit = c->slots = 0;
}

int uvt_chan_open(uvt_chan_t *ch, size_t elem_size, size_t capacity, const uvt_chan_options *options) {
    uvt__shard *s = uvt__here();
    if (!s) return UVT_ENOTASK;
    bool unbounded = capacity == UVT_UNBOUNDED;
    if (!ch || (!unbounded && elem_size > 0 && capacity > PTRDIFF_MAX / elem_size)) return UV_EINVAL;
    char *block = uvt__calloc(sizeof(uvt__chan) + LINE - 1);
    if (!block) return UV_ENOMEM;
    uvt__chan *c = (uvt__chan *)(block + (LINE - (uintptr_t)block % LINE) % LINE);
    c->block = block;
    c->size = elem_size;
    c->capacity = capacity;
    c->unbounded = unbounded;
    c->senders = c->receivers = 1;
    c->drop = options ? options->drop : NULL;
    atomic_init(&c->refs, 1);
    size_t slots = unbounded ? 0 : capacity;
    char *ring = slots && elem_size ? uvt__alloc(slots * elem_size) : NULL;
    if (slots && elem_size && !ring) {
        uvt__free(block);
        return UV_ENOMEM;
    }
    set_ring(c, ring, slots);
    *ch = (uvt_chan_t){ .c = c, .gid = s->gid, .ends = UVT_BOTH };
    return 0;
}

/* ---- waiters ---- */

void uvt__chan_admit(uvt__chan *c) {
    for (uvt__wait *w; (w = c->tx.head) != NULL && c->len < c->limit && uvt__chan_room(c) >= w->n;) {
        if (!uvt__chan_claim(&c->tx, w)) continue;
        if (w->n > 0) {
            c->limit -= w->n;
            c->reserved += w->n;
            uvt__chan_through(w)->permits += w->n;
        } else {
            uvt__chan_put(c, w->slot);
        }
        uvt__chan_wake(&c->tx, w, 0);
    }
}

/* Those that wait through the handle, or all. */
static void fail(uvt__waits *q, const uvt_chan_t *ch, int code) {
    if (ch && ch->waiting == 0) return; /* thousands may wait through others */
    for (uvt__wait *w = q->head, *next; w; w = next) {
        next = w->next;
        if (!ch || w->park.object == ch) uvt__chan_wake(q, w, code);
    }
}

void uvt__chan_settle(uvt__chan *c) {
    if (c->tx.head) uvt__chan_admit(c);
    if (c->rx.head && uvt__chan_over(c)) fail(&c->rx, NULL, UV_EOF);
}

int uvt__chan_leave(uvt__chan *c, uvt__waits *q, uvt__wait *w) {
    uvt__shard *s = uvt__here();
    uvt__chan_lock(s, c);
    int left = uvt__wait_leave(q, w); /* LATER: it has been served */
    if (left == UVT_ABORT_DONE) uvt__chan_through(w)->waiting--;
    if (left == UVT_ABORT_DONE && c->tx.head) uvt__chan_admit(c); /* a large reservation may have held others back */
    uvt__chan_unlock(s, c);
    return left;
}

int uvt__chan_abort(uvt_park_t *p) {
    uvt__chan_wait *w = CONTAINER_OF(p, uvt__chan_wait, wait.park);
    return uvt__chan_leave(w->c, w->q, &w->wait);
}

/* ---- handles ---- */

int uvt_chan_clone(uvt_chan_t *out, const uvt_chan_t *ch, unsigned ends) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    int rc = uvt__chan_of(ch, s, &c);
    if (rc < 0) return rc;
    if (!out || ends == 0) return UV_EINVAL;
    uvt__chan_lock(s, c);
    if (ends & ~ch->ends) rc = UV_EINVAL;
    if (rc == 0) {
        c->senders += (ends & UVT_SEND) != 0;
        c->receivers += (ends & UVT_RECV) != 0;
        uvt__chan_ref(s, c);
    }
    uvt__chan_unlock(s, c);
    if (rc == 0) *out = (uvt_chan_t){ .c = c, .gid = s->gid, .ends = ends };
    return rc;
}

static void stop_sending(uvt__chan *c, uvt_chan_t *ch) {
    c->senders--;
    c->limit += ch->permits;
    c->reserved -= ch->permits;
    ch->permits = 0;
    fail(&c->tx, ch, UVT_ECLOSED);
}

static void stop_receiving(uvt__chan *c, uvt_chan_t *ch) {
    fail(&c->rx, ch, UVT_ECLOSED);
    if (--c->receivers > 0) return;
    c->shut = true;
    fail(&c->tx, NULL, UV_EPIPE);
}

/* Of the oldest n, which are not counted any more. */
static void drop_all(uvt__chan *c, size_t n) {
    for (; n > 0 && c->drop; n--) {
        void *elem = c->head;
        c->head = uvt__chan_after(c, c->head, 1);
        c->drop(elem);
    }
}

/* The runtime has ended: who waits here was given up, and may not be looked at any more. */
static void forget_waiters(uvt__chan *c, uvt_chan_t *ch) {
    c->tx = c->rx = (uvt__waits){ 0 };
    atomic_fetch_sub(&c->refs, ch->waiting);
    ch->waiting = 0;
}

void uvt_chan_close(uvt_chan_t *ch, unsigned ends) {
    uvt__shard *s = uvt__here();
    if (!ch || !ch->c) return;
    if (!s || s->gid != ch->gid) {
        if (uvt__registry_alive(ch->gid)) return;
        s = NULL; /* any thread, and the lock counts */
    }
    uvt__chan *c = ch->c;
    size_t dropped = 0;
    uvt__chan_lock(s, c);
    if (UNLIKELY(!s)) forget_waiters(c, ch);
    ends &= ch->ends;
    ch->ends &= ~ends;
    if (ends & UVT_SEND) stop_sending(c, ch);
    if (ends & UVT_RECV) stop_receiving(c, ch);
    if (c->receivers == 0) {
        dropped = c->len;
        c->len = 0;
    }
    uvt__chan_settle(c);
    bool last = ch->ends == 0;
    if (last) ch->c = NULL;
    else if (dropped) uvt__chan_ref(s, c);
    uvt__chan_unlock(s, c);
    drop_all(c, dropped); /* may close this very handle */
    if (last || dropped) uvt__chan_unref(s, c);
}

int uvt_chan_end(uvt_chan_t *ch) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    int rc = uvt__chan_of(ch, s, &c);
    if (rc < 0) return rc;
    uvt__chan_lock(s, c);
    c->ended = c->shut = true;
    fail(&c->tx, NULL, UV_EPIPE);
    uvt__chan_settle(c);
    uvt__chan_unlock(s, c);
    return 0;
}

/* ---- questions ---- */

/* Without those whose select has been won by another case and who have not run yet. */
static size_t count(const uvt__waits *q) {
    size_t n = 0;
    for (const uvt__wait *w = q->head; w; w = w->next) n += !w->choice || !atomic_load(&w->choice->won);
    return n;
}

int uvt_chan_stats(const uvt_chan_t *ch, uvt_chan_stats_t *out) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    int rc = uvt__chan_of(ch, s, &c);
    if (rc < 0) return rc;
    if (!out) return UV_EINVAL;
    uvt__chan_lock(s, c);
    *out = (uvt_chan_stats_t){ .len = c->len, .capacity = c->capacity, .reserved = c->reserved,
                               .senders = c->senders, .receivers = c->receivers,
                               .waiting_senders = count(&c->tx), .waiting_receivers = count(&c->rx) };
    uvt__chan_unlock(s, c);
    return 0;
}

size_t uvt_chan_len(const uvt_chan_t *ch) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    if (uvt__chan_of(ch, s, &c) < 0) return 0;
    uvt__chan_lock(s, c);
    size_t n = c->len;
    uvt__chan_unlock(s, c);
    return n;
}

size_t uvt_chan_capacity(const uvt_chan_t *ch) {
    uvt__chan *c;
    return uvt__chan_of(ch, uvt__here(), &c) < 0 ? 0 : c->capacity;
}
