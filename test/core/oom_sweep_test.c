/* SPDX-License-Identifier: MIT
 *
 * Out of memory, everywhere: each body is run in a fresh runtime once per allocation it makes, the n-th one
 * failing. A failed call says UV_ENOMEM, has done nothing, and works when it is made again (one allocation
 * fails, not all); whatever happens, the runtime gives every block back. Allocations of the runtime's own
 * beginning and end are swept along.
 */
#include <uvtask.h>
#include <uvtask/test.h>

/* Runs body until no allocation is left to fail. */
static void sweep(uvt_fn body) {
    int refused = 0;
    for (unsigned n = 1;; n++) {
        size_t blocks = uvt_test_live_blocks();
        uvt_test_fail_alloc(n);
        int rc = uvt_test_run(body, NULL, NULL);
        bool hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        if (uvt_test_live_blocks() != blocks) uvt_test_fail(__FILE__, __LINE__, "allocation %u failed: blocks left", n);
        if (rc != 0 && !(rc == UV_ENOMEM && hit))
            uvt_test_fail(__FILE__, __LINE__, "allocation %u failed: run says %s", n, uvt_err_name(rc));
        refused += rc == UV_ENOMEM;
        if (!hit) break;
        CHECK(n < 1000);
    }
    CHECK(refused > 0); /* the first allocation of all, at least */
}

/* Makes a call that may run out of memory: again, when it did. */
#define AGAIN(call)                                                                                                    \
    do {                                                                                                               \
        int again_rc = (call);                                                                                         \
        if (again_rc == UV_ENOMEM) {                                                                                   \
            CHECK(uvt_test_fail_hit());                                                                                \
            again_rc = (call);                                                                                         \
        }                                                                                                              \
        CHECK_EQ(again_rc, 0);                                                                                         \
    } while (0)

static int ran;

static int count(void *arg) {
    ran++;
    return (int)(intptr_t)arg;
}

static int nap_and_count(void *arg) {
    int rc = uvt_sleep(10);
    return rc < 0 ? rc : count(arg);
}

/* What became of a task that ended: its value, or no memory for its stack and then its body has not run. */
static int check_ended(const uvt_result *r, int value) {
    CHECK_EQ(r->outcome, UVT_RETURNED);
    if (r->status == UV_ENOMEM)
        CHECK(uvt_test_fail_hit());
    else
        CHECK_EQ(r->status, value);
    return r->status == value;
}

/* ---- tasks ---- */

static void spawn_whole_or_not_at_all(uvt_task_t *t, uvt_fn fn, int value, const uvt_task_options *o) {
    uvt_stats before, after;
    CHECK_EQ(uvt_stats_get(&before), 0);
    *t = (uvt_task_t){ 0 };
    int rc = uvt_spawn_opts(t, fn, (void *)(intptr_t)value, o);
    if (rc == UV_ENOMEM) {
        CHECK_EQ(uvt_stats_get(&after), 0);
        CHECK_EQ(after.tasks, before.tasks);
        CHECK_EQ(after.records, before.records);
        CHECK_EQ(t->id, 0);
        rc = uvt_spawn_opts(t, fn, (void *)(intptr_t)value, o);
    }
    CHECK_EQ(rc, 0);
}

static int spawn_and_join_many(void *arg) {
    enum { N = 300 }; /* more than one chunk of records, and of stacks: half of them sleep at once */
    uvt_task_t t[N];
    uvt_result r;
    int ended_well = 0;
    (void)arg;
    ran = 0;
    for (int i = 0; i < N; i++) spawn_whole_or_not_at_all(&t[i], i % 2 ? nap_and_count : count, i, NULL);
    for (int i = 0; i < N; i++) {
        CHECK_EQ(uvt_join(t[i], &r), 0);
        ended_well += check_ended(&r, i);
    }
    CHECK_EQ(ran, ended_well);
    return 0;
}

UVT_TEST_PLAIN(oom_spawn_is_whole_or_not_at_all) {
    sweep(spawn_and_join_many);
}

