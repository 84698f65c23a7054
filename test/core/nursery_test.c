/* SPDX-License-Identifier: MIT
 *
 * A task set as a nursery: failures of members and siblings, cancelling from inside and outside, spawning
 * while it closes, uvt_set_start (the set part of group 3 of the semantic cases). The set as a queue of
 * results is tested apart.
 */
#include "bodies.h"

static uint64_t t0; /* when the test opened its set */

static void open_set(uvt_set_t *set, const uvt_set_options *options) {
    CHECK_EQ(uvt_set_open(set, options), 0);
    t0 = uvt_now();
}

static int elapsed(void) {
    return (int)(uvt_now() - t0);
}

static const uvt_set_options fail_fast = { .fail_fast = true };

/* Suspends so long whatever happens, then fails. */
static int fails_stubbornly(void *arg) {
    CHECK_EQ(b_stubborn(arg), 0);
    return UV_EIO;
}

static int wait_set(void *arg) {
    return uvt_set_wait(arg);
}

/* ---- failures ---- */

UVT_TEST(set_member_fails_wait_and_close_report_it) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(UV_EIO)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

UVT_TEST(set_member_fails_close_alone_reports_it) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(UV_EIO)), 0);
    CHECK_EQ(uvt_set_close(&set), UV_EIO); /* it had not run yet: it does, and fails */
}

UVT_TEST(set_failure_handed_out_is_not_reported_again) {
    uvt_set_t set;
    uvt_result r;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(UV_EIO)), 0);
    CHECK_EQ(uvt_set_next(&set, &r), 0);
    CHECK_EQ(r.status, UV_EIO);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_sibling_crashes_looper_is_cancelled_and_the_crash_reported) {
    uvt_set_t set;
    open_set(&set, &fail_fast);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, "looper cancelled"), 0);
    CHECK_EQ(uvt_set_spawn(&set, fails_stubbornly, INT(5)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(elapsed(), 5);
    CHECK_STEPS("looper cancelled");
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

UVT_TEST(set_sibling_crashes_its_cancel_says_so) {
    uvt_set_t set;
    uvt_result r;
    open_set(&set, &fail_fast);
    CHECK_EQ(uvt_set_spawn(&set, b_forever, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, fails_stubbornly, INT(5)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    while (uvt_set_next(&set, &r) == 0 && r.outcome != UVT_CANCELLED) continue;
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.reason.code, UVT_REASON_SIBLING);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

UVT_TEST(set_fail_fast_success_or_abort_cancels_nobody) {
    uvt_set_t set;
    uvt_task_t t;
    open_set(&set, &fail_fast);
    CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT(10)), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(0)), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, &t, b_forever, NULL, NULL), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 10);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int body_and_member_fail(void *arg) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(UV_EPIPE)), 0);
    int rc = UV_EIO; /* what the body of the block came to */
    *(int *)arg = uvt_set_close(&set);
    return rc;
}

UVT_TEST(set_body_and_member_fail_both_are_known) {
    int member = 0;
    CHECK_EQ(spawn_and_join(body_and_member_fail, &member), UV_EIO);
    CHECK_EQ(member, UV_EPIPE);
}

UVT_TEST(set_two_members_fail_in_one_tick_both_are_recorded) {
    uvt_set_t set;
    uvt_result a, b;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(UV_EIO)), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(UV_EPIPE)), 0);
    int first = uvt_set_wait(&set);
    CHECK_EQ(uvt_set_next(&set, &a), 0);
    CHECK_EQ(uvt_set_next(&set, &b), 0);
    CHECK_EQ(first, a.status);
    CHECK_EQ(a.status + b.status, UV_EIO + UV_EPIPE);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_fail_fast_suppressed_failure_can_be_read) {
    uvt_set_t set;
    uvt_result r;
    int failures = 0;
    open_set(&set, &fail_fast);
    CHECK_EQ(uvt_set_spawn(&set, fails_stubbornly, INT(3)), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(UV_EPIPE)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EPIPE);
    while (uvt_set_next(&set, &r) == 0) failures += r.status == UV_EIO;
    CHECK_EQ(failures, 1);
    CHECK_EQ(uvt_set_close(&set), UV_EPIPE);
}

UVT_TEST(set_three_fail_at_once_exactly_one_is_the_error) {
    uvt_set_t set;
    open_set(&set, &fail_fast);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_set_spawn(&set, b_return, INT(-101 - i)), 0);
    int rc = uvt_set_wait(&set);
    CHECK_IN(rc, -103, -100);
    CHECK_EQ(uvt_set_close(&set), rc);
}

static int fails_after_its_members(void *arg) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(0)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    return (int)(intptr_t)arg;
}

static int joins_what_fails_after_its_members(void *arg) {
    CHECK_EQ(spawn_and_join(fails_after_its_members, arg), UV_EIO);
    return 0;
}

