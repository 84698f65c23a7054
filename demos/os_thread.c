/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, "Tasks vs OS Threads": std::thread::spawn that adds up 1..=100, and join. join would block the
 * loop, so the thread reports through a oneshot: the task that waits for it is set aside and others run on.
 */
#include <stdio.h>
#include <uvtask.h>

struct job {
    uint64_t sum;
    uvt_oneshot_t *done;
};

static void thread_main(void *arg) {
    struct job *job = arg;
    for (uint64_t i = 1; i <= 100; i++) job->sum += i;
    uvt_oneshot_send(job->done, 0, NULL); /* works from any thread */
}

static int app(void *arg) {
    (void)arg;
    struct job job = { 0 };
    uv_thread_t thread;
    int rc = uvt_oneshot_new(&job.done, UVT_ONESHOT_EXTERNAL);
    if (rc < 0) return rc;

    rc = uv_thread_create(&thread, thread_main, &job);
    if (rc < 0) {
        uvt_oneshot_close_tx(job.done);
    } else {
        rc = uvt_oneshot_recv(job.done, NULL, NULL);
        uv_thread_join(&thread); /* it has sent, so this is short; and it uses job, which is ours */
    }
    uvt_oneshot_close_rx(job.done, NULL);
    if (rc < 0) return rc;

    printf("sum = %llu\n", (unsigned long long)job.sum);
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "os_thread: %s\n", uvt_strerror(rc));
    return rc < 0;
}
