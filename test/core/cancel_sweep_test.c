/* SPDX-License-Identifier: MIT
 *
 * Cancel at every suspension: each piece of work is done by a task that is aborted at its n-th suspension,
 * for n from 1 until it gets through unharmed. Whatever n: what it took is given back, what it owned has
 * ended, no timer is left, the others go on, and no call after the cancel claims to have suspended well.
 */
#include <uvtask.h>
#include <uvtask/test.h>

#define MS(n) ((void *)(intptr_t)(n))

struct victim {
    uvt_fn work;
    unsigned n; /* the suspension at which it is aborted */
    bool hit;   /* it was */
};

static int run_victim(void *arg) {
    struct victim *v = arg;
    CHECK_EQ(uvt_test_cancel_at(v->n), 0);
    int rc = v->work(NULL);
    v->hit = uvt_test_cancel_hit();
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc;
}

/* Sweeps over work; check looks after each run whether all is as before. At least `least` runs were cut short. */
static void sweep(uvt_fn work, void (*check)(void), int least) {
    int cut_short = 0;
    for (struct victim v = { .work = work, .n = 1, .hit = true }; v.hit; v.n++) {
        uvt_task_t t;
        uvt_result r;
        uvt_stats before, after;
        CHECK_EQ(uvt_stats_get(&before), 0);
        CHECK_EQ(uvt_spawn(&t, run_victim, &v), 0);
        CHECK_EQ(uvt_join(t, &r), 0);
        CHECK_EQ(uvt_stats_get(&after), 0);
        if (after.tasks != before.tasks || after.timers != before.timers || after.records != before.records)
            uvt_test_fail(__FILE__, __LINE__, "cancelled at %u: something is left", v.n);
        if (!v.hit && r.status < 0) uvt_test_fail(__FILE__, __LINE__, "not cancelled, yet %s", uvt_err_name(r.status));
        if (r.outcome == UVT_CANCELLED) {
            CHECK_EQ(r.reason.code, UVT_REASON_TEST);
            cut_short++;
        }
        CHECK(v.n < 1000);
        check();
    }
    if (cut_short < least) uvt_test_fail(__FILE__, __LINE__, "only %d runs were cut short", cut_short);
}

/* ---- a set with children that share permits ---- */

static uvt_semaphore_t sem;
static int inside, started, ended;

static void count_end(void *arg) {
    (void)arg;
    ended++;
}

static int member(void *arg) {
    started++;
    CHECK_EQ(uvt_defer(count_end, NULL), 0);
    int rc = uvt_semaphore_acquire(&sem);
    if (rc < 0) return rc;
    inside++;
    rc = uvt_sleep((uint64_t)(intptr_t)arg);
    inside--;
    CHECK_EQ(uvt_semaphore_release(&sem, 1), 0);
    return rc;
}

static int set_with_children(void *arg) {
    uvt_set_t set;
    int rc = 0;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .limit = 4 }), 0);
    for (int i = 0; i < 8 && rc == 0; i++) rc = uvt_set_spawn(&set, member, MS(5 + i));
    if (rc == 0) rc = uvt_yield();
    while (rc == 0) rc = uvt_set_next(&set, NULL);
    int closed = uvt_set_close(&set);
    CHECK(closed == 0 || closed == UV_ECANCELED);
    return rc == UV_EOF ? 0 : rc;
}

static void check_permits_and_members(void) {
    CHECK_EQ(uvt_semaphore_available(&sem), 2);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
    CHECK_EQ(inside, 0);
    CHECK_EQ(started, ended);
}

UVT_TEST(cancel_sweep_set_with_children_all_end_and_permits_are_back) {
    CHECK_EQ(uvt_semaphore_init(&sem, 2, 2), 0);
    sweep(set_with_children, check_permits_and_members, 3);
}

static int set_left_to_its_task(void *arg) {
    uvt_set_t set;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_set_spawn(&set, member, MS(5 + i)), 0);
    CHECK_EQ(uvt_spawn(NULL, member, MS(20)), 0);
    int rc = uvt_sleep(3);
    if (rc == 0) rc = uvt_set_wait(&set);
    return rc;
}

