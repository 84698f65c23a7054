/* SPDX-License-Identifier: MIT
 *
 * The options of a runtime of several shards: how many there are, pinned threads, spinning, stacks.
 */
#include <sched.h>
#include <sys/resource.h>

#include "shards.h"

static int count(void *arg) {
    *(unsigned *)arg = uvt_shard_count();
    return (int)uvt_shard_index();
}

static unsigned shards_of(unsigned asked) {
    unsigned n = 0;
    CHECK_EQ(run_virtual(asked, count, &n), 0);
    return n;
}

UVT_TEST_PLAIN(shards_as_many_as_asked_for) {
    CHECK_EQ(shards_of(1), 1);
    CHECK_EQ(shards_of(2), 2);
    CHECK_EQ(shards_of(64), 64);
}

UVT_TEST_PLAIN(shards_unset_is_one) {
    unsigned n = 0;
    CHECK_EQ(uvt_run(count, &n, NULL), 0);
    CHECK_EQ(n, 1);
}

UVT_TEST_PLAIN(shards_per_core_are_as_many_as_cores) {
    CHECK_EQ(shards_of(UVT_PER_CORE), uv_available_parallelism());
}

UVT_TEST_PLAIN(shards_more_than_1024_are_einval) {
    unsigned n;
    CHECK_EQ(run_virtual(1025, count, &n), UV_EINVAL);
    CHECK_EQ(run_virtual(UVT_PER_CORE - 1, count, &n), UV_EINVAL);
}

UVT_TEST_PLAIN(shards_outside_of_a_runtime_are_none) {
    CHECK_EQ(uvt_shard_count(), 0);
    CHECK_EQ(uvt_shard_index(), 0);
}

UVT_TEST_PLAIN(shards_of_an_attached_runtime_must_be_one) {
    uvt_runtime_t *rt;
    uv_loop_t loop;
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(&rt, &loop, &(uvt_options){ .shards = 2 }), UV_EINVAL);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

static int nested(void *arg) {
    (void)arg;
    return uvt_run(b_return, NULL, &(uvt_options){ .shards = 2 });
}

UVT_TEST_PLAIN(run_with_shards_inside_a_task_is_enested) {
    CHECK_EQ(run_virtual(2, nested, NULL), UVT_ENESTED);
    CHECK_EQ(run_virtual(1, nested, NULL), UVT_ENESTED);
}

static int on_one(void *arg) {
    return uvt_join(spawn_on(1, arg == NULL ? nested : b_return, arg), NULL);
}

UVT_TEST_PLAIN(run_on_another_shard_of_a_runtime_is_enested) {
    CHECK_EQ(run_virtual(2, on_one, NULL), UVT_ENESTED);
}

UVT_TEST_PLAIN(run_status_of_main_comes_out) {
    CHECK_EQ(run_virtual(3, b_return, INT(8)), 8);
    CHECK_EQ(run_virtual(3, b_return, INT(UV_EIO)), UV_EIO);
    CHECK_EQ(run_virtual(3, b_panic, "at main"), UVT_EPANIC);
}

UVT_TEST_PLAIN(run_many_times_leaves_nothing) {
    for (int i = 0; i < 50; i++) CHECK_EQ(run_virtual(4, on_one, INT(3)), 3);
}

/* ---- pin ---- */

#ifdef __linux__
static int core_of(void *arg) {
    cpu_set_t set, *all = arg;
    CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    CHECK_EQ(CPU_COUNT(&set), 1);
    int nth = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &set)) break;
        nth += CPU_ISSET(cpu, all) != 0;
    }
    return nth;
}

static int cores(void *all) {
    for (unsigned k = 0; k < uvt_shard_count(); k++)
        CHECK_EQ(uvt_join(spawn_on(k, core_of, all), NULL), (int)k % CPU_COUNT((cpu_set_t *)all));
    return 0;
}

UVT_TEST_PLAIN(pin_shard_k_is_on_the_kth_core_and_the_caller_is_let_go) {
    cpu_set_t before, after;
    CHECK_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    CHECK_EQ(uvt_run(cores, &before, &(uvt_options){ .shards = 3, .pin = true }), 0);
    CHECK_EQ(sched_getaffinity(0, sizeof after, &after), 0);
    CHECK(CPU_EQUAL(&before, &after));
}

