/* SPDX-License-Identifier: MIT
 *
 * What the tests of locks and signals share: starting a task and letting it run until it waits, and ends that say how.
 * A test's objects are static: every test has a process of its own.
 */
#ifndef UVTASK_TEST_SYNC_LOCKS_H
#define UVTASK_TEST_SYNC_LOCKS_H

#include "../core/bodies.h"

/* A child that has run until it waits, or ended. */
#define settled(fn, arg) settled_as(#fn, fn, arg)
static inline uvt_task_t settled_as(const char *name, uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_opts(&t, fn, arg, &(uvt_task_options){ .name = name }), 0);
    settle();
    return t;
}

static inline void check_ended(uvt_task_t t, uvt_outcome outcome, int status) {
    uvt_result r;
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, outcome);
    CHECK_EQ(r.status, status);
}

static inline void check_returned(uvt_task_t t, int status) {
    check_ended(t, UVT_RETURNED, status);
}

static inline void check_cancelled(uvt_task_t t) {
    check_ended(t, UVT_CANCELLED, UV_ECANCELED);
}

/* fn runs in a callback on this loop, soon. */
static inline void post_here(void (*fn)(void *)) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post(rt, fn, NULL), 0);
    uvt_runtime_unref(rt);
}

static inline bool same_task(uvt_task_t a, uvt_task_t b) {
    return a.rec == b.rec && a.id == b.id;
}

static inline void check_reported(const char *text) {
    const char *reports = uvt_test_reports();
    if (!strstr(reports, text)) uvt_test_fail(__FILE__, __LINE__, "no \"%s\" in: %s", text, reports);
}

#endif
