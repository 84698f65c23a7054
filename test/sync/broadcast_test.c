/* SPDX-License-Identifier: MIT
 *
 * Broadcasts: every subscriber gets every element once and in order, or is told exactly how many it has lost; who has
 * gone is known on both sides. Cancels, memory and misuse are in broadcast_cancel_test.c.
 */
#include "casts.h"

/* ---- sending and receiving ---- */

UVT_TEST(broadcast_two_subscribers_both_get_it_and_send_returns_two) {
    open_news(4);
    uvt_subscriber_t a = subscribed(), b = subscribed();
    CHECK_EQ(send_int(7), 2);
    CHECK_EQ(recv_on(&a), 7);
    CHECK_EQ(recv_on(&b), 7);
    CHECK_EQ(try_recv_on(&a), UV_EAGAIN);
    uvt_subscriber_close(&a);
    uvt_subscriber_close(&b);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_exactly_the_waiting_subscribers_get_it_and_are_counted) {
    enum { K = 5 };
    uvt_subscriber_t s[K];
    uvt_task_t t[K];
    open_news(1);
    for (int i = 0; i < K; i++) {
        s[i] = subscribed();
        t[i] = waiting(b_recv, &s[i]);
    }
    CHECK_EQ(send_int(3), K);
    for (int i = 0; i < K; i++) CHECK_EQ(uvt_join(t[i], NULL), 3);
    for (int i = 0; i < K; i++) CHECK_EQ(try_recv_on(&s[i]), UV_EAGAIN);
    for (int i = 0; i < K; i++) uvt_subscriber_close(&s[i]);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_each_subscriber_goes_at_its_own_pace_and_in_order) {
    open_news(8);
    uvt_subscriber_t fast = subscribed(), slow = subscribed();
    for (int v = 0; v < 8; v++) {
        CHECK_EQ(send_int(v), 2);
        CHECK_EQ(recv_on(&fast), v);
    }
    recv_range(&slow, 0, 7);
    uvt_subscriber_close(&fast);
    uvt_subscriber_close(&slow);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_elements_of_several_senders_come_in_one_order) {
    uvt_broadcast_t other;
    open_news(4);
    uvt_subscriber_t s = subscribed();
    CHECK_EQ(uvt_broadcast_clone(&other, &news), 0);
    for (int v = 0; v < 4; v++) CHECK_EQ(uvt_broadcast_send(v % 2 ? &other : &news, &v), 1);
    recv_range(&s, 0, 3);
    uvt_broadcast_close(&other);
    uvt_broadcast_close(&news);
    uvt_subscriber_close(&s);
}

UVT_TEST(broadcast_elements_without_bytes_are_counted) {
    uvt_subscriber_t s;
    CHECK_EQ(uvt_broadcast_open(&news, 0, 2), 0);
    CHECK_EQ(uvt_broadcast_subscribe(&s, &news), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_broadcast_send(&news, NULL), 1);
    CHECK_EQ(uvt_broadcast_recv(&s, NULL), UVT_ELAGGED);
    CHECK_EQ(uvt_subscriber_lost(&s), 1);
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_broadcast_recv(&s, NULL), 0);
    CHECK_EQ(uvt_broadcast_try_recv(&s, NULL), UV_EAGAIN);
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
}

struct big {
    char text[1000];
    int n;
};

UVT_TEST(broadcast_big_elements_are_copied_whole) {
    struct big in = { .text = "first", .n = 1 }, out;
    uvt_subscriber_t s;
    CHECK_EQ(uvt_broadcast_open(&news, sizeof in, 3), 0);
    CHECK_EQ(uvt_broadcast_subscribe(&s, &news), 0);
    for (in.n = 1; in.n <= 3; in.n++) CHECK_EQ(uvt_broadcast_send(&news, &in), 1);
    for (int n = 1; n <= 3; n++) {
        CHECK_EQ(uvt_broadcast_recv(&s, &out), 0);
        CHECK_EQ(out.n, n);
        CHECK_STR(out.text, "first");
    }
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
}

/* ---- falling behind ---- */

