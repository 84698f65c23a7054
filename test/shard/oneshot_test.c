/* SPDX-License-Identifier: MIT
 *
 * A oneshot whose ends are on different shards, neither of them perhaps the one it was made on.
 */
#include "shards.h"

static uvt_oneshot_t *shot;
static int word;

static void make(unsigned flags) {
    CHECK_EQ(uvt_oneshot_new(&shot, flags), 0);
}

static int receives(void *arg) {
    int status = -1;
    void *value = NULL;
    (void)arg;
    int rc = uvt_oneshot_recv(shot, &status, &value);
    if (rc < 0) return rc;
    CHECK(value == &word);
    CHECK_EQ(uvt_oneshot_try_recv(shot, NULL, NULL), UVT_ECLOSED);
    return status;
}

static int receives_and_closes(void *arg) {
    int rc = receives(arg);
    CHECK_EQ(uvt_oneshot_close_rx(shot, NULL), 0);
    return rc;
}

static int sends(void *arg) {
    return uvt_oneshot_send(shot, (int)(intptr_t)arg, &word);
}

/* Made on 0, sent from one shard, received on another: every pair. */
static int every_pair(void *arg) {
    for (unsigned from = 0; from < 3; from++)
        for (unsigned to = 0; to < 3; to++) {
            make(0);
            uvt_task_t rx = spawn_on(to, receives_and_closes, NULL);
            if (arg) settle();
            CHECK_EQ(uvt_call(from, sends, INT(5)), 0);
            CHECK_EQ(uvt_join(rx, NULL), 5);
        }
    return 0;
}

ON_SHARDS(3, oneshot_received_by_a_waiter_on_any_shard_from_any) {
    CHECK_EQ(every_pair(INT(1)), 0);
}

ON_SHARDS(3, oneshot_received_as_it_comes_on_any_shard_from_any) {
    CHECK_EQ(every_pair(NULL), 0);
}

ON_SHARDS_REAL(3, oneshot_received_on_real_threads_from_any_to_any) {
    for (int i = 0; i < 50; i++) CHECK_EQ(every_pair(NULL), 0);
}

ON_SHARDS(3, oneshot_sent_before_it_is_received_elsewhere) {
    make(0);
    CHECK_EQ(uvt_call(1, sends, INT(8)), 0);
    CHECK_EQ(uvt_call(2, receives_and_closes, NULL), 8);
}

static int closes_tx(void *arg) {
    (void)arg;
    uvt_oneshot_close_tx(shot);
    return 0;
}

ON_SHARDS(3, oneshot_closed_by_its_sender_is_eof_to_a_waiter_elsewhere) {
    make(0);
    uvt_task_t rx = settled_on(1, receives_and_closes, NULL);
    CHECK_EQ(uvt_call(2, closes_tx, NULL), 0);
    CHECK_EQ(uvt_join(rx, NULL), UV_EOF);
}

static int closes_rx(void *arg) {
    void *value = NULL;
    (void)arg;
    int rc = uvt_oneshot_close_rx(shot, &value);
    if (rc == 1) CHECK(value == &word);
    return rc;
}

static int awaits_the_receivers_end(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_oneshot_wait_closed(shot), 0);
    return uvt_oneshot_send(shot, 1, NULL);
}

ON_SHARDS(3, oneshot_closed_by_its_receiver_wakes_a_watcher_elsewhere) {
    make(0);
    uvt_task_t tx = settled_on(1, awaits_the_receivers_end, NULL);
    CHECK_EQ(uvt_call(2, closes_rx, NULL), 0);
    CHECK_EQ(uvt_join(tx, NULL), UVT_ECLOSED);
}

ON_SHARDS(2, oneshot_closed_with_its_value_inside_gives_it_back_elsewhere) {
    make(0);
    CHECK_EQ(uvt_oneshot_send(shot, 1, &word), 0);
    CHECK_EQ(uvt_call(1, closes_rx, NULL), 1);
}

ON_SHARDS(2, oneshot_receiver_elsewhere_makes_a_second_one_busy) {
    make(0);
    uvt_task_t rx = settled_on(1, receives_and_closes, NULL);
    CHECK_EQ(receives(NULL), UV_EBUSY);
    CHECK_EQ(closes_rx(NULL), UV_EBUSY);
    CHECK_EQ(sends(INT(2)), 0);
    CHECK_EQ(uvt_join(rx, NULL), 2);
}

