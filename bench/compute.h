/* SPDX-License-Identifier: MIT
 *
 * The work of the workloads that only compute. Functions of their own, at the start of a cache line, so that every
 * program in C runs the same machine code; Rust's and Go's are line for line the same.
 */
#ifndef BENCH_COMPUTE_H
#define BENCH_COMPUTE_H

#include "bench.h"

#define BENCH_KERNEL static __attribute__((noinline, aligned(64), unused))

/* ---- parallel: the longest Collatz chain that begins below two million ---- */

enum { COLLATZ_BELOW = 2000000, COLLATZ_START = 1723519, COLLATZ_LENGTH = 557 };

typedef struct collatz {
    uint64_t start;
    unsigned length;
} collatz;

/* Without a branch, and so in every language: of n & 1 ? 3 * n + 1 : n / 2 gcc makes a branch that is mispredicted
 * half of the time and LLVM a conditional move, and that would be all the difference there is between the peers. */
BENCH_KERNEL unsigned collatz_length(uint64_t n) {
    unsigned length = 1;
    while (n != 1) {
        uint64_t odd = 0 - (n & 1);
        n = (odd & (3 * n + 1)) | (~odd & (n >> 1));
        length++;
    }
    return length;
}

/* Of two that are as long the smaller start counts, whoever met it first. */
static inline void collatz_better(collatz *best, const collatz *other) {
    if (other->length < best->length || (other->length == best->length && other->start >= best->start)) return;
    *best = *other;
}

/* begin <= start < end */
static inline void collatz_range(collatz *best, uint64_t begin, uint64_t end) {
    for (uint64_t start = begin; start < end; start++) {
        collatz c = { start, collatz_length(start) };
        collatz_better(best, &c);
    }
}

static inline void collatz_check(const collatz *best) {
    if (best->start == COLLATZ_START && best->length == COLLATZ_LENGTH) return;
    fprintf(stderr, "wrong answer: %lu of length %u\n", (unsigned long)best->start, best->length);
    exit(1);
}

/* ---- imbalance: tasks of about 5 us, and one in a hundred of about 500 us ---- */

enum { CHURN_TASKS = 10000, CHURN_STEPS = 2500, CHURN_LONG_EVERY = 100, CHURN_LONG = 100 };

#define CHURN_SUM UINT64_C(17999646052443251917) /* of all tasks, wrapped around */

/* One dependent chain of shifts: it takes as long whatever its neighbours on the chip do. */
BENCH_KERNEL uint64_t churn(uint64_t x, unsigned steps) {
    while (steps--) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

static inline uint64_t churn_task(unsigned i) {
    return churn(i + 1, i % CHURN_LONG_EVERY ? CHURN_STEPS : CHURN_STEPS * CHURN_LONG);
}

static inline void churn_check(uint64_t sum) {
    if (sum == CHURN_SUM) return;
    fprintf(stderr, "wrong sum: %lu\n", (unsigned long)sum);
    exit(1);
}

#endif
