/* SPDX-License-Identifier: MIT
 *
 * When every task waits and nothing can wake one, uvt_run says so instead of hanging: the report names each
 * task and what it waits for, the tasks are cancelled so that their cleanup runs, and the code is
 * UVT_EDEADLK. Waiting for something outside of the tasks is no deadlock.
 */
#include "../io/loopback.h"
#include "bodies.h"

static int abort_done(uvt_park_t *p) {
    (void)p;
    return UVT_ABORT_DONE;
}

/* Waits for something that nobody will bring, under the given name. */
static int waits_for_godot(void *what) {
    uvt_park_t p = { .what = what, .abort = abort_done };
    return uvt_park(&p);
}

UVT_TEST_PLAIN(deadlock_of_main_alone_is_edeadlk) {
    CHECK_EQ(uvt_test_run(waits_for_godot, "godot", NULL), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "deadlock") != NULL);
    CHECK(strstr(uvt_test_reports(), "godot") != NULL);
}

static int estragon(void *arg) {
    return waits_for_godot(arg);
}

static int vladimir(void *arg) {
    return uvt_join(*(uvt_task_t *)arg, NULL);
}

static int two_who_wait(void *arg) {
    uvt_task_t e, v;
    (void)arg;
    CHECK_EQ(uvt_spawn(&e, estragon, "a boot"), 0);
    CHECK_EQ(uvt_spawn(&v, vladimir, &e), 0);
    return uvt_join(v, NULL);
}

UVT_TEST_PLAIN(deadlock_report_names_every_task_its_site_and_what_it_waits_for) {
    CHECK_EQ(uvt_test_run(two_who_wait, NULL, NULL), UVT_EDEADLK);
    const char *text = uvt_test_reports();
    const char *e = strstr(text, "estragon"), *v = strstr(text, "vladimir");
    CHECK(e != NULL && v != NULL);
    CHECK(strstr(e, "deadlock_test.c:") != NULL && strstr(v, "deadlock_test.c:") != NULL);
    size_t line_e = strcspn(e, "\n"), line_v = strcspn(v, "\n");
    CHECK(strstr(e, "a boot") != NULL && strstr(e, "a boot") < e + line_e);
    CHECK(strstr(v, "join") != NULL && strstr(v, "join") < v + line_v);
}

static int ignores_it(void *arg) {
    (void)waits_for_godot(arg);
    return 3;
}

UVT_TEST_PLAIN(deadlock_is_told_even_when_main_goes_on_to_succeed) {
    CHECK_EQ(uvt_test_run(ignores_it, "godot", NULL), UVT_EDEADLK);
}

static int cleans_up(void *arg) {
    CHECK_EQ(uvt_defer(d_step, arg), 0);
    CHECK_EQ(waits_for_godot("godot"), UV_ECANCELED);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_DEADLOCK);
    CHECK_EQ(uvt_shielded(1000, b_sleep, INT(10)), 0); /* cleanup may suspend */
    uvt_test_step("cleaned");
    return UV_ECANCELED;
}

static int spawns_and_cleans(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, cleans_up, "child"), 0);
    return cleans_up(arg);
}

UVT_TEST_PLAIN(deadlock_cleanup_of_every_task_runs) {
    CHECK_EQ(uvt_test_run(spawns_and_cleans, "main", NULL), UVT_EDEADLK);
    const char *steps = uvt_test_steps(true);
    CHECK(strstr(steps, "child") != NULL && strstr(steps, "main") != NULL);
    CHECK_EQ(strlen(steps), strlen("cleaned child cleaned main"));
}

static int join_each_other(void *arg) {
    uvt_task_t *other = arg;
    uvt_yield(); /* both handles are known now */
    return uvt_join(*other, NULL);
}

static int two_join_each_other(void *arg) {
    static uvt_task_t a, b;
    (void)arg;
    CHECK_EQ(uvt_spawn(&a, join_each_other, &b), 0);
    CHECK_EQ(uvt_spawn(&b, join_each_other, &a), 0);
    return waits_for_godot("the two");
}

UVT_TEST_PLAIN(deadlock_two_tasks_that_join_each_other) {
    CHECK_EQ(uvt_test_run(two_join_each_other, NULL, NULL), UVT_EDEADLK);
    const char *first = strstr(uvt_test_reports(), "join_each_other");
    CHECK(first != NULL && strstr(first + 1, "join_each_other") != NULL);
}

static int sem_waits(void *s) {
    return uvt_semaphore_acquire(s);
}

static int hundred_wait_at_a_semaphore(void *arg) {
    uvt_semaphore_t *s = arg;
    uvt_set_t set;
    CHECK_EQ(uvt_semaphore_init(s, 0, 0), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_set_spawn(&set, sem_waits, s), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_ECANCELED);
    return uvt_set_close(&set);
}

UVT_TEST_PLAIN(deadlock_of_a_hundred_at_a_semaphore_names_each) {
    uvt_semaphore_t s;
    CHECK_EQ(uvt_test_run(hundred_wait_at_a_semaphore, &s, NULL), UVT_EDEADLK);
    int named = 0;
    for (const char *at = uvt_test_reports(); (at = strstr(at, "sem_waits")) != NULL; at++) named++;
    CHECK_EQ(named, 100);
    CHECK(strstr(uvt_test_reports(), "semaphore") != NULL);
    CHECK_EQ(uvt_semaphore_waiting(&s), 0);
}

static int shielded_for_ever(void *arg) {
    int rc = uvt_shielded(UVT_FOREVER, waits_for_godot, arg);
    uvt_test_step("%s", uvt_err_name(rc));
    return rc;
}

