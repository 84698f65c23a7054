/* SPDX-License-Identifier: MIT
 *
 * Cancelled sends and receives of channels, at every suspension, and channels out of memory: nothing is lost, nothing
 * comes twice, no waiter stays behind.
 */
#include "chans.h"

static const size_t capacities[] = { 0, 1, 3 };

#define EACH_CAPACITY(c) for (const size_t *c = capacities; c < capacities + 3; c++)

/* ---- one waiter ---- */

UVT_TEST(chan_timed_out_receive_leaves_no_waiter_that_takes_an_element) {
    EACH_CAPACITY(c) {
        open_chan(*c);
        CHECK_EQ(uvt_timeout(5, b_recv, NULL), UV_ETIMEDOUT);
        check_waiting(0, 0);
        uvt_task_t r = waiting(b_recv, NULL);
        CHECK_EQ(send_int(4), 0);
        CHECK_EQ(uvt_join(r, NULL), 4);
        CHECK_EQ(try_recv_int(), UV_EAGAIN);
        done(&ch);
    }
}

UVT_TEST(chan_timed_out_send_has_sent_nothing) {
    EACH_CAPACITY(c) {
        open_chan(*c);
        for (size_t i = 0; i < *c; i++) CHECK_EQ(send_int(1), 0);
        CHECK_EQ(uvt_timeout(5, b_send, INT(9)), UV_ETIMEDOUT);
        check_waiting(0, 0);
        for (size_t i = 0; i < *c; i++) CHECK_EQ(recv_int(), 1);
        CHECK_EQ(try_recv_int(), UV_EAGAIN);
        done(&ch);
    }
}

UVT_TEST(chan_receive_abandoned_before_it_took_effect_leaves_the_order_as_it_was) {
    uvt_scope_t s;
    open_chan(4);
    send_range(1, 3);
    CHECK_EQ(uvt_scope_begin(&s, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s, NULL), 0);
    int rc = recv_int();
    CHECK_EQ(uvt_scope_end(&s, rc), UV_ECANCELED);
    recv_range(1, 3);
    done(&ch);
}

UVT_TEST(chan_receiver_cancelled_after_it_was_handed_an_element_keeps_it) {
    EACH_CAPACITY(c) {
        open_chan(*c);
        uvt_task_t r = waiting(b_recv, NULL);
        CHECK_EQ(send_int(4), 0);
        CHECK_EQ(uvt_abort(r), 0);
        CHECK_EQ(uvt_join(r, NULL), 4);
        done(&ch);
    }
}

UVT_TEST(chan_sender_cancelled_after_its_element_was_taken_has_sent) {
    EACH_CAPACITY(c) {
        open_chan(*c);
        for (size_t i = 0; i < *c; i++) CHECK_EQ(send_int(1), 0);
        uvt_task_t t = waiting(b_send, INT(2));
        CHECK(recv_int() > 0);
        CHECK_EQ(uvt_abort(t), 0);
        CHECK_EQ(uvt_join(t, NULL), 0);
        done(&ch);
    }
}

UVT_TEST(chan_waiter_cancelled_in_the_middle_those_around_it_keep_their_turn) {
    open_chan(0);
    uvt_task_t a = waiting(b_send, INT(1)), b = waiting(b_send, INT(2)), c = waiting(b_send, INT(3));
    CHECK_EQ(uvt_abort(b), 0);
    CHECK(is_cancelled(b));
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(recv_int(), 3);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_join(c, NULL), 0);
    done(&ch);
}

/* ---- at every suspension ---- */

enum { ROUND = 12 };

/* A task that is aborted at its n-th suspension, while its partner carries on what it left undone. */
struct victim {
    unsigned n;
    bool hit;
    int count; /* elements that it has sent or received for certain */
    int most;  /* of a receiver: in one call */
};

static int victim_sends(void *arg) {
    struct victim *v = arg;
    int rc = 0;
    CHECK_EQ(uvt_test_cancel_at(v->n), 0);
    while (v->count < ROUND && (rc = send_int(v->count)) == 0) v->count++;
    v->hit = uvt_test_cancel_hit();
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc;
}

static int victim_receives(void *arg) {
    struct victim *v = arg;
    int got[ROUND], rc = 0;
    CHECK_EQ(uvt_test_cancel_at(v->n), 0);
    while (v->count < ROUND && (rc = (int)uvt_recv_many(&ch, got, (size_t)v->most)) > 0)
        for (int i = 0; i < rc; i++) CHECK_EQ(got[i], v->count++);
    v->hit = uvt_test_cancel_hit();
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc < 0 ? rc : 0;
}

static int receives_all(void *arg) {
    (void)arg;
    recv_range(0, ROUND - 1);
    return 0;
}

static int sends_all(void *arg) {
    (void)arg;
    send_range(0, ROUND - 1);
    return 0;
}

