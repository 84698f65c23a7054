/* SPDX-License-Identifier: MIT
 *
 * uvt_blocking: a task waits for a job, its loop goes on; what is no job; panics; and what is called from inside.
 */
#include "jobs.h"

/* ---- results ---- */

static int opens_gate(void *g) {
    gate_wait(g, 1);
    gate_open(g, 1);
    return 0;
}

UVT_TEST(blocking_awaited_a_hundred_times_the_loop_runs_meanwhile) {
    struct gate g;
    gate_init(&g);
    for (int i = 0; i < 100; i++) {
        uvt_task_t t = spawned(opens_gate, &g); /* if the loop stood still, nobody would let the job go */
        CHECK_EQ(uvt_blocking(stand, &g), 7);
        CHECK_EQ(uvt_join(t, NULL), 0);
    }
    gate_end(&g);
}

UVT_TEST(blocking_result_is_what_the_job_returned) {
    CHECK_EQ(uvt_blocking(value_job, INT(5)), 5);
    CHECK_EQ(uvt_blocking(value_job, INT(0)), 0);
    CHECK_EQ(uvt_blocking(value_job, INT(UV_EIO)), UV_EIO);
    CHECK_EQ(uvt_blocking_opts(value_job, INT(6), NULL), 6);
    CHECK_EQ(uvt_blocking_opts(value_job, INT(6), &(uvt_blocking_options){ 0 }), 6);
}

static int on_which_thread(void *arg) {
    *(uv_thread_t *)arg = uv_thread_self();
    return 0;
}

UVT_TEST(blocking_job_runs_on_another_thread) {
    uv_thread_t there, here = uv_thread_self();
    CHECK_EQ(uvt_blocking(on_which_thread, &there), 0);
    CHECK(!uv_thread_equal(&here, &there));
}

UVT_TEST(blocking_taken_result_is_not_dropped) {
    struct gate g;
    gate_init(&g);
    gate_open(&g, 1);
    CHECK_EQ(awaits_stand_or_drops(&g), 7);
    gate_open(&g, 1);
    CHECK_EQ(awaits_stand_or_leaves(&g), 7);
    CHECK_EQ(g.dropped, 0);
    gate_end(&g);
}

/* ---- wrong calls ---- */

