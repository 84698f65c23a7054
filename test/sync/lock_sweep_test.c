/* SPDX-License-Identifier: MIT
 *
 * Cancel at every suspension, for locks and signals: a task does its work among others that contend, and is aborted at
 * its n-th suspension, for n from 1 until it gets through. Whatever n, it leaves no trace: every lock is free in the
 * end, nobody is in line, and the others have done all of theirs.
 */
#include "locks.h"

static uvt_mutex_t m;
static uvt_cond_t c;
static uvt_rwlock_t rw;
static uvt_event_t e;
static uvt_notify_t n;
static uvt_barrier_t b;
static uvt_once_t once;
static int done, tokens;

struct victim {
    uvt_fn work;
    unsigned at;
    bool hit;
};

static int run_victim(void *arg) {
    struct victim *v = arg;
    CHECK_EQ(uvt_test_cancel_at(v->at), 0);
    int rc = v->work(NULL);
    v->hit = uvt_test_cancel_hit();
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc;
}

static void check_free(void) {
    CHECK_EQ(uvt_mutex_waiting(&m) + uvt_cond_waiting(&c) + uvt_rwlock_waiting(&rw), 0);
    CHECK_EQ(uvt_event_waiting(&e) + uvt_notify_waiting(&n) + uvt_barrier_waiting(&b), 0);
    CHECK_EQ(uvt_rwlock_readers(&rw), 0);
    CHECK_EQ(uvt_mutex_try_lock(&m), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK_EQ(uvt_rwlock_try_write_lock(&rw), 0);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    CHECK(strstr(uvt_test_reports(), "leak:") == NULL);
}

/* The victim works among `others` tasks that do theirs; at least `least` runs were cut short. */
static void sweep(uvt_fn work, uvt_fn theirs, int others, int least) {
    int cut_short = 0;
    for (struct victim v = { .work = work, .at = 1, .hit = true }; v.hit; v.at++) {
        uvt_task_t t, o[8];
        uvt_result r;
        CHECK_EQ(uvt_mutex_init(&m), 0);
        CHECK_EQ(uvt_cond_init(&c), 0);
        CHECK_EQ(uvt_rwlock_init(&rw, 2), 0);
        CHECK_EQ(uvt_event_init(&e), 0);
        CHECK_EQ(uvt_notify_init(&n), 0);
        CHECK_EQ(uvt_barrier_init(&b, 2), 0);
        once = (uvt_once_t){ 0 };
        done = tokens = 0;
        for (int i = 0; i < others / 2; i++) CHECK_EQ(uvt_spawn(&o[i], theirs, NULL), 0);
        CHECK_EQ(uvt_spawn(&t, run_victim, &v), 0);
        for (int i = others / 2; i < others; i++) CHECK_EQ(uvt_spawn(&o[i], theirs, NULL), 0);
        CHECK_EQ(uvt_join(t, &r), 0);
        for (int i = 0; i < others; i++) CHECK(uvt_join(o[i], NULL) >= 0);
        if (!v.hit && r.status < 0) uvt_test_fail(__FILE__, __LINE__, "not cancelled, yet %s", uvt_err_name(r.status));
        cut_short += r.outcome == UVT_CANCELLED;
        CHECK(done >= others);
        check_free();
        CHECK(v.at < 1000);
    }
    if (cut_short < least) uvt_test_fail(__FILE__, __LINE__, "only %d runs were cut short", cut_short);
}

static int inside;

static int locks_five_times(void *arg) {
    (void)arg;
    for (int i = 0; i < 5; i++) {
        int rc = uvt_mutex_lock(&m);
        if (rc < 0) return rc;
        CHECK_EQ(inside++, 0);
        rc = uvt_yield();
        inside--;
        CHECK_EQ(uvt_mutex_unlock(&m), 0);
        if (rc < 0) return rc;
    }
    done++;
    return 0;
}

UVT_TEST(lock_sweep_mutex_is_never_lost_nor_had_twice) {
    sweep(locks_five_times, locks_five_times, 4, 5);
}

static int selects_locks(void *arg) {
    (void)arg;
    for (int i = 0; i < 5; i++) {
        uvt_case_t k[] = { uvt_case_lock(&m), uvt_case_write_lock(&rw), uvt_case_read_lock(&rw) };
        int at = uvt_select(k, 3, 0);
        if (at < 0) return at;
        int rc = uvt_yield();
        if (at == 0) CHECK_EQ(uvt_mutex_unlock(&m), 0);
        else CHECK_EQ(at == 1 ? uvt_rwlock_write_unlock(&rw) : uvt_rwlock_read_unlock(&rw), 0);
        if (rc < 0) return rc;
    }
    done++;
    return 0;
}

UVT_TEST(lock_sweep_select_of_locks_leaves_nothing) {
    sweep(selects_locks, selects_locks, 6, 5);
}

static int reads_and_writes(void *arg) {
    (void)arg;
    for (int i = 0; i < 4; i++) {
        int rc = i % 2 ? uvt_rwlock_read_lock(&rw) : uvt_rwlock_write_lock(&rw);
        if (rc < 0) return rc;
        if (i % 2 == 0) {
            rc = uvt_yield();
            CHECK_EQ(uvt_rwlock_downgrade(&rw), 0);
        }
        if (rc == 0) rc = uvt_yield();
        CHECK_EQ(uvt_rwlock_read_unlock(&rw), 0);
        if (rc < 0) return rc;
    }
    done++;
    return 0;
}

UVT_TEST(lock_sweep_rwlock_is_free_in_the_end) {
    sweep(reads_and_writes, reads_and_writes, 6, 5);
}

static int takes_a_token(void *arg) {
    int rc = 0;
    (void)arg;
    if ((rc = uvt_mutex_lock(&m)) < 0) return rc;
    while (tokens == 0 && (rc = uvt_cond_wait(&c, &m)) == 0) continue;
    CHECK(same_task(uvt_mutex_owner(&m), uvt_self()));
    if (rc == 0) tokens--;
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    return rc;
}

static int gives_tokens(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_sleep(1), 0);
        CHECK_EQ(uvt_mutex_lock(&m), 0);
        tokens++;
        CHECK_EQ(uvt_yield(), 0);
        CHECK_EQ(uvt_cond_signal(&c), 0);
        CHECK_EQ(uvt_mutex_unlock(&m), 0);
    }
    done++;
    return 0;
}