static int spawn_with_options(void *arg) {
    uvt_task_options o[] = { { .name = "named" }, { .stack_size = 256 * 1024 }, { .start_after_ms = 50 } };
    uvt_task_t t[3];
    uvt_result r;
    (void)arg;
    for (int i = 0; i < 3; i++) spawn_whole_or_not_at_all(&t[i], nap_and_count, i, &o[i]);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(uvt_join(t[i], &r), 0);
        check_ended(&r, i);
    }
    return 0;
}

UVT_TEST_PLAIN(oom_spawn_with_name_stack_or_delay_is_whole_or_not_at_all) {
    sweep(spawn_with_options);
}

static int released;

static void release(void *arg) {
    (void)arg;
    released++;
}

static int defer_five(void *registered) {
    for (int i = 0; i < 5; i++) {
        int rc = uvt_defer(release, NULL);
        if (rc == 0)
            ++*(int *)registered;
        else
            CHECK_EQ(rc, UV_ENOMEM);
    }
    return uvt_sleep(1);
}

static int defers(void *arg) {
    int registered = 0;
    uvt_task_t t;
    uvt_result r;
    (void)arg;
    released = 0;
    AGAIN(uvt_spawn(&t, defer_five, &registered));
    CHECK_EQ(uvt_join(t, &r), 0);
    check_ended(&r, 0);
    CHECK_EQ(released, registered);
    return 0;
}

UVT_TEST_PLAIN(oom_defer_refused_is_never_called) {
    sweep(defers);
}

static int panic_with_children(void *arg) {
    if (uvt_spawn(NULL, nap_and_count, NULL) == UV_ENOMEM) return UV_ENOMEM;
    int rc = uvt_sleep(1);
    if (rc < 0) return rc;
    uvt_panic("%s", (const char *)arg);
}

static int panics(void *arg) {
    uvt_task_t t;
    uvt_result r;
    (void)arg;
    AGAIN(uvt_spawn(&t, panic_with_children, "lost"));
    CHECK_EQ(uvt_join(t, &r), 0);
    if (r.outcome != UVT_PANICKED)
        check_ended(&r, UV_ENOMEM);
    else
        CHECK_EQ(r.status, UVT_EPANIC);
    return 0;
}

UVT_TEST_PLAIN(oom_panic_is_still_a_panic) {
    sweep(panics);
}

static uvt_key_t plain_key, inherited_key;

static int sees_inherited(void *arg) {
    CHECK(uvt_local_get(plain_key) == NULL);
    CHECK(uvt_local_get(inherited_key) == arg);
    return 0;
}

static int locals(void *arg) {
    static int value;
    uvt_task_t t;
    uvt_result r;
    (void)arg;
    int rc = uvt_local_set(plain_key, &value);
    if (rc == UV_ENOMEM) CHECK(uvt_local_get(plain_key) == NULL);
    AGAIN(uvt_local_set(plain_key, &value));
    AGAIN(uvt_local_set(inherited_key, &value));
    CHECK(uvt_local_get(plain_key) == &value);
    AGAIN(uvt_spawn(&t, sees_inherited, &value));
    CHECK_EQ(uvt_join(t, &r), 0);
    check_ended(&r, 0);
    return 0;
}

UVT_TEST_PLAIN(oom_locals_keep_their_values_and_children_inherit_or_do_not_exist) {
    CHECK_EQ(uvt_key_create(&plain_key, 0), 0);
    CHECK_EQ(uvt_key_create(&inherited_key, UVT_KEY_INHERIT), 0);
    sweep(locals);
}

static int posted;

static void note_post(void *arg) {
    (void)arg;
    posted++;
}

static int posts(void *arg) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    int accepted = 0;
    (void)arg;
    posted = 0;
    for (int i = 0; i < 5; i++) {
        int rc = uvt_post(rt, note_post, NULL);
        if (rc == 0)
            accepted++;
        else
            CHECK_EQ(rc, UV_ENOMEM);
    }
    uvt_runtime_unref(rt);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(posted, accepted);
    return 0;
}

UVT_TEST_PLAIN(oom_post_refused_is_never_called) {
    sweep(posts);
}

static int sleep_forever(void *arg) {
    (void)arg;
    return uvt_sleep(UVT_FOREVER);
}

