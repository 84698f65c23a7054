/* SPDX-License-Identifier: MIT
 *
 * Each kind of case in a select: that it wins with the plain call's result, and that when another wins it is as if it
 * had not been tried. The losers here have left word: the select had to wait.
 */
#include "../core/bodies.h"

static const uvt_task_options after5 = { .start_after_ms = 5 };

/* ---- time ---- */

UVT_TEST(select_sleep_wins_when_its_time_has_come) {
    uint64_t t = uvt_now();
    uvt_case_t c[] = { uvt_case_sleep(UVT_FOREVER), uvt_case_sleep(9), uvt_case_sleep(30) };
    CHECK_EQ(uvt_select(c, 3, 0), 1);
    CHECK_EQ(c[1].result, 0);
    CHECK_EQ(uvt_now() - t, 9);
}

UVT_TEST(select_sleep_counts_anew_in_every_select) {
    uvt_case_t c[] = { uvt_case_sleep(9), uvt_case_sleep(30) };
    uint64_t t = uvt_now();
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(uvt_now() - t, 36);
}

UVT_TEST(select_sleep_that_lost_wakes_nobody_later) {
    uvt_case_t c[] = { uvt_case_sleep(5), uvt_case_sleep(9) };
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_sleep(50), 0);
    CHECK_EQ(uvt_now() - t, 50);
}

UVT_TEST(select_sleep_zero_is_possible_negative_is_einval) {
    uvt_case_t c[] = { uvt_case_sleep(0) }, bad[] = { uvt_case_sleep((uint64_t)-5) };
    CHECK_EQ(uvt_try_select(c, 1, 0), 0);
    CHECK_EQ(c[0].result, 0);
    CHECK_EQ(uvt_select(bad, 1, 0), 0);
    CHECK_EQ(bad[0].result, UV_EINVAL);
}

UVT_TEST(select_sleep_until_keeps_to_the_one_time) {
    uint64_t t = uvt_now();
    uvt_case_t c[] = { uvt_case_sleep_until(t + 25), uvt_case_sleep(10) };
    CHECK_EQ(uvt_select(c, 2, 0), 1);
    CHECK_EQ(uvt_select(c, 2, 0), 1);
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, 0);
    CHECK_EQ(uvt_now() - t, 25);
    CHECK_EQ(uvt_try_select(c, 2, UVT_SELECT_BIASED), 0); /* past */
}

/* ---- join ---- */

UVT_TEST(select_join_wins_with_the_result) {
    uvt_task_t t;
    uvt_result r;
    CHECK_EQ(uvt_spawn_opts(&t, b_return, INT(7), &after5), 0);
    uvt_case_t c[] = { uvt_case_join(t, &r), uvt_case_sleep(100) };
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, 0);
    CHECK_EQ(r.status, 7);
    CHECK_EQ(uvt_join(t, NULL), UVT_ESTALE);
}

UVT_TEST(select_join_without_a_place_gives_the_status) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_opts(&t, b_return, INT(-7), &after5), 0);
    uvt_case_t c[] = { uvt_case_join(t, NULL), uvt_case_sleep(100) };
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, -7);
}

UVT_TEST(select_join_that_lost_leaves_the_handle_joinable) {
    uvt_task_t t;
    uvt_result r = { .status = 99 };
    CHECK_EQ(uvt_spawn_opts(&t, b_return, INT(7), &after5), 0);
    uvt_case_t c[] = { uvt_case_join(t, &r), uvt_case_sleep(2) };
    CHECK_EQ(uvt_select(c, 2, 0), 1);
    CHECK_EQ(r.status, 99);
    CHECK_EQ(uvt_join(t, NULL), 7);
}

static int selects_joins(void *arg) {
    uvt_task_t *t = arg;
    uvt_case_t c[] = { uvt_case_join(t[0], NULL), uvt_case_join(t[1], NULL) };
    int at = uvt_select(c, 2, 0);
    return at < 0 ? at : c[at].result;
}

