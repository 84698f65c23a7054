/* SPDX-License-Identifier: MIT
 *
 * uvt_tcp_connect to numeric addresses: success, refusal, deadlines, aborts. A connect that hangs is made
 * with a listener whose queue is full (loopback.h). Names are in tcp_resolve_test.c.
 */
#include "loopback.h"

UVT_TEST(connect_null_or_port_zero_is_refused) {
    uvt_stream_t *s = NULL;
    CHECK_EQ(uvt_tcp_connect(&s, "127.0.0.1", 0), UV_EINVAL);
    CHECK_EQ(uvt_tcp_connect(&s, NULL, 80), UV_EINVAL);
    CHECK_EQ(uvt_tcp_connect(NULL, "127.0.0.1", 80), UV_EINVAL);
    CHECK_EQ(uvt_tcp_connect_addr(&s, NULL), UV_EINVAL);
}

UVT_TEST(connect_port_beyond_65535_is_refused) {
    uvt_listener_t *l = lo_listen();
    uvt_stream_t *s = NULL;
    CHECK_EQ(uvt_tcp_connect(&s, "127.0.0.1", 65536 + (unsigned)uvt_listener_port(l)), UV_EINVAL);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST_PLAIN(connect_outside_of_a_task_is_refused) {
    uvt_stream_t *s = NULL;
    CHECK_EQ(uvt_tcp_connect(&s, "127.0.0.1", 80), UVT_ENOTASK);
}

UVT_TEST(connect_address_reaches_the_listener) {
    uvt_listener_t *l = lo_listen();
    struct sockaddr_in a = lo_addr((unsigned)uvt_listener_port(l));
    uvt_stream_t *c = NULL, *s = NULL;
    char buf[4];
    CHECK_EQ(uvt_tcp_connect_addr(&c, (struct sockaddr *)&a), 0);
    CHECK_EQ(uvt_accept(l, &s), 0);
    CHECK_EQ(uvt_write(c, "ping", 4, NULL), 0);
    CHECK_EQ(uvt_read_exact(s, buf, 4, NULL), 0);
    CHECK_EQ(memcmp(buf, "ping", 4), 0);
    lo_close_pair(c, s);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(connect_address_of_another_family_is_refused) {
    struct sockaddr_storage a = { .ss_family = AF_UNIX };
    uvt_stream_t *s = NULL;
    CHECK_EQ(uvt_tcp_connect_addr(&s, (struct sockaddr *)&a), UV_EINVAL);
}

UVT_TEST(connect_nobody_listens_is_refused_and_leaves_nothing) {
    struct sockaddr_in a = lo_addr(0);
    lo_warm();
    int bound = socket(AF_INET, SOCK_STREAM, 0); /* holds the port, does not listen */
    CHECK_EQ(bind(bound, (struct sockaddr *)&a, sizeof a), 0);
    unsigned fds = lo_fds();
    uvt_stream_t *s = NULL;
    CHECK_EQ(uvt_tcp_connect(&s, "127.0.0.1", lo_port_of(bound)), UV_ECONNREFUSED);
    CHECK_EQ(lo_fds(), fds);
    close(bound);
}

static int notes_a_step(void *arg) {
    uvt_test_step("%s", (const char *)arg);
    return 0;
}

UVT_TEST(connect_always_suspends) {
    uvt_listener_t *l = lo_listen();
    uvt_stream_t *s = NULL;
    uvt_spawn(NULL, notes_a_step, "other");
    CHECK_EQ(uvt_tcp_connect(&s, "127.0.0.1", (unsigned)uvt_listener_port(l)), 0);
    CHECK_STEPS("other");
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static int connects_and_greets(void *arg) {
    uvt_stream_t *s = NULL;
    char byte;
    int rc = uvt_tcp_connect(&s, "127.0.0.1", *(unsigned *)arg);
    if (rc < 0) return rc;
    rc = uvt_write(s, "x", 1, NULL);
    if (rc == 0 && uvt_read(s, &byte, 1) != UV_EOF) rc = UV_EPROTO;
    uvt_close(s);
    return rc;
}

UVT_TEST(connect_hundred_at_once_all_arrive) {
    uvt_listener_t *l = lo_listen();
    unsigned port = (unsigned)uvt_listener_port(l);
    uvt_set_t set;
    char byte;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_set_spawn(&set, connects_and_greets, &port), 0);
    for (int i = 0; i < 100; i++) {
        uvt_stream_t *s = NULL;
        CHECK_EQ(uvt_accept(l, &s), 0);
        CHECK_EQ(uvt_read(s, &byte, 1), 1);
        CHECK_EQ(uvt_close(s), 0);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
}

/* ---- a connect that hangs ---- */

static int connects(void *arg) {
    uvt_stream_t *s = NULL;
    int rc = uvt_tcp_connect(&s, "127.0.0.1", ((struct lo_hung *)arg)->port);
    return rc < 0 ? rc : uvt_close(s);
}

UVT_TEST(connect_deadline_ends_it_and_closes_the_descriptor) {
    struct lo_hung h;
    lo_warm();
    lo_hung_open(&h);
    unsigned fds = lo_fds();
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_timeout(700, connects, &h), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 700);
    CHECK_EQ(lo_fds(), fds);
    lo_hung_close(&h);
}

UVT_TEST(connect_aborted_is_cancelled_once_and_closes_the_descriptor) {
    struct lo_hung h;
    lo_warm();
    lo_hung_open(&h);
    unsigned fds = lo_fds();
    uvt_task_t t;
    uvt_result r;
    uvt_spawn(&t, connects, &h);
    uvt_sleep(1);
    CHECK_EQ(lo_fds(), fds + 1);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(lo_fds(), fds);
    lo_hung_close(&h);
}

UVT_TEST(connect_twenty_aborted_at_once_close_them_all) {
    struct lo_hung h;
    lo_warm();
    lo_hung_open(&h);
    unsigned fds = lo_fds();
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_set_spawn(&set, connects, &h), 0);
    uvt_sleep(1);
    CHECK_EQ(lo_fds(), fds + 20);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(lo_fds(), fds);
    lo_hung_close(&h);
}

UVT_TEST(connect_in_a_cancelled_scope_opens_nothing) {
    uvt_listener_t *l = lo_listen();
    unsigned fds = lo_fds();
    uvt_stream_t *s = NULL;
    uvt_scope_t scope;
    uvt_scope_begin(&scope, NULL);
    uvt_scope_cancel(&scope, NULL);
    int rc = uvt_tcp_connect(&s, "127.0.0.1", (unsigned)uvt_listener_port(l));
    CHECK_EQ(uvt_scope_end(&scope, rc), UV_ECANCELED);
    CHECK_EQ(lo_fds(), fds);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(connect_pending_when_its_owner_ends_is_closed) {
    static struct lo_hung h; /* used after this body has returned */
    lo_hung_open(&h);
    uvt_task_t t;
    uvt_spawn(&t, connects, &h);
    uvt_sleep(1);
    uvt_defer((void (*)(void *))lo_hung_close, &h);
    /* the child is cancelled and awaited now, before the defer runs: descriptors are checked at the end */
}

UVT_TEST(connect_peer_that_closes_at_once_gives_eof) {
    int listener = lo_raw_listen(8);
    uvt_stream_t *s = NULL;
    char byte;
    CHECK_EQ(uvt_tcp_connect(&s, "127.0.0.1", lo_port_of(listener)), 0);
    close(accept(listener, NULL, NULL));
    CHECK_EQ(uvt_read(s, &byte, 1), UV_EOF);
    CHECK_EQ(uvt_close(s), 0);
    close(listener);
}

UVT_TEST_MAIN()
