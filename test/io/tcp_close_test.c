/* SPDX-License-Identifier: MIT
 *
 * Closing: whoever waits on the stream or listener wakes (libuv itself calls nobody), a second close is a
 * code, close waits through a cancel, and a descriptor's number may be reused at once without an event of
 * its last owner reaching the new one.
 */
#include "loopback.h"

static int reads_one(void *arg) {
    char byte;
    return (int)uvt_read(arg, &byte, 1);
}

static int accepts_one(void *arg) {
    uvt_stream_t *s = NULL;
    return uvt_accept(arg, &s);
}

static int writes_much(void *arg) {
    static char buf[24 << 20];
    size_t written = 0;
    int rc = uvt_write(arg, buf, sizeof buf, &written);
    CHECK_IN(written, 1, sizeof buf);
    return rc;
}

/* Lets fn park on a stream, closes that in the given way, and returns what fn made of it. */
static int closed_under(uvt_fn fn, int (*close_it)(uvt_stream_t *s)) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_task_t t;
    uvt_result r;
    uvt_spawn(&t, fn, s);
    uvt_sleep(1);
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(close_it(s), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    close(peer);
    return r.status;
}

UVT_TEST(close_wakes_the_reader_with_ebadf) {
    CHECK_EQ(closed_under(reads_one, uvt_close), UV_EBADF);
    CHECK_EQ(closed_under(reads_one, uvt_close_soon), UV_EBADF);
    CHECK_EQ(closed_under(reads_one, uvt_tcp_reset), UV_EBADF);
}

UVT_TEST(close_wakes_the_writer_with_ebadf) {
    CHECK_EQ(closed_under(writes_much, uvt_close), UV_EBADF);
    CHECK_EQ(closed_under(writes_much, uvt_close_soon), UV_EBADF);
    CHECK_EQ(closed_under(writes_much, uvt_tcp_reset), UV_EBADF);
}

UVT_TEST(close_wakes_reader_and_writer_together) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_task_t reader, writer;
    uvt_result r;
    uvt_spawn(&reader, reads_one, s);
    uvt_spawn(&writer, writes_much, s);
    uvt_sleep(1);
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(uvt_join(reader, &r), 0);
    CHECK_EQ(r.status, UV_EBADF);
    CHECK_EQ(uvt_join(writer, &r), 0);
    CHECK_EQ(r.status, UV_EBADF);
    close(peer);
}

UVT_TEST(listener_close_wakes_the_accepter_with_ebadf) {
    uvt_listener_t *l = lo_listen();
    uvt_task_t t;
    uvt_result r;
    uvt_spawn(&t, accepts_one, l);
    uvt_sleep(1);
    CHECK_EQ(uvt_listener_close(l), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.status, UV_EBADF);
}

UVT_TEST(listener_closed_answers_ebadf) {
    uvt_listener_t *l = lo_listen();
    uvt_stream_t *s = NULL;
    CHECK_EQ(uvt_listener_close(l), 0);
    CHECK_EQ(uvt_accept(l, &s), UV_EBADF);
    CHECK_EQ(uvt_listener_port(l), UV_EBADF);
    CHECK_EQ(uvt_listener_close(l), UV_EBADF);
}

UVT_TEST(close_null_is_allowed) {
    CHECK_EQ(uvt_close(NULL), 0);
    CHECK_EQ(uvt_listener_close(NULL), 0);
}

UVT_TEST(closed_stream_answers_ebadf_to_every_call) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    struct sockaddr_storage a;
    char buf[4];
    uv_buf_t b = uv_buf_init(buf, 4);
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(uvt_close(s), UV_EBADF);
    CHECK_EQ(uvt_close_soon(s), UV_EBADF);
    CHECK_EQ(uvt_tcp_reset(s), UV_EBADF);
    CHECK_EQ(uvt_read(s, buf, 4), UV_EBADF);
    CHECK_EQ(uvt_peek(s, buf, 4), UV_EBADF);
    CHECK_EQ(uvt_read_exact(s, buf, 4, NULL), UV_EBADF);
    CHECK_EQ(uvt_read_until(s, buf, 4, "\n", 1), UV_EBADF);
    CHECK_EQ(uvt_write(s, "x", 1, NULL), UV_EBADF);
    CHECK_EQ(uvt_writev(s, &b, 1, NULL), UV_EBADF);
    CHECK_EQ(uvt_try_write(s, "x", 1), UV_EBADF);
    CHECK_EQ(uvt_shutdown(s), UV_EBADF);
    CHECK_EQ(uvt_stream_mend(s), UV_EBADF);
    CHECK_EQ(uvt_stream_own(s), UV_EBADF);
    CHECK_EQ(uvt_tcp_sockname(s, &a), UV_EBADF);
    CHECK_EQ(uvt_tcp_peername(s, &a), UV_EBADF);
    CHECK_EQ(uvt_tcp_nodelay(s, true), UV_EBADF);
    CHECK_EQ(uvt_tcp_keepalive(s, true, 1), UV_EBADF);
    CHECK(uvt_stream_handle(s) == NULL);
    close(peer);
}

UVT_TEST(closed_stream_is_known_though_new_ones_were_made) {
    int peer, peers[10];
    uvt_stream_t *s = lo_half(&peer), *others[10];
    char byte;
    lo_end(s, peer);
    for (int i = 0; i < 10; i++) others[i] = lo_half(&peers[i]);
    CHECK_EQ(uvt_read(s, &byte, 1), UV_EBADF);
    CHECK_EQ(uvt_close(s), UV_EBADF);
    for (int i = 0; i < 10; i++) lo_end(others[i], peers[i]);
}