static void abort_from_thread(void *task) {
    int rc = uvt_abort(*(uvt_task_t *)task);
    if (rc == UV_ENOMEM) rc = uvt_abort(*(uvt_task_t *)task);
    CHECK_EQ(rc, 0);
}

static int aborts_from_afar(void *arg) {
    uvt_task_t t;
    uvt_result r;
    uv_thread_t thread;
    (void)arg;
    AGAIN(uvt_spawn(&t, sleep_forever, NULL));
    uvt_external_begin();
    CHECK_EQ(uv_thread_create(&thread, abort_from_thread, &t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    uvt_external_end();
    CHECK_EQ(uv_thread_join(&thread), 0);
    if (r.outcome != UVT_CANCELLED) check_ended(&r, UV_ENOMEM);
    return 0;
}

UVT_TEST_PLAIN(oom_abort_from_another_thread_can_be_asked_again) {
    sweep(aborts_from_afar);
}

/* ---- sets ---- */

static int sets(void *arg) {
    enum { N = 150 };
    uvt_set_t set;
    uvt_result r;
    int rc, ended_well = 0, taken = 0;
    (void)arg;
    ran = 0;
    AGAIN(uvt_set_open(&set, NULL));
    for (int i = 0; i < N; i++) {
        rc = uvt_set_spawn(&set, i % 2 ? nap_and_count : count, (void *)(intptr_t)i);
        if (rc == UV_ENOMEM) {
            CHECK_EQ(uvt_set_len(&set), i);
            rc = uvt_set_try_spawn(&set, i % 2 ? nap_and_count : count, (void *)(intptr_t)i);
        }
        CHECK_EQ(rc, 0);
        CHECK_EQ(uvt_set_len(&set), i + 1);
    }
    for (; (rc = uvt_set_next(&set, &r)) == 0; taken++) ended_well += check_ended(&r, (int)(intptr_t)r.arg);
    CHECK_EQ(rc, UV_EOF);
    CHECK_EQ(taken, N);
    CHECK_EQ(ran, ended_well);
    CHECK_EQ(uvt_set_close(&set), 0);
    return 0;
}

UVT_TEST_PLAIN(oom_set_spawns_whole_members_or_none_and_gives_every_result) {
    sweep(sets);
}

static int sets_with_options(void *arg) {
    uvt_set_t limited, fast;
    (void)arg;
    AGAIN(uvt_set_open(&limited, &(uvt_set_options){ .limit = 2 }));
    AGAIN(uvt_set_open(&fast, &(uvt_set_options){ .fail_fast = true }));
    for (int i = 0; i < 6; i++) AGAIN(uvt_set_spawn(&limited, nap_and_count, NULL));
    AGAIN(uvt_set_spawn(&fast, nap_and_count, NULL));
    AGAIN(uvt_set_spawn(&fast, count, (void *)(intptr_t)UV_EIO));
    int rc = uvt_set_close(&fast);
    CHECK(rc == UV_EIO || (rc == UV_ENOMEM && uvt_test_fail_hit()));
    rc = uvt_set_close(&limited);
    CHECK(rc == 0 || (rc == UV_ENOMEM && uvt_test_fail_hit()));
    return 0;
}

UVT_TEST_PLAIN(oom_sets_with_limit_or_fail_fast_close_clean) {
    sweep(sets_with_options);
}

static int says_started(void *arg) {
    CHECK_EQ(uvt_started(arg), 0);
    return uvt_sleep(UVT_FOREVER);
}

static int set_starts(void *arg) {
    static int word;
    uvt_set_t set;
    (void)arg;
    AGAIN(uvt_set_open(&set, NULL));
    for (int i = 0; i < 3; i++) {
        void *value = NULL;
        int rc = uvt_set_start(&set, says_started, &word, &value);
        if (rc == UV_ENOMEM) {
            CHECK_EQ(uvt_set_len(&set), i);
            CHECK(value == NULL);
            rc = uvt_set_start(&set, says_started, &word, &value);
        }
        CHECK_EQ(rc, 0);
        CHECK(value == &word);
    }
    CHECK_EQ(uvt_set_len(&set), 3);
    return uvt_set_close(&set);
}

UVT_TEST_PLAIN(oom_set_start_gives_a_started_member_or_none) {
    sweep(set_starts);
}

/* ---- scopes, tokens, oneshots ---- */

static int acquire(void *sem) {
    return uvt_semaphore_acquire(sem);
}

static int everything_about_scopes(void *token) {
    uvt_semaphore_t sem;
    uvt_scope_t outer, inner;
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    uvt_scope_options bound = { .timeout_ms = 100, .token = token };
    CHECK_EQ(uvt_scope_begin(&outer, &bound), 0);
    CHECK_EQ(uvt_scope_begin(&inner, &(uvt_scope_options){ .shield = true }), 0);
    CHECK_EQ(uvt_scope_set_deadline(&outer, uvt_now() + 20), 0);
    CHECK_EQ(uvt_timeout(10, acquire, &sem), UV_ETIMEDOUT);
    CHECK_EQ(uvt_sleep(20), 0);
    CHECK_EQ(uvt_scope_end(&inner, 0), 0);
    CHECK_EQ(uvt_scope_end(&outer, uvt_semaphore_acquire(&sem)), UV_ETIMEDOUT);
    CHECK_EQ(uvt_shielded(10, acquire, &sem), UV_ETIMEDOUT);
    CHECK_EQ(uvt_token_cancel_after(token, 10), 0);
    CHECK_EQ(uvt_under_token(token, acquire, &sem), UV_ECANCELED);
    return 0;
}

UVT_TEST(oom_scopes_timeouts_and_waits_need_no_memory) {
    uvt_token_t *first, *second;
    CHECK_EQ(uvt_token_new(&first, NULL), 0);
    CHECK_EQ(uvt_token_new(&second, NULL), 0);
    CHECK_EQ(everything_about_scopes(first), 0); /* warms up whatever the first suspension needs */
    uvt_test_fail_alloc(1);
    CHECK_EQ(everything_about_scopes(second), 0);
    CHECK(!uvt_test_fail_hit());
    uvt_test_fail_alloc(0);
    uvt_token_unref(first);
    uvt_token_unref(second);
}

static int wait_for(void *token) {
    return uvt_token_wait(token);
}

static int tokens(void *arg) {
    uvt_token_t *root = NULL, *mid = NULL, *leaf = NULL;
    uvt_task_t t;
    uvt_result r;
    (void)arg;
    AGAIN(uvt_token_new(&root, NULL));
    AGAIN(uvt_token_new(&mid, root));
    AGAIN(uvt_token_new(&leaf, mid));
    AGAIN(uvt_spawn(&t, wait_for, leaf));
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_token_cancel(root, NULL), 0);
    CHECK(uvt_token_cancelled(leaf));
    CHECK_EQ(uvt_join(t, &r), 0);
    check_ended(&r, 0);
    uvt_token_unref(root);
    uvt_token_unref(mid);
    uvt_token_unref(leaf);
    return 0;
}

UVT_TEST_PLAIN(oom_token_tree_is_whole) {
    sweep(tokens);
}

static int send_nine(void *oneshot) {
    return uvt_oneshot_send(oneshot, 9, NULL);
}

static int oneshots(void *arg) {
    uvt_oneshot_t *o = NULL, *p = NULL;
    uvt_task_t t;
    int status = 0;
    (void)arg;
    AGAIN(uvt_oneshot_new(&o, 0));
    AGAIN(uvt_oneshot_new(&p, UVT_ONESHOT_EXTERNAL));
    int rc = uvt_spawn_oneshot(&t, o, NULL);
    CHECK_EQ(send_nine(o), 0);
    if (rc == UV_ENOMEM) { /* the receiver's end has stayed ours */
        CHECK_EQ(uvt_oneshot_recv(o, &status, NULL), 0);
        CHECK_EQ(uvt_oneshot_close_rx(o, NULL), 0);
        CHECK_EQ(status, 9);
    } else {
        CHECK_EQ(rc, 0);
        CHECK_EQ(uvt_join(t, NULL), 9);
    }
    CHECK_EQ(send_nine(p), 0);
    CHECK_EQ(uvt_oneshot_recv(p, &status, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(p, NULL), 0);
    return 0;
}

UVT_TEST_PLAIN(oom_oneshot_ends_stay_with_their_holders) {
    sweep(oneshots);
}

UVT_TEST_MAIN()
