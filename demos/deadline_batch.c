/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, exercise 3, "Bounded batch with a deadline": process(1..=4) in a JoinSet, tokio::select!
 * between join_next and a pinned sleep of 100 ms, then abort_all. Here the deadline is a scope around the collecting;
 * the members are not inside it, and close cancels those that are late.
 */
#include <stdio.h>
#include <uvtask.h>

enum { JOBS = 4 };

static int process(void *arg) {
    int *id = arg;
    int rc = uvt_sleep(*id % 2 == 0 ? 200 : 20); /* even ones are slow */
    return rc < 0 ? rc : *id;
}

static int app(void *arg) {
    (void)arg;
    int ids[JOBS];
    bool done[JOBS + 1] = { false }; /* by id, so that the list below is sorted */
    uvt_scope_t budget;
    uvt_result r;
    uvt_set_t set;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;

    for (int i = 0; i < JOBS && rc >= 0; i++) {
        ids[i] = i + 1;
        rc = uvt_set_spawn(&set, process, &ids[i]);
    }
    if (rc < 0) goto out;

    rc = uvt_scope_begin(&budget, &(uvt_scope_options){ .timeout_ms = 100 });
    if (rc < 0) goto out;
    while ((rc = uvt_set_next(&set, &r)) == 0)
        if (r.status > 0) done[r.status] = true;
    rc = uvt_scope_end(&budget, rc);
    if (rc == UV_ETIMEDOUT || rc == UV_EOF) rc = 0; /* the budget is used up, or all were in time */
out:
    uvt_set_close(&set); /* cancels and awaits the slow ones */
    if (rc < 0) return rc;

    const char *separator = "";
    printf("completed within budget: [");
    for (int id = 1; id <= JOBS; id++) {
        if (!done[id]) continue;
        printf("%s\"job-%d\"", separator, id);
        separator = ", ";
    }
    printf("]\n");
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "deadline_batch: %s\n", uvt_strerror(rc));
    return rc < 0;
}
