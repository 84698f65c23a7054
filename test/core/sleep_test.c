/* SPDX-License-Identifier: MIT
 *
 * Sleeping and the clock: never early, exact on the virtual clock, in order, no wraparound, and the virtual
 * clock itself (it jumps only when every task is parked and nothing from outside is awaited).
 */
#include <uvtask.h>
#include <uvtask/test.h>

#define MS(n) ((void *)(intptr_t)(n))
#define YEAR  (UINT64_C(365) * 24 * 3600 * 1000)

static int nap(void *arg) {
    return uvt_sleep((uint64_t)(intptr_t)arg);
}

/* ---- never early ---- */

UVT_TEST(sleep_until_now_takes_no_time) {
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_sleep_until(t), 0);
    CHECK_EQ(uvt_sleep(0), 0);
    CHECK_EQ(uvt_now(), t);
}

UVT_TEST(sleep_until_a_past_time_takes_no_time) {
    CHECK_EQ(uvt_sleep(100), 0);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_sleep_until(t - 50), 0);
    CHECK_EQ(uvt_now(), t);
}

static int step(void *arg) {
    uvt_test_step("%s", (const char *)arg);
    return 0;
}

UVT_TEST(sleep_zero_lets_others_run) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, step, "child"), 0);
    CHECK_EQ(uvt_sleep(0), 0);
    CHECK_EQ(uvt_sleep_until(0), 0);
    uvt_test_step("main");
    CHECK_STEPS("child main");
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST_REAL(sleep_begun_within_a_millisecond_is_not_early) {
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t begin = uv_hrtime();
        while (uv_hrtime() - begin < i * 50000) continue; /* another phase of the millisecond each time */
        begin = uv_hrtime();
        CHECK_EQ(uvt_sleep(1 + i), 0);
        CHECK(uv_hrtime() - begin >= (1 + i) * 1000000);
    }
}

UVT_TEST_REAL(sleep_after_a_long_computation_is_not_early) {
    uint64_t begin = uv_hrtime();
    while (uv_hrtime() - begin < 20 * 1000000) continue; /* the loop's idea of now is 20 ms old */
    begin = uv_hrtime();
    CHECK_EQ(uvt_sleep(10), 0);
    CHECK(uv_hrtime() - begin >= 10 * 1000000);
}

UVT_TEST_REAL(sleep_on_the_real_clock_takes_at_least_its_time) {
    uint64_t begin = uv_hrtime(), t = uvt_now();
    CHECK_EQ(uvt_sleep(200), 0);
    CHECK(uv_hrtime() - begin >= 200 * 1000000);
    CHECK(uvt_now() - t >= 200);
}

UVT_TEST_REAL(sleep_until_returns_when_the_clock_has_reached_it) {
    for (int i = 0; i < 5; i++) {
        uint64_t when = uvt_now() + 3;
        CHECK_EQ(uvt_sleep_until(when), 0);
        CHECK(uvt_now() >= when);
    }
}

/* ---- order ---- */

static int nap_and_step(void *arg) {
    CHECK_EQ(uvt_sleep((uint64_t)(intptr_t)arg), 0);
    uvt_test_step("%d", (int)(intptr_t)arg);
    return 0;
}

UVT_TEST(sleep_four_sleepers_wake_in_order_of_time) {
    static const int ms[] = { 30, 40, 10, 20 };
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_set_spawn(&set, nap_and_step, MS(ms[i])), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_STEPS("10 20 30 40");
    CHECK_EQ(uvt_set_close(&set), 0);
}

static uint64_t common_deadline;

static int sleep_until_common_and_step(void *arg) {
    CHECK_EQ(uvt_sleep_until(common_deadline), 0);
    uvt_test_step("%d", (int)(intptr_t)arg);
    return 0;
}

