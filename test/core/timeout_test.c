/* SPDX-License-Identifier: MIT
 *
 * Timeouts and deadlines: uvt_timeout, uvt_shielded and scopes with deadlines. A result beats a deadline,
 * the outermost cancelled scope is the one that reports, and a deadline that is not reached leaves nothing
 * behind. The scope rules that have nothing to do with time are in scope_test.c.
 */
#include <uvtask.h>
#include <uvtask/test.h>

#define MS(n) ((void *)(intptr_t)(n))
#define YEAR  (UINT64_C(365) * 24 * 3600 * 1000)

static int nap(void *arg) {
    int rc = uvt_sleep((uint64_t)(intptr_t)arg);
    return rc < 0 ? rc : (int)(intptr_t)arg;
}

static int acquire(void *sem) {
    return uvt_semaphore_acquire(sem);
}

static size_t timers(void) {
    uvt_stats s;
    CHECK_EQ(uvt_stats_get(&s), 0);
    return s.timers;
}

/* ---- who wins ---- */

UVT_TEST(timeout_ready_operation_wins_against_deadline_now) {
    uvt_semaphore_t sem;
    uvt_scope_t s;
    CHECK_EQ(uvt_semaphore_init(&sem, 2, 0), 0);
    CHECK_EQ(uvt_timeout(0, acquire, &sem), 0);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .deadline = uvt_now() }), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_semaphore_acquire(&sem)), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

UVT_TEST(timeout_ready_operation_wins_against_deadline_long_past) {
    uvt_semaphore_t sem;
    uvt_scope_t s;
    CHECK_EQ(uvt_semaphore_init(&sem, 1, 0), 0);
    CHECK_EQ(uvt_sleep(5000), 0);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .deadline = uvt_now() - 4000 }), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_semaphore_acquire(&sem)), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

UVT_TEST(timeout_done_at_ninety_of_hundred_gives_value_and_frees_timer) {
    uint64_t t = uvt_now();
    CHECK_EQ(timers(), 0);
    CHECK_EQ(uvt_timeout(100, nap, MS(90)), 90);
    CHECK_EQ(uvt_now() - t, 90);
    CHECK_EQ(timers(), 0);
    CHECK_EQ(uvt_sleep(100), 0); /* and it does not fire later */
}

UVT_TEST(timeout_elapsed_at_three_hundred_is_etimedout) {
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_timeout(300, nap, MS(301)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 300);
    CHECK_EQ(timers(), 0);
    CHECK_EQ(uvt_sleep(1), 0);
}

UVT_TEST(timeout_zero_on_operation_not_ready_is_over_at_once) {
    uvt_semaphore_t sem;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    CHECK_EQ(uvt_timeout(0, acquire, &sem), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 0);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
}

UVT_TEST(timeout_forever_never_comes) {
    CHECK_EQ(uvt_timeout(UVT_FOREVER, nap, MS(1000000000)), 1000000000);
}

static int sleep_ten_years(void *arg) {
    (void)arg;
    CHECK(uvt_deadline() > uvt_now() + 10 * YEAR);
    return uvt_sleep(10 * YEAR);
}

UVT_TEST(timeout_very_large_does_not_fire_early) {
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_timeout(INT64_MAX, sleep_ten_years, NULL), 0);
    CHECK_EQ(uvt_timeout(11 * YEAR, sleep_ten_years, NULL), 0);
    CHECK_EQ(uvt_now() - t, 20 * YEAR);
    CHECK_EQ(timers(), 0);
}

static int take_and_give_back(void *arg) {
    uvt_semaphore_t *sem = arg;
    for (;;) {
        int rc = uvt_semaphore_acquire(sem);
        if (rc < 0) return rc;
        CHECK_EQ(uvt_semaphore_release(sem, 1), 0);
    }
}

static void compute_for(uint64_t ms) {
    uint64_t until = uv_hrtime() + ms * 1000000;
    while (uv_hrtime() < until) {}
}

/* Time is reckoned from the beginning of the scope, however long it takes until it suspends ... */
UVT_TEST_REAL(timeout_that_passed_during_a_computation_is_seen_by_the_next_yield) {
    uvt_scope_t sc;
    CHECK_EQ(uvt_scope_begin(&sc, &(uvt_scope_options){ .timeout_ms = 20 }), 0);
    compute_for(30);
    CHECK_EQ(uvt_scope_end(&sc, uvt_yield()), UV_ETIMEDOUT);
}

