/* SPDX-License-Identifier: MIT
 *
 * Combinators: several functions at once, as one call. Each opens a task set of its own and closes it before it
 * returns, so no branch outlives the call, arguments may lie on the caller's stack, and "cancelled" always means
 * cancelled, cleaned up and ended. They are small functions over sets and scopes: for anything else, use those.
 *
 *     uvt_branch_t b[] = { UVT_BRANCH(ask_mirror, &m[0]), UVT_BRANCH(ask_mirror, &m[1]) };
 *     int first = uvt_race(b, 2);           // its index, when the other has given up and ended
 *
 * What a branch returned is in its status, that of losers included: one that completes although it was told to stop (it
 * had received a message already) is not lost. Branches run on the caller's shard, and inherit its task-local values.
 */
#ifndef UVTASK_COMBINE_H
#define UVTASK_COMBINE_H

#include <uvtask/base.h>
#include <uvtask/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One function to run beside others. fn and arg are the caller's to set, site too or by UVT_BRANCH. */
typedef struct uvt_branch {
    uvt_fn fn;
    void *arg;
    const char *site;     /* UVT_SITE string: its name in dumps; NULL "branch" */
    int status;           /* out: what fn returned, UV_ECANCELED, UVT_EPANIC, or UV_ENOMEM if it could not begin */
    uvt_outcome outcome;  /* out: how it ended */
    struct uvt__fan *fan; /* private, valid during the call */
} uvt_branch_t;

/* A branch's initializer, which names it after its function: uvt_branch_t b[] = { UVT_BRANCH(fn, arg), ... }. */
#define UVT_BRANCH(fn, ...) { (fn), (__VA_ARGS__), UVT_SITE(#fn), 0, UVT_RETURNED, NULL }

/* The four calls on arrays of branches have this in common. branches may be NULL when n is 0. Branches begin in the
 * array's order, when the call suspends; as with all tasks, one that is cancelled before it has begun runs all the
 * same, and its first suspending call says so. A call that fails with UV_ENOMEM because a task could not be made has
 * run no branch (all have that status); a stack that could not be had when a branch was to begin makes that branch
 * fail with UV_ENOMEM. When the caller is cancelled, so are the branches, and they are awaited; what those did
 * that completed nevertheless counts first. In a scope that is cancelled already no branch runs. */

/* Runs all branches at once and waits for all of them, failures or not (Promise.allSettled; join!). Returns the first
 * failure in the array's order; UV_ECANCELED when there is none, but a branch was cancelled; or 0.
 * Suspends: may, always when n > 0 - On cancel: every branch is cancelled and awaited; what they did is returned,
 * UV_ECANCELED when one gave up - Thread: task
 * Errors: UV_EINVAL branches or an fn is NULL, n > INT_MAX; UV_ENOMEM; the branches' own */
UVT_EXTERN int uvt_join_all(uvt_branch_t *branches, size_t n);

/* As uvt_join_all, but the first failure in time cancels the other branches, and is what is returned when they have
 * ended (Promise.all, try_join!).
 * Suspends: may, always when n > 0 - On cancel: as uvt_join_all - Thread: task - Errors: as uvt_join_all */
UVT_EXTERN int uvt_try_join(uvt_branch_t *branches, size_t n);

/* Runs all branches at once, and cancels and awaits the others when the first has ended, well or not (Promise.race,
 * select!). Returns the index of that one; its status says what came of it. A branch that was cancelled and gave up is
 * not the first.
 * Suspends: always - On cancel: every branch is cancelled and awaited; the first that completed nevertheless is
 * returned, or UV_ECANCELED - Thread: task
 * Errors: UV_EINVAL branches or an fn is NULL, n > INT_MAX; UV_EOF n is 0; UV_ENOMEM */
UVT_EXTERN int uvt_race(uvt_branch_t *branches, size_t n);

/* As uvt_race, but the first success (status >= 0) wins (Promise.any). When there is none, the last failure in time is
 * returned, or UV_ECANCELED when a branch was cancelled.
 * Suspends: always - On cancel: as uvt_race - Thread: task - Errors: as uvt_race; the last branch's own */
