/* SPDX-License-Identifier: MIT
 *
 * Channels between shards: first in first out, nothing lost or doubled whatever is cancelled or closed, every waiter
 * woken by its own shard. And plain threads, which come in with uvt_block_on.
 */
#include "shards.h"

static uvt_chan_t ch;

static void open_chan(size_t capacity) {
    CHECK_EQ(uvt_chan_open(&ch, sizeof(int), capacity, NULL), 0);
}

static void done(void) {
    uvt_chan_close(&ch, UVT_BOTH);
}

static int b_send(void *arg) {
    int v = (int)(intptr_t)arg;
    return uvt_send(&ch, &v);
}

static int b_try_send(void *arg) {
    int v = (int)(intptr_t)arg;
    return uvt_try_send(&ch, &v);
}

static int b_recv(void *arg) {
    (void)arg;
    int v, rc = uvt_recv(&ch, &v);
    return rc < 0 ? rc : v;
}

static int recv_int(void) {
    return b_recv(NULL);
}

static void check_waiting(size_t senders, size_t receivers) {
    uvt_chan_stats_t st;
    CHECK_EQ(uvt_chan_stats(&ch, &st), 0);
    CHECK_EQ(st.waiting_senders, senders);
    CHECK_EQ(st.waiting_receivers, receivers);
}

/* ---- order ---- */

ON_SHARDS(4, chan_senders_of_all_shards_are_received_in_order) {
    uvt_task_t t[6];
    for (size_t capacity = 0; capacity < 3; capacity += 2) {
        open_chan(capacity);
        for (unsigned i = 0; i < 6; i++) t[i] = settled_on(3 - i % 4, b_send, INT(i));
        for (int i = 0; i < 6; i++) CHECK_EQ(recv_int(), i);
        for (unsigned i = 0; i < 6; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
        done();
    }
}

ON_SHARDS(4, chan_receivers_of_all_shards_are_served_in_order) {
    uvt_task_t t[6];
    open_chan(1);
    for (unsigned i = 0; i < 6; i++) t[i] = settled_on(3 - i % 4, b_recv, NULL);
    check_waiting(0, 6);
    for (int i = 0; i < 6; i++) CHECK_EQ(b_send(INT(i)), 0);
    check_waiting(0, 0);
    for (int i = 0; i < 6; i++) CHECK_EQ(uvt_join(t[i], NULL), i);
    done();
}

ON_SHARDS(3, chan_try_send_does_not_barge_in_from_another_shard) {
    open_chan(1);
    CHECK_EQ(b_send(INT(1)), 0);
    uvt_task_t t = settled_on(1, b_send, INT(2));
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(uvt_call(2, b_try_send, INT(3)), UV_EAGAIN);
    CHECK_EQ(recv_int(), 2);
    CHECK_EQ(uvt_call(2, b_try_send, INT(3)), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    done();
}

/* ---- cancels and closes ---- */

ON_SHARDS(2, chan_element_handed_over_beats_the_cancel_behind_it) {
    open_chan(0);
    uvt_task_t r = settled_on(1, b_recv, NULL);
    CHECK_EQ(b_send(INT(5)), 0); /* on its way */
    CHECK_EQ(uvt_abort(r), 0);
    CHECK_EQ(uvt_join(r, NULL), 5);
    uvt_task_t s = settled_on(1, b_send, INT(6));
    CHECK_EQ(recv_int(), 6);
    CHECK_EQ(uvt_abort(s), 0);
    CHECK_EQ(uvt_join(s, NULL), 0);
    done();
}

ON_SHARDS(2, chan_cancelled_waiter_elsewhere_leaves_nothing) {
    open_chan(0);
    uvt_task_t r = settled_on(1, b_recv, NULL);
    CHECK_EQ(uvt_abort(r), 0);
    CHECK_EQ(uvt_join(r, NULL), UV_ECANCELED);
    check_waiting(0, 0);
    CHECK_EQ(b_try_send(INT(1)), UV_EAGAIN);
    done();
}

ON_SHARDS(4, chan_closed_waiters_of_all_shards_are_told) {
    uvt_task_t t[8];
    open_chan(0);
    for (unsigned i = 0; i < 8; i++) t[i] = settled_on(i % 4, b_recv, NULL);
    done(); /* the record stays for those who have not run yet */
    for (unsigned i = 0; i < 4; i++) CHECK_EQ(uvt_abort(t[i]), 0);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), UVT_ECLOSED);
}

static int reserves_one(void *arg) {
    return uvt_chan_reserve(arg, 1);
}

ON_SHARDS(2, chan_permit_reserved_on_another_shard_is_the_handles) {
    int v = 3;
    open_chan(1);
    CHECK_EQ(b_send(INT(1)), 0);
    uvt_task_t t = settled_on(1, reserves_one, &ch);
    CHECK_EQ(recv_int(), 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_chan_send_reserved(&ch, &v), 0);
    CHECK_EQ(recv_int(), 3);
    done();
}

