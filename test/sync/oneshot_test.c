/* SPDX-License-Identifier: MIT
 *
 * Oneshots: one value from a task, a uv callback or another thread to one receiver; either end may go
 * first, a value is delivered once or stays with its sender. uvt_spawn_oneshot has a file of its own.
 */
#include "ends.h"
#include <string.h>

static int wait_closed(void *o) {
    return uvt_oneshot_wait_closed(o);
}

/* Checks that the value 7, &word is received, and gives the receiver's end back. */
static void check_received(uvt_oneshot_t *o) {
    int status = 0;
    void *value = NULL;
    CHECK_EQ(uvt_oneshot_recv(o, &status, &value), 0);
    CHECK_EQ(status, 7);
    CHECK(value == &word);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

/* ---- tasks at both ends ---- */

static int send_seven_later(void *o) {
    CHECK_EQ(uvt_sleep(10), 0);
    return uvt_oneshot_send(o, 7, &word);
}

UVT_TEST(oneshot_waiting_receiver_wakes_with_the_value) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t sender;
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_spawn(&sender, send_seven_later, o), 0);
    check_received(o);
    CHECK_EQ(uvt_now() - t, 10);
    CHECK_EQ(uvt_join(sender, NULL), 0);
}

UVT_TEST(oneshot_sent_before_receive_is_there_at_once) {
    uvt_oneshot_t *o = oneshot(0);
    CHECK_EQ(uvt_oneshot_send(o, 7, &word), 0);
    check_received(o);
}

UVT_TEST(oneshot_negative_status_reaches_the_receiver_as_it_is) {
    uvt_oneshot_t *o = oneshot(0);
    int status = 0;
    CHECK_EQ(uvt_oneshot_send(o, UV_ECONNRESET, NULL), 0);
    CHECK_EQ(uvt_oneshot_recv(o, &status, NULL), 0);
    CHECK_EQ(status, UV_ECONNRESET);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

UVT_TEST(oneshot_receiver_gone_send_fails) {
    uvt_oneshot_t *o = oneshot(0);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
    CHECK_EQ(uvt_oneshot_send(o, 7, &word), UVT_ECLOSED); /* the value is still the sender's, both ends are back */
}

UVT_TEST(oneshot_receiver_gone_wakes_the_sender_that_waits_for_it) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t waiter;
    CHECK_EQ(uvt_spawn(&waiter, wait_closed, o), 0);
    CHECK_EQ(uvt_sleep(10), 0);
    CHECK_EQ(uvt_is_done(waiter), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
    CHECK_EQ(uvt_join(waiter, NULL), 0);
    uvt_oneshot_close_tx(o);
}

UVT_TEST(oneshot_receiver_gone_before_wait_closed_returns_at_once) {
    uvt_oneshot_t *o = oneshot(0);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
    CHECK_EQ(uvt_oneshot_wait_closed(o), 0);
    uvt_oneshot_close_tx(o);
}

UVT_TEST(oneshot_value_sent_then_receiver_closes_hands_the_value_out) {
    uvt_oneshot_t *o = oneshot(0);
    void *value = NULL;
    CHECK_EQ(uvt_oneshot_send(o, 7, &word), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, &value), 1);
    CHECK(value == &word);
}

UVT_TEST(oneshot_sender_gone_receiver_gets_eof) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_oneshot_close_tx(o);
    CHECK_EQ(uvt_oneshot_try_recv(o, NULL, NULL), UV_EOF);
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), UV_EOF);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

UVT_TEST(oneshot_sender_going_wakes_the_waiting_receiver_with_eof) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t receiver;
    CHECK_EQ(uvt_spawn(&receiver, receive, o), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    uvt_oneshot_close_tx(o);
    CHECK_EQ(uvt_join(receiver, NULL), UV_EOF);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

UVT_TEST(oneshot_try_recv_gives_the_value_once) {
    uvt_oneshot_t *o = oneshot(0);
    int status = 0;
    CHECK_EQ(uvt_oneshot_try_recv(o, NULL, NULL), UV_EAGAIN);
    CHECK_EQ(uvt_oneshot_send(o, 7, NULL), 0);
    CHECK_EQ(uvt_oneshot_try_recv(o, &status, NULL), 0);
    CHECK_EQ(status, 7);
    CHECK_EQ(uvt_oneshot_try_recv(o, &status, NULL), UVT_ECLOSED);
    CHECK_EQ(uvt_oneshot_recv(o, &status, NULL), UVT_ECLOSED);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0); /* taken, so close has nothing to give */
}