UVT_EXTERN int uvt_first_ok(uvt_branch_t *branches, size_t n);

/* uvt_map(void *items, size_t n, size_t item_size, unsigned limit, int (*fn)(void *item, void *ctx), void *ctx)
 * Calls fn for every item of an array, each in a task of its own, in the array's order, at most limit at a time
 * (0: no limit), and waits for all. The first failure in time cancels and awaits those that run, no more are begun, and
 * it is returned; what fn finds out it stores in the item. items may be NULL when n is 0.
 * Suspends: may, always when n > 0 - On cancel: those that run are cancelled and awaited, no more are begun:
 * UV_ECANCELED, unless all had completed - Thread: task
 * Errors: UV_EINVAL items or fn is NULL, item_size is 0 or too large for n; UV_ENOMEM as if an item had failed;
 *         fn's own */
#define uvt_map(items, n, item_size, limit, fn, ...)                                                   \
    uvt_map_at((items), (n), (item_size), (limit), (fn), (__VA_ARGS__), UVT_SITE(#fn))
/* The function behind the macro.
 * Suspends: as uvt_map - On cancel: as uvt_map - Thread: task - Errors: as uvt_map */
UVT_EXTERN int uvt_map_at(void *items, size_t n, size_t item_size, unsigned limit,
                          int (*fn)(void *item, void *ctx), void *ctx, const char *site);

/* uvt_background(uvt_fn background, void *arg, uvt_fn body, void *body_arg)
 * Runs background(arg) beside body(body_arg): waits until the background task has called uvt_started (see
 * uvt_set_start), then runs body in the calling task, and when that returns cancels the background task and awaits it.
 * Returns what body returned. A failure of the background task while body runs cancels body's calls, and is
 * returned; one that comes after that only when body has succeeded. If it ends well before body does, body goes on.
 * Suspends: always - On cancel: body sees it, the background task is cancelled, too; it is awaited on every path; what
 * body returned, or UV_ECANCELED before body has begun - Thread: task
 * Errors: UV_EINVAL a function is NULL; UVT_ENOSTART it ended before it had started, or its own failure then (body does
 *         not run); UV_ENOMEM */
#define uvt_background(background, arg, body, ...)                                                     \
    uvt_background_at((background), (arg), (body), (__VA_ARGS__), UVT_SITE(#background))
/* The function behind the macro.
 * Suspends: always - On cancel: as uvt_background - Thread: task - Errors: as uvt_background */
UVT_EXTERN int uvt_background_at(uvt_fn background, void *arg, uvt_fn body, void *body_arg, const char *site);

/* How uvt_retry goes about it. Unset means the default: three attempts, one right after the other. */
typedef struct uvt_retry_options {
    unsigned attempts;     /* altogether, the first included; default 3. UINT_MAX is as good as no limit */
    uint64_t delay_ms;     /* before the second attempt; default none (it yields) */
    double factor;         /* every further delay is so many times the last one, >= 1; default 2 */
    uint64_t max_delay_ms; /* ... and at most this; default no limit */
    bool jitter;           /* each delay is drawn evenly from 0 ms to what it would be, so that many callers that failed
                              together do not come back together */
    uint64_t seed;         /* of the draw: the same one gives the same delays; default another one each time */
    bool (*worth)(int status, void *ctx); /* whether to try again after this failure; default after all but
                                             UV_ECANCELED */
    void *ctx;
} uvt_retry_options;

/* Calls fn(arg) in the calling task until it succeeds (>= 0), a failure is not worth another attempt, or there have
 * been attempts enough; returns what it returned last. A deadline of the scopes around holds for all of it: where the
 * delay before the next attempt would reach uvt_deadline(), the last failure is returned at once in place of
 * a timeout later. (A deadline that uvt_deadline does not tell, such as a token's, ends the delay as a cancel does.)
 * options may be NULL.
 * Suspends: as fn does, and between attempts - On cancel: fn sees it; during a delay UV_ECANCELED - Thread: task
 * Errors: UV_EINVAL fn is NULL, factor below 1 or not a number, a delay is negative; fn's own */
UVT_EXTERN int uvt_retry(const uvt_retry_options *options, uvt_fn fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
