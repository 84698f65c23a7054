/* SPDX-License-Identifier: MIT
 *
 * Combinators on arrays of branches: who decides, what is returned, that the others were cancelled and have ended when
 * the call returns, and that no result is lost.
 */
#include "branches.h"

/* ---- join_all ---- */

UVT_TEST(join_all_reverse_order_of_ends_results_stand_in_the_arrays_order) {
    struct work w[] = { W(5, 50), W(3, 30), W(2, 20) };
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), UVT_BRANCH(works, &w[1]), UVT_BRANCH(works, &w[2]) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_join_all(b, 3), 0);
    CHECK_EQ(uvt_now() - t, 5);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(b[i].status, w[i].value);
        CHECK_EQ(b[i].outcome, UVT_RETURNED);
    }
}

UVT_TEST(join_all_failures_do_not_stop_the_others_the_first_in_the_array_is_returned) {
    struct work w[] = { W(2, 1), W(5, UV_EIO), W(1, UV_EPIPE) };
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), UVT_BRANCH(works, &w[1]), UVT_BRANCH(works, &w[2]) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_join_all(b, 3), UV_EIO);
    CHECK_EQ(uvt_now() - t, 5);
    CHECK_EQ(b[0].status, 1);
    CHECK_EQ(b[2].status, UV_EPIPE);
}

UVT_TEST(join_all_of_nothing_is_done_at_once) {
    uvt_stats before, after;
    CHECK_EQ(uvt_stats_get(&before), 0);
    CHECK_EQ(uvt_join_all(NULL, 0), 0);
    CHECK_EQ(uvt_try_join(NULL, 0), 0);
    CHECK_EQ(uvt_map(NULL, 0, 1, 0, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.switches, before.switches);
}

UVT_TEST(join_all_panic_of_one_is_its_status_alone) {
    struct work w = W(3, 7);
    uvt_branch_t b[] = { UVT_BRANCH(panics, NULL), UVT_BRANCH(works, &w) };
    CHECK_EQ(uvt_join_all(b, 2), UVT_EPANIC);
    CHECK_EQ(b[0].outcome, UVT_PANICKED);
    CHECK_EQ(b[1].status, 7);
}

UVT_TEST(join_all_branch_that_ended_itself_is_no_success) {
    struct work w = W(3, 7);
    uvt_branch_t b[] = { UVT_BRANCH(ends_itself, NULL), UVT_BRANCH(works, &w) };
    CHECK_EQ(uvt_join_all(b, 2), UV_ECANCELED);
    CHECK_EQ(b[0].outcome, UVT_CANCELLED);
    CHECK_EQ(b[1].status, 7);
}

static int leaves_a_failing_child(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_spawn(NULL, b_return, INT(UV_EIO)), 0);
    return uvt_sleep(1);
}

UVT_TEST(join_all_failure_of_a_branchs_child_is_not_lost) {
    uvt_branch_t b[] = { UVT_BRANCH(leaves_a_failing_child, NULL) };
    CHECK_EQ(uvt_join_all(b, 1), UV_EIO);
}

/* ---- try_join ---- */

UVT_TEST(try_join_all_succeed_gives_every_value) {
    struct work w[] = { W(3, 30), W(2, 20) };
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), UVT_BRANCH(works, &w[1]) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_try_join(b, 2), 0);
    CHECK_EQ(uvt_now() - t, 3);
    CHECK_EQ(b[0].status, 30);
    CHECK_EQ(b[1].status, 20);
}

UVT_TEST(try_join_second_of_three_fails_the_rest_is_cancelled_and_unwound_first) {
    struct work w[] = { NAMED(5, 0, "first"), W(1, UV_EIO), NAMED(9, 0, "third") };
    uvt_branch_t b[] = { UVT_BRANCH(cleans_up, &w[0]), UVT_BRANCH(works, &w[1]), UVT_BRANCH(works, &w[2]) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_try_join(b, 3), UV_EIO);
    CHECK_EQ(uvt_now() - t, 3); /* failed at 1, and the first took 2 more to clean up */
    CHECK_EQ(w[0].ended + w[2].ended, 2);
    CHECK_EQ(b[0].outcome, UVT_CANCELLED);
    CHECK_EQ(b[1].status, UV_EIO);
    CHECK_EQ(b[2].status, UV_ECANCELED);
    uvt_test_steps(true);
}

UVT_TEST(try_join_first_failure_in_time_wins_over_those_in_the_clean_up) {
    struct work w[] = { W(1, UV_EIO), W(1000, 0) };
    uvt_branch_t b[] = { UVT_BRANCH(works_on, &w[1]), UVT_BRANCH(works, &w[0]) };
    w[1] = (struct work)W(4, UV_EPIPE);
    CHECK_EQ(uvt_try_join(b, 2), UV_EIO);
    CHECK_EQ(b[0].status, UV_EPIPE);
}

UVT_TEST(try_join_panic_is_a_failure) {
    struct work w = W(1000, 0);
    uvt_branch_t b[] = { UVT_BRANCH(works, &w), UVT_BRANCH(panics, NULL) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_try_join(b, 2), UVT_EPANIC);
    CHECK_EQ(uvt_now() - t, 0);
    CHECK_EQ(b[0].outcome, UVT_CANCELLED);
}

