/* SPDX-License-Identifier: MIT
 *
 * Locks, events and notifications as cases of a select: one is taken, the others are as if they had never been tried,
 * and what is given while the select has been served elsewhere goes to the next in line.
 */
#include "locks.h"

static uvt_mutex_t m, other;
static uvt_rwlock_t rw;
static uvt_event_t e;
static uvt_notify_t n;

static void init(void) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
    CHECK_EQ(uvt_mutex_init(&other), 0);
    CHECK_EQ(uvt_rwlock_init(&rw, 0), 0);
    CHECK_EQ(uvt_event_init(&e), 0);
    CHECK_EQ(uvt_notify_init(&n), 0);
}

/* Waits for the mutex or the event; what it has locked it unlocks after arg ms. */
static int lock_or_event(void *arg) {
    uvt_case_t c[] = { uvt_case_lock(&m), uvt_case_event(&e) };
    int at = uvt_select(c, 2, UVT_SELECT_BIASED);
    if (at < 0) return at;
    CHECK_EQ(c[at].result, 0);
    if (at != 0) return at;
    CHECK(same_task(uvt_mutex_owner(&m), uvt_self()));
    int rc = uvt_sleep((uint64_t)(intptr_t)arg);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    return rc;
}

static int notified_or_event(void *arg) {
    uvt_case_t c[] = { uvt_case_notified(&n), uvt_case_event(&e) };
    (void)arg;
    return uvt_select(c, 2, UVT_SELECT_BIASED);
}

static int waits_for_notification(void *arg) {
    (void)arg;
    return uvt_notify_wait(&n);
}

static int locks(void *arg) {
    (void)arg;
    int rc = uvt_mutex_lock(&m);
    return rc < 0 ? rc : uvt_mutex_unlock(&m);
}

static void check_all_free(void) {
    CHECK_EQ(uvt_mutex_waiting(&m) + uvt_event_waiting(&e) + uvt_notify_waiting(&n) + uvt_rwlock_waiting(&rw), 0);
    CHECK(uvt_mutex_owner(&m).rec == NULL);
    CHECK_EQ(uvt_mutex_try_lock(&m), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK_EQ(uvt_rwlock_try_write_lock(&rw), 0);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
}

UVT_TEST(select_free_mutex_is_taken_the_event_untouched) {
    init();
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(lock_or_event(INT(0)), 0);
    check_all_free();
}

UVT_TEST(select_waits_for_the_mutex_and_is_its_owner_then) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    uvt_task_t t = settled(lock_or_event, INT(5));
    CHECK_EQ(uvt_mutex_waiting(&m), 1);
    CHECK_EQ(uvt_event_waiting(&e), 1);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK(same_task(uvt_mutex_owner(&m), t));
    CHECK_EQ(uvt_event_set(&e), 0); /* too late */
    check_returned(t, 0);
    check_all_free();
}

UVT_TEST(select_served_by_the_event_is_passed_over_by_the_mutex) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    uvt_task_t t = settled(lock_or_event, INT(5)), next = settled(locks, NULL);
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0); /* the select has not run yet */
    CHECK(same_task(uvt_mutex_owner(&m), next));
    check_returned(t, 1);
    check_returned(next, 0);
    check_all_free();
}

UVT_TEST(select_served_by_the_event_alone_in_line_frees_the_mutex) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    uvt_task_t t = settled(lock_or_event, INT(5));
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK(uvt_mutex_owner(&m).rec == NULL);
    check_returned(t, 1);
    check_all_free();
}

UVT_TEST(select_served_by_the_event_leaves_the_notification_to_the_next) {
    init();
    uvt_task_t t = settled(notified_or_event, NULL), next = settled(waits_for_notification, NULL);
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_notify_one(&n), 0);
    check_returned(t, 1);
    check_returned(next, 0);
    check_all_free();
}

UVT_TEST(select_served_by_the_event_last_in_line_leaves_the_notification_as_a_permit) {
    init();
    uvt_task_t t = settled(notified_or_event, NULL);
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_notify_last(&n), 0);
    check_returned(t, 1);
    CHECK_EQ(uvt_notify_wait(&n), 0);
    check_all_free();
}

UVT_TEST(select_notified_takes_the_one_permit) {
    uvt_case_t c[] = { uvt_case_notified(&n) };
    init();
    CHECK_EQ(uvt_notify_one(&n), 0);
    CHECK_EQ(uvt_try_select(c, 1, 0), 0);
    CHECK_EQ(uvt_try_select(c, 1, 0), UV_EAGAIN);
    uvt_task_t t = settled(notified_or_event, NULL);
    CHECK_EQ(uvt_notify_one(&n), 0);
    check_returned(t, 0);
    CHECK_EQ(uvt_try_select(c, 1, 0), UV_EAGAIN);
    check_all_free();
}

UVT_TEST(select_given_the_mutex_then_cancelled_holds_it) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    uvt_task_t t = settled(lock_or_event, INT(1000));
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK_EQ(uvt_abort(t), 0);
    check_cancelled(t); /* in its sleep */
    check_all_free();
}

