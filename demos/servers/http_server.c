/* SPDX-License-Identifier: MIT
 *
 * An HTTP/1.1 server: how it starts, accepts, and stops (http.h says where the rest is). Its life is one function,
 * serve(), and its connections are the members of one set in there, so none can outlive it.
 *
 *     $ http_server --port 8080
 *     listening on http://127.0.0.1:8080
 *     ^C                                     idle connections close, requests in flight are answered
 *     stopped: 3 requests served, 1 connections
 */
#include <stdio.h>

#include "http.h"
#include "options.h"
#include "stop.h"

enum { ACCEPT_PAUSE_MS = 100 };

/* The server while it runs, for the accept loop. */
struct running {
    struct server *server;
    uvt_listener_t *listener;
    uvt_set_t connections;
};

/* There was no memory for the task's stack: its report tells of that, and the client is not kept waiting. */
static void close_unserved(void *stream) {
    uvt_close_soon(stream);
}

/* Runs until it is cancelled. */
static int accept_loop(void *arg) {
    struct running *r = arg;
    for (;;) {
        uvt_stream_t *stream = NULL;
        int rc = uvt_accept(r->listener, &stream);
        if (rc == 0) {
            uvt_stream_set_data(stream, r->server);
            rc = uvt_set_spawn(&r->connections, http_connection, stream); /* waits here while the set is full */
        }
        if (rc == 0) {
            r->server->connections++;
            continue;
        }
        if (stream != NULL) uvt_close_soon(stream);
        if (rc == UV_ECANCELED) return rc;
        /* As a rule UV_EMFILE, UV_ENFILE or UV_ENOMEM: it helps to wait until a connection has ended, not to ask
         * again at once. Other failures concern the one client that is gone; a pause does no harm then. */
        r->server->pauses++;
        rc = uvt_sleep(ACCEPT_PAUSE_MS);
        if (rc < 0) return rc;
    }
}

/* Lets the connections finish what they are at; those that take longer than the grace time are cut. Returns the first
 * failure of a connection's task: it panicked, or there was no memory for its stack. */
static int drain(struct running *r, uvt_token_t *now) {
    uvt_scope_t grace;
    /* A deadline, not a timeout, because a timeout of 0 would mean none. */
    uvt_scope_begin(&grace, &(uvt_scope_options){ .deadline = uvt_now() + r->server->grace_ms, .token = now });
    int rc = uvt_scope_end(&grace, uvt_set_wait(&r->connections));
    if (rc == UV_ETIMEDOUT || rc == UV_ECANCELED)
        fprintf(stderr, "http_server: cutting %d connections\n", uvt_set_len(&r->connections));
    return uvt_set_close(&r->connections);
}

static int serve(void *arg) {
    struct server *server = arg;
    struct running r = { .server = server };
    const uvt_set_options members = { .limit = server->max_connections, .discard = true, .drop = close_unserved };
    struct stop stop;
    int rc = uvt_tcp_listen(&r.listener, "127.0.0.1", server->port, 0);
    if (rc < 0) return rc;
    rc = stop_begin(&stop);
    if (rc < 0) goto close_listener;
    server->drain = stop.drain;
    rc = uvt_set_open(&r.connections, &members);
    if (rc < 0) goto end_stop;

    printf("listening on http://127.0.0.1:%d\n", uvt_listener_port(r.listener));
    fflush(stdout);
    uvt_under_token(stop.drain, accept_loop, &r); /* until a signal comes */
    uvt_listener_close(r.listener);               /* new clients are refused from here on */
    r.listener = NULL;
    rc = drain(&r, stop.now);
    printf("stopped: %lu requests served, %lu connections\n", server->served, server->connections);
    fflush(stdout); /* from the end of the watch on a signal ends the process */

end_stop:
    stop_end(&stop);
close_listener:
    uvt_listener_close(r.listener);
    return rc;
}

/* Where the runtime reports what should not happen: deadlocks, streams left open. */
static void report(void *arg, const char *text) {
    (void)arg;
    fprintf(stderr, "http_server: %s\n", text);
}

int main(int argc, char **argv) {
    struct server s = {
        .port = 8080,
        .max_connections = 1024,
        .head_limit = 16 * 1024,
        .body_limit = 1024 * 1024,
        .request_ms = 10000,
        .idle_ms = 30000,
        .grace_ms = 5000,
    };
    const struct number_option table[] = {
        { "port", "port to listen on, 0 for any", &s.port, 0, 65535 },
        { "max-connections", "connections served at a time", &s.max_connections, 1, 1000000 },
        { "head-limit", "bytes of request line and headers", &s.head_limit, 64, 1 << 20 },
        { "body-limit", "bytes of a request's body", &s.body_limit, 0, 1 << 30 },
        { "request-timeout-ms", "time to send a request, and to take an answer", &s.request_ms, 1, 3600000 },
        { "idle-timeout-ms", "time between requests", &s.idle_ms, 1, 3600000 },
        { "grace-ms", "time to finish requests when stopping", &s.grace_ms, 0, 3600000 },
    };
    options_read(argc, argv, table, sizeof table / sizeof *table);
    int rc = uvt_run(serve, &s, &(uvt_options){ .report = report });
    if (rc < 0) fprintf(stderr, "http_server: %s\n", uvt_strerror(rc));
    return rc < 0 ? 1 : 0;
}
