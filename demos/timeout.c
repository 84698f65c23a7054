/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, "Cancellation: a first-class concept": tokio::time::timeout of 100 ms around slow_query, which
 * sleeps for 500 ms. (Node.js: Promise.race, where the loser goes on running.) There is no child task: the query's own
 * call returns early, so that it cleans up where it stands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <uvtask.h>

static int slow_query(void *arg) {
    const char **answer = arg;
    char *row = malloc(64);
    if (!row) return UV_ENOMEM;

    int rc = uvt_sleep(500); /* the database thinks; in a cancelled scope this returns UV_ECANCELED */
    if (rc >= 0) *answer = "query result";

    free(row);
    printf("query: gave its buffer back (%s)\n", rc < 0 ? uvt_err_name(rc) : "done");
    return rc;
}

static int app(void *arg) {
    (void)arg;
    const char *answer = NULL;
    int rc = uvt_timeout(100, slow_query, &answer);
    if (rc == UV_ETIMEDOUT)
        printf("timed out — the query future was dropped/cancelled\n");
    else if (rc >= 0)
        printf("got: %s\n", answer);
    return rc == UV_ETIMEDOUT ? 0 : rc;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "timeout: %s\n", uvt_strerror(rc));
    return rc < 0;
}
