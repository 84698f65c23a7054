/* SPDX-License-Identifier: MIT
 *
 * Scopes: nesting, shields, tokens, what the end of a scope reports, and misuse that has a code (the scope
 * part of group 3 of the semantic cases). Deadlines as such are tested with the timeouts.
 */
#include "bodies.h"

static void begin(uvt_scope_t *s) {
    CHECK_EQ(uvt_scope_begin(s, NULL), 0);
}

static void cancel(uvt_scope_t *s) {
    CHECK_EQ(uvt_scope_cancel(s, NULL), 0);
}

/* ---- what the end says ---- */

UVT_TEST(scope_not_cancelled_passes_any_result) {
    static const int codes[] = { 0, 7, UV_EIO, UV_ETIMEDOUT };
    for (int i = 0; i < 4; i++) {
        uvt_scope_t s;
        begin(&s);
        CHECK_EQ(uvt_scope_end(&s, codes[i]), codes[i]);
        CHECK(!uvt_scope_cancelled(&s));
        CHECK(!uvt_scope_caught(&s));
    }
}

UVT_TEST(scope_cancelled_by_hand_reports_ecanceled_and_caught) {
    uvt_scope_t s;
    begin(&s);
    cancel(&s);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
    CHECK(uvt_scope_cancelled(&s));
    CHECK(uvt_scope_caught(&s));
    settle(); /* the code after it goes on */
}

UVT_TEST(scope_cancelled_body_ends_with_another_error_the_error_passes) {
    uvt_scope_t s;
    begin(&s);
    cancel(&s);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_EIO), UV_EIO);
    CHECK(uvt_scope_cancelled(&s));
    CHECK(!uvt_scope_caught(&s));
}

UVT_TEST(scope_cancelled_body_succeeds_the_result_passes) {
    uvt_scope_t s;
    begin(&s);
    cancel(&s);
    CHECK_EQ(uvt_scope_end(&s, 7), 7);
    CHECK(!uvt_scope_caught(&s));
}

UVT_TEST(scope_deadline_reports_etimedout_and_caught) {
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 5 }), 0);
    CHECK_EQ(uvt_sleep(10), UV_ECANCELED);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_DEADLINE);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ETIMEDOUT);
    CHECK(uvt_scope_caught(&s));
}

UVT_TEST(scope_both_cancelled_the_outermost_reports) {
    uvt_scope_t outer, inner;
    begin(&outer);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .timeout_ms = 1 }), 0);
    CHECK_EQ(uvt_sleep(5), UV_ECANCELED);
    cancel(&outer);
    CHECK_EQ(uvt_scope_end(&inner, UV_ECANCELED), UV_ECANCELED); /* not ETIMEDOUT */
    CHECK(!uvt_scope_caught(&inner));
    CHECK_EQ(uvt_scope_end(&outer, UV_ECANCELED), UV_ECANCELED);
    CHECK(uvt_scope_caught(&outer));
}

UVT_TEST(scope_inner_cancelled_outer_goes_on) {
    uvt_scope_t outer, inner;
    begin(&outer);
    begin(&inner);
    cancel(&inner);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&inner, UV_ECANCELED), UV_ECANCELED);
    CHECK(uvt_scope_caught(&inner));
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_scope_end(&outer, 0), 0);
    CHECK(!uvt_scope_cancelled(&outer));
}

UVT_TEST(scope_cancelled_twice_every_call_reports_it) {
    uvt_scope_t s;
    begin(&s);
    CHECK_EQ(uvt_scope_cancel(&s, "first"), 0);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_cancel(&s, "second"), 0);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_SCOPE);
    CHECK_STR(uvt_cancel_reason().text, "first");
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
}

UVT_TEST(scope_cancelled_by_itself_stops_at_the_next_call_only) {
    uvt_scope_t s;
    begin(&s);
    CHECK(!uvt_cancelled());
    cancel(&s);
    CHECK(uvt_cancelled());
    CHECK_EQ(uvt_yield(), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
    CHECK(!uvt_cancelled());
}

/* ---- cancelled before it begins, through a token ---- */

UVT_TEST(scope_under_cancelled_token_first_call_reports) {
    uvt_token_t *token;
    uvt_scope_t s;
    CHECK_EQ(uvt_token_new(&token, NULL), 0);
    CHECK_EQ(uvt_token_cancel(token, "before"), 0);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .token = token }), 0);
    uvt_token_unref(token);
    CHECK_EQ(uvt_yield(), UV_ECANCELED);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_TOKEN);
    CHECK_STR(uvt_cancel_reason().text, "before");
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
    CHECK(uvt_scope_caught(&s));
}

UVT_TEST(scope_not_begun_cannot_be_cancelled) {
    uvt_scope_t s;
    memset(&s, 0, sizeof s);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), UV_EINVAL);
    begin(&s);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), UV_EINVAL);
}

