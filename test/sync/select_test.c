/* SPDX-License-Identifier: MIT
 *
 * Select as such, with semaphores and oneshots as the objects: one case happens, the others have not been tried.
 */
#include "../core/bodies.h"

static uvt_semaphore_t a, b;

static void two(unsigned permits_a, unsigned permits_b) {
    CHECK_EQ(uvt_semaphore_init(&a, permits_a, 0), 0);
    CHECK_EQ(uvt_semaphore_init(&b, permits_b, 0), 0);
}

static void check_left(int in_a, int in_b) {
    CHECK_EQ(uvt_semaphore_available(&a), in_a);
    CHECK_EQ(uvt_semaphore_available(&b), in_b);
    CHECK_EQ(uvt_semaphore_waiting(&a), 0);
    CHECK_EQ(uvt_semaphore_waiting(&b), 0);
}

static int release(void *arg) {
    return uvt_semaphore_release(arg, 1);
}

static uvt_task_t releases_after(uint64_t ms, uvt_semaphore_t *s) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_opts(&t, release, s, &(uvt_task_options){ .start_after_ms = ms }), 0);
    return t;
}

/* ---- which ---- */

UVT_TEST(select_one_ready_of_two_is_taken_the_other_untouched) {
    two(0, 1);
    uvt_case_t c[] = { uvt_case_acquire(&a, 1), uvt_case_acquire(&b, 1) };
    CHECK_EQ(uvt_select(c, 2, 0), 1);
    CHECK_EQ(c[1].result, 0);
    check_left(0, 0);
}

UVT_TEST(select_both_ready_exactly_one_is_consumed) {
    two(1, 1);
    uvt_case_t c[] = { uvt_case_acquire(&a, 1), uvt_case_acquire(&b, 1) };
    int at = uvt_select(c, 2, 0);
    CHECK_IN(at, 0, 2);
    check_left(at == 0 ? 0 : 1, at == 0 ? 1 : 0);
}

UVT_TEST(select_both_become_ready_in_one_go_exactly_one_is_consumed) {
    two(0, 0);
    releases_after(5, &a);
    releases_after(5, &b);
    uvt_case_t c[] = { uvt_case_acquire(&a, 1), uvt_case_acquire(&b, 1) };
    int at = uvt_select(c, 2, 0);
    settle();
    CHECK_IN(at, 0, 2);
    check_left(at == 0 ? 0 : 1, at == 0 ? 1 : 0);
}

UVT_TEST(select_biased_takes_the_first_ready_in_order) {
    two(100, 100);
    uvt_case_t c[] = { uvt_case_sleep(1000), uvt_case_acquire(&b, 1), uvt_case_acquire(&a, 1) };
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_select(c, 3, UVT_SELECT_BIASED), 1);
    check_left(100, 0);
}

UVT_TEST(select_unbiased_all_ready_cases_have_their_share) {
    int n[3] = { 0 };
    two(3000, 3000);
    uvt_case_t c[] = { uvt_case_acquire(&a, 1), uvt_case_acquire(&b, 1), uvt_case_sleep(0) };
    for (int i = 0; i < 3000; i++) n[uvt_select(c, 3, 0)]++;
    for (int i = 0; i < 3; i++) CHECK_IN(n[i], 900, 1101);
}

/* Once every second beginning was one task's, and as even as the other's was odd. */
UVT_TEST(select_every_second_one_of_a_shard_is_as_fair) {
    int n[2] = { 0 };
    two(4000, 4000);
    uvt_case_t c[] = { uvt_case_acquire(&a, 1), uvt_case_acquire(&b, 1) };
    uvt_case_t other[] = { uvt_case_sleep(0), uvt_case_sleep(0) };
    for (int i = 0; i < 1000; i++) {
        n[uvt_select(c, 2, 0)]++;
        CHECK(uvt_select(other, 2, 0) >= 0);
    }
    CHECK_IN(n[0], 400, 601);
}

UVT_TEST(select_ready_again_and_again_lets_others_run) {
    int ran = 0;
    CHECK_EQ(uvt_spawn(NULL, b_count, &ran), 0);
    uvt_case_t c[] = { uvt_case_sleep(0) };
    for (int i = 0; i < 10000 && !ran; i++) CHECK_EQ(uvt_select(c, 1, 0), 0);
    CHECK_EQ(ran, 1);
}

/* ---- disabled, none, misuse ---- */

UVT_TEST(select_disabled_case_is_neither_looked_at_nor_waited_for) {
    two(1, 0);
    uvt_case_t c[] = { uvt_case_acquire(&a, 1), uvt_case_sleep(7), uvt_case_acquire(NULL, 1), { 0 } };
    c[0].disabled = c[2].disabled = true;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_select(c, 4, UVT_SELECT_BIASED), 1);
    CHECK_EQ(uvt_now() - t, 7);
    check_left(1, 0);
}

