/* SPDX-License-Identifier: MIT
 *
 * Watches: a watcher learns of every change that it has not seen, and reads the latest value; marks, ends, cancels,
 * selects, memory and misuse.
 */
#include "../core/bodies.h"

static uvt_watch_t config;

static void open_config(int initial) {
    CHECK_EQ(uvt_watch_open(&config, sizeof initial, &initial), 0);
}

static uvt_watcher_t watching(void) {
    uvt_watcher_t w;
    CHECK_EQ(uvt_watch_subscribe(&w, &config), 0);
    return w;
}

static int set_int(int v) {
    return uvt_watch_set(&config, &v);
}

/* The value (they are not negative), or the code. */
static int get_int(uvt_watcher_t *w) {
    int v, rc = uvt_watch_get(w, &v);
    return rc < 0 ? rc : v;
}

static int peek_int(const uvt_watcher_t *w) {
    int v, rc = uvt_watch_peek(w, &v);
    return rc < 0 ? rc : v;
}

static int b_changed(void *w) {
    return uvt_watch_changed(w);
}

static int b_next(void *w) {
    int rc = uvt_watch_changed(w);
    return rc < 0 ? rc : get_int(w);
}

static int b_wait_closed(void *w) {
    return uvt_watch_wait_closed(w);
}

static uvt_task_t waiting(uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, fn, arg), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    return t;
}

/* ---- values ---- */

UVT_TEST(watch_new_watcher_waits_then_reads_the_new_value_then_eof_and_the_last_value_stays) {
    open_config(1);
    uvt_watcher_t w = watching();
    CHECK_EQ(uvt_watch_try_changed(&w), UV_EAGAIN);
    CHECK_EQ(get_int(&w), 1);
    uvt_task_t t = waiting(b_next, &w);
    CHECK_EQ(set_int(2), 1);
    CHECK_EQ(uvt_join(t, NULL), 2);
    t = waiting(b_next, &w);
    uvt_watch_close(&config);
    CHECK_EQ(uvt_join(t, NULL), UV_EOF);
    CHECK_EQ(uvt_watch_changed(&w), UV_EOF);
    CHECK_EQ(get_int(&w), 2);
    CHECK_EQ(peek_int(&w), 2);
    uvt_watcher_close(&w);
}

UVT_TEST(watch_two_values_between_reads_each_watcher_wakes_and_sees_the_latest) {
    open_config(0);
    uvt_watcher_t a = watching(), b = watching();
    uvt_task_t t = waiting(b_next, &a), u = waiting(b_next, &b);
    CHECK_EQ(set_int(1), 2);
    CHECK_EQ(set_int(2), 2);
    CHECK_EQ(uvt_join(t, NULL), 2);
    CHECK_EQ(uvt_join(u, NULL), 2);
    CHECK_EQ(uvt_watch_try_changed(&a), UV_EAGAIN);
    CHECK_EQ(uvt_watch_try_changed(&b), UV_EAGAIN);
    uvt_watcher_close(&a);
    uvt_watcher_close(&b);
    uvt_watch_close(&config);
}

UVT_TEST(watch_the_same_value_again_is_a_change) {
    open_config(1);
    uvt_watcher_t w = watching();
    CHECK_EQ(set_int(1), 1);
    CHECK_EQ(uvt_watch_changed(&w), 0);
    uvt_watcher_close(&w);
    uvt_watch_close(&config);
}

UVT_TEST(watch_value_set_without_watchers_is_kept_for_those_to_come) {
    open_config(1);
    CHECK_EQ(set_int(2), 0);
    uvt_watcher_t w = watching();
    CHECK_EQ(uvt_watch_try_changed(&w), UV_EAGAIN); /* it counts as seen */
    CHECK_EQ(get_int(&w), 2);
    uvt_watcher_close(&w);
    uvt_watch_close(&config);
}

