/* SPDX-License-Identifier: MIT
 *
 * Selects over objects that several shards use: whoever completes first claims the choice, wherever it is; the others
 * pass on.
 */
#include "shards.h"

static uvt_semaphore_t sem[3];

static void init(unsigned permits) {
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_semaphore_init(&sem[i], permits, 0), 0);
}

static void check_left(int permits) {
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_semaphore_available(&sem[i]), permits);
        CHECK_EQ(uvt_semaphore_waiting(&sem[i]), 0);
    }
}

static int release(void *arg) {
    return uvt_semaphore_release(arg, 1);
}

static int selects(void *arg) {
    uvt_case_t c[] = { uvt_case_acquire(&sem[0], 1), uvt_case_acquire(&sem[1], 1), uvt_case_acquire(&sem[2], 1) };
    (void)arg;
    int at = uvt_select(c, 3, 0);
    return at < 0 ? at : c[at].result < 0 ? c[at].result : at;
}

ON_SHARDS(3, select_is_woken_by_another_shard_and_leaves_its_other_lines) {
    init(0);
    uvt_task_t t = settled_on(1, selects, NULL);
    CHECK_EQ(uvt_call(2, release, &sem[1]), 0);
    CHECK_EQ(uvt_join(t, NULL), 1);
    check_left(0);
}

ON_SHARDS(3, select_served_by_one_shard_is_passed_over_by_the_next) {
    init(0);
    uvt_task_t t = settled_on(1, selects, NULL);
    CHECK_EQ(uvt_semaphore_release(&sem[0], 1), 0); /* on its way */
    CHECK_EQ(uvt_semaphore_release(&sem[2], 1), 0);
    CHECK_EQ(uvt_semaphore_available(&sem[2]), 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_semaphore_try_acquire(&sem[2], 1), 0);
    check_left(0);
}

