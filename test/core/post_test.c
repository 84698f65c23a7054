/* SPDX-License-Identifier: MIT
 *
 * uvt_post and foreign threads: a post either fails or is guaranteed to run, in order, on the loop's
 * thread, however busy or idle the loop is and however many posts one wake-up stands for.
 */
#include <stdatomic.h>

#include "bodies.h"

static uvt_runtime_t *rt; /* of the test that runs; a reference of the test's */
static int ran;           /* posts that ran; the loop's thread only */

static void counts(void *arg) {
    (void)arg;
    ran++;
}

static void in_order(void *arg) {
    CHECK_EQ(ran, (intptr_t)arg);
    ran++;
}

/* ---- from the loop's own thread ---- */

UVT_TEST(post_hundred_run_in_order_and_never_inside_the_call) {
    rt = uvt_runtime_ref();
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_post(rt, in_order, INT(i)), 0);
    CHECK_EQ(ran, 0);
    while (ran < 100) CHECK_EQ(uvt_yield(), 0);
    uvt_runtime_unref(rt);
}

static void sees_no_task(void *arg) {
    CHECK_EQ(uvt_self().id, 0);
    CHECK(uvt_loop() == arg);
    CHECK_EQ(uvt_yield(), UVT_ENOTASK);
    ran++;
}

UVT_TEST(post_runs_outside_of_tasks_on_the_loop) {
    rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post(rt, sees_no_task, uvt_loop()), 0);
    while (ran < 1) uvt_yield();
    uvt_runtime_unref(rt);
}

static void posts_again(void *arg) {
    int left = (int)(intptr_t)arg;
    ran++;
    if (left > 0) CHECK_EQ(uvt_post(rt, posts_again, INT(left - 1)), 0);
}

UVT_TEST(post_made_by_a_post_runs_too) {
    rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post(rt, posts_again, INT(20)), 0);
    while (ran < 21) uvt_yield();
    uvt_runtime_unref(rt);
}

static void sends(void *arg) {
    CHECK_EQ(uvt_oneshot_send(arg, 5, NULL), 0);
}

UVT_TEST(post_pending_is_no_deadlock) {
    uvt_oneshot_t *o;
    int status = 0;
    rt = uvt_runtime_ref();
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_post(rt, sends, o), 0);
    CHECK_EQ(uvt_oneshot_recv(o, &status, NULL), 0); /* nothing but the post can end this */
    CHECK_EQ(status, 5);
    uvt_oneshot_close_rx(o, NULL);
    uvt_runtime_unref(rt);
}

static int posts_and_fails(void *arg) {
    rt = uvt_runtime_ref();
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_post(rt, in_order, INT(i)), 0);
    return b_return(arg);
}

UVT_TEST_PLAIN(post_made_before_main_failed_runs_before_run_returns) {
    CHECK_EQ(uvt_test_run(posts_and_fails, INT(UV_EIO), NULL), UV_EIO);
    CHECK_EQ(ran, 10);
    uvt_runtime_unref(rt);
}

UVT_TEST_PLAIN(post_to_an_ended_runtime_is_refused_and_not_called) {
    CHECK_EQ(uvt_test_run(posts_and_fails, INT(0), NULL), 0);
    CHECK_EQ(uvt_post(rt, counts, NULL), UVT_EGONE);
    CHECK_EQ(ran, 10);
    uvt_runtime_unref(rt);
}

UVT_TEST(post_out_of_memory_is_a_code_and_not_called) {
    rt = uvt_runtime_ref();
    uvt_test_fail_alloc(1);
    CHECK_EQ(uvt_post(rt, counts, NULL), UV_ENOMEM);
    CHECK_EQ(uvt_post(rt, counts, NULL), 0);
    while (ran < 1) uvt_yield();
    for (int i = 0; i < 5; i++) uvt_yield();
    CHECK_EQ(ran, 1);
    uvt_runtime_unref(rt);
}

static int steps(void *arg) {
    uvt_test_step("%s", (const char *)arg);
    return uvt_yield();
}

static void spawns(void *arg) {
    CHECK_EQ(uvt_runtime_spawn(rt, steps, arg), 0);
    ran++;
}

UVT_TEST(post_can_start_a_task) {
    rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post(rt, spawns, "task"), 0);
    while (ran < 1) uvt_yield();
    settle();
    CHECK_STEPS("task");
    uvt_runtime_unref(rt);
}

/* ---- from other threads ---- */

static void thread_sends(void *o) {
    CHECK_EQ(uvt_oneshot_send(o, 1, NULL), 0);
}

/* Gives the loop time to fall asleep in its poll; the test holds whether it has or not. */
static void posts_task_later(void *o) {
    uv_sleep(30);
    CHECK_EQ(uvt_post(rt, thread_sends, o), 0);
}

