/* SPDX-License-Identifier: MIT
 *
 * Corners of several shards, and of mailboxes, that once went wrong: memory that a waker on another thread still
 * looks at, a cancel that nobody polls for, deadlocks that end otherwise than on one shard, the last posts of a
 * runtime. Where threads have to meet in a window of a few instructions, many rounds go through it.
 */
#include <pthread.h>

#include "shards.h"

static uvt_semaphore_t sem;

static int acquires(void *arg) {
    (void)arg;
    return uvt_semaphore_acquire(&sem);
}

/* ---- the end of what was waited for ---- */

enum { ROUNDS = 1000 };

static int releases(void *arg) {
    return uvt_semaphore_release(arg, 1);
}

/* Its last use is the acquire, so it may go then, and what comes after it there is no semaphore. */
static int frees_its_semaphore(void *arg) {
    for (int i = 0; i < ROUNDS; i++) {
        uvt_semaphore_t *done = malloc(sizeof *done);
        CHECK(done != NULL);
        CHECK_EQ(uvt_semaphore_init(done, 0, 0), 0);
        uvt_task_t t = spawn_on(1, releases, done);
        CHECK_EQ(uvt_semaphore_acquire(done), 0);
        memset((void *)done, 0x5a, sizeof *done);
        free(done);
        CHECK_EQ(uvt_join(t, NULL), 0);
    }
    return (int)(intptr_t)arg;
}

UVT_TEST_PLAIN(semaphore_released_elsewhere_may_be_freed_once_acquired) {
    CHECK_EQ(uvt_run(frees_its_semaphore, INT(5), &(uvt_options){ .shards = 2, .spin_us = 200 }), 5);
}

static atomic_int begun;

static int receives(void *arg) {
    void *value;
    atomic_fetch_add(&begun, 1);
    return uvt_oneshot_recv(arg, NULL, &value);
}

static int closes_soon(void *arg) {
    int rc;
    atomic_fetch_add(&begun, 1);
    for (int n = 1; (rc = uvt_oneshot_close_rx(arg, NULL)) == UV_EBUSY; n++)
        if (n % 20000 == 0) sched_yield();
    return rc;
}

/* A task of another shard closes the end as soon as nobody receives. */
ON_SHARDS_REAL(3, oneshot_closed_elsewhere_as_soon_as_it_was_received) {
    for (int i = 0; i < 100; i++) {
        uvt_oneshot_t *o;
        atomic_store(&begun, 0);
        CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
        uvt_task_t rx = spawn_on(1, receives, o);
        while (atomic_load(&begun) < 1) sched_yield();
        CHECK_EQ(uvt_call(1, b_return, INT(0)), 0); /* it waits now */
        uvt_task_t closer = spawn_on(2, closes_soon, o);
        while (atomic_load(&begun) < 2) sched_yield();
        CHECK_EQ(uvt_oneshot_send(o, 0, NULL), 0);
        CHECK_EQ(uvt_join(rx, NULL), 0);
        CHECK_EQ(uvt_join(closer, NULL), 0);
    }
}

/* ---- a cancel for a call to the own shard, on a host's loop ---- */

static uvt_oneshot_t *go;
static bool waits, call_ended;
static int done_status = 1;

static int calls_itself(void *arg) {
    int rc = uvt_call(0, acquires, arg);
    call_ended = true;
    return rc;
}

