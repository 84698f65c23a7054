/* SPDX-License-Identifier: MIT
 *
 * Who owns a task and what follows: unjoined children at their parent's end, failures that nobody joined,
 * detaching, start delays, names. Built on the rules at the top of <uvtask/task.h>.
 */
#include "bodies.h"

/* ---- the end of a parent ---- */

static int leaves_two_children(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_spawn(NULL, b_cancelled_step, "child"), 0);
    CHECK_EQ(uvt_spawn(NULL, b_cancelled_step, "child"), 0);
    settle();
    uvt_test_step("returns");
    return 3;
}

UVT_TEST(owner_ends_children_are_cancelled_and_awaited) {
    CHECK_EQ(spawn_and_join(leaves_two_children, NULL), 3);
    uvt_test_step("joined");
    CHECK_STEPS("returns child child joined");
}

static int notes_reason(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    *(uvt_reason *)arg = uvt_cancel_reason();
    return rc;
}

static int leaves_reason_noter(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, notes_reason, arg), 0);
    return uvt_sleep(1);
}

UVT_TEST(owner_ends_is_the_childrens_reason) {
    uvt_reason why = { UVT_REASON_NONE, NULL };
    CHECK_EQ(spawn_and_join(leaves_reason_noter, &why), 0);
    CHECK_EQ(why.code, UVT_REASON_OWNER);
}

static int slow_to_clean_up(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    CHECK_EQ(b_stubborn(INT(100)), 0);
    return 0;
}

static int leaves_ten_slow_children(void *arg) {
    (void)arg;
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_spawn(NULL, slow_to_clean_up, NULL), 0);
    return uvt_sleep(1);
}

UVT_TEST(owner_ends_children_clean_up_at_the_same_time) {
    uint64_t t = uvt_now();
    CHECK_EQ(spawn_and_join(leaves_ten_slow_children, NULL), 0);
    CHECK_EQ(uvt_now() - t, 101); /* not 1001: all are cancelled first, then awaited */
}

static int borrows_a_local(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_STR(arg, "still here");
    return rc;
}

static int lends_a_local(void *arg) {
    char local[] = "still here";
    uvt_set_t set;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, borrows_a_local, local), 0);
    settle();
    return uvt_set_close(&set);
}

UVT_TEST(owner_of_a_set_may_lend_its_locals) {
    CHECK_EQ(spawn_and_join(lends_a_local, NULL), 0);
}

static int leaves_failed_child(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, b_return, INT(UV_EPIPE)), 0);
    settle();
    return (int)(intptr_t)arg;
}

UVT_TEST(owner_succeeds_failure_of_an_unjoined_child_is_its_status) {
    uvt_result r;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, leaves_failed_child, INT(5)), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.status, UV_EPIPE);
    CHECK_EQ(r.outcome, UVT_RETURNED);
}

UVT_TEST(owner_fails_its_own_failure_wins_over_a_childs) {
    CHECK_EQ(spawn_and_join(leaves_failed_child, INT(UV_EIO)), UV_EIO);
}

static int fails_when_cancelled(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    return UV_EPIPE;
}

static int leaves_child_that_fails_in_cleanup(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, fails_when_cancelled, arg), 0);
    return uvt_sleep(1);
}

UVT_TEST(owner_ends_failure_in_a_childs_cleanup_is_its_status) {
    CHECK_EQ(spawn_and_join(leaves_child_that_fails_in_cleanup, NULL), UV_EPIPE);
}

static int leaves_running_child(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, b_forever, arg), 0);
    return uvt_sleep(1);
}

UVT_TEST(owner_ends_cancelled_children_are_no_failure) {
    CHECK_EQ(spawn_and_join(leaves_running_child, NULL), 0);
}

static int joins_failed_child(void *arg) {
    CHECK_EQ(spawn_and_join(b_return, arg), UV_EPIPE);
    return 5;
}

UVT_TEST(owner_joined_a_failure_it_is_not_reported_again) {
    CHECK_EQ(spawn_and_join(joins_failed_child, INT(UV_EPIPE)), 5);
}

UVT_TEST_PLAIN(run_failure_of_an_unjoined_child_comes_out) {
    CHECK_EQ(uvt_test_run(leaves_failed_child, INT(0), NULL), UV_EPIPE);
}

static int spawns_under_cancelled_scope(void *arg) {
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_spawn(arg, b_sleep, INT(10)), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
    return uvt_join(*(uvt_task_t *)arg, NULL);
}

UVT_TEST(owner_is_the_task_not_the_scope_around_the_spawn) {
    uvt_task_t t;
    uint64_t start = uvt_now();
    CHECK_EQ(spawn_and_join(spawns_under_cancelled_scope, &t), 0);
    CHECK_EQ(uvt_now() - start, 10);
}

