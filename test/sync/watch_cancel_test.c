/* SPDX-License-Identifier: MIT
 *
 * Watches: waits that are cancelled, waits as cases of a select, memory that is out, and misuse. A change that was
 * not looked at is still there afterwards.
 */
#include "../core/bodies.h"

static uvt_watch_t config;
static uvt_watcher_t watcher;

static void open_both(void) {
    int v = 0;
    CHECK_EQ(uvt_watch_open(&config, sizeof v, &v), 0);
    CHECK_EQ(uvt_watch_subscribe(&watcher, &config), 0);
}

static void close_both(void) {
    uvt_watcher_close(&watcher);
    uvt_watch_close(&config);
}

static int set_int(int v) {
    return uvt_watch_set(&config, &v);
}

static int b_changed(void *arg) {
    (void)arg;
    return uvt_watch_changed(&watcher);
}

static int b_selects(void *arg) {
    (void)arg;
    uvt_case_t c[] = { uvt_case_watch_changed(&watcher), uvt_case_sleep(1000) };
    int at = uvt_select(c, 2, 0);
    return at < 0 ? at : at == 0 ? c[0].result : 1;
}

static int b_wait_closed(void *arg) {
    (void)arg;
    return uvt_watch_wait_closed(&config);
}

static uvt_task_t waiting(uvt_fn fn) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, fn, NULL), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    return t;
}

static bool is_cancelled(uvt_task_t t) {
    uvt_result r;
    CHECK_EQ(uvt_join(t, &r), 0);
    return r.outcome == UVT_CANCELLED;
}

static const uvt_fn waits[] = { b_changed, b_selects };

/* ---- cancels ---- */