UVT_TEST(broadcast_lagging_subscriber_is_told_once_how_many_and_goes_on_at_the_oldest) {
    open_news(2);
    uvt_subscriber_t slow = subscribed();
    CHECK_EQ(uvt_subscriber_lost(&slow), 0);
    send_range(0, 4);
    CHECK_EQ(recv_on(&slow), UVT_ELAGGED);
    CHECK_EQ(uvt_subscriber_lost(&slow), 3);
    recv_range(&slow, 3, 4);
    CHECK_EQ(try_recv_on(&slow), UV_EAGAIN);
    uvt_subscriber_close(&slow);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_full_ring_is_no_lag_one_more_is) {
    open_news(3);
    uvt_subscriber_t s = subscribed();
    send_range(0, 2);
    recv_range(&s, 0, 2);
    send_range(3, 6);
    CHECK_EQ(try_recv_on(&s), UVT_ELAGGED);
    CHECK_EQ(uvt_subscriber_lost(&s), 1);
    recv_range(&s, 4, 6);
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_lagging_again_counts_from_where_it_was_told) {
    open_news(2);
    uvt_subscriber_t s = subscribed();
    send_range(0, 3);
    CHECK_EQ(recv_on(&s), UVT_ELAGGED);
    CHECK_EQ(uvt_subscriber_lost(&s), 2);
    send_range(4, 4); /* overwrites the 2 it would have had next */
    CHECK_EQ(recv_on(&s), UVT_ELAGGED);
    CHECK_EQ(uvt_subscriber_lost(&s), 1);
    recv_range(&s, 3, 4);
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_lag_of_one_is_none_of_another) {
    open_news(2);
    uvt_subscriber_t slow = subscribed(), fast = subscribed();
    for (int v = 0; v < 6; v++) {
        CHECK_EQ(send_int(v), 2);
        CHECK_EQ(recv_on(&fast), v);
    }
    CHECK_EQ(recv_on(&slow), UVT_ELAGGED);
    CHECK_EQ(uvt_subscriber_lost(&slow), 4);
    CHECK_EQ(uvt_subscriber_lost(&fast), 0);
    uvt_subscriber_close(&slow);
    uvt_subscriber_close(&fast);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_waiter_overrun_before_it_runs_is_told_of_the_lag) {
    open_news(2);
    uvt_subscriber_t s = subscribed();
    uvt_task_t t = waiting(b_recv, &s);
    send_range(0, 4); /* the first one woke it */
    CHECK_EQ(uvt_join(t, NULL), UVT_ELAGGED);
    CHECK_EQ(uvt_subscriber_lost(&s), 3);
    recv_range(&s, 3, 4);
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_lag_is_told_before_the_end) {
    open_news(1);
    uvt_subscriber_t s = subscribed();
    send_range(0, 2);
    uvt_broadcast_close(&news);
    CHECK_EQ(recv_on(&s), UVT_ELAGGED);
    CHECK_EQ(recv_on(&s), 2);
    CHECK_EQ(recv_on(&s), UV_EOF);
    uvt_subscriber_close(&s);
}

/* ---- coming and going of subscribers ---- */

UVT_TEST(broadcast_without_subscribers_fails_and_later_ones_get_only_later_elements) {
    open_news(4);
    CHECK_EQ(send_int(1), UV_EPIPE);
    uvt_subscriber_t s = subscribed();
    CHECK_EQ(try_recv_on(&s), UV_EAGAIN);
    CHECK_EQ(send_int(2), 1);
    uvt_subscriber_t late = subscribed();
    CHECK_EQ(send_int(3), 2);
    recv_range(&s, 2, 3);
    CHECK_EQ(recv_on(&late), 3);
    uvt_subscriber_close(&s);
    uvt_subscriber_close(&late);
    CHECK_EQ(send_int(4), UV_EPIPE);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_clone_of_a_lagging_subscriber_sees_only_new_ones_and_leaves_it_where_it_is) {
    uvt_subscriber_t clone;
    open_news(2);
    uvt_subscriber_t slow = subscribed();
    send_range(0, 3);
    CHECK_EQ(uvt_subscriber_clone(&clone, &slow), 0);
    CHECK_EQ(try_recv_on(&clone), UV_EAGAIN);
    CHECK_EQ(uvt_subscriber_lost(&clone), 0);
    CHECK_EQ(recv_on(&slow), UVT_ELAGGED);
    recv_range(&slow, 2, 3);
    CHECK_EQ(send_int(4), 2);
    CHECK_EQ(recv_on(&clone), 4);
    CHECK_EQ(recv_on(&slow), 4);
    uvt_subscriber_close(&clone);
    uvt_subscriber_close(&slow);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_subscriber_closed_while_it_waits_is_eclosed_and_not_counted_any_more) {
    open_news(1);
    uvt_subscriber_t s = subscribed(), other = subscribed();
    uvt_task_t t = waiting(b_recv, &s), u = waiting(b_recv, &other);
    uvt_subscriber_close(&s);
    CHECK_EQ(uvt_join(t, NULL), UVT_ECLOSED);
    CHECK_EQ(send_int(1), 1);
    CHECK_EQ(uvt_join(u, NULL), 1);
    uvt_subscriber_close(&other);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_subscriber_closed_after_it_was_woken_is_eclosed) {
    open_news(1);
    uvt_subscriber_t s = subscribed();
    uvt_task_t t = waiting(b_recv, &s);
    CHECK_EQ(send_int(1), 1);
    uvt_subscriber_close(&s);
    CHECK_EQ(uvt_join(t, NULL), UVT_ECLOSED);
    uvt_broadcast_close(&news);
}

