/* SPDX-License-Identifier: MIT
 *
 * Shards: one loop per thread. uvt_options.shards says how many; a program that never asks runs on one. The code stays
 * the same: uvt_spawn keeps a task on the shard of its parent, so what one shard's tasks share needs no lock, and
 * only what is placed elsewhere (UVT_ANY, UVT_ON) runs beside it.
 *
 * A task never moves once it has started. Its handle belongs to the shard that spawned it, wherever it runs: there it
 * is joined, detached, a member of its set and part of the tree of owners; cancels and results travel between the
 * loops as messages. Inside the task itself uvt_self() is another handle, of the shard it runs on. On another shard
 * than its own a handle is refused with UVT_ESHARD, be it of a task, a set, a stream or a listener: a connection is
 * served where it was accepted. Only uvt_abort, uvt_token_cancel, the sender's end of a oneshot and posts work from
 * everywhere. Semaphores, tokens, oneshots, channels, locks and signals may be used by tasks of all shards of their
 * runtime.
 */
#ifndef UVTASK_SHARD_H
#define UVTASK_SHARD_H

#include <uvtask/base.h>
#include <uvtask/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Values of uvt_options.shards. */
#define UVT_PER_CORE UINT32_MAX /* one per core that the process may run on */

/* Values of uvt_task_options.place and uvt_set_options.place; 0 is the shard of the caller. */
#define UVT_ANY (-1)             /* whichever shard gets to it first: idle shards take tasks that have not started */
/* On shard k; UV_EINVAL when there are not as many. */
#define UVT_ON(k) ((unsigned)(k) < 65536 ? (int)(k) + 1 : INT32_MAX)

/* How many shards the runtime has, and which one this is (0 is main's). 0 outside of a runtime.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN unsigned uvt_shard_count(void);
/* Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN unsigned uvt_shard_index(void);

/* uvt_call(unsigned shard, uvt_fn fn, void *arg)
 * Runs fn(arg) as a task on that shard (this one's own included) and awaits it here: what it returned. arg may point
 * to the caller's locals. It is not a child of the caller, but inherits its task-local values.
 * Suspends: always - Thread: task
 * On cancel: the task is cancelled, and awaited; what it returns is returned. In a scope that is cancelled already fn
 * does not run: UV_ECANCELED
 * Errors: UV_EINVAL fn is NULL, no such shard; UV_ENOMEM here or there (fn has not run); UVT_EPANIC it panicked */
#define uvt_call(shard, fn, ...) uvt_call_at((shard), (fn), (__VA_ARGS__), UVT_SITE(#fn))
/* The function behind the macro.
 * Suspends: always - On cancel: as uvt_call - Thread: task - Errors: as uvt_call */
UVT_EXTERN int uvt_call_at(unsigned shard, uvt_fn fn, void *arg, const char *site);

/* uvt_block_on(uvt_runtime_t *rt, uvt_fn fn, void *arg)
 * For threads that have no runtime (and for blocking jobs): runs fn(arg) as a task of the runtime, on the shard that rt
 * stands for, blocks the calling thread until it has ended, and returns what it returned. The end of the runtime
 * cancels it. The thread keeps its reference to rt meanwhile; uvt_external_begin keeps the runtime from seeing a
 * deadlock before the thread has come, but not from ending. An attached runtime serves it while its loop is alive.
 * Suspends: never (blocks) - On cancel: no effect - Thread: any without a runtime
 * Errors: UV_EINVAL rt or fn is NULL; UVT_ENESTED called in a task or a loop's callback, where it would block the loop
 *         that is to serve it (await there instead: uvt_call, or call fn); UVT_EGONE the runtime ends; UV_ENOMEM;
 *         UVT_EPANIC; UVT_EDEADLK, or after the grace period UV_ETIMEDOUT, when its task was given up */
#define uvt_block_on(rt, fn, ...) uvt_block_on_at((rt), (fn), (__VA_ARGS__), UVT_SITE(#fn))
/* The function behind the macro.
 * Suspends: never (blocks) - On cancel: no effect - Thread: as uvt_block_on - Errors: as uvt_block_on */
UVT_EXTERN int uvt_block_on_at(uvt_runtime_t *rt, uvt_fn fn, void *arg, const char *site);

/* As uvt_post, to that shard of rt's runtime.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: as uvt_post; UV_EINVAL no such shard */
UVT_EXTERN int uvt_post_on(uvt_runtime_t *rt, unsigned shard, void (*fn)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
