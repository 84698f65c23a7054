/* SPDX-License-Identifier: MIT
 *
 * uvt_call: a function as a task of another shard, awaited like a function call.
 */
#include "shards.h"

ON_SHARDS(3, call_runs_there_and_returns_what_it_returned) {
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_call(k, b_where, NULL), k);
    CHECK_EQ(uvt_call(1, b_return, INT(UV_EIO)), UV_EIO);
    CHECK_EQ(uvt_call(0, b_return, INT(UV_EIO)), UV_EIO);
}

static int doubles(void *arg) {
    *(int *)arg *= 2;
    return uvt_sleep(5);
}

ON_SHARDS(2, call_may_use_the_callers_locals) {
    int n = 21;
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_call(1, doubles, &n), 0);
    CHECK_EQ(n, 42);
    CHECK_EQ(uvt_now() - at, 5);
}

ON_SHARDS(2, call_panic_is_epanic_and_the_caller_goes_on) {
    CHECK_EQ(uvt_call(1, b_panic, "there"), UVT_EPANIC);
    CHECK_EQ(uvt_call(0, b_panic, "here"), UVT_EPANIC);
    CHECK_EQ(uvt_call(1, b_where, NULL), 1);
}

ON_SHARDS(2, call_bad_arguments_are_einval) {
    CHECK_EQ(uvt_call(2, b_where, NULL), UV_EINVAL);
    CHECK_EQ(uvt_call(UINT32_MAX, b_where, NULL), UV_EINVAL);
    CHECK_EQ(uvt_call(1, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_call(0, NULL, NULL), UV_EINVAL);
}

ON_SHARDS(1, call_on_one_shard_is_here_or_einval) {
    CHECK_EQ(uvt_call(0, b_return, INT(4)), 4);
    CHECK_EQ(uvt_call(1, b_return, INT(4)), UV_EINVAL);
}

static void posted_call(void *arg) {
    *(int *)arg = uvt_call(1, b_return, NULL);
}

ON_SHARDS(2, call_outside_of_a_task_is_enotask) {
    int rc = 0;
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post(rt, posted_call, &rc), 0);
    settle();
    CHECK_EQ(rc, UVT_ENOTASK);
    uvt_runtime_unref(rt);
}

UVT_TEST_PLAIN(call_outside_of_a_runtime_is_enotask) {
    CHECK_EQ(uvt_call(0, b_return, NULL), UVT_ENOTASK);
}

static int is_a_task_of_its_own(void *arg) {
    uvt_task_t caller = *(uvt_task_t *)arg;
    CHECK(uvt_self().id != caller.id);
    CHECK_STR(uvt_task_name(uvt_self()), "is_a_task_of_its_own");
    return 0;
}

ON_SHARDS(2, call_is_a_task_of_its_own_with_the_functions_name) {
    uvt_task_t me = uvt_self();
    CHECK_EQ(uvt_call(1, is_a_task_of_its_own, &me), 0);
    CHECK_EQ(uvt_call(0, is_a_task_of_its_own, &me), 0);
}

/* ---- cancels ---- */

struct seen {
    uvt_reason why;
    int answer, calls;
    uint64_t ms; /* of clean-up */
};

static int answers_its_cancel(void *arg) {
    struct seen *s = arg;
    s->calls++;
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    s->why = uvt_cancel_reason();
    CHECK_EQ(uvt_shielded(UVT_FOREVER, b_sleep, INT(s->ms)), 0);
    return s->answer;
}

static int calls_one(void *arg) {
    return uvt_call(1, answers_its_cancel, arg);
}

static int calls_here(void *arg) {
    return uvt_call(0, answers_its_cancel, arg);
}

static void check_cancelled_while(uvt_fn caller) {
    struct seen s = { .answer = 77, .ms = 30 };
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, caller, &s), 0);
    settle();
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_abort_why(t, "words"), 0);
    CHECK_EQ(uvt_join(t, NULL), 77); /* the callee's own result, awaited */
    CHECK_EQ(uvt_now() - at, 30);
    CHECK(s.why.code != UVT_REASON_NONE);
    CHECK_STR(s.why.text, "words");
}

ON_SHARDS(2, call_cancelled_while_it_runs_returns_what_the_callee_makes_of_it) {
    check_cancelled_while(calls_one);
}

ON_SHARDS(2, call_on_the_own_shard_cancelled_is_the_same) {
    check_cancelled_while(calls_here);
}

static int calls_when_cancelled(void *arg) {
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    CHECK_EQ(calls_here(arg), UV_ECANCELED);
    return calls_one(arg);
}

ON_SHARDS(2, call_in_a_cancelled_scope_never_starts) {
    struct seen s = { .answer = 77 };
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, calls_when_cancelled, &s), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(s.calls, 0);
}

ON_SHARDS(2, call_cancelled_before_it_arrives_runs_cancelled) {
    struct seen s = { .answer = UV_ECANCELED };
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, calls_one, &s), 0);
    CHECK_EQ(uvt_yield(), 0); /* it has called; the message may be on its way */
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK(s.calls <= 1);
}

