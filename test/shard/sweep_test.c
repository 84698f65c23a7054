/* SPDX-License-Identifier: MIT
 *
 * Out of memory, and libuv's calls failing, over several shards: the n-th of them fails, whichever thread makes it. A
 * call that fails has done nothing; whatever happens, the runtime ends and nothing is left.
 */
#include "shards.h"

/* Main's status is a code that may come of the failure, or 0; every run gives everything back. */
static void sweep(uvt_fn body, unsigned shards, bool memory, int code) {
    unsigned failures = 0;
    for (unsigned n = 1;; n++) {
        if (memory)
            uvt_test_fail_alloc(n);
        else
            uvt_test_fail_uv(n, code);
        int rc = run_virtual(shards, body, NULL);
        bool hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        uvt_test_fail_uv(0, 0);
        if (uvt_test_live_blocks() != 0) uvt_test_fail(__FILE__, __LINE__, "failure %u left blocks", n);
        if (rc != 0 && !(rc == code && hit))
            uvt_test_fail(__FILE__, __LINE__, "failure %u: run says %s", n, uvt_err_name(rc));
        failures += rc == code;
        if (!hit) break;
        CHECK(n < 2000);
    }
    CHECK(failures > 0);
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

static atomic_int ran;

static int nothing(void *arg) {
    (void)arg;
    return 0;
}

UVT_TEST_PLAIN(oom_run_of_four_shards_fails_clean) {
    sweep(nothing, 4, true, UV_ENOMEM);
}

UVT_TEST_PLAIN(uv_call_run_of_four_shards_fails_clean) {
    sweep(nothing, 4, false, UV_EMFILE);
    sweep(nothing, 4, false, UV_EAGAIN);
}

/* It ran with its own status, or there was no memory there and it did not run. */
static void check_join(uvt_task_t t) {
    uvt_result r = join(t);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    if (r.status == UV_ENOMEM)
        CHECK(uvt_test_fail_hit());
    else
        CHECK_EQ(r.status, 0);
}

static int spawns_on(void *arg) {
    uvt_task_t t;
    uvt_task_options o = { .place = UVT_ON(1), .name = "swept" };
    (void)arg;
    atomic_store(&ran, 0);
    AGAIN(uvt_spawn_opts(&t, b_atomic_count, &ran, &o));
    uvt_result r = join(t);
    if (r.status == UV_ENOMEM)
        CHECK(uvt_test_fail_hit());
    else
        CHECK_EQ(r.status, 0);
    CHECK_EQ(atomic_load(&ran), r.status == 0);
    return 0;
}

UVT_TEST_PLAIN(oom_spawn_on_another_shard_is_whole_or_not_at_all) {
    sweep(spawns_on, 2, true, UV_ENOMEM);
}

static int spawns_any(void *arg) {
    uvt_task_t t[20];
    (void)arg;
    atomic_store(&ran, 0);
    int whole = 0;
    for (int i = 0; i < 20; i++)
        AGAIN(uvt_spawn_opts(&t[i], b_atomic_count, &ran, &(uvt_task_options){ .place = UVT_ANY }));
    for (int i = 0; i < 20; i++) {
        uvt_result r = join(t[i]);
        whole += r.status == 0;
        CHECK(r.status == 0 || (r.status == UV_ENOMEM && uvt_test_fail_hit()));
    }
    CHECK_EQ(atomic_load(&ran), whole);
    return 0;
}

UVT_TEST_PLAIN(oom_spawn_any_is_whole_or_not_at_all) {
    sweep(spawns_any, 3, true, UV_ENOMEM);
}

static uvt_key_t key;

static int has_local(void *arg) {
    CHECK(uvt_local_get(key) == arg);
    return 0;
}

static int spawns_with_locals(void *arg) {
    uvt_task_t t;
    (void)arg;
    AGAIN(uvt_local_set(key, &key));
    AGAIN(uvt_spawn_opts(&t, has_local, &key, &(uvt_task_options){ .place = UVT_ON(1) }));
    check_join(t);
    AGAIN(uvt_spawn_opts(&t, has_local, &key, &(uvt_task_options){ .place = UVT_ANY }));
    check_join(t);
    return 0;
}

UVT_TEST_PLAIN(oom_locals_go_along_or_the_task_does_not) {
    CHECK_EQ(uvt_key_create(&key, UVT_KEY_INHERIT), 0);
    sweep(spawns_with_locals, 2, true, UV_ENOMEM);
}

static int panics(void *arg) {
    (void)arg;
    uvt_panic("swept");
}

static int joins_a_panic(void *arg) {
    uvt_task_t t;
    (void)arg;
    AGAIN(uvt_spawn_opts(&t, panics, NULL, &(uvt_task_options){ .place = UVT_ON(1) }));
    uvt_result r = join(t);
    if (r.status == UV_ENOMEM) return 0;
    CHECK_EQ(r.outcome, UVT_PANICKED);
    CHECK(strcmp(r.message, "swept") == 0 || (r.message[0] == 0 && uvt_test_fail_hit()));
    return 0;
}

UVT_TEST_PLAIN(oom_panic_elsewhere_stays_a_panic) {
    sweep(joins_a_panic, 2, true, UV_ENOMEM);
}

static int calls(void *arg) {
    (void)arg;
    atomic_store(&ran, 0);
    for (int i = 0; i < 3; i++) {
        int rc = uvt_call((unsigned)i % 2, b_atomic_count, &ran);
        CHECK(rc == 0 || (rc == UV_ENOMEM && uvt_test_fail_hit()));
        if (rc < 0) CHECK_EQ(uvt_call((unsigned)i % 2, b_atomic_count, &ran), 0);
    }
    CHECK_EQ(atomic_load(&ran), 3);
    return 0;
}

UVT_TEST_PLAIN(oom_call_says_so_and_works_again) {
    sweep(calls, 2, true, UV_ENOMEM);
}

static int fills_a_set(void *arg) {
    uvt_set_t set;
    uvt_result r;
    int ended = 0, whole = 0;
    (void)arg;
    atomic_store(&ran, 0);
    AGAIN(uvt_set_open(&set, &(uvt_set_options){ .limit = 4 }));
    for (unsigned i = 0; i < 12; i++) {
        uvt_task_options o = { .place = i % 4 < 3 ? UVT_ON(i % 3) : UVT_ANY };
        AGAIN(uvt_set_spawn_opts(&set, NULL, b_atomic_count, &ran, &o));
    }
    for (; uvt_set_next(&set, &r) == 0; ended++) whole += r.status == 0;
    CHECK_EQ(ended, 12);
    CHECK_EQ(atomic_load(&ran), whole);
    CHECK(whole >= 11);
    return uvt_set_close(&set);
}

UVT_TEST_PLAIN(oom_set_over_three_shards_counts_every_member) {
    sweep(fills_a_set, 3, true, UV_ENOMEM);
}

static int waits_on(void *token) {
    int rc = uvt_token_wait(token);
    return rc == UV_ENOMEM ? uvt_token_wait(token) : rc;
}

static int scoped_by(void *token) {
    uvt_scope_t s;
    AGAIN(uvt_scope_begin(&s, &(uvt_scope_options){ .token = token }));
    int rc = uvt_scope_end(&s, uvt_sleep(UVT_FOREVER));
    return rc == UV_ECANCELED ? 0 : rc;
}

static int uses_a_token(void *arg) {
    uvt_token_t *k;
    uvt_task_t a, b;
    (void)arg;
    AGAIN(uvt_token_new(&k, NULL));
    AGAIN(uvt_spawn_opts(&a, waits_on, k, &(uvt_task_options){ .place = UVT_ON(1) }));
    AGAIN(uvt_spawn_opts(&b, scoped_by, k, &(uvt_task_options){ .place = UVT_ON(1) }));
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_token_cancel(k, NULL), 0);
    check_join(a);
    check_join(b);
    uvt_token_unref(k);
    return 0;
}