ON_SHARDS(3, select_permit_on_its_way_beats_the_cancel_behind_it) {
    init(0);
    uvt_task_t t = settled_on(1, selects, NULL);
    CHECK_EQ(uvt_semaphore_release(&sem[0], 1), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    check_left(0);
}

ON_SHARDS(2, select_cancelled_elsewhere_takes_nothing) {
    init(0);
    uvt_task_t t = settled_on(1, selects, NULL);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    check_left(0);
}

ON_SHARDS(4, select_closed_semaphore_ends_selects_of_all_shards) {
    uvt_task_t t[4];
    init(0);
    for (unsigned k = 0; k < 4; k++) t[k] = settled_on(k, selects, NULL);
    uvt_semaphore_close(&sem[1]);
    for (unsigned k = 0; k < 4; k++) CHECK_EQ(uvt_join(t[k], NULL), UVT_ECLOSED);
    check_left(0);
}

/* ---- tokens and oneshots of other shards ---- */

static uvt_token_t *token;

static int waits_for_token(void *arg) {
    uvt_case_t c[] = { uvt_case_token(token), uvt_case_sleep((uint64_t)(intptr_t)arg) };
    int at = uvt_select(c, 2, 0);
    return at < 0 ? at : c[at].result < 0 ? c[at].result : at;
}

ON_SHARDS(3, select_token_of_another_shard_wins_when_it_is_cancelled) {
    CHECK_EQ(uvt_token_new(&token, NULL), 0);
    uvt_task_t t = settled_on(1, waits_for_token, INT(1000));
    CHECK_EQ(uvt_token_cancel(token, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_call(2, waits_for_token, INT(1000)), 0); /* already */
    uvt_token_unref(token);
}

ON_SHARDS(2, select_token_of_another_shard_that_lost_is_let_go_of) {
    CHECK_EQ(uvt_token_new(&token, NULL), 0);
    CHECK_EQ(uvt_call(1, waits_for_token, INT(5)), 1);
    CHECK_EQ(uvt_token_cancel(token, NULL), 0);
    uvt_token_unref(token);
}

static int waits_for_token_without_memory(void *arg) {
    uvt_test_fail_alloc(1);
    int rc = waits_for_token(arg);
    uvt_test_fail_alloc(0);
    return rc;
}

ON_SHARDS(2, select_token_of_another_shard_without_memory_is_its_result) {
    CHECK_EQ(uvt_token_new(&token, NULL), 0);
    CHECK_EQ(uvt_call(1, waits_for_token_without_memory, INT(5)), UV_ENOMEM);
    uvt_token_unref(token);
}

static uvt_oneshot_t *shot;

static int waits_for_shot(void *arg) {
    int status = -1;
    uvt_case_t c[] = { uvt_case_oneshot(shot, &status, NULL), uvt_case_sleep((uint64_t)(intptr_t)arg) };
    int at = uvt_select(c, 2, 0);
    return at < 0 ? at : at == 1 ? -1 : c[0].result < 0 ? c[0].result : status;
}

static int sends_shot(void *arg) {
    (void)arg;
    return uvt_oneshot_send(shot, 8, NULL);
}

ON_SHARDS(3, select_oneshot_lost_elsewhere_then_sent_from_a_third_shard_wins) {
    CHECK_EQ(uvt_oneshot_new(&shot, 0), 0);
    CHECK_EQ(uvt_call(1, waits_for_shot, INT(5)), -1);
    uvt_task_t t = settled_on(1, waits_for_shot, INT(1000));
    CHECK_EQ(uvt_call(2, sends_shot, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 8);
    CHECK_EQ(uvt_oneshot_close_rx(shot, NULL), 0);
}

/* ---- exact counts, on real threads ---- */

#define PERMITS 3

static atomic_int wins, cancels;

static uint32_t next(uint32_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 17;
    return *x ^= *x << 5;
}

/* Takes something from one of the lines, in every order and size, and gives it back. */
static int takes_at_random(void *arg) {
    uint32_t x = 77 + (uint32_t)(intptr_t)arg * 2654435761u;
    for (int i = 0; i < 300; i++) {
        uvt_case_t c[5];
        unsigned of[4];
        for (int k = 0; k < 4; k++) {
            of[k] = next(&x) % 3;
            c[k] = uvt_case_acquire(&sem[of[k]], 1 + next(&x) % PERMITS);
            c[k].disabled = k > 1 && next(&x) % 2;
        }
        c[4] = uvt_case_sleep(1);
        c[4].disabled = next(&x) % 4 != 0;
        int at = uvt_select(c, 5, next(&x) % 2 ? UVT_SELECT_BIASED : 0);
        if (at == UV_ECANCELED) {
            atomic_fetch_add(&cancels, 1);
            return 0;
        }
        CHECK(at >= 0);
        CHECK_EQ(c[at].result, 0);
        if (at == 4) continue;
        atomic_fetch_add(&wins, 1);
        if (next(&x) % 4 == 0) uvt_yield();
        CHECK_EQ(uvt_semaphore_release(&sem[of[at]], (unsigned)c[at].n), 0);
    }
    return 0;
}

ON_SHARDS_REAL(4, select_random_ones_of_four_shards_lose_no_permit) {
    uvt_task_t t[16];
    init(PERMITS);
    for (unsigned i = 0; i < 16; i++) t[i] = spawn_on(i % 4, takes_at_random, INT(i));
    for (unsigned i = 0; i < 16; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    check_left(PERMITS);
    CHECK(atomic_load(&wins) > 1000);
}

static int spawns_and_aborts(void *arg) {
    uint32_t x = 1234 + (uint32_t)(intptr_t)arg;
    for (unsigned i = 0; i < 60; i++) {
        uvt_task_t t = spawn_on(next(&x) % 4, takes_at_random, INT(next(&x)));
        for (unsigned n = next(&x) % 8; n > 0; n--) uvt_yield();
        CHECK_EQ(uvt_abort(t), 0);
        CHECK_EQ(uvt_join(t, NULL) <= 0, 1);
    }
    return 0;
}

ON_SHARDS_REAL(4, select_cancels_racing_grants_of_four_shards_lose_no_permit) {
    uvt_task_t t[8];
    init(PERMITS);
    for (unsigned k = 0; k < 8; k++) t[k] = spawn_on(k % 4, spawns_and_aborts, INT(k));
    for (unsigned k = 0; k < 8; k++) CHECK_EQ(uvt_join(t[k], NULL), 0);
    check_left(PERMITS);
}

/* Releases to two lines at once from two shards: the one that is not taken stays. */
ON_SHARDS_REAL(4, select_two_shards_complete_it_at_once_exactly_one_is_consumed) {
    init(0);
    for (int i = 0; i < 300; i++) {
        uvt_task_t t = spawn_on(1, selects, NULL);
        if (i % 2) uvt_yield();
        uvt_task_t a = spawn_on(2, release, &sem[0]), b = spawn_on(3, release, &sem[2]);
        int at = uvt_join(t, NULL);
        CHECK_EQ(uvt_join(a, NULL), 0);
        CHECK_EQ(uvt_join(b, NULL), 0);
        CHECK(at == 0 || at == 2);
        CHECK_EQ(uvt_semaphore_try_acquire(&sem[2 - at], 1), 0);
        check_left(0);
    }
}

/* The answer to a oneshot races the time: it is had exactly once. */
ON_SHARDS_REAL(2, select_oneshot_racing_the_time_is_received_exactly_once) {
    for (int i = 0; i < 100; i++) {
        int status = 0;
        CHECK_EQ(uvt_oneshot_new(&shot, 0), 0);
        uvt_task_t t = spawn_on(1, sends_shot, NULL);
        uvt_case_t c[] = { uvt_case_oneshot(shot, &status, NULL), uvt_case_sleep((uint64_t)(i % 2)) };
        if (uvt_select(c, 2, i % 4 ? 0 : UVT_SELECT_BIASED) == 1) CHECK_EQ(uvt_oneshot_recv(shot, &status, NULL), 0);
        CHECK_EQ(status, 8);
        CHECK_EQ(uvt_join(t, NULL), 0);
        CHECK_EQ(uvt_oneshot_close_rx(shot, NULL), 0);
    }
}

UVT_TEST_MAIN()
