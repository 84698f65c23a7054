/* SPDX-License-Identifier: MIT
 *
 * The condition: who waits has let go of the mutex meanwhile and has it again afterwards, on every path; signals go to
 * the oldest and are not lost to a cancel.
 */
#include "locks.h"

static uvt_mutex_t m;
static uvt_cond_t c;

static void init(void) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
    CHECK_EQ(uvt_cond_init(&c), 0);
}

/* Waits once, checks that it has the mutex, and notes its argument. */
static int waits(void *arg) {
    int rc = uvt_mutex_lock(&m);
    if (rc < 0) return rc;
    rc = uvt_cond_wait(&c, &m);
    CHECK(same_task(uvt_mutex_owner(&m), uvt_self()));
    if (rc == 0) uvt_test_step("%d", (int)(intptr_t)arg);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    return rc;
}

static void check_free(void) {
    CHECK_EQ(uvt_cond_waiting(&c), 0);
    CHECK_EQ(uvt_mutex_waiting(&m), 0);
    CHECK(uvt_mutex_owner(&m).rec == NULL);
}

UVT_TEST(cond_waiting_lets_go_of_the_mutex) {
    init();
    uvt_task_t t = settled(waits, INT(1));
    CHECK_EQ(uvt_cond_waiting(&c), 1);
    CHECK_EQ(uvt_mutex_try_lock(&m), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK_EQ(uvt_cond_signal(&c), 0);
    check_returned(t, 0);
    check_free();
}

UVT_TEST(cond_signalled_one_by_one_is_first_come_first_served) {
    uvt_task_t t[3];
    init();
    for (int i = 0; i < 3; i++) t[i] = settled(waits, INT(i));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_cond_signal(&c), 0);
        CHECK_EQ(uvt_cond_waiting(&c), 2 - i);
        check_returned(t[i], 0);
    }
    CHECK_STEPS("0 1 2");
    check_free();
}

UVT_TEST(cond_signal_without_waiters_is_nothing) {
    init();
    CHECK_EQ(uvt_cond_signal(&c), 0);
    CHECK_EQ(uvt_cond_broadcast(&c), 0);
    uvt_task_t t = settled(waits, INT(1));
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_cond_signal(&c), 0);
    check_returned(t, 0);
}

UVT_TEST(cond_broadcast_wakes_all_who_then_take_turns) {
    uvt_task_t t[10];
    init();
    for (int i = 0; i < 10; i++) t[i] = settled(waits, INT(i));
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_cond_broadcast(&c), 0);
    CHECK_EQ(uvt_cond_waiting(&c), 0);
    settle();
    CHECK_EQ(uvt_mutex_waiting(&m), 10);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    for (int i = 0; i < 10; i++) check_returned(t[i], 0);
    check_free();
}

UVT_TEST(cond_signalled_waiter_waits_for_whoever_holds_the_mutex) {
    init();
    uvt_task_t t = settled(waits, INT(1));
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_cond_signal(&c), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_mutex_waiting(&m), 1);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    check_returned(t, 0);
}

/* ---- cancelled ---- */

UVT_TEST(cond_wait_timing_out_has_the_mutex) {
    uvt_scope_t s;
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 10 }), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_cond_wait(&c, &m)), UV_ETIMEDOUT);
    CHECK(same_task(uvt_mutex_owner(&m), uvt_self()));
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    check_free();
}

UVT_TEST(cond_waiter_cancelled_waits_for_the_mutex_all_the_same) {
    init();
    uvt_task_t t = settled(waits, INT(1));
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_abort(t), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_cond_waiting(&c), 0);
    CHECK_EQ(uvt_mutex_waiting(&m), 1);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    check_cancelled(t);
    check_free();
}

UVT_TEST(cond_waiter_cancelled_while_it_locks_again_has_the_signal) {
    init();
    uvt_task_t t = settled(waits, INT(1));
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_cond_signal(&c), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    check_returned(t, 0);
    CHECK_STEPS("1");
}

UVT_TEST(cond_signalled_then_cancelled_the_signal_wins) {
    init();
    uvt_task_t a = settled(waits, INT(1)), b = settled(waits, INT(2));
    CHECK_EQ(uvt_cond_signal(&c), 0);
    CHECK_EQ(uvt_abort(a), 0);
    check_returned(a, 0);
    CHECK_EQ(uvt_is_done(b), 0);
    CHECK_EQ(uvt_cond_signal(&c), 0);
    check_returned(b, 0);
}

