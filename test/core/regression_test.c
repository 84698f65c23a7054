/* SPDX-License-Identifier: MIT
 *
 * Corners in which tasks, sets, scopes and tokens once went wrong, and which no test of a single feature comes to:
 * something ends, is let go of or is cancelled just while another task is on its way in or out.
 */
#include <pthread.h>
#include <stdio.h>

#include "bodies.h"

/* ---- a wait that is completed by what happens while it begins ---- */

static uvt_semaphore_t sem;

static int acquires_two(void *arg) {
    (void)arg;
    return uvt_semaphore_acquire_many(&sem, 2);
}

static int acquires_one(void *arg) {
    (void)arg;
    return uvt_semaphore_acquire(&sem);
}

static int acquires_shielded(void *arg) {
    return uvt_shielded(UVT_FOREVER, acquires_one, arg);
}

/* A member waits in front, for more permits than there are. The deadline over it has passed and is seen when the
 * opener's own wait begins: the member is cancelled, and its leaving grants the opener's permit. */
static void acquire_as_the_deadline_comes(uvt_fn acquires) {
    uvt_scope_t scope;
    uvt_set_t set;
    CHECK_EQ(uvt_semaphore_init(&sem, 1, 0), 0);
    CHECK_EQ(uvt_scope_begin(&scope, NULL), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, acquires_two, NULL), 0);
    settle();
    CHECK_EQ(uvt_scope_set_deadline(&scope, uvt_now()), 0);
    CHECK_EQ(acquires(NULL), 0); /* granted, so the deadline is seen by the next call only */
    CHECK_EQ(uvt_semaphore_available(&sem), 0);
    CHECK_EQ(uvt_semaphore_waiting(&sem), 0);
    uvt_set_close(&set);
    CHECK_EQ(uvt_scope_end(&scope, uvt_yield()), UV_ETIMEDOUT);
}

UVT_TEST(park_completed_by_the_deadline_it_arms_gives_the_result) {
    acquire_as_the_deadline_comes(acquires_one);
}

UVT_TEST(park_completed_by_the_deadline_it_arms_under_a_shield_does_not_hang) {
    acquire_as_the_deadline_comes(acquires_shielded);
}

static int aborts_asked;

static int counts_abort(uvt_park_t *p) {
    (void)p;
    aborts_asked++;
    return UVT_ABORT_DONE;
}

static uvt_park_t own_wait = { .what = "own", .abort = counts_abort };

static int hands_over(uvt_park_t *p) {
    (void)p;
    CHECK(uvt_unpark(&own_wait, 7));
    return UVT_ABORT_DONE;
}

static int parks_to_hand_over(void *arg) {
    uvt_park_t p = { .what = "to hand over", .abort = hands_over };
    (void)arg;
    return uvt_park(&p);
}

/* An abort after the unpark would unhook a record a second time. */
UVT_TEST(park_completed_by_the_deadline_it_arms_is_not_asked_to_abort) {
    uvt_scope_t scope;
    uvt_set_t set;
    CHECK_EQ(uvt_scope_begin(&scope, NULL), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, parks_to_hand_over, NULL), 0);
    settle();
    CHECK_EQ(uvt_scope_set_deadline(&scope, uvt_now()), 0);
    CHECK_EQ(uvt_park(&own_wait), 7);
    CHECK_EQ(aborts_asked, 0);
    uvt_set_close(&set);
    CHECK_EQ(uvt_scope_end(&scope, UV_ECANCELED), UV_ETIMEDOUT);
}

/* ---- sets ---- */

static uvt_set_t shared_set;

static int detaches_its_siblings(void *arg) {
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    CHECK_EQ(uvt_set_detach_all(&shared_set), 0);
    ++*(int *)arg;
    return 0;
}

static int leaves_the_set_open(void *arg) {
    CHECK_EQ(uvt_set_open(&shared_set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&shared_set, detaches_its_siblings, arg), 0);
    settle();
    return 0;
}

