/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 002, "Rust Equivalent", CPU-bound: heavy over eight inputs, iter().map and then rayon's
 * par_iter().map. uvt_parallel_for cuts the loop into chunks for the threads of the pool; each writes into its own
 * places of the result.
 */
#include <stdio.h>
#include <time.h>
#include <uvtask.h>

enum { INPUTS = 8 };

struct map {
    uint64_t out[INPUTS];
    uv_thread_t by[INPUTS]; /* who computed it */
};

static uint64_t heavy(uint64_t acc) {
    for (int i = 0; i < 50000000; i++) acc = acc * 6364136223846793005u + 1442695040888963407u;
    return acc;
}

static int heavy_map(void *ctx, size_t begin, size_t end) {
    struct map *m = ctx;
    for (size_t i = begin; i < end; i++) {
        m->out[i] = heavy(i);
        m->by[i] = uv_thread_self();
    }
    return 0;
}

static int app(void *arg) {
    return uvt_parallel_for(INPUTS, 1, heavy_map, arg); /* this task waits, the loop would go on */
}

/* Where there are cores and threads, several threads must have worked, and the whole must be faster. The latter is not
 * asked when they did not get their cores: a busy machine, or a container that may use less than it shows. */
static bool as_it_should_be(const struct map *m, int sequential_ms, int parallel_ms, int cpu_ms) {
    bool several = false;
    unsigned for_jobs;
    uvt_pool_size(NULL, &for_jobs);
    if (uv_available_parallelism() == 1 || for_jobs == 1) return true;
    for (int i = 1; i < INPUTS; i++) several |= !uv_thread_equal(&m->by[0], &m->by[i]);
    return several && (parallel_ms < sequential_ms || cpu_ms < parallel_ms * 3 / 2);
}

int main(void) {
    struct map seq, par;
    uint64_t start = uvt_now();
    heavy_map(&seq, 0, INPUTS);
    int sequential_ms = (int)(uvt_now() - start);
    printf("sequential: %d ms\n", sequential_ms);

    clock_t cpu = clock();
    start = uvt_now();
    int rc = uvt_run(app, &par, NULL);
    if (rc < 0) {
        fprintf(stderr, "parallel_map: %s\n", uvt_strerror(rc));
        return 1;
    }
    int parallel_ms = (int)(uvt_now() - start);
    int cpu_ms = (int)((clock() - cpu) / (CLOCKS_PER_SEC / 1000)); /* of all threads together */
    printf("parallel: %d ms\n", parallel_ms);

    bool match = true;
    for (int i = 0; i < INPUTS; i++) match &= seq.out[i] == par.out[i];
    printf("results match: %s\n", match ? "true" : "false");
    if (as_it_should_be(&par, sequential_ms, parallel_ms, cpu_ms)) return 0;
    fprintf(stderr, "parallel_map: it was not faster in parallel\n");
    return 1;
}
