/* SPDX-License-Identifier: MIT
 *
 * How several shards end: with main, everything else cancelled, cleaned up and awaited; or in a deadlock, which is one
 * only when nothing on any shard, and nobody outside, can wake anybody.
 */
#include <pthread.h>

#include "shards.h"

/* ---- the end of main ---- */

static atomic_int cleaned;

static void cleans(void *arg) {
    CHECK_EQ(uvt_sleep((uint64_t)(intptr_t)arg), 0); /* shielded */
    atomic_fetch_add(&cleaned, 1);
}

static int lives_on(void *arg) {
    CHECK_EQ(uvt_defer(cleans, arg), 0);
    return b_forever(NULL);
}

static int leaves_tasks_everywhere(void *arg) {
    for (unsigned i = 0; i < 12; i++) {
        if (i % 2)
            spawn_on(i % 4, lives_on, INT(10 * i));
        else
            CHECK_EQ(uvt_detach(spawn_on(i % 4, lives_on, INT(10 * i))), 0);
    }
    settle();
    return (int)(intptr_t)arg;
}

UVT_TEST_PLAIN(end_of_main_cancels_cleans_and_awaits_tasks_on_all_shards) {
    CHECK_EQ(run_virtual(4, leaves_tasks_everywhere, INT(9)), 9);
    CHECK_EQ(atomic_load(&cleaned), 12);
}

static int detaches_there(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, lives_on, arg), 0);
    CHECK_EQ(uvt_detach(t), 0);
    return uvt_yield();
}

static int has_them_detached(void *arg) {
    for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_call(k, detaches_there, INT(20)), 0);
    return (int)(intptr_t)arg;
}

UVT_TEST_PLAIN(end_reaches_tasks_detached_on_other_shards) {
    CHECK_EQ(run_virtual(4, has_them_detached, INT(3)), 3);
    CHECK_EQ(atomic_load(&cleaned), 4);
}

static int tells_why(void *arg) {
    CHECK_EQ(b_forever(NULL), UV_ECANCELED);
    *(uvt_reason *)arg = uvt_cancel_reason();
    return UV_ECANCELED;
}

static int detaches_one_who_tells(void *arg) {
    CHECK_EQ(uvt_detach(spawn_on(1, tells_why, arg)), 0);
    settle();
    return 0;
}

UVT_TEST_PLAIN(end_is_called_shutdown_elsewhere) {
    uvt_reason why = { 0 };
    CHECK_EQ(run_virtual(2, detaches_one_who_tells, &why), 0);
    CHECK_EQ(why.code, UVT_REASON_SHUTDOWN);
}

static int returns_at_once(void *arg) {
    for (unsigned i = 0; i < 40; i++) CHECK_EQ(uvt_detach(spawn_on(i % 4, b_counts_its_cancel, arg)), 0);
    return 0;
}

UVT_TEST_PLAIN(end_before_they_arrive_tasks_elsewhere_run_cancelled) {
    for (int i = 0; i < 20; i++) {
        atomic_int cancels = 0;
        CHECK_EQ(run_virtual(4, returns_at_once, &cancels), 0);
        CHECK_EQ(atomic_load(&cancels), 40);
        CHECK_EQ(run_real(4, returns_at_once, &cancels), 0);
        CHECK_EQ(atomic_load(&cancels), 80);
    }
}

/* Clean-up that has other shards work for it. */
static void cleans_by_a_set(void *arg) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (unsigned k = 0; k < uvt_shard_count(); k++) {
        uvt_task_options o = { .place = UVT_ON(k) };
        CHECK_EQ(uvt_set_spawn_opts(&set, NULL, b_sleep, arg, &o), 0);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    uvt_result r;
    while (uvt_set_next(&set, &r) == 0) {
        CHECK_EQ(r.status, 0);
        atomic_fetch_add(&cleaned, 1);
    }
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int cleans_up_with_a_set(void *arg) {
    CHECK_EQ(uvt_defer(cleans_by_a_set, arg), 0);
    return uvt_yield();
}

static int child_cleans_up_with_a_set(void *arg) {
    CHECK_EQ(uvt_defer(cleans_by_a_set, arg), 0);
    return b_forever(NULL);
}

static int leaves_who_cleans_with_sets(void *arg) {
    for (unsigned k = 0; k < 3; k++) spawn_on(k, child_cleans_up_with_a_set, arg);
    settle();
    return 0;
}

UVT_TEST_PLAIN(end_defer_of_main_has_members_elsewhere_do_its_cleaning) {
    CHECK_EQ(run_virtual(3, cleans_up_with_a_set, INT(10)), 0);
    CHECK_EQ(atomic_load(&cleaned), 3);
}

UVT_TEST_PLAIN(end_defers_everywhere_have_members_elsewhere_do_their_cleaning) {
    CHECK_EQ(run_virtual(3, leaves_who_cleans_with_sets, INT(10)), 0);
    CHECK_EQ(atomic_load(&cleaned), 9);
}

static void cleans_by_a_call(void *arg) {
    CHECK_EQ(uvt_call(1, b_sleep, arg), 0);
    atomic_fetch_add(&cleaned, 1);
}

static int detached_cleans_by_a_call(void *arg) {
    CHECK_EQ(uvt_defer(cleans_by_a_call, arg), 0);
    return b_forever(NULL);
}

static int leaves_who_cleans_by_calls(void *arg) {
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_detach(spawn_on(k, detached_cleans_by_a_call, arg)), 0);
    settle();
    return 0;
}

