/* SPDX-License-Identifier: MIT
 *
 * Running, spawning, joining: what a runtime returns, when a child runs, what a join gives and when it is
 * refused (group 1 of the semantic cases). Who owns a task and what its end does to its children is in
 * task_owner_test.c; calls from outside of tasks and other misuse in bad_input_task_test.c.
 */
#include "bodies.h"

/* ---- the runtime and its first task ---- */

UVT_TEST_PLAIN(run_root_never_suspends_returns_its_result) {
    CHECK_EQ(uvt_run(b_return, INT(8), NULL), 8);
    CHECK_EQ(uvt_run(b_return, INT(0), NULL), 0);
}

UVT_TEST_PLAIN(run_root_suspends_returns_its_result) {
    CHECK_EQ(uvt_run(b_sleep, INT(1), NULL), 0);
}

UVT_TEST_PLAIN(run_root_fails_returns_the_code) {
    CHECK_EQ(uvt_run(b_return, INT(UV_EIO), NULL), UV_EIO);
    CHECK_EQ(uvt_run(b_return, INT(-4711), NULL), -4711);
}

struct mail {
    uvt_oneshot_t *o;
    uv_sem_t parked;
};

static void thread_sends(void *arg) {
    struct mail *m = arg;
    uv_sem_wait(&m->parked);
    CHECK_EQ(uvt_oneshot_send(m->o, 42, NULL), 0);
}

static int post_sem(void *arg) {
    uv_sem_post(arg);
    return 0;
}

/* The thread sends only when post_sem has run, and that runs only once this task waits. */
static int root_waits_for_thread(void *arg) {
    struct mail *m = arg;
    uv_thread_t thread;
    int status = 0;
    CHECK_EQ(uvt_oneshot_new(&m->o, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uv_thread_create(&thread, thread_sends, m), 0);
    CHECK_EQ(uvt_spawn(NULL, post_sem, &m->parked), 0);
    CHECK_EQ(uvt_oneshot_recv(m->o, &status, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(m->o, NULL), 0);
    uv_thread_join(&thread);
    return status;
}

UVT_TEST_PLAIN(run_root_waits_for_thread_returns_its_value) {
    struct mail m;
    uv_sem_init(&m.parked, 0);
    CHECK_EQ(uvt_run(root_waits_for_thread, &m, NULL), 42);
    uv_sem_destroy(&m.parked);
}

UVT_TEST_PLAIN(spawn_on_attached_loop_runs_only_when_driven) {
    uv_loop_t loop;
    uvt_runtime_t *rt;
    int ran = 0;
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(&rt, &loop, NULL), 0);
    for (int round = 1; round <= 2; round++) {
        CHECK_EQ(uvt_runtime_spawn(rt, b_count, &ran), 0);
        CHECK_EQ(ran, round - 1);
        uv_run(&loop, UV_RUN_DEFAULT);
        CHECK_EQ(ran, round);
    }
    CHECK_EQ(uvt_runtime_shutdown(rt, NULL, NULL), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    uvt_runtime_unref(rt);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

/* ---- spawning ---- */

UVT_TEST(spawn_child_runs_only_when_the_caller_suspends) {
    CHECK_EQ(uvt_spawn(NULL, b_step, "child"), 0);
    uvt_test_step("caller");
    settle();
    CHECK_STEPS("caller child");
}

static int send_and_return(void *arg) {
    return uvt_oneshot_send(arg, 7, "message") < 0 ? -1 : 8;
}

UVT_TEST(join_after_message_both_are_right) {
    uvt_oneshot_t *o;
    uvt_task_t t;
    void *value;
    int status;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_spawn(&t, send_and_return, o), 0);
    CHECK_EQ(uvt_oneshot_recv(o, &status, &value), 0);
    CHECK_EQ(status, 7);
    CHECK_STR(value, "message");
    CHECK_EQ(uvt_join(t, NULL), 8);
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

struct link {
    uvt_oneshot_t *in, *out;
};

static int relay(void *arg) {
    struct link *l = arg;
    int status, rc = uvt_oneshot_recv(l->in, &status, NULL);
    return rc < 0 ? rc : uvt_oneshot_send(l->out, status + 1, NULL);
}

UVT_TEST(spawn_two_chained_value_passes_through_both) {
    uvt_oneshot_t *o[3];
    int status;
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_oneshot_new(&o[i], 0), 0);
    struct link first = { o[0], o[1] }, second = { o[1], o[2] };
    CHECK_EQ(uvt_spawn(NULL, relay, &second), 0);
    CHECK_EQ(uvt_spawn(NULL, relay, &first), 0);
    CHECK_EQ(uvt_oneshot_send(o[0], 40, NULL), 0);
    CHECK_EQ(uvt_oneshot_recv(o[2], &status, NULL), 0);
    CHECK_EQ(status, 42);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_oneshot_close_rx(o[i], NULL), 0);
}

static int joins_grandchild(void *arg) {
    return spawn_and_join(b_return, arg);
}

UVT_TEST(join_chain_grandchilds_value_comes_out) {
    CHECK_EQ(spawn_and_join(joins_grandchild, INT(77)), 77);
}

enum { MANY = 500 };

static int spawns_many(void *arg) {
    uvt_task_t t[MANY];
    for (int i = 0; i < MANY; i++) CHECK_EQ(uvt_spawn(&t[i], b_count, arg), 0);
    for (int i = 0; i < MANY; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    return *(int *)arg;
}

UVT_TEST(spawn_many_from_child_all_complete) {
    int count = 0;
    CHECK_EQ(spawn_and_join(spawns_many, &count), MANY);
}

static int park_here(void *arg) {
    return uvt_park(arg);
}

UVT_TEST(unpark_once_resumes_exactly_once) {
    uvt_park_t p = { .what = "the test" };
    uvt_stats before, after;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, park_here, &p), 0);
    settle();
    CHECK_EQ(uvt_stats_get(&before), 0);
    CHECK(uvt_unpark(&p, 5));
    CHECK(!uvt_unpark(&p, 6));
    settle();
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.switches - before.switches, 2); /* the child, and this task after its sleep */
    CHECK_EQ(uvt_join(t, NULL), 5);
}