/* The opener waits at its end for a set that no member will ever leave in the usual way. */
UVT_TEST(detach_all_by_a_member_of_a_set_left_open_lets_its_owner_end) {
    int n = 0;
    CHECK_EQ(spawn_and_join(leaves_the_set_open, &n), 0);
    settle();
    CHECK_EQ(n, 1);
}

enum { CHAIN = 1500 };
static int chain_ended;

static int starts_the_next(void *arg) {
    int level = (int)(intptr_t)arg;
    uvt_set_t set;
    if (level == CHAIN) return uvt_sleep(UVT_FOREVER);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    int rc = uvt_set_start(&set, starts_the_next, INT(level + 1), NULL);
    CHECK_EQ(uvt_set_close(&set), 0); /* the member has been awaited */
    chain_ended++;
    return rc;
}

static int aborts_the_chain(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, starts_the_next, arg), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0); /* a cancel that went down by recursion would need a few frames for each level */
    return uvt_join(t, NULL);
}

UVT_TEST_PLAIN(start_in_a_deep_chain_is_cancelled_on_a_small_stack) {
    CHECK_EQ(uvt_test_run(aborts_the_chain, INT(0), &(uvt_options){ .stack_size = 32 << 10 }), UV_ECANCELED);
    CHECK_EQ(chain_ended, CHAIN);
}

static int opens_and_is_aborted(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_set_open(&shared_set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&shared_set, b_cancelled_step, "member"), 0);
    settle();
    CHECK_EQ(uvt_abort(uvt_self()), 0);
    settle();
    CHECK_STEPS(""); /* the shield keeps the member, too */
    return 0;
}

static int waits_for_the_set(void *arg) {
    (void)arg;
    return uvt_set_wait(&shared_set);
}

static int takes_a_set_out_of_a_shield(void *arg) {
    CHECK_EQ(uvt_shielded(UVT_FOREVER, opens_and_is_aborted, arg), 0);
    CHECK_EQ(uvt_shielded(1000, waits_for_the_set, arg), 0); /* would wait for the member's whole life */
    CHECK_STEPS("member");
    return uvt_set_close(&shared_set);
}

UVT_TEST(shield_ends_the_set_opened_in_it_gets_the_pending_cancel) {
    CHECK_EQ(spawn_and_join(takes_a_set_out_of_a_shield, NULL), UV_ECANCELED);
}

static int opens_under_a_cancelled_scope(void *arg) {
    CHECK_EQ(uvt_set_open(&shared_set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&shared_set, b_cancelled_step, "member"), 0);
    settle();
    return uvt_scope_cancel(arg, NULL);
}

UVT_TEST(shield_ends_the_set_opened_in_it_gets_the_cancel_of_an_outer_scope) {
    uvt_scope_t outer;
    CHECK_EQ(uvt_scope_begin(&outer, NULL), 0);
    CHECK_EQ(uvt_shielded(UVT_FOREVER, opens_under_a_cancelled_scope, &outer), 0);
    CHECK_EQ(uvt_shielded(1000, waits_for_the_set, NULL), 0);
    CHECK_STEPS("member");
    uvt_set_close(&shared_set);
    CHECK_EQ(uvt_scope_end(&outer, 0), 0);
}

static int detaches_a_delayed_member(void *arg) {
    uvt_set_t set;
    uvt_task_options in_a_minute = { .start_after_ms = 60000 };
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .drop = d_count }), 0);
    CHECK_EQ(uvt_set_spawn_opts(&set, NULL, b_count, arg, &in_a_minute), 0);
    CHECK_EQ(uvt_set_detach_all(&set), 0);
    return uvt_set_close(&set);
}

