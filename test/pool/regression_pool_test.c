/* SPDX-License-Identifier: MIT
 *
 * Corners of the end with jobs that once went wrong: jobs that hang while other shards, clean-ups, hosts or later
 * runtimes go on, what is left of them after the grace period, and exit(). Jobs stand at a gate, on the real clock:
 * the grace period is waited out, everything else is told.
 */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uvtask/parallel.h>

#include "jobs.h"

#define LONG 200 /* a grace period in which a job that does nothing is back for sure */

static struct gate g;
static atomic_int named_tasks, named_jobs, cleaned; /* named: how often */

static void note_named(void *arg, const char *text) {
    (void)arg;
    if (strstr(text, "stragglers")) atomic_fetch_add(&named_tasks, 1);
    if (strstr(text, "shutdown: job")) atomic_fetch_add(&named_jobs, 1);
}

static int run(unsigned shards, unsigned grace, uvt_fn fn, void *arg) {
    gate_init(&g);
    return uvt_run(fn, arg, &(uvt_options){ .shards = shards, .grace_ms = grace, .report = note_named });
}

static int has_a_job(void *arg) {
    return uvt_blocking(value_job, arg);
}

/* Has the job that was left alone go on; what its thread still held is gone after another runtime. */
static void clean_up(void) {
    CHECK_EQ(g.inside, 1);
    gate_open(&g, 1);
    while (atomic_load(&g.inside) > 0) {
    }
    gate_freed(&g);
    CHECK_EQ(uvt_run(has_a_job, INT(3), NULL), 3);
    gate_end(&g);
}

/* Ends only with a job that is at the gate when this waits for it. */
static int hangs(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_blocking(&t, stand, arg), 0);
    gate_wait(arg, 1);
    return uvt_join(t, NULL);
}

static void leave(uvt_fn fn, void *arg) {
    CHECK_EQ(uvt_detach(spawned(fn, arg)), 0);
    settle();
}

static int until_cancelled(void) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(rc, UV_ECANCELED);
    return rc;
}

/* ---- several shards ---- */

struct on_a_stack {
    struct gate *at;
    volatile int written[100];
};

static atomic_bool wrote;

static int stands_and_writes(void *arg) {
    struct on_a_stack *there = arg;
    stand(there->at);
    for (int i = 0; i < 100; i++) there->written[i] = i;
    atomic_store(&wrote, true);
    return 0;
}

static int has_it_written(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_blocking(&t, stands_and_writes, arg), 0);
    gate_wait(&g, 1);
    return uvt_join(t, NULL);
}

static int calls_for_its_locals(void *arg) {
    struct on_a_stack mine = { .at = arg };
    return uvt_call(1, has_it_written, &mine);
}

static int joins(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_opts(&t, has_it_written, arg, &(uvt_task_options){ .place = UVT_ON(1) }), 0);
    return uvt_join(t, NULL);
}

/* Shielded, or the join would end with the cancel, before the child. */
static int joins_for_its_locals(void *arg) {
    struct on_a_stack mine = { .at = arg };
    return uvt_shielded(UVT_FOREVER, joins, &mine);
}

struct body {
    uvt_fn fn;
};

static int leaves_at_the_gate(void *arg) {
    leave(((struct body *)arg)->fn, &g);
    while (atomic_load(&g.inside) == 0) CHECK_EQ(uvt_sleep(1), 0);
    return 5;
}

static void job_writes_after_the_end(uvt_fn fn) {
    CHECK_EQ(run(2, 20, leaves_at_the_gate, &(struct body){ fn }), 5);
    CHECK(!atomic_load(&wrote));
    CHECK_EQ(g.inside, 1);
    gate_open(&g, 1);
    while (!atomic_load(&wrote)) {
    }
    gate_freed(&g);
    CHECK_EQ(uvt_run(has_a_job, INT(3), NULL), 3);
    gate_end(&g);
}

UVT_TEST_PLAIN(end_job_left_on_another_shard_still_has_its_callers_stack) {
    job_writes_after_the_end(calls_for_its_locals);
}

UVT_TEST_PLAIN(end_job_left_on_another_shard_still_has_its_parents_stack) {
    job_writes_after_the_end(joins_for_its_locals);
}

static int calls_who_hangs(void *arg) {
    return uvt_call(1, hangs, arg);
}

static int calls_when_cancelled(void *arg) {
    until_cancelled();
    return uvt_shielded(UVT_FOREVER, calls_who_hangs, arg);
}