UVT_TEST_PLAIN(oom_token_used_elsewhere_says_so_and_works_again) {
    sweep(uses_a_token, 2, true, UV_ENOMEM);
}

static int aborts(void *t) {
    int rc = uvt_abort(*(uvt_task_t *)t);
    if (rc == UV_ENOMEM) rc = uvt_abort(*(uvt_task_t *)t);
    return rc;
}

static int aborted_from_elsewhere(void *arg) {
    uvt_task_t t, by;
    (void)arg;
    AGAIN(uvt_spawn(&t, b_forever, NULL));
    CHECK_EQ(uvt_sleep(1), 0);
    AGAIN(uvt_spawn_opts(&by, aborts, &t, &(uvt_task_options){ .place = UVT_ON(1) }));
    if (join(by).status == UV_ENOMEM) CHECK_EQ(uvt_abort(t), 0); /* it never ran */
    uvt_result r = join(t);
    CHECK(r.outcome == UVT_CANCELLED || r.status == UV_ENOMEM);
    return 0;
}

UVT_TEST_PLAIN(oom_abort_from_another_shard_says_so_and_works_again) {
    sweep(aborted_from_elsewhere, 2, true, UV_ENOMEM);
}

static void posted(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
}

static int posts(void *arg) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    (void)arg;
    atomic_store(&ran, 0);
    for (unsigned k = 0; k < 2; k++) AGAIN(uvt_post_on(rt, k, posted, &ran));
    uvt_runtime_unref(rt);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(atomic_load(&ran), 2);
    return 0;
}

UVT_TEST_PLAIN(oom_post_on_says_so_and_works_again) {
    sweep(posts, 2, true, UV_ENOMEM);
}

static void blocks_on(void *rt) {
    int rc = uvt_block_on(rt, b_atomic_count, &ran);
    if (rc == UV_ENOMEM) {
        CHECK(uvt_test_fail_hit());
        rc = uvt_block_on(rt, b_atomic_count, &ran);
    }
    CHECK_EQ(rc, 0);
    uvt_runtime_unref(rt);
}

static int other_runtime(void *arg) {
    *(uvt_runtime_t **)arg = uvt_runtime_ref();
    uvt_external_begin();
    return 0;
}

static int lets_go(void *arg) {
    (void)arg;
    uvt_external_end();
    return 0;
}

static int has_a_stranger(void *arg) {
    uv_thread_t thread;
    uvt_runtime_t *rt;
    (void)arg;
    atomic_store(&ran, 0);
    AGAIN(uvt_call(1, other_runtime, &rt));
    CHECK_EQ(uv_thread_create(&thread, blocks_on, rt), 0);
    CHECK_EQ(uv_thread_join(&thread), 0);
    CHECK_EQ(atomic_load(&ran), 1);
    AGAIN(uvt_call(1, lets_go, NULL));
    return 0;
}

UVT_TEST_PLAIN(oom_block_on_says_so_and_works_again) {
    sweep(has_a_stranger, 2, true, UV_ENOMEM);
}

UVT_TEST_MAIN()
