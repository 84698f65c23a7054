/* SPDX-License-Identifier: MIT
 *
 * The runtime: a libuv loop, or several, that run tasks. uvt_run owns its loops and is what a program calls from main;
 * uvt_attach puts tasks on a loop that a host program drives itself.
 *
 * Task code runs only from the loop's prepare and check hooks, never from inside a uv callback, so a host
 * may mix callbacks and tasks freely. Between two batches of tasks the loop polls for I/O.
 */
#ifndef UVTASK_RUNTIME_H
#define UVTASK_RUNTIME_H

#include <uvtask/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The body of a task. >= 0 is success, a negative UV_E* or UVT_E* code is failure. */
typedef int (*uvt_fn)(void *arg);

/* A runtime, or one shard of it, for calls from outside of it. Reference-counted apart from the loop, so it can be
 * asked (and answers UVT_EGONE) after the loop has ended. */
typedef struct uvt_runtime uvt_runtime_t;

/* Unset (zero) always means the default: NULL and {0} are the same. */
typedef struct uvt_options {
    size_t stack_size;    /* bytes per task; default 64 KiB, 16 KiB to 1 GiB, rounded up to a power of two; up to
                             2 KiB of it are the library's, the guard page is not */
    unsigned stack_cache; /* stacks kept for reuse when their tasks end, on each shard; default 256 */
    bool allow_unguarded; /* go on when guard pages cannot be had; default: such a spawn fails, UV_ENOMEM */
    unsigned grace_ms;    /* how long a task's defers may suspend, and when a shutdown names the tasks and
                             jobs that still run, and uvt_run stops waiting for the jobs; default 5000 ms */
    unsigned stall_ms;    /* report a task that computed longer than this without suspending; default off */
    unsigned shards;      /* loops, each on a thread of its own, the first on the caller's; default 1, UVT_PER_CORE one
                             per core, at most 1024; see <uvtask/shard.h> */
    bool pin;             /* with several shards: keep shard k on the k-th core that the calling thread may use,
                             beginning anew when there are more shards than cores (Linux; else ignored). Threads
                             that tasks make inherit it; the pool's do not */
    unsigned spin_us;     /* with several shards: how long an idle one looks for messages before it polls for I/O, which
                             waits meanwhile, and sleeps. Saves the wake-up of 10-20 us, costs a core; default 0:
                             one that has sent another a message, and lately got such answers within 100 us, looks
                             for the next for up to 50 us, and an idle one sleeps */
    bool no_linger;       /* with several shards: it sleeps at once then, too. So it does where there are more shards
                             than cores */
    unsigned pool_size;   /* threads of libuv's pool, 1 to 1024; default UV_THREADPOOL_SIZE if that says 1 to 1024,
                             else one more than there are cores, but at least libuv's own 4. One pool serves the
                             process: the first runtime settles its size, by setting UV_THREADPOOL_SIZE in the
                             environment, where libuv looks on first use; asking for another one later is
                             UV_EALREADY. Let nothing use the pool before: it would have a size that uvtask cannot
                             see */
    unsigned pool_reserve; /* how many of them blocking jobs leave to libuv's file and name work; default 1 (none
                             in a pool of one). At least one thread is always for jobs. It is one for the process:
                             while several runtimes run, the last that asked holds */
    uint64_t seed;        /* not 0: ready tasks run in an order drawn from this seed (for tests). With several shards
                             each draws its own, and what they do beside each other is not drawn */
    /* Receives every report (deadlock, stall, panic, things left open, stragglers, jobs that outlive the end) as text
     * lines, on the thread of the shard concerned and outside of tasks' own code: with several shards, on several
     * threads at once. It must not call suspending functions. Default: nobody. */
    void (*report)(void *report_arg, const char *text);
    void *report_arg;
} uvt_options;

/* uvt_run(uvt_fn fn, void *arg, const uvt_options *options)
 * Runs fn(arg) as the first task of a new runtime on loops of its own (options.shards, the first on this thread), and
 * returns when that task, and all it owned, have ended and the loops are closed. When fn ends, detached tasks that
 * still run are cancelled and awaited. A handle of the program's own that is still open on a loop then is reported and
 * closed, and its memory is looked at until uvt_run has returned.
 *
 * Returns what fn returned; if that is >= 0 and a child of fn that nobody joined, or else a detached task, failed, that
 * failure. A request that was abandoned on libuv's thread pool (a name resolution) is still waited for. A blocking job
 * that still runs options.grace_ms after fn has returned (or the end began otherwise) is named in a report and left
 * alone: the task that waits for it is given up with its stack, which the job may still use. (libuv waits for its
 * threads when the process exits.) Blocks the calling thread. If SIGPIPE has its default action, which would end the
 * process when a peer vanishes, it is set to be ignored (and left so), as Node does.
 * Suspends: never (blocks) - On cancel: no effect - Thread: any thread without a runtime
 * Errors: UV_EINVAL fn is NULL or an option is out of range; UVT_ENESTED inside a task or loop of uvtask;
 *         UVT_EDEADLK all tasks waited for each other (they were cancelled; see options.report. Those in a
 *         wait that cannot be cancelled, see <uvtask/park.h>, are given up: they never end);
 *         UVT_EPANIC fn panicked; UV_ETIMEDOUT a blocking job kept fn's own children from ending;
 *         UV_EALREADY options.pool_size differs from the pool's; UV_ENOMEM, UV_EAGAIN and libuv's codes when a loop
 *         or its thread cannot be made */
