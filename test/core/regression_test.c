/* SPDX-License-Identifier: MIT
 *
 * Corners in which tasks, sets, scopes, tokens and oneshots once went wrong, and which no test of a single feature
 * comes to: something ends, is let go of or is cancelled just while another task is on its way in or out.
 *
 * The program has its own uv_mutex_lock, which stops a thread where a test wants it to be interrupted.
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
    CHECK_EQ(uvt_set_close(&set), rc == UV_ECANCELED ? UV_ECANCELED : 0);
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
    size_t before = uvt_test_live_blocks();
    CHECK_EQ(uvt_token_new(&token, NULL), 0);
    CHECK_EQ(uvt_spawn(&t, waits_with_its_budget_used_up, token), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_token_cancel(token, NULL), 0);
    size_t held = uvt_test_live_blocks();
    uvt_token_unref(token);
    CHECK_EQ(uvt_test_live_blocks(), held); /* a task is in the wait: it holds the token */
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK(uvt_test_live_blocks() < held);
    CHECK(before < held);
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

/* ---- oneshots ---- */

static int receives_7(void *arg) {
    int status = 0;
    CHECK_EQ(uvt_oneshot_recv(arg, &status, NULL), 0);
    CHECK_EQ(status, 7);
    return 0;
}

/* Both ends would be back, and the memory freed, before the woken receiver takes its value. */
UVT_TEST(oneshot_closed_while_its_receiver_is_about_to_take_is_busy) {
    uvt_oneshot_t *o;
    uvt_task_t t;
    void *value;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_spawn(&t, receives_7, o), 0);
    settle();
    CHECK_EQ(uvt_oneshot_send(o, 7, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, &value), UV_EBUSY);
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), UV_EBUSY);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, &value), 0);
}

static int receives_with_its_budget_used_up(void *arg) {
    for (int i = 0; i < 128; i++) CHECK_EQ(uvt_checkpoint(), 0);
    return receives_7(arg);
}

UVT_TEST(oneshot_closed_while_its_receiver_yields_on_its_way_in_is_busy) {
    uvt_oneshot_t *o;
    uvt_task_t t;
    void *value;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_spawn(&t, receives_with_its_budget_used_up, o), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, &value), UV_EBUSY);
    CHECK_EQ(uvt_oneshot_send(o, 7, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, &value), 0);
}

static __thread bool stops_at_lock;
static bool lock_is_ours;
static uv_sem_t stopped, go_on;

/* Weak: where libuv is linked statically its own is taken, and the test below has nothing to say. */
__attribute__((weak)) void uv_mutex_lock(uv_mutex_t *m) {
    lock_is_ours = true;
    if (stops_at_lock) {
        stops_at_lock = false;
        uv_sem_post(&stopped);
        uv_sem_wait(&go_on);
    }
    CHECK_EQ(pthread_mutex_lock(m), 0);
}

static int send_rc;

static void sends_slowly(void *arg) {
    stops_at_lock = true; /* the value is there for the receiver, but the loop has not been told */
    send_rc = uvt_oneshot_send(arg, 0, &send_rc);
}

static int takes_the_value(void *arg) {
    uvt_oneshot_t *o;
    void *value = NULL;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uv_thread_create(arg, sends_slowly, o), 0);
    uv_sem_wait(&stopped);
    CHECK_EQ(uvt_oneshot_try_recv(o, NULL, &value), 0);
    CHECK(value == &send_rc);
    return uvt_oneshot_close_rx(o, NULL);
}

/* A sender that is told UVT_EGONE keeps the value, which would then have two owners. */
UVT_TEST_PLAIN(oneshot_value_taken_as_the_runtime_ends_is_not_the_senders_any_more) {
    uv_thread_t thread;
    uv_mutex_t m;
    CHECK_EQ(uv_mutex_init(&m), 0);
    uv_mutex_lock(&m);
    uv_mutex_unlock(&m);
    uv_mutex_destroy(&m);
    if (!lock_is_ours) return;
    CHECK_EQ(uv_sem_init(&stopped, 0), 0);
    CHECK_EQ(uv_sem_init(&go_on, 0), 0);
    CHECK_EQ(uvt_test_run(takes_the_value, &thread, NULL), 0);
    uv_sem_post(&go_on);
    uv_thread_join(&thread);
    CHECK_EQ(send_rc, 0);
    uv_sem_destroy(&stopped);
    uv_sem_destroy(&go_on);
}

/* ---- semaphores, stacks ---- */

UVT_TEST(semaphore_with_the_greatest_limit_keeps_being_one_with_a_limit) {
    uvt_semaphore_t s;
    CHECK_EQ(uvt_semaphore_init(&s, 1, INT32_MAX), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&s, 4), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&s, INT32_MAX), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&s, 1), 0);
    CHECK_EQ(uvt_semaphore_init(&s, 1, 0), 0);
    CHECK_EQ(uvt_semaphore_set_limit(&s, 1), UV_EINVAL);
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
