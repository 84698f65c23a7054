/* SPDX-License-Identifier: MIT
 *
 * Jobs that say when they run and end when they are told, so that no test of the pool has to wait for luck. A gate
 * is where they stand: the test waits until so many are inside (that blocks the loop's thread, which is no harm: jobs
 * have threads of their own) and lets so many go on. On the virtual clock time stands while a job is out.
 */
#ifndef UVTASK_TEST_POOL_JOBS_H
#define UVTASK_TEST_POOL_JOBS_H

#include <stdatomic.h>
#include <string.h>

#include <uvtask.h>
#include <uvtask/test.h>

#define INT(n) ((void *)(intptr_t)(n))

struct gate {
    uv_sem_t in, go;
    atomic_int inside, most; /* jobs there now, and at most at once */
    atomic_int begun, ended; /* jobs that ever came, and that were let go */
    atomic_int dropped;      /* calls of drop */
    atomic_int stopped;      /* jobs that were asked to stop when they went on */
    size_t blocks;           /* of the library's memory, when it was set up */
};

static inline void gate_init(struct gate *g) {
    memset(g, 0, sizeof *g);
    g->blocks = uvt_test_live_blocks();
    CHECK_EQ(uv_sem_init(&g->in, 0), 0);
    CHECK_EQ(uv_sem_init(&g->go, 0), 0);
}

static inline void gate_end(struct gate *g) {
    CHECK_EQ(atomic_load(&g->inside), 0);
    uv_sem_destroy(&g->in);
    uv_sem_destroy(&g->go);
}

static inline void gate_wait(struct gate *g, int n) {
    while (n-- > 0) uv_sem_wait(&g->in);
}

static inline void gate_open(struct gate *g, int n) {
    while (n-- > 0) uv_sem_post(&g->go);
}

/* Between runtimes: until the threads of jobs that outlived theirs have freed what was left of them. That they have
 * gone on is not enough: a runtime that ends waits for no thread that is still inside a job or its drop. */
static inline void gate_freed(struct gate *g) {
    while (uvt_test_live_blocks() > g->blocks) uv_sleep(1);
}

/* The job: 7. */
static inline int stand(void *arg) {
    struct gate *g = arg;
    int now = atomic_fetch_add(&g->inside, 1) + 1, most = atomic_load(&g->most);
    while (now > most && !atomic_compare_exchange_weak(&g->most, &most, now)) {}
    atomic_fetch_add(&g->begun, 1);
    uv_sem_post(&g->in);
    uv_sem_wait(&g->go);
    if (uvt_blocking_cancelled()) atomic_fetch_add(&g->stopped, 1);
    atomic_fetch_add(&g->ended, 1);
    atomic_fetch_sub(&g->inside, 1);
    return 7;
}

static inline void drop_at(void *arg) {
    atomic_fetch_add(&((struct gate *)arg)->dropped, 1);
}

/* As a task: waits for the job. */
static inline int awaits_stand(void *gate) {
    return uvt_blocking(stand, gate);
}

static inline int awaits_stand_or_drops(void *gate) {
    return uvt_blocking_opts(stand, gate, &(uvt_blocking_options){ .drop = drop_at });
}

static inline int awaits_stand_or_leaves(void *gate) {
    return uvt_blocking_opts(stand, gate, &(uvt_blocking_options){ .drop = drop_at, .abandon = true });
}

static inline int count_job(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static inline int value_job(void *arg) {
    return (int)(intptr_t)arg;
}

static inline int panic_job(void *arg) {
    uvt_panic("panic %d in a job", (int)(intptr_t)arg);
}

/* Has everybody else run until they wait. */
static inline void settle(void) {
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_yield(), 0);
}

static inline unsigned for_jobs(void) {
    unsigned n;
    uvt_pool_size(NULL, &n);
    return n;
}

/* Every thread that jobs may hold stands at the gate. */
static inline void fill_pool(struct gate *g) {
    for (unsigned i = 0; i < for_jobs(); i++) CHECK_EQ(uvt_spawn_blocking(NULL, stand, g), 0);
    gate_wait(g, (int)for_jobs());
}

static inline void empty_pool(struct gate *g) {
    gate_open(g, (int)for_jobs());
    while (atomic_load(&g->inside) > 0) CHECK_EQ(uvt_yield(), 0);
}

static inline uvt_task_t spawned(uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, fn, arg), 0);
    return t;
}

static inline void ends_cancelled(uvt_task_t t) {
    uvt_result r;
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.status, UV_ECANCELED);
}

static inline uvt_lane_stats stats_of(uvt_lane_t lane) {
    uvt_lane_stats st;
    CHECK_EQ(uvt_lane_stats_get(lane, &st), 0);
    return st;
}

#endif
