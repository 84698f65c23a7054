/* SPDX-License-Identifier: MIT
 *
 * Corners in which the loop and the runtime once disagreed: a host's hooks that run after the runtime's, a loop driven
 * by the wrong thread, a time that tasks have left behind, what is still on its way when a run ends, and SIGPIPE.
 */
#include "bodies.h"

/* ---- a host's hook that runs between the runtime's and the poll ---- */

static struct {
    uv_loop_t loop;
    uvt_runtime_t *rt;
    uv_prepare_t prepare; /* started before the runtime's own: libuv calls it after that */
    uv_timer_t limit;     /* what the poll would sleep for */
    uvt_oneshot_t *o;
    void (*wakes)(void);
    uint64_t woken_at;
    bool ran, ended;
} host;

static void on_limit(uv_timer_t *t) {
    (void)t;
}

static int runs_and_lets_the_loop_end(void *arg) {
    (void)arg;
    CHECK(uv_hrtime() - host.woken_at < 5000000000);
    host.ran = true;
    return uv_timer_stop(&host.limit);
}

static int receives_and_lets_the_loop_end(void *arg) {
    CHECK_EQ(uvt_oneshot_new(&host.o, 0), 0);
    CHECK_EQ(uvt_oneshot_recv(host.o, NULL, NULL), 0);
    uvt_oneshot_close_rx(host.o, NULL);
    return runs_and_lets_the_loop_end(arg);
}

static void on_host_prepare(uv_prepare_t *p) {
    uv_prepare_stop(p);
    host.woken_at = uv_hrtime();
    host.wakes();
}

static void on_shutdown(void *arg, int status) {
    (void)arg;
    CHECK_EQ(status, 0);
    host.ended = true;
}

static void end_host(void) {
    CHECK_EQ(uvt_runtime_shutdown(host.rt, on_shutdown, NULL), 0);
    CHECK_EQ(uv_run(&host.loop, UV_RUN_DEFAULT), 0);
    CHECK(host.ended);
    uvt_runtime_unref(host.rt);
    CHECK_EQ(uv_loop_close(&host.loop), 0);
}

/* Turns the loop until the task has run that wakes() makes ready in a prepare hook of the host. */
static void wake_in_a_prepare_hook(uvt_fn first, void (*wakes)(void)) {
    CHECK_EQ(uv_loop_init(&host.loop), 0);
    CHECK_EQ(uv_prepare_init(&host.loop, &host.prepare), 0);
    CHECK_EQ(uv_prepare_start(&host.prepare, on_host_prepare), 0);
    CHECK_EQ(uvt_attach(&host.rt, &host.loop, NULL), 0);
    CHECK_EQ(uv_timer_init(&host.loop, &host.limit), 0);
    CHECK_EQ(uv_timer_start(&host.limit, on_limit, 10000, 0), 0);
    host.wakes = wakes;
    if (first != NULL) CHECK_EQ(uvt_runtime_spawn(host.rt, first, NULL), 0);
    uv_run(&host.loop, UV_RUN_DEFAULT);
    CHECK(host.ran);
    uv_close((uv_handle_t *)&host.prepare, NULL);
    uv_close((uv_handle_t *)&host.limit, NULL);
    end_host();
}

static void spawns_from_the_host(void) {
    CHECK_EQ(uvt_runtime_spawn(host.rt, runs_and_lets_the_loop_end, NULL), 0);
}

static void sends_from_the_host(void) {
    CHECK_EQ(uvt_oneshot_send(host.o, 0, NULL), 0);
}

UVT_TEST_PLAIN(attach_task_spawned_in_an_older_prepare_hook_runs_before_the_poll_sleeps) {
    wake_in_a_prepare_hook(NULL, spawns_from_the_host);
}

UVT_TEST_PLAIN(attach_task_woken_in_an_older_prepare_hook_runs_before_the_poll_sleeps) {
    wake_in_a_prepare_hook(receives_and_lets_the_loop_end, sends_from_the_host);
}

/* ---- the loop's thread ---- */

static void drives(void *loop) {
    uv_run(loop, UV_RUN_NOWAIT);
}

static void attaches_here_and_drives_there(void) {
    uv_thread_t thread;
    CHECK_EQ(uv_loop_init(&host.loop), 0);
    CHECK_EQ(uvt_attach(&host.rt, &host.loop, NULL), 0);
    CHECK_EQ(uvt_runtime_spawn(host.rt, b_sleep, INT(1)), 0);
    CHECK_EQ(uv_thread_create(&thread, drives, &host.loop), 0);
    uv_thread_join(&thread);
}