UVT_TEST(cancel_sweep_children_nobody_joined_end_with_their_task) {
    CHECK_EQ(uvt_semaphore_init(&sem, 2, 2), 0);
    sweep(set_left_to_its_task, check_permits_and_members, 1);
}

static int joins_children(void *arg) {
    uvt_task_t t[4];
    uvt_result r;
    int rc = 0;
    (void)arg;
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_spawn(&t[i], member, MS(5 + i)), 0);
    for (int i = 0; i < 4 && rc == 0; i++) rc = uvt_join(t[i], &r);
    return rc;
}

UVT_TEST(cancel_sweep_joins_leave_no_child_behind) {
    CHECK_EQ(uvt_semaphore_init(&sem, 2, 2), 0);
    sweep(joins_children, check_permits_and_members, 1);
}

/* ---- starting members ---- */

static int starts_after_three_ms(void *arg) {
    started++;
    CHECK_EQ(uvt_defer(count_end, NULL), 0);
    int rc = uvt_sleep(3);
    if (rc < 0) return rc;
    CHECK_EQ(uvt_started(arg), 0);
    return uvt_sleep(UVT_FOREVER);
}

static int starts_three(void *arg) {
    uvt_set_t set;
    int rc = 0, n = 0;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (; n < 3 && rc == 0; n += rc == 0) rc = uvt_set_start(&set, starts_after_three_ms, NULL, NULL);
    CHECK_EQ(uvt_set_len(&set), n); /* a start that was given up left no member */
    int closed = uvt_set_close(&set);
    CHECK(closed == 0 || closed == UV_ECANCELED);
    return rc;
}

static void check_members(void) {
    CHECK_EQ(started, ended);
}

UVT_TEST(cancel_sweep_set_start_gives_a_started_member_or_none) {
    sweep(starts_three, check_members, 3);
}

/* ---- a queue at a semaphore ---- */

static int rounds_done;

static int competitor(void *arg) {
    unsigned n = (unsigned)(intptr_t)arg;
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(uvt_semaphore_acquire_many(&sem, n), 0);
        CHECK_EQ(uvt_sleep(1), 0);
        CHECK_EQ(uvt_semaphore_release(&sem, n), 0);
        rounds_done++;
    }
    return 0;
}

static int queues_for_permits(void *arg) {
    (void)arg;
    for (unsigned n = 1; n <= 4; n++) {
        int rc = uvt_semaphore_acquire_many(&sem, n);
        if (rc < 0) return rc; /* nothing was taken */
        rc = uvt_sleep(1);
        CHECK_EQ(uvt_semaphore_release(&sem, n), 0);
        if (rc < 0) return rc;
    }
    return 0;
}

UVT_TEST(cancel_sweep_semaphore_queue_conserves_permits) {
    CHECK_EQ(uvt_semaphore_init(&sem, 4, 4), 0);
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        struct victim v = { .work = queues_for_permits, .n = n };
        uvt_task_t t[3], victim;
        uvt_result r;
        rounds_done = 0;
        for (int i = 0; i < 3; i++) CHECK_EQ(uvt_spawn(&t[i], competitor, MS(i + 1)), 0);
        CHECK_EQ(uvt_spawn(&victim, run_victim, &v), 0);
        CHECK_EQ(uvt_join(victim, &r), 0);
        for (int i = 0; i < 3; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
        CHECK_EQ(rounds_done, 30);
        CHECK_EQ(uvt_semaphore_available(&sem), 4);
        CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
        hit = v.hit;
    }
}

/* ---- nested timeouts ---- */

static bool cancel_seen; /* a call has said UV_ECANCELED with no deadline of ours reached */

/* A suspending call of the victim has returned rc: from the first unexpected cancel on, all say so. */
static int seen(int rc, int expected) {
    if (rc != expected) {
        CHECK_EQ(rc, UV_ECANCELED);
        cancel_seen = true;
    } else if (cancel_seen) {
        CHECK_EQ(rc, UV_ECANCELED);
    }
    return rc;
}

