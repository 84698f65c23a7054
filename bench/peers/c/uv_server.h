/* SPDX-License-Identifier: MIT
 *
 * What the two bare libuv servers share: listen on loopback on the port in argv[1] (0 for any), print the port,
 * run the default loop. SIGPIPE is ignored, as every libuv server has to: its writes raise it when a peer is gone.
 */
#ifndef BENCH_UV_SERVER_H
#define BENCH_UV_SERVER_H

#include <signal.h>
#include <uv.h>

static inline int uv_server(int argc, char **argv, uv_connection_cb on_connection) {
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in a;
    int size = sizeof a;
    uv_tcp_t listener;
    int rc = uv_ip4_addr("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0, &a);

    signal(SIGPIPE, SIG_IGN);
    if (!rc) rc = uv_tcp_init(loop, &listener);
    if (!rc) rc = uv_tcp_bind(&listener, (struct sockaddr *)&a, 0);
    if (!rc) rc = uv_listen((uv_stream_t *)&listener, BENCH_BACKLOG, on_connection);
    if (!rc) rc = uv_tcp_getsockname(&listener, (struct sockaddr *)&a, &size);
    if (rc) {
        fprintf(stderr, "%s: %s\n", argv[0], uv_strerror(rc));
        return 1;
    }
    bench_listening(ntohs(a.sin_port));
    return uv_run(loop, UV_RUN_DEFAULT);
}

#endif
