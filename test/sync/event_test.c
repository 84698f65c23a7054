/* SPDX-License-Identifier: MIT
 *
 * The event: a state that tasks wait for.
 */
#include "locks.h"

static uvt_event_t e;

static void init(void) {
    CHECK_EQ(uvt_event_init(&e), 0);
}

static int waits(void *arg) {
    (void)arg;
    return uvt_event_wait(&e);
}

UVT_TEST(event_set_wakes_all_that_wait) {
    init();
    CHECK(!uvt_event_is_set(&e));
    uvt_task_t a = settled(waits, NULL), b = settled(waits, NULL);
    CHECK_EQ(uvt_event_waiting(&e), 2);
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK(uvt_event_is_set(&e));
    CHECK_EQ(uvt_event_waiting(&e), 0);
    check_returned(a, 0);
    check_returned(b, 0);
}

UVT_TEST(event_set_already_is_not_waited_for_but_lets_others_run) {
    uvt_stats before, one, many;
    init();
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_event_set(&e), 0); /* twice is as once */
    CHECK_EQ(uvt_stats_get(&before), 0);
    CHECK_EQ(uvt_event_wait(&e), 0);
    CHECK_EQ(uvt_stats_get(&one), 0);
    for (int i = 0; i < 1000; i++) CHECK_EQ(uvt_event_wait(&e), 0);
    CHECK_EQ(uvt_stats_get(&many), 0);
    CHECK_EQ(one.switches, before.switches);
    CHECK(many.switches > one.switches);
}

UVT_TEST(event_cleared_is_waited_for_again) {
    init();
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_event_clear(&e), 0);
    CHECK_EQ(uvt_event_clear(&e), 0);
    CHECK(!uvt_event_is_set(&e));
    uvt_task_t t = settled(waits, NULL);
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_event_set(&e), 0);
    check_returned(t, 0);
}

UVT_TEST(event_cleared_before_they_run_has_woken_them_all_the_same) {
    init();
    uvt_task_t a = settled(waits, NULL), b = settled(waits, NULL);
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_event_clear(&e), 0);
    check_returned(a, 0);
    check_returned(b, 0);
}

UVT_TEST(event_waiter_cancelled_leaves_no_entry) {
    init();
    uvt_task_t a = settled(waits, NULL), b = settled(waits, NULL);
    CHECK_EQ(uvt_timeout(5, waits, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_abort(a), 0);
    check_cancelled(a);
    CHECK_EQ(uvt_event_waiting(&e), 1);
    CHECK_EQ(uvt_event_set(&e), 0);
    check_returned(b, 0);
}

UVT_TEST(event_set_then_waiter_cancelled_the_event_wins) {
    init();
    uvt_task_t t = settled(waits, NULL);
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_abort(t), 0);
    check_returned(t, 0);
}

UVT_TEST(event_set_in_a_cancelled_scope_says_cancelled) {
    uvt_scope_t s;
    init();
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_event_wait(&e)), UV_ECANCELED);
}

static void sets(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_event_wait(&e), UVT_ENOTASK);
    CHECK_EQ(uvt_event_set(&e), 0);
}

UVT_TEST(event_set_by_a_callback_wakes) {
    init();
    uvt_task_t t = settled(waits, NULL);
    post_here(sets);
    check_returned(t, 0);
}

UVT_TEST(event_null_or_never_initialised_is_refused) {
    static uvt_event_t zero;
    CHECK_EQ(uvt_event_init(NULL), UV_EINVAL);
    CHECK_EQ(uvt_event_set(NULL), UV_EINVAL);
    CHECK_EQ(uvt_event_clear(NULL), UV_EINVAL);
    CHECK_EQ(uvt_event_wait(NULL), UV_EINVAL);
    CHECK(!uvt_event_is_set(NULL));
    CHECK_EQ(uvt_event_waiting(NULL), 0);
    CHECK_EQ(uvt_event_set(&zero), UV_EINVAL);
    CHECK_EQ(uvt_event_clear(&zero), UV_EINVAL);
    CHECK_EQ(uvt_event_wait(&zero), UV_EINVAL);
}

UVT_TEST_PLAIN(event_outside_of_a_runtime_is_refused) {
    CHECK_EQ(uvt_event_init(&e), UVT_ENOTASK);
    CHECK_EQ(uvt_event_set(&e), UVT_ENOTASK);
    CHECK_EQ(uvt_event_clear(&e), UVT_ENOTASK);
    CHECK_EQ(uvt_event_wait(&e), UVT_ENOTASK);
}

UVT_TEST_MAIN()
