/* SPDX-License-Identifier: MIT
 *
 * The workloads that are only tasks:
 *     micro spawn_join | set_next | yield | sem     time per operation, median of a few samples
 *     micro sleepers N                              N tasks asleep in their body: memory and CPU
 *     micro delayed N                               N tasks with a start delay instead
 * Each is written as a user would write it, with the library's default options (one exception is explained
 * where it stands). ../README.md says what each measures and what the peers do.
 */
#include "timed.h"

enum { TASKS = 100000, YIELDERS = 1000, YIELDS = 1000, SEM_TASKS = 1000, SEM_TURNS = 100, SEM_PERMITS = 3 };

/* Spawns n children that run fn(arg), keeps their handles, joins them in order. */
static void spawn_and_join(size_t n, uvt_fn fn, void *arg) {
    uvt_task_t *tasks = malloc(n * sizeof *tasks);
    if (!tasks) must(UV_ENOMEM, "handles");
    for (size_t i = 0; i < n; i++) must(uvt_spawn(&tasks[i], fn, arg), "spawn");
    for (size_t i = 0; i < n; i++) must(uvt_join(tasks[i], NULL), "join");
    free(tasks);
}

static int increment(void *arg) {
    ++*(unsigned long *)arg;
    return 0;
}

static void spawn_join(void) {
    unsigned long counter = 0;
    spawn_and_join(TASKS, increment, &counter);
    if (counter != TASKS) must(UV_EIO, "counter");
}

static void set_next(void) {
    unsigned long counter = 0;
    uvt_set_t set;
    uvt_result r;
    size_t ended = 0;
    must(uvt_set_open(&set, NULL), "set");
    for (size_t i = 0; i < TASKS; i++) must(uvt_set_spawn(&set, increment, &counter), "spawn");
    while (uvt_set_next(&set, &r) == 0) ended++;
    must(uvt_set_close(&set), "close");
    if (counter != TASKS || ended != TASKS) must(UV_EIO, "counter");
}

static int yielder(void *arg) {
    (void)arg;
    for (int i = 0; i < YIELDS; i++) {
        int rc = uvt_yield();
        if (rc < 0) return rc;
    }
    return 0;
}

static void yield(void) {
    spawn_and_join(YIELDERS, yielder, NULL);
}

static int turns(void *arg) {
    uvt_semaphore_t *s = arg;
    for (int i = 0; i < SEM_TURNS; i++) {
        int rc = uvt_semaphore_acquire(s);
        if (rc < 0) return rc;
        rc = uvt_yield();
        uvt_semaphore_release(s, 1);
        if (rc < 0) return rc;
    }
    return 0;
}

static void sem(void) {
    uvt_semaphore_t s;
    must(uvt_semaphore_init(&s, SEM_PERMITS, SEM_PERMITS), "semaphore");
    spawn_and_join(SEM_TASKS, turns, &s);
}

/* Between 2 and 3 seconds, spread over a thousand milliseconds as in every peer. */
static uint64_t nap_ms(size_t i) {
    return 2000 + i % 1000;
}

static int nap(void *arg) {
    return uvt_sleep(nap_ms((uintptr_t)arg));
}

static int wake(void *arg) {
    (void)arg;
    return 0;
}

/* Nobody wants a million results, so the tasks are members of a set that keeps none. */
static void asleep(size_t n, bool delayed) {
    bench_asleep before = bench_asleep_begin();
    uvt_set_t set;
    must(uvt_set_open(&set, &(uvt_set_options){ .discard = true }), "set");
    for (size_t i = 0; i < n; i++) {
        if (delayed)
            must(uvt_set_spawn_opts(&set, NULL, wake, NULL, &(uvt_task_options){ .start_after_ms = nap_ms(i) }),
                 "spawn");
        else
            must(uvt_set_spawn(&set, nap, (void *)(uintptr_t)i), "spawn");
    }
    must(uvt_set_wait(&set), "wait");
    must(uvt_set_close(&set), "close");
    bench_asleep_report(before, n);
}

static const timed works[] = {
    { "spawn_join", "ns/task", spawn_join, TASKS, { 0 } },
    { "set_next", "ns/task", set_next, TASKS, { 0 } },
    { "yield", "ns/yield", yield, 1.0 * YIELDERS *YIELDS, { 0 } },
    { "sem", "ns/turn", sem, 1.0 * SEM_TASKS *SEM_TURNS, { 0 } },
};

static int sleepers(void *arg) {
    asleep(*(size_t *)arg, false);
    return 0;
}

static int delayed(void *arg) {
    asleep(*(size_t *)arg, true);
    return 0;
}

int main(int argc, char **argv) {
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    const char *name = argc > 1 ? argv[1] : "";
    /* Guard pages for 100,000 stacks need either MADV_GUARD_INSTALL (Linux 6.13) or a higher vm.max_map_count
     * than the usual one; on older kernels go on without. Where guards can be had this changes nothing. */
    uvt_options many = { .allow_unguarded = true };

    if (timed_run(works, sizeof works / sizeof *works, name)) return 0;
    if (n && !strcmp(name, "sleepers")) {
        must(uvt_run(sleepers, &n, &many), name);
        return 0;
    }
    if (n && !strcmp(name, "delayed")) {
        must(uvt_run(delayed, &n, NULL), name);
        return 0;
    }
    fprintf(stderr, "usage: %s spawn_join | set_next | yield | sem | sleepers N | delayed N\n", argv[0]);
    return 2;
}
