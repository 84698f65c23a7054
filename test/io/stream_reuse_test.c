/* SPDX-License-Identifier: MIT
 *
 * A stream is closed while a call on it is suspended, and before that call goes on more streams are closed and opened
 * than closed ones are kept unused. The call says that its stream is closed (a cancelled connect, that it was
 * cancelled), and the new streams have nothing of it.
 */
#include <uvtask/park.h>

#include "loopback.h"

enum { OTHERS = 70, CROWD = 300, CLOSES = 20, OPENS = 280, FRESH = 8, CONNECTS = 80 };

static uvt_stream_t *subject, *others[OTHERS], *fresh[FRESH];
static int subject_peer, other_peers[OTHERS], fresh_fds[FRESH], fresh_peers[FRESH];
static uvt_event_t go;
static bool opener_reads; /* the first of the fresh ones, until a byte comes */

static void raw_pair(int listener, int *a, int *b) {
    *a = lo_raw_connect(lo_port_of(listener));
    *b = accept(listener, NULL, NULL);
    CHECK(*b >= 0);
}

static uvt_stream_t *adopted(int listener, int *peer) {
    uvt_stream_t *s = NULL;
    int fd;
    raw_pair(listener, &fd, peer);
    CHECK_EQ(uvt_tcp_adopt(&s, fd), 0);
    return s;
}

/* One of many that are ready together: more than run between two polls, so the loop lets go of what the one closes
 * before the other opens. libuv lets go of the last first. */
static int in_the_crowd(void *arg) {
    intptr_t i = (intptr_t)arg;
    char byte;
    CHECK_EQ(uvt_event_wait(&go), 0);
    if (i == CLOSES) {
        for (int k = 0; k < OTHERS; k++) CHECK_EQ(uvt_close_soon(others[k]), 0);
        CHECK_EQ(uvt_close_soon(subject), 0);
    }
    if (i != OPENS) return 0;
    for (int k = 0; k < FRESH; k++) {
        CHECK_EQ(uvt_tcp_adopt(&fresh[k], fresh_fds[k]), 0);
        uvt_stream_set_data(fresh[k], &fresh[k]);
    }
    if (opener_reads) CHECK_EQ(uvt_read(fresh[0], &byte, 1), 1);
    return uvt_sleep(1000); /* it owns them */
}

static int sends(void *arg) {
    lo_raw_send(*(int *)arg, "x", 1);
    return 0;
}

/* Goes on in the batch that runs after a poll; after that one the loop lets go of what was closed in it. */
static void be_woken_by_the_poll(void) {
    int peer;
    char byte;
    uvt_task_t t;
    uvt_stream_t *s = lo_half(&peer);
    CHECK_EQ(uvt_spawn(&t, sends, &peer), 0);
    CHECK_EQ(uvt_read(s, &byte, 1), 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_close_soon(s), 0);
    close(peer);
}

