/* SPDX-License-Identifier: MIT
 *
 * Intervals: the first tick comes one period after the set-up; what happens to ticks that passed while
 * nobody waited (burst, skip, delay); moving the next tick; a cancelled wait uses no tick up.
 */
#include <uvtask.h>
#include <uvtask/test.h>

/* Checks that the next tick comes ms after start and returns want. */
#define CHECK_TICK(iv, start, ms, want)                                                                                \
    do {                                                                                                               \
        CHECK_EQ(uvt_interval_tick(iv), (want));                                                                       \
        CHECK_EQ(uvt_now() - (start), (ms));                                                                           \
    } while (0)

UVT_TEST(interval_first_tick_comes_one_period_after_init) {
    uvt_interval_t iv;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_interval_init(&iv, 300, UVT_MISSED_BURST), 0);
    CHECK_TICK(&iv, t, 300, 0);
    CHECK_TICK(&iv, t, 600, 0);
}

UVT_TEST(interval_work_between_ticks_does_not_shift_them) {
    uvt_interval_t iv;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_interval_init(&iv, 100, UVT_MISSED_BURST), 0);
    for (int i = 1; i <= 5; i++) {
        CHECK_TICK(&iv, t, 100 * i, 0);
        CHECK_EQ(uvt_sleep(70), 0);
    }
}

UVT_TEST(interval_burst_missed_ticks_come_at_once_schedule_stays) {
    uvt_interval_t iv;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_interval_init(&iv, 300, UVT_MISSED_BURST), 0);
    CHECK_TICK(&iv, t, 300, 0);
    CHECK_EQ(uvt_sleep(650), 0);
    CHECK_TICK(&iv, t, 950, 0); /* the tick of 600 */
    CHECK_TICK(&iv, t, 950, 0); /* the tick of 900 */
    CHECK_TICK(&iv, t, 1200, 0);
    CHECK_TICK(&iv, t, 1500, 0);
}

UVT_TEST(interval_skip_late_tick_comes_at_once_others_are_dropped_phase_stays) {
    uvt_interval_t iv;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_interval_init(&iv, 300, UVT_MISSED_SKIP), 0);
    CHECK_TICK(&iv, t, 300, 0);
    CHECK_EQ(uvt_sleep(650), 0);
    CHECK_TICK(&iv, t, 950, 1); /* the tick of 600; that of 900 is dropped */
    CHECK_TICK(&iv, t, 1200, 0);
    CHECK_TICK(&iv, t, 1500, 0);
}

UVT_TEST(interval_delay_next_tick_comes_one_period_after_the_late_one) {
    uvt_interval_t iv;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_interval_init(&iv, 300, UVT_MISSED_DELAY), 0);
    CHECK_TICK(&iv, t, 300, 0);
    CHECK_EQ(uvt_sleep(650), 0);
    CHECK_TICK(&iv, t, 950, 0);
    CHECK_TICK(&iv, t, 1250, 0);
    CHECK_TICK(&iv, t, 1550, 0);
}

UVT_TEST(interval_tick_asked_for_exactly_when_due_comes_at_once) {
    static const uvt_missed policy[] = { UVT_MISSED_BURST, UVT_MISSED_SKIP, UVT_MISSED_DELAY };
    for (int i = 0; i < 3; i++) {
        uvt_interval_t iv;
        uint64_t t = uvt_now();
        CHECK_EQ(uvt_interval_init(&iv, 100, policy[i]), 0);
        CHECK_EQ(uvt_sleep(100), 0);
        CHECK_TICK(&iv, t, 100, 0); /* nothing was missed */
        CHECK_TICK(&iv, t, 200, 0);
    }
}

UVT_TEST(interval_skip_many_periods_late_drops_them_in_one_step) {
    uvt_interval_t iv;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_interval_init(&iv, 2, UVT_MISSED_SKIP), 0);
    CHECK_EQ(uvt_sleep(2000001), 0);
    CHECK_TICK(&iv, t, 2000001, 999999);
    CHECK_TICK(&iv, t, 2000002, 0);
}

static int set_flag(void *arg) {
    *(bool *)arg = true;
    return 0;
}

