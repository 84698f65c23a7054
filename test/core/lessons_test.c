/* SPDX-License-Identifier: MIT
 *
 * Traps that others fell into and that no test of a single feature covers: calls of epoll_ctl per message,
 * work made ready in a timer callback, a loop that turns for nothing, deadlines that are armed though they
 * are never reached.
 *
 * The program has its own epoll_ctl, which libuv calls instead of the C library's: it counts.
 */
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "../io/loopback.h"
#include "bodies.h"

static __thread unsigned ctl_calls; /* of this loop */

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event) {
    ctl_calls++;
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

/* Sends messages of a size from a plain socket, has them read with a buffer of a size and answered with one
 * byte each; how often epoll_ctl was called for a thousand of them, after the first few. */
static unsigned ctl_calls_for_thousand(size_t message, size_t buffer) {
    static unsigned char out[1 << 16], in[1 << 16];
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    size_t sent = 0, got = 0;
    unsigned before = 0;
    for (int i = 0; i < 1010; i++) {
        if (i == 10) before = ctl_calls;
        lo_fill(out, message, sent);
        lo_raw_send(peer, out, message);
        for (sent += message; got < sent;) {
            ssize_t n = uvt_read(s, in, buffer);
            CHECK(n > 0 && lo_is(in, (size_t)n, got));
            got += (size_t)n;
        }
        CHECK_EQ(uvt_write(s, "k", 1, NULL), 0);
        CHECK_EQ(lo_raw_recv(peer, in, 1), 1);
    }
    unsigned calls = ctl_calls - before;
    lo_end(s, peer);
    return calls;
}

UVT_TEST(reads_stay_armed_between_messages) {
    unsigned calls = ctl_calls_for_thousand(64, 4096);
    CHECK(ctl_calls > 0); /* the counter is in place */
    CHECK_IN(calls, 0, 20);
}

UVT_TEST(reads_that_fill_the_buffer_exactly_stay_armed) {
    CHECK_IN(ctl_calls_for_thousand(64, 64), 0, 20);
    CHECK_IN(ctl_calls_for_thousand(16384, 16384), 0, 20);
}

UVT_TEST(reads_with_a_short_buffer_stay_armed) {
    CHECK_IN(ctl_calls_for_thousand(1000, 300), 0, 20);
}

UVT_TEST(writes_that_fit_do_not_wait_for_the_poll) {
    int peer;
    static unsigned char in[1024];
    uvt_stream_t *s = lo_half(&peer);
    uvt_stats a, b;
    unsigned before = ctl_calls;
    uvt_stats_get(&a);
    for (int i = 0; i < 100; i++) { /* fewer than a task's budget */
        CHECK_EQ(uvt_write(s, in, sizeof in, NULL), 0);
        CHECK_EQ(lo_raw_recv(peer, in, sizeof in), sizeof in);
    }
    uvt_stats_get(&b);
    CHECK_EQ(ctl_calls, before);
    CHECK_EQ(b.switches, a.switches);
    lo_end(s, peer);
}

/* ---- timers run before the poll: what they make ready must keep it from sleeping ---- */

static void on_timer(uv_timer_t *t) {
    CHECK_EQ(uvt_oneshot_send(t->data, 0, NULL), 0);
    uv_close((uv_handle_t *)t, NULL);
}

UVT_TEST_REAL(task_made_ready_in_a_timer_callback_runs_before_the_poll_sleeps) {
    static uv_timer_t timer;
    uvt_oneshot_t *o;
    uvt_task_t sleeper;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_spawn(&sleeper, b_sleep, INT(15000)), 0); /* what the poll would sleep for */
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    timer.data = o;
    CHECK_EQ(uv_timer_init(uvt_loop(), &timer), 0);
    uv_update_time(uvt_loop()); /* the timer counts from the loop's time */
    CHECK_EQ(uv_timer_start(&timer, on_timer, 5, 0), 0);
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), 0);
    CHECK_IN(uvt_now() - t, 4, 10000);
    uvt_oneshot_close_rx(o, NULL);
    CHECK_EQ(uvt_abort(sleeper), 0);
}

static void on_closed(uv_handle_t *h) {
    CHECK_EQ(uvt_oneshot_send(h->data, 0, NULL), 0);
}

UVT_TEST_REAL(task_made_ready_in_a_close_callback_runs_before_the_poll_sleeps) {
    static uv_timer_t timer;
    uvt_oneshot_t *o;
    uvt_task_t sleeper;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_spawn(&sleeper, b_sleep, INT(15000)), 0);
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    timer.data = o;
    CHECK_EQ(uv_timer_init(uvt_loop(), &timer), 0);
    uv_close((uv_handle_t *)&timer, on_closed);
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), 0);
    CHECK_IN(uvt_now() - t, 0, 10000);
    uvt_oneshot_close_rx(o, NULL);
    CHECK_EQ(uvt_abort(sleeper), 0);
}

