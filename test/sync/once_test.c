/* SPDX-License-Identifier: MIT
 *
 * Once: run by one task, waited for by the others, and run again by the next after it has failed.
 */
#include "locks.h"

static uvt_once_t once;
static int runs;

/* Takes 10 ms, and returns its argument. */
static int makes(void *arg) {
    runs++;
    int rc = uvt_sleep(10);
    return rc < 0 ? rc : (int)(intptr_t)arg;
}

static int calls(void *arg) {
    return uvt_once(&once, makes, arg);
}

UVT_TEST(once_runs_once_and_returns_its_value_ever_after) {
    CHECK_EQ(uvt_once(&once, makes, INT(3)), 3);
    CHECK_EQ(uvt_once(&once, makes, INT(4)), 3);
    CHECK_EQ(uvt_once(&once, makes, INT(UV_EIO)), 3);
    CHECK_EQ(runs, 1);
}

UVT_TEST(once_others_wait_for_the_one_that_runs_it) {
    uint64_t began = uvt_now();
    uvt_task_t a = settled(calls, INT(7)), b = settled(calls, INT(8));
    CHECK_EQ(calls(INT(9)), 7);
    CHECK_EQ(uvt_now() - began, 10);
    check_returned(a, 7);
    check_returned(b, 7);
    CHECK_EQ(runs, 1);
}

UVT_TEST(once_failed_is_run_by_the_next_in_line) {
    uvt_task_t a = settled(calls, INT(UV_EIO)), b = settled(calls, INT(UV_ENOENT)), d = settled(calls, INT(5));
    CHECK_EQ(calls(INT(6)), 5);
    check_returned(a, UV_EIO);
    check_returned(b, UV_ENOENT);
    check_returned(d, 5);
    CHECK_EQ(runs, 3);
}

UVT_TEST(once_failed_with_nobody_in_line_is_run_by_the_next_to_come) {
    CHECK_EQ(calls(INT(UV_EIO)), UV_EIO);
    CHECK_EQ(calls(INT(UV_EIO)), UV_EIO);
    CHECK_EQ(calls(INT(0)), 0);
    CHECK_EQ(calls(INT(1)), 0);
    CHECK_EQ(runs, 3);
}

UVT_TEST(once_runner_cancelled_the_next_runs_it) {
    uvt_task_t a = settled(calls, INT(1)), b = settled(calls, INT(2));
    CHECK_EQ(uvt_abort(a), 0);
    check_cancelled(a);
    check_returned(b, 2);
    CHECK_EQ(runs, 2);
}

UVT_TEST(once_waiter_cancelled_leaves_the_others) {
    uvt_task_t a = settled(calls, INT(1)), b = settled(calls, INT(2)), d = settled(calls, INT(3));
    CHECK_EQ(uvt_abort(b), 0);
    check_cancelled(b);
    check_returned(a, 1);
    check_returned(d, 1);
    CHECK_EQ(runs, 1);
}

UVT_TEST(once_next_in_line_cancelled_at_its_turn_passes_it_on) {
    uvt_task_t a = settled(calls, INT(UV_EIO)), b = settled(calls, INT(2)), d = settled(calls, INT(3));
    check_returned(a, UV_EIO);
    CHECK_EQ(uvt_abort(b), 0); /* it is its turn, and it may run by now */
    check_cancelled(b);
    check_returned(d, 3);
}

static int panics(void *arg) {
    uvt_sleep((uint64_t)(intptr_t)arg);
    uvt_panic("cannot be made");
}

static int calls_panicking(void *arg) {
    return uvt_once(&once, panics, arg);
}

UVT_TEST(once_panicked_is_run_by_the_next) {
    uvt_task_t a = settled(calls_panicking, INT(5)), b = settled(calls, INT(2));
    check_ended(a, UVT_PANICKED, UVT_EPANIC);
    check_returned(b, 2);
    CHECK(strstr(uvt_test_reports(), "leak:") == NULL);
}

static int calls_itself(void *arg) {
    (void)arg;
    return uvt_once(&once, makes, INT(1));
}

UVT_TEST(once_called_by_its_own_function_is_a_deadlock_named) {
    CHECK_EQ(uvt_once(&once, calls_itself, NULL), UVT_EDEADLK);
    CHECK_EQ(runs, 0);
    CHECK_EQ(calls(INT(2)), 2);
}

UVT_TEST(once_done_in_a_cancelled_scope_says_cancelled) {
    uvt_scope_t s;
    CHECK_EQ(calls(INT(2)), 2);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_scope_end(&s, calls(INT(3))), UV_ECANCELED);
}

static int locks_inside(void *arg) {
    uvt_mutex_t *m = arg;
    CHECK_EQ(uvt_mutex_lock(m), 0);
    return 0;
}

UVT_TEST(once_function_may_leave_a_lock_to_its_task) {
    uvt_mutex_t m;
    CHECK_EQ(uvt_mutex_init(&m), 0);
    CHECK_EQ(uvt_once(&once, locks_inside, &m), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
}

static void in_a_callback(void *arg) {
    (void)arg;
    CHECK_EQ(calls(INT(1)), UVT_ENOTASK);
}

UVT_TEST(once_null_or_in_a_callback_is_refused) {
    CHECK_EQ(uvt_once(NULL, makes, NULL), UV_EINVAL);
    CHECK_EQ(uvt_once(&once, NULL, NULL), UV_EINVAL);
    post_here(in_a_callback);
    settle();
    CHECK_EQ(runs, 0);
}

static int calls_in_another_runtime(void *arg) {
    CHECK_EQ(calls(arg), UVT_ESHARD);
    return 0;
}

UVT_TEST_PLAIN(once_belongs_to_the_runtime_that_used_it_first) {
    CHECK_EQ(calls(INT(1)), UVT_ENOTASK);
    CHECK_EQ(uvt_test_run(calls, INT(1), NULL), 1);
    CHECK_EQ(uvt_test_run(calls_in_another_runtime, INT(2), NULL), 0);
}

UVT_TEST_MAIN()
