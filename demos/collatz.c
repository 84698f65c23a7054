/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 002, exercise 1, "Recognize and parallelize CPU-bound work": into_par_iter over 1..100_000 and
 * max_by_key. There is nothing to wait for, so tasks would not help: only more cores do. So there is no runtime here
 * either; main is a plain thread, and the pool's threads help it.
 */
#include <stdio.h>
#include <uvtask.h>

struct best {
    uint64_t n;
    int steps;
};

static int collatz_steps(uint64_t n) {
    int steps = 0;
    for (; n != 1; steps++) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return steps;
}

/* into = the longer one; of two that are equally long the smaller number, whatever the order they come in. */
static void longer(void *ctx, void *into, const void *from) {
    (void)ctx;
    struct best *a = into;
    const struct best *b = from;
    if (b->steps > a->steps || (b->steps == a->steps && b->n < a->n)) *a = *b;
}

static int search(void *ctx, size_t begin, size_t end, void *acc) {
    for (size_t i = begin; i < end; i++) longer(ctx, acc, &(struct best){ i + 1, collatz_steps(i + 1) });
    return 0;
}

int main(void) {
    struct best best = { 0, -1 }; /* shorter than any: the neutral element */
    int rc = uvt_parallel_reduce(99999, 0, search, NULL, &best, sizeof best, longer);
    if (rc >= 0) printf("n = %llu has %d steps\n", (unsigned long long)best.n, best.steps);
    if (rc < 0) fprintf(stderr, "collatz: %s\n", uvt_strerror(rc));
    return rc < 0;
}
