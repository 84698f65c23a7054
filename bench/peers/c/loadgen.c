/* SPDX-License-Identifier: MIT
 *
 * The load generator: raw epoll, one thread, closed loop.
 *     loadgen echo PORT CONNECTIONS BYTES SECONDS SERVER_PID
 *         keeps one message outstanding on every connection; prints requests per second and, as "_cpu", the
 *         server's CPU nanoseconds per request. During the warm-up every byte that comes back is compared.
 *     loadgen cpu PID
 *         prints the CPU nanoseconds the process has used so far (for servers that wrk loads)
 */
#include "../../bench.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WARM_UP_MS = 300 };

typedef struct connection {
    int fd;
    size_t sent, got; /* bytes of the message that is under way */
} connection;

static struct sockaddr_in addr;
static int ep;
static size_t size;    /* of a message */
static char *out, *in; /* what every message says, and where answers go */
static uint64_t done;  /* messages answered since the start */
static int check = 1;  /* compare what comes back */

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void lost(const char *what) {
    fprintf(stderr, "loadgen: %s\n", what);
    exit(1);
}

static int dial(void) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr)) die("connect");
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) die("setsockopt");
    if (fcntl(fd, F_SETFL, O_NONBLOCK)) die("fcntl");
    return fd;
}

static void push(connection *c) {
    while (c->sent < size) {
        ssize_t n = send(c->fd, out + c->sent, size - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) die("send");
        c->sent += (size_t)n;
    }
}

static void step(connection *c) {
    push(c);
    while (c->got < size) {
        ssize_t n = recv(c->fd, in, size - c->got, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) die("recv");
        if (n == 0) lost("the server closed a connection");
        if (check && memcmp(in, out + c->got, (size_t)n)) lost("other bytes came back than were sent");
        c->got += (size_t)n;
    }
    done++;
    c->sent = c->got = 0;
    push(c);
}

/* CPU time of all threads of the process, also of those that have ended. */
static uint64_t cpu_of(pid_t pid) {
    clockid_t clock;
    int rc = clock_getcpuclockid(pid, &clock);
    if (rc) {
        fprintf(stderr, "loadgen: process %d: %s\n", (int)pid, strerror(rc));
        exit(1);
    }
    return bench_clock(clock);
}

static void run_until(uint64_t end) {
    struct epoll_event events[256];
    while (bench_now() < end) {
        int n = epoll_wait(ep, events, 256, 100);
        for (int i = 0; i < n; i++) step(events[i].data.ptr);
    }
}

static void echo(int connections, double seconds, pid_t server) {
    connection *cs = calloc((size_t)connections, sizeof *cs);
    out = malloc(size);
    in = malloc(size);
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (!cs || !out || !in || ep < 0) die("start");
    for (size_t i = 0; i < size; i++) out[i] = (char)('a' + i % 23);
    for (int i = 0; i < connections; i++) {
        struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &cs[i] };
        cs[i].fd = dial();
        if (epoll_ctl(ep, EPOLL_CTL_ADD, cs[i].fd, &e)) die("epoll_ctl");
    }
    for (int i = 0; i < connections; i++) push(&cs[i]);
    run_until(bench_now() + WARM_UP_MS * 1000000u);

    check = 0;
    done = 0;
    uint64_t cpu = cpu_of(server), begin = bench_now();
    run_until(begin + (uint64_t)(seconds * 1e9));
    cpu = cpu_of(server) - cpu;
    double took = (double)(bench_now() - begin) / 1e9;
    if (!done) lost("nothing came back");
    printf("- %.1f req/s\n", (double)done / took);
    printf("_cpu %.1f ns/req\n", (double)cpu / (double)done);
    for (int i = 0; i < connections; i++) close(cs[i].fd);
    free(cs);
    free(out);
    free(in);
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "cpu")) {
        printf("%llu\n", (unsigned long long)cpu_of((pid_t)atoi(argv[2])));
        return 0;
    }
    if (argc != 7 || strcmp(argv[1], "echo") || atoi(argv[3]) < 1 || atoi(argv[4]) < 1) {
        fprintf(stderr, "usage: %s echo PORT CONNECTIONS BYTES SECONDS SERVER_PID | cpu PID\n", argv[0]);
        return 2;
    }
    addr.sin_family = AF_INET;
    addr.sin_port = htons((uint16_t)atoi(argv[2]));
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = (size_t)atoi(argv[4]);
    echo(atoi(argv[3]), atof(argv[5]), (pid_t)atoi(argv[6]));
    return 0;
}