/* Who asked the set for it would leak what the argument owns. */
UVT_TEST_PLAIN(set_drop_is_kept_by_a_member_that_is_detached_and_never_runs) {
    int dropped = 0;
    CHECK_EQ(uvt_test_run(detaches_a_delayed_member, &dropped, NULL), 0);
    CHECK_EQ(dropped, 1);
}

/* ---- scopes ---- */

/* It would close a ring of scopes, in which every walk outward goes round for ever. */
UVT_TEST(scope_open_further_out_begun_again_is_refused) {
    uvt_scope_t outer, inner;
    CHECK_EQ(uvt_scope_begin(&outer, NULL), 0);
    CHECK_EQ(uvt_scope_begin(&inner, NULL), 0);
    CHECK_EQ(uvt_scope_begin(&outer, NULL), UV_EINVAL);
    CHECK(uvt_deadline() == UVT_FOREVER);
    CHECK_EQ(uvt_scope_end(&inner, 0), 0);
    CHECK_EQ(uvt_scope_end(&outer, 0), 0);
}

/* ---- tokens ---- */

static int waits_with_its_budget_used_up(void *arg) {
    for (int i = 0; i < 128; i++) CHECK_EQ(uvt_checkpoint(), 0);
    return uvt_token_wait(arg); /* yields on the way in */
}

/* The waiter would look at freed memory when it comes back from its yield. */
UVT_TEST(token_let_go_while_a_waiter_yields_on_its_way_in_stays_for_it) {
    uvt_token_t *token;
    uvt_task_t t;
    CHECK_EQ(uvt_token_new(&token, NULL), 0);
    CHECK_EQ(uvt_spawn(&t, waits_with_its_budget_used_up, token), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_token_cancel(token, NULL), 0);
    size_t held = uvt_test_live_blocks();
    uvt_token_unref(token);
    CHECK_EQ(uvt_test_live_blocks(), held); /* a task is in the wait: it holds the token */
    CHECK_EQ(uvt_join(t, NULL), 0);
}

enum { LEAVES = 5000 };
static struct leaves {
    uvt_token_t *token[LEAVES];
    pthread_barrier_t *start;
} leaves[2];

static int makes_leaves(void *arg) {
    uvt_token_t **root = arg;
    CHECK_EQ(uvt_token_new(root, NULL), 0);
    for (int i = 0; i < LEAVES; i++)
        for (int k = 0; k < 2; k++) CHECK_EQ(uvt_token_new(&leaves[k].token[i], *root), 0);
    return 0;
}

static void lets_leaves_go(void *arg) {
    struct leaves *l = arg;
    pthread_barrier_wait(l->start);
    for (int i = 0; i < LEAVES; i++) uvt_token_unref(l->token[i]);
}

/* Both threads take nodes out of one list of children. */
UVT_TEST_PLAIN(token_children_let_go_by_two_threads_after_the_run_are_released) {
    uvt_token_t *root = NULL;
    uv_thread_t thread;
    pthread_barrier_t start;
    CHECK_EQ(uvt_test_run(makes_leaves, &root, NULL), 0);
    pthread_barrier_init(&start, NULL, 2);
    leaves[0].start = leaves[1].start = &start;
    CHECK_EQ(uv_thread_create(&thread, lets_leaves_go, &leaves[0]), 0);
    lets_leaves_go(&leaves[1]);
    uv_thread_join(&thread);
    uvt_token_unref(root);
    pthread_barrier_destroy(&start);
}

/* ---- handles ---- */

static uvt_task_t main_task, detached_task;

static int joins_itself(void *arg) {
    (void)arg;
    return uvt_join(uvt_self(), NULL);
}

/* The one that waits for it already must not hide the circle. */
UVT_TEST(join_itself_while_being_joined_is_a_deadlock_code) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, joins_itself, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), UVT_EDEADLK);
}

static int tells_its_handle(void *arg) {
    (void)arg;
    detached_task = uvt_self();
    CHECK_EQ(uvt_join(main_task, NULL), UV_EINVAL);
    CHECK_EQ(uvt_detach(main_task), UV_EINVAL);
    return uvt_sleep(10);
}

