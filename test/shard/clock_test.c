/* SPDX-License-Identifier: MIT
 *
 * Time over several shards: the virtual clock is one for all of them and jumps only when all sleep; on the real clock a
 * shard with nothing to do uses no processor.
 */
#include <time.h>

#include "shards.h"

/* ---- virtual ---- */

static int sleeps_and_steps(void *arg) {
    int ms = (int)(intptr_t)arg;
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_sleep((uint64_t)ms), 0);
    CHECK_EQ(uvt_now() - at, ms);
    uvt_test_step("%d@%u", ms, uvt_shard_index());
    return 0;
}

ON_SHARDS(3, clock_timers_of_three_shards_fire_in_their_order) {
    static const int ms[] = { 10, 20, 30, 25, 5, 15 };
    uvt_task_t t[6];
    for (unsigned i = 0; i < 6; i++) t[i] = spawn_on(i % 3, sleeps_and_steps, INT(ms[i]));
    for (unsigned i = 0; i < 6; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_STEPS("5@1 10@0 15@2 20@1 25@0 30@2");
}

static int now_is(void *arg) {
    return uvt_now() == *(uint64_t *)arg ? 0 : -1;
}

ON_SHARDS(4, clock_is_the_same_on_all_shards) {
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(uvt_sleep(7), 0);
        uint64_t now = uvt_now();
        for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_call(k, now_is, &now), 0);
    }
}

ON_SHARDS(3, clock_years_pass_at_once) {
    uint64_t year = (uint64_t)365 * 24 * 3600 * 1000, at = uvt_now();
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_call(k, (uvt_fn)b_return, NULL), 0);
    CHECK_EQ(uvt_sleep(100 * year), 0);
    CHECK_EQ(uvt_now() - at, 100 * year);
}

static int advances(void *arg) {
    return uvt_test_advance((uint64_t)(intptr_t)arg);
}

ON_SHARDS(3, clock_advanced_by_hand_on_one_shard_fires_timers_of_others) {
    uvt_task_t a = settled_on(1, b_sleep, INT(50)), b = settled_on(2, b_sleep, INT(100));
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_call(2, advances, INT(60)), 0);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_now() - at, 60);
    CHECK_EQ(uvt_is_done(b), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_EQ(uvt_now() - at, 99); /* settled 1 ms before */
}

static uv_sem_t posted;
static uint64_t told;

static void tells(void *arg) {
    (void)arg;
    told = uvt_now();
}

static int advances_and_posts(void *to) {
    CHECK_EQ(uvt_test_advance(60), 0);
    CHECK_EQ(uvt_post(to, tells, NULL), 0);
    uv_sem_post(&posted);
    return 0;
}

/* The shard that is told has not slept meanwhile. */
ON_SHARDS(2, clock_advanced_on_one_shard_is_what_its_messages_find) {
    uvt_runtime_t *here = uvt_runtime_ref();
    uint64_t at = uvt_now();
    CHECK_EQ(uv_sem_init(&posted, 0), 0);
    uvt_task_t t = spawn_on(1, advances_and_posts, here);
    uv_sem_wait(&posted);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(told - at, 60);
    uv_sem_destroy(&posted);
    uvt_runtime_unref(here);
}

static int busy_for_a_while(void *arg) {
    for (int i = 0; i < 2000; i++) CHECK_EQ(uvt_yield(), 0);
    *(uint64_t *)arg = uvt_now();
    return 0;
}

ON_SHARDS(2, clock_stands_while_another_shard_works) {
    uint64_t at = uvt_now(), then = 0;
    uvt_task_t sleeper;
    CHECK_EQ(uvt_spawn(&sleeper, b_sleep, INT(1)), 0);
    CHECK_EQ(uvt_join(spawn_on(1, busy_for_a_while, &then), NULL), 0);
    CHECK_EQ(then, at);
    CHECK_EQ(uvt_join(sleeper, NULL), 0);
}