UVT_TEST(lock_sweep_cond_waiter_has_the_mutex_whenever_it_is_cancelled) {
    sweep(takes_a_token, gives_tokens, 4, 1);
}

static int waits_for_signals(void *arg) {
    (void)arg;
    int rc = uvt_event_wait(&e);
    if (rc == 0) rc = uvt_notify_wait(&n);
    if (rc == 0) rc = uvt_notify_wait(&n);
    return rc;
}

static int signals(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_sleep(1), 0);
        CHECK_EQ(uvt_event_set(&e), 0);
        CHECK_EQ(uvt_notify_one(&n), 0);
    }
    done++;
    return 0;
}

UVT_TEST(lock_sweep_event_and_notify_leave_no_entry) {
    sweep(waits_for_signals, signals, 2, 2);
}

static int comes(void *arg) {
    (void)arg;
    return uvt_barrier_wait(&b);
}

static int comes_and_waits_for_one_more(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_sleep(1), 0);              /* the victim is the first ... */
    int rc = uvt_timeout(10, comes, NULL); /* ... or does not count */
    CHECK(rc == 1 || rc == UV_ETIMEDOUT);
    done++;
    return 0;
}

UVT_TEST(lock_sweep_barrier_does_not_count_who_gave_up) {
    sweep(comes, comes_and_waits_for_one_more, 1, 1);
}

static int makes(void *arg) {
    (void)arg;
    int rc = uvt_sleep(1);
    return rc < 0 ? rc : uvt_yield();
}

static int calls_once(void *arg) {
    (void)arg;
    int rc = uvt_once(&once, makes, NULL);
    if (rc == 0) done++;
    return rc;
}

UVT_TEST(lock_sweep_once_is_done_by_somebody) {
    sweep(calls_once, calls_once, 4, 1);
}

UVT_TEST_MAIN()
