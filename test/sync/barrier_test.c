/* SPDX-License-Identifier: MIT
 *
 * The barrier: n tasks go on together, one of them leads, and it begins again.
 */
#include "locks.h"

static uvt_barrier_t b;
static int leaders, passed;

static void init(unsigned n) {
    CHECK_EQ(uvt_barrier_init(&b, n), 0);
}

static int waits(void *arg) {
    (void)arg;
    int rc = uvt_barrier_wait(&b);
    if (rc < 0) return rc;
    leaders += rc;
    passed++;
    return rc;
}

UVT_TEST(barrier_last_of_three_leads_and_all_pass) {
    init(3);
    uvt_task_t x = settled(waits, NULL), y = settled(waits, NULL);
    CHECK_EQ(uvt_barrier_waiting(&b), 2);
    CHECK_EQ(passed, 0);
    CHECK_EQ(uvt_barrier_wait(&b), 1);
    CHECK_EQ(uvt_barrier_waiting(&b), 0);
    check_returned(x, 0);
    check_returned(y, 0);
}

static int rounds[100];

static int ten_rounds(void *arg) {
    int *mine = arg;
    for (int i = 0; i < 10; i++) {
        int rc = uvt_barrier_wait(&b);
        if (rc < 0) return rc;
        leaders += rc;
        ++*mine;
        for (int k = 0; k < 100; k++) CHECK(rounds[k] == *mine || rounds[k] == *mine - 1);
    }
    return 0;
}

UVT_TEST(barrier_hundred_tasks_ten_rounds_have_one_leader_each) {
    uvt_set_t set;
    init(100);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_set_spawn(&set, ten_rounds, &rounds[i]), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(leaders, 10);
    CHECK_EQ(uvt_barrier_waiting(&b), 0);
}

UVT_TEST(barrier_of_none_or_one_blocks_nobody) {
    for (unsigned n = 0; n < 2; n++) {
        init(n);
        for (int i = 0; i < 10; i++) CHECK_EQ(uvt_barrier_wait(&b), 1);
    }
}

UVT_TEST(barrier_waiter_cancelled_has_not_come) {
    init(2);
    CHECK_EQ(uvt_timeout(5, waits, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_barrier_waiting(&b), 0);
    uvt_task_t t = settled(waits, NULL);
    CHECK_EQ(uvt_is_done(t), 0); /* it is the first, not the second */
    CHECK_EQ(uvt_barrier_wait(&b), 1);
    check_returned(t, 0);
}

UVT_TEST(barrier_complete_then_waiter_cancelled_it_has_passed) {
    init(2);
    uvt_task_t t = settled(waits, NULL);
    CHECK_EQ(uvt_barrier_wait(&b), 1);
    CHECK_EQ(uvt_abort(t), 0);
    check_returned(t, 0);
}

UVT_TEST(barrier_next_round_begins_before_the_others_have_run) {
    init(2);
    uvt_task_t t = settled(waits, NULL);
    CHECK_EQ(uvt_barrier_wait(&b), 1);
    CHECK_EQ(uvt_barrier_waiting(&b), 0);
    CHECK_EQ(uvt_timeout(5, waits, NULL), UV_ETIMEDOUT);
    check_returned(t, 0);
}

UVT_TEST(barrier_in_a_cancelled_scope_is_not_passed) {
    uvt_scope_t s;
    init(1);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_barrier_wait(&b)), UV_ECANCELED);
}

static void in_a_callback(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_barrier_wait(&b), UVT_ENOTASK);
}

UVT_TEST(barrier_null_never_initialised_or_in_a_callback_is_refused) {
    static uvt_barrier_t zero;
    init(1);
    CHECK_EQ(uvt_barrier_init(NULL, 1), UV_EINVAL);
    CHECK_EQ(uvt_barrier_wait(NULL), UV_EINVAL);
    CHECK_EQ(uvt_barrier_waiting(NULL), 0);
    CHECK_EQ(uvt_barrier_wait(&zero), UV_EINVAL);
    post_here(in_a_callback);
    settle();
}

UVT_TEST_PLAIN(barrier_outside_of_a_runtime_is_refused) {
    CHECK_EQ(uvt_barrier_init(&b, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_barrier_wait(&b), UVT_ENOTASK);
}

UVT_TEST_MAIN()
