/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, "A guard's Drop fires whether the task completes or is aborted": a job with a CleanupGuard,
 * JoinHandle::abort after 50 ms, is_cancelled. The guard is uvt_defer: it runs however the task ends, and a panic is
 * one of the ways.
 */
#include <stdio.h>
#include <uvtask.h>

static void release(void *arg) {
    printf(" cleanup: releasing %s\n", (const char *)arg);
}

static int job(void *arg) {
    int rc = uvt_defer(release, arg);
    if (rc < 0) return rc;
    printf(" job started\n");
    rc = uvt_sleep(10000); /* cut short */
    if (rc < 0) return rc;
    printf(" job finished\n");
    return 0;
}

static int app(void *arg) {
    (void)arg;
    uvt_task_t task;
    uvt_result result;
    int rc = uvt_spawn(&task, job, "resources");
    if (rc >= 0) rc = uvt_sleep(50); /* let the job start */
    if (rc >= 0) rc = uvt_abort(task);
    if (rc >= 0) rc = uvt_join(task, &result);
    if (rc < 0) return rc;
    printf("task was cancelled: %s\n", result.outcome == UVT_CANCELLED ? "true" : "false");
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "abort_cleanup: %s\n", uvt_strerror(rc));
    return rc < 0;
}