UVT_TEST(cond_cancelled_then_signalled_the_next_has_the_signal) {
    init();
    uvt_task_t a = settled(waits, INT(1)), b = settled(waits, INT(2));
    CHECK_EQ(uvt_abort(a), 0);
    CHECK_EQ(uvt_cond_signal(&c), 0);
    check_cancelled(a);
    check_returned(b, 0);
    CHECK_STEPS("2");
    check_free();
}

UVT_TEST(cond_wait_in_a_cancelled_scope_keeps_the_mutex_throughout) {
    uvt_scope_t s;
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    uvt_task_t t = settled(waits, INT(1)); /* waits for the mutex */
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    CHECK_EQ(uvt_scope_end(&s, uvt_cond_wait(&c, &m)), UV_ECANCELED);
    CHECK(same_task(uvt_mutex_owner(&m), uvt_self()));
    CHECK_EQ(uvt_mutex_waiting(&m), 1);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    settle();
    CHECK_EQ(uvt_cond_signal(&c), 0);
    check_returned(t, 0);
}

/* ---- as it is meant to be used ---- */

static int stock;

static int consumes(void *arg) {
    int *eaten = arg, rc = 0;
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(uvt_mutex_lock(&m), 0);
        while (stock == 0 && (rc = uvt_cond_wait(&c, &m)) == 0) continue;
        if (rc == 0) {
            CHECK(stock > 0);
            stock--;
            ++*eaten;
        }
        CHECK_EQ(uvt_mutex_unlock(&m), 0);
        if (rc < 0) return rc;
    }
    return 0;
}

static int produces(void *arg) {
    (void)arg;
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(uvt_mutex_lock(&m), 0);
        stock++;
        CHECK_EQ(uvt_cond_signal(&c), 0);
        CHECK_EQ(uvt_yield(), 0);
        CHECK_EQ(uvt_mutex_unlock(&m), 0);
    }
    return 0;
}

UVT_TEST(cond_producers_and_consumers_come_out_even) {
    int eaten = 0;
    uvt_set_t set;
    init();
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_set_spawn(&set, consumes, &eaten), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_set_spawn(&set, produces, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(eaten, 100);
    CHECK_EQ(stock, 0);
    check_free();
}

/* ---- misuse ---- */

static int waits_without_lock(void *arg) {
    (void)arg;
    return uvt_cond_wait(&c, &m);
}

UVT_TEST(cond_wait_without_the_mutex_is_refused) {
    init();
    CHECK_EQ(waits_without_lock(NULL), UV_EPERM);
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(spawn_and_join(waits_without_lock, NULL), UV_EPERM);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    check_free();
}

UVT_TEST(cond_null_is_refused) {
    init();
    CHECK_EQ(uvt_cond_init(NULL), UV_EINVAL);
    CHECK_EQ(uvt_cond_wait(NULL, &m), UV_EINVAL);
    CHECK_EQ(uvt_cond_wait(&c, NULL), UV_EINVAL);
    CHECK_EQ(uvt_cond_signal(NULL), UV_EINVAL);
    CHECK_EQ(uvt_cond_broadcast(NULL), UV_EINVAL);
    CHECK_EQ(uvt_cond_waiting(NULL), 0);
}

UVT_TEST(cond_never_initialised_is_refused) {
    static uvt_cond_t zero;
    static uvt_mutex_t mutex;
    init();
    CHECK_EQ(uvt_cond_wait(&zero, &m), UV_EINVAL);
    CHECK_EQ(uvt_cond_wait(&c, &mutex), UV_EINVAL);
    CHECK_EQ(uvt_cond_signal(&zero), UV_EINVAL);
    CHECK_EQ(uvt_cond_broadcast(&zero), UV_EINVAL);
}

static void signals(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_cond_wait(&c, &m), UVT_ENOTASK);
    CHECK_EQ(uvt_cond_signal(&c), 0);
}

UVT_TEST(cond_signalled_by_a_callback_wakes) {
    init();
    uvt_task_t t = settled(waits, INT(1));
    post_here(signals);
    check_returned(t, 0);
}

UVT_TEST_PLAIN(cond_outside_of_a_runtime_is_refused) {
    CHECK_EQ(uvt_cond_init(&c), UVT_ENOTASK);
    CHECK_EQ(uvt_cond_wait(&c, &m), UVT_ENOTASK);
    CHECK_EQ(uvt_cond_signal(&c), UVT_ENOTASK);
    CHECK_EQ(uvt_cond_broadcast(&c), UVT_ENOTASK);
}

UVT_TEST_MAIN()
