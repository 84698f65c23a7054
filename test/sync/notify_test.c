/* SPDX-License-Identifier: MIT
 *
 * Notify: one notification for one task, kept (one only) when nobody waits, never lost to a cancel. It serves as a
 * parking lot, too.
 */
#include "locks.h"

static uvt_notify_t n;

static void init(void) {
    CHECK_EQ(uvt_notify_init(&n), 0);
}

static int waits(void *arg) {
    int rc = uvt_notify_wait(&n);
    if (rc == 0) uvt_test_step("%d", (int)(intptr_t)arg);
    return rc;
}

static void check_no_permit(void) {
    CHECK_EQ(uvt_timeout(5, waits, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_notify_waiting(&n), 0);
}

UVT_TEST(notify_one_before_the_wait_is_kept_for_one) {
    init();
    CHECK_EQ(uvt_notify_one(&n), 0);
    CHECK_EQ(uvt_notify_wait(&n), 0);
    check_no_permit();
}

UVT_TEST(notify_many_before_the_wait_are_one) {
    init();
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_notify_one(&n), 0);
    CHECK_EQ(uvt_notify_last(&n), 0);
    CHECK_EQ(uvt_notify_wait(&n), 0);
    check_no_permit();
}

UVT_TEST(notify_one_wakes_the_first_and_last_the_last) {
    uvt_task_t t[3];
    init();
    for (int i = 0; i < 3; i++) t[i] = settled(waits, INT(i));
    CHECK_EQ(uvt_notify_one(&n), 0);
    check_returned(t[0], 0);
    CHECK_EQ(uvt_notify_waiting(&n), 2);
    CHECK_EQ(uvt_notify_last(&n), 0);
    check_returned(t[2], 0);
    CHECK_EQ(uvt_is_done(t[1]), 0);
    CHECK_EQ(uvt_notify_one(&n), 0);
    check_returned(t[1], 0);
    CHECK_STEPS("0 2 1");
    check_no_permit();
}

UVT_TEST(notify_first_waiter_cancelled_the_second_has_it) {
    init();
    uvt_task_t a = settled(waits, INT(1)), b = settled(waits, INT(2));
    CHECK_EQ(uvt_abort(a), 0);
    CHECK_EQ(uvt_notify_one(&n), 0);
    check_cancelled(a);
    check_returned(b, 0);
    check_no_permit();
}

UVT_TEST(notify_given_then_waiter_cancelled_it_has_it) {
    init();
    uvt_task_t a = settled(waits, INT(1)), b = settled(waits, INT(2));
    CHECK_EQ(uvt_notify_one(&n), 0);
    CHECK_EQ(uvt_abort(a), 0);
    check_returned(a, 0);
    CHECK_EQ(uvt_is_done(b), 0);
    CHECK_EQ(uvt_notify_one(&n), 0);
    check_returned(b, 0);
}

UVT_TEST(notify_all_keeps_nothing_and_a_later_one_stays) {
    init();
    CHECK_EQ(uvt_notify_all(&n), 0);
    check_no_permit();
    uvt_task_t a = settled(waits, INT(1));
    CHECK_EQ(uvt_notify_all(&n), 0);
    CHECK_EQ(uvt_notify_one(&n), 0); /* it is woken already, though it has not run: this is for the next */
    CHECK_EQ(uvt_abort(a), 0);
    check_returned(a, 0);
    CHECK_EQ(uvt_notify_wait(&n), 0);
    check_no_permit();
}

UVT_TEST(notify_permit_in_a_cancelled_scope_is_not_taken) {
    uvt_scope_t s;
    init();
    CHECK_EQ(uvt_notify_one(&n), 0);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_notify_wait(&n)), UV_ECANCELED);
    CHECK_EQ(uvt_notify_wait(&n), 0);
}

static void d_notify(void *arg) {
    CHECK_EQ(uvt_notify_one(arg), 0);
    CHECK_EQ(uvt_notify_all(arg), 0);
}