#define uvt_run(fn, arg, ...) uvt_run_at((fn), (arg), (__VA_ARGS__), UVT_SITE(#fn))
/* The function behind the macro.
 * Suspends: never (blocks) - On cancel: no effect - Thread: as uvt_run - Errors: as uvt_run */
UVT_EXTERN int uvt_run_at(uvt_fn fn, void *arg, const uvt_options *options, const char *site);

/* Puts a runtime on a loop that the caller drives with uv_run. It adds hooks to the loop that do not keep
 * it alive; tasks that are ready, asleep or waiting for I/O do. The caller's own handles are not touched.
 * The thread that attaches is the one that has to drive the loop (an assertion says so). SIGPIPE is treated as
 * by uvt_run.
 * *rt holds one reference, given back with uvt_runtime_unref after uvt_runtime_shutdown has finished.
 * Suspends: never - On cancel: no effect - Thread: the loop's, outside of tasks
 * Errors: UV_EINVAL, options.shards above 1 included (pin, spin_us and no_linger are for several shards);
 *         UVT_ENESTED this thread has a runtime; UV_EALREADY as uvt_run;
 *         UV_ENOMEM; libuv's */
UVT_EXTERN int uvt_attach(uvt_runtime_t **rt, uv_loop_t *loop, const uvt_options *options);

/* Starts a task from outside of tasks: it belongs to the runtime, as if detached. A failure is kept and
 * given to the shutdown callback.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL fn is NULL; UV_ENOMEM; UVT_EGONE shutting down;
 *         UVT_ESHARD another thread's loop, or another shard */
#define uvt_runtime_spawn(rt, fn, ...) uvt_runtime_spawn_at((rt), (fn), (__VA_ARGS__), UVT_SITE(#fn))
UVT_EXTERN int uvt_runtime_spawn_at(uvt_runtime_t *rt, uvt_fn fn, void *arg, const char *site);

/* Cancels and awaits every task of an attached runtime and takes the hooks off the loop; then calls
 * done(arg, status) from the loop, status being the first failure of a task or 0. Goes on as the host
 * drives the loop. A blocking job that runs is waited for, and named in a report after options.grace_ms. done may be
 * NULL.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UVT_EGONE shut down before; UV_EINVAL the runtime belongs to uvt_run */
UVT_EXTERN int uvt_runtime_shutdown(uvt_runtime_t *rt, void (*done)(void *arg, int status), void *arg);

/* The runtime of the calling task or loop callback with a reference for the caller, or NULL outside. It stands for
 * the shard it was asked for on.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN uvt_runtime_t *uvt_runtime_ref(void);

/* Gives a reference back; NULL is allowed.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void uvt_runtime_unref(uvt_runtime_t *rt);

/* Calls fn(arg) on the thread of the shard that rt stands for, outside of tasks, soon: posts to one shard run in the
 * order they were made and never inside uvt_post. A post that returned 0 is guaranteed to run before the runtime ends.
 * Posts do not keep a loop alive that has nothing else to do (an attached one runs them when it is alive again).
 * Suspends: never - On cancel: no effect - Thread: any
 * Errors: UV_EINVAL; UVT_EGONE the runtime has ended (fn is not called); UV_ENOMEM */
UVT_EXTERN int uvt_post(uvt_runtime_t *rt, void (*fn)(void *arg), void *arg);

/* The loop under the calling task, to start callbacks of libuv on. NULL outside of a runtime's thread.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN uv_loop_t *uvt_loop(void);

/* Tells the runtime that something outside of its loops (a thread, a signal handler's thread) will wake a task, or
 * that it no longer will: while the count is above zero, on any shard, loops with nothing to do wait instead of
 * reporting a deadlock. It does not keep the runtime from ending. Calls pair up, on one shard; on another an end has
 * no effect.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN void uvt_external_begin(void);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN void uvt_external_end(void);

/* Writes one line per task of this shard: name, spawn site, state, what it waits for and how deep it is owned. A task
 * that runs on another shard is listed on both (here as pending, or ready). It takes no lock, resumes nothing and
 * allocates nothing.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL no line function; UVT_ENOTASK no runtime on this thread */
UVT_EXTERN int uvt_dump(void (*line)(void *arg, const char *text), void *arg);

/* What this shard holds now. A task that was placed on another shard counts on both. */
typedef struct uvt_stats {
    size_t tasks;         /* live tasks */
    size_t records;       /* task records in use: live ones and those ended but not joined */
    size_t stacks;        /* stacks in use by started tasks */
    size_t stacks_cached; /* stacks kept for reuse */
    size_t streams;       /* open streams and listeners */
    size_t timers;        /* armed timers: sleeps, deadlines, start delays */
    uint64_t spawned;     /* tasks ever spawned */
    uint64_t switches;    /* times a task was resumed or started */
    uint64_t ignored;     /* suspending calls made in a scope that had been cancelled before */
} uvt_stats;

/* Fills *out.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL out is NULL; UVT_ENOTASK no runtime on this thread */
UVT_EXTERN int uvt_stats_get(uvt_stats *out);

#ifdef __cplusplus
}
#endif
#endif
