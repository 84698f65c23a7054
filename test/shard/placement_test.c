/* SPDX-License-Identifier: MIT
 *
 * Where tasks run: on their parent's shard, on one that was named, or on whichever has time. (The pinning of threads
 * to cores, and spinning, are options of the runtime: shard/options_test.c.)
 */
#include "shards.h"

/* ---- UVT_ON ---- */

struct place {
    unsigned shard, count;
    uv_thread_t thread;
};

static int notes_its_place(void *arg) {
    struct place *p = arg;
    p->shard = uvt_shard_index();
    p->count = uvt_shard_count();
    p->thread = uv_thread_self();
    return 7;
}

ON_SHARDS(4, place_on_runs_on_that_shard_each_on_a_thread_of_its_own) {
    struct place p[4];
    uv_thread_t here = uv_thread_self();
    for (unsigned k = 0; k < 4; k++) CHECK_EQ(join(spawn_on(k, notes_its_place, &p[k])).status, 7);
    for (unsigned k = 0; k < 4; k++) {
        CHECK_EQ(p[k].shard, k);
        CHECK_EQ(p[k].count, 4);
        CHECK_EQ(uv_thread_equal(&here, &p[k].thread) != 0, k == 0);
        for (unsigned i = 0; i < k; i++) CHECK(!uv_thread_equal(&p[i].thread, &p[k].thread));
    }
}

ON_SHARDS(3, place_on_same_shard_is_the_same_thread_every_time) {
    struct place a, b;
    join(spawn_on(2, notes_its_place, &a));
    join(spawn_on(2, notes_its_place, &b));
    CHECK(uv_thread_equal(&a.thread, &b.thread));
}

static int children_of_a_guest(void *arg) {
    (void)arg;
    CHECK_EQ(spawn_and_join(b_where, NULL), 2);
    CHECK_EQ(uvt_join(spawn_on(2, b_where, NULL), NULL), 2);
    CHECK_EQ(uvt_join(spawn_on(0, b_where, NULL), NULL), 0);
    return (int)uvt_shard_index();
}

ON_SHARDS(3, place_unset_stays_on_the_parents_shard) {
    CHECK_EQ(spawn_and_join(b_where, NULL), 0);
    CHECK_EQ(uvt_join(spawn_on(2, children_of_a_guest, NULL), NULL), 2);
}

static int stays_where_it_is(void *arg) {
    uv_thread_t before = uv_thread_self(), after;
    for (int i = 0; i < 20; i++) CHECK_EQ(i % 2 ? uvt_sleep(1) : uvt_yield(), 0);
    after = uv_thread_self();
    CHECK(uv_thread_equal(&before, &after));
    return (int)uvt_shard_index() == (int)(intptr_t)arg ? 0 : -1;
}

ON_SHARDS(4, place_task_never_moves_once_it_has_started) {
    uvt_task_t t[8];
    for (unsigned i = 0; i < 8; i++) t[i] = spawn_on(i % 4, stays_where_it_is, INT(i % 4));
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
}

static int place_refused(int place) {
    uvt_task_t t = { NULL, 0 };
    int rc = uvt_spawn_opts(&t, b_return, NULL, &(uvt_task_options){ .place = place });
    CHECK(t.rec == NULL);
    return rc;
}

ON_SHARDS(2, place_beyond_the_last_shard_is_einval) {
    CHECK_EQ(place_refused(UVT_ON(2)), UV_EINVAL);
    CHECK_EQ(place_refused(UVT_ON(1000)), UV_EINVAL);
    CHECK_EQ(place_refused(INT32_MAX), UV_EINVAL);
    CHECK_EQ(place_refused(-2), UV_EINVAL);
    CHECK_EQ(place_refused(INT32_MIN), UV_EINVAL);
}

ON_SHARDS(1, place_on_one_shard_runs_here) {
    CHECK_EQ(uvt_join(spawn_on(0, b_where, NULL), NULL), 0);
    CHECK_EQ(uvt_join(spawn_any(b_return, INT(5)), NULL), 5);
    CHECK_EQ(place_refused(UVT_ON(1)), UV_EINVAL);
}

ON_SHARDS(1, place_any_on_one_shard_keeps_the_order) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .place = UVT_ANY }), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_step, "a"), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_step, "b"), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_STEPS("a b");
}

ON_SHARDS(2, place_with_a_start_delay_is_einval) {
    uvt_task_t t;
    uvt_task_options o = { .start_after_ms = 5, .place = UVT_ON(1) };
    CHECK_EQ(uvt_spawn_opts(&t, b_return, NULL, &o), UV_EINVAL);
    o.place = UVT_ANY;
    CHECK_EQ(uvt_spawn_opts(&t, b_return, NULL, &o), UV_EINVAL);
    o.place = UVT_ON(0);
    CHECK_EQ(uvt_spawn_opts(&t, b_return, NULL, &o), UV_EINVAL);
    o.place = 0;
    CHECK_EQ(uvt_spawn_opts(&t, b_where, NULL, &o), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

ON_SHARDS(2, place_refused_leaves_nothing_behind) {
    uvt_stats before, after;
    uvt_stats_get(&before);
    for (int i = 0; i < 100; i++) CHECK_EQ(place_refused(UVT_ON(2)), UV_EINVAL);
    uvt_stats_get(&after);
    CHECK_EQ(after.records, before.records);
    CHECK_EQ(after.tasks, before.tasks);
}

/* ---- sets ---- */

ON_SHARDS(3, set_place_is_the_default_of_its_members) {
    uvt_set_t set;
    uvt_result r;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .place = UVT_ON(2) }), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_where, NULL), 0);
    CHECK_EQ(uvt_set_try_spawn(&set, b_where, NULL), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, NULL, b_where, NULL, &(uvt_task_options){ .name = "named" }), 0);
    while (uvt_set_next(&set, &r) == 0) CHECK_EQ(r.status, 2);
    CHECK_EQ(uvt_set_close(&set), 0);
}

