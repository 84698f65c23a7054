/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, "Awaiting the handle yields a Result": a task panics, JoinError::is_panic is true, main lives
 * on. The library prints nothing by itself; the message comes with the result.
 */
#include <stdio.h>
#include <uvtask.h>

static int careless(void *arg) {
    (void)arg;
    uvt_panic("something broke inside the task");
}

static int app(void *arg) {
    (void)arg;
    uvt_task_t task;
    uvt_result result;
    int rc = uvt_spawn(&task, careless, NULL);
    if (rc >= 0) rc = uvt_join(task, &result);
    if (rc < 0) return rc;

    if (result.status >= 0) {
        printf("task finished cleanly\n");
    } else {
        fprintf(stderr, "%s\n", result.message);
        printf("task failed: is_panic = %s\n", result.outcome == UVT_PANICKED ? "true" : "false");
    }
    printf("main is still alive\n");
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "panic_contained: %s\n", uvt_strerror(rc));
    return rc < 0;
}