/* ---- selects ---- */

static int selects_both_ways(void *arg) {
    int in = (int)(intptr_t)arg, out = -1;
    uvt_case_t c[] = { uvt_case_send(&ch, &in), uvt_case_recv(&ch, &out) };
    int at = uvt_select(c, 2, 0);
    return at < 0 ? at : at == 0 ? 0 : out;
}

ON_SHARDS(2, chan_selects_of_two_shards_meet_each_other) {
    open_chan(0);
    uvt_task_t a = settled_on(0, selects_both_ways, INT(5)), b = settled_on(1, selects_both_ways, INT(6));
    int ra = uvt_join(a, NULL), rb = uvt_join(b, NULL);
    CHECK((ra == 0 && rb == 5) || (ra == 6 && rb == 0));
    done();
}

/* ---- exact sums, on real threads ---- */

enum { EACH = 2000 };

static atomic_int arrived;
static atomic_llong sum;

struct clone {
    uvt_chan_t h;
    int from;
};

static int sends_its_share(void *arg) {
    struct clone *c = arg;
    int rc = 0;
    for (int i = c->from; rc == 0 && i < c->from + EACH; i++) {
        if (i % 3 == 0) {
            rc = uvt_chan_reserve(&c->h, 1);
            if (rc == 0) rc = uvt_chan_send_reserved(&c->h, &i);
        } else {
            rc = uvt_send(&c->h, &i);
        }
    }
    uvt_chan_close(&c->h, UVT_SEND);
    return rc;
}

static int receives_its_share(void *arg) {
    struct clone *c = arg;
    int v[4], rc, last[4] = { -1, -1, -1, -1 };
    while ((rc = (int)uvt_recv_many(&c->h, v, 4)) > 0) {
        for (int i = 0; i < rc; i++) {
            CHECK(v[i] > last[v[i] / EACH]); /* what one sender sends comes in its order */
            last[v[i] / EACH] = v[i];
            atomic_fetch_add(&sum, v[i]);
        }
        atomic_fetch_add(&arrived, rc);
    }
    uvt_chan_close(&c->h, UVT_RECV);
    return rc == UV_EOF ? 0 : rc;
}

