/* SPDX-License-Identifier: MIT
 *
 * Permits: slots of a channel that are kept for a sender. They count as full, outlive the channel's end, and none is
 * lost whatever is closed or cancelled.
 */
#include "chans.h"

UVT_TEST(chan_permits_are_slots_until_they_are_used_or_given_back) {
    int v = 1;
    open_chan(3);
    CHECK_EQ(uvt_chan_reserve(&ch, 2), 0);
    CHECK_EQ(stats().reserved, 2);
    CHECK_EQ(send_int(0), 0);
    CHECK_EQ(try_send_int(9), UV_EAGAIN);
    CHECK_EQ(uvt_chan_send_reserved(&ch, &v), 0);
    CHECK_EQ(try_send_int(9), UV_EAGAIN);
    CHECK_EQ(uvt_chan_unreserve(&ch, 1), 0);
    CHECK_EQ(try_send_int(2), 0);
    CHECK_EQ(stats().reserved, 0);
    recv_range(0, 2);
    done(&ch);
}

UVT_TEST(chan_reserve_above_the_capacity_is_refused_at_once) {
    open_chan(3);
    CHECK_EQ(uvt_chan_reserve(&ch, 4), UV_EINVAL);
    CHECK_EQ(uvt_chan_try_reserve(&ch, SIZE_MAX), UV_EINVAL);
    CHECK_EQ(uvt_chan_try_reserve(&ch, 3), 0);
    CHECK_EQ(uvt_chan_try_reserve(&ch, 1), UV_EAGAIN);
    done(&ch);
    open_chan(0);
    CHECK_EQ(uvt_chan_reserve(&ch, 1), UV_EINVAL);
    done(&ch);
}

UVT_TEST(chan_reserve_none_is_granted_at_once) {
    open_chan(1);
    CHECK_EQ(send_int(1), 0);
    CHECK_EQ(uvt_chan_reserve(&ch, 0), 0);
    CHECK_EQ(uvt_chan_try_reserve(&ch, 0), 0);
    CHECK_EQ(uvt_chan_end(&ch), 0);
    CHECK_EQ(uvt_chan_reserve(&ch, 0), UV_EPIPE);
    done(&ch);
}

UVT_TEST(chan_permit_to_a_waiting_receiver_gives_the_slot_back) {
    int v = 6;
    open_chan(1);
    CHECK_EQ(uvt_chan_reserve(&ch, 1), 0);
    uvt_task_t r = waiting(b_recv, NULL);
    CHECK_EQ(uvt_chan_send_reserved(&ch, &v), 0);
    CHECK_EQ(uvt_join(r, NULL), 6);
    CHECK_EQ(try_send_int(7), 0);
    CHECK_EQ(recv_int(), 7);
    done(&ch);
}

UVT_TEST(chan_ended_with_a_permit_out_reservers_fail_the_permit_sends_then_eof) {
    int v = 1;
    open_chan(1);
    CHECK_EQ(uvt_chan_reserve(&ch, 1), 0);
    uvt_task_t reserver = waiting(b_reserve, INT(1));
    CHECK_EQ(uvt_chan_end(&ch), 0);
    CHECK_EQ(uvt_join(reserver, NULL), UV_EPIPE);
    CHECK_EQ(try_recv_int(), UV_EAGAIN); /* one may still come */
    CHECK_EQ(uvt_chan_send_reserved(&ch, &v), 0);
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(recv_int(), UV_EOF);
    done(&ch);
}

UVT_TEST(chan_ended_last_permit_given_back_wakes_the_waiting_receiver_with_eof) {
    open_chan(2);
    CHECK_EQ(uvt_chan_reserve(&ch, 2), 0);
    CHECK_EQ(uvt_chan_end(&ch), 0);
    uvt_task_t r = waiting(b_recv, NULL);
    CHECK_EQ(uvt_chan_unreserve(&ch, 1), 0);
    CHECK_EQ(uvt_is_done(r), 0);
    CHECK_EQ(uvt_chan_unreserve(&ch, 1), 0);
    CHECK_EQ(uvt_join(r, NULL), UV_EOF);
    done(&ch);
}

UVT_TEST(chan_ended_last_permit_used_the_second_receiver_gets_eof) {
    int v = 3;
    open_chan(1);
    CHECK_EQ(uvt_chan_reserve(&ch, 1), 0);
    CHECK_EQ(uvt_chan_end(&ch), 0);
    uvt_task_t a = waiting(b_recv, NULL), b = waiting(b_recv, NULL);
    CHECK_EQ(uvt_chan_send_reserved(&ch, &v), 0);
    CHECK_EQ(uvt_join(a, NULL), 3);
    CHECK_EQ(uvt_join(b, NULL), UV_EOF);
    done(&ch);
}

UVT_TEST(chan_permit_when_nobody_receives_any_more_fails_and_is_kept) {
    int v = 1;
    open_chan(1);
    CHECK_EQ(uvt_chan_reserve(&ch, 1), 0);
    uvt_chan_close(&ch, UVT_RECV);
    CHECK_EQ(uvt_chan_send_reserved(&ch, &v), UV_EPIPE);
    CHECK_EQ(uvt_chan_unreserve(&ch, 1), 0);
    CHECK_EQ(uvt_chan_send_reserved(&ch, &v), UV_EINVAL);
    done(&ch);
}

