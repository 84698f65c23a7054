/* SPDX-License-Identifier: MIT
 *
 * uvt_read and its kin: what comes, in which pieces, and that no byte is ever lost, doubled or put in a
 * buffer whose owner has left; not by a cancel, a peek, a short buffer or a reader that comes late.
 */
#include "loopback.h"

UVT_TEST(read_gives_what_is_there) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "hello");
    char buf[64];
    CHECK_EQ(uvt_read(s, buf, sizeof buf), 5);
    CHECK_EQ(memcmp(buf, "hello", 5), 0);
    lo_end(s, peer);
}

UVT_TEST(read_small_buffer_leaves_the_rest_for_later) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "hello");
    char buf[3];
    CHECK_EQ(uvt_read(s, buf, 3), 3);
    CHECK_EQ(memcmp(buf, "hel", 3), 0);
    CHECK_EQ(uvt_read(s, buf, 3), 2);
    CHECK_EQ(memcmp(buf, "lo", 2), 0);
    lo_end(s, peer);
}

UVT_TEST(read_size_zero_is_refused) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "a");
    char byte;
    CHECK_EQ(uvt_read(s, &byte, 0), UV_EINVAL);
    lo_check_next(s, "a");
    lo_end(s, peer);
}

UVT_TEST(read_end_is_eof_again_and_again) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "bye");
    shutdown(peer, SHUT_WR);
    lo_check_next(s, "bye");
    for (int i = 0; i < 3; i++) lo_check_eof(s);
    lo_end(s, peer);
}

UVT_TEST(read_reset_peer_is_econnreset) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    char byte;
    lo_raw_reset(peer);
    CHECK_EQ(uvt_read(s, &byte, 1), UV_ECONNRESET);
    CHECK_EQ(uvt_close(s), 0);
}

static int reads_one(void *arg) {
    char byte;
    ssize_t n = uvt_read(arg, &byte, 1);
    return n == 1 ? byte : (int)n;
}

UVT_TEST(read_second_reader_is_busy_and_a_writer_is_not) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_task_t t;
    char byte;
    uvt_spawn(&t, reads_one, s);
    uvt_sleep(1);
    CHECK_EQ(uvt_read(s, &byte, 1), UV_EBUSY);
    CHECK_EQ(uvt_peek(s, &byte, 1), UV_EBUSY);
    CHECK_EQ(uvt_read_exact(s, &byte, 1, NULL), UV_EBUSY);
    CHECK_EQ(uvt_read_until(s, &byte, 1, "\n", 1), UV_EBUSY);
    CHECK_EQ(uvt_write(s, "w", 1, NULL), 0);
    lo_raw_send(peer, "r", 1);
    CHECK_EQ(uvt_join(t, NULL), 'r');
    lo_end(s, peer);
}

UVT_TEST(read_goes_on_after_own_shutdown) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_task_t t;
    char byte;
    uvt_spawn(&t, reads_one, s);
    uvt_sleep(1);
    CHECK_EQ(uvt_shutdown(s), 0); /* while the read is pending */
    CHECK_EQ(lo_raw_recv(peer, &byte, 1), 0);
    lo_raw_send(peer, "late", 4);
    CHECK_EQ(uvt_join(t, NULL), 'l');
    lo_check_next(s, "ate");
    lo_end(s, peer);
}

UVT_TEST(read_any_sizes_keep_the_bytes_in_order) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    static unsigned char out[70000], in[70000];
    size_t sent = 0, got = 0;
    unsigned x = 12345;
    for (int round = 0; round < 300; round++) {
        x = x * 1103515245 + 12345;
        size_t n = 1 + (x >> 8) % (round % 3 ? 900 : sizeof out);
        lo_fill(out, n, sent);
        lo_raw_send(peer, out, n);
        for (sent += n; got < sent;) {
            x = x * 1103515245 + 12345;
            ssize_t r = uvt_read(s, in, 1 + (x >> 8) % sizeof in);
            CHECK(r > 0 && lo_is(in, (size_t)r, got));
            got += (size_t)r;
        }
        CHECK_EQ(got, sent);
    }
    lo_end(s, peer);
}

UVT_TEST(read_late_reader_holds_the_peer_back) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "!");
    static unsigned char buf[65536];
    size_t sent = 0, got = 0, before;
    lo_check_next(s, "!"); /* the stream is armed now */
    before = uvt_test_live_bytes();
    for (int round = 0; round < 50; round++) {
        for (;;) {
            lo_fill(buf, sizeof buf, sent);
            ssize_t n = send(peer, buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n < 0) break;
            sent += (size_t)n;
        }
        uvt_sleep(1);
    }
    CHECK_IN(uvt_test_live_bytes() - before, 0, 128 * 1024); /* one kernel read ahead, no more */
    for (ssize_t n; got < sent; got += (size_t)n) {
        n = uvt_read(s, buf, sizeof buf);
        CHECK(n > 0 && lo_is(buf, (size_t)n, got));
    }
    CHECK_EQ(got, sent);
    lo_end(s, peer);
}

/* ---- peek ---- */

UVT_TEST(peek_gives_the_same_bytes_again) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "peeked");
    char buf[16];
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(uvt_peek(s, buf, sizeof buf), 6);
        CHECK_EQ(memcmp(buf, "peeked", 6), 0);
    }
    CHECK_EQ(uvt_peek(s, buf, 3), 3);
    lo_check_next(s, "peeked");
    lo_end(s, peer);
}

