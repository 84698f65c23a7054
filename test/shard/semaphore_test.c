/* SPDX-License-Identifier: MIT
 *
 * A semaphore that tasks of several shards share: still first come first served, no permit lost whatever is cancelled,
 * and every waiter is woken by its own shard.
 */
#include "shards.h"

static uvt_semaphore_t sem;

static void init(unsigned permits, unsigned limit) {
    CHECK_EQ(uvt_semaphore_init(&sem, permits, limit), 0);
}

static int takes_and_steps(void *arg) {
    int rc = uvt_semaphore_acquire(&sem);
    if (rc < 0) return rc;
    uvt_test_step("%d@%u", (int)(intptr_t)arg, uvt_shard_index());
    return uvt_semaphore_release(&sem, 1);
}

ON_SHARDS(4, semaphore_is_first_come_first_served_over_shards) {
    uvt_task_t t[6];
    init(0, 0);
    for (unsigned i = 0; i < 6; i++) t[i] = settled_on(3 - i % 4, takes_and_steps, INT(i));
    CHECK_EQ(uvt_semaphore_waiting(&sem), 6);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    for (unsigned i = 0; i < 6; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_STEPS("0@3 1@2 2@1 3@0 4@3 5@2");
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
}

static int try_one(void *arg) {
    (void)arg;
    return uvt_semaphore_try_acquire(&sem, 1);
}

static int acquire(void *arg) {
    return uvt_semaphore_acquire_many(&sem, (unsigned)(intptr_t)arg);
}

ON_SHARDS(3, semaphore_try_does_not_barge_in_from_another_shard) {
    init(1, 0);
    uvt_task_t big = settled_on(1, acquire, INT(3));
    CHECK_EQ(uvt_call(2, try_one, NULL), UV_EAGAIN);
    CHECK_EQ(uvt_semaphore_release(&sem, 2), 0);
    CHECK_EQ(uvt_join(big, NULL), 0);
    CHECK_EQ(uvt_call(2, try_one, NULL), UV_EAGAIN);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    CHECK_EQ(uvt_call(2, try_one, NULL), 0);
}

ON_SHARDS(4, semaphore_big_request_is_not_starved_by_small_ones_elsewhere) {
    init(2, 0);
    uvt_task_t big = settled_on(1, acquire, INT(4)), small[3];
    for (unsigned k = 0; k < 3; k++) small[k] = settled_on(k + 1, acquire, INT(1));
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_is_done(small[k]), 0);
    CHECK_EQ(uvt_semaphore_release(&sem, 2), 0);
    CHECK_EQ(uvt_join(big, NULL), 0);
    CHECK_EQ(uvt_is_done(small[0]), 0);
    CHECK_EQ(uvt_semaphore_release(&sem, 4), 0);
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_join(small[k], NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
}

ON_SHARDS(2, semaphore_cancelled_head_elsewhere_lets_smaller_ones_in) {
    init(1, 0);
    uvt_task_t big = settled_on(1, acquire, INT(2)), small = settled_on(0, acquire, INT(1));
    CHECK_EQ(uvt_abort(big), 0);
    CHECK_EQ(uvt_join(big, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_join(small, NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

ON_SHARDS(2, semaphore_permit_granted_elsewhere_beats_the_cancel_behind_it) {
    init(0, 0);
    uvt_task_t t = settled_on(1, acquire, INT(1));
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0); /* on its way */
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
}

ON_SHARDS(4, semaphore_close_wakes_waiters_of_all_shards) {
    uvt_task_t t[8];
    init(0, 0);
    for (unsigned i = 0; i < 8; i++) t[i] = settled_on(i % 4, acquire, INT(1));
    uvt_semaphore_close(&sem);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), UVT_ECLOSED);
    CHECK_EQ(uvt_call(3, acquire, INT(1)), UVT_ECLOSED);
    CHECK_EQ(uvt_call(3, try_one, NULL), UVT_ECLOSED);
}

static int limits(void *arg) {
    return uvt_semaphore_set_limit(&sem, (unsigned)(intptr_t)arg);
}

ON_SHARDS(4, semaphore_limit_raised_on_another_shard_lets_waiters_in) {
    uvt_task_t t[3];
    init(1, 1);
    CHECK_EQ(uvt_semaphore_acquire(&sem), 0);
    for (unsigned k = 0; k < 3; k++) t[k] = settled_on(k, acquire, INT(1));
    CHECK_EQ(uvt_call(3, limits, INT(3)), 0);
    CHECK_EQ(uvt_join(t[0], NULL), 0);
    CHECK_EQ(uvt_join(t[1], NULL), 0);
    CHECK_EQ(uvt_is_done(t[2]), 0);
    CHECK_EQ(uvt_call(2, limits, INT(1)), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), -2);
    CHECK_EQ(uvt_semaphore_release(&sem, 3), 0);
    CHECK_EQ(uvt_join(t[2], NULL), 0);
    CHECK_EQ(uvt_semaphore_release(&sem, 2), UV_EINVAL);
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
}

static int of_an_older_runtime(void *arg) {
    CHECK_EQ(uvt_semaphore_try_acquire(arg, 1), UVT_ESHARD);
    CHECK_EQ(uvt_semaphore_acquire(arg), UVT_ESHARD);
    CHECK_EQ(uvt_semaphore_release(arg, 1), UVT_ESHARD);
    return 0;
}

static int makes(void *arg) {
    return uvt_semaphore_init(arg, 1, 0);
}

UVT_TEST_PLAIN(semaphore_of_an_ended_runtime_is_refused) {
    CHECK_EQ(run_virtual(2, makes, &sem), 0);
    CHECK_EQ(run_virtual(2, of_an_older_runtime, &sem), 0);
}

/* ---- exact counts, on real threads ---- */

static atomic_int inside, most, done;

static int works(void *arg) {
    unsigned n = 1 + (unsigned)(intptr_t)arg % 3;
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(uvt_semaphore_acquire_many(&sem, n), 0);
        int now = atomic_fetch_add(&inside, (int)n) + (int)n, seen = atomic_load(&most);
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
        }
        if (i % 8 == 0) uvt_yield();
        atomic_fetch_sub(&inside, (int)n);
        CHECK_EQ(uvt_semaphore_release(&sem, n), 0);
    }
    return 0;
}

