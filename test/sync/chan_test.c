/* SPDX-License-Identifier: MIT
 *
 * Channels: what is sent arrives once and in order, whoever waits for whom. How they end is in chan_close_test.c.
 */
#include "chans.h"

/* ---- buffered ---- */

UVT_TEST(chan_two_sent_and_closed_arrive_in_order_then_eof) {
    open_chan(16);
    CHECK_EQ(send_int(1), 0);
    CHECK_EQ(send_int(2), 0);
    uvt_chan_close(&ch, UVT_SEND);
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(recv_int(), 2);
    CHECK_EQ(recv_int(), UV_EOF);
    CHECK_EQ(recv_int(), UV_EOF);
    done(&ch);
}

UVT_TEST(chan_full_second_sender_waits_and_third_try_fails_for_its_slot) {
    open_chan(1);
    CHECK_EQ(send_int(1), 0);
    uvt_task_t second = waiting(b_send, INT(2));
    CHECK_EQ(try_send_int(3), UV_EAGAIN);
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(try_send_int(3), UV_EAGAIN); /* the slot is the second one's, though it has not run yet */
    CHECK_EQ(uvt_join(second, NULL), 0);
    CHECK_EQ(recv_int(), 2);
    CHECK_EQ(try_send_int(3), 0);
    CHECK_EQ(recv_int(), 3);
    done(&ch);
}

UVT_TEST(chan_four_senders_three_slots_three_received_the_fourth_has_run_after_a_yield) {
    uvt_task_t t[4];
    open_chan(3);
    for (int i = 0; i < 4; i++) t[i] = waiting(b_send, INT(i));
    CHECK_EQ(uvt_chan_len(&ch), 3);
    CHECK_EQ(uvt_is_done(t[3]), 0);
    recv_range(0, 2);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_is_done(t[3]), 1);
    CHECK_EQ(uvt_chan_len(&ch), 1);
    CHECK_EQ(recv_int(), 3);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    done(&ch);
}

UVT_TEST(chan_waiting_senders_are_served_in_order) {
    uvt_task_t t[3];
    open_chan(1);
    CHECK_EQ(send_int(0), 0);
    for (int i = 0; i < 3; i++) t[i] = waiting(b_send, INT(i + 1));
    recv_range(0, 3);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    done(&ch);
}

UVT_TEST(chan_waiting_receivers_are_served_in_order) {
    uvt_task_t a, b;
    open_chan(2);
    a = waiting(b_recv_step, "a");
    b = waiting(b_recv_step, "b");
    CHECK_EQ(send_int(1), 0);
    CHECK_EQ(uvt_chan_len(&ch), 0); /* handed over */
    CHECK_EQ(try_recv_int(), UV_EAGAIN);
    CHECK_EQ(send_int(2), 0);
    CHECK_EQ(uvt_join(a, NULL), 1);
    CHECK_EQ(uvt_join(b, NULL), 2);
    done(&ch);
}

UVT_TEST(chan_ring_goes_round_many_times_in_order) {
    open_chan(3);
    send_range(0, 1);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(send_int(i + 2), 0);
        CHECK_EQ(recv_int(), i);
    }
    CHECK_EQ(uvt_chan_len(&ch), 2);
    done(&ch);
}

UVT_TEST(chan_send_and_receive_at_once_do_not_suspend) {
    uvt_stats before, after;
    open_chan(4);
    CHECK_EQ(uvt_stats_get(&before), 0);
    CHECK_EQ(send_int(1), 0);
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.switches, before.switches);
    done(&ch);
}

UVT_TEST(chan_try_send_full_and_closed_are_told_apart) {
    open_chan(1);
    CHECK_EQ(try_send_int(1), 0);
    CHECK_EQ(try_send_int(2), UV_EAGAIN);
    uvt_chan_close(&ch, UVT_RECV);
    CHECK_EQ(try_send_int(2), UV_EPIPE);
    done(&ch);
}

