/* SPDX-License-Identifier: MIT
 *
 * Jobs with a handle: children and members of sets that have no stack. They are joined, aborted, detached and taken
 * along by their owner like any other task.
 */
#include "jobs.h"

/* ---- children ---- */

UVT_TEST(spawn_blocking_joined_gives_the_result) {
    uvt_task_t t;
    uvt_result r;
    CHECK_EQ(uvt_spawn_blocking(&t, value_job, INT(5)), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, 5);
    CHECK(r.arg == INT(5));
}

UVT_TEST(spawn_blocking_takes_no_stack) {
    struct gate g;
    uvt_task_t t;
    uvt_stats before, after;
    gate_init(&g);
    CHECK_EQ(uvt_stats_get(&before), 0);
    CHECK_EQ(uvt_spawn_blocking(&t, stand, &g), 0);
    gate_wait(&g, 1);
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.stacks, before.stacks);
    CHECK_EQ(after.tasks, before.tasks + 1);
    gate_open(&g, 1);
    CHECK_EQ(uvt_join(t, NULL), 7);
    gate_end(&g);
}

UVT_TEST(spawn_blocking_many_all_results_come) {
    enum { N = 1000 };
    static uvt_task_t t[N];
    for (int i = 0; i < N; i++) CHECK_EQ(uvt_spawn_blocking(&t[i], value_job, INT(i)), 0);
    for (int i = 0; i < N; i++) CHECK_EQ(uvt_join(t[i], NULL), i);
}

UVT_TEST(spawn_blocking_name_is_the_functions_or_the_given_one_cut) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_blocking(&t, value_job, NULL), 0);
    CHECK_STR(uvt_task_name(t), "value_job");
    CHECK_EQ(uvt_join(t, NULL), 0);
    uvt_blocking_options o = { .name = "0123456789012345678901234567890123456789" };
    CHECK_EQ(uvt_spawn_blocking_opts(&t, value_job, NULL, &o), 0);
    CHECK_STR(uvt_task_name(t), "0123456789012345678901234567890");
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST(spawn_blocking_aborted_while_it_waits_never_runs) {
    struct gate full, g;
    uvt_task_t t;
    gate_init(&full);
    gate_init(&g);
    fill_pool(&full);
    CHECK_EQ(uvt_spawn_blocking_opts(&t, stand, &g, &(uvt_blocking_options){ .drop = drop_at }), 0);
    CHECK_EQ(uvt_abort_why(t, "changed my mind"), 0);
    uvt_result r;
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.reason.code, UVT_REASON_ABORT);
    CHECK_STR(r.reason.text, "changed my mind");
    CHECK_EQ(g.dropped, 1);
    empty_pool(&full);
    CHECK_EQ(uvt_blocking(value_job, INT(1)), 1);
    CHECK_EQ(g.begun, 0);
    gate_end(&full);
    gate_end(&g);
}

UVT_TEST(spawn_blocking_aborted_while_it_runs_ends_with_the_jobs_result) {
    struct gate g;
    uvt_task_t t;
    gate_init(&g);
    CHECK_EQ(uvt_spawn_blocking(&t, stand, &g), 0);
    gate_wait(&g, 1);
    CHECK_EQ(uvt_abort(t), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    gate_open(&g, 1);
    uvt_result r;
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, 7);
    CHECK_EQ(g.stopped, 1);
    gate_end(&g);
}

static int gives_up_when_asked(void *arg) {
    stand(arg);
    return uvt_blocking_cancelled() ? UV_ECANCELED : 0;
}

UVT_TEST(spawn_blocking_job_that_gives_up_counts_as_cancelled) {
    struct gate g;
    uvt_task_t t;
    gate_init(&g);
    CHECK_EQ(uvt_spawn_blocking(&t, gives_up_when_asked, &g), 0);
    gate_wait(&g, 1);
    CHECK_EQ(uvt_abort(t), 0);
    gate_open(&g, 1);
    ends_cancelled(t);
    gate_end(&g);
}

UVT_TEST(spawn_blocking_abandoned_ends_at_once_and_drops_later) {
    struct gate g;
    uvt_task_t t;
    gate_init(&g);
    uvt_blocking_options o = { .drop = drop_at, .abandon = true };
    CHECK_EQ(uvt_spawn_blocking_opts(&t, stand, &g, &o), 0);
    gate_wait(&g, 1);
    CHECK_EQ(uvt_abort(t), 0);
    ends_cancelled(t);
    CHECK_EQ(g.inside, 1);
    CHECK_EQ(g.dropped, 0);
    gate_open(&g, 1);
    while (atomic_load(&g.dropped) == 0) CHECK_EQ(uvt_yield(), 0);
    gate_end(&g);
}