static int aborts_who_calls(void *arg) {
    uvt_task_t t;
    (void)arg;
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    CHECK_EQ(uvt_oneshot_new(&go, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uvt_spawn(&t, calls_itself, NULL), 0);
    waits = true;
    CHECK_EQ(uvt_oneshot_recv(go, NULL, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(go, NULL), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    return 0;
}

static void sends(void *arg) {
    CHECK_EQ(uvt_oneshot_send(arg, 0, NULL), 0);
}

/* From another thread, so that the task runs by the message in the next check. */
static void has_it_sent(uv_timer_t *timer) {
    uv_thread_t thread;
    if (!waits || uvt_semaphore_waiting(&sem) == 0) return;
    CHECK_EQ(uv_thread_create(&thread, sends, go), 0);
    CHECK_EQ(uv_thread_join(&thread), 0);
    uv_close((uv_handle_t *)timer, NULL);
}

static void on_done(void *arg, int status) {
    (void)arg;
    done_status = status;
}

UVT_TEST_PLAIN(attached_cancel_of_a_call_made_in_the_check_does_not_stay_in_the_mailbox) {
    uv_loop_t loop;
    uv_timer_t timer;
    uvt_runtime_t *rt;
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(&rt, &loop, NULL), 0);
    CHECK_EQ(uvt_runtime_spawn(rt, aborts_who_calls, NULL), 0);
    CHECK_EQ(uv_timer_init(&loop, &timer), 0);
    CHECK_EQ(uv_timer_start(&timer, has_it_sent, 1, 1), 0);
    CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
    CHECK(call_ended);
    CHECK_EQ(uvt_runtime_shutdown(rt, on_done, NULL), 0);
    CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
    CHECK_EQ(done_status, 0);
    uvt_runtime_unref(rt);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

/* ---- deadlock ---- */

static atomic_int cleaned;

static int waits_behind_shields(void *arg) {
    CHECK_EQ(uvt_defer(d_atomic_count, &cleaned), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_shielded(UVT_FOREVER, acquires, arg), UV_ECANCELED);
    return 0;
}

static int both_wait_behind_shields(void *arg) {
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    if (uvt_shard_count() > 1) spawn_on(1, waits_behind_shields, arg);
    return waits_behind_shields(arg);
}

UVT_TEST_PLAIN(deadlock_behind_one_shield_after_the_other_ends_as_on_one_shard) {
    CHECK_EQ(run_virtual(1, both_wait_behind_shields, NULL), UVT_EDEADLK);
    CHECK_EQ(atomic_exchange(&cleaned, 0), 1);
    CHECK_EQ(run_virtual(2, both_wait_behind_shields, NULL), UVT_EDEADLK);
    CHECK_EQ(atomic_load(&cleaned), 2);
}

/* ---- the last posts ---- */

static uvt_token_t *first, *second;
static uvt_runtime_t *rt;
static uv_sem_t late, freed;

static void frees_first(void *arg) {
    (void)arg;
    uv_sem_wait(&late);
    uvt_token_unref(first);
    uv_sem_post(&freed);
}

/* While the mailbox closes: nobody finds the runtime any more. */
static void frees_second(void *arg) {
    (void)arg;
    uv_sem_post(&late);
    uv_sem_wait(&freed);
    uvt_token_unref(second);
}

static void posts_once_more(void *arg) {
    CHECK_EQ(uvt_post(rt, frees_second, arg), 0);
}

static int leaves_armed_tokens(void *arg) {
    rt = uvt_runtime_ref();
    CHECK_EQ(uvt_token_new(&first, NULL), 0);
    CHECK_EQ(uvt_token_new(&second, NULL), 0);
    CHECK_EQ(uvt_token_cancel_after(first, 100000), 0);
    CHECK_EQ(uvt_token_cancel_after(second, 100000), 0); /* its neighbour in the wheel */
    return uvt_post(rt, posts_once_more, arg);
}

UVT_TEST_PLAIN(token_with_a_timer_may_be_freed_by_a_thread_while_the_runtime_ends) {
    uv_thread_t thread;
    CHECK_EQ(uv_sem_init(&late, 0), 0);
    CHECK_EQ(uv_sem_init(&freed, 0), 0);
    CHECK_EQ(uv_thread_create(&thread, frees_first, NULL), 0);
    CHECK_EQ(uvt_run(leaves_armed_tokens, NULL, NULL), 0);
    CHECK_EQ(uv_thread_join(&thread), 0);
    uvt_runtime_unref(rt);
    uv_sem_destroy(&late);
    uv_sem_destroy(&freed);
}

/* ---- the end of main that begins again ---- */

static void panics_in_a_defer(void *arg) {
    uvt_panic("in a defer%s", (const char *)arg);
}

static int has_panicking_defers(void *arg) {
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_defer(panics_in_a_defer, arg), 0);
    return 0;
}

UVT_TEST_PLAIN(main_with_panicking_defers_ends_all_shards) {
    for (int i = 0; i < 20; i++) CHECK_EQ(run_real(1 + i % 4, has_panicking_defers, ""), UVT_EPANIC);
}

/* ---- a handle that goes stale while others look ---- */

static uvt_mutex_t held;
static atomic_bool seen, stop_looking;

static int holds(void *arg) {
    CHECK_EQ(uvt_mutex_lock(&held), 0);
    while (!atomic_load(&stop_looking)) (void)uvt_sleep(1);
    uvt_mutex_unlock(&held);
    return (int)(intptr_t)arg;
}

static int looks_for_the_owner(void *arg) {
    while (!atomic_load(&stop_looking))
        if (uvt_mutex_owner(&held).id != 0) atomic_store(&seen, true);
    return (int)(intptr_t)arg;
}

static int detaches_all_meanwhile(void *arg) {
    uvt_set_t set;
    CHECK_EQ(uvt_mutex_init(&held), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    uvt_task_t looker = spawn_on(1, looks_for_the_owner, NULL);
    CHECK_EQ(uvt_set_spawn(&set, holds, NULL), 0);
    while (!atomic_load(&seen)) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_set_detach_all(&set), 0);
    for (uint64_t t = uv_hrtime(); uv_hrtime() - t < 2000000;) continue; /* it goes on looking */
    atomic_store(&stop_looking, true);
    CHECK_EQ(uvt_join(looker, NULL), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    return (int)(intptr_t)arg;
}

/* For TSan. */
UVT_TEST_PLAIN(set_detached_while_another_shard_asks_for_a_members_id) {
    CHECK_EQ(run_real(2, detaches_all_meanwhile, NULL), 0);
}

/* ---- two runtimes ---- */

static void no_op(void *arg) {
    (void)arg;
}

static int posts_to_its_peer(void *arg) {
    uvt_runtime_t *mine = uvt_runtime_ref();
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(uvt_post_on(mine, 1, no_op, arg), 0);
        CHECK_EQ(uvt_yield(), 0);
    }
    uvt_runtime_unref(mine);
    return 0;
}

static void runs_pairs(void *arg) {
    for (int i = 0; i < 10; i++) CHECK_EQ(run_real(2, posts_to_its_peer, arg), 0);
}

/* For TSan. */
UVT_TEST_PLAIN(runtimes_of_several_shards_begin_and_end_beside_each_other) {
    uv_thread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK_EQ(uv_thread_create(&threads[i], runs_pairs, NULL), 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(uv_thread_join(&threads[i]), 0);
}

UVT_TEST_MAIN()
