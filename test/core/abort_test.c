/* SPDX-License-Identifier: MIT
 *
 * Aborting one task: what it and its joiner see, how often, whom else it reaches, what cleans up (group 2
 * of the semantic cases). Special waits and other threads are in abort_wait_test.c, scopes as such in
 * scope_test.c, defers in defer_panic_test.c.
 */
#include "bodies.h"

/* Aborts and joins; how it ended. */
static uvt_result abort_and_join(uvt_task_t t) {
    uvt_result r;
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    return r;
}

static uvt_task_t spawn_settled(uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, fn, arg), 0);
    settle();
    return t;
}

/* ---- what the task and its joiner see ---- */

UVT_TEST(abort_sleeping_task_join_reports_cancelled) {
    uint64_t start = uvt_now();
    uvt_result r = abort_and_join(spawn_settled(b_sleep, INT(1000)));
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.status, UV_ECANCELED);
    CHECK_EQ(r.reason.code, UVT_REASON_ABORT);
    CHECK_EQ(uvt_now() - start, 1);
}

UVT_TEST(abort_why_text_reaches_the_joiner) {
    uvt_result r;
    uvt_task_t t = spawn_settled(b_forever, NULL);
    CHECK_EQ(uvt_abort_why(t, "no longer needed"), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_STR(r.reason.text, "no longer needed");
}

static int copies_reason(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK(uvt_cancelled());
    *(uvt_reason *)arg = uvt_cancel_reason();
    return rc;
}

UVT_TEST(abort_why_text_reaches_the_task) {
    uvt_reason why = { UVT_REASON_NONE, NULL };
    uvt_task_t t = spawn_settled(copies_reason, &why);
    CHECK_EQ(uvt_abort_why(t, "no longer needed"), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(why.code, UVT_REASON_ABORT);
    CHECK_STR(why.text, "no longer needed");
}

UVT_TEST(abort_twice_is_as_once) {
    uvt_reason why = { UVT_REASON_NONE, NULL };
    uvt_result r;
    uvt_task_t t = spawn_settled(copies_reason, &why);
    CHECK_EQ(uvt_abort_why(t, "first"), 0);
    CHECK_EQ(uvt_abort_why(t, "second"), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_STR(why.text, "first");
}

UVT_TEST(abort_task_is_done_only_when_it_has_ended) {
    uvt_task_t t = spawn_settled(b_forever, NULL);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_is_done(t), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 1);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
}

UVT_TEST(abort_ended_task_leaves_its_result) {
    uvt_task_t t = spawn_settled(b_return, INT(5));
    uvt_result r = abort_and_join(t);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, 5);
}

UVT_TEST(abort_before_the_first_run_body_runs_and_sees_it) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_cancelled_step, "ran"), 0);
    uvt_result r = abort_and_join(t);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_STEPS("ran");
}

static int sees_it_and_succeeds(void *arg) {
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    return (int)(intptr_t)arg;
}

UVT_TEST(abort_task_that_returns_a_value_has_returned) {
    uvt_result r = abort_and_join(spawn_settled(sees_it_and_succeeds, INT(5)));
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, 5);
}

/* Owns a child and is busy for 10 ms, whatever happens outside. */
static int busy_with_child(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, b_cancelled_step, arg), 0);
    CHECK_EQ(b_stubborn(INT(10)), 0);
    uvt_test_step("parent");
    return uvt_yield();
}

UVT_TEST(abort_reaches_the_children_while_the_parent_is_busy) {
    uvt_result r = abort_and_join(spawn_settled(busy_with_child, "child"));
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_STEPS("child parent");
}

static int grandparent(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, busy_with_child, arg), 0);
    return b_cancelled_step("grandparent");
}

UVT_TEST(abort_reaches_the_whole_tree_at_once) {
    abort_and_join(spawn_settled(grandparent, "grandchild"));
    const char *s = uvt_test_steps(true); /* the first two are ready at once, in any order */
    CHECK(strcmp(s, "grandparent grandchild parent") == 0 || strcmp(s, "grandchild grandparent parent") == 0);
}

static int busy_with_set(void *arg) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, arg), 0);
    CHECK_EQ(b_stubborn(INT(10)), 0);
    uvt_test_step("parent");
    return uvt_set_close(&set);
}

UVT_TEST(abort_reaches_the_members_of_a_set_while_the_parent_is_busy) {
    abort_and_join(spawn_settled(busy_with_set, "member"));
    CHECK_STEPS("member parent");
}

UVT_TEST(abort_does_not_reach_a_set_that_was_opened_under_a_shield) {
    CHECK_EQ(uvt_abort(uvt_self()), 0);
    CHECK_EQ(uvt_shielded(UVT_FOREVER, busy_with_set, "member"), 0);
    CHECK_STEPS("parent member"); /* it was the close that cancelled it */
}

