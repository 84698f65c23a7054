/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 003: tokio::spawn around a long loop of heavy_math(i), without an .await in it; and "a better way",
 * spawn_blocking. The document describes the difference, here a heartbeat shows it: one that should come every 50 ms.
 * (The loop ends after 200 ms rather than after 1,000,000,000 rounds, so that the figures are the same everywhere.)
 */
#include <stdio.h>
#include <uvtask.h>

static uint64_t start;

static int heartbeat(void *arg) {
    (void)arg;
    uvt_interval_t tick;
    uvt_interval_init(&tick, 50, UVT_MISSED_BURST);
    for (int n = 1; n <= 3; n++) {
        int rc = uvt_interval_tick(&tick);
        if (rc < 0) return rc;
        printf(" heartbeat %d at %d ms\n", n, (int)(uvt_now() - start));
    }
    return 0;
}

static uint64_t heavy_math(uint64_t i) {
    for (int round = 0; round < 1000; round++) i = i * 6364136223846793005u + 1442695040888963407u;
    return i;
}

/* Computes and computes; nowhere in here is a call that suspends. */
static int heavy_loop(void *arg) {
    volatile uint64_t *result = arg;
    for (uint64_t i = 0; uvt_now() - start < 200; i++) *result ^= heavy_math(i);
    printf(" heavy math done at %d ms\n", (int)(uvt_now() - start));
    return 0;
}

static int run(bool on_the_pool) {
    volatile uint64_t result = 0;
    uvt_task_t beat, heavy;
    start = uvt_now();
    int rc = uvt_spawn(&beat, heartbeat, NULL);
    if (rc < 0) return rc;

    rc = on_the_pool ? uvt_spawn_blocking(&heavy, heavy_loop, (void *)&result)
                     : uvt_spawn(&heavy, heavy_loop, (void *)&result);
    if (rc >= 0) rc = uvt_join(heavy, NULL);
    return rc < 0 ? rc : uvt_join(beat, NULL);
}

static int app(void *arg) {
    (void)arg;
    printf("in a task:\n");
    int rc = run(false);
    if (rc < 0) return rc;
    printf("on the blocking pool:\n");
    return run(true);
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "heavy_math: %s\n", uvt_strerror(rc));
    return rc < 0;
}
