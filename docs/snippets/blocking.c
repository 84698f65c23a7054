/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 14: work that blocks, and loops over all cores.
 */
#include <stdio.h>
#include <stdlib.h>
#include <uvtask.h>

static int slow_hash(void *arg) { /* on a thread of the pool: no uvt_sleep here */
    unsigned h = 2166136261u;
    for (int i = 0; i < 100000 && !uvt_blocking_cancelled(); i++)
        for (const char *p = arg; *p; p++) h = (h ^ (unsigned char)*p) * 16777619u;
    return (int)(h >> 8);
}

static int hashes(void) {
    const char *words[] = { "correct", "horse", "battery" };
    int one = uvt_blocking(slow_hash, "staple"); /* this task waits, the loop goes on */
    if (one < 0) return one;

    uvt_set_t set;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;
    for (int i = 0; i < 3; i++) uvt_set_spawn_blocking(&set, slow_hash, (void *)words[i]); /* these run side by side */
    int n = 1;
    for (uvt_result r; uvt_set_next(&set, &r) == 0;) n += r.status > 0;
    printf("%d hashed\n", n);
    return uvt_set_close(&set);
}

static int query(void *arg) {
    int *rows = arg; /* the job's own: whoever asked may have left */
    return ++*rows;
}

static int database(void) {
    uvt_lane_t db;
    int rc = uvt_lane_create(&db, "db", 2); /* two of its jobs at a time, however many threads there are */
    int *rows = calloc(1, sizeof *rows);
    if (rc < 0 || !rows) {
        free(rows);
        return rc < 0 ? rc : UV_ENOMEM;
    }
    rc = uvt_blocking_opts(query, rows, &(uvt_blocking_options){ .lane = db, .abandon = true, .drop = free });
    if (rc != UV_ECANCELED) free(rows); /* cancelled: it is drop's */
    if (rc < 0) return rc;
    uvt_lane_stats seen;
    uvt_lane_stats_get(db, &seen);
    printf("%d row, %llu query\n", rc, (unsigned long long)seen.started);
    return 0;
}

static int add_squares(void *ctx, size_t begin, size_t end, void *acc) {
    (void)ctx;
    for (; begin < end; begin++) *(unsigned long long *)acc += begin * begin;
    return 0;
}

static void add_up(void *ctx, void *into, const void *from) {
    (void)ctx;
    *(unsigned long long *)into += *(const unsigned long long *)from;
}

static int app(void *arg) {
    (void)arg;
    int rc = hashes();
    if (rc == 0) rc = database();
    unsigned long long sum = 0;
    if (rc == 0) rc = uvt_parallel_reduce(1000000, 0, add_squares, NULL, &sum, sizeof sum, add_up);
    if (rc == 0) printf("sum of squares: %llu\n", sum);
    return rc;
}

int main(void) {
    return uvt_run(app, NULL, NULL) < 0;
}
