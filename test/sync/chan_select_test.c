/* SPDX-License-Identifier: MIT
 *
 * Channels in a select: exactly one case takes effect, the others leave channel and order as they were.
 */
#include "chans.h"

static uvt_chan_t other;

static void open_two(size_t capacity) {
    open_chan(capacity);
    CHECK_EQ(uvt_chan_open(&other, sizeof(int), capacity, NULL), 0);
}

static void close_two(void) {
    done(&ch);
    done(&other);
}

/* ---- what is ready ---- */

UVT_TEST(chan_select_takes_the_ready_case_and_leaves_the_other) {
    int a = 0, b = 0;
    open_two(1);
    CHECK_EQ(send_on(&other, 5), 0);
    uvt_case_t c[] = { uvt_case_recv(&ch, &a), uvt_case_recv(&other, &b) };
    CHECK_EQ(uvt_select(c, 2, 0), 1);
    CHECK_EQ(c[1].result, 0);
    CHECK_EQ(b, 5);
    CHECK_EQ(a, 0);
    close_two();
}

UVT_TEST(chan_select_both_ready_exactly_one_is_consumed) {
    int a = 0, b = 0;
    open_two(1);
    CHECK_EQ(send_int(1), 0);
    CHECK_EQ(send_on(&other, 2), 0);
    uvt_case_t c[] = { uvt_case_recv(&ch, &a), uvt_case_recv(&other, &b) };
    int at = uvt_select(c, 2, 0);
    CHECK_EQ(uvt_chan_len(&ch) + uvt_chan_len(&other), 1);
    CHECK_EQ(at == 0 ? a : b, at + 1);
    close_two();
}

UVT_TEST(chan_select_send_and_receive_go_through_in_turn) {
    int in = 3, out = 0;
    open_chan(1);
    uvt_case_t c[] = { uvt_case_send(&ch, &in), uvt_case_recv(&ch, &out) };
    CHECK_EQ(uvt_select(c, 2, UVT_SELECT_BIASED), 0);
    CHECK_EQ(uvt_select(c, 2, UVT_SELECT_BIASED), 1); /* it is full now */
    CHECK_EQ(out, 3);
    done(&ch);
}

UVT_TEST(chan_select_closed_channels_are_ready_with_their_code) {
    int v = 1;
    open_chan(1);
    uvt_chan_t tx = clone_of(&ch, UVT_SEND);
    uvt_case_t r[] = { uvt_case_recv(&ch, &v), uvt_case_sleep(1000) };
    uvt_chan_close(&ch, UVT_SEND);
    done(&tx);
    CHECK_EQ(uvt_select(r, 2, 0), 0);
    CHECK_EQ(r[0].result, UV_EOF);
    done(&ch);
    CHECK_EQ(uvt_select(r, 2, 0), 0);
    CHECK_EQ(r[0].result, UVT_ECLOSED);
    open_chan(1);
    uvt_chan_close(&ch, UVT_RECV);
    uvt_case_t s[] = { uvt_case_send(&ch, &v), uvt_case_sleep(1000) };
    CHECK_EQ(uvt_select(s, 2, 0), 0);
    CHECK_EQ(s[0].result, UV_EPIPE);
    done(&ch);
}

UVT_TEST(chan_try_select_nothing_ready_is_eagain_and_leaves_nobody_waiting) {
    int v;
    open_chan(0);
    uvt_case_t c[] = { uvt_case_recv(&ch, &v), uvt_case_send(&ch, &v) };
    CHECK_EQ(uvt_try_select(c, 2, 0), UV_EAGAIN);
    check_waiting(0, 0);
    done(&ch);
}

/* ---- waiting ---- */

static int receives_from_either(void *arg) {
    (void)arg;
    int a = -1, b = -1;
    uvt_case_t c[] = { uvt_case_recv(&ch, &a), uvt_case_recv(&other, &b) };
    int at = uvt_select(c, 2, 0);
    if (at < 0) return at;
    if (c[at].result < 0) return c[at].result;
    CHECK_EQ(at == 0 ? b : a, -1); /* the other place is untouched */
    return at * 100 + (at == 0 ? a : b);
}