UVT_TEST(select_all_disabled_or_none_is_eof_at_once) {
    uvt_case_t c[] = { uvt_case_sleep(0), { 0 } };
    c[0].disabled = true;
    CHECK_EQ(uvt_select(c, 2, 0), UV_EOF);
    CHECK_EQ(uvt_select(c, 0, 0), UV_EOF);
    CHECK_EQ(uvt_try_select(c, 2, 0), UV_EOF);
}

UVT_TEST(select_cases_disabled_once_done_complete_once_each) {
    int n[3] = { 0 }, rc;
    two(1, 0);
    releases_after(5, &b);
    uvt_case_t c[] = { uvt_case_acquire(&a, 1), uvt_case_acquire(&b, 1), uvt_case_sleep(3) };
    while ((rc = uvt_select(c, 3, 0)) >= 0) {
        n[rc]++;
        c[rc].disabled = true;
    }
    CHECK_EQ(rc, UV_EOF);
    for (int i = 0; i < 3; i++) CHECK_EQ(n[i], 1);
}

UVT_TEST(select_misused_is_refused) {
    uvt_case_t c[] = { uvt_case_sleep(0) };
    CHECK_EQ(uvt_select(NULL, 1, 0), UV_EINVAL);
    CHECK_EQ(uvt_select(NULL, 0, 0), UV_EINVAL);
    CHECK_EQ(uvt_select(c, 1, 2), UV_EINVAL);
    CHECK_EQ(uvt_select(c, (size_t)INT32_MAX + 1, 0), UV_EINVAL);
    CHECK_EQ(uvt_try_select(NULL, 1, 0), UV_EINVAL);
}

UVT_TEST_PLAIN(select_outside_of_tasks_is_enotask) {
    uvt_case_t c[] = { uvt_case_sleep(0) };
    CHECK_EQ(uvt_select(c, 1, 0), UVT_ENOTASK);
    CHECK_EQ(uvt_try_select(c, 1, 0), UVT_ENOTASK);
}

/* ---- try ---- */

UVT_TEST(try_select_nothing_possible_is_eagain_and_nothing_waits) {
    two(0, 0);
    uvt_case_t c[] = { uvt_case_acquire(&a, 1), uvt_case_sleep(1), uvt_case_acquire(&b, 1) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_try_select(c, 3, 0), UV_EAGAIN);
    CHECK_EQ(uvt_now(), t);
    check_left(0, 0);
    CHECK_EQ(uvt_semaphore_release(&b, 1), 0);
    CHECK_EQ(uvt_try_select(c, 3, 0), 2);
    check_left(0, 0);
}

/* ---- many cases and memory ---- */

UVT_TEST(select_eight_cases_allocate_nothing) {
    uvt_case_t c[8];
    two(0, 0);
    for (int i = 0; i < 7; i++) c[i] = uvt_case_acquire(&a, 1);
    c[7] = uvt_case_sleep(3);
    uvt_test_fail_alloc(1);
    CHECK_EQ(uvt_select(c, 8, 0), 7);
    CHECK(!uvt_test_fail_hit());
    uvt_test_fail_alloc(0);
    check_left(0, 0);
}

UVT_TEST(select_more_than_eight_cases_without_memory_have_no_effect) {
    uvt_case_t c[40];
    two(0, 0);
    for (int i = 0; i < 40; i++) c[i] = uvt_case_acquire(i % 2 ? &a : &b, 1);
    uvt_test_fail_alloc(1);
    CHECK_EQ(uvt_select(c, 40, 0), UV_ENOMEM);
    CHECK(uvt_test_fail_hit());
    check_left(0, 0);
    releases_after(5, &a);
    size_t blocks = uvt_test_live_blocks();
    CHECK_EQ(uvt_select(c, 40, 0) % 2, 1);
    CHECK_EQ(uvt_test_live_blocks(), blocks);
    check_left(0, 0);
}

/* ---- the same object twice ---- */

UVT_TEST(select_same_object_in_two_cases_one_fires) {
    two(0, 0);
    releases_after(5, &a);
    releases_after(5, &a);
    uvt_case_t c[] = { uvt_case_acquire(&a, 1), uvt_case_acquire(&a, 1) };
    CHECK_IN(uvt_select(c, 2, 0), 0, 2);
    settle();
    check_left(1, 0);
}