ON_SHARDS_REAL(4, semaphore_forty_workers_never_hold_more_than_there_are) {
    uvt_task_t t[40];
    init(5, 5);
    for (unsigned i = 0; i < 40; i++) t[i] = spawn_on(i % 4, works, INT(i));
    for (unsigned i = 0; i < 40; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 5);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
    CHECK(atomic_load(&most) <= 5);
}

static int impatient(void *arg) {
    int rc = uvt_semaphore_acquire(&sem);
    if (rc == 0) {
        atomic_fetch_add(&done, 1);
        uvt_sleep((uint64_t)(intptr_t)arg % 2);
        CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    }
    return rc == UV_ECANCELED ? 0 : rc;
}

static int spawns_impatient_ones(void *arg) {
    unsigned n = uvt_shard_count();
    for (unsigned i = 0; i < 200; i++) {
        uvt_task_t t = spawn_on((i + (unsigned)(intptr_t)arg) % n, impatient, INT(i));
        if (i % 3 == 0) uvt_yield();
        if (i % 2) CHECK_EQ(uvt_abort(t), 0);
        if (i % 4 == 0) CHECK_EQ(uvt_join(t, NULL), 0);
    }
    return 0;
}

ON_SHARDS_REAL(4, semaphore_cancels_racing_grants_lose_no_permit) {
    uvt_task_t t[4];
    init(2, 2);
    for (unsigned k = 0; k < 4; k++) t[k] = spawn_on(k, spawns_impatient_ones, INT(k));
    for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 2);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
    CHECK(atomic_load(&done) >= 200);
}

static int takes_until_closed(void *arg) {
    int rc;
    while ((rc = uvt_semaphore_acquire(&sem)) == 0) {
        atomic_fetch_add((atomic_int *)arg, 1);
        CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    }
    return rc;
}

ON_SHARDS_REAL(4, semaphore_closed_while_four_shards_use_it_ends_them_all) {
    atomic_int taken = 0;
    uvt_task_t t[8];
    init(1, 0);
    for (unsigned i = 0; i < 8; i++) t[i] = spawn_on(i % 4, takes_until_closed, &taken);
    while (atomic_load(&taken) < 1000) CHECK_EQ(uvt_yield(), 0);
    uvt_semaphore_close(&sem);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), UVT_ECLOSED);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
}

UVT_TEST_MAIN()
