/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 11: when every task waits and nothing can wake them, uvt_run says so instead of hanging.
 */
#include <stdio.h>
#include <string.h>
#include <uvtask.h>

static uvt_semaphore_t left, right;

static int philosopher(void *arg) {
    int number = *(int *)arg;
    uvt_semaphore_t *first = number == 0 ? &left : &right, *second = number == 0 ? &right : &left;
    int rc = uvt_semaphore_acquire(first);
    if (rc < 0) return rc;
    uvt_yield();
    rc = uvt_semaphore_acquire(second); /* each holds what the other wants */
    if (rc == 0) uvt_semaphore_release(second, 1);
    uvt_semaphore_release(first, 1);
    return rc;
}

static int app(void *arg) {
    (void)arg;
    int numbers[] = { 0, 1 };
    uvt_semaphore_init(&left, 1, 1);
    uvt_semaphore_init(&right, 1, 1);
    uvt_set_t set;
    uvt_set_open(&set, NULL);
    for (int i = 0; i < 2; i++) uvt_set_spawn(&set, philosopher, &numbers[i]);
    int rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    return rc;
}

static void report(void *arg, const char *text) {
    int *named = arg;
    if (strstr(text, "philosopher") != NULL) ++*named;
    fprintf(stderr, "%s\n", text);
}

int main(void) {
    int named = 0;
    int rc = uvt_run(app, NULL, &(uvt_options){ .report = report, .report_arg = &named });
    printf("run: %s; the report names the tasks: %s\n", uvt_err_name(rc), named > 0 ? "yes" : "no");
    return rc == UVT_EDEADLK ? 0 : 1;
}
