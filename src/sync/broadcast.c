/* SPDX-License-Identifier: MIT
 *
 * Broadcasts: what a subscriber makes of the ring that it shares with the others (cast.h). A reader that is further
 * behind than the ring is long is moved to the oldest element there is, and told so once.
 */
#include "sync/cast.h"

int uvt_broadcast_open(uvt_broadcast_t *b, size_t elem_size, size_t capacity) {
    return uvt__cast_open(b ? &b->end : NULL, elem_size, capacity);
}

int uvt_broadcast_clone(uvt_broadcast_t *out, const uvt_broadcast_t *b) {
    return uvt__cast_clone(out ? &out->end : NULL, b ? &b->end : NULL);
}

void uvt_broadcast_close(uvt_broadcast_t *b) {
    uvt__cast_close_sender(b ? &b->end : NULL);
}

int uvt_broadcast_send(uvt_broadcast_t *b, const void *elem) {
    int rc = uvt__cast_sends(b ? &b->end : NULL);
    if (rc == 0) rc = uvt__cast_elem(b->end.cast, elem);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__cast *c = b->end.cast;
    uvt__lock(c);
    rc = c->readers > 0 ? (int)c->readers : UV_EPIPE;
    if (LIKELY(rc > 0)) uvt__cast_put(c, elem);
    uvt__unlock(c);
    return rc;
}

int uvt_broadcast_wait_closed(uvt_broadcast_t *b) {
    return uvt__cast_wait_closed(b ? &b->end : NULL, "subscribers to go");
}

int uvt_broadcast_subscribe(uvt_subscriber_t *sub, const uvt_broadcast_t *b) {
    int rc = uvt__cast_sends(b ? &b->end : NULL);
    return rc < 0 ? rc : uvt__cast_subscribe(sub ? &sub->end : NULL, b->end.cast, NULL);
}

int uvt_subscriber_clone(uvt_subscriber_t *out, const uvt_subscriber_t *sub) {
    int rc = uvt__cast_reads(sub ? &sub->end : NULL);
    return rc < 0 ? rc : uvt__cast_subscribe(out ? &out->end : NULL, sub->end.cast, NULL);
}

void uvt_subscriber_close(uvt_subscriber_t *sub) {
    uvt__cast_close_reader(sub ? &sub->end : NULL);
}

static int next(uvt__cast *c, uvt__cast_reader *r, void *elem) {
    uint64_t behind = c->sent - r->at;
    if (UNLIKELY(behind > c->capacity)) {
        r->lost = behind - c->capacity;
        r->at += r->lost;
        return UVT_ELAGGED;
    }
    if (c->size > 0) memcpy(elem, uvt__cast_slot(c, r->at), c->size);
    r->at++;
    return 0;
}

static int check(const uvt_subscriber_t *sub, const void *elem) {
    int rc = uvt__cast_reads(sub ? &sub->end : NULL);
    return rc < 0 ? rc : uvt__cast_elem(sub->end.cast, elem);
}

int uvt_broadcast_recv(uvt_subscriber_t *sub, void *elem) {
    int rc = uvt__current() ? check(sub, elem) : UVT_ENOTASK;
    return rc < 0 ? rc : uvt__cast_read(&sub->end, elem, next, "broadcast");
}

int uvt_broadcast_try_recv(uvt_subscriber_t *sub, void *elem) {
    int rc = check(sub, elem);
    return rc < 0 ? rc : uvt__cast_try(&sub->end, elem, next);
}

uint64_t uvt_subscriber_lost(const uvt_subscriber_t *sub) {
    return sub ? sub->end.lost : 0;
}

/* ---- as a case of a select ---- */

static int case_attempt(uvt_case_t *c) {
    return uvt_broadcast_try_recv(c->object, c->out);
}

static int case_finish(uvt__part *p, int rc) {
    return uvt__cast_finish(p, rc, next);
}

static const uvt__kind recv_kind = { false, case_attempt, uvt__cast_hook, case_finish, uvt__cast_unhook };

uvt_case_t uvt_case_broadcast_recv(uvt_subscriber_t *sub, void *elem) {
    return (uvt_case_t){ .kind = &recv_kind, .object = sub, .out = elem };
}