static void four_to(unsigned receivers, size_t capacity) {
    struct clone tx[4], rx[4];
    uvt_task_t t[4], r[4];
    CHECK_EQ(uvt_chan_open(&ch, sizeof(int), capacity, NULL), 0);
    for (unsigned i = 0; i < 4; i++) {
        tx[i].from = (int)i * EACH;
        CHECK_EQ(uvt_chan_clone(&tx[i].h, &ch, UVT_SEND), 0);
        t[i] = spawn_on(i, sends_its_share, &tx[i]);
    }
    for (unsigned i = 0; i < receivers; i++) {
        CHECK_EQ(uvt_chan_clone(&rx[i].h, &ch, UVT_RECV), 0);
        r[i] = spawn_on(3 - i, receives_its_share, &rx[i]);
    }
    done();
    for (unsigned i = 0; i < 4; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    for (unsigned i = 0; i < receivers; i++) CHECK_EQ(uvt_join(r[i], NULL), 0);
    CHECK_EQ(atomic_load(&arrived), 4 * EACH);
    CHECK_EQ(atomic_load(&sum), 4ll * EACH * (4 * EACH - 1) / 2);
}

ON_SHARDS_REAL(4, chan_four_shards_to_one_every_element_arrives_once) {
    four_to(1, 16);
}

ON_SHARDS_REAL(4, chan_four_shards_to_four_every_element_arrives_once) {
    four_to(4, 3);
}

ON_SHARDS_REAL(4, chan_four_shards_unbounded_every_element_arrives_once) {
    four_to(2, UVT_UNBOUNDED);
}

static int relays(void *arg) {
    (void)arg;
    int v, rc;
    for (int i = 0; i < 500; i++) {
        if ((rc = uvt_recv(&ch, &v)) < 0) return rc;
        v++;
        if ((rc = uvt_send(&ch, &v)) < 0) return rc;
    }
    return 0;
}

ON_SHARDS_REAL(4, chan_one_element_goes_round_four_shards) {
    uvt_task_t t[8];
    open_chan(1);
    for (unsigned i = 0; i < 8; i++) t[i] = spawn_on(i % 4, relays, NULL);
    CHECK_EQ(b_send(INT(0)), 0);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(recv_int(), 4000);
    done();
}

/* Cancelled at any moment: what it has received or sent for certain is counted, nothing else has happened. */
static atomic_llong sent, received;

static int sends_while_it_may(void *arg) {
    int rc;
    for (int v = (int)(intptr_t)arg;; v += 7) {
        if ((rc = uvt_send(&ch, &v)) < 0) return rc;
        atomic_fetch_add(&sent, v);
    }
}

static int receives_while_it_may(void *arg) {
    int v, rc;
    (void)arg;
    while ((rc = uvt_recv(&ch, &v)) == 0) atomic_fetch_add(&received, v);
    return rc;
}

static int selects_while_it_may(void *arg) {
    int in = (int)(intptr_t)arg, out = 0;
    for (;;) {
        uvt_case_t c[] = { uvt_case_send(&ch, &in), uvt_case_recv(&ch, &out) };
        int at = uvt_select(c, 2, 0);
        if (at < 0) return at;
        if (c[at].result < 0) return c[at].result;
        if (at == 0) atomic_fetch_add(&sent, in);
        else atomic_fetch_add(&received, out);
    }
}

static void cancels_racing(size_t capacity) {
    static const uvt_fn body[] = { sends_while_it_may, receives_while_it_may, selects_while_it_may };
    int v;
    open_chan(capacity);
    for (unsigned round = 0; round < 60; round++) {
        uvt_task_t t[6];
        for (unsigned i = 0; i < 6; i++) t[i] = spawn_on((i + round) % 4, body[i % 3], INT(i + 1));
        for (unsigned i = 0; i < round % 5; i++) CHECK_EQ(uvt_yield(), 0);
        for (unsigned i = 0; i < 6; i++) CHECK_EQ(uvt_abort(t[i]), 0);
        for (unsigned i = 0; i < 6; i++) CHECK_EQ(uvt_join(t[i], NULL), UV_ECANCELED);
    }
    check_waiting(0, 0);
    while (uvt_try_recv(&ch, &v) == 0) atomic_fetch_add(&received, v);
    CHECK_EQ(atomic_load(&received), atomic_load(&sent));
    done();
}

ON_SHARDS_REAL(4, chan_cancels_racing_elements_lose_and_double_nothing) {
    cancels_racing(2);
}

ON_SHARDS_REAL(4, chan_cancels_racing_rendezvous_lose_and_double_nothing) {
    cancels_racing(0);
}

ON_SHARDS_REAL(4, chan_closed_while_four_shards_use_it_ends_them_all) {
    for (unsigned round = 0; round < 30; round++) {
        uvt_chan_t h[8];
        uvt_task_t t[8];
        open_chan(round % 3);
        for (unsigned i = 0; i < 8; i++) {
            t[i] = spawn_on(i % 4, i % 2 ? sends_while_it_may : receives_while_it_may, INT(1));
            CHECK_EQ(uvt_chan_clone(&h[i], &ch, UVT_BOTH), 0);
        }
        CHECK_EQ(uvt_yield(), 0);
        CHECK_EQ(uvt_chan_end(&h[round % 8]), 0);
        for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), i % 2 ? UV_EPIPE : UV_EOF);
        for (unsigned i = 0; i < 8; i++) uvt_chan_close(&h[i], UVT_BOTH);
        done();
    }
}

/* ---- plain threads ---- */

struct stranger {
    uv_thread_t thread;
    uvt_runtime_t *rt;
    uvt_oneshot_t *through;
    uvt_fn fn;
    int value;
    int rc;
};

static void stranger_main(void *arg) {
    struct stranger *s = arg;
    s->rc = uvt_block_on(s->rt, s->fn, INT(s->value));
    uvt_runtime_unref(s->rt);
    CHECK_EQ(uvt_oneshot_send(s->through, 0, NULL), 0);
}

static void begin(struct stranger *s, uvt_fn fn, int value) {
    *s = (struct stranger){ .rt = uvt_runtime_ref(), .fn = fn, .value = value };
    CHECK_EQ(uvt_oneshot_new(&s->through, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uv_thread_create(&s->thread, stranger_main, s), 0);
}

static int finish(struct stranger *s) {
    CHECK_EQ(uvt_oneshot_recv(s->through, NULL, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(s->through, NULL), 0);
    CHECK_EQ(uv_thread_join(&s->thread), 0);
    return s->rc;
}

ON_SHARDS_REAL(2, chan_plain_threads_send_and_receive_by_block_on) {
    struct stranger s, r;
    open_chan(0);
    begin(&r, b_recv, 0);
    CHECK_EQ(b_send(INT(4)), 0);
    CHECK_EQ(finish(&r), 4);
    begin(&s, b_send, 5);
    CHECK_EQ(recv_int(), 5);
    CHECK_EQ(finish(&s), 0);
    begin(&s, b_send, 6);
    begin(&r, b_recv, 0);
    CHECK_EQ(finish(&s), 0);
    CHECK_EQ(finish(&r), 6);
    done();
}

ON_SHARDS_REAL(1, chan_blocking_form_inside_a_task_is_refused) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    open_chan(1);
    CHECK_EQ(uvt_block_on(rt, b_send, INT(1)), UVT_ENESTED);
    CHECK_EQ(uvt_chan_len(&ch), 0);
    uvt_runtime_unref(rt);
    done();
}

UVT_TEST_MAIN()
