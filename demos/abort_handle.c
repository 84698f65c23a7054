/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, "Cancelling with abort": JoinHandle::abort of a task that sleeps for 60 s, then a match on
 * is_cancelled. (Node.js has AbortController for the calls that know it.)
 */
#include <stdio.h>
#include <uvtask.h>

static int long_running(void *arg) {
    (void)arg;
    return uvt_sleep(60 * 1000);
}

static int app(void *arg) {
    (void)arg;
    uvt_task_t task;
    uvt_result r;
    int rc = uvt_spawn(&task, long_running, NULL);
    if (rc >= 0) rc = uvt_abort(task); /* we no longer need it */
    if (rc >= 0) rc = uvt_join(task, &r);
    if (rc < 0) return rc;

    if (r.outcome == UVT_CANCELLED)
        printf("task was cancelled\n");
    else if (r.status < 0)
        printf("task failed: %s\n", uvt_strerror(r.status));
    else
        printf("completed: %d\n", r.status);
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "abort_handle: %s\n", uvt_strerror(rc));
    return rc < 0;
}
