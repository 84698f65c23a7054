/* SPDX-License-Identifier: MIT
 *
 * Parallel loops: every index exactly once, whatever n and grain, from a task, a job, a chunk and a plain thread;
 * reductions; and loops inside loops on pools of any size.
 */
#include "jobs.h"
#include <stdlib.h>

struct marks {
    atomic_uchar *seen;
    size_t n;
    size_t grain;
    atomic_size_t chunks;
};

static int mark(void *ctx, size_t begin, size_t end) {
    struct marks *m = ctx;
    CHECK(begin < end && end <= m->n);
    if (m->grain) CHECK(end - begin <= m->grain && begin % m->grain == 0);
    atomic_fetch_add(&m->chunks, 1);
    for (; begin < end; begin++) atomic_fetch_add(&m->seen[begin], 1);
    return 0;
}

/* Each index once, and no more chunks than needed. */
static void check_marks(size_t n, size_t grain) {
    struct marks m = { .seen = calloc(n + 1, 1), .n = n, .grain = grain };
    CHECK(m.seen != NULL);
    CHECK_EQ(uvt_parallel_for(n, grain, mark, &m), 0);
    for (size_t i = 0; i < n; i++) CHECK_EQ(m.seen[i], 1);
    if (grain) CHECK_EQ(m.chunks, n / grain + (n % grain != 0));
    else CHECK(m.chunks <= n);
    free(m.seen);
}

static int marks_of_all_sizes(void *arg) {
    static const size_t ns[] = { 1, 2, 3, 7, 64, 100, 1000, 4097 }, grains[] = { 0, 1, 2, 7, 100, 5000, SIZE_MAX };
    (void)arg;
    for (unsigned i = 0; i < sizeof ns / sizeof *ns; i++)
        for (unsigned k = 0; k < sizeof grains / sizeof *grains; k++) check_marks(ns[i], grains[k]);
    return 0;
}

UVT_TEST(parallel_for_every_index_exactly_once) {
    CHECK_EQ(marks_of_all_sizes(NULL), 0);
}

UVT_TEST(parallel_for_in_a_job_every_index_exactly_once) {
    CHECK_EQ(uvt_blocking(marks_of_all_sizes, NULL), 0);
}

UVT_TEST_PLAIN(parallel_for_in_a_plain_thread_every_index_exactly_once) {
    CHECK_EQ(marks_of_all_sizes(NULL), 0);
}

UVT_TEST_PLAIN(parallel_for_on_a_pool_of_one_every_index_exactly_once) {
    CHECK_EQ(uvt_test_run(marks_of_all_sizes, NULL, &(uvt_options){ .pool_size = 1 }), 0);
}

static void marks_in_a_thread(void *arg) {
    CHECK_EQ(marks_of_all_sizes(NULL), 0);
    CHECK_EQ(uvt_oneshot_send(arg, 4, NULL), 0);
}

