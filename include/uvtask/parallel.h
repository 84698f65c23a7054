/* SPDX-License-Identifier: MIT
 *
 * Data parallelism: one loop over 0..n-1, cut into chunks that the threads of the pool take one after the other as
 * they get free, so uneven work evens out. The calling task waits, its loop goes on.
 *
 * As many threads work on it as there are cores, if the pool has them for jobs (see uvt_options.pool_size). Called from
 * inside a chunk or a blocking job, the calling thread works itself and others help as they get free: nesting cannot
 * deadlock, whatever the pool's size. Called from a plain thread without a runtime, it is a plain loop there with such
 * help as there is.
 */
#ifndef UVTASK_PARALLEL_H
#define UVTASK_PARALLEL_H

#include <uvtask/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Works on begin <= i < end. Negative: a failure, which keeps chunks that have not begun from being begun. */
typedef int (*uvt_chunk_fn)(void *ctx, size_t begin, size_t end);

/* Calls fn(ctx, begin, end) for chunks that together are 0..n-1, each index exactly once unless something stops it,
 * on several threads at once. grain: indices per chunk, 0 for an automatic one (chunks shrink towards the end). 0
 * when all is done; n == 0 is done at once. It returns only when no chunk runs any more, so ctx may be the caller's
 * local. A chunk that panics counts as one that failed with UVT_EPANIC.
 * Suspends: in a task always (but for n == 0) - Thread: task, or a job, a chunk, any thread without a runtime (there it
 * blocks)
 * On cancel: chunks that run are waited for (uvt_blocking_cancelled tells them), no other is begun, and none in a scope
 * that is cancelled already; UV_ECANCELED if that left any out
 * Errors: UV_EINVAL fn is NULL; UV_ENOMEM; UV_EAGAIN no thread could be had; the first failure of a chunk */
UVT_EXTERN int uvt_parallel_for(size_t n, size_t grain, uvt_chunk_fn fn, void *ctx);

/* As a chunk, adding what it finds to *acc, which no other thread uses at the time. Negative: a failure, as in
 * uvt_chunk_fn. */
typedef int (*uvt_reduce_fn)(void *ctx, size_t begin, size_t end, void *acc);
/* into = into (+) from. */
typedef void (*uvt_combine_fn)(void *ctx, void *into, const void *from);

/* A parallel loop with a result of size bytes. *acc holds the neutral element when it is called (0 for a sum) and the
 * result when it returns 0 (unchanged otherwise). Every thread starts from a copy of the neutral element (aligned to
 * 64 bytes) and adds chunk after chunk to it; the copies are combined at the end, one at a time, in no particular
 * order: (+) must be associative and commutative, so sums of floating-point numbers may differ in their last bits from
 * run to run.
 * Suspends: as uvt_parallel_for - On cancel: as uvt_parallel_for - Thread: as uvt_parallel_for
 * Errors: UV_EINVAL a function or acc is NULL, size is 0; else as uvt_parallel_for */
UVT_EXTERN int uvt_parallel_reduce(size_t n, size_t grain, uvt_reduce_fn fn, void *ctx, void *acc, size_t size,
                                   uvt_combine_fn combine);

#ifdef __cplusplus
}
#endif
#endif
