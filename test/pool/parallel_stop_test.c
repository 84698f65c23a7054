/* SPDX-License-Identifier: MIT
 *
 * Parallel loops that do not get to their end: a chunk fails or panics, the calling task is cancelled. No chunk begins
 * after that, those that run are waited for, and whoever asks is told.
 */
#include "jobs.h"

/* ---- failures ---- */

struct failing {
    size_t at;         /* the index that fails */
    int code;
    atomic_int chunks; /* that were begun */
};

static int fails_at(void *ctx, size_t begin, size_t end) {
    struct failing *f = ctx;
    atomic_fetch_add(&f->chunks, 1);
    if (f->at < begin || f->at >= end) return 1; /* what is not negative is no failure */
    return f->code;
}

static int failing_loops(void *arg) {
    (void)arg;
    for (size_t at = 0; at < 50; at++) {
        struct failing f = { .at = at, .code = UV_EIO };
        CHECK_EQ(uvt_parallel_for(50, 1, fails_at, &f), UV_EIO);
        CHECK_IN(f.chunks, 1, 51);
    }
    return 0;
}

UVT_TEST(parallel_for_failure_of_a_chunk_is_the_loops) {
    CHECK_EQ(failing_loops(NULL), 0);
    CHECK_EQ(uvt_blocking(failing_loops, NULL), 0);
}

UVT_TEST_PLAIN(parallel_for_failure_on_one_thread_begins_no_further_chunk) {
    struct failing f = { .at = 10, .code = UV_EIO };
    CHECK_EQ(uvt_parallel_for(50, 1, fails_at, &f), UV_EIO);
    CHECK_EQ(f.chunks, 11);
}

struct pair {
    struct gate g;
    atomic_int told;
};

/* The first chunk fails while the second one runs, which then is told. */
static int one_fails(void *ctx, size_t begin, size_t end) {
    struct pair *p = ctx;
    (void)end;
    if (begin == 0) {
        uv_sem_post(&p->g.in);
        uv_sem_wait(&p->g.go); /* the other one is in its chunk */
        return UV_EIO;
    }
    if (begin == 1) {
        uv_sem_post(&p->g.go);
        uv_sem_wait(&p->g.in);
        while (!uvt_blocking_cancelled()) {}
        atomic_fetch_add(&p->told, 1);
        return UV_ENOSYS; /* the second failure: the first one counts */
    }
    uvt_test_fail(__FILE__, __LINE__, "a chunk has begun after the failure");
}

UVT_TEST(parallel_for_failure_tells_the_chunks_that_run_and_the_first_counts) {
    struct pair p = { .told = 0 };
    if (uv_available_parallelism() != 2) return; /* a third thread would take the third chunk */
    gate_init(&p.g);
    CHECK_EQ(uvt_parallel_for(3, 1, one_fails, &p), UV_EIO);
    CHECK_EQ(p.told, 1);
    gate_end(&p.g);
}

static int counts_then_fails(void *ctx, size_t begin, size_t end, void *acc) {
    (void)ctx;
    *(int *)acc += (int)(end - begin);
    return begin <= 40 && 40 < end ? UV_EIO : 0;
}

static void add_ints(void *ctx, void *into, const void *from) {
    (void)ctx;
    *(int *)into += *(const int *)from;
}

UVT_TEST(parallel_reduce_failure_leaves_the_accumulator_alone) {
    int acc = 5;
    CHECK_EQ(uvt_parallel_reduce(50, 1, counts_then_fails, NULL, &acc, sizeof acc, add_ints), UV_EIO);
    CHECK_EQ(acc, 5);
}

/* ---- panics ---- */

static int panics_at_20(void *ctx, size_t begin, size_t end) {
    (void)ctx;
    if (begin <= 20 && 20 < end) uvt_panic("index 20");
    return 0;
}

static int panicking_loop(void *arg) {
    (void)arg;
    return uvt_parallel_for(50, 1, panics_at_20, NULL);
}

UVT_TEST(parallel_for_panic_of_a_chunk_is_a_failure) {
    CHECK_EQ(panicking_loop(NULL), UVT_EPANIC);
    CHECK_EQ(uvt_blocking(panicking_loop, NULL), UVT_EPANIC); /* the job went on and returned it */
    CHECK_EQ(uvt_blocking(value_job, INT(2)), 2);
}

UVT_TEST_PLAIN(parallel_for_panic_in_a_plain_thread_is_a_failure) {
    CHECK_EQ(panicking_loop(NULL), UVT_EPANIC);
}

static int panics_inside(void *ctx, size_t begin, size_t end) {
    for (; begin < end; begin++) {
        int rc = uvt_parallel_for(50, 1, panics_at_20, NULL);
        CHECK_EQ(rc, UVT_EPANIC);
        atomic_fetch_add((atomic_int *)ctx, 1);
    }
    return 0;
}

UVT_TEST(parallel_for_panic_is_caught_at_the_innermost_chunk) {
    atomic_int n = 0;
    CHECK_EQ(uvt_parallel_for(10, 1, panics_inside, &n), 0);
    CHECK_EQ(n, 10);
}