ON_SHARDS(2, call_under_a_deadline_is_etimedout_when_the_callee_gives_up) {
    struct seen s = { .answer = UV_ECANCELED };
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_timeout(40, calls_one, &s), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - at, 40);
    CHECK_EQ(s.why.code, UVT_REASON_DEADLINE);
}

ON_SHARDS(2, call_that_ends_before_the_deadline_wins) {
    int n = 4;
    uvt_scope_t sc;
    CHECK_EQ(uvt_scope_begin(&sc, &(uvt_scope_options){ .timeout_ms = 6 }), 0);
    CHECK_EQ(uvt_scope_end(&sc, uvt_call(1, doubles, &n)), 0); /* 5 ms */
    CHECK_EQ(n, 8);
}

static int times_out_there(void *arg) {
    return uvt_timeout(20, b_forever, arg);
}

ON_SHARDS(2, call_deadline_of_the_callees_own_is_its_result) {
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_call(1, times_out_there, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - at, 20);
}

static unsigned callee; /* shard */

static int calls_doubles(void *arg) {
    return uvt_call(callee, doubles, arg);
}

static int calls_shielded(void *arg) {
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    return uvt_shielded(UVT_FOREVER, calls_doubles, arg);
}

static void check_shielded(void) {
    int n = 1;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, calls_shielded, &n), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(n, 2);
}

ON_SHARDS(2, call_in_a_shield_is_not_cancelled_by_an_abort) {
    callee = 1;
    check_shielded();
}

ON_SHARDS(2, call_in_a_shield_on_the_own_shard_is_not_cancelled_by_an_abort) {
    check_shielded();
}

static uvt_key_t key;

static int has_local(void *arg) {
    CHECK(uvt_local_get(key) == arg);
    return 0;
}

ON_SHARDS(2, call_inherits_task_locals) {
    int value;
    CHECK_EQ(uvt_key_create(&key, UVT_KEY_INHERIT), 0);
    CHECK_EQ(uvt_local_set(key, &value), 0);
    CHECK_EQ(uvt_call(0, has_local, &value), 0);
    CHECK_EQ(uvt_call(1, has_local, &value), 0);
}

/* ---- nested, many ---- */

static int back_and_forth(void *arg) {
    int left = (int)(intptr_t)arg;
    if (left == 0) return 0;
    int rc = uvt_call((uvt_shard_index() + 1) % uvt_shard_count(), back_and_forth, INT(left - 1));
    return rc < 0 ? rc : rc + 1;
}

ON_SHARDS(2, call_nested_there_and_back_fifty_times) {
    CHECK_EQ(back_and_forth(INT(50)), 50);
}

ON_SHARDS(4, call_nested_round_four_shards) {
    CHECK_EQ(back_and_forth(INT(81)), 81);
}

static int forever_at_the_end_of_a_chain(void *arg) {
    int left = (int)(intptr_t)arg;
    if (left == 0) return b_forever(NULL);
    return uvt_call((uvt_shard_index() + 1) % uvt_shard_count(), forever_at_the_end_of_a_chain, INT(left - 1));
}

ON_SHARDS(4, call_nested_ten_deep_is_cancelled_to_the_end) {
    CHECK_EQ(uvt_timeout(9, forever_at_the_end_of_a_chain, INT(10)), UV_ETIMEDOUT);
}

struct counters {
    int of[4]; /* one per shard, touched by its tasks alone: a call is a lock */
};

static int adds_one(void *arg) {
    ++((struct counters *)arg)->of[uvt_shard_index()];
    return 0;
}

static int calls_all_round(void *arg) {
    for (unsigned i = 0; i < 100; i++) CHECK_EQ(uvt_call(i % 4, adds_one, arg), 0);
    return 0;
}

static void many_callers(void) {
    struct counters c = { { 0 } };
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .discard = true }), 0);
    for (unsigned i = 0; i < 40; i++) {
        uvt_task_options o = { .place = UVT_ON(i % 4) };
        CHECK_EQ(uvt_set_spawn_opts(&set, NULL, calls_all_round, &c, &o), 0);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    for (int k = 0; k < 4; k++) CHECK_EQ(c.of[k], 1000);
}

ON_SHARDS(4, call_forty_callers_four_thousand_calls_each_counted) {
    many_callers();
}

ON_SHARDS_REAL(4, call_forty_callers_on_real_threads_each_counted) {
    many_callers();
}

static int call_with_deadline(void *arg) {
    atomic_int *ends = arg;
    for (unsigned i = 0; i < 50; i++) {
        int rc = uvt_timeout(1 + i % 3, forever_at_the_end_of_a_chain, INT(1 + i % 3));
        CHECK_EQ(rc, UV_ETIMEDOUT);
        atomic_fetch_add(ends, 1);
    }
    return 0;
}

ON_SHARDS_REAL(4, call_cancelled_by_deadlines_on_real_threads_all_come_back) {
    atomic_int ends = 0;
    uvt_task_t t[8];
    for (unsigned i = 0; i < 8; i++) t[i] = spawn_on(i % 4, call_with_deadline, &ends);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(atomic_load(&ends), 400);
}

UVT_TEST_MAIN()