UVT_TEST(chan_select_waiting_is_handed_the_element_and_gives_its_other_place_up) {
    for (size_t capacity = 0; capacity < 2; capacity++) {
        open_two(capacity);
        uvt_task_t t = waiting(receives_from_either, NULL);
        check_waiting(0, 1);
        CHECK_EQ(send_on(&other, 7), 0);
        check_waiting(0, 0); /* it has been served, though it has not run */
        CHECK_EQ(uvt_join(t, NULL), 107);
        CHECK_EQ(try_send_int(1), capacity ? 0 : UV_EAGAIN);
        close_two();
    }
}

UVT_TEST(chan_select_served_elsewhere_is_passed_over_for_the_next_receiver) {
    open_two(1);
    uvt_task_t t = waiting(receives_from_either, NULL), r = waiting(b_recv, NULL);
    CHECK_EQ(send_on(&other, 7), 0);
    CHECK_EQ(send_int(8), 0);
    CHECK_EQ(uvt_join(t, NULL), 107);
    CHECK_EQ(uvt_join(r, NULL), 8);
    close_two();
}

static int sends_to_either(void *arg) {
    int v = (int)(intptr_t)arg;
    uvt_case_t c[] = { uvt_case_send(&ch, &v), uvt_case_send(&other, &v) };
    int at = uvt_select(c, 2, 0);
    return at < 0 ? at : c[at].result < 0 ? c[at].result : at;
}

UVT_TEST(chan_select_waiting_to_send_sends_once) {
    open_two(0);
    uvt_task_t t = waiting(sends_to_either, INT(4));
    CHECK_EQ(recv_on(&other), 4);
    CHECK_EQ(try_recv_int(), UV_EAGAIN);
    CHECK_EQ(uvt_join(t, NULL), 1);
    close_two();
}

