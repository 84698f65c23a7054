/* SPDX-License-Identifier: MIT
 *
 * The size of the pool and the reserve: who says it, when it is too late, and that libuv's own work goes on however
 * many jobs there are.
 */
#include "jobs.h"
#include <stdlib.h>
#include <unistd.h>

static int says_sizes(void *arg) {
    unsigned *out = arg;
    uvt_pool_size(&out[0], &out[1]);
    return 0;
}

static void check_sizes(const uvt_options *o, unsigned threads, unsigned jobs) {
    unsigned got[2];
    CHECK_EQ(uvt_test_run(says_sizes, got, o), 0);
    CHECK_EQ(got[0], threads);
    CHECK_EQ(got[1], jobs);
}

/* Real threads: so many jobs at once, and no more. */
static int jobs_at_once(void *arg) {
    struct gate g;
    (void)arg;
    gate_init(&g);
    unsigned n = for_jobs();
    for (unsigned i = 0; i < n + 2; i++) CHECK_EQ(uvt_spawn_blocking(NULL, stand, &g), 0);
    gate_wait(&g, (int)n);
    gate_open(&g, (int)n + 2);
    while (atomic_load(&g.ended) < (int)n + 2) CHECK_EQ(uvt_yield(), 0);
    while (atomic_load(&g.inside) > 0) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(g.most, n);
    gate_end(&g);
    return 0;
}

UVT_TEST_PLAIN(pool_size_default_is_a_thread_more_than_cores_and_at_least_four) {
    CHECK_EQ(unsetenv("UV_THREADPOOL_SIZE"), 0);
    unsigned n = uv_available_parallelism() + 1;
    check_sizes(NULL, n < 4 ? 4 : n, (n < 4 ? 4 : n) - 1);
    CHECK_EQ(uvt_test_run(jobs_at_once, NULL, NULL), 0);
}

UVT_TEST_PLAIN(pool_size_option_is_taken) {
    check_sizes(&(uvt_options){ .pool_size = 7 }, 7, 6);
    CHECK_EQ(uvt_test_run(jobs_at_once, NULL, NULL), 0);
    CHECK_STR(getenv("UV_THREADPOOL_SIZE"), "7");
}

UVT_TEST_PLAIN(pool_size_environment_is_taken) {
    CHECK_EQ(setenv("UV_THREADPOOL_SIZE", "5", 1), 0);
    check_sizes(NULL, 5, 4);
    CHECK_EQ(uvt_test_run(jobs_at_once, NULL, NULL), 0);
}

UVT_TEST_PLAIN(pool_size_option_beats_the_environment) {
    CHECK_EQ(setenv("UV_THREADPOOL_SIZE", "5", 1), 0);
    check_sizes(&(uvt_options){ .pool_size = 3 }, 3, 2);
    CHECK_EQ(uvt_test_run(jobs_at_once, NULL, NULL), 0);
}

UVT_TEST_PLAIN(pool_size_environment_that_is_no_size_is_ignored) {
    static const char *const bad[] = { "", "0", "-1", "1025", "5x", "many" };
    unsigned n;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ(setenv("UV_THREADPOOL_SIZE", bad[i], 1), 0);
        uvt_pool_size(&n, NULL);
        CHECK(n >= 4);
    }
    CHECK_EQ(uvt_test_run(jobs_at_once, NULL, NULL), 0);
}

UVT_TEST_PLAIN(pool_size_out_of_range_is_refused) {
    unsigned got[2];
    CHECK_EQ(uvt_test_run(says_sizes, got, &(uvt_options){ .pool_size = 1025 }), UV_EINVAL);
    CHECK_EQ(uvt_test_run(says_sizes, got, &(uvt_options){ .pool_size = UINT32_MAX }), UV_EINVAL);
    check_sizes(&(uvt_options){ .pool_size = 1024 }, 1024, 1023);
}

UVT_TEST_PLAIN(pool_size_another_one_later_is_refused) {
    uvt_runtime_t *rt;
    uv_loop_t loop;
    unsigned got[2];
    check_sizes(&(uvt_options){ .pool_size = 3 }, 3, 2);
    CHECK_EQ(uvt_test_run(says_sizes, got, &(uvt_options){ .pool_size = 4 }), UV_EALREADY);
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(&rt, &loop, &(uvt_options){ .pool_size = 4 }), UV_EALREADY);
    CHECK_EQ(uv_loop_close(&loop), 0);
    check_sizes(&(uvt_options){ .pool_size = 3 }, 3, 2);
    check_sizes(NULL, 3, 2);
}

