/* SPDX-License-Identifier: MIT
 *
 * A client for the server checks, for what curl cannot be made to send: half requests, slow ones, garbage, several at
 * once. It plays a script given as arguments and fails at the first step that does not come true:
 *
 *     client_check PORT send 'GET / HTTP/1.1\r\n\r\n' expect 'HTTP/1.1 400' end
 *
 *     on N           go on with connection N (0 to 99); it is made when first used. Starts as 0
 *     send TEXT      with \r \n \\ and \xHH in it
 *     repeat N TEXT  the same text N times
 *     drip MS TEXT   one byte every MS milliseconds
 *     fin            end the sending side
 *     reset          close with a reset; the connection is made anew when used again
 *     expect TEXT    the text arrives, after whatever else; what comes after it stays for the next step
 *     next TEXT      the same, with nothing before it
 *     end            nothing arrives but the end: the server closes with a FIN
 *     quiet MS       for so long nothing arrives, and the connection stays open
 *     sleep MS
 *     kill SIGNAL PID (INT or TERM)
 *     above MS, below MS   the time since the last send, drip, repeat, fin or kill
 *     refused        nobody listens on the port any more, and another server could
 *
 * Plain blocking sockets on purpose: it shares no code with what it checks. No step waits longer than 10 s.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 100, PATIENCE_MS = 10000, ROOM = 1 << 16 };

static struct connection {
    int fd; /* 0: not made yet */
    size_t size;
    char in[ROOM]; /* arrived, not yet asked for */
} connections[CONNECTIONS];

static unsigned short port;
static int current, step;
static const char *verb = "";

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...) {
    const struct connection *c = &connections[current];
    va_list args;
    va_start(args, format);
    fprintf(stderr, "client_check: step %d (%s, connection %d): ", step, verb, current);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n-- arrived and not asked for: %zu bytes\n%.*s\n--\n", c->size, (int)c->size, c->in);
    va_end(args);
    exit(1);
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int new_socket(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) fail("socket: %s", strerror(errno));
    return fd;
}

static struct sockaddr_in address(void) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static struct connection *here(void) {
    struct connection *c = &connections[current];
    if (c->fd == 0) {
        struct sockaddr_in a = address();
        c->fd = new_socket();
        if (connect(c->fd, (struct sockaddr *)&a, sizeof a) < 0) fail("connect: %s", strerror(errno));
    }
    return c;
}

/* 1 when something arrived, 0 at the end, -1 when nothing did within ms. A reset is a failure: no step wants one. */
static int receive(struct connection *c, long ms) {
    struct pollfd p = { .fd = c->fd, .events = POLLIN };
    if (poll(&p, 1, ms < 0 ? 0 : (int)ms) == 0) return -1;
    if (c->size == ROOM) fail("more arrives than there is room for");
    ssize_t n = recv(c->fd, c->in + c->size, ROOM - c->size, 0);
    if (n < 0) fail("recv: %s", strerror(errno));
    c->size += (size_t)n;
    return n > 0;
}

static void take(struct connection *c, size_t n) {
    memmove(c->in, c->in + n, c->size - n);
    c->size -= n;
}

static void expect(const char *text, size_t len) {
    struct connection *c = here();
    long until = now_ms() + PATIENCE_MS;
    for (;;) {
        const char *found = memmem(c->in, c->size, text, len);
        if (found != NULL) return take(c, (size_t)(found - c->in) + len);
        if (c->size > len) take(c, c->size - len); /* whatever else */
        int got = receive(c, until - now_ms());
        if (got <= 0) fail("%s before '%.*s' came", got == 0 ? "the server closed" : "time is up", (int)len, text);
    }
}

static void next(const char *text, size_t len) {
    struct connection *c = here();
    long until = now_ms() + PATIENCE_MS;
    while (c->size < len)
        if (receive(c, until - now_ms()) <= 0) fail("too little arrived");
    if (memcmp(c->in, text, len) != 0) fail("something else arrived");
    take(c, len);
}

