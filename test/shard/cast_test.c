/* SPDX-License-Identifier: MIT
 *
 * Broadcasts and watches between shards: one order for everybody, nothing lost that was not told, whatever is cancelled
 * or closed meanwhile, every waiter woken by its own shard. Handles of another runtime are refused.
 */
#include "shards.h"

static uvt_broadcast_t news;
static uvt_watch_t config;
static uvt_subscriber_t subs[8];
static uvt_watcher_t watchers[8];

static void open_news(size_t capacity, unsigned n) {
    CHECK_EQ(uvt_broadcast_open(&news, sizeof(int), capacity), 0);
    for (unsigned i = 0; i < n; i++) CHECK_EQ(uvt_broadcast_subscribe(&subs[i], &news), 0);
}

static void close_news(unsigned n) {
    for (unsigned i = 0; i < n; i++) uvt_subscriber_close(&subs[i]);
    uvt_broadcast_close(&news);
}

static void open_config(unsigned n) {
    int v = 0;
    CHECK_EQ(uvt_watch_open(&config, sizeof v, &v), 0);
    for (unsigned i = 0; i < n; i++) CHECK_EQ(uvt_watch_subscribe(&watchers[i], &config), 0);
}

static void close_config(unsigned n) {
    for (unsigned i = 0; i < n; i++) uvt_watcher_close(&watchers[i]);
    uvt_watch_close(&config);
}

static int b_send(void *arg) {
    int v = (int)(intptr_t)arg;
    return uvt_broadcast_send(&news, &v);
}

static int b_set(void *arg) {
    int v = (int)(intptr_t)arg;
    return uvt_watch_set(&config, &v);
}

static int b_recv(void *s) {
    int v, rc = uvt_broadcast_recv(s, &v);
    return rc < 0 ? rc : v;
}

static int b_next(void *w) {
    int v, rc = uvt_watch_changed(w);
    if (rc == 0) rc = uvt_watch_get(w, &v);
    return rc < 0 ? rc : v;
}

/* ---- waking ---- */

ON_SHARDS(4, broadcast_send_wakes_the_waiters_of_all_shards) {
    uvt_task_t t[8];
    open_news(2, 8);
    for (unsigned i = 0; i < 8; i++) t[i] = settled_on(i % 4, b_recv, &subs[i]);
    CHECK_EQ(uvt_call(2, b_send, INT(5)), 8);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), 5);
    close_news(8);
}

ON_SHARDS(4, watch_set_wakes_the_waiters_of_all_shards) {
    uvt_task_t t[8];
    open_config(8);
    for (unsigned i = 0; i < 8; i++) t[i] = settled_on(i % 4, b_next, &watchers[i]);
    CHECK_EQ(uvt_call(3, b_set, INT(6)), 8);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), 6);
    close_config(8);
}

ON_SHARDS(4, casts_closed_by_the_last_sender_are_eof_to_waiters_of_all_shards) {
    uvt_task_t t[4], u[4];
    open_news(2, 4);
    open_config(4);
    for (unsigned i = 0; i < 4; i++) t[i] = settled_on(i, b_recv, &subs[i]);
    for (unsigned i = 0; i < 4; i++) u[i] = settled_on(i, b_next, &watchers[i]);
    uvt_broadcast_close(&news);
    uvt_watch_close(&config);
    for (unsigned i = 0; i < 4; i++) CHECK_EQ(uvt_join(t[i], NULL), UV_EOF);
    for (unsigned i = 0; i < 4; i++) CHECK_EQ(uvt_join(u[i], NULL), UV_EOF);
    close_news(4);
    close_config(4);
}

static int b_closes_subscriber(void *s) {
    uvt_subscriber_close(s);
    return 0;
}

static int b_wait_closed(void *arg) {
    (void)arg;
    return uvt_broadcast_wait_closed(&news);
}

ON_SHARDS(3, broadcast_subscriber_closed_on_another_shard_wakes_both_sides) {
    open_news(2, 1);
    uvt_task_t r = settled_on(1, b_recv, &subs[0]), c = settled_on(2, b_wait_closed, NULL);
    CHECK_EQ(b_closes_subscriber(&subs[0]), 0);
    CHECK_EQ(uvt_join(r, NULL), UVT_ECLOSED);
    CHECK_EQ(uvt_join(c, NULL), 0);
    close_news(1);
}

ON_SHARDS(2, casts_gone_before_their_closed_waiters_elsewhere_have_run) {
    open_news(2, 1);
    open_config(1);
    uvt_task_t r = settled_on(1, b_recv, &subs[0]), c = settled_on(1, b_next, &watchers[0]);
    close_news(1);
    close_config(1);
    CHECK_EQ(uvt_abort(r), 0); /* on its way: the cancel finds it unhooked */
    CHECK_EQ(uvt_join(r, NULL), UVT_ECLOSED);
    CHECK_EQ(uvt_join(c, NULL), UVT_ECLOSED);
}

