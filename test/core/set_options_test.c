/* SPDX-License-Identifier: MIT
 *
 * The options of a task set: limit (spawn waits for room, first come first served), fail_fast (the first
 * failure is the error, cancelled siblings are none), discard (no results are kept, failures are).
 */
#include "members.h"
#include <string.h>

static void open_with(uvt_set_t *set, uvt_set_options options) {
    CHECK_EQ(uvt_set_open(set, &options), 0);
}

/* ---- limit ---- */

UVT_TEST(set_limit_full_set_makes_spawn_wait) {
    uvt_set_t set;
    uint64_t t = uvt_now();
    open_with(&set, (uvt_set_options){ .limit = 1 });
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(30)), 0);
    CHECK_EQ(uvt_now() - t, 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(10)), 0);
    CHECK_EQ(uvt_now() - t, 30);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_now() - t, 40);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int inside, most_inside;

static int ten_ms_inside(void *arg) {
    (void)arg;
    if (++inside > most_inside) most_inside = inside;
    int rc = uvt_sleep(10);
    inside--;
    return rc;
}

UVT_TEST(set_limit_three_runs_ten_members_three_at_a_time) {
    uvt_set_t set;
    uint64_t t = uvt_now();
    open_with(&set, (uvt_set_options){ .limit = 3 });
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_set_spawn(&set, ten_ms_inside, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(most_inside, 3);
    CHECK_EQ(uvt_now() - t, 40);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_limit_try_spawn_on_full_set_is_busy) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .limit = 2 });
    CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(10)), 0);
    CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(10)), 0);
    CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(10)), UV_EBUSY);
    CHECK_EQ(uvt_set_len(&set), 2);
    CHECK_EQ(uvt_set_next(&set, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(10)), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_limit_counts_live_members_not_results) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .limit = 1 });
    for (int i = 1; i <= 3; i++) {
        CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(i)), 0);
        CHECK_EQ(uvt_set_wait(&set), 0);
    }
    CHECK_EQ(uvt_set_len(&set), 3);
    for (int i = 1; i <= 3; i++) CHECK_EQ(take(&set).status, i);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static uvt_set_t shared;

static int step_five_ms(void *arg) {
    uvt_test_step("%d", (int)(intptr_t)arg);
    return uvt_sleep(5);
}

/* Asks for room at millisecond arg. */
static int spawn_into_shared_at(void *arg) {
    CHECK_EQ(uvt_sleep((uint64_t)(intptr_t)arg), 0);
    return uvt_set_spawn(&shared, step_five_ms, arg);
}

UVT_TEST(set_limit_waiting_spawners_are_served_in_order) {
    uvt_task_t t[5];
    open_with(&shared, (uvt_set_options){ .limit = 1 });
    CHECK_EQ(uvt_set_spawn(&shared, nap, MS(100)), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_spawn(&t[i], spawn_into_shared_at, MS(i + 1)), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(uvt_set_wait(&shared), 0);
    CHECK_STEPS("1 2 3 4 5");
    CHECK_EQ(uvt_set_close(&shared), 0);
}

static int count_up(void *arg) {
    ++*(int *)arg;
    return 0;
}

struct into {
    uvt_set_t *set;
    int ran;
};

static int spawn_counter_into(void *arg) {
    struct into *in = arg;
    return uvt_set_spawn(in->set, count_up, &in->ran);
}

UVT_TEST(set_limit_spawn_cancelled_while_waiting_spawns_nothing) {
    uvt_set_t set;
    struct into in = { &set, 0 };
    open_with(&set, (uvt_set_options){ .limit = 1 });
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(50)), 0);
    CHECK_EQ(uvt_timeout(10, spawn_counter_into, &in), UV_ETIMEDOUT);
    CHECK_EQ(uvt_set_len(&set), 1);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(in.ran, 0);
    CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(1)), 0); /* and its place in the queue is gone */
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_limit_spawn_waiting_when_the_set_closes_comes_back) {
    uvt_set_t set;
    struct into in = { &set, 0 };
    uvt_task_t t;
    open_with(&set, (uvt_set_options){ .limit = 1 });
    CHECK_EQ(uvt_set_spawn(&set, endless, NULL), 0);
    CHECK_EQ(uvt_spawn(&t, spawn_counter_into, &in), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    int ran_at_close = in.ran;
    int rc = uvt_join(t, NULL);
    CHECK(rc == 0 || rc == UVT_ESTALE);
    CHECK_EQ(ran_at_close, rc == 0); /* a member that was let in is awaited by close, as any other */
    CHECK_EQ(in.ran, ran_at_close);
}

UVT_TEST(set_limit_spawner_aborted_as_room_comes_loses_no_room) {
    uvt_set_t set;
    struct into in = { &set, 0 };
    uvt_task_t t;
    uvt_result r;
    open_with(&set, (uvt_set_options){ .limit = 1 });
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(10)), 0);
    CHECK_EQ(uvt_spawn(&t, spawn_counter_into, &in), 0);
    CHECK_EQ(uvt_sleep(10), 0); /* the member ends in this millisecond, too */
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(in.ran, r.status == 0);
    CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(1)), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_limit_detach_all_makes_room) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .limit = 1 });
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(10)), 0);
    CHECK_EQ(uvt_set_detach_all(&set), 0);
    CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(5)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(take(&set).status, 5);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_sleep(10), 0);
}

