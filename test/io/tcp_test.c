/* SPDX-License-Identifier: MIT
 *
 * TCP: listening, accepting, addresses, socket options, adopted descriptors, and who owns a connection.
 * What happens in reads, writes, connects and closes is in the files named after them.
 */
#include "loopback.h"

UVT_TEST(listen_port_zero_picks_a_port) {
    uvt_listener_t *l = lo_listen();
    CHECK_IN(uvt_listener_port(l), 1, 65536);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(listen_not_a_numeric_address_is_refused) {
    const char *bad[] = { "localhost", "127.0.0.256", "", "::g", "127.0.0.1:80", NULL };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        uvt_listener_t *l = NULL;
        CHECK_EQ(uvt_tcp_listen(&l, bad[i], 0, 0), UV_EINVAL);
    }
}

UVT_TEST(listen_port_beyond_65535_is_refused) {
    uvt_listener_t *l = NULL;
    CHECK_EQ(uvt_tcp_listen(&l, "127.0.0.1", 65536 + 8080, 0), UV_EINVAL);
}

UVT_TEST_PLAIN(listen_outside_of_a_task_is_refused) {
    uvt_listener_t *l = NULL;
    CHECK_EQ(uvt_tcp_listen(&l, "127.0.0.1", 0, 0), UVT_ENOTASK);
}

/* ---- accept ---- */

static int accepts_one(void *arg) {
    uvt_stream_t *s = NULL;
    int rc = uvt_accept(arg, &s);
    return rc < 0 ? rc : uvt_close(s);
}

