/* SPDX-License-Identifier: MIT
 *
 * Threads without a runtime beside the shards: uvt_block_on, which waits, and uvt_post and uvt_post_on, which do not.
 */
#include "shards.h"

/* A thread that tries something of its own with a runtime, and a oneshot that tells when it is through. */
struct stranger {
    uv_thread_t thread;
    uvt_runtime_t *rt;
    uvt_oneshot_t *through;
    int (*fn)(struct stranger *s);
    void *arg;
    int rc;
};

static void stranger_main(void *arg) {
    struct stranger *s = arg;
    s->rc = s->fn(s);
    uvt_runtime_unref(s->rt);
    if (s->through) CHECK_EQ(uvt_oneshot_send(s->through, 0, NULL), 0);
}

static void start(struct stranger *s) {
    s->rt = uvt_runtime_ref();
    if (!s->through) CHECK_EQ(uvt_oneshot_new(&s->through, UVT_ONESHOT_EXTERNAL), 0);
    CHECK_EQ(uv_thread_create(&s->thread, stranger_main, s), 0);
}

static int finish(struct stranger *s) {
    CHECK_EQ(uvt_oneshot_recv(s->through, NULL, NULL), 0);
    CHECK_EQ(uvt_oneshot_close_rx(s->through, NULL), 0);
    CHECK_EQ(uv_thread_join(&s->thread), 0);
    return s->rc;
}

static int in_a_thread(int (*fn)(struct stranger *), void *arg) {
    struct stranger s = { .fn = fn, .arg = arg };
    start(&s);
    return finish(&s);
}

/* ---- uvt_block_on ---- */

static int blocks_on_where(struct stranger *s) {
    return uvt_block_on(s->rt, b_where, s->arg);
}

static int from_this_shard(void *arg) {
    return in_a_thread(blocks_on_where, arg);
}

ON_SHARDS_REAL(3, block_on_runs_on_the_shard_its_runtime_stands_for) {
    for (unsigned k = 0; k < 3; k++) CHECK_EQ(uvt_call(k, from_this_shard, NULL), k);
}

ON_SHARDS_REAL(1, block_on_one_shard_works_too) {
    CHECK_EQ(in_a_thread(blocks_on_where, NULL), 0);
}

static int blocks_on_three(struct stranger *s) {
    int n = 21;
    CHECK_EQ(uvt_block_on(s->rt, b_return, INT(UV_EIO)), UV_EIO);
    CHECK_EQ(uvt_block_on(s->rt, b_sleep, INT(3)), 0);
    CHECK_EQ(uvt_block_on(s->rt, b_panic, "in a guest"), UVT_EPANIC);
    CHECK_EQ(uvt_block_on(s->rt, b_count, &n), 0);
    CHECK_EQ(uvt_block_on(s->rt, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_block_on(NULL, b_return, NULL), UV_EINVAL);
    return n;
}

ON_SHARDS_REAL(2, block_on_returns_result_error_and_panic) {
    CHECK_EQ(in_a_thread(blocks_on_three, NULL), 22);
}

static int calls_elsewhere(void *arg) {
    return uvt_call(1 - uvt_shard_index(), b_where, arg);
}

static int blocks_on_a_call(struct stranger *s) {
    return uvt_block_on(s->rt, calls_elsewhere, NULL);
}

ON_SHARDS_REAL(2, block_on_task_may_use_other_shards) {
    CHECK_EQ(in_a_thread(blocks_on_a_call, NULL), 1);
}

static int blocks_on_often(struct stranger *s) {
    for (int i = 0; i < 200; i++) CHECK_EQ(uvt_block_on(s->rt, b_atomic_count, s->arg), 0);
    return 0;
}

ON_SHARDS_REAL(4, block_on_from_six_threads_at_once_each_is_served) {
    atomic_int ran = 0;
    struct stranger s[6];
    for (int i = 0; i < 6; i++) {
        s[i] = (struct stranger){ .fn = blocks_on_often, .arg = &ran };
        start(&s[i]);
    }
    for (int i = 0; i < 6; i++) CHECK_EQ(finish(&s[i]), 0);
    CHECK_EQ(atomic_load(&ran), 1200);
}

static int blocks_in_a_task(void *arg) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    int rc = uvt_block_on(rt, b_return, arg);
    uvt_runtime_unref(rt);
    return rc;
}

