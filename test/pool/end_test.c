/* SPDX-License-Identifier: MIT
 *
 * The end of a runtime while jobs are out: it waits for them, names those that go on after the grace period and leaves
 * them alone; abandoned ones it does not wait for. What is left of a job after its runtime is dropped by its own
 * thread. And a runtime after that finds the pool as it should be.
 */
#include "jobs.h"

static struct gate g;

static int other_runtime(void *arg) {
    return uvt_blocking(value_job, arg);
}

/* Whatever a job left behind (its thread still has the crew) is gone after the next runtime. */
static void clean_up(void) {
    while (atomic_load(&g.inside) > 0) {}
    gate_freed(&g);
    CHECK_EQ(uvt_test_run(other_runtime, INT(3), NULL), 3);
    gate_end(&g);
}

/* ---- waited for ---- */

static void opens_later(void *arg) {
    (void)arg;
    gate_wait(&g, 1);
    gate_open(&g, 1);
}

static int spawns_and_ends(void *arg) {
    uvt_task_t t;
    (void)arg;
    CHECK_EQ(uvt_spawn_blocking(&t, stand, &g), 0);
    CHECK_EQ(uvt_detach(t), 0);
    return 5;
}

UVT_TEST_PLAIN(end_waits_for_a_job_that_runs) {
    uv_thread_t thread;
    gate_init(&g);
    CHECK_EQ(uv_thread_create(&thread, opens_later, NULL), 0);
    int rc = uvt_run(spawns_and_ends, NULL, NULL);
    CHECK_EQ(rc, 5);
    CHECK_EQ(g.ended, g.begun); /* none, if the end came before it began */
    if (g.begun == 0) uv_sem_post(&g.in);
    CHECK_EQ(uv_thread_join(&thread), 0);
    gate_end(&g);
}

static int leaves_a_job(void *arg) {
    uvt_task_t t;
    uvt_blocking_options o = { .abandon = true, .drop = drop_at };
    (void)arg;
    CHECK_EQ(uvt_spawn_blocking_opts(&t, stand, &g, &o), 0);
    gate_wait(&g, 1);
    CHECK_EQ(uvt_abort(t), 0);
    ends_cancelled(t);
    return 5;
}

UVT_TEST_PLAIN(end_does_not_wait_for_an_abandoned_job_which_is_dropped_by_its_thread) {
    gate_init(&g);
    CHECK_EQ(uvt_test_run(leaves_a_job, NULL, NULL), 5);
    CHECK_EQ(g.inside, 1);
    CHECK_EQ(g.dropped, 0);
    gate_open(&g, 1);
    while (atomic_load(&g.dropped) == 0) {}
    clean_up();
    CHECK_EQ(g.dropped, 1);
}

static int leaves_it_to_the_end(void *arg) {
    uvt_blocking_options o = { .abandon = true, .drop = drop_at };
    (void)arg;
    CHECK_EQ(uvt_spawn_blocking_opts(NULL, stand, &g, &o), 0);
    gate_wait(&g, 1);
    return 5;
}

UVT_TEST_PLAIN(end_of_the_owner_abandons_and_does_not_wait) {
    gate_init(&g);
    CHECK_EQ(uvt_test_run(leaves_it_to_the_end, NULL, NULL), 5);
    CHECK_EQ(g.inside, 1);
    gate_open(&g, 1);
    while (atomic_load(&g.dropped) == 0) {}
    clean_up();
}

UVT_TEST_PLAIN(job_outlives_its_runtime_the_next_one_has_the_other_threads) {
    gate_init(&g);
    CHECK_EQ(uvt_test_run(leaves_it_to_the_end, NULL, &(uvt_options){ .pool_size = 3 }), 5);
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_test_run(other_runtime, INT(i), NULL), i);
    CHECK_EQ(g.inside, 1);
    CHECK_EQ(stats_of((uvt_lane_t){ 0 }).running, 1);
    gate_open(&g, 1);
    while (atomic_load(&g.dropped) == 0) {}
    clean_up();
    CHECK_EQ(stats_of((uvt_lane_t){ 0 }).running, 0);
}