/* ---- senders gone ---- */

UVT_TEST(broadcast_last_of_two_senders_gone_waiting_subscribers_wake_with_eof) {
    uvt_broadcast_t other;
    open_news(4);
    CHECK_EQ(uvt_broadcast_clone(&other, &news), 0);
    uvt_subscriber_t a = subscribed(), b = subscribed();
    uvt_task_t t = waiting(b_recv, &a), u = waiting(b_recv, &b);
    uvt_broadcast_close(&news);
    settle();
    CHECK_EQ(uvt_is_done(t) + uvt_is_done(u), 0);
    uvt_broadcast_close(&other);
    CHECK_EQ(uvt_join(t, NULL), UV_EOF);
    CHECK_EQ(uvt_join(u, NULL), UV_EOF);
    uvt_subscriber_close(&a);
    uvt_subscriber_close(&b);
}

UVT_TEST(broadcast_senders_gone_what_was_sent_is_received_then_eof_for_ever) {
    uvt_subscriber_t late;
    open_news(4);
    uvt_subscriber_t s = subscribed();
    send_range(1, 3);
    uvt_broadcast_close(&news);
    recv_range(&s, 1, 3);
    for (int i = 0; i < 2; i++) CHECK_EQ(recv_on(&s), UV_EOF);
    CHECK_EQ(try_recv_on(&s), UV_EOF);
    CHECK_EQ(uvt_subscriber_clone(&late, &s), 0);
    CHECK_EQ(recv_on(&late), UV_EOF);
    uvt_subscriber_close(&late);
    uvt_subscriber_close(&s);
}

/* ---- waiting for the last subscriber to go ---- */

UVT_TEST(broadcast_wait_closed_ends_with_the_last_subscriber) {
    open_news(1);
    CHECK_EQ(uvt_broadcast_wait_closed(&news), 0); /* none yet */
    uvt_subscriber_t a = subscribed(), b = subscribed();
    uvt_task_t t = waiting(b_wait_closed, &news);
    uvt_subscriber_close(&a);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    uvt_subscriber_close(&b);
    CHECK_EQ(uvt_join(t, NULL), 0);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_wait_closed_goes_on_when_one_subscribes_before_it_runs) {
    open_news(1);
    uvt_subscriber_t a = subscribed();
    uvt_task_t t = waiting(b_wait_closed, &news);
    uvt_subscriber_close(&a);
    uvt_subscriber_t b = subscribed();
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(send_int(1), 1);
    uvt_subscriber_close(&b);
    CHECK_EQ(uvt_join(t, NULL), 0);
    uvt_broadcast_close(&news);
}

UVT_TEST(broadcast_handle_closed_only_its_own_waiter_for_the_end_fails) {
    uvt_broadcast_t other;
    open_news(1);
    CHECK_EQ(uvt_broadcast_clone(&other, &news), 0);
    uvt_subscriber_t s = subscribed();
    uvt_task_t t = waiting(b_wait_closed, &other), u = waiting(b_wait_closed, &news);
    uvt_broadcast_close(&other);
    CHECK_EQ(uvt_join(t, NULL), UVT_ECLOSED);
    CHECK_EQ(uvt_is_done(u), 0);
    uvt_subscriber_close(&s);
    CHECK_EQ(uvt_join(u, NULL), 0);
    uvt_broadcast_close(&news);
}

/* ---- fairness ---- */

UVT_TEST(broadcast_thousand_elements_received_in_a_loop_let_others_run) {
    int ran = 0, before = 0;
    uvt_task_t t;
    open_news(1000);
    uvt_subscriber_t s = subscribed();
    send_range(0, 999);
    CHECK_EQ(uvt_spawn(&t, b_count, &ran), 0);
    for (int v = 0; v < 1000; v++) {
        CHECK_EQ(recv_on(&s), v);
        before += ran == 0;
    }
    CHECK(before < 999);
    CHECK_EQ(uvt_join(t, NULL), 0);
    uvt_subscriber_close(&s);
    uvt_broadcast_close(&news);
}

UVT_TEST_MAIN()
