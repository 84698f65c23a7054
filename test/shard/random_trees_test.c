/* SPDX-License-Identifier: MIT
 *
 * Trees of tasks over several shards that do anything to each other, as core/random_tree_test.c does on one: spawn
 * here, there and anywhere, join, abort (by handles of all shards), detach, panic, call, open sets, share a semaphore,
 * a token and oneshots. Whatever happens everything ends, and nothing is left.
 */
#include <pthread.h>

#include "shards.h"

enum { RUNS = 60, BODIES = 400, KNOWN = 64 };

static __thread uint64_t generator;
static uint64_t run_number;
static atomic_int made, live; /* bodies started; of them, not ended */
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;
static uvt_task_t known[KNOWN]; /* handles of any age and shard, for others to use and misuse */
static uvt_semaphore_t sem;
static uvt_token_t *token;
static bool memory_fails;

static unsigned pick(unsigned n) {
    if (!generator) generator = (run_number * 64 + uvt_shard_index() + 1) * 0x9e3779b97f4a7c15u | 1;
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return (unsigned)((generator >> 11) % n);
}

static uvt_task_t any_known(void) {
    pthread_mutex_lock(&known_lock);
    uvt_task_t t = known[pick(KNOWN)];
    pthread_mutex_unlock(&known_lock);
    return t;
}

static void make_known(uvt_task_t t) {
    pthread_mutex_lock(&known_lock);
    known[pick(KNOWN)] = t;
    pthread_mutex_unlock(&known_lock);
}

static int any_place(void) {
    return pick(3) ? UVT_ON(pick(uvt_shard_count())) : UVT_ANY;
}

static int act(int depth, int times);

static int act_under(void *arg) {
    return act((int)(intptr_t)arg, 1 + (int)pick(4));
}

/* ---- bodies ---- */

static void ended(void *arg) {
    (void)arg;
    atomic_fetch_sub(&live, 1);
}

static void cleans_up(void *arg) {
    (void)arg;
    if (pick(3) == 0) uvt_sleep(pick(5));
    if (pick(40) == 0) uvt_panic("in a defer");
    if (pick(6) == 0) uvt_call(pick(uvt_shard_count()), b_sleep, INT(pick(5)));
    uvt_task_options o = { .place = any_place() };
    if (pick(8) == 0) uvt_spawn_opts(NULL, b_sleep, INT(pick(20)), &o);
}

static int body(void *arg) {
    atomic_fetch_add(&made, 1);
    atomic_fetch_add(&live, 1);
    if (uvt_defer(ended, NULL) < 0) atomic_fetch_sub(&live, 1);
    if (pick(4) == 0) uvt_defer(cleans_up, NULL);
    return act((int)(intptr_t)arg, 1 + (int)pick(8));
}

/* ---- what they do ---- */

static int do_wait(int depth) {
    (void)depth;
    return pick(4) ? uvt_sleep(pick(20)) : uvt_yield();
}

static int do_spawn(int depth) {
    uvt_task_t t;
    uvt_result r;
    uvt_task_options o = { .place = pick(4) ? any_place() : 0 };
    if (depth == 0 || atomic_load(&made) >= BODIES) return 0;
    int rc = uvt_spawn_opts(&t, body, INT(depth - 1), &o);
    if (rc < 0) return rc;
    make_known(t);
    if (pick(2)) return uvt_join(t, pick(2) ? &r : NULL);
    return pick(6) ? 0 : uvt_detach(t);
}

static int do_call(int depth) {
    if (depth == 0 || atomic_load(&made) >= BODIES) return 0;
    int rc = uvt_call(pick(uvt_shard_count()), pick(2) ? body : act_under, INT(depth - 1));
    return pick(2) ? rc : 0;
}

static int do_abort(int depth) {
    (void)depth;
    uvt_abort(any_known());
    return 0;
}

static int do_join(int depth) {
    uvt_task_t t = any_known();
    (void)depth;
    int rc = uvt_timeout(3, b_join, &t);
    return rc == UV_ECANCELED ? rc : 0;
}

static int do_scope(int depth) {
    uvt_scope_t s;
    uvt_scope_options o = { .timeout_ms = pick(15) };
    o.shield = pick(4) == 0;
    o.token = pick(4) ? NULL : token;
    int rc = uvt_scope_begin(&s, &o);
    if (rc < 0) return rc; /* no memory for its part of the token */
    rc = act(depth, 1 + (int)pick(3));
    if (pick(3) == 0) uvt_scope_cancel(&s, "at random");
    if (pick(4) == 0) uvt_scope_set_shield(&s, pick(2));
    if (rc >= 0) rc = act(depth, 1);
    return uvt_scope_end(&s, rc);
}

static int use_set(uvt_set_t *set, int depth) {
    uvt_result r;
    int rc = 0;
    switch (pick(6)) {
    case 0:
        return uvt_set_wait(set);
    case 1:
        while (rc == 0) rc = uvt_set_next(set, &r);
        return rc == UV_EOF ? 0 : rc;
    case 2:
        return uvt_set_abort_all(set);
    case 3:
        return uvt_set_detach_all(set);
    case 4:
        return act(depth, 1);
    default:
        return 0;
    }
}

