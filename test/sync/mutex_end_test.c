/* SPDX-License-Identifier: MIT
 *
 * Tasks that end while they hold a mutex or a write lock: it is reported and passes on, and the end goes on as ever.
 */
#include "locks.h"
#include "../core/sanitized.h"

static uvt_mutex_t m;
static uvt_rwlock_t rw;

static int forgets(void *arg) {
    int rc = uvt_mutex_lock(&m);
    return rc < 0 ? rc : (int)(intptr_t)arg;
}

static int locks(void *arg) {
    int rc = uvt_mutex_lock(&m);
    if (rc < 0) return rc;
    uvt_test_step("%d", (int)(intptr_t)arg);
    return uvt_mutex_unlock(&m);
}

static void check_free(void) {
    CHECK(uvt_mutex_owner(&m).rec == NULL);
    CHECK_EQ(locks(INT(0)), 0);
}

UVT_TEST(mutex_forgotten_is_reported_with_its_place_and_the_task) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
    CHECK_EQ(uvt_join(settled(forgets, INT(7)), NULL), 7);
    check_reported("leak: mutex &m (");
    check_reported("mutex_end_test.c:");
    check_reported("was still held by task forgets");
    check_free();
}

UVT_TEST(mutex_unlocked_in_time_is_not_reported) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
    CHECK_EQ(uvt_join(settled(locks, NULL), NULL), 0);
    CHECK_STR(uvt_test_reports(), "");
}

UVT_TEST(mutex_forgotten_passes_on_to_the_oldest_waiter) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    uvt_task_t t = settled(forgets, INT(0)), a = settled(locks, INT(1)), b = settled(locks, INT(2));
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    check_returned(t, 0);
    check_returned(a, 0);
    check_returned(b, 0);
    CHECK_STEPS("1 2");
    check_reported("was still held by task forgets");
    check_free();
}

static int panics(void *arg) {
    int rc = uvt_mutex_lock(&m);
    if (rc < 0) return rc;
    uvt_sleep((uint64_t)(intptr_t)arg);
    uvt_panic("in the middle");
}

UVT_TEST(mutex_of_a_task_that_panics_passes_on) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
    uvt_task_t t = settled(panics, INT(10)), a = settled(locks, INT(1));
    check_ended(t, UVT_PANICKED, UVT_EPANIC);
    check_returned(a, 0);
    check_reported("was still held by task panics");
    check_free();
}

static int waits_holding(void *arg) {
    (void)arg;
    int rc = uvt_mutex_lock(&m);
    return rc < 0 ? rc : uvt_sleep(UVT_FOREVER);
}

UVT_TEST(mutex_of_a_cancelled_task_that_forgets_passes_on) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
    uvt_task_t t = settled(waits_holding, NULL), a = settled(locks, INT(1));
    CHECK_EQ(uvt_abort(t), 0);
    check_cancelled(t);
    check_returned(a, 0);
    check_reported("was still held by task waits_holding");
}

static void d_unlock(void *arg) {
    CHECK_EQ(uvt_mutex_unlock(arg), 0);
}

static int unlocks_by_defer(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_defer(d_unlock, &m), 0);
    uvt_panic("half way");
}

UVT_TEST(mutex_unlocked_by_a_defer_is_not_reported_as_held) {
    uvt_task_t t;
    CHECK_EQ(uvt_mutex_init(&m), 0);
    CHECK_EQ(uvt_spawn(&t, unlocks_by_defer, NULL), 0);
    check_ended(t, UVT_PANICKED, UVT_EPANIC);
    CHECK(strstr(uvt_test_reports(), "leak:") == NULL);
    check_free();
}

static int holds_until_children_end(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_spawn(NULL, b_stubborn, INT(20)), 0);
    return uvt_yield();
}

UVT_TEST(mutex_forgotten_is_held_until_the_children_have_ended) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
    uint64_t began = uvt_now();
    uvt_task_t t = settled(holds_until_children_end, NULL);
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_now() - began, 20);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    check_returned(t, 0);
    check_reported("was still held by task holds_until_children_end");
}

static uvt_mutex_t three[3];

static int forgets_three(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_mutex_lock(&three[i]), 0);
    CHECK_EQ(uvt_mutex_unlock(&three[1]), 0);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    return 0;
}

