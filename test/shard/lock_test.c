/* SPDX-License-Identifier: MIT
 *
 * Locks and signals that tasks of several shards share: handed over across shards in the order of coming, nothing lost
 * to a cancel that races, and what a task still holds at its end passes on to another shard.
 */
#include "shards.h"

static uvt_mutex_t m;
static uvt_cond_t c;
static uvt_rwlock_t rw;
static uvt_event_t e;
static uvt_notify_t n;
static uvt_barrier_t b;
static uvt_once_t once;

static void init(void) {
    CHECK_EQ(uvt_mutex_init(&m), 0);
    CHECK_EQ(uvt_cond_init(&c), 0);
    CHECK_EQ(uvt_rwlock_init(&rw, 0), 0);
    CHECK_EQ(uvt_event_init(&e), 0);
    CHECK_EQ(uvt_notify_init(&n), 0);
}

static int locks_and_steps(void *arg) {
    int rc = uvt_mutex_lock(&m);
    if (rc < 0) return rc;
    uvt_test_step("%d@%u", (int)(intptr_t)arg, uvt_shard_index());
    return uvt_mutex_unlock(&m);
}

static int try_lock(void *arg) {
    (void)arg;
    return uvt_mutex_try_lock(&m);
}

static int unlock(void *arg) {
    (void)arg;
    return uvt_mutex_unlock(&m);
}

/* ---- mutex ---- */

ON_SHARDS(4, mutex_is_first_come_first_served_over_shards) {
    uvt_task_t t[6];
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    for (unsigned i = 0; i < 6; i++) t[i] = settled_on(3 - i % 4, locks_and_steps, INT(i));
    CHECK_EQ(uvt_mutex_waiting(&m), 6);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    for (unsigned i = 0; i < 6; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_STEPS("0@3 1@2 2@1 3@0 4@3 5@2");
    CHECK(uvt_mutex_owner(&m).rec == NULL);
}

ON_SHARDS(2, mutex_of_a_task_elsewhere_is_neither_unlocked_nor_tried_here) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    CHECK_EQ(uvt_call(1, unlock, NULL), UV_EPERM);
    CHECK_EQ(uvt_call(1, try_lock, NULL), UV_EBUSY);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
}

static int holds(void *arg) {
    int rc = uvt_mutex_lock(&m);
    if (rc < 0) return rc;
    rc = uvt_sleep((uint64_t)(intptr_t)arg);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    return rc;
}

ON_SHARDS(2, mutex_handed_over_elsewhere_beats_the_cancel_behind_it) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    uvt_task_t t = settled_on(1, holds, INT(1000));
    CHECK_EQ(uvt_mutex_unlock(&m), 0); /* on its way */
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED); /* in its sleep, and it unlocked: CHECK in there */
    CHECK_EQ(uvt_mutex_try_lock(&m), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
}

static int forgets(void *arg) {
    int rc = uvt_mutex_lock(&m);
    if (rc < 0) return rc;
    settle();
    if (arg) uvt_panic("holding");
    return 0;
}

ON_SHARDS(3, mutex_forgotten_on_one_shard_passes_on_to_another) {
    init();
    CHECK_EQ(uvt_mutex_lock(&m), 0);
    uvt_task_t a = settled_on(1, forgets, NULL), x = settled_on(2, forgets, INT(1));
    uvt_task_t d = settled_on(0, locks_and_steps, INT(3));
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(join(x).outcome, UVT_PANICKED);
    CHECK_EQ(uvt_join(d, NULL), 0);
    CHECK_EQ(count_in(uvt_test_reports(), "leak: mutex &m"), 2);
    CHECK(uvt_mutex_owner(&m).rec == NULL);
}

static int of_an_older_runtime(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_mutex_lock(&m), UVT_ESHARD);
    CHECK_EQ(uvt_mutex_unlock(&m), UVT_ESHARD);
    CHECK_EQ(uvt_rwlock_read_lock(&rw), UVT_ESHARD);
    CHECK_EQ(uvt_event_set(&e), UVT_ESHARD);
    CHECK_EQ(uvt_notify_one(&n), UVT_ESHARD);
    CHECK_EQ(uvt_cond_signal(&c), UVT_ESHARD);
    return 0;
}

static int makes_all(void *arg) {
    (void)arg;
    init();
    return 0;
}

