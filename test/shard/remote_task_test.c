/* SPDX-License-Identifier: MIT
 *
 * A task that runs on another shard than its owner: how it ended comes home whole, a cancel reaches it at any time of
 * its life, and its handle is good for the shard that spawned it and no other.
 */
#include "shards.h"

/* ---- how it ended ---- */

ON_SHARDS(2, join_elsewhere_gives_status_outcome_and_argument) {
    uvt_task_t t = spawn_on(1, b_return, INT(42));
    uvt_result r = join(t);
    CHECK_EQ(r.status, 42);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK(r.arg == INT(42));
    CHECK_EQ(r.task.id, t.id);
    CHECK_EQ(r.reason.code, UVT_REASON_NONE);
    CHECK_STR(r.message, "");
    CHECK_EQ(uvt_join(t, NULL), UVT_ESTALE);
}

ON_SHARDS(2, join_elsewhere_without_result_gives_the_failure) {
    CHECK_EQ(uvt_join(spawn_on(1, b_return, INT(UV_EIO)), NULL), UV_EIO);
}

ON_SHARDS(2, join_elsewhere_after_the_end_gives_it_at_once) {
    uvt_task_t t = settled_on(1, b_return, INT(3));
    CHECK_EQ(uvt_is_done(t), 1);
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_join(t, NULL), 3);
    CHECK_EQ(uvt_now(), at);
}

ON_SHARDS(2, join_elsewhere_waits_as_long_as_it_runs) {
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_join(spawn_on(1, b_sleep, INT(100)), NULL), 0);
    CHECK_EQ(uvt_now() - at, 100);
}

ON_SHARDS(2, panic_elsewhere_comes_with_its_message_and_others_live_on) {
    uvt_task_t other = spawn_on(1, b_sleep, INT(5));
    uvt_result r = join(spawn_on(1, b_panic, "on the other side"));
    CHECK_EQ(r.outcome, UVT_PANICKED);
    CHECK_EQ(r.status, UVT_EPANIC);
    CHECK_STR(r.message, "on the other side");
    CHECK_EQ(uvt_join(other, NULL), 0);
}

static int fails_without_joining(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, b_return, arg), 0);
    return 0;
}

ON_SHARDS(2, failure_of_a_child_nobody_joined_elsewhere_is_its_owners) {
    CHECK_EQ(uvt_join(spawn_on(1, fails_without_joining, INT(UV_EIO)), NULL), UV_EIO);
}

static int leaves_it_there(void *arg) {
    spawn_on(1, b_return, arg);
    return 0;
}

ON_SHARDS(2, failure_of_a_task_elsewhere_nobody_joined_is_the_owners) {
    CHECK_EQ(spawn_and_join(leaves_it_there, INT(UV_EPIPE)), UV_EPIPE);
}

UVT_TEST_PLAIN(failure_of_a_task_elsewhere_left_by_main_comes_out_of_run) {
    CHECK_EQ(run_virtual(2, leaves_it_there, INT(UV_EPIPE)), UV_EPIPE);
}

static int defers(void *arg) {
    CHECK_EQ(uvt_defer(d_atomic_count, arg), 0);
    return uvt_sleep(5);
}

ON_SHARDS(2, defers_elsewhere_have_run_when_join_returns) {
    atomic_int ran = 0;
    CHECK_EQ(uvt_join(spawn_on(1, defers, &ran), NULL), 0);
    CHECK_EQ(atomic_load(&ran), 1);
}

/* ---- aborts ---- */

static void check_aborted(uvt_result r, const char *text) {
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.status, UV_ECANCELED);
    CHECK_EQ(r.reason.code, UVT_REASON_ABORT);
    CHECK_STR(r.reason.text, text);
}

ON_SHARDS(2, abort_elsewhere_before_the_start_the_body_sees_it_at_once) {
    atomic_int cancels = 0;
    uvt_task_t t = spawn_on(1, b_counts_its_cancel, &cancels);
    CHECK_EQ(uvt_abort_why(t, "too early"), 0);
    check_aborted(join(t), "too early");
    CHECK_EQ(atomic_load(&cancels), 1);
}

