/* SPDX-License-Identifier: MIT
 *
 * uvt_set_start and uvt_started: spawning a member and waiting until it says that it is ready, with every
 * way in which it may not come to that (Trio's nursery.start, group 3 of the semantic cases).
 */
#include "bodies.h"

static uint64_t t0; /* when the test opened its set */

static void open_set(uvt_set_t *set) {
    CHECK_EQ(uvt_set_open(set, NULL), 0);
    t0 = uvt_now();
}

static int elapsed(void) {
    return (int)(uvt_now() - t0);
}

/* Ready after so many ms with the number as its value, ends three later. */
static int ready_after(void *arg) {
    int rc = b_sleep(arg);
    if (rc == 0) rc = uvt_started(arg);
    return rc < 0 ? rc : uvt_sleep(3);
}

UVT_TEST(start_returns_when_ready_with_the_value) {
    uvt_set_t set;
    void *value = NULL;
    open_set(&set);
    CHECK_EQ(uvt_set_start(&set, ready_after, INT(2), &value), 0);
    CHECK(value == INT(2));
    CHECK_EQ(elapsed(), 2);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 5);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int ready_twice(void *arg) {
    CHECK_EQ(uvt_started(arg), 0);
    CHECK_EQ(uvt_started(INT(2)), UV_EINVAL);
    return 0;
}

