/* SPDX-License-Identifier: MIT
 *
 * Many brief jobs, which one thread works off while the others keep away, and what comes after them: jobs that are not
 * brief, that wait for each other, that outlive their runtime. And their records: more than go round, and from chunks
 * of which only a part is still in use.
 */
#include <uvtask/parallel.h>

#include "jobs.h"

enum { MANY = 3000 }; /* jobs at once: more than records go round */

/* Jobs that do nothing, all at once, and their results. */
static void brief_jobs(int n) {
    static uvt_task_t t[MANY];
    for (int i = 0; i < n; i++) CHECK_EQ(uvt_spawn_blocking(&t[i], value_job, INT(i)), 0);
    for (int i = 0; i < n; i++) CHECK_EQ(uvt_join(t[i], NULL), i);
}

UVT_TEST(brief_jobs_give_their_own_results_time_and_again) {
    for (int i = 0; i < 5; i++) brief_jobs(MANY);
}

/* The one at the gate ends when those behind it have. */
UVT_TEST(brief_jobs_behind_one_that_is_not_get_another_thread) {
    struct gate g;
    uvt_task_t long_one;
    gate_init(&g);
    for (int i = 0; i < 20; i++) {
        brief_jobs(200);
        CHECK_EQ(uvt_spawn_blocking(&long_one, stand, &g), 0);
        brief_jobs(i % 2 ? 1 : 50);
        gate_open(&g, 1);
        CHECK_EQ(uvt_join(long_one, NULL), 7);
    }
    gate_end(&g);
}

/* It is submitted in the midst of them, so the thread that comes to it has others in its lane before and behind it. */
UVT_TEST(brief_jobs_around_one_that_is_not_get_another_thread) {
    struct gate g;
    uvt_task_t t[400];
    gate_init(&g);
    for (int round = 0; round < 20; round++) {
        brief_jobs(200);
        for (int i = 0; i < 400; i++)
            CHECK_EQ(uvt_spawn_blocking(&t[i], i == 200 ? stand : value_job, i == 200 ? (void *)&g : INT(i)), 0);
        for (int i = 0; i < 400; i++)
            if (i != 200) CHECK_EQ(uvt_join(t[i], NULL), i);
        gate_open(&g, 1);
        CHECK_EQ(uvt_join(t[200], NULL), 7);
    }
    gate_end(&g);
}

UVT_TEST(brief_jobs_before_a_full_pool_of_others) {
    struct gate g;
    gate_init(&g);
    for (int i = 0; i < 10; i++) {
        brief_jobs(200);
        fill_pool(&g); /* comes back when all are inside at once */
        empty_pool(&g);
    }
    CHECK_EQ(g.most, for_jobs());
    gate_end(&g);
}

static int meets(void *arg) {
    uv_barrier_wait(arg);
    return 0;
}

UVT_TEST(brief_jobs_before_two_that_wait_for_each_other) {
    uv_barrier_t both;
    for (int i = 0; i < 20; i++) {
        uvt_task_t t[2];
        CHECK_EQ(uv_barrier_init(&both, 2), 0);
        brief_jobs(100);
        for (int k = 0; k < 2; k++) CHECK_EQ(uvt_spawn_blocking(&t[k], meets, &both), 0);
        for (int k = 0; k < 2; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
        uv_barrier_destroy(&both);
    }
}

static int chunk(void *ctx, size_t begin, size_t end) {
    atomic_fetch_add((atomic_int *)ctx, (int)(end - begin));
    return 0;
}

UVT_TEST(brief_jobs_before_a_parallel_loop) {
    for (int i = 0; i < 20; i++) {
        atomic_int sum = 0;
        brief_jobs(100);
        CHECK_EQ(uvt_parallel_for(1000, 10, chunk, &sum), 0);
        CHECK_EQ(sum, 1000);
    }
}

static int brings_and_ends(void *arg) {
    (void)arg;
    for (int i = 0; i < 200; i++) CHECK_EQ(uvt_spawn_blocking(NULL, value_job, INT(0)), 0);
    return 3;
}

/* Whatever the threads are at: stepping aside, standing by, leaving. */
UVT_TEST_PLAIN(brief_jobs_and_the_end_at_once_time_and_again) {
    for (int i = 0; i < 50; i++) CHECK_EQ(uvt_test_run(brings_and_ends, NULL, NULL), 3);
}

/* ---- records ---- */

enum { LEFT = 4, AROUND = 40 };

static struct gate left;

/* Some stay at the gate, and records before, between and behind theirs are in use and come back. */
static int leaves_some(void *arg) {
    uvt_blocking_options o = { .abandon = true, .drop = drop_at };
    uvt_task_t at_gate[LEFT], t[AROUND];
    (void)arg;
    for (int i = 0; i < AROUND; i++) {
        if (i % (AROUND / LEFT) == 0)
            CHECK_EQ(uvt_spawn_blocking_opts(&at_gate[i / (AROUND / LEFT)], stand, &left, &o), 0);
        CHECK_EQ(uvt_spawn_blocking(&t[i], value_job, INT(i)), 0);
    }
    gate_wait(&left, LEFT);
    for (int i = 0; i < LEFT; i++) {
        CHECK_EQ(uvt_abort(at_gate[i]), 0);
        ends_cancelled(at_gate[i]);
    }
    brief_jobs(AROUND);
    return 5;
}

UVT_TEST_PLAIN(records_of_jobs_that_outlive_their_runtime_stay) {
    gate_init(&left);
    CHECK_EQ(uvt_test_run(leaves_some, NULL, &(uvt_options){ .pool_size = LEFT + 2 }), 5);
    CHECK_EQ(left.inside, LEFT);
    CHECK(uvt_test_live_blocks() > left.blocks);
    gate_open(&left, LEFT);
    gate_freed(&left);
    CHECK_EQ(left.dropped, LEFT);
    CHECK_EQ(uvt_test_run(brings_and_ends, NULL, NULL), 3);
    gate_end(&left);
}

UVT_TEST_MAIN()