ON_SHARDS(2, abort_elsewhere_while_it_waits_wakes_it) {
    atomic_int cancels = 0;
    uvt_task_t t = settled_on(1, b_counts_its_cancel, &cancels);
    CHECK_EQ(uvt_abort_why(t, "enough"), 0);
    CHECK_EQ(uvt_abort_why(t, "twice is as once"), 0);
    CHECK_EQ(uvt_is_done(t), 0);
    check_aborted(join(t), "enough");
    CHECK_EQ(atomic_load(&cancels), 1);
}

ON_SHARDS(2, abort_elsewhere_after_the_end_changes_nothing) {
    uvt_task_t t = settled_on(1, b_return, INT(6));
    CHECK_EQ(uvt_abort(t), 0);
    uvt_result r = join(t);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, 6);
    CHECK_EQ(uvt_abort(t), UVT_ESTALE);
}

ON_SHARDS_REAL(4, abort_elsewhere_racing_the_end_gives_one_or_the_other) {
    for (unsigned i = 0; i < 300; i++) {
        uvt_task_t t = spawn_on(1 + i % 3, i % 2 ? b_sleep : b_return, INT(i % 4));
        if (i % 5 == 0) uvt_yield();
        CHECK_EQ(uvt_abort(t), 0);
        uvt_result r = join(t);
        CHECK(r.outcome == UVT_RETURNED ? r.status == (int)(i % 2 ? 0 : i % 4) : r.status == UV_ECANCELED);
    }
}

static int gives_up_by_itself(void *arg) {
    (void)arg;
    return UV_ECANCELED;
}

ON_SHARDS(2, ecanceled_returned_elsewhere_without_a_cancel_is_a_failure) {
    uvt_result r = join(spawn_on(1, gives_up_by_itself, NULL));
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, UV_ECANCELED);
}

static int ignores_the_cancel(void *arg) {
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_ABORT);
    CHECK_EQ(uvt_shielded(1000, b_sleep, INT(20)), 0);
    return (int)(intptr_t)arg;
}

ON_SHARDS(2, abort_elsewhere_a_result_beats_it_and_is_waited_for) {
    uvt_task_t t = settled_on(1, ignores_the_cancel, INT(11));
    uint64_t at = uvt_now();
    CHECK_EQ(uvt_abort(t), 0);
    uvt_result r = join(t);
    CHECK_EQ(uvt_now() - at, 20);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, 11);
}

static int aborts_itself(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_abort_why(uvt_self(), "by myself"), 0);
    return uvt_sleep(1);
}

ON_SHARDS(2, abort_of_itself_elsewhere_tells_the_owner_why) {
    check_aborted(join(spawn_on(1, aborts_itself, NULL)), "by myself");
}

static int aborts(void *arg) {
    return uvt_abort_why(*(uvt_task_t *)arg, "from a third shard");
}

ON_SHARDS(3, abort_from_a_third_shard_by_the_owners_handle) {
    atomic_int cancels = 0;
    uvt_task_t t = settled_on(1, b_counts_its_cancel, &cancels);
    CHECK_EQ(uvt_join(spawn_on(2, aborts, &t), NULL), 0);
    check_aborted(join(t), "from a third shard");
}

ON_SHARDS(3, abort_from_the_shard_it_runs_on_by_the_owners_handle) {
    atomic_int cancels = 0;
    uvt_task_t t = settled_on(1, b_counts_its_cancel, &cancels);
    CHECK_EQ(uvt_join(spawn_on(1, aborts, &t), NULL), 0);
    check_aborted(join(t), "from a third shard");
}

static uvt_task_t inner;

static int tells_its_own_handle(void *arg) {
    inner = uvt_self();
    return b_counts_its_cancel(arg);
}

ON_SHARDS(2, abort_by_the_handle_it_has_there) {
    atomic_int cancels = 0;
    uvt_task_t t = settled_on(1, tells_its_own_handle, &cancels);
    CHECK(inner.id != t.id);
    CHECK_EQ(uvt_abort_why(inner, "inside"), 0);
    check_aborted(join(t), "inside");
}