UVT_TEST_PLAIN(lock_of_an_ended_runtime_is_refused) {
    CHECK_EQ(run_virtual(2, makes_all, NULL), 0);
    CHECK_EQ(run_virtual(2, of_an_older_runtime, NULL), 0);
}

/* ---- condition ---- */

static int waits_for_signal(void *arg) {
    int rc = uvt_mutex_lock(&m);
    if (rc < 0) return rc;
    rc = uvt_cond_wait(&c, &m);
    if (rc == 0) uvt_test_step("%d@%u", (int)(intptr_t)arg, uvt_shard_index());
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    return rc;
}

ON_SHARDS(3, cond_signals_reach_the_oldest_on_whatever_shard) {
    uvt_task_t t[4];
    init();
    for (unsigned i = 0; i < 4; i++) t[i] = settled_on((i + 1) % 3, waits_for_signal, INT(i));
    CHECK_EQ(uvt_abort(t[1]), 0);
    CHECK_EQ(uvt_join(t[1], NULL), UV_ECANCELED);
    CHECK_EQ(uvt_cond_signal(&c), 0);
    CHECK_EQ(uvt_join(t[0], NULL), 0);
    CHECK_EQ(uvt_cond_signal(&c), 0);
    CHECK_EQ(uvt_join(t[2], NULL), 0);
    CHECK_EQ(uvt_cond_broadcast(&c), 0);
    CHECK_EQ(uvt_join(t[3], NULL), 0);
    CHECK_STEPS("0@1 2@0 3@1");
    CHECK_EQ(uvt_cond_waiting(&c), 0);
}

/* ---- rwlock ---- */

static int reads(void *arg) {
    int rc = uvt_rwlock_read_lock(&rw);
    if (rc < 0) return rc;
    rc = uvt_sleep((uint64_t)(intptr_t)arg);
    CHECK_EQ(uvt_rwlock_read_unlock(&rw), 0);
    return rc;
}

static int writes(void *arg) {
    int rc = uvt_rwlock_write_lock(&rw);
    if (rc < 0) return rc;
    rc = uvt_sleep((uint64_t)(intptr_t)arg);
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    return rc;
}

ON_SHARDS(3, rwlock_writer_elsewhere_cancelled_lets_readers_in) {
    init();
    CHECK_EQ(uvt_rwlock_read_lock(&rw), 0);
    uvt_task_t w = settled_on(1, writes, INT(1)), r = settled_on(2, reads, INT(5));
    CHECK_EQ(uvt_rwlock_waiting(&rw), 2);
    CHECK_EQ(uvt_abort(w), 0);
    CHECK_EQ(uvt_join(w, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_rwlock_readers(&rw), 2);
    CHECK_EQ(uvt_join(r, NULL), 0);
    CHECK_EQ(uvt_rwlock_read_unlock(&rw), 0);
}

static int forgets_write(void *arg) {
    (void)arg;
    return uvt_rwlock_write_lock(&rw);
}

ON_SHARDS(2, rwlock_forgotten_elsewhere_passes_on) {
    init();
    CHECK_EQ(uvt_rwlock_write_lock(&rw), 0);
    uvt_task_t w = settled_on(1, forgets_write, NULL), r = settled_on(0, reads, INT(1));
    CHECK_EQ(uvt_rwlock_write_unlock(&rw), 0);
    CHECK_EQ(uvt_join(w, NULL), 0);
    CHECK_EQ(uvt_join(r, NULL), 0);
    CHECK_EQ(count_in(uvt_test_reports(), "leak: write lock &rw"), 1);
}

/* ---- event, notify ---- */

static int waits_for_event(void *arg) {
    (void)arg;
    return uvt_event_wait(&e);
}

ON_SHARDS(4, event_set_wakes_tasks_of_all_shards) {
    uvt_task_t t[8];
    init();
    for (unsigned i = 0; i < 8; i++) t[i] = settled_on(i % 4, waits_for_event, NULL);
    CHECK_EQ(uvt_event_waiting(&e), 8);
    CHECK_EQ(uvt_event_set(&e), 0);
    CHECK_EQ(uvt_event_clear(&e), 0);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
}

static int waits_for_notification(void *arg) {
    int rc = uvt_notify_wait(&n);
    if (rc == 0) uvt_test_step("%d@%u", (int)(intptr_t)arg, uvt_shard_index());
    return rc;
}

ON_SHARDS(3, notify_first_and_last_over_shards) {
    uvt_task_t t[3];
    init();
    for (unsigned i = 0; i < 3; i++) t[i] = settled_on(i, waits_for_notification, INT(i));
    CHECK_EQ(uvt_notify_last(&n), 0);
    CHECK_EQ(uvt_join(t[2], NULL), 0);
    CHECK_EQ(uvt_notify_one(&n), 0);
    CHECK_EQ(uvt_join(t[0], NULL), 0);
    CHECK_EQ(uvt_abort(t[1]), 0);
    CHECK_EQ(uvt_join(t[1], NULL), UV_ECANCELED);
    CHECK_EQ(uvt_notify_one(&n), 0);
    CHECK_EQ(uvt_call(1, waits_for_notification, INT(4)), 0);
    CHECK_STEPS("2@2 0@0 4@1");
}

/* ---- on real threads ---- */

static int counter; /* under m, or the write lock */
static atomic_int inside, writers_in, leaders, runs;

static int counts_under_m(void *arg) {
    (void)arg;
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(uvt_mutex_lock(&m), 0);
        counter++;
        if (i % 16 == 0) uvt_yield();
        CHECK_EQ(uvt_mutex_unlock(&m), 0);
    }
    return 0;
}

