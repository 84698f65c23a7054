/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, "spawn_blocking: the escape hatch for synchronous work": fibonacci(35) on the pool, a line from
 * main meanwhile, and the handle awaited like any task's.
 */
#include <stdio.h>
#include <uvtask.h>

static int fibonacci(int n) {
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static int job(void *arg) {
    int *n = arg;
    return fibonacci(*n);
}

static int app(void *arg) {
    (void)arg;
    int n = 35;
    uvt_task_t task;
    int rc = uvt_spawn_blocking(&task, job, &n);
    if (rc < 0) return rc;

    printf("computing fib(35) on a blocking thread...\n");

    int result = uvt_join(task, NULL);
    if (result < 0) return result;
    printf("fib(35) = %d\n", result);
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "spawn_blocking: %s\n", uvt_strerror(rc));
    return rc < 0;
}
