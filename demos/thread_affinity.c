/* SPDX-License-Identifier: MIT
 *
 * Mirrors documents 000 (pitfall 1) and 001 (pitfall 2): an Rc held across an .await, "future cannot be sent between
 * threads safely". A handle of a task or a set is for the shard that made it. Where Rust's compiler says no, the call
 * does here: nothing was done, and the code says why. What is meant for other threads (uvt_abort, tokens, oneshots,
 * posts) works from everywhere.
 */
#include <stdio.h>
#include <uvtask.h>

struct handles {
    uvt_task_t task;
    uvt_set_t set;
};

static int sleeper(void *arg) {
    (void)arg;
    return uvt_sleep(60 * 1000);
}

static void say(const char *what, int rc) {
    printf("shard %u: %s: %s\n", uvt_shard_index(), what, rc == UVT_ESHARD ? uvt_strerror(rc) : rc ? "?" : "ok");
}

static int on_shard_1(void *arg) {
    struct handles *h = arg; /* made on shard 0 */
    say("join", uvt_join(h->task, NULL));
    say("spawn into the set", uvt_set_spawn(&h->set, sleeper, NULL));
    say("abort", uvt_abort(h->task));
    return 0;
}

static int app(void *arg) {
    (void)arg;
    struct handles h;
    uvt_result r;
    int rc = uvt_spawn(&h.task, sleeper, NULL);
    if (rc >= 0) rc = uvt_set_open(&h.set, NULL);
    if (rc < 0) return rc;

    rc = uvt_call(1, on_shard_1, &h); /* runs there, and is awaited here: it may use our locals */
    if (rc >= 0) rc = uvt_join(h.task, &r);
    if (rc >= 0) {
        say("join", rc);
        printf("task was cancelled: %s\n", r.outcome == UVT_CANCELLED ? "true" : "false");
    }
    uvt_set_close(&h.set);
    return rc;
}

int main(void) {
    int rc = uvt_run(app, NULL, &(uvt_options){ .shards = 2 });
    if (rc < 0) fprintf(stderr, "thread_affinity: %s\n", uvt_strerror(rc));
    return rc < 0;
}
