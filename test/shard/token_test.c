/* SPDX-License-Identifier: MIT
 *
 * A token made on one shard and used on all: waited on, bound to scopes, with children elsewhere, cancelled and
 * released by anybody at any time.
 */
#include "shards.h"

static uvt_token_t *token;

static void make(void) {
    CHECK_EQ(uvt_token_new(&token, NULL), 0);
}

static int waits(void *arg) {
    return uvt_token_wait(arg ? arg : token);
}

static int cancels(void *arg) {
    return uvt_token_cancel(token, arg);
}

/* ---- waiting ---- */

ON_SHARDS(4, token_cancel_wakes_waiters_on_all_shards) {
    uvt_task_t t[8];
    make();
    for (unsigned i = 0; i < 8; i++) t[i] = settled_on(i % 4, waits, NULL);
    CHECK_EQ(uvt_token_cancel(token, "all"), 0);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    uvt_token_unref(token);
}

ON_SHARDS(4, token_cancelled_on_a_third_shard_wakes_waiters_elsewhere) {
    make();
    uvt_task_t a = settled_on(1, waits, NULL), b = settled_on(2, waits, NULL), c = settled_on(0, waits, NULL);
    CHECK_EQ(uvt_call(3, cancels, "third"), 0);
    CHECK(uvt_token_cancelled(token));
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_EQ(uvt_join(c, NULL), 0);
    CHECK_EQ(uvt_token_reason(token).code, UVT_REASON_TOKEN);
    CHECK_STR(uvt_token_reason(token).text, "third");
    uvt_token_unref(token);
}

ON_SHARDS(2, token_cancelled_before_is_waited_for_at_once_elsewhere) {
    make();
    CHECK_EQ(uvt_token_cancel(token, NULL), 0);
    CHECK_EQ(uvt_call(1, waits, NULL), 0);
    uvt_token_unref(token);
}

ON_SHARDS(2, token_waiter_elsewhere_can_be_aborted) {
    make();
    uvt_task_t t = settled_on(1, waits, NULL);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_token_cancel(token, NULL), 0);
    settle();
    uvt_token_unref(token);
}

ON_SHARDS(2, token_released_while_it_is_waited_for_elsewhere) {
    make();
    uvt_token_t *mine = token;
    uvt_task_t t = settled_on(1, waits, NULL);
    uvt_token_ref(mine);
    uvt_token_unref(token);
    CHECK_EQ(uvt_token_cancel(mine, NULL), 0);
    uvt_token_unref(mine); /* the waiter's child still holds it */
    CHECK_EQ(uvt_join(t, NULL), 0);
}

/* ---- scopes ---- */

static int scoped(void *arg) {
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .token = token }), 0);
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(rc, UV_ECANCELED);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_TOKEN);
    CHECK_STR(uvt_cancel_reason().text, arg);
    CHECK_EQ(uvt_scope_end(&s, rc), UV_ECANCELED);
    CHECK(uvt_scope_caught(&s));
    return uvt_sleep(1); /* goes on */
}

ON_SHARDS(4, token_bound_to_scopes_on_all_shards_cancels_them) {
    uvt_task_t t[4];
    make();
    for (unsigned k = 0; k < 4; k++) t[k] = settled_on(k, scoped, "words");
    CHECK_EQ(uvt_token_cancel(token, "words"), 0);
    for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    uvt_token_unref(token);
}

ON_SHARDS(2, token_cancelled_before_a_scope_elsewhere_begins_cancels_it) {
    make();
    CHECK_EQ(uvt_token_cancel(token, "early"), 0);
    CHECK_EQ(uvt_call(1, scoped, "early"), 0);
    uvt_token_unref(token);
}

static int under(void *arg) {
    return uvt_under_token(token, arg ? b_forever : b_where, NULL);
}

