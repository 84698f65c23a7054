/* SPDX-License-Identifier: MIT
 *
 * Task sets: membership, results in completion order, waiting. Abort, detach and close are in
 * set_close_test.c, the options in set_options_test.c, wrong use in set_misuse_test.c. Times are exact, for
 * the clock is virtual; ready tasks run in shuffled order, so nothing leans on the order within a millisecond.
 */
#include "members.h"

static uint64_t switches(void) {
    uvt_stats s;
    CHECK_EQ(uvt_stats_get(&s), 0);
    return s.switches;
}

/* ---- membership and results ---- */

UVT_TEST(set_len_counts_live_members_and_untaken_results) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_set_len(&set), i);
        CHECK_EQ(uvt_set_spawn(&set, nap, MS(10 + 10 * i)), 0);
    }
    CHECK_EQ(uvt_sleep(15), 0);
    CHECK_EQ(uvt_set_len(&set), 3); /* one has ended, its result is still there */
    CHECK_EQ(take(&set).status, 10);
    CHECK_EQ(uvt_set_len(&set), 2);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_next_on_empty_set_is_eof_without_suspending) {
    uvt_set_t set;
    uvt_result r;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    uint64_t before = switches();
    CHECK_EQ(uvt_set_next(&set, &r), UV_EOF);
    CHECK_EQ(uvt_set_try_next(&set, &r), UV_EOF);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(switches(), before);
}

UVT_TEST(set_next_ten_sleepers_come_in_completion_order) {
    uvt_set_t set;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 10; i >= 1; i--) CHECK_EQ(uvt_set_spawn(&set, nap, MS(1000 * i)), 0);
    for (int i = 1; i <= 10; i++) {
        uvt_result r = take(&set);
        CHECK_EQ(r.outcome, UVT_RETURNED);
        CHECK_EQ(r.status, 1000 * i);
        CHECK(r.arg == MS(1000 * i));
        CHECK_EQ(uvt_now() - t, 1000 * i);
    }
    CHECK_EQ(uvt_set_next(&set, NULL), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_emptied_once_is_usable_again) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int round = 1; round <= 3; round++) {
        CHECK_EQ(uvt_set_spawn(&set, nap, MS(round)), 0);
        CHECK_EQ(take(&set).status, round);
        CHECK_EQ(uvt_set_next(&set, NULL), UV_EOF);
    }
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_next_ids_of_spawn_come_exactly_once) {
    enum { N = 50 };
    uvt_set_t set;
    uvt_task_t t[N];
    int seen[N] = { 0 };
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < N; i++) CHECK_EQ(uvt_set_spawn_opts(&set, &t[i], nap, MS(i * 7 % 13), NULL), 0);
    for (int n = 0; n < N; n++) {
        uvt_result r = take(&set);
        for (int i = 0; i < N; i++) seen[i] += r.task.id == t[i].id;
    }
    for (int i = 0; i < N; i++) CHECK_EQ(seen[i], 1);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_next_result_may_be_left_out) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(5)), 0);
    CHECK_EQ(uvt_set_next(&set, NULL), 0);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int wait_for_permit(void *sem) {
    return uvt_semaphore_acquire(sem);
}

UVT_TEST(set_try_next_thousand_members_never_suspends) {
    uvt_semaphore_t gate;
    uvt_set_t set;
    uvt_result r;
    CHECK_EQ(uvt_semaphore_init(&gate, 0, 0), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 1000; i++) CHECK_EQ(uvt_set_spawn(&set, wait_for_permit, &gate), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_set_try_next(&set, &r), UV_EAGAIN);
    CHECK_EQ(uvt_semaphore_release(&gate, 1000), 0);
    CHECK_EQ(uvt_sleep(1), 0); /* all of them have run before the clock moves on */
    uint64_t before = switches();
    for (int i = 0; i < 1000; i++) CHECK_EQ(uvt_set_try_next(&set, &r), 0);
    CHECK_EQ(uvt_set_try_next(&set, &r), UV_EOF);
    CHECK_EQ(switches(), before);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int next_of(void *set) {
    return uvt_set_next(set, NULL);
}

UVT_TEST(set_next_cancelled_loses_no_result) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(50)), 0);
    CHECK_EQ(uvt_timeout(10, next_of, &set), UV_ETIMEDOUT);
    CHECK_EQ(uvt_set_len(&set), 1);
    CHECK_EQ(take(&set).status, 50);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_next_cancelled_in_the_same_tick_gives_the_result_once) {
    uvt_set_t set;
    uvt_task_t waiter;
    uvt_result r;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(50)), 0);
    CHECK_EQ(uvt_spawn(&waiter, next_of, &set), 0);
    CHECK_EQ(uvt_sleep(50), 0);
    CHECK_EQ(uvt_abort(waiter), 0);
    CHECK_EQ(uvt_join(waiter, &r), 0);
    int by_waiter = r.outcome == UVT_RETURNED && r.status == 0;
    int by_owner = uvt_set_next(&set, NULL) == 0;
    CHECK_EQ(by_waiter + by_owner, 1);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_next_second_waiter_is_busy) {
    uvt_set_t set;
    uvt_task_t waiter;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(50)), 0);
    CHECK_EQ(uvt_spawn(&waiter, next_of, &set), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_set_next(&set, NULL), UV_EBUSY);
    CHECK_EQ(uvt_set_wait(&set), UV_EBUSY);
    CHECK_EQ(uvt_join(waiter, NULL), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

/* ---- wait ---- */

UVT_TEST(set_wait_five_members_leaves_five_results) {
    uvt_set_t set;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 1; i <= 5; i++) CHECK_EQ(uvt_set_spawn(&set, nap, MS(10 * i)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_now() - t, 50);
    for (int i = 1; i <= 5; i++) CHECK_EQ(take(&set).status, 10 * i);
    CHECK_EQ(uvt_set_next(&set, NULL), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_wait_begun_at_any_exit_returns_after_the_last) {
    for (int k = 0; k <= 5; k++) {
        uvt_set_t set;
        uint64_t t = uvt_now();
        CHECK_EQ(uvt_set_open(&set, NULL), 0);
        for (int i = 1; i <= 5; i++) CHECK_EQ(uvt_set_spawn(&set, nap, MS(10 * i)), 0);
        CHECK_EQ(uvt_sleep((uint64_t)(10 * k)), 0); /* in the same tick as exit k, or before all */
        CHECK_EQ(uvt_set_wait(&set), 0);
        CHECK_EQ(uvt_now() - t, 50);
        CHECK_EQ(uvt_set_close(&set), 0);
    }
}

UVT_TEST(set_wait_returns_first_failure_not_taken_by_next) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(10)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO); /* asking does not use it up */
    CHECK_EQ(take(&set).status, UV_EIO);
    CHECK_EQ(uvt_set_wait(&set), 0); /* next has told the caller */
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int panics(void *arg) {
    (void)arg;
    uvt_panic("broken %d", 7);
}

UVT_TEST(set_member_panic_is_a_failure_with_its_message) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, panics, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), UVT_EPANIC);
    uvt_result r = take(&set);
    CHECK_EQ(r.outcome, UVT_PANICKED);
    CHECK_STR(r.message, "broken 7");
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int wait_of(void *set) {
    return uvt_set_wait(set);
}

