/* SPDX-License-Identifier: MIT
 *
 * Branches, as the tests of the combinators have them: each says how long it takes and what it returns, and notes when
 * it is cut short.
 */
#ifndef UVTASK_TEST_SYNC_BRANCHES_H
#define UVTASK_TEST_SYNC_BRANCHES_H

#include "../core/bodies.h"

struct work {
    uint64_t ms;      /* takes so long */
    int value;        /* then returns this */
    const char *name; /* a step when it was cancelled and has cleaned up; NULL none */
    int begun, ended; /* how often */
};

#define W(t, v)        { .ms = (t), .value = (v) }
#define NAMED(t, v, n) { .ms = (t), .value = (v), .name = (n) }

static inline int works(void *arg) {
    struct work *w = arg;
    w->begun++;
    int rc = uvt_sleep(w->ms);
    if (rc < 0 && w->name) uvt_test_step("%s", w->name);
    w->ended++;
    return rc < 0 ? rc : w->value;
}

/* Does not listen to a cancel. */
static inline int works_on(void *arg) {
    return uvt_shielded(UVT_FOREVER, works, arg);
}

/* Returns at once, without suspending. */
static inline int is_ready(void *arg) {
    struct work *w = arg;
    w->begun++;
    w->ended++;
    return w->value;
}

/* Takes 2 ms more to clean up when it is cancelled. */
static inline int two_ms(void *arg) {
    (void)arg;
    return uvt_sleep(2);
}

static inline int cleans_up(void *arg) {
    struct work *w = arg;
    int rc = works(w);
    if (rc < 0) CHECK_EQ(uvt_shielded(UVT_FOREVER, two_ms, NULL), 0);
    return rc;
}

static inline int panics(void *arg) {
    (void)arg;
    uvt_panic("no way");
}

static inline int ends_itself(void *arg) {
    (void)arg;
    uvt_abort(uvt_self());
    return uvt_yield();
}

#endif
