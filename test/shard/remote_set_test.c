/* SPDX-License-Identifier: MIT
 *
 * Task sets whose members run on other shards: order, limit, fail_fast, discard, close are what they are for members
 * that run at home.
 */
#include "../core/members.h"
#include "shards.h"

static uvt_set_t opened(uvt_set_options o) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, &o), 0);
    return set;
}

static uvt_task_t add_on(uvt_set_t *set, unsigned k, uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_set_spawn_opts(set, &t, fn, arg, &(uvt_task_options){ .place = UVT_ON(k) }), 0);
    return t;
}

/* ---- results ---- */

ON_SHARDS(4, set_next_gives_members_of_four_shards_in_the_order_of_their_ends) {
    static const int ms[] = { 40, 10, 30, 20, 50 };
    uvt_set_t set = opened((uvt_set_options){ 0 });
    for (unsigned i = 0; i < 5; i++) add_on(&set, i % 4, nap, MS(ms[i]));
    for (int i = 1; i <= 5; i++) CHECK_EQ(take(&set).status, 10 * i);
    CHECK_EQ(uvt_set_next(&set, NULL), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
}

ON_SHARDS(4, set_results_tell_handle_argument_outcome_reason_and_message) {
    uvt_set_t set = opened((uvt_set_options){ 0 });
    uvt_task_t a = add_on(&set, 1, b_panic, "ouch"), b = add_on(&set, 2, endless, MS(0));
    uvt_result r = take(&set);
    CHECK_EQ(r.task.id, a.id);
    CHECK_EQ(r.outcome, UVT_PANICKED);
    CHECK_STR(r.message, "ouch");
    CHECK_EQ(uvt_abort_why(b, "words"), 0);
    r = take(&set);
    CHECK_EQ(r.task.id, b.id);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.reason.code, UVT_REASON_ABORT);
    CHECK_STR(r.reason.text, "words");
    CHECK_EQ(uvt_set_close(&set), 0);
}

ON_SHARDS(3, set_len_counts_members_elsewhere_and_results) {
    uvt_set_t set = opened((uvt_set_options){ .place = UVT_ON(2) });
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_set_spawn(&set, nap, MS(i % 2 ? 5 : 50)), 0);
    CHECK_EQ(uvt_set_try_next(&set, NULL), UV_EAGAIN);
    CHECK_EQ(uvt_sleep(10), 0);
    CHECK_EQ(uvt_set_len(&set), 10);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_set_try_next(&set, NULL), 0);
    CHECK_EQ(uvt_set_try_next(&set, NULL), UV_EAGAIN);
    CHECK_EQ(uvt_set_len(&set), 5);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

