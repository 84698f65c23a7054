/* SPDX-License-Identifier: MIT
 *
 * Signals to tokens (see stop.h). Also an example of plain libuv code beside tasks: the handles live on the
 * task's loop, their callback touches the world of tasks by cancelling a token, and their closing, which libuv
 * announces in a callback, is awaited through a oneshot.
 */
#include "stop.h"

#include <signal.h>
#include <string.h>

static void on_signal(uv_signal_t *handle, int signum) {
    struct stop *stop = handle->data;
    uvt_token_t *token = uvt_token_cancelled(stop->drain) ? stop->now : stop->drain;
    uvt_token_cancel(token, signum == SIGINT ? "SIGINT" : "SIGTERM");
}

int stop_begin(struct stop *stop) {
    static const int signals[] = { SIGINT, SIGTERM };
    memset(stop, 0, sizeof *stop);
    int rc = uvt_oneshot_new(&stop->closed, 0);
    if (rc == 0) rc = uvt_token_new(&stop->drain, NULL);
    if (rc == 0) rc = uvt_token_new(&stop->now, NULL);
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = uv_signal_init(uvt_loop(), &stop->signal[i]);
        if (rc < 0) break;
        stop->signal[i].data = stop;
        stop->handles++;
        rc = uv_signal_start(&stop->signal[i], on_signal, signals[i]);
    }
    if (rc < 0) stop_end(stop);
    return rc;
}

static void on_close(uv_handle_t *handle) {
    struct stop *stop = handle->data;
    if (--stop->handles == 0) uvt_oneshot_send(stop->closed, 0, NULL);
}

static int wait_closed(void *arg) {
    struct stop *stop = arg;
    return uvt_oneshot_recv(stop->closed, NULL, NULL);
}

void stop_end(struct stop *stop) {
    if (stop->handles > 0) {
        unsigned open = stop->handles;
        for (unsigned i = 0; i < open; i++) uv_close((uv_handle_t *)&stop->signal[i], on_close);
        /* Shielded: libuv still writes to *stop, so even a cancelled caller has to wait (one turn of the loop). */
        uvt_shielded(UVT_FOREVER, wait_closed, stop);
    } else {
        uvt_oneshot_close_tx(stop->closed);
    }
    uvt_oneshot_close_rx(stop->closed, NULL);
    uvt_token_unref(stop->now);
    uvt_token_unref(stop->drain);
}