UVT_TEST(close_lets_the_peer_have_all_bytes_and_then_the_end) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    char buf[16];
    CHECK_EQ(uvt_write(s, "last words", 10, NULL), 0);
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(lo_raw_recv(peer, buf, sizeof buf), 10);
    CHECK_EQ(lo_raw_recv(peer, buf, sizeof buf), 0);
    close(peer);
}

UVT_TEST(reset_gives_the_peer_econnreset) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    char byte;
    CHECK_EQ(uvt_tcp_reset(s), 0);
    CHECK_EQ(lo_raw_recv(peer, &byte, 1), -ECONNRESET);
    close(peer);
}

UVT_TEST(close_in_a_cancelled_scope_goes_on_and_returns_0) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_listener_t *l = lo_listen();
    unsigned fds = lo_fds();
    uvt_scope_t scope;
    uvt_scope_begin(&scope, NULL);
    uvt_scope_cancel(&scope, NULL);
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
    CHECK_EQ(uvt_scope_end(&scope, 0), 0);
    CHECK_EQ(lo_fds(), fds - 2);
    close(peer);
}

static int closes(void *arg) {
    return uvt_close(arg);
}

UVT_TEST(close_while_another_task_closes_is_ebadf) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_task_t a, b;
    uvt_result ra, rb;
    uvt_spawn(&a, closes, s);
    uvt_spawn(&b, closes, s);
    CHECK_EQ(uvt_join(a, &ra), 0);
    CHECK_EQ(uvt_join(b, &rb), 0);
    CHECK_EQ(ra.status == 0 ? rb.status : ra.status, UV_EBADF); /* one of them, whichever ran second */
    CHECK_EQ(ra.status == 0 || rb.status == 0, 1);
    close(peer);
}

static void closes_soon(void *arg) {
    CHECK_EQ(uvt_close_soon(arg), 0);
}

UVT_TEST(close_soon_from_a_callback_wakes_the_reader) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    static struct lo_trigger trigger;
    lo_trigger_open(&trigger, closes_soon, s);
    lo_trigger_pull(&trigger);
    CHECK_EQ(reads_one(s), UV_EBADF);
    lo_trigger_close(&trigger);
    close(peer);
}

UVT_TEST(close_with_bytes_and_close_in_one_poll_wakes_the_reader_once) {
    for (int data_first = 0; data_first < 2; data_first++) {
        int peer;
        uvt_stream_t *s = lo_half(&peer);
        static struct lo_trigger trigger;
        uvt_task_t t;
        uvt_result r;
        uvt_spawn(&t, reads_one, s);
        lo_trigger_open(&trigger, closes_soon, s);
        uvt_sleep(1);
        if (data_first) lo_raw_send(peer, "d", 1);
        lo_trigger_pull(&trigger);
        if (!data_first) lo_raw_send(peer, "d", 1);
        uvt_stats before, after;
        CHECK_EQ(uvt_stats_get(&before), 0);
        CHECK_EQ(uvt_join(t, &r), 0);
        CHECK_EQ(uvt_stats_get(&after), 0);
        CHECK(r.status == 1 || r.status == UV_EBADF);
        CHECK_EQ(after.switches - before.switches, 2); /* the reader, once, and this task */
        lo_trigger_close(&trigger);
        close(peer);
    }
}

UVT_TEST(close_descriptor_reused_at_once_gets_no_stale_event) {
    uvt_listener_t *l = lo_listen();
    uv_os_fd_t fd, last = -1;
    int reused = 0;
    for (int round = 0; round < 100; round++) {
        uvt_stream_t *s = NULL;
        char byte = 0;
        int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
        CHECK_EQ(uvt_accept(l, &s), 0);
        CHECK_EQ(uv_fileno((uv_handle_t *)uvt_stream_handle(s), &fd), 0);
        reused += fd == last;
        last = fd;
        char mark = (char)(round + 1);
        lo_raw_send(peer, &mark, 1);
        CHECK_EQ(uvt_read(s, &byte, 1), 1); /* this round's byte, not the one left unread in the last */
        CHECK_EQ(byte, mark);
        lo_raw_send(peer, "?", 1); /* an event for a descriptor that is closed before it is polled */
        if (round % 2) {
            CHECK_EQ(uvt_close(s), 0);
        } else {
            CHECK_EQ(uvt_close_soon(s), 0);
        }
        close(peer);
    }
    CHECK(reused > 20);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(close_counts_streams_down) {
    uvt_stats before, now;
    int peer;
    uvt_stats_get(&before);
    uvt_stream_t *s = lo_half(&peer);
    uvt_stats_get(&now);
    CHECK_EQ(now.streams, before.streams + 1);
    lo_end(s, peer);
    uvt_stats_get(&now);
    CHECK_EQ(now.streams, before.streams);
}

struct borrowed {
    uvt_stream_t *s;
    int peer;
};

static int owns_for_a_while(void *arg) {
    struct borrowed *b = arg;
    b->s = lo_half(&b->peer);
    return uvt_sleep(50);
}

UVT_TEST(close_at_the_owners_end_wakes_a_reader_elsewhere) {
    struct borrowed b = { .s = NULL };
    uvt_task_t t;
    uvt_spawn(&t, owns_for_a_while, &b);
    uvt_sleep(1);
    CHECK_EQ(reads_one(b.s), UV_EBADF);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK(strstr(uvt_test_reports(), "owns_for_a_while") != NULL);
    close(b.peer);
}

UVT_TEST_MAIN()