UVT_TEST(chan_try_recv_gives_values_then_empty_then_eof) {
    open_chan(2);
    CHECK_EQ(try_recv_int(), UV_EAGAIN);
    CHECK_EQ(try_send_int(1), 0);
    CHECK_EQ(send_int(2), 0);
    CHECK_EQ(try_recv_int(), 1);
    CHECK_EQ(try_recv_int(), 2);
    CHECK_EQ(try_recv_int(), UV_EAGAIN);
    CHECK_EQ(send_int(3), 0);
    uvt_chan_close(&ch, UVT_SEND);
    CHECK_EQ(try_recv_int(), 3);
    CHECK_EQ(try_recv_int(), UV_EOF);
    done(&ch);
}

static uvt_chan_t second;

static int passes_on(void *arg) {
    (void)arg;
    int v = recv_int();
    return v < 0 ? v : send_on(&second, v + 1);
}

UVT_TEST(chan_two_children_chained_by_two_channels_pass_the_value_through) {
    uvt_task_t a, b;
    open_chan(1);
    CHECK_EQ(uvt_chan_open(&second, sizeof(int), 1, NULL), 0);
    CHECK_EQ(uvt_spawn(&a, passes_on, NULL), 0);
    CHECK_EQ(uvt_spawn(&b, b_send, INT(4)), 0);
    CHECK_EQ(recv_on(&second), 5);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
    done(&second);
    done(&ch);
}

static int counts_turns(void *arg) {
    for (;;) {
        ++*(int *)arg;
        int rc = uvt_yield();
        if (rc < 0) return rc;
    }
}

UVT_TEST(chan_thousand_queued_received_in_a_loop_let_others_run) {
    int turns = 0;
    uvt_task_t t;
    open_chan(1000);
    send_range(0, 999);
    CHECK_EQ(uvt_spawn(&t, counts_turns, &turns), 0);
    int before = turns;
    recv_range(0, 999);
    CHECK(turns > before);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    done(&ch);
}

static int sends_for_ever(void *arg) {
    (void)arg;
    int rc;
    while ((rc = send_int(1)) == 0) {}
    return rc;
}

UVT_TEST(chan_unbounded_sends_in_a_loop_let_others_run) {
    uvt_task_t t;
    open_chan(UVT_UNBOUNDED);
    CHECK_EQ(uvt_spawn(&t, sends_for_ever, NULL), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK(uvt_chan_len(&ch) >= 1);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK(is_cancelled(t));
    done(&ch);
}

/* ---- unbounded ---- */

UVT_TEST(chan_unbounded_takes_ten_thousand_and_gives_them_in_order) {
    open_chan(UVT_UNBOUNDED);
    for (int round = 0; round < 2; round++) {
        send_range(0, 9999);
        CHECK_EQ(uvt_chan_len(&ch), 10000);
        recv_range(0, 9999);
    }
    CHECK_EQ(uvt_chan_capacity(&ch), UVT_UNBOUNDED);
    done(&ch);
}

UVT_TEST(chan_unbounded_grows_while_its_ring_is_turned) {
    open_chan(UVT_UNBOUNDED);
    send_range(0, 19);
    recv_range(0, 9);
    send_range(20, 199); /* the ring's seam is somewhere in the middle when it grows */
    recv_range(10, 199);
    CHECK_EQ(try_recv_int(), UV_EAGAIN);
    done(&ch);
}

UVT_TEST(chan_unbounded_gives_a_burst_its_memory_back_when_empty) {
    open_chan(UVT_UNBOUNDED);
    size_t before = uvt_test_live_bytes();
    send_range(0, 9999);
    CHECK(uvt_test_live_bytes() >= before + 10000 * sizeof(int));
    recv_range(0, 9999);
    CHECK_EQ(uvt_test_live_bytes(), before);
    done(&ch);
}

/* ---- without capacity ---- */

UVT_TEST(chan_rendezvous_try_forms_fail_unless_the_peer_waits) {
    open_chan(0);
    CHECK_EQ(try_send_int(1), UV_EAGAIN);
    CHECK_EQ(try_recv_int(), UV_EAGAIN);
    uvt_task_t r = waiting(b_recv, NULL);
    CHECK_EQ(try_send_int(1), 0);
    CHECK_EQ(uvt_join(r, NULL), 1);
    uvt_task_t s = waiting(b_send, INT(2));
    CHECK_EQ(uvt_chan_len(&ch), 0);
    CHECK_EQ(try_recv_int(), 2);
    CHECK_EQ(uvt_join(s, NULL), 0);
    done(&ch);
}

UVT_TEST(chan_rendezvous_two_blocked_senders_are_received_in_order) {
    open_chan(0);
    uvt_task_t a = waiting(b_send, INT(1)), b = waiting(b_send, INT(2));
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_is_done(b), 0);
    CHECK_EQ(recv_int(), 2);
    CHECK_EQ(uvt_join(b, NULL), 0);
    done(&ch);
}

