/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 5: a token, handed around, tells many tasks to finish.
 */
#include <stdio.h>
#include <uvtask.h>

struct worker {
    int number;
    uvt_token_t *stop;
};

static int worker(void *arg) {
    struct worker *w = arg;
    int units = 0, rc = 0;
    while (rc == 0 && !uvt_token_cancelled(w->stop)) {
        rc = uvt_sleep(50); /* a unit of work: the token does not cut it, it is only asked between two; a cancel does */
        units += rc == 0;
    }
    printf("worker %d: stopping (did %d units)\n", w->number, units);
    return rc;
}

static int app(void *arg) {
    (void)arg;
    uvt_token_t *stop;
    int rc = uvt_token_new(&stop, NULL);
    if (rc < 0) return rc;

    struct worker workers[3];
    uvt_set_t set;
    uvt_set_open(&set, NULL);
    for (int i = 0; i < 3; i++) {
        workers[i] = (struct worker){ i + 1, stop };
        uvt_set_spawn(&set, worker, &workers[i]);
    }
    uvt_sleep(120);
    printf("app: asking them to stop\n");
    uvt_token_cancel(stop, "shutdown");
    rc = uvt_set_wait(&set);
    printf("app: all have stopped\n");

    uvt_set_close(&set);
    uvt_token_unref(stop);
    return rc;
}

int main(void) {
    return uvt_run(app, NULL, NULL);
}
