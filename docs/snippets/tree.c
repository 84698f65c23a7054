/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 1: tasks, and what an owner owes its children.
 */
#include <stdio.h>
#include <uvtask.h>

static int square(void *arg) {
    int n = *(int *)arg;
    uvt_sleep(10 * (uint64_t)n);
    return n * n;
}

static int forgotten(void *arg) {
    (void)arg;
    int rc = uvt_sleep(60 * 1000); /* nobody joins this task: it is cancelled when its owner ends */
    printf("forgotten: %s\n", uvt_err_name(rc));
    return rc;
}

static int app(void *arg) {
    (void)arg;
    int three = 3, four = 4; /* borrowed by children that are joined below */
    uvt_task_t a, b;
    uvt_spawn(&a, square, &three);
    uvt_spawn(&b, square, &four);
    uvt_spawn(NULL, forgotten, NULL);

    uvt_result ra, rb;
    uvt_join(a, &ra);
    uvt_join(b, &rb);
    printf("%d + %d = %d\n", ra.status, rb.status, ra.status + rb.status);
    return 0; /* not before forgotten has ended */
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    printf("run: %d\n", rc);
    return rc;
}
