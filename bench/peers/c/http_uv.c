/* SPDX-License-Identifier: MIT
 *
 * http_uv PORT: HTTP/1.1 keep-alive "hello" on bare libuv callbacks and llhttp, tuned as echo_uv.c is. The answer
 * is static, so what the socket does not take needs no copy.
 */
#include "../../bench.h"
#include "uv_server.h"
#include <llhttp.h>

typedef struct connection {
    uv_tcp_t tcp; /* first, so that the handle is the connection */
    llhttp_t parser;
} connection;

static char buffer[65536];
static char reply[] = BENCH_HTTP_REPLY;
static llhttp_settings_t settings;

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b) {
    (void)h;
    (void)suggested;
    *b = uv_buf_init(buffer, sizeof buffer);
}

static void on_close(uv_handle_t *h) {
    free(h);
}

static void on_write(uv_write_t *req, int status) {
    (void)status;
    free(req);
}

/* One request is complete: answer it. Anything but 0 stops the parser, and with it the connection. */
static int answer(llhttp_t *parser) {
    connection *c = parser->data;
    uv_buf_t out = uv_buf_init(reply, sizeof reply - 1);
    int taken = uv_try_write((uv_stream_t *)&c->tcp, &out, 1);
    if (taken != (int)out.len) {
        if (taken == UV_EAGAIN) taken = 0;
        uv_write_t *req = taken < 0 ? NULL : malloc(sizeof *req);
        if (!req) return -1;
        out = uv_buf_init(reply + taken, (unsigned)(out.len - (size_t)taken));
        if (uv_write(req, (uv_stream_t *)&c->tcp, &out, 1, on_write)) {
            free(req);
            return -1;
        }
    }
    return llhttp_should_keep_alive(parser) ? 0 : -1;
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b) {
    connection *c = (connection *)s;
    if (n == 0) return;
    if (n < 0 || llhttp_execute(&c->parser, b->base, (size_t)n) != HPE_OK) uv_close((uv_handle_t *)s, on_close);
}

static void on_connection(uv_stream_t *listener, int status) {
    connection *c = status ? NULL : malloc(sizeof *c);
    if (!c) return;
    uv_tcp_init(listener->loop, &c->tcp);
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) || uv_tcp_nodelay(&c->tcp, 1) ||
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read))
        uv_close((uv_handle_t *)&c->tcp, on_close);
}

int main(int argc, char **argv) {
    llhttp_settings_init(&settings);
    settings.on_message_complete = answer;
    return uv_server(argc, argv, on_connection);
}
