/* SPDX-License-Identifier: MIT
 *
 * Many streams with something to read in one poll. Their readers are woken after it, a group at a time: no bytes are
 * lost or doubled, ends and errors come after them, and before a reader is woken its stream may be closed, its wait
 * cancelled, and others may read in its place. Where the process may have 2300 descriptors it is with more streams than
 * a poll leaves unread.
 */
#include "loopback.h"
#include <sys/resource.h>

enum { FEW = 150, MANY = 1100, FDS = 2300 };

struct peer {
    uvt_stream_t *s;
    int fd; /* the other end, a plain socket */
    size_t size;
    ssize_t end;
};

static struct peer peers[MANY];
static int many;

static void connect_all(void) {
    struct rlimit fds;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &fds), 0);
    if (fds.rlim_cur < FDS && fds.rlim_max >= FDS) fds.rlim_cur = FDS;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &fds), 0);
    many = fds.rlim_cur < FDS ? FEW : MANY;
    uvt_listener_t *l = lo_listen();
    for (int i = 0; i < many; i++) {
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
    for (int i = 0; i < many; i++) {
        peers[i].size = size;
        CHECK_EQ(uvt_set_spawn(&set, reads, &peers[i]), 0);
    }
    CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < many; i++) {
        memset(bytes, i, size);
        lo_raw_send(peers[i].fd, bytes, size);
    }
    CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < many; i++) {
        if (reset) setsockopt(peers[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(peers[i].fd);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    for (int i = 0; i < many; i++) {
        CHECK_EQ(peers[i].end, reset ? UV_ECONNRESET : UV_EOF);
        CHECK_EQ(uvt_close(peers[i].s), 0);
    }
}

UVT_TEST(many_streams_ready_at_once_give_short_messages_then_their_end) {
    exchange(5, false);
}

UVT_TEST(many_streams_ready_at_once_give_a_kibibyte_then_their_end) {
    exchange(1024, false);
}

UVT_TEST(many_streams_ready_at_once_give_long_messages_then_their_end) {
    exchange(5000, false);
}

UVT_TEST(many_streams_reset_at_once_say_so_after_their_bytes) {
    exchange(5, true);
}

/* Bytes and the reset in one poll. */
UVT_TEST(many_streams_with_bytes_the_last_one_with_a_reset_behind_them) {
    uvt_set_t set;
    connect_all();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < many; i++) {
        peers[i].size = 1;
        CHECK_EQ(uvt_set_spawn(&set, reads, &peers[i]), 0);
    }
    CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < many; i++) lo_raw_send(peers[i].fd, (char[]){ (char)i }, 1);
    lo_raw_reset(peers[many - 1].fd);
    CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < many - 1; i++) close(peers[i].fd);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    for (int i = 0; i < many; i++) {
        CHECK_EQ(peers[i].end, i == many - 1 ? UV_ECONNRESET : UV_EOF);
        CHECK_EQ(uvt_close(peers[i].s), 0);
    }
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
    for (int i = 0; i < many; i++) CHECK_EQ(uvt_set_spawn(&set, peeks, &peers[i]), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < many; i++) lo_raw_send(peers[i].fd, "ab\ncd\n", 6);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    for (int i = 0; i < many; i++) {
        close(peers[i].fd);
        CHECK_EQ(uvt_close(peers[i].s), 0);
    }
}

/* ---- told of, and not woken yet ---- */

/* Sends each peer its byte, and waits until it is there. */
static void send_all(void) {
    for (int i = 0; i < many; i++) {
        struct pollfd there = { .events = POLLIN };
        lo_raw_send(peers[i].fd, "x", 1);
        CHECK_EQ(uv_fileno((uv_handle_t *)uvt_stream_handle(peers[i].s), &there.fd), 0);
        CHECK_EQ(poll(&there, 1, -1), 1);
    }
}

static int reads_one(void *arg) {
    struct peer *p = arg;
    char byte;
    p->end = uvt_read(p->s, &byte, 1);
    return 0;
}

/* All have read their byte, and are closed now. */
static void close_all(void) {
    for (int i = 0; i < many; i++) {
        CHECK_EQ(peers[i].end, 1);
        close(peers[i].fd);
        CHECK_EQ(uvt_close(peers[i].s), 0);
    }
}