UVT_TEST(watch_without_bytes_tells_of_changes) {
    CHECK_EQ(uvt_watch_open(&config, 0, NULL), 0);
    uvt_watcher_t w = watching();
    CHECK_EQ(uvt_watch_try_changed(&w), UV_EAGAIN);
    CHECK_EQ(uvt_watch_set(&config, NULL), 1);
    CHECK_EQ(uvt_watch_changed(&w), 0);
    CHECK_EQ(uvt_watch_get(&w, NULL), 0);
    CHECK_EQ(uvt_watch_try_changed(&w), UV_EAGAIN);
    uvt_watcher_close(&w);
    uvt_watch_close(&config);
}

UVT_TEST(watch_clone_of_a_watcher_has_seen_what_it_has) {
    uvt_watcher_t seen, unseen;
    open_config(0);
    uvt_watcher_t w = watching();
    CHECK_EQ(set_int(1), 1);
    CHECK_EQ(uvt_watcher_clone(&unseen, &w), 0);
    CHECK_EQ(get_int(&w), 1);
    CHECK_EQ(uvt_watcher_clone(&seen, &w), 0);
    CHECK_EQ(uvt_watch_try_changed(&unseen), 0);
    CHECK_EQ(uvt_watch_try_changed(&seen), UV_EAGAIN);
    CHECK_EQ(set_int(2), 3);
    uvt_watcher_close(&seen);
    uvt_watcher_close(&unseen);
    uvt_watcher_close(&w);
    uvt_watch_close(&config);
}

/* ---- marks ---- */

UVT_TEST(watch_state_follows_the_marks) {
    open_config(0);
    uvt_watcher_t w = watching();
    CHECK_EQ(set_int(1), 1);
    CHECK_EQ(peek_int(&w), 1);
    CHECK_EQ(uvt_watch_changed(&w), 0); /* peeking has not marked it, nor does this */
    CHECK_EQ(uvt_watch_changed(&w), 0);
    CHECK_EQ(get_int(&w), 1);
    CHECK_EQ(uvt_watch_try_changed(&w), UV_EAGAIN);
    CHECK_EQ(uvt_watch_mark_changed(&w), 0);
    CHECK_EQ(uvt_watch_changed(&w), 0);
    CHECK_EQ(uvt_watch_mark_unchanged(&w), 0);
    CHECK_EQ(uvt_watch_try_changed(&w), UV_EAGAIN);
    CHECK_EQ(set_int(2), 1);
    CHECK_EQ(uvt_watch_mark_unchanged(&w), 0);
    CHECK_EQ(uvt_watch_try_changed(&w), UV_EAGAIN);
    uvt_watcher_close(&w);
    uvt_watch_close(&config);
}

UVT_TEST(watch_initial_value_marked_as_changed_is_found) {
    open_config(5);
    uvt_watcher_t w = watching();
    CHECK_EQ(uvt_watch_mark_changed(&w), 0);
    CHECK_EQ(b_next(&w), 5);
    CHECK_EQ(uvt_watch_try_changed(&w), UV_EAGAIN);
    uvt_watcher_close(&w);
    uvt_watch_close(&config);
}

