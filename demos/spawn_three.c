/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 003, "Rust Concurrency": run_task of A, B and C under tokio::join!, then the same with each in a
 * tokio::spawn. (Node.js: Promise.all.) A task is spawned in both cases here: as member of a set that is waited for
 * as a whole, and by a handle of its own.
 */
#include <stdio.h>
#include <uvtask.h>

static int run_task(void *arg) {
    const char *name = arg;
    printf("task %s start\n", name);
    int rc = uvt_sleep(100);
    if (rc < 0) return rc;
    printf("task %s end\n", name);
    return 0;
}

static int join_three(char **names) {
    uvt_set_t set;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;
    for (int i = 0; i < 3 && rc >= 0; i++) rc = uvt_set_spawn(&set, run_task, names[i]);
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    return rc;
}

static int spawn_three(char **names) {
    uvt_task_t tasks[3];
    int rc = 0;
    for (int i = 0; i < 3 && rc >= 0; i++) rc = uvt_spawn(&tasks[i], run_task, names[i]);
    for (int i = 0; i < 3 && rc >= 0; i++) rc = uvt_join(tasks[i], NULL);
    return rc;
}

static int app(void *arg) {
    (void)arg;
    char *names[] = { "A", "B", "C" };
    int rc = join_three(names);
    return rc < 0 ? rc : spawn_three(names);
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "spawn_three: %s\n", uvt_strerror(rc));
    return rc < 0;
}
