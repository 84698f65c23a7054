/* SPDX-License-Identifier: MIT
 *
 * The rate limiter on the virtual clock: every token comes at its millisecond, first come first served, and none is
 * lost or made, whatever is cancelled meanwhile.
 */
#include "../core/bodies.h"

static uvt_rate_t rate;

static void init(unsigned tokens, uint64_t period_ms, unsigned burst) {
    CHECK_EQ(uvt_rate_init(&rate, tokens, period_ms, burst), 0);
}

static void empty(unsigned tokens, uint64_t period_ms, unsigned burst) {
    init(tokens, period_ms, burst);
    CHECK_EQ(uvt_rate_try_acquire(&rate, burst), 0);
}

static int takes(void *arg) {
    int n = (int)(intptr_t)arg, rc = uvt_rate_acquire(&rate, (unsigned)n);
    if (rc == 0) uvt_test_step("%d", n);
    return rc;
}

/* A task that waits for n tokens, behind those that wait already. */
static uvt_task_t queue_for(unsigned n) {
    uvt_task_t t;
    unsigned before = uvt_rate_waiting(&rate);
    CHECK_EQ(uvt_spawn(&t, takes, INT(n)), 0);
    for (int i = 0; i < 4 && uvt_rate_waiting(&rate) == before; i++) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_rate_waiting(&rate), before + 1);
    return t;
}

/* ---- the bucket ---- */

UVT_TEST(rate_starts_with_its_burst) {
    init(10, 1000, 5);
    CHECK_EQ(uvt_rate_available(&rate), 5);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_rate_try_acquire(&rate, 1), 0);
    CHECK_EQ(uvt_rate_try_acquire(&rate, 1), UV_EAGAIN);
    CHECK_EQ(uvt_rate_available(&rate), 0);
}

UVT_TEST(rate_ten_a_second_come_every_hundred_ms) {
    empty(10, 1000, 5);
    uint64_t t = uvt_now();
    for (unsigned i = 1; i <= 30; i++) {
        CHECK_EQ(uvt_rate_acquire(&rate, 1), 0);
        CHECK_EQ(uvt_now() - t, 100 * i);
    }
}

UVT_TEST(rate_seven_a_second_never_drift) {
    empty(7, 1000, 1);
    uint64_t t = uvt_now();
    for (unsigned i = 1; i <= 7000; i++) {
        CHECK_EQ(uvt_rate_acquire(&rate, 1), 0);
        CHECK_EQ(uvt_now() - t, (1000 * i + 6) / 7); /* rounded up, and the fraction is kept */
    }
    CHECK_EQ(uvt_now() - t, 1000000);
}

UVT_TEST(rate_many_in_a_millisecond_come_together) {
    empty(5000, 1000, 20);
    uint64_t t = uvt_now();
    for (unsigned i = 1; i <= 100; i++) {
        CHECK_EQ(uvt_rate_acquire(&rate, 1), 0);
        CHECK_EQ(uvt_now() - t, (i + 4) / 5);
    }
}

UVT_TEST(rate_after_a_stall_lets_no_crowd_through) {
    uvt_task_t t[10];
    empty(10, 1000, 2);
    uint64_t t0 = uvt_now();
    for (int i = 0; i < 10; i++) t[i] = queue_for(1);
    CHECK_EQ(uvt_test_advance(5000), 0); /* all timers are late */
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(uvt_join(t[i], NULL), 0);
        CHECK_EQ(uvt_now() - t0, i < 2 ? 5000 : 4900 + 100 * i);
    }
}

UVT_TEST(rate_fills_up_to_the_burst_and_no_further) {
    empty(10, 1000, 5);
    CHECK_EQ(uvt_sleep(99), 0);
    CHECK_EQ(uvt_rate_available(&rate), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_rate_available(&rate), 1);
    CHECK_EQ(uvt_sleep(1000000), 0);
    CHECK_EQ(uvt_rate_available(&rate), 5);
    CHECK_EQ(uvt_rate_try_acquire(&rate, 5), 0);
    CHECK_EQ(uvt_rate_try_acquire(&rate, 1), UV_EAGAIN);
    CHECK_EQ(uvt_sleep(100), 0);
    CHECK_EQ(uvt_rate_try_acquire(&rate, 1), 0);
}

