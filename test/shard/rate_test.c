/* SPDX-License-Identifier: MIT
 *
 * A rate limiter that tasks of several shards share: one queue, exact times on the virtual clock, and a waiter that
 * moves up is served by its own shard at its new time. On real threads: never more than there are.
 */
#include "shards.h"

static uvt_rate_t rate;

static void empty(unsigned tokens, uint64_t period_ms, unsigned burst) {
    CHECK_EQ(uvt_rate_init(&rate, tokens, period_ms, burst), 0);
    CHECK_EQ(uvt_rate_try_acquire(&rate, burst), 0);
}

static int takes(void *arg) {
    int n = (int)(intptr_t)arg, rc = uvt_rate_acquire(&rate, (unsigned)n);
    if (rc == 0) uvt_test_step("%d@%u", n, uvt_shard_index());
    return rc;
}

/* A task on shard k that waits for n tokens, behind those that wait already. The clock stands. */
static uvt_task_t queue_on(unsigned k, uvt_fn fn, unsigned n) {
    unsigned before = uvt_rate_waiting(&rate);
    uvt_task_t t = spawn_on(k, fn, INT(n));
    while (uvt_rate_waiting(&rate) == before) CHECK_EQ(uvt_yield(), 0);
    return t;
}

ON_SHARDS(4, rate_is_first_come_first_served_over_shards_at_exact_times) {
    uvt_task_t t[8];
    empty(10, 1000, 3);
    uint64_t t0 = uvt_now(), sum = 0;
    for (unsigned i = 0; i < 8; i++) t[i] = queue_on(3 - i % 4, takes, 1 + i % 3);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(uvt_join(t[i], NULL), 0);
        CHECK_EQ(uvt_now() - t0, 100 * (sum += 1 + i % 3));
    }
    CHECK_STEPS("1@3 2@2 3@1 1@0 2@3 3@2 1@1 2@0");
    CHECK_EQ(uvt_rate_waiting(&rate), 0);
}

static int tries(void *arg) {
    return uvt_rate_try_acquire(&rate, (unsigned)(intptr_t)arg);
}

ON_SHARDS(3, rate_try_does_not_barge_in_from_another_shard) {
    empty(10, 1000, 5);
    uvt_task_t big = queue_on(1, takes, 5);
    CHECK_EQ(uvt_sleep(300), 0);
    CHECK_EQ(uvt_call(2, tries, INT(1)), UV_EAGAIN);
    CHECK_EQ(uvt_join(big, NULL), 0);
    CHECK_EQ(uvt_call(2, tries, INT(1)), UV_EAGAIN);
    CHECK_EQ(uvt_sleep(100), 0);
    CHECK_EQ(uvt_call(2, tries, INT(1)), 0);
}

