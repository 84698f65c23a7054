/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 002, "Function coloring": a plain function that calls an async one through block_on; and pitfall 3,
 * "Calling block_on from inside the runtime". C functions have no colour, so any task may call fetch_count as it is;
 * the bridge is for threads outside of the loop. In a task it would block the loop that it waits for, and is refused.
 */
#include <stdio.h>
#include <uvtask.h>

static int fetch_count(void *arg) {
    (void)arg;
    int rc = uvt_sleep(10);
    return rc < 0 ? rc : 42;
}

/* Synchronous code, on a thread of its own: no task, nothing here may suspend. */
static int synchronous(void *arg) {
    uvt_runtime_t *rt = arg;
    int count = uvt_block_on(rt, fetch_count, NULL);
    if (count < 0) return count;
    printf("count = %d\n", count);
    return 0;
}

static int app(void *arg) {
    (void)arg;
    uvt_runtime_t *rt = uvt_runtime_ref();
    int rc = uvt_blocking(synchronous, rt);
    if (rc >= 0) {
        int count = uvt_block_on(rt, fetch_count, NULL); /* the mistake; fetch_count(NULL) is how a task does it */
        printf("block_on inside a task: %s (%s)\n", uvt_err_name(count), uvt_strerror(count));
    }
    uvt_runtime_unref(rt);
    return rc;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "block_on: %s\n", uvt_strerror(rc));
    return rc < 0;
}
