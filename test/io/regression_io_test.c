/* SPDX-License-Identifier: MIT
 *
 * Corners in which streams and the runtime once outlived each other: a stream that goes away between a reader's bytes
 * and the reader, and a resolver that answers when its runtime was told to go.
 *
 * The program has its own getaddrinfo, which libuv's worker threads call: it holds its answer back.
 */
#include <netdb.h>
#include <sched.h>
#include <stdatomic.h>

#include "loopback.h"

/* ---- a stream is closed under a reader that was woken ---- */

static uvt_stream_t *reader_end, *writer_end;

static int peeks(void *arg) {
    char buf[16];
    (void)arg;
    return (int)uvt_peek(reader_end, buf, sizeof buf);
}

static int reads_a_line(void *arg) {
    char buf[16];
    (void)arg;
    return (int)uvt_read_until(reader_end, buf, sizeof buf, "\n", 1);
}

static int writes_or_closes(void *arg) {
    int i = (int)(intptr_t)arg;
    if (i == 20) CHECK_EQ(uvt_try_write(writer_end, "x\n", 2), 2);
    if (i == 300) CHECK_EQ(uvt_close_soon(reader_end), 0);
    return 0;
}

/* More ready tasks than run between two polls: the bytes make the reader ready behind the rest of them, one of those
 * closes the stream, and it is gone, with all that it kept, when the reader runs. */
static void close_under_a_woken_reader(uvt_fn reads) {
    uvt_task_t reader;
    uvt_set_t set;
    lo_pair(&writer_end, &reader_end);
    CHECK_EQ(uvt_spawn(&reader, reads, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .discard = true }), 0);
    for (intptr_t i = 0; i < 600; i++) CHECK_EQ(uvt_set_spawn(&set, writes_or_closes, (void *)i), 0);
    CHECK_EQ(uvt_join(reader, NULL), UV_EBADF);
    CHECK_EQ(uvt_set_close(&set), 0);
    CHECK_EQ(uvt_close(writer_end), 0);
}

UVT_TEST(peek_of_a_stream_closed_after_its_bytes_came_is_ebadf) {
    close_under_a_woken_reader(peeks);
}

UVT_TEST(read_until_of_a_stream_closed_after_its_bytes_came_is_ebadf) {
    close_under_a_woken_reader(reads_a_line);
}

/* ---- a resolver that answers after the shutdown ---- */

static atomic_bool asked;
static uv_sem_t gate;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **res) {
    (void)name, (void)service, (void)hints, (void)res;
    asked = true;
    uv_sem_wait(&gate);
    return EAI_NONAME;
}

static int connects_to_a_name(void *arg) {
    uvt_stream_t *s = NULL;
    *(int *)arg = uvt_tcp_connect(&s, "slow.test", 80);
    return 0;
}

static void on_shutdown(void *arg, int status) {
    CHECK_EQ(status, 0);
    *(bool *)arg = true;
}

/* The answer of the thread pool comes to the runtime it was asked for, which must still be there. */
UVT_TEST_PLAIN(shutdown_while_a_resolver_runs_ends_after_its_answer) {
    uv_loop_t loop;
    uvt_runtime_t *rt;
    int rc = 0;
    bool ended = false;
    CHECK_EQ(uv_sem_init(&gate, 0), 0);
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(&rt, &loop, NULL), 0);
    CHECK_EQ(uvt_runtime_spawn(rt, connects_to_a_name, &rc), 0);
    for (; !asked; sched_yield()) uv_run(&loop, UV_RUN_NOWAIT);
    CHECK_EQ(uvt_runtime_shutdown(rt, on_shutdown, &ended), 0);
    for (int i = 0; i < 10; i++) uv_run(&loop, UV_RUN_NOWAIT);
    CHECK_EQ(rc, UV_ECANCELED); /* the task has not waited for it */
    CHECK(!ended);
    uv_sem_post(&gate);
    CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
    CHECK(ended);
    uvt_runtime_unref(rt);
    CHECK_EQ(uv_loop_close(&loop), 0);
    uv_sem_destroy(&gate);
}

/* ---- a peek after a shorter one ---- */

UVT_TEST(peek_gives_what_is_there_after_a_shorter_peek) {
    int peer;
    char buf[64];
    uvt_stream_t *s = lo_half_with(&peer, "abcdefgh");
    CHECK_EQ(uvt_peek(s, buf, 1), 1);
    lo_check_next(s, "a");
    CHECK_EQ(uvt_peek(s, buf, 4), 4);
    CHECK_EQ(memcmp(buf, "bcde", 4), 0);
    CHECK_EQ(uvt_peek(s, buf, sizeof buf), 4); /* what that one left */
    lo_check_next(s, "bcdefgh");
    lo_end(s, peer);
}

/* ---- what keeps the loop waiting ---- */

/* A stream that was read and a listener that was accepted from stay armed; nobody waits for them any more, so they are
 * nothing to wait for. */
struct armed {
    uvt_listener_t *l;
    uvt_stream_t *s;
    int peer;
    uvt_semaphore_t never;
};

static int accepts_one(void *l) {
    uvt_stream_t *s;
    return uvt_accept(l, &s);
}

static int selects_both(void *arg) {
    struct armed *a = arg;
    uvt_stream_t *s;
    uvt_case_t cases[] = { uvt_case_readable(a->s), uvt_case_accept(a->l, &s) };
    return uvt_select(cases, 2, 0);
}

static int reads_a_byte(void *s) {
    char byte;
    return (int)uvt_read(s, &byte, 1);
}

static void arm(struct armed *a) {
    a->l = lo_listen();
    a->s = lo_half(&a->peer);
    CHECK_EQ(uvt_semaphore_init(&a->never, 0, 0), 0);
    CHECK_EQ(uvt_timeout(2, accepts_one, a->l), UV_ETIMEDOUT);
    CHECK_EQ(uvt_timeout(2, reads_a_byte, a->s), UV_ETIMEDOUT);
    CHECK_EQ(uvt_timeout(2, selects_both, a), UV_ETIMEDOUT);
    lo_raw_send(a->peer, "x", 1);
    CHECK_EQ(reads_a_byte(a->s), 1);
}

static int waits_in_vain_behind_armed_ones(void *arg) {
    struct armed *a = arg;
    arm(a);
    return uvt_semaphore_acquire(&a->never);
}

UVT_TEST_PLAIN(armed_stream_and_listener_hide_no_deadlock) {
    struct armed a;
    for (unsigned shards = 1; shards <= 2; shards++) {
        CHECK_EQ(uvt_run(waits_in_vain_behind_armed_ones, &a, &(uvt_options){ .shards = shards }), UVT_EDEADLK);
        close(a.peer);
    }
}

UVT_TEST_PLAIN(armed_stream_and_listener_do_not_keep_a_hosts_loop) {
    struct armed a;
    uv_loop_t loop;
    uvt_runtime_t *rt;
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uvt_attach(&rt, &loop, NULL), 0);
    CHECK_EQ(uvt_runtime_spawn(rt, waits_in_vain_behind_armed_ones, &a), 0);
    CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0); /* it comes back */
    CHECK_EQ(uvt_runtime_shutdown(rt, NULL, NULL), 0);
    CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
    uvt_runtime_unref(rt);
    CHECK_EQ(uv_loop_close(&loop), 0);
    close(a.peer);
}

UVT_TEST_MAIN()
