/* SPDX-License-Identifier: MIT
 *
 * Sets used wrongly: closed, by the wrong task, of another runtime, outside of tasks, with null arguments.
 * Each has a code of its own, and leaves the set as it was.
 */
#include "members.h"

UVT_TEST(set_closed_every_call_says_stale) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_set_spawn(&set, nap, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_try_spawn(&set, nap, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_next(&set, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_try_next(&set, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_wait(&set), UVT_ESTALE);
    CHECK_EQ(uvt_set_abort_all(&set), UVT_ESTALE);
    CHECK_EQ(uvt_set_detach_all(&set), UVT_ESTALE);
    CHECK_EQ(uvt_set_len(&set), UVT_ESTALE);
    CHECK_EQ(uvt_set_close(&set), UVT_ESTALE);
}

UVT_TEST(set_handle_of_a_closed_set_does_not_reach_the_next_one) {
    uvt_set_t first, second;
    CHECK_EQ(uvt_set_open(&first, NULL), 0);
    CHECK_EQ(uvt_set_close(&first), 0);
    CHECK_EQ(uvt_set_open(&second, NULL), 0); /* takes the same record, as a rule */
    CHECK_EQ(uvt_set_spawn(&first, nap, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_set_len(&second), 0);
    CHECK_EQ(uvt_set_close(&second), 0);
}

static int close_of(void *set) {
    return uvt_set_close(set);
}

UVT_TEST(set_closed_by_its_member_is_a_deadlock_code) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, close_of, &set), 0);
    CHECK_EQ(take(&set).status, UVT_EDEADLK);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_closed_by_another_task_is_refused) {
    uvt_set_t set;
    uvt_task_t t;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_spawn(&t, close_of, &set), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_null_function_or_set_is_refused) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_try_spawn(&set, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(set_member_cannot_be_joined_by_handle) {
    uvt_set_t set;
    uvt_task_t t;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, &t, nap, MS(5), NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_EINVAL);
    CHECK_EQ(take(&set).status, 5);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static uvt_set_t kept;

static int keep_a_set(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_set_open(&kept, NULL), 0);
    return uvt_set_spawn(&kept, endless, NULL);
}

static int use_the_kept_set(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_set_next(&kept, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_set_wait(&kept), UVT_ESHARD);
    CHECK_EQ(uvt_set_spawn(&kept, nap, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_set_close(&kept), UVT_ESHARD);
    return 0;
}

UVT_TEST_PLAIN(set_of_an_ended_runtime_is_refused_by_the_next) {
    CHECK_EQ(uvt_test_run(keep_a_set, NULL, NULL), 0);
    CHECK_EQ(uvt_test_run(use_the_kept_set, NULL, NULL), 0);
}

UVT_TEST_PLAIN(set_outside_of_a_task_is_refused) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_test_run(keep_a_set, NULL, NULL), 0);
    CHECK_EQ(uvt_set_next(&kept, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_set_spawn(&kept, nap, NULL), UVT_ENOTASK);
}

UVT_TEST_MAIN()
