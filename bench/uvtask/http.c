/* SPDX-License-Identifier: MIT
 *
 * http PORT: HTTP/1.1 keep-alive "hello" on uvtask and llhttp, a task per connection. It is tuned as the callback
 * server beside it is: all connections read into one buffer, since nobody else runs until the parser has been through
 * it; the answers, which may have to wait for a slow peer, come after that.
 */
#include "server.h"
#include "../bench.h"
#include <llhttp.h>

static char buffer[65536];
static llhttp_settings_t settings;

typedef struct connection {
    llhttp_t parser;
    unsigned due; /* answers */
} connection;

/* One request is complete. Anything but 0 stops the parser, and with it the connection. */
static int on_request(llhttp_t *parser) {
    connection *c = parser->data;
    c->due++;
    return llhttp_should_keep_alive(parser) ? 0 : -1;
}

static int serve(void *arg) {
    uvt_stream_t *s = arg;
    connection c = { .due = 0 };
    bool more = true;
    ssize_t n;

    uvt_stream_own(s);
    llhttp_init(&c.parser, HTTP_REQUEST, &settings);
    c.parser.data = &c;
    while (more && (n = uvt_read(s, buffer, sizeof buffer)) > 0) {
        more = llhttp_execute(&c.parser, buffer, (size_t)n) == HPE_OK;
        for (; c.due > 0; c.due--)
            if (uvt_write(s, BENCH_HTTP_REPLY, sizeof BENCH_HTTP_REPLY - 1, NULL) < 0) return uvt_close(s);
    }
    return uvt_close(s);
}

int main(int argc, char **argv) {
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_request;
    return bench_serve(argc, argv, serve);
}
