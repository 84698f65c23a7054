/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, "Detaching: dropping the handle does not cancel the task": a task whose JoinHandle is dropped
 * sends on a oneshot that main awaits. A detached task belongs to the runtime, which cancels and awaits it at the end;
 * so it never is "dropped mid-flight" behind its own back.
 */
#include <stdio.h>
#include <uvtask.h>

static int background(void *arg) {
    uvt_oneshot_t *tx = arg;
    int rc = uvt_yield(); /* goes on after the handle is gone */
    if (rc < 0) {
        uvt_oneshot_close_tx(tx);
        return rc;
    }
    return uvt_oneshot_send(tx, 0, "background work finished");
}

static int app(void *arg) {
    (void)arg;
    uvt_task_t task;
    uvt_oneshot_t *news;
    void *message = NULL;
    int rc = uvt_oneshot_new(&news, 0);
    if (rc < 0) return rc;

    rc = uvt_spawn(&task, background, news);
    if (rc < 0)
        uvt_oneshot_close_tx(news);
    else
        uvt_detach(task);

    if (rc >= 0) rc = uvt_oneshot_recv(news, NULL, &message);
    if (rc >= 0) printf("%s\n", (const char *)message);
    uvt_oneshot_close_rx(news, NULL);
    return rc;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "detach: %s\n", uvt_strerror(rc));
    return rc < 0;
}