/* ---- released by a cleanup ---- */

static void opens_the_gate(void *arg) {
    (void)arg;
    gate_open(&g, 1);
    uvt_test_step("opened");
}

static int cleans_up_for_the_job(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_defer(opens_the_gate, NULL), 0);
    return uvt_sleep(UVT_FOREVER);
}

/* A detached job that only another task's cleanup, which the end brings about, releases. */
static int leaves_job_and_cleaner(void *arg) {
    uvt_task_t job, cleaner;
    (void)arg;
    CHECK_EQ(uvt_spawn(&cleaner, cleans_up_for_the_job, NULL), 0);
    CHECK_EQ(uvt_detach(cleaner), 0);
    CHECK_EQ(uvt_spawn_blocking(&job, stand, &g), 0);
    gate_wait(&g, 1);
    CHECK_EQ(uvt_detach(job), 0);
    return uvt_yield();
}

UVT_TEST_PLAIN(end_waits_for_a_job_that_a_tasks_cleanup_releases) {
    gate_init(&g);
    CHECK_EQ(uvt_test_run(leaves_job_and_cleaner, NULL, &(uvt_options){ .grace_ms = 60000 }), 0);
    CHECK_STEPS("opened");
    CHECK_EQ(g.stopped, 1);
    CHECK_STR(uvt_test_reports(), "");
    clean_up();
}

/* ---- given up ---- */

static char reported[4096];

static void note_report(void *arg, const char *text) {
    (void)arg;
    size_t used = strlen(reported);
    if (used + strlen(text) + 2 < sizeof reported) {
        strcat(reported, text);
        strcat(reported, "\n");
    }
}

static int spawns_stuck_job(void *arg) {
    uvt_task_t t;
    (void)arg;
    CHECK_EQ(uvt_spawn_blocking_opts(&t, stand, &g, &(uvt_blocking_options){ .drop = drop_at, .name = "stuck" }), 0);
    gate_wait(&g, 1);
    return uvt_detach(t);
}

UVT_TEST_PLAIN(end_names_the_job_that_still_runs_and_leaves_it) {
    gate_init(&g);
    uint64_t t = uv_hrtime();
    CHECK_EQ(uvt_run(spawns_stuck_job, NULL, &(uvt_options){ .grace_ms = 20, .report = note_report }), 0);
    CHECK_IN((uv_hrtime() - t) / 1000000, 20, 5000); /* about then, and before the default */
    CHECK(strstr(reported, "shutdown: job stuck ("));
    CHECK(strstr(reported, "end_test.c:") && strstr(reported, ") still runs\n"));
    CHECK_EQ(g.inside, 1);
    CHECK_EQ(g.stopped + g.dropped, 0);
    gate_open(&g, 1);
    while (atomic_load(&g.dropped) == 0) {} /* nobody took its result */
    CHECK_EQ(g.stopped, 1);
    clean_up();
}

static int waits_in_main(void *arg) {
    (void)arg;
    uvt_task_t self = uvt_self();
    CHECK_EQ(uvt_abort(self), 0);
    return uvt_blocking(stand, &g); /* never: it is cancelled before */
}

static int main_in_a_shield(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_blocking(value_job, INT(1)), 1);
    return uvt_shielded(UVT_FOREVER, waits_in_main, NULL);
}

UVT_TEST_PLAIN(end_of_an_aborted_main_in_a_shield_waits) {
    gate_init(&g);
    gate_open(&g, 1);
    CHECK_EQ(uvt_test_run(main_in_a_shield, NULL, NULL), 7);
    gate_end(&g);
}

static int blocked_task(void *arg) {
    return uvt_blocking(stand, arg);
}

static int shielded_job(void *arg) {
    return uvt_shielded(UVT_FOREVER, blocked_task, arg);
}

static int two_behind_one_thread(void *arg) {
    uvt_task_t a, b;
    (void)arg;
    CHECK_EQ(uvt_spawn(&a, shielded_job, &g), 0);
    CHECK_EQ(uvt_spawn(&b, shielded_job, &g), 0);
    settle();
    gate_wait(&g, 1);
    CHECK_EQ(uvt_detach(a), 0);
    CHECK_EQ(uvt_detach(b), 0);
    return 0;
}

