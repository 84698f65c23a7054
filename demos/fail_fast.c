/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, exercise 2, "Fail fast and cancel the rest": three downloads in a JoinSet, the third fails
 * after 20 ms, abort_all stops the others. (Node.js: Promise.all rejects, but the others go on.) A fail_fast set does
 * the aborting by itself, and its close says which failure was the first.
 */
#include <stdio.h>
#include <uvtask.h>

struct download {
    int id, ms;
};

static int download(void *arg) {
    struct download *d = arg;
    int rc = uvt_sleep((uint64_t)d->ms);
    if (rc < 0) return rc;
    return d->id == 3 ? UV_ECONNRESET : 0;
}

static int app(void *arg) {
    (void)arg;
    struct download downloads[] = { { 1, 80 }, { 2, 40 }, { 3, 20 } }; /* the third fails first */
    uvt_result r;
    uvt_set_t set;
    int rc = uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true });
    if (rc < 0) return rc;

    for (int i = 0; i < 3 && rc >= 0; i++) rc = uvt_set_spawn(&set, download, &downloads[i]);
    while (rc >= 0 && (rc = uvt_set_next(&set, &r)) == 0) {
        struct download *d = r.arg;
        if (r.outcome == UVT_CANCELLED) continue; /* cut short because of its sibling: not an error of its own */
        if (r.status < 0)
            printf("error: download %d failed -> aborting remaining downloads\n", d->id);
        else
            printf("ok: file-%d\n", d->id);
    }
    int failure = uvt_set_close(&set); /* the first failure, once more */
    if (rc != UV_EOF) return rc;
    if (failure != UV_ECONNRESET) return failure;

    printf("done\n");
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "fail_fast: %s\n", uvt_strerror(rc));
    return rc < 0;
}