UVT_TEST(select_cancelled_leaves_nothing_in_line) {
    init();
    uvt_task_t t = settled(lock_or_event, INT(50));
    CHECK_EQ(uvt_timeout(5, lock_or_event, INT(0)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_timeout(5, notified_or_event, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_mutex_waiting(&m), 0);
    check_returned(t, 0);
    check_all_free();
}

static int forgets(void *arg) {
    uvt_case_t c[] = { uvt_case_lock(&m), uvt_case_write_lock(&rw) };
    (void)arg;
    return uvt_select(c, 2, 0);
}

UVT_TEST(select_locked_and_forgotten_is_reported_and_passes_on) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    uvt_task_t a = settled(forgets, NULL), b = settled(forgets, NULL);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    settle();
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK(uvt_join(b, NULL) >= 0); /* it had the mutex after the first, or the write lock */
    check_reported("was still held by task forgets");
    check_all_free();
}

UVT_TEST(select_mutex_twice_is_taken_once) {
    uvt_case_t c[] = { uvt_case_lock(&m), uvt_case_lock(&m) };
    init();
    uvt_task_t t = settled(lock_or_event, INT(10));
    int at = uvt_select(c, 2, 0);
    CHECK(at == 0 || at == 1);
    CHECK_EQ(uvt_mutex_waiting(&m), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    check_returned(t, 0);
    check_all_free();
}

UVT_TEST(select_two_mutexes_takes_the_one_that_is_free) {
    uvt_case_t c[] = { uvt_case_lock(&m), uvt_case_lock(&other) };
    init();
    uvt_task_t t = settled(lock_or_event, INT(10));
    CHECK_EQ(uvt_select(c, 2, 0), 1);
    CHECK_EQ(uvt_mutex_waiting(&m), 0);
    CHECK_EQ(uvt_mutex_unlock(&other), 0);
    check_returned(t, 0);
}

UVT_TEST(select_own_mutex_is_a_deadlock_named) {
    uvt_case_t c[] = { uvt_case_lock(&m), uvt_case_write_lock(&rw), uvt_case_read_lock(&rw) };
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_select(&c[i], 1, 0), 0);
        CHECK_EQ(c[i].result, UVT_EDEADLK);
    }
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
}

/* ---- the rwlock ---- */

static int write_or_event(void *arg) {
    uvt_case_t c[] = { uvt_case_write_lock(&rw), uvt_case_event(&e) };
    (void)arg;
    int at = uvt_select(c, 2, UVT_SELECT_BIASED);
    if (at == 0) CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    return at;
}

static int read_or_event(void *arg) {
    uvt_case_t c[] = { uvt_case_read_lock(&rw), uvt_case_event(&e) };
    (void)arg;
    int at = uvt_select(c, 2, UVT_SELECT_BIASED);
    if (at == 0) CHECK_EQ(uvt_rwlock_read_unlock(&rw), 0);
    return at;
}

static int reads(void *arg) {
    (void)arg;
    int rc = uvt_rwlock_read_lock(&rw);
    if (rc < 0) return rc;
    settle();
    return uvt_rwlock_read_unlock(&rw);
}

UVT_TEST(select_read_and_write_locks_are_handed_over) {
    init();
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    uvt_task_t a = settled(read_or_event, NULL), b = settled(write_or_event, NULL), d = settled(read_or_event, NULL);
    CHECK_EQ(uvt_rwlock_waiting(&rw), 3);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    check_returned(a, 0);
    check_returned(b, 0);
    check_returned(d, 0);
    check_all_free();
}

UVT_TEST(select_writer_served_elsewhere_lets_readers_behind_it_in) {
    init();
    CHECK_EQ(uvt_rwlock_read_lock(&rw), 0);
    uvt_task_t w = settled(write_or_event, NULL), r = settled(reads, NULL);
    CHECK_EQ(uvt_is_done(r), 0);
    CHECK_EQ(uvt_event_set(&e), 0);
    check_returned(w, 1);
    CHECK_EQ(uvt_rwlock_readers(&rw), 2);
    check_returned(r, 0);
    CHECK_EQ(uvt_rwlock_read_unlock(&rw), 0);
    check_all_free();
}

UVT_TEST(select_writer_served_elsewhere_is_passed_over) {
    init();
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    uvt_task_t w = settled(write_or_event, NULL), r = settled(reads, NULL);
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    CHECK_EQ(uvt_rwlock_readers(&rw), 1);
    check_returned(w, 1);
    check_returned(r, 0);
    check_all_free();
}

UVT_TEST(select_null_or_never_initialised_says_so_in_the_result) {
    static uvt_mutex_t zero;
    static uvt_event_t no_event;
    static uvt_notify_t no_notify;
    static uvt_rwlock_t no_rwlock;
    uvt_case_t c[] = { uvt_case_lock(&zero),          uvt_case_event(&no_event), uvt_case_notified(&no_notify),
                       uvt_case_read_lock(&no_rwlock), uvt_case_lock(NULL),       uvt_case_event(NULL) };
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(uvt_select(&c[i], 1, 0), 0);
        CHECK_EQ(c[i].result, UV_EINVAL);
    }
}

UVT_TEST_MAIN()
