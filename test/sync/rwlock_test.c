/* SPDX-License-Identifier: MIT
 *
 * The lock for readers and writers on one loop: who may be in with whom, in which order they come in, and what is left
 * of those that give up. Writers that end without unlocking are in mutex_end_test.c.
 */
#include "locks.h"

static uvt_rwlock_t rw;

static void init(unsigned readers) {
    CHECK_EQ(uvt_rwlock_init(&rw, readers), 0);
}

static int sleeps_inside(uint64_t ms, int (*lock)(uvt_rwlock_t *), int (*unlock)(uvt_rwlock_t *)) {
    int rc = lock(&rw);
    if (rc < 0) return rc;
    rc = uvt_sleep(ms);
    CHECK_EQ(unlock(&rw), 0);
    return rc;
}

static int reads(void *arg) {
    return sleeps_inside((uint64_t)(intptr_t)arg, uvt_rwlock_read_lock, uvt_rwlock_read_unlock);
}

static int writes(void *arg) {
    return sleeps_inside((uint64_t)(intptr_t)arg, uvt_rwlock_write_lock, uvt_rwlock_write_unlock);
}

static int tries_to_read(void *arg) {
    (void)arg;
    int rc = uvt_rwlock_try_read_lock(&rw);
    return rc < 0 ? rc : uvt_rwlock_read_unlock(&rw);
}

static int tries_to_write(void *arg) {
    (void)arg;
    int rc = uvt_rwlock_try_write_lock(&rw);
    return rc < 0 ? rc : uvt_rwlock_write_unlock(&rw);
}

static void check_free(void) {
    CHECK_EQ(uvt_rwlock_readers(&rw), 0);
    CHECK_EQ(uvt_rwlock_waiting(&rw), 0);
    CHECK(uvt_rwlock_writer(&rw).rec == NULL);
    CHECK_EQ(tries_to_write(NULL), 0);
}

/* ---- who with whom ---- */

UVT_TEST(rwlock_readers_are_in_together) {
    init(0);
    uvt_task_t a = settled(reads, INT(10)), b = settled(reads, INT(10));
    CHECK_EQ(uvt_rwlock_readers(&rw), 2);
    CHECK_EQ(spawn_and_join(tries_to_read, NULL), 0);
    CHECK_EQ(spawn_and_join(tries_to_write, NULL), UV_EBUSY);
    check_returned(a, 0);
    check_returned(b, 0);
    check_free();
}

UVT_TEST(rwlock_writer_waits_for_the_readers) {
    init(0);
    uint64_t t = uvt_now();
    uvt_task_t a = settled(reads, INT(10)), b = settled(reads, INT(20));
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    CHECK_EQ(uvt_now() - t, 21);
    CHECK_EQ(uvt_rwlock_readers(&rw), 0);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    check_returned(a, 0);
    check_returned(b, 0);
}

UVT_TEST(rwlock_readers_and_writers_wait_for_the_writer) {
    init(0);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    CHECK(same_task(uvt_rwlock_writer(&rw), uvt_self()));
    CHECK_EQ(spawn_and_join(tries_to_read, NULL), UV_EBUSY);
    CHECK_EQ(spawn_and_join(tries_to_write, NULL), UV_EBUSY);
    uvt_task_t a = settled(reads, INT(1)), b = settled(writes, INT(1));
    CHECK_EQ(uvt_rwlock_waiting(&rw), 2);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    CHECK_EQ(uvt_rwlock_readers(&rw), 1); /* handed over already */
    check_returned(a, 0);
    check_returned(b, 0);
    check_free();
}

UVT_TEST(rwlock_waiting_writer_holds_new_readers_back) {
    init(0);
    uvt_task_t a = settled(reads, INT(10)), w = settled(writes, INT(10)), b = settled(reads, INT(10));
    CHECK_EQ(uvt_rwlock_readers(&rw), 1);
    CHECK_EQ(uvt_rwlock_waiting(&rw), 2);
    CHECK_EQ(spawn_and_join(tries_to_read, NULL), UV_EBUSY);
    check_returned(a, 0);
    CHECK(same_task(uvt_rwlock_writer(&rw), w));
    check_returned(w, 0);
    CHECK_EQ(uvt_rwlock_readers(&rw), 1);
    check_returned(b, 0);
    check_free();
}

