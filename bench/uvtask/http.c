/* SPDX-License-Identifier: MIT
 *
 * http PORT: HTTP/1.1 keep-alive "hello" on uvtask and llhttp. A task per connection reads into a buffer on its
 * own stack and feeds the parser; the parser's callback runs on that same stack, so it simply writes the answer,
 * waiting for a slow peer where it stands.
 */
#include "server.h"
#include "../bench.h"
#include <llhttp.h>

typedef struct connection {
    llhttp_t parser;
    uvt_stream_t *stream;
} connection;

static llhttp_settings_t settings;

/* One request is complete: answer it. Anything but 0 stops the parser, and with it the connection. */
static int answer(llhttp_t *parser) {
    connection *c = parser->data;
    int rc = uvt_write(c->stream, BENCH_HTTP_REPLY, sizeof BENCH_HTTP_REPLY - 1, NULL);
    return rc < 0 || !llhttp_should_keep_alive(parser) ? -1 : 0;
}

static int serve(void *arg) {
    connection c = { .stream = arg };
    char buffer[2048]; /* with the frames above it this stays in the stack's first page */
    ssize_t n;

    uvt_stream_own(c.stream);
    llhttp_init(&c.parser, HTTP_REQUEST, &settings);
    c.parser.data = &c;
    while ((n = uvt_read(c.stream, buffer, sizeof buffer)) > 0)
        if (llhttp_execute(&c.parser, buffer, (size_t)n) != HPE_OK) break;
    return uvt_close(c.stream);
}

int main(int argc, char **argv) {
    llhttp_settings_init(&settings);
    settings.on_message_complete = answer;
    return bench_serve(argc, argv, serve);
}
