/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, "Cooperative cancellation with CancellationToken": three workers in a JoinSet, each a loop of
 * tokio::select! between token.cancelled() and a sleep of 30 ms; the token is cancelled after 100 ms. Where Tokio
 * selects, a scope binds the token to the calls inside it.
 */
#include <stdio.h>
#include <uvtask.h>

struct worker {
    int id;
    uvt_token_t *stop;
};

static int worker(void *arg) {
    struct worker *w = arg;
    int rc, units = 0;
    uvt_scope_t scope;
    uvt_interval_t tick;

    rc = uvt_scope_begin(&scope, &(uvt_scope_options){ .token = w->stop });
    if (rc < 0) return rc;
    uvt_interval_init(&tick, 30, UVT_MISSED_BURST); /* one unit of work every 30 ms */
    while ((rc = uvt_interval_tick(&tick)) >= 0) units++;
    rc = uvt_scope_end(&scope, rc);

    printf(" worker %d: stopping (did %d units)\n", w->id, units);
    return uvt_scope_caught(&scope) ? 0 : rc; /* told to stop by our token: that is no failure */
}

static int app(void *arg) {
    (void)arg;
    struct worker workers[3];
    uvt_token_t *stop;
    uvt_set_t set;
    int rc = uvt_token_new(&stop, NULL);
    if (rc < 0) return rc;
    rc = uvt_set_open(&set, NULL);
    if (rc < 0) goto out;

    for (int i = 0; i < 3 && rc >= 0; i++) {
        workers[i] = (struct worker){ .id = i + 1, .stop = stop };
        rc = uvt_set_spawn(&set, worker, &workers[i]);
    }
    if (rc >= 0) rc = uvt_sleep(100);
    if (rc >= 0) {
        printf("main: broadcasting shutdown\n");
        uvt_token_cancel(stop, "shutdown");
        rc = uvt_set_wait(&set);
    }
    uvt_set_close(&set);
    if (rc >= 0) printf("main: all workers stopped cleanly\n");
out:
    uvt_token_unref(stop);
    return rc;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "cancel_token: %s\n", uvt_strerror(rc));
    return rc < 0;
}