UVT_TEST(select_two_tasks_end_in_one_go_the_loser_is_still_to_be_joined) {
    uvt_task_t t[2];
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_spawn_opts(&t[i], b_return, INT(i + 1), &after5), 0);
    int first = selects_joins(t);
    settle();
    CHECK_EQ(uvt_join(t[first % 2], NULL), 3 - first);
    CHECK_EQ(uvt_join(t[first - 1], NULL), UVT_ESTALE);
}

UVT_TEST(select_join_refused_is_a_case_that_is_ready) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_forever, NULL), 0);
    uvt_case_t self[] = { uvt_case_join(uvt_self(), NULL) };
    uvt_case_t twice[] = { uvt_case_join(t, NULL), uvt_case_join(t, NULL) };
    CHECK_EQ(uvt_select(self, 1, 0), 0);
    CHECK_EQ(self[0].result, UVT_EDEADLK);
    int at = uvt_select(twice, 2, 0);
    CHECK_EQ(twice[at].result, UV_EBUSY);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_select(twice, 2, 0) >= 0, 1);
}

/* ---- set ---- */

UVT_TEST(select_set_next_wins_with_a_result_then_eof) {
    uvt_set_t set;
    uvt_result r;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, NULL, b_return, INT(4), &after5), 0);
    uvt_case_t c[] = { uvt_case_set_next(&set, &r), uvt_case_sleep(100) };
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, 0);
    CHECK_EQ(r.status, 4);
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(select_set_next_that_lost_leaves_the_result_to_be_taken) {
    uvt_set_t set;
    uvt_result r = { .status = 99 };
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, NULL, b_return, INT(4), &after5), 0);
    uvt_case_t c[] = { uvt_case_set_next(&set, &r), uvt_case_sleep(5) };
    if (uvt_select(c, 2, 0) == 1) {
        CHECK_EQ(r.status, 99);
        CHECK_EQ(uvt_set_next(&set, &r), 0);
    }
    CHECK_EQ(r.status, 4);
    CHECK_EQ(uvt_set_next(&set, &r), UV_EOF);
    CHECK_EQ(uvt_set_close(&set), 0);
}

/* ---- token ---- */

static int cancels(void *arg) {
    return uvt_token_cancel(arg, "enough");
}

UVT_TEST(select_token_wins_when_cancelled_and_stays_so) {
    uvt_token_t *k;
    CHECK_EQ(uvt_token_new(&k, NULL), 0);
    CHECK_EQ(uvt_spawn_opts(NULL, cancels, k, &after5), 0);
    uvt_case_t c[] = { uvt_case_token(k), uvt_case_sleep(100) };
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, 0);
    CHECK_EQ(uvt_select(c, 2, UVT_SELECT_BIASED), 0);
    uvt_token_unref(k);
}

UVT_TEST(select_token_that_lost_is_waited_for_no_more) {
    uvt_token_t *k;
    CHECK_EQ(uvt_token_new(&k, NULL), 0);
    uvt_case_t c[] = { uvt_case_token(k), uvt_case_sleep(5), uvt_case_token(k) };
    CHECK_EQ(uvt_select(c, 3, 0), 1);
    CHECK_EQ(uvt_token_cancel(k, NULL), 0);
    CHECK_EQ(uvt_sleep(5), 0);
    uvt_token_unref(k);
}

static int lets_go(void *arg) {
    uvt_token_unref(arg);
    return 0;
}

UVT_TEST(select_token_let_go_of_meanwhile_is_kept_until_the_select_ends) {
    uvt_token_t *k;
    CHECK_EQ(uvt_token_new(&k, NULL), 0);
    CHECK_EQ(uvt_spawn_opts(NULL, lets_go, k, &(uvt_task_options){ .start_after_ms = 2 }), 0);
    uvt_case_t c[] = { uvt_case_token(k), uvt_case_sleep(5) };
    CHECK_EQ(uvt_select(c, 2, 0), 1);
}