/* ---- a poll is level-triggered: what nobody takes must not keep it turning ---- */

static unsigned turns;

static void on_turn(uv_prepare_t *p) {
    (void)p;
    turns++;
}

/* How often the loop turns while everybody sleeps for a quarter of a second. */
static unsigned turns_while_asleep(void) {
    static uv_prepare_t prepare;
    CHECK_EQ(uv_prepare_init(uvt_loop(), &prepare), 0);
    CHECK_EQ(uv_prepare_start(&prepare, on_turn), 0);
    turns = 0;
    CHECK_EQ(uvt_sleep(250), 0);
    unsigned n = turns;
    uv_close((uv_handle_t *)&prepare, NULL);
    CHECK_EQ(uvt_sleep(1), 0);
    return n;
}

UVT_TEST_REAL(bytes_that_nobody_reads_do_not_keep_the_loop_turning) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "first");
    lo_check_next(s, "first");
    lo_raw_send(peer, "later", 5);
    CHECK_IN(turns_while_asleep(), 1, 20);
    lo_check_next(s, "later");
    lo_end(s, peer);
}

UVT_TEST_REAL(end_that_nobody_reads_does_not_keep_the_loop_turning) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "first");
    lo_check_next(s, "first");
    shutdown(peer, SHUT_WR);
    CHECK_IN(turns_while_asleep(), 1, 20);
    lo_check_eof(s);
    lo_end(s, peer);
}

static int accepts(void *arg) {
    uvt_stream_t *s = NULL;
    int rc = uvt_accept(arg, &s);
    return rc < 0 ? rc : uvt_close(s);
}

UVT_TEST_REAL(connections_that_nobody_accepts_do_not_keep_the_loop_turning) {
    uvt_listener_t *l = lo_listen();
    int peers[3];
    CHECK_EQ(uvt_timeout(5, accepts, l), UV_ETIMEDOUT); /* it is polled from now on */
    for (int i = 0; i < 3; i++) peers[i] = lo_raw_connect((unsigned)uvt_listener_port(l));
    CHECK_IN(turns_while_asleep(), 1, 20);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(accepts(l), 0);
        close(peers[i]);
    }
    CHECK_EQ(uvt_listener_close(l), 0);
}

/* ---- deadlines are mostly not reached ---- */

UVT_TEST(deadline_is_armed_when_a_task_parks_under_it_and_not_before) {
    uvt_semaphore_t sem;
    uvt_scope_t s;
    uvt_stats base, now;
    CHECK_EQ(uvt_semaphore_init(&sem, 1, 0), 0);
    uvt_stats_get(&base);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    CHECK_EQ(uvt_semaphore_acquire(&sem), 0); /* done at once */
    uvt_stats_get(&now);
    CHECK_EQ(now.timers, base.timers);
    CHECK_EQ(uvt_semaphore_acquire(&sem), UV_ECANCELED); /* parks until the deadline */
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ETIMEDOUT);
    uvt_stats_get(&now);
    CHECK_EQ(now.timers, base.timers);
}

UVT_TEST(deadline_of_an_ended_scope_leaves_no_timer) {
    uvt_scope_t s;
    uvt_stats base, now;
    uvt_stats_get(&base);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 5000 }), 0);
    CHECK_EQ(uvt_sleep(10), 0); /* arms both */
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    uvt_stats_get(&now);
    CHECK_EQ(now.timers, base.timers);
}

/* ---- a library's frames must not be reached by what was cancelled ---- */

static int reads_into_own_frame(void *arg) {
    char frame[8192];
    memset(frame, 0, sizeof frame);
    return (int)uvt_read(arg, frame, sizeof frame);
}

static int owns_the_same_bytes(void *arg) {
    volatile char frame[8192];
    for (unsigned i = 0; i < sizeof frame; i++) frame[i] = 'f';
    lo_raw_send(*(int *)arg, "intruder", 8);
    uvt_sleep(20);
    for (unsigned i = 0; i < sizeof frame; i++) CHECK_EQ(frame[i], 'f');
    return 0;
}

UVT_TEST(read_cancelled_nothing_is_written_into_the_frame_that_returned) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, reads_into_own_frame, s), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(spawn_and_join(owns_the_same_bytes, &peer), 0); /* on the stack just given back */
    lo_check_next(s, "intruder");
    lo_end(s, peer);
}

UVT_TEST_MAIN()