UVT_TEST_PLAIN(pool_size_before_any_runtime_is_what_it_would_be) {
    unsigned threads, jobs;
    CHECK_EQ(setenv("UV_THREADPOOL_SIZE", "6", 1), 0);
    uvt_pool_size(&threads, &jobs);
    CHECK_EQ(threads, 6);
    CHECK_EQ(jobs, 5);
    uvt_pool_size(NULL, NULL);
    check_sizes(&(uvt_options){ .pool_size = 2 }, 2, 1);
}

UVT_TEST_PLAIN(pool_reserve_is_left_alone) {
    check_sizes(&(uvt_options){ .pool_size = 4, .pool_reserve = 2 }, 4, 2);
    CHECK_EQ(uvt_test_run(jobs_at_once, NULL, NULL), 0);
}

UVT_TEST_PLAIN(pool_reserve_leaves_one_thread_for_jobs) {
    check_sizes(&(uvt_options){ .pool_size = 2, .pool_reserve = 2 }, 2, 1);
    check_sizes(&(uvt_options){ .pool_reserve = UINT32_MAX }, 2, 1);
    CHECK_EQ(uvt_test_run(jobs_at_once, NULL, NULL), 0);
}

UVT_TEST_PLAIN(pool_of_one_has_no_reserve) {
    check_sizes(&(uvt_options){ .pool_size = 1 }, 1, 1);
    CHECK_EQ(uvt_test_run(jobs_at_once, NULL, NULL), 0);
}

/* ---- libuv's own work beside jobs ---- */

static void on_stat(uv_fs_t *req) {
    *(int *)req->data += 1;
    uv_fs_req_cleanup(req);
}

static void count_name(uv_getaddrinfo_t *req, int status, struct addrinfo *res) {
    (void)status;
    uv_freeaddrinfo(res);
    *(int *)req->data += 1;
}

/* A file's and a name's request, awaited while jobs wait for them. */
static void libuv_works(void) {
    uv_fs_t stat = { .data = NULL };
    uv_getaddrinfo_t name;
    int done = 0;
    stat.data = name.data = &done;
    uvt_external_begin();
    CHECK_EQ(uv_fs_stat(uvt_loop(), &stat, "/", on_stat), 0);
    CHECK_EQ(uv_getaddrinfo(uvt_loop(), &name, count_name, "127.0.0.1", NULL, NULL), 0);
    while (done < 2) CHECK_EQ(uvt_yield(), 0);
    uvt_external_end();
}

UVT_TEST(pool_full_of_jobs_libuvs_work_goes_on) {
    struct gate g;
    gate_init(&g);
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_spawn_blocking(NULL, stand, &g), 0);
    gate_wait(&g, (int)for_jobs());
    for (int i = 0; i < 10; i++) libuv_works();
    gate_open(&g, 100);
    while (atomic_load(&g.ended) < 100) CHECK_EQ(uvt_yield(), 0);
    while (atomic_load(&g.inside) > 0) CHECK_EQ(uvt_yield(), 0);
    gate_end(&g);
}

static bool enough;

static int feeds_the_pool(void *arg) {
    (void)arg;
    while (!enough) CHECK_EQ(uvt_blocking(value_job, INT(1)), 1);
    return 0;
}

/* Jobs without end, and libuv's requests get their turn on the only thread. */
static int shares_one_thread(void *arg) {
    uvt_set_t set;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 8; i++) CHECK_EQ(uvt_set_spawn(&set, feeds_the_pool, NULL), 0);
    for (int i = 0; i < 50; i++) libuv_works();
    enough = true;
    CHECK_EQ(uvt_set_wait(&set), 0);
    return uvt_set_close(&set);
}

UVT_TEST_PLAIN(pool_of_one_jobs_and_libuvs_work_take_turns) {
    CHECK_EQ(uvt_test_run(shares_one_thread, NULL, &(uvt_options){ .pool_size = 1 }), 0);
}

static atomic_int ran, seen = -1;
static bool over;