UVT_TEST_PLAIN(attach_loop_driven_by_another_thread_is_an_assertion) {
    char text[2048];
    dies(attaches_here_and_drives_there, text, sizeof text);
    CHECK(strstr(text, "thread") != NULL);
}

/* ---- SIGPIPE ---- */

static void on_sigpipe(int signo) {
    (void)signo;
}

static void attach_with_sigpipe(void (*before)(int), void (*after)(int)) {
    struct sigaction now;
    signal(SIGPIPE, before);
    CHECK_EQ(uv_loop_init(&host.loop), 0);
    CHECK_EQ(uvt_attach(&host.rt, &host.loop, NULL), 0);
    CHECK_EQ(sigaction(SIGPIPE, NULL, &now), 0);
    CHECK(now.sa_handler == after);
    end_host();
}

/* libuv writes what did not go at once without MSG_NOSIGNAL: a peer that vanishes would end the host. */
UVT_TEST_PLAIN(attach_default_action_of_sigpipe_is_ignored_from_then_on) {
    attach_with_sigpipe(SIG_DFL, SIG_IGN);
}

UVT_TEST_PLAIN(attach_handler_of_sigpipe_is_left_to_the_host) {
    attach_with_sigpipe(on_sigpipe, on_sigpipe);
}

/* ---- time ---- */

/* The poll's timeout is reckoned from the loop's time: were that from before the computation, the sleep would take its
 * 300 ms on top. */
UVT_TEST_REAL(sleep_after_a_long_computation_is_not_late) {
    uint64_t begin = uv_hrtime();
    while (uv_hrtime() - begin < 300 * 1000000) continue;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_sleep(10), 0);
    CHECK_IN(uvt_now() - t, 10, 60);
}

/* ---- what is on its way when a run ends ---- */

static uv_timer_t stray;

static void on_stray(uv_timer_t *t) {
    (void)t;
}

static int leaves_an_active_handle(void *arg) {
    CHECK_EQ(uv_timer_init(uvt_loop(), &stray), 0);
    CHECK_EQ(uv_timer_start(&stray, on_stray, 1, 1), 0);
    CHECK_EQ(uvt_sleep(5), 0);
    return *(int *)arg;
}

static void keeps_text(void *arg, const char *text) {
    char *all = arg;
    size_t n = strlen(all);
    if (n + strlen(text) < 1024) strcpy(all + n, text);
}

/* It would keep the loop turning, and the run from ending. */
UVT_TEST_PLAIN(run_active_handle_left_open_is_reported_and_does_not_keep_it) {
    char reports[1024] = "";
    int four = 4;
    uvt_options options = { .report = keeps_text, .report_arg = reports };
    CHECK_EQ(uvt_run(leaves_an_active_handle, &four, &options), 4);
    CHECK(strstr(reports, "timer") != NULL);
}

static void sends(void *arg) {
    CHECK_EQ(uvt_oneshot_send(arg, 0, NULL), 0);
}

/* The first post wakes the task in the check hook, after the poll: it parks there for the second with nothing that
 * keeps the loop alive but the message. */
UVT_TEST_REAL(post_accepted_before_its_task_parks_is_no_deadlock) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    for (int i = 0; i < 4; i++) {
        uvt_oneshot_t *o;
        CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
        CHECK_EQ(uvt_post(rt, sends, o), 0);
        CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), 0);
        CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
    }
    uvt_runtime_unref(rt);
}

static struct {
    uvt_runtime_t *rt;
    int calls, refused;
} poller;

static void posts_itself(void *arg) {
    poller.calls++;
    poller.refused = uvt_post(poller.rt, posts_itself, arg);
}

static int leaves_a_poller(void *arg) {
    poller.rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post(poller.rt, posts_itself, arg), 0);
    return uvt_yield();
}

/* What was accepted runs before the end; were what it posts accepted as well, there would be none. */
UVT_TEST_PLAIN(post_that_posts_itself_is_refused_at_the_end_of_the_run) {
    CHECK_EQ(uvt_run(leaves_a_poller, NULL, NULL), 0);
    CHECK(poller.calls > 0);
    CHECK_EQ(poller.refused, UVT_EGONE);
    uvt_runtime_unref(poller.rt);
}

UVT_TEST_MAIN()