static int sleep_thirty_in_twenty(void *arg) {
    (void)arg;
    int rc = uvt_sleep(30);
    CHECK_EQ(rc, UV_ECANCELED); /* either way */
    return rc;
}

static int clean_up(void *arg) {
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    ++*(int *)arg;
    return 0;
}

static int inner_of_fifty(void *arg) {
    int cleaned = 0;
    (void)arg;
    int rc = seen(uvt_timeout(20, sleep_thirty_in_twenty, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_shielded(10, clean_up, &cleaned), 0);
    CHECK_EQ(cleaned, 1);
    if (rc != UV_ETIMEDOUT) return rc;
    return seen(uvt_sleep(1000), UV_ECANCELED); /* the fifty of the outer one come first */
}

static int nested_timeouts(void *arg) {
    uvt_scope_t s;
    cancel_seen = false;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 1000 }), 0);
    int rc = seen(uvt_timeout(50, inner_of_fifty, arg), UV_ETIMEDOUT);
    if (rc == UV_ETIMEDOUT) rc = seen(uvt_sleep(1), 0);
    if (rc < 0) seen(uvt_sleep(5), UV_ECANCELED); /* level-triggered: it is asked again */
    rc = uvt_scope_end(&s, rc);
    CHECK(rc == 0 || rc == UV_ECANCELED);
    CHECK(!uvt_scope_caught(&s)); /* the cancel was the task's, never this scope's */
    return rc;
}

static void check_clock(void) {
    CHECK_EQ(uvt_deadline(), UVT_FOREVER);
    CHECK_EQ(uvt_sleep(1), 0);
}

UVT_TEST(cancel_sweep_nested_timeouts_report_the_abort_and_leave_no_timer) {
    sweep(nested_timeouts, check_clock, 3);
}

/* ---- values and ticks ---- */

static int sent, received, handed_back;

static int send_at_three(void *o) {
    CHECK_EQ(uvt_sleep(3), 0);
    int rc = uvt_oneshot_send(o, 0, &sent);
    if (rc == 0)
        sent++;
    else
        CHECK_EQ(rc, UVT_ECLOSED);
    return 0;
}

static int receives(void *arg) {
    uvt_oneshot_t *o;
    uvt_task_t sender;
    void *value = NULL;
    (void)arg;
    sent = received = handed_back = 0;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_spawn(&sender, send_at_three, o), 0);
    CHECK_EQ(uvt_detach(sender), 0); /* it goes on when this task is aborted */
    int rc = uvt_yield();
    if (rc == 0) rc = uvt_oneshot_recv(o, NULL, &value);
    received = rc == 0;
    handed_back = uvt_oneshot_close_rx(o, &value);
    if (rc == 0) rc = uvt_sleep(5);
    return rc;
}

UVT_TEST(cancel_sweep_oneshot_value_has_exactly_one_owner) {
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        struct victim v = { .work = receives, .n = n };
        uvt_task_t t;
        uvt_result r;
        CHECK_EQ(uvt_spawn(&t, run_victim, &v), 0);
        CHECK_EQ(uvt_join(t, &r), 0);
        CHECK_EQ(uvt_sleep(10), 0); /* the sender is through */
        CHECK_EQ(received + handed_back, sent);
        hit = v.hit;
    }
}

static int ticks(void *arg) {
    uvt_interval_t iv;
    uint64_t t = uvt_now();
    (void)arg;
    CHECK_EQ(uvt_interval_init(&iv, 10, UVT_MISSED_BURST), 0);
    for (uint64_t i = 1; i <= 4; i++) {
        int rc = uvt_interval_tick(&iv);
        if (rc < 0) {
            CHECK_EQ(rc, UV_ECANCELED);
            CHECK_EQ(iv.next - t, 10 * i); /* the tick is not used up */
            return rc;
        }
        CHECK_EQ(uvt_now() - t, 10 * i);
    }
    return 0;
}

static void nothing(void) {
}

UVT_TEST(cancel_sweep_interval_uses_no_tick_up) {
    sweep(ticks, nothing, 4);
}

UVT_TEST_MAIN()