/* ---- race ---- */

UVT_TEST(race_ends_with_the_first_others_cancelled_and_cleaned_before_return) {
    struct work w[] = { NAMED(3, 0, "b"), W(2, 20), NAMED(5, 0, "c") };
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), UVT_BRANCH(works, &w[1]), UVT_BRANCH(works, &w[2]) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_race(b, 3), 1);
    CHECK_EQ(uvt_now() - t, 2);
    CHECK_EQ(b[1].status, 20);
    CHECK_EQ(w[0].ended + w[2].ended, 2);
    CHECK_EQ(b[0].outcome, UVT_CANCELLED);
    CHECK_EQ(b[2].outcome, UVT_CANCELLED);
    const char *steps = uvt_test_steps(true);
    CHECK(strcmp(steps, "b c") == 0 || strcmp(steps, "c b") == 0);
}

UVT_TEST(race_uninterruptible_loser_is_waited_for_and_both_results_are_there) {
    struct work w[] = { W(2, 20), W(3, 30) };
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), UVT_BRANCH(works_on, &w[1]) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_race(b, 2), 0);
    CHECK_EQ(uvt_now() - t, 3);
    CHECK_EQ(b[0].status, 20);
    CHECK_EQ(b[1].status, 30);
    CHECK_EQ(b[1].outcome, UVT_RETURNED);
}

/* Ready branch at any place, the others cancelled before they began or after: nothing waits, nothing leaks. */
static void race_with_ready(unsigned which) {
    struct work w[3] = { W(5, 1), W(5, 2), W(5, 3) };
    uvt_branch_t b[3];
    uint64_t t = uvt_now();
    for (unsigned i = 0; i < 3; i++)
        b[i] = (uvt_branch_t){ .fn = which >> i & 1 ? is_ready : works, .arg = &w[i] };
    int first = uvt_race(b, 3);
    CHECK(first >= 0 && (which >> first & 1));
    CHECK_EQ(uvt_now() - t, 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(w[i].begun, w[i].ended);
        CHECK_EQ(b[i].status, which >> i & 1 ? w[i].value : UV_ECANCELED);
    }
}

UVT_TEST(race_immediate_in_front_takes_no_time) {
    race_with_ready(1);
}

UVT_TEST(race_immediate_at_the_back_takes_no_time) {
    race_with_ready(4);
}

UVT_TEST(race_immediate_both_results_are_there) {
    race_with_ready(5);
    race_with_ready(7);
}

UVT_TEST(race_failure_ends_it_too) {
    struct work w[] = { W(2, UV_EIO), W(5, 0) };
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), UVT_BRANCH(works, &w[1]) };
    CHECK_EQ(uvt_race(b, 2), 0);
    CHECK_EQ(b[0].status, UV_EIO);
}

UVT_TEST(race_panic_ends_it_too) {
    struct work w = W(5, 0);
    uvt_branch_t b[] = { UVT_BRANCH(works, &w), UVT_BRANCH(panics, NULL) };
    CHECK_EQ(uvt_race(b, 2), 1);
    CHECK_EQ(b[1].outcome, UVT_PANICKED);
}

UVT_TEST(race_branch_that_ended_itself_is_not_the_first) {
    struct work w = W(3, 7);
    uvt_branch_t b[] = { UVT_BRANCH(ends_itself, NULL), UVT_BRANCH(works, &w) };
    CHECK_EQ(uvt_race(b, 2), 1);
    CHECK_EQ(uvt_race(b, 1), UV_ECANCELED);
}

static int races_inside(void *arg) {
    struct work *w = arg;
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), UVT_BRANCH(works, &w[1]) };
    int rc = uvt_race(b, 2);
    CHECK_EQ(w[0].begun + w[1].begun, w[0].ended + w[1].ended);
    return rc;
}

UVT_TEST(race_inside_race_outer_ends_inner_branches_are_all_cancelled) {
    struct work w[] = { NAMED(10, 0, "inner"), NAMED(20, 0, "inner") }, first = W(2, 0);
    uvt_branch_t b[] = { UVT_BRANCH(races_inside, w), UVT_BRANCH(works, &first) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_race(b, 2), 1);
    CHECK_EQ(uvt_now() - t, 2);
    CHECK_STEPS("inner inner");
    CHECK_EQ(b[0].status, UV_ECANCELED);
    CHECK_EQ(b[0].outcome, UVT_CANCELLED);
}

static int receives(void *o) {
    void *value = NULL;
    int rc = uvt_oneshot_recv(o, NULL, &value);
    return rc < 0 ? rc : *(int *)value;
}

UVT_TEST(race_loser_that_had_received_its_message_reports_it) {
    static int sent[] = { 11, 12 };
    uvt_oneshot_t *o[2];
    uvt_branch_t b[2];
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(uvt_oneshot_new(&o[i], 0), 0);
        CHECK_EQ(uvt_oneshot_send(o[i], 0, &sent[i]), 0);
        b[i] = (uvt_branch_t)UVT_BRANCH(receives, o[i]);
    }
    int first = uvt_race(b, 2);
    CHECK(first == 0 || first == 1);
    for (int i = 0; i < 2; i++) {
        void *left = NULL;
        int back = uvt_oneshot_close_rx(o[i], &left);
        CHECK_EQ((b[i].status == sent[i]) + back, 1); /* received, or still there: never lost, never twice */
    }
}

