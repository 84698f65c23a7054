/* SPDX-License-Identifier: MIT
 *
 * <uvtask/park.h>, for authors of new awaitables: park and unpark, the two answers of an abort, waits that
 * cannot be cancelled, and that what completed beats a cancel.
 */
#include "bodies.h"

/* An awaitable with every knob: what abort answers, and how often it was asked. */
struct wait {
    uvt_park_t park; /* first, so that abort finds the rest */
    int answer;
    int aborts;
    int complete_in_abort; /* not 0: abort completes the wait with this on the spot */
};

static int on_abort(uvt_park_t *p) {
    struct wait *w = (struct wait *)p;
    w->aborts++;
    if (w->complete_in_abort) uvt_unpark(p, w->complete_in_abort);
    return w->answer;
}

static struct wait new_wait(int answer) {
    return (struct wait){ .park = { .what = "test", .abort = on_abort }, .answer = answer };
}

static int parks(void *arg) {
    return uvt_park(&((struct wait *)arg)->park);
}

/* Parks, then says whether the next suspending call is cancelled. */
static int parks_then_yields(void *arg) {
    int rc = parks(arg);
    uvt_test_step("park %d", rc);
    rc = uvt_yield();
    uvt_test_step("yield %d", rc == UV_ECANCELED);
    return rc;
}

UVT_TEST(park_returns_what_unpark_gave) {
    const int results[] = { 0, 7, INT32_MAX, UV_EIO, UV_ECANCELED };
    for (int i = 0; i < 5; i++) {
        struct wait w = new_wait(UVT_ABORT_DONE);
        uvt_task_t t;
        uvt_result r;
        uvt_spawn(&t, parks, &w);
        settle();
        CHECK(uvt_unpark(&w.park, results[i]));
        CHECK_EQ(uvt_join(t, &r), 0);
        CHECK_EQ(r.status, results[i]);
        CHECK_EQ(w.aborts, 0);
    }
}

static int unparks(void *arg) {
    CHECK(uvt_unpark(arg, 3));
    uvt_test_step("unparked");
    return 0;
}

UVT_TEST(unpark_runs_nobody_by_itself) {
    struct wait w = new_wait(UVT_ABORT_DONE);
    uvt_spawn(NULL, unparks, &w.park);
    CHECK_EQ(parks(&w), 3);
    CHECK_STEPS("unparked"); /* the waker went on first */
}

UVT_TEST(unpark_what_is_not_parked_does_nothing) {
    struct wait w = new_wait(UVT_ABORT_DONE);
    uvt_task_t t;
    CHECK(!uvt_unpark(&w.park, 1));
    uvt_spawn(&t, parks, &w);
    settle();
    CHECK(uvt_unpark(&w.park, 2));
    CHECK(!uvt_unpark(&w.park, 3)); /* before it has run again */
    CHECK_EQ(uvt_join(t, NULL), 2);
    CHECK(!uvt_unpark(&w.park, 4));
}

static void timer_unparks(uv_timer_t *t) {
    CHECK(uvt_unpark(t->data, 6));
    uv_close((uv_handle_t *)t, NULL);
}

UVT_TEST_REAL(unpark_from_a_callback_of_libuv) {
    static uv_timer_t timer;
    struct wait w = new_wait(UVT_ABORT_DONE);
    timer.data = &w.park;
    CHECK_EQ(uv_timer_init(uvt_loop(), &timer), 0);
    CHECK_EQ(uv_timer_start(&timer, timer_unparks, 1, 0), 0);
    CHECK_EQ(parks(&w), 6);
}

UVT_TEST_PLAIN(park_outside_of_a_task_is_refused) {
    struct wait w = new_wait(UVT_ABORT_DONE);
    CHECK_EQ(uvt_park(&w.park), UVT_ENOTASK);
    CHECK_EQ(w.aborts, 0);
    CHECK(!uvt_unpark(&w.park, 1));
    CHECK_EQ(uvt_checkpoint(), UVT_ENOTASK);
}

/* ---- abort ---- */

