/* SPDX-License-Identifier: MIT
 *
 * The broadcast of a test (every test has a process of its own): elements are ints, `news` is a sender's handle.
 */
#ifndef UVTASK_TEST_SYNC_CASTS_H
#define UVTASK_TEST_SYNC_CASTS_H

#include "../core/bodies.h"

static uvt_broadcast_t news;

static inline void open_news(size_t capacity) {
    CHECK_EQ(uvt_broadcast_open(&news, sizeof(int), capacity), 0);
}

static inline uvt_subscriber_t subscribed(void) {
    uvt_subscriber_t s;
    CHECK_EQ(uvt_broadcast_subscribe(&s, &news), 0);
    return s;
}

/* How many subscribers got it, or the code. */
static inline int send_int(int v) {
    return uvt_broadcast_send(&news, &v);
}

static inline void send_range(int from, int to) {
    for (int v = from; v <= to; v++) CHECK(send_int(v) > 0);
}

/* The element (they are not negative), or the code. */
static inline int recv_on(uvt_subscriber_t *s) {
    int v = -1, rc = uvt_broadcast_recv(s, &v);
    CHECK(rc == 0 || v == -1);
    return rc < 0 ? rc : v;
}

static inline int try_recv_on(uvt_subscriber_t *s) {
    int v = -1, rc = uvt_broadcast_try_recv(s, &v);
    CHECK(rc == 0 || v == -1);
    return rc < 0 ? rc : v;
}

static inline void recv_range(uvt_subscriber_t *s, int from, int to) {
    for (int v = from; v <= to; v++) CHECK_EQ(recv_on(s), v);
}

/* As a task's body; its argument is the subscriber. */
static inline int b_recv(void *s) {
    return recv_on(s);
}

static inline int b_wait_closed(void *b) {
    return uvt_broadcast_wait_closed(b);
}

/* A child that has run until it waits. */
static inline uvt_task_t waiting(uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, fn, arg), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    return t;
}

static inline bool is_cancelled(uvt_task_t t) {
    uvt_result r;
    CHECK_EQ(uvt_join(t, &r), 0);
    return r.outcome == UVT_CANCELLED;
}

#endif