static int waits_and_notifies_at_its_end(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_defer(d_notify, &n), 0);
    return uvt_notify_wait(&n);
}

UVT_TEST(notify_in_a_cleanup_of_the_one_that_was_woken_goes_to_the_next) {
    init();
    uvt_task_t a = settled(waits_and_notifies_at_its_end, NULL), b = settled(waits, INT(2));
    CHECK_EQ(uvt_notify_one(&n), 0);
    check_returned(a, 0);
    check_returned(b, 0);
}

UVT_TEST(notify_in_a_cleanup_of_one_that_was_cancelled_goes_to_the_next) {
    init();
    uvt_task_t a = settled(waits_and_notifies_at_its_end, NULL), b = settled(waits, INT(2));
    CHECK_EQ(uvt_abort(a), 0);
    check_cancelled(a);
    check_returned(b, 0);
    CHECK_STEPS("2");
}

/* ---- as a parking lot ---- */

UVT_TEST(notify_three_parked_are_unparked_strictly_in_order) {
    uvt_task_t t[3];
    init();
    for (int i = 0; i < 3; i++) t[i] = settled(waits, INT(i));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_notify_one(&n), 0);
        check_returned(t[i], 0);
    }
    CHECK_STEPS("0 1 2");
}

static int count;

static int waits_and_counts(void *arg) {
    (void)arg;
    int rc = uvt_notify_wait(&n);
    if (rc == 0) count++;
    return rc;
}

UVT_TEST(notify_five_parked_when_one_two_and_all_are_unparked_count_up) {
    uvt_task_t t[5];
    init();
    for (int i = 0; i < 5; i++) t[i] = settled(waits_and_counts, NULL);
    CHECK_EQ(uvt_notify_one(&n), 0);
    settle();
    CHECK_EQ(count, 1);
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_notify_one(&n), 0);
    CHECK_EQ(uvt_notify_waiting(&n), 2);
    settle();
    CHECK_EQ(count, 3);
    CHECK_EQ(uvt_notify_all(&n), 0);
    settle();
    CHECK_EQ(count, 5);
    for (int i = 0; i < 5; i++) check_returned(t[i], 0);
}

/* ---- misuse ---- */

static void notifies(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_notify_wait(&n), UVT_ENOTASK);
    CHECK_EQ(uvt_notify_one(&n), 0);
}

UVT_TEST(notify_by_a_callback_wakes) {
    init();
    uvt_task_t t = settled(waits, INT(1));
    post_here(notifies);
    check_returned(t, 0);
}

UVT_TEST(notify_null_or_never_initialised_is_refused) {
    static uvt_notify_t zero;
    CHECK_EQ(uvt_notify_init(NULL), UV_EINVAL);
    CHECK_EQ(uvt_notify_one(NULL), UV_EINVAL);
    CHECK_EQ(uvt_notify_last(NULL), UV_EINVAL);
    CHECK_EQ(uvt_notify_all(NULL), UV_EINVAL);
    CHECK_EQ(uvt_notify_wait(NULL), UV_EINVAL);
    CHECK_EQ(uvt_notify_waiting(NULL), 0);
    CHECK_EQ(uvt_notify_one(&zero), UV_EINVAL);
    CHECK_EQ(uvt_notify_all(&zero), UV_EINVAL);
    CHECK_EQ(uvt_notify_wait(&zero), UV_EINVAL);
}

UVT_TEST_PLAIN(notify_outside_of_a_runtime_is_refused) {
    CHECK_EQ(uvt_notify_init(&n), UVT_ENOTASK);
    CHECK_EQ(uvt_notify_one(&n), UVT_ENOTASK);
    CHECK_EQ(uvt_notify_last(&n), UVT_ENOTASK);
    CHECK_EQ(uvt_notify_all(&n), UVT_ENOTASK);
    CHECK_EQ(uvt_notify_wait(&n), UVT_ENOTASK);
}

UVT_TEST_MAIN()