static int spawn_into_own_full_set(void *arg) {
    return uvt_set_spawn(arg, endless, NULL);
}

static int member_waits_for_its_own_room(void *arg) {
    uvt_set_t set;
    (void)arg;
    open_with(&set, (uvt_set_options){ .limit = 1 });
    CHECK_EQ(uvt_set_spawn(&set, spawn_into_own_full_set, &set), 0);
    (void)uvt_set_wait(&set);
    return uvt_set_close(&set);
}

UVT_TEST_PLAIN(set_limit_member_waiting_for_its_own_room_is_a_deadlock) {
    CHECK_EQ(uvt_test_run(member_waits_for_its_own_room, NULL, NULL), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "spawn_into_own_full_set") != NULL);
}

UVT_TEST(set_limit_zero_never_makes_spawn_wait) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .limit = 0 });
    for (int i = 0; i < 1000; i++) CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(1)), 0);
    CHECK_EQ(uvt_set_len(&set), 1000);
    CHECK_EQ(uvt_set_close(&set), 0);
}

/* ---- fail_fast ---- */

UVT_TEST(set_fail_fast_failure_at_one_second_cancels_the_two_second_sleeper) {
    uvt_set_t set;
    uint64_t t = uvt_now();
    open_with(&set, (uvt_set_options){ .fail_fast = true });
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(1000)), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(2000)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_now() - t, 1000);
    CHECK_EQ(take(&set).status, UV_EIO);
    uvt_result r = take(&set);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.reason.code, UVT_REASON_SIBLING);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

UVT_TEST(set_without_fail_fast_siblings_of_a_failure_go_on) {
    uvt_set_t set;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(10)), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(20)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_now() - t, 20);
    CHECK_EQ(take(&set).status, UV_EIO);
    CHECK_EQ(take(&set).status, 20);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_fail_fast_cancelled_member_is_no_failure) {
    uvt_set_t set;
    uvt_task_t t;
    open_with(&set, (uvt_set_options){ .fail_fast = true });
    CHECK_EQ(uvt_set_spawn_opts(&set, &t, endless, NULL, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(20)), 0);
    CHECK_EQ(uvt_sleep(5), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(take(&set).outcome, UVT_CANCELLED);
    CHECK_EQ(take(&set).status, 20);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int panics(void *arg) {
    (void)arg;
    uvt_panic("gone wrong");
}

UVT_TEST(set_fail_fast_panic_cancels_siblings) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .fail_fast = true });
    CHECK_EQ(uvt_set_spawn(&set, endless, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, panics, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), UVT_EPANIC);
    CHECK_EQ(take(&set).outcome, UVT_PANICKED);
    CHECK_EQ(take(&set).reason.code, UVT_REASON_SIBLING);
    CHECK_EQ(uvt_set_close(&set), UVT_EPANIC);
}

static int other_error_when_cancelled(void *arg) {
    (void)arg;
    return uvt_sleep(UVT_FOREVER) == UV_ECANCELED ? UV_ENOSPC : 0;
}

UVT_TEST(set_fail_fast_later_failure_can_be_read) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .fail_fast = true });
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(10)), 0);
    CHECK_EQ(uvt_set_spawn(&set, other_error_when_cancelled, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(take(&set).status, UV_EIO);
    uvt_result r = take(&set);
    CHECK_EQ(r.outcome, UVT_RETURNED); /* an error of its own wins over the cancel */
    CHECK_EQ(r.status, UV_ENOSPC);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO); /* still the first one, although next has handed it out */
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

/* As Trio's nurseries are: cancelled once and for all. */
UVT_TEST(set_fail_fast_member_spawned_after_the_failure_is_cancelled_from_birth) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .fail_fast = true });
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(10)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_set_spawn(&set, endless, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(take(&set).status, UV_EIO);
    uvt_result r = take(&set);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.reason.code, UVT_REASON_SIBLING);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

static int fail_now(void *arg) {
    return (int)(intptr_t)arg;
}

