/* SPDX-License-Identifier: MIT
 *
 * uvtask: structured concurrency on libuv. This header is the whole public face; the parts below are its
 * chapters and may be read in this order. Every declaration is documented where it stands, each comment
 * ending with the same four facts:
 *
 *   Suspends: never | may | always      whether the calling task can be set aside meanwhile
 *   On cancel: ...                      what a cancelled scope does to the call
 *   Thread: ...                         "task" = inside a task; "loop" = on a thread of the runtime, inside
 *                                       a task or a uv callback; "any" = any thread at any time
 *   Errors: ...                         the codes that are its own; see <uvtask/base.h> for the ones that
 *                                       every call shares (UVT_ENOTASK, UVT_ESHARD)
 *
 * For authors of new awaitables there is <uvtask/park.h>, for tests <uvtask/test.h>.
 */
#ifndef UVTASK_H
#define UVTASK_H

#include <uvtask/base.h>
#include <uvtask/runtime.h>
#include <uvtask/task.h>
#include <uvtask/time.h>
#include <uvtask/scope.h>
#include <uvtask/set.h>
#include <uvtask/semaphore.h>
#include <uvtask/oneshot.h>
#include <uvtask/select.h>
#include <uvtask/chan.h>
#include <uvtask/mutex.h>
#include <uvtask/rwlock.h>
#include <uvtask/event.h>
#include <uvtask/barrier.h>
#include <uvtask/combine.h>
#include <uvtask/rate.h>
#include <uvtask/broadcast.h>
#include <uvtask/watch.h>
#include <uvtask/shard.h>
#include <uvtask/blocking.h>
#include <uvtask/parallel.h>
#include <uvtask/stream.h>
#include <uvtask/tcp.h>

#endif
