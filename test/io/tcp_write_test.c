/* SPDX-License-Identifier: MIT
 *
 * uvt_write and its kin: everything arrives in order, a peer that does not read holds the writer back, and
 * a write that is cut short says how far it got, gives the caller's buffer back at once, and keeps the next
 * writer from sending nonsense after half a message.
 */
#include <stdlib.h>

#include "loopback.h"

enum { BIG = 24 << 20 }; /* bytes; more than any loopback socket takes unread */

static unsigned char *big;

/* The pattern, BIG bytes of it, once per process. */
static unsigned char *pattern(void) {
    if (big == NULL) {
        big = malloc(BIG);
        CHECK(big != NULL);
        lo_fill(big, BIG, 0);
    }
    return big;
}

/* Takes what comes at a plain socket until its end (or an error), letting tasks run meanwhile; checks the
 * pattern from the given place on and returns how many bytes came. */
static size_t drain(int fd, size_t from) {
    static unsigned char buf[65536];
    for (size_t got = 0;;) {
        ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        if (n > 0) {
            CHECK(lo_is(buf, (size_t)n, from + got));
            got += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            CHECK_EQ(uvt_yield(), 0);
        } else {
            return got;
        }
    }
}

struct job {
    uvt_stream_t *s;
    const void *buf;
    size_t size, written;
    int rc;
};

static int writes(void *arg) {
    struct job *j = arg;
    j->rc = uvt_write(j->s, j->buf, j->size, &j->written);
    return j->rc;
}

static int writes_and_ends(void *arg) {
    int rc = writes(arg);
    return rc < 0 ? rc : uvt_shutdown(((struct job *)arg)->s);
}

UVT_TEST(write_all_arrives_in_order) {
    int peer;
    struct job j = { .s = lo_half(&peer), .buf = pattern(), .size = BIG };
    uvt_task_t t;
    uvt_spawn(&t, writes_and_ends, &j);
    CHECK_EQ(drain(peer, 0), BIG);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(j.written, BIG);
    lo_end(j.s, peer);
}

UVT_TEST(write_peer_that_does_not_read_holds_the_writer_back) {
    int peer;
    struct job j = { .s = lo_half(&peer), .buf = pattern(), .size = BIG };
    uvt_task_t t;
    size_t before = uvt_test_live_bytes();
    uvt_spawn(&t, writes_and_ends, &j);
    uvt_sleep(1000); /* virtual: nothing moves any more */
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_IN(uvt_test_live_bytes() - before, 0, 1 << 20); /* it waits; it does not hoard a copy */
    CHECK_EQ(drain(peer, 0), BIG);
    CHECK_EQ(uvt_join(t, NULL), 0);
    lo_end(j.s, peer);
}

UVT_TEST(write_nothing_is_done_at_once) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    size_t written = 99;
    CHECK_EQ(uvt_write(s, "", 0, &written), 0);
    CHECK_EQ(written, 0);
    lo_end(s, peer);
}

UVT_TEST(write_second_writer_is_busy) {
    int peer;
    struct job j = { .s = lo_half(&peer), .buf = pattern(), .size = BIG };
    uv_buf_t b = uv_buf_init((char *)pattern(), 1);
    size_t written = 99;
    uvt_task_t t;
    uvt_spawn(&t, writes_and_ends, &j);
    uvt_sleep(1);
    CHECK_EQ(uvt_write(j.s, "x", 1, &written), UV_EBUSY);
    CHECK_EQ(written, 0);
    CHECK_EQ(uvt_writev(j.s, &b, 1, NULL), UV_EBUSY);
    CHECK_EQ(uvt_try_write(j.s, "x", 1), UV_EBUSY);
    CHECK_EQ(uvt_shutdown(j.s), UV_EBUSY);
    CHECK_EQ(drain(peer, 0), BIG);
    CHECK_EQ(uvt_join(t, NULL), 0);
    lo_end(j.s, peer);
}

UVT_TEST(write_peer_that_goes_away_fails_the_writer) {
    int peer;
    struct job j = { .s = lo_half(&peer), .buf = pattern(), .size = BIG };
    uvt_task_t t;
    uvt_spawn(&t, writes, &j);
    uvt_sleep(1);
    lo_raw_reset(peer);
    uvt_result r;
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK(r.status == UV_ECONNRESET || r.status == UV_EPIPE);
    CHECK_IN(j.written, 1, BIG);
    CHECK_EQ(uvt_close(j.s), 0);
}

UVT_TEST(write_after_shutdown_is_epipe) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    CHECK_EQ(uvt_shutdown(s), 0);
    CHECK_EQ(uvt_write(s, "x", 1, NULL), UV_EPIPE);
    lo_end(s, peer);
}