/* The test's own descriptor, which is always readable, counts how often libuv asks within one poll. */
static int rounds;

static void on_round(uv_poll_t *poll, int status, int events) {
    (void)poll, (void)status, (void)events;
    rounds++;
}

/* Each of the streams has more than its stash takes. */
UVT_TEST(a_poll_that_tells_of_many_long_messages_comes_to_an_end) {
    static char bytes[4000];
    static uv_poll_t counter;
    uvt_set_t set;
    int pair[2];
    connect_all();
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_EQ(uv_poll_init(uvt_loop(), &counter, pair[0]), 0);
    lo_raw_send(pair[1], "x", 1);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < many; i++) CHECK_EQ(uvt_set_spawn(&set, reads_one, &peers[i]), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < many; i++) lo_raw_send(peers[i].fd, bytes, sizeof bytes);
    CHECK_EQ(uv_poll_start(&counter, UV_READABLE, on_round), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK(rounds > 0 && rounds < 10); /* libuv asks 48 times while there is that much to be told of */
    CHECK_EQ(uvt_set_close(&set), 0);
    uv_close((uv_handle_t *)&counter, NULL);
    close_all();
    close(pair[0]);
    close(pair[1]);
}

/* One in three closes its own stream and those of both neighbours, who get their byte or hear of it. */
static int reads_or_closes(void *arg) {
    struct peer *p = arg;
    int i = (int)(p - peers);
    char byte;
    p->end = uvt_read(p->s, &byte, 1);
    if (i % 3 == 1 && p->end == 1)
        for (int k = i - 1; k <= i + 1 && k < many; k++) CHECK_EQ(uvt_close_soon(peers[k].s), 0);
    return 0;
}

UVT_TEST(streams_are_closed_by_those_that_are_woken_before_them) {
    uvt_set_t set;
    int heard = 0;
    connect_all();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < many; i++) CHECK_EQ(uvt_set_spawn(&set, reads_or_closes, &peers[i]), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    send_all();
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    for (int i = 0; i < many; i++) {
        CHECK(peers[i].end == 1 || peers[i].end == UV_EBADF);
        heard += peers[i].end == UV_EBADF;
        close(peers[i].fd);
    }
    CHECK(heard > 0);
}

/* The first to be woken cancels the last, which then reads what it was told of, and waits for more. */
struct last {
    uvt_task_t task;
    int woken;
};

static int cancels_last(void *arg) {
    struct last *l = arg;
    char byte;
    CHECK_EQ(uvt_read(peers[0].s, &byte, 1), 1);
    CHECK_EQ(l->woken, 0);
    CHECK_EQ(uvt_abort(l->task), 0);
    return 0;
}

static int reads_twice(void *arg) {
    struct peer *p = arg;
    char byte;
    CHECK_EQ(uvt_read(p->s, &byte, 1), 1);
    CHECK_EQ(byte, 'x');
    uvt_case_t more[] = { uvt_case_readable(p->s), uvt_case_sleep(1) };
    CHECK_EQ(uvt_select(more, 2, 0), 1); /* there is no more, whatever the poll told of */
    lo_raw_send(p->fd, "y", 1);
    CHECK_EQ(uvt_read(p->s, &byte, 1), 1);
    CHECK_EQ(byte, 'y');
    return 0;
}

static int is_cancelled(void *arg) {
    struct last *l = arg;
    struct peer *p = &peers[many - 1];
    char byte;
    p->end = uvt_read(p->s, &byte, 1);
    l->woken = 1;
    return uvt_shielded(UVT_FOREVER, reads_twice, p);
}

UVT_TEST(a_reader_is_cancelled_by_one_that_is_woken_before_it_and_reads_again) {
    struct last last = { .woken = 0 };
    uvt_set_t set;
    connect_all();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, cancels_last, &last), 0);
    for (int i = 1; i < many - 1; i++) CHECK_EQ(uvt_set_spawn(&set, reads_one, &peers[i]), 0);
    CHECK_EQ(uvt_spawn(&last.task, is_cancelled, &last), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    send_all();
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_join(last.task, NULL), 0);
    CHECK_EQ(peers[many - 1].end, UV_ECANCELED);
    for (int i = 0; i < many; i++) {
        if (i > 0 && i < many - 1) CHECK_EQ(peers[i].end, 1);
        close(peers[i].fd);
        CHECK_EQ(uvt_close(peers[i].s), 0);
    }
}

