/* SPDX-License-Identifier: MIT
 *
 * uvt_run: what it returns and when, what it refuses, options out of range, the seeded order, handles that
 * stray into another runtime. Posts are in post_test.c, host-driven loops in attach_test.c.
 */
#include "bodies.h"

UVT_TEST_PLAIN(run_returns_what_main_returned) {
    const int values[] = { 0, 8, UV_EIO, UVT_ECLOSED };
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_run(b_return, INT(values[i]), NULL), values[i]);
}

UVT_TEST_PLAIN(run_options_null_and_zero_are_the_same) {
    CHECK_EQ(uvt_run(b_return, INT(5), &(uvt_options){ 0 }), 5);
    CHECK_EQ(uvt_run(b_return, INT(5), NULL), 5);
}

static int panics(void *arg) {
    uvt_panic("no more %s", (const char *)arg);
}

UVT_TEST_PLAIN(run_main_panics_is_epanic) {
    CHECK_EQ(uvt_test_run(panics, "tea", NULL), UVT_EPANIC);
}

/* ---- run inside of run ---- */

static void tries_to_run(void *arg) {
    uv_loop_t loop;
    uvt_runtime_t *rt = NULL;
    (void)arg;
    CHECK_EQ(uvt_run(b_return, INT(0), NULL), UVT_ENESTED);
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(&rt, &loop, NULL), UVT_ENESTED);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

UVT_TEST(run_inside_a_task_is_refused_in_clear_words) {
    tries_to_run(NULL);
    CHECK_STR(uvt_err_name(UVT_ENESTED), "ENESTED");
    CHECK(strstr(uvt_strerror(UVT_ENESTED), "await instead") != NULL);
    CHECK_EQ(uvt_yield(), 0); /* and the runtime that was there is none the worse */
}

UVT_TEST(run_inside_a_callback_of_the_loop_is_refused) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post(rt, tries_to_run, NULL), 0);
    for (int i = 0; i < 5; i++) uvt_yield();
    uvt_runtime_unref(rt);
}

/* ---- what is left when main returns ---- */

static int cleaned;

static void cleans(void *arg) {
    (void)arg;
    uvt_sleep(10); /* shielded: cleaning up may take its time */
    cleaned++;
}

static int waits_for_ever(void *arg) {
    CHECK_EQ(uvt_defer(cleans, NULL), 0);
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(uvt_cancel_reason().code, *(uvt_reason_code *)arg);
    return rc;
}

static int leaves_children(void *arg) {
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_spawn(NULL, waits_for_ever, arg), 0);
    return uvt_sleep(100);
}

UVT_TEST_PLAIN(run_children_left_by_main_are_cancelled_and_cleaned) {
    static uvt_reason_code why = UVT_REASON_OWNER;
    CHECK_EQ(uvt_test_run(leaves_children, &why, NULL), 0);
    CHECK_EQ(cleaned, 5);
}

static int leaves_detached(void *arg) {
    for (int i = 0; i < 5; i++) {
        uvt_task_t t;
        CHECK_EQ(uvt_spawn(&t, waits_for_ever, arg), 0);
        CHECK_EQ(uvt_detach(t), 0);
    }
    return uvt_sleep(100);
}

UVT_TEST_PLAIN(run_detached_tasks_are_cancelled_and_cleaned_at_the_end) {
    static uvt_reason_code why = UVT_REASON_SHUTDOWN;
    CHECK_EQ(uvt_test_run(leaves_detached, &why, NULL), 0);
    CHECK_EQ(cleaned, 5);
}

static int detaches_fn(uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, fn, arg), 0);
    CHECK_EQ(uvt_detach(t), 0);
    return uvt_sleep(10);
}

static int detaches_failure(void *arg) {
    detaches_fn(b_return, INT(UV_EIO));
    return b_return(arg);
}

UVT_TEST_PLAIN(run_failure_of_a_detached_task_comes_out) {
    CHECK_EQ(uvt_test_run(detaches_failure, INT(7), NULL), UV_EIO);
    CHECK_EQ(uvt_test_run(detaches_failure, INT(UV_EPERM), NULL), UV_EPERM); /* main's own goes first */
}