/* ... and is never over early. */
UVT_TEST_REAL(timeout_is_not_early_after_a_computation) {
    for (int i = 0; i < 5; i++) {
        uvt_scope_t sc;
        uint64_t start = uv_hrtime();
        CHECK_EQ(uvt_scope_begin(&sc, &(uvt_scope_options){ .timeout_ms = 10 }), 0);
        compute_for((uint64_t)i);
        uint64_t deadline = uvt_deadline();
        CHECK(deadline * 1000000 >= start + 10 * 1000000);
        CHECK_EQ(uvt_scope_end(&sc, uvt_sleep(1000)), UV_ETIMEDOUT);
        CHECK(uv_hrtime() - start >= 10 * 1000000);
    }
}

UVT_TEST_REAL(timeout_around_always_ready_operations_still_fires) {
    uvt_semaphore_t sem;
    CHECK_EQ(uvt_semaphore_init(&sem, 1, 0), 0);
    CHECK_EQ(uvt_timeout(1, take_and_give_back, &sem), UV_ETIMEDOUT);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
}

static int seven_whatever_happens(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_sleep(1000), UV_ECANCELED);
    return 7;
}

static int eio_whatever_happens(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_sleep(1000), UV_ECANCELED);
    return UV_EIO;
}

UVT_TEST(timeout_own_result_or_error_wins_over_the_deadline) {
    CHECK_EQ(uvt_timeout(10, seven_whatever_happens, NULL), 7);
    CHECK_EQ(uvt_timeout(10, eio_whatever_happens, NULL), UV_EIO);
    CHECK_EQ(uvt_sleep(1), 0);
}

UVT_TEST(timeout_allocates_nothing) {
    CHECK_EQ(uvt_timeout(5, nap, MS(1)), 1); /* the first sleep may warm something up */
    uvt_test_fail_alloc(1);
    CHECK_EQ(uvt_timeout(5, nap, MS(1)), 1);
    CHECK_EQ(uvt_timeout(5, nap, MS(10)), UV_ETIMEDOUT);
    CHECK(!uvt_test_fail_hit());
    uvt_test_fail_alloc(0);
}

/* ---- scopes with deadlines ---- */

UVT_TEST(scope_deadline_fired_code_goes_on_after_it) {
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    CHECK_EQ(uvt_sleep(100), UV_ECANCELED);
    CHECK_EQ(uvt_sleep(100), UV_ECANCELED);
    CHECK(uvt_scope_cancelled(&s));
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_DEADLINE);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ETIMEDOUT);
    CHECK(uvt_scope_caught(&s));
    CHECK_EQ(uvt_sleep(100), 0);
}

UVT_TEST(scope_deadline_not_reached_ends_normally) {
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    CHECK_EQ(uvt_sleep(49), 0);
    CHECK_EQ(uvt_scope_end(&s, 3), 3);
    CHECK(!uvt_scope_cancelled(&s));
    CHECK(!uvt_scope_caught(&s));
    CHECK_EQ(timers(), 0);
}

UVT_TEST(scope_relative_limit_counts_from_its_begin) {
    uvt_scope_options limit = { .timeout_ms = 100 };
    uvt_scope_t s;
    CHECK_EQ(uvt_sleep(3000), 0);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_scope_begin(&s, &limit), 0);
    CHECK_EQ(uvt_deadline(), t + 100);
    CHECK_EQ(uvt_scope_end(&s, uvt_sleep(1000)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 100);
}

UVT_TEST(scope_with_both_limits_the_earlier_counts) {
    uvt_scope_t s;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 100, .deadline = t + 30 }), 0);
    CHECK_EQ(uvt_deadline(), t + 30);
    CHECK_EQ(uvt_scope_end(&s, uvt_sleep(1000)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 30);
}

UVT_TEST(scope_deadline_in_the_past_cancels_the_first_suspension) {
    uvt_scope_t s;
    CHECK_EQ(uvt_sleep(1000), 0);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .deadline = t - 500 }), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_sleep(100)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 0);
}

