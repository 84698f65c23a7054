/* SPDX-License-Identifier: MIT
 *
 * uvt_retry: how often, after which delays to the millisecond, and what a cancel or a deadline around it does.
 */
#include "../core/bodies.h"

#define MOST 16

static struct {
    int calls, fails;      /* how often it was called; how often it fails before it succeeds */
    int code;              /* with which */
    uint64_t takes, t0;    /* ms each attempt takes; when the test began */
    uint64_t at[MOST];     /* when each attempt began, ms from t0 */
} job;

static int attempt(void *arg) {
    (void)arg;
    CHECK(job.calls < MOST);
    job.at[job.calls++] = uvt_now() - job.t0;
    int rc = job.takes ? uvt_sleep(job.takes) : 0;
    if (rc < 0) return rc;
    return job.calls > job.fails ? 42 : job.code;
}

static void failing(int times, int code) {
    memset(&job, 0, sizeof job);
    job.fails = times;
    job.code = code;
    job.t0 = uvt_now();
}

static void began(const uint64_t *at, int n) {
    CHECK_EQ(job.calls, n);
    for (int i = 0; i < n; i++) CHECK_EQ(job.at[i], at[i]);
}

UVT_TEST(retry_first_attempt_succeeds_there_is_no_second) {
    failing(0, 0);
    CHECK_EQ(uvt_retry(NULL, attempt, NULL), 42);
    CHECK_EQ(job.calls, 1);
    CHECK_EQ(uvt_now(), job.t0);
}

UVT_TEST(retry_without_options_makes_three_attempts_without_delay) {
    failing(5, UV_EIO);
    CHECK_EQ(uvt_retry(NULL, attempt, NULL), UV_EIO);
    began((uint64_t[]){ 0, 0, 0 }, 3);
    failing(2, UV_EIO);
    CHECK_EQ(uvt_retry(&(uvt_retry_options){ 0 }, attempt, NULL), 42);
    CHECK_EQ(job.calls, 3);
}

UVT_TEST(retry_delays_double_up_to_the_limit) {
    failing(9, UV_EIO);
    uvt_retry_options o = { .attempts = 7, .delay_ms = 100, .max_delay_ms = 500 };
    CHECK_EQ(uvt_retry(&o, attempt, NULL), UV_EIO);
    began((uint64_t[]){ 0, 100, 300, 700, 1200, 1700, 2200 }, 7);
}

UVT_TEST(retry_factor_one_is_steady_and_fractions_are_cut_off) {
    failing(9, UV_EIO);
    CHECK_EQ(uvt_retry(&(uvt_retry_options){ .attempts = 4, .delay_ms = 10, .factor = 1 }, attempt, NULL), UV_EIO);
    began((uint64_t[]){ 0, 10, 20, 30 }, 4);
    failing(9, UV_EIO);
    CHECK_EQ(uvt_retry(&(uvt_retry_options){ .attempts = 4, .delay_ms = 5, .factor = 1.5 }, attempt, NULL), UV_EIO);
    began((uint64_t[]){ 0, 5, 12, 22 }, 4); /* 5, 7, 10 */
}

UVT_TEST(retry_delay_counts_from_the_end_of_an_attempt) {
    failing(9, UV_EIO);
    job.takes = 7;
    CHECK_EQ(uvt_retry(&(uvt_retry_options){ .delay_ms = 100 }, attempt, NULL), UV_EIO);
    began((uint64_t[]){ 0, 107, 314 }, 3);
}

UVT_TEST(retry_stops_growing_at_times_that_no_clock_knows) {
    failing(9, UV_EIO);
    uvt_retry_options o = { .attempts = 3, .delay_ms = 1000, .factor = 1e300 };
    uvt_task_t t;
    CHECK_EQ(uvt_timeout(UVT_FOREVER, b_return, NULL), 0);
    const uvt_retry_options endless = { .attempts = 2, .delay_ms = 1000, .factor = 1e300 };
    CHECK_EQ(uvt_retry(&endless, attempt, NULL), UV_EIO);
    CHECK_EQ(uvt_spawn(&t, b_sleep, INT(5000)), 0);
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 5000 }), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_retry(&o, attempt, NULL)), UV_EIO); /* the second delay would never end */
    CHECK_EQ(uvt_join(t, NULL), 0);
}

/* ---- which failures ---- */

static bool is_busy(int status, void *ctx) {
    ++*(int *)ctx;
    return status == UV_EBUSY;
}

UVT_TEST(retry_failure_that_is_not_worth_it_is_returned_at_once) {
    int asked = 0;
    uvt_retry_options o = { .attempts = 5, .delay_ms = 10, .worth = is_busy, .ctx = &asked };
    failing(9, UV_EIO);
    CHECK_EQ(uvt_retry(&o, attempt, NULL), UV_EIO);
    CHECK_EQ(job.calls, 1);
    failing(2, UV_EBUSY);
    CHECK_EQ(uvt_retry(&o, attempt, NULL), 42);
    CHECK_EQ(job.calls, 3);
    CHECK_EQ(asked, 3);
}

UVT_TEST(retry_cancelled_attempt_is_not_repeated) {
    failing(9, UV_ECANCELED);
    CHECK_EQ(uvt_retry(NULL, attempt, NULL), UV_ECANCELED);
    CHECK_EQ(job.calls, 1);
}