ON_SHARDS(2, token_under_which_a_function_runs_elsewhere) {
    make();
    CHECK_EQ(uvt_call(1, under, NULL), 1);
    uvt_task_t t = settled_on(1, under, INT(1));
    CHECK_EQ(uvt_token_cancel(token, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_call(1, under, NULL), UV_ECANCELED);
    uvt_token_unref(token);
}

/* ---- trees ---- */

static uvt_token_t *child;

static int makes_a_child(void *arg) {
    return uvt_token_new(arg, token);
}

ON_SHARDS(3, token_child_of_a_foreign_token_is_cancelled_with_it) {
    make();
    CHECK_EQ(uvt_call(1, makes_a_child, &child), 0);
    uvt_task_t t = settled_on(2, waits, child);
    CHECK_EQ(uvt_token_cancel(token, "down"), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK(uvt_token_cancelled(child));
    uvt_token_unref(token);
    uvt_token_unref(child);
}

ON_SHARDS(2, token_child_cancelled_elsewhere_leaves_its_parent) {
    make();
    CHECK_EQ(uvt_call(1, makes_a_child, &child), 0);
    CHECK_EQ(uvt_token_cancel(child, NULL), 0);
    settle();
    CHECK(uvt_token_cancelled(child));
    CHECK(!uvt_token_cancelled(token));
    uvt_token_unref(child);
    uvt_token_unref(token);
}

ON_SHARDS(2, token_child_of_a_cancelled_foreign_token_is_cancelled_from_birth) {
    make();
    CHECK_EQ(uvt_token_cancel(token, "old"), 0);
    CHECK_EQ(uvt_call(1, makes_a_child, &child), 0);
    CHECK(uvt_token_cancelled(child));
    uvt_token_unref(token);
    uvt_token_unref(child);
}

static uvt_token_t *level[8];

static int makes_a_level(void *arg) {
    int n = (int)(intptr_t)arg;
    return uvt_token_new(&level[n], n ? level[n - 1] : NULL);
}

/* A chain over shards 0 1 2 3 0 1 2 3; all but the ends let go. */
ON_SHARDS(4, token_chain_over_four_shards_passes_a_cancel_on_through_released_middles) {
    for (unsigned n = 0; n < 8; n++) CHECK_EQ(uvt_call(n % 4, makes_a_level, INT(n)), 0);
    uvt_task_t t = settled_on(1, waits, level[7]);
    for (unsigned n = 1; n < 7; n++) uvt_token_unref(level[n]);
    settle();
    CHECK_EQ(uvt_token_cancel(level[0], NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    uvt_token_unref(level[0]);
    uvt_token_unref(level[7]);
}

ON_SHARDS(4, token_middle_of_a_chain_cancels_below_only) {
    for (unsigned n = 0; n < 8; n++) CHECK_EQ(uvt_call(n % 4, makes_a_level, INT(n)), 0);
    CHECK_EQ(uvt_token_cancel(level[3], NULL), 0);
    settle();
    for (unsigned n = 0; n < 8; n++) CHECK_EQ(uvt_token_cancelled(level[n]), n >= 3);
    for (unsigned n = 0; n < 8; n++) uvt_token_unref(level[n]);
}

/* ---- releases ---- */

static int releases(void *arg) {
    uvt_token_unref(arg);
    return 0;
}

ON_SHARDS(3, token_last_reference_released_on_another_shard) {
    make();
    CHECK_EQ(uvt_call(1, makes_a_child, &child), 0);
    CHECK_EQ(uvt_call(2, releases, token), 0);
    CHECK_EQ(uvt_call(2, releases, child), 0);
    settle();
}

ON_SHARDS(2, token_with_a_time_set_released_on_another_shard) {
    make();
    CHECK_EQ(uvt_token_cancel_after(token, 10), 0);
    CHECK_EQ(uvt_call(1, releases, token), 0);
    CHECK_EQ(uvt_sleep(50), 0);
}

ON_SHARDS(2, token_with_a_time_set_and_its_last_child_released_on_another_shard) {
    make();
    CHECK_EQ(uvt_call(1, makes_a_child, &child), 0);
    CHECK_EQ(uvt_token_cancel_after(token, 10), 0);
    uvt_token_unref(token); /* the child keeps it */
    CHECK_EQ(uvt_call(1, releases, child), 0);
    CHECK_EQ(uvt_sleep(50), 0);
}

static int keeps_a_child(void *arg) {
    CHECK_EQ(uvt_token_new(arg, NULL), 0);
    return 0;
}

UVT_TEST_PLAIN(token_released_after_the_end_of_its_runtime) {
    uvt_token_t *k;
    CHECK_EQ(run_virtual(2, keeps_a_child, &k), 0);
    CHECK_EQ(uvt_token_cancel(k, NULL), UVT_EGONE);
    CHECK(uvt_token_cancelled(k));
    uvt_token_unref(k);
}

static int of_an_ended_runtime(void *arg) {
    uvt_token_t *k;
    uvt_scope_t s;
    CHECK_EQ(uvt_token_new(&k, arg), UVT_ESHARD);
    CHECK_EQ(uvt_token_wait(arg), UVT_ESHARD);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .token = arg }), UVT_ESHARD);
    return 0;
}

UVT_TEST_PLAIN(token_of_an_ended_runtime_is_refused) {
    uvt_token_t *k;
    CHECK_EQ(run_virtual(2, keeps_a_child, &k), 0);
    CHECK_EQ(run_virtual(2, of_an_ended_runtime, k), 0);
    uvt_token_unref(k);
}

/* ---- time ---- */

static int cancels_after(void *arg) {
    return uvt_token_cancel_after(token, (uint64_t)(intptr_t)arg);
}

ON_SHARDS(2, token_cancel_after_reaches_waiters_elsewhere_in_time) {
    make();
    uvt_task_t t = spawn_on(1, waits, NULL);
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_token_cancel_after(token, 30), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_now() - at, 30);
    uvt_token_unref(token);
}

