/* SPDX-License-Identifier: MIT
 *
 * The end of a runtime while things still happen: tasks that wake each other in their cleanup, traffic,
 * threads that complete waits, stubborn tasks. It always ends, once everything is cleaned, and says who
 * kept it waiting.
 */
#include <stdatomic.h>

#include "../io/loopback.h"
#include "bodies.h"

static int detach(uvt_fn fn, void *arg) {
    uvt_task_t t;
    int rc = uvt_spawn(&t, fn, arg);
    return rc < 0 ? rc : uvt_detach(t);
}

/* ---- cleanups that wake each other ---- */

static uvt_semaphore_t mine, yours;

static void wakes_and_waits(void *first) {
    if (first) {
        CHECK_EQ(uvt_semaphore_release(&mine, 1), 0);
        CHECK_EQ(uvt_semaphore_acquire(&yours), 0);
        uvt_test_step("first");
    } else {
        CHECK_EQ(uvt_semaphore_acquire(&mine), 0);
        CHECK_EQ(uvt_semaphore_release(&yours, 1), 0);
    }
}

static int waits_with_cleanup(void *first) {
    CHECK_EQ(uvt_defer(wakes_and_waits, first), 0);
    return uvt_sleep(UVT_FOREVER);
}

static int ends_with_two_that_wake_each_other(void *arg) {
    CHECK_EQ(uvt_semaphore_init(&mine, 0, 0), 0);
    CHECK_EQ(uvt_semaphore_init(&yours, 0, 0), 0);
    CHECK_EQ(detach(waits_with_cleanup, arg), 0);
    CHECK_EQ(detach(waits_with_cleanup, NULL), 0);
    return uvt_sleep(5);
}

UVT_TEST_PLAIN(shutdown_cleanups_that_wake_each_other_come_to_an_end) {
    CHECK_EQ(uvt_test_run(ends_with_two_that_wake_each_other, &mine, NULL), 0);
    CHECK_STEPS("first");
}

/* ---- traffic ---- */

struct traffic {
    atomic_int stop;
    unsigned port;
    uv_thread_t thread;
};

static void sends_all_the_time(void *arg) {
    struct traffic *t = arg;
    int fds[4];
    for (int i = 0; i < 4; i++) { /* the shutdown may be over before all are connected */
        struct sockaddr_in a = lo_addr(t->port);
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fds[i], (struct sockaddr *)&a, sizeof a) != 0) continue;
    }
    while (!atomic_load(&t->stop))
        for (int i = 0; i < 4; i++) send(fds[i], "noise", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
    for (int i = 0; i < 4; i++) close(fds[i]);
}

static int echoes(void *arg) {
    CHECK_EQ(uvt_stream_own(arg), 0);
    int rc = lo_echo(arg);
    uvt_close(arg);
    return rc == UV_ECONNRESET || rc == UV_EPIPE ? 0 : rc;
}

static int listens(void *arg) {
    struct traffic *t = arg;
    uvt_listener_t *l = lo_listen();
    t->port = (unsigned)uvt_listener_port(l);
    int rc = uv_thread_create(&t->thread, sends_all_the_time, t);
    while (rc == 0) {
        uvt_stream_t *s = NULL;
        rc = uvt_accept(l, &s);
        if (rc == 0) CHECK_EQ(detach(echoes, s), 0);
        if (rc == 0) CHECK_EQ(uvt_yield(), 0); /* it is the echo's now */
    }
    CHECK_EQ(uvt_listener_close(l), 0);
    return rc;
}

static int leaves_in_traffic(void *arg) {
    CHECK_EQ(detach(listens, arg), 0);
    uvt_sleep(10);
    return 0;
}

UVT_TEST_PLAIN(shutdown_in_full_traffic_ten_times) {
    for (int i = 0; i < 10; i++) {
        struct traffic t = { .port = 0 };
        CHECK_EQ(uvt_run(leaves_in_traffic, &t, NULL), 0);
        atomic_store(&t.stop, 1);
        uv_thread_join(&t.thread);
    }
}

/* ---- threads that complete things ---- */

