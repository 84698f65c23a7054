/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, pitfall 2, "Blocking the runtime with synchronous waits": three bad_task, each with a
 * std::thread::sleep of 100 ms, under tokio::join! on one thread. It is a mistake that compiles and works, slowly; so
 * the runtime can be asked to report tasks that hold the thread for too long.
 */
#include <stdio.h>
#include <unistd.h>
#include <uvtask.h>

static int bad_task(void *arg) {
    int *id = arg;
    usleep(100 * 1000); /* blocks the thread, and with it every other task; uvt_sleep would not */
    printf(" bad_task %d done\n", *id);
    return 0;
}

static int app(void *arg) {
    (void)arg;
    int ids[] = { 1, 2, 3 };
    uint64_t start = uvt_now();
    uvt_set_t set;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;

    for (int i = 0; i < 3 && rc >= 0; i++) rc = uvt_set_spawn(&set, bad_task, &ids[i]);
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    if (rc < 0) return rc;

    printf("blocking version took ~%d ms\n", (int)(uvt_now() - start));
    return 0;
}

static void on_report(void *arg, const char *text) {
    (void)arg;
    printf("report: %s\n", text);
}

int main(void) {
    int rc = uvt_run(app, NULL, &(uvt_options){ .stall_ms = 50, .report = on_report });
    if (rc < 0) fprintf(stderr, "blocking_pitfall: %s\n", uvt_strerror(rc));
    return rc < 0;
}