UVT_TEST(set_body_fails_after_members_ended_reported_once) {
    CHECK_EQ(spawn_and_join(joins_what_fails_after_its_members, INT(UV_EIO)), 0);
}

UVT_TEST(set_outer_cancel_absorbed_only_the_real_error_remains) {
    uvt_scope_t s;
    uvt_set_t set;
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    open_set(&set, NULL);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_set_spawn(&set, b_forever, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, fails_stubbornly, INT(2)), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_set_close(&set)), UV_EIO);
}

UVT_TEST(set_cancelled_at_1_failure_at_2_reported_when_all_ended_at_3) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, fails_stubbornly, INT(2)), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_stubborn, INT(3)), 0);
    settle();
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
    CHECK_EQ(elapsed(), 3);
}

static int starts_and_is_cleaned(void *arg) {
    uvt_test_step("starts");
    return b_cancelled_step(arg);
}

UVT_TEST(set_second_fails_at_once_first_starts_and_is_cleaned_up) {
    uvt_set_t set;
    open_set(&set, &fail_fast);
    CHECK_EQ(uvt_set_spawn(&set, starts_and_is_cleaned, "cleaned"), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(UV_EIO)), 0);
    uvt_test_step("body");
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    uvt_test_step("error");
    CHECK_STEPS("body starts cleaned error");
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

/* ---- waiting ---- */

UVT_TEST(set_empty_wait_and_close_return_at_once) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_next(&set, NULL), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(elapsed(), 0);
}

UVT_TEST(set_wait_returns_after_all_and_takes_new_members) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT(50)), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT(100)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 100);
    CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT(20)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 120);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_wait_limit_leaves_the_worker_close_cancels_it) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, "cancelled"), 0);
    CHECK_EQ(uvt_timeout(50, wait_set, &set), UV_ETIMEDOUT);
    CHECK_EQ(elapsed(), 50);
    CHECK_EQ(uvt_set_len(&set), 1);
    settle();
    CHECK_STEPS("");
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_STEPS("cancelled");
}

UVT_TEST(set_members_end_at_2_3_5_two_are_done_at_4) {
    uvt_set_t set;
    uvt_result r;
    open_set(&set, NULL);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT("\5\3\2"[i])), 0);
    CHECK_EQ(uvt_sleep(4), 0);
    CHECK_EQ(uvt_set_try_next(&set, &r), 0);
    CHECK(r.arg == INT(2));
    CHECK_EQ(uvt_set_try_next(&set, &r), 0);
    CHECK(r.arg == INT(3));
    CHECK_EQ(uvt_set_try_next(&set, &r), UV_EAGAIN);
    CHECK_EQ(uvt_sleep(2), 0);
    CHECK_EQ(uvt_set_try_next(&set, &r), 0);
    CHECK_EQ(uvt_set_try_next(&set, &r), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int holds_resource(void *arg) {
    CHECK_EQ(uvt_defer(d_count, arg), 0);
    return uvt_sleep(UVT_FOREVER);
}

UVT_TEST(set_closed_resources_of_members_are_released_already) {
    uvt_set_t set;
    int released = 0;
    open_set(&set, NULL);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_set_spawn(&set, holds_resource, &released), 0);
    settle();
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(released, 3);
}

/* ---- spawning into a set that waits or closes ---- */

static int spawns_sibling(void *arg) {
    CHECK_EQ(uvt_sleep(2), 0);
    return uvt_set_spawn(arg, b_sleep, INT(3));
}

UVT_TEST(set_member_spawns_sibling_while_the_owner_waits) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, spawns_sibling, &set), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 5);
    CHECK_EQ(uvt_set_len(&set), 2);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_closed_spawn_is_stale) {
    uvt_set_t set;
    int ran = 0;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_count, &ran), UVT_ESTALE);
    settle();
    CHECK_EQ(ran, 0);
}

static int spawns_in_cleanup(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(uvt_set_spawn(arg, b_cancelled_step, "spawned late"), 0);
    return rc;
}

UVT_TEST(set_member_spawns_while_closing_it_runs_and_is_cancelled) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, spawns_in_cleanup, &set), 0);
    settle();
    CHECK_EQ(uvt_set_close(&set), 0);
    uvt_test_step("closed");
    CHECK_STEPS("spawned late closed");
}

static int spawns_child_in_cleanup(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(uvt_spawn(NULL, b_cancelled_step, arg), 0);
    return rc;
}

UVT_TEST(set_members_cleanup_spawns_child_it_stops_at_its_first_suspension) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, spawns_child_in_cleanup, "child"), 0);
    settle();
    CHECK_EQ(uvt_set_close(&set), 0);
    uvt_test_step("closed");
    CHECK_STEPS("child closed");
}

/* ---- a set that is still open when the scope ends that it was opened in ---- */

