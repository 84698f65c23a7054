/* SPDX-License-Identifier: MIT
 *
 * Semaphores: permits are handed over first come first served, none is made or lost, whatever is cancelled or
 * closed meanwhile. Bounds and changes of the limit are in semaphore_limit_test.c.
 */
#include "permits.h"

/* Asks for arg permits and notes it when it has them. */
static int acquire_many_and_step(void *arg) {
    int rc = uvt_semaphore_acquire_many(&sem, (unsigned)(intptr_t)arg);
    if (rc == 0) uvt_test_step("%d", (int)(intptr_t)arg);
    return rc;
}

/* Spawns a task that queues for n permits, and lets it queue before the next one is spawned. */
static uvt_task_t queue_for(unsigned n) {
    uvt_task_t t;
    unsigned before = uvt_semaphore_waiting(&sem);
    CHECK_EQ(uvt_spawn(&t, acquire_many_and_step, MS(n)), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_semaphore_waiting(&sem), before + 1);
    return t;
}

/* ---- taking and giving ---- */

UVT_TEST(semaphore_one_permit_second_try_fails_until_released) {
    init(1, 0);
    CHECK_EQ(uvt_semaphore_try_acquire(&sem, 1), 0);
    CHECK_EQ(uvt_semaphore_try_acquire(&sem, 1), UV_EAGAIN);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_semaphore_try_acquire(&sem, 1), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

UVT_TEST(semaphore_waiter_proceeds_when_a_permit_is_released) {
    init(1, 0);
    CHECK_EQ(uvt_semaphore_acquire(&sem), 0);
    uvt_task_t t = queue_for(1);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

UVT_TEST(semaphore_waiter_proceeds_when_a_permit_is_added) {
    init(0, 0);
    uvt_task_t t = queue_for(1);
    CHECK_EQ(uvt_semaphore_release(&sem, 3), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 2);
}

UVT_TEST(semaphore_permit_is_handed_over_nobody_barges_in) {
    init(0, 0);
    uvt_task_t t = queue_for(1);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0); /* given away already, though the waiter has not run yet */
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
    CHECK_EQ(uvt_semaphore_try_acquire(&sem, 1), UV_EAGAIN);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST(semaphore_try_fails_while_others_wait) {
    init(1, 0);
    uvt_task_t t = queue_for(2);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
    CHECK_EQ(uvt_semaphore_try_acquire(&sem, 1), UV_EAGAIN);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST(semaphore_two_acquires_of_one_permit_only_one_gets_it) {
    uvt_task_t a, b;
    init(1, 0);
    CHECK_EQ(uvt_spawn(&a, acquire, NULL), 0);
    CHECK_EQ(uvt_spawn(&b, acquire, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_is_done(a) + uvt_is_done(b), 1);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 1);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
}

UVT_TEST(semaphore_zero_permits_are_granted_at_once) {
    init(0, 0);
    CHECK_EQ(uvt_semaphore_acquire_many(&sem, 0), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

UVT_TEST(semaphore_acquire_with_permit_there_does_not_suspend) {
    uvt_stats before, after;
    init(1, 0);
    CHECK_EQ(uvt_stats_get(&before), 0);
    CHECK_EQ(uvt_semaphore_acquire(&sem), 0);
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.switches, before.switches);
}

/* ---- order ---- */

UVT_TEST(semaphore_large_request_is_not_starved_by_small_ones) {
    uvt_task_t t[4];
    init(0, 5);
    t[0] = queue_for(3);
    t[1] = queue_for(1);
    t[2] = queue_for(2);
    t[3] = queue_for(5);
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_STEPS(""); /* two are there, the oldest needs three, the small one behind it waits */
    CHECK_EQ(uvt_semaphore_waiting(&sem), 4);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
        CHECK_EQ(uvt_sleep(1), 0);
    }
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_STEPS("3 1");
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_semaphore_release(&sem, 5), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_STEPS("2 5");
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

static int two_of_five_repeatedly(void *arg) {
    (void)arg;
    for (int i = 0; i < 20; i++) {
        int rc = uvt_semaphore_acquire_many(&sem, 2);
        if (rc < 0) return rc;
        if ((rc = uvt_sleep(1)) < 0) return rc;
        CHECK_EQ(uvt_semaphore_release(&sem, 2), 0);
    }
    return 0;
}

UVT_TEST(semaphore_all_five_are_had_between_repeated_requests_for_two) {
    uvt_set_t set;
    init(5, 5);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_set_spawn(&set, two_of_five_repeatedly, NULL), 0);
    CHECK_EQ(uvt_sleep(5), 0);
    CHECK_EQ(uvt_semaphore_acquire_many(&sem, 5), 0);
    CHECK_IN(uvt_now() - t, 5, 10); /* those ahead of it in the queue, and no later ones */
    CHECK_EQ(uvt_semaphore_release(&sem, 5), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 5);
    CHECK_EQ(uvt_set_close(&set), 0);
}

/* ---- many tasks ---- */

static int inside, most_inside;

static int one_ms_inside(void *arg) {
    (void)arg;
    int rc = uvt_semaphore_acquire(&sem);
    if (rc < 0) return rc;
    if (++inside > most_inside) most_inside = inside;
    rc = uvt_sleep(1);
    inside--;
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    return rc;
}

static void run_workers(int n) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < n; i++) CHECK_EQ(uvt_set_spawn(&set, one_ms_inside, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(semaphore_five_permits_twenty_workers_take_four_ms) {
    uint64_t t = uvt_now();
    init(5, 5);
    run_workers(20);
    CHECK_EQ(uvt_now() - t, 4);
    CHECK_EQ(most_inside, 5);
    CHECK_EQ(uvt_semaphore_available(&sem), 5);
}

UVT_TEST(semaphore_five_permits_thousand_tasks_leave_exactly_five) {
    init(5, 0);
    run_workers(1000);
    CHECK_EQ(most_inside, 5);
    CHECK_EQ(uvt_semaphore_available(&sem), 5);
}

/* ---- close ---- */

UVT_TEST(semaphore_closed_waiters_and_newcomers_fail) {
    init(0, 0);
    uvt_task_t a = queue_for(1), b = queue_for(2);
    uvt_semaphore_close(&sem);
    CHECK_EQ(uvt_join(a, NULL), UVT_ECLOSED);
    CHECK_EQ(uvt_join(b, NULL), UVT_ECLOSED);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
    CHECK_EQ(uvt_semaphore_acquire(&sem), UVT_ECLOSED);
    CHECK_EQ(uvt_semaphore_try_acquire(&sem, 1), UVT_ECLOSED);
    uvt_semaphore_close(&sem); /* twice is as once */
}

UVT_TEST(semaphore_closed_released_permits_still_count) {
    init(1, 0);
    CHECK_EQ(uvt_semaphore_acquire(&sem), 0);
    uvt_semaphore_close(&sem);
    CHECK_EQ(uvt_semaphore_release(&sem, 3), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 3);
    CHECK_EQ(uvt_semaphore_acquire(&sem), UVT_ECLOSED);
}

/* ---- cancelled waiters ---- */

UVT_TEST(semaphore_waiter_cancelled_by_a_limit_leaves_no_entry) {
    init(0, 0);
    CHECK_EQ(uvt_timeout(10, acquire, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
}

UVT_TEST(semaphore_waiter_cancelled_in_the_middle_lets_those_behind_in) {
    uvt_task_t t[3];
    uvt_result r;
    init(1, 0);
    for (unsigned i = 0; i < 3; i++) t[i] = queue_for(2 + i);
    CHECK_EQ(uvt_abort(t[1]), 0);
    CHECK_EQ(uvt_join(t[1], &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 2);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_join(t[0], NULL), 0);
    CHECK_EQ(uvt_is_done(t[2]), 0);
    CHECK_EQ(uvt_semaphore_release(&sem, 4), 0);
    CHECK_EQ(uvt_join(t[2], NULL), 0);
}

UVT_TEST(semaphore_head_cancelled_next_proceeds_with_what_is_there) {
    uvt_result r;
    init(1, 0);
    uvt_task_t big = queue_for(2), small = queue_for(1);
    CHECK_EQ(uvt_abort(big), 0);
    CHECK_EQ(uvt_join(big, &r), 0);
    CHECK_EQ(uvt_join(small, NULL), 0); /* nobody released anything: the cancel made room at the head */
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

UVT_TEST(semaphore_waiter_cancelled_after_the_grant_keeps_it) {
    uvt_result r;
    init(0, 0);
    uvt_task_t t = queue_for(1);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

UVT_TEST(semaphore_permit_there_in_cancelled_scope_is_not_taken) {
    uvt_scope_t s;
    init(1, 0);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_semaphore_acquire(&sem)), UV_ECANCELED);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
}

static int fail_at_five(void *arg) {
    (void)arg;
    return uvt_sleep(5) < 0 ? UV_ECANCELED : UV_EIO;
}

UVT_TEST(semaphore_acquire_abandoned_for_a_sibling_leaks_no_permit) {
    uvt_set_t set;
    init(1, 1);
    CHECK_EQ(uvt_semaphore_acquire(&sem), 0);
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true }), 0);
    CHECK_EQ(uvt_set_spawn(&set, acquire, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, fail_at_five, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_EIO);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
    CHECK_EQ(uvt_set_close(&set), UV_EIO);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
}

static int hold_until_cancelled(void *arg) {
    int rc = uvt_semaphore_acquire(&sem);
    if (rc < 0) return rc;
    rc = uvt_sleep((uint64_t)(intptr_t)arg);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    return rc;
}

UVT_TEST(semaphore_holder_cancelled_by_a_limit_lets_the_next_in) {
    init(1, 1);
    CHECK_EQ(uvt_timeout(10, hold_until_cancelled, MS(1000)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
    CHECK_EQ(uvt_timeout(10, hold_until_cancelled, MS(1)), 0);
}

UVT_TEST(semaphore_waiter_cancelled_by_a_limit_semaphore_stays_usable) {
    uvt_task_t holder;
    init(1, 1);
    CHECK_EQ(uvt_spawn(&holder, hold_until_cancelled, MS(50)), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_timeout(10, hold_until_cancelled, MS(1)), UV_ETIMEDOUT);
    CHECK_EQ(hold_until_cancelled(MS(1)), 0);
    CHECK_EQ(uvt_join(holder, NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
}

UVT_TEST_MAIN()
