/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, exercise 2, "Offload CPU work with spawn_blocking": count_primes(10_000), a deliberately naive
 * loop, on the pool, and a line before it is awaited.
 */
#include <stdio.h>
#include <uvtask.h>

static int count_primes(void *arg) {
    int below = *(int *)arg, primes = 0;
    for (int n = 2; n < below; n++) {
        int d = 2;
        while (d < n && n % d != 0) d++;
        primes += d == n;
    }
    return primes;
}

static int app(void *arg) {
    (void)arg;
    int below = 10000;
    uvt_task_t task;
    int rc = uvt_spawn_blocking(&task, count_primes, &below);
    if (rc < 0) return rc;

    printf("counting primes on the blocking pool...\n");

    int primes = uvt_join(task, NULL);
    if (primes < 0) return primes;
    printf("primes below %d = %d\n", below, primes);
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "count_primes: %s\n", uvt_strerror(rc));
    return rc < 0;
}
