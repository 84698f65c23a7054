/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 002, Node.js: setTimeout of 50 ms, then a busy loop of 300 ms on the only thread. Here as there,
 * the timer fires late, because code that computes gives nobody else the thread: one loop is one loop.
 */
#include <stdio.h>
#include <uvtask.h>

static uint64_t start;

static int on_timer(void *arg) {
    (void)arg;
    printf("timer fired at %d ms (wanted 50)\n", (int)(uvt_now() - start));
    return 0;
}

static int app(void *arg) {
    (void)arg;
    start = uvt_now();
    uvt_task_t timer;
    int rc = uvt_spawn_opts(&timer, on_timer, NULL, &(uvt_task_options){ .start_after_ms = 50 });
    if (rc < 0) return rc;

    while (uvt_now() - start < 300) {
        /* burns CPU and never suspends */
    }
    printf("busy loop done at %d ms\n", (int)(uvt_now() - start));

    return uvt_join(timer, NULL);
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "frozen_timer: %s\n", uvt_strerror(rc));
    return rc < 0;
}