UVT_TEST(select_token_null_is_einval) {
    uvt_case_t c[] = { uvt_case_token(NULL) };
    CHECK_EQ(uvt_select(c, 1, 0), 0);
    CHECK_EQ(c[0].result, UV_EINVAL);
}

static int selects_foreign_token(void *arg) {
    uvt_case_t c[] = { uvt_case_token(arg) };
    CHECK_EQ(uvt_try_select(c, 1, 0), 0);
    CHECK_EQ(c[0].result, UVT_ESHARD);
    return 0;
}

static int makes_token(void *arg) {
    return uvt_token_new(arg, NULL);
}

/* It was UV_EAGAIN, or 0 when the token was cancelled. */
UVT_TEST_PLAIN(select_token_of_another_runtime_is_refused) {
    uvt_token_t *k;
    CHECK_EQ(uvt_test_run(makes_token, &k, NULL), 0);
    CHECK_EQ(uvt_test_run(selects_foreign_token, k, NULL), 0);
    uvt_token_unref(k);
}

/* ---- semaphore ---- */

static uvt_semaphore_t sem;

static int release(void *arg) {
    return uvt_semaphore_release(&sem, (unsigned)(intptr_t)arg);
}

UVT_TEST(select_acquire_wins_with_its_permits) {
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    CHECK_EQ(uvt_spawn_opts(NULL, release, INT(3), &after5), 0);
    uvt_case_t c[] = { uvt_case_acquire(&sem, 2), uvt_case_sleep(100) };
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, 0);
    CHECK_EQ(uvt_semaphore_available(&sem), 1);
}

static int acquires(void *arg) {
    return uvt_semaphore_acquire_many(&sem, (unsigned)(intptr_t)arg);
}

UVT_TEST(select_acquire_that_lost_gives_its_place_to_those_behind) {
    uvt_task_t t;
    CHECK_EQ(uvt_semaphore_init(&sem, 1, 0), 0);
    CHECK_EQ(uvt_spawn_opts(&t, acquires, INT(1), &(uvt_task_options){ .start_after_ms = 2 }), 0);
    uvt_case_t c[] = { uvt_case_acquire(&sem, 2), uvt_case_sleep(5) };
    CHECK_EQ(uvt_select(c, 2, 0), 1);
    CHECK_EQ(uvt_semaphore_available(&sem), 0); /* it went to the one behind, not to nobody */
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

static int closes(void *arg) {
    uvt_semaphore_close(arg);
    return 0;
}

UVT_TEST(select_acquire_closed_says_so_waiting_or_not) {
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 5), 0);
    CHECK_EQ(uvt_spawn_opts(NULL, closes, &sem, &after5), 0);
    uvt_case_t c[] = { uvt_case_sleep(100), uvt_case_acquire(&sem, 1) }, big[] = { uvt_case_acquire(&sem, 6) };
    CHECK_EQ(uvt_select(big, 1, 0), 0);
    CHECK_EQ(big[0].result, UV_EINVAL);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(uvt_select(c, 2, 0), 1);
        CHECK_EQ(c[1].result, UVT_ECLOSED);
    }
}

/* ---- oneshot ---- */

static int word;

static int sends(void *arg) {
    return uvt_oneshot_send(arg, 6, &word);
}

UVT_TEST(select_oneshot_wins_with_status_and_value) {
    uvt_oneshot_t *o;
    int status = 0;
    void *value = NULL;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_spawn_opts(NULL, sends, o, &after5), 0);
    uvt_case_t c[] = { uvt_case_oneshot(o, &status, &value), uvt_case_sleep(100) };
    CHECK_EQ(uvt_select(c, 2, 0), 0);
    CHECK_EQ(c[0].result, 0);
    CHECK_EQ(status, 6);
    CHECK(value == &word);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

UVT_TEST(select_oneshot_that_lost_in_the_same_tick_still_has_its_value) {
    uvt_oneshot_t *o;
    int status = 0;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_spawn_opts(NULL, sends, o, &after5), 0);
    uvt_case_t c[] = { uvt_case_oneshot(o, &status, NULL), uvt_case_sleep(5) };
    if (uvt_select(c, 2, 0) == 1) {
        CHECK_EQ(status, 0);
        settle();
        CHECK_EQ(uvt_oneshot_recv(o, &status, NULL), 0);
    }
    CHECK_EQ(status, 6);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