static int spawns_when_cancelled(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(uvt_spawn(NULL, b_cancelled_step, arg), 0);
    CHECK_EQ(b_stubborn(INT(1)), 0);
    uvt_test_step("parent");
    return rc;
}

UVT_TEST(abort_cleanup_spawns_child_is_cancelled_too) {
    abort_and_join(spawn_settled(spawns_when_cancelled, "child"));
    CHECK_STEPS("child parent");
}

/* ---- level-triggered ---- */

static int ignores_it(void *arg) {
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    CHECK_EQ(uvt_yield(), UV_ECANCELED);
    uvt_test_step("%s", (const char *)arg);
    return UV_ECANCELED;
}

UVT_TEST(abort_ignored_every_later_call_reports_it_again) {
    uvt_task_t t = spawn_settled(ignores_it, "ended");
    abort_and_join(t);
    uvt_test_step("joined");
    CHECK_STEPS("ended joined");
}

UVT_TEST(abort_ignored_still_yields_and_is_counted) {
    uvt_stats s;
    uvt_task_t t = spawn_settled(ignores_it, "stubborn");
    CHECK_EQ(uvt_abort(t), 0);
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_yield(), 0);
    CHECK_STEPS(""); /* we had our turns between its calls */
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_stats_get(&s), 0);
    CHECK(s.ignored >= 99);
}

static int owner_of_ignorer(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, ignores_it, arg), 0);
    return uvt_sleep(1);
}

UVT_TEST(abort_ignored_owner_ends_only_after_the_task) {
    CHECK_EQ(spawn_and_join(owner_of_ignorer, "child"), 0);
    uvt_test_step("owner");
    CHECK_STEPS("child owner");
}

static int reads_twice(void *arg) {
    char byte;
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_read(arg, &byte, 1), UV_ECANCELED);
    return UV_ECANCELED;
}

UVT_TEST_REAL(abort_reader_of_a_stream_sees_it_repeatedly) {
    uvt_listener_t *l;
    uvt_stream_t *near, *far;
    CHECK_EQ(uvt_tcp_listen(&l, "127.0.0.1", 0, 0), 0);
    CHECK_EQ(uvt_tcp_connect(&near, "127.0.0.1", (unsigned)uvt_listener_port(l)), 0);
    CHECK_EQ(uvt_accept(l, &far), 0);
    CHECK_EQ(abort_and_join(spawn_settled(reads_twice, near)).outcome, UVT_CANCELLED);
    CHECK_EQ(uvt_close(near), 0);
    CHECK_EQ(uvt_close(far), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static int sleeps_a_second(void *arg) {
    uint64_t start = uvt_now();
    int rc = uvt_sleep(1000);
    (void)arg;
    uvt_test_step("%s after %d", uvt_err_name(rc), (int)(uvt_now() - start));
    return rc;
}

UVT_TEST(close_cuts_a_sleep_short_and_waits_for_the_code_after_it) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, sleeps_a_second, NULL), 0);
    CHECK_EQ(uvt_sleep(100), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    uvt_test_step("closed");
    CHECK_STEPS("ECANCELED after 100 closed");
}

static int aborts_itself(void *arg) {
    CHECK_EQ(uvt_abort(uvt_self()), 0);
    uvt_test_step("%s", (const char *)arg);
    return uvt_sleep(0);
}

UVT_TEST(abort_oneself_stops_at_the_next_suspending_call) {
    uvt_result r;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, aborts_itself, "goes on"), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_STEPS("goes on");
}

/* ---- a completed operation, a result or an error beats the cancel ---- */

static int takes_permit(void *arg) {
    CHECK_EQ(uvt_semaphore_acquire(arg), 0);
    CHECK_EQ(uvt_semaphore_acquire(arg), UV_ECANCELED);
    uvt_semaphore_release(arg, 1);
    return UV_ECANCELED;
}

UVT_TEST(abort_after_a_grant_the_grant_is_delivered_first) {
    uvt_semaphore_t sem;
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    uvt_task_t t = spawn_settled(takes_permit, &sem);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(abort_and_join(t).outcome, UVT_CANCELLED);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
}

static int fails_uninterrupted(void *arg) {
    CHECK_EQ(b_stubborn(arg), 0);
    return UV_EIO;
}

UVT_TEST(abort_pending_the_tasks_own_error_wins) {
    uvt_result r = abort_and_join(spawn_settled(fails_uninterrupted, INT(10)));
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, UV_EIO);
}

/* ---- shields and cleanup ---- */