UVT_TEST_PLAIN(end_given_up_a_job_that_waited_never_runs) {
    gate_init(&g);
    uvt_options o = { .grace_ms = 20, .report = note_report, .pool_size = 2 };
    CHECK_EQ(uvt_run(two_behind_one_thread, NULL, &o), 0);
    CHECK(strstr(reported, "still runs"));
    gate_open(&g, 2);
    while (atomic_load(&g.ended) == 0) {}
    clean_up();
    CHECK_EQ(g.begun, 1);
}

/* What tasks that were given up were waiting for is closed after the end. */
static uvt_chan_t chan;
static uvt_oneshot_t *watched, *received;
static size_t their_blocks;

static int waits_in_recv(void *arg) {
    return uvt_recv(&chan, arg);
}

static int waits_for_closed(void *arg) {
    (void)arg;
    return uvt_oneshot_wait_closed(watched);
}

static int waits_for_the_value(void *arg) {
    (void)arg;
    return uvt_oneshot_recv(received, NULL, NULL);
}

static int shielded(void *fn) {
    static char nowhere;
    return uvt_shielded(UVT_FOREVER, *(uvt_fn *)fn, &nowhere);
}

static int leaves_waiters_behind_a_job(void *arg) {
    static uvt_fn waits[] = { waits_in_recv, waits_for_closed, waits_for_the_value };
    (void)arg;
    their_blocks = uvt_test_live_blocks();
    CHECK_EQ(uvt_chan_open(&chan, 1, 4, NULL), 0);
    CHECK_EQ(uvt_oneshot_new(&watched, 0), 0);
    CHECK_EQ(uvt_oneshot_new(&received, 0), 0);
    their_blocks = uvt_test_live_blocks() - their_blocks;
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_spawn(NULL, shielded, &waits[i]), 0);
    CHECK_EQ(uvt_spawn(NULL, shielded_job, &g), 0);
    settle();
    gate_wait(&g, 1);
    return 0;
}

static void close_what_they_waited_for(void) {
    uvt_chan_close(&chan, UVT_BOTH);
    CHECK_EQ(uvt_oneshot_close_rx(watched, NULL), 0);
    uvt_oneshot_close_tx(watched);
    CHECK_EQ(uvt_oneshot_close_rx(received, NULL), 0);
    uvt_oneshot_close_tx(received);
}

static int main_is_given_up(bool job_ends_first) {
    gate_init(&g);
    int rc = uvt_run(leaves_waiters_behind_a_job, NULL, &(uvt_options){ .grace_ms = 20, .report = note_report });
    if (!job_ends_first) close_what_they_waited_for();
    gate_open(&g, 1);
    while (atomic_load(&g.ended) == 0) {}
    if (job_ends_first) {
        size_t left = g.blocks + their_blocks + 1; /* the oneshots hold a reference to what was the runtime */
        while (uvt_test_live_blocks() > left) uv_sleep(1); /* the stacks that the job kept are gone, too */
        close_what_they_waited_for();
    }
    clean_up();
    return rc;
}

UVT_TEST_PLAIN(end_given_up_what_tasks_waited_for_can_be_closed) {
    CHECK_EQ(main_is_given_up(false), UV_ETIMEDOUT);
}

UVT_TEST_PLAIN(end_given_up_what_tasks_waited_for_can_be_closed_when_their_job_has_ended) {
    CHECK_EQ(main_is_given_up(true), UV_ETIMEDOUT);
}

static unsigned listened_on;

static int accepts_nothing(void *l) {
    uvt_stream_t *s;
    return uvt_accept(l, &s);
}

static int listens(void *arg) {
    uvt_listener_t *l;
    int rc = uvt_tcp_listen(&l, "127.0.0.1", listened_on, 0);
    if (rc < 0 || !arg) return rc < 0 ? rc : uvt_listener_close(l);
    listened_on = (unsigned)uvt_listener_port(l);
    CHECK_EQ(uvt_timeout(2, accepts_nothing, l), UV_ETIMEDOUT); /* its poll stays armed */
    CHECK_EQ(uvt_spawn(NULL, shielded_job, arg), 0);
    settle();
    gate_wait(&g, 1);
    return 0;
}