/* What a callback of the program's own does in the same poll. */
static uvt_task_t second;

static void in_poll(uv_poll_t *poll, int status, int events) {
    CHECK_EQ(status, 0);
    CHECK_EQ(events, UV_READABLE);
    CHECK_EQ(uvt_close_soon(peers[0].s), 0);
    CHECK_EQ(uvt_abort(second), 0);
    uv_close((uv_handle_t *)poll, NULL);
}

UVT_TEST(a_callback_of_the_same_poll_closes_a_stream_and_cancels_a_reader) {
    static uv_poll_t own;
    uvt_task_t first;
    char byte;
    int pair[2];
    connect_all();
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_EQ(uv_poll_init(uvt_loop(), &own, pair[0]), 0);
    CHECK_EQ(uv_poll_start(&own, UV_READABLE, in_poll), 0);
    CHECK_EQ(uvt_spawn(&first, reads_one, &peers[0]), 0);
    CHECK_EQ(uvt_spawn(&second, reads_one, &peers[1]), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    send_all();
    lo_raw_send(pair[1], "x", 1); /* last, so the poll tells of it after the others */
    CHECK_EQ(uvt_join(first, NULL), 0);
    CHECK_EQ(uvt_join(second, NULL), 0);
    CHECK_EQ(peers[0].end, UV_EBADF);
    CHECK_EQ(peers[1].end, UV_ECANCELED);
    CHECK_EQ(uvt_read(peers[1].s, &byte, 1), 1);
    CHECK_EQ(byte, 'x');
    for (int i = 0; i < many; i++) {
        close(peers[i].fd);
        if (i > 0) CHECK_EQ(uvt_close(peers[i].s), 0);
    }
    close(pair[0]);
    close(pair[1]);
}

/* ---- others that are always ready ---- */

enum { PAIRS = 100 };

static uvt_notify_t turns[2 * PAIRS];
static uint64_t before, most;
static bool over;

static uint64_t task_runs(void) {
    uvt_stats stats;
    CHECK_EQ(uvt_stats_get(&stats), 0);
    return stats.switches;
}

/* These hooks were started last, so they run before the library's: what is between them are the runs after one poll. */
static void poll_ended(uv_check_t *check) {
    (void)check;
    before = task_runs();
}

static void turn_ended(uv_prepare_t *prepare) {
    (void)prepare;
    if (before && task_runs() - before > most) most = task_runs() - before;
}

/* Two that keep waking each other. */
static int plays(void *arg) {
    uvt_notify_t *own = arg, *other = (own - turns) % 2 ? own - 1 : own + 1;
    while (!over) {
        uvt_notify_one(other);
        CHECK_EQ(uvt_notify_wait(own), 0);
    }
    uvt_notify_one(other);
    return 0;
}

UVT_TEST(readers_of_one_poll_do_not_let_others_run_without_end) {
    static uv_check_t check;
    static uv_prepare_t prepare;
    uvt_set_t set, players;
    connect_all();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < many; i++) CHECK_EQ(uvt_set_spawn(&set, reads_one, &peers[i]), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    send_all();
    CHECK_EQ(uvt_set_open(&players, NULL), 0);
    for (int i = 0; i < 2 * PAIRS; i++) CHECK_EQ(uvt_notify_init(&turns[i]), 0);
    for (int i = 0; i < 2 * PAIRS; i++) CHECK_EQ(uvt_set_spawn(&players, plays, &turns[i]), 0);
    CHECK_EQ(uv_check_init(uvt_loop(), &check), 0);
    CHECK_EQ(uv_check_start(&check, poll_ended), 0);
    CHECK_EQ(uv_prepare_init(uvt_loop(), &prepare), 0);
    CHECK_EQ(uv_prepare_start(&prepare, turn_ended), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    while (most < (uint64_t)many) CHECK_EQ(uvt_yield(), 0);
    over = true;
    CHECK_EQ(uvt_set_wait(&players), 0);
    CHECK(most < (uint64_t)many + 1000);
    uv_close((uv_handle_t *)&check, NULL);
    uv_close((uv_handle_t *)&prepare, NULL);
    CHECK_EQ(uvt_set_close(&players), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    close_all();
}

UVT_TEST_MAIN()