ON_SHARDS(2, block_on_inside_a_task_is_enested) {
    CHECK_EQ(blocks_in_a_task(NULL), UVT_ENESTED);
    CHECK_EQ(uvt_call(1, blocks_in_a_task, NULL), UVT_ENESTED);
}

static void blocks_in_a_post(void *arg) {
    *(int *)arg = blocks_in_a_task(NULL);
}

ON_SHARDS(2, block_on_in_a_loops_callback_is_enested) {
    int rc = 0;
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post_on(rt, 1, blocks_in_a_post, &rc), 0);
    settle();
    CHECK_EQ(rc, UVT_ENESTED);
    uvt_runtime_unref(rt);
}

static int keeps_its_runtime(void *arg) {
    *(uvt_runtime_t **)arg = uvt_runtime_ref();
    return 0;
}

static int keeps_that_of_one(void *arg) {
    return uvt_call(1, keeps_its_runtime, arg);
}

UVT_TEST_PLAIN(block_on_after_the_end_is_egone) {
    uvt_runtime_t *rt;
    CHECK_EQ(run_virtual(2, keeps_its_runtime, &rt), 0);
    CHECK_EQ(uvt_block_on(rt, b_return, NULL), UVT_EGONE);
    uvt_runtime_unref(rt);
    CHECK_EQ(run_virtual(2, keeps_that_of_one, &rt), 0);
    CHECK_EQ(uvt_block_on(rt, b_return, NULL), UVT_EGONE);
    uvt_runtime_unref(rt);
}

static atomic_int waiting_inside;

static int waits_for_the_end(void *arg) {
    atomic_fetch_add(&waiting_inside, 1);
    CHECK_EQ(b_forever(arg), UV_ECANCELED);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_SHUTDOWN);
    return UV_ECANCELED;
}

static int blocks_until_the_end(struct stranger *s) {
    return uvt_block_on(s->rt, waits_for_the_end, NULL);
}

static int ends_under_them(void *arg) {
    struct stranger *s = arg;
    for (int i = 0; i < 2; i++) {
        s[i] = (struct stranger){ .fn = blocks_until_the_end };
        s[i].rt = uvt_runtime_ref();
        CHECK_EQ(uv_thread_create(&s[i].thread, stranger_main, &s[i]), 0);
    }
    while (atomic_load(&waiting_inside) < 2) CHECK_EQ(uvt_sleep(1), 0);
    return 5;
}

UVT_TEST_PLAIN(block_on_is_cancelled_by_the_end) {
    struct stranger s[2];
    CHECK_EQ(run_real(2, ends_under_them, s), 5);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(uv_thread_join(&s[i].thread), 0);
        CHECK_EQ(s[i].rc, UV_ECANCELED);
    }
}

static atomic_bool granite_stands;

static int granite(void *arg) {
    uvt_park_t p = { .what = "granite", .object = arg };
    atomic_store(&granite_stands, true);
    return uvt_park(&p);
}

static int blocks_on_granite(struct stranger *s) {
    return uvt_block_on(s->rt, granite, NULL);
}

static struct stranger quarryman;

static int leaves_granite_to_a_thread(void *arg) {
    quarryman = (struct stranger){ .fn = blocks_on_granite, .rt = uvt_runtime_ref() };
    (void)arg;
    CHECK_EQ(uv_thread_create(&quarryman.thread, stranger_main, &quarryman), 0);
    while (!atomic_load(&granite_stands)) CHECK_EQ(uvt_yield(), 0);
    return 0;
}

static void block_on_granite(unsigned shards) {
    CHECK_EQ(run_virtual(shards, leaves_granite_to_a_thread, NULL), UVT_EDEADLK);
    CHECK_EQ(uv_thread_join(&quarryman.thread), 0);
    CHECK_EQ(quarryman.rc, UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "granite") != NULL);
}

UVT_TEST_PLAIN(block_on_a_task_that_is_given_up_lets_the_thread_go) {
    block_on_granite(3);
}

UVT_TEST_PLAIN(block_on_a_task_that_is_given_up_on_one_shard_lets_the_thread_go) {
    block_on_granite(1);
}

static int blocks_until_egone(struct stranger *s) {
    int rc;
    do rc = uvt_block_on(s->rt, b_atomic_count, s->arg);
    while (rc == 0);
    return rc;
}

