/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, "Tasks are not threads": 100,000 tokio::spawn that each add one to an AtomicU64, all awaited.
 * Here the tasks share one loop, so that the counter is a plain variable; and a task that never suspends runs on a
 * stack that the next one uses again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <uvtask.h>

enum { TASKS = 100000 };

static int count(void *arg) {
    uint64_t *counter = arg;
    ++*counter;
    return 0;
}

static int app(void *arg) {
    uint64_t *counter = arg;
    int rc = 0;
    uvt_task_t *tasks = malloc(TASKS * sizeof *tasks);
    if (!tasks) return UV_ENOMEM;

    for (int i = 0; i < TASKS && rc >= 0; i++) rc = uvt_spawn(&tasks[i], count, counter);
    for (int i = 0; i < TASKS && rc >= 0; i++) rc = uvt_join(tasks[i], NULL);
    free(tasks);
    if (rc < 0) return rc;

    printf("%d,%03d tasks all ran: counter = %llu\n", TASKS / 1000, TASKS % 1000, (unsigned long long)*counter);
    return 0;
}

int main(void) {
    uint64_t counter = 0;
    int rc = uvt_run(app, &counter, NULL);
    if (rc < 0) fprintf(stderr, "many_tasks: %s\n", uvt_strerror(rc));
    return rc < 0;
}