UVT_TEST(shutdown_after_a_long_write_ends_after_the_last_byte) {
    int peer;
    struct job j = { .s = lo_half_with(&peer, "in"), .buf = pattern(), .size = 3 << 20 };
    uvt_task_t t;
    uvt_spawn(&t, writes_and_ends, &j);
    CHECK_EQ(drain(peer, 0), 3 << 20);
    CHECK_EQ(uvt_join(t, NULL), 0);
    lo_check_next(j.s, "in"); /* and the other direction still works */
    lo_end(j.s, peer);
}

/* ---- try_write ---- */

UVT_TEST(try_write_full_socket_is_eagain_and_works_again_when_drained) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    static unsigned char buf[65536];
    size_t sent = 0, got = 0;
    int small = 65536; /* keeps the kernel from growing the peer's buffer while it drains */
    CHECK_EQ(setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    for (int round = 0; round < 3; round++) {
        ssize_t n;
        while ((n = uvt_try_write(s, pattern() + sent, 50000)) > 0) {
            sent += (size_t)n;
            CHECK(sent < BIG - 50000);
        }
        CHECK_EQ(n, UV_EAGAIN);
        CHECK(sent > got);
        for (; got < sent; got += (size_t)n) {
            n = lo_raw_recv(peer, buf, sizeof buf);
            CHECK(n > 0 && lo_is(buf, (size_t)n, got));
        }
    }
    CHECK_EQ(got, sent);
    lo_end(s, peer);
}

/* ---- writev ---- */

UVT_TEST(writev_sends_the_buffers_in_a_row) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    char a[] = "one ", c[] = "two ", d[] = "three", buf[32];
    uv_buf_t bufs[] = { uv_buf_init(a, 4), uv_buf_init(NULL, 0), uv_buf_init(c, 4), uv_buf_init(d, 5) };
    size_t written = 0;
    CHECK_EQ(uvt_writev(s, bufs, 4, &written), 0);
    CHECK_EQ(written, 13);
    CHECK_EQ(lo_raw_recv(peer, buf, sizeof buf), 13);
    CHECK_EQ(memcmp(buf, "one two three", 13), 0);
    CHECK_EQ(uvt_writev(s, bufs, 0, &written), UV_EINVAL);
    CHECK_EQ(written, 0);
    lo_end(s, peer);
}

static int writes_in_pieces(void *arg) {
    enum { PIECES = 2000 };
    static uv_buf_t bufs[PIECES], copy[PIECES]; /* more than one writev(2) takes, of uneven sizes */
    size_t at = 0;
    for (unsigned i = 0; i < PIECES; i++) {
        size_t n = i + 1 < PIECES ? i % 7 * 1777 : BIG - at;
        copy[i] = bufs[i] = uv_buf_init((char *)pattern() + at, (unsigned)n);
        at += n;
    }
    size_t written = 0;
    int rc = uvt_writev(arg, bufs, PIECES, &written);
    CHECK_EQ(written, BIG);
    CHECK_EQ(memcmp(bufs, copy, sizeof bufs), 0); /* the caller's array is as it was */
    return rc < 0 ? rc : uvt_shutdown(arg);
}

UVT_TEST(writev_thousands_of_buffers_with_back_pressure_arrive_in_order) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_task_t t;
    uvt_spawn(&t, writes_in_pieces, s);
    CHECK_EQ(drain(peer, 0), BIG);
    CHECK_EQ(uvt_join(t, NULL), 0);
    lo_end(s, peer);
}

/* More buffers than one call of the kernel's is given: as long as it takes them nothing is copied and nobody waits. */
UVT_TEST(writev_many_small_buffers_go_at_once) {
    enum { PIECES = 100 };
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uv_buf_t bufs[PIECES];
    uvt_stats before, after;
    for (int i = 0; i < PIECES; i++) bufs[i] = uv_buf_init((char *)pattern() + i * 10, 10);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_stats_get(&before), 0);
    size_t bytes = uvt_test_live_bytes();
    CHECK_EQ(uvt_writev(s, bufs, PIECES, NULL), 0);
    CHECK_EQ(uvt_test_live_bytes(), bytes);
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.switches, before.switches);
    char got[PIECES * 10];
    for (size_t n = 0; n < sizeof got;) {
        ssize_t more = lo_raw_recv(peer, got + n, sizeof got - n);
        CHECK(more > 0);
        n += (size_t)more;
    }
    CHECK_EQ(memcmp(got, pattern(), sizeof got), 0);
    lo_end(s, peer);
}

UVT_TEST(write_that_had_to_wait_leaves_no_memory_behind) {
    int peer;
    struct job j = { .s = lo_half(&peer), .buf = pattern(), .size = BIG };
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, writes_and_ends, &j), 0); /* what its record takes is there from here on */
    size_t bytes = uvt_test_live_bytes();
    CHECK_EQ(drain(peer, 0), BIG);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_test_live_bytes(), bytes);
    lo_end(j.s, peer);
}