UVT_TEST(parallel_for_in_a_plain_thread_beside_a_runtime) {
    uvt_oneshot_t *o;
    uv_thread_t t;
    int status;
    CHECK_EQ(uvt_oneshot_new(&o, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uvt_blocking(value_job, NULL), 0); /* there is a crew */
    CHECK_EQ(uv_thread_create(&t, marks_in_a_thread, o), 0);
    CHECK_EQ(uvt_oneshot_recv(o, &status, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
    CHECK_EQ(status, 4);
    CHECK_EQ(uv_thread_join(&t), 0);
}

static int never(void *ctx, size_t begin, size_t end) {
    (void)ctx, (void)begin, (void)end;
    CHECK(false);
    return 0;
}

UVT_TEST(parallel_for_of_nothing_is_done_at_once) {
    uvt_stats a, b;
    uvt_stats_get(&a);
    CHECK_EQ(uvt_parallel_for(0, 0, never, NULL), 0);
    CHECK_EQ(uvt_parallel_for(0, 5, never, NULL), 0);
    uvt_stats_get(&b);
    CHECK_EQ(a.switches, b.switches);
}

static int adds(void *ctx, size_t begin, size_t end, void *acc) {
    (void)ctx;
    for (; begin < end; begin++) *(uint64_t *)acc += begin * begin;
    return 0;
}

static void adds_up(void *ctx, void *into, const void *from) {
    (void)ctx;
    *(uint64_t *)into += *(const uint64_t *)from;
}

UVT_TEST(parallel_bad_arguments_are_refused) {
    uint64_t acc = 0;
    CHECK_EQ(uvt_parallel_for(1, 0, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_parallel_reduce(1, 0, NULL, NULL, &acc, sizeof acc, adds_up), UV_EINVAL);
    CHECK_EQ(uvt_parallel_reduce(1, 0, adds, NULL, NULL, sizeof acc, adds_up), UV_EINVAL);
    CHECK_EQ(uvt_parallel_reduce(1, 0, adds, NULL, &acc, 0, adds_up), UV_EINVAL);
    CHECK_EQ(uvt_parallel_reduce(1, 0, adds, NULL, &acc, sizeof acc, NULL), UV_EINVAL);
    CHECK_EQ(uvt_parallel_reduce(1, 0, adds, NULL, &acc, SIZE_MAX - 10, adds_up), UV_ENOMEM);
    CHECK_EQ(acc, 0);
}

static int in_callback = 1;

static void calls_in_callback(void *arg) {
    in_callback = uvt_parallel_for(10, 0, never, NULL);
    CHECK_EQ(uvt_oneshot_send(arg, 0, NULL), 0);
}

UVT_TEST(parallel_for_in_a_callback_of_the_loop_is_refused) {
    uvt_oneshot_t *o;
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_post(rt, calls_in_callback, o), 0);
    CHECK_EQ(uvt_oneshot_recv(o, NULL, NULL), 0);
    CHECK_EQ(in_callback, UVT_ENOTASK);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
    uvt_runtime_unref(rt);
}

/* ---- threads ---- */

static int meets(void *ctx, size_t begin, size_t end) {
    (void)begin, (void)end;
    CHECK_EQ(stand(ctx), 7);
    return 0;
}

static int lets_two_go(void *arg) {
    gate_wait(arg, 2); /* both are in at once */
    gate_open(arg, 2);
    return 0;
}

UVT_TEST(parallel_for_works_on_as_many_threads_as_cores) {
    struct gate g;
    if (uv_available_parallelism() < 2) return;
    gate_init(&g);
    uvt_task_t t = spawned(lets_two_go, &g);
    CHECK_EQ(uvt_parallel_for(2, 1, meets, &g), 0);
    CHECK_EQ(g.most, 2);
    CHECK_EQ(uvt_join(t, NULL), 0);
    gate_end(&g);
}

static int loop_in_a_job(void *g) {
    return uvt_parallel_for(2, 1, meets, g);
}

UVT_TEST(parallel_for_in_a_job_is_helped) {
    struct gate g;
    if (uv_available_parallelism() < 2) return;
    gate_init(&g);
    uvt_task_t t = spawned(lets_two_go, &g);
    CHECK_EQ(uvt_blocking(loop_in_a_job, &g), 0);
    CHECK_EQ(g.most, 2);
    CHECK_EQ(uvt_join(t, NULL), 0);
    gate_end(&g);
}

static int loop_with_a_full_pool(void *arg) {
    struct gate g;
    (void)arg;
    gate_init(&g);
    for (unsigned i = 1; i < for_jobs(); i++) CHECK_EQ(uvt_spawn_blocking(NULL, stand, &g), 0);
    gate_wait(&g, (int)for_jobs() - 1);
    for (int i = 0; i < 20; i++) CHECK_EQ(marks_of_all_sizes(NULL), 0); /* on the one that is left */
    empty_pool(&g);
    gate_end(&g);
    return 0;
}

UVT_TEST(parallel_for_without_helpers_is_done_all_the_same) {
    CHECK_EQ(loop_with_a_full_pool(NULL), 0);
}

/* ---- reductions ---- */

static uint64_t squares(size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += i * i;
    return sum;
}

static int reduces(void *arg) {
    static const size_t ns[] = { 0, 1, 2, 100, 4097 };
    (void)arg;
    for (unsigned i = 0; i < sizeof ns / sizeof *ns; i++) {
        for (size_t grain = 0; grain < 50; grain += 7) {
            uint64_t acc = 0;
            CHECK_EQ(uvt_parallel_reduce(ns[i], grain, adds, NULL, &acc, sizeof acc, adds_up), 0);
            CHECK_EQ(acc, squares(ns[i]));
        }
    }
    return 0;
}

UVT_TEST(parallel_reduce_equals_the_plain_loop) {
    CHECK_EQ(reduces(NULL), 0);
    CHECK_EQ(uvt_blocking(reduces, NULL), 0);
}

UVT_TEST_PLAIN(parallel_reduce_in_a_plain_thread_and_on_a_pool_of_one) {
    CHECK_EQ(reduces(NULL), 0);
    CHECK_EQ(uvt_test_run(reduces, NULL, &(uvt_options){ .pool_size = 1 }), 0);
}

struct range {
    size_t least, most;
    char tail[300]; /* an accumulator may be big */
};

static int widens(void *ctx, size_t begin, size_t end, void *acc) {
    struct range *r = acc;
    CHECK_STR(r->tail, "neutral");
    const size_t *values = ctx;
    for (; begin < end; begin++) {
        if (values[begin] < r->least) r->least = values[begin];
        if (values[begin] > r->most) r->most = values[begin];
    }
    return 0;
}

static void unites(void *ctx, void *into, const void *from) {
    struct range *a = into;
    const struct range *b = from;
    (void)ctx;
    if (b->least < a->least) a->least = b->least;
    if (b->most > a->most) a->most = b->most;
}

UVT_TEST(parallel_reduce_starts_from_the_neutral_element) {
    static size_t values[5000];
    struct range r = { SIZE_MAX, 0, "neutral" };
    for (size_t i = 0; i < 5000; i++) values[i] = (i * 7919 + 13) % 100003 + 5;
    values[4321] = 3;
    CHECK_EQ(uvt_parallel_reduce(5000, 10, widens, values, &r, sizeof r, unites), 0);
    CHECK_EQ(r.least, 3);
    CHECK_IN(r.most, 90000, 100009);
}

/* ---- loops inside loops ---- */

struct depth {
    atomic_int *leaves;
    int left;
};

static int descend(void *ctx, size_t begin, size_t end) {
    struct depth *d = ctx, below = { d->leaves, d->left - 1 };
    for (; begin < end; begin++) {
        if (d->left == 0) atomic_fetch_add(d->leaves, 1);
        else CHECK_EQ(uvt_parallel_for(8, 1, descend, &below), 0);
    }
    return 0;
}

static int three_deep(void *arg) {
    atomic_int leaves = 0;
    struct depth d = { &leaves, 2 };
    (void)arg;
    CHECK_EQ(uvt_parallel_for(8, 1, descend, &d), 0);
    CHECK_EQ(leaves, 512);
    return 0;
}

static int several_three_deep(void *arg) {
    uvt_set_t set;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(uvt_set_spawn(&set, three_deep, NULL), 0);
        CHECK_EQ(uvt_set_spawn_blocking(&set, three_deep, NULL), 0);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    return uvt_set_close(&set);
}

UVT_TEST_PLAIN(parallel_nested_on_a_pool_of_one_ends) {
    CHECK_EQ(uvt_test_run(several_three_deep, NULL, &(uvt_options){ .pool_size = 1 }), 0);
}

UVT_TEST_PLAIN(parallel_nested_on_a_pool_of_two_ends) {
    CHECK_EQ(uvt_test_run(several_three_deep, NULL, &(uvt_options){ .pool_size = 2 }), 0);
}

UVT_TEST_PLAIN(parallel_nested_on_a_pool_of_four_ends) {
    CHECK_EQ(uvt_test_run(several_three_deep, NULL, &(uvt_options){ .pool_size = 4 }), 0);
}

UVT_TEST_PLAIN(parallel_nested_in_a_plain_thread_ends) {
    CHECK_EQ(three_deep(NULL), 0);
}

UVT_TEST_MAIN()