ON_SHARDS(3, abort_from_another_shard_of_an_ended_task_is_harmless) {
    uvt_task_t t = spawn_on(1, b_return, INT(1));
    CHECK_EQ(uvt_join(t, NULL), 1);
    CHECK_EQ(uvt_join(spawn_on(2, aborts, &t), NULL), 0);
    settle();
}

/* ---- owners ---- */

static int chain(void *arg) {
    atomic_int *ended = arg;
    CHECK_EQ(uvt_defer(d_atomic_count, ended), 0);
    unsigned next = uvt_shard_index() + 1;
    if (next < uvt_shard_count()) spawn_on(next, chain, arg);
    return b_forever(NULL);
}

ON_SHARDS(4, abort_reaches_children_on_three_more_shards_and_awaits_them) {
    atomic_int ended = 0;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, chain, &ended), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    check_aborted(join(t), NULL);
    CHECK_EQ(atomic_load(&ended), 4);
}

static int tells_the_reason(void *arg) {
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    *(uvt_reason *)arg = uvt_cancel_reason();
    return uvt_shielded(UVT_FOREVER, b_sleep, INT(30));
}

static int leaves_at_once(void *arg) {
    settled_on(1, tells_the_reason, arg);
    return 4;
}

ON_SHARDS(2, owner_that_ends_cancels_and_awaits_its_child_elsewhere) {
    uvt_reason why = { 0 };
    uint64_t at = uvt_now();
    CHECK_EQ(spawn_and_join(leaves_at_once, &why), 4);
    CHECK_EQ(uvt_now() - at, 31);
    CHECK_EQ(why.code, UVT_REASON_OWNER);
}

static int owner_of_one(void *arg) {
    spawn_on(1, tells_the_reason, arg);
    return b_forever(NULL);
}

ON_SHARDS(2, abort_of_an_owner_is_called_owner_by_its_child_elsewhere) {
    uvt_reason why = { 0 };
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, owner_of_one, &why), 0);
    settle();
    CHECK_EQ(uvt_abort_why(t, "words"), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(why.code, UVT_REASON_OWNER);
    CHECK_STR(why.text, "words");
}

static int spawns_after_its_abort(void *arg) {
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    uvt_task_t t = spawn_on(1, b_counts_its_cancel, arg);
    CHECK_EQ(uvt_shielded(UVT_FOREVER, b_join, &t), UV_ECANCELED);
    return 0;
}

ON_SHARDS(2, child_of_an_aborted_task_is_cancelled_from_birth_elsewhere) {
    atomic_int cancels = 0;
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, spawns_after_its_abort, &cancels), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(atomic_load(&cancels), 1);
}

/* ---- join and cancel of the joiner ---- */