/* Without a seed tasks run in the order in which they became ready, so the timers' order shows. */
UVT_TEST(sleep_equal_deadlines_wake_in_order_of_arming) {
    uvt_set_t set;
    common_deadline = uvt_now() + 300;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 30; i++) CHECK_EQ(uvt_set_spawn(&set, sleep_until_common_and_step, MS(i)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_now(), common_deadline);
    CHECK_EQ(uvt_set_close(&set), 0);
    if (uvt_test_seed() != 0) return;
    CHECK_STEPS("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29");
}

/* The yield arms the deadline before the sleep, in the same slot: as it fires, the cancel takes the sleep's timer out,
 * which is the next one there. */
static int limit_before_sleep_in_one_slot(void *arg) {
    uvt_scope_t limit;
    CHECK_EQ(uvt_scope_begin(&limit, &(uvt_scope_options){ .timeout_ms = 100 }), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_scope_end(&limit, nap(arg)), UV_ETIMEDOUT);
    return 0;
}

UVT_TEST(sleep_timer_removed_while_its_slot_fires_others_still_fire) {
    uvt_set_t set;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 3; i++) { /* each of them armed, before the next one is spawned */
        CHECK_EQ(uvt_set_spawn(&set, limit_before_sleep_in_one_slot, MS(100)), 0);
        for (int n = 0; n < 3; n++) CHECK_EQ(uvt_yield(), 0);
        CHECK_EQ(uvt_set_spawn(&set, nap, MS(100)), 0);
        for (int n = 0; n < 3; n++) CHECK_EQ(uvt_yield(), 0);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_now() - t, 100);
    CHECK_EQ(uvt_set_close(&set), 0);
}

/* ---- moved timers (a sleep ended early and begun again) ---- */

static int sleep_to_deadline(void *deadline) {
    return uvt_sleep_until(*(uint64_t *)deadline);
}

UVT_TEST(sleep_moved_before_it_fires_wakes_once_at_the_new_time) {
    static const uint64_t moved_to[] = { 200, 60 };
    for (int i = 0; i < 2; i++) {
        uint64_t t = uvt_now(), deadline = t + 100;
        CHECK_EQ(uvt_timeout(50, sleep_to_deadline, &deadline), UV_ETIMEDOUT);
        deadline = t + moved_to[i];
        CHECK_EQ(sleep_to_deadline(&deadline), 0);
        CHECK_EQ(uvt_now() - t, moved_to[i]);
    }
}

UVT_TEST(sleep_again_after_it_fired_wakes_again) {
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_sleep_until(t + 100), 0);
    CHECK_EQ(uvt_sleep_until(t + 110), 0);
    CHECK_EQ(uvt_now() - t, 110);
}

/* ---- very long ---- */

UVT_TEST(sleep_for_years_is_exact) {
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_sleep(10 * YEAR), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_sleep(400 * YEAR), 0);
    CHECK_EQ(uvt_now() - t, 410 * YEAR + 1);
}

UVT_TEST(sleep_longest_there_is_ends_only_by_cancel) {
    static const uint64_t longest[] = { UVT_FOREVER, INT64_MAX, INT64_MAX - 1 };
    for (int i = 0; i < 3; i++) {
        uvt_task_t t;
        uvt_result r;
        CHECK_EQ(uvt_spawn(&t, nap, MS(longest[i])), 0);
        CHECK_EQ(uvt_sleep(10 * YEAR), 0);
        CHECK_EQ(uvt_is_done(t), 0);
        CHECK_EQ(uvt_abort(t), 0);
        CHECK_EQ(uvt_join(t, &r), 0);
        CHECK_EQ(r.outcome, UVT_CANCELLED);
    }
}

UVT_TEST(sleep_until_forever_ends_only_by_cancel) {
    uint64_t never = UVT_FOREVER;
    CHECK_EQ(uvt_timeout(10 * YEAR, sleep_to_deadline, &never), UV_ETIMEDOUT);
}

static int sleep_forever(void *arg) {
    (void)arg;
    return uvt_sleep(UVT_FOREVER);
}

UVT_TEST_PLAIN(sleep_forever_with_nobody_left_is_a_deadlock) {
    CHECK_EQ(uvt_test_run(sleep_forever, NULL, NULL), UVT_EDEADLK);
}

