/* SPDX-License-Identifier: MIT
 *
 * What the C benchmark programs share: clocks, the median of a few samples, a process's memory and CPU time,
 * and the loop back socket address. Header only, so that the peers link nothing of ours.
 *
 * A program prints its figures as lines "SUFFIX VALUE UNIT", SUFFIX being "-" for a workload's main figure
 * and "_rss", "_cpu" for further ones; run.sh puts the names in front. Servers print the port they listen on.
 */
#ifndef BENCH_H
#define BENCH_H

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BENCH_SAMPLES = 5,         /* per process; the median counts, so the cold first one does not */
    BENCH_POOL = 4,            /* threads that work at blocking jobs, in every peer */
    BENCH_BACKLOG = 4096,      /* of every server */
    BENCH_ECHO_BUFFER = 65536, /* bytes, of every echo server's reads */
    BENCH_HTTP_BUFFER = 16384  /* bytes, of every http server's reads but the raw one's */
};

#define BENCH_HTTP_REPLY "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

static inline uint64_t bench_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t bench_now(void) {
    return bench_clock(CLOCK_MONOTONIC);
}

static inline int bench_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Prints the median of the samples; reorders them. */
static inline void bench_report(double *samples, int n, const char *unit) {
    qsort(samples, (size_t)n, sizeof *samples, bench_order);
    printf("- %.3f %s\n", n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2, unit);
}

/* Times fn a few times and prints the median in ns, divided by operations (1e6 makes it milliseconds). */
static inline void bench_time(void (*fn)(void), double operations, const char *unit) {
    double samples[BENCH_SAMPLES];
    for (int i = 0; i < BENCH_SAMPLES; i++) {
        uint64_t t = bench_now();
        fn();
        samples[i] = (double)(bench_now() - t) / operations;
    }
    bench_report(samples, BENCH_SAMPLES, unit);
}

/* The cores that this process may run on, which is also how many Go, Tokio's programs and Rayon take. */
static inline int bench_cores(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

/* One line of /proc/self/status in bytes: "VmRSS:" is resident now, "VmHWM:" the most there ever was. */
static inline double bench_memory(const char *key) {
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return 0;
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) kib = atof(line + strlen(key));
    fclose(f);
    return kib * 1024;
}

/* The two figures of many tasks asleep: take one before the first task and report after the last. */
typedef struct bench_asleep {
    double rss;   /* bytes resident before */
    uint64_t cpu; /* ns used before, all threads */
} bench_asleep;

static inline bench_asleep bench_asleep_begin(void) {
    return (bench_asleep){ bench_memory("VmRSS:"), bench_clock(CLOCK_PROCESS_CPUTIME_ID) };
}

static inline void bench_asleep_report(bench_asleep before, size_t n) {
    uint64_t cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID) - before.cpu;
    printf("_rss %.1f B/task\n", (bench_memory("VmHWM:") - before.rss) / (double)n);
    printf("_cpu %.4f s\n", (double)cpu / 1e9);
}

/* Every server takes its port as the one argument, 0 for any, and says which it got. */
static inline void bench_listening(unsigned port) {
    printf("%u\n", port);
    fflush(stdout);
}

#endif