/* Its own bigger request, when that was first in line, once held the smaller one back for ever. */
UVT_TEST(select_bigger_request_does_not_hold_its_own_smaller_one_back) {
    for (int i = 0; i < 8; i++) {
        two(0, 0);
        releases_after(5, &a);
        uvt_case_t c[] = { uvt_case_acquire(&a, 2), uvt_case_acquire(&a, 1) };
        CHECK_EQ(uvt_select(c, 2, i ? 0 : UVT_SELECT_BIASED), 1);
        check_left(0, 0);
    }
}

static int selects_twice(void *arg) {
    uvt_case_t c[] = { uvt_case_acquire(&a, 3), uvt_case_acquire(&a, 2) };
    (void)arg;
    return uvt_select(c, 2, UVT_SELECT_BIASED);
}

static int acquire(void *arg) {
    return uvt_semaphore_acquire(arg);
}

UVT_TEST(select_bigger_request_holds_those_behind_it_back) {
    uvt_task_t first, second;
    two(0, 0);
    CHECK_EQ(uvt_spawn(&first, selects_twice, NULL), 0);
    settle();
    CHECK_EQ(uvt_spawn(&second, acquire, &a), 0);
    settle();
    CHECK_EQ(uvt_semaphore_release(&a, 1), 0);
    settle();
    CHECK_EQ(uvt_is_done(second), 0);
    CHECK_EQ(uvt_semaphore_release(&a, 1), 0);
    CHECK_EQ(uvt_join(first, NULL), 1);
    CHECK_EQ(uvt_semaphore_release(&a, 1), 0);
    CHECK_EQ(uvt_join(second, NULL), 0);
    check_left(0, 0);
}

/* ---- several selects ---- */

static int selects_both(void *arg) {
    uvt_case_t c[] = { uvt_case_acquire(&a, 1), uvt_case_acquire(&b, 1) };
    (void)arg;
    return uvt_select(c, 2, 0);
}

UVT_TEST(select_two_tasks_on_the_same_objects_are_served_once_each) {
    uvt_task_t t[2];
    two(0, 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_spawn(&t[i], selects_both, NULL), 0);
    settle();
    CHECK_EQ(uvt_semaphore_release(&a, 1), 0);
    CHECK_EQ(uvt_semaphore_release(&b, 1), 0); /* to the other: neither has run */
    int sum = uvt_join(t[0], NULL) + uvt_join(t[1], NULL);
    CHECK_EQ(sum, 1);
    check_left(0, 0);
}

UVT_TEST(select_served_elsewhere_is_passed_over_for_the_next_in_line) {
    uvt_task_t s, next;
    two(0, 0);
    CHECK_EQ(uvt_spawn(&s, selects_both, NULL), 0);
    settle();
    CHECK_EQ(uvt_spawn(&next, acquire, &b), 0);
    settle();
    CHECK_EQ(uvt_semaphore_release(&a, 1), 0);
    CHECK_EQ(uvt_semaphore_release(&b, 1), 0);
    CHECK_EQ(uvt_join(s, NULL), 0);
    CHECK_EQ(uvt_join(next, NULL), 0);
    check_left(0, 0);
}

/* ---- cancel ---- */

UVT_TEST(select_cancelled_took_no_case_and_left_every_line) {
    uvt_task_t t;
    two(0, 0);
    CHECK_EQ(uvt_spawn(&t, selects_both, NULL), 0);
    settle();
    CHECK_EQ(uvt_semaphore_waiting(&a), 1);
    CHECK_EQ(uvt_abort(t), 0);
    check_left(0, 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
}

UVT_TEST(select_served_then_cancelled_keeps_what_it_got) {
    uvt_task_t t;
    two(0, 0);
    CHECK_EQ(uvt_spawn(&t, selects_both, NULL), 0);
    settle();
    CHECK_EQ(uvt_semaphore_release(&b, 1), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 1);
    check_left(0, 0);
}

UVT_TEST(select_in_a_cancelled_scope_takes_nothing_though_it_could) {
    uvt_scope_t sc;
    two(1, 1);
    CHECK_EQ(uvt_scope_begin(&sc, &(uvt_scope_options){ .timeout_ms = 1 }), 0);
    CHECK_EQ(uvt_sleep(2), UV_ECANCELED);
    int rc = selects_both(NULL);
    CHECK_EQ(rc, UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&sc, rc), UV_ETIMEDOUT);
    check_left(1, 1);
}

UVT_TEST(select_under_a_deadline_times_out_with_its_lines_left) {
    two(0, 0);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_timeout(20, selects_both, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 20);
    check_left(0, 0);
}

static int deadlocks(void *arg) {
    two(0, 0);
    return selects_both(arg);
}

UVT_TEST_PLAIN(select_that_nothing_can_wake_is_a_deadlock_and_named) {
    CHECK_EQ(uvt_test_run(deadlocks, NULL, &(uvt_options){ .shards = 1 }), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "select") != NULL);
}

UVT_TEST_MAIN()
