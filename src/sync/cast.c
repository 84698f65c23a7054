/* SPDX-License-Identifier: MIT
 *
 * The life of what broadcasts and watches are made of, and the waits for it (cast.h says how they work). Handles are
 * counted by side; a record goes with the last one. A handle that is closed while a task waits with it wakes that
 * task, which finds the handle closed and does not look at the record again.
 */
#include "sync/cast.h"

int uvt__cast_open(uvt__cast_sender *out, size_t size, size_t capacity) {
    uvt__shard *s = uvt__here();
    if (!s) return UVT_ENOTASK;
    if (!out || capacity == 0 || (size > 0 && capacity > (SIZE_MAX / 2 - sizeof(uvt__cast)) / size)) return UV_EINVAL;
    uvt__cast *c = uvt__calloc(sizeof *c + size * capacity);
    if (!c) return UV_ENOMEM;
    c->gid = s->gid;
    c->tag = s->tag;
    c->size = size;
    c->capacity = capacity;
    c->senders = 1;
    *out = (uvt__cast_sender){ .cast = c, .gid = c->gid };
    return 0;
}

int uvt__cast_clone(uvt__cast_sender *out, const uvt__cast_sender *from) {
    int rc = uvt__cast_sends(from);
    if (rc < 0) return rc;
    if (!out) return UV_EINVAL;
    uvt__cast *c = from->cast;
    uvt__lock(c);
    c->senders++;
    uvt__unlock(c);
    *out = (uvt__cast_sender){ .cast = c, .gid = c->gid };
    return 0;
}

int uvt__cast_subscribe(uvt__cast_reader *out, uvt__cast *c, const uvt__cast_reader *like) {
    if (!out) return UV_EINVAL;
    uvt__lock(c);
    c->readers++;
    *out = (uvt__cast_reader){ .cast = c, .gid = c->gid, .at = like ? like->at : c->sent };
    uvt__unlock(c);
    return 0;
}

/* Whether a handle may be closed here: in its runtime, or after that has ended. Nobody is to be woken then: tasks that
 * it had to give up, if any, are gone. */
static bool may_close(uvt__cast *c) {
    uvt__shard *s = uvt__here();
    if (s && s->gid == c->gid) return true;
    if (uvt__registry_alive(c->tag)) return false;
    c->waits = c->closed = (uvt__waits){ 0 };
    return true;
}

static void wake_all(uvt__waits *q) {
    for (uvt__wait *w; (w = q->head) != NULL;) uvt__wait_wake(q, w, 0);
}

/* With the lock held, at the end of a close. */
static void unlock_and_free(uvt__cast *c) {
    bool last = c->senders + c->readers == 0;
    uvt__unlock(c);
    if (last) uvt__free(c);
}

void uvt__cast_close_sender(uvt__cast_sender *h) {
    uvt__cast *c = h ? h->cast : NULL;
    if (!c || !may_close(c)) return;
    uvt__lock(c);
    h->cast = NULL;
    for (uvt__wait *w = c->closed.head, *next; w; w = next) {
        next = w->next;
        if (w->slot == h) uvt__wait_wake(&c->closed, w, 0);
    }
    if (--c->senders == 0) wake_all(&c->waits);
    unlock_and_free(c);
}

void uvt__cast_close_reader(uvt__cast_reader *h) {
    uvt__cast *c = h ? h->cast : NULL;
    if (!c || !may_close(c)) return;
    uvt__lock(c);
    h->cast = NULL;
    if (c->waits.head && h->waiter && h->waiter->hooked) uvt__wait_wake(&c->waits, h->waiter, 0);
    if (--c->readers == 0) wake_all(&c->closed);
    unlock_and_free(c);
}

/* ---- waiting ---- */

static int leave(uvt__cast *c, uvt__waits *q, uvt__wait *w) {
    uvt__lock(c);
    int left = uvt__wait_leave(q, w);
    uvt__unlock(c);
    return left;
}

static int read_abort(uvt_park_t *p) {
    uvt__cast *c = (uvt__cast *)p->object;
    return leave(c, &c->waits, CONTAINER_OF(p, uvt__wait, park));
}

static int closed_abort(uvt_park_t *p) {
    uvt__cast *c = (uvt__cast *)p->object;
    return leave(c, &c->closed, CONTAINER_OF(p, uvt__wait, park));
}