UVT_TEST(chan_rendezvous_two_blocked_receivers_are_served_in_order) {
    open_chan(0);
    uvt_task_t a = waiting(b_recv, NULL), b = waiting(b_recv, NULL);
    CHECK_EQ(send_int(1), 0);
    CHECK_EQ(send_int(2), 0);
    CHECK_EQ(uvt_join(b, NULL), 2);
    CHECK_EQ(uvt_join(a, NULL), 1);
    done(&ch);
}

/* ---- sizes ---- */

static int b_recv_nothing(void *arg) {
    return uvt_recv(&ch, arg);
}

UVT_TEST(chan_elements_without_bytes_synchronise) {
    CHECK_EQ(uvt_chan_open(&ch, 0, 0, NULL), 0);
    CHECK_EQ(uvt_try_send(&ch, NULL), UV_EAGAIN);
    uvt_task_t r = waiting(b_recv_nothing, NULL);
    CHECK_EQ(uvt_send(&ch, NULL), 0);
    CHECK_EQ(uvt_join(r, NULL), 0);
    done(&ch);
    CHECK_EQ(uvt_chan_open(&ch, 0, 3, NULL), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_send(&ch, NULL), 0);
    CHECK_EQ(uvt_try_send(&ch, NULL), UV_EAGAIN);
    CHECK_EQ(uvt_recv(&ch, NULL), 0);
    CHECK_EQ(uvt_recv_many(&ch, NULL, 9), 2);
    CHECK_EQ(uvt_try_recv(&ch, NULL), UV_EAGAIN);
    done(&ch);
}

UVT_TEST(chan_elements_without_bytes_need_no_memory_however_many) {
    CHECK_EQ(uvt_chan_open(&ch, 0, UVT_UNBOUNDED, NULL), 0);
    size_t before = uvt_test_live_bytes();
    for (int i = 0; i < 5000; i++) CHECK_EQ(uvt_send(&ch, NULL), 0);
    CHECK_EQ(uvt_test_live_bytes(), before);
    CHECK_EQ(uvt_recv_many(&ch, NULL, 10000), 5000);
    done(&ch);
    CHECK_EQ(uvt_chan_open(&ch, 0, UVT_UNBOUNDED - 1, NULL), 0);
    CHECK_EQ(uvt_chan_reserve(&ch, UVT_UNBOUNDED - 1), 0);
    CHECK_EQ(uvt_try_send(&ch, NULL), UV_EAGAIN);
    done(&ch);
}

struct big {
    char bytes[1000];
};

UVT_TEST(chan_elements_of_any_size_arrive_whole) {
    struct big in, out;
    uvt_chan_t c;
    for (size_t size = 1; size <= sizeof in; size += 37) {
        CHECK_EQ(uvt_chan_open(&c, size, 2, NULL), 0);
        for (int i = 0; i < 5; i++) {
            memset(&in, 'a' + i, sizeof in);
            memset(&out, 0, sizeof out);
            CHECK_EQ(uvt_send(&c, &in), 0);
            CHECK_EQ(uvt_recv(&c, &out), 0);
            CHECK_EQ(memcmp(&in, &out, size), 0);
            if (size < sizeof out) CHECK_EQ(out.bytes[size], 0);
        }
        done(&c);
    }
}

/* ---- many at once ---- */

