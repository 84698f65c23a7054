/* SPDX-License-Identifier: MIT
 *
 * How channels end: ends are counted, each side hears of the other's last one, whoever waits is told, and elements
 * that nobody receives are dropped once.
 */
#include "chans.h"

/* ---- the receivers go ---- */

UVT_TEST(chan_receiver_closed_idle_sends_fail) {
    open_chan(2);
    uvt_chan_t rx = clone_of(&ch, UVT_RECV);
    uvt_chan_close(&ch, UVT_RECV);
    done(&rx);
    CHECK_EQ(recv_on(&rx), UVT_ECLOSED);
    CHECK_EQ(send_int(1), UV_EPIPE);
    CHECK_EQ(try_send_int(1), UV_EPIPE);
    CHECK_EQ(uvt_chan_reserve(&ch, 1), UV_EPIPE);
    done(&ch);
}

UVT_TEST(chan_ended_by_its_receiver_idle_gives_eof_and_sends_fail) {
    open_chan(2);
    CHECK_EQ(uvt_chan_end(&ch), 0);
    CHECK_EQ(recv_int(), UV_EOF);
    CHECK_EQ(send_int(1), UV_EPIPE);
    CHECK_EQ(uvt_chan_end(&ch), 0); /* twice is as once */
    done(&ch);
}

UVT_TEST(chan_last_receiver_closed_what_is_queued_is_dropped_and_senders_fail) {
    open_with(4, count_drop);
    send_range(1, 4);
    uvt_task_t t = waiting(b_send, INT(5));
    uvt_chan_close(&ch, UVT_RECV);
    CHECK_EQ(drops, 4); /* the fifth was not sent */
    CHECK_EQ(dropped_sum, 10);
    CHECK_EQ(uvt_chan_len(&ch), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_EPIPE);
    CHECK_EQ(send_int(6), UV_EPIPE);
    done(&ch);
    CHECK_EQ(drops, 4);
}

UVT_TEST(chan_both_ends_closed_with_elements_inside_each_is_dropped_once) {
    open_with(UVT_UNBOUNDED, count_drop);
    send_range(0, 39);
    recv_range(0, 9);
    send_range(40, 49); /* beyond the seam */
    uvt_chan_t tx = clone_of(&ch, UVT_SEND);
    done(&ch);
    CHECK_EQ(drops, 40);
    CHECK_EQ(dropped_sum, 49 * 50 / 2 - 9 * 10 / 2);
    CHECK_EQ(send_on(&tx, 1), UV_EPIPE);
    done(&tx);
    CHECK_EQ(drops, 40);
}

static void drop_and_close(void *elem) {
    (void)elem;
    drops++;
    done(&ch);
}

UVT_TEST(chan_drop_may_close_the_very_handle) {
    open_with(4, drop_and_close);
    send_range(1, 3);
    uvt_chan_close(&ch, UVT_RECV);
    CHECK_EQ(drops, 3);
    CHECK_EQ(send_int(1), UVT_ECLOSED);
}

UVT_TEST(chan_received_and_undelivered_elements_are_told_apart_by_drop) {
    open_with(2, count_drop);
    uvt_task_t r = waiting(b_recv, NULL);
    CHECK_EQ(send_int(9), 0);
    CHECK_EQ(uvt_abort(r), 0); /* too late: it has been handed over */
    CHECK_EQ(uvt_join(r, NULL), 9);
    CHECK_EQ(send_int(8), 0);
    done(&ch);
    CHECK_EQ(drops, 1);
    CHECK_EQ(dropped_sum, 8);
}

UVT_TEST(chan_three_receivers_two_close_sends_work_until_the_last_has) {
    open_chan(2);
    uvt_chan_t a = clone_of(&ch, UVT_RECV), b = clone_of(&a, UVT_RECV);
    uvt_chan_close(&ch, UVT_RECV);
    done(&a);
    CHECK_EQ(stats().receivers, 1);
    CHECK_EQ(send_int(1), 0);
    CHECK_EQ(recv_on(&b), 1);
    done(&b);
    CHECK_EQ(send_int(2), UV_EPIPE);
    done(&ch);
}

/* ---- the senders go ---- */

