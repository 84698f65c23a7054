/* SPDX-License-Identifier: MIT
 *
 * uvt_attach: a runtime on a loop that the host drives. Tasks progress as the host turns the loop, the
 * host's own handles are left alone, and shutdown cancels and awaits everything before it says so.
 */
#include "bodies.h"

struct host {
    uv_loop_t loop;
    uvt_runtime_t *rt;
    int status, done_calls;
};

static void on_shutdown(void *arg, int status) {
    struct host *h = arg;
    h->status = status;
    h->done_calls++;
}

static void host_open(struct host *h) {
    memset(h, 0, sizeof *h);
    CHECK_EQ(uv_loop_init(&h->loop), 0);
    CHECK_EQ(uvt_attach(&h->rt, &h->loop, NULL), 0);
}

/* Ends the runtime, driving the loop as long as that takes; the first failure of a task. */
static int host_shutdown(struct host *h) {
    CHECK_EQ(uvt_runtime_shutdown(h->rt, on_shutdown, h), 0);
    while (h->done_calls == 0) uv_run(&h->loop, UV_RUN_ONCE);
    CHECK_EQ(h->done_calls, 1);
    uvt_runtime_unref(h->rt);
    return h->status;
}

static int host_close(struct host *h) {
    int status = host_shutdown(h);
    CHECK_EQ(uv_run(&h->loop, UV_RUN_DEFAULT), 0);
    CHECK_EQ(uv_loop_close(&h->loop), 0);
    return status;
}

UVT_TEST_PLAIN(attach_hooks_do_not_keep_the_loop_alive) {
    struct host h;
    host_open(&h);
    CHECK_EQ(uv_loop_alive(&h.loop), 0);
    CHECK_EQ(uv_run(&h.loop, UV_RUN_DEFAULT), 0);
    CHECK_EQ(host_close(&h), 0);
}

static int sleeps_and_steps(void *arg) {
    for (int i = 1; i <= 3; i++) {
        CHECK_EQ(uvt_sleep(2), 0);
        uvt_test_step("%s%d", (const char *)arg, i);
    }
    return 0;
}

UVT_TEST_PLAIN(attach_sleeping_task_keeps_the_loop_alive_until_it_ends) {
    struct host h;
    host_open(&h);
    CHECK_EQ(uvt_runtime_spawn(h.rt, sleeps_and_steps, "s"), 0);
    CHECK_STEPS(""); /* not inside the call */
    uv_run(&h.loop, UV_RUN_DEFAULT);
    CHECK_STEPS("s1 s2 s3");
    CHECK_EQ(host_close(&h), 0);
}

UVT_TEST_PLAIN(attach_host_may_turn_the_loop_step_by_step) {
    struct host h;
    int n = 0;
    host_open(&h);
    CHECK_EQ(uvt_runtime_spawn(h.rt, b_count, &n), 0);
    for (int i = 0; i < 5 && n == 0; i++) uv_run(&h.loop, UV_RUN_NOWAIT);
    CHECK_EQ(n, 1);
    CHECK_EQ(host_close(&h), 0);
}

/* ---- the host's own handles ---- */

static uv_timer_t host_timer;
static uv_idle_t host_idle;
static bool in_callback;
static int timer_calls;

static int checks_where(void *arg) {
    CHECK(!in_callback);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(uvt_yield(), 0);
        CHECK(!in_callback);
    }
    ++*(int *)arg;
    return 0;
}

static int tasks_run;

static void on_host_timer(uv_timer_t *t) {
    struct host *h = t->data;
    in_callback = true;
    CHECK_EQ(uvt_runtime_spawn(h->rt, checks_where, &tasks_run), 0);
    CHECK(uvt_loop() == &h->loop);
    CHECK_EQ(uvt_self().id, 0);
    if (++timer_calls == 5) uv_timer_stop(t);
    in_callback = false;
}

UVT_TEST_PLAIN(attach_tasks_never_run_inside_a_callback_of_the_host) {
    struct host h;
    host_open(&h);
    CHECK_EQ(uv_timer_init(&h.loop, &host_timer), 0);
    host_timer.data = &h;
    CHECK_EQ(uv_timer_start(&host_timer, on_host_timer, 1, 1), 0);
    uv_run(&h.loop, UV_RUN_DEFAULT);
    CHECK_EQ(timer_calls, 5);
    CHECK_EQ(tasks_run, 5);
    uv_close((uv_handle_t *)&host_timer, NULL);
    CHECK_EQ(host_close(&h), 0);
}