UVT_TEST(join_a_task_of_the_runtime_is_refused_and_not_called_stale) {
    uvt_task_t t;
    main_task = uvt_self();
    CHECK_EQ(uvt_spawn(&t, tells_its_handle, NULL), 0);
    CHECK_EQ(uvt_detach(t), 0);
    settle();
    CHECK_EQ(uvt_join(t, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_join(detached_task, NULL), UV_EINVAL);
    CHECK_EQ(uvt_detach(detached_task), UV_EINVAL);
    CHECK_EQ(uvt_sleep(20), 0);
}

/* ---- a deadline that is first seen in a wait that goes on ---- */

static uint64_t cancelled_at;

static int notes_its_cancel(void *arg) {
    (void)arg;
    int rc = uvt_sleep(5000);
    cancelled_at = uvt_now();
    return rc;
}

static int shielded_sleep(void *arg) {
    return uvt_shielded(UVT_FOREVER, b_sleep, arg);
}

/* Closing the first set is the first thing that suspends, and takes longer than the deadline of the second one. */
UVT_TEST(deadline_over_two_sets_comes_while_the_first_is_closed) {
    uint64_t begin = uvt_now();
    uvt_scope_t scope;
    uvt_set_t first, second;
    CHECK_EQ(uvt_scope_begin(&scope, &(uvt_scope_options){ .timeout_ms = 50 }), 0);
    CHECK_EQ(uvt_set_open(&first, NULL), 0);
    CHECK_EQ(uvt_set_open(&second, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&first, shielded_sleep, INT(400)), 0);
    CHECK_EQ(uvt_set_spawn(&second, notes_its_cancel, NULL), 0);
    CHECK_EQ(uvt_set_close(&first), 0); /* its member was not cut short */
    CHECK_EQ(cancelled_at, begin + 50);
    CHECK_EQ(uvt_scope_end(&scope, uvt_set_close(&second)), UV_ETIMEDOUT);
}

/* In the cancelled inner scope no call waits, and each of them lets the outer deadline come. */
UVT_TEST(deadline_comes_in_calls_of_a_cancelled_inner_scope) {
    uvt_scope_t outer, inner;
    uvt_set_t set;
    CHECK_EQ(uvt_semaphore_init(&sem, 10, 0), 0);
    CHECK_EQ(uvt_scope_begin(&outer, NULL), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, notes_its_cancel, NULL), 0);
    settle();
    cancelled_at = 0;
    CHECK_EQ(uvt_scope_begin(&inner, NULL), 0);
    CHECK_EQ(uvt_scope_cancel(&inner, NULL), 0);
    CHECK_EQ(uvt_scope_set_deadline(&outer, uvt_now()), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_semaphore_acquire(&sem), UV_ECANCELED);
    CHECK(cancelled_at != 0);
    CHECK_EQ(uvt_scope_end(&inner, UV_ECANCELED), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&outer, uvt_set_close(&set)), UV_ETIMEDOUT);
}

/* ---- a wait for a token that is cancelled while the wait begins ---- */

static uvt_token_t *cancelled_by_abort;

static int cancels_the_token(uvt_park_t *p) {
    (void)p;
    CHECK_EQ(uvt_token_cancel(cancelled_by_abort, NULL), 0);
    return UVT_ABORT_DONE;
}

static int parks_to_cancel_the_token(void *arg) {
    uvt_park_t p = { .what = "a cancel", .abort = cancels_the_token };
    (void)arg;
    return uvt_park(&p);
}

static int waits_for_the_token(void *arg) {
    (void)arg;
    return uvt_token_wait(cancelled_by_abort);
}

static int waits_shielded(void *arg) {
    return uvt_shielded(UVT_FOREVER, waits_for_the_token, arg);
}