/* ---- begun twice, from elsewhere, left open ---- */

UVT_TEST(scope_begun_twice_is_refused) {
    uvt_scope_t s;
    begin(&s);
    CHECK_EQ(uvt_scope_begin(&s, NULL), UV_EINVAL);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
}

UVT_TEST(scope_ended_may_be_begun_anew) {
    uvt_scope_t s;
    begin(&s);
    cancel(&s);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
    begin(&s);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    CHECK(!uvt_scope_cancelled(&s));
}

static int ends_given_scope(void *arg) {
    return uvt_scope_end(arg, 0);
}

UVT_TEST(scope_of_another_task_cannot_be_ended) {
    uvt_scope_t s;
    begin(&s);
    CHECK_EQ(spawn_and_join(ends_given_scope, &s), UV_EINVAL);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
}

UVT_TEST(scope_ended_twice_is_refused) {
    uvt_scope_t s;
    begin(&s);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    CHECK_EQ(uvt_scope_end(&s, 0), UV_EINVAL);
}

static int leaves_scope_open(void *arg) {
    begin(arg);
    CHECK_EQ(uvt_spawn(NULL, b_cancelled_step, "child"), 0);
    return 5;
}

UVT_TEST(scope_left_open_is_an_error_that_names_it) {
    uvt_scope_t s;
    CHECK_EQ(spawn_and_join(leaves_scope_open, &s), UVT_ESCOPE);
    CHECK(strstr(uvt_test_reports(), "scope_test.c:") != NULL);
}

UVT_TEST(scope_left_open_children_are_still_awaited) {
    uvt_scope_t s;
    CHECK_EQ(spawn_and_join(leaves_scope_open, &s), UVT_ESCOPE);
    uvt_test_step("joined");
    CHECK_STEPS("child joined");
    CHECK(uvt_test_reports()[0] != 0); /* asked for, so the harness lets it pass */
}

/* Its scopes lie in a frame that is gone when the library looks at them, which a sanitizer may object to, and out of
 * reach of what a sanitizer writes. */
__attribute__((no_sanitize("address"))) static int leaves_local_scopes_open(void *arg) {
    struct {
        uvt_scope_t outer, inner;
        char above[2000];
    } frame;
    begin(&frame.outer);
    CHECK_EQ(uvt_scope_begin(&frame.inner, &(uvt_scope_options){ .timeout_ms = 100 }), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    frame.above[0] = arg != NULL;
    return frame.above[0];
}

UVT_TEST(scope_left_open_on_the_tasks_own_stack_is_the_same_error) {
    CHECK_EQ(spawn_and_join(leaves_local_scopes_open, NULL), UVT_ESCOPE);
    CHECK(strstr(uvt_test_reports(), "scope_test.c:") != NULL);
    CHECK_EQ(uvt_sleep(200), 0); /* its deadline went with it */
}

/* ---- shields ---- */

UVT_TEST(shield_outer_cancelled_inner_calls_work) {
    uvt_scope_t outer, inner;
    begin(&outer);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .shield = true }), 0);
    cancel(&outer);
    CHECK(!uvt_cancelled());
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_scope_end(&inner, 3), 3);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&outer, UV_ECANCELED), UV_ECANCELED);
}

UVT_TEST(shield_own_cancel_still_works) {
    uvt_scope_t outer, inner;
    begin(&outer);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .shield = true }), 0);
    cancel(&inner);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&inner, UV_ECANCELED), UV_ECANCELED);
    CHECK(uvt_scope_caught(&inner));
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_scope_end(&outer, 0), 0);
}

UVT_TEST(shield_lowered_and_raised_follows_at_once) {
    uvt_scope_t outer, inner;
    begin(&outer);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .shield = true }), 0);
    cancel(&outer);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_scope_set_shield(&inner, false), 0);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_set_shield(&inner, true), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_scope_end(&inner, 0), 0);
    CHECK_EQ(uvt_scope_end(&outer, 0), 0);
}

struct two {
    uvt_scope_t outer, inner;
};

static int sleeps_under_shield(void *arg) {
    struct two *s = arg;
    begin(&s->outer);
    CHECK_EQ(uvt_scope_begin(&s->inner, &(uvt_scope_options){ .shield = true }), 0);
    int rc = uvt_sleep(UVT_FOREVER);
    uvt_test_step("woken");
    rc = uvt_scope_end(&s->inner, rc);
    return uvt_scope_end(&s->outer, rc);
}

UVT_TEST(shield_lowered_after_the_cancel_wakes_the_sleeper) {
    struct two s;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, sleeps_under_shield, &s), 0);
    settle();
    cancel(&s.outer);
    settle();
    CHECK_STEPS("");
    CHECK_EQ(uvt_scope_set_shield(&s.inner, false), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_STEPS("woken");
}

