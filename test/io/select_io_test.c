/* SPDX-License-Identifier: MIT
 *
 * Accepting and being readable as cases of a select: no connection and no byte is lost to another case.
 */
#include <uvtask/park.h>

#include "loopback.h"

/* ---- accept ---- */

UVT_TEST_REAL(select_accept_wins_with_the_connection) {
    uvt_stream_t *s = NULL;
    uvt_listener_t *l = lo_listen();
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    uvt_case_t c[] = { uvt_case_sleep(5000), uvt_case_accept(l, &s) };
    CHECK_EQ(uvt_select(c, 2, 0), 1);
    CHECK_EQ(c[1].result, 0);
    lo_raw_send(peer, "x", 1);
    lo_check_next(s, "x");
    lo_end(s, peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static int connects(void *arg) {
    static int fd;
    fd = lo_raw_connect((unsigned)(intptr_t)arg);
    return fd;
}

UVT_TEST_REAL(select_accept_is_woken_by_a_connection_that_comes_later) {
    uvt_stream_t *s = NULL;
    uvt_task_t t;
    uvt_listener_t *l = lo_listen();
    CHECK_EQ(uvt_spawn(&t, connects, (void *)(intptr_t)uvt_listener_port(l)), 0);
    uvt_case_t c[] = { uvt_case_accept(l, &s), uvt_case_sleep(5000) };
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, 0);
    lo_end(s, uvt_join(t, NULL));
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST_REAL(select_accept_that_lost_leaves_the_connection_to_the_next) {
    uvt_stream_t *s = NULL;
    uvt_listener_t *l = lo_listen();
    uvt_case_t c[] = { uvt_case_accept(l, &s), uvt_case_sleep(2) };
    CHECK_EQ(uvt_select(c, 2, 0), 1); /* it has waited, and lost */
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    c[1] = uvt_case_sleep(0);
    CHECK_EQ(uvt_select(&c[1], 1, 0), 0);
    CHECK(s == NULL);
    CHECK_EQ(uvt_accept(l, &s), 0);
    lo_end(s, peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

/* The connection and a permit come in the same poll: whichever is taken, the other is still there. */
static uvt_semaphore_t sem;

static void release_one(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
}

static int selects_accept(void *arg) {
    uvt_listener_t *l = arg;
    uvt_stream_t *s = NULL;
    uvt_case_t c[] = { uvt_case_accept(l, &s), uvt_case_acquire(&sem, 1) };
    int at = uvt_select(c, 2, 0);
    if (at < 0) return at;
    CHECK_EQ(c[at].result, 0);
    if (at == 0) CHECK_EQ(uvt_semaphore_acquire(&sem), 0);
    else CHECK_EQ(uvt_accept(l, &s), 0);
    return uvt_close(s);
}

UVT_TEST_REAL(select_accept_and_permit_of_one_poll_both_are_had) {
    struct lo_trigger tr;
    uvt_task_t t;
    uvt_listener_t *l = lo_listen();
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    lo_trigger_open(&tr, release_one, NULL);
    CHECK_EQ(uvt_spawn(&t, selects_accept, l), 0);
    CHECK_EQ(uvt_sleep(2), 0);
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    lo_trigger_pull(&tr);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
    close(peer);
    lo_trigger_close(&tr);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static int selects_accept_or_never(void *arg) {
    uvt_stream_t *s = NULL;
    uvt_case_t c[] = { uvt_case_accept(arg, &s), uvt_case_sleep(UVT_FOREVER) };
    int at = uvt_select(c, 2, 0);
    return at < 0 ? at : c[at].result;
}

UVT_TEST_REAL(select_accept_closed_meanwhile_is_ebadf_a_second_is_busy) {
    uvt_task_t t;
    uvt_listener_t *l = lo_listen();
    CHECK_EQ(uvt_spawn(&t, selects_accept_or_never, l), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(selects_accept_or_never(l), UV_EBUSY);
    CHECK_EQ(uvt_listener_close(l), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_EBADF);
}

UVT_TEST_REAL(select_accept_cancelled_leaves_the_listener_free) {
    uvt_stream_t *s;
    uvt_task_t t;
    uvt_listener_t *l = lo_listen();
    CHECK_EQ(uvt_spawn(&t, selects_accept_or_never, l), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    CHECK_EQ(uvt_accept(l, &s), 0);
    lo_end(s, peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

/* ---- readable ---- */

UVT_TEST_REAL(select_readable_wins_and_takes_no_byte) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "hello");
    uvt_case_t c[] = { uvt_case_readable(s), uvt_case_sleep(5000) };
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_select(c, 2, UVT_SELECT_BIASED), 0);
        CHECK_EQ(c[0].result, 0);
    }
    lo_check_next(s, "hello");
    lo_end(s, peer);
}

UVT_TEST_REAL(select_readable_that_lost_leaves_the_bytes) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_case_t c[] = { uvt_case_readable(s), uvt_case_sleep(2) };
    CHECK_EQ(uvt_select(c, 2, 0), 1);
    lo_raw_send(peer, "later", 5);
    CHECK_EQ(uvt_sleep(2), 0); /* they come with nobody reading */
    lo_check_next(s, "later");
    lo_end(s, peer);
}

UVT_TEST_REAL(select_readable_at_the_end_of_the_stream_is_ready) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    close(peer);
    uvt_case_t c[] = { uvt_case_readable(s), uvt_case_sleep(5000) };
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, 0);
    lo_check_eof(s);
    CHECK_EQ(uvt_select(c, 2, UVT_SELECT_BIASED), 0);
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(uvt_select(c, 2, UVT_SELECT_BIASED), 0);
    CHECK_EQ(c[0].result, UV_EBADF);
}

/* On a stream that nobody had read from, nothing is armed: a loop of tries was endless. */
UVT_TEST_REAL(try_select_readable_sees_bytes_on_a_stream_nobody_has_read_from) {
    int peer, rc = 0;
    uvt_stream_t *s = lo_half_with(&peer, "x");
    uvt_case_t c[] = { uvt_case_readable(s) };
    for (int i = 0; i < 200 && (rc = uvt_try_select(c, 1, 0)) == UV_EAGAIN; i++) CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(rc, 0);
    lo_check_next(s, "x");
    CHECK_EQ(uvt_try_select(c, 1, 0), UV_EAGAIN);
    lo_end(s, peer);
}

static int selects_readable_or_never(void *arg) {
    uvt_case_t c[] = { uvt_case_readable(arg), uvt_case_sleep(UVT_FOREVER) };
    int at = uvt_select(c, 2, 0);
    return at < 0 ? at : c[at].result;
}

UVT_TEST_REAL(select_readable_closed_meanwhile_is_ebadf_a_second_reader_is_busy) {
    int peer;
    char byte;
    uvt_task_t t;
    uvt_stream_t *s = lo_half(&peer);
    CHECK_EQ(uvt_spawn(&t, selects_readable_or_never, s), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_read(s, &byte, 1), UV_EBUSY);
    CHECK_EQ(selects_readable_or_never(s), UV_EBUSY);
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_EBADF);
    close(peer);
}

UVT_TEST_REAL(select_readable_cancelled_leaves_stream_and_bytes) {
    int peer;
    uvt_task_t t;
    uvt_stream_t *s = lo_half(&peer);
    CHECK_EQ(uvt_spawn(&t, selects_readable_or_never, s), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    lo_raw_send(peer, "still here", 10);
    lo_check_next(s, "still here");
    lo_end(s, peer);
}

UVT_TEST_REAL(select_two_streams_each_message_is_announced_on_its_own) {
    int peer[2];
    uvt_stream_t *s[2];
    for (int i = 0; i < 2; i++) s[i] = lo_half(&peer[i]);
    uvt_case_t c[] = { uvt_case_readable(s[0]), uvt_case_readable(s[1]) };
    for (int i = 0; i < 20; i++) {
        lo_raw_send(peer[i % 2], "m", 1);
        CHECK_EQ(uvt_select(c, 2, 0), i % 2);
        lo_check_next(s[i % 2], "m");
    }
    for (int i = 0; i < 2; i++) lo_end(s[i], peer[i]);
}

/* The kernel says an error once; a select that looked leaves it to the read. */
UVT_TEST(select_readable_leaves_a_reset_to_the_read) {
    int peer;
    char byte;
    uvt_stream_t *s = lo_half(&peer);
    lo_raw_reset(peer);
    for (int i = 0; i < 2; i++) {
        uvt_case_t c = uvt_case_readable(s);
        CHECK_EQ(uvt_select(&c, 1, 0), 0);
        CHECK_EQ(c.result, 0);
    }
    CHECK_EQ(uvt_read(s, &byte, 1), UV_ECONNRESET);
    CHECK_EQ(uvt_close(s), 0);
}

static int takes_all(void *s) {
    char buf[8];
    return (int)uvt_read(s, buf, sizeof buf);
}

static int selects_readable(void *s) {
    uvt_case_t c = uvt_case_readable(s);
    return uvt_select(&c, 1, 0);
}

/* With its budget used up it does not let others run after it has looked, of whom one would take the byte: what makes
 * use of the answer does. */
UVT_TEST(select_readable_is_still_true_when_it_returns) {
    int peer;
    uvt_task_t t;
    uvt_stream_t *s = lo_half_with(&peer, "x");
    CHECK_EQ(uvt_spawn(&t, takes_all, s), 0);
    for (int i = 0; i < 128; i++) CHECK_EQ(uvt_checkpoint(), 0);
    CHECK_EQ(selects_readable(s), 0);
    uv_os_fd_t fd;
    char byte;
    CHECK_EQ(uv_fileno((uv_handle_t *)uvt_stream_handle(s), &fd), 0);
    CHECK_EQ(recv(fd, &byte, 1, MSG_PEEK), 1);
    CHECK_EQ(uvt_join(t, NULL), 1);
    lo_end(s, peer);
}

static int counts_runs(void *arg) {
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(uvt_yield(), 0);
        ++*(int *)arg;
    }
    return 0;
}

/* Who only asks, and never reads, lets others run all the same. */
UVT_TEST(select_readable_in_a_loop_lets_others_run) {
    int peer, runs = 0;
    uvt_task_t t;
    uvt_stream_t *s = lo_half_with(&peer, "x");
    CHECK_EQ(uvt_spawn(&t, counts_runs, &runs), 0);
    for (int i = 0; i < 20 * 128; i++) CHECK_EQ(selects_readable(s), 0);
    CHECK_IN(runs, 5, 11);
    CHECK_EQ(uvt_join(t, NULL), 0);
    lo_check_next(s, "x");
    lo_end(s, peer);
}

/* As uvt_event_wait would have said. */
static int clears(void *e) {
    return uvt_event_clear(e);
}

UVT_TEST(select_event_is_still_set_when_it_returns) {
    uvt_event_t e;
    uvt_task_t t;
    CHECK_EQ(uvt_event_init(&e), 0);
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_spawn(&t, clears, &e), 0);
    for (int i = 0; i < 128; i++) CHECK_EQ(uvt_checkpoint(), 0);
    uvt_case_t c = uvt_case_event(&e);
    CHECK_EQ(uvt_select(&c, 1, 0), 0);
    CHECK(uvt_event_is_set(&e));
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST_MAIN()
