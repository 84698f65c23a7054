/* SPDX-License-Identifier: MIT
 *
 * Cancellation tokens: trees, waiting, deadlines, running under a token, and cancelling from other threads.
 * Releasing a token never cancels anything; cancelling one cancels exactly its subtree, once.
 */
#include <uvtask.h>
#include <uvtask/test.h>

static uvt_token_t *token(uvt_token_t *parent) {
    uvt_token_t *t = NULL;
    CHECK_EQ(uvt_token_new(&t, parent), 0);
    return t;
}

static int wait_for(void *t) {
    return uvt_token_wait(t);
}

static uint64_t switches(void) {
    uvt_stats s;
    CHECK_EQ(uvt_stats_get(&s), 0);
    return s.switches;
}

/* ---- waiting ---- */

UVT_TEST(token_cancel_wakes_its_waiter_once) {
    uvt_token_t *t = token(NULL);
    uvt_task_t waiter;
    CHECK_EQ(uvt_spawn(&waiter, wait_for, t), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    uint64_t before = switches();
    CHECK_EQ(uvt_token_cancel(t, "stop"), 0);
    CHECK_EQ(uvt_token_cancel(t, "stop again"), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(switches() - before, 2); /* the waiter and this task's sleep */
    CHECK_EQ(uvt_join(waiter, NULL), 0);
    CHECK_STR(uvt_token_reason(t).text, "stop");
    uvt_token_unref(t);
}

UVT_TEST(token_cancelled_before_the_wait_returns_at_once) {
    uvt_token_t *t = token(NULL);
    CHECK(!uvt_token_cancelled(t));
    CHECK_EQ(uvt_token_reason(t).code, UVT_REASON_NONE);
    CHECK_EQ(uvt_token_cancel(t, NULL), 0);
    CHECK(uvt_token_cancelled(t));
    CHECK_EQ(uvt_token_reason(t).code, UVT_REASON_TOKEN);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_token_wait(t), 0);
    uvt_token_unref(t);
}

UVT_TEST(token_many_waiters_all_return) {
    uvt_token_t *t = token(NULL);
    uvt_task_t w[10];
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_spawn(&w[i], wait_for, t), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_token_cancel(t, NULL), 0);
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_join(w[i], NULL), 0);
    uvt_token_unref(t);
}

static int step_when_cancelled(void *t) {
    CHECK_EQ(uvt_token_wait(t), 0);
    uvt_test_step("waiter");
    return 0;
}

UVT_TEST(token_cancel_runs_nobody_inside_the_call) {
    uvt_token_t *t = token(NULL);
    uvt_task_t waiter;
    CHECK_EQ(uvt_spawn(&waiter, step_when_cancelled, t), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_token_cancel(t, NULL), 0);
    uvt_test_step("canceller");
    CHECK_EQ(uvt_join(waiter, NULL), 0);
    CHECK_STEPS("canceller waiter");
    uvt_token_unref(t);
}

UVT_TEST(token_wait_given_up_leaves_no_waiter_behind) {
    uvt_token_t *t = token(NULL);
    CHECK_EQ(uvt_timeout(10, wait_for, t), UV_ETIMEDOUT);
    CHECK(!uvt_token_cancelled(t));
    CHECK_EQ(uvt_token_cancel(t, NULL), 0);
    CHECK_EQ(uvt_token_wait(t), 0);
    uvt_token_unref(t);
}