UVT_TEST(abort_done_park_is_cancelled_and_a_late_unpark_does_nothing) {
    struct wait w = new_wait(UVT_ABORT_DONE);
    uvt_task_t t;
    uvt_spawn(&t, parks, &w);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(w.aborts, 1);
    CHECK(!uvt_unpark(&w.park, 5));
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(w.aborts, 1);
}

UVT_TEST(abort_later_park_returns_the_completions_result) {
    struct wait w = new_wait(UVT_ABORT_LATER);
    uvt_task_t t;
    uvt_spawn(&t, parks_then_yields, &w);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0); /* only the completion ends it */
    CHECK(uvt_unpark(&w.park, 9));
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_STEPS("park 9 yield 1");
    CHECK_EQ(w.aborts, 1);
}

UVT_TEST(abort_that_completes_the_wait_on_the_spot_gives_that_result) {
    struct wait w = new_wait(UVT_ABORT_LATER);
    uvt_task_t t;
    w.complete_in_abort = 11;
    uvt_spawn(&t, parks_then_yields, &w);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_STEPS("park 11 yield 1");
}

UVT_TEST(abort_null_wait_cannot_be_cancelled) {
    struct wait w = { .park = { .what = "granite" } };
    uvt_task_t t;
    uvt_spawn(&t, parks_then_yields, &w);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    settle();
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK(uvt_unpark(&w.park, 1));
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_STEPS("park 1 yield 1");
}

UVT_TEST(abort_after_the_completion_is_not_asked_and_the_result_stands) {
    struct wait w = new_wait(UVT_ABORT_DONE);
    uvt_task_t t;
    uvt_spawn(&t, parks_then_yields, &w);
    settle();
    CHECK(uvt_unpark(&w.park, 5));
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_STEPS("park 5 yield 1");
    CHECK_EQ(w.aborts, 0);
}

UVT_TEST(abort_is_called_once_however_many_cancels_come) {
    const int answers[] = { UVT_ABORT_DONE, UVT_ABORT_LATER };
    for (int i = 0; i < 2; i++) {
        struct wait w = new_wait(answers[i]);
        uvt_task_t t;
        uvt_spawn(&t, parks, &w);
        settle();
        CHECK_EQ(uvt_abort(t), 0);
        CHECK_EQ(uvt_abort(t), 0);
        settle();
        uvt_abort(t);
        if (answers[i] == UVT_ABORT_LATER) CHECK(uvt_unpark(&w.park, UV_ECANCELED));
        CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
        CHECK_EQ(w.aborts, 1);
    }
}

struct scoped {
    struct wait w;
    uvt_scope_t outer, inner;
};

static int parks_in_scopes(void *arg) {
    struct scoped *s = arg;
    uvt_scope_begin(&s->outer, NULL);
    uvt_scope_begin(&s->inner, &(uvt_scope_options){ .timeout_ms = 50 });
    int rc = parks(&s->w);
    uvt_test_step("park %d", rc);
    rc = uvt_scope_end(&s->inner, uvt_yield());
    return uvt_scope_end(&s->outer, rc);
}

