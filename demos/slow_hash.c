/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 002, exercise 2, "Keep the runtime responsive by offloading a blocking call": slow_hash, a call that
 * blocks for 150 ms, through spawn_blocking, and a heartbeat that comes twice, 50 ms apart.
 */
#include <stdio.h>
#include <unistd.h>
#include <uvtask.h>

static uint64_t start;

struct hashing {
    const char *password;
    uint64_t hash;
};

static int heartbeat(void *arg) {
    (void)arg;
    uvt_interval_t tick;
    uvt_interval_init(&tick, 50, UVT_MISSED_BURST);
    for (int n = 1; n <= 2; n++) {
        int rc = uvt_interval_tick(&tick);
        if (rc < 0) return rc;
        printf("heartbeat %d at %d ms\n", n, (int)(uvt_now() - start));
    }
    return 0;
}

static int slow_hash(void *arg) {
    struct hashing *h = arg;
    usleep(150 * 1000); /* stands in for bcrypt or argon2 */
    for (const char *c = h->password; *c; c++) h->hash = h->hash * 31 + (unsigned char)*c;
    return 0;
}

static int app(void *arg) {
    (void)arg;
    struct hashing hashing = { .password = "hunter2" };
    start = uvt_now();
    uvt_task_t beat;
    int rc = uvt_spawn(&beat, heartbeat, NULL);
    if (rc >= 0) rc = uvt_blocking(slow_hash, &hashing);
    if (rc < 0) return rc;

    printf("hash = %llu at %d ms\n", (unsigned long long)hashing.hash, (int)(uvt_now() - start));
    return uvt_join(beat, NULL);
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "slow_hash: %s\n", uvt_strerror(rc));
    return rc < 0;
}