ON_SHARDS(2, join_elsewhere_given_up_leaves_task_and_handle) {
    uvt_task_t t = spawn_on(1, b_sleep, INT(50));
    CHECK_EQ(uvt_timeout(10, b_join, &t), UV_ETIMEDOUT);
    CHECK_EQ(uvt_is_done(t), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

ON_SHARDS(2, join_elsewhere_by_two_the_second_is_busy) {
    uvt_task_t t = spawn_on(1, b_sleep, INT(50)), first;
    CHECK_EQ(uvt_spawn(&first, b_join, &t), 0);
    settle();
    CHECK_EQ(uvt_join(t, NULL), UV_EBUSY);
    CHECK_EQ(uvt_join(first, NULL), 0);
}

/* ---- detach ---- */

static int detaches(void *arg) {
    uvt_task_t t = spawn_on(1, b_counts_its_cancel, arg);
    CHECK_EQ(uvt_detach(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UVT_ESTALE);
    CHECK_EQ(uvt_detach(t), UVT_ESTALE);
    return uvt_sleep(10);
}

UVT_TEST_PLAIN(detach_elsewhere_outlives_its_owner_until_the_end) {
    atomic_int cancels = 0;
    CHECK_EQ(run_virtual(2, detaches, &cancels), 0);
    CHECK_EQ(atomic_load(&cancels), 1);
}

static int detaches_a(uvt_fn fn, void *arg) {
    CHECK_EQ(uvt_detach(spawn_on(1, fn, arg)), 0);
    settle();
    return 0;
}

static int detaches_a_failure(void *arg) {
    return detaches_a(b_return, arg);
}

UVT_TEST_PLAIN(detach_elsewhere_failure_comes_out_of_run) {
    CHECK_EQ(run_virtual(2, detaches_a_failure, INT(UV_EIO)), UV_EIO);
    CHECK_EQ(run_virtual(2, detaches_a_failure, INT(0)), 0);
}

static int detaches_a_panic(void *arg) {
    return detaches_a(b_panic, arg);
}

UVT_TEST_PLAIN(detach_elsewhere_panic_comes_out_of_run) {
    CHECK_EQ(run_virtual(2, detaches_a_panic, "lost"), UVT_EPANIC);
}

static int detaches_there(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_return, arg), 0);
    return uvt_detach(t);
}

static int has_it_detached_there(void *arg) {
    return uvt_join(spawn_on(1, detaches_there, arg), NULL);
}

UVT_TEST_PLAIN(detach_on_another_shard_failure_comes_out_of_run) {
    CHECK_EQ(run_virtual(2, has_it_detached_there, INT(UV_EIO)), UV_EIO);
}

/* ---- what it brings along ---- */

static int name_is(void *arg) {
    CHECK_STR(uvt_task_name(uvt_self()), arg);
    return 0;
}

ON_SHARDS(2, name_goes_along) {
    uvt_task_t t;
    uvt_task_options o = { .name = "courier", .place = UVT_ON(1) };
    CHECK_EQ(uvt_spawn_opts(&t, name_is, "courier", &o), 0);
    CHECK_STR(uvt_task_name(t), "courier");
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_join(spawn_on(1, name_is, "fn"), NULL), 0); /* the spelling at the spawn */
}

static void has_name(void *arg, const char *text) {
    *(bool *)arg |= strstr(text, "courier") != NULL && strstr(text, "remote_task_test.c:") != NULL;
}

static int dump_has_it(void *arg) {
    bool found = false;
    (void)arg;
    CHECK_EQ(uvt_dump(has_name, &found), 0);
    return found;
}