static void panics_combining(void *ctx, void *into, const void *from) {
    (void)ctx, (void)into, (void)from;
    uvt_panic("combining");
}

static int meets_and_counts(void *ctx, size_t begin, size_t end, void *acc) {
    (void)begin, (void)end;
    *(int *)acc += 1;
    return stand(ctx) == 7 ? 0 : UV_EIO;
}

static int lets_two_go(void *arg) {
    gate_wait(arg, 2);
    gate_open(arg, 2);
    return 0;
}

UVT_TEST(parallel_reduce_panic_while_combining_is_a_failure) {
    struct gate g;
    int acc = 0;
    if (uv_available_parallelism() < 2) return;
    gate_init(&g);
    uvt_task_t t = spawned(lets_two_go, &g); /* two threads have something to combine */
    CHECK_EQ(uvt_parallel_reduce(2, 1, meets_and_counts, &g, &acc, sizeof acc, panics_combining), UVT_EPANIC);
    CHECK_EQ(acc, 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    gate_end(&g);
}

/* ---- cancel ---- */

static int stands_at_each(void *ctx, size_t begin, size_t end) {
    for (; begin < end; begin++) CHECK_EQ(stand(ctx), 7);
    return 0;
}

static int loops_over_a_thousand(void *g) {
    return uvt_parallel_for(1000, 1, stands_at_each, g);
}

/* How many threads are at a loop. */
static int width(void) {
    unsigned cores = uv_available_parallelism();
    return (int)(cores < for_jobs() ? cores : for_jobs());
}

UVT_TEST(parallel_for_cancelled_between_chunks_begins_no_other) {
    struct gate g;
    gate_init(&g);
    uvt_task_t t = spawned(loops_over_a_thousand, &g);
    settle();
    gate_wait(&g, width());
    gate_open(&g, 1);
    gate_wait(&g, 1); /* one more chunk */
    CHECK_EQ(uvt_abort(t), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0); /* it waits for those that run */
    gate_open(&g, width());
    ends_cancelled(t);
    CHECK_EQ(g.begun, width() + 1);
    CHECK_EQ(g.ended, g.begun);
    CHECK_EQ(g.stopped, width()); /* and they were told */
    gate_end(&g);
}

static int loops_over_as_many_as_threads(void *g) {
    return uvt_parallel_for((size_t)width(), 1, stands_at_each, g);
}

UVT_TEST(parallel_for_cancelled_when_nothing_is_left_out_succeeds) {
    struct gate g;
    gate_init(&g);
    uvt_task_t t = spawned(loops_over_as_many_as_threads, &g);
    settle();
    gate_wait(&g, width());
    CHECK_EQ(uvt_abort(t), 0);
    gate_open(&g, width());
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(g.stopped, width());
    gate_end(&g);
}

UVT_TEST(parallel_for_in_a_cancelled_scope_begins_nothing) {
    struct gate g;
    uvt_scope_t s;
    gate_init(&g);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    uvt_scope_cancel(&s, NULL);
    CHECK_EQ(loops_over_a_thousand(&g), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    CHECK_EQ(g.begun, 0);
    gate_end(&g);
}

UVT_TEST(parallel_for_cancelled_while_it_waits_for_a_thread_begins_nothing) {
    struct gate full, g;
    gate_init(&full);
    gate_init(&g);
    fill_pool(&full);
    uvt_task_t t = spawned(loops_over_a_thousand, &g);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    ends_cancelled(t);
    empty_pool(&full);
    CHECK_EQ(uvt_blocking(value_job, INT(1)), 1);
    CHECK_EQ(g.begun, 0);
    gate_end(&full);
    gate_end(&g);
}

static int loop_in_a_job(void *g) {
    int rc = loops_over_a_thousand(g);
    CHECK(uvt_blocking_cancelled());
    return rc;
}

UVT_TEST(parallel_for_in_a_job_whose_task_is_cancelled_stops) {
    struct gate g;
    uvt_task_t t;
    gate_init(&g);
    CHECK_EQ(uvt_spawn_blocking(&t, loop_in_a_job, &g), 0);
    gate_wait(&g, width());
    CHECK_EQ(uvt_abort(t), 0);
    gate_open(&g, width());
    ends_cancelled(t);
    CHECK_EQ(g.begun, width());
    gate_end(&g);
}

static int outer_chunk(void *ctx, size_t begin, size_t end) {
    (void)begin, (void)end;
    return loops_over_a_thousand(ctx);
}

static int nested_loops(void *g) {
    return uvt_parallel_for(100, 1, outer_chunk, g);
}

UVT_TEST(parallel_nested_cancelled_both_stop) {
    struct gate g;
    gate_init(&g);
    uvt_task_t t = spawned(nested_loops, &g);
    settle();
    gate_wait(&g, width());
    CHECK_EQ(uvt_abort(t), 0);
    gate_open(&g, 100);
    ends_cancelled(t);
    CHECK_IN(g.begun, width(), (int)for_jobs() + 1); /* inner loops may have had more helpers */
    gate_end(&g);
}

UVT_TEST_MAIN()