ON_SHARDS(2, set_wait_returns_the_failure_of_a_member_elsewhere) {
    uvt_set_t set = opened((uvt_set_options){ .place = UVT_ON(1) });
    CHECK_EQ(uvt_set_spawn(&set, fail_later, MS(5)), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(9)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

/* ---- fail_fast, discard, drop ---- */

ON_SHARDS(4, fail_fast_failure_elsewhere_cancels_siblings_everywhere) {
    atomic_int cancels = 0;
    uvt_set_t set = opened((uvt_set_options){ .fail_fast = true });
    for (unsigned k = 0; k < 4; k++) add_on(&set, k, b_counts_its_cancel, &cancels);
    add_on(&set, 3, fail_later, MS(7));
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_now() - at, 7);
    CHECK_EQ(atomic_load(&cancels), 4);
    for (int i = 0; i < 5; i++) {
        uvt_result r = take(&set);
        if (r.outcome == UVT_CANCELLED) CHECK_EQ(r.reason.code, UVT_REASON_SIBLING);
    }
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

ON_SHARDS(2, fail_fast_member_added_after_the_failure_is_cancelled_elsewhere) {
    atomic_int cancels = 0;
    uvt_set_t set = opened((uvt_set_options){ .fail_fast = true, .place = UVT_ON(1) });
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(UV_EIO)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_set_spawn(&set, b_counts_its_cancel, &cancels), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(atomic_load(&cancels), 1);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

ON_SHARDS(4, discard_keeps_no_result_of_a_thousand_members_elsewhere) {
    atomic_int ran = 0;
    uvt_stats before, after;
    uvt_set_t set = opened((uvt_set_options){ .discard = true, .limit = 16, .place = UVT_ANY });
    uvt_stats_get(&before);
    for (unsigned i = 0; i < 1000; i++) {
        uvt_task_options o = { .place = i % 3 ? UVT_ON(i % 4) : 0 };
        CHECK_EQ(uvt_set_spawn_opts(&set, NULL, b_atomic_count, &ran, &o), 0);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_len(&set), 0);
    uvt_stats_get(&after);
    CHECK_EQ(after.records, before.records);
    CHECK_EQ(atomic_load(&ran), 1000);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static void drops(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
    CHECK_EQ(uvt_shard_index(), 0);
    CHECK_EQ(uvt_yield(), UVT_ENOTASK);
}

/* Memory for the record there and for the stack fails at some point: either it ran or it was dropped, once. */
ON_SHARDS(2, drop_of_a_member_that_cannot_run_elsewhere_is_called_at_home) {
    int dropped = 0;
    for (unsigned n = 1; n < 20; n++) {
        atomic_int seen = 0;
        uvt_set_t set = opened((uvt_set_options){ .drop = drops, .place = UVT_ON(1) });
        uvt_test_fail_alloc(n);
        int rc = uvt_set_spawn(&set, b_atomic_count, &seen);
        uvt_result r = { .status = 0 };
        if (rc == 0) r = take(&set);
        bool hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        CHECK_EQ(uvt_set_close(&set), 0);
        CHECK_EQ(atomic_load(&seen), rc == 0); /* it ran, or was dropped */
        if (rc == 0)
            CHECK(r.status == 0 || (hit && r.status == UV_ENOMEM));
        else
            CHECK(rc == UV_ENOMEM && hit);
        dropped += r.status == UV_ENOMEM;
        if (!hit) break;
    }
    CHECK(dropped > 0);
}

/* ---- limit ---- */

static atomic_int inside, most;

static int stays_a_while(void *arg) {
    int now = atomic_fetch_add(&inside, 1) + 1, seen = atomic_load(&most);
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
    }
    int rc = uvt_sleep((uint64_t)(intptr_t)arg);
    atomic_fetch_sub(&inside, 1);
    return rc;
}

ON_SHARDS(4, limit_holds_over_all_shards) {
    uvt_set_t set = opened((uvt_set_options){ .limit = 5, .discard = true });
    uint64_t at = uvt_now();
    for (unsigned i = 0; i < 40; i++) add_on(&set, i % 4, stays_a_while, MS(10));
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_now() - at, 80);
    CHECK_EQ(atomic_load(&most), 5);
    CHECK_EQ(uvt_set_close(&set), 0);
}

ON_SHARDS(2, limit_full_of_members_elsewhere_is_ebusy_to_try) {
    uvt_set_t set = opened((uvt_set_options){ .limit = 1, .place = UVT_ON(1) });
    CHECK_EQ(uvt_set_spawn(&set, nap, MS(5)), 0);
    CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(5)), UV_EBUSY);
    CHECK_EQ(take(&set).status, 5);
    CHECK_EQ(uvt_set_try_spawn(&set, nap, MS(6)), 0);
    CHECK_EQ(take(&set).status, 6);
    CHECK_EQ(uvt_set_close(&set), 0);
}

/* ---- abort, detach, close ---- */

ON_SHARDS(4, abort_all_reaches_members_everywhere) {
    uvt_set_t set = opened((uvt_set_options){ 0 });
    for (unsigned i = 0; i < 8; i++) add_on(&set, i % 4, i < 4 ? endless : b_return, MS(0));
    settle();
    CHECK_EQ(uvt_set_abort_all(&set), 0);
    CHECK_EQ(uvt_set_len(&set), 8);
    int cancelled = 0;
    for (int i = 0; i < 8; i++) {
        uvt_result r = take(&set);
        cancelled += r.outcome == UVT_CANCELLED && r.reason.code == UVT_REASON_SET;
    }
    CHECK_EQ(cancelled, 4);
    CHECK_EQ(uvt_set_close(&set), 0);
}