UVT_TEST(oneshot_second_receiver_or_waiter_is_busy) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t receiver, waiter;
    CHECK_EQ(uvt_spawn(&receiver, receive, o), 0);
    CHECK_EQ(uvt_spawn(&waiter, wait_closed, o), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), UV_EBUSY);
    CHECK_EQ(uvt_oneshot_wait_closed(o), UV_EBUSY);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), UV_EBUSY); /* somebody is receiving */
    CHECK_EQ(uvt_oneshot_try_recv(o, NULL, NULL), UV_EBUSY);
    CHECK_EQ(uvt_oneshot_send(o, 7, NULL), 0);
    CHECK_EQ(uvt_oneshot_try_recv(o, NULL, NULL), UV_EBUSY); /* what it was woken for stays its own */
    CHECK_EQ(uvt_join(receiver, NULL), 7);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
    CHECK_EQ(uvt_join(waiter, NULL), 0);
}

UVT_TEST(oneshot_both_ends_given_up_while_waiting_leave_no_waiter) {
    uvt_oneshot_t *o = oneshot(0);
    CHECK_EQ(uvt_timeout(10, receive, o), UV_ETIMEDOUT);
    CHECK_EQ(uvt_timeout(10, wait_closed, o), UV_ETIMEDOUT);
    uvt_oneshot_close_tx(o);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

UVT_TEST(oneshot_receive_cancelled_value_is_kept_for_the_next) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t sender;
    CHECK_EQ(uvt_spawn(&sender, send_seven_later, o), 0);
    CHECK_EQ(uvt_timeout(5, receive, o), UV_ETIMEDOUT);
    CHECK_EQ(uvt_sleep(20), 0); /* it arrives while nobody receives */
    check_received(o);
    CHECK_EQ(uvt_join(sender, NULL), 0);
}

UVT_TEST(oneshot_sent_then_receiver_aborted_the_value_wins) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t receiver;
    uvt_result r;
    CHECK_EQ(uvt_spawn(&receiver, receive, o), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_oneshot_send(o, 7, NULL), 0);
    CHECK_EQ(uvt_abort(receiver), 0);
    CHECK_EQ(uvt_join(receiver, &r), 0);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, 7);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

static int receive_forever(void *arg) {
    (void)arg;
    uvt_oneshot_t *o = oneshot(0);
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), UV_ECANCELED);
    uvt_oneshot_close_tx(o);
    return uvt_oneshot_close_rx(o, NULL);
}

UVT_TEST_PLAIN(oneshot_nobody_can_send_is_a_deadlock) {
    CHECK_EQ(uvt_test_run(receive_forever, NULL, NULL), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "waits for oneshot") != NULL);
}

UVT_TEST(oneshot_bad_arguments_are_refused_or_allowed_as_said) {
    uvt_oneshot_t *o = NULL;
    CHECK_EQ(uvt_oneshot_new(NULL, 0), UV_EINVAL);
    CHECK_EQ(uvt_oneshot_new(&o, 0x80), UV_EINVAL);
    CHECK(o == NULL);
    uvt_oneshot_close_tx(NULL);
    CHECK_EQ(uvt_oneshot_close_rx(NULL, NULL), 0);
}

UVT_TEST_PLAIN(oneshot_outside_of_a_runtime_is_refused) {
    uvt_oneshot_t *o = NULL;
    CHECK_EQ(uvt_oneshot_new(&o, 0), UVT_ENOTASK);
}

/* ---- uv callbacks ---- */

static uv_timer_t timer;

static void timer_closed(uv_handle_t *h) {
    CHECK_EQ(uvt_oneshot_send(h->data, 7, &word), 0);
}

static void timer_fired(uv_timer_t *h) {
    uv_close((uv_handle_t *)h, timer_closed);
}

UVT_TEST_REAL(oneshot_sent_from_a_uv_callback_wakes_the_receiver) {
    uvt_oneshot_t *o = oneshot(0);
    CHECK_EQ(uv_timer_init(uvt_loop(), &timer), 0);
    timer.data = o;
    CHECK_EQ(uv_timer_start(&timer, timer_fired, 5, 0), 0);
    check_received(o);
}

static void work(uv_work_t *req) {
    *(int *)req->data = 42;
}

static struct {
    uv_work_t req;
    uvt_oneshot_t *o;
    int result;
} job;

static void work_done(uv_work_t *req, int status) {
    (void)req;
    CHECK_EQ(uvt_oneshot_send(job.o, status, &job.result), 0);
}