UVT_TEST(peek_at_the_end_is_eof) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "x");
    char byte;
    shutdown(peer, SHUT_WR);
    CHECK_EQ(uvt_peek(s, &byte, 1), 1);
    lo_check_next(s, "x");
    CHECK_EQ(uvt_peek(s, &byte, 1), UV_EOF);
    lo_check_eof(s);
    lo_end(s, peer);
}

/* ---- read_exact ---- */

UVT_TEST(read_exact_end_in_the_middle_gives_data_then_eof) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "abc");
    char buf[8];
    size_t got = 99;
    shutdown(peer, SHUT_WR);
    CHECK_EQ(uvt_read_exact(s, buf, 8, &got), UV_EOF);
    CHECK_EQ(got, 3);
    CHECK_EQ(memcmp(buf, "abc", 3), 0);
    CHECK_EQ(uvt_read_exact(s, buf, 8, &got), UV_EOF);
    CHECK_EQ(got, 0);
    lo_end(s, peer);
}

struct exact {
    uvt_stream_t *s;
    char buf[8];
    size_t got;
};

static int reads_eight(void *arg) {
    struct exact *e = arg;
    return uvt_read_exact(e->s, e->buf, sizeof e->buf, &e->got);
}

UVT_TEST(read_exact_gathers_what_comes_in_pieces) {
    int peer;
    struct exact e = { .s = lo_half(&peer) };
    uvt_task_t t;
    uvt_spawn(&t, reads_eight, &e);
    for (int i = 0; i < 8; i++) {
        uvt_sleep(1);
        CHECK_EQ(uvt_is_done(t), 0);
        lo_raw_send(peer, &"abcdefgh"[i], 1);
    }
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(e.got, 8);
    CHECK_EQ(memcmp(e.buf, "abcdefgh", 8), 0);
    lo_end(e.s, peer);
}

UVT_TEST(read_exact_cancelled_says_how_many_it_took) {
    int peer;
    struct exact e = { .s = lo_half_with(&peer, "abc") };
    CHECK_EQ(uvt_timeout(100, reads_eight, &e), UV_ETIMEDOUT);
    lo_raw_send(peer, "defgh", 5);
    CHECK_EQ(uvt_read_exact(e.s, e.buf + e.got, 8 - e.got, NULL), 0);
    CHECK_EQ(memcmp(e.buf, "abcdefgh", 8), 0);
    lo_end(e.s, peer);
}

/* ---- cancel ---- */

UVT_TEST(read_cancelled_loses_no_byte) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    CHECK_EQ(uvt_timeout(100, reads_one, s), UV_ETIMEDOUT);
    lo_raw_send(peer, "kept", 4);
    lo_check_next(s, "kept");
    lo_end(s, peer);
}

UVT_TEST(read_in_a_cancelled_scope_takes_nothing) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "abcd");
    uvt_scope_t scope;
    lo_check_next(s, "a"); /* "bcd" may be in the read-ahead now: there all the same */
    uvt_scope_begin(&scope, NULL);
    uvt_scope_cancel(&scope, NULL);
    for (int i = 0; i < 3; i++) CHECK_EQ(reads_one(s), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&scope, UV_ECANCELED), UV_ECANCELED);
    lo_check_next(s, "bcd");
    lo_end(s, peer);
}

struct taker {
    uvt_stream_t *s;
    char buf[16];
    ssize_t n;
};

static int takes(void *arg) {
    struct taker *k = arg;
    k->n = uvt_read(k->s, k->buf, sizeof k->buf);
    return k->n < 0 ? (int)k->n : 0;
}

/* The abort and the bytes come in one poll, in either order: the bytes reach this read or the next. */
static void abort_and_data(bool abort_first) {
    int peer;
    struct taker k = { .s = lo_half(&peer) };
    static struct lo_trigger trigger;
    uvt_task_t t;
    uvt_result r;
    uvt_spawn(&t, takes, &k);
    lo_trigger_open(&trigger, lo_abort, &t);
    uvt_sleep(1);
    if (abort_first) lo_trigger_pull(&trigger);
    lo_raw_send(peer, "hello", 5);
    if (!abort_first) lo_trigger_pull(&trigger);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.status, k.n < 0 ? UV_ECANCELED : 0);
    if (k.n > 0) CHECK_EQ(memcmp(k.buf, "hello", (size_t)k.n), 0);
    lo_raw_send(peer, "x", 1);
    lo_check_next(k.s, &"hellox"[k.n > 0 ? k.n : 0]);
    lo_end(k.s, peer);
    lo_trigger_close(&trigger);
}

UVT_TEST(read_data_and_abort_in_one_poll_loses_nothing) {
    abort_and_data(false);
    abort_and_data(true);
}

UVT_TEST(read_buffer_is_free_when_the_call_returns) {
    int peer;
    struct taker k = { .s = lo_half(&peer) };
    CHECK_EQ(uvt_timeout(50, takes, &k), UV_ETIMEDOUT);
    memset(k.buf, '#', sizeof k.buf);
    lo_raw_send(peer, "intruder", 8);
    uvt_sleep(10); /* whatever libuv does with it happens now */
    for (unsigned i = 0; i < sizeof k.buf; i++) CHECK_EQ(k.buf[i], '#');
    lo_check_next(k.s, "intruder");
    lo_end(k.s, peer);
}

UVT_TEST_PLAIN(read_outside_of_a_task_is_refused) {
    char byte;
    CHECK_EQ(uvt_read(NULL, &byte, 1), UVT_ENOTASK);
}

UVT_TEST_MAIN()
