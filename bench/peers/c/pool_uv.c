/* SPDX-License-Identifier: MIT
 *
 * The workloads on the pool with bare uv_queue_work, the limit for any layer on top of it:
 *     uv_pool blocking_seq | blocking_flight     as uvtask's, one array of requests for all that are in flight
 *     uv_pool fs_under_load                      one read, queued behind a thousand slow jobs as libuv queues it: us
 *     uv_pool idle                               the reads with nothing else queued: us, the median
 */
#include "../../bench.h"
#include "../../slow.h"
#include <uv.h>

enum { TRIPS = 20000, FLIGHT = 100000 };

static uv_loop_t *loop;
static int left;

static void must(int rc, const char *what) {
    if (rc >= 0) return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(rc));
    exit(1);
}

static void noop(uv_work_t *req) {
    (void)req;
}

static void on_trip(uv_work_t *req, int status) {
    must(status, "work");
    if (--left) must(uv_queue_work(loop, req, noop, on_trip), "work");
}

static void blocking_seq(void) {
    uv_work_t req;
    left = TRIPS;
    must(uv_queue_work(loop, &req, noop, on_trip), "work");
    uv_run(loop, UV_RUN_DEFAULT);
    if (left) must(UV_EIO, "trips");
}

static void on_done(uv_work_t *req, int status) {
    (void)req;
    must(status, "work");
    left--;
}

/* n jobs at once, their requests in one array that the caller frees. */
static uv_work_t *submit(int n, uv_work_cb fn) {
    uv_work_t *reqs = malloc((size_t)n * sizeof *reqs);
    if (!reqs) must(UV_ENOMEM, "requests");
    left = n;
    for (int i = 0; i < n; i++) must(uv_queue_work(loop, &reqs[i], fn, on_done), "work");
    return reqs;
}

static void blocking_flight(void) {
    uv_work_t *reqs = submit(FLIGHT, noop);
    uv_run(loop, UV_RUN_DEFAULT);
    if (left) must(UV_EIO, "jobs");
    free(reqs);
}

static void slow(uv_work_t *req) {
    (void)req;
    slow_job();
}

static double read_us; /* how long the last one took, from the call to its callback */
static uint64_t read_since;

static void on_read(uv_fs_t *req) {
    read_us = (double)(bench_now() - read_since) / 1e3;
    if (req->result != SLOW_FILE) must(UV_EIO, "read");
    uv_fs_req_cleanup(req);
}

static void start_read(uv_fs_t *req, int fd) {
    static char bytes[SLOW_FILE];
    uv_buf_t buf = uv_buf_init(bytes, sizeof bytes);
    read_since = bench_now();
    must(uv_fs_read(loop, req, fd, &buf, 1, 0, on_read), "read");
}

/* Everything that was queued before goes first, so one read says it. */
static void fs_under_load(void) {
    uv_fs_t req;
    uv_work_t *reqs = submit(SLOW_JOBS, slow);
    start_read(&req, slow_file());
    uv_run(loop, UV_RUN_DEFAULT);
    if (left) must(UV_EIO, "jobs");
    free(reqs);
    bench_report(&read_us, 1, "us");
}

static void on_pause(uv_timer_t *timer) {
    (void)timer;
}

static void idle(void) {
    static double samples[SLOW_READS];
    int fd = slow_file();
    uv_timer_t pause;
    uv_fs_t req;
    must(uv_timer_init(loop, &pause), "timer");
    for (int i = 0; i < SLOW_READS; i++) {
        must(uv_timer_start(&pause, on_pause, SLOW_PAUSE_MS, 0), "timer");
        uv_run(loop, UV_RUN_DEFAULT);
        start_read(&req, fd);
        uv_run(loop, UV_RUN_DEFAULT);
        samples[i] = read_us;
    }
    bench_report(samples, SLOW_READS, "us");
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    char threads[16];

    snprintf(threads, sizeof threads, "%d", BENCH_POOL);
    must(uv_os_setenv("UV_THREADPOOL_SIZE", threads), "setenv");
    loop = uv_default_loop();
    if (!strcmp(name, "blocking_seq"))
        bench_time(blocking_seq, TRIPS, "ns/trip");
    else if (!strcmp(name, "blocking_flight"))
        bench_time(blocking_flight, FLIGHT, "ns/job");
    else if (!strcmp(name, "fs_under_load"))
        fs_under_load();
    else if (!strcmp(name, "idle"))
        idle();
    else {
        fprintf(stderr, "usage: %s blocking_seq | blocking_flight | fs_under_load | idle\n", argv[0]);
        return 2;
    }
    return 0;
}
