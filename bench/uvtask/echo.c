/* SPDX-License-Identifier: MIT
 *
 * echo PORT: the echo server on uvtask. A task per connection, one buffer each, read and write in a loop.
 */
#include "server.h"
#include "../bench.h"

static int echo(void *arg) {
    uvt_stream_t *s = arg;
    char *buffer = malloc(BENCH_ECHO_BUFFER);
    ssize_t n;

    uvt_stream_own(s);
    while (buffer && (n = uvt_read(s, buffer, BENCH_ECHO_BUFFER)) > 0)
        if (uvt_write(s, buffer, (size_t)n, NULL) < 0) break;
    free(buffer);
    return uvt_close(s);
}

int main(int argc, char **argv) {
    return bench_serve(argc, argv, echo);
}
