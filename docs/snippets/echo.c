/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 9: a server with one task per connection, and a client that asks it.
 */
#include <stdio.h>
#include <uvtask.h>

static int echo(void *arg) {
    uvt_stream_t *peer = arg;
    uvt_stream_own(peer); /* from now on it is this task's to close */
    char buf[4096];
    int rc = 0;
    while (rc == 0) {
        ssize_t n = uvt_read(peer, buf, sizeof buf);
        rc = n < 0 ? (int)n : uvt_write(peer, buf, (size_t)n, NULL); /* a peer that does not read holds us back */
    }
    uvt_close(peer);
    return rc == UV_EOF ? 0 : rc;
}

static void hang_up(void *peer) { /* there was no memory for the task's stack */
    uvt_close_soon(peer);
}

static int server(void *arg) {
    uvt_listener_t *listener = arg;
    uvt_set_t peers; /* no results are kept: it may live for years */
    uvt_set_open(&peers, &(uvt_set_options){ .limit = 1000, .discard = true, .drop = hang_up });
    int rc = 0;
    while (rc != UV_ECANCELED) {
        uvt_stream_t *peer = NULL;
        rc = uvt_accept(listener, &peer);
        if (rc == 0) rc = uvt_set_spawn(&peers, echo, peer); /* waits here while there are 1000 */
        if (rc == 0) continue;
        if (peer) uvt_close_soon(peer);
        if (rc != UV_ECANCELED) rc = uvt_sleep(100); /* no descriptor is free, or no memory */
    }
    uvt_set_close(&peers);
    return rc;
}

static int client(void *arg) {
    uvt_listener_t *listener = arg;
    uvt_stream_t *s;
    int rc = uvt_tcp_connect(&s, "127.0.0.1", (unsigned)uvt_listener_port(listener));
    if (rc < 0) return rc;
    char answer[64];
    rc = uvt_write(s, "hello\n", 6, NULL);
    ssize_t n = rc < 0 ? rc : uvt_read_until(s, answer, sizeof answer, "\n", 1);
    if (n > 0) printf("answer: %.*s", (int)n, answer);
    uvt_close(s);
    return n < 0 ? (int)n : 0;
}

static int app(void *arg) {
    (void)arg;
    uvt_listener_t *listener;
    int rc = uvt_tcp_listen(&listener, "127.0.0.1", 0, 0);
    if (rc < 0) return rc;
    uvt_task_t t;
    uvt_spawn(&t, server, listener);
    rc = uvt_timeout(1000, client, listener);

    uvt_abort(t);
    uvt_join(t, NULL);
    uvt_listener_close(listener);
    return rc;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    printf("run: %s\n", rc == 0 ? "ok" : uvt_err_name(rc));
    return rc < 0;
}
