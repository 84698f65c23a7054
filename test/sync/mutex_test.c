/* SPDX-License-Identifier: MIT
 *
 * The mutex on one loop: one owner at a time, who is known; handed over in the order of coming; nothing left of a
 * waiter that was cancelled. Owners that end without unlocking are in mutex_end_test.c.
 */
#include "locks.h"

static uvt_mutex_t m;

static void init(void) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
}

static int locks(void *arg) {
    int rc = uvt_mutex_lock(&m);
    if (rc < 0) return rc;
    uvt_test_step("%d", (int)(intptr_t)arg);
    return uvt_mutex_unlock(&m);
}

static int holds(void *arg) {
    int rc = uvt_mutex_lock(&m);
    if (rc < 0) return rc;
    rc = uvt_sleep((uint64_t)(intptr_t)arg);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    return rc;
}

static int tries(void *arg) {
    (void)arg;
    return uvt_mutex_try_lock(&m);
}

static int unlocks(void *arg) {
    (void)arg;
    return uvt_mutex_unlock(&m);
}

static void check_free(void) {
    CHECK_EQ(uvt_mutex_waiting(&m), 0);
    CHECK(uvt_mutex_owner(&m).rec == NULL);
    CHECK_EQ(uvt_mutex_try_lock(&m), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
}

/* ---- the owner ---- */

UVT_TEST(mutex_free_is_locked_without_suspending) {
    uvt_stats before, after;
    init();
    CHECK_EQ(uvt_stats_get(&before), 0);
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.switches, before.switches);
    check_free();
}

UVT_TEST(mutex_locked_again_by_its_owner_is_a_deadlock_named) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_mutex_lock(&m), UVT_EDEADLK);
    CHECK_EQ(uvt_mutex_try_lock(&m), UVT_EDEADLK);
    CHECK(same_task(uvt_mutex_owner(&m), uvt_self()));
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    check_free();
}

UVT_TEST(mutex_unlocked_by_another_is_refused) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(spawn_and_join(unlocks, NULL), UV_EPERM);
    CHECK(same_task(uvt_mutex_owner(&m), uvt_self()));
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), UV_EPERM);
}

UVT_TEST(mutex_tried_by_another_is_busy) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(spawn_and_join(tries, NULL), UV_EBUSY);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
}

UVT_TEST(mutex_tells_its_owner_and_how_many_wait) {
    uvt_task_t t[3];
    init();
    CHECK(uvt_mutex_owner(&m).rec == NULL);
    t[0] = settled(holds, INT(10));
    t[1] = settled(locks, INT(1));
    t[2] = settled(locks, INT(2));
    CHECK(same_task(uvt_mutex_owner(&m), t[0]));
    CHECK_EQ(uvt_mutex_waiting(&m), 2);
    for (int i = 0; i < 3; i++) check_returned(t[i], 0);
    check_free();
}

UVT_TEST(mutex_owner_detached_while_it_holds_has_its_new_handle) {
    init();
    uvt_task_t t = settled(holds, INT(10));
    CHECK_EQ(uvt_detach(t), 0);
    uvt_task_t owner = uvt_mutex_owner(&m);
    CHECK(owner.rec == t.rec);
    CHECK(owner.id != t.id);
    CHECK_EQ(uvt_is_done(owner), 0);
    CHECK_EQ(uvt_sleep(20), 0);
    check_free();
}

/* ---- the order ---- */

UVT_TEST(mutex_unlocked_belongs_to_the_oldest_waiter_at_once) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    uvt_task_t a = settled(locks, INT(1)), b = settled(locks, INT(2));
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK(same_task(uvt_mutex_owner(&m), a)); /* though it has not run yet */
    CHECK_EQ(uvt_mutex_try_lock(&m), UV_EBUSY);
    CHECK_EQ(uvt_mutex_unlock(&m), UV_EPERM);
    CHECK_EQ(locks(INT(3)), 0);
    check_returned(a, 0);
    check_returned(b, 0);
    CHECK_STEPS("1 2 3");
}

static int inside, most;

static int loops_inside(void *arg) {
    for (int i = 0; i < (int)(intptr_t)arg; i++) {
        CHECK_EQ(uvt_mutex_lock(&m), 0);
        if (++inside > most) most = inside;
        CHECK_EQ(uvt_yield(), 0);
        inside--;
        CHECK_EQ(uvt_mutex_unlock(&m), 0);
        CHECK_EQ(uvt_yield(), 0);
    }
    return 0;
}

