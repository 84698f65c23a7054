/* SPDX-License-Identifier: MIT
 *
 * Trees of tasks that do anything to each other: spawn, join, abort, detach, panic, open sets and leave
 * them open, nest scopes and shields, share a semaphore and a token. Whatever happens, everything ends, every
 * body's defer runs, and nothing is left. The choices come from a fixed generator, so a run that fails can
 * be had again: its number is in the message.
 */
#include "bodies.h"

enum { RUNS = 150, BODIES = 400, KNOWN = 64 };

static uint64_t generator;
static int made, live;          /* bodies started; of them, not ended */
static uvt_task_t known[KNOWN]; /* handles of any age, for others to use and misuse */
static uvt_semaphore_t sem;
static uvt_token_t *token;
static bool memory_fails;

static unsigned pick(unsigned n) {
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return (unsigned)((generator >> 11) % n);
}

static uvt_task_t *any_known(void) {
    return &known[pick(KNOWN)];
}

static int act(int depth, int times);

static int act_under(void *arg) {
    return act((int)(intptr_t)arg, 1 + (int)pick(4));
}

/* ---- bodies ---- */

static void ended(void *arg) {
    (void)arg;
    live--;
}

static void cleans_up(void *arg) {
    (void)arg;
    if (pick(3) == 0) uvt_sleep(pick(5));
    if (pick(40) == 0) uvt_panic("in a defer");
    if (pick(10) == 0) uvt_spawn(NULL, b_sleep, INT(pick(20)));
}

static int body(void *arg) {
    made++;
    live++;
    if (uvt_defer(ended, NULL) < 0) live--;
    if (pick(4) == 0) uvt_defer(cleans_up, NULL);
    return act((int)(intptr_t)arg, 1 + (int)pick(8));
}

static int member(void *arg) {
    if (pick(2)) uvt_sleep(pick(6));
    if (pick(3)) uvt_started(arg);
    return body(arg);
}

/* ---- what they do ---- */

static int do_wait(int depth) {
    (void)depth;
    return pick(4) ? uvt_sleep(pick(20)) : uvt_yield();
}

static int do_spawn(int depth) {
    uvt_task_t t;
    uvt_result r;
    uvt_task_options o = { .start_after_ms = pick(3) ? 0 : pick(20) };
    if (depth == 0 || made >= BODIES) return 0;
    int rc = uvt_spawn_opts(&t, body, INT(depth - 1), &o);
    if (rc < 0) return rc;
    *any_known() = t;
    if (pick(2)) return uvt_join(t, pick(2) ? &r : NULL);
    return pick(6) ? 0 : uvt_detach(t);
}

static int do_abort(int depth) {
    (void)depth;
    uvt_abort(*any_known());
    return 0;
}

static int do_join(int depth) {
    (void)depth;
    int rc = uvt_timeout(3, b_join, any_known());
    return rc == UV_ECANCELED ? rc : 0;
}

static int do_scope(int depth) {
    uvt_scope_t s;
    uvt_scope_options o = { .timeout_ms = pick(15) };
    o.shield = pick(4) == 0;
    o.token = pick(4) ? NULL : token;
    CHECK_EQ(uvt_scope_begin(&s, &o), 0);
    int rc = act(depth, 1 + (int)pick(3));
    if (pick(3) == 0) uvt_scope_cancel(&s, "at random");
    if (pick(4) == 0) uvt_scope_set_shield(&s, pick(2));
    if (pick(4) == 0) uvt_scope_set_deadline(&s, uvt_now() + pick(5));
    if (rc >= 0) rc = act(depth, 1);
    return uvt_scope_end(&s, rc);
}

static void fill_set(uvt_set_t *set, int depth) {
    uvt_task_t t;
    void *value;
    for (unsigned n = pick(5); n > 0; n--) {
        if (pick(4) == 0)
            uvt_set_start(set, member, INT(depth), &value);
        else if (uvt_set_spawn_opts(set, &t, body, INT(depth), NULL) == 0)
            *any_known() = t;
    }
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
    uvt_set_options o = { .limit = pick(4) };
    o.fail_fast = pick(2);
    o.discard = pick(3) == 0;
    if (depth == 0 || made >= BODIES) return 0;
    int rc = uvt_set_open(&set, &o);
    if (rc < 0) return rc;
    fill_set(&set, depth - 1);
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

static int do_stackless(int depth) {
    uvt_oneshot_t *o;
    uvt_task_t t;
    (void)depth;
    int rc = uvt_oneshot_new(&o, 0);
    if (rc < 0) return rc;
    rc = uvt_spawn_oneshot(&t, o, NULL);
    if (rc < 0)
        uvt_oneshot_close_rx(o, NULL);
    else
        *any_known() = t;
    if (rc == 0 && pick(2))
        uvt_oneshot_send(o, (int)pick(3) - 1, NULL);
    else
        uvt_oneshot_close_tx(o);
    return rc < 0 || pick(2) ? rc : uvt_join(t, NULL);
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
    static int (*const actions[])(int) = { do_wait,     do_wait,      do_spawn,     do_spawn, do_abort,
                                           do_join,     do_scope,     do_set,       do_set,   do_function,
                                           do_function, do_semaphore, do_stackless, do_harm };
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
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_spawn(NULL, body, INT(4)), 0);
    return uvt_sleep(30 + pick(100));
}

static void many_runs(uint64_t first) {
    for (uint64_t run = first; run < first + RUNS; run++) {
        generator = run * 0x9e3779b97f4a7c15u | 1;
        made = live = 0;
        uvt_options o = { .grace_ms = 50, .seed = pick(2) ? 1 + pick(1000) : 0 };
        uvt_test_run(root, NULL, &o);
        uvt_test_fail_alloc(0);
        uvt_token_unref(token);
        if (live != 0) uvt_test_fail(__FILE__, __LINE__, "run %d: %d bodies did not end", (int)run, live);
        if (uvt_test_live_blocks() != 0) uvt_test_fail(__FILE__, __LINE__, "run %d left memory", (int)run);
        if (made < 4) uvt_test_fail(__FILE__, __LINE__, "run %d did nothing", (int)run);
    }
}

UVT_TEST_PLAIN(random_trees_end_and_leave_nothing) {
    many_runs(1);
}

UVT_TEST_PLAIN(random_trees_without_memory_end_and_leave_nothing) {
    memory_fails = true;
    many_runs(1001);
}

UVT_TEST_MAIN()
