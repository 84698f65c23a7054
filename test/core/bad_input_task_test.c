/* SPDX-License-Identifier: MIT
 *
 * Misuse of tasks, scopes, sets, tokens and runtimes: every one has a code, or where memory is at stake an
 * assertion that names file, line and task. The harness checks that none leaks.
 */
#include "bodies.h"

/* ---- no function, no memory to fill, numbers out of range ---- */

UVT_TEST(null_function_is_refused_by_every_spawn) {
    uvt_set_t set;
    CHECK_EQ(uvt_spawn(NULL, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_spawn_opts(NULL, NULL, NULL, &(uvt_task_options){ .name = "x" }), UV_EINVAL);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_try_spawn(&set, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_start(&set, NULL, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(null_function_is_refused_by_every_wrapper) {
    uvt_token_t *token;
    CHECK_EQ(uvt_timeout(5, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_shielded(5, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_defer(NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_token_new(&token, NULL), 0);
    CHECK_EQ(uvt_under_token(token, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_token_cancel(token, NULL), 0);
    CHECK_EQ(uvt_under_token(token, NULL, NULL), UV_EINVAL);
    uvt_token_unref(token);
}

UVT_TEST_PLAIN(run_null_function_is_refused) {
    CHECK_EQ(uvt_run(NULL, NULL, NULL), UV_EINVAL);
}

UVT_TEST(post_null_function_is_refused) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post(rt, NULL, NULL), UV_EINVAL);
    uvt_runtime_unref(rt);
}

UVT_TEST(null_output_is_refused) {
    CHECK_EQ(uvt_set_open(NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_token_new(NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_stats_get(NULL), UV_EINVAL);
    CHECK_EQ(uvt_dump(NULL, NULL), UV_EINVAL);
}

UVT_TEST(null_token_is_refused_where_one_is_needed) {
    CHECK_EQ(uvt_token_cancel(NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_token_cancel_after(NULL, 5), UV_EINVAL);
    CHECK_EQ(uvt_token_wait(NULL), UV_EINVAL);
    CHECK_EQ(uvt_under_token(NULL, b_return, NULL), UV_EINVAL);
    uvt_token_unref(NULL);
}

UVT_TEST(null_scope_is_refused) {
    CHECK_EQ(uvt_scope_begin(NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_scope_end(NULL, 0), UV_EINVAL);
    CHECK_EQ(uvt_scope_cancel(NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_scope_set_deadline(NULL, 0), UV_EINVAL);
    CHECK_EQ(uvt_scope_set_shield(NULL, true), UV_EINVAL);
}

UVT_TEST(null_set_or_none_is_refused) {
    uvt_set_t none = { 0 };
    CHECK_EQ(uvt_set_spawn(NULL, b_return, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_spawn(&none, b_return, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_start(&none, b_return, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_next(&none, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_wait(&none), UV_EINVAL);
    CHECK_EQ(uvt_set_close(NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_close(&none), UV_EINVAL);
}

UVT_TEST(negative_times_are_refused) {
    uvt_scope_t s;
    uint64_t minus = (uint64_t)-5;
    CHECK_EQ(uvt_sleep(minus), UV_EINVAL);
    CHECK_EQ(uvt_timeout(minus, b_return, NULL), UV_EINVAL);
    CHECK_EQ(uvt_shielded(minus, b_return, NULL), UV_EINVAL);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = minus }), UV_EINVAL);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .deadline = minus }), UV_EINVAL);
    settle(); /* no scope stayed open */
}

UVT_TEST(stack_size_beyond_reason_is_refused) {
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX / 2 + 2, (size_t)1 << 32, ((size_t)1 << 32) + 65536 };
    for (int i = 0; i < 4; i++) {
        int rc = uvt_spawn_opts(NULL, b_return, NULL, &(uvt_task_options){ .stack_size = sizes[i] });
        CHECK(rc == UV_EINVAL || rc == UV_ENOMEM);
    }
}

UVT_TEST(stack_size_below_the_minimum_is_refused) {
    uvt_task_options small = { .stack_size = 16 * 1024 - 1 };
    uvt_set_t set;
    CHECK_EQ(uvt_spawn_opts(NULL, b_return, NULL, &small), UV_EINVAL);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, NULL, b_return, NULL, &small), UV_EINVAL);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST_PLAIN(run_stack_size_below_the_minimum_is_refused) {
    CHECK_EQ(uvt_run(b_return, NULL, &(uvt_options){ .stack_size = 1 }), UV_EINVAL);
    CHECK_EQ(uvt_run(b_return, NULL, &(uvt_options){ .stack_size = 16 * 1024 - 1 }), UV_EINVAL);
    CHECK_EQ(uvt_run(b_return, NULL, &(uvt_options){ .stack_size = 16 * 1024 }), 0);
}

UVT_TEST(key_unknown_flags_or_unknown_key_is_refused) {
    uvt_key_t k;
    CHECK_EQ(uvt_key_create(&k, 0x80), UV_EINVAL);
    CHECK_EQ(uvt_local_set((uvt_key_t){ -1 }, &k), UV_EINVAL);
    CHECK_EQ(uvt_local_set((uvt_key_t){ 31 }, &k), UV_EINVAL); /* not created */
    CHECK_EQ(uvt_local_set((uvt_key_t){ 1000 }, &k), UV_EINVAL);
    CHECK(uvt_local_get((uvt_key_t){ 1000 }) == NULL);
}

/* ---- handles that are none, used up, or from elsewhere ---- */

UVT_TEST(handle_of_no_task_is_refused) {
    uvt_task_t none = { 0 };
    CHECK_EQ(uvt_join(none, NULL), UV_EINVAL);
    CHECK_EQ(uvt_abort(none), UV_EINVAL);
    CHECK_EQ(uvt_detach(none), UV_EINVAL);
    CHECK_EQ(uvt_is_done(none), UV_EINVAL);
}

UVT_TEST(handle_used_up_is_stale_everywhere) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_return, INT(5)), 0);
    CHECK_EQ(uvt_join(t, NULL), 5);
    CHECK_EQ(uvt_join(t, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_abort(t), UVT_ESTALE);
    CHECK_EQ(uvt_detach(t), UVT_ESTALE);
    CHECK_EQ(uvt_is_done(t), UVT_ESTALE);
    CHECK_STR(uvt_task_name(t), "?");
}

UVT_TEST(handle_of_a_sets_member_cannot_be_joined) {
    uvt_set_t set;
    uvt_task_t t;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, &t, b_forever, NULL, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_EINVAL);
    CHECK_EQ(uvt_abort(t), 0); /* but aborted */
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int leaks_handle(void *arg) {
    CHECK_EQ(uvt_spawn(arg, b_return, INT(0)), 0);
    return 0;
}

static int uses_foreign_handle(void *arg) {
    uvt_task_t t = *(uvt_task_t *)arg;
    CHECK_EQ(uvt_join(t, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_detach(t), UVT_ESHARD);
    CHECK_EQ(uvt_is_done(t), UVT_ESHARD);
    CHECK_EQ(uvt_abort(t), UVT_ESHARD);
    return 0;
}

UVT_TEST_PLAIN(handle_of_an_ended_runtime_is_recognised) {
    uvt_task_t t;
    CHECK_EQ(uvt_run(leaks_handle, &t, NULL), 0);
    CHECK_EQ(uvt_run(uses_foreign_handle, &t, NULL), 0);
}

UVT_TEST(set_closed_every_call_is_stale) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_set_close(&set), UVT_ESTALE);
    CHECK_EQ(uvt_set_spawn(&set, b_return, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_try_spawn(&set, b_return, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_start(&set, b_return, NULL, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_next(&set, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_try_next(&set, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_wait(&set), UVT_ESTALE);
    CHECK_EQ(uvt_set_abort_all(&set), UVT_ESTALE);
    CHECK_EQ(uvt_set_detach_all(&set), UVT_ESTALE);
    CHECK_EQ(uvt_set_len(&set), UVT_ESTALE);
}

UVT_TEST(set_of_a_recycled_record_is_stale) {
    uvt_set_t old, young;
    CHECK_EQ(uvt_set_open(&old, NULL), 0);
    uvt_set_t copy = old;
    CHECK_EQ(uvt_set_close(&old), 0);
    CHECK_EQ(uvt_set_open(&young, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&copy, b_return, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_close(&copy), UVT_ESTALE);
    CHECK_EQ(uvt_set_len(&young), 0);
    CHECK_EQ(uvt_set_close(&young), 0);
}

/* ---- outside of tasks ---- */

UVT_TEST_PLAIN(outside_task_calls_answer_enotask) {
    uvt_task_t t = { 0 };
    int ran = 0;
    CHECK_EQ(uvt_spawn(&t, b_count, &ran), UVT_ENOTASK);
    CHECK_EQ(uvt_yield(), UVT_ENOTASK);
    CHECK_EQ(uvt_sleep(1000), UVT_ENOTASK);
    CHECK_EQ(uvt_sleep_until(uvt_now() + 1000), UVT_ENOTASK);
    CHECK_EQ(uvt_defer(d_count, &ran), UVT_ENOTASK);
    CHECK_EQ(uvt_started(NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_checkpoint(), UVT_ENOTASK);
    CHECK_EQ(uvt_park(&(uvt_park_t){ .what = "nothing" }), UVT_ENOTASK);
    CHECK_EQ(ran, 0);
}

UVT_TEST_PLAIN(outside_scope_calls_answer_enotask) {
    uvt_scope_t s;
    int ran = 0;
    CHECK_EQ(uvt_scope_begin(&s, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_timeout(5, b_count, &ran), UVT_ENOTASK);
    CHECK_EQ(uvt_shielded(5, b_count, &ran), UVT_ENOTASK);
    CHECK_EQ(ran, 0);
    CHECK(!uvt_cancelled());
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_NONE);
    CHECK_EQ(uvt_deadline(), UVT_FOREVER);
}

static int keeps_semaphore(void *arg) {
    return uvt_semaphore_init(arg, 1, 0);
}

UVT_TEST_PLAIN(outside_set_and_sync_calls_answer_enotask) {
    uvt_set_t set;
    uvt_interval_t iv;
    uvt_semaphore_t sem;
    CHECK_EQ(uvt_set_open(&set, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_interval_init(&iv, 10, UVT_MISSED_SKIP), 0);
    CHECK_EQ(uvt_interval_tick(&iv), UVT_ENOTASK);
    CHECK_EQ(uvt_run(keeps_semaphore, &sem, NULL), 0);
    CHECK_EQ(uvt_semaphore_acquire(&sem), UVT_ENOTASK);
}

static void ignore_line(void *arg, const char *text) {
    (void)arg;
    (void)text;
}

UVT_TEST_PLAIN(outside_a_runtime_there_is_nothing_to_see) {
    uvt_stats s;
    CHECK(uvt_loop() == NULL);
    CHECK(uvt_runtime_ref() == NULL);
    CHECK(uvt_local_get((uvt_key_t){ 0 }) == NULL);
    CHECK_EQ(uvt_stats_get(&s), UVT_ENOTASK);
    CHECK_EQ(uvt_dump(ignore_line, NULL), UVT_ENOTASK);
}

static void in_callback(void *arg) {
    uvt_scope_t s;
    CHECK(uvt_self().rec == NULL);
    CHECK(uvt_loop() != NULL);
    CHECK_EQ(uvt_sleep(1000), UVT_ENOTASK);
    CHECK_EQ(uvt_spawn(NULL, b_return, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_scope_begin(&s, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_run(b_return, NULL, NULL), UVT_ENESTED);
    uvt_oneshot_send(arg, 0, NULL);
}

UVT_TEST(in_a_callback_of_the_loop_task_calls_answer_enotask) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    uvt_oneshot_t *o;
    CHECK_EQ(uvt_oneshot_new(&o, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uvt_post(rt, in_callback, o), 0);
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
    uvt_runtime_unref(rt);
}

/* ---- runtimes inside runtimes, ended runtimes ---- */

UVT_TEST(run_inside_a_task_is_refused) {
    int ran = 0;
    CHECK_EQ(uvt_run(b_count, &ran, NULL), UVT_ENESTED);
    CHECK_EQ(ran, 0);
}

UVT_TEST(attach_inside_a_task_is_refused) {
    uvt_runtime_t *rt = NULL;
    uv_loop_t loop;
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(&rt, &loop, NULL), UVT_ENESTED);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

UVT_TEST(shutdown_of_a_run_runtime_is_refused) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_runtime_shutdown(rt, NULL, NULL), UV_EINVAL);
    uvt_runtime_unref(rt);
}

static int keeps_runtime(void *arg) {
    *(uvt_runtime_t **)arg = uvt_runtime_ref();
    return 0;
}

UVT_TEST_PLAIN(post_to_an_ended_runtime_is_refused) {
    uvt_runtime_t *rt = NULL;
    int ran = 0;
    CHECK_EQ(uvt_run(keeps_runtime, &rt, NULL), 0);
    CHECK_EQ(uvt_post(rt, d_count, &ran), UVT_EGONE);
    CHECK_EQ(ran, 0);
    uvt_runtime_unref(rt);
}

static int keeps_token(void *arg) {
    return uvt_token_new(arg, NULL);
}

UVT_TEST_PLAIN(token_of_an_ended_runtime_is_flagged_only) {
    uvt_token_t *token = NULL;
    CHECK_EQ(uvt_run(keeps_token, &token, NULL), 0);
    CHECK_EQ(uvt_token_cancel(token, NULL), UVT_EGONE);
    CHECK(uvt_token_cancelled(token));
    uvt_token_unref(token);
}

/* ---- memory at stake: assertions ---- */

static int ends_outer_scope_first(void *arg) {
    uvt_scope_t outer, inner;
    (void)arg;
    CHECK_EQ(uvt_scope_begin(&outer, NULL), 0);
    CHECK_EQ(uvt_scope_begin(&inner, NULL), 0);
    uvt_scope_end(&outer, 0);
    return 0;
}

static int spawns_scope_breaker(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, ends_outer_scope_first, arg), 0);
    return uvt_join(t, NULL);
}

static void run_scope_breaker(void) {
    uvt_test_run(spawns_scope_breaker, NULL, NULL);
}

UVT_TEST_PLAIN(scope_ended_out_of_order_is_an_assertion_that_names_place_and_task) {
    char text[2048];
    dies(run_scope_breaker, text, sizeof text);
    CHECK(strstr(text, ".c:") != NULL);
    CHECK(strstr(text, "ends_outer_scope_first") != NULL);
}

UVT_TEST_MAIN()