static void sees(uv_work_t *req) {
    (void)req;
    atomic_store(&seen, atomic_load(&ran));
}

static void seen_is_there(uv_work_t *req, int status) {
    (void)req;
    CHECK_EQ(status, 0);
    over = true;
}

/* What came to libuv's queue while a job ran comes before the jobs that wait. */
static int stands_in_line(void *arg) {
    struct gate g;
    uv_work_t req;
    (void)arg;
    gate_init(&g);
    CHECK_EQ(uvt_spawn_blocking(NULL, stand, &g), 0);
    gate_wait(&g, 1);
    for (int i = 0; i < 200; i++) CHECK_EQ(uvt_spawn_blocking(NULL, count_job, &ran), 0);
    uvt_external_begin();
    CHECK_EQ(uv_queue_work(uvt_loop(), &req, sees, seen_is_there), 0);
    gate_open(&g, 1);
    while (!over || atomic_load(&ran) < 200) CHECK_EQ(uvt_yield(), 0);
    uvt_external_end();
    CHECK_EQ(seen, 0);
    gate_end(&g);
    return 0;
}

UVT_TEST_PLAIN(pool_of_one_a_job_lets_libuvs_work_go_first) {
    CHECK_EQ(uvt_test_run(stands_in_line, NULL, &(uvt_options){ .pool_size = 1 }), 0);
}

static int many_on_one(void *arg) {
    enum { N = 500 };
    static uvt_task_t t[N];
    (void)arg;
    for (int i = 0; i < N; i++) CHECK_EQ(uvt_spawn_blocking(&t[i], value_job, INT(i)), 0);
    for (int i = 0; i < N; i++) CHECK_EQ(uvt_join(t[i], NULL), i);
    for (int i = 0; i < N; i++) CHECK_EQ(uvt_blocking(value_job, INT(i)), i);
    return 0;
}

UVT_TEST_PLAIN(pool_of_one_many_jobs_all_end) {
    CHECK_EQ(uvt_test_run(many_on_one, NULL, &(uvt_options){ .pool_size = 1 }), 0);
}

/* ---- the same pool for several runtimes ---- */

static int one_job(void *arg) {
    return uvt_blocking(value_job, arg);
}

UVT_TEST_PLAIN(pool_serves_one_runtime_after_the_other) {
    for (int i = 0; i < 50; i++) CHECK_EQ(uvt_test_run(one_job, INT(i), NULL), i);
}

static void runs_some(void *arg) {
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_run(one_job, INT(i), NULL), i);
    atomic_fetch_add((atomic_int *)arg, 1);
}

UVT_TEST_PLAIN(pool_serves_several_threads_runtimes_at_once) {
    uv_thread_t t[4];
    atomic_int ended = 0;
    for (int i = 0; i < 4; i++) CHECK_EQ(uv_thread_create(&t[i], runs_some, &ended), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(uv_thread_join(&t[i]), 0);
    CHECK_EQ(ended, 4);
}

static int job_on_each(void *arg) {
    uvt_set_t set;
    uvt_result r;
    int sum = 0;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (unsigned k = 0; k < uvt_shard_count(); k++)
        for (int i = 0; i < 20; i++)
            CHECK_EQ(uvt_set_spawn_opts(&set, NULL, one_job, INT(i), &(uvt_task_options){ .place = UVT_ON(k) }), 0);
    while (uvt_set_next(&set, &r) == 0) sum += r.status;
    CHECK_EQ(sum, 190 * (int)uvt_shard_count());
    return uvt_set_close(&set);
}

UVT_TEST_PLAIN(pool_serves_all_shards) {
    CHECK_EQ(uvt_run(job_on_each, NULL, &(uvt_options){ .shards = 3 }), 0);
}

static int placed_set_with_jobs(void *arg) {
    uvt_set_t set;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .place = UVT_ANY }), 0);
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_set_spawn_blocking(&set, value_job, INT(i)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    return uvt_set_close(&set);
}

UVT_TEST_PLAIN(set_spawn_blocking_in_a_set_placed_anywhere_stays_here) {
    CHECK_EQ(uvt_run(placed_set_with_jobs, NULL, &(uvt_options){ .shards = 2 }), 0);
}

UVT_TEST_MAIN()
