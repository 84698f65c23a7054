/* SPDX-License-Identifier: MIT
 *
 * Aborting a task that waits for something special: an operation that can only be stopped later, a
 * deadline that passed during a computation, a request that libuv still works on, and aborts that come from
 * another thread (group 2 of the semantic cases).
 */
#include "bodies.h"

static uvt_task_t spawn_settled(uvt_fn fn, void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, fn, arg), 0);
    settle();
    return t;
}

/* ---- operations that stop only later ---- */

struct slow {
    uvt_park_t park; /* first: the abort callback casts */
    uvt_scope_t a, b, inner;
    int aborts;
};

static int abort_later(uvt_park_t *p) {
    ((struct slow *)p)->aborts++;
    return UVT_ABORT_LATER;
}

static int parks_slowly(void *arg) {
    return uvt_park(&((struct slow *)arg)->park);
}

UVT_TEST(abort_slow_operation_reports_after_its_confirmation) {
    struct slow s = { .park = { .what = "slow", .abort = abort_later } };
    uvt_task_t t = spawn_settled(parks_slowly, &s);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_sleep(10), 0);
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(s.aborts, 1);
    CHECK(uvt_unpark(&s.park, UV_ECANCELED));
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
}

UVT_TEST(abort_slow_operation_that_completes_delivers_its_result) {
    struct slow s = { .park = { .what = "slow", .abort = abort_later } };
    uvt_task_t t = spawn_settled(parks_slowly, &s);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK(uvt_unpark(&s.park, 9));
    CHECK_EQ(uvt_join(t, NULL), 9);
}

static int parks_in_three_scopes(void *arg) {
    struct slow *s = arg;
    CHECK_EQ(uvt_scope_begin(&s->a, NULL), 0);
    CHECK_EQ(uvt_scope_begin(&s->b, NULL), 0);
    CHECK_EQ(uvt_scope_begin(&s->inner, NULL), 0);
    CHECK_EQ(uvt_park(&s->park), UV_ECANCELED);
    CHECK_EQ(uvt_sleep(1), 0); /* the shield is up */
    CHECK_EQ(uvt_scope_end(&s->inner, 0), 0);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s->b, UV_ECANCELED), UV_ECANCELED);
    return uvt_scope_end(&s->a, 5);
}

UVT_TEST(abort_slow_operation_two_cancels_and_a_shield_abort_it_once) {
    struct slow s = { .park = { .what = "slow", .abort = abort_later } };
    uvt_task_t t = spawn_settled(parks_in_three_scopes, &s);
    CHECK_EQ(uvt_scope_cancel(&s.a, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&s.b, NULL), 0);
    CHECK_EQ(uvt_scope_set_shield(&s.inner, true), 0);
    settle();
    CHECK_EQ(s.aborts, 1);
    CHECK(uvt_unpark(&s.park, UV_ECANCELED));
    CHECK_EQ(uvt_join(t, NULL), 5);
    CHECK_EQ(s.aborts, 1);
}

static int parks_then_sleeps(void *arg) {
    struct slow *s = arg;
    CHECK_EQ(uvt_scope_begin(&s->a, NULL), 0);
    CHECK_EQ(uvt_scope_begin(&s->inner, NULL), 0);
    CHECK_EQ(uvt_park(&s->park), UV_ECANCELED);
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s->inner, 0), 0);
    return uvt_scope_end(&s->a, 5);
}

UVT_TEST(abort_slow_operation_shield_up_and_down_aborts_it_once) {
    struct slow s = { .park = { .what = "slow", .abort = abort_later } };
    uvt_task_t t = spawn_settled(parks_then_sleeps, &s);
    CHECK_EQ(uvt_scope_cancel(&s.a, NULL), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_scope_set_shield(&s.inner, i % 2 == 0), 0);
    CHECK_EQ(s.aborts, 1);
    CHECK(uvt_unpark(&s.park, UV_ECANCELED));
    settle(); /* it sleeps under the shield now: a wait of its own, with an abort of its own */
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_scope_set_shield(&s.inner, false), 0);
    CHECK_EQ(uvt_join(t, NULL), 5);
}

/* ---- deadlines that passed during a computation ---- */

