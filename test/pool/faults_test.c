/* SPDX-License-Identifier: MIT
 *
 * What fails under the pool's calls: memory, libuv, and the calling task, cancelled at each of its suspensions. Each
 * call is whole or not at all: a failed one has handed nothing over, nothing is left of it, and it works when it is
 * made again.
 */
#include "jobs.h"

static int square_chunk(void *ctx, size_t begin, size_t end) {
    for (; begin < end; begin++) atomic_fetch_add((atomic_int *)ctx, 1);
    return 0;
}

static int sum_chunk(void *ctx, size_t begin, size_t end, void *acc) {
    (void)ctx;
    for (; begin < end; begin++) *(uint64_t *)acc += begin;
    return 0;
}

static void add_sums(void *ctx, void *into, const void *from) {
    (void)ctx;
    *(uint64_t *)into += *(const uint64_t *)from;
}

/* ---- one of everything, each call again when it failed ---- */

static int fails_as; /* the code that a failure shows itself as */

#define AGAIN(call)                                                                                                    \
    do {                                                                                                               \
        int again_rc = (call);                                                                                         \
        if (again_rc == fails_as) {                                                                                    \
            CHECK(uvt_test_fail_hit());                                                                                \
            again_rc = (call);                                                                                         \
        }                                                                                                              \
        CHECK_EQ(again_rc, 0);                                                                                         \
    } while (0)

static void blocking_again(void) {
    atomic_int ran = 0;
    int before = atomic_load(&ran);
    int rc = uvt_blocking(count_job, &ran);
    CHECK_EQ(atomic_load(&ran) - before, rc == 0);
    if (rc != 0) AGAIN(uvt_blocking(count_job, &ran));
    CHECK_EQ(ran, 1);
}

static void spawn_again(const char *name) {
    atomic_int ran = 0;
    uvt_task_t t = { 0 };
    uvt_stats a, b;
    uvt_blocking_options o = { .name = name };
    CHECK_EQ(uvt_stats_get(&a), 0);
    int rc = uvt_spawn_blocking_opts(&t, count_job, &ran, &o);
    CHECK_EQ(uvt_stats_get(&b), 0);
    CHECK_EQ(b.tasks, a.tasks + (rc == 0));
    CHECK_EQ(b.records, a.records + (rc == 0));
    CHECK_EQ(b.spawned, a.spawned + (rc == 0));
    CHECK_EQ(t.id != 0, rc == 0);
    if (rc != 0) AGAIN(uvt_spawn_blocking_opts(&t, count_job, &ran, &o));
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(ran, 1);
}