static int detaches_panic(void *arg) {
    return detaches_fn(panics, arg);
}

UVT_TEST_PLAIN(run_panic_of_a_detached_task_comes_out) {
    CHECK_EQ(uvt_test_run(detaches_panic, "tea", NULL), UVT_EPANIC);
}

/* ---- the seeded order ---- */

static int notes_rounds(void *arg) {
    for (int i = 0; i < 3; i++) {
        uvt_test_step("%d", *(int *)arg);
        uvt_yield();
    }
    return 0;
}

static int sixteen_tasks(void *arg) {
    static int ids[16];
    (void)arg;
    for (int i = 0; i < 16; i++) {
        ids[i] = i;
        CHECK_EQ(uvt_spawn(NULL, notes_rounds, &ids[i]), 0);
    }
    return uvt_sleep(5);
}

static void order_of(uint64_t seed, char *out, size_t size) {
    CHECK_EQ(uvt_run(sixteen_tasks, NULL, &(uvt_options){ .seed = seed }), 0);
    strncpy(out, uvt_test_steps(true), size - 1);
}

UVT_TEST_PLAIN(seed_same_seed_same_order) {
    char a[1000] = "", b[1000] = "";
    for (uint64_t seed = 1; seed <= 5; seed++) {
        order_of(seed, a, sizeof a);
        order_of(seed, b, sizeof b);
        CHECK_STR(a, b);
    }
}

UVT_TEST_PLAIN(seed_other_seeds_other_orders) {
    char first[1000] = "", other[1000] = "";
    int same = 0;
    order_of(1, first, sizeof first);
    for (uint64_t seed = 2; seed <= 10; seed++) {
        order_of(seed, other, sizeof other);
        same += strcmp(first, other) == 0;
    }
    CHECK_EQ(same, 0); /* of 16! orders per batch */
}

/* ---- two runtimes ---- */

struct own_runtime {
    uv_loop_t *loop;
    uvt_task_t self;
    int rc;
};

static int notes_where(void *arg) {
    struct own_runtime *o = arg;
    o->loop = uvt_loop();
    o->self = uvt_self();
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_yield(), 0);
    CHECK(uvt_loop() == o->loop);
    return 3;
}

static void runs_own(void *arg) {
    CHECK(uvt_loop() == NULL);
    ((struct own_runtime *)arg)->rc = uvt_run(notes_where, arg, NULL);
    CHECK(uvt_loop() == NULL);
    CHECK_EQ(uvt_self().id, 0);
}

UVT_TEST_PLAIN(runtimes_of_two_threads_are_independent) {
    struct own_runtime a = { .rc = 0 }, b = { .rc = 0 };
    uv_thread_t ta, tb;
    CHECK_EQ(uv_thread_create(&ta, runs_own, &a), 0);
    CHECK_EQ(uv_thread_create(&tb, runs_own, &b), 0);
    uv_thread_join(&ta);
    uv_thread_join(&tb);
    CHECK_EQ(a.rc, 3);
    CHECK_EQ(b.rc, 3);
    CHECK(a.self.id != b.self.id);
}

/* Things made in one runtime, for the tasks of another to lay hands on. */
struct foreign {
    uvt_task_t task;
    uvt_set_t set;
    uvt_semaphore_t sem;
    uvt_oneshot_t *oneshot;
    uvt_token_t *token;
    uvt_listener_t *listener;
    uvt_stream_t *stream;
};

