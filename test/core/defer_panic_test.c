/* SPDX-License-Identifier: MIT
 *
 * The end of a task: defers (order, when, shield and grace), panics (contained, with message, in every
 * place where one may happen) and task-local values. Defers after an abort are in abort_test.c, too.
 */
#include "bodies.h"

static uvt_result run_task(uvt_fn fn, void *arg) {
    uvt_result r;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, fn, arg), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    return r;
}

/* ---- defers ---- */

static int defers_and_returns(void *arg) {
    CHECK_EQ(uvt_defer(d_step, "first"), 0);
    CHECK_EQ(uvt_defer(d_step, "second"), 0);
    uvt_test_step("body");
    return (int)(intptr_t)arg;
}

UVT_TEST(defer_task_returns_last_registered_runs_first) {
    CHECK_EQ(spawn_and_join(defers_and_returns, INT(5)), 5);
    uvt_test_step("joined");
    CHECK_STEPS("body second first joined");
}

UVT_TEST(defer_task_fails_runs_and_keeps_the_status) {
    CHECK_EQ(spawn_and_join(defers_and_returns, INT(UV_EIO)), UV_EIO);
    CHECK_STEPS("body second first");
}

UVT_TEST_PLAIN(defer_in_the_root_runs_before_run_returns) {
    CHECK_EQ(uvt_test_run(defers_and_returns, INT(5), NULL), 5);
    CHECK_STEPS("body second first");
}

static int defers_with_child(void *arg) {
    CHECK_EQ(uvt_defer(d_step, "defer"), 0);
    CHECK_EQ(uvt_spawn(NULL, b_cancelled_step, "child"), 0);
    (void)arg;
    return uvt_sleep(1);
}

UVT_TEST(defer_runs_after_the_children_ended) {
    CHECK_EQ(spawn_and_join(defers_with_child, NULL), 0);
    uvt_test_step("joined");
    CHECK_STEPS("child defer joined");
}

static int defers_with_set(void *arg) {
    uvt_set_t set;
    CHECK_EQ(uvt_defer(d_step, "defer"), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, "member"), 0);
    (void)arg;
    return uvt_sleep(1);
}

UVT_TEST(defer_runs_after_sets_left_open_were_closed) {
    CHECK_EQ(spawn_and_join(defers_with_set, NULL), 0);
    uvt_test_step("joined");
    CHECK_STEPS("member defer joined");
}

static void suspends_and_notes(void *arg) {
    int rc = uvt_sleep((uint64_t)(intptr_t)arg);
    uvt_test_step("%s", rc < 0 ? uvt_err_name(rc) : "slept");
}

static int defers_sleeps(void *arg) {
    CHECK_EQ(uvt_defer(suspends_and_notes, INT(10)), 0);
    CHECK_EQ(uvt_defer(suspends_and_notes, INT(10)), 0);
    return b_sleep(arg);
}

UVT_TEST(defer_may_suspend_and_the_joiner_waits) {
    uint64_t start = uvt_now();
    CHECK_EQ(spawn_and_join(defers_sleeps, INT(1)), 0);
    CHECK_EQ(uvt_now() - start, 21);
    CHECK_STEPS("slept slept");
}

UVT_TEST(defer_of_an_aborted_task_is_shielded) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, defers_sleeps, INT(1000)), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_STEPS("slept slept");
}

UVT_TEST(defer_running_abort_does_not_reach_it) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, defers_sleeps, INT(0)), 0);
    CHECK_EQ(uvt_sleep(5), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 0); /* the body had returned 0 before */
    CHECK_STEPS("slept slept");
}

static int defers_more_than_the_grace(void *arg) {
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_defer(suspends_and_notes, arg), 0);
    return 0;
}

UVT_TEST_PLAIN(defer_grace_is_for_all_together_then_they_are_cancelled) {
    uvt_options options = { .grace_ms = 15 };
    CHECK_EQ(uvt_test_run(defers_more_than_the_grace, INT(10), &options), 0);
    CHECK_STEPS("slept ECANCELED ECANCELED");
}

static void defers_another(void *arg) {
    CHECK_EQ(uvt_defer(d_step, arg), 0);
    uvt_test_step("defer");
}

static int defers_a_deferrer(void *arg) {
    CHECK_EQ(uvt_defer(d_step, "first"), 0);
    return uvt_defer(defers_another, arg);
}

UVT_TEST(defer_registered_by_a_defer_runs_too) {
    CHECK_EQ(spawn_and_join(defers_a_deferrer, "late"), 0);
    CHECK_STEPS("defer late first");
}

static void spawns_child(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, b_step, arg), 0);
}

static int defers_a_spawn(void *arg) {
    return uvt_defer(spawns_child, arg);
}

UVT_TEST(defer_spawns_child_it_ends_before_its_owner_counts_as_ended) {
    CHECK_EQ(spawn_and_join(defers_a_spawn, "child"), 0);
    uvt_test_step("joined");
    CHECK_STEPS("child joined");
}