UVT_TEST(watch_timed_out_wait_leaves_the_watcher_usable) {
    open_both();
    CHECK_EQ(uvt_timeout(5, b_changed, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_timeout(5, b_wait_closed, NULL), UV_ETIMEDOUT);
    CHECK_EQ(set_int(1), 1);
    CHECK_EQ(uvt_watch_changed(&watcher), 0);
    close_both();
}

UVT_TEST(watch_cancelled_before_the_change_leaves_it_unseen) {
    for (int i = 0; i < 2; i++) {
        open_both();
        uvt_task_t t = waiting(waits[i]);
        CHECK_EQ(uvt_abort(t), 0);
        CHECK_EQ(set_int(1), 1);
        CHECK(is_cancelled(t));
        CHECK_EQ(uvt_watch_try_changed(&watcher), 0);
        close_both();
    }
}

UVT_TEST(watch_cancelled_after_the_change_woke_it_returns_it) {
    for (int i = 0; i < 2; i++) {
        open_both();
        uvt_task_t t = waiting(waits[i]);
        CHECK_EQ(set_int(1), 1);
        CHECK_EQ(uvt_abort(t), 0);
        CHECK_EQ(uvt_join(t, NULL), 0);
        close_both();
    }
}

UVT_TEST(watch_cancelled_wait_whose_value_was_seen_meanwhile_is_cancelled) {
    int v;
    for (int i = 0; i < 2; i++) {
        open_both();
        uvt_task_t t = waiting(waits[i]);
        CHECK_EQ(set_int(1), 1);
        CHECK_EQ(uvt_watch_get(&watcher, &v), 0);
        CHECK_EQ(uvt_abort(t), 0);
        CHECK(is_cancelled(t));
        close_both();
    }
}

enum { CHANGES = 4 };

struct victim {
    unsigned n; /* the suspension at which it is aborted */
    int last;   /* the value it has read last */
    bool hit;
};

static int victim(void *arg) {
    struct victim *v = arg;
    int rc = 0;
    CHECK_EQ(uvt_test_cancel_at(v->n), 0);
    while (v->last < CHANGES && (rc = v->n % 2 ? b_changed(NULL) : b_selects(NULL)) == 0)
        CHECK_EQ(uvt_watch_get(&watcher, &v->last), 0);
    v->hit = uvt_test_cancel_hit();
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc;
}

static int changes(void *arg) {
    (void)arg;
    for (int v = 1; v <= CHANGES; v++) {
        settle();
        CHECK_EQ(set_int(v), 1);
    }
    return 0;
}

UVT_TEST(watch_wait_cancelled_at_every_suspension_misses_no_change) {
    int cut_short = 0;
    for (struct victim v = { .n = 1, .hit = true }; v.hit; v.n++) {
        uvt_task_t t, p;
        open_both();
        v.last = 0;
        CHECK_EQ(uvt_spawn(&t, victim, &v), 0);
        CHECK_EQ(uvt_spawn(&p, changes, NULL), 0);
        cut_short += is_cancelled(t);
        CHECK_EQ(uvt_join(p, NULL), 0);
        CHECK_EQ(uvt_watch_try_changed(&watcher), v.last < CHANGES ? 0 : UV_EAGAIN);
        close_both();
        CHECK(v.n < 100);
    }
    CHECK(cut_short >= CHANGES - 1);
}

/* ---- selects ---- */

UVT_TEST(watch_select_waiting_fires_on_a_change_and_marks_nothing) {
    open_both();
    uvt_task_t t = waiting(b_selects);
    CHECK_EQ(set_int(1), 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(b_selects(NULL), 0);
    CHECK_EQ(uvt_watch_mark_unchanged(&watcher), 0);
    CHECK_EQ(b_selects(NULL), 1); /* the clock's case */
    close_both();
}

UVT_TEST(watch_select_waiting_fires_when_the_senders_have_gone) {
    open_both();
    uvt_task_t t = waiting(b_selects);
    uvt_watch_close(&config);
    CHECK_EQ(uvt_join(t, NULL), UV_EOF);
    close_both();
}

UVT_TEST(watch_select_waiting_fires_when_its_watcher_is_closed) {
    open_both();
    uvt_task_t t = waiting(b_selects);
    uvt_watcher_close(&watcher);
    CHECK_EQ(uvt_join(t, NULL), UVT_ECLOSED);
    close_both();
}

/* ---- out of memory ---- */

static int open_use_and_close(void *arg) {
    int v = 7, rc = uvt_watch_open(&config, sizeof v, &v);
    (void)arg;
    if (rc == UV_ENOMEM) rc = uvt_watch_open(&config, sizeof v, &v);
    CHECK_EQ(rc, 0);
    CHECK_EQ(uvt_watch_subscribe(&watcher, &config), 0);
    CHECK_EQ(set_int(v), 1);
    CHECK_EQ(uvt_watch_changed(&watcher), 0);
    close_both();
    return 0;
}

UVT_TEST_PLAIN(watch_out_of_memory_at_every_allocation_fails_whole_or_works) {
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        uvt_test_fail_alloc(n);
        int rc = uvt_test_run(open_use_and_close, NULL, NULL);
        hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        CHECK(rc == 0 || (rc == UV_ENOMEM && hit));
        CHECK_EQ(uvt_test_live_blocks(), 0);
        CHECK(n < 1000);
    }
}

/* ---- misuse ---- */

UVT_TEST(watch_second_task_with_one_watcher_is_refused) {
    int v;
    open_both();
    uvt_task_t t = waiting(b_changed);
    CHECK_EQ(uvt_watch_changed(&watcher), UV_EBUSY);
    CHECK_EQ(uvt_watch_try_changed(&watcher), UV_EBUSY);
    CHECK_EQ(b_selects(NULL), UV_EBUSY);
    CHECK_EQ(uvt_watch_peek(&watcher, &v), 0); /* reading is anybody's */
    CHECK_EQ(set_int(1), 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_watch_changed(&watcher), 0);
    close_both();
}

UVT_TEST(watch_wrong_arguments_are_refused) {
    uvt_watch_t zero = { 0 }, h;
    uvt_watcher_t none = { 0 }, w;
    int v = 0;
    CHECK_EQ(uvt_watch_open(NULL, 4, &v), UV_EINVAL);
    CHECK_EQ(uvt_watch_open(&h, 4, NULL), UV_EINVAL);
    CHECK_EQ(uvt_watch_open(&h, SIZE_MAX, &v), UV_EINVAL);
    CHECK_EQ(uvt_watch_set(NULL, &v), UV_EINVAL);
    CHECK_EQ(uvt_watch_set(&zero, &v), UV_EINVAL);
    CHECK_EQ(uvt_watch_wait_closed(&zero), UV_EINVAL);
    CHECK_EQ(uvt_watch_clone(&h, NULL), UV_EINVAL);
    CHECK_EQ(uvt_watch_subscribe(&w, &zero), UV_EINVAL);
    CHECK_EQ(uvt_watcher_clone(&w, &none), UV_EINVAL);
    CHECK_EQ(uvt_watch_get(NULL, &v), UV_EINVAL);
    CHECK_EQ(uvt_watch_peek(NULL, &v), UV_EINVAL);
    CHECK_EQ(uvt_watch_changed(&none), UV_EINVAL);
    CHECK_EQ(uvt_watch_try_changed(NULL), UV_EINVAL);
    CHECK_EQ(uvt_watch_mark_changed(NULL), UV_EINVAL);
    CHECK_EQ(uvt_watch_mark_unchanged(&none), UV_EINVAL);
    open_both();
    CHECK_EQ(uvt_watch_set(&config, NULL), UV_EINVAL);
    CHECK_EQ(uvt_watch_get(&watcher, NULL), UV_EINVAL);
    CHECK_EQ(uvt_watch_peek(&watcher, NULL), UV_EINVAL);
    CHECK_EQ(uvt_watch_clone(NULL, &config), UV_EINVAL);
    CHECK_EQ(uvt_watch_subscribe(NULL, &config), UV_EINVAL);
    CHECK_EQ(uvt_watcher_clone(NULL, &watcher), UV_EINVAL);
    CHECK_EQ(set_int(1), 1); /* none of them has counted */
    close_both();
}

UVT_TEST(watch_closed_handles_say_so_ever_after_and_twice_is_fine) {
    uvt_watch_t h;
    uvt_watcher_t w;
    int v;
    open_both();
    for (int i = 0; i < 2; i++) close_both();
    CHECK_EQ(set_int(1), UVT_ECLOSED);
    CHECK_EQ(uvt_watch_wait_closed(&config), UVT_ECLOSED);
    CHECK_EQ(uvt_watch_clone(&h, &config), UVT_ECLOSED);
    CHECK_EQ(uvt_watch_subscribe(&w, &config), UVT_ECLOSED);
    CHECK_EQ(uvt_watcher_clone(&w, &watcher), UVT_ECLOSED);
    CHECK_EQ(uvt_watch_get(&watcher, &v), UVT_ECLOSED);
    CHECK_EQ(uvt_watch_peek(&watcher, &v), UVT_ECLOSED);
    CHECK_EQ(uvt_watch_changed(&watcher), UVT_ECLOSED);
    CHECK_EQ(uvt_watch_mark_changed(&watcher), UVT_ECLOSED);
    CHECK_EQ(uvt_watch_mark_unchanged(&watcher), UVT_ECLOSED);
    CHECK_EQ(b_selects(NULL), UVT_ECLOSED);
    uvt_watch_close(NULL);
    uvt_watcher_close(NULL);
}

UVT_TEST_PLAIN(watch_outside_of_a_runtime_is_enotask) {
    int v = 0;
    CHECK_EQ(uvt_watch_open(&config, 4, &v), UVT_ENOTASK);
    CHECK_EQ(set_int(1), UVT_ENOTASK);
    CHECK_EQ(uvt_watch_wait_closed(&config), UVT_ENOTASK);
    CHECK_EQ(uvt_watch_clone(&config, &config), UVT_ENOTASK);
    CHECK_EQ(uvt_watch_subscribe(&watcher, &config), UVT_ENOTASK);
    CHECK_EQ(uvt_watcher_clone(&watcher, &watcher), UVT_ENOTASK);
    CHECK_EQ(uvt_watch_get(&watcher, &v), UVT_ENOTASK);
    CHECK_EQ(uvt_watch_changed(&watcher), UVT_ENOTASK);
    CHECK_EQ(uvt_watch_try_changed(&watcher), UVT_ENOTASK);
    CHECK_EQ(uvt_watch_mark_changed(&watcher), UVT_ENOTASK);
    close_both();
}

UVT_TEST_MAIN()
