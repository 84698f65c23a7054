/* SPDX-License-Identifier: MIT
 *
 * The sending half of channels. An element goes to the receiver that has waited longest, else into the ring, else
 * its task waits with it: whoever makes room takes it from where the sender keeps it. Reservations wait in the same
 * line. An unbounded channel grows instead, outside of the lock.
 */
#include "sync/chan.h"

/* With the lock held, for an element (n == 0) or n permits: 0 when it can be done now, UV_EAGAIN when not yet. `own`
 * is a wait whose select is passed over, or NULL. */
static inline int look(const uvt__chan *c, const uvt_chan_t *ch, size_t n, const uvt__wait *own) {
    if (UNLIKELY(!(ch->ends & UVT_SEND))) return UVT_ECLOSED;
    if (UNLIKELY(c->shut)) return UV_EPIPE;
    if (UNLIKELY(n > c->capacity)) return UV_EINVAL;
    if (LIKELY(!c->tx.head && c->len < c->limit && uvt__chan_room(c) >= n)) return 0;
    if (c->capacity > 0) return UV_EAGAIN;
    return (own ? uvt__chan_met(&c->rx, own) : c->rx.head != NULL) ? 0 : UV_EAGAIN;
}

static inline int send_now(uvt__chan *c, const uvt_chan_t *ch, const void *elem) {
    int rc = look(c, ch, 0, NULL);
    if (UNLIKELY(rc < 0)) return rc;
    if (UNLIKELY(c->capacity == 0)) return uvt__chan_hand(c, elem) ? 0 : UV_EAGAIN;
    uvt__chan_put(c, elem);
    return 0;
}

static int reserve_now(uvt__chan *c, uvt_chan_t *ch, size_t n) {
    int rc = look(c, ch, n, NULL);
    if (rc < 0) return rc;
    c->limit -= n;
    c->reserved += n;
    ch->permits += n;
    return 0;
}

/* With the lock held, these two: without waiting. */
static inline int try_send(uvt__shard *s, uvt__chan *c, const uvt_chan_t *ch, const void *elem) {
    int rc;
    while ((rc = send_now(c, ch, elem)) == UV_EAGAIN && c->unbounded && (rc = uvt__chan_grow(s, c, 1)) == 0) {}
    return rc;
}

static int try_reserve(uvt__shard *s, uvt__chan *c, uvt_chan_t *ch, size_t n) {
    int rc;
    while ((rc = reserve_now(c, ch, n)) == UV_EAGAIN && c->unbounded && (rc = uvt__chan_grow(s, c, n)) == 0) {}
    return rc;
}

static inline void hook(uvt__shard *s, uvt__chan *c, uvt__wait *w, uvt_chan_t *ch, const void *elem, size_t n) {
    w->slot = (void *)elem;
    w->n = n;
    w->choice = NULL;
    uvt__chan_hook(s, c, &c->tx, w, ch);
}

static int wait_to_send(uvt__shard *s, uvt__chan *c, uvt__chan_wait *w) {
    int rc = uvt__chan_park(c, &c->tx, w, w->wait.n ? "room in a channel" : "send");
    uvt__chan_unref(s, c);
    return rc;
}

int uvt_send(uvt_chan_t *ch, const void *elem) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    uvt__chan_wait w;
    int rc = uvt__chan_enter(ch, s, &c);
    if (UNLIKELY(rc < 0)) return rc;
    if (uvt__chan_missing(c, elem)) return UV_EINVAL;
    uvt__chan_lock(s, c);
    rc = try_send(s, c, ch, elem);
    if (UNLIKELY(rc == UV_EAGAIN)) hook(s, c, &w.wait, ch, elem, 0);
    uvt__chan_unlock(s, c);
    return LIKELY(rc != UV_EAGAIN) ? rc : wait_to_send(s, c, &w);
}

int uvt_try_send(uvt_chan_t *ch, const void *elem) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    int rc = uvt__chan_of(ch, s, &c);
    if (UNLIKELY(rc < 0)) return rc;
    if (uvt__chan_missing(c, elem)) return UV_EINVAL;
    uvt__chan_lock(s, c);
    rc = try_send(s, c, ch, elem);
    uvt__chan_unlock(s, c);
    return rc;
}