static int defers_many(void *arg) {
    for (int i = 0; i < 1000; i++) CHECK_EQ(uvt_defer(d_count, arg), 0);
    return 0;
}

UVT_TEST(defer_a_thousand_all_run) {
    int runs = 0;
    CHECK_EQ(spawn_and_join(defers_many, &runs), 0);
    CHECK_EQ(runs, 1000);
}

/* ---- panics ---- */

static int panics(void *arg) {
    uvt_panic("order %d: %s", 66, (const char *)arg);
}

UVT_TEST(panic_joiner_sees_the_message_and_lives_on) {
    uvt_result r = run_task(panics, "no such item");
    CHECK_EQ(r.outcome, UVT_PANICKED);
    CHECK_EQ(r.status, UVT_EPANIC);
    CHECK_STR(r.message, "order 66: no such item");
    settle();
}

UVT_TEST(panic_join_without_result_returns_epanic) {
    CHECK_EQ(spawn_and_join(panics, "x"), UVT_EPANIC);
}

UVT_TEST(panic_long_message_is_cut_to_fit) {
    char text[500];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    uvt_result r = run_task(panics, text);
    CHECK_EQ(strlen(r.message), sizeof r.message - 1);
    CHECK_EQ(strncmp(r.message, "order 66: xxx", 13), 0);
}

UVT_TEST(panic_siblings_live_on) {
    uvt_task_t sibling;
    uint64_t start = uvt_now();
    CHECK_EQ(uvt_spawn(&sibling, b_sleep, INT(10)), 0);
    CHECK_EQ(spawn_and_join(panics, "x"), UVT_EPANIC);
    CHECK_EQ(uvt_join(sibling, NULL), 0);
    CHECK_EQ(uvt_now() - start, 10);
}

UVT_TEST_PLAIN(panic_in_the_root_run_returns_epanic) {
    CHECK_EQ(uvt_test_run(panics, "x", NULL), UVT_EPANIC);
}

static int leaves_panicking_child(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, panics, arg), 0);
    return uvt_sleep(1);
}

UVT_TEST(panic_unjoined_is_the_owners_status) {
    CHECK_EQ(spawn_and_join(leaves_panicking_child, "x"), UVT_EPANIC);
}

static int panics_deep_down(int depth) {
    if (depth < 0) return 0; /* never; it keeps the compiler from seeing an endless recursion */
    if (depth == 0) uvt_panic("%s", "deep down");
    return panics_deep_down(depth - 1) + 1;
}

static int panics_in_scopes(void *arg) {
    uvt_scope_t outer, inner;
    CHECK_EQ(uvt_defer(suspends_and_notes, INT(5)), 0);
    CHECK_EQ(uvt_scope_begin(&outer, &(uvt_scope_options){ .timeout_ms = 3 }), 0);
    CHECK_EQ(uvt_scope_begin(&inner, arg), 0);
    CHECK_EQ(uvt_sleep(10), UV_ECANCELED);
    return panics_deep_down(20);
}

UVT_TEST(panic_inside_cancelled_scopes_defers_may_suspend) {
    uvt_result r = run_task(panics_in_scopes, NULL);
    CHECK_EQ(r.outcome, UVT_PANICKED);
    CHECK_STR(r.message, "deep down");
    CHECK_STEPS("slept");
}

static int panics_before_its_deadline(void *arg) {
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 100 }), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    return panics(arg);
}

UVT_TEST(panic_inside_a_scope_its_deadline_goes_with_it) {
    uvt_stats s;
    CHECK_EQ(run_task(panics_before_its_deadline, "x").outcome, UVT_PANICKED);
    CHECK_EQ(uvt_stats_get(&s), 0);
    CHECK_EQ(s.timers, 0);
}

static int panics_under_timeout(void *arg) {
    return uvt_timeout(10, panics, arg);
}

UVT_TEST(panic_under_a_timeout_ends_the_whole_task) {
    CHECK_EQ(run_task(panics_under_timeout, "x").outcome, UVT_PANICKED);
}

static int panics_with_child_and_set(void *arg) {
    uvt_set_t set;
    CHECK_EQ(uvt_defer(d_step, "defer"), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, "owned"), 0);
    CHECK_EQ(uvt_spawn(NULL, b_cancelled_step, "owned"), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    panics(arg);
    return 0;
}

UVT_TEST(panic_children_and_members_are_cancelled_and_awaited) {
    CHECK_EQ(run_task(panics_with_child_and_set, "x").outcome, UVT_PANICKED);
    uvt_test_step("joined");
    CHECK_STEPS("owned owned defer joined");
}

static void panics_in_defer(void *arg) {
    panics(arg);
}