static atomic_int served;

static int ends_beside_them(void *arg) {
    struct stranger *s = arg;
    for (int i = 0; i < 4; i++) {
        s[i] = (struct stranger){ .fn = blocks_until_egone, .arg = &served };
        s[i].rt = uvt_runtime_ref();
        CHECK_EQ(uv_thread_create(&s[i].thread, stranger_main, &s[i]), 0);
    }
    while (atomic_load(&served) < 200) CHECK_EQ(uvt_sleep(1), 0);
    return 0;
}

UVT_TEST_PLAIN(block_on_while_the_runtime_ends_is_served_or_egone) {
    struct stranger s[4];
    CHECK_EQ(run_real(3, ends_beside_them, s), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(uv_thread_join(&s[i].thread), 0);
        CHECK_EQ(s[i].rc, UVT_EGONE);
    }
}

/* ---- uvt_post_on ---- */

static atomic_int posted;

static void counts(void *arg) {
    (void)arg;
    atomic_fetch_add(&posted, 1);
}

static void is_on(void *arg) {
    CHECK_EQ(uvt_shard_index(), (unsigned)(intptr_t)arg);
    CHECK_EQ(uvt_self().id, 0);
    atomic_fetch_add(&posted, 1);
}

ON_SHARDS(3, post_on_runs_on_that_shard_outside_of_tasks) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    for (int k = 0; k < 3; k++) CHECK_EQ(uvt_post_on(rt, (unsigned)k, is_on, INT(k)), 0);
    settle();
    CHECK_EQ(atomic_load(&posted), 3);
    uvt_runtime_unref(rt);
}

ON_SHARDS(2, post_on_bad_arguments_are_einval) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post_on(rt, 2, counts, NULL), UV_EINVAL);
    CHECK_EQ(uvt_post_on(rt, UINT32_MAX, counts, NULL), UV_EINVAL);
    CHECK_EQ(uvt_post_on(rt, 1, NULL, NULL), UV_EINVAL);
    CHECK_EQ(uvt_post_on(NULL, 0, counts, NULL), UV_EINVAL);
    uvt_runtime_unref(rt);
}

ON_SHARDS(1, post_on_one_shard_has_only_that) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post_on(rt, 0, is_on, INT(0)), 0);
    CHECK_EQ(uvt_post_on(rt, 1, is_on, INT(1)), UV_EINVAL);
    settle();
    CHECK_EQ(atomic_load(&posted), 1);
    uvt_runtime_unref(rt);
}

static int posts_all_round(void *arg) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    (void)arg;
    for (int k = 0; k < 3; k++) CHECK_EQ(uvt_post_on(rt, (unsigned)k, is_on, INT(k)), 0);
    uvt_runtime_unref(rt);
    return 0;
}

ON_SHARDS(3, post_on_from_another_shards_runtime) {
    CHECK_EQ(uvt_call(2, posts_all_round, NULL), 0);
    settle();
    CHECK_EQ(atomic_load(&posted), 3);
}

UVT_TEST_PLAIN(post_too_late_is_egone_and_not_called) {
    uvt_runtime_t *rt;
    CHECK_EQ(run_virtual(2, keeps_that_of_one, &rt), 0);
    CHECK_EQ(uvt_post(rt, counts, NULL), UVT_EGONE);
    CHECK_EQ(uvt_post_on(rt, 0, counts, NULL), UVT_EGONE);
    CHECK_EQ(uvt_post_on(rt, 1, counts, NULL), UVT_EGONE);
    CHECK_EQ(atomic_load(&posted), 0);
    uvt_runtime_unref(rt);
}

static int posts_and_ends(void *arg) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    for (int i = 0; i < 300; i++) CHECK_EQ(uvt_post_on(rt, (unsigned)i % 3, counts, NULL), 0);
    uvt_runtime_unref(rt);
    return (int)(intptr_t)arg;
}

UVT_TEST_PLAIN(post_accepted_before_main_ended_runs_on_every_shard) {
    CHECK_EQ(run_virtual(3, posts_and_ends, INT(UV_EIO)), UV_EIO);
    CHECK_EQ(atomic_load(&posted), 300);
    CHECK_EQ(run_real(3, posts_and_ends, INT(0)), 0);
    CHECK_EQ(atomic_load(&posted), 600);
}

