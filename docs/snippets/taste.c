// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <uvtask.h>

static int fetch_user(void *arg) {
    int rc = uvt_sleep(100);                 /* suspends this task, not the thread */
    return rc < 0 ? rc : *(int *)arg;
}

static int app(void *arg) {
    (void)arg;
    int ids[] = {1, 2, 3};
    uvt_set_t set;                           /* owns its tasks: none outlives this block */
    uvt_set_open(&set, NULL);
    for (int i = 0; i < 3; i++) uvt_set_spawn(&set, fetch_user, &ids[i]);

    uvt_result r;
    while (uvt_set_next(&set, &r) == 0) printf("user-%d\n", r.status);
    return uvt_set_close(&set);              /* cancels and awaits stragglers */
}

int main(void) { return uvt_run(app, NULL, NULL); }