UVT_TEST(chan_recv_many_takes_what_is_there_in_order) {
    int v[8] = { 0 };
    open_chan(8);
    send_range(0, 4);
    CHECK_EQ(uvt_recv_many(&ch, v, 3), 3);
    for (int i = 0; i < 3; i++) CHECK_EQ(v[i], i);
    CHECK_EQ(v[3], 0);
    send_range(5, 10); /* beyond the seam */
    CHECK_EQ(uvt_recv_many(&ch, v, 8), 8);
    for (int i = 0; i < 8; i++) CHECK_EQ(v[i], i + 3);
    done(&ch);
}

UVT_TEST(chan_recv_many_at_the_end_is_eof_and_leaves_the_output_alone) {
    int v[2] = { 7, 8 };
    open_chan(8);
    uvt_chan_close(&ch, UVT_SEND);
    CHECK_EQ(uvt_recv_many(&ch, v, 2), UV_EOF);
    CHECK_EQ(v[0], 7);
    CHECK_EQ(v[1], 8);
    done(&ch);
}

static int b_recv_none(void *arg) {
    return (int)uvt_recv_many(&ch, arg, 0);
}

UVT_TEST(chan_recv_many_of_none_takes_no_wakeup_from_others) {
    int unused;
    open_chan(1);
    uvt_task_t none = waiting(b_recv_none, &unused), one = waiting(b_recv, NULL);
    CHECK_EQ(uvt_is_done(none), 1);
    check_waiting(0, 1);
    CHECK_EQ(send_int(5), 0);
    CHECK_EQ(uvt_join(one, NULL), 5);
    CHECK_EQ(uvt_join(none, NULL), 0);
    CHECK_EQ(uvt_recv_many(&ch, NULL, 0), 0);
    done(&ch);
}

static int many[8];

static int b_recv_many(void *arg) {
    return (int)uvt_recv_many(&ch, many, (size_t)(intptr_t)arg);
}

UVT_TEST(chan_recv_many_waits_for_one_and_takes_what_came_until_it_ran) {
    open_chan(8);
    uvt_task_t t = waiting(b_recv_many, INT(3));
    send_range(1, 5);
    CHECK_EQ(uvt_join(t, NULL), 3);
    for (int i = 0; i < 3; i++) CHECK_EQ(many[i], i + 1);
    recv_range(4, 5);
    done(&ch);
}

UVT_TEST(chan_recv_many_takes_from_waiting_senders_too) {
    uvt_task_t t[3];
    for (size_t capacity = 0; capacity < 3; capacity += 2) {
        open_chan(capacity);
        for (int i = 0; i < 3; i++) t[i] = waiting(b_send, INT(i));
        CHECK_EQ(uvt_recv_many(&ch, many, 8), 3);
        for (int i = 0; i < 3; i++) CHECK_EQ(many[i], i);
        for (int i = 0; i < 3; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
        done(&ch);
    }
}

/* ---- questions ---- */

UVT_TEST(chan_stats_are_exact_and_go_back_to_nothing) {
    open_chan(1);
    uvt_chan_t h = clone_of(&ch, UVT_SEND);
    CHECK_EQ(send_int(1), 0);
    uvt_task_t a = waiting(b_send, INT(2)), b = waiting(b_send, INT(3));
    uvt_chan_stats_t st = stats();
    CHECK_EQ(st.len, 1);
    CHECK_EQ(st.capacity, 1);
    CHECK_EQ(st.senders, 2);
    CHECK_EQ(st.receivers, 1);
    check_waiting(2, 0);
    CHECK_EQ(uvt_abort(a), 0);
    check_waiting(1, 0);
    CHECK(is_cancelled(a));
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(recv_int(), 3);
    CHECK_EQ(uvt_join(b, NULL), 0);
    uvt_task_t r = waiting(b_recv, NULL);
    check_waiting(0, 1);
    CHECK_EQ(uvt_abort(r), 0);
    CHECK(is_cancelled(r));
    done(&h);
    CHECK_EQ(stats().senders, 1);
    CHECK_EQ(stats().len, 0);
    check_waiting(0, 0);
    done(&ch);
}

UVT_TEST_MAIN()