UVT_TEST(spawn_blocking_abandoned_and_back_before_its_task_has_ended_drops_once) {
    struct gate g;
    uvt_task_t t;
    gate_init(&g);
    uvt_blocking_options o = { .drop = drop_at, .abandon = true };
    for (int i = 0; i < 200; i++) { /* the thread comes home while the task's end is due */
        CHECK_EQ(uvt_spawn_blocking_opts(&t, stand, &g, &o), 0);
        gate_wait(&g, 1);
        CHECK_EQ(uvt_abort(t), 0);
        gate_open(&g, 1);
        while (atomic_load(&g.inside) > 0) {}
        ends_cancelled(t);
    }
    while (atomic_load(&g.dropped) < 200) CHECK_EQ(uvt_yield(), 0);
    gate_end(&g);
}

static int owns_a_job(void *g) {
    CHECK_EQ(uvt_spawn_blocking(NULL, stand, g), 0);
    gate_wait(g, 1);
    return 0;
}

UVT_TEST(spawn_blocking_owner_ends_only_after_the_job) {
    struct gate g;
    gate_init(&g);
    uvt_task_t t = spawned(owns_a_job, &g);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    gate_open(&g, 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(g.stopped, 1);
    gate_end(&g);
}

static int detaches_a_job(void *g) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_blocking(&t, stand, g), 0);
    gate_wait(g, 1);
    return uvt_detach(t);
}

UVT_TEST(spawn_blocking_detached_outlives_its_owner) {
    struct gate g;
    gate_init(&g);
    CHECK_EQ(uvt_join(spawned(detaches_a_job, &g), NULL), 0);
    CHECK_EQ(g.inside, 1);
    gate_open(&g, 1);
    while (atomic_load(&g.inside) > 0) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(g.stopped, 0);
    gate_end(&g);
}

static int spawns_when_aborted(void *g) {
    uvt_task_t t;
    CHECK_EQ(uvt_sleep(1000), UV_ECANCELED);
    CHECK_EQ(uvt_spawn_blocking_opts(&t, stand, g, &(uvt_blocking_options){ .drop = drop_at }), 0);
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .shield = true }), 0);
    ends_cancelled(t);
    return uvt_scope_end(&s, 0);
}

UVT_TEST(spawn_blocking_child_of_an_aborted_task_never_starts) {
    struct gate g;
    gate_init(&g);
    uvt_task_t t = spawned(spawns_when_aborted, &g);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(g.begun, 0);
    CHECK_EQ(g.dropped, 1);
    gate_end(&g);
}

/* ---- members ---- */

UVT_TEST(set_spawn_blocking_results_come_as_jobs_end) {
    uvt_set_t set;
    uvt_result r;
    int sum = 0, n = 0;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 1; i <= 100; i++) CHECK_EQ(uvt_set_spawn_blocking(&set, value_job, INT(i)), 0);
    for (; uvt_set_next(&set, &r) == 0; n++) sum += r.status;
    CHECK_EQ(n, 100);
    CHECK_EQ(sum, 5050);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_spawn_blocking_full_set_waits_for_room) {
    struct gate g;
    uvt_set_t set;
    gate_init(&g);
    gate_open(&g, 1000);
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .limit = 2, .discard = true }), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(uvt_set_spawn_blocking(&set, stand, &g), 0);
        CHECK_IN(uvt_set_len(&set), 1, 3);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(g.ended, 100);
    CHECK_IN(g.most, 1, 3);
    CHECK_EQ(uvt_set_close(&set), 0);
    gate_end(&g);
}

struct spawner {
    uvt_set_t *set;
    struct gate *g;
};

static int spawns_a_member(void *arg) {
    struct spawner *s = arg;
    return uvt_set_spawn_blocking_opts(s->set, NULL, stand, s->g, &(uvt_blocking_options){ .drop = drop_at });
}

UVT_TEST(set_spawn_blocking_cancelled_while_it_waits_for_room_spawned_nothing) {
    struct gate g;
    uvt_set_t set;
    gate_init(&g);
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .limit = 1 }), 0);
    struct spawner s = { &set, &g };
    CHECK_EQ(spawns_a_member(&s), 0);
    gate_wait(&g, 1);
    uvt_task_t t = spawned(spawns_a_member, &s);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    ends_cancelled(t);
    CHECK_EQ(uvt_set_len(&set), 1);
    CHECK_EQ(g.dropped, 0);
    gate_open(&g, 1);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(g.begun, 1);
    CHECK_EQ(uvt_set_close(&set), 0);
    gate_end(&g);
}