UVT_TEST(chan_select_sender_served_elsewhere_leaves_its_slot_to_the_next) {
    open_two(1);
    CHECK_EQ(send_int(0), 0);
    CHECK_EQ(send_on(&other, 0), 0);
    uvt_task_t t = waiting(sends_to_either, INT(1)), next = waiting(b_send, INT(2));
    CHECK_EQ(recv_on(&other), 0);
    CHECK_EQ(recv_int(), 0);
    CHECK_EQ(uvt_chan_len(&ch), 1);
    CHECK_EQ(uvt_join(next, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 1);
    CHECK_EQ(recv_int(), 2);
    CHECK_EQ(recv_on(&other), 1);
    close_two();
}

UVT_TEST(chan_two_selects_meet_without_capacity) {
    open_two(0);
    uvt_task_t r = waiting(receives_from_either, NULL), s = waiting(sends_to_either, INT(6));
    int at = uvt_join(s, NULL);
    CHECK_EQ(uvt_join(r, NULL), at * 100 + 6);
    check_waiting(0, 0);
    close_two();
}

static int sends_and_receives_here(void *arg) {
    int in = (int)(intptr_t)arg, out = -1;
    uvt_case_t c[] = { uvt_case_send(&ch, &in), uvt_case_recv(&ch, &out) };
    int at = uvt_select(c, 2, 0);
    if (at < 0) return at;
    return at == 0 ? 0 : out;
}

UVT_TEST(chan_select_with_both_ends_of_one_channel_does_not_meet_itself) {
    open_chan(0);
    uvt_task_t t = waiting(sends_and_receives_here, INT(5));
    CHECK_EQ(uvt_is_done(t), 0);
    check_waiting(1, 1);
    CHECK_EQ(recv_int(), 5);
    CHECK_EQ(uvt_join(t, NULL), 0);
    t = waiting(sends_and_receives_here, INT(5));
    CHECK_EQ(send_int(6), 0);
    CHECK_EQ(uvt_join(t, NULL), 6);
    check_waiting(0, 0);
    done(&ch);
}

UVT_TEST(chan_two_selects_with_both_ends_meet_each_other) {
    open_chan(0);
    uvt_task_t a = waiting(sends_and_receives_here, INT(5)), b = waiting(sends_and_receives_here, INT(6));
    int ra = uvt_join(a, NULL), rb = uvt_join(b, NULL);
    CHECK((ra == 0 && rb == 5) || (ra == 6 && rb == 0));
    check_waiting(0, 0);
    done(&ch);
}

UVT_TEST(chan_select_with_both_ends_served_through_the_ring_takes_effect_once) {
    open_chan(1);
    CHECK_EQ(uvt_chan_reserve(&ch, 1), 0);
    uvt_task_t t = waiting(sends_and_receives_here, INT(5));
    check_waiting(1, 1);
    CHECK_EQ(uvt_chan_unreserve(&ch, 1), 0); /* its send takes the slot; its receive is not to get it */
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(recv_int(), 5);
    CHECK_EQ(try_recv_int(), UV_EAGAIN);
    done(&ch);
}

UVT_TEST(chan_select_with_the_same_case_twice_fires_one) {
    int a = -1, b = -1;
    for (size_t capacity = 0; capacity < 2; capacity++) {
        open_chan(capacity);
        uvt_task_t t = waiting(b_send, INT(3));
        uvt_case_t c[] = { uvt_case_recv(&ch, &a), uvt_case_recv(&ch, &b) };
        int at = uvt_select(c, 2, 0);
        CHECK_EQ(at == 0 ? a : b, 3);
        CHECK_EQ(uvt_join(t, NULL), 0);
        CHECK_EQ(uvt_try_select(c, 2, 0), UV_EAGAIN);
        done(&ch);
    }
}

static int receives_twice_here(void *arg) {
    (void)arg;
    int a = -1, b = -1;
    uvt_case_t c[] = { uvt_case_recv(&ch, &a), uvt_case_recv(&ch, &b), uvt_case_recv(&ch, &b) };
    int at = uvt_select(c, 3, 0);
    return at < 0 ? at : a + b + 1; /* the other one is still -1 */
}

UVT_TEST(chan_select_waiting_with_the_same_case_thrice_is_served_once) {
    open_chan(2);
    uvt_task_t t = waiting(receives_twice_here, NULL);
    CHECK_EQ(send_int(3), 0);
    CHECK_EQ(send_int(4), 0);
    CHECK_EQ(uvt_join(t, NULL), 3);
    CHECK_EQ(recv_int(), 4);
    done(&ch);
}

/* ---- ends, cancels, time ---- */

UVT_TEST(chan_select_waiting_fires_when_the_channel_ends) {
    open_two(0);
    uvt_task_t r = waiting(receives_from_either, NULL), s = waiting(sends_to_either, INT(1));
    CHECK_EQ(uvt_join(s, NULL), uvt_join(r, NULL) / 100);
    r = waiting(receives_from_either, NULL);
    CHECK_EQ(uvt_chan_end(&ch), 0);
    CHECK_EQ(uvt_join(r, NULL), UV_EOF);
    s = waiting(sends_to_either, INT(1));
    CHECK_EQ(uvt_join(s, NULL), UV_EPIPE); /* at once */
    close_two();
}

UVT_TEST(chan_select_waiting_fires_when_its_handle_closes) {
    open_two(0);
    uvt_task_t r = waiting(receives_from_either, NULL);
    done(&other);
    CHECK_EQ(uvt_join(r, NULL), UVT_ECLOSED);
    done(&ch);
}

UVT_TEST(chan_select_aborted_leaves_no_waiter) {
    open_two(1);
    uvt_task_t t = waiting(receives_from_either, NULL);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK(is_cancelled(t));
    check_waiting(0, 0);
    CHECK_EQ(send_int(1), 0);
    CHECK_EQ(uvt_chan_len(&ch), 1);
    close_two();
}

UVT_TEST(chan_select_aborted_after_it_was_handed_an_element_returns_it) {
    open_two(1);
    uvt_task_t t = waiting(receives_from_either, NULL);
    CHECK_EQ(send_int(9), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 9);
    close_two();
}

UVT_TEST(chan_select_with_a_time_limit_ends_at_it_and_takes_nothing_later) {
    int v = -1;
    open_chan(0);
    uvt_case_t c[] = { uvt_case_recv(&ch, &v), uvt_case_sleep(10) };
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_select(c, 2, 0), 1);
    CHECK_EQ(uvt_now() - t, 10);
    CHECK_EQ(try_send_int(3), UV_EAGAIN);
    CHECK_EQ(v, -1);
    done(&ch);
}

UVT_TEST(chan_selects_that_are_always_ready_let_others_run) {
    int ran = 0, v;
    uvt_task_t t;
    open_chan(1);
    CHECK_EQ(uvt_spawn(&t, b_count, &ran), 0);
    for (int i = 0; i < 1000 && !ran; i++) {
        uvt_case_t c[] = { uvt_case_send(&ch, &i), uvt_case_recv(&ch, &v) };
        CHECK(uvt_select(c, 2, 0) >= 0);
    }
    CHECK_EQ(ran, 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    done(&ch);
}

UVT_TEST_MAIN()