UVT_TEST(select_oneshot_whose_sender_goes_is_eof_and_twice_is_busy) {
    uvt_oneshot_t *o;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    uvt_case_t c[] = { uvt_case_oneshot(o, NULL, NULL), uvt_case_oneshot(o, NULL, NULL) };
    int at = uvt_select(c, 2, 0);
    CHECK_EQ(c[at].result, UV_EBUSY);
    uvt_oneshot_close_tx(o);
    CHECK_EQ(uvt_select(c, 1, 0), 0);
    CHECK_EQ(c[0].result, UV_EOF);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

/* ---- all of them, cancelled at every suspension ---- */

struct world {
    uvt_task_t t;
    uvt_set_t set;
    uvt_token_t *k;
    uvt_oneshot_t *o;
    bool hit;
};

static int sweep_body(void *arg) {
    struct world *w = arg;
    int status, rc;
    uvt_result r;
    uvt_case_t c[] = { uvt_case_join(w->t, NULL),    uvt_case_set_next(&w->set, &r), uvt_case_token(w->k),
                       uvt_case_acquire(&sem, 1),    uvt_case_oneshot(w->o, &status, NULL),
                       uvt_case_sleep(6) };
    while ((rc = uvt_select(c, 6, 0)) >= 0) c[rc].disabled = true;
    w->hit = uvt_test_cancel_hit();
    return rc == UV_EOF ? 0 : rc;
}

static unsigned suspension;

static int sweeps(void *arg) {
    CHECK_EQ(uvt_test_cancel_at(suspension), 0);
    int rc = sweep_body(arg);
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc;
}

UVT_TEST(select_of_every_kind_cancelled_at_every_suspension_loses_nothing) {
    bool hit = true;
    for (suspension = 1; hit; suspension++) {
        struct world w = { .hit = false };
        uvt_task_t body;
        int status, rc;
        CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
        CHECK_EQ(uvt_spawn_opts(&w.t, b_sleep, INT(1), &after5), 0);
        CHECK_EQ(uvt_set_open(&w.set, NULL), 0);
        CHECK_EQ(uvt_set_spawn_opts(&w.set, NULL, b_return, INT(0), &after5), 0);
        CHECK_EQ(uvt_token_new(&w.k, NULL), 0);
        CHECK_EQ(uvt_spawn_opts(NULL, cancels, w.k, &after5), 0);
        CHECK_EQ(uvt_spawn_opts(NULL, release, INT(1), &after5), 0);
        CHECK_EQ(uvt_oneshot_new(&w.o, 0), 0);
        CHECK_EQ(uvt_spawn_opts(NULL, sends, w.o, &after5), 0);
        CHECK_EQ(uvt_spawn(&body, sweeps, &w), 0);
        rc = uvt_join(body, NULL);
        hit = w.hit;
        CHECK_EQ(rc, hit ? UV_ECANCELED : 0);
        CHECK_EQ(uvt_sleep(10), 0);
        /* What the select did not take is there, what it took is not. */
        CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
        rc = uvt_semaphore_available(&sem);
        CHECK_IN(rc, 0, 2);
        if (!hit) CHECK_EQ(rc, 0);
        rc = uvt_oneshot_recv(w.o, &status, NULL);
        CHECK(rc == UVT_ECLOSED || (hit && rc == 0 && status == 6));
        rc = uvt_join(w.t, NULL);
        CHECK(rc == UVT_ESTALE || (hit && rc == 0));
        CHECK_EQ(uvt_oneshot_close_rx(w.o, NULL), 0);
        CHECK_EQ(uvt_set_close(&w.set), 0);
        uvt_token_unref(w.k);
    }
    CHECK(suspension > 3);
}

UVT_TEST_MAIN()
