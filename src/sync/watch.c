/* SPDX-License-Identifier: MIT
 *
 * Watches: the ring of cast.h with room for one. The first value counts as the first element, so "seen" is being at
 * the number of elements there have been, and marking moves a reader to that number or to the one before.
 */
#include "sync/cast.h"

int uvt_watch_open(uvt_watch_t *w, size_t size, const void *initial) {
    if (uvt__here() && !initial && size > 0) return UV_EINVAL;
    int rc = uvt__cast_open(w ? &w->end : NULL, size, 1);
    if (rc == 0) uvt__cast_put(w->end.cast, initial);
    return rc;
}

int uvt_watch_clone(uvt_watch_t *out, const uvt_watch_t *w) {
    return uvt__cast_clone(out ? &out->end : NULL, w ? &w->end : NULL);
}

void uvt_watch_close(uvt_watch_t *w) {
    uvt__cast_close_sender(w ? &w->end : NULL);
}

int uvt_watch_set(uvt_watch_t *w, const void *value) {
    int rc = uvt__cast_sends(w ? &w->end : NULL);
    if (rc == 0) rc = uvt__cast_elem(w->end.cast, value);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__cast *c = w->end.cast;
    uvt__lock(c);
    uvt__cast_put(c, value);
    rc = (int)c->readers;
    uvt__unlock(c);
    return rc;
}

int uvt_watch_wait_closed(uvt_watch_t *w) {
    return uvt__cast_wait_closed(w ? &w->end : NULL, "watchers to go");
}

int uvt_watch_subscribe(uvt_watcher_t *out, const uvt_watch_t *w) {
    int rc = uvt__cast_sends(w ? &w->end : NULL);
    return rc < 0 ? rc : uvt__cast_subscribe(out ? &out->end : NULL, w->end.cast, NULL);
}

int uvt_watcher_clone(uvt_watcher_t *out, const uvt_watcher_t *from) {
    int rc = uvt__cast_reads(from ? &from->end : NULL);
    return rc < 0 ? rc : uvt__cast_subscribe(out ? &out->end : NULL, from->end.cast, &from->end);
}

void uvt_watcher_close(uvt_watcher_t *w) {
    uvt__cast_close_reader(w ? &w->end : NULL);
}

/* ---- looking at it ---- */

static int copy_latest(const uvt_watcher_t *w, void *value, uint64_t *seen) {
    int rc = uvt__cast_reads(w ? &w->end : NULL);
    if (rc == 0) rc = uvt__cast_elem(w->end.cast, value);
    if (rc < 0) return rc;
    uvt__cast *c = w->end.cast;
    uvt__lock(c);
    if (c->size > 0) memcpy(value, c->ring, c->size);
    if (seen) *seen = c->sent;
    uvt__unlock(c);
    return 0;
}

int uvt_watch_get(uvt_watcher_t *w, void *value) {
    return copy_latest(w, value, w ? &w->end.at : NULL);
}

int uvt_watch_peek(const uvt_watcher_t *w, void *value) {
    return copy_latest(w, value, NULL);
}

/* Puts it at `back` elements before the end. */
static int mark(uvt_watcher_t *w, unsigned back) {
    int rc = uvt__cast_reads(w ? &w->end : NULL);
    if (rc < 0) return rc;
    uvt__cast *c = w->end.cast;
    uvt__lock(c);
    w->end.at = c->sent - back;
    if (back > 0 && w->end.waiter && w->end.waiter->hooked) uvt__wait_wake(&c->waits, w->end.waiter, 0);
    uvt__unlock(c);
    return 0;
}

int uvt_watch_mark_changed(uvt_watcher_t *w) {
    return mark(w, 1);
}

int uvt_watch_mark_unchanged(uvt_watcher_t *w) {
    return mark(w, 0);
}

/* ---- waiting for it ---- */

/* There is something that it has not seen; it stays so. */
static int changed(uvt__cast *c, uvt__cast_reader *r, void *nothing) {
    (void)c, (void)r, (void)nothing;
    return 0;
}

int uvt_watch_changed(uvt_watcher_t *w) {
    int rc = uvt__current() ? uvt__cast_reads(w ? &w->end : NULL) : UVT_ENOTASK;
    return rc < 0 ? rc : uvt__cast_read(&w->end, NULL, changed, "watch");
}

int uvt_watch_try_changed(uvt_watcher_t *w) {
    int rc = uvt__cast_reads(w ? &w->end : NULL);
    return rc < 0 ? rc : uvt__cast_try(&w->end, NULL, changed);
}

static int case_attempt(uvt_case_t *c) {
    return uvt_watch_try_changed(c->object);
}

static int case_finish(uvt__part *p, int rc) {
    return uvt__cast_finish(p, rc, changed);
}

static const uvt__kind changed_kind = { false, case_attempt, uvt__cast_hook, case_finish, uvt__cast_unhook };

uvt_case_t uvt_case_watch_changed(uvt_watcher_t *w) {
    return (uvt_case_t){ .kind = &changed_kind, .object = w };
}
