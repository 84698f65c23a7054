/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 3: deadlines belong to regions of code, not to calls.
 */
#include <stdio.h>
#include <uvtask.h>

static int query(void *arg) {
    (void)arg;
    int rc = uvt_sleep(500); /* connect, ask, read: any of it may be where the time runs out */
    printf("query: %s\n", rc < 0 ? uvt_err_name(rc) : "an answer");
    return rc;
}

static int app(void *arg) {
    (void)arg;
    int rc = uvt_timeout(50, query, NULL);
    printf("uvt_timeout: %s\n", uvt_err_name(rc));

    /* The same, spelled out. Deadlines nest; the earliest one counts. */
    uvt_scope_t scope;
    uvt_scope_begin(&scope, &(uvt_scope_options){ .timeout_ms = 50 });
    rc = query(NULL);
    rc = uvt_scope_end(&scope, rc);
    printf("uvt_scope_end: %s\n", uvt_err_name(rc));
    return 0;
}

int main(void) {
    return uvt_run(app, NULL, NULL);
}