/* Runs `user` on the subject until its call is suspended, closes and reopens under it, and joins it. */
static void reuse_under(uvt_fn user, int status) {
    int listener = lo_raw_listen(OTHERS);
    uvt_task_t t;
    uvt_set_t set;
    uvt_event_init(&go);
    subject = adopted(listener, &subject_peer);
    for (int k = 0; k < OTHERS; k++) others[k] = adopted(listener, &other_peers[k]);
    for (int k = 0; k < FRESH; k++) raw_pair(listener, &fresh_fds[k], &fresh_peers[k]);
    CHECK_EQ(uvt_spawn(&t, user, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .discard = true }), 0);
    for (intptr_t i = 0; i < CROWD; i++) CHECK_EQ(uvt_set_spawn(&set, in_the_crowd, (void *)i), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    be_woken_by_the_poll();
    uvt_event_set(&go);
    CHECK_EQ(uvt_join(t, NULL), status);
    CHECK_EQ(uvt_sleep(1), 0);
    for (int k = 0; k < FRESH; k++) {
        char byte;
        CHECK(uvt_stream_handle(fresh[k]) != NULL);
        CHECK(uvt_stream_data(fresh[k]) == &fresh[k]);
        CHECK_EQ(uvt_write(fresh[k], "w", 1, NULL), 0);
        if (opener_reads && k == 0) {
            CHECK_EQ(uvt_read(fresh[0], &byte, 1), UV_EBUSY);
            lo_raw_send(fresh_peers[0], "f", 1);
            CHECK_EQ(uvt_sleep(1), 0);
        }
        lo_raw_send(fresh_peers[k], "n", 1);
        lo_check_next(fresh[k], "n");
    }
    for (int k = 0; k < FRESH; k++) CHECK_EQ(uvt_close(fresh[k]), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    for (int k = 0; k < FRESH; k++) close(fresh_peers[k]);
    for (int k = 0; k < OTHERS; k++) close(other_peers[k]);
    close(subject_peer);
    close(listener);
}

static int reads(void *arg) {
    char byte;
    (void)arg;
    return (int)uvt_read(subject, &byte, 1);
}

UVT_TEST(reuse_under_a_parked_read_leaves_the_new_stream_its_reader) {
    opener_reads = true;
    reuse_under(reads, UV_EBADF);
}

static int selects(void *arg) {
    (void)arg;
    uvt_case_t cases[] = { uvt_case_readable(subject), uvt_case_sleep(500) };
    int rc = uvt_select(cases, 2, 0);
    return rc == 0 ? cases[0].result : rc;
}

UVT_TEST(reuse_under_a_select_leaves_the_new_stream_its_reader) {
    opener_reads = true;
    reuse_under(selects, UV_EBADF);
}

static char big[8 << 20];

static int writes(void *arg) {
    size_t written;
    (void)arg;
    int rc = uvt_write(subject, big, sizeof big, &written);
    CHECK(written > 0 && written < sizeof big);
    return rc;
}

UVT_TEST(reuse_under_a_parked_write_does_not_tear_the_new_stream) {
    reuse_under(writes, UV_EBADF);
}

/* So that the next call yields at its beginning. */
static void use_up_the_budget(void) {
    CHECK_EQ(uvt_event_wait(&go), 0);
    for (int i = 0; i < 128; i++) CHECK_EQ(uvt_checkpoint(), 0);
}

static int begins_to_read(void *arg) {
    use_up_the_budget();
    return reads(arg);
}

static int begins_to_select(void *arg) {
    use_up_the_budget();
    return selects(arg);
}

static int begins_to_shut_down(void *arg) {
    (void)arg;
    use_up_the_budget();
    return uvt_shutdown(subject);
}

UVT_TEST(reuse_while_a_read_begins_takes_nothing_from_the_new_stream) {
    reuse_under(begins_to_read, UV_EBADF);
}

UVT_TEST(reuse_while_a_select_begins_takes_nothing_from_the_new_stream) {
    opener_reads = true;
    reuse_under(begins_to_select, UV_EBADF);
}

UVT_TEST(reuse_while_a_shutdown_begins_does_not_end_the_new_stream) {
    reuse_under(begins_to_shut_down, UV_EBADF);
}

/* ---- connects ---- */

static struct lo_hung hung;

static int connects(void *arg) {
    uvt_stream_t *s = NULL;
    (void)arg;
    return uvt_tcp_connect(&s, "127.0.0.1", hung.port);
}

/* Many are cancelled, and the first to run after the loop has let go of theirs opens new ones. */
UVT_TEST(reuse_under_cancelled_connects_gives_them_nothing) {
    uvt_task_t t[CONNECTS];
    uvt_stream_t *last, *mine[FRESH * 2];
    int listener = lo_raw_listen(OTHERS), last_peer, peers[FRESH * 2];
    lo_hung_open(&hung);
    last = adopted(listener, &last_peer);
    for (int i = 0; i < CONNECTS; i++) CHECK_EQ(uvt_spawn(&t[i], connects, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < CONNECTS; i++) CHECK_EQ(uvt_abort(t[i]), 0);
    CHECK_EQ(uvt_close(last), 0);
    for (int i = 0; i < FRESH * 2; i++) mine[i] = adopted(listener, &peers[i]);
    for (int i = 0; i < CONNECTS; i++) CHECK_EQ(uvt_join(t[i], NULL), UV_ECANCELED);
    for (int i = 0; i < FRESH * 2; i++) {
        CHECK_EQ(uvt_close(mine[i]), 0);
        close(peers[i]);
    }
    close(last_peer);
    close(listener);
    lo_hung_close(&hung);
}

/* ---- read_exact is one reading call ---- */

static uvt_stream_t *shared;
static int spent;

static int reads_exactly(void *arg) {
    char buf[20];
    (void)arg;
    for (int i = 0; i < spent; i++) CHECK_EQ(uvt_checkpoint(), 0);
    int rc = uvt_read_exact(shared, buf, 20, NULL);
    for (int i = 1; rc == 0 && i < 20; i++) CHECK_EQ(buf[i], buf[i - 1] + 1);
    return rc;
}

static int reads_in_between(void *arg) {
    char buf[5];
    ssize_t n;
    (void)arg;
    while ((n = uvt_read(shared, buf, sizeof buf)) == UV_EBUSY) CHECK_EQ(uvt_yield(), 0);
    return n < 0 ? (int)n : 0;
}

/* Wherever in it the budget ends, nobody else reads in its midst. */
UVT_TEST(read_exact_that_yields_keeps_other_readers_out) {
    for (spent = 120; spent < 130; spent++) {
        uvt_task_t a, b;
        char peeked[10];
        int peer;
        shared = lo_half_with(&peer, "ABCDEFGHIJ");
        CHECK_EQ(uvt_peek(shared, peeked, sizeof peeked), 10); /* so the first portion is there at once */
        lo_raw_send(peer, "KLMNOPQRSTUVWXYZ", 16);
        CHECK_EQ(uvt_spawn(&a, reads_exactly, NULL), 0);
        CHECK_EQ(uvt_spawn(&b, reads_in_between, NULL), 0);
        CHECK_EQ(uvt_join(a, NULL), 0);
        CHECK_EQ(uvt_join(b, NULL), 0);
        CHECK_EQ(uvt_close(shared), 0);
        close(peer);
    }
}

/* libuv lets go of what was closed last first; the record must not be the first to be used again for that. */
UVT_TEST(reuse_closed_last_of_many_it_stays_closed_for_a_while) {
    uvt_stream_t *last;
    int peers[OTHERS + 1], more;
    char byte;
    for (int i = 0; i < OTHERS; i++) others[i] = lo_half(&peers[i]);
    last = lo_half(&peers[OTHERS]);
    for (int i = 0; i < OTHERS; i++) CHECK_EQ(uvt_close_soon(others[i]), 0);
    CHECK_EQ(uvt_close(last), 0);
    uvt_stream_t *s = lo_half_with(&more, "x");
    CHECK_EQ(uvt_read(last, &byte, 1), UV_EBADF);
    lo_check_next(s, "x");
    lo_end(s, more);
    for (int i = 0; i <= OTHERS; i++) close(peers[i]);
}

UVT_TEST_MAIN()