UVT_TEST_PLAIN(end_defers_of_detached_tasks_may_call_other_shards) {
    CHECK_EQ(run_virtual(3, leaves_who_cleans_by_calls, INT(10)), 0);
    CHECK_EQ(atomic_load(&cleaned), 3);
}

static uvt_task_t named_on(unsigned k, const char *name, uvt_fn fn, void *arg) {
    uvt_task_t t;
    uvt_task_options o = { .place = UVT_ON(k), .name = name };
    CHECK_EQ(uvt_spawn_opts(&t, fn, arg, &o), 0);
    return t;
}

static int shielded_sleeper(void *arg) {
    return uvt_shielded(UVT_FOREVER, b_sleep, arg);
}

static int leaves_stragglers(void *arg) {
    for (unsigned k = 0; k < 3; k++)
        CHECK_EQ(uvt_detach(named_on(k, "sleepyhead", k < 2 ? shielded_sleeper : b_forever, arg)), 0);
    settle();
    return 0;
}

UVT_TEST_PLAIN(end_names_stragglers_of_every_shard_that_has_some) {
    uvt_options o = { .shards = 3, .grace_ms = 50 };
    CHECK_EQ(uvt_test_run(leaves_stragglers, INT(500), &o), 0);
    CHECK_EQ(count_in(uvt_test_reports(), "stragglers"), 2); /* shards 0 and 1 */
    CHECK(count_in(uvt_test_reports(), "sleepyhead") >= 2);
}

static int one_straggler(void *arg) {
    CHECK_EQ(uvt_detach(spawn_on(1, b_forever, arg)), 0);
    CHECK_EQ(uvt_detach(spawn_on(2, shielded_sleeper, arg)), 0);
    settle();
    return 0;
}

UVT_TEST_PLAIN(end_shards_without_stragglers_say_nothing) {
    uvt_options o = { .shards = 3, .grace_ms = 50 };
    CHECK_EQ(uvt_test_run(one_straggler, INT(500), &o), 0);
    CHECK_EQ(count_in(uvt_test_reports(), "stragglers"), 2); /* where it runs, and where it is owned */
}

UVT_TEST_PLAIN(end_in_time_names_nobody) {
    uvt_options o = { .shards = 3, .grace_ms = 1000 };
    CHECK_EQ(uvt_test_run(leaves_stragglers, INT(500), &o), 0);
    CHECK_STR(uvt_test_reports(), "");
}

/* ---- deadlock ---- */

static uvt_semaphore_t gate[4];

static int at_gate(void *arg) {
    return uvt_semaphore_acquire(&gate[(intptr_t)arg]);
}

static void make_gates(void) {
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_semaphore_init(&gate[i], 0, 0), 0);
}

static int all_wait(void *arg) {
    static const char *const names[] = { "zero", "one", "two", "three" };
    (void)arg;
    make_gates();
    for (unsigned k = 0; k < 4; k++) named_on(k, names[k], at_gate, INT(k));
    return at_gate(INT(0));
}

UVT_TEST_PLAIN(deadlock_on_all_shards_is_edeadlk_and_names_every_task) {
    CHECK_EQ(run_virtual(4, all_wait, NULL), UVT_EDEADLK);
    const char *text = uvt_test_reports();
    CHECK(strstr(text, "all_wait") || strstr(text, "main"));
    CHECK(strstr(text, "zero") && strstr(text, "one") && strstr(text, "two") && strstr(text, "three"));
    CHECK(count_in(text, "semaphore") >= 5);
}

static int report_lines;

static void report(void *arg, const char *text) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    (void)arg;
    pthread_mutex_lock(&lock);
    report_lines += strstr(text, "semaphore") != NULL;
    pthread_mutex_unlock(&lock);
}