/* ---- cancels ---- */

ON_SHARDS(2, broadcast_element_that_woke_a_waiter_elsewhere_beats_the_cancel_behind_it) {
    open_news(2, 1);
    uvt_task_t t = settled_on(1, b_recv, &subs[0]);
    CHECK_EQ(b_send(INT(3)), 1);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 3);
    close_news(1);
}

ON_SHARDS(2, casts_cancelled_waiters_elsewhere_have_seen_nothing) {
    open_news(2, 1);
    open_config(1);
    uvt_task_t t = settled_on(1, b_recv, &subs[0]), u = settled_on(1, b_next, &watchers[0]);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_abort(u), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_join(u, NULL), UV_ECANCELED);
    CHECK_EQ(b_send(INT(4)), 1);
    CHECK_EQ(b_set(INT(5)), 1);
    CHECK_EQ(b_recv(&subs[0]), 4);
    CHECK_EQ(b_next(&watchers[0]), 5);
    close_news(1);
    close_config(1);
}

/* ---- selects ---- */

static int b_selects(void *arg) {
    int v = -1;
    uvt_case_t c[] = { uvt_case_broadcast_recv(&subs[0], &v), uvt_case_watch_changed(&watchers[0]) };
    int at = uvt_select(c, 2, 0);
    (void)arg;
    if (at < 0 || c[at].result < 0) return at < 0 ? at : c[at].result;
    CHECK_EQ(v, at == 0 ? 7 : -1);
    return at;
}

ON_SHARDS(3, casts_select_made_ready_twice_elsewhere_takes_one) {
    open_news(2, 1);
    open_config(1);
    uvt_task_t t = settled_on(1, b_selects, NULL);
    CHECK_EQ(b_send(INT(7)), 1);
    CHECK_EQ(b_set(INT(8)), 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_watch_try_changed(&watchers[0]), 0);
    t = settled_on(2, b_selects, NULL); /* finds the change */
    CHECK_EQ(uvt_join(t, NULL), 1);
    close_news(1);
    close_config(1);
}

/* ---- other runtimes ---- */

static int leaves_open(void *arg) {
    (void)arg;
    open_news(2, 1);
    open_config(1);
    CHECK_EQ(b_send(INT(1)), 1);
    return 0;
}

static int of_an_older_runtime(void *arg) {
    uvt_broadcast_t b;
    uvt_subscriber_t s;
    uvt_watcher_t w;
    int v = 0;
    (void)arg;
    CHECK_EQ(b_send(INT(1)), UVT_ESHARD);
    CHECK_EQ(uvt_broadcast_wait_closed(&news), UVT_ESHARD);
    CHECK_EQ(uvt_broadcast_clone(&b, &news), UVT_ESHARD);
    CHECK_EQ(uvt_broadcast_subscribe(&s, &news), UVT_ESHARD);
    CHECK_EQ(uvt_subscriber_clone(&s, &subs[0]), UVT_ESHARD);
    CHECK_EQ(b_recv(&subs[0]), UVT_ESHARD);
    CHECK_EQ(uvt_broadcast_try_recv(&subs[0], &v), UVT_ESHARD);
    CHECK_EQ(b_set(INT(1)), UVT_ESHARD);
    CHECK_EQ(uvt_watch_subscribe(&w, &config), UVT_ESHARD);
    CHECK_EQ(uvt_watch_get(&watchers[0], &v), UVT_ESHARD);
    CHECK_EQ(uvt_watch_changed(&watchers[0]), UVT_ESHARD);
    CHECK_EQ(uvt_watch_mark_changed(&watchers[0]), UVT_ESHARD);
    CHECK_EQ(b_selects(NULL), UVT_ESHARD);
    return 0;
}

UVT_TEST_PLAIN(casts_of_an_ended_runtime_are_refused_and_may_be_closed) {
    CHECK_EQ(run_virtual(2, leaves_open, NULL), 0);
    CHECK_EQ(run_virtual(2, of_an_older_runtime, NULL), 0);
    close_news(1);
    close_config(1);
}

static void closes_from_outside(void *arg) {
    (void)arg;
    close_news(1);
    close_config(1);
}

ON_SHARDS_REAL(2, casts_closed_by_a_plain_thread_while_the_runtime_runs_stay_open) {
    uv_thread_t thread;
    open_news(2, 1);
    open_config(1);
    CHECK_EQ(uv_thread_create(&thread, closes_from_outside, NULL), 0);
    CHECK_EQ(uv_thread_join(&thread), 0);
    CHECK_EQ(b_send(INT(1)), 1);
    CHECK_EQ(b_set(INT(1)), 1);
    close_news(1);
    close_config(1);
}