static void counts_handle(uv_handle_t *handle, void *arg) {
    (void)handle;
    ++*(int *)arg;
}

static void on_host_idle(uv_idle_t *i) {
    (void)i;
}

UVT_TEST_PLAIN(shutdown_leaves_the_hosts_handles_active_and_takes_its_own_away) {
    struct host h;
    int before = 0, after = 0;
    host_open(&h);
    uv_timer_init(&h.loop, &host_timer);
    uv_timer_start(&host_timer, on_host_timer, 60000, 0);
    uv_idle_init(&h.loop, &host_idle);
    uv_idle_start(&host_idle, on_host_idle);
    uv_walk(&h.loop, counts_handle, &before);
    CHECK_EQ(uvt_runtime_spawn(h.rt, b_forever, NULL), 0);
    for (int i = 0; i < 5; i++) uv_run(&h.loop, UV_RUN_NOWAIT);
    CHECK_EQ(host_shutdown(&h), 0);
    uv_walk(&h.loop, counts_handle, &after);
    CHECK_EQ(after, 2);
    CHECK(before > 2);
    CHECK(uv_is_active((uv_handle_t *)&host_timer) && !uv_is_closing((uv_handle_t *)&host_timer));
    CHECK(uv_is_active((uv_handle_t *)&host_idle) && !uv_is_closing((uv_handle_t *)&host_idle));
    uv_close((uv_handle_t *)&host_timer, NULL);
    uv_close((uv_handle_t *)&host_idle, NULL);
    uv_run(&h.loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&h.loop), 0);
}

/* ---- shutdown ---- */

static int cleans_when_shut_down(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(rc, UV_ECANCELED);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_SHUTDOWN);
    uvt_shielded(1000, b_sleep, INT(3));
    ++*(int *)arg;
    return rc;
}

UVT_TEST_PLAIN(shutdown_cancels_and_awaits_every_task) {
    struct host h;
    int n = 0;
    host_open(&h);
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_runtime_spawn(h.rt, cleans_when_shut_down, &n), 0);
    uv_run(&h.loop, UV_RUN_NOWAIT);
    CHECK_EQ(host_close(&h), 0);
    CHECK_EQ(n, 10);
}

UVT_TEST_PLAIN(shutdown_reports_the_first_failure_of_a_task) {
    struct host h;
    host_open(&h);
    CHECK_EQ(uvt_runtime_spawn(h.rt, b_return, INT(UV_EIO)), 0);
    uv_run(&h.loop, UV_RUN_DEFAULT);
    CHECK_EQ(uvt_runtime_spawn(h.rt, b_return, INT(UV_EPERM)), 0);
    CHECK_EQ(host_close(&h), UV_EIO);
}

UVT_TEST_PLAIN(shutdown_twice_is_egone_and_nothing_starts_any_more) {
    struct host h;
    host_open(&h);
    CHECK_EQ(uvt_runtime_shutdown(h.rt, on_shutdown, &h), 0);
    CHECK_EQ(uvt_runtime_shutdown(h.rt, on_shutdown, &h), UVT_EGONE);
    CHECK_EQ(uvt_runtime_spawn(h.rt, b_return, INT(0)), UVT_EGONE);
    uv_run(&h.loop, UV_RUN_DEFAULT);
    CHECK_EQ(h.done_calls, 1);
    CHECK_EQ(uvt_runtime_spawn(h.rt, b_return, INT(0)), UVT_EGONE);
    CHECK_EQ(uvt_runtime_shutdown(h.rt, on_shutdown, &h), UVT_EGONE);
    CHECK_EQ(uvt_post(h.rt, d_count, &h.status), UVT_EGONE);
    uvt_runtime_unref(h.rt);
    CHECK_EQ(uv_loop_close(&h.loop), 0);
}

UVT_TEST_PLAIN(shutdown_without_a_callback_works_too) {
    struct host h;
    host_open(&h);
    CHECK_EQ(uvt_runtime_spawn(h.rt, b_forever, NULL), 0);
    CHECK_EQ(uvt_runtime_shutdown(h.rt, NULL, NULL), 0);
    uv_run(&h.loop, UV_RUN_DEFAULT);
    uvt_runtime_unref(h.rt);
    CHECK_EQ(uv_loop_close(&h.loop), 0);
}

