/* SPDX-License-Identifier: MIT
 *
 * The semaphore of a test (every test has a process of its own) and tasks that queue for it.
 */
#ifndef UVTASK_TEST_SYNC_PERMITS_H
#define UVTASK_TEST_SYNC_PERMITS_H

#include <uvtask.h>
#include <uvtask/test.h>

#define MS(n) ((void *)(intptr_t)(n))

static uvt_semaphore_t sem;

static inline void init(unsigned permits, unsigned limit) {
    CHECK_EQ(uvt_semaphore_init(&sem, permits, limit), 0);
}

static inline int acquire(void *arg) {
    (void)arg;
    return uvt_semaphore_acquire(&sem);
}

#endif
