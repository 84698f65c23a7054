/* SPDX-License-Identifier: MIT
 *
 * collatz sequential | pthreads: the longest Collatz chain in one thread, and in a plain thread per core that takes
 * blocks off a shared counter until none is left, so that a thread that was held up leaves no work undone.
 */
#include "../../compute.h"
#include <pthread.h>
#include <stdatomic.h>

enum { BLOCK = 4096, MOST_THREADS = 1024 };

static void sequential(void) {
    collatz best = { 0, 0 };
    collatz_range(&best, 1, COLLATZ_BELOW);
    collatz_check(&best);
}

static atomic_uint next;

static void *worker(void *arg) {
    collatz *best = arg, mine = { 0, 0 };
    unsigned begin;
    while ((begin = atomic_fetch_add(&next, BLOCK)) < COLLATZ_BELOW) {
        unsigned end = begin + BLOCK;
        collatz_range(&mine, begin, end < COLLATZ_BELOW ? end : COLLATZ_BELOW);
    }
    *best = mine;
    return NULL;
}

static void pthreads(void) {
    pthread_t threads[MOST_THREADS];
    collatz found[MOST_THREADS], best = { 0, 0 };
    int n = bench_cores();

    if (n > MOST_THREADS) n = MOST_THREADS;
    atomic_store(&next, 1);
    for (int i = 0; i < n; i++) {
        if (!pthread_create(&threads[i], NULL, worker, &found[i])) continue;
        fprintf(stderr, "no thread\n");
        exit(1);
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        collatz_better(&best, &found[i]);
    }
    collatz_check(&best);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    if (!strcmp(name, "sequential"))
        bench_time(sequential, 1e6, "ms");
    else if (!strcmp(name, "pthreads"))
        bench_time(pthreads, 1e6, "ms");
    else {
        fprintf(stderr, "usage: %s sequential | pthreads\n", argv[0]);
        return 2;
    }
    return 0;
}
