/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, "Concurrency on one thread is still a win for I/O": tokio::join! of three good_task on the
 * current_thread flavour. A sleeping task leaves the thread to the others; compare blocking_pitfall.c.
 */
#include <stdio.h>
#include <uvtask.h>

static int good_task(void *arg) {
    int *id = arg;
    int rc = uvt_sleep(100);
    if (rc < 0) return rc;
    printf(" good_task %d done\n", *id);
    return 0;
}

static int app(void *arg) {
    (void)arg;
    int ids[] = { 1, 2, 3 };
    uint64_t start = uvt_now();
    uvt_set_t set;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;

    for (int i = 0; i < 3 && rc >= 0; i++) rc = uvt_set_spawn(&set, good_task, &ids[i]);
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    if (rc < 0) return rc;

    printf("non-blocking version took ~%d ms\n", (int)(uvt_now() - start));
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "join_sleeps: %s\n", uvt_strerror(rc));
    return rc < 0;
}