/* What a thread posts sends 1 through the oneshot that the thread is given. */
static void receive_from(void (*posts)(void *o)) {
    uv_thread_t thread;
    uvt_oneshot_t *o;
    int status = 0;
    rt = uvt_runtime_ref();
    CHECK_EQ(uvt_oneshot_new(&o, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uv_thread_create(&thread, posts, o), 0);
    CHECK_EQ(uvt_oneshot_recv(o, &status, NULL), 0);
    CHECK_EQ(status, 1);
    uv_thread_join(&thread);
    uvt_oneshot_close_rx(o, NULL);
    uvt_runtime_unref(rt);
}

UVT_TEST_REAL(post_from_a_thread_wakes_a_loop_blocked_in_its_poll) {
    uint64_t t = uvt_now();
    receive_from(posts_task_later);
    CHECK_IN(uvt_now() - t, 29, 5000);
}

static int sends_one(void *o) {
    return uvt_oneshot_send(o, 1, NULL);
}

static void spawns_sender(void *o) {
    CHECK_EQ(uvt_runtime_spawn(rt, sends_one, o), 0);
}

static void posts_spawn_later(void *o) {
    uv_sleep(30);
    CHECK_EQ(uvt_post(rt, spawns_sender, o), 0);
}

/* How a thread spawns a task, with the loop asleep in its poll. */
UVT_TEST_REAL(post_from_a_thread_starts_a_task_on_an_idle_loop) {
    receive_from(posts_spawn_later);
}

static int spins(void *arg) {
    while (!*(volatile bool *)arg) CHECK_EQ(uvt_yield(), 0);
    return 0;
}

UVT_TEST_REAL(post_from_a_thread_reaches_a_busy_loop) {
    uv_thread_t thread;
    uvt_oneshot_t *o;
    bool stop = false;
    uvt_set_t set;
    rt = uvt_runtime_ref();
    CHECK_EQ(uvt_oneshot_new(&o, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_set_spawn(&set, spins, &stop), 0);
    CHECK_EQ(uv_thread_create(&thread, posts_task_later, o), 0);
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), 0);
    stop = true;
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    uv_thread_join(&thread);
    uvt_oneshot_close_rx(o, NULL);
    uvt_runtime_unref(rt);
}

static void posts_250(void *arg) {
    (void)arg;
    for (int i = 0; i < 250; i++) CHECK_EQ(uvt_post(rt, counts, NULL), 0);
}

UVT_TEST_REAL(post_from_four_threads_all_run) {
    uv_thread_t threads[4];
    rt = uvt_runtime_ref();
    for (int i = 0; i < 4; i++) CHECK_EQ(uv_thread_create(&threads[i], posts_250, NULL), 0);
    while (ran < 1000) CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < 4; i++) uv_thread_join(&threads[i]);
    CHECK_EQ(uvt_sleep(2), 0);
    CHECK_EQ(ran, 1000);
    uvt_runtime_unref(rt);
}

static void posts_thousand_in_order(void *arg) {
    (void)arg;
    for (int i = 0; i < 1000; i++) CHECK_EQ(uvt_post(rt, in_order, INT(i)), 0);
}

UVT_TEST_REAL(post_thousand_before_the_loop_turns_all_run_in_order) {
    uv_thread_t thread;
    rt = uvt_runtime_ref();
    CHECK_EQ(uv_thread_create(&thread, posts_thousand_in_order, NULL), 0);
    uv_thread_join(&thread); /* the loop has not turned: their wake-ups are one */
    CHECK_EQ(ran, 0);
    while (ran < 1000) CHECK_EQ(uvt_yield(), 0);
    uvt_runtime_unref(rt);
}

static atomic_int accepted;

static void posts_until_refused(void *arg) {
    int rc;
    uvt_runtime_t *mine = arg;
    while ((rc = uvt_post(mine, counts, NULL)) == 0) atomic_fetch_add(&accepted, 1);
    CHECK_EQ(rc, UVT_EGONE);
    uvt_runtime_unref(mine);
}

static int runs_beside_a_poster(void *thread) {
    CHECK_EQ(uv_thread_create(thread, posts_until_refused, uvt_runtime_ref()), 0);
    while (ran < 1000) CHECK_EQ(uvt_sleep(1), 0); /* a flood of posts starves no task */
    return 0;
}

UVT_TEST_PLAIN(post_until_refused_none_is_lost_or_called_twice) {
    uv_thread_t thread;
    CHECK_EQ(uvt_run(runs_beside_a_poster, &thread, NULL), 0);
    uv_thread_join(&thread);
    CHECK_EQ(ran, atomic_load(&accepted));
}

static void aborts_from_afar(void *task) {
    uv_sleep(10);
    CHECK_EQ(uvt_abort_why(*(uvt_task_t *)task, "from afar"), 0);
}

UVT_TEST_REAL(thread_that_aborts_a_task_wakes_the_loop) {
    uv_thread_t thread;
    uvt_task_t t;
    uvt_result r;
    CHECK_EQ(uvt_spawn(&t, b_sleep, INT(15000)), 0);
    CHECK_EQ(uv_thread_create(&thread, aborts_from_afar, &t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_STR(r.reason.text, "from afar");
    uv_thread_join(&thread);
}

UVT_TEST_MAIN()