UVT_TEST_REAL(yield_after_a_long_computation_reports_the_deadline_at_once) {
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 2 }), 0);
    for (uint64_t start = uvt_now(); uvt_now() - start < 4;) continue;
    CHECK_EQ(uvt_yield(), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ETIMEDOUT);
}

/* A limit's beginning is reckoned when it is armed, and no more than a thousandth too late. */
UVT_TEST_REAL(yield_after_a_computation_one_percent_too_long_reports_the_deadline) {
    uvt_scope_t s;
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .timeout_ms = 300 }), 0);
    for (uint64_t start = uv_hrtime(); uv_hrtime() - start < 303000000;) continue;
    CHECK_EQ(uvt_yield(), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ETIMEDOUT);
}

UVT_TEST(yield_under_a_deadline_in_the_past_reports_it_at_once) {
    uvt_scope_t s;
    CHECK_EQ(uvt_sleep(5), 0);
    CHECK_EQ(uvt_scope_begin(&s, &(uvt_scope_options){ .deadline = uvt_now() - 1 }), 0);
    CHECK_EQ(uvt_yield(), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&s, UV_ECANCELED), UV_ETIMEDOUT);
}

/* ---- a request must not write into a frame that has returned ---- */

static void __attribute__((noinline)) connect_cut_short(void) {
    uvt_stream_t *s = NULL;
    CHECK_EQ(uvt_test_cancel_at(1), 0);
    CHECK_EQ(uvt_tcp_connect(&s, "localhost", 1), UV_ECANCELED);
}

static int __attribute__((noinline)) frame_stays_as_it_is(void) {
    volatile unsigned char frame[8192];
    int changed = 0;
    for (size_t i = 0; i < sizeof frame; i++) frame[i] = 0xa5;
    /* until libuv has no request left, the resolution that was abandoned included */
    while (uvt_loop()->active_reqs.count > 0) uvt_shielded(UVT_FOREVER, b_sleep, INT(1));
    for (size_t i = 0; i < sizeof frame; i++) changed += frame[i] != 0xa5;
    return changed;
}

static int connects_and_looks(void *arg) {
    (void)arg;
    connect_cut_short();
    return frame_stays_as_it_is();
}

UVT_TEST_REAL(abort_while_libuv_works_nothing_writes_into_the_old_frame) {
    CHECK_EQ(spawn_and_join(connects_and_looks, NULL), 0);
}

/* ---- from another thread ---- */

struct remote {
    uvt_task_t task;
    uv_thread_t owner;
    int pieces, elsewhere; /* pieces of the task's code that ran, and those on another thread */
};

static void note_thread(void *arg) {
    struct remote *r = arg;
    uv_thread_t here = uv_thread_self();
    r->pieces++;
    r->elsewhere += !uv_thread_equal(&here, &r->owner);
}

static int parks_and_notes(void *arg) {
    note_thread(arg);
    CHECK_EQ(uvt_defer(note_thread, arg), 0);
    int rc = uvt_sleep(UVT_FOREVER);
    note_thread(arg);
    return rc;
}

static void thread_aborts(void *arg) {
    CHECK_EQ(uvt_abort(((struct remote *)arg)->task), 0);
}

/* How the task ended; a thread of its own aborted it. */
static uvt_result abort_from_thread(struct remote *r) {
    uvt_result res;
    uv_thread_t thread;
    r->owner = uv_thread_self();
    uvt_external_begin();
    r->task = spawn_settled(parks_and_notes, r);
    CHECK_EQ(uv_thread_create(&thread, thread_aborts, r), 0);
    CHECK_EQ(uvt_join(r->task, &res), 0);
    uv_thread_join(&thread);
    uvt_external_end();
    return res;
}

UVT_TEST_REAL(abort_from_another_thread_join_reports_cancelled) {
    struct remote r = { .pieces = 0 };
    uvt_result res = abort_from_thread(&r);
    CHECK_EQ(res.outcome, UVT_CANCELLED);
    CHECK_EQ(res.reason.code, UVT_REASON_ABORT);
    CHECK_EQ(r.pieces, 3);
}

UVT_TEST_REAL(abort_from_another_thread_runs_no_code_there) {
    struct remote r = { .pieces = 0 };
    abort_from_thread(&r);
    CHECK_EQ(r.elsewhere, 0);
}

UVT_TEST_MAIN()