ON_SHARDS_REAL(4, mutex_forty_workers_of_four_shards_count_exactly) {
    uvt_task_t t[40];
    init();
    for (unsigned i = 0; i < 40; i++) t[i] = spawn_on(i % 4, counts_under_m, NULL);
    for (unsigned i = 0; i < 40; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(counter, 40 * 200);
    CHECK_EQ(uvt_mutex_waiting(&m), 0);
    CHECK(uvt_mutex_owner(&m).rec == NULL);
}

static int impatient(void *arg) {
    bool selects = (intptr_t)arg % 3 == 0;
    uvt_case_t k[] = { uvt_case_lock(&m), uvt_case_event(&e) };
    int rc = selects ? uvt_select(k, 2, 0) : uvt_mutex_lock(&m);
    if (rc == 0) {
        CHECK_EQ(atomic_fetch_add(&inside, 1), 0);
        counter++;
        uvt_sleep((uint64_t)(intptr_t)arg % 2);
        atomic_fetch_sub(&inside, 1);
        CHECK_EQ(uvt_mutex_unlock(&m), 0);
    }
    return rc == UV_ECANCELED ? 0 : rc;
}

static int spawns_impatient_ones(void *arg) {
    unsigned shards = uvt_shard_count();
    for (unsigned i = 0; i < 100; i++) {
        uvt_task_t t = spawn_on((i + (unsigned)(intptr_t)arg) % shards, impatient, INT(i));
        if (i % 3 == 0) uvt_yield();
        if (i % 2) CHECK_EQ(uvt_abort(t), 0);
        if (i % 4 == 0) CHECK_EQ(uvt_join(t, NULL), 0);
    }
    return 0;
}

ON_SHARDS_REAL(4, mutex_cancels_racing_the_hand_over_lose_nothing) {
    uvt_task_t t[4];
    init();
    for (unsigned k = 0; k < 4; k++) t[k] = spawn_on(k, spawns_impatient_ones, INT(k));
    for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    CHECK_EQ(uvt_mutex_waiting(&m) + uvt_event_waiting(&e), 0);
    CHECK_EQ(uvt_mutex_try_lock(&m), 0);
    CHECK_EQ(uvt_mutex_unlock(&m), 0);
    CHECK(counter >= 100);
}

static int reads_and_writes(void *arg) {
    for (int i = 0; i < 100; i++) {
        bool writer = (i + (int)(intptr_t)arg) % 5 == 0;
        CHECK_EQ(writer ? uvt_rwlock_write_lock(&rw) : uvt_rwlock_read_lock(&rw), 0);
        if (writer) {
            CHECK_EQ(atomic_fetch_add(&writers_in, 1), 0);
            counter++;
            atomic_fetch_sub(&writers_in, 1);
        }
        CHECK_EQ(atomic_load(&writers_in), 0);
        if (i % 16 == 0) uvt_yield();
        if (writer && i % 2) CHECK_EQ(uvt_rwlock_downgrade(&rw), 0);
        CHECK_EQ(writer && i % 2 == 0 ? uvt_rwlock_write_unlock(&rw) : uvt_rwlock_read_unlock(&rw), 0);
    }
    return 0;
}

ON_SHARDS_REAL(4, rwlock_twenty_tasks_of_four_shards_keep_the_rule) {
    uvt_task_t t[20];
    init();
    for (unsigned i = 0; i < 20; i++) t[i] = spawn_on(i % 4, reads_and_writes, INT(i));
    for (unsigned i = 0; i < 20; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(counter, 20 * 20);
    CHECK_EQ(uvt_rwlock_readers(&rw), 0);
    CHECK_EQ(uvt_rwlock_waiting(&rw), 0);
}

static int stock, eaten; /* under m */

static int consumes(void *arg) {
    int rc = 0;
    (void)arg;
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(uvt_mutex_lock(&m), 0);
        while (stock == 0 && (rc = uvt_cond_wait(&c, &m)) == 0) continue;
        CHECK_EQ(rc, 0);
        stock--;
        eaten++;
        CHECK_EQ(uvt_mutex_unlock(&m), 0);
    }
    return 0;
}

static int produces(void *arg) {
    (void)arg;
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(uvt_mutex_lock(&m), 0);
        stock++;
        CHECK_EQ(uvt_mutex_unlock(&m), 0);
        CHECK_EQ(uvt_cond_signal(&c), 0);
    }
    return 0;
}

