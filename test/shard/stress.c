/* SPDX-License-Identifier: MIT
 *
 * A stress of several shards on the real clock: stress [SECONDS] [SHARDS] [SEED]. For that long, tasks on all shards
 * spawn tasks here, there and anywhere, call, abort, share semaphores, send each other oneshots, cancel by tokens,
 * while foreign threads post and block. In the end everything that was counted must come out even; it says what it
 * counted.
 *
 * Not a part of the quick suite: test/stress.sh builds and runs it.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uvtask.h>

#define INT(n) ((void *)(intptr_t)(n))
#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);                                  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { SEMS = 4, PERMITS = 3, FOREIGN = 3, DRIVERS = 4 };

static struct { /* each counted where it happens, compared at the end */
    atomic_ullong spawned, began, ended, joined, cancelled, panicked;
    atomic_ullong calls, calls_back, grants, releases, refused_grants;
    atomic_ullong sent, received, unreceived, closed;
    atomic_ullong tokens, tokens_seen;
    atomic_ullong posts, posts_ran, blocks, blocks_ran;
} n;

static uvt_semaphore_t sems[SEMS];
static atomic_int held[SEMS];
static uint64_t seed, stop_at; /* of uv_hrtime */

static void add(atomic_ullong *counter) {
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static unsigned long long value(atomic_ullong *counter) {
    return atomic_load(counter);
}

static unsigned pick(unsigned below) {
    static __thread uint64_t generator;
    static atomic_uint threads;
    if (!generator) generator = (seed * 1000 + atomic_fetch_add(&threads, 1) + 1) * 0x9e3779b97f4a7c15u | 1;
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return (unsigned)((generator >> 11) % below);
}

static unsigned any_shard(void) {
    return pick(uvt_shard_count());
}

static int any_place(void) {
    return pick(2) ? UVT_ON(any_shard()) : pick(4) ? UVT_ANY : 0;
}

static int act(int depth);

/* ---- bodies ---- */

static void counts_its_end(void *arg) {
    (void)arg;
    add(&n.ended);
}

static int body(void *arg) {
    add(&n.began);
    MUST(uvt_defer(counts_its_end, NULL) == 0);
    if (pick(500) == 0) uvt_panic("now and then");
    for (unsigned times = pick(3); times > 0; times--)
        if (act((int)(intptr_t)arg) == UV_ECANCELED) return UV_ECANCELED;
    return 0;
}

static void count_result(const uvt_result *r) {
    add(&n.joined);
    if (r->outcome == UVT_CANCELLED) add(&n.cancelled);
    if (r->outcome == UVT_PANICKED) add(&n.panicked);
}

/* ---- acts ---- */

static int spawn_one(uvt_task_t *t, int depth) {
    uvt_task_options o = { .place = any_place() };
    int rc = uvt_spawn_opts(t, body, INT(depth - 1), &o);
    MUST(rc == 0);
    add(&n.spawned);
    return rc;
}

static int join_shielded(void *t) {
    uvt_result r;
    int rc = uvt_join(*(uvt_task_t *)t, &r);
    if (rc == 0) count_result(&r);
    return rc;
}

static int do_spawn(int depth) {
    uvt_task_t t[4];
    unsigned many = 1 + pick(4);
    for (unsigned i = 0; i < many; i++) spawn_one(&t[i], depth);
    if (pick(2)) uvt_yield();
    for (unsigned i = 0; i < many; i++)
        if (pick(3) == 0) MUST(uvt_abort(t[i]) == 0);
    for (unsigned i = 0; i < many; i++) MUST(uvt_shielded(UVT_FOREVER, join_shielded, &t[i]) == 0);
    return 0;
}

static int do_set(int depth) {
    uvt_set_t set;
    uvt_result r;
    int rc = 0;
    MUST(uvt_set_open(&set, &(uvt_set_options){ .limit = pick(4), .place = any_place(), .fail_fast = pick(2) }) == 0);
    for (unsigned i = 1 + pick(6); i > 0 && rc == 0; i--)
        if ((rc = uvt_set_spawn(&set, body, INT(depth - 1))) == 0) add(&n.spawned);
    if (pick(4) == 0) MUST(uvt_set_abort_all(&set) == 0);
    while (uvt_set_next(&set, &r) == 0) count_result(&r);
    MUST(uvt_set_abort_all(&set) == 0);
    while (uvt_set_try_next(&set, &r) == 0) count_result(&r);
    for (int left = uvt_set_len(&set); left > 0; left--) add(&n.joined); /* by close, without a look */
    uvt_set_close(&set);
    return rc;
}

struct call {
    int depth, began;
};

static int called(void *arg) {
    struct call *c = arg; /* the caller's local */
    c->began++;
    add(&n.calls_back);
    return act(c->depth) == UV_ECANCELED ? UV_ECANCELED : (int)uvt_shard_index();
}

static int do_call(int depth) {
    unsigned k = any_shard();
    struct call c = { .depth = depth - 1 };
    int rc = uvt_call(k, called, &c);
    MUST(rc == (int)k ? c.began == 1 : rc == UV_ECANCELED && c.began <= 1);
    if (c.began) add(&n.calls); /* one in a cancelled scope never is */
    return rc < 0 ? rc : 0;
}

static int forever(void *arg) {
    (void)arg;
    return uvt_sleep(UVT_FOREVER);
}

static int calls_forever(void *arg) {
    return uvt_call(any_shard(), forever, arg);
}

static int do_timeout(int depth) {
    (void)depth;
    int rc = uvt_timeout(1 + pick(3), calls_forever, NULL);
    MUST(rc == UV_ETIMEDOUT || rc == UV_ECANCELED);
    return rc == UV_ECANCELED ? rc : 0;
}

static int holds(void *arg) {
    unsigned i = (unsigned)(intptr_t)arg / 8, many = (unsigned)(intptr_t)arg % 8;
    int rc = uvt_semaphore_acquire_many(&sems[i], many);
    if (rc < 0) {
        add(&n.refused_grants);
        return rc;
    }
    add(&n.grants);
    MUST(atomic_fetch_add(&held[i], (int)many) + (int)many <= PERMITS);
    if (pick(2)) uvt_yield();
    atomic_fetch_sub(&held[i], (int)many);
    MUST(uvt_semaphore_release(&sems[i], many) == 0);
    add(&n.releases);
    return 0;
}

static int do_semaphore(int depth) {
    void *what = INT(pick(SEMS) * 8 + 1 + pick(PERMITS));
    (void)depth;
    if (pick(2)) return holds(what);
    int rc = uvt_timeout(1, holds, what);
    return rc == UV_ETIMEDOUT ? 0 : rc;
}

static int sender(void *o) {
    if (pick(2)) uvt_yield();
    if (pick(8) == 0) {
        uvt_oneshot_close_tx(o);
        add(&n.closed);
    } else if (uvt_oneshot_send(o, 1, o) == 0) {
        add(&n.sent);
    } else {
        add(&n.closed);
    }
    return 0;
}

static int receive(void *o) {
    void *v = NULL;
    int rc = uvt_oneshot_recv(o, NULL, &v);
    if (rc == 0) {
        MUST(v == o);
        add(&n.received);
    }
    return rc;
}

static int do_oneshot(int depth) {
    uvt_oneshot_t *o;
    uvt_task_t t;
    (void)depth;
    MUST(uvt_oneshot_new(&o, 0) == 0);
    uvt_task_options to = { .place = any_place() };
    MUST(uvt_spawn_opts(&t, sender, o, &to) == 0);
    int rc = pick(3) ? receive(o) : uvt_timeout(1, receive, o);
    int left = uvt_oneshot_close_rx(o, NULL);
    MUST(left >= 0);
    if (left == 1) add(&n.unreceived);
    MUST(uvt_detach(t) == 0);
    return rc == UV_ECANCELED ? rc : 0;
}

static int waits_for_a_token(void *k) {
    int rc = uvt_token_wait(k);
    uvt_token_unref(k);
    if (rc == 0) add(&n.tokens_seen);
    return rc;
}

static int under_a_token(void *k) {
    int rc = uvt_under_token(k, forever, NULL);
    uvt_token_unref(k);
    if (rc == UV_ECANCELED) add(&n.tokens_seen);
    return 0;
}

static int await_two(void *t) {
    for (int i = 0; i < 2; i++) MUST(uvt_join(((uvt_task_t *)t)[i], NULL) <= 0);
    return 0;
}

static int do_token(int depth) {
    uvt_token_t *k, *child;
    uvt_task_t t[2];
    (void)depth;
    MUST(uvt_token_new(&k, NULL) == 0);
    MUST(uvt_token_new(&child, k) == 0);
    for (int i = 0; i < 2; i++) {
        uvt_task_options o = { .place = any_place() };
        MUST(uvt_spawn_opts(&t[i], i ? waits_for_a_token : under_a_token, uvt_token_ref(pick(2) ? k : child), &o) == 0);
    }
    if (pick(2)) uvt_token_unref(child), child = NULL;
    if (pick(2)) uvt_yield();
    MUST(uvt_token_cancel(k, "at random") == 0);
    MUST(uvt_shielded(UVT_FOREVER, await_two, t) == 0);
    uvt_token_unref(child);
    uvt_token_unref(k);
    add(&n.tokens);
    return 0;
}

static int act(int depth) {
    static int (*const leaves[])(int) = { do_semaphore, do_semaphore, do_oneshot, do_token, do_timeout };
    static int (*const branches[])(int) = { do_spawn, do_set, do_call, do_call };
    if (depth > 0 && pick(3)) return branches[pick(sizeof branches / sizeof *branches)](depth);
    return leaves[pick(sizeof leaves / sizeof *leaves)](depth);
}

/* ---- foreign threads ---- */

struct stranger {
    uv_thread_t thread;
    uvt_runtime_t *rt;
    unsigned shards;
};

static void posted(void *arg) {
    (void)arg;
    add(&n.posts_ran);
}

static int blocked(void *arg) {
    add(&n.blocks_ran);
    return pick(2) ? uvt_yield() : (int)(intptr_t)arg;
}

static void stranger(void *arg) {
    struct stranger *s = arg;
    for (int rc = 0; rc == 0;) {
        for (unsigned i = pick(20); i > 0 && rc == 0; i--)
            if ((rc = uvt_post_on(s->rt, pick(s->shards), posted, NULL)) == 0) add(&n.posts);
        if (rc == 0 && (rc = uvt_block_on(s->rt, blocked, NULL)) != UVT_EGONE) add(&n.blocks);
        if (rc == UV_ECANCELED) rc = 0;
        MUST(rc == 0 || rc == UVT_EGONE);
    }
    uvt_runtime_unref(s->rt);
}

/* ---- the run ---- */

static int drives(void *arg) {
    (void)arg;
    while (uv_hrtime() < stop_at) {
        act(5);
        uvt_yield();
    }
    return 0;
}

static int app(void *arg) {
    struct stranger *s = arg;
    uvt_set_t set;
    for (int i = 0; i < SEMS; i++) MUST(uvt_semaphore_init(&sems[i], PERMITS, PERMITS) == 0);
    for (int i = 0; i < FOREIGN; i++) {
        s[i] = (struct stranger){ .rt = uvt_runtime_ref(), .shards = uvt_shard_count() };
        MUST(uv_thread_create(&s[i].thread, stranger, &s[i]) == 0);
    }
    MUST(uvt_set_open(&set, NULL) == 0);
    for (unsigned i = 0; i < DRIVERS * uvt_shard_count(); i++) {
        uvt_task_options o = { .place = UVT_ON(i % uvt_shard_count()) };
        MUST(uvt_set_spawn_opts(&set, NULL, drives, NULL, &o) == 0);
    }
    MUST(uvt_set_wait(&set) == 0);
    MUST(uvt_set_close(&set) == 0);
    for (int i = 0; i < SEMS; i++) {
        MUST(uvt_semaphore_available(&sems[i]) == PERMITS);
        MUST(uvt_semaphore_waiting(&sems[i]) == 0);
    }
    return 0;
}

/* Whatever is said of anything but the panics would be something wrong. */
static void report(void *arg, const char *text) {
    (void)arg;
    if (strncmp(text, "panic:", 6) != 0) fprintf(stderr, "%s\n", text);
}

static int even(const char *what, unsigned long long a, unsigned long long b) {
    printf("%-34s %12llu %12llu %s\n", what, a, b, a == b ? "" : "DIFFER");
    return a != b;
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 10;
    unsigned shards = argc > 2 ? (unsigned)atoi(argv[2]) : 8;
    struct stranger s[FOREIGN];
    seed = argc > 3 ? strtoull(argv[3], NULL, 10) : uv_hrtime() / 1000 % 1000000;
    if (seconds <= 0 || shards == 0) {
        fprintf(stderr, "usage: stress [SECONDS] [SHARDS] [SEED]\n");
        return 2;
    }
    printf("%g s, %u shards, seed %" PRIu64 "\n", seconds, shards, seed);
    fflush(stdout);
    stop_at = uv_hrtime() + (uint64_t)(seconds * 1e9);
    int rc = uvt_run(app, s, &(uvt_options){ .shards = shards, .report = report });
    for (int i = 0; i < FOREIGN; i++) MUST(uv_thread_join(&s[i].thread) == 0);
    int bad = rc != 0;
    if (bad) printf("the run says %s\n", uvt_err_name(rc));
    bad += even("tasks spawned, begun", value(&n.spawned), value(&n.began));
    bad += even("tasks begun, ended", value(&n.began), value(&n.ended));
    bad += even("tasks spawned, joined", value(&n.spawned), value(&n.joined));
    bad += even("calls that returned, callees", value(&n.calls), value(&n.calls_back));
    bad += even("permits granted, given back", value(&n.grants), value(&n.releases));
    bad += even("oneshots sent, received or left", value(&n.sent), value(&n.received) + value(&n.unreceived));
    bad += even("posts accepted, run", value(&n.posts), value(&n.posts_ran));
    bad += even("block_on that returned, tasks", value(&n.blocks), value(&n.blocks_ran));
    printf("%llu cancelled, %llu panicked, %llu grants refused, %llu oneshots closed, %llu tokens (seen %llu times)\n",
           value(&n.cancelled), value(&n.panicked), value(&n.refused_grants), value(&n.closed), value(&n.tokens),
           value(&n.tokens_seen));
    printf("%s\n", bad ? "FAILED" : "ok");
    return bad != 0;
}
