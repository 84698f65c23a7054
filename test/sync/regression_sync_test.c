/* SPDX-License-Identifier: MIT
 *
 * Corners in which oneshots and semaphores once went wrong: an end is given back while the other side is on its way in
 * or out, and the greatest limit there is.
 *
 * The program has its own uv_mutex_lock, which stops a thread where a test wants it to be interrupted.
 */
#include <pthread.h>

#include "../core/bodies.h"

/* ---- oneshots ---- */

static int receives_7(void *arg) {
    int status = 0;
    CHECK_EQ(uvt_oneshot_recv(arg, &status, NULL), 0);
    CHECK_EQ(status, 7);
    return 0;
}

/* Both ends would be back, and the memory freed, before the woken receiver takes its value. */
UVT_TEST(oneshot_closed_while_its_receiver_is_about_to_take_is_busy) {
    uvt_oneshot_t *o;
    uvt_task_t t;
    void *value;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_spawn(&t, receives_7, o), 0);
    settle();
    CHECK_EQ(uvt_oneshot_send(o, 7, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, &value), UV_EBUSY);
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), UV_EBUSY);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, &value), 0);
}

static int receives_with_its_budget_used_up(void *arg) {
    for (int i = 0; i < 128; i++) CHECK_EQ(uvt_checkpoint(), 0);
    return receives_7(arg);
}

UVT_TEST(oneshot_closed_while_its_receiver_yields_on_its_way_in_is_busy) {
    uvt_oneshot_t *o;
    uvt_task_t t;
    void *value;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_spawn(&t, receives_with_its_budget_used_up, o), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, &value), UV_EBUSY);
    CHECK_EQ(uvt_oneshot_send(o, 7, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, &value), 0);
}

static int send_rc;

static void sends(void *arg) {
    send_rc = uvt_oneshot_send(arg, 0, &send_rc);
}

static int takes_the_value(void *arg) {
    uvt_oneshot_t *o;
    void *value = NULL;
    int rc;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uv_thread_create(arg, sends, o), 0);
    while ((rc = uvt_oneshot_try_recv(o, NULL, &value)) == UV_EAGAIN) {} /* as early as it is there */
    CHECK_EQ(rc, 0);
    CHECK(value == &send_rc);
    return uvt_oneshot_close_rx(o, NULL);
}

/* A sender that is told UVT_EGONE keeps the value, which would then have two owners. The runtime ends while the sender
 * may or may not have told the loop: whichever it is, the value was taken. */
UVT_TEST_PLAIN(oneshot_value_taken_as_the_runtime_ends_is_not_the_senders_any_more) {
    for (int i = 0; i < 100; i++) {
        uv_thread_t thread;
        CHECK_EQ(uvt_test_run(takes_the_value, &thread, NULL), 0);
        uv_thread_join(&thread);
        CHECK_EQ(send_rc, 0);
    }
}

/* ---- semaphores ---- */

UVT_TEST(semaphore_with_the_greatest_limit_keeps_being_one_with_a_limit) {
    uvt_semaphore_t s;
    CHECK_EQ(uvt_semaphore_init(&s, 1, INT32_MAX), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&s, 4), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&s, INT32_MAX), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&s, 1), 0);
    CHECK_EQ(uvt_semaphore_init(&s, 1, 0), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&s, 1), UV_EINVAL);
}

/* ---- select ---- */

static int waits_for_a_member(void *set) {
    uvt_case_t c = uvt_case_set_next(set, NULL);
    return uvt_select(&c, 1, 0);
}

/* The deadline takes the wait back from the loop, where no task runs: the set used to keep its waiter. */
UVT_TEST(select_on_a_set_ended_by_a_deadline_leaves_nobody_waiting) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT(50)), 0);
    CHECK_EQ(uvt_timeout(5, waits_for_a_member, &set), UV_ETIMEDOUT);
    CHECK_EQ(uvt_set_next(&set, NULL), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST_MAIN()
