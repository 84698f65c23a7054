/* SPDX-License-Identifier: MIT
 *
 * Broadcasts: receives that are cancelled, receives as cases of a select, memory that is out, and misuse. Nothing is
 * lost or received twice, and no waiter stays behind.
 */
#include "casts.h"

/* ---- one waiter ---- */

UVT_TEST(broadcast_timed_out_receive_has_received_nothing) {
    open_news(2);
    uvt_subscriber_t s = subscribed();
    CHECK_EQ(uvt_timeout(5, b_recv, &s), UV_ETIMEDOUT);
    CHECK_EQ(send_int(1), 1);
    CHECK_EQ(recv_on(&s), 1);
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_receiver_cancelled_after_it_was_woken_returns_the_element) {
    open_news(2);
    uvt_subscriber_t s = subscribed();
    uvt_task_t t = waiting(b_recv, &s);
    CHECK_EQ(send_int(4), 1);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 4);
    CHECK_EQ(try_recv_on(&s), UV_EAGAIN);
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_receiver_cancelled_before_the_send_leaves_the_element) {
    open_news(2);
    uvt_subscriber_t s = subscribed();
    uvt_task_t t = waiting(b_recv, &s);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(send_int(4), 1);
    CHECK(is_cancelled(t));
    CHECK_EQ(recv_on(&s), 4);
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_element_there_in_a_cancelled_scope_is_not_taken) {
    uvt_scope_t sc;
    open_news(2);
    uvt_subscriber_t s = subscribed();
    send_range(1, 1);
    CHECK_EQ(uvt_scope_begin(&sc, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&sc, NULL), 0);
    CHECK_EQ(uvt_scope_end(&sc, recv_on(&s)), UV_ECANCELED);
    CHECK_EQ(recv_on(&s), 1);
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_wait_closed_cancelled_leaves_no_waiter) {
    open_news(1);
    uvt_subscriber_t s = subscribed();
    CHECK_EQ(uvt_timeout(5, b_wait_closed, &news), UV_ETIMEDOUT);
    uvt_subscriber_close(&s);
    CHECK_EQ(uvt_broadcast_wait_closed(&news), 0);
    uvt_broadcast_close(&news);
}

/* ---- every suspension ---- */

enum { ROUND = 6 };

struct victim {
    uvt_subscriber_t *s;
    unsigned n; /* the suspension at which it is aborted */
    int count;  /* elements it has received */
    bool hit;
};

static int victim_receives(void *arg) {
    struct victim *v = arg;
    int rc = 0;
    CHECK_EQ(uvt_test_cancel_at(v->n), 0);
    while (v->count < ROUND && (rc = recv_on(v->s)) >= 0) CHECK_EQ(rc, v->count++);
    v->hit = uvt_test_cancel_hit();
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc;
}

static int victim_selects(void *arg) {
    struct victim *v = arg;
    int rc = 0, e;
    uvt_case_t c[] = { uvt_case_broadcast_recv(v->s, &e), uvt_case_sleep(1000) };
    CHECK_EQ(uvt_test_cancel_at(v->n), 0);
    while (v->count < ROUND && (rc = uvt_select(c, 2, 0)) == 0) CHECK_EQ(e, v->count++);
    v->hit = uvt_test_cancel_hit();
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc;
}

static int sends_all(void *arg) {
    (void)arg;
    for (int v = 0; v < ROUND; v++) {
        CHECK_EQ(send_int(v), 1);
        if (v % 2) settle();
    }
    return 0;
}

static int sweep(uvt_fn fn) {
    int cut_short = 0;
    for (struct victim v = { .n = 1, .hit = true }; v.hit; v.n++) {
        uvt_task_t t, p;
        open_news(ROUND);
        uvt_subscriber_t s = subscribed();
        v.s = &s;
        v.count = 0;
        CHECK_EQ(uvt_spawn(&t, fn, &v), 0);
        CHECK_EQ(uvt_spawn(&p, sends_all, NULL), 0);
        cut_short += is_cancelled(t);
        recv_range(&s, v.count, ROUND - 1); /* exactly what it has not received */
        CHECK_EQ(uvt_join(p, NULL), 0);
        CHECK_EQ(try_recv_on(&s), UV_EAGAIN);
        uvt_subscriber_close(&s);
        uvt_broadcast_close(&news);
        CHECK(v.n < 100);
    }
    return cut_short;
}

UVT_TEST(broadcast_receive_cancelled_at_every_suspension_loses_and_doubles_nothing) {
    CHECK(sweep(victim_receives) > 0);
}

UVT_TEST(broadcast_select_cancelled_at_every_suspension_loses_and_doubles_nothing) {
    CHECK(sweep(victim_selects) > 0);
}

/* ---- selects ---- */

static uvt_subscriber_t one, two;