UVT_TEST(rate_after_years_is_just_full) {
    empty(INT32_MAX, 1, INT32_MAX);
    CHECK_EQ(uvt_sleep((uint64_t)365 * 24 * 3600 * 1000 * 50), 0);
    CHECK_EQ(uvt_rate_available(&rate), INT32_MAX);
    empty(1, INT32_MAX, INT32_MAX);
    CHECK_EQ(uvt_sleep((uint64_t)INT32_MAX * 3), 0);
    CHECK_EQ(uvt_rate_available(&rate), 3);
}

UVT_TEST(rate_largest_numbers_are_waited_for_exactly) {
    empty(1, INT32_MAX, INT32_MAX);
    uint64_t t = uvt_now();
    uvt_task_t a = queue_for(1), b = queue_for(1000); /* some sixty thousand years in all */
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_now() - t, INT32_MAX);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_EQ(uvt_now() - t, (uint64_t)INT32_MAX * 1001);
}

UVT_TEST(rate_zero_tokens_are_granted_at_once) {
    empty(1, 1000, 1);
    uvt_task_t t = queue_for(1);
    CHECK_EQ(uvt_rate_acquire(&rate, 0), 0);
    CHECK_EQ(uvt_rate_try_acquire(&rate, 0), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

/* ---- the queue ---- */

UVT_TEST(rate_is_first_come_first_served_and_nobody_barges_in) {
    empty(10, 1000, 5);
    uint64_t t = uvt_now();
    uvt_task_t big = queue_for(5), small = queue_for(1);
    CHECK_EQ(uvt_sleep(300), 0);
    CHECK_EQ(uvt_rate_available(&rate), 3);
    CHECK_EQ(uvt_rate_try_acquire(&rate, 1), UV_EAGAIN); /* others wait */
    CHECK_EQ(uvt_join(big, NULL), 0);
    CHECK_EQ(uvt_now() - t, 500);
    CHECK_EQ(uvt_join(small, NULL), 0);
    CHECK_EQ(uvt_now() - t, 600);
    CHECK_STEPS("5 1");
    CHECK_EQ(uvt_rate_waiting(&rate), 0);
}

UVT_TEST(rate_hundred_waiters_are_served_at_their_times) {
    uvt_task_t t[100];
    empty(100, 1000, 3);
    uint64_t t0 = uvt_now();
    for (int i = 0; i < 100; i++) t[i] = queue_for(1 + (unsigned)i % 3);
    for (unsigned i = 0, sum = 0; i < 100; i++) {
        CHECK_EQ(uvt_join(t[i], NULL), 0);
        CHECK_EQ(uvt_now() - t0, 10 * (sum += 1 + i % 3));
    }
}

/* ---- cancelled waiters ---- */

UVT_TEST(rate_head_that_gives_up_lets_those_behind_move_up_to_their_new_times) {
    empty(10, 1000, 5);
    uint64_t t = uvt_now();
    uvt_task_t a = queue_for(5), b = queue_for(1), c = queue_for(2);
    CHECK_EQ(uvt_sleep(50), 0);
    CHECK_EQ(uvt_abort(a), 0);
    CHECK_EQ(uvt_join(a, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_rate_waiting(&rate), 2);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_EQ(uvt_now() - t, 100);
    CHECK_EQ(uvt_join(c, NULL), 0);
    CHECK_EQ(uvt_now() - t, 300);
}

UVT_TEST(rate_head_that_gives_up_lets_the_next_take_what_is_there) {
    empty(10, 1000, 5);
    uvt_task_t a = queue_for(5), b = queue_for(1);
    CHECK_EQ(uvt_sleep(250), 0);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_abort(a), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_EQ(uvt_now(), t);
    CHECK_EQ(uvt_rate_available(&rate), 1);
    CHECK_EQ(uvt_join(a, NULL), UV_ECANCELED);
}

UVT_TEST(rate_waiter_in_the_middle_gives_up_the_last_moves_up) {
    empty(10, 1000, 5);
    uint64_t t = uvt_now();
    uvt_task_t a = queue_for(1), b = queue_for(5), c = queue_for(1);
    CHECK_EQ(uvt_abort(b), 0);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_now() - t, 100);
    CHECK_EQ(uvt_join(c, NULL), 0);
    CHECK_EQ(uvt_now() - t, 200);
    CHECK_EQ(uvt_join(b, NULL), UV_ECANCELED);
}

UVT_TEST(rate_wait_cut_short_by_a_limit_takes_nothing) {
    empty(10, 1000, 5);
    CHECK_EQ(uvt_timeout(450, takes, INT(5)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_rate_waiting(&rate), 0);
    CHECK_EQ(uvt_rate_available(&rate), 4);
    CHECK_EQ(uvt_rate_acquire(&rate, 5), 0);
}

UVT_TEST(rate_waiter_cancelled_after_the_grant_has_its_tokens) {
    empty(10, 1000, 5);
    uvt_task_t a = queue_for(2), b = queue_for(1);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_sleep(199), 0);
    CHECK_EQ(uvt_test_advance(1), 0);
    while (uvt_rate_waiting(&rate) == 2) CHECK_EQ(uvt_yield(), 0);
    uvt_abort(a);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_EQ(uvt_now() - t, 300);
}

UVT_TEST(rate_in_a_cancelled_scope_takes_nothing) {
    uvt_scope_t s;
    init(10, 1000, 5);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_rate_acquire(&rate, 1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    CHECK_EQ(uvt_rate_available(&rate), 5);
}

UVT_TEST(rate_granted_at_once_in_a_loop_lets_others_run) {
    uvt_task_t t;
    int others = 0;
    init(INT32_MAX, 1, INT32_MAX);
    CHECK_EQ(uvt_spawn(&t, b_count, &others), 0);
    for (int i = 0; i < 1000; i++) CHECK_EQ(uvt_rate_acquire(&rate, 1), 0);
    CHECK_EQ(others, 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

/* ---- as a case of a select ---- */

UVT_TEST(rate_case_is_possible_when_the_tokens_are_there) {
    empty(10, 1000, 5);
    uint64_t t = uvt_now();
    uvt_case_t c[] = { uvt_case_rate(&rate, 2), uvt_case_sleep(500) };
    CHECK_EQ(uvt_try_select(c, 1, 0), UV_EAGAIN);
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, 0);
    CHECK_EQ(uvt_now() - t, 200);
    CHECK_EQ(uvt_rate_waiting(&rate), 0);
}

UVT_TEST(rate_case_that_loses_has_taken_nothing_and_lets_those_behind_move_up) {
    empty(10, 1000, 5);
    uint64_t t = uvt_now();
    uvt_case_t c[] = { uvt_case_sleep(150), uvt_case_rate(&rate, 5) };
    uvt_task_t behind;
    CHECK_EQ(uvt_spawn_opts(&behind, takes, INT(2), &(uvt_task_options){ .start_after_ms = 10 }), 0);
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(uvt_rate_waiting(&rate), 1);
    CHECK_EQ(uvt_join(behind, NULL), 0);
    CHECK_EQ(uvt_now() - t, 200);
}

UVT_TEST(rate_case_twice_in_a_select_takes_tokens_once) {
    empty(10, 1000, 5);
    uvt_case_t c[] = { uvt_case_rate(&rate, 1), uvt_case_rate(&rate, 1) };
    uint64_t t = uvt_now();
    CHECK(uvt_select(c, 2, 0) >= 0);
    CHECK_EQ(uvt_now() - t, 100);
    CHECK_EQ(uvt_rate_waiting(&rate), 0);
    CHECK_EQ(uvt_sleep(100), 0);
    CHECK_EQ(uvt_rate_available(&rate), 1);
}

static int selects(void *arg) {
    uvt_case_t c[] = { uvt_case_rate(&rate, (unsigned)(intptr_t)arg), uvt_case_sleep(UVT_FOREVER) };
    return uvt_select(c, 2, 0);
}

UVT_TEST(rate_case_moves_up_when_the_one_ahead_gives_up) {
    uvt_task_t t;
    empty(10, 1000, 5);
    uint64_t t0 = uvt_now();
    uvt_task_t a = queue_for(5);
    CHECK_EQ(uvt_spawn(&t, selects, INT(3)), 0);
    CHECK_EQ(uvt_sleep(100), 0);
    CHECK_EQ(uvt_abort(a), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_now() - t0, 300);
    CHECK_EQ(uvt_join(a, NULL), UV_ECANCELED);
}

/* ---- misuse ---- */

UVT_TEST(rate_misuse_is_refused) {
    CHECK_EQ(uvt_rate_init(NULL, 1, 1, 1), UV_EINVAL);
    CHECK_EQ(uvt_rate_init(&rate, 0, 1, 1), UV_EINVAL);
    CHECK_EQ(uvt_rate_init(&rate, 1, 0, 1), UV_EINVAL);
    CHECK_EQ(uvt_rate_init(&rate, 1, 1, 0), UV_EINVAL);
    CHECK_EQ(uvt_rate_init(&rate, UINT32_MAX, 1, 1), UV_EINVAL);
    CHECK_EQ(uvt_rate_init(&rate, 1, (uint64_t)INT32_MAX + 1, 1), UV_EINVAL);
    CHECK_EQ(uvt_rate_init(&rate, 1, 1, UINT32_MAX), UV_EINVAL);
    init(1, 1, 5);
    CHECK_EQ(uvt_rate_acquire(NULL, 1), UV_EINVAL);
    CHECK_EQ(uvt_rate_acquire(&rate, 6), UV_EINVAL);
    CHECK_EQ(uvt_rate_try_acquire(&rate, 6), UV_EINVAL);
    CHECK_EQ(uvt_rate_try_acquire(NULL, 0), UV_EINVAL);
    CHECK_EQ(uvt_rate_available(NULL), 0);
    CHECK_EQ(uvt_rate_waiting(NULL), 0);
    uvt_case_t c[] = { uvt_case_rate(&rate, 6), uvt_case_rate(NULL, 1) };
    CHECK_EQ(uvt_select(&c[0], 1, 0), 0);
    CHECK_EQ(c[0].result, UV_EINVAL);
    CHECK_EQ(uvt_select(&c[1], 1, 0), 0);
    CHECK_EQ(c[1].result, UV_EINVAL);
    CHECK_EQ(uvt_rate_available(&rate), 5);
}

static int in_another_runtime(void *arg) {
    CHECK_EQ(uvt_rate_acquire(arg, 1), UVT_ESHARD);
    CHECK_EQ(uvt_rate_try_acquire(arg, 1), UVT_ESHARD);
    CHECK_EQ(uvt_rate_available(arg), 0);
    return 0;
}

static int makes(void *arg) {
    return uvt_rate_init(arg, 1, 1, 1);
}

UVT_TEST_PLAIN(rate_of_an_ended_runtime_and_outside_of_one_is_refused) {
    CHECK_EQ(uvt_rate_init(&rate, 1, 1, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_test_run(makes, &rate, NULL), 0);
    CHECK_EQ(uvt_test_run(in_another_runtime, &rate, NULL), 0);
    CHECK_EQ(uvt_rate_acquire(&rate, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_rate_try_acquire(&rate, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_rate_available(&rate), 0);
}

static int real_clock(void *arg) {
    (void)arg;
    init(1000, 1000, 1);
    uint64_t began = uv_hrtime();
    for (int i = 0; i < 21; i++) CHECK_EQ(uvt_rate_acquire(&rate, 1), 0);
    CHECK(uv_hrtime() - began >= 20000000); /* one was there, twenty more take a millisecond each, never less */
    return 0;
}

UVT_TEST_PLAIN(rate_on_the_real_clock_is_never_early) {
    CHECK_EQ(uvt_run(real_clock, NULL, NULL), 0);
}

UVT_TEST_MAIN()
