/* SPDX-License-Identifier: MIT
 *
 * Blocking jobs: calls that would hold up a loop (a long computation, a library that blocks) run on the threads of
 * libuv's pool, and a task waits for them.
 *
 * The pool is one per process and also does libuv's own file and name work. Jobs therefore never hold all its
 * threads: uvt_options.pool_reserve of them (one as a rule) are left to libuv (in a pool of one, jobs and libuv take
 * turns). Which job comes next is decided by lanes: a job waits in its lane, first come first served, until there is a
 * thread and its lane is below its limit; lanes that have work take turns. A lane's limit keeps one kind of work (a
 * database, a disk) from holding every thread. Jobs of less than about a microsecond are left to one thread, which is
 * faster; a longer one after them may hold up those behind it for some 200 us, until other threads come.
 *
 * A job is not a task: inside it there is no uvt_sleep and no uvt_read (UVT_ENOTASK), there are no task-local values,
 * and uvt_cancelled is false: ask uvt_blocking_cancelled. It may panic (uvt_panic ends the job, and whoever waits sees
 * UVT_EPANIC), call uvt_parallel_for, post, and bring a function into the runtime with uvt_block_on.
 *
 * What arg points to is used by a thread: it must live until the job has ended. A task that waits for its job keeps
 * it alive by that alone; a job that may be abandoned has to own it, and gives it back in drop.
 */
#ifndef UVTASK_BLOCKING_H
#define UVTASK_BLOCKING_H

#include <uvtask/base.h>
#include <uvtask/runtime.h>
#include <uvtask/set.h>
#include <uvtask/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A lane, for the whole process; {0} is the default one, which has no limit of its own. */
typedef struct uvt_lane {
    int index;
} uvt_lane_t;

/* Makes a lane, or finds the one that was made with the same name before. limit: how many of its jobs may run at
 * once, 0 for no limit but the pool's. name is copied, cut to 31 bytes, and only those count. Lanes are never given
 * back; there are 32.
 * Suspends: never - On cancel: no effect - Thread: any
 * Errors: UV_EINVAL NULL or an empty name; UV_EEXIST there is one of that name with another limit; UV_ENOSPC */
UVT_EXTERN int uvt_lane_create(uvt_lane_t *lane, const char *name, unsigned limit);

/* What a lane holds now, and has seen. Parallel loops have lanes of their own. */
typedef struct uvt_lane_stats {
    unsigned limit;      /* 0 none */
    unsigned running;    /* jobs on a thread, those whose task has left included */
    unsigned waiting;    /* jobs in the queue */
    uint64_t started;    /* jobs that ever began to run */
    uint64_t dropped;    /* jobs that were cancelled, or overtaken by the runtime's end, while they waited */
    uint64_t waited_us;  /* how long all those that began had waited, microseconds */
    uint64_t longest_us; /* the longest wait among them */
} uvt_lane_stats;

/* Fills *out.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: UV_EINVAL out is NULL, no such lane */
UVT_EXTERN int uvt_lane_stats_get(uvt_lane_t lane, uvt_lane_stats *out);

typedef struct uvt_blocking_options {
    uvt_lane_t lane;         /* default: the default lane */
    bool abandon;            /* a cancelled task leaves a running job at once, which goes on by itself; needs drop.
                                Default: the task stays until the job has ended */
    void (*drop)(void *arg); /* called once when nobody takes the job's result: the job was cancelled before it
                                began (uvt_blocking in a scope cancelled before the call included), or it was abandoned
                                or left behind by the runtime's end, and has ended. Then the answer is UV_ECANCELED, so
                                a job with drop should not return that itself. Not called when no job was made (a call
                                that fails with another code; uvt_set_spawn_blocking with any): arg is still the
                                caller's. It runs on the loop or on the job's thread, and must not suspend */
    const char *name;        /* copied, cut to 31 bytes; default: the function's name. For a spawned one */
} uvt_blocking_options;

/* uvt_blocking(uvt_fn fn, void *arg)
 * Runs fn(arg) on a thread of the pool and returns what it returned. The loop goes on meanwhile. fn must not wait for
 * this very task.
 * Suspends: always - Thread: task
 * On cancel: a job that waits is dropped and never runs: UV_ECANCELED. One that runs is waited for (its
 * uvt_blocking_cancelled becomes true) and its result is returned; with the abandon option UV_ECANCELED at once. In a
 * scope that is cancelled already fn does not run, and drop is called: UV_ECANCELED
 * Errors: UV_EINVAL fn is NULL, abandon without drop, no such lane; UV_ENOMEM; UV_EAGAIN no thread could be had;
 *         UVT_EPANIC the job panicked (its message is in the report); what fn returns */