/* ---- permits ---- */

/* None at all: that could only fail. */
static int reserve_none(uvt__shard *s, uvt__chan *c, const uvt_chan_t *ch) {
    uvt__chan_lock(s, c);
    int rc = look(c, ch, 0, NULL);
    uvt__chan_unlock(s, c);
    return rc == UV_EAGAIN ? 0 : rc;
}

int uvt_chan_reserve(uvt_chan_t *ch, size_t n) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    uvt__chan_wait w;
    int rc = uvt__chan_enter(ch, s, &c);
    if (rc < 0) return rc;
    if (n == 0) return reserve_none(s, c, ch);
    uvt__chan_lock(s, c);
    rc = try_reserve(s, c, ch, n);
    if (rc == UV_EAGAIN) hook(s, c, &w.wait, ch, NULL, n);
    uvt__chan_unlock(s, c);
    return rc != UV_EAGAIN ? rc : wait_to_send(s, c, &w);
}

int uvt_chan_try_reserve(uvt_chan_t *ch, size_t n) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    int rc = uvt__chan_of(ch, s, &c);
    if (rc < 0) return rc;
    if (n == 0) return reserve_none(s, c, ch);
    uvt__chan_lock(s, c);
    rc = try_reserve(s, c, ch, n);
    uvt__chan_unlock(s, c);
    return rc;
}

int uvt_chan_send_reserved(uvt_chan_t *ch, const void *elem) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    int rc = uvt__chan_of(ch, s, &c);
    if (rc < 0) return rc;
    if (uvt__chan_missing(c, elem)) return UV_EINVAL;
    uvt__chan_lock(s, c);
    if (!(ch->ends & UVT_SEND)) rc = UVT_ECLOSED;
    else if (ch->permits == 0) rc = UV_EINVAL;
    else if (c->receivers == 0) rc = UV_EPIPE;
    else {
        ch->permits--;
        c->reserved--;
        c->limit++;
        uvt__chan_put(c, elem);
        uvt__chan_settle(c); /* it may have gone to a receiver, and was the last one to come */
    }
    uvt__chan_unlock(s, c);
    return rc;
}

int uvt_chan_unreserve(uvt_chan_t *ch, size_t n) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    int rc = uvt__chan_of(ch, s, &c);
    if (rc < 0) return rc;
    uvt__chan_lock(s, c);
    if (!(ch->ends & UVT_SEND)) rc = UVT_ECLOSED;
    else if (n > ch->permits) rc = UV_EINVAL;
    else {
        ch->permits -= n;
        c->reserved -= n;
        c->limit += n;
        uvt__chan_settle(c);
    }
    uvt__chan_unlock(s, c);
    return rc;
}

/* ---- as a case of a select ---- */

static int case_attempt(uvt_case_t *c) {
    return uvt_try_send(c->object, c->out);
}

static int case_hook(uvt__part *p) {
    uvt_chan_t *ch = p->c->object;
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    int rc = uvt__chan_of(ch, s, &c);
    if (rc < 0) return rc;
    uvt__chan_lock(s, c);
    bool waits = look(c, ch, 0, &p->wait) == UV_EAGAIN;
    if (waits) {
        p->wait.slot = p->c->out;
        p->wait.n = 0;
        p->c->out2 = c; /* a reference, as the handle may be closed meanwhile */
        uvt__chan_hook(s, c, &c->tx, &p->wait, ch);
    }
    uvt__chan_unlock(s, c);
    return waits ? 0 : UV_EAGAIN;
}

static void case_unhook(uvt__part *p) {
    uvt__chan *c = p->c->out2;
    uvt__chan_leave(c, &c->tx, &p->wait);
    uvt__chan_unref(uvt__here(), c);
}

static const uvt__kind send_kind = { false, case_attempt, case_hook, uvt__finish_handed, case_unhook };

uvt_case_t uvt_case_send(uvt_chan_t *ch, const void *elem) {
    return (uvt_case_t){ .kind = &send_kind, .object = ch, .out = (void *)elem };
}