ON_SHARDS(4, close_cancels_all_then_waits_so_delays_do_not_add_up) {
    uvt_set_t set = opened((uvt_set_options){ 0 });
    for (unsigned k = 0; k < 4; k++) add_on(&set, k, b_stubborn, MS(100 + 10 * k));
    settle();
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_now() - at, 129);
}

ON_SHARDS(4, close_at_once_members_that_had_not_started_see_the_cancel) {
    atomic_int cancels = 0;
    uvt_set_t set = opened((uvt_set_options){ 0 });
    for (unsigned i = 0; i < 20; i++) add_on(&set, i % 4, b_counts_its_cancel, &cancels);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(atomic_load(&cancels), 20);
}

static int leaves_a_set_open(void *arg) {
    uvt_set_t set = opened((uvt_set_options){ 0 });
    for (unsigned k = 0; k < 4; k++) add_on(&set, k, b_counts_its_cancel, arg);
    return 0;
}

ON_SHARDS(4, set_left_open_is_closed_with_its_opener_elsewhere) {
    atomic_int cancels = 0;
    CHECK_EQ(uvt_join(spawn_on(2, leaves_a_set_open, &cancels), NULL), 0);
    CHECK_EQ(atomic_load(&cancels), 4);
}

static int detaches_a_set(void *arg) {
    uvt_set_t set = opened((uvt_set_options){ 0 });
    for (unsigned k = 0; k < 4; k++) add_on(&set, k, fail_later, MS(5));
    CHECK_EQ(uvt_set_detach_all(&set), 0);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    return uvt_sleep((uint64_t)(intptr_t)arg);
}

UVT_TEST_PLAIN(detach_all_failures_elsewhere_come_out_of_run) {
    CHECK_EQ(run_virtual(4, detaches_a_set, MS(10)), UV_EIO);
    CHECK_EQ(run_virtual(4, detaches_a_set, MS(1)), 0); /* cancelled before they fail */
}

/* ---- scopes around the set ---- */

static int ends_by_a_deadline(void *arg) {
    int rc = b_counts_its_cancel(arg);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_DEADLINE);
    return rc;
}

static int waits_for_members(void *arg) {
    uvt_set_t set = opened((uvt_set_options){ 0 });
    for (unsigned k = 0; k < 4; k++) add_on(&set, k, ends_by_a_deadline, arg);
    CHECK_EQ(uvt_set_wait(&set), UV_ECANCELED);
    return uvt_set_close(&set);
}

ON_SHARDS(4, deadline_around_a_set_reaches_members_elsewhere) {
    atomic_int cancels = 0;
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_timeout(25, waits_for_members, &cancels), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - at, 25);
    CHECK_EQ(atomic_load(&cancels), 4);
}

ON_SHARDS(2, scope_cancelled_before_the_spawn_member_elsewhere_is_cancelled_from_birth) {
    atomic_int cancels = 0;
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    uvt_set_t set = opened((uvt_set_options){ 0 });
    CHECK_EQ(uvt_scope_cancel(&s, "before"), 0);
    add_on(&set, 1, b_counts_its_cancel, &cancels);
    CHECK_EQ(uvt_set_close(&set), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ECANCELED);
    CHECK_EQ(atomic_load(&cancels), 1);
}

static int starts_where(void *arg) {
    (void)arg;
    return uvt_started(INT(uvt_shard_index()));
}

ON_SHARDS(2, set_start_runs_here_whatever_the_sets_place) {
    uvt_set_t set = opened((uvt_set_options){ .place = UVT_ON(1) });
    void *where = INT(7);
    CHECK_EQ(uvt_set_start(&set, starts_where, NULL, &where), 0);
    CHECK_EQ((intptr_t)where, 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST_MAIN()