/* A listener of main's does not keep the end waiting, and its port is free afterwards. */
UVT_TEST_PLAIN(end_given_up_a_listener_does_not_hold_it_and_is_closed) {
    gate_init(&g);
    uvt_options o = { .grace_ms = 20, .report = note_report };
    CHECK_EQ(uvt_run(listens, &g, &o), UV_ETIMEDOUT); /* while the job is still in there */
    CHECK_EQ(uvt_run(listens, NULL, NULL), 0);
    gate_open(&g, 1);
    while (atomic_load(&g.ended) == 0) {}
    clean_up();
}

/* ---- called from jobs at the end ---- */

static uvt_runtime_t *rt;
static atomic_int answer;

static int calls_back(void *arg) {
    int rc = stand(arg);
    CHECK_EQ(rc, 7);
    answer = uvt_block_on(rt, value_job, INT(1));
    return 0;
}

static int ends_before_its_job_calls(void *arg) {
    uvt_task_t t;
    uvt_blocking_options o = { .abandon = true, .drop = drop_at };
    (void)arg;
    rt = uvt_runtime_ref();
    CHECK_EQ(uvt_spawn_blocking_opts(&t, calls_back, &g, &o), 0);
    gate_wait(&g, 1);
    return 0;
}

UVT_TEST_PLAIN(end_before_a_job_calls_back_it_is_told_gone) {
    gate_init(&g);
    CHECK_EQ(uvt_test_run(ends_before_its_job_calls, NULL, NULL), 0);
    gate_open(&g, 1);
    while (atomic_load(&g.dropped) == 0) {}
    CHECK_EQ(answer, UVT_EGONE);
    uvt_runtime_unref(rt);
    clean_up();
}

static int sleeps_for_ever(void *arg) {
    (void)arg;
    return uvt_sleep(UVT_FOREVER);
}

static int awaits_in_the_loop(void *arg) {
    stand(arg);
    answer = uvt_block_on(rt, sleeps_for_ever, NULL);
    return 6;
}

static int ends_under_a_call(void *arg) {
    uvt_task_t t;
    (void)arg;
    rt = uvt_runtime_ref();
    CHECK_EQ(uvt_spawn_blocking(&t, awaits_in_the_loop, &g), 0);
    gate_wait(&g, 1);
    gate_open(&g, 1);
    CHECK_EQ(uvt_detach(t), 0);
    return 0;
}

UVT_TEST_PLAIN(end_while_a_job_calls_back_the_call_ends) {
    gate_init(&g);
    CHECK_EQ(uvt_test_run(ends_under_a_call, NULL, NULL), 0);
    CHECK(answer == UV_ECANCELED || answer == UVT_EGONE);
    uvt_runtime_unref(rt);
    clean_up();
}

/* ---- attached ---- */

static int shut_down_status = 1;

static void on_shut_down(void *arg, int status) {
    (void)arg;
    shut_down_status = status;
}

static int host_task(void *arg) {
    CHECK_EQ(uvt_spawn_blocking(NULL, value_job, arg), 0);
    return uvt_blocking(value_job, arg) == (int)(intptr_t)arg ? 0 : UV_EIO;
}

UVT_TEST_PLAIN(attached_jobs_keep_the_hosts_loop_alive) {
    uv_loop_t loop;
    uvt_runtime_t *own;
    CHECK_EQ(uv_loop_init(&loop), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_attach(&own, &loop, NULL), 0);
        CHECK_EQ(uvt_runtime_spawn(own, host_task, INT(9)), 0);
        CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0); /* until the job is back and the task has ended */
        CHECK_EQ(uvt_runtime_shutdown(own, on_shut_down, NULL), 0);
        CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
        CHECK_EQ(shut_down_status, 0);
        uvt_runtime_unref(own);
    }
    CHECK_EQ(uv_loop_close(&loop), 0);
}

UVT_TEST_MAIN()