static int sweep(size_t capacity, uvt_fn victim, int most, uvt_fn partner) {
    int cut_short = 0;
    for (struct victim v = { .n = 1, .hit = true, .most = most }; v.hit; v.n++) {
        uvt_task_t t, p;
        open_chan(capacity);
        v.count = 0;
        CHECK_EQ(uvt_spawn(&t, victim, &v), 0);
        CHECK_EQ(uvt_spawn(&p, partner, NULL), 0);
        cut_short += is_cancelled(t);
        if (victim == victim_sends) send_range(v.count, ROUND - 1); /* exactly what it has not sent */
        else recv_range(v.count, ROUND - 1);
        CHECK_EQ(uvt_join(p, NULL), 0);
        CHECK_EQ(stats().len, 0);
        check_waiting(0, 0);
        done(&ch);
        CHECK(v.n < 100);
    }
    return cut_short;
}

UVT_TEST(chan_send_cancelled_at_every_suspension_loses_and_doubles_nothing) {
    EACH_CAPACITY(c) CHECK(sweep(*c, victim_sends, 0, receives_all) > 0);
}

UVT_TEST(chan_receive_cancelled_at_every_suspension_loses_and_doubles_nothing) {
    EACH_CAPACITY(c) CHECK(sweep(*c, victim_receives, 1, sends_all) > 0);
    EACH_CAPACITY(c) CHECK(sweep(*c, victim_receives, ROUND, sends_all) > 0);
}

static int reserves_and_sends(void *arg) {
    struct victim *v = arg;
    int rc = 0;
    CHECK_EQ(uvt_test_cancel_at(v->n), 0);
    while (v->count < ROUND && (rc = uvt_chan_reserve(&ch, 1)) == 0) {
        CHECK_EQ(uvt_chan_send_reserved(&ch, &v->count), 0);
        v->count++;
    }
    v->hit = uvt_test_cancel_hit();
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc;
}

UVT_TEST(chan_reserve_cancelled_at_every_suspension_loses_no_permit) {
    int cut_short = 0;
    for (struct victim v = { .n = 1, .hit = true }; v.hit; v.n++) {
        uvt_task_t t, p;
        open_chan(2);
        v.count = 0;
        CHECK_EQ(uvt_spawn(&t, reserves_and_sends, &v), 0);
        CHECK_EQ(uvt_spawn(&p, receives_all, NULL), 0);
        cut_short += is_cancelled(t);
        CHECK_EQ(stats().reserved, 0);
        send_range(v.count, ROUND - 1);
        CHECK_EQ(uvt_join(p, NULL), 0);
        done(&ch);
    }
    CHECK(cut_short > 0);
}

/* ---- out of memory ---- */

static int open_use_and_close(void *arg) {
    size_t capacity = (size_t)(uintptr_t)arg;
    uvt_chan_t c, d;
    int v, rc = uvt_chan_open(&c, sizeof(int), capacity, NULL);
    if (rc == UV_ENOMEM) rc = uvt_chan_open(&c, sizeof(int), capacity, NULL);
    CHECK_EQ(rc, 0);
    CHECK_EQ(uvt_chan_clone(&d, &c, UVT_SEND), 0);
    for (int i = 0; i < 100; i++) { /* a growing ring fails with all that is in it kept */
        rc = i % 2 ? uvt_send(&d, &i) : uvt_try_send(&d, &i);
        if (rc == UV_ENOMEM) rc = uvt_send(&d, &i);
        CHECK_EQ(rc, 0);
    }
    rc = uvt_chan_reserve(&d, 100);
    if (rc == UV_ENOMEM) rc = uvt_chan_reserve(&d, 100);
    CHECK_EQ(rc, 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(uvt_recv(&c, &v), 0);
        CHECK_EQ(v, i);
    }
    done(&d);
    CHECK_EQ(uvt_chan_end(&c), 0);
    CHECK_EQ(uvt_recv(&c, &v), UV_EOF);
    done(&c);
    return 0;
}

static void oom_sweep(size_t capacity) {
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        uvt_test_fail_alloc(n);
        int rc = uvt_test_run(open_use_and_close, (void *)(uintptr_t)capacity, NULL);
        hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        CHECK(rc == 0 || (rc == UV_ENOMEM && hit));
        CHECK_EQ(uvt_test_live_blocks(), 0);
        CHECK(n < 1000);
    }
}

UVT_TEST_PLAIN(chan_out_of_memory_at_every_allocation_fails_whole_or_works) {
    oom_sweep(UVT_UNBOUNDED);
    oom_sweep(200);
}

/* ---- misuse ---- */

