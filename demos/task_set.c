/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, "Structured concurrency" (JoinSet, process(1..=5) with a sleep of 50 ms, sum of squares) and
 * document 001, "Use a JoinSet for dynamic groups of tasks" (work(1..=5), total). A set owns its tasks: whatever
 * happens between open and close, none of them is left running.
 */
#include <stdio.h>
#include <uvtask.h>

static int process(void *arg) {
    int *item = arg;
    int rc = uvt_sleep(50);
    return rc < 0 ? rc : *item * *item;
}

static int work(void *arg) {
    int *id = arg;
    return *id * *id;
}

/* Runs fn over 1..5 and adds up what the tasks return, in the order they end. */
static int sum_of(uvt_fn fn) {
    int items[] = { 1, 2, 3, 4, 5 }, total = 0;
    uvt_result r;
    uvt_set_t set;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;

    for (int i = 0; i < 5 && rc >= 0; i++) rc = uvt_set_spawn(&set, fn, &items[i]);
    while (rc >= 0 && (rc = uvt_set_next(&set, &r)) == 0) {
        if (r.status < 0)
            rc = r.status;
        else
            total += r.status;
    }
    uvt_set_close(&set);
    return rc == UV_EOF ? total : rc; /* UV_EOF: every result was taken */
}

static int app(void *arg) {
    (void)arg;
    int sum = sum_of(process);
    if (sum < 0) return sum;
    printf("sum of squares = %d\n", sum);

    int total = sum_of(work);
    if (total < 0) return total;
    printf("total = %d\n", total);
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "task_set: %s\n", uvt_strerror(rc));
    return rc < 0;
}