/* The head is on shard `ahead`, those behind it on `behind`: it gives up after 50 ms. */
static void moves_up(unsigned ahead, unsigned behind, uvt_fn fn) {
    empty(10, 1000, 5);
    uint64_t t0 = uvt_now();
    uvt_task_t a = queue_on(ahead, takes, 5), b = queue_on(behind, fn, 1), c = queue_on(ahead, fn, 2);
    CHECK_EQ(uvt_sleep(50), 0);
    CHECK_EQ(uvt_abort(a), 0);
    CHECK_EQ(uvt_join(a, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_EQ(uvt_now() - t0, 100);
    CHECK_EQ(uvt_join(c, NULL), 0);
    CHECK_EQ(uvt_now() - t0, 300);
    CHECK_EQ(uvt_rate_waiting(&rate), 0);
}

ON_SHARDS(2, rate_head_that_gives_up_lets_one_of_another_shard_move_up) {
    moves_up(0, 1, takes);
    moves_up(1, 0, takes);
}

static int selects(void *arg) {
    uvt_case_t c[] = { uvt_case_sleep(UVT_FOREVER), uvt_case_rate(&rate, (unsigned)(intptr_t)arg) };
    int rc = uvt_select(c, 2, 0);
    return rc == 1 ? c[1].result : rc;
}

/* As a case, it may get behind c, which is served first then: but all are served, and nothing is lost. */
ON_SHARDS(2, rate_case_on_another_shard_moves_up_when_the_head_gives_up) {
    empty(10, 1000, 5);
    uint64_t t0 = uvt_now();
    uvt_task_t a = queue_on(0, takes, 5), b = queue_on(1, selects, 1);
    CHECK_EQ(uvt_sleep(50), 0);
    CHECK_EQ(uvt_abort(a), 0);
    CHECK_EQ(uvt_join(a, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_EQ(uvt_now() - t0, 100);
    a = queue_on(0, takes, 5);
    b = queue_on(1, selects, 2);
    uvt_task_t c = queue_on(0, selects, 1);
    CHECK_EQ(uvt_abort(a), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_EQ(uvt_join(c, NULL), 0);
    CHECK_EQ(uvt_now() - t0, 400);
    CHECK_EQ(uvt_join(a, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_rate_waiting(&rate), 0);
}

ON_SHARDS(2, rate_waiter_cancelled_while_it_is_told_of_its_new_time) {
    empty(10, 1000, 5);
    uint64_t t0 = uvt_now();
    uvt_task_t a = queue_on(0, takes, 5), b = queue_on(1, takes, 3), c = queue_on(0, takes, 1);
    CHECK_EQ(uvt_abort(a), 0);
    CHECK_EQ(uvt_abort(b), 0);
    CHECK_EQ(uvt_join(a, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_join(b, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_join(c, NULL), 0);
    CHECK_EQ(uvt_now() - t0, 100);
    CHECK_EQ(uvt_rate_waiting(&rate), 0);
}

/* ---- on real threads ---- */

static atomic_uint got, gave_up;

static int takes_many(void *arg) {
    for (unsigned i = 0; i < 100; i++) {
        unsigned n = 1 + (i + (unsigned)(intptr_t)arg) % 4;
        CHECK_EQ(uvt_rate_acquire(&rate, n), 0);
        atomic_fetch_add(&got, n);
    }
    return 0;
}

ON_SHARDS_REAL(4, rate_four_shards_never_get_more_than_there_are) {
    uvt_task_t t[16];
    empty(50, 1, 100); /* 50 a ms */
    uint64_t began = uv_hrtime();
    for (unsigned i = 0; i < 16; i++) t[i] = spawn_on(i % 4, takes_many, INT(i));
    for (unsigned i = 0; i < 16; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    uint64_t ms = (uv_hrtime() - began) / 1000000 + 1;
    CHECK_EQ(atomic_load(&got), 16 * 250);
    CHECK(atomic_load(&got) <= 50 * ms);
    CHECK_EQ(uvt_rate_waiting(&rate), 0);
}

static int impatient(void *arg) {
    int rc = (intptr_t)arg % 2 ? uvt_rate_acquire(&rate, 1 + (unsigned)(intptr_t)arg % 5) : selects(INT(1));
    atomic_fetch_add(rc == 0 ? &got : &gave_up, 1);
    return rc == UV_ECANCELED ? 0 : rc;
}

static int spawns_impatient_ones(void *arg) {
    unsigned n = uvt_shard_count();
    for (unsigned i = 0; i < 150; i++) {
        uvt_task_t t = spawn_on((i + (unsigned)(intptr_t)arg) % n, impatient, INT(i));
        if (i % 3 == 0) uvt_yield();
        if (i % 7 == 0) uvt_sleep(1);
        if (i % 2) CHECK_EQ(uvt_abort(t), 0);
        if (i % 4 == 0) CHECK_EQ(uvt_join(t, NULL), 0);
    }
    return 0;
}

ON_SHARDS_REAL(4, rate_cancels_racing_grants_leave_nobody_waiting) {
    uvt_task_t t[4];
    empty(5, 1, 5);
    for (unsigned k = 0; k < 4; k++) t[k] = spawn_on(k, spawns_impatient_ones, INT(k));
    for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    CHECK_EQ(uvt_rate_waiting(&rate), 0);
    CHECK_EQ(atomic_load(&got) + atomic_load(&gave_up), 600);
    CHECK_EQ(uvt_sleep(2), 0);
    CHECK_EQ(uvt_rate_available(&rate), 5);
}

UVT_TEST_MAIN()
