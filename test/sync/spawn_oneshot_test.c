/* SPDX-License-Identifier: MIT
 *
 * uvt_spawn_oneshot: a task that has a handle and an owner but no stack, ended by a oneshot. It is joined,
 * aborted and taken along by its owner like any other task.
 */
#include "ends.h"

static int send_seven_later(void *o) {
    CHECK_EQ(uvt_sleep(10), 0);
    return uvt_oneshot_send(o, 7, &word);
}

static void send_from_thread(void *o) {
    CHECK_EQ(uvt_oneshot_send(o, 7, &word), 0);
}

UVT_TEST(spawn_oneshot_joined_gives_status_and_value) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t t, sender;
    uvt_result r;
    void *value = NULL;
    CHECK_EQ(uvt_spawn_oneshot(&t, o, &value), 0);
    CHECK_EQ(uvt_spawn(&sender, send_seven_later, o), 0);
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, 7);
    CHECK(value == &word);
    CHECK_EQ(uvt_join(sender, NULL), 0);
}

UVT_TEST(spawn_oneshot_takes_no_stack) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t t;
    uvt_stats before, after;
    CHECK_EQ(uvt_stats_get(&before), 0);
    CHECK_EQ(uvt_spawn_oneshot(&t, o, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.stacks, before.stacks);
    CHECK_EQ(after.tasks, before.tasks + 1);
    CHECK_EQ(uvt_oneshot_send(o, 3, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 3);
}

UVT_TEST(spawn_oneshot_of_one_already_sent_ends_at_once) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t t;
    void *value = NULL;
    CHECK_EQ(uvt_oneshot_send(o, 7, &word), 0);
    CHECK_EQ(uvt_spawn_oneshot(&t, o, &value), 0);
    CHECK_EQ(uvt_join(t, NULL), 7);
    CHECK(value == &word);
}

UVT_TEST(spawn_oneshot_sender_gone_ends_with_eof) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_oneshot(&t, o, NULL), 0);
    uvt_oneshot_close_tx(o);
    CHECK_EQ(uvt_join(t, NULL), UV_EOF);
}

UVT_TEST(spawn_oneshot_aborted_is_cancelled_and_tells_the_sender) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t t;
    uvt_result r;
    CHECK_EQ(uvt_spawn_oneshot(&t, o, NULL), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.reason.code, UVT_REASON_ABORT);
    CHECK_EQ(uvt_oneshot_send(o, 7, NULL), UVT_ECLOSED);
}

static int owns_a_stackless_child(void *o) {
    return uvt_spawn_oneshot(NULL, o, NULL);
}

UVT_TEST(spawn_oneshot_owner_ends_and_takes_it_along) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t owner;
    CHECK_EQ(uvt_spawn(&owner, owns_a_stackless_child, o), 0);
    CHECK_EQ(uvt_join(owner, NULL), 0);
    CHECK_EQ(uvt_oneshot_send(o, 7, NULL), UVT_ECLOSED);
}

UVT_TEST(spawn_oneshot_while_a_task_receives_is_busy) {
    uvt_oneshot_t *o = oneshot(0);
    uvt_task_t receiver, t;
    CHECK_EQ(uvt_spawn(&receiver, receive, o), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_spawn_oneshot(&t, o, NULL), UV_EBUSY);
    CHECK_EQ(uvt_spawn_oneshot(&t, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_oneshot_send(o, 7, NULL), 0);
    CHECK_EQ(uvt_join(receiver, NULL), 7);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

UVT_TEST_REAL(spawn_oneshot_completed_by_a_thread_can_be_joined) {
    uvt_oneshot_t *o = oneshot(UVT_ONESHOT_EXTERNAL);
    uvt_task_t t;
    uv_thread_t thread;
    CHECK_EQ(uvt_spawn_oneshot(&t, o, NULL), 0);
    CHECK_EQ(uv_thread_create(&thread, send_from_thread, o), 0);
    CHECK_EQ(uvt_join(t, NULL), 7);
    CHECK_EQ(uv_thread_join(&thread), 0);
}

UVT_TEST_MAIN()