static int shielded_checkpoint(void *arg) {
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    CHECK_EQ(b_stubborn(arg), 0);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    return UV_ECANCELED;
}

UVT_TEST(abort_shielded_checkpoint_succeeds_the_next_reports) {
    CHECK_EQ(abort_and_join(spawn_settled(shielded_checkpoint, INT(1))).outcome, UVT_CANCELLED);
}

static int work_and_finally(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    uvt_test_step("cleanup");
    CHECK_EQ(b_stubborn(arg), 0);
    CHECK_EQ(b_stubborn(arg), 0);
    uvt_test_step("%s", uvt_err_name(uvt_yield()));
    return rc;
}

UVT_TEST(abort_during_work_cleanup_completes_then_cancel_goes_on) {
    uint64_t start = uvt_now();
    CHECK_EQ(abort_and_join(spawn_settled(work_and_finally, INT(5))).outcome, UVT_CANCELLED);
    CHECK_EQ(uvt_now() - start, 11);
    CHECK_STEPS("cleanup ECANCELED");
}

static int has_finally(void *arg) {
    CHECK_EQ(uvt_defer(d_count, arg), 0);
    return uvt_sleep(UVT_FOREVER);
}

UVT_TEST(abort_finally_runs_exactly_once) {
    int runs = 0;
    uvt_task_t t = spawn_settled(has_finally, &runs);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(runs, 1);
}

static int nests_handlers(void *arg) {
    CHECK_EQ(uvt_defer(d_step, "outer"), 0);
    CHECK_EQ(uvt_defer(d_step, "middle"), 0);
    CHECK_EQ(uvt_defer(d_step, "inner"), 0);
    return b_forever(arg);
}

UVT_TEST(abort_nested_handlers_run_last_first) {
    abort_and_join(spawn_settled(nests_handlers, NULL));
    CHECK_STEPS("inner middle outer");
}

static void panics(void *arg) {
    uvt_panic("%s", (const char *)arg);
}

static int cleanup_panics(void *arg) {
    CHECK_EQ(uvt_defer(d_step, "other cleanup"), 0);
    CHECK_EQ(uvt_defer(panics, arg), 0);
    return uvt_sleep(UVT_FOREVER);
}

UVT_TEST(abort_cleanup_that_panics_stays_in_that_task) {
    uvt_result r = abort_and_join(spawn_settled(cleanup_panics, "cleanup broke"));
    CHECK_EQ(r.outcome, UVT_PANICKED);
    CHECK_STR(r.message, "cleanup broke");
    CHECK_STEPS("other cleanup");
    settle(); /* the runtime goes on */
}

UVT_TEST(abort_cleanup_that_fails_is_the_tasks_status) {
    uvt_result r = abort_and_join(spawn_settled(sees_it_and_succeeds, INT(UV_EIO)));
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, UV_EIO);
    settle();
}

static int whole_operation(void *arg) {
    CHECK_EQ(uvt_sleep(5), 0);
    CHECK_EQ(uvt_sleep(5), 0);
    CHECK(!uvt_cancelled());
    ++*(int *)arg;
    return 7;
}

static int wraps_operation(void *arg) {
    CHECK_EQ(uvt_shielded(UVT_FOREVER, whole_operation, arg), 7);
    return uvt_yield();
}

UVT_TEST(abort_early_does_not_reach_a_shielded_operation) {
    int done = 0;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, wraps_operation, &done), 0);
    CHECK_EQ(abort_and_join(t).outcome, UVT_CANCELLED);
    CHECK_EQ(done, 1);
}

UVT_TEST(abort_late_does_not_reach_a_shielded_operation) {
    int done = 0;
    uvt_task_t t = spawn_settled(wraps_operation, &done);
    CHECK_EQ(uvt_sleep(6), 0);
    CHECK_EQ(abort_and_join(t).outcome, UVT_CANCELLED);
    CHECK_EQ(done, 1);
}

static int aborts_and_joins(void *arg) {
    CHECK_EQ(uvt_abort(*(uvt_task_t *)arg), 0);
    return uvt_join(*(uvt_task_t *)arg, NULL);
}

UVT_TEST(abort_shielded_target_canceller_has_a_deadline_of_its_own) {
    uvt_task_t t = spawn_settled(b_stubborn, INT(100));
    uint64_t start = uvt_now();
    CHECK_EQ(uvt_timeout(10, aborts_and_joins, &t), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - start, 10);
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST(abort_then_detach_still_releases_soon) {
    int released = 0;
    uvt_task_t t = spawn_settled(has_finally, &released);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_detach(t), 0);
    settle();
    CHECK_EQ(released, 1);
}

UVT_TEST_MAIN()