UVT_TEST_PLAIN(deadlock_inside_a_shield_wakes_the_task_all_the_same) {
    CHECK_EQ(uvt_test_run(shielded_for_ever, "godot", NULL), UVT_EDEADLK);
    CHECK_STEPS("ECANCELED");
}

static int uncancellable(void *arg) {
    uvt_park_t p = { .what = arg };
    return uvt_park(&p);
}

UVT_TEST_PLAIN(deadlock_in_a_wait_that_cannot_be_cancelled_still_ends_and_is_named) {
    CHECK_EQ(uvt_test_run(uncancellable, "granite", NULL), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "granite") != NULL);
}

static int again_in_cleanup(void *arg) {
    (void)waits_for_godot(arg);
    (void)uvt_shielded(UVT_FOREVER, waits_for_godot, "again");
    uvt_test_step("through");
    return 0;
}

UVT_TEST_PLAIN(deadlock_again_in_the_cleanup_still_ends) {
    CHECK_EQ(uvt_test_run(again_in_cleanup, "godot", NULL), UVT_EDEADLK);
    CHECK_STEPS("through");
}

UVT_TEST_PLAIN(deadlock_over_the_next_run_works) {
    CHECK_EQ(uvt_test_run(waits_for_godot, "godot", NULL), UVT_EDEADLK);
    CHECK_EQ(uvt_test_run(b_return, INT(5), NULL), 5);
    (void)uvt_test_reports();
}

static void unref_tick(uv_timer_t *t) {
    (void)t;
}

static uv_timer_t unrefd;

static int waits_beside_an_unrefd_handle(void *arg) {
    CHECK_EQ(uv_timer_init(uvt_loop(), &unrefd), 0);
    CHECK_EQ(uv_timer_start(&unrefd, unref_tick, 600 * 1000, 0), 0);
    uv_unref((uv_handle_t *)&unrefd);
    int rc = waits_for_godot(arg);
    uv_close((uv_handle_t *)&unrefd, NULL);
    return rc;
}

UVT_TEST_PLAIN(deadlock_beside_an_unrefd_handle_is_still_one) {
    CHECK_EQ(uvt_run(waits_beside_an_unrefd_handle, "godot", NULL), UVT_EDEADLK);
}

/* ---- what is no deadlock ---- */

static void thread_sends(void *o) {
    uv_sleep(30);
    CHECK_EQ(uvt_oneshot_send(o, 8, NULL), 0);
}

UVT_TEST_REAL(waiting_for_a_thread_is_no_deadlock) {
    uv_thread_t thread;
    uvt_oneshot_t *o;
    int status = 0;
    CHECK_EQ(uvt_oneshot_new(&o, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uv_thread_create(&thread, thread_sends, o), 0);
    CHECK_EQ(uvt_oneshot_recv(o, &status, NULL), 0);
    CHECK_EQ(status, 8);
    uv_thread_join(&thread);
    uvt_oneshot_close_rx(o, NULL);
}

static uvt_park_t parked;

static void wakes(void *arg) {
    (void)arg;
    CHECK(uvt_unpark(&parked, 12));
}

static void posts_later(void *rt) {
    uv_sleep(30);
    CHECK_EQ(uvt_post(rt, wakes, NULL), 0);
}

UVT_TEST_REAL(waiting_between_external_begin_and_end_is_no_deadlock) {
    uv_thread_t thread;
    uvt_runtime_t *rt = uvt_runtime_ref();
    parked = (uvt_park_t){ .what = "thread" };
    uvt_external_begin();
    CHECK_EQ(uv_thread_create(&thread, posts_later, rt), 0);
    CHECK_EQ(uvt_park(&parked), 12);
    uvt_external_end();
    uv_thread_join(&thread);
    uvt_runtime_unref(rt);
}

static int external_pairs(void *arg) {
    uvt_external_begin();
    uvt_external_begin();
    uvt_external_end();
    uvt_external_end();
    return waits_for_godot(arg);
}

UVT_TEST_PLAIN(external_begun_and_ended_a_deadlock_is_one_again) {
    CHECK_EQ(uvt_run(external_pairs, "godot", NULL), UVT_EDEADLK);
}

static int reads_one(void *arg) {
    char byte;
    return (int)uvt_read(arg, &byte, 1);
}

static void raw_writes_later(void *fd) {
    uv_sleep(30);
    lo_raw_send(*(int *)fd, "x", 1);
}

UVT_TEST_REAL(waiting_for_a_peer_is_no_deadlock) {
    uv_thread_t thread;
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    CHECK_EQ(uv_thread_create(&thread, raw_writes_later, &peer), 0);
    CHECK_EQ(reads_one(s), 1);
    uv_thread_join(&thread);
    lo_end(s, peer);
}

static void on_user_timer(uv_timer_t *t) {
    uvt_unpark(&parked, 4);
    uv_close((uv_handle_t *)t, NULL);
}

UVT_TEST_REAL(waiting_for_a_handle_of_the_users_is_no_deadlock) {
    static uv_timer_t timer;
    CHECK_EQ(uv_timer_init(uvt_loop(), &timer), 0);
    CHECK_EQ(uv_timer_start(&timer, on_user_timer, 10, 0), 0);
    parked = (uvt_park_t){ .what = "user timer" };
    CHECK_EQ(uvt_park(&parked), 4);
}

static int waits_for_semaphore(void *arg) {
    return uvt_semaphore_acquire(arg);
}

UVT_TEST(waiting_while_another_task_sleeps_is_no_deadlock) {
    uvt_semaphore_t s;
    uvt_task_t t;
    CHECK_EQ(uvt_semaphore_init(&s, 0, 0), 0);
    CHECK_EQ(uvt_spawn(&t, waits_for_semaphore, &s), 0);
    CHECK_EQ(uvt_sleep(100000), 0);
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_semaphore_release(&s, 1), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST_MAIN()