static int leaves_who_calls(void *arg) {
    leave(calls_when_cancelled, arg);
    return 5;
}

/* Shard 1 had no task when the end began. */
UVT_TEST_PLAIN(end_job_of_a_call_to_a_quiet_shard_is_left_after_the_grace) {
    CHECK_EQ(run(2, 20, leaves_who_calls, &g), 5);
    CHECK_EQ(named_jobs, 1);
    clean_up();
}

/* ---- jobs of clean-ups ---- */

static atomic_bool first_ended;

/* Shielded: the join would end with the cancel, and the job might still be on its way home when the other is back. */
static int first_job(void *arg) {
    CHECK_EQ(uvt_shielded(UVT_FOREVER, hangs, arg), 7);
    atomic_store(&first_ended, true);
    return 0;
}

static void until(atomic_int *named) {
    while (atomic_load(named) == 0) CHECK_EQ(uvt_sleep(1), 0);
}

static int short_job(void *arg) {
    uv_sleep(10);
    return value_job(arg);
}

static int cleans_by_a_job(void *arg) {
    until(&named_jobs);
    CHECK_EQ(uvt_blocking(short_job, arg), (int)(intptr_t)arg);
    atomic_fetch_add(&cleaned, 1);
    return 0;
}

static int shielded_cleans_by_a_job(void *arg) {
    return uvt_shielded(UVT_FOREVER, cleans_by_a_job, arg);
}

static int leaves_a_job_and_one_who_cleans(void *arg) {
    leave(shielded_cleans_by_a_job, arg);
    leave(hangs, &g);
    return 5;
}

UVT_TEST_PLAIN(end_waits_for_a_later_job_while_another_is_left_alone) {
    CHECK_EQ(run(1, LONG, leaves_a_job_and_one_who_cleans, INT(9)), 5);
    CHECK_EQ(cleaned, 1);
    clean_up();
}

static uvt_semaphore_t sem;

static int cleans_into_a_deadlock(void *arg) {
    until(&named_jobs);
    gate_open(&g, 1);
    while (!atomic_load(&first_ended)) CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_blocking(value_job, arg), (int)(intptr_t)arg);
    CHECK_EQ(uvt_semaphore_acquire(&sem), UV_ECANCELED);
    atomic_fetch_add(&cleaned, 1);
    return 0;
}

static int shielded_cleans_into_a_deadlock(void *arg) {
    return uvt_shielded(UVT_FOREVER, cleans_into_a_deadlock, arg);
}

static int leaves_a_job_and_a_deadlock(void *arg) {
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    leave(shielded_cleans_into_a_deadlock, arg);
    leave(first_job, &g);
    return 5;
}

UVT_TEST_PLAIN(deadlock_is_seen_after_a_named_job_and_a_later_one_came_back) {
    CHECK_EQ(run(1, LONG, leaves_a_job_and_a_deadlock, INT(9)), UVT_EDEADLK);
    CHECK_EQ(cleaned, 1);
    gate_end(&g);
}

/* By a task that is not a cancelled one's child. */
static int cleans_by_hanging(void *arg) {
    return uvt_call(0, hangs, arg);
}

static int hangs_once_named(void *arg) {
    until(&named_tasks);
    CHECK_EQ(named_jobs, 0);
    return cleans_by_hanging(arg);
}

static int shielded_hangs_once_named(void *arg) {
    return uvt_shielded(UVT_FOREVER, hangs_once_named, arg);
}

static int leaves_who_hangs_once_named(void *arg) {
    leave(shielded_hangs_once_named, arg);
    return 5;
}

/* None was out when the period was over. */
UVT_TEST_PLAIN(end_job_begun_after_the_grace_is_left_a_grace_later) {
    CHECK_EQ(run(1, 20, leaves_who_hangs_once_named, &g), 5);
    CHECK_EQ(named_jobs, 1);
    clean_up();
}

static void defer_hangs(void *arg) {
    cleans_by_hanging(arg);
}

static int deadlocks_and_hangs(void *arg) {
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    CHECK_EQ(uvt_defer(defer_hangs, arg), 0);
    return uvt_semaphore_acquire(&sem);
}

UVT_TEST_PLAIN(deadlock_job_of_a_defer_is_left_after_the_grace) {
    CHECK_EQ(run(1, 20, deadlocks_and_hangs, &g), UVT_EDEADLK);
    CHECK_EQ(named_jobs, 1);
    clean_up();
}

static int panics_over_a_child_in_a_job(void *arg) {
    spawned(hangs, arg);
    settle();
    uvt_panic("main");
}