static int tells_id(void *arg) {
    *(uvt_task_t *)arg = uvt_self();
    return uvt_sleep(1);
}

UVT_TEST(task_ids_differ_and_match_the_handles) {
    uvt_task_t t[2], inside[2];
    for (int i = 0; i < 2; i++) CHECK_EQ(uvt_spawn(&t[i], tells_id, &inside[i]), 0);
    CHECK(t[0].id != t[1].id);
    CHECK(t[0].id != uvt_self().id);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(uvt_join(t[i], NULL), 0);
        CHECK_EQ(inside[i].id, t[i].id);
        CHECK(inside[i].rec == t[i].rec);
    }
}

UVT_TEST_PLAIN(self_outside_of_tasks_is_none) {
    CHECK(uvt_self().rec == NULL);
    CHECK_EQ(uvt_self().id, 0);
}

UVT_TEST(self_twice_is_the_same) {
    uvt_task_t before = uvt_self();
    settle();
    CHECK(before.rec != NULL);
    CHECK(uvt_self().rec == before.rec);
    CHECK_EQ(uvt_self().id, before.id);
}

static int three_steps(void *arg) {
    for (int i = 0; i < 3; i++) {
        uvt_test_step("%s", (const char *)arg);
        CHECK_EQ(uvt_yield(), 0);
    }
    return 0;
}

UVT_TEST(yield_two_loopers_alternate_batch_by_batch) {
    uvt_task_t a, b;
    CHECK_EQ(uvt_spawn(&a, three_steps, "a"), 0);
    CHECK_EQ(uvt_spawn(&b, three_steps, "b"), 0);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
    const char *s = uvt_test_steps(true); /* "a b b a a b": one of each in every batch, in any order */
    CHECK_EQ(strlen(s), 11);
    for (int i = 0; i < 12; i += 4) CHECK(s[i] != s[i + 2]);
}

struct tally {
    int sum, times;
};

static int adds_and_yields(void *arg) {
    struct tally *t = arg;
    for (int i = 0; i < t->times; i++) {
        t->sum++;
        CHECK_EQ(uvt_yield(), 0);
    }
    return 0;
}

UVT_TEST(yield_three_workers_sum_is_exact) {
    struct tally tally = { 0, 100 };
    uvt_task_t t[3];
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_spawn(&t[i], adds_and_yields, &tally), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
    CHECK_EQ(tally.sum, 300);
}

static int t0_steps(void *arg) {
    static uint64_t t0;
    if (!t0) t0 = uvt_now();
    for (const char *p = arg; *p; p++) {
        CHECK_EQ(uvt_sleep((uint64_t)(*p - '0')), 0);
        uvt_test_step("%d", (int)(uvt_now() - t0));
    }
    return 0;
}

UVT_TEST(sleep_two_tasks_interleave_strictly) {
    uvt_task_t a, b;
    CHECK_EQ(uvt_spawn(&a, t0_steps, "122"), 0);
    CHECK_EQ(uvt_spawn(&b, t0_steps, "222"), 0);
    CHECK_EQ(uvt_join(a, NULL), 0);
    CHECK_EQ(uvt_join(b, NULL), 0);
    CHECK_STEPS("1 2 3 4 5 6");
}