UVT_TEST(abort_later_two_scopes_cancelled_it_is_called_once) {
    struct scoped s = { .w = new_wait(UVT_ABORT_LATER) };
    uvt_task_t t;
    uvt_spawn(&t, parks_in_scopes, &s);
    CHECK_EQ(uvt_sleep(60), 0); /* the inner one's deadline has passed */
    CHECK_EQ(s.w.aborts, 1);
    CHECK_EQ(uvt_scope_cancel(&s.outer, "outer"), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(s.w.aborts, 1);
    CHECK(uvt_unpark(&s.w.park, 2));
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_STEPS("park 2");
    CHECK_EQ(s.w.aborts, 1);
}

UVT_TEST(abort_does_not_reach_a_shielded_wait_until_the_shield_is_lowered) {
    struct scoped s = { .w = new_wait(UVT_ABORT_DONE) };
    uvt_task_t t;
    uvt_spawn(&t, parks_in_scopes, &s);
    settle();
    CHECK_EQ(uvt_scope_set_deadline(&s.inner, UVT_FOREVER), 0);
    CHECK_EQ(uvt_scope_set_shield(&s.inner, true), 0);
    CHECK_EQ(uvt_abort(t), 0);
    settle();
    CHECK_EQ(s.w.aborts, 0);
    CHECK_EQ(uvt_scope_set_shield(&s.inner, false), 0);
    CHECK_EQ(s.w.aborts, 1);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
}

/* ---- in a scope that is cancelled already ---- */

static int in_cancelled_scope(uvt_fn fn, void *arg) {
    uvt_scope_t s;
    uvt_scope_begin(&s, NULL);
    uvt_scope_cancel(&s, NULL);
    int rc = fn(arg);
    CHECK_EQ(uvt_scope_end(&s, 0), 0);
    return rc;
}

UVT_TEST(park_in_a_cancelled_scope_asks_abort_yields_once_and_is_cancelled) {
    struct wait w = new_wait(UVT_ABORT_DONE);
    uvt_spawn(NULL, b_step, "other");
    CHECK_EQ(in_cancelled_scope(parks, &w), UV_ECANCELED);
    CHECK_EQ(w.aborts, 1);
    CHECK_STEPS("other");
    CHECK(!uvt_unpark(&w.park, 1));
}

UVT_TEST(park_in_a_cancelled_scope_abort_later_waits_for_the_completion) {
    struct wait w = new_wait(UVT_ABORT_LATER);
    uvt_spawn(NULL, unparks, &w.park);
    CHECK_EQ(in_cancelled_scope(parks, &w), 3);
    CHECK_EQ(w.aborts, 1);
    CHECK_STEPS("unparked");
}

static int parks_in_cancelled_scope(void *arg) {
    return in_cancelled_scope(parks, arg);
}

UVT_TEST(park_in_a_cancelled_scope_abort_later_is_not_asked_again) {
    struct wait w = new_wait(UVT_ABORT_LATER);
    uvt_task_t t;
    uvt_spawn(&t, parks_in_cancelled_scope, &w);
    settle();
    CHECK_EQ(w.aborts, 1);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(w.aborts, 1);
    CHECK(uvt_unpark(&w.park, 4));
    CHECK_EQ(uvt_join(t, NULL), 4);
}

static int completes_by_itself(void *arg) {
    struct wait *w = arg;
    w->complete_in_abort = 13;
    return parks(w);
}

UVT_TEST(park_in_a_cancelled_scope_abort_that_completes_gives_the_result) {
    struct wait w = new_wait(UVT_ABORT_LATER);
    CHECK_EQ(in_cancelled_scope(completes_by_itself, &w), 13);
    CHECK_EQ(w.aborts, 1);
}

UVT_TEST(park_null_abort_in_a_cancelled_scope_waits) {
    struct wait w = { .park = { .what = "granite" } };
    uvt_spawn(NULL, unparks, &w.park);
    CHECK_EQ(in_cancelled_scope(parks, &w), 3);
}

UVT_TEST(park_deadline_asks_abort_at_its_time) {
    struct wait w = new_wait(UVT_ABORT_DONE);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_timeout(70, parks, &w), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 70);
    CHECK_EQ(w.aborts, 1);
}

/* ---- checkpoint ---- */

UVT_TEST(checkpoint_goes_on_at_once_and_yields_every_so_often) {
    int n = 0;
    uvt_spawn(NULL, b_count, &n);
    CHECK_EQ(uvt_checkpoint(), 0);
    int calls = 1;
    while (n == 0) {
        CHECK_EQ(uvt_checkpoint(), 0);
        calls++;
    }
    CHECK_IN(calls, 2, 10000);
}

static int checkpoint(void *arg) {
    (void)arg;
    return uvt_checkpoint();
}

UVT_TEST(checkpoint_in_a_cancelled_scope_yields_and_is_cancelled) {
    uvt_spawn(NULL, b_step, "other");
    CHECK_EQ(in_cancelled_scope(checkpoint, NULL), UV_ECANCELED);
    CHECK_STEPS("other");
}

UVT_TEST_MAIN()