ON_SHARDS(3, set_place_is_overridden_by_a_members_own) {
    uvt_set_t set;
    uvt_result r;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .place = UVT_ON(2) }), 0);
    for (unsigned k = 0; k < 2; k++) {
        uvt_task_options o = { .place = UVT_ON(k) };
        CHECK_EQ(uvt_set_spawn_opts(&set, NULL, b_where, NULL, &o), 0);
        CHECK_EQ(uvt_set_next(&set, &r), 0);
        CHECK_EQ(r.status, k);
    }
    CHECK_EQ(uvt_set_close(&set), 0);
}

ON_SHARDS(2, set_place_that_does_not_exist_is_einval_at_spawn) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .place = UVT_ON(2) }), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_where, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

/* ---- UVT_ANY (real threads, no clock) ---- */

static int opens(void *arg) {
    atomic_store((atomic_bool *)arg, true);
    return (int)uvt_shard_index();
}

ON_SHARDS_REAL(2, place_any_idle_shard_takes_it_while_home_computes) {
    atomic_bool open = false;
    uvt_task_t t = spawn_any(opens, &open);
    b_computes_until(&open);
    CHECK_EQ(uvt_join(t, NULL), 1);
}

ON_SHARDS_REAL(2, place_any_runs_at_home_when_the_others_compute) {
    atomic_bool open = false;
    uvt_task_t busy = spawn_on(1, b_computes_until, &open), t[10];
    for (int i = 0; i < 10; i++) t[i] = spawn_any(b_where, NULL);
    for (int i = 0; i < 10; i++) uvt_join(t[i], NULL); /* some may have gone there before it began */
    atomic_store(&open, true);
    CHECK_EQ(uvt_join(busy, NULL), 0);
}

static int meet(void *arg) {
    atomic_int *there = arg;
    atomic_fetch_add(there, 1);
    while (atomic_load(there) < 4) sched_yield();
    return (int)uvt_shard_index();
}

/* Four tasks that all have to run at once: each needs a thread. */
ON_SHARDS_REAL(4, place_any_four_computing_tasks_get_a_shard_each) {
    atomic_int there = 0;
    uvt_task_t t[4];
    unsigned seen = 0;
    for (int i = 0; i < 4; i++) t[i] = spawn_any(meet, &there);
    for (int i = 0; i < 4; i++) seen |= 1u << join(t[i]).status;
    CHECK_EQ(seen, 15);
}

ON_SHARDS_REAL(4, place_any_uneven_load_is_taken_while_home_never_yields) {
    enum { N = 500 };
    static uvt_task_t t[N];
    atomic_int ran = 0;
    for (int i = 0; i < N; i++) t[i] = spawn_any(b_atomic_count, &ran);
    while (atomic_load(&ran) < N) sched_yield();
    for (int i = 0; i < N; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(atomic_load(&ran), N);
}

static int spawns_a_hundred(void *arg) {
    uvt_task_t t[100];
    for (int i = 0; i < 100; i++) t[i] = spawn_any(b_atomic_count, arg);
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    return 0;
}

ON_SHARDS_REAL(4, place_any_from_every_shard_each_runs_once) {
    atomic_int ran = 0;
    uvt_task_t t[4];
    for (unsigned k = 0; k < 4; k++) t[k] = spawn_on(k, spawns_a_hundred, &ran);
    for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    CHECK_EQ(atomic_load(&ran), 400);
}

static int abort_any(void *arg) {
    uvt_task_t t = spawn_any(b_counts_its_cancel, arg);
    CHECK_EQ(uvt_abort(t), 0);
    uvt_result r = join(t);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.reason.code, UVT_REASON_ABORT);
    return 0;
}

ON_SHARDS_REAL(4, place_any_aborted_while_shards_reach_for_it_runs_cancelled_once) {
    atomic_int cancels = 0;
    uvt_task_t t[4];
    for (int round = 0; round < 100; round++) {
        for (unsigned k = 0; k < 4; k++) t[k] = spawn_on(k, abort_any, &cancels);
        for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    }
    CHECK_EQ(atomic_load(&cancels), 400);
}

ON_SHARDS(4, place_any_members_of_a_set_that_closes_at_once_all_run) {
    atomic_int cancels = 0;
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .place = UVT_ANY }), 0);
    for (int i = 0; i < 50; i++) CHECK_EQ(uvt_set_spawn(&set, b_counts_its_cancel, &cancels), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(atomic_load(&cancels), 50);
}

static int detaches_any(void *arg) {
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_detach(spawn_any(b_counts_its_cancel, arg)), 0);
    return 0;
}

UVT_TEST_PLAIN(place_any_detached_tasks_are_cancelled_at_the_end) {
    atomic_int cancels = 0;
    CHECK_EQ(run_virtual(4, detaches_any, &cancels), 0);
    CHECK_EQ(atomic_load(&cancels), 20);
}

UVT_TEST_MAIN()
