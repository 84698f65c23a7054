/* SPDX-License-Identifier: MIT
 *
 * echo PORT: the echo server on uvtask, a task per connection. It is tuned as the callback server beside it is: all
 * connections read into one buffer, since nobody else runs between a read that returns and the write that does not
 * wait; only what the socket does not take at once is copied.
 */
#include "server.h"
#include "../bench.h"

static char buffer[BENCH_ECHO_BUFFER];

static int write_rest(uvt_stream_t *s, const char *rest, size_t n) {
    char *copy = malloc(n);
    int rc = UV_ENOMEM;
    if (copy) {
        memcpy(copy, rest, n);
        rc = uvt_write(s, copy, n, NULL);
    }
    free(copy);
    return rc;
}

static int echo(void *arg) {
    uvt_stream_t *s = arg;
    ssize_t n;

    uvt_stream_own(s);
    while ((n = uvt_read(s, buffer, sizeof buffer)) > 0) {
        ssize_t sent = uvt_try_write(s, buffer, (size_t)n);
        if (sent == n) continue;
        if (sent == UV_EAGAIN) sent = 0;
        if (sent < 0 || write_rest(s, buffer + sent, (size_t)(n - sent)) < 0) break;
    }
    return uvt_close(s);
}

int main(int argc, char **argv) {
    return bench_serve(argc, argv, echo);
}
