/* SPDX-License-Identifier: MIT
 *
 * The workloads on several shards:
 *     shards pingpong         two tasks on two shards hand a permit to and fro: ns per round trip
 *     shards pingpong_spin    the same where an idle shard always spins a while before it sleeps
 *     shards pingpong_sleep   the same where it sleeps at once
 *     shards spawn_any        100,000 tasks over a shard per core, joined by handle: ns per task
 *     shards imbalance        10,000 tasks over a shard per core, one in a hundred is a hundred times longer: ms
 *     shards ideal            what those compute, done by one thread, divided by the cores: ms
 * ../README.md says what each measures and what the peers do.
 */
#include "timed.h"
#include "../compute.h"
#include <stdatomic.h>

enum { TRIPS = 20000, TASKS = 100000, SPIN_US = 50 };

static const uvt_task_options anywhere = { .place = UVT_ANY };

static uvt_semaphore_t ping, pong;

static int answer(void *arg) {
    (void)arg;
    if (uvt_shard_index() != 1) return UV_EIO;
    for (int i = 0; i < TRIPS; i++) {
        must(uvt_semaphore_acquire(&ping), "ping");
        must(uvt_semaphore_release(&pong, 1), "pong");
    }
    return 0;
}

static void pingpong(void) {
    uvt_task_t t;
    must(uvt_semaphore_init(&ping, 0, 0), "semaphore");
    must(uvt_semaphore_init(&pong, 0, 0), "semaphore");
    must(uvt_spawn_opts(&t, answer, NULL, &(uvt_task_options){ .place = UVT_ON(1) }), "spawn");
    for (int i = 0; i < TRIPS; i++) {
        must(uvt_semaphore_release(&ping, 1), "ping");
        must(uvt_semaphore_acquire(&pong), "pong");
    }
    must(uvt_join(t, NULL), "join");
}

static atomic_ulong counter;

static int increment(void *arg) {
    (void)arg;
    atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
    return 0;
}

static void spawn_any(void) {
    uvt_task_t *tasks = malloc(TASKS * sizeof *tasks);
    if (!tasks) must(UV_ENOMEM, "handles");
    atomic_store(&counter, 0);
    for (int i = 0; i < TASKS; i++) must(uvt_spawn_opts(&tasks[i], increment, NULL, &anywhere), "spawn");
    for (int i = 0; i < TASKS; i++) must(uvt_join(tasks[i], NULL), "join");
    if (atomic_load(&counter) != TASKS) must(UV_EIO, "counter");
    free(tasks);
}

static _Atomic uint64_t sum;

static int uneven(void *arg) {
    uint64_t x = churn_task((unsigned)(uintptr_t)arg);
    atomic_fetch_add_explicit(&sum, x, memory_order_relaxed);
    return 0;
}

static void imbalance(void) {
    uvt_set_t set;
    atomic_store(&sum, 0);
    must(uvt_set_open(&set, &(uvt_set_options){ .discard = true, .place = UVT_ANY }), "set");
    for (uintptr_t i = 0; i < CHURN_TASKS; i++) must(uvt_set_spawn(&set, uneven, (void *)i), "spawn");
    must(uvt_set_wait(&set), "wait");
    must(uvt_set_close(&set), "close");
    churn_check(atomic_load(&sum));
}

static void alone(void) {
    uint64_t x = 0;
    for (unsigned i = 0; i < CHURN_TASKS; i++) x += churn_task(i);
    churn_check(x);
}

static const timed works[] = {
    { "pingpong", "ns/trip", pingpong, TRIPS, { .shards = 2 } },
    { "pingpong_spin", "ns/trip", pingpong, TRIPS, { .shards = 2, .spin_us = SPIN_US } },
    { "pingpong_sleep", "ns/trip", pingpong, TRIPS, { .shards = 2, .no_linger = true } },
    { "spawn_any", "ns/task", spawn_any, TASKS, { .shards = UVT_PER_CORE } },
    { "imbalance", "ms", imbalance, 1e6, { .shards = UVT_PER_CORE } },
};

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    if (timed_run(works, sizeof works / sizeof *works, name)) return 0;
    if (!strcmp(name, "ideal")) {
        bench_time(alone, 1e6 * bench_cores(), "ms");
        return 0;
    }
    fprintf(stderr, "usage: %s pingpong | pingpong_spin | pingpong_sleep | spawn_any | imbalance | ideal\n", argv[0]);
    return 2;
}