UVT_TEST(start_ready_twice_the_second_is_refused) {
    uvt_set_t set;
    void *value = NULL;
    open_set(&set);
    CHECK_EQ(uvt_set_start(&set, ready_twice, INT(1), &value), 0);
    CHECK(value == INT(1));
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int says_started(void *arg) {
    return uvt_started(arg);
}

UVT_TEST(started_in_a_task_not_spawned_so_is_refused) {
    uvt_set_t set;
    CHECK_EQ(uvt_started(NULL), UV_EINVAL);
    CHECK_EQ(spawn_and_join(says_started, NULL), UV_EINVAL);
    open_set(&set);
    CHECK_EQ(uvt_set_spawn(&set, says_started, NULL), 0);
    CHECK_EQ(uvt_set_close(&set), UV_EINVAL);
}

UVT_TEST(start_member_fails_first_its_error_is_the_answer_and_the_set_healthy) {
    uvt_set_t set;
    open_set(&set);
    CHECK_EQ(uvt_set_start(&set, b_return, INT(UV_EIO), NULL), UV_EIO);
    CHECK_EQ(uvt_set_len(&set), 0);
    CHECK_EQ(uvt_set_spawn(&set, b_return, INT(0)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(start_member_returns_without_ready_is_a_code_of_its_own) {
    uvt_set_t set;
    open_set(&set);
    CHECK_EQ(uvt_set_start(&set, b_return, INT(0), NULL), UVT_ENOSTART);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int leaves_failed_child(void *arg) {
    return uvt_spawn(NULL, b_return, arg);
}

UVT_TEST(start_member_whose_child_failed_that_failure_is_the_answer) {
    uvt_set_t set;
    open_set(&set);
    CHECK_EQ(uvt_set_start(&set, leaves_failed_child, INT(UV_EPIPE), NULL), UV_EPIPE);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(start_in_a_closed_set_is_refused_and_never_runs) {
    uvt_set_t set;
    int ran = 0;
    open_set(&set);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_set_start(&set, b_count, &ran, NULL), UVT_ESTALE);
    settle();
    CHECK_EQ(ran, 0);
}

/* Ready after 10 ms whatever happens, with a child that sleeps for ever. */
static int ready_with_child(void *arg) {
    CHECK_EQ(b_stubborn(INT(10)), 0);
    CHECK_EQ(uvt_started(NULL), 0);
    CHECK_EQ(uvt_spawn(NULL, b_cancelled_step, arg), 0);
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    return UV_ECANCELED;
}

static int aborts_set_later(void *arg) {
    CHECK_EQ(uvt_sleep(5), 0);
    return uvt_set_abort_all(arg);
}

UVT_TEST(start_set_cancelled_just_before_ready_children_are_woken) {
    uvt_set_t set;
    open_set(&set);
    CHECK_EQ(uvt_spawn(NULL, aborts_set_later, &set), 0);
    CHECK_EQ(uvt_set_start(&set, ready_with_child, "child woken", NULL), 0);
    CHECK_EQ(elapsed(), 10);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 10);
    CHECK_STEPS("child woken");
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(start_set_cancelled_just_after_ready_children_are_woken) {
    uvt_set_t set;
    open_set(&set);
    CHECK_EQ(uvt_set_start(&set, ready_with_child, "child woken", NULL), 0);
    CHECK_EQ(uvt_set_abort_all(&set), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 10);
    CHECK_STEPS("child woken");
    CHECK_EQ(uvt_set_close(&set), 0);
}

struct start {
    uvt_set_t *set;
    uvt_fn fn;
    void *arg, *value;
};

static int starts(void *arg) {
    struct start *s = arg;
    return uvt_set_start(s->set, s->fn, s->arg, &s->value);
}

UVT_TEST(start_pending_keeps_the_set_open) {
    uvt_set_t set;
    struct start s = { &set, ready_after, INT(10), NULL };
    uvt_task_t starter;
    open_set(&set);
    CHECK_EQ(uvt_spawn(&starter, starts, &s), 0);
    settle();
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 13);
    CHECK_EQ(uvt_join(starter, NULL), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int fails_after_10(void *arg) {
    CHECK_EQ(uvt_sleep(10), 0);
    return (int)(intptr_t)arg;
}

UVT_TEST(start_pending_that_fails_lets_the_set_end) {
    uvt_set_t set;
    struct start s = { &set, fails_after_10, INT(UV_EIO), NULL };
    uvt_task_t starter;
    open_set(&set);
    CHECK_EQ(uvt_spawn(&starter, starts, &s), 0);
    settle();
    CHECK_EQ(uvt_set_wait(&set), 0); /* the failure is the starter's */
    CHECK_EQ(elapsed(), 10);
    CHECK_EQ(uvt_join(starter, NULL), UV_EIO);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(start_two_together_ready_at_3_end_at_6) {
    uvt_set_t set;
    struct start s[2] = { { &set, ready_after, INT(2), NULL }, { &set, ready_after, INT(3), NULL } };
    uvt_task_t starter[2];
    open_set(&set);
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_spawn(&starter[i], starts, &s[i]), 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_join(starter[i], NULL), 0);
    CHECK_EQ(elapsed(), 3);
    CHECK(s[0].value == INT(2) && s[1].value == INT(3));
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 6);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(start_limit_before_ready_cancels_the_member_too) {
    uvt_set_t set;
    struct start s = { &set, b_cancelled_step, "member", NULL };
    open_set(&set);
    CHECK_EQ(uvt_timeout(2, starts, &s), UV_ETIMEDOUT);
    CHECK_EQ(elapsed(), 2);
    CHECK_STEPS("member"); /* it has ended, too */
    CHECK_EQ(uvt_set_close(&set), 0);
}

struct slow {
    uvt_park_t park; /* first: the abort callback casts */
    int aborts;
};

static int count_aborts(uvt_park_t *p) {
    ((struct slow *)p)->aborts++;
    return UVT_ABORT_LATER;
}

/* Signals ready although a cancel is pending. */
static int parks_then_ready(void *arg) {
    struct slow *s = arg;
    CHECK_EQ(uvt_park(&s->park), UV_ECANCELED);
    uvt_started(NULL);
    CHECK_EQ(b_stubborn(INT(1)), 0);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    return UV_ECANCELED;
}

static int confirms_at_4(void *arg) {
    CHECK_EQ(uvt_sleep(4), 0);
    CHECK(uvt_unpark(&((struct slow *)arg)->park, UV_ECANCELED));
    return 0;
}

UVT_TEST(start_cancel_pending_when_ready_is_neither_lost_nor_doubled) {
    uvt_set_t set;
    struct slow slow = { .park = { .what = "slow", .abort = count_aborts } };
    struct start s = { &set, parks_then_ready, &slow, NULL };
    open_set(&set);
    CHECK_EQ(uvt_spawn(NULL, confirms_at_4, &slow), 0);
    CHECK_EQ(uvt_timeout(2, starts, &s), UV_ETIMEDOUT);
    CHECK_EQ(elapsed(), 5); /* the member was awaited */
    CHECK_EQ(slow.aborts, 1);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(elapsed(), 5);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST_MAIN()
