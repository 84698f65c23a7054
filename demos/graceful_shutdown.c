/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, exercise 3, "Graceful shutdown with a cancellation token": a worker that does a job every 30
 * ms, tokio::select! with token.cancelled(), shutdown after 100 ms. With the argument "signal" it stops on a real
 * SIGINT or SIGTERM instead, where the document names tokio::signal::ctrl_c() (Node.js: process.on("SIGTERM", ...)):
 * a plain libuv callback that cancels a token.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uvtask.h>

static int worker(void *arg) {
    uvt_token_t *stop = arg;
    int rc, jobs = 0;
    uvt_scope_t scope;
    uvt_interval_t tick;

    rc = uvt_scope_begin(&scope, &(uvt_scope_options){ .token = stop });
    if (rc < 0) return rc;
    uvt_interval_init(&tick, 30, UVT_MISSED_BURST);
    while ((rc = uvt_interval_tick(&tick)) >= 0) jobs++;
    rc = uvt_scope_end(&scope, rc);

    printf("worker: shutting down after %d jobs\n", jobs);
    return uvt_scope_caught(&scope) ? 0 : rc;
}

static void on_signal(uv_signal_t *handle, int signum) {
    uvt_token_cancel(handle->data, signum == SIGINT ? "SIGINT" : "SIGTERM");
}

/* Waits until we are asked to stop: by a signal, or after 100 ms. */
static int wait_for_request(bool by_signal) {
    static uv_signal_t handles[2]; /* static: libuv still needs them for a moment after uv_close */
    static const int signals[2] = { SIGINT, SIGTERM };
    if (!by_signal) return uvt_sleep(100);

    uvt_token_t *asked;
    int opened = 0, rc = uvt_token_new(&asked, NULL);
    if (rc < 0) return rc;
    while (opened < 2 && rc >= 0) {
        rc = uv_signal_init(uvt_loop(), &handles[opened]);
        if (rc < 0) break;
        handles[opened].data = asked;
        rc = uv_signal_start(&handles[opened], on_signal, signals[opened]);
        opened++;
    }
    if (rc >= 0) printf("main: waiting for SIGINT or SIGTERM\n");
    if (rc >= 0) rc = uvt_token_wait(asked);
    if (rc >= 0) printf("main: got %s\n", uvt_token_reason(asked).text);
    while (opened > 0) uv_close((uv_handle_t *)&handles[--opened], NULL);
    uvt_token_unref(asked);
    return rc;
}

static void unref(void *token) {
    uvt_token_unref(token);
}

static int app(void *arg) {
    bool *by_signal = arg;
    uvt_task_t task;
    uvt_token_t *stop;
    int rc = uvt_token_new(&stop, NULL);
    if (rc < 0) return rc;
    rc = uvt_defer(unref, stop); /* runs when the worker, our child, has ended too, even if we leave early */
    if (rc < 0) {
        unref(stop);
        return rc;
    }

    rc = uvt_spawn(&task, worker, stop);
    if (rc >= 0) rc = wait_for_request(*by_signal);
    if (rc < 0) return rc;
    printf("main: requesting shutdown\n");
    uvt_token_cancel(stop, "shutdown");

    rc = uvt_join(task, NULL);
    if (rc < 0) return rc;
    printf("main: worker stopped\n");
    return 0;
}

int main(int argc, char **argv) {
    bool by_signal = argc == 2 && strcmp(argv[1], "signal") == 0;
    setvbuf(stdout, NULL, _IOLBF, 0); /* lines appear at once, also in a pipe */
    int rc = uvt_run(app, &by_signal, NULL);
    if (rc < 0) fprintf(stderr, "graceful_shutdown: %s\n", uvt_strerror(rc));
    return rc < 0;
}