static int opens_given_set(void *arg) {
    open_set(arg, NULL);
    return uvt_set_spawn(arg, b_cancelled_step, "member");
}

static int __attribute__((noinline)) overwrites_old_frames(void) {
    volatile unsigned char frame[4096];
    for (size_t i = 0; i < sizeof frame; i++) frame[i] = 0x41;
    return frame[7];
}

UVT_TEST(set_outlives_its_scope_members_are_not_touched) {
    uvt_set_t set;
    uvt_result r;
    CHECK_EQ(uvt_timeout(100, opens_given_set, &set), 0);
    CHECK_EQ(overwrites_old_frames(), 0x41); /* the scope was there */
    CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT(200)), 0);
    CHECK_EQ(uvt_set_next(&set, &r), 0);
    CHECK_EQ(r.status, 0);
    CHECK_STEPS("");
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_outlives_its_scope_the_next_outer_one_reaches_it) {
    uvt_set_t set;
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_timeout(100, opens_given_set, &set), 0);
    CHECK_EQ(overwrites_old_frames(), 0x41);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_set_close(&set)), UV_ECANCELED);
    CHECK_STEPS("member");
}

/* ---- cancelling from inside ---- */

static int aborts_its_set(void *arg) {
    CHECK_EQ(uvt_sleep(2), 0);
    CHECK_EQ(uvt_set_abort_all(arg), 0);
    uvt_test_step("goes on");
    return b_cancelled_step("stops");
}

UVT_TEST(set_member_aborts_all_nobody_runs_inside_the_call) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, "stops"), 0);
    CHECK_EQ(uvt_set_spawn(&set, aborts_its_set, &set), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, "stops"), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 2);
    CHECK_STEPS("goes on stops stops stops");
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int aborts_its_set_and_returns(void *arg) {
    CHECK_EQ(uvt_set_abort_all(arg), 0);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_set_abort_all(arg), 0);
    return UV_ECANCELED;
}

UVT_TEST(set_three_members_abort_all_no_harm) {
    uvt_set_t set;
    uvt_result r;
    int cancelled = 0;
    open_set(&set, NULL);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_set_spawn(&set, aborts_its_set_and_returns, &set), 0);
    while (uvt_set_next(&set, &r) == 0) cancelled += r.outcome == UVT_CANCELLED && r.reason.code == UVT_REASON_SET;
    CHECK_EQ(cancelled, 3);
    CHECK_EQ(uvt_set_close(&set), 0);
}

struct service {
    uvt_fn first; /* its first member; the other two are plain */
    uvt_token_t *stop;
    int members;
};

static int member(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(b_stubborn(INT(3)), 0);
    ((struct service *)arg)->members--;
    return rc;
}

static int member_that_stops_it(void *arg) {
    CHECK_EQ(uvt_sleep(5), 0);
    CHECK_EQ(uvt_token_cancel(((struct service *)arg)->stop, NULL), 0);
    return member(arg);
}

static int service_runs(void *arg) {
    struct service *s = arg;
    uvt_set_t set;
    open_set(&set, NULL);
    for (s->members = 0; s->members < 3; s->members++)
        CHECK_EQ(uvt_set_spawn(&set, s->members == 0 ? s->first : member, s), 0);
    CHECK_EQ(uvt_token_wait(s->stop), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    return s->members;
}

UVT_TEST(set_of_a_service_closed_from_inside_goes_on_after_the_last_member) {
    struct service s = { .first = member_that_stops_it };
    CHECK_EQ(uvt_token_new(&s.stop, NULL), 0);
    CHECK_EQ(spawn_and_join(service_runs, &s), 0);
    CHECK_EQ(elapsed(), 8);
    uvt_token_unref(s.stop);
}

UVT_TEST(set_of_a_service_closed_from_outside_goes_on_after_the_last_member) {
    struct service s = { .first = member };
    uvt_task_t t;
    CHECK_EQ(uvt_token_new(&s.stop, NULL), 0);
    CHECK_EQ(uvt_spawn(&t, service_runs, &s), 0);
    CHECK_EQ(uvt_sleep(5), 0);
    CHECK_EQ(uvt_token_cancel(s.stop, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(elapsed(), 8);
    uvt_token_unref(s.stop);
}

static int closes_given_set(void *arg) {
    return uvt_set_close(arg);
}

UVT_TEST(set_closed_by_its_own_member_is_refused) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(uvt_set_spawn(&set, closes_given_set, &set), 0);
    CHECK_EQ(uvt_set_wait(&set), UVT_EDEADLK);
    CHECK_EQ(uvt_set_close(&set), UVT_EDEADLK); /* the member's failure */
}

UVT_TEST(set_closed_by_another_task_is_refused) {
    uvt_set_t set;
    open_set(&set, NULL);
    CHECK_EQ(spawn_and_join(closes_given_set, &set), UV_EINVAL);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST_MAIN()