UVT_TEST(deadline_asked_for_is_the_earliest_up_to_a_shield) {
    uvt_scope_t outer, inner, shield, own;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_deadline(), UVT_FOREVER);
    CHECK_EQ(uvt_scope_begin(&outer, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .timeout_ms = 100 }), 0);
    CHECK_EQ(uvt_deadline(), t + 50);
    CHECK_EQ(uvt_scope_begin(&shield, &(uvt_scope_options){ .shield = true }), 0);
    CHECK_EQ(uvt_deadline(), UVT_FOREVER);
    CHECK_EQ(uvt_scope_begin(&own, &(uvt_scope_options){ .timeout_ms = 70 }), 0);
    CHECK_EQ(uvt_deadline(), t + 70);
    CHECK_EQ(uvt_scope_cancel(&own, NULL), 0);
    CHECK_EQ(uvt_deadline(), 0);
    CHECK_EQ(uvt_scope_end(&own, 0), 0);
    CHECK_EQ(uvt_scope_end(&shield, 0), 0);
    CHECK_EQ(uvt_deadline(), t + 50);
    CHECK_EQ(uvt_scope_end(&inner, 0), 0);
    CHECK_EQ(uvt_scope_end(&outer, 0), 0);
    CHECK_EQ(uvt_deadline(), UVT_FOREVER);
}

UVT_TEST(scope_inner_deadline_first_leaves_the_outer_alone) {
    uvt_scope_t outer, inner;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_scope_begin(&outer, &(uvt_scope_options){ .timeout_ms = 100 }), 0);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    CHECK_EQ(uvt_scope_end(&inner, uvt_sleep(1000)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 50);
    CHECK_EQ(uvt_sleep(40), 0);
    CHECK_EQ(uvt_scope_end(&outer, 0), 0);
    CHECK(!uvt_scope_cancelled(&outer));
}

UVT_TEST(scope_outer_deadline_first_is_reported_by_the_outer) {
    uvt_scope_t outer, inner;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_scope_begin(&outer, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .timeout_ms = 100 }), 0);
    int rc = uvt_scope_end(&inner, uvt_sleep(1000));
    CHECK_EQ(rc, UV_ECANCELED);
    CHECK(!uvt_scope_caught(&inner));
    CHECK_EQ(uvt_scope_end(&outer, rc), UV_ETIMEDOUT);
    CHECK(uvt_scope_caught(&outer));
    CHECK_EQ(uvt_now() - t, 50);
}

UVT_TEST(scope_both_deadlines_in_one_tick_the_outer_reports) {
    uvt_scope_t outer, inner;
    CHECK_EQ(uvt_scope_begin(&outer, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    int rc = uvt_scope_end(&inner, uvt_sleep(1000));
    CHECK_EQ(rc, UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&outer, rc), UV_ETIMEDOUT);
}

static int cancel_scope_at_fifty(void *scope) {
    CHECK_EQ(uvt_sleep(50), 0);
    return uvt_scope_cancel(scope, "by hand");
}

UVT_TEST(scope_inner_deadline_and_outer_cancel_in_one_tick_the_outer_reports) {
    uvt_scope_t outer, inner;
    uvt_task_t canceller;
    CHECK_EQ(uvt_spawn(&canceller, cancel_scope_at_fifty, &outer), 0);
    CHECK_EQ(uvt_yield(), 0); /* its 50 ms begin now */
    CHECK_EQ(uvt_scope_begin(&outer, NULL), 0);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    int rc = uvt_sleep(1000);
    CHECK_EQ(rc, UV_ECANCELED);
    while (!uvt_scope_cancelled(&outer)) CHECK_EQ(uvt_yield(), UV_ECANCELED); /* the same millisecond */
    rc = uvt_scope_end(&inner, rc);
    CHECK_EQ(rc, UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&outer, rc), UV_ECANCELED);
    CHECK(uvt_scope_caught(&outer));
    CHECK_EQ(uvt_join(canceller, NULL), 0);
}

/* ---- shields ---- */

UVT_TEST(shield_with_limit_in_cancelled_scope_ends_at_its_own_limit) {
    uvt_scope_t outer;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_scope_begin(&outer, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&outer, NULL), 0);
    CHECK_EQ(uvt_shielded(30, nap, MS(1000)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 30);
    CHECK_EQ(uvt_sleep(10), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&outer, UV_ECANCELED), UV_ECANCELED);
}