UVT_TEST(chan_last_sender_closed_waiting_receiver_gets_eof) {
    open_chan(1);
    uvt_task_t r = waiting(b_recv, NULL);
    uvt_chan_close(&ch, UVT_SEND);
    CHECK_EQ(uvt_join(r, NULL), UV_EOF);
    CHECK_EQ(send_int(1), UVT_ECLOSED);
    done(&ch);
}

static int sends_three_and_closes(void *arg) {
    uvt_chan_t *h = arg;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(send_on(h, 1), 0);
        CHECK_EQ(uvt_yield(), 0);
    }
    done(h);
    return 0;
}

UVT_TEST(chan_ten_senders_each_closing_its_clone_all_thirty_arrive_then_eof) {
    uvt_chan_t h[10];
    int n = 0, v;
    open_chan(2);
    for (int i = 0; i < 10; i++) {
        h[i] = clone_of(&ch, UVT_SEND);
        CHECK_EQ(uvt_spawn(NULL, sends_three_and_closes, &h[i]), 0);
    }
    uvt_chan_close(&ch, UVT_SEND);
    while ((v = recv_int()) == 1) n++;
    CHECK_EQ(v, UV_EOF);
    CHECK_EQ(n, 30);
    done(&ch);
}

UVT_TEST(chan_queued_elements_are_received_after_the_sender_closed) {
    open_chan(3);
    send_range(1, 3);
    uvt_chan_close(&ch, UVT_SEND);
    recv_range(1, 3);
    CHECK_EQ(recv_int(), UV_EOF);
    done(&ch);
}

/* ---- ended for everybody ---- */

UVT_TEST(chan_ended_full_with_two_blocked_senders_the_buffered_drain_the_blocked_fail) {
    open_chan(3);
    send_range(0, 2);
    uvt_task_t a = waiting(b_send, INT(3)), b = waiting(b_send, INT(4));
    CHECK_EQ(uvt_chan_end(&ch), 0);
    CHECK_EQ(uvt_join(a, NULL), UV_EPIPE);
    CHECK_EQ(uvt_join(b, NULL), UV_EPIPE);
    recv_range(0, 2);
    CHECK_EQ(recv_int(), UV_EOF);
    CHECK_EQ(send_int(5), UV_EPIPE);
    done(&ch);
}

UVT_TEST(chan_ended_waiting_receivers_get_eof) {
    open_chan(1);
    uvt_task_t a = waiting(b_recv, NULL), b = waiting(b_recv, NULL);
    uvt_chan_t tx = clone_of(&ch, UVT_SEND);
    CHECK_EQ(uvt_chan_end(&tx), 0);
    CHECK_EQ(uvt_join(a, NULL), UV_EOF);
    CHECK_EQ(uvt_join(b, NULL), UV_EOF);
    done(&tx);
    done(&ch);
}

/* ---- one handle of several ---- */

UVT_TEST(chan_own_handle_closed_is_eclosed_ever_after_and_twice_is_fine) {
    uvt_chan_t other;
    open_chan(1);
    uvt_chan_t h = clone_of(&ch, UVT_BOTH);
    done(&h);
    done(&h);
    CHECK_EQ(send_on(&h, 1), UVT_ECLOSED);
    CHECK_EQ(try_send_on(&h, 1), UVT_ECLOSED);
    CHECK_EQ(recv_on(&h), UVT_ECLOSED);
    CHECK_EQ(try_recv_on(&h), UVT_ECLOSED);
    CHECK_EQ(uvt_chan_clone(&other, &h, UVT_SEND), UVT_ECLOSED);
    CHECK_EQ(uvt_chan_end(&h), UVT_ECLOSED);
    done(&ch);
}

UVT_TEST(chan_half_closed_handle_goes_on_with_its_other_end) {
    open_chan(1);
    uvt_chan_t h = clone_of(&ch, UVT_BOTH);
    uvt_chan_close(&h, UVT_SEND);
    uvt_chan_close(&h, UVT_SEND);
    CHECK_EQ(stats().senders, 1);
    CHECK_EQ(send_on(&h, 1), UVT_ECLOSED);
    CHECK_EQ(uvt_chan_reserve(&h, 1), UVT_ECLOSED);
    CHECK_EQ(send_int(1), 0);
    CHECK_EQ(recv_on(&h), 1);
    done(&h);
    done(&ch);
}

