/* SPDX-License-Identifier: MIT
 *
 * Lanes: limits, the order within one, turns between them, and what they count.
 */
#include "jobs.h"
#include <stdio.h>

static uvt_lane_t lane_named(const char *name, unsigned limit) {
    uvt_lane_t lane = { -1 };
    CHECK_EQ(uvt_lane_create(&lane, name, limit), 0);
    return lane;
}

static int notes(void *arg) { /* under one thread at a time */
    uvt_test_step("%s", (const char *)arg);
    return 0;
}

/* Spawns notes(what) in a lane. */
static uvt_task_t note_in(uvt_lane_t lane, const char *what) {
    uvt_task_t t;
    uvt_blocking_options o = { .lane = lane };
    CHECK_EQ(uvt_spawn_blocking_opts(&t, notes, (void *)(uintptr_t)what, &o), 0);
    return t;
}

/* ---- making ---- */

UVT_TEST_PLAIN(lane_created_twice_is_one) {
    uvt_lane_t a = lane_named("db", 2), b = lane_named("db", 2), c = lane_named("disk", 2);
    CHECK_EQ(a.index, b.index);
    CHECK(a.index > 0 && c.index > 0 && a.index != c.index);
}

UVT_TEST_PLAIN(lane_with_another_limit_is_refused) {
    uvt_lane_t lane, a = lane_named("db", 2);
    CHECK_EQ(uvt_lane_create(&lane, "db", 3), UV_EEXIST);
    CHECK_EQ(uvt_lane_create(&lane, "db", 2), 0);
    CHECK_EQ(lane.index, a.index);
}

UVT_TEST_PLAIN(lane_names_are_cut_to_31_bytes) {
    uvt_lane_t a = lane_named("0123456789012345678901234567890", 1);
    uvt_lane_t b = lane_named("01234567890123456789012345678901", 1);
    CHECK_EQ(a.index, b.index);
}

UVT_TEST_PLAIN(lane_bad_arguments_are_refused) {
    uvt_lane_t lane;
    uvt_lane_stats st;
    CHECK_EQ(uvt_lane_create(NULL, "db", 0), UV_EINVAL);
    CHECK_EQ(uvt_lane_create(&lane, NULL, 0), UV_EINVAL);
    CHECK_EQ(uvt_lane_create(&lane, "", 0), UV_EINVAL);
    CHECK_EQ(uvt_lane_stats_get((uvt_lane_t){ 0 }, NULL), UV_EINVAL);
    CHECK_EQ(uvt_lane_stats_get((uvt_lane_t){ 1 }, &st), UV_EINVAL);
    CHECK_EQ(uvt_lane_stats_get((uvt_lane_t){ -1 }, &st), UV_EINVAL);
}

UVT_TEST_PLAIN(lane_thirty_two_and_no_more) {
    uvt_lane_t lane;
    char name[16];
    for (int i = 0; i < 32; i++) {
        snprintf(name, sizeof name, "lane%d", i);
        lane_named(name, 0);
    }
    CHECK_EQ(uvt_lane_create(&lane, "one more", 0), UV_ENOSPC);
    CHECK_EQ(uvt_lane_create(&lane, "lane7", 0), 0);
    CHECK_EQ(stats_of(lane).limit, 0);
}

/* ---- limits ---- */

UVT_TEST(lane_limit_holds_with_twice_as_many_jobs) {
    struct gate g;
    uvt_lane_t lane = lane_named("db", 2);
    uvt_blocking_options o = { .lane = lane };
    uvt_task_t t[4];
    gate_init(&g);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_spawn_blocking_opts(&t[i], stand, &g, &o), 0);
    gate_wait(&g, 2);
    CHECK_EQ(uvt_blocking(value_job, INT(1)), 1); /* another lane has a thread for it */
    CHECK_EQ(g.begun, 2);
    CHECK_EQ(stats_of(lane).running, 2);
    CHECK_EQ(stats_of(lane).waiting, 2);
    for (int i = 0; i < 2; i++) { /* each that goes makes room for one */
        gate_open(&g, 1);
        gate_wait(&g, 1);
    }
    gate_open(&g, 2);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_join(t[i], NULL), 7);
    CHECK_EQ(g.most, 2);
    gate_end(&g);
}

UVT_TEST(lane_limit_counts_abandoned_jobs_until_they_end) {
    struct gate g;
    uvt_lane_t lane = lane_named("db", 2);
    uvt_blocking_options o = { .lane = lane, .abandon = true, .drop = drop_at };
    uvt_task_t t[4];
    gate_init(&g);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_spawn_blocking_opts(&t[i], stand, &g, &o), 0);
    gate_wait(&g, 2);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_abort(t[i]), 0); /* two that run, one that waits */
    for (int i = 0; i < 3; i++) ends_cancelled(t[i]);
    CHECK_EQ(g.dropped, 1);
    CHECK_EQ(stats_of(lane).running, 2);
    CHECK_EQ(stats_of(lane).waiting, 1);
    CHECK_EQ(stats_of(lane).dropped, 1);
    CHECK_EQ(g.begun, 2);
    gate_open(&g, 1);
    gate_wait(&g, 1); /* the last one has come in */
    gate_open(&g, 2);
    CHECK_EQ(uvt_join(t[3], NULL), 7);
    while (atomic_load(&g.dropped) < 3) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(g.most, 2);
    CHECK_EQ(g.begun, 3);
    gate_end(&g);
}

