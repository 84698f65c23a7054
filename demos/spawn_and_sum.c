/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, exercise 1, "Spawn and sum": a task per n in 1..=10 that returns n * n, handles in a Vec,
 * awaited and added up.
 */
#include <stdio.h>
#include <uvtask.h>

enum { N = 10 };

static int square(void *arg) {
    int *n = arg;
    return *n * *n;
}

static int app(void *arg) {
    int *numbers = arg, total = 0, rc = 0;
    uvt_task_t tasks[N];

    for (int i = 0; i < N && rc >= 0; i++) {
        numbers[i] = i + 1;
        rc = uvt_spawn(&tasks[i], square, &numbers[i]);
    }
    for (int i = 0; i < N && rc >= 0; i++) {
        rc = uvt_join(tasks[i], NULL); /* the task's value, or what went wrong */
        if (rc >= 0) total += rc;
    }
    if (rc < 0) return rc;

    printf("sum of squares 1..=%d = %d\n", N, total);
    return 0;
}

int main(void) {
    int numbers[N]; /* outlives the tasks */
    int rc = uvt_run(app, numbers, NULL);
    if (rc < 0) fprintf(stderr, "spawn_and_sum: %s\n", uvt_strerror(rc));
    return rc < 0;
}