UVT_TEST_PLAIN(deadlock_on_the_real_clock_is_found_too) {
    CHECK_EQ(uvt_run(all_wait, NULL, &(uvt_options){ .shards = 4, .report = report }), UVT_EDEADLK);
    CHECK_EQ(report_lines, 5);
}

/* Each holds one permit and wants the other's. */
static int holds_and_wants(void *arg) {
    int mine = (int)(intptr_t)arg;
    CHECK_EQ(uvt_semaphore_acquire(&gate[mine]), 0);
    CHECK_EQ(uvt_sleep(5), 0);
    int rc = uvt_semaphore_acquire(&gate[1 - mine]);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_DEADLOCK);
    CHECK_EQ(uvt_semaphore_release(&gate[mine], 1), 0);
    return rc;
}

static int crossed(void *arg) {
    (void)arg;
    make_gates();
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_semaphore_release(&gate[i], 1), 0);
    uvt_task_t a = named_on(1, "romeo", holds_and_wants, INT(0)), b = named_on(2, "julia", holds_and_wants, INT(1));
    CHECK_EQ(uvt_join(a, NULL), UV_ECANCELED);
    return uvt_join(b, NULL);
}

UVT_TEST_PLAIN(deadlock_of_two_shards_waiting_for_each_others_permits) {
    CHECK_EQ(run_virtual(3, crossed, NULL), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "romeo") && strstr(uvt_test_reports(), "julia"));
}

static int in_a_call(void *arg) {
    make_gates();
    return uvt_call(1, at_gate, arg);
}

UVT_TEST_PLAIN(deadlock_inside_a_call_ends_callee_and_caller) {
    CHECK_EQ(run_virtual(2, in_a_call, INT(0)), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "a call on another shard") != NULL);
}

static int cleans_after_a_deadlock(void *arg) {
    CHECK_EQ(uvt_defer(cleans, INT(10)), 0);
    return at_gate(arg);
}

static int all_clean(void *arg) {
    make_gates();
    for (unsigned k = 0; k < 4; k++) spawn_on(k, cleans_after_a_deadlock, arg);
    return cleans_after_a_deadlock(arg);
}

UVT_TEST_PLAIN(deadlock_cleanup_runs_on_all_shards) {
    CHECK_EQ(run_virtual(4, all_clean, INT(0)), UVT_EDEADLK);
    CHECK_EQ(atomic_load(&cleaned), 5);
}

static int shielded_at_gate(void *arg) {
    return uvt_shielded(UVT_FOREVER, at_gate, arg);
}

static int all_shielded(void *arg) {
    make_gates();
    for (unsigned k = 0; k < 3; k++) spawn_on(k, shielded_at_gate, arg);
    return b_forever(NULL) == UV_ECANCELED ? 1 : 2;
}

UVT_TEST_PLAIN(deadlock_behind_shields_on_all_shards_is_broken_all_the_same) {
    CHECK_EQ(run_virtual(3, all_shielded, INT(0)), UVT_EDEADLK);
}

static int granite(void *arg) {
    uvt_park_t p = { .what = "granite", .object = arg };
    return uvt_park(&p);
}

static int leaves_granite(void *arg) {
    spawn_on((unsigned)(intptr_t)arg, granite, NULL);
    return 0;
}

UVT_TEST_PLAIN(deadlock_in_an_uncancellable_wait_at_home_is_given_up) {
    CHECK_EQ(run_virtual(2, leaves_granite, INT(0)), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "granite") != NULL);
}

UVT_TEST_PLAIN(deadlock_in_an_uncancellable_wait_elsewhere_is_given_up) {
    CHECK_EQ(run_virtual(2, leaves_granite, INT(1)), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "granite") != NULL);
}

static int calls_granite(void *arg) {
    return uvt_call(1, granite, arg);
}

UVT_TEST_PLAIN(deadlock_in_an_uncancellable_call_is_given_up) {
    CHECK_EQ(run_virtual(2, calls_granite, NULL), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "granite") != NULL);
}

/* ---- what is no deadlock ---- */

/* While it is away, shards that may would let the clock jump. */
static void looks_in_later(void *arg) {
    uv_sleep(20);
    CHECK_EQ(uvt_block_on(arg, b_return, NULL), 0);
    uvt_runtime_unref(arg);
}

static int own_runtime(void *arg) {
    *(uvt_runtime_t **)arg = uvt_runtime_ref();
    return 0;
}

static int announces(void *arg) {
    if (arg)
        uvt_external_begin();
    else
        uvt_external_end();
    return 0;
}

static void releases_posted(void *arg) {
    CHECK_EQ(uvt_semaphore_release(&gate[(intptr_t)arg], 1), 0);
}