static int steps_when_received(void *arg) {
    int rc = uvt_oneshot_recv(arg, NULL, NULL);
    uvt_test_step("received");
    return rc;
}

UVT_TEST(send_waiter_runs_only_when_the_sender_suspends) {
    uvt_oneshot_t *o;
    uvt_task_t t;
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_spawn(&t, steps_when_received, o), 0);
    settle();
    CHECK_EQ(uvt_oneshot_send(o, 0, NULL), 0);
    uvt_test_step("sent");
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_STEPS("sent received");
    CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
}

/* ---- stacks ---- */

static void twenty(uvt_fn fn, void *arg) {
    uvt_task_t t[20];
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_spawn(&t[i], fn, arg), 0);
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_join(t[i], NULL), 0);
}

UVT_TEST(stacks_of_ended_tasks_are_cached_and_reused) {
    uvt_stats once, twice;
    twenty(b_sleep, INT(1));
    CHECK_EQ(uvt_stats_get(&once), 0);
    CHECK_EQ(once.stacks, 1);
    CHECK(once.stacks_cached >= 20);
    twenty(b_sleep, INT(1));
    CHECK_EQ(uvt_stats_get(&twice), 0);
    CHECK_EQ(twice.stacks, 1);
    CHECK_EQ(twice.stacks_cached, once.stacks_cached);
}

UVT_TEST(stacks_of_tasks_that_never_suspend_are_one) {
    uvt_stats before, after;
    CHECK_EQ(uvt_stats_get(&before), 0);
    twenty(b_return, INT(0));
    CHECK_EQ(uvt_stats_get(&after), 0);
    CHECK_EQ(after.stacks, 1);
    CHECK_IN(after.stacks_cached, before.stacks_cached, before.stacks_cached + 2);
}

UVT_TEST(stack_of_another_size_is_given_back_each_time) {
    uvt_stats first, last;
    for (int i = 0; i < 5; i++) {
        uvt_task_t t;
        CHECK_EQ(uvt_spawn_opts(&t, b_sleep, INT(1), &(uvt_task_options){ .stack_size = 256 * 1024 }), 0);
        CHECK_EQ(uvt_join(t, NULL), 0);
        CHECK_EQ(uvt_stats_get(i == 0 ? &first : &last), 0);
        CHECK_EQ((i == 0 ? &first : &last)->stacks, 1);
    }
    CHECK_EQ(last.stacks_cached, first.stacks_cached);
}

static int fills_most_of_the_stack(void *arg) {
    volatile char room[200 * 1024];
    (void)arg;
    for (size_t i = 0; i < sizeof room; i += 1024) room[i] = (char)i;
    return room[1024] == 0 ? 1 : 0;
}

UVT_TEST(stack_size_option_is_usable_in_full) {
    uvt_task_t t;
    uvt_task_options big = { .stack_size = 256 * 1024 };
    CHECK_EQ(uvt_spawn_opts(&t, fills_most_of_the_stack, NULL, &big), 0);
    CHECK_EQ(uvt_join(t, NULL), 1);
}

UVT_TEST(stack_size_minimum_runs_a_trivial_task) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn_opts(&t, b_sleep, INT(1), &(uvt_task_options){ .stack_size = 16 * 1024 }), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

/* ---- joining ---- */

UVT_TEST(join_result_says_how_it_ended) {
    uvt_result r;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_return, INT(5)), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.status, 5);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.task.id, t.id);
    CHECK(r.arg == INT(5));
    CHECK_STR(r.message, "");
}

UVT_TEST(join_with_result_of_a_failed_task_is_0) {
    uvt_result r;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_return, INT(UV_EIO)), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.status, UV_EIO);
    CHECK_EQ(r.outcome, UVT_RETURNED);
}

UVT_TEST(join_without_result_returns_the_status) {
    CHECK_EQ(spawn_and_join(b_return, INT(UV_EIO)), UV_EIO);
    CHECK_EQ(spawn_and_join(b_return, INT(3)), 3);
}

UVT_TEST(join_an_ended_task_does_not_suspend) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_return, INT(5)), 0);
    settle();
    CHECK_EQ(uvt_spawn(NULL, b_step, "other"), 0);
    CHECK_EQ(uvt_join(t, NULL), 5);
    CHECK_STEPS("");
    settle();
}

UVT_TEST(join_itself_is_refused_at_once) {
    CHECK_EQ(uvt_join(uvt_self(), NULL), UVT_EDEADLK);
}

