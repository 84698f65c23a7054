/* SPDX-License-Identifier: MIT
 *
 * Bounds of semaphores: never more permits than the limit, a limit that is raised and lowered while tasks
 * hold and wait, requests that can never be met, and wrong use.
 */
#include "permits.h"
#include <string.h>

static int acquire_many(void *arg) {
    return uvt_semaphore_acquire_many(&sem, (unsigned)(intptr_t)arg);
}

/* Spawns a task that queues for n permits, and lets it queue before the next one is spawned. */
static uvt_task_t queue_for(unsigned n) {
    uvt_task_t t;
    unsigned before = uvt_semaphore_waiting(&sem);
    CHECK_EQ(uvt_spawn(&t, acquire_many, MS(n)), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_semaphore_waiting(&sem), before + 1);
    return t;
}

/* ---- bounds ---- */

UVT_TEST(semaphore_released_beyond_its_limit_is_refused_value_unchanged) {
    init(1, 1);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
    CHECK_EQ(uvt_semaphore_acquire(&sem), 0);
    CHECK_EQ(uvt_semaphore_release(&sem, 2), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
}

UVT_TEST(semaphore_added_beyond_int32_is_refused_without_wrapping) {
    init(5, 0);
    CHECK_EQ(uvt_semaphore_release(&sem, INT32_MAX), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_release(&sem, UINT32_MAX), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_available(&sem), 5);
    CHECK_EQ(uvt_semaphore_release(&sem, INT32_MAX - 5), 0);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_available(&sem), INT32_MAX);
}

UVT_TEST(semaphore_init_bad_arguments_are_refused) {
    CHECK_EQ(uvt_semaphore_init(NULL, 1, 0), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_init(&sem, 6, 5), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_init(&sem, 0, (unsigned)INT32_MAX + 1), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_init(&sem, (unsigned)INT32_MAX + 1, 0), UV_EINVAL);
}

UVT_TEST(semaphore_request_above_the_limit_is_refused_not_hung) {
    init(5, 5);
    CHECK_EQ(uvt_semaphore_acquire_many(&sem, 6), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_try_acquire(&sem, 6), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_available(&sem), 5);
}

static int keep_a_semaphore(void *arg) {
    (void)arg;
    init(1, 0);
    return 0;
}

static int acquire_of_ended_runtime(void *arg) {
    CHECK_EQ(acquire(arg), UVT_ESHARD);
    return 0;
}

UVT_TEST_PLAIN(semaphore_outside_of_its_runtime_is_refused) {
    CHECK_EQ(uvt_test_run(keep_a_semaphore, NULL, NULL), 0);
    CHECK_EQ(acquire(NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_test_run(acquire_of_ended_runtime, NULL, NULL), 0);
}

static int acquire_what_nobody_gives(void *arg) {
    init(0, 0);
    CHECK_EQ(acquire(arg), UV_ECANCELED);
    return 0;
}

UVT_TEST_PLAIN(semaphore_nobody_left_to_release_is_a_deadlock) {
    CHECK_EQ(uvt_test_run(acquire_what_nobody_gives, NULL, NULL), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "semaphore") != NULL);
}

/* ---- changing the limit ---- */

UVT_TEST(semaphore_limit_raised_waiters_proceed) {
    uvt_task_t a, b;
    init(1, 1);
    CHECK_EQ(uvt_semaphore_acquire(&sem), 0);
    a = queue_for(1);
    b = queue_for(1);
    CHECK_EQ(uvt_semaphore_set_limit(&sem, 3), 0);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

UVT_TEST(semaphore_limit_lowered_below_use_holds_newcomers) {
    init(3, 3);
    CHECK_EQ(uvt_semaphore_acquire_many(&sem, 3), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&sem, 1), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), -2);
    uvt_task_t t = queue_for(1);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
        CHECK_EQ(uvt_sleep(1), 0);
        CHECK_EQ(uvt_is_done(t), 0);
    }
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

UVT_TEST(semaphore_limit_zero_blocks_all_until_raised) {
    uvt_task_t t;
    init(2, 2);
    CHECK_EQ(uvt_semaphore_set_limit(&sem, 0), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
    CHECK_EQ(uvt_spawn(&t, acquire, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&sem, 2), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
}

UVT_TEST(semaphore_waiter_above_the_lowered_limit_stays_until_raised) {
    init(2, 2);
    CHECK_EQ(uvt_semaphore_acquire_many(&sem, 2), 0);
    uvt_task_t t = queue_for(2);
    CHECK_EQ(uvt_semaphore_set_limit(&sem, 1), 0);
    CHECK_EQ(uvt_semaphore_release(&sem, 2), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&sem, 2), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST(semaphore_without_limit_has_none_to_change) {
    init(2, 0);
    CHECK_EQ(uvt_semaphore_set_limit(&sem, 5), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_available(&sem), 2);
}

UVT_TEST_MAIN()
