/* SPDX-License-Identifier: MIT
 *
 * What the TCP tests share: listeners and connections on the loopback addresses, and peers that are plain
 * sockets. A plain socket does exactly what a test says and when it says so (it does not read, it resets,
 * it sends half a message), and the kernel finishes its connect without anybody accepting.
 *
 * Everything is made with port 0, so any number of these programs may run at the same time.
 */
#ifndef UVTASK_TEST_LOOPBACK_H
#define UVTASK_TEST_LOOPBACK_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uvtask.h>
#include <uvtask/test.h>

/* The n-th byte of the endless pattern that tests send; its period is no power of two. */
static inline unsigned char lo_byte(size_t n) {
    return (unsigned char)(n * 31 + n / 251);
}

static inline void lo_fill(void *buf, size_t size, size_t from) {
    for (size_t i = 0; i < size; i++) ((unsigned char *)buf)[i] = lo_byte(from + i);
}

static inline bool lo_is(const void *buf, size_t size, size_t from) {
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)buf)[i] != lo_byte(from + i)) return false;
    return true;
}

/* How many descriptors the process has open. */
static inline unsigned lo_fds(void) {
    unsigned n = 0;
    for (int fd = 0; fd < 4096; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static inline struct sockaddr_in lo_addr(unsigned port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static inline bool lo_have_ipv6(void) {
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0) return false;
    bool ok = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return ok;
}

static inline unsigned lo_port_of(int fd) {
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

/* A plain listening socket. */
static inline int lo_raw_listen(int backlog) {
    struct sockaddr_in a = lo_addr(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_EQ(listen(fd, backlog), 0);
    return fd;
}

/* A plain connected socket, blocking, made from an open one so that no descriptor is needed. */
static inline void lo_raw_connect_fd(int fd, unsigned port) {
    struct sockaddr_in a = lo_addr(port);
    CHECK_EQ(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
}

static inline int lo_raw_connect(unsigned port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    lo_raw_connect_fd(fd, port);
    return fd;
}

/* All of it, from a plain socket. */
static inline void lo_raw_send(int fd, const void *buf, size_t size) {
    ssize_t n = send(fd, buf, size, MSG_NOSIGNAL);
    CHECK_EQ(n < 0 ? -errno : n, size);
}

/* What has come at a plain socket, waiting for it up to five seconds; 0 at the end, -errno. */
static inline ssize_t lo_raw_recv(int fd, void *buf, size_t size) {
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (poll(&p, 1, 5000) == 0) return -ETIMEDOUT;
    ssize_t n = recv(fd, buf, size, MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

/* Closes a plain socket with a reset instead of an orderly end. */
static inline void lo_raw_reset(int fd) {
    struct linger l = { .l_onoff = 1, .l_linger = 0 };
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    close(fd);
}

static inline uvt_listener_t *lo_listen(void) {
    uvt_listener_t *l = NULL;
    CHECK_EQ(uvt_tcp_listen(&l, "127.0.0.1", 0, 0), 0);
    return l;
}

/* Both ends as streams of the calling task. */
static inline void lo_pair(uvt_stream_t **client, uvt_stream_t **server) {
    uvt_listener_t *l = lo_listen();
    CHECK_EQ(uvt_tcp_connect(client, "127.0.0.1", (unsigned)uvt_listener_port(l)), 0);
    CHECK_EQ(uvt_accept(l, server), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
}

static inline void lo_close_pair(uvt_stream_t *client, uvt_stream_t *server) {
    CHECK_EQ(uvt_close(client), 0);
    CHECK_EQ(uvt_close(server), 0);
}

/* A stream of the calling task, and its peer as a plain socket. */
static inline uvt_stream_t *lo_half(int *peer) {
    uvt_stream_t *s = NULL;
    uvt_listener_t *l = lo_listen();
    *peer = lo_raw_connect((unsigned)uvt_listener_port(l));
    CHECK_EQ(uvt_accept(l, &s), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
    return s;
}

/* libuv opens a descriptor of its own with the first stream of a loop and keeps it: before counting, have it. */
static inline void lo_warm(void) {
    int peer;
    CHECK_EQ(uvt_close(lo_half(&peer)), 0);
    close(peer);
}

/* A stream that has these bytes to read, and nothing after them unless the test sends more. */
static inline uvt_stream_t *lo_half_with(int *peer, const char *text) {
    uvt_stream_t *s = lo_half(peer);
    lo_raw_send(*peer, text, strlen(text));
    return s;
}

/* Reads exactly this next. */
static inline void lo_check_next(uvt_stream_t *s, const char *text) {
    char buf[600];
    size_t n = strlen(text), got = 0;
    CHECK_EQ(uvt_read_exact(s, buf, n, &got), 0);
    buf[got] = '\0';
    CHECK_STR(buf, text);
}

static inline void lo_check_eof(uvt_stream_t *s) {
    char byte;
    CHECK_EQ(uvt_read(s, &byte, 1), UV_EOF);
}

/* Closes both sides of lo_half. */
static inline void lo_end(uvt_stream_t *s, int peer) {
    CHECK_EQ(uvt_close(s), 0);
    close(peer);
}

/* An address where a connect neither succeeds nor fails: the queue of its listener is full, so the kernel
 * drops every further request. */
struct lo_hung {
    int fds[8]; /* [0] listens, the others fill the queue */
    unsigned port;
};

static inline void lo_hung_fill(struct lo_hung *h, int listener) {
    memset(h->fds, -1, sizeof h->fds);
    h->fds[0] = listener;
    h->port = lo_port_of(listener);
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    for (int i = 1; i < 8; i++) {
        h->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        CHECK(h->fds[i] >= 0);
        CHECK(connect(h->fds[i], (struct sockaddr *)&a, sizeof a) < 0 && errno == EINPROGRESS);
        struct pollfd p = { .fd = h->fds[i], .events = POLLOUT };
        if (poll(&p, 1, 30) == 0) return;
    }
    uvt_test_fail(__FILE__, __LINE__, "the listener's queue never fills");
}

static inline void lo_hung_open(struct lo_hung *h) {
    lo_hung_fill(h, lo_raw_listen(0));
}

static inline void lo_hung_close(struct lo_hung *h) {
    for (int i = 0; i < 8; i++)
        if (h->fds[i] >= 0) close(h->fds[i]);
}

/* Calls fn(arg) from a libuv callback of the same poll that sees whatever else became ready. */
struct lo_trigger {
    uv_poll_t poll;
    int fds[2];
    void (*fn)(void *arg);
    void *arg;
    bool closed;
};

static inline void lo__trigger_cb(uv_poll_t *h, int status, int events) {
    struct lo_trigger *t = h->data;
    (void)status;
    (void)events;
    uv_poll_stop(h);
    t->fn(t->arg);
}

static inline void lo__trigger_closed(uv_handle_t *h) {
    ((struct lo_trigger *)h->data)->closed = true;
}

static inline void lo_trigger_open(struct lo_trigger *t, void (*fn)(void *arg), void *arg) {
    t->fn = fn;
    t->arg = arg;
    t->closed = false;
    CHECK_EQ(pipe(t->fds), 0);
    CHECK_EQ(uv_poll_init(uvt_loop(), &t->poll, t->fds[0]), 0);
    t->poll.data = t;
    CHECK_EQ(uv_poll_start(&t->poll, UV_READABLE, lo__trigger_cb), 0);
}

static inline void lo_trigger_pull(struct lo_trigger *t) {
    CHECK_EQ(write(t->fds[1], "!", 1), 1);
}

static inline void lo_trigger_close(struct lo_trigger *t) {
    uv_close((uv_handle_t *)&t->poll, lo__trigger_closed);
    while (!t->closed) CHECK_EQ(uvt_yield(), 0);
    close(t->fds[0]);
    close(t->fds[1]);
}

/* For a trigger: aborts the task that arg points to. */
static inline void lo_abort(void *arg) {
    CHECK_EQ(uvt_abort(*(uvt_task_t *)arg), 0);
}

/* The body of a task that sends back what it reads until the end, then ends its own side. */
static inline int lo_echo(void *arg) {
    char buf[8192];
    for (;;) {
        ssize_t n = uvt_read(arg, buf, sizeof buf);
        if (n == UV_EOF) return uvt_shutdown(arg);
        if (n < 0) return (int)n;
        int rc = uvt_write(arg, buf, (size_t)n, NULL);
        if (rc < 0) return rc;
    }
}

#endif
