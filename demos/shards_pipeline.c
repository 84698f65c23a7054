/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 002, exercise 3, "A mixed pipeline": four fetch_shard (50 ms, 250,000 numbers each) under join_all,
 * then the sum of the squares: spawn_blocking, and rayon's par_iter inside. Waiting is for tasks, computing for
 * threads. The document flattens four vectors; here each task fills its quarter of one array.
 */
#include <stdio.h>
#include <stdlib.h>
#include <uvtask.h>

enum { SHARDS = 4, SHARD_NUMBERS = 250000, NUMBERS = SHARDS * SHARD_NUMBERS };

struct sum {
    uint64_t *numbers, squares;
};

/* I/O. arg: where this shard's numbers go, the first of which is there and says which ones they are. */
static int fetch_shard(void *arg) {
    uint64_t *numbers = arg;
    int rc = uvt_sleep(50);
    if (rc < 0) return rc;
    for (uint64_t x = 1; x < SHARD_NUMBERS; x++) numbers[x] = numbers[0] + x;
    return 0;
}

static int fetch_all(uint64_t *numbers) {
    uvt_set_t set;
    int rc = uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true });
    if (rc < 0) return rc;

    for (size_t i = 0; i < NUMBERS && rc >= 0; i += SHARD_NUMBERS) {
        numbers[i] = i;
        rc = uvt_set_spawn(&set, fetch_shard, &numbers[i]);
    }
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    return rc;
}

static int add_squares(void *ctx, size_t begin, size_t end, void *acc) {
    const uint64_t *numbers = ctx;
    uint64_t *sum = acc;
    for (size_t i = begin; i < end; i++) *sum += numbers[i] * numbers[i];
    return 0;
}

static void add(void *ctx, void *into, const void *from) {
    (void)ctx;
    *(uint64_t *)into += *(const uint64_t *)from;
}

/* CPU: a blocking job, which takes part in the loop itself while other threads help. A task could call
 * uvt_parallel_reduce, too; the job is the document's way. */
static int sum_of_squares(void *arg) {
    struct sum *sum = arg;
    return uvt_parallel_reduce(NUMBERS, 0, add_squares, sum->numbers, &sum->squares, sizeof sum->squares, add);
}

static int app(void *arg) {
    uint64_t *numbers = arg;
    struct sum sum = { .numbers = numbers };
    uint64_t start = uvt_now();
    int rc = fetch_all(numbers);
    if (rc >= 0) rc = uvt_blocking(sum_of_squares, &sum);
    if (rc < 0) return rc;

    printf("sum of squares = %llu\n", (unsigned long long)sum.squares);
    printf("elapsed = %d ms\n", (int)(uvt_now() - start));
    return 0;
}

int main(void) {
    uint64_t *numbers = malloc(NUMBERS * sizeof *numbers);
    int rc = numbers ? uvt_run(app, numbers, NULL) : UV_ENOMEM;
    free(numbers);
    if (rc < 0) fprintf(stderr, "shards_pipeline: %s\n", uvt_strerror(rc));
    return rc < 0;
}
