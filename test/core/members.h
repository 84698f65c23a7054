/* SPDX-License-Identifier: MIT
 *
 * Members of sets, as the tests of sets have them: a body's argument is its time in ms, MS(n).
 */
#ifndef UVTASK_TEST_CORE_MEMBERS_H
#define UVTASK_TEST_CORE_MEMBERS_H

#include <uvtask.h>
#include <uvtask/test.h>

#define MS(n) ((void *)(intptr_t)(n))

/* Returns arg after arg ms. */
static inline int nap(void *arg) {
    int rc = uvt_sleep((uint64_t)(intptr_t)arg);
    return rc < 0 ? rc : (int)(intptr_t)arg;
}

static inline int endless(void *arg) {
    (void)arg;
    return uvt_sleep(UVT_FOREVER);
}

/* Fails with UV_EIO after arg ms. */
static inline int fail_later(void *arg) {
    int rc = uvt_sleep((uint64_t)(intptr_t)arg);
    return rc < 0 ? rc : UV_EIO;
}

/* The next result, which must be there or come. */
static inline uvt_result take(uvt_set_t *set) {
    uvt_result r;
    CHECK_EQ(uvt_set_next(set, &r), 0);
    return r;
}

#endif