/* The first half while the runtime goes on and while it ends, the other half after its end. */
enum { MANY = 10000, SOME = 100 };
static uvt_oneshot_t *oneshots[MANY];
static atomic_int sent, refused;
static uv_sem_t ended;

static void completes_them_all(void *arg) {
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        if (i == MANY / 2) uv_sem_wait(&ended);
        int rc = uvt_oneshot_send(oneshots[i], 0, NULL);
        CHECK(rc == 0 || rc == UVT_ECLOSED || rc == UVT_EGONE);
        atomic_fetch_add(rc == 0 ? &sent : &refused, 1);
    }
}

/* Starts the thread; by the time this returns it has sent some. */
static int let_it_begin(uv_thread_t *thread) {
    int rc = uv_thread_create(thread, completes_them_all, NULL);
    while (rc == 0 && atomic_load(&sent) < SOME) {}
    return rc;
}

/* Runs fn(&thread), a main task that starts the thread, and sees it through. */
static void end_beside_the_thread(uvt_fn fn) {
    uv_thread_t thread;
    CHECK_EQ(uv_sem_init(&ended, 0), 0);
    CHECK_EQ(uvt_run(fn, &thread, NULL), 0);
    uv_sem_post(&ended);
    uv_thread_join(&thread);
    uv_sem_destroy(&ended);
    CHECK_EQ(atomic_load(&sent) + atomic_load(&refused), MANY);
    CHECK(atomic_load(&sent) >= SOME && atomic_load(&refused) >= MANY / 2);
}

static int leaves_ten_thousand(void *thread) {
    for (int i = 0; i < MANY; i++) {
        uvt_task_t t;
        CHECK_EQ(uvt_oneshot_new(&oneshots[i], UVT_ONESHOT_EXTERNAL), 0);
        CHECK_EQ(uvt_spawn_oneshot(&t, oneshots[i], NULL), 0);
        CHECK_EQ(uvt_detach(t), 0);
    }
    return let_it_begin(thread);
}

UVT_TEST_PLAIN(shutdown_while_a_thread_completes_ten_thousand_tasks) {
    end_beside_the_thread(leaves_ten_thousand);
}

static int cleaned, received, dropped;

/* What was sent is received, or comes back as the receiver leaves: never lost. */
static int receives_one(void *arg) {
    uvt_oneshot_t *o = arg;
    CHECK_EQ(uvt_defer(d_count, &cleaned), 0);
    int rc = uvt_oneshot_recv(o, NULL, NULL);
    if (rc == 0) received++;
    dropped += uvt_oneshot_close_rx(o, NULL);
    return rc;
}

static int leaves_waiting_tasks(void *thread) {
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(uvt_oneshot_new(&oneshots[i], UVT_ONESHOT_EXTERNAL), 0);
        if (i % 10 == 0) CHECK_EQ(detach(receives_one, oneshots[i]), 0);
        else uvt_oneshot_close_rx(oneshots[i], NULL);
    }
    uvt_yield();
    return let_it_begin(thread);
}

UVT_TEST_PLAIN(shutdown_while_a_thread_wakes_tasks_each_is_cleaned_once) {
    end_beside_the_thread(leaves_waiting_tasks);
    CHECK_EQ(cleaned, MANY / 10);
    CHECK_EQ(received + dropped, atomic_load(&sent));
}

/* A thread that is released by a task's cleanup, which then waits for it. */
struct released {
    uv_sem_t gate;
    uv_thread_t thread;
    uvt_oneshot_t *done;
};

static void works_when_released(void *arg) {
    struct released *r = arg;
    uv_sem_wait(&r->gate);
    CHECK_EQ(uvt_oneshot_send(r->done, 6, NULL), 0);
}

static void releases_and_awaits(void *arg) {
    struct released *r = arg;
    int status = 0;
    uv_sem_post(&r->gate);
    CHECK_EQ(uvt_oneshot_recv(r->done, &status, NULL), 0);
    CHECK_EQ(status, 6);
    uvt_oneshot_close_rx(r->done, NULL);
    uvt_test_step("released");
}