UVT_TEST(token_null_arguments_are_refused_or_allowed_as_said) {
    CHECK_EQ(uvt_token_new(NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_token_cancel(NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_token_cancel_after(NULL, 1), UV_EINVAL);
    CHECK_EQ(uvt_token_wait(NULL), UV_EINVAL);
    uvt_token_unref(NULL);
}

/* ---- trees ---- */

UVT_TEST(token_middle_released_root_cancel_reaches_grandchild) {
    uvt_token_t *root = token(NULL), *mid = token(root), *leaf = token(mid);
    uvt_token_unref(mid);
    CHECK(!uvt_token_cancelled(leaf));
    CHECK_EQ(uvt_token_cancel(root, "all"), 0);
    CHECK(uvt_token_cancelled(leaf));
    CHECK_STR(uvt_token_reason(leaf).text, "all");
    uvt_token_unref(leaf);
    uvt_token_unref(root);
}

UVT_TEST(token_child_cancelled_parent_is_not) {
    uvt_token_t *parent = token(NULL), *child = token(parent);
    CHECK_EQ(uvt_token_cancel(child, NULL), 0);
    CHECK(!uvt_token_cancelled(parent));
    uvt_token_t *second = token(parent);
    CHECK(!uvt_token_cancelled(second));
    CHECK_EQ(uvt_token_cancel(parent, NULL), 0);
    CHECK(uvt_token_cancelled(second));
    uvt_token_unref(second);
    uvt_token_unref(child);
    uvt_token_unref(parent);
}

UVT_TEST(token_child_of_cancelled_parent_is_born_cancelled) {
    for (int parent_first = 0; parent_first < 2; parent_first++) {
        uvt_token_t *parent = token(NULL);
        CHECK_EQ(uvt_token_cancel(parent, "early"), 0);
        uvt_token_t *child = token(parent);
        CHECK(uvt_token_cancelled(child));
        CHECK_EQ(uvt_token_wait(child), 0);
        CHECK_STR(uvt_token_reason(child).text, "early");
        uvt_token_unref(parent_first ? parent : child);
        uvt_token_unref(parent_first ? child : parent);
    }
}

UVT_TEST(token_cancel_in_a_tree_reaches_all_descendants_and_only_them) {
    /*  root -> mid -> a -> a1 -> a11,  a -> a2,  mid -> b,  root -> other */
    uvt_token_t *root = token(NULL), *mid = token(root), *other = token(root), *a = token(mid), *b = token(mid),
                *a1 = token(a), *a2 = token(a), *a11 = token(a1);
    uvt_token_t *all[] = { mid, a, b, a1, a2, a11, root, other };
    uvt_task_t w[8];
    for (int i = 0; i < 8; i++) CHECK_EQ(uvt_spawn(&w[i], wait_for, all[i]), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    uint64_t before = switches();
    CHECK_EQ(uvt_token_cancel(mid, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(switches() - before, 6 + 1);
    for (int i = 0; i < 8; i++) CHECK_EQ(uvt_is_done(w[i]), i < 6);
    CHECK_EQ(uvt_token_cancel(root, NULL), 0);
    for (int i = 0; i < 8; i++) CHECK_EQ(uvt_join(w[i], NULL), 0);
    for (int i = 0; i < 8; i++) uvt_token_unref(all[i]);
}

UVT_TEST(token_parent_released_first_child_works_on) {
    uvt_token_t *parent = token(NULL), *child = token(parent);
    uvt_token_unref(parent);
    CHECK(!uvt_token_cancelled(child));
    CHECK_EQ(uvt_timeout(10, wait_for, child), UV_ETIMEDOUT);
    CHECK_EQ(uvt_token_cancel(child, NULL), 0);
    CHECK_EQ(uvt_token_wait(child), 0);
    uvt_token_unref(child);
}

UVT_TEST(token_deep_chain_is_cancelled_without_deep_stack) {
    enum { N = 20000 };
    static uvt_token_t *chain[N];
    for (int i = 0; i < N; i++) chain[i] = token(i ? chain[i - 1] : NULL);
    CHECK_EQ(uvt_token_cancel(chain[0], NULL), 0);
    CHECK(uvt_token_cancelled(chain[N - 1]));
    for (int i = 0; i < N; i++) uvt_token_unref(chain[i]); /* from the root down: the last one frees them all */
}

UVT_TEST(token_reference_keeps_it_alive) {
    uvt_token_t *t = token(NULL);
    CHECK(uvt_token_ref(t) == t);
    uvt_token_unref(t);
    CHECK_EQ(uvt_token_cancel(t, NULL), 0);
    CHECK(uvt_token_cancelled(t));
    uvt_token_unref(t);
}

/* ---- deadlines ---- */

UVT_TEST(token_cancel_after_comes_on_time_with_its_reason) {
    uvt_token_t *t = token(NULL);
    uint64_t begin = uvt_now();
    CHECK_EQ(uvt_token_cancel_after(t, 100), 0);
    CHECK_EQ(uvt_sleep(99), 0);
    CHECK(!uvt_token_cancelled(t));
    CHECK_EQ(uvt_token_wait(t), 0);
    CHECK_EQ(uvt_now() - begin, 100);
    CHECK_EQ(uvt_token_reason(t).code, UVT_REASON_DEADLINE);
    uvt_token_unref(t);
}

UVT_TEST(token_cancel_after_moved_comes_once_at_the_new_time) {
    static const uint64_t moved_to[] = { 200, 50 };
    for (int i = 0; i < 2; i++) {
        uvt_token_t *t = token(NULL);
        uint64_t begin = uvt_now();
        CHECK_EQ(uvt_token_cancel_after(t, 100), 0);
        CHECK_EQ(uvt_token_cancel_after(t, moved_to[i]), 0);
        CHECK_EQ(uvt_token_wait(t), 0);
        CHECK_EQ(uvt_now() - begin, moved_to[i]);
        uvt_token_unref(t);
    }
}

UVT_TEST(token_cancel_after_taken_back_never_comes) {
    uvt_token_t *t = token(NULL);
    CHECK_EQ(uvt_token_cancel_after(t, 100), 0);
    CHECK_EQ(uvt_token_cancel_after(t, UVT_FOREVER), 0);
    CHECK_EQ(uvt_sleep(1000), 0);
    CHECK(!uvt_token_cancelled(t));
    uvt_token_unref(t);
}

UVT_TEST(token_released_with_deadline_pending_frees_its_timer) {
    uvt_stats s;
    uvt_token_t *t = token(NULL);
    CHECK_EQ(uvt_token_cancel_after(t, 100), 0);
    CHECK_EQ(uvt_stats_get(&s), 0);
    CHECK_EQ(s.timers, 1);
    uvt_token_unref(t);
    CHECK_EQ(uvt_stats_get(&s), 0);
    CHECK_EQ(s.timers, 0);
    CHECK_EQ(uvt_sleep(1000), 0);
}

/* ---- run under a token ---- */

static int fifty_ms_then_seven(void *arg) {
    ++*(int *)arg;
    int rc = uvt_sleep(50);
    return rc < 0 ? rc : 7;
}

UVT_TEST(under_token_fired_first_cancels_the_function) {
    uvt_token_t *t = token(NULL);
    int ran = 0;
    uint64_t begin = uvt_now();
    CHECK_EQ(uvt_token_cancel_after(t, 20), 0);
    CHECK_EQ(uvt_under_token(t, fifty_ms_then_seven, &ran), UV_ECANCELED);
    CHECK_EQ(uvt_now() - begin, 20);
    CHECK_EQ(ran, 1);
    CHECK_EQ(uvt_sleep(1), 0); /* the cancel stays inside */
    uvt_token_unref(t);
}

UVT_TEST(under_token_function_done_first_gives_its_value) {
    uvt_token_t *t = token(NULL);
    int ran = 0;
    CHECK_EQ(uvt_under_token(t, fifty_ms_then_seven, &ran), 7);
    CHECK_EQ(uvt_token_cancel(t, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    uvt_token_unref(t);
}

UVT_TEST(under_token_cancelled_before_never_starts_the_function) {
    uvt_token_t *t = token(NULL);
    int ran = 0;
    CHECK_EQ(uvt_token_cancel(t, NULL), 0);
    CHECK_EQ(uvt_under_token(t, fifty_ms_then_seven, &ran), UV_ECANCELED);
    CHECK_EQ(ran, 0);
    uvt_token_unref(t);
}

UVT_TEST(under_token_null_arguments_are_refused) {
    uvt_token_t *t = token(NULL);
    int ran = 0;
    CHECK_EQ(uvt_under_token(t, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_under_token(NULL, fifty_ms_then_seven, &ran), UV_EINVAL);
    CHECK_EQ(ran, 0);
    uvt_token_unref(t);
}

UVT_TEST(scope_bound_to_a_token_is_cancelled_with_it) {
    uvt_token_t *t = token(NULL);
    uvt_scope_t s;
    CHECK_EQ(uvt_token_cancel_after(t, 10), 0);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .token = t }), 0);
    uvt_token_unref(t); /* the scope has a reference */
    CHECK_EQ(uvt_sleep(100), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
    CHECK(uvt_scope_caught(&s));
}

static int work_until_stopped(void *t) {
    int units = 0;
    while (!uvt_token_cancelled(t)) {
        CHECK_EQ(uvt_sleep(10), 0);
        units++;
    }
    return units;
}

UVT_TEST(token_passed_by_hand_stops_three_workers) {
    uvt_token_t *t = token(NULL);
    uvt_task_t w[3];
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_spawn(&w[i], work_until_stopped, t), 0);
    CHECK_EQ(uvt_sleep(25), 0);
    CHECK_EQ(uvt_token_cancel(t, "shutdown"), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_join(w[i], NULL), 3);
    uvt_token_unref(t);
}

/* ---- other threads, ended runtimes ---- */

static void cancel_from_thread(void *t) {
    CHECK_EQ(uvt_token_cancel(t, "from outside"), 0);
    CHECK(uvt_token_cancelled(t)); /* at once; the rest follows soon */
    uvt_token_unref(t);
}

UVT_TEST_REAL(token_cancelled_from_a_thread_wakes_the_waiter) {
    uvt_token_t *parent = token(NULL), *child = token(parent);
    uv_thread_t thread;
    uvt_external_begin();
    CHECK_EQ(uv_thread_create(&thread, cancel_from_thread, uvt_token_ref(parent)), 0);
    CHECK_EQ(uvt_token_wait(child), 0);
    uvt_external_end();
    CHECK_EQ(uv_thread_join(&thread), 0);
    CHECK_STR(uvt_token_reason(child).text, "from outside");
    uvt_token_unref(child);
    uvt_token_unref(parent);
}

UVT_TEST_REAL(token_cancelled_again_from_a_thread_keeps_its_words) {
    uvt_token_t *t = token(NULL);
    uv_thread_t thread;
    CHECK_EQ(uvt_token_cancel(t, NULL), 0); /* none are words, too */
    CHECK_EQ(uv_thread_create(&thread, cancel_from_thread, uvt_token_ref(t)), 0);
    CHECK_EQ(uv_thread_join(&thread), 0);
    CHECK(uvt_token_reason(t).text == NULL);
    uvt_token_unref(t);
}

UVT_TEST_REAL(token_cancelled_from_a_thread_cancels_the_scopes_bound_to_it) {
    uvt_token_t *t = token(NULL);
    uvt_scope_t s;
    uv_thread_t thread;
    uvt_external_begin();
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .token = t }), 0);
    CHECK_EQ(uv_thread_create(&thread, cancel_from_thread, uvt_token_ref(t)), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_sleep(UVT_FOREVER)), UV_ECANCELED);
    CHECK(uvt_scope_caught(&s));
    uvt_external_end();
    CHECK_EQ(uv_thread_join(&thread), 0);
    uvt_token_unref(t);
}

UVT_TEST_REAL(token_cancelled_by_many_threads_is_cancelled_once) {
    uvt_token_t *t = token(NULL);
    uv_thread_t thread[4];
    uvt_external_begin();
    for (int i = 0; i < 4; i++) CHECK_EQ(uv_thread_create(&thread[i], cancel_from_thread, uvt_token_ref(t)), 0);
    CHECK_EQ(uvt_token_wait(t), 0);
    uvt_external_end();
    for (int i = 0; i < 4; i++) CHECK_EQ(uv_thread_join(&thread[i]), 0);
    CHECK_EQ(uvt_token_reason(t).code, UVT_REASON_TOKEN);
    uvt_token_unref(t);
}

static uvt_token_t *kept;

static int keep_a_token(void *arg) {
    (void)arg;
    kept = token(NULL);
    return 0;
}

UVT_TEST_PLAIN(token_of_an_ended_runtime_takes_its_flag_and_says_gone) {
    CHECK_EQ(uvt_test_run(keep_a_token, NULL, NULL), 0);
    CHECK_EQ(uvt_token_cancel(kept, NULL), UVT_EGONE);
    CHECK(uvt_token_cancelled(kept));
    uvt_token_unref(kept);
}

static int wait_for_the_kept(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_token_wait(kept), UVT_ESHARD);
    return 0;
}

