/* SPDX-License-Identifier: MIT
 *
 * A TCP server that sends back what it gets: the smallest complete server. One task per connection, all of them
 * members of one set; a limit on how many there are; SIGINT and SIGTERM stop it and leave nothing behind.
 *
 *     echo_server [--port N] [--max-connections N]
 */
#include <stdio.h>
#include <uvtask.h>

#include "options.h"
#include "stop.h"

static unsigned port = 7000, max_connections = 1024;

struct server {
    uvt_listener_t *listener;
    uvt_set_t connections;
    unsigned long accepted;
};

/* One connection. Read, write, until the peer is done or the server is: then every call says UV_ECANCELED. */
static int echo(void *arg) {
    uvt_stream_t *stream = arg;
    char buf[16 * 1024]; /* a task's stack has 64 KiB; pages that are never touched cost nothing */
    ssize_t n;
    uvt_stream_own(stream);
    while ((n = uvt_read(stream, buf, sizeof buf)) > 0)
        if (uvt_write(stream, buf, (size_t)n, NULL) < 0) break;
    uvt_close(stream);
    return 0; /* a peer that goes away is no failure of the server's */
}

/* There was no memory for the task's stack. */
static void close_unserved(void *stream) {
    uvt_close_soon(stream);
}

static int accept_loop(void *arg) {
    struct server *server = arg;
    for (;;) {
        uvt_stream_t *stream = NULL;
        int rc = uvt_accept(server->listener, &stream);
        if (rc == 0) rc = uvt_set_spawn(&server->connections, echo, stream); /* a full set makes it wait here */
        if (rc == 0) {
            server->accepted++;
            continue;
        }
        if (stream != NULL) uvt_close_soon(stream);
        if (rc == UV_ECANCELED) return rc;
        /* Most likely no descriptor or no memory is free; asking again at once would not change that. */
        if (uvt_sleep(100) < 0) return UV_ECANCELED;
    }
}

static int run(void *arg) {
    struct server server = { 0 };
    const uvt_set_options members = { .limit = max_connections, .discard = true, .drop = close_unserved };
    struct stop stop;
    (void)arg;
    int rc = uvt_tcp_listen(&server.listener, "127.0.0.1", port, 0);
    if (rc < 0) return rc;
    rc = stop_begin(&stop);
    if (rc < 0) goto close_listener;
    rc = uvt_set_open(&server.connections, &members);
    if (rc < 0) goto end_stop;

    printf("listening on 127.0.0.1:%d\n", uvt_listener_port(server.listener));
    fflush(stdout);
    uvt_under_token(stop.drain, accept_loop, &server); /* until a signal comes */
    uvt_listener_close(server.listener);
    server.listener = NULL;
    rc = uvt_set_close(&server.connections); /* cancels the connections and waits for them */
    printf("stopped: %lu connections\n", server.accepted);
end_stop:
    stop_end(&stop);
close_listener:
    uvt_listener_close(server.listener);
    return rc;
}

static void report(void *arg, const char *text) {
    (void)arg;
    fprintf(stderr, "echo_server: %s\n", text);
}

int main(int argc, char **argv) {
    const struct number_option table[] = {
        { "port", "port to listen on, 0 for any", &port, 0, 65535 },
        { "max-connections", "connections served at a time", &max_connections, 1, 1000000 },
    };
    options_read(argc, argv, table, sizeof table / sizeof *table);
    int rc = uvt_run(run, NULL, &(uvt_options){ .report = report });
    if (rc < 0) fprintf(stderr, "echo_server: %s\n", uvt_strerror(rc));
    return rc < 0 ? 1 : 0;
}
