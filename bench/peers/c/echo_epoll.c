/* SPDX-License-Identifier: MIT
 *
 * echo_epoll PORT: the echo server on plain epoll, level-triggered, one thread, one static buffer. What a socket
 * does not take is kept, and nothing more is read from that peer until it is gone.
 */
#include "../../bench.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct connection {
    int fd;
    char *rest; /* what is still to be written, or NULL */
    size_t offset, length;
} connection;

static char buffer[BENCH_ECHO_BUFFER];
static int ep;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void drop(connection *c) {
    close(c->fd);
    free(c->rest);
    free(c);
}

static void watch(connection *c, int operation, uint32_t events) {
    struct epoll_event e = { .events = events, .data.ptr = c };
    if (epoll_ctl(ep, operation, c->fd, &e)) die("epoll_ctl");
}

static void go_on_writing(connection *c) {
    ssize_t n = send(c->fd, c->rest + c->offset, c->length - c->offset, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN) drop(c);
        return;
    }
    c->offset += (size_t)n;
    if (c->offset < c->length) return;
    free(c->rest);
    c->rest = NULL;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void read_and_write(connection *c) {
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    ssize_t taken = n > 0 ? send(c->fd, buffer, (size_t)n, MSG_NOSIGNAL) : -1;
    if (n > 0 && taken == n) return;
    if (n > 0 && taken < 0 && errno == EAGAIN) taken = 0;
    if (n <= 0 || taken < 0 || !(c->rest = malloc((size_t)(n - taken)))) {
        drop(c);
        return;
    }
    c->offset = 0;
    c->length = (size_t)(n - taken);
    memcpy(c->rest, buffer + taken, c->length);
    watch(c, EPOLL_CTL_MOD, EPOLLOUT);
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        connection *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->fd = fd;
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static int start_listening(int port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    socklen_t size = sizeof a;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, BENCH_BACKLOG) ||
        getsockname(listener, (struct sockaddr *)&a, &size))
        die("listen");
    bench_listening(ntohs(a.sin_port));
    return listener;
}

int main(int argc, char **argv) {
    int listener = start_listening(argc > 1 ? atoi(argv[1]) : 0);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL }, events[256];
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e)) die("epoll");
    for (;;) {
        int n = epoll_wait(ep, events, 256, -1);
        for (int i = 0; i < n; i++) {
            connection *c = events[i].data.ptr;
            if (!c)
                accept_all(listener);
            else if (c->rest)
                go_on_writing(c);
            else
                read_and_write(c);
        }
    }
}