static int defers_panic(void *arg) {
    CHECK_EQ(uvt_defer(d_step, "first"), 0);
    CHECK_EQ(uvt_defer(panics_in_defer, arg), 0);
    CHECK_EQ(uvt_defer(d_step, "last"), 0);
    return 5;
}

UVT_TEST(panic_in_a_defer_the_others_still_run) {
    uvt_result r = run_task(defers_panic, "in cleanup");
    CHECK_EQ(r.outcome, UVT_PANICKED);
    CHECK_STR(r.message, "order 66: in cleanup");
    CHECK_STEPS("last first");
}

UVT_TEST(panic_in_a_set_is_a_failure_that_cancels_siblings) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true }), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, "sibling"), 0);
    CHECK_EQ(uvt_set_spawn(&set, panics, "x"), 0);
    CHECK_EQ(uvt_set_wait(&set), UVT_EPANIC);
    CHECK_STEPS("sibling");
    CHECK_EQ(uvt_set_close(&set), UVT_EPANIC);
}

UVT_TEST(panic_in_a_set_message_comes_with_the_result) {
    uvt_set_t set;
    uvt_result r;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, panics, "x"), 0);
    CHECK_EQ(uvt_set_next(&set, &r), 0);
    CHECK_EQ(r.outcome, UVT_PANICKED);
    CHECK_STR(r.message, "order 66: x");
    CHECK_EQ(uvt_set_close(&set), 0);
}

static void panic_outside(void) {
    uvt_panic("%s", "nowhere to go");
}

UVT_TEST_PLAIN(panic_outside_of_tasks_prints_and_aborts) {
    char text[1024];
    dies(panic_outside, text, sizeof text);
    CHECK(strstr(text, "nowhere to go") != NULL);
}

/* ---- task-local values ---- */

static uvt_key_t key;
static char mine, other;

static int own_value(void *arg) {
    return uvt_local_get(key) == arg ? 1 : 0;
}

static int sets_other(void *arg) {
    CHECK_EQ(uvt_local_set(key, arg), 0);
    CHECK_EQ(uvt_yield(), 0);
    return own_value(arg);
}

UVT_TEST(local_unset_is_null) {
    CHECK_EQ(uvt_key_create(&key, 0), 0);
    CHECK(uvt_local_get(key) == NULL);
}

UVT_TEST(local_is_each_tasks_own) {
    CHECK_EQ(uvt_key_create(&key, 0), 0);
    CHECK_EQ(uvt_local_set(key, &mine), 0);
    CHECK_EQ(spawn_and_join(own_value, NULL), 1); /* not inherited */
    CHECK_EQ(spawn_and_join(sets_other, &other), 1);
    CHECK(uvt_local_get(key) == &mine);
}

UVT_TEST(local_inherited_key_children_start_with_the_parents_value) {
    CHECK_EQ(uvt_key_create(&key, UVT_KEY_INHERIT), 0);
    CHECK_EQ(uvt_local_set(key, &mine), 0);
    CHECK_EQ(spawn_and_join(own_value, &mine), 1);
    CHECK_EQ(spawn_and_join(sets_other, &other), 1);
    CHECK(uvt_local_get(key) == &mine);
}

UVT_TEST(local_inherited_value_is_the_one_at_the_spawn) {
    uvt_task_t t;
    CHECK_EQ(uvt_key_create(&key, UVT_KEY_INHERIT), 0);
    CHECK_EQ(uvt_local_set(key, &mine), 0);
    CHECK_EQ(uvt_spawn(&t, own_value, &mine), 0);
    CHECK_EQ(uvt_local_set(key, &other), 0);
    CHECK_EQ(uvt_join(t, NULL), 1);
}

UVT_TEST(local_inherited_by_members_of_a_set) {
    uvt_set_t set;
    uvt_result r;
    CHECK_EQ(uvt_key_create(&key, UVT_KEY_INHERIT), 0);
    CHECK_EQ(uvt_local_set(key, &mine), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, own_value, &mine), 0);
    CHECK_EQ(uvt_set_next(&set, &r), 0);
    CHECK_EQ(r.status, 1);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static void gets_own_value(void *arg) {
    uvt_test_step("%d", own_value(arg));
}

static int defers_a_get(void *arg) {
    CHECK_EQ(uvt_local_set(key, arg), 0);
    return uvt_defer(gets_own_value, arg);
}

UVT_TEST(local_is_still_there_in_a_defer) {
    CHECK_EQ(uvt_key_create(&key, 0), 0);
    CHECK_EQ(spawn_and_join(defers_a_get, &mine), 0);
    CHECK_STEPS("1");
}

UVT_TEST_PLAIN(local_keys_are_used_up_after_32) {
    uvt_key_t k;
    int rc, made = 0;
    while ((rc = uvt_key_create(&k, 0)) == 0) made++;
    CHECK_EQ(rc, UV_ENOSPC);
    CHECK_EQ(made, 32);
}

UVT_TEST_MAIN()