UVT_TEST_PLAIN(end_by_a_panic_of_main_leaves_its_childs_job_after_the_grace) {
    CHECK_EQ(run(1, 20, panics_over_a_child_in_a_job, &g), UV_ETIMEDOUT);
    CHECK_EQ(named_jobs, 1);
    clean_up();
}

static int computes_when_cancelled(void *arg) {
    (void)arg;
    until_cancelled();
    uint64_t until = uvt_now() + 25;
    while (uvt_now() < until) {
    }
    return 0;
}

static int leaves_an_ended_job_and_one_who_computes(void *arg) {
    leave(hangs, arg);
    leave(computes_when_cancelled, arg);
    CHECK_EQ(uvt_blocking(value_job, INT(1)), 1); /* what runs now runs after the poll: timers are next, not messages */
    gate_open(arg, 1);
    while (stats_of((uvt_lane_t){ 0 }).running > 0) {
    }
    return 5;
}

/* A clean-up has held the loop up until the period was over, and the job's message waits. */
UVT_TEST_PLAIN(end_job_that_has_ended_is_not_named) {
    CHECK_EQ(run(1, 20, leaves_an_ended_job_and_one_who_computes, &g), 5);
    CHECK_EQ(named_jobs, 0);
    gate_end(&g);
}

/* ---- a host's loop ---- */

static uvt_runtime_t *own;
static int done_status = 1;

static void on_done(void *arg, int status) {
    (void)arg;
    done_status = status;
}

static void ends_it(uv_timer_t *t) {
    gate_wait(&g, 1);
    CHECK_EQ(uvt_runtime_shutdown(own, on_done, NULL), 0);
    uv_close((uv_handle_t *)t, NULL);
}

static void opens_when_named(void *arg, const char *text) {
    note_named(arg, text);
    if (strstr(text, "still runs")) gate_open(&g, 1);
}

static int stands_a_little_longer(void *arg) {
    int rc = stand(arg);
    uv_sleep(20);
    return rc;
}

static int has_it_stand(void *arg) {
    return uvt_blocking(stands_a_little_longer, arg);
}

UVT_TEST_PLAIN(attached_named_job_keeps_the_loop_until_the_shutdown_is_done) {
    uv_loop_t loop;
    uv_timer_t timer;
    gate_init(&g);
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(&own, &loop, &(uvt_options){ .grace_ms = 20, .report = opens_when_named }), 0);
    CHECK_EQ(uvt_runtime_spawn(own, has_it_stand, &g), 0);
    CHECK_EQ(uv_run(&loop, UV_RUN_NOWAIT) != 0, 1); /* the task runs, and the job is there */
    CHECK_EQ(uv_timer_init(&loop, &timer), 0);
    CHECK_EQ(uv_timer_start(&timer, ends_it, 5, 0), 0);
    CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
    CHECK_EQ(named_jobs, 1);
    CHECK_EQ(done_status, 0);
    uvt_runtime_unref(own);
    CHECK_EQ(uv_loop_close(&loop), 0);
    gate_end(&g);
}

/* ---- exit() ---- */

static void exits_with(void *arg) {
    exit((int)(intptr_t)arg);
}

/* By a post, on the loop's stack: leak checkers look for what main knows there. */
static int has_a_job_and_exits(void *arg) {
    own = uvt_runtime_ref();
    CHECK_EQ(uvt_blocking(value_job, INT(1)), 1);
    CHECK_EQ(uvt_post(own, exits_with, arg), 0);
    return uvt_sleep(UVT_FOREVER);
}

static int exit_in_a_runtime(void) {
    return uvt_run(has_a_job_and_exits, INT(4), NULL);
}

static int exit_of_a_host(void) {
    static uv_loop_t loop;
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(&own, &loop, NULL), 0);
    CHECK_EQ(uvt_runtime_spawn(own, has_a_job, INT(1)), 0);
    CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
    return 4;
}

/* In a process of its own: exit with 4, not by the alarm. */
static void exits(int (*fn)(void)) {
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(5);
        exit(fn());
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 4);
}

UVT_TEST_PLAIN(exit_inside_a_runtime_after_a_job_ends_the_process) {
    exits(exit_in_a_runtime);
}

UVT_TEST_PLAIN(exit_of_a_host_with_an_open_runtime_after_a_job_ends_the_process) {
    exits(exit_of_a_host);
}

/* ---- drop on a job's thread ---- */

static struct gate in_drop;

static int nothing(void *ctx, size_t from, size_t to) {
    (void)ctx, (void)from, (void)to;
    return 0;
}

