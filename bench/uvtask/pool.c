/* SPDX-License-Identifier: MIT
 *
 * The workloads on the pool of threads:
 *     pool blocking_seq       jobs that do nothing, one awaited after the other: ns per round trip
 *     pool blocking_flight    100,000 of them submitted, then awaited: ns per job
 *     pool fs_under_load      reads of a small file while a thousand slow jobs are queued: us, the median
 *     pool parallel           the longest Collatz chain: ms
 * ../README.md says what each measures and what the peers do.
 */
#include "timed.h"
#include "../compute.h"
#include "../slow.h"
#include <uvtask/park.h>

enum { TRIPS = 20000, FLIGHT = 100000 };

static int noop(void *arg) {
    (void)arg;
    return 0;
}

/* The pool leaves a thread to libuv as it does by default, so it has one more than work at jobs. */
static void check_pool(void) {
    unsigned threads, for_jobs;
    uvt_pool_size(&threads, &for_jobs);
    if (threads != BENCH_POOL + 1 || for_jobs != BENCH_POOL) must(UV_EIO, "pool");
}

static void blocking_seq(void) {
    check_pool();
    for (int i = 0; i < TRIPS; i++) must(uvt_blocking(noop, NULL), "job");
}

static void blocking_flight(void) {
    uvt_task_t *jobs = malloc(FLIGHT * sizeof *jobs);
    if (!jobs) must(UV_ENOMEM, "handles");
    check_pool();
    for (int i = 0; i < FLIGHT; i++) must(uvt_spawn_blocking(&jobs[i], noop, NULL), "spawn");
    for (int i = 0; i < FLIGHT; i++) must(uvt_join(jobs[i], NULL), "join");
    free(jobs);
}

static int slow(void *arg) {
    (void)arg;
    slow_job();
    return 0;
}

/* The library has no files yet: libuv's call and a task parked until its callback, as any other callback. */
static void on_read(uv_fs_t *req) {
    uvt_unpark(req->data, (int)req->result);
}

static int read_file(int fd, char *bytes) {
    uvt_park_t p = { .what = "file" }; /* without abort: what the request points to stays alive */
    uv_fs_t req = { .data = &p };
    uv_buf_t buf = uv_buf_init(bytes, SLOW_FILE);
    int rc = uv_fs_read(uvt_loop(), &req, fd, &buf, 1, 0, on_read);
    if (rc == 0) rc = uvt_park(&p);
    uv_fs_req_cleanup(&req);
    return rc;
}

static void fs_under_load(void) {
    static char bytes[SLOW_FILE];
    static double samples[SLOW_READS];
    uvt_lane_stats queue;
    uvt_set_t set;
    int fd = slow_file();

    must(uvt_set_open(&set, &(uvt_set_options){ .discard = true }), "set");
    for (int i = 0; i < SLOW_JOBS; i++) must(uvt_set_spawn_blocking(&set, slow, NULL), "spawn");
    for (int i = 0; i < SLOW_READS; i++) {
        must(uvt_sleep(SLOW_PAUSE_MS), "sleep"); /* and the jobs get their threads before the first */
        uint64_t t = bench_now();
        if (read_file(fd, bytes) != SLOW_FILE) must(UV_EIO, "read");
        samples[i] = (double)(bench_now() - t) / 1e3;
    }
    must(uvt_lane_stats_get((uvt_lane_t){ 0 }, &queue), "queue");
    if (!queue.running || !queue.waiting) must(UV_EIO, "the load ended before the reads");
    must(uvt_set_abort_all(&set), "abort"); /* those that wait never run */
    must(uvt_set_close(&set), "close");
    bench_report(samples, SLOW_READS, "us");
}

static int chunk(void *ctx, size_t begin, size_t end, void *best) {
    (void)ctx;
    collatz_range(best, begin + 1, end + 1);
    return 0;
}

static void combine(void *ctx, void *into, const void *from) {
    (void)ctx;
    collatz_better(into, from);
}

static void parallel(void) {
    collatz best = { 0, 0 };
    must(uvt_parallel_reduce(COLLATZ_BELOW - 1, 0, chunk, NULL, &best, sizeof best, combine), "reduce");
    collatz_check(&best);
}

static const timed works[] = {
    { "blocking_seq", "ns/trip", blocking_seq, TRIPS, { .pool_size = BENCH_POOL + 1 } },
    { "blocking_flight", "ns/job", blocking_flight, FLIGHT, { .pool_size = BENCH_POOL + 1 } },
    /* Here the whole pool counts, with the thread that is left to libuv: the peer's is as large. */
    { "fs_under_load", "us", fs_under_load, 0, { .pool_size = BENCH_POOL } },
    { "parallel", "ms", parallel, 1e6, { 0 } },
};

int main(int argc, char **argv) {
    if (argc > 1 && timed_run(works, sizeof works / sizeof *works, argv[1])) return 0;
    fprintf(stderr, "usage: %s blocking_seq | blocking_flight | fs_under_load | parallel\n", argv[0]);
    return 2;
}