UVT_TEST(set_wait_cancelled_members_go_on) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(50)), 0);
    CHECK_EQ(uvt_timeout(10, wait_of, &set), UV_ETIMEDOUT);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(take(&set).status, 50);
    CHECK_EQ(uvt_set_close(&set), 0);
}

/* Ends after 10 ms; a sibling joins the set in that same millisecond. */
static int spawn_sibling_at_ten(void *set) {
    CHECK_EQ(uvt_sleep(10), 0);
    return uvt_set_spawn(set, nap, MS(5));
}

UVT_TEST(set_wait_new_member_after_the_last_left_still_returns) {
    uvt_set_t set;
    uvt_task_t outsider;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(10)), 0);
    CHECK_EQ(uvt_spawn(&outsider, spawn_sibling_at_ten, &set), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_join(outsider, NULL), 0);
    CHECK_EQ(uvt_set_next(&set, NULL), 0); /* and both results come, whichever was first */
    CHECK_EQ(uvt_set_next(&set, NULL), 0);
    CHECK_EQ(uvt_set_next(&set, NULL), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
}

/* Wakes after the member has ended and before the owner, who was woken by that, has run. */
static int spawns_between(void *set) {
    CHECK_EQ(uvt_sleep(10), 0);
    if (uvt_test_seed() == 0) CHECK_EQ(uvt_set_len(set), 1);
    return uvt_set_spawn(set, nap, MS(5));
}

UVT_TEST(set_wait_waits_for_a_member_that_came_before_the_waiter_ran) {
    uvt_set_t set;
    uvt_task_t outsider;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(10)), 0);
    CHECK_EQ(uvt_yield(), 0); /* its timer is the first */
    CHECK_EQ(uvt_spawn(&outsider, spawns_between, &set), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    if (uvt_test_seed() == 0) CHECK_EQ(uvt_now() - t, 15); /* by a seed it may have run before */
    CHECK_EQ(uvt_join(outsider, NULL), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_next_of_an_empty_set_in_a_cancelled_scope_says_so_and_yields) {
    uvt_scope_t s;
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(next_of(&set), UV_EOF);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    uvt_stats before, after;
    CHECK_EQ(uvt_stats_get(&before), 0);
    for (int i = 0; i < 10; i++) CHECK_EQ(next_of(&set), UV_ECANCELED);
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.switches - before.switches, 10);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
    CHECK_EQ(next_of(&set), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_member_spawns_sibling_while_owner_waits) {
    uvt_set_t set;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, spawn_sibling_at_ten, &set), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_now() - t, 15);
    CHECK_EQ(uvt_set_len(&set), 2);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(join_in_order_is_not_woken_by_another_task) {
    uvt_task_t slow, quick;
    CHECK_EQ(uvt_spawn(&slow, nap, MS(20)), 0);
    CHECK_EQ(uvt_spawn(&quick, nap, MS(10)), 0);
    uint64_t before = switches();
    CHECK_EQ(uvt_join(slow, NULL), 20);
    CHECK_EQ(switches() - before, 5); /* two starts, two wakes, and this task once */
    CHECK_EQ(uvt_join(quick, NULL), 10);
}

UVT_TEST_MAIN()