UVT_TEST(chan_wrong_arguments_are_refused) {
    uvt_chan_t zero = { 0 }, h;
    int v = 0;
    CHECK_EQ(uvt_chan_open(NULL, 4, 4, NULL), UV_EINVAL);
    CHECK_EQ(uvt_chan_open(&h, 8, SIZE_MAX / 8 + 1, NULL), UV_EINVAL);
    CHECK_EQ(uvt_chan_open(&h, SIZE_MAX, 2, NULL), UV_EINVAL);
    CHECK_EQ(uvt_send(NULL, &v), UV_EINVAL);
    CHECK_EQ(uvt_recv(&zero, &v), UV_EINVAL);
    CHECK_EQ(uvt_chan_clone(&h, &zero, UVT_SEND), UV_EINVAL);
    open_chan(1);
    CHECK_EQ(uvt_send(&ch, NULL), UV_EINVAL);
    CHECK_EQ(uvt_try_send(&ch, NULL), UV_EINVAL);
    CHECK_EQ(uvt_recv(&ch, NULL), UV_EINVAL);
    CHECK_EQ(uvt_try_recv(&ch, NULL), UV_EINVAL);
    CHECK_EQ(uvt_recv_many(&ch, NULL, 1), UV_EINVAL);
    CHECK_EQ(uvt_recv_many(&ch, &v, SIZE_MAX), UV_EINVAL);
    CHECK_EQ(uvt_chan_send_reserved(&ch, NULL), UV_EINVAL);
    CHECK_EQ(uvt_chan_stats(&ch, NULL), UV_EINVAL);
    CHECK_EQ(uvt_chan_clone(NULL, &ch, UVT_SEND), UV_EINVAL);
    CHECK_EQ(uvt_chan_clone(&h, &ch, 0), UV_EINVAL);
    CHECK_EQ(uvt_chan_clone(&h, &ch, 4 | UVT_SEND), UV_EINVAL);
    uvt_chan_close(NULL, UVT_BOTH);
    uvt_chan_close(&zero, UVT_BOTH);
    uvt_chan_close(&ch, 0);
    uvt_chan_close(&ch, ~0u);
    CHECK_EQ(uvt_chan_len(&ch), 0);
    CHECK_EQ(uvt_chan_capacity(NULL), 0);
}

UVT_TEST(chan_clone_has_only_ends_of_its_original) {
    open_chan(1);
    uvt_chan_t tx = clone_of(&ch, UVT_SEND), h;
    CHECK_EQ(uvt_chan_clone(&h, &tx, UVT_RECV), UV_EINVAL);
    CHECK_EQ(uvt_chan_clone(&h, &tx, UVT_BOTH), UV_EINVAL);
    CHECK_EQ(recv_on(&tx), UVT_ECLOSED);
    CHECK_EQ(try_recv_on(&tx), UVT_ECLOSED);
    done(&tx);
    done(&ch);
}

UVT_TEST_PLAIN(chan_outside_of_a_runtime_is_enotask) {
    uvt_chan_t h = { 0 };
    int v = 0;
    CHECK_EQ(uvt_chan_open(&h, 4, 4, NULL), UVT_ENOTASK);
    CHECK_EQ(uvt_send(&h, &v), UVT_ENOTASK);
    CHECK_EQ(uvt_try_send(&h, &v), UVT_ENOTASK);
    CHECK_EQ(uvt_recv(&h, &v), UVT_ENOTASK);
    CHECK_EQ(uvt_try_recv(&h, &v), UVT_ENOTASK);
    CHECK_EQ(uvt_recv_many(&h, &v, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_chan_reserve(&h, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_chan_try_reserve(&h, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_chan_send_reserved(&h, &v), UVT_ENOTASK);
    CHECK_EQ(uvt_chan_unreserve(&h, 1), UVT_ENOTASK);
    CHECK_EQ(uvt_chan_end(&h), UVT_ENOTASK);
    CHECK_EQ(uvt_chan_clone(&h, &h, UVT_SEND), UVT_ENOTASK);
}

static int opens_and_leaves(void *arg) {
    open_with(4, count_drop);
    CHECK_EQ(send_int((int)(intptr_t)arg), 0);
    return 0;
}

static int uses_an_old_one(void *arg) {
    (void)arg;
    CHECK_EQ(send_int(1), UVT_ESHARD);
    CHECK_EQ(recv_int(), UVT_ESHARD);
    CHECK_EQ(try_send_int(1), UVT_ESHARD);
    CHECK_EQ(uvt_chan_end(&ch), UVT_ESHARD);
    return 0;
}

UVT_TEST_PLAIN(chan_of_an_ended_runtime_is_refused_and_can_be_closed_anywhere) {
    CHECK_EQ(uvt_test_run(opens_and_leaves, INT(5), NULL), 0);
    CHECK_EQ(uvt_test_run(uses_an_old_one, NULL, NULL), 0);
    done(&ch);
    CHECK_EQ(drops, 1);
    CHECK_EQ(dropped_sum, 5);
}

static void in_a_callback(void *arg) {
    int v = 0;
    CHECK_EQ(uvt_recv(&ch, &v), UVT_ENOTASK);
    CHECK_EQ(uvt_send(&ch, &v), UVT_ENOTASK);
    CHECK_EQ(uvt_try_send(&ch, arg), 0); /* hands it to the task */
}

UVT_TEST(chan_callback_of_the_loop_may_use_the_try_forms) {
    int v = 7;
    open_chan(1);
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post(rt, in_a_callback, &v), 0);
    CHECK_EQ(recv_int(), 7);
    uvt_runtime_unref(rt);
    done(&ch);
}

UVT_TEST_MAIN()