static int unpinned(void *all) {
    cpu_set_t set;
    CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    return CPU_EQUAL(&set, (cpu_set_t *)all) ? 0 : UV_EIO;
}

UVT_TEST_PLAIN(pin_unset_leaves_threads_where_they_are) {
    cpu_set_t before;
    CHECK_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    CHECK_EQ(run_real(2, unpinned, &before), 0);
}
#endif

/* ---- spin_us ---- */

static int ping(void *arg) {
    ++*(int *)arg;
    return 0;
}

static int hundred_calls(void *arg) {
    int pings = 0;
    (void)arg;
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_call(1 + (unsigned)i % (uvt_shard_count() - 1), ping, &pings), 0);
    return pings;
}

UVT_TEST_PLAIN(spin_calls_go_there_and_back) {
    CHECK_EQ(uvt_run(hundred_calls, NULL, &(uvt_options){ .shards = 3, .spin_us = 100 }), 100);
}

static int sleeps_and_calls(void *arg) {
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_sleep(3), 0); /* longer than they spin */
    return hundred_calls(arg);
}

UVT_TEST_PLAIN(spin_shards_fall_asleep_and_wake_all_the_same) {
    CHECK_EQ(uvt_run(sleeps_and_calls, NULL, &(uvt_options){ .shards = 3, .spin_us = 50 }), 100);
}

static int godot(void *arg) {
    (void)arg;
    uvt_semaphore_t s;
    CHECK_EQ(uvt_semaphore_init(&s, 0, 0), 0);
    return uvt_semaphore_acquire(&s);
}

UVT_TEST_PLAIN(spin_deadlock_is_found_all_the_same) {
    CHECK_EQ(uvt_run(godot, NULL, &(uvt_options){ .shards = 2, .spin_us = 50 }), UVT_EDEADLK);
}

UVT_TEST_PLAIN(spin_virtual_clock_jumps_all_the_same) {
    CHECK_EQ(uvt_test_run(b_sleep, INT(1000000), &(uvt_options){ .shards = 2, .spin_us = 1000 }), 0);
}

/* ---- no_linger, and what is done without it ---- */

static int calls_and_idles(void *arg) {
    (void)arg;
    struct rusage before, after;
    CHECK_EQ(hundred_calls(NULL), 100);
    CHECK_EQ(getrusage(RUSAGE_SELF, &before), 0);
    CHECK_EQ(uvt_sleep(300), 0);
    CHECK_EQ(getrusage(RUSAGE_SELF, &after), 0);
    return (int)((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
                 before.ru_utime.tv_usec);
}

/* Shards that have just answered each other sleep when there is nothing more: if they went on looking they would take
 * some 300,000 us each. */
UVT_TEST_PLAIN(linger_ends_with_the_answers) {
    CHECK_IN(uvt_run(calls_and_idles, NULL, &(uvt_options){ .shards = 2 }), 0, 100000);
    CHECK_IN(uvt_run(calls_and_idles, NULL, &(uvt_options){ .shards = 2, .no_linger = true }), 0, 100000);
}

/* ---- stacks ---- */

static int deep(void *arg) {
    volatile char frame[300000];
    frame[0] = frame[sizeof frame - 1] = (char)(intptr_t)arg;
    return frame[0];
}

ON_SHARDS(2, stack_size_of_a_task_goes_with_it) {
    uvt_task_t t;
    uvt_task_options o = { .place = UVT_ON(1), .stack_size = 512 << 10 };
    CHECK_EQ(uvt_spawn_opts(&t, deep, INT(5), &o), 0);
    CHECK_EQ(uvt_join(t, NULL), 5);
    o.place = UVT_ANY;
    CHECK_EQ(uvt_spawn_opts(&t, deep, INT(6), &o), 0);
    CHECK_EQ(uvt_join(t, NULL), 6);
    o.stack_size = 1;
    CHECK_EQ(uvt_spawn_opts(&t, deep, INT(6), &o), UV_EINVAL);
}

static int deep_on_one(void *arg) {
    return uvt_join(spawn_on(1, deep, arg), NULL);
}

UVT_TEST_PLAIN(stack_size_of_the_runtime_holds_on_all_shards) {
    uvt_options o = { .shards = 2, .stack_size = 1 << 20 };
    CHECK_EQ(uvt_test_run(deep_on_one, INT(9), &o), 9);
}

UVT_TEST_MAIN()