UVT_TEST(shield_done_within_its_limit_gives_its_value) {
    uvt_scope_t outer;
    CHECK_EQ(uvt_scope_begin(&outer, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&outer, NULL), 0);
    CHECK_EQ(uvt_shielded(30, nap, MS(20)), 20);
    CHECK_EQ(uvt_shielded(UVT_FOREVER, nap, MS(2000)), 2000);
    CHECK_EQ(uvt_shielded(0, nap, MS(1)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_scope_end(&outer, UV_ECANCELED), UV_ECANCELED);
}

/* ---- bad input ---- */

UVT_TEST(timeout_invalid_arguments_are_refused) {
    const uint64_t negative = (uint64_t)-5;
    uvt_scope_t s = { 0 };
    CHECK_EQ(uvt_timeout(negative, nap, MS(1)), UV_EINVAL);
    CHECK_EQ(uvt_timeout(1, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_shielded(negative, nap, MS(1)), UV_EINVAL);
    CHECK_EQ(uvt_shielded(1, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = negative }), UV_EINVAL);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .deadline = negative }), UV_EINVAL);
    CHECK_EQ(uvt_scope_end(&s, 0), UV_EINVAL); /* nothing was begun */
    CHECK_EQ(uvt_deadline(), UVT_FOREVER);
}

UVT_TEST_PLAIN(timeout_outside_of_a_task_is_refused) {
    CHECK_EQ(uvt_timeout(10, nap, MS(1)), UVT_ENOTASK);
    CHECK_EQ(uvt_deadline(), UVT_FOREVER);
}

/* ---- deadlines that move, and what a timed-out wait leaves behind ---- */

static int move_deadline_often(void *scope) {
    uint64_t base = uvt_now();
    size_t blocks = uvt_test_live_blocks(), armed = timers();
    for (uint64_t i = 0; i < 10000; i++) {
        CHECK_EQ(uvt_scope_set_deadline(scope, base + 1000 + i * 7919 % 100000), 0);
        CHECK_EQ(timers(), armed);
    }
    CHECK_EQ(uvt_scope_set_deadline(scope, base + 40), 0);
    CHECK_EQ(uvt_test_live_blocks(), blocks);
    return 0;
}

UVT_TEST(scope_deadline_moved_ten_thousand_times_leaves_one_timer) {
    uvt_scope_t s;
    uvt_task_t mover;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 500 }), 0);
    CHECK_EQ(uvt_spawn(&mover, move_deadline_often, &s), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_sleep(UVT_FOREVER)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 40);
    CHECK_EQ(uvt_join(mover, NULL), 0);
    CHECK_EQ(timers(), 0);
}

static int put_off_to_eighty(void *scope) {
    uint64_t base = uvt_now();
    CHECK_EQ(uvt_sleep(20), 0);
    return uvt_scope_set_deadline(scope, base + 80);
}

UVT_TEST(scope_deadline_put_off_fires_at_the_new_time) {
    uvt_scope_t s;
    uvt_task_t mover;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_spawn(&mover, put_off_to_eighty, &s), 0);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_sleep(1000)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 80);
    CHECK_EQ(uvt_join(mover, NULL), 0);
}

UVT_TEST(scope_deadline_taken_off_never_fires) {
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    CHECK_EQ(uvt_sleep(10), 0);
    CHECK_EQ(uvt_scope_set_deadline(&s, UVT_FOREVER), 0);
    CHECK_EQ(uvt_sleep(1000), 0);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    CHECK_EQ(uvt_scope_set_deadline(&s, 1), UV_EINVAL);
}

static int receive(void *oneshot) {
    return uvt_oneshot_recv(oneshot, NULL, NULL);
}

UVT_TEST(timed_out_receive_leaves_no_waiter_that_takes_the_value) {
    uvt_oneshot_t *o;
    int status = 0;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_timeout(10, receive, o), UV_ETIMEDOUT);
    CHECK_EQ(uvt_oneshot_send(o, 5, NULL), 0);
    CHECK_EQ(uvt_oneshot_recv(o, &status, NULL), 0);
    CHECK_EQ(status, 5);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

UVT_TEST(timed_out_acquire_leaves_no_waiter_that_takes_the_permit) {
    uvt_semaphore_t sem;
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    CHECK_EQ(uvt_timeout(10, acquire, &sem), UV_ETIMEDOUT);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
    CHECK_EQ(uvt_semaphore_try_acquire(&sem, 1), 0);
}

UVT_TEST_MAIN()