/* ---- a write that is cut short ---- */

/* A big write to a peer that does not read, ended by a deadline; the buffer is overwritten right after. */
static struct job torn(int *peer) {
    static unsigned char copy[BIG];
    memcpy(copy, pattern(), BIG);
    struct job j = { .s = lo_half(peer), .buf = copy, .size = BIG };
    CHECK_EQ(uvt_timeout(100, writes, &j), UV_ETIMEDOUT);
    CHECK_EQ(j.rc, UV_ECANCELED);
    CHECK_IN(j.written, 1, BIG);
    memset(copy, '#', BIG);
    return j;
}

static int shuts_down(void *arg) {
    return uvt_shutdown(arg);
}

UVT_TEST(write_cancelled_says_how_many_bytes_and_frees_the_buffer) {
    int peer;
    struct job j = torn(&peer);
    uvt_task_t t;
    CHECK_EQ(uvt_stream_mend(j.s), 0);
    uvt_spawn(&t, shuts_down, j.s); /* ends after the bytes that libuv may hold a copy of */
    CHECK_EQ(drain(peer, 0), j.written); /* the pattern, not what the buffer holds now */
    CHECK_EQ(uvt_join(t, NULL), 0);
    lo_end(j.s, peer);
}

UVT_TEST(write_after_a_cancelled_one_is_torn) {
    int peer;
    struct job j = torn(&peer);
    uv_buf_t b = uv_buf_init((char *)pattern(), 1);
    size_t written = 99;
    CHECK_EQ(uvt_write(j.s, "x", 1, &written), UVT_ETORN);
    CHECK_EQ(written, 0);
    CHECK_EQ(uvt_writev(j.s, &b, 1, NULL), UVT_ETORN);
    CHECK_EQ(uvt_try_write(j.s, "x", 1), UVT_ETORN);
    CHECK_EQ(uvt_shutdown(j.s), UVT_ETORN);
    lo_raw_send(peer, "in", 2);
    lo_check_next(j.s, "in"); /* reading is not concerned */
    lo_end(j.s, peer);
}

UVT_TEST(write_after_mend_goes_on_where_the_cancelled_one_stopped) {
    int peer;
    struct job j = torn(&peer);
    uvt_task_t t;
    CHECK_EQ(uvt_stream_mend(j.s), 0);
    struct job rest = { .s = j.s, .buf = pattern() + j.written, .size = BIG - j.written };
    uvt_spawn(&t, writes_and_ends, &rest);
    CHECK_EQ(drain(peer, 0), BIG);
    CHECK_EQ(uvt_join(t, NULL), 0);
    lo_end(j.s, peer);
}

UVT_TEST(write_in_a_cancelled_scope_sends_nothing_and_tears_nothing) {
    int peer;
    struct job j = { .s = lo_half(&peer), .buf = "never", .size = 5, .written = 99 };
    char buf[8];
    uvt_scope_t scope;
    uvt_scope_begin(&scope, NULL);
    uvt_scope_cancel(&scope, NULL);
    CHECK_EQ(uvt_scope_end(&scope, writes(&j)), UV_ECANCELED);
    CHECK_EQ(j.written, 0);
    CHECK_EQ(uvt_write(j.s, "ok", 2, NULL), 0);
    CHECK_EQ(lo_raw_recv(peer, buf, sizeof buf), 2);
    lo_end(j.s, peer);
}

/* The abort and the room for more bytes come in one poll, in either order: what written says arrives. */
static void abort_and_room(bool abort_first) {
    int peer;
    struct job j = { .s = lo_half(&peer), .buf = pattern(), .size = BIG };
    static struct lo_trigger trigger;
    static unsigned char buf[1 << 20];
    uvt_task_t t;
    uvt_result r;
    uvt_spawn(&t, writes, &j);
    lo_trigger_open(&trigger, lo_abort, &t);
    uvt_sleep(1);
    if (abort_first) lo_trigger_pull(&trigger);
    size_t got = 0;
    for (ssize_t n; got < 4 << 20 && (n = recv(peer, buf, sizeof buf, MSG_DONTWAIT)) > 0; got += (size_t)n)
        CHECK(lo_is(buf, (size_t)n, got));
    if (!abort_first) lo_trigger_pull(&trigger);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(uvt_stream_mend(j.s), 0);
    uvt_spawn(&t, shuts_down, j.s);
    CHECK_EQ(got + drain(peer, got), j.written);
    CHECK_EQ(uvt_join(t, NULL), 0);
    lo_end(j.s, peer);
    lo_trigger_close(&trigger);
}

UVT_TEST(write_room_and_abort_in_one_poll_counts_every_byte) {
    abort_and_room(false);
    abort_and_room(true);
}

UVT_TEST_MAIN()