ON_SHARDS(2, token_cancel_after_is_for_its_own_shard) {
    make();
    CHECK_EQ(uvt_call(1, cancels_after, INT(5)), UVT_ESHARD);
    uvt_token_unref(token);
}

/* ---- threads and races ---- */

static void thread_cancels(void *arg) {
    uv_sleep(3);
    CHECK_EQ(uvt_token_cancel(arg, "foreign"), 0);
    uvt_token_unref(arg);
}

ON_SHARDS_REAL(3, token_cancelled_by_a_foreign_thread_reaches_all_shards) {
    uv_thread_t thread;
    uvt_task_t t[3];
    make();
    uvt_external_begin();
    CHECK_EQ(uv_thread_create(&thread, thread_cancels, uvt_token_ref(token)), 0);
    for (unsigned k = 0; k < 3; k++) t[k] = spawn_on(k, waits, NULL);
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    uvt_external_end();
    CHECK_EQ(uv_thread_join(&thread), 0);
    uvt_token_unref(token);
}

static int scopes_come_and_go(void *arg) {
    uvt_scope_t s;
    int rc = 0;
    for (int i = 0; rc == 0; i++) {
        CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .token = token }), 0);
        rc = uvt_scope_end(&s, i % 3 ? uvt_yield() : uvt_sleep(0));
        atomic_fetch_add((atomic_int *)arg, 1);
    }
    return rc;
}

ON_SHARDS_REAL(4, token_cancelled_while_scopes_begin_and_end_everywhere) {
    for (int round = 0; round < 20; round++) {
        atomic_int n = 0;
        uvt_task_t t[8];
        make();
        for (unsigned i = 0; i < 8; i++) t[i] = spawn_on(i % 4, scopes_come_and_go, &n);
        while (atomic_load(&n) < 100) uvt_yield();
        CHECK_EQ(uvt_call((unsigned)round % 4, cancels, NULL), 0);
        for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), UV_ECANCELED);
        uvt_token_unref(token);
    }
}

static int children_come_and_go(void *arg) {
    for (int i = 0; i < 200; i++) {
        uvt_token_t *a, *b;
        CHECK_EQ(uvt_token_new(&a, token), 0);
        CHECK_EQ(uvt_token_new(&b, a), 0);
        uvt_token_unref(i % 2 ? a : b);
        if (i % 7 == 0) uvt_yield();
        if (i % 5 == 0) uvt_token_cancel(i % 2 ? b : a, NULL);
        uvt_token_unref(i % 2 ? b : a);
        if (i == 150 && arg) CHECK_EQ(uvt_token_cancel(token, "half way"), 0);
    }
    return 0;
}

ON_SHARDS_REAL(4, token_children_made_and_released_everywhere_beside_a_cancel) {
    for (int round = 0; round < 10; round++) {
        uvt_task_t t[4];
        make();
        for (unsigned k = 0; k < 4; k++) t[k] = spawn_on(k, children_come_and_go, INT(k == 2));
        for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
        CHECK(uvt_token_cancelled(token));
        uvt_token_unref(token);
    }
}

static int waits_under_children(void *arg) {
    uvt_token_t *k;
    CHECK_EQ(uvt_token_new(&k, token), 0);
    uvt_task_t t = spawn_on((uvt_shard_index() + 1) % uvt_shard_count(), waits, k);
    CHECK_EQ(uvt_join(t, NULL), 0);
    uvt_token_unref(k);
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

ON_SHARDS_REAL(4, token_hundred_waiters_through_two_shards_each_wake_once) {
    atomic_int woken = 0;
    uvt_task_t t[100];
    make();
    for (unsigned i = 0; i < 100; i++) t[i] = spawn_on(i % 4, waits_under_children, &woken);
    for (int i = 0; i < 20; i++) uvt_yield();
    CHECK_EQ(uvt_token_cancel(token, NULL), 0);
    for (unsigned i = 0; i < 100; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(atomic_load(&woken), 100);
    uvt_token_unref(token);
}

UVT_TEST_MAIN()
