/* SPDX-License-Identifier: MIT
 *
 * More streams with something to read in one poll than the library leaves unread (64): the bytes of the others are
 * taken by the poll itself. Whoever took them, none is lost or doubled, and ends and errors come after them.
 */
#include "loopback.h"

enum { MANY = 150 };

struct peer {
    uvt_stream_t *s;
    int fd; /* the other end, a plain socket */
    size_t size;
    ssize_t end;
};

static struct peer peers[MANY];

static void connect_all(void) {
    uvt_listener_t *l = lo_listen();
    for (int i = 0; i < MANY; i++) {
        peers[i].fd = lo_raw_connect((unsigned)uvt_listener_port(l));
        CHECK_EQ(uvt_accept(l, &peers[i].s), 0);
    }
    CHECK_EQ(uvt_listener_close(l), 0);
}

/* Reads size bytes, each the peer's number, in portions; then what comes at the end. */
static int reads(void *arg) {
    struct peer *p = arg;
    unsigned char buf[700];
    size_t got = 0;
    ssize_t n = 0;
    while (got < p->size && (n = uvt_read(p->s, buf, sizeof buf)) > 0) {
        for (ssize_t k = 0; k < n; k++) CHECK_EQ(buf[k], (unsigned char)(p - peers));
        got += (size_t)n;
    }
    CHECK_EQ(got, p->size);
    p->end = uvt_read(p->s, buf, sizeof buf);
    CHECK_EQ(uvt_read(p->s, buf, sizeof buf), p->end); /* and again */
    return 0;
}

/* All readers are parked; then all get their bytes, and afterwards their end, at once. */
static void exchange(size_t size, bool reset) {
    static unsigned char bytes[5000];
    struct linger at_once = { .l_onoff = 1 };
    uvt_set_t set;
    connect_all();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        peers[i].size = size;
        CHECK_EQ(uvt_set_spawn(&set, reads, &peers[i]), 0);
    }
    CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < MANY; i++) {
        memset(bytes, i, size);
        lo_raw_send(peers[i].fd, bytes, size);
    }
    CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < MANY; i++) {
        if (reset) setsockopt(peers[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(peers[i].fd);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(peers[i].end, reset ? UV_ECONNRESET : UV_EOF);
        CHECK_EQ(uvt_close(peers[i].s), 0);
    }
}

UVT_TEST(many_streams_ready_at_once_give_short_messages_then_their_end) {
    exchange(5, false);
}

UVT_TEST(many_streams_ready_at_once_give_what_fills_the_stash_then_their_end) {
    exchange(1024, false);
}

UVT_TEST(many_streams_ready_at_once_give_long_messages_then_their_end) {
    exchange(5000, false);
}

UVT_TEST(many_streams_reset_at_once_say_so_after_their_bytes) {
    exchange(5, true);
}

static int peeks(void *arg) {
    struct peer *p = arg;
    char buf[16];
    CHECK_EQ(uvt_peek(p->s, buf, sizeof buf), 6);
    CHECK_EQ(uvt_read_until(p->s, buf, sizeof buf, "\n", 1), 3);
    CHECK_EQ(memcmp(buf, "ab\n", 3), 0);
    CHECK_EQ(uvt_read_exact(p->s, buf, 3, NULL), 0);
    CHECK_EQ(memcmp(buf, "cd\n", 3), 0);
    return 0;
}

UVT_TEST(many_streams_ready_at_once_can_be_peeked) {
    uvt_set_t set;
    connect_all();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < MANY; i++) CHECK_EQ(uvt_set_spawn(&set, peeks, &peers[i]), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < MANY; i++) lo_raw_send(peers[i].fd, "ab\ncd\n", 6);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    for (int i = 0; i < MANY; i++) {
        close(peers[i].fd);
        CHECK_EQ(uvt_close(peers[i].s), 0);
    }
}

UVT_TEST_MAIN()
