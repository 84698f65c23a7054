/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, "Rust Equivalent": tokio::spawn of a task that adds up 1..=100, main goes on, then awaits the
 * JoinHandle. (Node.js: const p = fetchUser(1); ...; await p.) What is not an int comes back through the argument.
 * (It lives in main here, because a task that is not joined yet may outlive the function that spawned it.)
 */
#include <stdio.h>
#include <uvtask.h>

static int add_up(void *arg) {
    uint64_t *total = arg;
    *total = 0;
    for (uint64_t i = 1; i <= 100; i++) *total += i;
    return 0;
}

static int app(void *arg) {
    uint64_t *sum = arg;
    uvt_task_t task;
    int rc = uvt_spawn(&task, add_up, sum);
    if (rc < 0) return rc;
    printf("task spawned, main continues\n");

    rc = uvt_join(task, NULL); /* without a uvt_result the task's failure, if any, is ours */
    if (rc < 0) return rc;
    printf("sum = %llu\n", (unsigned long long)*sum);
    return 0;
}

int main(void) {
    uint64_t sum;
    int rc = uvt_run(app, &sum, NULL);
    if (rc < 0) fprintf(stderr, "join_handle: %s\n", uvt_strerror(rc));
    return rc < 0;
}