static void posts_the_next(void *arg) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    atomic_fetch_add(&posted, 1);
    if (arg) CHECK_EQ(uvt_post_on(rt, (uvt_shard_index() + 1) % 3, posts_the_next, INT((intptr_t)arg - 1)), 0);
    uvt_runtime_unref(rt);
}

ON_SHARDS(3, post_made_by_posts_round_the_shards) {
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post_on(rt, 1, posts_the_next, INT(99)), 0);
    settle();
    CHECK_EQ(atomic_load(&posted), 100);
    uvt_runtime_unref(rt);
}

/* ---- order and counts from many threads ---- */

enum { POSTERS = 6, POSTS = 2000, SHARDS = 3 };

static struct poster {
    struct stranger s;
    struct item { /* one per post */
        struct poster *by;
        int n;
    } items[POSTS];
    int last[SHARDS]; /* on shard k; touched there only */
} posters[POSTERS];

static void in_order(void *arg) {
    struct item *i = arg;
    int *last = &i->by->last[uvt_shard_index()];
    CHECK(i->n >= *last);
    *last = i->n + 1;
    atomic_fetch_add(&posted, 1);
}

static int posts_in_order(struct stranger *s) {
    struct poster *p = s->arg;
    for (int n = 0; n < POSTS; n++) {
        p->items[n] = (struct item){ p, n };
        CHECK_EQ(uvt_post_on(s->rt, (unsigned)n % SHARDS, in_order, &p->items[n]), 0);
    }
    return 0;
}

static int awaits_all_posts(void *arg) {
    (void)arg;
    while (atomic_load(&posted) < POSTERS * POSTS) CHECK_EQ(uvt_sleep(1), 0);
    return 0;
}

ON_SHARDS_REAL(SHARDS, post_from_six_threads_to_three_shards_in_order_and_counted) {
    for (int i = 0; i < POSTERS; i++) {
        posters[i].s = (struct stranger){ .fn = posts_in_order, .arg = &posters[i] };
        start(&posters[i].s);
    }
    for (int i = 0; i < POSTERS; i++) CHECK_EQ(finish(&posters[i].s), 0);
    CHECK_EQ(awaits_all_posts(NULL), 0);
    CHECK_EQ(uvt_sleep(2), 0);
    CHECK_EQ(atomic_load(&posted), POSTERS * POSTS);
}

static atomic_int accepted;

static int posts_until_refused(struct stranger *s) {
    int rc = 0;
    for (unsigned n = 0; rc == 0; n++) {
        rc = uvt_post_on(s->rt, n % SHARDS, counts, NULL);
        if (rc == 0) atomic_fetch_add(&accepted, 1);
    }
    return rc;
}

static int runs_beside_posters(void *arg) {
    struct stranger *s = arg;
    for (int i = 0; i < 3; i++) {
        s[i] = (struct stranger){ .fn = posts_until_refused };
        s[i].rt = uvt_runtime_ref();
        CHECK_EQ(uv_thread_create(&s[i].thread, stranger_main, &s[i]), 0);
    }
    while (atomic_load(&posted) < 1000) CHECK_EQ(uvt_sleep(1), 0);
    return 0;
}

UVT_TEST_PLAIN(post_until_refused_none_is_lost_or_called_twice) {
    for (int round = 0; round < 5; round++) {
        struct stranger s[3];
        atomic_store(&posted, 0);
        atomic_store(&accepted, 0);
        CHECK_EQ(run_real(SHARDS, runs_beside_posters, s), 0);
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(uv_thread_join(&s[i].thread), 0);
            CHECK_EQ(s[i].rc, UVT_EGONE);
        }
        CHECK_EQ(atomic_load(&posted), atomic_load(&accepted));
    }
}

/* ---- aborts ---- */

static int aborts(struct stranger *s) {
    return uvt_abort_why(*(uvt_task_t *)s->arg, "from afar");
}

ON_SHARDS_REAL(2, abort_from_a_foreign_thread_of_a_task_elsewhere) {
    atomic_int cancels = 0;
    uvt_task_t t = spawn_on(1, b_counts_its_cancel, &cancels);
    CHECK_EQ(in_a_thread(aborts, &t), 0);
    uvt_result r = join(t);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_STR(r.reason.text, "from afar");
    CHECK_EQ(atomic_load(&cancels), 1);
}

UVT_TEST_MAIN()