static void run_loopers(int n, int loops) {
    uvt_set_t set;
    init();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < n; i++) CHECK_EQ(uvt_set_spawn(&set, loops_inside, INT(loops)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(most, 1);
    check_free();
}

UVT_TEST(mutex_five_workers_yielding_inside_are_never_two) {
    run_loopers(5, 10);
}

UVT_TEST(mutex_thousand_workers_yielding_inside_are_never_two) {
    run_loopers(1000, 2);
}

static int locks_four_times(void *arg) {
    for (int i = 0; i < 4; i++) {
        int rc = locks(arg);
        if (rc < 0) return rc;
    }
    return 0;
}

UVT_TEST(mutex_three_loopers_take_strict_turns) {
    uvt_task_t t[3];
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    for (int i = 0; i < 3; i++) t[i] = settled(locks_four_times, INT(i));
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    for (int i = 0; i < 3; i++) check_returned(t[i], 0);
    CHECK_STEPS("0 1 2 0 1 2 0 1 2 0 1 2");
}

static int steps_once(void *arg) {
    bool *stop = arg;
    *stop = true;
    return 0;
}

UVT_TEST(mutex_locked_in_a_loop_lets_others_run) {
    bool stop = false;
    init();
    CHECK_EQ(uvt_spawn(NULL, steps_once, &stop), 0);
    for (int i = 0;; i++) {
        if (stop) break; /* it is the other task's doing */
        CHECK(i < 1000);
        CHECK_EQ(uvt_mutex_lock(&m), 0);
        CHECK_EQ(uvt_mutex_unlock(&m), 0);
    }
}

/* ---- cancelled ---- */

UVT_TEST(mutex_holder_cancelled_by_a_limit_lets_the_next_in) {
    init();
    CHECK_EQ(uvt_timeout(10, holds, INT(1000)), UV_ETIMEDOUT);
    check_free();
}

UVT_TEST(mutex_waiter_cancelled_by_a_limit_lock_stays_usable) {
    init();
    uvt_task_t t = settled(holds, INT(50));
    CHECK_EQ(uvt_timeout(10, locks, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_mutex_waiting(&m), 0);
    CHECK_EQ(locks(INT(1)), 0);
    check_returned(t, 0);
    CHECK_STEPS("1");
}

UVT_TEST(mutex_waiter_cancelled_in_the_middle_vanishes) {
    uvt_task_t t[3];
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    for (int i = 0; i < 3; i++) t[i] = settled(locks, INT(i));
    CHECK_EQ(uvt_abort(t[1]), 0);
    check_cancelled(t[1]);
    CHECK_EQ(uvt_mutex_waiting(&m), 2);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    check_returned(t[0], 0);
    check_returned(t[2], 0);
    CHECK_STEPS("0 2");
    check_free();
}

UVT_TEST(mutex_handed_over_then_waiter_cancelled_the_lock_is_held) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    uvt_task_t t = settled(holds, INT(1000)), next = settled(locks, INT(2));
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK_EQ(uvt_abort(t), 0);
    check_cancelled(t); /* it had the lock, saw the cancel in its sleep, and unlocked */
    check_returned(next, 0);
    CHECK_STEPS("2");
    check_free();
}

UVT_TEST(mutex_free_in_a_cancelled_scope_is_not_taken) {
    uvt_scope_t s;
    init();
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_mutex_lock(&m)), UV_ECANCELED);
    check_free();
}

/* ---- several at once ---- */

UVT_TEST(mutex_many_held_are_unlocked_in_any_order) {
    static uvt_mutex_t many[5];
    static const int order[5] = { 2, 0, 4, 3, 1 };
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_mutex_init(&many[i]), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_mutex_lock(&many[i]), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_mutex_unlock(&many[order[i]]), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_mutex_try_lock(&many[i]), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_mutex_unlock(&many[i]), 0);
}

static uvt_mutex_t other;

static int locks_both(void *arg) {
    uvt_mutex_t *first = arg, *second = first == &m ? &other : &m;
    int rc = uvt_mutex_lock(first);
    if (rc < 0) return rc;
    settle();
    rc = uvt_mutex_lock(second);
    if (rc == 0) CHECK_EQ(uvt_mutex_unlock(second), 0);
    CHECK_EQ(uvt_mutex_unlock(first), 0);
    return rc;
}

static int locks_crosswise(void *arg) {
    uvt_task_t a, b;
    (void)arg;
    init();
    CHECK_EQ(uvt_mutex_init(&other), 0);
    CHECK_EQ(uvt_spawn(&a, locks_both, &m), 0);
    CHECK_EQ(uvt_spawn(&b, locks_both, &other), 0);
    return uvt_join(a, NULL);
}

UVT_TEST_PLAIN(mutex_two_locked_crosswise_are_a_deadlock_reported) {
    CHECK_EQ(uvt_test_run(locks_crosswise, NULL, NULL), UVT_EDEADLK);
    check_reported("waits for mutex");
}

/* ---- misuse ---- */

static void in_a_callback(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_mutex_try_lock(&m), UVT_ENOTASK);
    CHECK_EQ(uvt_mutex_lock(&m), UVT_ENOTASK);
    CHECK_EQ(uvt_mutex_unlock(&m), UVT_ENOTASK);
    CHECK_EQ(uvt_mutex_waiting(&m), 0);
}

UVT_TEST(mutex_in_a_callback_needs_a_task) {
    init();
    post_here(in_a_callback);
    settle();
    check_free();
}

UVT_TEST(mutex_null_is_refused) {
    CHECK_EQ(uvt_mutex_init_at(NULL, UVT_SITE("x")), UV_EINVAL);
    CHECK_EQ(uvt_mutex_init_at(&m, NULL), UV_EINVAL);
    CHECK_EQ(uvt_mutex_lock(NULL), UV_EINVAL);
    CHECK_EQ(uvt_mutex_try_lock(NULL), UV_EINVAL);
    CHECK_EQ(uvt_mutex_unlock(NULL), UV_EINVAL);
    CHECK(uvt_mutex_owner(NULL).rec == NULL);
    CHECK_EQ(uvt_mutex_waiting(NULL), 0);
}

UVT_TEST(mutex_never_initialised_is_refused) {
    static uvt_mutex_t zero;
    CHECK_EQ(uvt_mutex_lock(&zero), UV_EINVAL);
    CHECK_EQ(uvt_mutex_unlock(&zero), UV_EINVAL);
}

UVT_TEST_PLAIN(mutex_outside_of_a_runtime_is_refused) {
    CHECK_EQ(uvt_mutex_init(&m), UVT_ENOTASK);
    CHECK_EQ(uvt_mutex_lock(&m), UVT_ENOTASK);
    CHECK_EQ(uvt_mutex_try_lock(&m), UVT_ENOTASK);
    CHECK_EQ(uvt_mutex_unlock(&m), UVT_ENOTASK);
}

UVT_TEST_MAIN()