/* The deadline over it has passed; when it is seen, as the wait begins, the member's abort cancels the token. */
static void wait_for_a_token_as_the_deadline_comes(uvt_fn waits) {
    uvt_scope_t scope;
    uvt_set_t set;
    uvt_task_t others[3];
    CHECK_EQ(uvt_token_new(&cancelled_by_abort, NULL), 0);
    CHECK_EQ(uvt_scope_begin(&scope, NULL), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, parks_to_cancel_the_token, NULL), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_spawn(&others[i], b_sleep, INT(5)), 0);
    settle();
    CHECK_EQ(uvt_scope_set_deadline(&scope, uvt_now()), 0);
    CHECK_EQ(waits(NULL), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_yield(), UV_ECANCELED);
    CHECK_EQ(uvt_set_close(&set), UV_ECANCELED);
    CHECK_EQ(uvt_scope_end(&scope, UV_ECANCELED), UV_ETIMEDOUT);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_join(others[i], NULL), 0); /* nobody was lost from the queue */
    uvt_token_unref(cancelled_by_abort);
}

UVT_TEST(token_wait_completed_by_the_deadline_it_arms_runs_once) {
    wait_for_a_token_as_the_deadline_comes(waits_for_the_token);
}

UVT_TEST(token_wait_completed_by_the_deadline_it_arms_under_a_shield_runs_once) {
    wait_for_a_token_as_the_deadline_comes(waits_shielded);
}

/* ---- a deadlock whose end was posted ---- */

static uvt_park_t *stuck;
static bool deferred;

static void completes(void *arg) {
    (void)arg;
    CHECK(uvt_unpark(stuck, UV_ECANCELED));
}

static int posts_the_end(uvt_park_t *p) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    stuck = p;
    CHECK_EQ(uvt_post(rt, completes, NULL), 0);
    uvt_runtime_unref(rt);
    return UVT_ABORT_LATER;
}

static void notes_the_defer(void *arg) {
    (void)arg;
    deferred = true;
}

static int parks_for_ever(void *arg) {
    uvt_park_t p = { .what = "nobody", .abort = posts_the_end };
    (void)arg;
    CHECK_EQ(uvt_defer(notes_the_defer, NULL), 0);
    return uvt_park(&p);
}

static void says_nothing(void *arg, const char *text) {
    (void)arg;
    (void)text;
}

UVT_TEST_PLAIN(deadlock_waits_for_an_end_that_was_posted) {
    CHECK_EQ(uvt_run(parks_for_ever, NULL, &(uvt_options){ .report = says_nothing }), UVT_EDEADLK);
    CHECK(deferred);
}

/* ---- stacks ---- */

static int uses_13_kilobytes(void *arg) {
    volatile char frame[13 << 10];
    for (unsigned i = 0; i < sizeof frame; i += 64) frame[i] = 1;
    return (int)(intptr_t)arg + frame[64];
}

/* The guard page does not come off what was asked for. */
UVT_TEST(stack_of_16_kilobytes_has_room_for_a_frame_of_13) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_opts(&t, uses_13_kilobytes, INT(1), &(uvt_task_options){ .stack_size = 16 << 10 }), 0);
    CHECK_EQ(uvt_join(t, NULL), 2);
}

static size_t mapped_bytes(void) {
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL) return 0;
    if (fscanf(f, "%lu", &pages) != 1) pages = 0;
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A whole slab of 64 such stacks would be more than a container lets a process have. */
UVT_TEST(stack_of_8_megabytes_does_not_map_those_of_64_tasks) {
    uvt_task_t t;
    size_t before = mapped_bytes();
    CHECK_EQ(uvt_spawn_opts(&t, b_sleep, INT(1), &(uvt_task_options){ .stack_size = 8 << 20 }), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK(mapped_bytes() < before + (64 << 20));
    CHECK_EQ(uvt_join(t, NULL), 0);
}

UVT_TEST_MAIN()
