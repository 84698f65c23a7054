/* SPDX-License-Identifier: MIT
 *
 * How a set lets go of its members: abort of one or all, detach, close, and the scope or task it lies in.
 * Whatever the way, the members have released what they held before the call that waits for them returns.
 */
#include "members.h"

static int count_up(void *arg) {
    ++*(int *)arg;
    return 0;
}

static void count_release(void *arg) {
    ++*(int *)arg;
}

/* Sleeps for ever, and counts its release in *arg. */
static int endless_with_defer(void *arg) {
    CHECK_EQ(uvt_defer(count_release, arg), 0);
    return uvt_sleep(UVT_FOREVER);
}

/* ---- abort, detach ---- */

UVT_TEST(set_abort_odd_members_gives_eight_of_each) {
    uvt_set_t set;
    uvt_task_t t[16];
    int cancelled = 0, returned = 0;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 16; i++) CHECK_EQ(uvt_set_spawn_opts(&set, &t[i], nap, MS(10), NULL), 0);
    for (int i = 1; i < 16; i += 2) CHECK_EQ(uvt_abort(t[i]), 0);
    for (int i = 0; i < 16; i++) {
        uvt_result r = take(&set);
        cancelled += r.outcome == UVT_CANCELLED && r.status == UV_ECANCELED && r.reason.code == UVT_REASON_ABORT;
        returned += r.outcome == UVT_RETURNED && r.status == 10;
    }
    CHECK_EQ(cancelled, 8);
    CHECK_EQ(returned, 8);
    CHECK_EQ(uvt_set_close(&set), 0); /* being cancelled is no failure */
}

UVT_TEST(set_abort_all_keeps_len_until_results_are_taken) {
    uvt_set_t set;
    int cancelled = 0, returned = 0;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_set_spawn(&set, endless, NULL), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_set_spawn(&set, nap, MS(1)), 0);
    CHECK_EQ(uvt_sleep(2), 0);
    CHECK_EQ(uvt_set_abort_all(&set), 0);
    CHECK_EQ(uvt_set_len(&set), 10);
    for (int i = 0; i < 10; i++) {
        uvt_result r = take(&set);
        CHECK_EQ(uvt_set_len(&set), 9 - i);
        cancelled += r.outcome == UVT_CANCELLED && r.reason.code == UVT_REASON_SET;
        returned += r.outcome == UVT_RETURNED && r.status == 1;
    }
    CHECK_EQ(cancelled, 5);
    CHECK_EQ(returned, 5);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_abort_all_leaves_later_members_alone) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, endless, NULL), 0);
    CHECK_EQ(uvt_set_abort_all(&set), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(10)), 0);
    CHECK_EQ(take(&set).outcome, UVT_CANCELLED);
    CHECK_EQ(take(&set).status, 10);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_member_aborted_before_its_start_delay_never_runs) {
    uvt_set_t set;
    uvt_task_t t;
    int ran = 0;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    uvt_task_options later = { .start_after_ms = 1000 };
    CHECK_EQ(uvt_set_spawn_opts(&set, &t, count_up, &ran, &later), 0);
    CHECK_EQ(uvt_sleep(10), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(take(&set).outcome, UVT_CANCELLED);
    CHECK_EQ(ran, 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

/* What a keyed map of tasks is here: a table of handles; a key that is used again aborts its old task. */
UVT_TEST(set_keyed_by_a_table_reused_key_cancels_the_old_task) {
    uvt_set_t set;
    uvt_task_t by_key[1];
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, &by_key[0], nap, MS(10), NULL), 0);
    CHECK_EQ(uvt_abort(by_key[0]), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, &by_key[0], nap, MS(20), NULL), 0);
    CHECK_EQ(take(&set).outcome, UVT_CANCELLED);
    uvt_result r = take(&set);
    CHECK_EQ(r.status, 20);
    CHECK_EQ(r.task.id, by_key[0].id);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int count_after_ten(void *arg) {
    CHECK_EQ(uvt_sleep(10), 0);
    return count_up(arg);
}

UVT_TEST(set_detach_all_empties_the_set_and_members_run_on) {
    static int ran;
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_set_spawn(&set, count_after_ten, &ran), 0);
    CHECK_EQ(uvt_set_detach_all(&set), 0);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_next(&set, NULL), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(ran, 0);
    CHECK_EQ(uvt_sleep(20), 0);
    CHECK_EQ(ran, 4);
}