static void end(void) {
    struct connection *c = here();
    int got = c->size > 0 ? 1 : receive(c, PATIENCE_MS);
    if (got != 0) fail(got > 0 ? "something arrived" : "the server did not close");
}

static void quiet(long ms) {
    struct connection *c = here();
    if (c->size > 0) fail("something is there already");
    int got = receive(c, ms);
    if (got >= 0) fail(got > 0 ? "something arrived" : "the server closed");
}

static void reset(void) {
    struct connection *c = here();
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(c->fd);
    c->fd = 0;
    c->size = 0;
}

static int send_all(const char *text, size_t len) {
    struct connection *c = here();
    while (len > 0) {
        ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);
        if (n < 0) return -1;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

static void drip(long ms, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (i > 0) usleep((useconds_t)ms * 1000);
        if (send_all(text + i, 1) < 0) fail("send: %s", strerror(errno));
    }
}

static void refused(void) {
    struct sockaddr_in a = address();
    int fd = new_socket(), yes = 1;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) fail("somebody still listens");
    close(fd);
    fd = new_socket();
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes); /* as servers do, for connections in TIME_WAIT */
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) fail("bind: %s", strerror(errno));
    close(fd);
}

/* Resolves the escapes in place and returns the length. */
static size_t unescape(char *text) {
    char *to = text;
    for (char *at = text; *at != '\0'; at++) {
        if (*at != '\\') {
            *to++ = *at;
            continue;
        }
        at++;
        if (*at == 'x') {
            char hex[3] = { at[1], at[2], '\0' };
            *to++ = (char)strtol(hex, NULL, 16);
            at += 2;
        } else {
            *to++ = *at == 'r' ? '\r' : *at == 'n' ? '\n' : *at;
        }
    }
    return (size_t)(to - text);
}

int main(int argc, char **argv) {
    long since = now_ms();
    if (argc < 2) fail("usage: client_check PORT step ...");
    port = (unsigned short)atoi(argv[1]);
    for (int i = 2; i < argc; i++) {
#define WORD()   (i + 1 < argc ? argv[++i] : (fail("an argument is missing"), ""))
#define NUMBER() atol(WORD())
#define IS(name) (strcmp(verb, name) == 0)
        verb = argv[i];
        step++;
        if (IS("on")) {
            current = (int)NUMBER();
            if (current < 0 || current >= CONNECTIONS) fail("no such connection");
            here();
        } else if (IS("send")) {
            char *text = WORD();
            if (send_all(text, unescape(text)) < 0) fail("send: %s", strerror(errno));
            since = now_ms();
        } else if (IS("repeat")) {
            long n = NUMBER();
            char *text = WORD();
            size_t len = unescape(text);
            while (n-- > 0)
                if (send_all(text, len) < 0) fail("send: %s", strerror(errno));
            since = now_ms();
        } else if (IS("drip")) {
            long ms = NUMBER();
            char *text = WORD();
            drip(ms, text, unescape(text));
            since = now_ms();
        } else if (IS("fin")) {
            shutdown(here()->fd, SHUT_WR);
            since = now_ms();
        } else if (IS("reset")) {
            reset();
        } else if (IS("expect")) {
            char *text = WORD();
            expect(text, unescape(text));
        } else if (IS("next")) {
            char *text = WORD();
            next(text, unescape(text));
        } else if (IS("end")) {
            end();
        } else if (IS("quiet")) {
            quiet(NUMBER());
        } else if (IS("sleep")) {
            usleep((useconds_t)NUMBER() * 1000);
        } else if (IS("kill")) {
            int signum = strcmp(WORD(), "INT") == 0 ? SIGINT : SIGTERM;
            if (kill((pid_t)NUMBER(), signum) < 0) fail("kill: %s", strerror(errno));
            since = now_ms();
        } else if (IS("above")) {
            long took = now_ms() - since;
            if (took < NUMBER()) fail("it took %ld ms", took);
        } else if (IS("below")) {
            long took = now_ms() - since;
            if (took > NUMBER()) fail("it took %ld ms", took);
        } else if (IS("refused")) {
            refused();
        } else {
            fail("no such step");
        }
    }
    return 0;
}