UVT_TEST_PLAIN(token_of_an_ended_runtime_cannot_be_waited_for) {
    CHECK_EQ(uvt_test_run(keep_a_token, NULL, NULL), 0);
    CHECK_EQ(uvt_test_run(wait_for_the_kept, NULL, NULL), 0);
    uvt_token_unref(kept);
}

static int keep_a_token_with_deadline(void *arg) {
    (void)arg;
    kept = token(NULL);
    return uvt_token_cancel_after(kept, 3600 * 1000);
}

UVT_TEST_PLAIN(token_deadline_pending_does_not_keep_the_runtime) {
    uint64_t begin = uv_hrtime();
    CHECK_EQ(uvt_run(keep_a_token_with_deadline, NULL, NULL), 0);
    CHECK(uv_hrtime() - begin < UINT64_C(5000000000));
    CHECK(!uvt_token_cancelled(kept));
    uvt_token_unref(kept);
}

static int release_the_kept(void *arg) {
    (void)arg;
    uvt_token_unref(kept);
    return uvt_sleep(7200 * 1000);
}

UVT_TEST_PLAIN(token_kept_past_the_end_with_deadline_pending_is_released) {
    CHECK_EQ(uvt_test_run(keep_a_token_with_deadline, NULL, NULL), 0);
    CHECK_EQ(uvt_test_run(release_the_kept, NULL, NULL), 0);
}

UVT_TEST_PLAIN(token_outside_of_a_runtime_is_refused) {
    uvt_token_t *t = NULL;
    CHECK_EQ(uvt_token_new(&t, NULL), UVT_ENOTASK);
    CHECK(t == NULL);
}

UVT_TEST_MAIN()
