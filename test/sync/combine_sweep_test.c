/* SPDX-License-Identifier: MIT
 *
 * Combinators under every fault: each allocation failing, and the caller cancelled at each of its suspensions. Whatever
 * n: all branches that have begun have ended when the call returns, nothing is left, and every branch says what
 * came of it.
 */
#include "branches.h"

enum { N = 4 };

static struct work work[N];

/* Some that end by themselves, one that does not listen, one that cleans up. */
static void set_up(uvt_branch_t *b) {
    static const uvt_fn fns[N] = { works, works_on, cleans_up, works };
    for (int i = 0; i < N; i++) {
        work[i] = (struct work){ .ms = 3 + 2 * (uint64_t)i, .value = 100 + i };
        b[i] = (uvt_branch_t){ .fn = fns[i], .arg = &work[i], .status = 77 };
    }
}

/* What must hold of the branches after any call. */
static void check_all(const uvt_branch_t *b) {
    for (int i = 0; i < N; i++) {
        CHECK_EQ(work[i].begun, work[i].ended);
        CHECK(work[i].begun <= 1);
        if (b[i].status == UV_ENOMEM) CHECK_EQ(work[i].begun, 0);
        else if (b[i].status == UV_ECANCELED) CHECK_EQ(b[i].outcome, UVT_CANCELLED);
        else CHECK_EQ(b[i].status, 100 + i);
    }
}

static int joins_all(void *arg) {
    uvt_branch_t b[N];
    (void)arg;
    set_up(b);
    int rc = uvt_join_all(b, N);
    check_all(b);
    if (rc == 0) for (int i = 0; i < N; i++) CHECK_EQ(b[i].status, 100 + i);
    return rc;
}

static int tries_to_join(void *arg) {
    uvt_branch_t b[N];
    (void)arg;
    set_up(b);
    int rc = uvt_try_join(b, N);
    check_all(b);
    if (rc == 0) for (int i = 0; i < N; i++) CHECK_EQ(b[i].status, 100 + i);
    return rc;
}

/* A race that was cancelled is won by the one that does not listen, or by nobody. */
static int races(void *arg) {
    uvt_branch_t b[N];
    (void)arg;
    set_up(b);
    int rc = uvt_race(b, N);
    check_all(b);
    if (rc >= 0 && b[rc].status == UV_ENOMEM) return UV_ENOMEM;
    if (rc >= 0) CHECK_EQ(b[rc].status, 100 + rc);
    return rc;
}

static int wants_one(void *arg) {
    uvt_branch_t b[N];
    (void)arg;
    set_up(b);
    int rc = uvt_first_ok(b, N);
    check_all(b);
    if (rc >= 0) CHECK_EQ(b[rc].status, 100 + rc);
    return rc;
}

static int item(void *arg, void *ctx) {
    (void)ctx;
    return works(arg);
}

static int maps(void *arg) {
    enum { ITEMS = 40 };
    struct work items[ITEMS];
    (void)arg;
    for (int i = 0; i < ITEMS; i++) items[i] = (struct work){ .ms = 1 + (uint64_t)i % 3 };
    int rc = uvt_map(items, ITEMS, sizeof *items, 20, item, NULL);
    for (int i = 0; i < ITEMS; i++) {
        CHECK_EQ(items[i].begun, items[i].ended);
        if (rc == 0) CHECK_EQ(items[i].begun, 1);
    }
    return rc;
}

static int begins(void *arg) {
    int rc = uvt_sleep(1);
    if (rc == 0) rc = uvt_started(NULL);
    return rc < 0 ? rc : works(arg);
}

static int has_a_background(void *arg) {
    struct work behind = { .ms = UVT_FOREVER }, body = { .ms = 5 };
    (void)arg;
    int rc = uvt_background(begins, &behind, works, &body);
    CHECK_EQ(behind.begun, behind.ended);
    CHECK_EQ(body.begun, body.ended);
    return rc;
}

static int fails_twice(void *arg) {
    int rc = uvt_sleep(1);
    return rc < 0 ? rc : ++*(int *)arg < 3 ? UV_EIO : 0;
}

static int retries(void *arg) {
    int calls = 0;
    (void)arg;
    return uvt_retry(&(uvt_retry_options){ .delay_ms = 3 }, fails_twice, &calls);
}

static int takes_tokens(void *arg) {
    uvt_rate_t rate;
    (void)arg;
    CHECK_EQ(uvt_rate_init(&rate, 1, 1, 2), 0);
    for (int i = 0; i < 5; i++) {
        int rc = uvt_rate_acquire(&rate, 2);
        CHECK_EQ(uvt_rate_waiting(&rate), 0);
        if (rc < 0) return rc;
    }
    return 0;
}

static const uvt_fn all[] = { joins_all, tries_to_join,    races,   wants_one,
                              maps,      has_a_background, retries, takes_tokens };
enum { ALL = sizeof all / sizeof all[0] };

/* ---- out of memory ---- */

static int run_one(void *body) {
    int rc = (*(const uvt_fn *)body)(NULL);
    return rc > 0 ? 0 : rc;
}

UVT_TEST_PLAIN(combine_oom_at_every_allocation_leaks_nothing_and_is_told) {
    for (int i = 0; i < ALL; i++) {
        for (unsigned n = 1;; n++) {
            size_t blocks = uvt_test_live_blocks();
            uvt_test_fail_alloc(n);
            int rc = uvt_test_run(run_one, (void *)&all[i], NULL);
            bool hit = uvt_test_fail_hit();
            uvt_test_fail_alloc(0);
            CHECK_EQ(uvt_test_live_blocks(), blocks);
            if (rc != 0 && !(rc == UV_ENOMEM && hit))
                uvt_test_fail(__FILE__, __LINE__, "call %d, allocation %u: %s", i, n, uvt_err_name(rc));
            if (!hit) break;
            CHECK(n < 1000);
        }
    }
}

