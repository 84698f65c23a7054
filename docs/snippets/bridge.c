/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 8: from a callback of libuv to a task.
 */
#include <stdio.h>
#include <stdlib.h>
#include <uvtask.h>

/* The callback knows nothing of tasks: it sends what it has and is done. The request is its own to free, since the
 * task may have been cancelled and gone meanwhile. */
static void on_stat(uv_fs_t *req) {
    uvt_oneshot_send(req->data, req->result < 0 ? (int)req->result : 0, NULL);
    uv_fs_req_cleanup(req);
    free(req);
}

/* Reads like any call that waits: 0, or a code. */
static int stat_path(const char *path) {
    uvt_oneshot_t *answer;
    int rc = uvt_oneshot_new(&answer, 0), status = 0;
    if (rc < 0) return rc;
    uv_fs_t *req = malloc(sizeof *req);
    if (req != NULL) req->data = answer;
    rc = req == NULL ? UV_ENOMEM : uv_fs_stat(uvt_loop(), req, path, on_stat);
    if (rc < 0) {
        uvt_oneshot_close_tx(answer); /* no callback will come */
        free(req);
    } else {
        rc = uvt_oneshot_recv(answer, &status, NULL); /* this task waits, the loop goes on */
    }
    uvt_oneshot_close_rx(answer, NULL);
    return rc < 0 ? rc : status;
}

static int app(void *arg) {
    (void)arg;
    printf("/: %d\n", stat_path("/"));
    printf("/no/such/file: %s\n", uvt_err_name(stat_path("/no/such/file")));
    return 0;
}

int main(void) {
    return uvt_run(app, NULL, NULL);
}