static void drops_slowly(void *arg) {
    uv_sem_post(&in_drop.in);
    uv_sem_wait(&in_drop.go);
    (void)stats_of((uvt_lane_t){ 0 });
    CHECK_EQ(uvt_parallel_for(100, 1, nothing, NULL), 0);
    drop_at(arg);
}

static int abandons(void *arg) {
    uvt_task_t t;
    uvt_blocking_options o = { .abandon = true, .drop = drops_slowly };
    CHECK_EQ(uvt_spawn_blocking_opts(&t, stand, arg, &o), 0);
    gate_wait(arg, 1);
    CHECK_EQ(uvt_abort(t), 0);
    ends_cancelled(t);
    return 5;
}

/* Another runtime comes and goes while a job of one that has gone is in its drop. */
static void run_during_a_drop(uvt_fn fn) {
    gate_init(&g);
    gate_init(&in_drop);
    CHECK_EQ(uvt_run(abandons, &g, &(uvt_options){ .pool_size = 4 }), 5);
    gate_open(&g, 1);
    gate_wait(&in_drop, 1);
    CHECK_EQ(uvt_run(fn, INT(6), NULL), 6);
    gate_open(&in_drop, 1);
    while (atomic_load(&g.dropped) == 0) {
    }
    gate_freed(&g);
    CHECK_EQ(uvt_run(has_a_job, INT(3), NULL), 3);
    gate_end(&g);
    gate_end(&in_drop);
}

UVT_TEST_PLAIN(end_does_not_wait_for_a_drop_of_a_runtime_that_has_gone) {
    run_during_a_drop(value_job);
}

UVT_TEST_PLAIN(job_does_not_wait_for_a_drop_of_a_runtime_that_has_gone) {
    run_during_a_drop(has_a_job);
}

/* ---- another reserve ---- */

static int leaves_who_hangs(void *arg) {
    leave(hangs, arg);
    return 5;
}

UVT_TEST_PLAIN(pool_smaller_reserve_of_the_next_runtime_frees_threads_at_once) {
    gate_init(&g);
    uvt_options o = { .pool_size = 4, .pool_reserve = 3, .grace_ms = 20, .report = note_named };
    CHECK_EQ(uvt_run(leaves_who_hangs, &g, &o), 5);
    CHECK_EQ(g.inside, 1);
    CHECK_EQ(uvt_run(has_a_job, INT(8), &(uvt_options){ .pool_reserve = 1 }), 8);
    clean_up();
}

/* ---- a job that outlives its runtime, while another runtime goes on ----
 *
 * Nothing that the two do for their own sake orders the thread after the runtime's end (the flags are relaxed, so that
 * these here do not, either): closing the mailbox has to.
 */

static atomic_int begun, over, other_over, job_dropped;

static int is(atomic_int *flag) {
    return atomic_load_explicit(flag, memory_order_relaxed);
}

static void set(atomic_int *flag) {
    atomic_store_explicit(flag, 1, memory_order_relaxed);
}

static int runs_until_it_is_over(void *arg) {
    (void)arg;
    set(&begun);
    while (!is(&over)) sched_yield();
    return 0;
}

static void note_dropped(void *arg) {
    (void)arg;
    set(&job_dropped);
}

static int leaves_it(void *arg) {
    uvt_blocking_options o = { .abandon = true, .drop = note_dropped };
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_blocking_opts(&t, runs_until_it_is_over, arg, &o), 0);
    while (!is(&begun)) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_abort(t), 0);
    ends_cancelled(t);
    return 5;
}

static int goes_on(void *arg) {
    (void)arg;
    while (!is(&other_over)) CHECK_EQ(uvt_sleep(1), 0);
    return 4;
}

static void other_runtime(void *arg) {
    *(int *)arg = uvt_run(goes_on, NULL, NULL);
}

UVT_TEST_PLAIN(job_that_outlives_its_runtime_sees_its_end) {
    uv_thread_t thread;
    int rc = 0;
    gate_init(&g);
    CHECK_EQ(uv_thread_create(&thread, other_runtime, &rc), 0);
    CHECK_EQ(uvt_run(leaves_it, NULL, NULL), 5);
    set(&over);
    while (!is(&job_dropped)) sched_yield();
    set(&other_over);
    CHECK_EQ(uv_thread_join(&thread), 0);
    CHECK_EQ(rc, 4);
    gate_freed(&g);
    gate_end(&g);
}

UVT_TEST_MAIN()