/* 100 times the case, and the element. */
static int selects_either(void *arg) {
    (void)arg;
    int a = -1, b = -1;
    uvt_case_t c[] = { uvt_case_broadcast_recv(&one, &a), uvt_case_broadcast_recv(&two, &b) };
    int at = uvt_select(c, 2, 0);
    if (at < 0) return at;
    if (c[at].result < 0) return c[at].result;
    CHECK_EQ(at == 0 ? b : a, -1); /* the other place is untouched */
    return at * 100 + (at == 0 ? a : b);
}

static void open_with_two(size_t capacity) {
    open_news(capacity);
    one = subscribed();
    two = subscribed();
}

static void close_with_two(void) {
    uvt_subscriber_close(&one);
    uvt_subscriber_close(&two);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_select_takes_one_of_two_that_one_send_made_ready) {
    open_with_two(2);
    uvt_task_t t = waiting(selects_either, NULL);
    CHECK_EQ(send_int(7), 2); /* wakes both of its waits */
    int got = uvt_join(t, NULL);
    CHECK_EQ(got % 100, 7);
    CHECK_EQ(try_recv_on(got < 100 ? &one : &two), UV_EAGAIN);
    CHECK_EQ(recv_on(got < 100 ? &two : &one), 7); /* still there for the case that lost */
    close_with_two();
}

UVT_TEST(broadcast_select_lag_is_the_cases_result) {
    open_with_two(1);
    send_range(0, 3);
    CHECK_EQ(selects_either(NULL), UVT_ELAGGED);
    CHECK_EQ(uvt_subscriber_lost(&one) + uvt_subscriber_lost(&two), 3);
    close_with_two();
}

UVT_TEST(broadcast_select_waiting_fires_when_the_senders_have_gone) {
    open_with_two(1);
    uvt_task_t t = waiting(selects_either, NULL);
    uvt_broadcast_close(&news);
    CHECK_EQ(uvt_join(t, NULL), UV_EOF);
    close_with_two();
}

UVT_TEST(broadcast_select_waiting_fires_when_its_subscriber_is_closed) {
    open_with_two(1);
    uvt_task_t t = waiting(selects_either, NULL);
    uvt_subscriber_close(&two);
    CHECK_EQ(uvt_join(t, NULL), UVT_ECLOSED);
    close_with_two();
}

UVT_TEST(broadcast_select_aborted_leaves_no_waiter) {
    open_with_two(1);
    uvt_task_t t = waiting(selects_either, NULL);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK(is_cancelled(t));
    CHECK_EQ(send_int(1), 2);
    CHECK_EQ(recv_on(&one), 1);
    CHECK_EQ(recv_on(&two), 1);
    close_with_two();
}

UVT_TEST(broadcast_select_aborted_after_it_was_woken_returns_the_element) {
    open_with_two(1);
    uvt_task_t t = waiting(selects_either, NULL);
    CHECK_EQ(send_int(9), 2);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL) % 100, 9);
    close_with_two();
}

UVT_TEST(broadcast_select_won_by_another_case_leaves_the_element) {
    uvt_semaphore_t sem;
    int v = -1;
    open_with_two(1);
    CHECK_EQ(uvt_semaphore_init(&sem, 1, 0), 0);
    uvt_case_t c[] = { uvt_case_acquire(&sem, 1), uvt_case_broadcast_recv(&one, &v) };
    CHECK_EQ(send_int(5), 2);
    CHECK_EQ(uvt_select(c, 2, UVT_SELECT_BIASED), 0);
    CHECK_EQ(v, -1);
    CHECK_EQ(uvt_select(c, 2, UVT_SELECT_BIASED), 1);
    CHECK_EQ(v, 5);
    CHECK_EQ(uvt_try_select(c, 2, 0), UV_EAGAIN);
    close_with_two();
}

/* ---- out of memory ---- */

static int open_use_and_close(void *arg) {
    int v = 3, rc = uvt_broadcast_open(&news, sizeof v, 4);
    (void)arg;
    if (rc == UV_ENOMEM) rc = uvt_broadcast_open(&news, sizeof v, 4);
    CHECK_EQ(rc, 0);
    uvt_subscriber_t s = subscribed();
    CHECK_EQ(send_int(v), 1);
    CHECK_EQ(recv_on(&s), v);
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
    return 0;
}

UVT_TEST_PLAIN(broadcast_out_of_memory_at_every_allocation_fails_whole_or_works) {
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        uvt_test_fail_alloc(n);
        int rc = uvt_test_run(open_use_and_close, NULL, NULL);
        hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        CHECK(rc == 0 || (rc == UV_ENOMEM && hit));
        CHECK_EQ(uvt_test_live_blocks(), 0);
        CHECK(n < 1000);
    }
}

/* ---- misuse ---- */

