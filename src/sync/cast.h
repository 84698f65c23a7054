/* SPDX-License-Identifier: MIT
 *
 * What broadcasts and watches share: a ring of the last elements, the number of elements there have ever been, and two
 * kinds of counted handles. A reader's `at` is that number as of the last element it has seen, so how far it is
 * behind is a subtraction, and readers need not be listed. A watch is a ring of one.
 *
 * Waking is readiness: whoever waits is told to look, and looks under the lock when it runs. What it was woken for is
 * still there by then, because only its own handle moves its `at` on and no other task may read with that handle
 * meanwhile (`waiter` stays set until the call has returned). So a cancelled wait has had no effect, one that was woken
 * completes, and a select takes nothing before it has been decided. Handing copies over instead would have the sender
 * copy once for each waiter, with the lock held.
 *
 * All of it is under the record's lock (core/wait.c) but what never changes. That lock is found by the address alone,
 * so it may be taken for a record that is gone; a task that has been parked asks the handle first whether it is.
 */
#ifndef UVT_CAST_H
#define UVT_CAST_H

#include "sync/select.h"
#include <string.h>

typedef struct uvt__cast_sender uvt__cast_sender;
typedef struct uvt__cast_reader uvt__cast_reader;

typedef struct uvt__cast {
    uint64_t gid;      /* of the runtime it was made in; never changes, as the next three */
    uint64_t tag;      /* of the shard */
    size_t size;       /* bytes of an element */
    size_t capacity;   /* elements in the ring */
    uint64_t sent;     /* how many there have ever been */
    unsigned senders, readers; /* handles */
    uvt__waits waits;  /* readers with nothing to read; slot is this record */
    uvt__waits closed; /* senders that wait for there being no reader; slot is the handle */
    char ring[];
} uvt__cast;

/* What a reader does with the lock held: UV_EAGAIN when there is nothing new. */
typedef int uvt__cast_look(uvt__cast *c, uvt__cast_reader *r, void *out);

int uvt__cast_open(uvt__cast_sender *out, size_t size, size_t capacity);
int uvt__cast_clone(uvt__cast_sender *out, const uvt__cast_sender *from);
void uvt__cast_close_sender(uvt__cast_sender *h);
int uvt__cast_wait_closed(uvt__cast_sender *h, const char *what);
/* A reader that has seen what there is, or as much as `like` has if that is not NULL. */
int uvt__cast_subscribe(uvt__cast_reader *out, uvt__cast *c, const uvt__cast_reader *like);
void uvt__cast_close_reader(uvt__cast_reader *h);
/* Both expect a handle and a place that have been checked. */
int uvt__cast_try(uvt__cast_reader *h, void *out, uvt__cast_look *look);
int uvt__cast_read(uvt__cast_reader *h, void *out, uvt__cast_look *look, const char *what);
/* For cases: their object is the reader. */
int uvt__cast_hook(uvt__part *p);
int uvt__cast_finish(uvt__part *p, int rc, uvt__cast_look *look);
void uvt__cast_unhook(uvt__part *p);

/* The beginning of every call with a handle, of which these are the fields. */
static inline int uvt__cast_check(uint64_t gid, const uvt__cast *c) {
    uvt__shard *s = uvt__here();
    if (UNLIKELY(!s)) return UVT_ENOTASK;
    if (UNLIKELY(gid != s->gid)) return uvt__stranger(gid);
    return LIKELY(c != NULL) ? 0 : UVT_ECLOSED;
}

static inline int uvt__cast_sends(const uvt__cast_sender *h) {
    return uvt__cast_check(h ? h->gid : 0, h ? h->cast : NULL);
}

static inline int uvt__cast_reads(const uvt__cast_reader *h) {
    return uvt__cast_check(h ? h->gid : 0, h ? h->cast : NULL);
}

/* Whether a pointer will do as the place of an element. */
static inline int uvt__cast_elem(const uvt__cast *c, const void *elem) {
    return UNLIKELY(!elem && c->size > 0) ? UV_EINVAL : 0;
}

/* Where the n-th element is, or was, or will be. */
static inline char *uvt__cast_slot(uvt__cast *c, uint64_t n) {
    return c->ring + (size_t)(n % c->capacity) * c->size;
}

/* With the lock held: one more element, for everybody to look at. */
static inline void uvt__cast_put(uvt__cast *c, const void *elem) {
    if (c->size > 0) memcpy(uvt__cast_slot(c, c->sent), elem, c->size);
    c->sent++;
    for (uvt__wait *w; (w = c->waits.head) != NULL;) uvt__wait_wake(&c->waits, w, 0);
}

#endif