/* ---- jitter ---- */

static void draw(uint64_t seed, uint64_t *at) {
    failing(9, UV_EIO);
    uvt_retry_options o = { .attempts = 6, .delay_ms = 100, .factor = 1, .jitter = true, .seed = seed };
    CHECK_EQ(uvt_retry(&o, attempt, NULL), UV_EIO);
    CHECK_EQ(job.calls, 6);
    memcpy(at, job.at, sizeof job.at);
}

UVT_TEST(retry_jitter_the_same_seed_gives_the_same_delays) {
    uint64_t a[MOST], b[MOST], c[MOST];
    draw(1, a);
    draw(1, b);
    draw(2, c);
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK(memcmp(a, c, sizeof a) != 0);
}

UVT_TEST(retry_jitter_is_spread_over_the_whole_delay) {
    uint64_t at[MOST], sum = 0, least = 100, most = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        draw(seed, at);
        for (int i = 1; i < 6; i++) {
            uint64_t ms = at[i] - at[i - 1];
            CHECK(ms <= 100);
            sum += ms;
            if (ms < least) least = ms;
            if (ms > most) most = ms;
        }
    }
    CHECK_IN(sum / 1000, 45, 55);
    CHECK_EQ(least, 0);
    CHECK_EQ(most, 100);
}

UVT_TEST(retry_jitter_without_a_seed_differs_from_time_to_time) {
    uint64_t a[MOST], b[MOST];
    draw(0, a);
    draw(0, b);
    CHECK(memcmp(a, b, sizeof a) != 0); /* alike by accident once in 100^5 */
}

/* ---- cancel and deadline ---- */

static int retries(void *options) {
    return uvt_retry(options, attempt, NULL);
}

UVT_TEST(retry_delay_past_the_deadline_is_not_waited_out) {
    uvt_retry_options o = { .attempts = 9, .delay_ms = 100 };
    failing(99, UV_EIO);
    CHECK_EQ(uvt_timeout(500, retries, &o), UV_EIO);
    began((uint64_t[]){ 0, 100, 300 }, 3);
    CHECK_EQ(uvt_now() - job.t0, 300);
}

UVT_TEST(retry_delay_that_ends_with_the_deadline_is_too_long) {
    uvt_retry_options o = { .attempts = 9, .delay_ms = 100 };
    failing(99, UV_EIO);
    CHECK_EQ(uvt_timeout(300, retries, &o), UV_EIO);
    CHECK_EQ(job.calls, 2);
}

UVT_TEST(retry_deadline_during_an_attempt_is_a_timeout) {
    uvt_retry_options o = { .attempts = 9, .delay_ms = 10 };
    failing(99, UV_EIO);
    job.takes = 50;
    CHECK_EQ(uvt_timeout(100, retries, &o), UV_ETIMEDOUT);
    began((uint64_t[]){ 0, 60 }, 2);
    CHECK_EQ(uvt_now() - job.t0, 100);
}

UVT_TEST(retry_aborted_during_a_delay_gives_up_at_once) {
    uvt_retry_options o = { .attempts = 9, .delay_ms = 100 };
    uvt_task_t t;
    uvt_result r;
    failing(99, UV_EIO);
    CHECK_EQ(uvt_spawn(&t, retries, &o), 0);
    CHECK_EQ(uvt_sleep(150), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(uvt_now() - job.t0, 150);
    CHECK_EQ(job.calls, 2);
}

static int fails_without_listening(void *arg) {
    ++*(int *)arg;
    return UV_EIO;
}

UVT_TEST(retry_in_a_cancelled_scope_does_not_try_again) {
    int calls = 0;
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_retry(NULL, fails_without_listening, &calls), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    CHECK_EQ(calls, 1);
}

UVT_TEST(retry_under_a_deadline_that_has_passed_unnoticed_returns_the_failure) {
    int calls = 0;
    uvt_scope_t s;
    settle();
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .deadline = uvt_now() }), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_retry(NULL, fails_without_listening, &calls)), UV_EIO);
    CHECK_EQ(calls, 1);
}

UVT_TEST(retry_without_a_delay_lets_others_run) {
    uvt_task_t t;
    int calls = 0, others = 0;
    CHECK_EQ(uvt_spawn(&t, b_count, &others), 0);
    CHECK_EQ(uvt_retry(&(uvt_retry_options){ .attempts = 50 }, fails_without_listening, &calls), UV_EIO);
    CHECK_EQ(calls, 50);
    CHECK_EQ(others, 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST(retry_misuse_is_refused_and_nothing_is_called) {
    int calls = 0;
    uvt_retry_options bad[] = { { .factor = 0.5 },
                                { .factor = -1 },
                                { .factor = 0.0 / 0.0 },
                                { .delay_ms = (uint64_t)-2 },
                                { .max_delay_ms = (uint64_t)INT64_MIN } };
    CHECK_EQ(uvt_retry(NULL, NULL, NULL), UV_EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQ(uvt_retry(&bad[i], fails_without_listening, &calls), UV_EINVAL);
    CHECK_EQ(calls, 0);
}

UVT_TEST_MAIN()