UVT_TEST(broadcast_second_task_with_one_subscriber_is_refused) {
    int v;
    open_with_two(2);
    uvt_task_t t = waiting(b_recv, &one);
    CHECK_EQ(recv_on(&one), UV_EBUSY);
    CHECK_EQ(try_recv_on(&one), UV_EBUSY);
    uvt_case_t c[] = { uvt_case_broadcast_recv(&one, &v), uvt_case_sleep(10) };
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, UV_EBUSY);
    CHECK_EQ(send_int(1), 2);
    CHECK_EQ(try_recv_on(&one), UV_EBUSY); /* it was woken for it, though it has not run */
    CHECK_EQ(uvt_join(t, NULL), 1);
    CHECK_EQ(try_recv_on(&one), UV_EAGAIN);
    close_with_two();
}

UVT_TEST(broadcast_select_with_one_subscriber_twice_is_refused) {
    int v, w;
    open_with_two(1);
    uvt_case_t c[] = { uvt_case_broadcast_recv(&one, &v), uvt_case_broadcast_recv(&one, &w) };
    CHECK_EQ(uvt_select(c, 2, UVT_SELECT_BIASED), 1);
    CHECK_EQ(c[1].result, UV_EBUSY);
    CHECK_EQ(try_recv_on(&one), UV_EAGAIN);
    close_with_two();
}

UVT_TEST(broadcast_wrong_arguments_are_refused) {
    uvt_broadcast_t zero = { 0 }, h;
    uvt_subscriber_t none = { 0 }, s;
    int v = 0;
    CHECK_EQ(uvt_broadcast_open(NULL, 4, 4), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_open(&h, 4, 0), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_open(&h, 8, SIZE_MAX / 8 + 1), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_open(&h, SIZE_MAX, 1), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_send(NULL, &v), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_send(&zero, &v), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_wait_closed(NULL), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_clone(&h, &zero), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_subscribe(&s, NULL), UV_EINVAL);
    CHECK_EQ(uvt_subscriber_clone(&s, &none), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_recv(NULL, &v), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_try_recv(&none, &v), UV_EINVAL);
    CHECK_EQ(uvt_subscriber_lost(NULL), 0);
    open_with_two(1);
    CHECK_EQ(uvt_broadcast_send(&news, NULL), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_recv(&one, NULL), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_try_recv(&one, NULL), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_clone(NULL, &news), UV_EINVAL);
    CHECK_EQ(uvt_broadcast_subscribe(NULL, &news), UV_EINVAL);
    CHECK_EQ(uvt_subscriber_clone(NULL, &one), UV_EINVAL);
    CHECK_EQ(send_int(1), 2); /* none of them has counted */
    close_with_two();
}

UVT_TEST(broadcast_closed_handles_say_so_ever_after_and_twice_is_fine) {
    uvt_broadcast_t h;
    uvt_subscriber_t s;
    int v = 0;
    open_with_two(1);
    for (int i = 0; i < 2; i++) close_with_two();
    CHECK_EQ(send_int(1), UVT_ECLOSED);
    CHECK_EQ(uvt_broadcast_wait_closed(&news), UVT_ECLOSED);
    CHECK_EQ(uvt_broadcast_clone(&h, &news), UVT_ECLOSED);
    CHECK_EQ(uvt_broadcast_subscribe(&s, &news), UVT_ECLOSED);
    CHECK_EQ(uvt_subscriber_clone(&s, &one), UVT_ECLOSED);
    CHECK_EQ(recv_on(&one), UVT_ECLOSED);
    CHECK_EQ(try_recv_on(&one), UVT_ECLOSED);
    uvt_case_t c = uvt_case_broadcast_recv(&one, &v);
    CHECK_EQ(uvt_select(&c, 1, 0), 0);
    CHECK_EQ(c.result, UVT_ECLOSED);
    uvt_broadcast_close(NULL);
    uvt_subscriber_close(NULL);
}

UVT_TEST_PLAIN(broadcast_outside_of_a_runtime_is_enotask) {
    int v = 0;
    CHECK_EQ(uvt_broadcast_open(&news, 4, 4), UVT_ENOTASK);
    CHECK_EQ(send_int(1), UVT_ENOTASK);
    CHECK_EQ(uvt_broadcast_wait_closed(&news), UVT_ENOTASK);
    CHECK_EQ(uvt_broadcast_clone(&news, &news), UVT_ENOTASK);
    CHECK_EQ(uvt_broadcast_subscribe(&one, &news), UVT_ENOTASK);
    CHECK_EQ(uvt_subscriber_clone(&two, &one), UVT_ENOTASK);
    CHECK_EQ(uvt_broadcast_recv(&one, &v), UVT_ENOTASK);
    CHECK_EQ(uvt_broadcast_try_recv(&one, &v), UVT_ENOTASK);
    uvt_broadcast_close(&news);
    uvt_subscriber_close(&one);
}

UVT_TEST_MAIN()
