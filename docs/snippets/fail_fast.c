/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 2: a set whose first failure ends the rest.
 */
#include <stdio.h>
#include <uvtask.h>

static int download(void *arg) {
    int n = *(int *)arg;
    int rc = uvt_sleep(20 * (uint64_t)n);
    if (rc < 0) return rc; /* a sibling failed: clean up, say so, go */
    if (n == 3) return UV_ECONNRESET;
    printf("download %d: ok\n", n);
    return 0;
}

static int app(void *arg) {
    (void)arg;
    int numbers[] = { 1, 2, 3, 4, 5 };
    uvt_set_t set;
    uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true });
    for (int i = 0; i < 5; i++) uvt_set_spawn(&set, download, &numbers[i]);

    int rc = uvt_set_wait(&set); /* every member has ended: by itself, or because 3 failed */
    uvt_set_close(&set);
    return rc;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    printf("app: %s\n", uvt_err_name(rc));
    return rc == UV_ECONNRESET ? 0 : 1;
}