ON_SHARDS_REAL(4, cond_producers_and_consumers_of_four_shards_come_out_even) {
    uvt_task_t t[16];
    init();
    for (unsigned i = 0; i < 16; i++) t[i] = spawn_on(i % 4, i < 8 ? consumes : produces, NULL);
    for (unsigned i = 0; i < 16; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(eaten, 800);
    CHECK_EQ(stock, 0);
}

static int fifty_rounds(void *arg) {
    (void)arg;
    for (int i = 0; i < 50; i++) {
        int rc = uvt_barrier_wait(&b);
        CHECK(rc == 0 || rc == 1);
        atomic_fetch_add(&leaders, rc);
    }
    return 0;
}

ON_SHARDS_REAL(4, barrier_of_twelve_on_four_shards_has_one_leader_a_round) {
    uvt_task_t t[12];
    CHECK_EQ(uvt_barrier_init(&b, 12), 0);
    for (unsigned i = 0; i < 12; i++) t[i] = spawn_on(i % 4, fifty_rounds, NULL);
    for (unsigned i = 0; i < 12; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(atomic_load(&leaders), 50);
    CHECK_EQ(uvt_barrier_waiting(&b), 0);
}

static int makes(void *arg) {
    (void)arg;
    uvt_sleep(1);
    return atomic_fetch_add(&runs, 1) == 0 ? UV_EIO : 7; /* the first fails */
}

static int calls_once(void *arg) {
    return uvt_once(&once, makes, arg);
}

ON_SHARDS_REAL(4, once_on_four_shards_fails_once_and_is_done_once) {
    uvt_task_t t[20];
    unsigned failed = 0;
    for (unsigned i = 0; i < 20; i++) t[i] = spawn_on(i % 4, calls_once, NULL);
    for (unsigned i = 0; i < 20; i++) {
        int rc = uvt_join(t[i], NULL);
        CHECK(rc == 7 || rc == UV_EIO);
        failed += rc == UV_EIO;
    }
    CHECK_EQ(failed, 1);
    CHECK_EQ(atomic_load(&runs), 2);
}

static int waits_for_many(void *arg) {
    for (int i = 0; i < 100; i++) {
        int rc = uvt_notify_wait(&n);
        if (rc < 0) return rc;
        atomic_fetch_add((atomic_int *)arg, 1);
    }
    return 0;
}

ON_SHARDS_REAL(4, notify_to_four_shards_is_had_once_each) {
    atomic_int had = 0;
    uvt_task_t t[4];
    init();
    for (unsigned k = 0; k < 4; k++) t[k] = spawn_on(k, waits_for_many, &had);
    for (int given = 0; given < 400;) {
        if (uvt_notify_waiting(&n) > 0) { /* only we notify: it is not kept as a permit */
            CHECK_EQ(uvt_notify_one(&n), 0);
            given++;
        } else {
            CHECK_EQ(uvt_yield(), 0);
        }
    }
    for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    CHECK_EQ(atomic_load(&had), 400);
}

UVT_TEST_MAIN()
