/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 002, "The runtime starvation trap": a heartbeat that should come every 50 ms, beside a call that
 * blocks for 300 ms; first in a task, where it takes the thread from everybody, then through spawn_blocking.
 */
#include <stdio.h>
#include <unistd.h>
#include <uvtask.h>

static uint64_t start;

static int heartbeat(void *arg) {
    (void)arg;
    uvt_interval_t tick;
    uvt_interval_init(&tick, 50, UVT_MISSED_BURST);
    for (int n = 1; n <= 3; n++) {
        int rc = uvt_interval_tick(&tick);
        if (rc < 0) return rc;
        printf("heartbeat %d at %d ms\n", n, (int)(uvt_now() - start));
    }
    return 0;
}

static int blocking_work(void *arg) {
    (void)arg;
    usleep(300 * 1000); /* sleeps the thread; a long computation would do the same */
    return 0;
}

static int run(bool on_the_pool) {
    start = uvt_now();
    uvt_task_t beat;
    int rc = uvt_spawn(&beat, heartbeat, NULL);
    if (rc < 0) return rc;

    rc = on_the_pool ? uvt_blocking(blocking_work, NULL) : blocking_work(NULL);
    if (rc < 0) return rc;
    printf("blocking work done at %d ms\n", (int)(uvt_now() - start));

    return uvt_join(beat, NULL);
}

static int app(void *arg) {
    (void)arg;
    int rc = run(false);
    return rc < 0 ? rc : run(true);
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "starvation: %s\n", uvt_strerror(rc));
    return rc < 0;
}
