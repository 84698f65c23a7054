/* SPDX-License-Identifier: MIT
 *
 * echo_uv PORT: the echo server on bare libuv callbacks, tuned: one static read buffer, uv_try_write first, and
 * uv_write from a copy only for what the socket did not take. The limit for any layer on top of libuv.
 */
#include "../../bench.h"
#include "uv_server.h"

typedef struct rest {
    uv_write_t req;
    char bytes[];
} rest;

static char buffer[BENCH_ECHO_BUFFER];

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
    free(req->data);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b) {
    if (n == 0) return;
    if (n < 0) {
        uv_close((uv_handle_t *)s, on_close);
        return;
    }
    uv_buf_t out = uv_buf_init(b->base, (unsigned)n);
    int taken = uv_try_write(s, &out, 1);
    if (taken == n) return;
    if (taken == UV_EAGAIN) taken = 0;
    size_t left = taken < 0 ? 0 : (size_t)(n - taken);
    rest *r = left ? malloc(sizeof *r + left) : NULL;
    if (!r) {
        uv_close((uv_handle_t *)s, on_close);
        return;
    }
    memcpy(r->bytes, b->base + taken, left);
    r->req.data = r;
    out = uv_buf_init(r->bytes, (unsigned)left);
    if (uv_write(&r->req, s, &out, 1, on_write)) free(r);
}

static void on_connection(uv_stream_t *listener, int status) {
    uv_tcp_t *c = status ? NULL : malloc(sizeof *c);
    if (!c) return;
    uv_tcp_init(listener->loop, c);
    if (uv_accept(listener, (uv_stream_t *)c) || uv_tcp_nodelay(c, 1) ||
        uv_read_start((uv_stream_t *)c, on_alloc, on_read))
        uv_close((uv_handle_t *)c, on_close);
}

int main(int argc, char **argv) {
    return uv_server(argc, argv, on_connection);
}