ON_SHARDS(3, dump_names_it_where_it_runs_and_where_it_is_owned) {
    uvt_task_t t;
    uvt_task_options o = { .name = "courier", .place = UVT_ON(1) };
    CHECK_EQ(uvt_spawn_opts(&t, b_sleep, INT(20), &o), 0);
    settle();
    CHECK_EQ(dump_has_it(NULL), 1);
    CHECK_EQ(uvt_call(1, dump_has_it, NULL), 1);
    CHECK_EQ(uvt_call(2, dump_has_it, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

static uvt_key_t inherited, own;

static int locals(void *arg) {
    CHECK(uvt_local_get(inherited) == arg);
    CHECK(uvt_local_get(own) == NULL);
    CHECK_EQ(uvt_local_set(inherited, "changed"), 0);
    return 0;
}

static int locals_of_a_grandchild(void *arg) {
    return uvt_join(spawn_on(2, locals, arg), NULL);
}

ON_SHARDS(3, locals_are_inherited_over_shards) {
    char value[] = "mine";
    CHECK_EQ(uvt_key_create(&inherited, UVT_KEY_INHERIT), 0);
    CHECK_EQ(uvt_key_create(&own, 0), 0);
    CHECK_EQ(uvt_local_set(inherited, value), 0);
    CHECK_EQ(uvt_local_set(own, value), 0);
    CHECK_EQ(uvt_join(spawn_on(1, locals, value), NULL), 0);
    CHECK_EQ(uvt_join(spawn_any(locals, value), NULL), 0);
    CHECK_EQ(uvt_join(spawn_on(1, locals_of_a_grandchild, value), NULL), 0);
    CHECK(uvt_local_get(inherited) == value); /* each has its own */
}

/* ---- handles of another shard ---- */

static uvt_set_t a_set;
static uvt_scope_t a_scope;

static int misuses_a_task(void *arg) {
    uvt_task_t t = *(uvt_task_t *)arg;
    CHECK_EQ(uvt_join(t, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_detach(t), UVT_ESHARD);
    CHECK_EQ(uvt_is_done(t), UVT_ESHARD);
    CHECK_STR(uvt_task_name(t), "?");
    return 0;
}

ON_SHARDS(2, handle_of_a_task_on_another_shard_is_refused) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, b_sleep, INT(10)), 0);
    CHECK_EQ(uvt_join(spawn_on(1, misuses_a_task, &t), NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

ON_SHARDS(2, handle_is_refused_on_the_very_shard_it_runs_on) {
    uvt_task_t t = settled_on(1, b_sleep, INT(10));
    CHECK_EQ(uvt_join(spawn_on(1, misuses_a_task, &t), NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
}

ON_SHARDS(2, handle_from_inside_is_refused_outside) {
    atomic_int cancels = 0;
    uvt_task_t t = settled_on(1, tells_its_own_handle, &cancels);
    CHECK_EQ(misuses_a_task(&inner), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(misuses_a_task(&inner), 0);
}

static int joins_itself_and_its_like(void *arg) {
    CHECK_EQ(uvt_join(uvt_self(), NULL), UVT_EDEADLK);
    CHECK_EQ(uvt_join(inner, NULL), UV_EINVAL); /* the runtime's, there */
    CHECK_EQ(uvt_detach(inner), UV_EINVAL);
    (void)arg;
    return 0;
}

ON_SHARDS(2, handle_from_inside_is_the_runtimes_there) {
    atomic_int cancels = 0;
    uvt_task_t t = settled_on(1, tells_its_own_handle, &cancels);
    CHECK_EQ(uvt_join(spawn_on(1, joins_itself_and_its_like, NULL), NULL), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
}

static int misuses_a_set(void *arg) {
    uvt_result r;
    void *value;
    (void)arg;
    CHECK_EQ(uvt_set_spawn(&a_set, b_return, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_set_try_spawn(&a_set, b_return, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_set_start(&a_set, b_return, NULL, &value), UVT_ESHARD);
    CHECK_EQ(uvt_set_next(&a_set, &r), UVT_ESHARD);
    CHECK_EQ(uvt_set_try_next(&a_set, &r), UVT_ESHARD);
    CHECK_EQ(uvt_set_wait(&a_set), UVT_ESHARD);
    CHECK_EQ(uvt_set_abort_all(&a_set), UVT_ESHARD);
    CHECK_EQ(uvt_set_detach_all(&a_set), UVT_ESHARD);
    CHECK_EQ(uvt_set_len(&a_set), UVT_ESHARD);
    CHECK_EQ(uvt_set_close(&a_set), UVT_ESHARD);
    return 0;
}

ON_SHARDS(2, handle_of_a_set_on_another_shard_is_refused) {
    CHECK_EQ(uvt_set_open(&a_set, NULL), 0);
    CHECK_EQ(uvt_join(spawn_on(1, misuses_a_set, NULL), NULL), 0);
    CHECK_EQ(uvt_set_close(&a_set), 0);
    CHECK_EQ(uvt_join(spawn_on(1, misuses_a_set, NULL), NULL), 0);
}

static int misuses_a_scope(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_scope_end(&a_scope, 0), UV_EINVAL);
    CHECK(uvt_scope_cancel(&a_scope, NULL) < 0);
    CHECK(uvt_scope_set_deadline(&a_scope, 5) < 0);
    CHECK(uvt_scope_set_shield(&a_scope, true) < 0);
    return 0;
}

ON_SHARDS(2, scope_of_a_task_on_another_shard_is_refused) {
    CHECK_EQ(uvt_scope_begin(&a_scope, NULL), 0);
    CHECK_EQ(uvt_join(spawn_on(1, misuses_a_scope, NULL), NULL), 0);
    CHECK(!uvt_scope_cancelled(&a_scope));
    CHECK_EQ(uvt_scope_end(&a_scope, 0), 0);
}

static int misuses_a_listener(void *arg) {
    uvt_stream_t *s = NULL;
    CHECK_EQ(uvt_accept(arg, &s), UVT_ESHARD);
    CHECK_EQ(uvt_listener_close(arg), UVT_ESHARD);
    return 0;
}

static int misuses_a_stream(void *arg) {
    char byte = 'x';
    CHECK_EQ(uvt_read(arg, &byte, 1), UVT_ESHARD);
    CHECK_EQ(uvt_write(arg, &byte, 1, NULL), UVT_ESHARD);
    CHECK_EQ(uvt_shutdown(arg), UVT_ESHARD);
    CHECK_EQ(uvt_close(arg), UVT_ESHARD);
    return 0;
}

ON_SHARDS_REAL(2, stream_on_another_shard_is_refused_and_unharmed) {
    uvt_listener_t *l;
    uvt_stream_t *c, *s;
    char byte = 0;
    CHECK_EQ(uvt_tcp_listen(&l, "127.0.0.1", 0, 0), 0);
    CHECK_EQ(uvt_tcp_connect(&c, "127.0.0.1", (unsigned)uvt_listener_port(l)), 0);
    CHECK_EQ(uvt_accept(l, &s), 0);
    CHECK_EQ(uvt_join(spawn_on(1, misuses_a_listener, l), NULL), 0);
    CHECK_EQ(uvt_join(spawn_on(1, misuses_a_stream, c), NULL), 0);
    CHECK_EQ(uvt_write(s, "y", 1, NULL), 0);
    CHECK_EQ(uvt_read(c, &byte, 1), 1);
    CHECK_EQ(byte, 'y');
    CHECK_EQ(uvt_close(c), 0);
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
}

/* ---- trees ---- */

static int grows(void *arg) {
    int depth = (int)(intptr_t)arg, sum = 1;
    if (depth == 0) return 1;
    uvt_task_t l = spawn_on((uvt_shard_index() + 1) % uvt_shard_count(), grows, INT(depth - 1)), r;
    CHECK_EQ(uvt_spawn_opts(&r, grows, INT(depth - 1), &(uvt_task_options){ .place = UVT_ANY }), 0);
    sum += uvt_join(l, NULL);
    return sum + uvt_join(r, NULL);
}

ON_SHARDS(4, tree_of_a_thousand_over_four_shards_counts_itself) {
    CHECK_EQ(spawn_and_join(grows, INT(9)), (1 << 10) - 1);
}

ON_SHARDS_REAL(4, tree_of_a_thousand_over_four_threads_counts_itself) {
    CHECK_EQ(spawn_and_join(grows, INT(9)), (1 << 10) - 1);
}

static atomic_int leaves, cancelled_leaves;

static int withers(void *arg) {
    int depth = (int)(intptr_t)arg;
    if (depth == 0) {
        atomic_fetch_add(&leaves, 1);
        return b_counts_its_cancel(&cancelled_leaves);
    }
    for (unsigned i = 1; i <= 3; i++) spawn_on((uvt_shard_index() + i) % uvt_shard_count(), withers, INT(depth - 1));
    return b_forever(NULL);
}

ON_SHARDS(4, tree_over_four_shards_is_cancelled_to_the_last_leaf) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, withers, INT(5)), 0);
    settle();
    CHECK_EQ(atomic_load(&leaves), 243);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    CHECK_EQ(atomic_load(&cancelled_leaves), 243);
}

static int leaves_a_tree(void *arg) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, withers, arg), 0);
    CHECK_EQ(uvt_detach(t), 0);
    settle();
    return 6;
}

UVT_TEST_PLAIN(tree_over_four_shards_is_cancelled_by_the_end) {
    CHECK_EQ(run_virtual(4, leaves_a_tree, INT(5)), 6);
    CHECK_EQ(atomic_load(&cancelled_leaves), 243);
}

UVT_TEST_MAIN()
