/* SPDX-License-Identifier: MIT
 *
 * Cancelling whoever waits for a job: while it waits in its lane, while it runs, before it was handed over; and drop,
 * which is called exactly once for every job whose result nobody takes.
 */
#include "jobs.h"

UVT_TEST(cancel_while_the_job_waits_it_never_runs) {
    struct gate full, g;
    gate_init(&full);
    gate_init(&g);
    fill_pool(&full);
    uvt_task_t t = spawned(awaits_stand_or_drops, &g), u = spawned(awaits_stand, &g);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_abort(u), 0);
    ends_cancelled(t); /* with every thread still taken */
    ends_cancelled(u);
    CHECK_EQ(g.dropped, 1);
    empty_pool(&full);
    for (unsigned i = 0; i < 2 * for_jobs(); i++) CHECK_EQ(uvt_blocking(value_job, INT(1)), 1);
    CHECK_EQ(g.begun, 0);
    CHECK_EQ(g.dropped, 1);
    gate_end(&full);
    gate_end(&g);
}

UVT_TEST(cancel_while_the_job_runs_the_task_stays_and_gets_the_result) {
    struct gate g;
    gate_init(&g);
    uvt_task_t t = spawned(awaits_stand_or_drops, &g);
    settle();
    gate_wait(&g, 1);
    CHECK_EQ(uvt_abort(t), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    gate_open(&g, 1);
    CHECK_EQ(uvt_join(t, NULL), 7);
    CHECK_EQ(g.stopped, 1);
    CHECK_EQ(g.dropped, 0);
    gate_end(&g);
}

static int stays_and_then_suspends(void *g) {
    CHECK_EQ(uvt_blocking(stand, g), 7);
    return uvt_sleep(1);
}

UVT_TEST(cancel_while_the_job_runs_is_seen_at_the_next_suspension) {
    struct gate g;
    gate_init(&g);
    uvt_task_t t = spawned(stays_and_then_suspends, &g);
    settle();
    gate_wait(&g, 1);
    CHECK_EQ(uvt_abort(t), 0);
    gate_open(&g, 1);
    ends_cancelled(t);
    gate_end(&g);
}

UVT_TEST(cancel_abandoned_the_task_leaves_at_once_and_the_result_is_dropped_later) {
    struct gate g;
    gate_init(&g);
    uvt_task_t t = spawned(awaits_stand_or_leaves, &g);
    settle();
    gate_wait(&g, 1);
    CHECK_EQ(uvt_abort(t), 0);
    ends_cancelled(t);
    CHECK_EQ(g.inside, 1);
    CHECK_EQ(g.dropped, 0);
    gate_open(&g, 1);
    while (atomic_load(&g.dropped) == 0) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(g.stopped, 1);
    CHECK_EQ(g.dropped, 1);
    gate_end(&g);
}

UVT_TEST(cancel_abandonable_while_it_waits_is_dropped_at_once) {
    struct gate full, g;
    gate_init(&full);
    gate_init(&g);
    fill_pool(&full);
    uvt_task_t t = spawned(awaits_stand_or_leaves, &g);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    ends_cancelled(t);
    CHECK_EQ(g.dropped, 1);
    empty_pool(&full);
    CHECK_EQ(uvt_blocking(value_job, INT(1)), 1);
    CHECK_EQ(g.begun, 0);
    gate_end(&full);
    gate_end(&g);
}

UVT_TEST(cancel_came_before_the_call_the_job_never_starts) {
    struct gate g;
    uvt_scope_t s;
    gate_init(&g);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    uvt_scope_cancel(&s, NULL);
    CHECK_EQ(awaits_stand(&g), UV_ECANCELED);
    CHECK_EQ(awaits_stand_or_drops(&g), UV_ECANCELED);
    CHECK_EQ(awaits_stand_or_leaves(&g), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    CHECK_EQ(g.begun, 0);
    CHECK_EQ(g.dropped, 2); /* so that ECANCELED always means: it is, or will be, dropped */
    gate_end(&g);
}

UVT_TEST(cancel_by_a_deadline_that_comes_while_the_job_runs_the_result_wins) {
    struct gate g;
    gate_init(&g);
    gate_open(&g, 1);
    /* The clock stands while the job is out, so the deadline cannot come before it; it has passed with it. */
    CHECK_EQ(uvt_timeout(1, awaits_stand, &g), 7);
    gate_end(&g);
}

UVT_TEST(cancel_in_a_shield_does_not_reach_the_job) {
    struct gate g;
    gate_init(&g);
    gate_open(&g, 1);
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    uvt_scope_cancel(&s, NULL);
    CHECK_EQ(uvt_shielded(UVT_FOREVER, awaits_stand, &g), 7);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    CHECK_EQ(g.stopped, 0);
    gate_end(&g);
}

static int leaves_many(void *g) {
    uvt_set_t set;
    uvt_blocking_options leaves = { .abandon = true, .drop = drop_at };
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 50; i++) CHECK_EQ(uvt_set_spawn_blocking_opts(&set, NULL, stand, g, &leaves), 0);
    gate_wait(g, (int)for_jobs());
    CHECK_EQ(uvt_set_close(&set), 0);
    return 0;
}

UVT_TEST(cancel_many_every_job_is_dropped_exactly_once) {
    struct gate g;
    gate_init(&g);
    CHECK_EQ(uvt_join(spawned(leaves_many, &g), NULL), 0);
    CHECK_EQ(g.dropped, 50 - (int)for_jobs());
    CHECK_EQ(g.begun, for_jobs());
    empty_pool(&g);
    while (atomic_load(&g.dropped) < 50) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(g.begun, for_jobs());
    gate_end(&g);
}

static int drop_sees;

static void drop_suspends(void *arg) {
    (void)arg;
    drop_sees = uvt_yield();
}

static int waits_with_that_drop(void *arg) {
    return uvt_blocking_opts(value_job, arg, &(uvt_blocking_options){ .drop = drop_suspends });
}

UVT_TEST(drop_is_no_place_to_suspend) {
    struct gate full;
    gate_init(&full);
    fill_pool(&full);
    uvt_task_t t = spawned(waits_with_that_drop, NULL);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    ends_cancelled(t);
    CHECK_EQ(drop_sees, UVT_ENOTASK);
    empty_pool(&full);
    gate_end(&full);
}

/* ---- beginning and cancel at the same time ---- */

static int begins_any_time(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
    return 1;
}

static atomic_int raced_drops;

static void drop_raced(void *arg) {
    (void)arg;
    atomic_fetch_add(&raced_drops, 1);
}

static int races(void *arg) {
    return uvt_blocking_opts(begins_any_time, arg, &(uvt_blocking_options){ .drop = drop_raced, .abandon = true });
}

UVT_TEST(cancel_races_with_the_beginning_a_job_ends_or_is_dropped) {
    static atomic_int begun;
    int taken = 0;
    for (int i = 0; i < 2000; i++) {
        uvt_task_t t = spawned(races, &begun);
        CHECK_EQ(uvt_yield(), 0);
        for (int k = 0; k < i % 50; k++) (void)uv_hrtime(); /* another moment each time */
        CHECK_EQ(uvt_abort(t), 0);
        int rc = uvt_join(t, NULL);
        CHECK(rc == 1 || rc == UV_ECANCELED);
        taken += rc == 1;
    }
    while (atomic_load(&raced_drops) + taken < 2000) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(raced_drops + taken, 2000);
    CHECK(taken <= atomic_load(&begun));
}

UVT_TEST(cancel_races_with_the_beginning_of_a_spawned_job) {
    static atomic_int begun;
    uvt_blocking_options o = { .drop = drop_raced, .abandon = true };
    int taken = 0;
    atomic_store(&raced_drops, 0);
    for (int i = 0; i < 2000; i++) {
        uvt_task_t t;
        CHECK_EQ(uvt_spawn_blocking_opts(&t, begins_any_time, &begun, &o), 0);
        for (int k = 0; k < i % 50; k++) (void)uv_hrtime();
        CHECK_EQ(uvt_abort(t), 0);
        int rc = uvt_join(t, NULL);
        CHECK(rc == 1 || rc == UV_ECANCELED);
        taken += rc == 1;
    }
    while (atomic_load(&raced_drops) + taken < 2000) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(raced_drops + taken, 2000);
}

UVT_TEST_MAIN()