UVT_TEST_PLAIN(shutdown_then_attach_again_to_the_same_loop) {
    struct host h;
    int n = 0;
    host_open(&h);
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(uvt_runtime_spawn(h.rt, b_count, &n), 0);
        uv_run(&h.loop, UV_RUN_DEFAULT);
        CHECK_EQ(host_shutdown(&h), 0);
        CHECK(uvt_loop() == NULL);
        h.done_calls = 0;
        CHECK_EQ(uvt_attach(&h.rt, &h.loop, NULL), 0);
    }
    CHECK_EQ(n, 3);
    CHECK_EQ(host_close(&h), 0);
}

static int waits_for_nobody(void *arg) {
    uvt_oneshot_t *o;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    int rc = uvt_oneshot_recv(o, NULL, NULL);
    CHECK_EQ(rc, UV_ECANCELED);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_SHUTDOWN);
    uvt_oneshot_close_tx(o);
    uvt_oneshot_close_rx(o, NULL);
    ++*(int *)arg;
    return rc;
}

/* Only uvt_run judges deadlocks: the host may know who will wake a task, and turns the loop again. */
UVT_TEST_PLAIN(attach_parked_task_is_no_deadlock_and_no_reason_to_go_on) {
    struct host h;
    int n = 0;
    host_open(&h);
    CHECK_EQ(uvt_runtime_spawn(h.rt, waits_for_nobody, &n), 0);
    CHECK_EQ(uv_run(&h.loop, UV_RUN_DEFAULT), 0);
    CHECK_EQ(n, 0);
    CHECK_EQ(host_close(&h), 0);
    CHECK_EQ(n, 1);
}

/* ---- refused ---- */

UVT_TEST_PLAIN(attach_null_is_refused) {
    uv_loop_t loop;
    uvt_runtime_t *rt = NULL;
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(NULL, &loop, NULL), UV_EINVAL);
    CHECK_EQ(uvt_attach(&rt, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_attach(&rt, &loop, &(uvt_options){ .stack_size = 3 }), UV_EINVAL);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

UVT_TEST_PLAIN(attach_second_runtime_on_a_thread_is_refused) {
    struct host h;
    uv_loop_t other;
    uvt_runtime_t *rt = NULL;
    host_open(&h);
    CHECK_EQ(uv_loop_init(&other), 0);
    CHECK_EQ(uvt_attach(&rt, &other, NULL), UVT_ENESTED);
    CHECK_EQ(uvt_attach(&rt, &h.loop, NULL), UVT_ENESTED);
    CHECK_EQ(uvt_run(b_return, INT(0), NULL), UVT_ENESTED);
    CHECK_EQ(uv_loop_close(&other), 0);
    CHECK_EQ(host_close(&h), 0);
}

static void spawns_from_afar(void *rt) {
    CHECK_EQ(uvt_runtime_spawn(rt, b_return, INT(0)), UVT_ESHARD);
    CHECK_EQ(uvt_runtime_shutdown(rt, NULL, NULL), UVT_ESHARD);
}

UVT_TEST_PLAIN(attach_calls_from_another_thread_are_refused) {
    struct host h;
    uv_thread_t thread;
    host_open(&h);
    CHECK_EQ(uv_thread_create(&thread, spawns_from_afar, h.rt), 0);
    uv_thread_join(&thread);
    CHECK_EQ(host_close(&h), 0);
}

UVT_TEST(shutdown_of_a_runtime_of_uvt_run_is_refused) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_runtime_shutdown(rt, NULL, NULL), UV_EINVAL);
    uvt_runtime_unref(rt);
    CHECK_EQ(uvt_yield(), 0);
}

UVT_TEST_PLAIN(attach_out_of_memory_leaves_the_loop_as_it_was) {
    uv_loop_t loop;
    uvt_runtime_t *rt = NULL;
    CHECK_EQ(uv_loop_init(&loop), 0);
    for (unsigned n = 1;; n++) {
        uvt_test_fail_alloc(n);
        int rc = uvt_attach(&rt, &loop, NULL);
        bool hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        if (!hit) {
            CHECK_EQ(rc, 0);
            break;
        }
        CHECK_EQ(rc, UV_ENOMEM);
        uv_run(&loop, UV_RUN_DEFAULT);
        int handles = 0;
        uv_walk(&loop, counts_handle, &handles);
        CHECK_EQ(handles, 0);
    }
    CHECK_EQ(uvt_runtime_shutdown(rt, NULL, NULL), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    uvt_runtime_unref(rt);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

UVT_TEST_MAIN()