UVT_TEST(chan_permits_go_back_when_their_handle_closes) {
    open_chan(2);
    uvt_chan_t h = clone_of(&ch, UVT_SEND);
    CHECK_EQ(uvt_chan_reserve(&h, 2), 0);
    uvt_task_t t = waiting(b_send, INT(4));
    done(&h);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(recv_int(), 4);
    CHECK_EQ(stats().reserved, 0);
    done(&ch);
}

UVT_TEST(chan_permits_of_the_last_sender_go_with_it_and_the_receiver_gets_eof) {
    open_chan(2);
    CHECK_EQ(uvt_chan_reserve(&ch, 2), 0);
    uvt_task_t r = waiting(b_recv, NULL);
    uvt_chan_close(&ch, UVT_SEND);
    CHECK_EQ(uvt_join(r, NULL), UV_EOF);
    done(&ch);
}

UVT_TEST(chan_permits_are_the_handles_own) {
    int v = 1;
    open_chan(2);
    uvt_chan_t h = clone_of(&ch, UVT_SEND);
    CHECK_EQ(uvt_chan_reserve(&ch, 1), 0);
    CHECK_EQ(uvt_chan_send_reserved(&h, &v), UV_EINVAL);
    CHECK_EQ(uvt_chan_unreserve(&h, 1), UV_EINVAL);
    CHECK_EQ(uvt_chan_unreserve(&ch, 2), UV_EINVAL);
    CHECK_EQ(uvt_chan_send_reserved(&ch, &v), 0);
    CHECK_EQ(recv_int(), 1);
    uvt_chan_close(&ch, UVT_SEND);
    CHECK_EQ(uvt_chan_send_reserved(&ch, &v), UVT_ECLOSED);
    CHECK_EQ(uvt_chan_unreserve(&ch, 0), UVT_ECLOSED);
    done(&h);
    done(&ch);
}

/* ---- waiting for permits ---- */

UVT_TEST(chan_large_reservation_is_not_starved_by_senders_behind_it) {
    open_chan(2);
    send_range(0, 1);
    uvt_task_t big = waiting(b_reserve, INT(2)), small = waiting(b_send, INT(2));
    CHECK_EQ(recv_int(), 0);
    CHECK_EQ(try_send_int(9), UV_EAGAIN); /* a slot is free, but the oldest waits for two */
    CHECK_EQ(uvt_is_done(small), 0);
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(uvt_join(big, NULL), 0);
    CHECK_EQ(stats().reserved, 2);
    CHECK_EQ(uvt_chan_unreserve(&ch, 2), 0);
    CHECK_EQ(uvt_join(small, NULL), 0);
    CHECK_EQ(recv_int(), 2);
    done(&ch);
}

UVT_TEST(chan_large_reservation_cancelled_lets_those_behind_in) {
    open_chan(2);
    CHECK_EQ(send_int(0), 0);
    uvt_task_t big = waiting(b_reserve, INT(2)), small = waiting(b_send, INT(1));
    CHECK_EQ(uvt_abort(big), 0);
    CHECK(is_cancelled(big));
    CHECK_EQ(uvt_join(small, NULL), 0);
    recv_range(0, 1);
    done(&ch);
}

UVT_TEST(chan_sender_behind_a_cancelled_reservation_reaches_a_waiting_receiver) {
    open_chan(2);
    CHECK_EQ(uvt_chan_reserve(&ch, 1), 0);
    uvt_task_t r = waiting(b_recv, NULL), big = waiting(b_reserve, INT(2)), small = waiting(b_send, INT(5));
    check_waiting(2, 1);
    CHECK_EQ(uvt_abort(big), 0);
    CHECK(is_cancelled(big));
    CHECK_EQ(uvt_join(small, NULL), 0);
    CHECK_EQ(uvt_join(r, NULL), 5);
    CHECK_EQ(uvt_chan_unreserve(&ch, 1), 0);
    done(&ch);
}

UVT_TEST(chan_reservation_granted_before_the_cancel_stands) {
    open_chan(1);
    CHECK_EQ(send_int(0), 0);
    uvt_task_t t = waiting(b_reserve, INT(1));
    CHECK_EQ(recv_int(), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(stats().reserved, 1);
    done(&ch);
}

UVT_TEST(chan_unbounded_permits_have_their_memory) {
    open_chan(UVT_UNBOUNDED);
    CHECK_EQ(uvt_chan_reserve(&ch, 1000), 0);
    CHECK_EQ(send_int(0), 0);
    uvt_test_fail_alloc(1);
    for (int i = 1; i <= 1000; i++) CHECK_EQ(uvt_chan_send_reserved(&ch, &i), 0);
    CHECK(!uvt_test_fail_hit());
    uvt_test_fail_alloc(0);
    recv_range(0, 1000);
    CHECK_EQ(uvt_chan_reserve(&ch, SIZE_MAX / 2), UV_ENOMEM);
    CHECK_EQ(uvt_chan_reserve(&ch, SIZE_MAX), UV_ENOMEM);
    done(&ch);
}

UVT_TEST_MAIN()