static int lays_hands_on(void *arg) {
    struct foreign *f = arg;
    uvt_stream_t *s = NULL;
    char byte;
    CHECK_EQ(uvt_join(f->task, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_detach(f->task), UVT_ESHARD);
    CHECK_EQ(uvt_is_done(f->task), UVT_ESHARD);
    CHECK_STR(uvt_task_name(f->task), "?");
    CHECK_EQ(uvt_set_spawn(&f->set, b_return, INT(0)), UVT_ESHARD);
    CHECK_EQ(uvt_set_next(&f->set, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_set_close(&f->set), UVT_ESHARD);
    CHECK_EQ(uvt_semaphore_acquire(&f->sem), UVT_ESHARD);
    CHECK_EQ(uvt_semaphore_release(&f->sem, 1), UVT_ESHARD);
    CHECK_EQ(uvt_oneshot_recv(f->oneshot, NULL, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_token_wait(f->token), UVT_ESHARD);
    CHECK_EQ(uvt_read(f->stream, &byte, 1), UVT_ESHARD);
    CHECK_EQ(uvt_write(f->stream, "x", 1, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_close(f->stream), UVT_ESHARD);
    CHECK_EQ(uvt_accept(f->listener, &s), UVT_ESHARD);
    CHECK_EQ(uvt_listener_close(f->listener), UVT_ESHARD);
    return 0;
}

static void runs_on_foreign_things(void *arg) {
    CHECK_EQ(uvt_run(lays_hands_on, arg, NULL), 0);
}

UVT_TEST(handles_of_another_runtime_are_refused) {
    struct foreign f;
    static uvt_reason_code why = UVT_REASON_ABORT;
    uv_thread_t thread;
    CHECK_EQ(uvt_spawn(&f.task, waits_for_ever, &why), 0);
    CHECK_EQ(uvt_set_open(&f.set, NULL), 0);
    CHECK_EQ(uvt_semaphore_init(&f.sem, 1, 1), 0);
    CHECK_EQ(uvt_oneshot_new(&f.oneshot, 0), 0);
    CHECK_EQ(uvt_token_new(&f.token, NULL), 0);
    CHECK_EQ(uvt_tcp_listen(&f.listener, "127.0.0.1", 0, 0), 0);
    CHECK_EQ(uvt_tcp_connect(&f.stream, "127.0.0.1", (unsigned)uvt_listener_port(f.listener)), 0);
    CHECK_EQ(uv_thread_create(&thread, runs_on_foreign_things, &f), 0);
    uv_thread_join(&thread); /* this loop stands still meanwhile, so nothing here moves under its hands */
    CHECK_EQ(uvt_semaphore_available(&f.sem), 1);
    CHECK_EQ(uvt_set_close(&f.set), 0);
    uvt_oneshot_close_tx(f.oneshot);
    CHECK_EQ(uvt_oneshot_close_rx(f.oneshot, NULL), 0);
    uvt_token_unref(f.token);
    CHECK_EQ(uvt_close(f.stream), 0);
    CHECK_EQ(uvt_listener_close(f.listener), 0);
    CHECK_EQ(uvt_abort(f.task), 0);
    CHECK_EQ(uvt_join(f.task, NULL), UV_ECANCELED);
}

/* ---- numbers ---- */

UVT_TEST(stats_count_what_lives) {
    uvt_stats a, b;
    static uvt_reason_code why = UVT_REASON_ABORT;
    uvt_task_t t[3];
    uvt_stats_get(&a);
    for (int i = 0; i < 2; i++) uvt_spawn(&t[i], waits_for_ever, &why);
    uvt_spawn(&t[2], b_return, INT(0));
    settle();
    uvt_stats_get(&b);
    CHECK_EQ(b.tasks - a.tasks, 2);
    CHECK_EQ(b.records - a.records, 3);
    CHECK_EQ(b.stacks - a.stacks, 2);
    CHECK_EQ(b.spawned - a.spawned, 3);
    CHECK_EQ(uvt_join(t[2], NULL), 0);
    uvt_stats_get(&b);
    CHECK_EQ(b.records - a.records, 2);
    for (int i = 0; i < 2; i++) uvt_abort(t[i]);
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_join(t[i], NULL), UV_ECANCELED);
    uvt_stats_get(&b);
    CHECK_EQ(b.tasks, a.tasks);
    CHECK_EQ(b.stacks, a.stacks);
    CHECK(b.stacks_cached >= 2);
}

UVT_TEST_MAIN()