UVT_TEST(accept_one_connection_wakes_once) {
    uvt_listener_t *l = lo_listen();
    uvt_task_t t;
    uvt_stats before, after;
    uvt_spawn(&t, accepts_one, l);
    uvt_sleep(1); /* virtual: returns when the accepter is parked and all is quiet */
    uvt_stats_get(&before);
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    CHECK_EQ(uvt_join(t, NULL), 0);
    uvt_stats_get(&after);
    CHECK_EQ(after.switches - before.switches, 3); /* it got the connection, it closed, we joined */
    close(peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(accept_burst_of_connections_gets_them_all) {
    uvt_listener_t *l = lo_listen();
    int peers[50];
    for (int i = 0; i < 50; i++) peers[i] = lo_raw_connect((unsigned)uvt_listener_port(l));
    for (int i = 0; i < 50; i++) CHECK_EQ(accepts_one(l), 0);
    for (int i = 0; i < 50; i++) close(peers[i]);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static unsigned peer_port(uvt_stream_t *s) {
    struct sockaddr_storage a;
    CHECK_EQ(uvt_tcp_peername(s, &a), 0);
    return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

UVT_TEST(accept_cancelled_after_arrival_leaves_the_connection_to_the_next) {
    uvt_listener_t *l = lo_listen();
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    uvt_stream_t *s = NULL;
    uvt_scope_t scope;
    uvt_scope_begin(&scope, NULL);
    uvt_scope_cancel(&scope, NULL);
    CHECK_EQ(uvt_scope_end(&scope, uvt_accept(l, &s)), UV_ECANCELED);
    CHECK_EQ(uvt_accept(l, &s), 0);
    CHECK_EQ(peer_port(s), lo_port_of(peer));
    CHECK_EQ(uvt_close(s), 0);
    close(peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

struct arrival {
    uvt_listener_t *l;
    unsigned got; /* the port of the peer that the aborted task accepted; 0 none */
};

static int accepts_and_notes(void *arg) {
    struct arrival *a = arg;
    uvt_stream_t *s = NULL;
    int rc = uvt_accept(a->l, &s);
    if (rc < 0) return rc;
    a->got = peer_port(s);
    uvt_close_soon(s);
    return 0;
}

/* The abort and the connection come in one poll, in either order: somebody gets the connection, once. */
static void abort_and_arrival(bool abort_first) {
    struct arrival a = { .l = lo_listen() };
    static struct lo_trigger trigger;
    uvt_task_t t;
    uvt_spawn(&t, accepts_and_notes, &a);
    lo_trigger_open(&trigger, lo_abort, &t);
    uvt_sleep(1);
    if (abort_first) lo_trigger_pull(&trigger);
    int peer = lo_raw_connect((unsigned)uvt_listener_port(a.l));
    if (!abort_first) lo_trigger_pull(&trigger);
    uvt_result r;
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.status, a.got ? 0 : UV_ECANCELED);
    if (!a.got) CHECK_EQ(accepts_and_notes(&a), 0);
    CHECK_EQ(a.got, lo_port_of(peer));
    close(peer);
    lo_trigger_close(&trigger);
    CHECK_EQ(uvt_listener_close(a.l), 0);
}

UVT_TEST(accept_connection_and_abort_in_one_poll_loses_nothing) {
    abort_and_arrival(false);
    abort_and_arrival(true);
}

UVT_TEST(accept_second_task_is_busy) {
    uvt_listener_t *l = lo_listen();
    uvt_task_t t;
    uvt_stream_t *s = NULL;
    uvt_spawn(&t, accepts_one, l);
    uvt_sleep(1);
    CHECK_EQ(uvt_accept(l, &s), UV_EBUSY);
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    CHECK_EQ(uvt_join(t, NULL), 0);
    close(peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(accept_with_deadline_times_out) {
    uvt_listener_t *l = lo_listen();
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_timeout(300, accepts_one, l), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 300);
    CHECK_EQ(uvt_listener_close(l), 0);
}

/* ---- addresses and options ---- */

static void check_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
    char ta[64], tb[64];
    CHECK_EQ(a->ss_family, b->ss_family);
    CHECK_EQ(uv_ip_name((const struct sockaddr *)a, ta, sizeof ta), 0);
    CHECK_EQ(uv_ip_name((const struct sockaddr *)b, tb, sizeof tb), 0);
    CHECK_STR(ta, tb);
    CHECK_EQ(((const struct sockaddr_in *)a)->sin_port, ((const struct sockaddr_in *)b)->sin_port);
}

static void check_ends_agree(const char *host, int family) {
    uvt_listener_t *l = NULL;
    uvt_stream_t *c = NULL, *s = NULL;
    struct sockaddr_storage mine, theirs;
    CHECK_EQ(uvt_tcp_listen(&l, host, 0, 0), 0);
    CHECK_EQ(uvt_tcp_connect(&c, host, (unsigned)uvt_listener_port(l)), 0);
    CHECK_EQ(uvt_accept(l, &s), 0);
    CHECK_EQ(uvt_tcp_sockname(c, &mine), 0);
    CHECK_EQ(uvt_tcp_peername(s, &theirs), 0);
    CHECK_EQ(mine.ss_family, family);
    check_same_address(&mine, &theirs);
    CHECK_EQ(uvt_tcp_peername(c, &theirs), 0);
    CHECK_EQ(uvt_tcp_sockname(s, &mine), 0);
    check_same_address(&mine, &theirs);
    lo_close_pair(c, s);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(addresses_ipv4_both_ends_agree) {
    check_ends_agree("127.0.0.1", AF_INET);
}

UVT_TEST(addresses_ipv6_both_ends_agree) {
    if (lo_have_ipv6()) check_ends_agree("::1", AF_INET6);
}

static int sock_option(uvt_stream_t *s, int level, int name) {
    uv_os_fd_t fd;
    int value = -1;
    socklen_t len = sizeof value;
    CHECK_EQ(uv_fileno((uv_handle_t *)uvt_stream_handle(s), &fd), 0);
    CHECK_EQ(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

UVT_TEST(nodelay_is_set_at_both_ends_and_can_be_taken_off) {
    uvt_stream_t *c, *s;
    lo_pair(&c, &s);
    CHECK_EQ(sock_option(c, IPPROTO_TCP, TCP_NODELAY) != 0, 1);
    CHECK_EQ(sock_option(s, IPPROTO_TCP, TCP_NODELAY) != 0, 1);
    CHECK_EQ(uvt_tcp_nodelay(c, false), 0);
    CHECK_EQ(sock_option(c, IPPROTO_TCP, TCP_NODELAY), 0);
    lo_close_pair(c, s);
}

UVT_TEST(keepalive_sets_the_socket) {
    uvt_stream_t *c, *s;
    lo_pair(&c, &s);
    CHECK_EQ(sock_option(c, SOL_SOCKET, SO_KEEPALIVE), 0);
    CHECK_EQ(uvt_tcp_keepalive(c, true, 37), 0);
    CHECK_EQ(sock_option(c, SOL_SOCKET, SO_KEEPALIVE) != 0, 1);
#ifdef TCP_KEEPIDLE
    CHECK_EQ(sock_option(c, IPPROTO_TCP, TCP_KEEPIDLE), 37);
#endif
    CHECK_EQ(uvt_tcp_keepalive(c, false, 0), 0);
    CHECK_EQ(sock_option(c, SOL_SOCKET, SO_KEEPALIVE), 0);
    lo_close_pair(c, s);
}

UVT_TEST(stream_data_is_the_callers_word) {
    uvt_stream_t *c, *s;
    lo_pair(&c, &s);
    CHECK(uvt_stream_data(c) == NULL);
    uvt_stream_set_data(c, &s);
    CHECK(uvt_stream_data(c) == &s && uvt_stream_data(s) == NULL);
    lo_close_pair(c, s);
    lo_pair(&c, &s); /* recycled memory starts empty again */
    CHECK(uvt_stream_data(c) == NULL && uvt_stream_data(s) == NULL);
    lo_close_pair(c, s);
}

UVT_TEST(stream_handle_is_libuvs) {
    uvt_stream_t *c, *s;
    lo_pair(&c, &s);
    CHECK_EQ(uvt_stream_handle(c)->type, UV_TCP);
    CHECK(uvt_stream_handle(c)->loop == uvt_loop());
    lo_close_pair(c, s);
}

/* ---- echo ---- */

enum { ECHO_BYTES = 4 << 20 };

static int sends_pattern(void *arg) {
    static unsigned char chunk[40000];
    for (size_t at = 0; at < ECHO_BYTES; at += sizeof chunk) {
        size_t n = ECHO_BYTES - at < sizeof chunk ? ECHO_BYTES - at : sizeof chunk;
        lo_fill(chunk, n, at);
        int rc = uvt_write(arg, chunk, n, NULL);
        if (rc < 0) return rc;
    }
    return uvt_shutdown(arg);
}

UVT_TEST(echo_megabytes_come_back_identical) {
    uvt_stream_t *c, *s;
    uvt_task_t echo, writer;
    unsigned char buf[16384];
    size_t total = 0;
    lo_pair(&c, &s);
    uvt_spawn(&echo, lo_echo, s);
    uvt_spawn(&writer, sends_pattern, c);
    for (ssize_t n; (n = uvt_read(c, buf, sizeof buf)) != UV_EOF; total += (size_t)n) {
        CHECK(n > 0);
        CHECK(lo_is(buf, (size_t)n, total));
    }
    CHECK_EQ(total, ECHO_BYTES);
    CHECK_EQ(uvt_join(writer, NULL), 0);
    CHECK_EQ(uvt_join(echo, NULL), 0);
    lo_close_pair(c, s);
}

/* ---- adopt ---- */

UVT_TEST(adopt_connected_socket_becomes_a_stream) {
    int listener = lo_raw_listen(8), peer = lo_raw_connect(lo_port_of(listener));
    int fd = accept(listener, NULL, NULL);
    uvt_stream_t *s = NULL;
    char buf[8];
    CHECK_EQ(uvt_tcp_adopt(&s, fd), 0);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    lo_raw_send(peer, "hello", 5);
    CHECK_EQ(uvt_read_exact(s, buf, 5, NULL), 0);
    CHECK_EQ(memcmp(buf, "hello", 5), 0);
    CHECK_EQ(uvt_write(s, "bye", 3, NULL), 0);
    CHECK_EQ(lo_raw_recv(peer, buf, sizeof buf), 3);
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(fcntl(fd, F_GETFD), -1); /* the stream owned it */
    close(peer);
    close(listener);
}

UVT_TEST(adopt_wrong_type_is_refused_and_stays_the_callers) {
    int unix_pair[2], pipe_pair[2], udp = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair), 0);
    CHECK_EQ(pipe(pipe_pair), 0);
    int bad[] = { udp, unix_pair[0], pipe_pair[0] };
    for (unsigned i = 0; i < 3; i++) {
        uvt_stream_t *s = NULL;
        CHECK_EQ(uvt_tcp_adopt(&s, bad[i]), UV_EINVAL);
        CHECK(fcntl(bad[i], F_GETFD) >= 0);
        CHECK_EQ(fcntl(bad[i], F_GETFL) & O_NONBLOCK, 0);
    }
    close(udp);
    for (int i = 0; i < 2; i++) close(unix_pair[i]), close(pipe_pair[i]);
}

UVT_TEST(adopt_closed_descriptor_is_ebadf) {
    uvt_stream_t *s = NULL;
    int fd = dup(0);
    close(fd);
    CHECK_EQ(uvt_tcp_adopt(&s, fd), UV_EBADF);
    CHECK_EQ(uvt_tcp_adopt(&s, -1), UV_EBADF);
}

/* ---- owners ---- */

static int connects_and_leaves(void *arg) {
    uvt_stream_t *s = NULL;
    return uvt_tcp_connect(&s, "127.0.0.1", (unsigned)uvt_listener_port(arg));
}

UVT_TEST(stream_left_open_is_closed_and_reported_with_its_site) {
    uvt_listener_t *l = lo_listen();
    uvt_task_t t;
    uvt_stream_t *s = NULL;
    char byte;
    uvt_spawn(&t, connects_and_leaves, l);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_accept(l, &s), 0);
    CHECK_EQ(uvt_read(s, &byte, 1), UV_EOF);
    CHECK(strstr(uvt_test_reports(), "tcp_test.c:") != NULL);
    CHECK(strstr(uvt_test_reports(), "connects_and_leaves") != NULL);
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static int listens_and_leaves(void *arg) {
    uvt_listener_t *l = lo_listen();
    *(int *)arg = uvt_listener_port(l);
    return 0;
}

UVT_TEST(listener_left_open_is_closed_and_reported) {
    uvt_task_t t;
    uvt_stream_t *s = NULL;
    int port = 0;
    uvt_spawn(&t, listens_and_leaves, &port);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_tcp_connect(&s, "127.0.0.1", (unsigned)port), UV_ECONNREFUSED);
    CHECK(strstr(uvt_test_reports(), "listens_and_leaves") != NULL);
}

static int takes_and_answers(void *arg) {
    CHECK_EQ(uvt_stream_own(arg), 0);
    uvt_sleep(10); /* whoever accepted it has ended by now */
    CHECK_EQ(uvt_write(arg, "mine", 4, NULL), 0);
    return uvt_close(arg);
}

static int accepts_and_hands_over(void *arg) {
    uvt_stream_t *s = NULL;
    uvt_task_t t;
    CHECK_EQ(uvt_accept(arg, &s), 0);
    CHECK_EQ(uvt_spawn(&t, takes_and_answers, s), 0);
    uvt_yield(); /* it owns the stream now */
    return uvt_detach(t);
}

UVT_TEST(stream_own_outlives_the_task_that_accepted) {
    uvt_listener_t *l = lo_listen();
    uvt_task_t t;
    char buf[8];
    int peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    uvt_spawn(&t, accepts_and_hands_over, l);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(recv(peer, buf, sizeof buf, MSG_DONTWAIT), -1); /* neither answered nor closed yet */
    uvt_sleep(20);
    CHECK_EQ(lo_raw_recv(peer, buf, sizeof buf), 4);
    CHECK_EQ(lo_raw_recv(peer, buf, sizeof buf), 0);
    CHECK_STR(uvt_test_reports(), "");
    close(peer);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST_MAIN()