static int records_grow(void *arg) {
    uvt_stats s;
    (void)arg;
    CHECK_EQ(uvt_stats_get(&s), 0);
    return (int)s.records;
}

UVT_TEST(join_gives_the_record_back) {
    uvt_stats s;
    int before = spawn_and_join(records_grow, NULL);
    for (int i = 0; i < 100; i++) CHECK_EQ(spawn_and_join(b_return, INT(0)), 0);
    CHECK_EQ(spawn_and_join(records_grow, NULL), before);
    CHECK_EQ(uvt_stats_get(&s), 0);
    CHECK_EQ(s.tasks, 1);
}

/* ---- detaching ---- */

UVT_TEST(detach_uses_the_handle_up) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_sleep, INT(5)), 0);
    CHECK_EQ(uvt_detach(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_detach(t), UVT_ESTALE);
    CHECK_EQ(uvt_abort(t), UVT_ESTALE);
}

UVT_TEST(detach_while_another_joins_is_busy) {
    uvt_task_t joinee, joiner;
    CHECK_EQ(uvt_spawn(&joinee, b_sleep, INT(5)), 0);
    CHECK_EQ(uvt_spawn(&joiner, b_join, &joinee), 0);
    settle();
    CHECK_EQ(uvt_detach(joinee), UV_EBUSY);
    CHECK_EQ(uvt_join(joiner, NULL), 0);
}

static int sleeps_and_notes(void *arg) {
    int rc = uvt_sleep(5);
    uvt_test_step("%s: %s", (const char *)arg, rc == 0 ? "done" : uvt_err_name(rc));
    return rc;
}

static int detaches_child(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, sleeps_and_notes, "detached"), 0);
    CHECK_EQ(uvt_spawn(NULL, sleeps_and_notes, "owned"), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    (void)arg;
    return uvt_detach(t);
}

UVT_TEST(detach_task_outlives_its_spawner) {
    CHECK_EQ(spawn_and_join(detaches_child, NULL), 0);
    uvt_test_step("joined");
    CHECK_EQ(uvt_sleep(10), 0);
    CHECK_STEPS("owned: ECANCELED joined detached: done");
}

static int root_detaches(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, *(uvt_fn *)arg, INT(UV_EPIPE)), 0);
    CHECK_EQ(uvt_detach(t), 0);
    settle();
    uvt_test_step("root ends");
    return 7;
}

static int says_why_cancelled(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    (void)arg;
    uvt_test_step("%s", uvt_cancel_reason().code == UVT_REASON_SHUTDOWN ? "shut down" : "?");
    return rc;
}

UVT_TEST_PLAIN(detach_task_is_cancelled_and_awaited_at_shutdown) {
    uvt_fn fn = says_why_cancelled;
    CHECK_EQ(uvt_test_run(root_detaches, &fn, NULL), 7);
    CHECK_STEPS("root ends shut down");
}

UVT_TEST_PLAIN(detach_failure_comes_out_of_run) {
    uvt_fn fn = b_return;
    CHECK_EQ(uvt_test_run(root_detaches, &fn, NULL), UV_EPIPE);
}

/* ---- asking ---- */

UVT_TEST(is_done_follows_the_task) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_sleep, INT(5)), 0);
    CHECK_EQ(uvt_is_done(t), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_sleep(10), 0);
    CHECK_EQ(uvt_is_done(t), 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_is_done(t), UVT_ESTALE);
}

UVT_TEST(name_is_the_functions_unless_given) {
    char name[] = "given";
    uvt_task_t a, b;
    CHECK_EQ(uvt_spawn(&a, b_sleep, INT(1)), 0);
    CHECK_EQ(uvt_spawn_opts(&b, b_sleep, INT(1), &(uvt_task_options){ .name = name }), 0);
    name[0] = 'G'; /* it was copied */
    CHECK_STR(uvt_task_name(a), "b_sleep");
    CHECK_STR(uvt_task_name(b), "given");
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_STR(uvt_task_name(a), "?");
}

static void find_line(void *arg, const char *text) {
    if (strstr(text, "b_sleep") && strstr(text, "task_owner_test.c:")) ++*(int *)arg;
}