static void members_again(void) {
    atomic_int ran = 0;
    uvt_set_t set;
    AGAIN(uvt_set_open(&set, &(uvt_set_options){ .limit = 2 }));
    for (int i = 0; i < 5; i++) {
        int before = uvt_set_len(&set);
        int rc = uvt_set_spawn_blocking_opts(&set, NULL, count_job, &ran, &(uvt_blocking_options){ .name = "member" });
        if (rc != 0) CHECK_EQ(uvt_set_len(&set), before);
        if (rc != 0) AGAIN(uvt_set_spawn_blocking(&set, count_job, &ran));
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(ran, 5);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static void panic_again(void) {
    uvt_task_t t = { 0 };
    uvt_result r;
    AGAIN(uvt_spawn_blocking(&t, panic_job, INT(1)));
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_PANICKED); /* the message may be lost, the outcome is not */
    CHECK_EQ(r.status, UVT_EPANIC);
    if (!uvt_test_fail_hit()) CHECK_STR(r.message, "panic 1 in a job");
}

static void loops_again(void) {
    atomic_int ran = 0;
    uint64_t sum = 0;
    int rc = uvt_parallel_for(100, 7, square_chunk, &ran);
    if (rc != 0) CHECK_EQ(ran, 0);
    if (rc != 0) AGAIN(uvt_parallel_for(100, 7, square_chunk, &ran));
    CHECK_EQ(ran, 100);
    rc = uvt_parallel_reduce(100, 7, sum_chunk, NULL, &sum, sizeof sum, add_sums);
    if (rc != 0) CHECK_EQ(sum, 0);
    if (rc != 0) AGAIN(uvt_parallel_reduce(100, 7, sum_chunk, NULL, &sum, sizeof sum, add_sums));
    CHECK_EQ(sum, 4950);
}

/* In a job: its loops have no jobs of their own, but helpers. */
static int loops_in_a_job(void *arg) {
    (void)arg;
    loops_again();
    return 0;
}

static int one_of_everything(void *arg) {
    (void)arg;
    blocking_again();
    spawn_again(NULL);
    spawn_again("named");
    members_again();
    panic_again();
    loops_again();
    AGAIN(uvt_blocking(loops_in_a_job, NULL));
    uvt_test_reports(); /* panics are meant */
    return 0;
}

/* What the first use of the pool does is swept along: each round is a runtime of its own. */
static void sweep(void (*arm)(unsigned n), uvt_fn body, const uvt_options *o) {
    for (unsigned n = 1;; n++) {
        size_t blocks = uvt_test_live_blocks();
        arm(n);
        int rc = uvt_test_run(body, NULL, o);
        bool hit = uvt_test_fail_hit();
        arm(0);
        if (uvt_test_live_blocks() != blocks) uvt_test_fail(__FILE__, __LINE__, "failure %u: blocks left", n);
        if (rc != 0 && !hit) uvt_test_fail(__FILE__, __LINE__, "failure %u: %s", n, uvt_err_name(rc));
        if (!hit) break;
        CHECK(n < 1000);
    }
}

static void arm_alloc(unsigned n) {
    uvt_test_fail_alloc(n);
}

static void arm_uv(unsigned n) {
    uvt_test_fail_uv(n, UV_EMFILE);
}

UVT_TEST_PLAIN(oom_everywhere_calls_are_whole_or_not_at_all) {
    fails_as = UV_ENOMEM;
    sweep(arm_alloc, one_of_everything, NULL);
}

UVT_TEST_PLAIN(oom_everywhere_on_a_pool_of_one) {
    fails_as = UV_ENOMEM;
    sweep(arm_alloc, one_of_everything, &(uvt_options){ .pool_size = 1 });
}

UVT_TEST_PLAIN(libuv_fails_calls_say_eagain_and_nothing_is_lost) {
    fails_as = UV_EAGAIN;
    sweep(arm_uv, one_of_everything, NULL);
}

/* ---- a thread that cannot be had ---- */

static int no_thread_at_first(void *arg) {
    atomic_int ran = 0;
    uvt_task_t t = { 0 };
    uvt_lane_t lane;
    (void)arg;
    CHECK_EQ(uvt_lane_create(&lane, "tight", 1), 0);
    uvt_blocking_options o = { .lane = lane };
    for (unsigned n = 1; n <= 2; n++) { /* the crew's loop, then its first request */
        for (unsigned k = 1; k <= 3; k++) {
            uvt_test_fail_uv(n == 1 ? k : 1, UV_EMFILE);
            if (n == 1) CHECK_EQ(uvt_blocking_opts(count_job, &ran, &o), UV_EAGAIN);
            else CHECK_EQ(uvt_spawn_blocking_opts(&t, count_job, &ran, &o), UV_EAGAIN);
            CHECK(uvt_test_fail_hit());
            uvt_lane_stats st = stats_of(lane);
            CHECK_EQ(st.running + st.waiting, 0);
            CHECK_EQ(st.started + st.dropped, 0);
        }
    }
    CHECK_EQ(ran, 0);
    CHECK_EQ(t.id, 0);
    uvt_test_fail_uv(0, 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_blocking_opts(count_job, &ran, &o), 0);
    CHECK_EQ(ran, 3);
    return 0;
}

UVT_TEST_PLAIN(thread_that_cannot_be_had_is_eagain_and_no_place_is_lost) {
    CHECK_EQ(uvt_test_run(no_thread_at_first, NULL, NULL), 0);
}

UVT_TEST(thread_that_cannot_be_had_beside_one_that_runs_the_job_waits_for_it) {
    struct gate g;
    atomic_int ran = 0;
    uvt_task_t t;
    gate_init(&g);
    CHECK_EQ(uvt_spawn_blocking(NULL, stand, &g), 0);
    gate_wait(&g, 1);
    uvt_test_fail_uv(1, UV_EAGAIN);
    CHECK_EQ(uvt_spawn_blocking(&t, count_job, &ran), 0);
    CHECK(uvt_test_fail_hit());
    uvt_test_fail_uv(0, 0);
    gate_open(&g, 1);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(ran, 1);
    while (atomic_load(&g.inside) > 0) CHECK_EQ(uvt_yield(), 0);
    gate_end(&g);
}

/* ---- cancelled at each suspension ---- */

static atomic_int begun, ended, dropped;

static int marks(void *arg) {
    (void)arg;
    atomic_fetch_add(&begun, 1);
    atomic_fetch_add(&ended, 1);
    return 0;
}

static void counts_drop(void *arg) {
    (void)arg;
    atomic_fetch_add(&dropped, 1);
}

static int asked; /* jobs that were to end or to be dropped */

static const uvt_blocking_options stays = { .drop = counts_drop }, leaves = { .drop = counts_drop, .abandon = true };

static int waits_for_jobs(void *arg) {
    int rc = 0;
    (void)arg;
    for (int i = 0; i < 6 && rc == 0; i++) {
        rc = uvt_blocking_opts(marks, NULL, i % 2 ? &leaves : &stays);
        asked++;
    }
    return rc;
}

static int has_members(void *arg) {
    uvt_set_t set;
    int rc = 0;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .limit = 2 }), 0);
    for (int i = 0; i < 6 && rc == 0; i++) {
        rc = uvt_set_spawn_blocking_opts(&set, NULL, marks, NULL, i % 2 ? &leaves : &stays);
        asked += rc == 0; /* one that was not spawned is still the caller's */
    }
    while (rc == 0) rc = uvt_set_next(&set, NULL);
    int closed = uvt_set_close(&set);
    CHECK(closed == 0 || closed == UV_ECANCELED);
    return rc == UV_EOF ? 0 : rc;
}