static void thread_releases(void *arg) {
    uv_sleep(20);
    CHECK_EQ(uvt_post(arg, releases_posted, INT(3)), 0);
    uvt_runtime_unref(arg);
}

/* Announced on shard 1, waited for on shard 2. */
ON_SHARDS_REAL(3, waiting_for_a_foreign_thread_announced_on_any_shard_is_no_deadlock) {
    uv_thread_t thread;
    make_gates();
    CHECK_EQ(uvt_call(1, announces, INT(1)), 0);
    CHECK_EQ(uv_thread_create(&thread, thread_releases, uvt_runtime_ref()), 0);
    CHECK_EQ(uvt_call(2, at_gate, INT(3)), 0);
    CHECK_EQ(uvt_call(1, announces, NULL), 0);
    CHECK_EQ(uv_thread_join(&thread), 0);
}

ON_SHARDS(3, waiting_for_a_foreign_thread_holds_the_virtual_clock) {
    uv_thread_t thread;
    make_gates();
    CHECK_EQ(uvt_call(1, announces, INT(1)), 0);
    uvt_task_t sleeper = spawn_on(2, b_sleep, INT(1000));
    uint64_t at = uvt_now();
    uvt_runtime_t *rt;
    CHECK_EQ(uvt_call(1, own_runtime, &rt), 0);
    CHECK_EQ(uv_thread_create(&thread, looks_in_later, rt), 0);
    uvt_task_t idle = spawn_on(0, at_gate, INT(0));
    while (uvt_semaphore_waiting(&gate[0]) == 0) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uv_thread_join(&thread), 0);
    for (int i = 0; i < 50; i++) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_now(), at);
    CHECK_EQ(uvt_is_done(sleeper), 0);
    CHECK_EQ(uvt_call(1, announces, NULL), 0);
    CHECK_EQ(uvt_join(sleeper, NULL), 0);
    CHECK_EQ(uvt_now() - at, 1000);
    CHECK_EQ(uvt_semaphore_release(&gate[0], 1), 0);
    CHECK_EQ(uvt_join(idle, NULL), 0);
}

static int sleeps_and_opens(void *arg) {
    CHECK_EQ(uvt_sleep((uint64_t)(intptr_t)arg), 0);
    return uvt_semaphore_release(&gate[1], 1);
}

ON_SHARDS_REAL(3, waiting_for_a_timer_on_another_shard_is_no_deadlock) {
    make_gates();
    uvt_task_t t = spawn_on(1, sleeps_and_opens, INT(10));
    CHECK_EQ(uvt_call(2, at_gate, INT(1)), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

/* A message that is always on its way: nobody but the messages keeps the three awake. */
static atomic_int relayed;

static int relays(void *arg) {
    int k = (int)(intptr_t)arg;
    for (int i = 0; i < 300; i++) {
        CHECK_EQ(at_gate(INT(k)), 0);
        atomic_fetch_add(&relayed, 1);
        CHECK_EQ(uvt_semaphore_release(&gate[(k + 1) % 3], 1), 0);
    }
    return 0;
}

static void relay(void) {
    uvt_task_t t[3];
    make_gates();
    for (unsigned k = 0; k < 3; k++) t[k] = spawn_on(k, relays, INT(k));
    CHECK_EQ(uvt_semaphore_release(&gate[0], 1), 0);
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    CHECK_EQ(atomic_load(&relayed), 900);
}

ON_SHARDS(3, waiting_for_a_message_on_its_way_is_no_deadlock) {
    relay();
}

ON_SHARDS_REAL(3, waiting_for_a_message_on_its_way_is_no_deadlock_on_real_threads) {
    relay();
}

/* ---- two runtimes ---- */

static int calls_round(void *arg) {
    for (int i = (int)(intptr_t)arg; i > 0; i--) CHECK_EQ(uvt_call((unsigned)i % 3, b_where, NULL), i % 3);
    return uvt_sleep(1);
}

static void run_of_calls(void *arg) {
    *(int *)arg = run_real(3, calls_round, INT(30));
}

UVT_TEST_PLAIN(two_runtimes_in_parallel_threads_are_independent) {
    for (int round = 0; round < 10; round++) {
        uv_thread_t t[3];
        int rc[3] = { -1, -1, -1 };
        for (int i = 0; i < 3; i++) CHECK_EQ(uv_thread_create(&t[i], run_of_calls, &rc[i]), 0);
        for (int i = 0; i < 3; i++) CHECK_EQ(uv_thread_join(&t[i]), 0);
        for (int i = 0; i < 3; i++) CHECK_EQ(rc[i], 0);
    }
}

UVT_TEST_MAIN()