UVT_TEST(blocking_bad_arguments_are_refused) {
    uvt_task_t t;
    uvt_set_t set;
    uvt_blocking_options leaves = { .abandon = true }, nowhere = { .lane = { 33 } }, negative = { .lane = { -1 } };
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_blocking(NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_blocking_opts(value_job, NULL, &leaves), UV_EINVAL);
    CHECK_EQ(uvt_blocking_opts(value_job, NULL, &nowhere), UV_EINVAL);
    CHECK_EQ(uvt_blocking_opts(value_job, NULL, &negative), UV_EINVAL);
    CHECK_EQ(uvt_spawn_blocking(&t, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_spawn_blocking_opts(&t, value_job, NULL, &leaves), UV_EINVAL);
    CHECK_EQ(uvt_spawn_blocking_opts(&t, value_job, NULL, &nowhere), UV_EINVAL);
    CHECK_EQ(uvt_set_spawn_blocking(&set, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_spawn_blocking_opts(&set, &t, value_job, NULL, &leaves), UV_EINVAL);
    CHECK_EQ(uvt_set_spawn_blocking(NULL, value_job, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_set_spawn_blocking(&set, value_job, NULL), UVT_ESTALE);
}

UVT_TEST_PLAIN(blocking_outside_of_a_task_is_refused) {
    uvt_set_t set = { 0 };
    CHECK_EQ(uvt_blocking(value_job, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_spawn_blocking(NULL, value_job, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_set_spawn_blocking(&set, value_job, NULL), UVT_ENOTASK);
    CHECK(!uvt_blocking_cancelled());
}

static int calls_what_tasks_call(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_sleep(1), UVT_ENOTASK);
    CHECK_EQ(uvt_yield(), UVT_ENOTASK);
    CHECK_EQ(uvt_spawn(NULL, value_job, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_blocking(value_job, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_spawn_blocking(NULL, value_job, NULL), UVT_ENOTASK);
    CHECK(!uvt_blocking_cancelled());
    CHECK(uvt_loop() == NULL);
    return 3;
}

UVT_TEST(blocking_job_is_no_task) {
    CHECK_EQ(uvt_blocking(calls_what_tasks_call, NULL), 3);
}

/* ---- panics ---- */

static int lines_that_begin(const char *text, const char *begin) {
    int n = 0;
    for (const char *at = text; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        n += strncmp(at, begin, strlen(begin)) == 0;
    return n;
}

UVT_TEST(blocking_panic_ends_the_job_alone) {
    CHECK_EQ(uvt_blocking(panic_job, INT(1)), UVT_EPANIC);
    CHECK_EQ(lines_that_begin(uvt_test_reports(), "panic: job panic_job ("), 1);
    CHECK(strstr(uvt_test_reports(), "blocking_test.c:") && strstr(uvt_test_reports(), "): panic 1 in a job\n"));
    for (unsigned i = 0; i < 2 * for_jobs(); i++) CHECK_EQ(uvt_blocking(value_job, INT(i)), i); /* on all threads */
}

UVT_TEST(spawn_blocking_panic_is_the_outcome_with_its_message) {
    uvt_task_t t;
    uvt_result r;
    CHECK_EQ(uvt_spawn_blocking_opts(&t, panic_job, INT(2), &(uvt_blocking_options){ .name = "hasher" }), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_PANICKED);
    CHECK_EQ(r.status, UVT_EPANIC);
    CHECK_STR(r.message, "panic 2 in a job");
    CHECK_EQ(lines_that_begin(uvt_test_reports(), "panic: job hasher ("), 1);
}

static int panics_when_let_go(void *g) {
    stand(g);
    uvt_panic("let go");
}

static int parent_of_a_panic(void *g) {
    CHECK_EQ(uvt_spawn_blocking(NULL, panics_when_let_go, g), 0);
    gate_wait(g, 1);
    gate_open(g, 1);
    return 0;
}

UVT_TEST(spawn_blocking_panic_nobody_joined_is_its_owners_failure) {
    struct gate g;
    gate_init(&g);
    CHECK_EQ(uvt_join(spawned(parent_of_a_panic, &g), NULL), UVT_EPANIC);
    CHECK_EQ(lines_that_begin(uvt_test_reports(), "panic: job panics_when_let_go ("), 1);
    gate_end(&g);
}

/* ---- from inside a job ---- */

struct nested {
    uvt_runtime_t *rt;
    struct gate *gate;
};

static int spawns_another(void *arg) {
    struct nested *n = arg;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_blocking(&t, stand, n->gate), 0);
    return uvt_detach(t);
}

static int submits_another(void *arg) {
    struct nested *n = arg;
    return uvt_block_on(n->rt, spawns_another, n);
}

static int job_out_of_a_job(void *arg) {
    struct gate g;
    struct nested n = { .gate = &g, .rt = uvt_runtime_ref() };
    (void)arg;
    gate_init(&g);
    gate_open(&g, 1);
    CHECK_EQ(uvt_blocking(submits_another, &n), 0);
    uvt_external_begin(); /* the second one is detached: what is waited for now is a thread */
    while (atomic_load(&g.ended) == 0) CHECK_EQ(uvt_yield(), 0);
    uvt_external_end();
    while (atomic_load(&g.inside) > 0) CHECK_EQ(uvt_yield(), 0);
    uvt_runtime_unref(n.rt);
    gate_end(&g);
    return 0;
}

UVT_TEST_PLAIN(blocking_from_blocking_pool_of_one_both_complete) {
    CHECK_EQ(uvt_test_run(job_out_of_a_job, NULL, &(uvt_options){ .pool_size = 1 }), 0);
}

UVT_TEST(blocking_from_blocking_both_complete) {
    CHECK_EQ(job_out_of_a_job(NULL), 0);
}

static int whole_runtime(void *arg) {
    CHECK(!uvt_blocking_cancelled()); /* in a task: the task's */
    return uvt_blocking(value_job, arg);
}

static int runs_a_runtime(void *arg) {
    return uvt_test_run(whole_runtime, arg, NULL);
}

UVT_TEST(blocking_job_may_run_a_runtime_of_its_own) {
    CHECK_EQ(uvt_blocking(runs_a_runtime, INT(11)), 11);
}

static int asks_the_loop(void *arg) {
    struct nested *n = arg;
    int rc = stand(n->gate);
    CHECK_EQ(rc, 7);
    CHECK(uvt_blocking_cancelled());
    return uvt_block_on(n->rt, value_job, INT(4));
}

static int awaits_asker(void *arg) {
    return uvt_blocking(asks_the_loop, arg);
}

UVT_TEST(blocking_job_calls_back_host_cancelled_is_served_and_told) {
    struct gate g;
    struct nested n = { .gate = &g, .rt = uvt_runtime_ref() };
    gate_init(&g);
    uvt_task_t t = spawned(awaits_asker, &n);
    settle();
    gate_wait(&g, 1);
    CHECK_EQ(uvt_abort(t), 0);
    gate_open(&g, 1);
    CHECK_EQ(uvt_join(t, NULL), 4);
    uvt_runtime_unref(n.rt);
    gate_end(&g);
}

UVT_TEST_MAIN()