static int joins_the_grandparent(void *arg) {
    return spawn_and_join(b_join, arg);
}

UVT_TEST(join_an_owner_is_refused_at_once) {
    uvt_task_t self = uvt_self();
    CHECK_EQ(spawn_and_join(b_join, &self), UVT_EDEADLK);
    CHECK_EQ(spawn_and_join(joins_the_grandparent, &self), UVT_EDEADLK);
}

UVT_TEST(join_cancelled_joiner_leaves_the_joinee_alone) {
    uvt_task_t joinee, joiner;
    CHECK_EQ(uvt_spawn(&joinee, b_sleep, INT(100)), 0);
    CHECK_EQ(uvt_spawn(&joiner, b_join, &joinee), 0);
    settle();
    CHECK_EQ(uvt_abort(joiner), 0);
    CHECK_EQ(uvt_join(joiner, NULL), UV_ECANCELED);
    CHECK_EQ(uvt_is_done(joinee), 0);
    CHECK_EQ(uvt_join(joinee, NULL), 0); /* the handle is still good, the sleep was not cut short */
}

UVT_TEST(join_twice_is_stale) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_return, INT(5)), 0);
    CHECK_EQ(uvt_join(t, NULL), 5);
    CHECK_EQ(uvt_join(t, NULL), UVT_ESTALE);
}

UVT_TEST(join_handle_of_a_recycled_record_is_stale) {
    uvt_task_t old, young[8];
    CHECK_EQ(uvt_spawn(&old, b_return, INT(5)), 0);
    CHECK_EQ(uvt_join(old, NULL), 5);
    for (int i = 0; i < 8; i++) CHECK_EQ(uvt_spawn(&young[i], b_sleep, INT(1)), 0);
    CHECK_EQ(uvt_join(old, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_abort(old), UVT_ESTALE);
    CHECK_EQ(uvt_is_done(old), UVT_ESTALE);
    for (int i = 0; i < 8; i++) CHECK_EQ(uvt_join(young[i], NULL), 0);
}

UVT_TEST(join_while_another_joins_is_busy) {
    uvt_task_t joinee, joiner;
    CHECK_EQ(uvt_spawn(&joinee, b_sleep, INT(5)), 0);
    CHECK_EQ(uvt_spawn(&joiner, b_join, &joinee), 0);
    settle();
    CHECK_EQ(uvt_join(joinee, NULL), UV_EBUSY);
    CHECK_EQ(uvt_join(joiner, NULL), 0); /* the first joiner is not disturbed */
}

UVT_TEST(join_in_another_order_than_spawned_works) {
    uvt_task_t t[3];
    for (int i = 0; i < 3; i++) CHECK_EQ(uvt_spawn(&t[i], b_return, INT(10 + i)), 0);
    CHECK_EQ(uvt_join(t[2], NULL), 12);
    CHECK_EQ(uvt_join(t[0], NULL), 10);
    CHECK_EQ(uvt_join(t[1], NULL), 11);
}

/* ---- no starvation ---- */

struct pingpong {
    uvt_semaphore_t sem[2];
    int laps;
};

static int ping(void *arg) {
    struct pingpong *p = arg;
    int rc;
    while ((rc = uvt_semaphore_acquire(&p->sem[0])) == 0) uvt_semaphore_release(&p->sem[1], 1);
    return rc;
}

static int pong(void *arg) {
    struct pingpong *p = arg;
    int rc;
    while ((rc = uvt_semaphore_acquire(&p->sem[1])) == 0) {
        p->laps++;
        uvt_semaphore_release(&p->sem[0], 1);
    }
    return rc;
}

static void open_pingpong(struct pingpong *p, uvt_set_t *set) {
    p->laps = 0;
    CHECK_EQ(uvt_semaphore_init(&p->sem[0], 1, 0), 0);
    CHECK_EQ(uvt_semaphore_init(&p->sem[1], 0, 0), 0);
    CHECK_EQ(uvt_set_open(set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(set, ping, p), 0);
    CHECK_EQ(uvt_set_spawn(set, pong, p), 0);
}

UVT_TEST(relays_without_io_do_not_starve_their_closer) {
    struct pingpong p;
    uvt_set_t set;
    open_pingpong(&p, &set);
    for (int i = 0; i < 50; i++) CHECK_EQ(uvt_yield(), 0);
    CHECK(p.laps > 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST_REAL(relays_without_io_do_not_starve_timers) {
    struct pingpong p;
    uvt_set_t set;
    open_pingpong(&p, &set);
    CHECK_EQ(uvt_sleep(2), 0);
    CHECK(p.laps > 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST_MAIN()
