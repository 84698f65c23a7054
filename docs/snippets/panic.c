/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 10: a panic ends one task, and whoever joins it is told.
 */
#include <stdio.h>
#include <uvtask.h>

static int parse(void *arg) {
    const char *text = arg;
    if (text[0] != '{') uvt_panic("not an object: %s", text);
    return 1;
}

static int app(void *arg) {
    (void)arg;
    uvt_task_t t;
    uvt_result r;
    uvt_spawn(&t, parse, "[1, 2]");
    int rc = uvt_join(t, &r);
    if (rc == 0 && r.outcome == UVT_PANICKED) printf("task failed: %s\n", r.message);
    printf("app is still alive\n");
    return 0;
}

int main(void) {
    return uvt_run(app, NULL, NULL);
}
