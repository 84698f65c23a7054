/* SPDX-License-Identifier: MIT
 *
 * The receiving half of channels. An element comes from the ring, or from the sender that has waited longest where
 * there is none; a task that waits is handed its element straight to where it wants it.
 */
#include "sync/chan.h"

/* What a receive says that finds nothing. */
static inline int nothing(const uvt__chan *c) {
    return uvt__chan_over(c) ? UV_EOF : UV_EAGAIN;
}

/* Without slots: from a waiting sender. */
static int take_from_sender(uvt__chan *c, void *elem) {
    for (uvt__wait *w; (w = c->tx.head) != NULL;) {
        if (!uvt__chan_claim(&c->tx, w)) continue;
        uvt__chan_copy(c, elem, w->slot);
        uvt__chan_wake(&c->tx, w, 0);
        return 0;
    }
    return nothing(c);
}

/* n slots have become free. */
static inline void made_room(uvt__chan *c, size_t n) {
    c->len -= n;
    if (UNLIKELY(c->tx.head != NULL)) uvt__chan_admit(c);
    if (UNLIKELY(c->unbounded) && c->len == 0) uvt__chan_shrink(c);
}

/* With the lock held. */
static inline int take(uvt__chan *c, const uvt_chan_t *ch, void *elem) {
    if (UNLIKELY(!(ch->ends & UVT_RECV))) return UVT_ECLOSED;
    if (UNLIKELY(c->len == 0)) return c->capacity == 0 ? take_from_sender(c, elem) : nothing(c);
    uvt__chan_copy(c, elem, c->head);
    c->head = uvt__chan_after(c, c->head, 1);
    made_room(c, 1);
    return 0;
}

/* Those at the head that lie side by side, at most n; how many. */
static size_t take_run(uvt__chan *c, char *elems, size_t n) {
    if (n > c->len) n = c->len;
    if (elems && c->size > 0) {
        size_t side_by_side = (size_t)(c->end - c->head) / c->size;
        if (n > side_by_side) n = side_by_side;
        memcpy(elems, c->head, n * c->size);
        c->head = uvt__chan_after(c, c->head, n);
    }
    made_room(c, n);
    return n;
}

/* What is there, what waiting senders bring included. How many, or the code when there is nothing. */
static ssize_t take_many(uvt__chan *c, const uvt_chan_t *ch, void *elems, size_t most) {
    size_t n = 0;
    int rc = ch->ends & UVT_RECV ? 0 : UVT_ECLOSED;
    while (rc == 0 && n < most) {
        char *to = c->size ? (char *)elems + n * c->size : NULL;
        if (c->len > 0) n += take_run(c, to, most - n);
        else if ((rc = take(c, ch, to)) == 0) n++;
    }
    return n > 0 ? (ssize_t)n : rc;
}

static void hook(uvt__shard *s, uvt__chan *c, uvt__wait *w, uvt_chan_t *ch, void *elem) {
    w->slot = elem;
    w->choice = NULL;
    uvt__chan_hook(s, c, &c->rx, w, ch);
}

static int wait_to_receive(uvt__shard *s, uvt__chan *c, uvt__chan_wait *w) {
    int rc = uvt__chan_park(c, &c->rx, w, "receive");
    uvt__chan_unref(s, c);
    return rc;
}

int uvt_recv(uvt_chan_t *ch, void *elem) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    uvt__chan_wait w;
    int rc = uvt__chan_enter(ch, s, &c);
    if (UNLIKELY(rc < 0)) return rc;
    if (uvt__chan_missing(c, elem)) return UV_EINVAL;
    uvt__chan_lock(s, c);
    rc = take(c, ch, elem);
    if (UNLIKELY(rc == UV_EAGAIN)) hook(s, c, &w.wait, ch, elem);
    uvt__chan_unlock(s, c);
    return LIKELY(rc != UV_EAGAIN) ? rc : wait_to_receive(s, c, &w);
}

int uvt_try_recv(uvt_chan_t *ch, void *elem) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    int rc = uvt__chan_of(ch, s, &c);
    if (UNLIKELY(rc < 0)) return rc;
    if (uvt__chan_missing(c, elem)) return UV_EINVAL;
    uvt__chan_lock(s, c);
    rc = take(c, ch, elem);
    uvt__chan_unlock(s, c);
    return rc;
}

/* For the first of many. It was handed one; others may have come since. */
static ssize_t wait_for_many(uvt__shard *s, uvt__chan *c, uvt_chan_t *ch, uvt__chan_wait *w, size_t most) {
    ssize_t n = uvt__chan_park(c, &c->rx, w, "receive");
    if (n == 0) {
        uvt__chan_lock(s, c);
        char *next = c->size ? (char *)w->wait.slot + c->size : NULL;
        ssize_t more = take_many(c, ch, next, most - 1);
        n = more > 0 ? 1 + more : 1;
        uvt__chan_unlock(s, c);
    }
    uvt__chan_unref(s, c);
    return n;
}

ssize_t uvt_recv_many(uvt_chan_t *ch, void *elems, size_t most) {
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    uvt__chan_wait w;
    int rc = uvt__chan_enter(ch, s, &c);
    if (rc < 0) return rc;
    if (most > SSIZE_MAX || (uvt__chan_missing(c, elems) && most > 0)) return UV_EINVAL;
    uvt__chan_lock(s, c);
    ssize_t n = take_many(c, ch, elems, most);
    if (n == UV_EAGAIN) hook(s, c, &w.wait, ch, elems);
    uvt__chan_unlock(s, c);
    return n != UV_EAGAIN ? n : wait_for_many(s, c, ch, &w, most);
}

/* ---- as a case of a select ---- */

static int case_attempt(uvt_case_t *c) {
    return uvt_try_recv(c->object, c->out);
}

/* With the lock held: a receive by another task than the part's would have to wait. */
static bool has_to_wait(const uvt__chan *c, const uvt_chan_t *ch, const uvt__wait *own) {
    if (!(ch->ends & UVT_RECV) || c->len > 0 || uvt__chan_over(c)) return false;
    return c->capacity > 0 || !uvt__chan_met(&c->tx, own);
}

static int case_hook(uvt__part *p) {
    uvt_chan_t *ch = p->c->object;
    uvt__shard *s = uvt__here();
    uvt__chan *c;
    int rc = uvt__chan_of(ch, s, &c);
    if (rc < 0) return rc;
    uvt__chan_lock(s, c);
    bool waits = has_to_wait(c, ch, &p->wait);
    if (waits) {
        p->wait.slot = p->c->out;
        p->c->out2 = c; /* a reference, as the handle may be closed meanwhile */
        uvt__chan_hook(s, c, &c->rx, &p->wait, ch);
    }
    uvt__chan_unlock(s, c);
    return waits ? 0 : UV_EAGAIN;
}

static void case_unhook(uvt__part *p) {
    uvt__chan *c = p->c->out2;
    uvt__chan_leave(c, &c->rx, &p->wait);
    uvt__chan_unref(uvt__here(), c);
}

static const uvt__kind recv_kind = { false, case_attempt, case_hook, uvt__finish_handed, case_unhook };

uvt_case_t uvt_case_recv(uvt_chan_t *ch, void *elem) {
    return (uvt_case_t){ .kind = &recv_kind, .object = ch, .out = elem };
}