UVT_TEST(shield_lowered_before_the_cancel_wakes_the_sleeper) {
    struct two s;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, sleeps_under_shield, &s), 0);
    settle();
    CHECK_EQ(uvt_scope_set_shield(&s.inner, false), 0);
    settle();
    CHECK_STEPS("");
    cancel(&s.outer);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_STEPS("woken");
}

UVT_TEST(shield_raised_in_cleanup_outer_still_catches) {
    uvt_scope_t outer, inner;
    begin(&outer);
    begin(&inner);
    cancel(&outer);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_set_shield(&inner, true), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_scope_end(&inner, UV_ECANCELED), UV_ECANCELED);
    CHECK(!uvt_scope_caught(&inner));
    CHECK_EQ(uvt_scope_end(&outer, UV_ECANCELED), UV_ECANCELED);
    CHECK(uvt_scope_caught(&outer));
}

UVT_TEST(shield_grace_ran_out_is_etimedout) {
    uint64_t start = uvt_now();
    CHECK_EQ(uvt_shielded(5, b_forever, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - start, 5);
}

/* ---- trees ---- */

UVT_TEST(scope_5000_deep_outermost_cancelled_all_see_it) {
    enum { DEPTH = 5000 };
    uvt_scope_t *s = malloc(DEPTH * sizeof *s);
    CHECK(s != NULL);
    for (int i = 0; i < DEPTH; i++) begin(&s[i]);
    CHECK_EQ(uvt_sleep(1), 0);
    cancel(&s[0]);
    for (int i = DEPTH - 1; i >= 0; i--) {
        CHECK(uvt_cancelled());
        if (i % 100 == 0) CHECK_EQ(uvt_yield(), UV_ECANCELED);
        CHECK_EQ(uvt_scope_end(&s[i], UV_ECANCELED), UV_ECANCELED);
        CHECK_EQ(uvt_scope_caught(&s[i]), i == 0);
    }
    free(s);
}

static int leaf(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(rc, UV_ECANCELED);
    ++*(int *)arg;
    return rc;
}

static int branch(void *arg) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, leaf, arg), 0);
    CHECK_EQ(uvt_set_spawn(&set, leaf, arg), 0);
    int rc = uvt_set_wait(&set);
    CHECK_EQ(uvt_set_close(&set), UV_ECANCELED);
    return rc;
}

UVT_TEST(scope_cancelled_all_leaves_of_the_tree_see_it) {
    uvt_scope_t s;
    uvt_set_t set;
    int cancelled = 0;
    begin(&s);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, branch, &cancelled), 0);
    CHECK_EQ(uvt_set_spawn(&set, branch, &cancelled), 0);
    settle();
    cancel(&s);
    CHECK_EQ(uvt_set_wait(&set), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, uvt_set_close(&set)), UV_ECANCELED);
    CHECK_EQ(cancelled, 4);
}

UVT_TEST(scope_cancelled_member_spawned_later_starts_and_sees_it) {
    uvt_scope_t s;
    uvt_set_t set;
    begin(&s);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    cancel(&s);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, "started"), 0);
    CHECK_EQ(b_stubborn(INT(1)), 0);
    CHECK_STEPS("started"); /* not only the close cancelled it */
    CHECK_EQ(uvt_set_close(&set), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
}

UVT_TEST(scope_cancelled_members_stop_while_the_owner_is_busy) {
    uvt_scope_t s;
    uvt_set_t set;
    begin(&s);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, "member"), 0);
    settle();
    cancel(&s);
    CHECK_EQ(b_stubborn(INT(1)), 0);
    CHECK_STEPS("member");
    CHECK_EQ(uvt_set_close(&set), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
}

UVT_TEST(shield_lowered_members_of_a_set_inside_are_reached) {
    uvt_scope_t outer, inner;
    uvt_set_t set;
    begin(&outer);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .shield = true }), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_cancelled_step, "member"), 0);
    cancel(&outer);
    settle();
    CHECK_STEPS("");
    CHECK_EQ(uvt_scope_set_shield(&inner, false), 0);
    CHECK_EQ(b_stubborn(INT(1)), 0);
    CHECK_STEPS("member");
    CHECK_EQ(uvt_set_close(&set), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&inner, 0), 0);
    CHECK_EQ(uvt_scope_end(&outer, 0), 0);
}

UVT_TEST(scope_body_parks_for_ever_an_outer_limit_ends_it) {
    uvt_scope_t outer, inner;
    uint64_t start = uvt_now();
    CHECK_EQ(uvt_scope_begin(&outer, &(uvt_scope_options){ .timeout_ms = 5 }), 0);
    begin(&inner);
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(uvt_scope_end(&inner, rc), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&outer, UV_ECANCELED), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - start, 5);
}

UVT_TEST_MAIN()
