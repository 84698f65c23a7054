/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000: Promise.race([query, timer]) of Node.js, where the loser goes on running, and the row of its
 * table that maps Promise.race to tokio's select!, which drops the branches that have lost. Here a loser is cancelled,
 * cleans up where it stands, and has ended before the call returns. Three ways: a task beside a clock (select), the
 * first of three mirrors (race), and the first that works (first_ok; Promise.any).
 */
#include <stdio.h>
#include <uvtask.h>

struct mirror {
    const char *name;
    uint64_t ms; /* how long it takes to answer */
    int answer;  /* bytes, or a code */
};

static int ask(void *arg) {
    struct mirror *m = arg;
    int rc = uvt_sleep(m->ms);
    if (rc < 0) printf("  %s: hung up\n", m->name); /* here its connection would be closed */
    return rc < 0 ? rc : m->answer;
}

/* A request against a clock. The set sees to it that the request has ended, and m may go, on every path. */
static int with_timeout(uint64_t ms) {
    struct mirror m = { .name = "the request", .ms = 200, .answer = 1200 };
    uvt_set_t set;
    uvt_result r;
    uint64_t start = uvt_now();
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;
    rc = uvt_set_spawn(&set, ask, &m);

    uvt_case_t cases[] = { uvt_case_set_next(&set, &r), uvt_case_sleep(ms) };
    if (rc >= 0) rc = uvt_select(cases, 2, 0);
    if (rc == 0) printf("select: %d bytes after ~%d ms\n", r.status, (int)(uvt_now() - start));
    if (rc == 1) printf("select: the clock came first, after ~%d ms\n", (int)(uvt_now() - start));

    uvt_set_close(&set);
    return rc;
}

static int first_answer(void) {
    struct mirror m[] = { { "berlin", 150, 1500 }, { "oslo", 50, 1300 }, { "lima", 250, 1700 } };
    uvt_branch_t b[] = { UVT_BRANCH(ask, &m[0]), UVT_BRANCH(ask, &m[1]), UVT_BRANCH(ask, &m[2]) };
    uint64_t start = uvt_now();
    int first = uvt_race(b, 3);
    if (first < 0) return first;
    printf("race: %s with %d bytes after ~%d ms, berlin %s, lima %s\n", m[first].name, b[first].status,
           (int)(uvt_now() - start), uvt_err_name(b[0].status), uvt_err_name(b[2].status));
    return 0;
}

static int first_that_works(void) {
    struct mirror m[] = { { "berlin", 100, 1500 }, { "oslo", 50, UV_ECONNREFUSED }, { "lima", 250, 1700 } };
    uvt_branch_t b[] = { UVT_BRANCH(ask, &m[0]), UVT_BRANCH(ask, &m[1]), UVT_BRANCH(ask, &m[2]) };
    uint64_t start = uvt_now();
    int first = uvt_first_ok(b, 3);
    if (first < 0) return first;
    printf("first_ok: %s with %d bytes after ~%d ms, oslo %s\n", m[first].name, b[first].status,
           (int)(uvt_now() - start), uvt_err_name(b[1].status));
    return 0;
}

static int app(void *arg) {
    (void)arg;
    int rc = with_timeout(100);
    if (rc >= 0) rc = with_timeout(300);
    if (rc >= 0) rc = first_answer();
    if (rc >= 0) rc = first_that_works();
    return rc;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "select_race: %s\n", uvt_strerror(rc));
    return rc < 0;
}