UVT_TEST(dump_shows_name_and_spawn_site) {
    uvt_task_t t;
    int found = 0;
    CHECK_EQ(uvt_spawn(&t, b_sleep, INT(5)), 0);
    settle();
    CHECK_EQ(uvt_dump(find_line, &found), 0);
    CHECK_EQ(found, 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

/* ---- start delay ---- */

static int spawn_delayed(uvt_task_t *t, uint64_t ms, int *ran) {
    return uvt_spawn_opts(t, b_count, ran, &(uvt_task_options){ .start_after_ms = ms });
}

UVT_TEST(delay_task_starts_when_due_and_not_before) {
    uvt_task_t t;
    int ran = 0;
    CHECK_EQ(spawn_delayed(&t, 50, &ran), 0);
    CHECK_EQ(uvt_sleep(49), 0);
    CHECK_EQ(ran, 0);
    CHECK_EQ(uvt_sleep(2), 0);
    CHECK_EQ(ran, 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST(delay_join_waits_for_start_and_end) {
    uvt_task_t t;
    int ran = 0;
    uint64_t start = uvt_now();
    CHECK_EQ(spawn_delayed(&t, 50, &ran), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_now() - start, 50);
    CHECK_EQ(ran, 1);
}

UVT_TEST(delay_task_has_no_stack_before_it_is_due) {
    uvt_task_t t[20];
    uvt_stats s;
    int ran = 0;
    for (int i = 0; i < 20; i++) CHECK_EQ(spawn_delayed(&t[i], 50, &ran), 0);
    settle();
    CHECK_EQ(uvt_stats_get(&s), 0);
    CHECK_EQ(s.tasks, 21);
    CHECK_EQ(s.stacks, 1);
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(ran, 20);
}

UVT_TEST(delay_aborted_before_due_never_runs) {
    uvt_result r;
    uvt_task_t t;
    int ran = 0;
    uint64_t start = uvt_now();
    CHECK_EQ(spawn_delayed(&t, 50, &ran), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.reason.code, UVT_REASON_ABORT);
    CHECK_EQ(uvt_now() - start, 1); /* at once, not when it would have been due */
    CHECK_EQ(uvt_sleep(100), 0);
    CHECK_EQ(ran, 0);
}

static int leaves_delayed_child(void *arg) {
    return spawn_delayed(NULL, 50, arg);
}

UVT_TEST(delay_owner_ends_before_due_never_runs) {
    int ran = 0;
    uint64_t start = uvt_now();
    CHECK_EQ(spawn_and_join(leaves_delayed_child, &ran), 0);
    CHECK_EQ(uvt_now() - start, 0);
    CHECK_EQ(uvt_sleep(100), 0);
    CHECK_EQ(ran, 0);
}

UVT_TEST(delay_forever_never_starts) {
    uvt_task_t t;
    int ran = 0;
    CHECK_EQ(spawn_delayed(&t, UVT_FOREVER, &ran), 0);
    CHECK_EQ(uvt_sleep((uint64_t)1000 * 3600 * 24 * 365), 0);
    CHECK_EQ(ran, 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
}

UVT_TEST(delay_shorter_one_starts_first) {
    uvt_task_t t[2];
    static const char *name[] = { "late", "early" };
    static const uint64_t ms[] = { 20, 10 };
    for (int i = 0; i < 2; i++)
        CHECK_EQ(uvt_spawn_opts(&t[i], b_step, (void *)name[i], &(uvt_task_options){ .start_after_ms = ms[i] }), 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_STEPS("early late");
}

/* ---- children nobody has a handle of ---- */

static int yields(void *arg) {
    (void)arg;
    return uvt_yield();
}

UVT_TEST(spawn_without_a_handle_leaves_no_record_behind) {
    uvt_stats before, after;
    CHECK_EQ(uvt_stats_get(&before), 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(uvt_spawn(NULL, yields, NULL), 0);
        settle();
    }
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.records, before.records);
}

static int fails_without_a_handle(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_spawn(NULL, b_return, INT(UV_EIO)), 0);
    settle(); /* it has ended, and is not forgotten */
    CHECK_EQ(uvt_spawn(NULL, b_return, INT(UV_ENOSPC)), 0);
    return uvt_yield();
}

UVT_TEST(spawn_without_a_handle_its_failure_is_its_owners) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, fails_without_a_handle, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_EIO);
}

static uvt_task_t told;

static int tells_who_it_is(void *arg) {
    (void)arg;
    told = uvt_self();
    return uvt_sleep(10) < 0 ? -1 : 3;
}

/* A handle that the child itself has given away is good while it lives. */
UVT_TEST(spawn_without_a_handle_the_child_may_give_its_own) {
    CHECK_EQ(uvt_spawn(NULL, tells_who_it_is, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_join(told, NULL), 3);
    CHECK_EQ(uvt_spawn(NULL, tells_who_it_is, NULL), 0);
    CHECK_EQ(uvt_sleep(20), 0);
    CHECK_EQ(uvt_join(told, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_is_done(told), UVT_ESTALE);
}

UVT_TEST_MAIN()