static int relay_of_sleeps(void *arg) {
    int left = (int)(intptr_t)arg;
    CHECK_EQ(uvt_sleep(1), 0);
    return left ? uvt_call((uvt_shard_index() + 1) % 4, relay_of_sleeps, INT(left - 1)) : 0;
}

ON_SHARDS(4, clock_many_relays_of_sleeps_take_exactly_their_time) {
    uvt_task_t t[10];
    uint64_t at = uvt_now();
    for (unsigned i = 0; i < 10; i++) t[i] = spawn_on(i % 4, relay_of_sleeps, INT(49));
    for (unsigned i = 0; i < 10; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(uvt_now() - at, 50);
}

ON_SHARDS(2, clock_timeouts_around_work_elsewhere_are_exact) {
    uvt_task_t t = spawn_on(1, b_sleep, INT(1000));
    uint64_t at = uvt_now();
    for (int i = 1; i <= 10; i++) {
        CHECK_EQ(uvt_timeout(10, b_join, &t), UV_ETIMEDOUT);
        CHECK_EQ(uvt_now() - at, 10 * i);
    }
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
}

/* ---- real ---- */

static uint64_t thread_cpu_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int cpu_used(void *arg) {
    *(uint64_t *)arg = thread_cpu_us();
    return 0;
}

static atomic_uint turns[3]; /* of shard k's loop */
static uv_prepare_t hooks[3];

static void on_turn(uv_prepare_t *h) {
    atomic_fetch_add(&turns[h - hooks], 1);
}

static int counts_turns(void *arg) {
    uv_prepare_t *h = &hooks[uvt_shard_index()];
    if (arg) {
        CHECK_EQ(uv_prepare_init(uvt_loop(), h), 0);
        CHECK_EQ(uv_prepare_start(h, on_turn), 0);
        uv_unref((uv_handle_t *)h);
    } else {
        uv_close((uv_handle_t *)h, NULL);
    }
    return 0;
}

static void check_idle(uvt_fn meanwhile, void *arg) {
    uint64_t before[3], after[3];
    unsigned turned[3];
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_call(k, counts_turns, INT(1)), 0);
    CHECK_EQ(uvt_sleep(5), 0); /* they come to rest */
    for (unsigned k = 1; k < 3; k++) CHECK_EQ(uvt_call(k, cpu_used, &before[k]), 0);
    for (unsigned k = 1; k < 3; k++) turned[k] = atomic_load(&turns[k]);
    CHECK_EQ(meanwhile(arg), 0);
    for (unsigned k = 1; k < 3; k++) CHECK_EQ(uvt_call(k, cpu_used, &after[k]), 0);
    for (unsigned k = 1; k < 3; k++) {
        CHECK_IN(atomic_load(&turns[k]) - turned[k], 0, 20);
        CHECK_IN(after[k] - before[k], 0, 20000);
    }
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_call(k, counts_turns, NULL), 0);
}

ON_SHARDS_REAL(3, idle_shards_sleep) {
    check_idle(b_sleep, INT(50));
}

static int computes(void *arg) {
    uint64_t until = uv_hrtime() + (uint64_t)(intptr_t)arg * 1000000;
    while (uv_hrtime() < until) {
    }
    return 0;
}

ON_SHARDS_REAL(3, idle_shards_sleep_while_one_computes) {
    check_idle(computes, INT(50));
}

static int yields(void *arg) {
    uint64_t until = uv_hrtime() + (uint64_t)(intptr_t)arg * 1000000;
    while (uv_hrtime() < until) CHECK_EQ(uvt_yield(), 0);
    return 0;
}

ON_SHARDS_REAL(3, idle_shards_sleep_while_one_yields) {
    check_idle(yields, INT(50));
}

ON_SHARDS_REAL(3, sleep_on_every_shard_is_never_early) {
    uvt_task_t t[3];
    uint64_t at = uv_hrtime();
    for (unsigned k = 0; k < 3; k++) t[k] = spawn_on(k, b_sleep, INT(20));
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    CHECK(uv_hrtime() - at >= 20 * (uint64_t)1000000);
}

UVT_TEST_MAIN()
