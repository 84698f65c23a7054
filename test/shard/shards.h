/* SPDX-License-Identifier: MIT
 *
 * Tests on several shards: a test's body is the main task of a runtime with n shards, on the virtual clock or the real
 * one. What tasks of several shards count is atomic; steps (uvt_test_step) may be noted on any shard, as long as
 * one happens after the other.
 */
#ifndef UVTASK_TEST_SHARD_SHARDS_H
#define UVTASK_TEST_SHARD_SHARDS_H

#include <sched.h>
#include <stdatomic.h>

#include "../core/bodies.h"

#define ON_SHARDS_BY(runner, n, name)                                                                                  \
    static void name##_body(void);                                                                                     \
    static int name##_main(void *arg) {                                                                                \
        (void)arg;                                                                                                     \
        name##_body();                                                                                                 \
        return 0;                                                                                                      \
    }                                                                                                                  \
    UVT_TEST_PLAIN(name) {                                                                                             \
        CHECK_EQ(runner((n), name##_main, NULL), 0);                                                                   \
    }                                                                                                                  \
    static void name##_body(void)

#define ON_SHARDS(n, name)      ON_SHARDS_BY(run_virtual, n, name)
#define ON_SHARDS_REAL(n, name) ON_SHARDS_BY(run_real, n, name)

static inline int run_virtual(unsigned n, uvt_fn fn, void *arg) {
    return uvt_test_run(fn, arg, &(uvt_options){ .shards = n });
}

static inline int run_real(unsigned n, uvt_fn fn, void *arg) {
    return uvt_run(fn, arg, &(uvt_options){ .shards = n });
}

/* A child on shard k. */
static inline uvt_task_t spawn_on(unsigned k, uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_opts(&t, fn, arg, &(uvt_task_options){ .place = UVT_ON(k) }), 0);
    return t;
}

static inline uvt_task_t spawn_any(uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_opts(&t, fn, arg, &(uvt_task_options){ .place = UVT_ANY }), 0);
    return t;
}

/* A child on shard k that has run until it waits. */
static inline uvt_task_t settled_on(unsigned k, uvt_fn fn, void *arg) {
    uvt_task_t t = spawn_on(k, fn, arg);
    settle();
    return t;
}

static inline uvt_result join(uvt_task_t t) {
    uvt_result r;
    CHECK_EQ(uvt_join(t, &r), 0);
    return r;
}

/* Where it runs. */
static inline int b_where(void *arg) {
    (void)arg;
    return (int)uvt_shard_index();
}

static inline int b_panic(void *arg) {
    uvt_panic("%s", (const char *)arg);
}

static inline int b_atomic_count(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static inline void d_atomic_count(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* Waits for its cancel, then counts. */
static inline int b_counts_its_cancel(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    if (rc == UV_ECANCELED) atomic_fetch_add((atomic_int *)arg, 1);
    return rc;
}

/* Computes until somebody opens the latch. */
static inline int b_computes_until(void *arg) {
    while (!atomic_load((atomic_bool *)arg)) sched_yield();
    return 0;
}

static inline unsigned count_in(const char *text, const char *word) {
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) n++;
    return n;
}

#endif