/* More branches than there are records in a chunk: it is a later spawn that fails, and those before it do not run. */
static int many_or_none(void *arg) {
    enum { MANY = 300 };
    static struct work w[MANY];
    static uvt_branch_t b[MANY];
    (void)arg;
    for (unsigned n = 1; n < 5; n++) {
        for (int i = 0; i < MANY; i++) {
            w[i] = (struct work){ .ms = 1, .value = i };
            b[i] = (uvt_branch_t)UVT_BRANCH(works, &w[i]);
        }
        uvt_test_fail_alloc(n);
        int rc = uvt_join_all(b, MANY);
        bool hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        for (int i = 0; i < MANY; i++) {
            CHECK_EQ(w[i].begun, w[i].ended);
            if (rc == 0) CHECK_EQ(b[i].status, i);
            else CHECK(b[i].status == UV_ENOMEM ? w[i].begun == 0 : b[i].status == i);
        }
        if (n <= 2) { /* the set, a chunk of records */
            CHECK(hit);
            CHECK_EQ(rc, UV_ENOMEM);
            for (int i = 0; i < MANY; i++) CHECK_EQ(w[i].begun, 0);
        }
    }
    return 0;
}

UVT_TEST_PLAIN(combine_oom_at_a_late_branch_none_has_run) {
    CHECK_EQ(uvt_test_run(many_or_none, NULL, NULL), 0);
}

/* ---- cancelled at every suspension ---- */

struct victim {
    uvt_fn work;
    unsigned n; /* the suspension at which it is aborted */
    bool hit;   /* it was */
};

static int run_victim(void *arg) {
    struct victim *v = arg;
    CHECK_EQ(uvt_test_cancel_at(v->n), 0);
    int rc = v->work(NULL);
    v->hit = uvt_test_cancel_hit();
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc;
}

UVT_TEST(combine_cancel_at_every_suspension_all_branches_are_awaited) {
    for (int i = 0; i < ALL; i++) {
        int cut_short = 0;
        for (struct victim v = { .work = all[i], .n = 1, .hit = true }; v.hit; v.n++) {
            uvt_task_t t;
            uvt_result r;
            uvt_stats before, after;
            CHECK_EQ(uvt_stats_get(&before), 0);
            CHECK_EQ(uvt_spawn(&t, run_victim, &v), 0);
            CHECK_EQ(uvt_join(t, &r), 0);
            CHECK_EQ(uvt_stats_get(&after), 0);
            CHECK_EQ(after.tasks, before.tasks);
            CHECK_EQ(after.timers, before.timers);
            CHECK_EQ(after.records, before.records);
            if (r.status < 0) {
                CHECK(v.hit);
                CHECK_EQ(r.outcome, UVT_CANCELLED);
                cut_short++;
            }
            CHECK(v.n < 1000);
        }
        if (cut_short == 0 && all[i] != races && all[i] != wants_one) /* which one who does not listen has won */
            uvt_test_fail(__FILE__, __LINE__, "call %d was never cut short", i);
    }
}

/* ---- cancelled in other ways ---- */

static int in_a_cancelled_scope(uvt_fn fn) {
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    int rc = fn(NULL);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    return rc;
}

UVT_TEST(combine_in_a_cancelled_scope_no_branch_runs) {
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(in_a_cancelled_scope(all[i]), UV_ECANCELED);
        for (int k = 0; k < N; k++) CHECK_EQ(work[k].begun, 0);
    }
    for (int i = 4; i < 6; i++) CHECK_EQ(in_a_cancelled_scope(all[i]), UV_ECANCELED);
}

UVT_TEST(combine_cancelled_by_a_deadline_two_parked_one_finished) {
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_timeout(4, joins_all, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 6); /* the second does not listen before 5, the third cleans up for 2 */
    for (int k = 0; k < N; k++) CHECK_EQ(work[k].ended, 1);
}

UVT_TEST(combine_race_cancelled_is_won_by_the_one_that_completed) {
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_timeout(2, races, NULL), 1);
    CHECK_EQ(uvt_now() - t, 5);
}

static int only_listeners(void *arg) {
    uvt_branch_t b[N];
    int (*call)(uvt_branch_t *, size_t) = *(int (**)(uvt_branch_t *, size_t))arg;
    set_up(b);
    b[1].fn = works;
    int rc = call(b, N);
    check_all(b);
    return rc;
}

UVT_TEST(combine_cancelled_with_nobody_completed_is_cancelled) {
    int (*calls[])(uvt_branch_t *, size_t) = { uvt_join_all, uvt_try_join, uvt_race, uvt_first_ok };
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_timeout(2, only_listeners, &calls[i]), UV_ETIMEDOUT);
}

static int completes_nevertheless(void *arg) {
    struct work *w = arg;
    uvt_branch_t b[] = { UVT_BRANCH(works_on, &w[0]), UVT_BRANCH(works_on, &w[1]) };
    return uvt_join_all(b, 2);
}

UVT_TEST(combine_cancelled_but_all_completed_is_no_cancel) {
    struct work w[] = { W(3, 1), W(4, 2) };
    CHECK_EQ(uvt_timeout(1, completes_nevertheless, w), 0);
    w[1] = (struct work)W(4, UV_EIO);
    CHECK_EQ(uvt_timeout(1, completes_nevertheless, w), UV_EIO);
}

UVT_TEST_MAIN()
