/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 12: tasks on a loop that the program drives itself, beside its callbacks.
 */
#include <stdio.h>
#include <uvtask.h>

static void on_timer(uv_timer_t *timer) {
    printf("callback\n");
    uv_close((uv_handle_t *)timer, NULL);
}

static int job(void *arg) {
    (void)arg;
    printf("task: begins\n");
    int rc = uvt_sleep(100);
    printf("task: ends\n");
    return rc;
}

static void done(void *arg, int status) {
    (void)arg;
    printf("shut down: %d\n", status);
}

int main(void) {
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t timer;
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, on_timer, 50, 0);

    uvt_runtime_t *rt;
    int rc = uvt_attach(&rt, loop, NULL);
    if (rc < 0) return 1;
    uvt_runtime_spawn(rt, job, NULL);
    uv_run(loop, UV_RUN_DEFAULT); /* tasks that wait keep the loop alive, as handles do */

    uvt_runtime_shutdown(rt, done, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    uvt_runtime_unref(rt);
    return uv_loop_close(loop) == 0 ? 0 : 1;
}