UVT_TEST(set_spawn_blocking_failure_cancels_the_siblings) {
    struct gate g;
    uvt_set_t set;
    uvt_task_t waits;
    gate_init(&g);
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true }), 0);
    CHECK_EQ(uvt_set_spawn_blocking(&set, stand, &g), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, &waits, awaits_stand, &g, NULL), 0);
    settle();
    gate_wait(&g, 2);
    CHECK_EQ(uvt_set_spawn_blocking(&set, value_job, INT(UV_EIO)), 0);
    while (uvt_set_len(&set) > 0) { /* the failure has come home when somebody can be read */
        uvt_result r;
        int rc = uvt_set_try_next(&set, &r);
        if (rc == 0) {
            CHECK_EQ(r.status, UV_EIO);
            break;
        }
        CHECK_EQ(uvt_yield(), 0);
    }
    gate_open(&g, 2);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(g.stopped, 2); /* both were told, and both ended as they liked */
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
    gate_end(&g);
}

UVT_TEST(set_spawn_blocking_after_the_failure_never_starts) {
    struct gate g;
    uvt_set_t set;
    gate_init(&g);
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true }), 0);
    CHECK_EQ(uvt_set_spawn_blocking(&set, value_job, INT(UV_EIO)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    struct spawner s = { &set, &g };
    CHECK_EQ(spawns_a_member(&s), 0);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
    CHECK_EQ(g.begun, 0);
    CHECK_EQ(g.dropped, 1);
    gate_end(&g);
}

UVT_TEST(set_spawn_blocking_closed_set_awaits_what_runs_and_drops_what_waits) {
    struct gate full, g;
    uvt_set_t set;
    gate_init(&full);
    gate_init(&g);
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .drop = drop_at }), 0); /* the set's does not count for jobs */
    for (unsigned i = 0; i < for_jobs(); i++) CHECK_EQ(uvt_set_spawn_blocking(&set, stand, &full), 0);
    gate_wait(&full, (int)for_jobs());
    for (int i = 0; i < 5; i++) {
        struct spawner s = { &set, &g };
        CHECK_EQ(spawns_a_member(&s), 0);
    }
    gate_open(&g, 5); /* some may begin before the close */
    gate_open(&full, (int)for_jobs());
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(full.dropped, 0);
    CHECK_EQ(g.dropped + g.ended, 5);
    gate_end(&full);
    gate_end(&g);
}

UVT_TEST(set_spawn_blocking_failure_comes_out_of_close) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .discard = true }), 0);
    CHECK_EQ(uvt_set_spawn_blocking(&set, panic_job, INT(1)), 0);
    CHECK_EQ(uvt_set_wait(&set), UVT_EPANIC);
    CHECK_EQ(uvt_set_close(&set), UVT_EPANIC);
    CHECK(uvt_test_reports()[0] != '\0');
}

/* ---- many at once, brought without a pause ---- */

enum { MANY = 3000 };

static atomic_bool posted[MANY];
static uvt_runtime_t *rt;

static void note_post(void *arg) {
    posted[(intptr_t)arg] = true;
}

static int posts_or_panics(void *arg) {
    int i = (int)(intptr_t)arg;
    if (i % 100 == 99) uvt_panic("job %d", i);
    if (i % 10 == 0) CHECK_EQ(uvt_post(rt, note_post, arg), 0);
    return i;
}

/* What has come home is taken in while others are brought; messages keep their order all the same. */
UVT_TEST(spawn_blocking_many_what_a_job_posted_has_run_when_it_has_ended) {
    static uvt_task_t t[MANY];
    uvt_result r;
    rt = uvt_runtime_ref();
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(uvt_spawn_blocking(&t[i], posts_or_panics, INT(i)), 0);
        if (i >= 1000 && uvt_is_done(t[i - 1000]) == 1) CHECK_EQ(posted[i - 1000], i % 10 == 0);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(uvt_join(t[i], &r), 0);
        CHECK_EQ(r.outcome, i % 100 == 99 ? UVT_PANICKED : UVT_RETURNED);
        CHECK_EQ(r.status, i % 100 == 99 ? UVT_EPANIC : i);
        CHECK_EQ(posted[i], i % 10 == 0);
    }
    uvt_runtime_unref(rt);
}

static int fails_at_500(void *arg) {
    return (intptr_t)arg == 500 ? UV_EIO : 0;
}

UVT_TEST(set_spawn_blocking_many_a_failure_among_them_cancels_those_to_come) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true, .discard = true }), 0);
    for (int i = 0; i < MANY; i++) CHECK_EQ(uvt_set_spawn_blocking(&set, fails_at_500, INT(i)), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO); /* a close might cancel the one that fails before it has its turn */
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
}

/* Threads that look for newcomers instead of sleeping, or have been called and are on their way, hold up nobody. */
UVT_TEST(spawn_blocking_after_a_burst_every_thread_comes) {
    struct gate g;
    gate_init(&g);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < round; i++) CHECK_EQ(uvt_spawn_blocking(NULL, value_job, INT(0)), 0);
        fill_pool(&g);
        empty_pool(&g);
    }
    CHECK_EQ(g.most, for_jobs());
    gate_end(&g);
}

UVT_TEST_MAIN()