UVT_TEST(interval_late_tick_lets_others_run) {
    uvt_interval_t iv;
    uvt_task_t t;
    bool ran = false;
    CHECK_EQ(uvt_interval_init(&iv, 1, UVT_MISSED_BURST), 0);
    CHECK_EQ(uvt_sleep(1000), 0);
    CHECK_EQ(uvt_spawn(&t, set_flag, &ran), 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_interval_tick(&iv), 0);
    CHECK(ran);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

/* ---- moved by hand ---- */

UVT_TEST(interval_reset_moves_next_tick_and_phase) {
    static const int64_t from_now[] = { 300, 0, -100, 1000 }; /* a period, at once, past, later */
    for (int i = 0; i < 4; i++) {
        uvt_interval_t iv;
        CHECK_EQ(uvt_interval_init(&iv, 300, UVT_MISSED_BURST), 0);
        CHECK_EQ(uvt_interval_tick(&iv), 0);
        CHECK_EQ(uvt_sleep(120), 0);
        uint64_t t = uvt_now(), when = (uint64_t)((int64_t)t + from_now[i]);
        uvt_interval_reset_at(&iv, when);
        CHECK_TICK(&iv, t, from_now[i] < 0 ? 0 : from_now[i], 0);
        CHECK_TICK(&iv, when, 300, 0);
    }
}

/* ---- cancelled waits ---- */

static int tick(void *iv) {
    return uvt_interval_tick(iv);
}

UVT_TEST(interval_cancelled_wait_uses_no_tick_up) {
    static const uvt_missed policy[] = { UVT_MISSED_BURST, UVT_MISSED_SKIP, UVT_MISSED_DELAY };
    for (int i = 0; i < 3; i++) {
        uvt_interval_t iv;
        uint64_t t = uvt_now();
        CHECK_EQ(uvt_interval_init(&iv, 300, policy[i]), 0);
        CHECK_EQ(uvt_timeout(50, tick, &iv), UV_ETIMEDOUT);
        CHECK_EQ(uvt_timeout(50, tick, &iv), UV_ETIMEDOUT);
        CHECK_TICK(&iv, t, 300, 0);
    }
}

UVT_TEST(interval_late_tick_in_cancelled_scope_is_not_used_up) {
    uvt_interval_t iv;
    uvt_scope_t s;
    CHECK_EQ(uvt_interval_init(&iv, 100, UVT_MISSED_BURST), 0);
    CHECK_EQ(uvt_sleep(150), 0);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_interval_tick(&iv)), UV_ECANCELED);
    CHECK_TICK(&iv, t, 0, 0);
    CHECK_TICK(&iv, t, 50, 0);
}

/* Up to 5 ms are not late: every wake-up would move the phase else. */
UVT_TEST(interval_delay_is_late_after_5_ms) {
    uvt_interval_t iv;
    CHECK_EQ(uvt_interval_init(&iv, 100, UVT_MISSED_DELAY), 0);
    for (uint64_t late = 0; late < 10; late++) {
        uint64_t due = iv.next;
        CHECK_EQ(uvt_sleep_until(due + late), 0);
        CHECK_EQ(uvt_interval_tick(&iv), 0);
        CHECK_EQ(iv.next, due + 100 + (late > 5 ? late : 0));
    }
}

static int busy_until(void *arg) {
    while (uvt_now() < *(uint64_t *)arg) {}
    return 0;
}

/* It was waited for, but another task kept the loop from saying so. */
UVT_TEST_REAL(interval_delay_that_is_woken_late_moves_its_phase) {
    uvt_interval_t iv;
    uvt_task_t t;
    CHECK_EQ(uvt_interval_init(&iv, 1000000, UVT_MISSED_DELAY), 0);
    uint64_t due = uvt_now() + 2, until = due + 20;
    uvt_interval_reset_at(&iv, due);
    CHECK_EQ(uvt_spawn(&t, busy_until, &until), 0);
    CHECK_EQ(uvt_interval_tick(&iv), 0);
    CHECK(iv.next >= until + 1000000);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

/* ---- bad input ---- */

UVT_TEST(interval_bad_period_or_policy_is_refused) {
    uvt_interval_t iv;
    CHECK_EQ(uvt_interval_init(&iv, 0, UVT_MISSED_BURST), UV_EINVAL);
    CHECK_EQ(uvt_interval_init(&iv, (uint64_t)INT64_MAX + 1, UVT_MISSED_BURST), UV_EINVAL);
    CHECK_EQ(uvt_interval_init(&iv, 10, (uvt_missed)77), UV_EINVAL);
    CHECK_EQ(uvt_interval_init(&iv, INT64_MAX, UVT_MISSED_BURST), 0);
}

UVT_TEST_PLAIN(interval_tick_outside_of_a_task_is_refused) {
    uvt_interval_t iv;
    CHECK_EQ(uvt_interval_init(&iv, 10, UVT_MISSED_BURST), 0);
    CHECK_EQ(uvt_interval_tick(&iv), UVT_ENOTASK);
}

UVT_TEST_REAL(interval_on_the_real_clock_is_never_early) {
    uvt_interval_t iv;
    uint64_t begin = uv_hrtime();
    CHECK_EQ(uvt_interval_init(&iv, 5, UVT_MISSED_BURST), 0);
    for (uint64_t i = 1; i <= 10; i++) {
        CHECK_EQ(uvt_interval_tick(&iv), 0);
        CHECK(uv_hrtime() - begin >= i * 5 * 1000000);
    }
}

UVT_TEST_MAIN()