/* ---- exact counts, on real threads ---- */

enum { SENDERS = 4, EACH = 500 };

static int sends_many(void *arg) {
    uvt_broadcast_t b;
    CHECK_EQ(uvt_broadcast_clone(&b, &news), 0);
    for (int i = 0; i < EACH; i++) {
        int v = (int)(intptr_t)arg * EACH + i;
        CHECK(uvt_broadcast_send(&b, &v) > 0);
        if (i % 16 == 0) uvt_yield();
    }
    uvt_broadcast_close(&b);
    return 0;
}

/* Elements received and lost; those of each sender come in order. */
static int counts_all(void *arg) {
    int last[SENDERS] = { 0 }, n = 0, v, rc;
    while ((rc = uvt_broadcast_recv(arg, &v)) == 0 || rc == UVT_ELAGGED) {
        if (rc == UVT_ELAGGED) {
            CHECK(uvt_subscriber_lost(arg) > 0);
            n += (int)uvt_subscriber_lost(arg);
            continue;
        }
        n++;
        CHECK(v % EACH + 1 > last[v / EACH]);
        last[v / EACH] = v % EACH + 1;
    }
    uvt_subscriber_close(arg);
    return rc == UV_EOF ? n : rc;
}

ON_SHARDS_REAL(4, broadcast_received_and_lost_are_together_what_was_sent) {
    uvt_task_t r[8], s[SENDERS];
    for (size_t capacity = 4; capacity <= 4096; capacity *= 32) {
        open_news(capacity, 8);
        for (unsigned i = 0; i < 8; i++) r[i] = spawn_on(i % 4, counts_all, &subs[i]);
        for (unsigned i = 0; i < SENDERS; i++) s[i] = spawn_on(i % 4, sends_many, INT(i));
        for (unsigned i = 0; i < SENDERS; i++) CHECK_EQ(uvt_join(s[i], NULL), 0);
        uvt_broadcast_close(&news);
        for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(r[i], NULL), SENDERS * EACH);
    }
}

static int watches_to_the_end(void *arg) {
    int v, last = 0, rc;
    while ((rc = uvt_watch_changed(arg)) == 0) {
        CHECK_EQ(uvt_watch_get(arg, &v), 0);
        CHECK(v >= last);
        last = v;
    }
    uvt_watcher_close(arg);
    return rc == UV_EOF ? last : rc;
}

ON_SHARDS_REAL(4, watch_every_watcher_sees_the_last_value_and_none_twice_over) {
    uvt_task_t t[8];
    open_config(8);
    for (unsigned i = 0; i < 8; i++) t[i] = spawn_on(i % 4, watches_to_the_end, &watchers[i]);
    for (int v = 1; v <= 2000; v++) {
        CHECK(b_set(INT(v)) > 0);
        if (v % 64 == 0) uvt_yield();
    }
    uvt_watch_close(&config);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(uvt_join(t[i], NULL), 2000);
}

static int subscribes_and_goes(void *arg) {
    for (int i = 0; i < 200; i++) {
        uvt_subscriber_t s;
        CHECK_EQ(uvt_broadcast_subscribe(&s, &news), 0);
        unsigned k = (unsigned)(i + (int)(intptr_t)arg) % uvt_shard_count();
        uvt_task_t t = spawn_on(k, b_recv, &s);
        if (i % 2) {
            CHECK_EQ(uvt_abort(t), 0);
        } else {
            CHECK_EQ(uvt_call(k, b_return, NULL), 0); /* it has begun now, so it may be closed under it */
            uvt_subscriber_close(&s);
        }
        int rc = uvt_join(t, NULL);
        CHECK(rc == 1 || rc == UVT_ELAGGED || rc == (i % 2 ? UV_ECANCELED : UVT_ECLOSED));
        uvt_subscriber_close(&s);
    }
    return 0;
}

static int sends_until_nobody_is_left(void *arg) {
    while (!atomic_load((atomic_bool *)arg)) {
        int rc = b_send(INT(1));
        CHECK(rc > 0 || rc == UV_EPIPE);
        CHECK_EQ(uvt_yield(), 0);
    }
    return 0;
}

ON_SHARDS_REAL(4, broadcast_subscribers_that_come_and_go_while_others_send) {
    atomic_bool over = false;
    uvt_task_t t[3];
    open_news(2, 0);
    uvt_task_t s = spawn_on(3, sends_until_nobody_is_left, &over);
    for (unsigned k = 0; k < 3; k++) t[k] = spawn_on(k, subscribes_and_goes, INT(k));
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    atomic_store(&over, true);
    CHECK_EQ(uvt_join(s, NULL), 0);
    close_news(0);
}

UVT_TEST_MAIN()