static int sleep_until_thousands_of_years(void *arg) {
    (void)arg;
    const uint64_t deadline = UINT64_C(1) << 50;
    int rc = uvt_sleep_until(deadline);
    CHECK(rc == UV_ECANCELED || uvt_now() >= deadline);
    return 0;
}

UVT_TEST_PLAIN(sleep_until_thousands_of_years_is_never_early) {
    int rc = uvt_test_run(sleep_until_thousands_of_years, NULL, NULL);
    CHECK(rc == 0 || rc == UVT_EDEADLK); /* it came at its time, or counted as never */
}

UVT_TEST(sleep_negative_time_is_refused) {
    CHECK_EQ(uvt_sleep((uint64_t)-2), UV_EINVAL);
    CHECK_EQ(uvt_sleep((uint64_t)INT64_MIN), UV_EINVAL);
}

UVT_TEST_PLAIN(sleep_outside_of_a_task_is_refused) {
    CHECK_EQ(uvt_sleep(10), UVT_ENOTASK);
    CHECK_EQ(uvt_sleep_until(0), UVT_ENOTASK);
}

/* ---- the virtual clock ---- */

UVT_TEST(advance_to_the_deadline_wakes_the_sleeper_and_not_before) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, nap, MS(100)), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_test_advance(99), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_test_advance(1), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_is_done(t), 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST(virtual_clock_stands_while_a_task_is_ready) {
    uint64_t t = uvt_now();
    uvt_task_t sleeper;
    CHECK_EQ(uvt_spawn(&sleeper, nap, MS(1)), 0);
    for (int i = 0; i < 1000; i++) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_now(), t);
    CHECK_EQ(uvt_is_done(sleeper), 0);
    CHECK_EQ(uvt_join(sleeper, NULL), 0);
    CHECK_EQ(uvt_now() - t, 1);
}

static void send_from_thread(void *oneshot) {
    uv_sleep(20);
    CHECK_EQ(uvt_oneshot_send(oneshot, 0, NULL), 0);
}

static int receive(void *oneshot) {
    return uvt_oneshot_recv(oneshot, NULL, NULL);
}

/* 20 real milliseconds of a thread must not look like a virtual minute to the task that waits for it. */
UVT_TEST(virtual_clock_stands_while_a_thread_is_awaited) {
    uvt_oneshot_t *o;
    uv_thread_t thread;
    CHECK_EQ(uvt_oneshot_new(&o, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uv_thread_create(&thread, send_from_thread, o), 0);
    CHECK_EQ(uvt_timeout(60000, receive, o), 0);
    CHECK_EQ(uv_thread_join(&thread), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

static uv_work_t job;

static void twenty_ms_job(uv_work_t *req) {
    (void)req;
    uv_sleep(20);
}

static int twenty_ms_of_a_thread(void *arg) {
    (void)arg;
    uv_sleep(20);
    return 5;
}

static int waits_for_a_job(void *arg) {
    return uvt_blocking(twenty_ms_of_a_thread, arg);
}

UVT_TEST(virtual_clock_stands_while_a_blocking_job_runs) {
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_timeout(60000, waits_for_a_job, NULL), 5);
    CHECK_EQ(uvt_now(), t);
}

static void job_done(uv_work_t *req, int status) {
    CHECK_EQ(uvt_oneshot_send(req->data, status, NULL), 0);
}

/* What was started past the library is announced as external, here through the oneshot. */
UVT_TEST(virtual_clock_stands_while_a_pool_job_runs) {
    uvt_oneshot_t *o;
    CHECK_EQ(uvt_oneshot_new(&o, UVT_ONESHOT_EXTERNAL), 0);
    job.data = o;
    CHECK_EQ(uv_queue_work(uvt_loop(), &job, twenty_ms_job, job_done), 0);
    CHECK_EQ(uvt_timeout(60000, receive, o), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

UVT_TEST_MAIN()
