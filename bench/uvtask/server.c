/* SPDX-License-Identifier: MIT
 *
 * The accept loop of the uvtask servers: see server.h. It is what an ordinary server looks like, the pause
 * when descriptors run out included.
 */
#include "server.h"
#include "../bench.h"

typedef struct server {
    unsigned port;
    uvt_fn handler;
} server;

static int listen_and_accept(void *arg) {
    const server *srv = arg;
    uvt_listener_t *l;
    uvt_set_t connections;
    uvt_stream_t *s;

    int rc = uvt_tcp_listen(&l, "127.0.0.1", srv->port, BENCH_BACKLOG);
    if (rc < 0) return rc;
    rc = uvt_set_open(&connections, &(uvt_set_options){ .discard = true });
    if (rc < 0) goto close_listener;
    bench_listening((unsigned)uvt_listener_port(l));

    for (;;) {
        rc = uvt_accept(l, &s);
        if (rc == UV_EMFILE || rc == UV_ENFILE)
            rc = uvt_sleep(10);
        else if (rc == 0)
            rc = uvt_set_spawn(&connections, srv->handler, s);
        if (rc < 0) break;
    }
    uvt_set_close(&connections);
close_listener:
    uvt_listener_close(l);
    return rc;
}

int bench_serve(int argc, char **argv, uvt_fn handler) {
    server srv = { argc > 1 ? (unsigned)atoi(argv[1]) : 0, handler };
    int rc = uvt_run(listen_and_accept, &srv, NULL);
    if (rc < 0) fprintf(stderr, "%s: %s\n", argv[0], uvt_strerror(rc));
    return rc < 0;
}