UVT_TEST(set_fail_fast_failures_in_one_tick_first_result_is_the_error) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .fail_fast = true });
    CHECK_EQ(uvt_set_spawn(&set, fail_now, MS(UV_EIO)), 0);
    CHECK_EQ(uvt_set_spawn(&set, fail_now, MS(UV_ENOSPC)), 0);
    CHECK_EQ(uvt_set_spawn(&set, fail_now, MS(UV_EPERM)), 0);
    int first = uvt_set_wait(&set);
    CHECK_EQ(take(&set).status, first);
    CHECK(take(&set).status < 0); /* the suppressed ones are recorded, too */
    CHECK(take(&set).status < 0);
    CHECK_EQ(uvt_set_close(&set), first);
}

static int fifty_ms(void *arg) {
    (void)arg;
    return uvt_sleep(50);
}

static int shielded_fifty_ms(void *arg) {
    return uvt_shielded(UVT_FOREVER, fifty_ms, arg);
}

static int leaves_after_fifty_ms(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(uvt_shielded(1000, fifty_ms, arg), 0);
    return rc;
}

UVT_TEST(set_fail_fast_wait_returns_when_every_sibling_has_left) {
    uvt_set_t set;
    uint64_t t = uvt_now();
    open_with(&set, (uvt_set_options){ .fail_fast = true });
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(10)), 0);
    CHECK_EQ(uvt_set_spawn(&set, leaves_after_fifty_ms, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_now() - t, 60);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

/* ---- discard ---- */

UVT_TEST(set_discard_ended_members_leave_nothing_behind) {
    uvt_set_t set;
    uvt_stats before, after;
    open_with(&set, (uvt_set_options){ .discard = true });
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(1)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0); /* the first one warms the caches */
    CHECK_EQ(uvt_stats_get(&before), 0);
    size_t blocks = uvt_test_live_blocks();
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(uvt_set_spawn(&set, nap, MS(1)), 0);
        CHECK_EQ(uvt_set_wait(&set), 0);
        CHECK_EQ(uvt_set_len(&set), 0);
    }
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.records, before.records);
    CHECK_EQ(uvt_test_live_blocks(), blocks);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_discard_next_has_nothing_to_give) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .discard = true });
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(1)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_next(&set, NULL), UV_EOF);
    CHECK_EQ(uvt_set_try_next(&set, NULL), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_discard_first_failure_comes_out_of_wait_and_close) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .discard = true });
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(10)), 0);
    CHECK_EQ(uvt_set_spawn(&set, fail_now, MS(UV_ENOSPC)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_ENOSPC);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_close(&set), UV_ENOSPC);
}

UVT_TEST(set_discard_close_awaits_live_members) {
    uvt_set_t set;
    open_with(&set, (uvt_set_options){ .discard = true });
    CHECK_EQ(uvt_set_spawn(&set, leaves_after_fifty_ms, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, leaves_after_fifty_ms, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_set_len(&set), 2);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_now() - t, 50);
}

/* What close says of a set in a cancelled scope, with one member that either ignores the cancel or heeds it. */
static int close_in_a_cancelled_scope(bool discard, bool before, bool heeds, bool taken) {
    uvt_scope_t s;
    uvt_set_t set;
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    open_with(&set, (uvt_set_options){ .discard = discard });
    CHECK_EQ(uvt_set_spawn(&set, heeds ? endless : shielded_fifty_ms, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    if (before) { /* it has ended when the scope is cancelled */
        CHECK_EQ(uvt_set_abort_all(&set), 0);
        CHECK_EQ(uvt_set_wait(&set), 0);
    }
    if (taken) CHECK_EQ(uvt_set_next(&set, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    int rc = uvt_set_close(&set);
    CHECK_EQ(uvt_scope_end(&s, rc), rc);
    return rc;
}

UVT_TEST(set_close_in_a_cancelled_scope_is_cancelled_when_a_member_was) {
    for (int i = 0; i < 4; i++) {
        bool discard = i & 1, before = i & 2;
        CHECK_EQ(close_in_a_cancelled_scope(discard, before, true, false), UV_ECANCELED);
        CHECK_EQ(close_in_a_cancelled_scope(discard, before, false, false), 0);
    }
    CHECK_EQ(close_in_a_cancelled_scope(false, true, true, true), 0); /* next has told of it */
}

UVT_TEST(set_discard_with_limit_and_fail_fast_does_all_three) {
    uvt_set_t set;
    uint64_t t = uvt_now();
    open_with(&set, (uvt_set_options){ .limit = 2, .fail_fast = true, .discard = true });
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(30)), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(10)), 0);
    CHECK_EQ(uvt_set_spawn(&set, endless, NULL), 0);
    CHECK_EQ(uvt_now() - t, 10);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_now() - t, 30);
    CHECK_EQ(uvt_set_next(&set, NULL), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

UVT_TEST_MAIN()
