/* SPDX-License-Identifier: MIT
 *
 * Nobody starves: I/O is polled while tasks are always ready, yields let it in, chains of tasks that wake
 * each other leave room for others, and calls that complete at once cost budget like any other.
 */
#include "../io/loopback.h"

static volatile bool stop; /* for whoever spins */

static int spins(void *arg) {
    (void)arg;
    while (!stop) uvt_yield();
    return 0;
}

UVT_TEST(io_is_served_under_a_hundred_ready_tasks) {
    uvt_listener_t *l = lo_listen();
    uvt_stream_t *s = NULL;
    uvt_set_t set;
    char buf[4];
    uvt_set_open(&set, NULL);
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_set_spawn(&set, spins, NULL), 0);
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    CHECK_EQ(uvt_accept(l, &s), 0);
    for (int i = 0; i < 20; i++) {
        lo_raw_send(peer, "ping", 4);
        CHECK_EQ(uvt_read_exact(s, buf, 4, NULL), 0);
        CHECK_EQ(uvt_write(s, "pong", 4, NULL), 0);
        CHECK_EQ(lo_raw_recv(peer, buf, 4), 4);
    }
    stop = true;
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    lo_end(s, peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static int accepts(void *arg) {
    uvt_stream_t *s = NULL;
    int rc = uvt_accept(arg, &s);
    stop = true;
    return rc < 0 ? rc : uvt_close_soon(s);
}

UVT_TEST(yield_few_of_them_let_an_accept_through) {
    uvt_listener_t *l = lo_listen();
    uvt_task_t t;
    int yields = 0;
    uvt_spawn(&t, accepts, l);
    uvt_yield();
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    while (!stop) {
        uvt_yield();
        yields++;
    }
    CHECK_IN(yields, 1, 1000); /* a batch or two of the scheduler, which is some microseconds */
    CHECK_EQ(uvt_join(t, NULL), 0);
    close(peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static int ends_the_chain(void *arg) {
    char byte;
    CHECK_EQ(uvt_read(arg, &byte, 1), 1);
    stop = true;
    return 0;
}

static int spawns_its_successor(void *arg) {
    uvt_task_t t;
    ++*(int *)arg;
    if (stop) return 0;
    int rc = uvt_spawn(&t, spawns_its_successor, arg);
    return rc < 0 ? rc : uvt_detach(t);
}

UVT_TEST(chain_of_tasks_that_spawn_their_successor_starves_nobody) {
    int peer, links = 0;
    uvt_stream_t *s = lo_half(&peer);
    uvt_task_t t;
    uvt_spawn(&t, ends_the_chain, s);
    uvt_spawn(NULL, spawns_its_successor, &links);
    uvt_yield();
    lo_raw_send(peer, "x", 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK(links > 0);
    uvt_sleep(1); /* virtual: the last link has ended */
    lo_end(s, peer);
}

static uvt_semaphore_t ping, pong;

static int relays(void *arg) {
    bool first = arg != NULL;
    int rc;
    while ((rc = uvt_semaphore_acquire(first ? &ping : &pong)) == 0)
        CHECK_EQ(uvt_semaphore_release(first ? &pong : &ping, 1), 0);
    CHECK_EQ(rc, UV_ECANCELED);
    return rc;
}

UVT_TEST(two_tasks_that_wake_each_other_starve_nobody) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_task_t t;
    uvt_set_t set;
    CHECK_EQ(uvt_semaphore_init(&ping, 1, 0), 0);
    CHECK_EQ(uvt_semaphore_init(&pong, 0, 0), 0);
    uvt_set_open(&set, NULL);
    uvt_set_spawn(&set, relays, s);
    uvt_set_spawn(&set, relays, NULL);
    uvt_spawn(&t, ends_the_chain, s);
    uvt_yield();
    lo_raw_send(peer, "x", 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    lo_end(s, peer);
}

static int counts_turns(void *arg) {
    while (!stop) {
        uvt_yield();
        ++*(int *)arg;
    }
    return 0;
}

UVT_TEST(reads_that_complete_at_once_let_others_run) {
    int peer, turns = 0;
    uvt_stream_t *s = lo_half(&peer);
    static char buf[20000];
    lo_raw_send(peer, buf, sizeof buf);
    uvt_spawn(NULL, counts_turns, &turns);
    for (unsigned i = 0; i < sizeof buf; i++) CHECK_EQ(uvt_read(s, buf, 1), 1);
    CHECK(turns > 5);
    stop = true;
    lo_end(s, peer);
}

UVT_TEST(writes_that_complete_at_once_let_others_run) {
    int peer, turns = 0;
    uvt_stream_t *s = lo_half(&peer);
    char byte;
    uvt_spawn(NULL, counts_turns, &turns);
    for (int i = 0; i < 5000; i++) {
        CHECK_EQ(uvt_write(s, "x", 1, NULL), 0);
        CHECK_EQ(lo_raw_recv(peer, &byte, 1), 1); /* so the socket is never full */
    }
    CHECK(turns > 5);
    stop = true;
    lo_end(s, peer);
}

UVT_TEST(accepts_that_complete_at_once_let_others_run) {
    uvt_listener_t *l = lo_listen();
    int turns = 0;
    uvt_spawn(NULL, counts_turns, &turns);
    for (int round = 0; round < 10; round++) {
        int peers[100];
        for (int i = 0; i < 100; i++) peers[i] = lo_raw_connect((unsigned)uvt_listener_port(l));
        for (int i = 0; i < 100; i++) {
            uvt_stream_t *s = NULL;
            CHECK_EQ(uvt_accept(l, &s), 0);
            CHECK_EQ(uvt_close_soon(s), 0);
            close(peers[i]);
        }
    }
    CHECK(turns > 5);
    stop = true;
    CHECK_EQ(uvt_listener_close(l), 0);
}

static void thread_sends(void *o) {
    uv_sleep(20);
    CHECK_EQ(uvt_oneshot_send(o, 9, NULL), 0);
}

UVT_TEST_REAL(thread_that_completes_a_wait_is_heard_under_load) {
    uv_thread_t thread;
    uvt_oneshot_t *o;
    int status = 0;
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_spawn(NULL, spins, NULL), 0);
    CHECK_EQ(uvt_oneshot_new(&o, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uv_thread_create(&thread, thread_sends, o), 0);
    CHECK_EQ(uvt_oneshot_recv(o, &status, NULL), 0);
    CHECK_EQ(status, 9);
    stop = true;
    uv_thread_join(&thread);
    uvt_oneshot_close_rx(o, NULL);
}

UVT_TEST_REAL(timer_fires_under_load) {
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_spawn(NULL, spins, NULL), 0);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_sleep(20), 0);
    CHECK_IN(uvt_now() - t, 20, 5000);
    stop = true;
}

UVT_TEST_MAIN()