int uvt__cast_wait_closed(uvt__cast_sender *h, const char *what) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    int rc = uvt__cast_sends(h);
    if (rc == 0) rc = uvt__enter(s);
    if (rc == 0) rc = uvt__cast_sends(h); /* it may have been closed while others ran */
    if (rc < 0) return rc;
    uvt__cast *c = h->cast;
    uvt__wait w = { .slot = h };
    for (;;) {
        uvt__lock(c);
        rc = h->cast != c ? UVT_ECLOSED : c->readers == 0 ? 0 : UV_EAGAIN;
        if (rc == UV_EAGAIN) uvt__wait_hook(&c->closed, &w, s);
        uvt__unlock(c);
        if (rc != UV_EAGAIN) return rc;
        w.park = (uvt_park_t){ .what = what, .object = c, .abort = closed_abort };
        rc = uvt_park(&w.park);
        if (rc < 0) return rc;
    }
}

/* With the lock held: what a read says now. w is the caller's own wait, or NULL. */
static int look_at(uvt__cast *c, uvt__cast_reader *h, const uvt__wait *w, void *out, uvt__cast_look *look) {
    if (UNLIKELY(h->cast != c)) return UVT_ECLOSED;
    if (UNLIKELY(h->waiter && h->waiter != w)) return UV_EBUSY;
    if (LIKELY(h->at != c->sent)) return look(c, h, out);
    return c->senders > 0 ? UV_EAGAIN : UV_EOF;
}

/* The same: nobody waits with the handle any more. If it was closed it may be another's by now. */
static void forget(uvt__cast_reader *h, const uvt__wait *w) {
    if (h->waiter == w) h->waiter = NULL;
}

static void hook(uvt__cast *c, uvt__cast_reader *h, uvt__wait *w) {
    h->waiter = w;
    w->slot = c; /* for unhook: the handle may be closed until then */
    uvt__wait_hook(&c->waits, w, uvt__here());
}

int uvt__cast_try(uvt__cast_reader *h, void *out, uvt__cast_look *look) {
    uvt__cast *c = h->cast;
    uvt__lock(c);
    int rc = look_at(c, h, NULL, out, look);
    uvt__unlock(c);
    return rc;
}

int uvt__cast_read(uvt__cast_reader *h, void *out, uvt__cast_look *look, const char *what) {
    int entered = uvt__enter(uvt__here());
    if (UNLIKELY(entered < 0)) return entered;
    uvt__cast *c = h->cast;
    if (UNLIKELY(!c)) return UVT_ECLOSED; /* while others ran */
    uvt__wait w;
    w.choice = NULL;
    for (int parked = 0;;) {
        uvt__lock(c);
        int rc = parked < 0 ? parked : look_at(c, h, &w, out, look);
        if (rc == UV_EAGAIN) hook(c, h, &w);
        else forget(h, &w);
        uvt__unlock(c);
        if (rc != UV_EAGAIN) return rc;
        w.park = (uvt_park_t){ .what = what, .object = c, .abort = read_abort };
        parked = uvt_park(&w.park);
    }
}

/* ---- as a case of a select ---- */

int uvt__cast_hook(uvt__part *p) {
    uvt__cast_reader *h = p->c->object;
    int rc = uvt__cast_reads(h);
    if (rc < 0) return rc;
    uvt__cast *c = h->cast;
    uvt__lock(c);
    if (h->waiter) rc = UV_EBUSY;
    else if (h->at != c->sent || c->senders == 0) rc = UV_EAGAIN;
    else hook(c, h, &p->wait);
    uvt__unlock(c);
    return rc;
}

int uvt__cast_finish(uvt__part *p, int rc, uvt__cast_look *look) {
    uvt__cast *c = p->wait.slot;
    if (rc < 0) return rc;
    uvt__lock(c);
    rc = look_at(c, p->c->object, &p->wait, p->c->out, look);
    uvt__unlock(c);
    return rc;
}

void uvt__cast_unhook(uvt__part *p) {
    uvt__cast *c = p->wait.slot;
    uvt__lock(c);
    uvt__wait_leave(&c->waits, &p->wait);
    forget(p->c->object, &p->wait);
    uvt__unlock(c);
}
