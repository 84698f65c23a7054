/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, exercise 1, "Concurrent, not sequential": check_health of auth (50 ms), db (80 ms) and cache
 * (120 ms) in a JoinSet; lines come in the order the checks end, and the whole takes as long as the slowest.
 */
#include <stdio.h>
#include <uvtask.h>

struct service {
    const char *name;
    int latency_ms;
};

/* Returns 1 for a healthy service, 0 for a slow one. */
static int check_health(void *arg) {
    struct service *s = arg;
    int rc = uvt_sleep((uint64_t)s->latency_ms);
    return rc < 0 ? rc : s->latency_ms < 100;
}

static int app(void *arg) {
    (void)arg;
    struct service services[] = { { "auth", 50 }, { "db", 80 }, { "cache", 120 } };
    int healthy = 0, total = 0;
    uint64_t start = uvt_now();
    uvt_result r;
    uvt_set_t set;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;

    for (int i = 0; i < 3 && rc >= 0; i++) rc = uvt_set_spawn(&set, check_health, &services[i]);
    while (rc >= 0 && (rc = uvt_set_next(&set, &r)) == 0) {
        struct service *s = r.arg;
        printf(" %s: %s\n", s->name, r.status > 0 ? "healthy" : "DEGRADED");
        healthy += r.status > 0;
        total++;
    }
    uvt_set_close(&set);
    if (rc != UV_EOF) return rc;

    printf("%d/%d healthy in ~%d ms\n", healthy, total, (int)(uvt_now() - start));
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "health_checks: %s\n", uvt_strerror(rc));
    return rc < 0;
}