static int sends_both(void *arg) {
    static int sent[] = { 11, 12 };
    uvt_oneshot_t **o = arg;
    CHECK_EQ(uvt_sleep(5), 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_oneshot_send(o[i], 0, &sent[i]), 0);
    return 0;
}

UVT_TEST(race_both_were_handed_a_message_at_once_both_are_reported) {
    uvt_oneshot_t *o[2];
    uvt_task_t sender;
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_oneshot_new(&o[i], 0), 0);
    CHECK_EQ(uvt_spawn(&sender, sends_both, o), 0);
    uvt_branch_t b[] = { UVT_BRANCH(receives, o[0]), UVT_BRANCH(receives, o[1]) };
    CHECK(uvt_race(b, 2) >= 0);
    CHECK_EQ(b[0].status, 11);
    CHECK_EQ(b[1].status, 12);
    for (int i = 0; i < 2; i++) uvt_oneshot_close_rx(o[i], NULL);
    CHECK_EQ(uvt_join(sender, NULL), 0);
}

/* ---- first_ok ---- */

UVT_TEST(first_ok_passes_failures_over) {
    struct work w[] = { W(1, UV_EIO), W(3, 30), NAMED(9, 0, "slow") };
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), UVT_BRANCH(works, &w[1]), UVT_BRANCH(works, &w[2]) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_first_ok(b, 3), 1);
    CHECK_EQ(uvt_now() - t, 3);
    CHECK_EQ(b[0].status, UV_EIO);
    CHECK_EQ(b[1].status, 30);
    CHECK_STEPS("slow");
}

UVT_TEST(first_ok_none_succeeds_the_last_failure_in_time_is_returned) {
    struct work w[] = { W(3, UV_EPIPE), W(1, UV_EIO) };
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), UVT_BRANCH(works, &w[1]) };
    CHECK_EQ(uvt_first_ok(b, 2), UV_EPIPE);
    CHECK_EQ(b[1].status, UV_EIO);
}

UVT_TEST(first_ok_later_success_of_a_loser_changes_nothing_and_is_there) {
    struct work w[] = { W(4, 40), W(2, 20) };
    uvt_branch_t b[] = { UVT_BRANCH(works_on, &w[0]), UVT_BRANCH(works, &w[1]) };
    CHECK_EQ(uvt_first_ok(b, 2), 1);
    CHECK_EQ(b[0].status, 40);
}

/* ---- the caller ---- */

UVT_TEST(branches_inherit_the_callers_locals_and_are_named_after_their_functions) {
    struct work w[] = { W(UVT_FOREVER, 0), W(2, 0) };
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), { .fn = b_forever }, UVT_BRANCH(works, &w[1]) };
    CHECK_STR(b[0].site, "works");
    CHECK_EQ(uvt_race(b, 3), 2);
}

UVT_TEST(branches_array_may_be_used_again) {
    struct work w[] = { W(1, 10), W(2, 20) };
    uvt_branch_t b[] = { UVT_BRANCH(works, &w[0]), UVT_BRANCH(works, &w[1]) };
    CHECK_EQ(uvt_race(b, 2), 0);
    CHECK_EQ(b[1].status, UV_ECANCELED);
    CHECK_EQ(uvt_join_all(b, 2), 0);
    CHECK_EQ(b[1].status, 20);
    CHECK_EQ(b[1].outcome, UVT_RETURNED);
}

/* ---- misuse ---- */

UVT_TEST(branches_misuse_is_refused_and_nothing_runs) {
    struct work w = W(1, 1);
    uvt_branch_t b[] = { UVT_BRANCH(works, &w), { .fn = NULL } };
    int (*calls[])(uvt_branch_t *, size_t) = { uvt_join_all, uvt_try_join, uvt_race, uvt_first_ok };
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(calls[i](NULL, 1), UV_EINVAL);
        CHECK_EQ(calls[i](b, 2), UV_EINVAL);
        CHECK_EQ(calls[i](b, (size_t)INT32_MAX + 1), UV_EINVAL);
    }
    CHECK_EQ(uvt_race(b, 0), UV_EOF);
    CHECK_EQ(uvt_first_ok(NULL, 0), UV_EOF);
    settle();
    CHECK_EQ(w.begun, 0);
}

UVT_TEST_PLAIN(branches_outside_of_a_task_are_refused) {
    uvt_branch_t b[] = { UVT_BRANCH(b_forever, NULL) };
    CHECK_EQ(uvt_join_all(b, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_try_join(b, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_race(b, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_first_ok(b, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_map(b, 1, 1, 0, (int (*)(void *, void *))NULL, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_background(b_forever, NULL, b_forever, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_retry(NULL, b_forever, NULL), UVT_ENOTASK);
}

UVT_TEST_MAIN()
