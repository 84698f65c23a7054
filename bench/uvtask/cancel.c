/* SPDX-License-Identifier: MIT
 *
 * The workloads on cancellation:
 *     cancel cancel           100,000 tasks wait for one token: ns per task from its cancel until all are joined
 *     cancel timeout          a deadline around what is done at once: ns
 *     cancel timeout_armed    a deadline around what suspends once: ns
 * ../README.md says what each measures and what the peers do.
 */
#include "timed.h"

enum { WAITERS = 100000, SETTLE_MS = 50, DEADLINES = 1000000, DEADLINE_MS = 1000 };

static uvt_token_t *token;
static unsigned waiting;

static int wait_for_token(void *arg) {
    (void)arg;
    waiting++;
    return uvt_token_wait(token);
}

static double cancel_once(uvt_task_t *tasks) {
    waiting = 0;
    must(uvt_token_new(&token, NULL), "token");
    for (int i = 0; i < WAITERS; i++) must(uvt_spawn(&tasks[i], wait_for_token, NULL), "spawn");
    while (waiting < WAITERS) must(uvt_yield(), "yield");
    must(uvt_sleep(SETTLE_MS), "sleep");
    uint64_t t = bench_now();
    must(uvt_token_cancel(token, NULL), "cancel");
    for (int i = 0; i < WAITERS; i++) must(uvt_join(tasks[i], NULL), "join");
    t = bench_now() - t;
    uvt_token_unref(token);
    return (double)t / WAITERS;
}

static void cancel(void) {
    double samples[BENCH_SAMPLES];
    uvt_task_t *tasks = malloc(WAITERS * sizeof *tasks);
    if (!tasks) must(UV_ENOMEM, "handles");
    for (int i = 0; i < BENCH_SAMPLES; i++) samples[i] = cancel_once(tasks);
    bench_report(samples, BENCH_SAMPLES, "ns/task");
    free(tasks);
}

static int ready(void *arg) {
    (void)arg;
    return 0;
}

static void timeout(void) {
    for (int i = 0; i < DEADLINES; i++) must(uvt_timeout(DEADLINE_MS, ready, NULL), "ready");
}

static int suspend(void *arg) {
    (void)arg;
    return uvt_yield();
}

static void timeout_armed(void) {
    for (int i = 0; i < DEADLINES; i++) must(uvt_timeout(DEADLINE_MS, suspend, NULL), "suspend");
}

static const timed works[] = {
    /* So many stacks at once: see the end of micro.c. */
    { "cancel", "ns/task", cancel, 0, { .allow_unguarded = true } },
    { "timeout", "ns/op", timeout, DEADLINES, { 0 } },
    { "timeout_armed", "ns/op", timeout_armed, DEADLINES, { 0 } },
};

int main(int argc, char **argv) {
    if (argc > 1 && timed_run(works, sizeof works / sizeof *works, argv[1])) return 0;
    fprintf(stderr, "usage: %s cancel | timeout | timeout_armed\n", argv[0]);
    return 2;
}