UVT_TEST(rwlock_readers_behind_a_writer_come_in_together_up_to_the_next) {
    uvt_task_t t[6];
    init(0);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    t[0] = settled(reads, INT(5));
    t[1] = settled(reads, INT(5));
    t[2] = settled(writes, INT(5));
    t[3] = settled(reads, INT(5));
    t[4] = settled(reads, INT(5));
    t[5] = settled(reads, INT(5));
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    CHECK_EQ(uvt_rwlock_readers(&rw), 2);
    check_returned(t[0], 0);
    check_returned(t[1], 0);
    CHECK(same_task(uvt_rwlock_writer(&rw), t[2]));
    check_returned(t[2], 0);
    CHECK_EQ(uvt_rwlock_readers(&rw), 3);
    for (int i = 3; i < 6; i++) check_returned(t[i], 0);
    check_free();
}

UVT_TEST(rwlock_reader_limit_reached_the_next_enters_when_one_leaves) {
    init(2);
    uvt_task_t a = settled(reads, INT(10)), b = settled(reads, INT(20)), d = settled(reads, INT(10));
    CHECK_EQ(uvt_rwlock_readers(&rw), 2);
    CHECK_EQ(uvt_rwlock_waiting(&rw), 1);
    CHECK_EQ(spawn_and_join(tries_to_read, NULL), UV_EBUSY);
    check_returned(a, 0);
    CHECK_EQ(uvt_rwlock_readers(&rw), 2);
    CHECK_EQ(uvt_rwlock_waiting(&rw), 0);
    check_returned(b, 0);
    check_returned(d, 0);
    check_free();
}

static int readers_in, writers_in;

static int mixes(void *arg) {
    bool writer = (intptr_t)arg % 4 == 0;
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(writer ? uvt_rwlock_write_lock(&rw) : uvt_rwlock_read_lock(&rw), 0);
        *(writer ? &writers_in : &readers_in) += 1;
        CHECK(writers_in == 0 || (writers_in == 1 && readers_in == 0));
        CHECK_EQ(uvt_yield(), 0);
        *(writer ? &writers_in : &readers_in) -= 1;
        CHECK_EQ(writer ? uvt_rwlock_write_unlock(&rw) : uvt_rwlock_read_unlock(&rw), 0);
    }
    return 0;
}

UVT_TEST(rwlock_hundred_mixed_tasks_keep_the_rule) {
    uvt_set_t set;
    init(7);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_set_spawn(&set, mixes, INT(i)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    check_free();
}

/* ---- downgrade ---- */

UVT_TEST(rwlock_downgraded_lets_waiting_readers_in_and_writers_wait) {
    init(0);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    uvt_task_t a = settled(reads, INT(10)), w = settled(writes, INT(1));
    CHECK_EQ(uvt_rwlock_downgrade(&rw), 0);
    CHECK_EQ(uvt_rwlock_readers(&rw), 2);
    CHECK(uvt_rwlock_writer(&rw).rec == NULL);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), UV_EPERM);
    check_returned(a, 0);
    CHECK_EQ(uvt_is_done(w), 0);
    CHECK_EQ(uvt_rwlock_read_unlock(&rw), 0);
    check_returned(w, 0);
    check_free();
}

UVT_TEST(rwlock_downgraded_counts_as_one_of_the_limit) {
    init(1);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    uvt_task_t a = settled(reads, INT(1));
    CHECK_EQ(uvt_rwlock_downgrade(&rw), 0);
    settle();
    CHECK_EQ(uvt_is_done(a), 0);
    CHECK_EQ(uvt_rwlock_read_unlock(&rw), 0);
    check_returned(a, 0);
}

/* ---- cancelled ---- */

UVT_TEST(rwlock_waiting_writer_cancelled_lets_queued_readers_in) {
    init(0);
    CHECK_EQ(uvt_rwlock_read_lock(&rw), 0);
    uvt_task_t w = settled(writes, INT(1)), a = settled(reads, INT(5)), b = settled(reads, INT(5));
    CHECK_EQ(uvt_abort(w), 0);
    check_cancelled(w);
    CHECK_EQ(uvt_rwlock_readers(&rw), 3);
    CHECK_EQ(uvt_rwlock_read_unlock(&rw), 0);
    check_returned(a, 0);
    check_returned(b, 0);
    check_free();
}

