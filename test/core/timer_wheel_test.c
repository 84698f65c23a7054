/* SPDX-License-Identifier: MIT
 *
 * The timers as a whole, seen through sleeps and deadlines on the virtual clock: many random ones against a
 * sorted reference, every boundary between the levels of a wheel, equal deadlines, cancellation in the
 * middle, arming while others fire. Random numbers come from fixed seeds; the length of a sleep is exact.
 */
#include <stdlib.h>
#include <uvtask.h>
#include <uvtask/test.h>

enum { N = 1500 };

static uint64_t random_state;

static uint64_t random_below(uint64_t n) {
    random_state ^= random_state << 13; /* xorshift64 */
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

/* Lengths of every order of magnitude, up to some thirty years. */
static uint64_t random_length(void) {
    static const uint64_t below[] = {
        10, 70, 1000, 5000, 300000, UINT64_C(1) << 24, UINT64_C(1) << 32, UINT64_C(1) << 40
    };
    return 1 + random_below(below[random_below(sizeof below / sizeof *below)]);
}

static struct sleeper {
    uint64_t due, woke; /* when it shall wake, when it did and with what */
    int rc;
    uvt_task_t task;
} sleepers[N];

static uint64_t woken[N]; /* the due times, in the order in which the sleepers woke */
static int nwoken;

static int sleep_and_log(void *arg) {
    struct sleeper *z = arg;
    z->rc = uvt_sleep_until(z->due);
    z->woke = uvt_now();
    if (z->rc == 0) woken[nwoken++] = z->due;
    return z->rc;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Checks that those who woke by themselves did so at their time, and in order. */
static void check_woken(void) {
    static uint64_t reference[N];
    int n = 0;
    for (int i = 0; i < N; i++) {
        if (sleepers[i].rc != 0) continue;
        CHECK_EQ(sleepers[i].woke, sleepers[i].due);
        reference[n++] = sleepers[i].due;
    }
    CHECK_EQ(n, nwoken);
    qsort(reference, (size_t)n, sizeof *reference, by_value);
    for (int i = 0; i < n; i++) CHECK_EQ(woken[i], reference[i]);
}

static size_t timers(void) {
    uvt_stats s;
    CHECK_EQ(uvt_stats_get(&s), 0);
    return s.timers;
}

static void spawn_sleepers(uint64_t (*length)(void), uint64_t seed) {
    random_state = seed;
    for (int i = 0; i < N; i++) {
        sleepers[i].due = uvt_now() + length();
        CHECK_EQ(uvt_spawn(&sleepers[i].task, sleep_and_log, &sleepers[i]), 0);
    }
}

/* ---- against a sorted reference ---- */

UVT_TEST(wheel_random_timers_fire_as_the_sorted_list_says) {
    for (uint64_t seed = 1; seed <= 3; seed++) {
        nwoken = 0;
        CHECK_EQ(uvt_sleep(12345 * seed), 0); /* another phase of every level */
        spawn_sleepers(random_length, seed);
        for (int i = 0; i < N; i++) CHECK_EQ(uvt_join(sleepers[i].task, NULL), 0);
        check_woken();
        CHECK_EQ(timers(), 0);
    }
}

static uint64_t below_fifty(void) {
    return 1 + random_below(50);
}

UVT_TEST(wheel_many_equal_deadlines_all_fire_at_their_time) {
    spawn_sleepers(below_fifty, 7);
    uint64_t t = uvt_now();
    for (int i = 0; i < N; i++) CHECK_EQ(uvt_join(sleepers[i].task, NULL), 0);
    check_woken();
    CHECK_EQ(uvt_now() - t, 50);
}

UVT_TEST(wheel_boundaries_of_every_level_are_exact) {
    for (unsigned bit = 0; bit < 44; bit++) {
        for (int d = -1; d <= 1; d++) {
            uint64_t ms = (UINT64_C(1) << bit) + (uint64_t)(int64_t)d, t = uvt_now();
            CHECK_EQ(uvt_sleep(ms), 0);
            CHECK_EQ(uvt_now() - t, ms);
        }
    }
}

UVT_TEST(wheel_begun_just_before_a_boundary_is_exact) {
    for (unsigned bit = 6; bit <= 36; bit += 6) {
        uint64_t boundary = (uvt_now() >> bit << bit) + (UINT64_C(2) << bit);
        CHECK_EQ(uvt_sleep_until(boundary - 2), 0);
        for (uint64_t ms = 1; ms <= 5; ms++) {
            uint64_t t = uvt_now();
            CHECK_EQ(uvt_sleep(ms), 0);
            CHECK_EQ(uvt_now() - t, ms);
        }
    }
}

/* ---- order of equal deadlines ---- */

enum { EQUAL = 120 };

static int order[EQUAL], norder;
static uint64_t common;

struct numbered {
    int number;
    uint64_t arm_at; /* when it begins to sleep until the common time: from far to near */
};

static int sleep_in_order(void *arg) {
    struct numbered *n = arg;
    CHECK_EQ(uvt_sleep_until(n->arm_at), 0);
    CHECK_EQ(uvt_now(), n->arm_at);
    CHECK_EQ(uvt_sleep_until(common), 0);
    CHECK_EQ(uvt_now(), common);
    order[norder++] = n->number;
    return 0;
}

/* Armed between 380 and 22 ms before they are due, near the end of 64 aligned ones, so that in a wheel the first
 * come down from another level to where the last are put directly. Tasks run in the order in which their timers
 * fired, or with a seed in one drawn from it. */
UVT_TEST(wheel_equal_deadlines_fire_in_order_of_arming) {
    static struct numbered n[EQUAL];
    uvt_set_t set;
    common = ((uvt_now() + 400) | 63) - 3;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < EQUAL; i++) {
        n[i] = (struct numbered){ i, common - 379 + 3 * (uint64_t)i };
        CHECK_EQ(uvt_set_spawn(&set, sleep_in_order, &n[i]), 0);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(norder, EQUAL);
    for (int i = 0; i < EQUAL && uvt_test_seed() == 0; i++) CHECK_EQ(order[i], i);
}

/* ---- cancellation ---- */

UVT_TEST(wheel_every_second_timer_cancelled_before_it_fires) {
    spawn_sleepers(random_length, 11);
    while (timers() < N) CHECK_EQ(uvt_yield(), 0);
    for (int i = 0; i < N; i += 2) CHECK_EQ(uvt_abort(sleepers[i].task), 0);
    CHECK_EQ(timers(), N / 2);
    for (int i = 0; i < N; i++) {
        uvt_result r;
        CHECK_EQ(uvt_join(sleepers[i].task, &r), 0);
        CHECK_EQ(r.status, i % 2 == 0 ? UV_ECANCELED : 0);
    }
    check_woken();
    CHECK_EQ(nwoken, N / 2);
    CHECK_EQ(timers(), 0);
}

static uint64_t odd_below_ten_thousand(void) {
    return 1 + 2 * random_below(5000);
}

UVT_TEST(wheel_timers_cancelled_while_others_fire) {
    uint64_t aborted_at[N], t = uvt_now();
    spawn_sleepers(odd_below_ten_thousand, 13);
    for (int i = 0; i < N; i++) aborted_at[i] = t + UINT64_MAX / 2;
    for (int i = 0; i < 400; i++) { /* at even times, so that no abort meets its timer's millisecond */
        CHECK_EQ(uvt_sleep_until(t + 20 + (uint64_t)i * 24), 0);
        uint64_t victim = random_below(N);
        if (uvt_is_done(sleepers[victim].task) || aborted_at[victim] <= uvt_now()) continue;
        CHECK_EQ(uvt_abort(sleepers[victim].task), 0);
        aborted_at[victim] = uvt_now();
    }
    for (int i = 0; i < N; i++) {
        uvt_result r;
        bool cut_short = aborted_at[i] < sleepers[i].due;
        CHECK_EQ(uvt_join(sleepers[i].task, &r), 0);
        CHECK_EQ(r.status, cut_short ? UV_ECANCELED : 0);
        CHECK_EQ(sleepers[i].woke, cut_short ? aborted_at[i] : sleepers[i].due);
    }
    check_woken();
    CHECK_EQ(timers(), 0);
}

/* ---- arming while others fire, deadlines that move ---- */

static int twenty_random_sleeps(void *arg) {
    (void)arg;
    for (int i = 0; i < 20; i++) {
        uint64_t ms = random_length(), t = uvt_now();
        CHECK_EQ(uvt_sleep(ms), 0);
        CHECK_EQ(uvt_now() - t, ms);
    }
    return 0;
}

UVT_TEST(wheel_timers_armed_while_others_fire_are_exact) {
    uvt_set_t set;
    random_state = 17;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 200; i++) CHECK_EQ(uvt_set_spawn(&set, twenty_random_sleeps, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int sleep_under_moving_deadline(void *arg) {
    uvt_scope_t *s = arg;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_scope_begin(s, &(uvt_scope_options){ .timeout_ms = 1000000 }), 0);
    int rc = uvt_scope_end(s, uvt_sleep(UVT_FOREVER));
    CHECK_EQ(rc, UV_ETIMEDOUT);
    return (int)(uvt_now() - t);
}

UVT_TEST(wheel_deadlines_moved_at_random_fire_where_they_were_put_last) {
    enum { SCOPES = 50 };
    static uvt_scope_t s[SCOPES];
    uvt_task_t task[SCOPES];
    uint64_t last[SCOPES], t = uvt_now();
    random_state = 19;
    for (int i = 0; i < SCOPES; i++) CHECK_EQ(uvt_spawn(&task[i], sleep_under_moving_deadline, &s[i]), 0);
    while (timers() < SCOPES) CHECK_EQ(uvt_yield(), 0);
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < SCOPES; i++) {
            last[i] = 500 + random_below(100000);
            CHECK_EQ(uvt_scope_set_deadline(&s[i], t + last[i]), 0);
        }
        CHECK_EQ(timers(), SCOPES);
        CHECK_EQ(uvt_sleep(10), 0);
    }
    for (int i = 0; i < SCOPES; i++) CHECK_EQ(uvt_join(task[i], NULL), (int)last[i]);
    CHECK_EQ(timers(), 0);
}

UVT_TEST_MAIN()
