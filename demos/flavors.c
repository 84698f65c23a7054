/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, "The runtime flavor decides parallelism": eight tasks note the OS thread they run on, under
 * #[tokio::main] (a worker per core) and under flavor = "current_thread". The flavours are an option here, too: how
 * many shards there are. UVT_PER_CORE would be Tokio's default; it is 4 to be the same figure on every machine.
 *
 * For the same reason the tasks are dealt out, one shard after the other. With UVT_ANY idle shards would fetch them,
 * and tasks as short as these may be done before the last shard has woken up, so the figure would be one of luck.
 */
#include <stdio.h>
#include <uvtask.h>

enum { TASKS = 8 };

static int note_thread(void *arg) {
    uv_thread_t *ran_on = arg;
    int rc = uvt_yield(); /* lets the other tasks of this shard run in between */
    *ran_on = uv_thread_self();
    return rc;
}

/* Returns how many distinct threads the tasks ran on. */
static int app(void *arg) {
    (void)arg;
    uv_thread_t ran_on[TASKS]; /* each task writes its own, so there is nothing to lock */
    int distinct = 0;
    uvt_set_t set;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;

    for (unsigned i = 0; i < TASKS && rc >= 0; i++)
        rc = uvt_set_spawn_opts(&set, NULL, note_thread, &ran_on[i],
                                &(uvt_task_options){ .place = UVT_ON(i % uvt_shard_count()) });
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    if (rc < 0) return rc;

    for (int i = 0; i < TASKS; i++) {
        int first = 0;
        while (!uv_thread_equal(&ran_on[first], &ran_on[i])) first++;
        distinct += first == i;
    }
    return distinct;
}

int main(void) {
    int rc = uvt_run(app, NULL, &(uvt_options){ .shards = 4 });
    if (rc >= 0) {
        printf("8 tasks ran across %d distinct OS threads\n", rc);
        rc = uvt_run(app, NULL, NULL);
    }
    if (rc >= 0) printf("8 tasks ran across %d distinct OS thread(s)\n", rc);
    if (rc < 0) fprintf(stderr, "flavors: %s\n", uvt_strerror(rc));
    return rc < 0;
}