UVT_TEST(chan_blocked_sender_own_handle_closed_is_eclosed_receiver_closed_is_epipe) {
    open_chan(0);
    uvt_chan_t h = clone_of(&ch, UVT_SEND);
    uvt_task_t a = waiting(b_send_on, &h), b = waiting(b_send, INT(2));
    done(&h);
    CHECK_EQ(uvt_join(a, NULL), UVT_ECLOSED);
    CHECK_EQ(uvt_is_done(b), 0);
    uvt_chan_close(&ch, UVT_RECV);
    CHECK_EQ(uvt_join(b, NULL), UV_EPIPE);
    for (int i = 0; i < 2; i++) CHECK_EQ(send_int(1), UV_EPIPE);
    done(&ch);
}

UVT_TEST(chan_two_sender_handles_with_waiters_only_the_closed_ones_waiter_fails) {
    open_chan(0);
    uvt_chan_t one = clone_of(&ch, UVT_SEND), two = clone_of(&ch, UVT_SEND);
    uvt_task_t a = waiting(b_send_on, &one), b = waiting(b_send_on, &two);
    done(&one);
    CHECK_EQ(uvt_join(a, NULL), UVT_ECLOSED);
    check_waiting(1, 0);
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(uvt_join(b, NULL), 0);
    done(&two);
    done(&ch);
}

UVT_TEST(chan_two_receiver_handles_with_waiters_only_the_closed_ones_waiter_fails) {
    open_chan(1);
    uvt_chan_t one = clone_of(&ch, UVT_RECV), two = clone_of(&ch, UVT_RECV);
    uvt_task_t a = waiting(b_recv_on, &one), b = waiting(b_recv_on, &two);
    done(&one);
    CHECK_EQ(uvt_join(a, NULL), UVT_ECLOSED);
    CHECK_EQ(send_int(4), 0);
    CHECK_EQ(uvt_join(b, NULL), 4);
    done(&two);
    done(&ch);
}

UVT_TEST(chan_all_handles_closed_under_blocked_receivers_they_wake_and_the_memory_goes) {
    size_t before = uvt_test_live_blocks();
    uvt_task_t t[3];
    open_chan(0);
    uvt_chan_t h = clone_of(&ch, UVT_RECV);
    for (int i = 0; i < 3; i++) t[i] = waiting(b_recv_on, i ? &h : &ch);
    done(&ch);
    done(&h);
    for (int i = 0; i < 3; i++) CHECK(uvt_join(t[i], NULL) == (i ? UV_EOF : UVT_ECLOSED));
    CHECK_EQ(uvt_test_live_blocks(), before);
}

UVT_TEST(chan_handle_closed_under_a_waiter_that_is_then_aborted_is_still_closed) {
    open_chan(0);
    uvt_task_t t = waiting(b_recv, NULL);
    done(&ch);
    CHECK_EQ(uvt_abort(t), 0); /* the channel is still there for it to look at */
    CHECK_EQ(uvt_join(t, NULL), UVT_ECLOSED);
}

static int closes_it_later(void *arg) {
    int rc = uvt_sleep((uint64_t)(intptr_t)arg);
    done(&ch);
    return rc;
}

UVT_TEST(chan_closed_by_a_task_while_another_waits_on_the_clock) {
    uint64_t t = uvt_now();
    open_chan(1);
    CHECK_EQ(uvt_spawn(NULL, closes_it_later, INT(5)), 0);
    CHECK_EQ(recv_int(), UVT_ECLOSED);
    CHECK_EQ(uvt_now() - t, 5);
}

static int b_close(void *arg) {
    done(arg);
    return 0;
}

/* The call yields at its beginning, and there the handle is closed. */
UVT_TEST(chan_closed_while_a_call_begins_is_eclosed) {
    uvt_task_t t;
    open_chan(4);
    CHECK_EQ(uvt_spawn(&t, b_close, &ch), 0);
    for (int i = 0; i < 128; i++) CHECK_EQ(uvt_checkpoint(), 0);
    CHECK_EQ(send_int(1), UVT_ECLOSED);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST_MAIN()