UVT_TEST(mutex_several_forgotten_all_pass_on) {
    CHECK_EQ(uvt_rwlock_init(&rw, 0), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_mutex_init(&three[i]), 0);
    CHECK_EQ(uvt_join(settled(forgets_three, NULL), NULL), 0);
    for (int i = 0; i < 3; i++) CHECK(uvt_mutex_owner(&three[i]).rec == NULL);
    CHECK(uvt_rwlock_writer(&rw).rec == NULL);
    check_reported("leak: mutex &three[i]");
    check_reported("leak: write lock &rw");
}

static __attribute__((noinline)) void locks_one_in_a_frame(void) {
    uvt_mutex_t gone;
    CHECK_EQ(uvt_mutex_init(&gone), 0);
    CHECK_EQ(uvt_mutex_lock(&gone), 0);
}

static __attribute__((noinline)) void overwrites(void) {
    volatile char big[2000];
    for (size_t i = 0; i < sizeof big; i++) big[i] = 0x55;
}

static int forgets_a_dead_one(void *arg) {
    (void)arg;
    locks_one_in_a_frame();
    overwrites();
    return 0;
}

static void run_with_a_dead_one(void) {
    uvt_test_run(forgets_a_dead_one, NULL, NULL);
}

/* With their checks of memory the sanitizers find it first. */
#if !SANITIZED
UVT_TEST_PLAIN(mutex_gone_while_held_is_an_assertion) {
    char text[500];
    dies(run_with_a_dead_one, text, sizeof text);
    CHECK(strstr(text, "a lock went away while a task held it") != NULL);
}
#else
UVT_TEST_PLAIN(mutex_gone_while_held_is_left_to_the_sanitizer) {
    (void)run_with_a_dead_one;
}
#endif

static int forgets_main(void *arg) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    return (int)(intptr_t)arg;
}

UVT_TEST_PLAIN(mutex_forgotten_by_main_is_reported) {
    CHECK_EQ(uvt_test_run(forgets_main, INT(3), NULL), 3);
    check_reported("leak: mutex &m");
}

/* ---- the write lock ---- */

static int forgets_write(void *arg) {
    int rc = uvt_rwlock_write_lock(&rw);
    if (rc < 0) return rc;
    settle();
    if (arg) uvt_panic("writing");
    return 0;
}

static int reads(void *arg) {
    (void)arg;
    int rc = uvt_rwlock_read_lock(&rw);
    if (rc < 0) return rc;
    settle();
    return uvt_rwlock_read_unlock(&rw);
}

static void check_write_passes_on(void *panic, uvt_outcome outcome, int status) {
    uvt_task_t t, a, b;
    CHECK_EQ(uvt_rwlock_init(&rw, 0), 0);
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    t = settled(forgets_write, panic);
    a = settled(reads, NULL);
    b = settled(reads, NULL);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    CHECK(same_task(uvt_rwlock_writer(&rw), t));
    check_ended(t, outcome, status);
    CHECK_EQ(uvt_rwlock_readers(&rw), 2);
    check_returned(a, 0);
    check_returned(b, 0);
    check_reported("leak: write lock &rw (");
    check_reported("was still held by task forgets_write");
    CHECK_EQ(uvt_rwlock_try_write_lock(&rw), 0);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
}

UVT_TEST(rwlock_forgotten_by_a_writer_passes_on) {
    check_write_passes_on(NULL, UVT_RETURNED, 0);
}

UVT_TEST(rwlock_of_a_writer_that_panics_passes_on) {
    check_write_passes_on(INT(1), UVT_PANICKED, UVT_EPANIC);
}

static int downgrades(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    CHECK_EQ(uvt_rwlock_downgrade(&rw), 0);
    return 0;
}

UVT_TEST(rwlock_downgraded_is_no_write_lock_any_more) {
    CHECK_EQ(uvt_rwlock_init(&rw, 0), 0);
    CHECK_EQ(uvt_join(settled(downgrades, NULL), NULL), 0);
    CHECK_STR(uvt_test_reports(), "");
    CHECK_EQ(uvt_rwlock_readers(&rw), 1);
    CHECK_EQ(uvt_rwlock_read_unlock(&rw), 0); /* for it: readers are only counted */
}

UVT_TEST_MAIN()