UVT_TEST(watch_marked_as_changed_wakes_who_waits_with_that_watcher_alone) {
    open_config(0);
    uvt_watcher_t a = watching(), b = watching();
    uvt_task_t t = waiting(b_changed, &a), u = waiting(b_changed, &b);
    CHECK_EQ(uvt_watch_mark_changed(&a), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    settle();
    CHECK_EQ(uvt_is_done(u), 0);
    CHECK_EQ(set_int(1), 2);
    CHECK_EQ(uvt_join(u, NULL), 0);
    uvt_watcher_close(&a);
    uvt_watcher_close(&b);
    uvt_watch_close(&config);
}

UVT_TEST(watch_marked_as_changed_after_the_senders_have_gone_is_found_then_eof) {
    open_config(3);
    uvt_watcher_t w = watching();
    uvt_watch_close(&config);
    CHECK_EQ(uvt_watch_changed(&w), UV_EOF);
    CHECK_EQ(uvt_watch_mark_changed(&w), 0);
    CHECK_EQ(b_next(&w), 3);
    CHECK_EQ(uvt_watch_changed(&w), UV_EOF);
    uvt_watcher_close(&w);
}

UVT_TEST(watch_waiter_woken_whose_value_was_seen_meanwhile_goes_on_waiting) {
    open_config(0);
    uvt_watcher_t w = watching();
    uvt_task_t t = waiting(b_next, &w);
    CHECK_EQ(set_int(1), 1);
    CHECK_EQ(get_int(&w), 1); /* before the waiter runs */
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(set_int(2), 1);
    CHECK_EQ(uvt_join(t, NULL), 2);
    uvt_watcher_close(&w);
    uvt_watch_close(&config);
}

/* ---- ends ---- */

UVT_TEST(watch_value_set_and_sender_closed_at_once_is_changed_first_then_eof) {
    open_config(0);
    uvt_watcher_t w = watching();
    uvt_task_t t = waiting(b_next, &w);
    CHECK_EQ(set_int(1), 1);
    uvt_watch_close(&config);
    CHECK_EQ(uvt_join(t, NULL), 1);
    CHECK_EQ(uvt_watch_changed(&w), UV_EOF);
    CHECK_EQ(uvt_watch_try_changed(&w), UV_EOF);
    uvt_watcher_close(&w);
}

UVT_TEST(watch_one_of_two_senders_gone_wakes_nobody_the_last_does) {
    uvt_watch_t other;
    open_config(0);
    CHECK_EQ(uvt_watch_clone(&other, &config), 0);
    uvt_watcher_t w = watching();
    uvt_task_t t = waiting(b_next, &w);
    uvt_watch_close(&config);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    uvt_watch_close(&other);
    CHECK_EQ(uvt_join(t, NULL), UV_EOF);
    uvt_watcher_close(&w);
}

UVT_TEST(watch_without_watchers_is_open_again_when_one_subscribes) {
    open_config(0);
    CHECK_EQ(uvt_watch_wait_closed(&config), 0);
    uvt_watcher_t w = watching();
    uvt_watcher_close(&w);
    CHECK_EQ(uvt_watch_wait_closed(&config), 0);
    w = watching();
    uvt_task_t t = waiting(b_wait_closed, &config);
    CHECK_EQ(set_int(1), 1);
    CHECK_EQ(b_next(&w), 1);
    uvt_watcher_close(&w);
    w = watching(); /* before the waiter runs */
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    uvt_watcher_close(&w);
    CHECK_EQ(uvt_join(t, NULL), 0);
    uvt_watch_close(&config);
}

UVT_TEST(watch_watcher_closed_while_it_waits_is_eclosed) {
    open_config(0);
    uvt_watcher_t w = watching();
    uvt_task_t t = waiting(b_changed, &w);
    uvt_watcher_close(&w);
    CHECK_EQ(uvt_join(t, NULL), UVT_ECLOSED);
    uvt_watch_close(&config);
}

UVT_TEST(watch_sender_closed_while_it_waits_for_the_end_is_eclosed) {
    open_config(0);
    uvt_watcher_t w = watching();
    uvt_task_t t = waiting(b_wait_closed, &config);
    uvt_watch_close(&config);
    CHECK_EQ(uvt_join(t, NULL), UVT_ECLOSED);
    uvt_watcher_close(&w);
}

/* ---- fairness ---- */

UVT_TEST(watch_loop_of_waits_that_are_ready_at_once_lets_others_run) {
    int ran = 0;
    uvt_task_t t;
    open_config(0);
    uvt_watcher_t w = watching();
    CHECK_EQ(set_int(1), 1);
    CHECK_EQ(uvt_spawn(&t, b_count, &ran), 0);
    for (int i = 0; i < 1000 && !ran; i++) CHECK_EQ(uvt_watch_changed(&w), 0);
    CHECK_EQ(ran, 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    uvt_watcher_close(&w);
    uvt_watch_close(&config);
}

UVT_TEST_MAIN()