static int has_a_worker(void *arg) {
    struct released *r = arg;
    CHECK_EQ(uvt_oneshot_new(&r->done, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uv_thread_create(&r->thread, works_when_released, r), 0);
    CHECK_EQ(uvt_defer(releases_and_awaits, r), 0);
    return uvt_sleep(UVT_FOREVER);
}

static int leaves_a_worker(void *arg) {
    CHECK_EQ(detach(has_a_worker, arg), 0);
    return uvt_sleep(5);
}

UVT_TEST_PLAIN(shutdown_thread_released_by_a_cleanup_does_not_hang_it) {
    struct released r;
    CHECK_EQ(uv_sem_init(&r.gate, 0), 0);
    CHECK_EQ(uvt_run(leaves_a_worker, &r, NULL), 0);
    CHECK_STEPS("released");
    uv_thread_join(&r.thread);
    uv_sem_destroy(&r.gate);
}

/* ---- grace and stragglers ---- */

static int leaves_a_straggler(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_stubborn, arg), 0); /* directly: the macro takes the task's name from here */
    CHECK_EQ(uvt_detach(t), 0);
    return uvt_sleep(1);
}

UVT_TEST_PLAIN(shutdown_names_stragglers_after_the_grace_time_and_awaits_them) {
    CHECK_EQ(uvt_test_run(leaves_a_straggler, INT(900), &(uvt_options){ .grace_ms = 100 }), 0);
    CHECK(strstr(uvt_test_reports(), "b_stubborn") != NULL);
    CHECK(strstr(uvt_test_reports(), "shutdown_test.c:") != NULL);
}

UVT_TEST_PLAIN(shutdown_in_time_names_nobody) {
    CHECK_EQ(uvt_test_run(leaves_a_straggler, INT(50), &(uvt_options){ .grace_ms = 100 }), 0);
    CHECK_STR(uvt_test_reports(), "");
}

UVT_TEST_PLAIN(shutdown_with_nothing_left_is_immediate_whatever_the_grace) {
    uint64_t t = uv_hrtime();
    CHECK_EQ(uvt_run(b_return, INT(0), &(uvt_options){ .grace_ms = 3600 * 1000 }), 0);
    CHECK_EQ(uvt_run(leaves_a_straggler, INT(5), &(uvt_options){ .grace_ms = 3600 * 1000 }), 0);
    CHECK_IN(uv_hrtime() - t, 0, 10 * 1000000000ll);
}

/* ---- tasks that spawn while everything ends ---- */

static int respawns(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    uvt_task_t t;
    if (++*(int *)arg < 50) CHECK_EQ(uvt_spawn(&t, respawns, arg), 0);
    return rc;
}

static int leaves_a_spawner(void *arg) {
    CHECK_EQ(detach(respawns, arg), 0);
    return uvt_sleep(1);
}

UVT_TEST_PLAIN(shutdown_tasks_spawned_meanwhile_are_cancelled_too) {
    int n = 0;
    CHECK_EQ(uvt_test_run(leaves_a_spawner, &n, NULL), 0);
    CHECK_EQ(n, 50);
}

static int detaches_while_ending(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(detach(receives_one, arg), 0);
    return rc;
}

static int leaves_a_detacher(void *arg) {
    uvt_oneshot_t **o = arg;
    CHECK_EQ(uvt_oneshot_new(o, 0), 0);
    CHECK_EQ(detach(detaches_while_ending, *o), 0);
    return uvt_sleep(1);
}

UVT_TEST_PLAIN(shutdown_tasks_detached_meanwhile_are_cancelled_and_cleaned) {
    uvt_oneshot_t *o = NULL;
    CHECK_EQ(uvt_test_run(leaves_a_detacher, &o, NULL), 0);
    CHECK_EQ(cleaned, 1);
    uvt_oneshot_close_tx(o);
}

/* ---- libuv's handles ---- */

static uv_timer_t stray;

static int leaves_a_handle(void *arg) {
    (void)arg;
    CHECK_EQ(uv_timer_init(uvt_loop(), &stray), 0);
    return 4;
}

UVT_TEST_PLAIN(shutdown_closes_and_reports_handles_left_on_its_own_loop) {
    CHECK_EQ(uvt_test_run(leaves_a_handle, NULL, NULL), 4);
    CHECK(strstr(uvt_test_reports(), "timer") != NULL);
}

UVT_TEST_MAIN()