UVT_TEST(lane_limit_above_the_pools_is_the_pools) {
    struct gate g;
    uvt_blocking_options o = { .lane = lane_named("wide", 1000) };
    gate_init(&g);
    for (unsigned i = 0; i < for_jobs() + 3; i++) CHECK_EQ(uvt_spawn_blocking_opts(NULL, stand, &g, &o), 0);
    gate_wait(&g, (int)for_jobs());
    settle();
    CHECK_EQ(g.begun, for_jobs());
    gate_open(&g, (int)for_jobs() + 3);
    while (atomic_load(&g.ended) < (int)for_jobs() + 3) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(g.most, for_jobs());
    while (atomic_load(&g.inside) > 0) CHECK_EQ(uvt_yield(), 0);
    gate_end(&g);
}

UVT_TEST(lane_at_its_limit_does_not_hold_up_another) {
    struct gate g;
    uvt_lane_t one = lane_named("one", 1);
    uvt_blocking_options o = { .lane = one };
    gate_init(&g);
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_spawn_blocking_opts(NULL, stand, &g, &o), 0);
    gate_wait(&g, 1);
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_blocking(value_job, INT(i)), i);
    CHECK_EQ(stats_of(one).waiting, 9);
    gate_open(&g, 10);
    while (atomic_load(&g.ended) < 10) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(g.most, 1);
    while (atomic_load(&g.inside) > 0) CHECK_EQ(uvt_yield(), 0);
    gate_end(&g);
}

/* ---- order ---- */

static int first_come_first_served(void *arg) {
    struct gate g;
    uvt_lane_t lane = lane_named("line", 1);
    uvt_blocking_options o = { .lane = lane };
    uvt_task_t t[5];
    (void)arg;
    gate_init(&g);
    CHECK_EQ(uvt_spawn_blocking_opts(NULL, stand, &g, &o), 0);
    gate_wait(&g, 1);
    const char *const names[] = { "a", "b", "c", "d", "e" };
    for (int i = 0; i < 5; i++) t[i] = note_in(lane, names[i]);
    CHECK_EQ(uvt_abort(t[1]), 0); /* out of the middle, and the last one */
    CHECK_EQ(uvt_abort(t[4]), 0);
    gate_open(&g, 1);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_join(t[i], NULL), i == 1 || i == 4 ? UV_ECANCELED : 0);
    CHECK_STEPS("a c d");
    CHECK_EQ(stats_of(lane).dropped, 2);
    gate_end(&g);
    return 0;
}

UVT_TEST(lane_is_first_come_first_served) {
    CHECK_EQ(first_come_first_served(NULL), 0);
}

static int takes_turns(void *arg) {
    struct gate g;
    uvt_lane_t a = lane_named("a", 0), b = lane_named("b", 1), none = { 0 };
    uvt_task_t t[9];
    int n = 0;
    (void)arg;
    gate_init(&g);
    fill_pool(&g); /* one thread */
    for (int i = 0; i < 5; i++) t[n++] = note_in(a, "a");
    for (int i = 0; i < 2; i++) t[n++] = note_in(b, "b");
    for (int i = 0; i < 2; i++) t[n++] = note_in(none, "-");
    gate_open(&g, 1);
    for (int i = 0; i < n; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_STEPS("a b - a b - a a a");
    gate_end(&g);
    return 0;
}

UVT_TEST_PLAIN(lanes_with_work_take_turns) {
    CHECK_EQ(uvt_test_run(takes_turns, NULL, &(uvt_options){ .pool_size = 2 }), 0);
}

UVT_TEST_PLAIN(lanes_with_work_take_turns_on_a_pool_of_one) {
    CHECK_EQ(uvt_test_run(takes_turns, NULL, &(uvt_options){ .pool_size = 1 }), 0);
}

UVT_TEST_PLAIN(lane_is_first_come_first_served_on_a_pool_of_one) {
    CHECK_EQ(uvt_test_run(first_come_first_served, NULL, &(uvt_options){ .pool_size = 1 }), 0);
}

/* ---- counts ---- */

UVT_TEST(lane_stats_tell_what_was_and_is) {
    struct gate g;
    uvt_lane_t lane = lane_named("counted", 1);
    uvt_blocking_options o = { .lane = lane };
    uvt_task_t t[3];
    gate_init(&g);
    CHECK_EQ(stats_of(lane).limit, 1);
    CHECK_EQ(stats_of(lane).started, 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_spawn_blocking_opts(&t[i], stand, &g, &o), 0);
    gate_wait(&g, 1);
    uint64_t until = uv_hrtime() + 3000000; /* those behind it wait 3 ms at least */
    while (uv_hrtime() < until) {}
    CHECK_EQ(uvt_abort(t[2]), 0);
    gate_open(&g, 2);
    CHECK_EQ(uvt_join(t[0], NULL), 7);
    CHECK_EQ(uvt_join(t[1], NULL), 7);
    ends_cancelled(t[2]);
    uvt_lane_stats st = stats_of(lane);
    CHECK_EQ(st.started, 2);
    CHECK_EQ(st.dropped, 1);
    CHECK_EQ(st.running, 0); /* counted off before its task hears of it */
    CHECK_EQ(st.waiting, 0);
    CHECK(st.longest_us >= 3000);
    CHECK(st.waited_us >= st.longest_us);
    CHECK_EQ(stats_of((uvt_lane_t){ 0 }).started, 0);
    gate_end(&g);
}

UVT_TEST(lane_stats_parallel_loops_are_in_no_lane) {
    CHECK_EQ(uvt_blocking(value_job, NULL), 0);
    uint64_t before = stats_of((uvt_lane_t){ 0 }).started;
    CHECK_EQ(uvt_parallel_for(0, 0, (uvt_chunk_fn)(void (*)(void))value_job, NULL), 0);
    CHECK_EQ(stats_of((uvt_lane_t){ 0 }).started, before);
}

UVT_TEST_MAIN()
