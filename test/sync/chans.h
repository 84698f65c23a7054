/* SPDX-License-Identifier: MIT
 *
 * The channel of a test (every test has a process of its own): elements are ints, `ch` is a handle with both ends.
 */
#ifndef UVTASK_TEST_SYNC_CHANS_H
#define UVTASK_TEST_SYNC_CHANS_H

#include "../core/bodies.h"

static uvt_chan_t ch;

static inline void open_with(size_t capacity, void (*drop)(void *)) {
    CHECK_EQ(uvt_chan_open(&ch, sizeof(int), capacity, &(uvt_chan_options){ .drop = drop }), 0);
}

static inline void open_chan(size_t capacity) {
    open_with(capacity, NULL);
}

static inline void done(uvt_chan_t *h) {
    uvt_chan_close(h, UVT_BOTH);
}

static inline uvt_chan_t clone_of(const uvt_chan_t *from, unsigned ends) {
    uvt_chan_t h;
    CHECK_EQ(uvt_chan_clone(&h, from, ends), 0);
    return h;
}

static inline int send_on(uvt_chan_t *h, int v) {
    return uvt_send(h, &v);
}

static inline int try_send_on(uvt_chan_t *h, int v) {
    return uvt_try_send(h, &v);
}

/* The element (they are not negative), or the code. */
static inline int recv_on(uvt_chan_t *h) {
    int v, rc = uvt_recv(h, &v);
    return rc < 0 ? rc : v;
}

static inline int try_recv_on(uvt_chan_t *h) {
    int v, rc = uvt_try_recv(h, &v);
    return rc < 0 ? rc : v;
}

static inline int send_int(int v) {
    return send_on(&ch, v);
}

static inline int try_send_int(int v) {
    return try_send_on(&ch, v);
}

static inline int recv_int(void) {
    return recv_on(&ch);
}

static inline int try_recv_int(void) {
    return try_recv_on(&ch);
}

static inline void send_range(int from, int to) {
    for (int i = from; i <= to; i++) CHECK_EQ(send_int(i), 0);
}

static inline void recv_range(int from, int to) {
    for (int i = from; i <= to; i++) CHECK_EQ(recv_int(), i);
}

/* Bodies on `ch`, and on the handle that is their argument. */
static inline int b_send(void *arg) {
    return send_int((int)(intptr_t)arg);
}

static inline int b_recv(void *arg) {
    (void)arg;
    return recv_int();
}

static inline int b_send_on(void *arg) {
    return send_on(arg, 1);
}

static inline int b_recv_on(void *arg) {
    return recv_on(arg);
}

static inline int b_reserve(void *arg) {
    return uvt_chan_reserve(&ch, (size_t)(intptr_t)arg);
}

/* Receives, and notes what. */
static inline int b_recv_step(void *arg) {
    int v = recv_int();
    if (v >= 0) uvt_test_step("%s%d", (const char *)arg, v);
    return v;
}

/* A child that has run until it waits. */
static inline uvt_task_t waiting(uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, fn, arg), 0);
    settle();
    return t;
}

static inline uvt_chan_stats_t stats(void) {
    uvt_chan_stats_t st;
    CHECK_EQ(uvt_chan_stats(&ch, &st), 0);
    return st;
}

static inline void check_waiting(size_t senders, size_t receivers) {
    CHECK_EQ(stats().waiting_senders, senders);
    CHECK_EQ(stats().waiting_receivers, receivers);
}

static inline bool is_cancelled(uvt_task_t t) {
    uvt_result r;
    CHECK_EQ(uvt_join(t, &r), 0);
    return r.outcome == UVT_CANCELLED;
}

/* For the option: counts, and adds up. */
static int drops, dropped_sum;
static inline void count_drop(void *elem) {
    drops++;
    dropped_sum += *(int *)elem;
}

#endif