static int do_set(int depth) {
    uvt_set_t set;
    uvt_task_t t;
    uvt_set_options o = { .limit = pick(4), .place = pick(2) ? any_place() : 0 };
    o.fail_fast = pick(2);
    o.discard = pick(3) == 0;
    if (depth == 0 || atomic_load(&made) >= BODIES) return 0;
    int rc = uvt_set_open(&set, &o);
    if (rc < 0) return rc;
    for (unsigned n = pick(5); n > 0; n--)
        if (uvt_set_spawn_opts(&set, &t, body, INT(depth - 1), NULL) == 0) make_known(t);
    rc = use_set(&set, depth - 1);
    return pick(8) ? uvt_set_close(&set) : rc; /* one in eight stays open */
}

static int do_function(int depth) {
    switch (pick(3)) {
    case 0:
        return uvt_timeout(pick(12), act_under, INT(depth));
    case 1:
        return uvt_shielded(pick(2) ? UVT_FOREVER : pick(10), act_under, INT(depth));
    default:
        return uvt_under_token(token, act_under, INT(depth));
    }
}

static int do_semaphore(int depth) {
    (void)depth;
    int rc = uvt_semaphore_acquire(&sem);
    if (rc < 0) return rc;
    uvt_sleep(pick(4));
    return uvt_semaphore_release(&sem, 1);
}

static int sends(void *o) {
    uvt_sleep(pick(5));
    if (pick(3)) return uvt_oneshot_send(o, 1, NULL);
    uvt_oneshot_close_tx(o);
    return 0;
}

/* No memory to begin there: the sender's end is nobody's any more. */
static void unsent(void *o) {
    uvt_oneshot_close_tx(o);
}

static int do_oneshot(int depth) {
    uvt_oneshot_t *o;
    (void)depth;
    int rc = uvt_oneshot_new(&o, 0);
    if (rc < 0) return rc;
    uvt_task_options to = { .place = any_place(), .drop = unsent };
    rc = uvt_spawn_opts(NULL, sends, o, &to);
    if (rc < 0) uvt_oneshot_close_tx(o);
    rc = uvt_oneshot_recv(o, NULL, NULL);
    CHECK(uvt_oneshot_close_rx(o, NULL) >= 0);
    return rc == UV_ECANCELED ? rc : 0;
}

static int do_harm(int depth) {
    (void)depth;
    if (memory_fails && pick(3) == 0) uvt_test_fail_alloc(1 + pick(6));
    if (pick(30) == 0) uvt_panic("at random");
    if (pick(60) == 0) uvt_token_cancel(token, NULL);
    uvt_defer(cleans_up, NULL);
    return pick(2) ? 0 : UV_EIO;
}

static int act(int depth, int times) {
    static int (*const actions[])(int) = { do_wait,      do_wait,    do_spawn, do_spawn, do_abort,
                                           do_join,      do_scope,   do_set,   do_set,   do_function,
                                           do_semaphore, do_oneshot, do_call,  do_call,  do_harm };
    int rc = 0;
    while (times-- > 0) {
        rc = actions[pick(sizeof actions / sizeof *actions)](depth);
        if (rc < 0 && pick(2)) return rc; /* as often as not it is ignored */
    }
    return rc;
}

/* ---- the runs ---- */

static int root(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_semaphore_init(&sem, 2, 0), 0);
    CHECK_EQ(uvt_token_new(&token, NULL), 0);
    memset(known, 0, sizeof known);
    for (unsigned i = 0; i < 4; i++) {
        uvt_task_options o = { .place = UVT_ON(i % uvt_shard_count()) };
        int rc = uvt_spawn_opts(NULL, body, INT(4), &o);
        if (rc < 0) CHECK(memory_fails && rc == UV_ENOMEM); /* the first bodies run already, and do their harm */
    }
    return uvt_sleep(30 + pick(100));
}

static void many_runs(uint64_t first, unsigned shards) {
    for (run_number = first; run_number < first + RUNS; run_number++) {
        generator = 0;
        atomic_store(&made, 0);
        atomic_store(&live, 0);
        uvt_options o = { .grace_ms = 50, .shards = shards };
        o.seed = pick(2) ? 1 + pick(1000) : 0;
        uvt_test_run(root, NULL, &o);
        uvt_test_fail_alloc(0);
        uvt_token_unref(token);
        int left = atomic_load(&live);
        if (left != 0) uvt_test_fail(__FILE__, __LINE__, "run %d: %d bodies did not end", (int)run_number, left);
        if (uvt_test_live_blocks() != 0) uvt_test_fail(__FILE__, __LINE__, "run %d left memory", (int)run_number);
    }
}

UVT_TEST_PLAIN(random_trees_over_two_shards_end_and_leave_nothing) {
    many_runs(1, 2);
}

UVT_TEST_PLAIN(random_trees_over_five_shards_end_and_leave_nothing) {
    many_runs(1001, 5);
}

UVT_TEST_PLAIN(random_trees_over_three_shards_without_memory_end_and_leave_nothing) {
    memory_fails = true;
    many_runs(2001, 3);
}

UVT_TEST_MAIN()