static int detach_a_failing_member(void *arg) {
    uvt_set_t set;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(10)), 0);
    CHECK_EQ(uvt_set_detach_all(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    return uvt_sleep(20);
}

UVT_TEST_PLAIN(set_detached_member_failure_comes_out_of_run) {
    CHECK_EQ(uvt_test_run(detach_a_failing_member, NULL, NULL), UV_EIO);
}

/* ---- close, and the scope a set lies in ---- */

UVT_TEST(set_close_sixteen_endless_members_have_all_released) {
    uvt_set_t set;
    int released = 0;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 16; i++) CHECK_EQ(uvt_set_spawn(&set, endless_with_defer, &released), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(released, 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(released, 16);
}

static int sleep_twenty(void *arg) {
    (void)arg;
    return uvt_sleep(20);
}

/* Cleans up for 20 ms when it is cancelled. */
static int slow_to_leave(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(uvt_shielded(1000, sleep_twenty, NULL), 0);
    ++*(int *)arg;
    return rc;
}

UVT_TEST(set_close_cancels_all_then_waits_so_delays_do_not_add_up) {
    uvt_set_t set;
    int left = 0;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_set_spawn(&set, slow_to_leave, &left), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(left, 10);
    CHECK_EQ(uvt_now() - t, 20);
}

UVT_TEST(set_close_returns_a_failure_nobody_took) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(1)), 0);
    CHECK_EQ(uvt_set_spawn(&set, endless, NULL), 0);
    CHECK_EQ(uvt_sleep(5), 0);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

UVT_TEST(set_of_a_scope_is_cancelled_with_it) {
    uvt_set_t set;
    uvt_scope_t s;
    int left = 0;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 100 }), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, slow_to_leave, &left), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_ECANCELED);
    CHECK_EQ(uvt_now() - t, 100);
    int rc = uvt_set_close(&set); /* awaits the member although its caller is cancelled, and says so */
    CHECK_EQ(rc, UV_ECANCELED);
    CHECK_EQ(left, 1);
    CHECK_EQ(uvt_now() - t, 120);
    CHECK_EQ(uvt_scope_end(&s, rc), UV_ETIMEDOUT);
}

UVT_TEST(set_in_cancelled_scope_runs_its_member_to_the_first_suspension) {
    uvt_set_t set;
    uvt_scope_t s;
    int ran = 0;
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, endless_with_defer, &ran), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_set_close(&set)), UV_ECANCELED);
    CHECK_EQ(ran, 1);
}

static int spawns_a_sibling_when_cancelled(void *set) {
    static int ran;
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(uvt_set_spawn(set, endless_with_defer, &ran), 0);
    return rc;
}

UVT_TEST(set_closing_member_spawned_by_a_member_runs_and_is_cancelled) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, spawns_a_sibling_when_cancelled, &set), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int leaves_set_open(void *released) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, endless_with_defer, released), 0);
    int rc = uvt_sleep(1);
    return rc < 0 ? rc : 5;
}

UVT_TEST(set_left_open_is_closed_when_its_task_ends) {
    uvt_task_t t;
    int released = 0;
    CHECK_EQ(uvt_spawn(&t, leaves_set_open, &released), 0);
    CHECK_EQ(uvt_join(t, NULL), 5);
    CHECK_EQ(released, 1);
}

static int leaves_failed_set_open(void *arg) {
    uvt_set_t set;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(1)), 0);
    return uvt_sleep(5);
}

UVT_TEST(set_left_open_with_a_failure_fails_its_task) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, leaves_failed_set_open, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_EIO);
}

UVT_TEST_MAIN()