static int has_children(void *arg) {
    uvt_task_t t[4];
    int rc = 0;
    (void)arg;
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(uvt_spawn_blocking_opts(&t[i], marks, NULL, i % 2 ? &leaves : &stays), 0);
        asked++;
    }
    for (int i = 0; i < 4 && rc == 0; i++) rc = uvt_join(t[i], NULL);
    return rc;
}

static int has_loops(void *arg) {
    (void)arg;
    atomic_int ran = 0;
    uint64_t sum = 0;
    int rc = uvt_parallel_for(1000, 10, square_chunk, &ran);
    CHECK(rc == UV_ECANCELED ? ran < 1000 : ran == 1000);
    if (rc == 0) rc = uvt_parallel_reduce(1000, 10, sum_chunk, NULL, &sum, sizeof sum, add_sums);
    CHECK_EQ(sum, rc == 0 ? 499500 : 0);
    return rc;
}

struct victim {
    uvt_fn work;
    unsigned n; /* the suspension at which it is aborted */
    bool hit;
};

static int run_victim(void *arg) {
    struct victim *v = arg;
    CHECK_EQ(uvt_test_cancel_at(v->n), 0);
    int rc = v->work(NULL);
    v->hit = uvt_test_cancel_hit();
    CHECK_EQ(uvt_test_cancel_at(0), 0);
    return rc;
}

static void cancel_sweep(uvt_fn work) {
    for (struct victim v = { .work = work, .n = 1, .hit = true }; v.hit; v.n++) {
        uvt_stats before, after;
        uvt_result r;
        begun = ended = dropped = asked = 0;
        CHECK_EQ(uvt_stats_get(&before), 0);
        CHECK_EQ(uvt_join(spawned(run_victim, &v), &r), 0);
        CHECK_EQ(uvt_stats_get(&after), 0);
        CHECK_EQ(after.tasks, before.tasks);
        CHECK_EQ(after.records, before.records);
        if (!v.hit) CHECK_EQ(r.status, 0);
        CHECK(v.n < 1000);
        /* Abandoned ones may still be on their way. Each has ended or was dropped; one that ended may be both. */
        while (atomic_load(&ended) + atomic_load(&dropped) < asked) CHECK_EQ(uvt_yield(), 0);
    }
}

UVT_TEST(cancel_sweep_blocking_every_job_ends_or_is_dropped) {
    cancel_sweep(waits_for_jobs);
}

UVT_TEST(cancel_sweep_members_every_job_ends_or_is_dropped) {
    cancel_sweep(has_members);
}

UVT_TEST(cancel_sweep_children_every_job_ends_or_is_dropped) {
    cancel_sweep(has_children);
}

UVT_TEST(cancel_sweep_loops_do_all_or_say_so) {
    cancel_sweep(has_loops);
}

UVT_TEST_MAIN()