#define uvt_blocking(fn, ...) uvt_blocking_at((fn), (__VA_ARGS__), NULL, UVT_SITE(#fn))
/* uvt_blocking_opts(fn, arg, const uvt_blocking_options *options): options may be NULL.
 * Suspends: always - On cancel: as uvt_blocking - Thread: task - Errors: as uvt_blocking */
#define uvt_blocking_opts(fn, arg, ...) uvt_blocking_at((fn), (arg), (__VA_ARGS__), UVT_SITE(#fn))
/* The function behind both.
 * Suspends: always - On cancel: as uvt_blocking - Thread: task - Errors: as uvt_blocking */
UVT_EXTERN int uvt_blocking_at(uvt_fn fn, void *arg, const uvt_blocking_options *options, const char *site);

/* uvt_spawn_blocking(uvt_task_t *t, uvt_fn fn, void *arg)
 * The same as a child of the calling task that has a handle and no stack: join, abort and detach it like any other.
 * Aborted while it waits it never runs and ends cancelled; while it runs it ends when the job does, with the
 * job's result, or at once with the abandon option. t may be NULL.
 * Suspends: never - On cancel: no effect; a child of an aborted task is aborted from birth - Thread: task
 * Errors: as uvt_blocking (UVT_EPANIC comes out of join, the outcome being UVT_PANICKED) */
#define uvt_spawn_blocking(t, fn, ...) uvt_spawn_blocking_at((t), (fn), (__VA_ARGS__), NULL, UVT_SITE(#fn))
/* uvt_spawn_blocking_opts(t, fn, arg, const uvt_blocking_options *options): options may be NULL.
 * Suspends: never - On cancel: as uvt_spawn_blocking - Thread: task - Errors: as uvt_spawn_blocking */
#define uvt_spawn_blocking_opts(t, fn, arg, ...) uvt_spawn_blocking_at((t), (fn), (arg), (__VA_ARGS__), UVT_SITE(#fn))
/* The function behind both.
 * Suspends: never - On cancel: as uvt_spawn_blocking - Thread: task - Errors: as uvt_spawn_blocking */
UVT_EXTERN int uvt_spawn_blocking_at(uvt_task_t *t, uvt_fn fn, void *arg, const uvt_blocking_options *options,
                                     const char *site);

/* uvt_set_spawn_blocking(uvt_set_t *set, uvt_fn fn, void *arg)
 * The same as a member of a set. A full set makes the call wait for room.
 * Suspends: only when the set is full - On cancel: UV_ECANCELED, nothing was spawned - Thread: task
 * Errors: as uvt_set_spawn and uvt_spawn_blocking */
#define uvt_set_spawn_blocking(set, fn, ...)                                                           \
    uvt_set_spawn_blocking_at((set), NULL, (fn), (__VA_ARGS__), NULL, UVT_SITE(#fn))
/* uvt_set_spawn_blocking_opts(set, t, fn, arg, const uvt_blocking_options *options): t and options may be NULL. The
 * set's drop does not count for jobs.
 * Suspends: only when the set is full - On cancel: UV_ECANCELED - Thread: task - Errors: as the short form */
#define uvt_set_spawn_blocking_opts(set, t, fn, arg, ...)                                              \
    uvt_set_spawn_blocking_at((set), (t), (fn), (arg), (__VA_ARGS__), UVT_SITE(#fn))
/* The function behind both.
 * Suspends: only when the set is full - On cancel: UV_ECANCELED - Thread: task - Errors: as the short form */
UVT_EXTERN int uvt_set_spawn_blocking_at(uvt_set_t *set, uvt_task_t *t, uvt_fn fn, void *arg,
                                         const uvt_blocking_options *options, const char *site);

/* Whether the job (or the parallel loop) that this code runs in has been asked to stop: its task was cancelled, or
 * has left, or another chunk of the loop has failed. In a task it is uvt_cancelled().
 * Suspends: never - On cancel: it says so - Thread: any - Errors: none (false elsewhere) */
UVT_EXTERN bool uvt_blocking_cancelled(void);

/* The pool's threads as uvtask knows them (the option, else UV_THREADPOOL_SIZE, else the default), and how many of
 * them jobs may hold at most; either may be NULL.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void uvt_pool_size(unsigned *threads, unsigned *for_jobs);

#ifdef __cplusplus
}
#endif
#endif