ON_SHARDS(2, oneshot_receiver_elsewhere_cancelled_leaves_it_for_the_next) {
    make(0);
    uvt_task_t rx = settled_on(1, receives, NULL);
    CHECK_EQ(uvt_abort(rx), 0);
    CHECK_EQ(uvt_join(rx, NULL), UV_ECANCELED);
    CHECK_EQ(sends(INT(2)), 0);
    CHECK_EQ(receives_and_closes(NULL), 2);
}

static int as_a_task(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_oneshot(&t, arg, NULL), UVT_ESHARD);
    return 0;
}

ON_SHARDS(2, oneshot_as_a_task_is_for_its_own_shard) {
    uvt_task_t t;
    make(0);
    CHECK_EQ(uvt_call(1, as_a_task, shot), 0);
    CHECK_EQ(uvt_spawn_oneshot(&t, shot, NULL), 0);
    CHECK_EQ(uvt_call(1, sends, INT(3)), 0);
    CHECK_EQ(uvt_join(t, NULL), 3);
}

static int makes(void *arg) {
    return uvt_oneshot_new(arg, UVT_ONESHOT_EXTERNAL);
}

static void thread_sends(void *o) {
    uv_sleep(5);
    CHECK_EQ(uvt_oneshot_send(o, 6, &word), 0);
}

ON_SHARDS_REAL(3, oneshot_from_a_foreign_thread_made_on_one_shard_received_on_another) {
    uv_thread_t thread;
    CHECK_EQ(uvt_call(1, makes, &shot), 0);
    CHECK_EQ(uv_thread_create(&thread, thread_sends, shot), 0);
    CHECK_EQ(uvt_call(2, receives_and_closes, NULL), 6);
    CHECK_EQ(uv_thread_join(&thread), 0);
}

/* ---- races ---- */

static int receives_for_a_moment(void *arg) {
    int rc = uvt_timeout(1, receives, arg);
    return rc == UV_ETIMEDOUT ? 0 : rc;
}

static int sends_soon(void *arg) {
    for (int i = (int)(intptr_t)arg; i > 0; i--) uvt_yield();
    return sends(INT(9));
}

ON_SHARDS_REAL(3, oneshot_value_racing_the_receivers_deadline_is_never_lost) {
    for (int i = 0; i < 200; i++) {
        make(0);
        uvt_task_t rx = spawn_on(1, receives_for_a_moment, NULL), tx = spawn_on(2, sends_soon, INT(i % 40));
        int got = uvt_join(rx, NULL);
        CHECK_EQ(uvt_join(tx, NULL), 0);
        CHECK_EQ(closes_rx(NULL), got == 0);
        CHECK(got == 0 || got == 9);
    }
}

static int closes_soon(void *arg) {
    for (int i = (int)(intptr_t)arg; i > 0; i--) uvt_yield();
    return closes_rx(NULL);
}

ON_SHARDS_REAL(3, oneshot_send_racing_close_the_value_is_with_exactly_one) {
    for (int i = 0; i < 300; i++) {
        make(0);
        uvt_task_t rx = spawn_on(1, closes_soon, INT(i % 3)), tx = spawn_on(2, sends_soon, INT(i % 5));
        int sent = uvt_join(tx, NULL), had = uvt_join(rx, NULL);
        CHECK_EQ(sent, had == 1 ? 0 : UVT_ECLOSED);
    }
}

static int tries(void *arg) {
    int rc;
    while ((rc = uvt_oneshot_try_recv(arg, NULL, NULL)) == UV_EAGAIN) sched_yield();
    return rc;
}

ON_SHARDS_REAL(3, oneshot_tried_on_two_shards_at_once_is_taken_once) {
    for (int i = 0; i < 300; i++) {
        make(0);
        uvt_task_t a = spawn_on(1, tries, shot), b = spawn_on(2, tries, shot);
        uvt_yield();
        CHECK_EQ(sends(INT(1)), 0);
        int ra = uvt_join(a, NULL), rb = uvt_join(b, NULL);
        CHECK_EQ(ra + rb, UVT_ECLOSED); /* 0 and ECLOSED */
        CHECK_EQ(closes_rx(NULL), 0);
    }
}

UVT_TEST_MAIN()
