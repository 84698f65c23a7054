/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, Node.js: countPrimes in a Worker of node:worker_threads, with workerData and a message back;
 * and document 002, "When you do not need async at all": four thread::spawn that count the primes below 50,000. Here a
 * worker is a job on a thread of the pool: it is handed a pointer, nothing is copied, and the set waits for all four.
 */
#include <stdio.h>
#include <uvtask.h>

enum { WORKERS = 4 };

struct worker {
    int max_n, primes;
    uv_thread_t thread; /* the one it ran on */
};

static int count_primes(void *arg) {
    struct worker *w = arg;
    w->thread = uv_thread_self();
    for (int n = 2; n < w->max_n; n++) {
        int d = 2;
        while (d < n && n % d != 0) d++;
        w->primes += d == n;
    }
    return 0;
}

static int distinct_threads(const struct worker *w, int n) {
    int distinct = 0;
    for (int i = 0; i < n; i++) {
        int first = 0;
        while (!uv_thread_equal(&w[first].thread, &w[i].thread)) first++;
        distinct += first == i;
    }
    return distinct;
}

static int app(void *arg) {
    (void)arg;
    struct worker workers[WORKERS];
    int total = 0;
    uint64_t start = uvt_now();
    uvt_set_t set;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;

    for (int i = 0; i < WORKERS && rc >= 0; i++) {
        workers[i] = (struct worker){ .max_n = 50000 };
        rc = uvt_set_spawn_blocking(&set, count_primes, &workers[i]);
    }
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set); /* whatever happened: no thread uses workers any more */
    if (rc < 0) return rc;

    for (int i = 0; i < WORKERS; i++) total += workers[i].primes;
    printf("total primes = %d\n", total);
    printf("elapsed = %d ms\n", (int)(uvt_now() - start));

    int threads = distinct_threads(workers, WORKERS);
    unsigned for_jobs;
    uvt_pool_size(NULL, &for_jobs);
    printf("ran on %d threads\n", threads);
    return threads == 1 && for_jobs > 1 && uv_available_parallelism() > 1 ? UV_EAGAIN : 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "worker_threads: %s\n", uvt_strerror(rc));
    return rc < 0;
}
