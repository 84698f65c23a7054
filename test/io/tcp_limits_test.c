/* SPDX-License-Identifier: MIT
 *
 * Bad weather: no descriptor free, a port in use, a host that does not resolve, peers that reset. Each is a
 * code, nothing leaks, and when the weather is better everything works again.
 *
 * Every test runs in a process of its own, so it may lower the limit on descriptors.
 */
#include <sys/resource.h>

#include "loopback.h"

/* All descriptors that the process may have are in use until fds_free. */
struct hog {
    int fds[4096];
    int n;
    struct rlimit old;
};

static void hog_take(struct hog *h) {
    int fd;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &h->old), 0);
    struct rlimit low = h->old;
    low.rlim_cur = 128;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (h->n = 0; (fd = dup(0)) >= 0; h->n++) h->fds[h->n] = fd;
    CHECK_EQ(errno, EMFILE);
}

static void hog_give_one(struct hog *h) {
    close(h->fds[--h->n]);
}

static void hog_give_all(struct hog *h) {
    while (h->n > 0) hog_give_one(h);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &h->old), 0);
}

static struct hog hog;

UVT_TEST(accept_without_descriptors_says_emfile_and_keeps_the_connection) {
    uvt_listener_t *l = lo_listen();
    uvt_stream_t *s = NULL;
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    hog_take(&hog);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_accept(l, &s), UV_EMFILE);
    hog_give_one(&hog);
    CHECK_EQ(uvt_accept(l, &s), 0);
    lo_raw_send(peer, "still here", 10);
    lo_check_next(s, "still here");
    CHECK_EQ(uvt_close(s), 0);
    hog_give_all(&hog);
    close(peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static int accepts(void *arg) {
    uvt_stream_t *s = NULL;
    int rc = uvt_accept(arg, &s);
    return rc < 0 ? rc : uvt_close(s);
}

UVT_TEST(accept_parked_when_descriptors_run_out_says_emfile) {
    uvt_listener_t *l = lo_listen();
    uvt_task_t t;
    uvt_result r;
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    uvt_spawn(&t, accepts, l);
    uvt_sleep(1);
    hog_take(&hog);
    lo_raw_connect_fd(peer, (unsigned)uvt_listener_port(l));
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.status, UV_EMFILE);
    hog_give_all(&hog);
    CHECK_EQ(accepts(l), 0);
    close(peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static int turns_the_loop(void *arg) {
    for (int i = 0; i < 50; i++) CHECK_EQ(uvt_yield(), 0);
    *(volatile int *)arg = 1;
    return 0;
}

UVT_TEST(accept_without_descriptors_leaves_the_loop_to_others) {
    uvt_listener_t *l = lo_listen();
    uvt_stream_t *s = NULL;
    volatile int done = 0;
    int tries = 0, peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    hog_take(&hog);
    uvt_spawn(NULL, turns_the_loop, (void *)&done);
    while (!done) {
        CHECK_EQ(uvt_accept(l, &s), UV_EMFILE);
        tries++;
    }
    CHECK_IN(tries, 1, 100000);
    hog_give_all(&hog);
    close(peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(connect_without_descriptors_says_emfile) {
    uvt_listener_t *l = lo_listen();
    uvt_stream_t *s = NULL;
    unsigned port = (unsigned)uvt_listener_port(l);
    lo_warm();
    hog_take(&hog);
    CHECK_EQ(uvt_tcp_connect(&s, "127.0.0.1", port), UV_EMFILE);
    struct sockaddr_in a = lo_addr(port);
    CHECK_EQ(uvt_tcp_connect_addr(&s, (struct sockaddr *)&a), UV_EMFILE);
    hog_give_one(&hog);
    CHECK_EQ(uvt_tcp_connect(&s, "127.0.0.1", port), 0);
    CHECK_EQ(uvt_close(s), 0);
    hog_give_all(&hog);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(listen_without_descriptors_says_emfile) {
    uvt_listener_t *l = NULL;
    hog_take(&hog);
    CHECK_EQ(uvt_tcp_listen(&l, "127.0.0.1", 0, 0), UV_EMFILE);
    hog_give_all(&hog);
    l = lo_listen();
    CHECK_EQ(uvt_listener_close(l), 0);
}

static int returns_seven(void *arg) {
    (void)arg;
    return 7;
}

UVT_TEST_PLAIN(run_without_descriptors_says_emfile) {
    hog_take(&hog);
    CHECK_EQ(uvt_run(returns_seven, NULL, NULL), UV_EMFILE);
    for (int i = 0; i < 5; i++) hog_give_one(&hog); /* what a loop needs: epoll, two eventfds, a pipe for signals */
    CHECK_EQ(uvt_run(returns_seven, NULL, NULL), 7);
    hog_give_all(&hog);
}

/* Opens connections until no descriptor is left; returns how many ends it got, all in ends. */
static int open_until_emfile(uvt_listener_t *l, uvt_stream_t **ends) {
    int n = 0, rc;
    for (;;) {
        rc = uvt_tcp_connect(&ends[n], "127.0.0.1", (unsigned)uvt_listener_port(l));
        if (rc < 0) break;
        n++;
        rc = uvt_accept(l, &ends[n]);
        if (rc < 0) break;
        n++;
    }
    CHECK_EQ(rc, UV_EMFILE);
    return n;
}

UVT_TEST(all_1024_descriptors_used_up_and_given_back) {
    static uvt_stream_t *ends[1024];
    struct rlimit old, low;
    uvt_stream_t *s = NULL;
    uvt_listener_t *l = lo_listen();
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 1024;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    lo_warm();
    unsigned before = lo_fds();
    for (int round = 0; round < 2; round++) {
        int n = open_until_emfile(l, ends);
        CHECK(n > 900);
        for (int i = 0; i < n; i++) CHECK_EQ(uvt_close(ends[i]), 0);
        if (n % 2 == 1) { /* the last connect had its end, its accept had not */
            CHECK_EQ(uvt_accept(l, &s), 0);
            CHECK_EQ(uvt_close(s), 0);
        }
        CHECK_EQ(lo_fds(), before);
    }
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(listen_port_in_use_says_eaddrinuse) {
    uvt_listener_t *l = lo_listen(), *second = NULL;
    unsigned fds = lo_fds();
    CHECK_EQ(uvt_tcp_listen(&second, "127.0.0.1", (unsigned)uvt_listener_port(l), 0), UV_EADDRINUSE);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(lo_fds(), fds);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(listen_again_on_a_port_just_closed_works) {
    uvt_listener_t *l = lo_listen();
    unsigned port = (unsigned)uvt_listener_port(l);
    CHECK_EQ(uvt_listener_close(l), 0);
    CHECK_EQ(uvt_tcp_listen(&l, "127.0.0.1", port, 0), 0);
    CHECK_EQ(uvt_listener_port(l), port);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST_REAL(connect_host_that_does_not_exist_is_an_eai_code) {
    uvt_stream_t *s = NULL;
    unsigned fds = lo_fds();
    int rc = uvt_tcp_connect(&s, "no such host", 80);
    CHECK_IN(rc, -3100, -3000 + 1); /* libuv's UV_EAI_* */
    CHECK_IN(lo_fds(), fds, fds + 2); /* the resolver of the C library may keep one */
}

/* ---- peers that reset ---- */

UVT_TEST(reset_in_the_middle_of_an_exact_read_is_econnreset) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    char buf[8];
    size_t got = 0;
    lo_raw_send(peer, "abc", 3);
    CHECK_EQ(uvt_read_exact(s, buf, 3, NULL), 0);
    lo_raw_reset(peer);
    CHECK_EQ(uvt_read_exact(s, buf, 8, &got), UV_ECONNRESET);
    CHECK_EQ(got, 0);
    CHECK_EQ(uvt_close(s), 0);
}

UVT_TEST(reset_peer_fails_writes_and_raises_no_signal) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    int rc = 0;
    lo_raw_reset(peer);
    for (int i = 0; i < 3 && rc == 0; i++) rc = uvt_write(s, "x", 1, NULL);
    CHECK(rc == UV_ECONNRESET || rc == UV_EPIPE);
    CHECK_EQ(uvt_close(s), 0);
}

UVT_TEST(reset_before_accept_does_no_harm_to_the_next_connection) {
    uvt_listener_t *l = lo_listen();
    uvt_stream_t *s = NULL;
    char byte;
    lo_raw_reset(lo_raw_connect((unsigned)uvt_listener_port(l)));
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    CHECK_EQ(uvt_accept(l, &s), 0);
    lo_raw_send(peer, "x", 1);
    if (uvt_read(s, &byte, 1) != 1) { /* this was the one that is gone; Linux hands it out all the same */
        CHECK_EQ(uvt_close(s), 0);
        CHECK_EQ(uvt_accept(l, &s), 0);
        CHECK_EQ(uvt_read(s, &byte, 1), 1);
    }
    CHECK_EQ(byte, 'x');
    CHECK_EQ(uvt_close(s), 0);
    close(peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST_MAIN()