UVT_TEST(rwlock_waiters_cancelled_by_limits_leave_nothing) {
    init(0);
    uvt_task_t w = settled(writes, INT(50));
    CHECK_EQ(uvt_timeout(10, reads, INT(1)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_timeout(10, writes, INT(1)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_rwlock_waiting(&rw), 0);
    check_returned(w, 0);
    check_free();
}

UVT_TEST(rwlock_handed_over_then_cancelled_is_held) {
    init(0);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    uvt_task_t a = settled(writes, INT(1000)), b = settled(reads, INT(1000));
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    CHECK_EQ(uvt_abort(a), 0);
    CHECK(same_task(uvt_rwlock_writer(&rw), a));
    check_cancelled(a); /* in its sleep, and it unlocked */
    CHECK_EQ(uvt_rwlock_readers(&rw), 1);
    CHECK_EQ(uvt_abort(b), 0);
    check_cancelled(b);
    check_free();
}

UVT_TEST(rwlock_free_in_a_cancelled_scope_is_not_taken) {
    uvt_scope_t s;
    init(0);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_rwlock_read_lock(&rw), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, uvt_rwlock_write_lock(&rw)), UV_ECANCELED);
    check_free();
}

UVT_TEST(rwlock_read_in_a_loop_lets_others_run) {
    init(0);
    CHECK_EQ(uvt_spawn(NULL, tries_to_write, NULL), 0);
    uvt_stats before, now;
    CHECK_EQ(uvt_stats_get(&before), 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(uvt_rwlock_read_lock(&rw), 0);
        CHECK_EQ(uvt_rwlock_read_unlock(&rw), 0);
    }
    CHECK_EQ(uvt_stats_get(&now), 0);
    CHECK(now.switches > before.switches);
}

/* ---- misuse ---- */

UVT_TEST(rwlock_locked_again_by_its_writer_is_a_deadlock_named) {
    init(0);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), UVT_EDEADLK);
    CHECK_EQ(uvt_rwlock_read_lock(&rw), UVT_EDEADLK);
    CHECK_EQ(uvt_rwlock_try_write_lock(&rw), UVT_EDEADLK);
    CHECK_EQ(uvt_rwlock_try_read_lock(&rw), UVT_EDEADLK);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    check_free();
}

static int write_unlocks(void *arg) {
    (void)arg;
    return uvt_rwlock_write_unlock(&rw);
}

static int downgrades(void *arg) {
    (void)arg;
    return uvt_rwlock_downgrade(&rw);
}

UVT_TEST(rwlock_unlocked_by_who_does_not_have_it_is_refused) {
    init(0);
    CHECK_EQ(uvt_rwlock_read_unlock(&rw), UV_EPERM);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), UV_EPERM);
    CHECK_EQ(uvt_rwlock_downgrade(&rw), UV_EPERM);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    CHECK_EQ(uvt_rwlock_read_unlock(&rw), UV_EPERM);
    CHECK_EQ(spawn_and_join(write_unlocks, NULL), UV_EPERM);
    CHECK_EQ(spawn_and_join(downgrades, NULL), UV_EPERM);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    check_free();
}

UVT_TEST(rwlock_null_or_beyond_its_range_is_refused) {
    CHECK_EQ(uvt_rwlock_init_at(NULL, 0, UVT_SITE("x")), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_init_at(&rw, 0, NULL), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_init(&rw, (unsigned)INT32_MAX + 1), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_read_lock(NULL), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_write_lock(NULL), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_try_read_lock(NULL), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_try_write_lock(NULL), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_read_unlock(NULL), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_write_unlock(NULL), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_downgrade(NULL), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_readers(NULL), 0);
    CHECK_EQ(uvt_rwlock_waiting(NULL), 0);
    CHECK(uvt_rwlock_writer(NULL).rec == NULL);
}

UVT_TEST(rwlock_never_initialised_is_refused) {
    static uvt_rwlock_t zero;
    CHECK_EQ(uvt_rwlock_read_lock(&zero), UV_EINVAL);
    CHECK_EQ(uvt_rwlock_write_unlock(&zero), UV_EINVAL);
}

UVT_TEST_PLAIN(rwlock_outside_of_a_runtime_is_refused) {
    CHECK_EQ(uvt_rwlock_init(&rw, 0), UVT_ENOTASK);
    CHECK_EQ(uvt_rwlock_read_lock(&rw), UVT_ENOTASK);
    CHECK_EQ(uvt_rwlock_try_write_lock(&rw), UVT_ENOTASK);
    CHECK_EQ(uvt_rwlock_read_unlock(&rw), UVT_ENOTASK);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), UVT_ENOTASK);
    CHECK_EQ(uvt_rwlock_downgrade(&rw), UVT_ENOTASK);
}

UVT_TEST_MAIN()