UVT_TEST_REAL(oneshot_completes_a_request_of_libuv) {
    int status = -1;
    void *value = NULL;
    job.o = oneshot(0);
    job.req.data = &job.result;
    CHECK_EQ(uv_queue_work(uvt_loop(), &job.req, work, work_done), 0);
    CHECK_EQ(uvt_oneshot_recv(job.o, &status, &value), 0);
    CHECK_EQ(status, 0);
    CHECK_EQ(*(int *)value, 42);
    CHECK_EQ(uvt_oneshot_close_rx(job.o, NULL), 0);
}

/* ---- other threads ---- */

static void send_from_thread(void *o) {
    CHECK_EQ(uvt_oneshot_send(o, 7, &word), 0);
}

static void send_from_thread_late(void *o) {
    uv_sleep(30); /* the loop is idle by then: it must wait, not call it a deadlock */
    CHECK_EQ(uvt_oneshot_send(o, 7, &word), 0);
}

static void close_from_thread(void *o) {
    uvt_oneshot_close_tx(o);
}

static void send_to_nobody_from_thread(void *o) {
    CHECK_EQ(uvt_oneshot_send(o, 7, &word), UVT_ECLOSED);
}

static void with_thread(uv_thread_cb entry, uvt_oneshot_t *o, void (*meanwhile)(uvt_oneshot_t *o)) {
    uv_thread_t thread;
    CHECK_EQ(uv_thread_create(&thread, entry, o), 0);
    meanwhile(o);
    CHECK_EQ(uv_thread_join(&thread), 0);
}

UVT_TEST_REAL(oneshot_sent_from_a_thread_wakes_the_receiver) {
    for (int i = 0; i < 20; i++) with_thread(send_from_thread, oneshot(UVT_ONESHOT_EXTERNAL), check_received);
}

UVT_TEST_REAL(oneshot_external_idle_loop_waits_for_the_thread) {
    with_thread(send_from_thread_late, oneshot(UVT_ONESHOT_EXTERNAL), check_received);
}

static void check_eof(uvt_oneshot_t *o) {
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), UV_EOF);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

UVT_TEST_REAL(oneshot_thread_goes_without_sending_gives_eof) {
    with_thread(close_from_thread, oneshot(UVT_ONESHOT_EXTERNAL), check_eof);
}

static void nothing(uvt_oneshot_t *o) {
    (void)o;
}

UVT_TEST_REAL(oneshot_receiver_gone_thread_is_told) {
    uvt_oneshot_t *o = oneshot(UVT_ONESHOT_EXTERNAL);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
    with_thread(send_to_nobody_from_thread, o, nothing);
}

/* Closes its end while the thread sends: whoever is first, the value is delivered or stays with the sender. */
static int sent, handed_back;

static void send_noting_rc(void *o) {
    sent = uvt_oneshot_send(o, 7, &word);
}

static void close_noting_value(uvt_oneshot_t *o) {
    void *value = NULL;
    handed_back = uvt_oneshot_close_rx(o, &value);
    CHECK(value == (handed_back ? &word : NULL));
}

UVT_TEST_REAL(oneshot_close_racing_a_send_keeps_exactly_one_owner) {
    for (int i = 0; i < 200; i++) {
        with_thread(send_noting_rc, oneshot(UVT_ONESHOT_EXTERNAL), close_noting_value);
        CHECK(sent == 0 || sent == UVT_ECLOSED);
        CHECK_EQ(handed_back, sent == 0);
    }
}

static uvt_oneshot_t *kept;

static int keep_sender(void *arg) {
    (void)arg;
    kept = oneshot(0);
    return uvt_oneshot_close_rx(kept, NULL);
}

static int keep_both_ends(void *arg) {
    (void)arg;
    kept = oneshot(0);
    return 0;
}

UVT_TEST_PLAIN(oneshot_send_after_the_runtime_ended_fails_and_frees_the_end) {
    CHECK_EQ(uvt_test_run(keep_sender, NULL, NULL), 0);
    int rc = uvt_oneshot_send(kept, 7, NULL);
    CHECK(rc == UVT_EGONE || rc == UVT_ECLOSED); /* both are true here */
}

UVT_TEST_PLAIN(oneshot_with_open_receiver_send_after_the_runtime_ended_says_gone) {
    CHECK_EQ(uvt_test_run(keep_both_ends, NULL, NULL), 0);
    CHECK_EQ(uvt_oneshot_send(kept, 7, NULL), UVT_EGONE);
    CHECK_EQ(uvt_oneshot_close_rx(kept, NULL), 0);
}

UVT_TEST_MAIN()
