/* SPDX-License-Identifier: MIT
 *
 * Watch: one value that changes, a configuration or a state, and watchers that want the latest. What was
 * overwritten before anybody looked is not missed by anybody. Between tasks of all shards of the runtime that the
 * watch was opened in.
 *
 *     uvt_watch_t config;
 *     uvt_watcher_t w;
 *     uvt_watch_open(&config, sizeof(struct config), &initial);
 *     uvt_watch_subscribe(&w, &config);
 *     ...
 *     while (uvt_watch_changed(&w) == 0) {       until the last sender has closed: UV_EOF
 *         uvt_watch_get(&w, &now);               a copy of the latest; it is seen now
 *         apply(&now);
 *     }
 *     uvt_watcher_close(&w);
 *
 * A watcher remembers which value it has seen. Waiting for a change sees nothing by itself, so nothing is lost to
 * a cancel, or to another case of a select; looking at the value (uvt_watch_get) does. A loop that waits and never
 * looks finds the same change again, and lets others run in between.
 *
 * The value is plain data that everybody copies, and nobody is told when it is overwritten: what it points to needs an
 * owner elsewhere, or a count of its own.
 */
#ifndef UVTASK_WATCH_H
#define UVTASK_WATCH_H

#include <uvtask/base.h>
#include <uvtask/broadcast.h>
#include <uvtask/select.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A sender's handle, and a watcher: the caller's memory, fields private, with the rules of uvt_broadcast_t: both must
 * be closed, stay where they are until then, and are not copied but cloned. */
typedef struct uvt_watch {
    struct uvt__cast_sender end;
} uvt_watch_t;
typedef struct uvt_watcher {
    struct uvt__cast_reader end;
} uvt_watcher_t;

/* ---- the sender's side ---- */

/* Makes a watch whose value is a copy of *initial, and *w its first sender's handle; it has no watcher yet. All memory
 * it will ever need is had here. With size 0 there is no value, only changes; initial, and the places below, may
 * be NULL.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL initial is NULL, the size is too large; UV_ENOMEM */
UVT_EXTERN int uvt_watch_open(uvt_watch_t *w, size_t size, const void *initial);

/* Makes *out another sender's handle of the watch.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UVT_ECLOSED w was closed */
UVT_EXTERN int uvt_watch_clone(uvt_watch_t *out, const uvt_watch_t *w);

/* Gives the handle back; twice is as once. Who waits with it gets UVT_ECLOSED. After the last sender's handle watchers
 * learn of a value that they have not seen, then get UV_EOF; the value stays readable. The memory goes with the last
 * handle of both sides. On a thread of another runtime, or of none, it does nothing while the handle's runtime runs.
 * Suspends: never - On cancel: no effect - Thread: loop (any, one at a time, after the runtime's end) - Errors: none */
UVT_EXTERN void uvt_watch_close(uvt_watch_t *w);

/* Makes a copy of *value the latest value, unseen by all watchers, and wakes those that wait. Returns how many watchers
 * there are. With 0 the value is kept as well, for those to come.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UVT_ECLOSED the handle was closed; UV_EINVAL value is NULL */
UVT_EXTERN int uvt_watch_set(uvt_watch_t *w, const void *value);

/* Waits until there is no watcher, which may be so at once. If one has come again before the task runs, it goes on
 * waiting.
 * Suspends: may - On cancel: UV_ECANCELED - Thread: task - Errors: UVT_ECLOSED the handle was closed */
UVT_EXTERN int uvt_watch_wait_closed(uvt_watch_t *w);

/* ---- the watcher's side ---- */

/* Makes *out a watcher that has seen the value there is: it can read it, and waits for the next one.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UVT_ECLOSED w was closed */
UVT_EXTERN int uvt_watch_subscribe(uvt_watcher_t *out, const uvt_watch_t *w);

/* Makes *out another watcher of the same watch, which has seen what `from` has. That needs no sender's handle.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UVT_ECLOSED from was closed */
UVT_EXTERN int uvt_watcher_clone(uvt_watcher_t *out, const uvt_watcher_t *from);

/* Gives the watcher back, as uvt_watch_close does a sender.
 * Suspends: never - On cancel: no effect - Thread: loop (any, one at a time, after the runtime's end) - Errors: none */
UVT_EXTERN void uvt_watcher_close(uvt_watcher_t *w);

/* Copies the latest value to *value and marks it as seen.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UVT_ECLOSED the watcher was closed; UV_EINVAL value is NULL */
UVT_EXTERN int uvt_watch_get(uvt_watcher_t *w, void *value);
/* The same without marking it.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: as uvt_watch_get */
UVT_EXTERN int uvt_watch_peek(const uvt_watcher_t *w, void *value);

/* Waits until there is a value that this watcher has not seen. It does not mark it (uvt_watch_get does).
 * Suspends: may - On cancel: UV_ECANCELED - Thread: task
 * Errors: UV_EOF all is seen and the last sender has gone; UVT_ECLOSED the watcher was closed; UV_EBUSY another
 *         task waits with it (clone it) */
UVT_EXTERN int uvt_watch_changed(uvt_watcher_t *w);
/* As uvt_watch_changed, never waiting: UV_EAGAIN when all is seen.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EAGAIN; as uvt_watch_changed */
UVT_EXTERN int uvt_watch_try_changed(uvt_watcher_t *w);

/* Marks the latest value as not seen by this watcher, whatever it has seen; a task that waits with it is woken.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UVT_ECLOSED the watcher was closed */
UVT_EXTERN int uvt_watch_mark_changed(uvt_watcher_t *w);
/* Marks the latest value as seen, without reading it.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UVT_ECLOSED the watcher was closed */
UVT_EXTERN int uvt_watch_mark_unchanged(uvt_watcher_t *w);

/* ---- a case of a select ---- */

/* uvt_watch_changed(w).
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_watch_changed */
UVT_EXTERN uvt_case_t uvt_case_watch_changed(uvt_watcher_t *w);

#ifdef __cplusplus
}
#endif
#endif
