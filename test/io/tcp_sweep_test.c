/* SPDX-License-Identifier: MIT
 *
 * Sweeps: one scenario again and again, in which the first, second, third ... allocation (or libuv call, or
 * suspension) fails. Whatever fails, the answer is a code, nothing is left behind, and afterwards the same
 * scenario works. A sweep ends when the failure asked for is no longer reached.
 */
#include "loopback.h"

/* What one process holds that a scenario must give back. */
static void check_nothing_left(const uvt_stats *before, unsigned fds) {
    uvt_stats now;
    uvt_stats_get(&now);
    CHECK_EQ(now.streams, before->streams);
    CHECK_EQ(now.tasks, before->tasks);
    CHECK_EQ(now.records, before->records);
    CHECK_EQ(now.timers, before->timers);
    CHECK_EQ(lo_fds(), fds);
}

/* A listener, a connection, a message there and back, the end: every call of a connection's life. */
static int whole_life(void *arg) {
    uvt_listener_t *l = NULL;
    uvt_stream_t *c = NULL, *s = NULL;
    char buf[64];
    (void)arg;
    int rc = uvt_tcp_listen(&l, "127.0.0.1", 0, 0);
    if (rc < 0) return rc;
    if ((rc = uvt_tcp_connect(&c, "127.0.0.1", (unsigned)uvt_listener_port(l))) < 0) goto out;
    if ((rc = uvt_accept(l, &s)) < 0) goto out;
    if ((rc = uvt_write(c, "GET / HTTP/1.1\r\n", 16, NULL)) < 0) goto out;
    ssize_t n = uvt_read_until(s, buf, sizeof buf, "\r\n", 2);
    if (n < 0) {
        rc = (int)n;
        goto out;
    }
    CHECK_EQ(n, 16);
    uv_buf_t answer[] = { uv_buf_init(buf, 16), uv_buf_init((char *)"ok", 2) };
    if ((rc = uvt_writev(s, answer, 2, NULL)) < 0) goto out;
    if ((rc = uvt_shutdown(s)) < 0) goto out;
    if ((rc = uvt_read_exact(c, buf, 18, NULL)) < 0) goto out;
    CHECK_EQ(memcmp(buf, "GET / HTTP/1.1\r\nok", 18), 0);
    if ((rc = uvt_yield()) < 0) goto out; /* a cancel with both ends open */
    n = uvt_read(c, buf, sizeof buf);
    rc = n == UV_EOF ? 0 : (int)n;
out:
    if (s != NULL) CHECK_EQ(uvt_close(s), 0);
    if (c != NULL) CHECK_EQ(uvt_close(c), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
    return rc;
}

/* Runs the scenario in a task of its own. */
static int in_a_task(uvt_fn fn, void *arg) {
    uvt_task_t t;
    int rc = uvt_spawn(&t, fn, arg);
    return rc < 0 ? rc : uvt_join(t, NULL);
}

static void oom_sweep(uvt_fn fn, void *arg) {
    uvt_stats before;
    CHECK_EQ(in_a_task(fn, arg), 0);
    uvt_stats_get(&before);
    unsigned fds = lo_fds(), n = 1;
    for (bool hit = true; hit; n++) {
        uvt_test_fail_alloc(n);
        int rc = in_a_task(fn, arg);
        hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        CHECK(rc == 0 || (hit && rc == UV_ENOMEM));
        check_nothing_left(&before, fds);
        CHECK_EQ(in_a_task(fn, arg), 0);
    }
}

UVT_TEST(oom_whole_life_of_a_connection_fails_clean) {
    oom_sweep(whole_life, NULL);
}

UVT_TEST_PLAIN(oom_first_connection_of_a_runtime_fails_clean) {
    bool refused = false; /* fresh runtimes have nothing cached, so every allocation is reached */
    for (unsigned n = 1;; n++) {
        unsigned fds = lo_fds();
        uvt_test_fail_alloc(n);
        int rc = uvt_test_run(whole_life, NULL, NULL);
        bool hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        CHECK(rc == 0 || (hit && rc == UV_ENOMEM));
        refused = refused || rc == UV_ENOMEM;
        CHECK_EQ(uvt_test_live_blocks(), 0);
        CHECK_EQ(lo_fds(), fds);
        if (!hit) break;
    }
    CHECK(refused);
}

static int connects_by_name(void *arg) {
    uvt_stream_t *s = NULL;
    (void)arg;
    int rc = uvt_tcp_connect(&s, "no such host", 80);
    return rc > -3100 && rc <= -3000 ? 0 : rc;
}

UVT_TEST_REAL(oom_resolution_fails_clean) {
    for (unsigned n = 1;; n++) {
        uvt_test_fail_alloc(n);
        int rc = connects_by_name(NULL);
        bool hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        CHECK(rc == 0 || (hit && rc == UV_ENOMEM));
        if (!hit) break;
    }
    CHECK_EQ(connects_by_name(NULL), 0);
}

static int echoes_and_closes(void *arg) {
    CHECK_EQ(uvt_stream_own(arg), 0);
    int rc = lo_echo(arg);
    CHECK_EQ(uvt_close(arg), 0);
    return rc;
}

static int ends_echo(void *arg) {
    uvt_result r;
    uvt_abort(*(uvt_task_t *)arg);
    CHECK_EQ(uvt_join(*(uvt_task_t *)arg, &r), 0);
    return r.status == UV_ENOMEM ? UV_ENOMEM : 0;
}

/* A message too big for one system call, so that both tasks park on the way. */
static int big_exchange(void *arg) {
    static unsigned char out[200000], in[200000];
    uvt_stream_t *c = NULL, *s = NULL;
    uvt_task_t echo = { 0 };
    uvt_listener_t *l = NULL;
    (void)arg;
    int rc = uvt_tcp_listen(&l, "127.0.0.1", 0, 0);
    if (rc < 0) return rc;
    if ((rc = uvt_tcp_connect(&c, "127.0.0.1", (unsigned)uvt_listener_port(l))) < 0) goto out;
    if ((rc = uvt_accept(l, &s)) < 0) goto out;
    if ((rc = uvt_spawn(&echo, echoes_and_closes, s)) < 0) goto out;
    s = NULL; /* the echo's now */
    lo_fill(out, sizeof out, 0);
    if ((rc = uvt_write(c, out, sizeof out, NULL)) < 0) goto out;
    if ((rc = uvt_read_exact(c, in, sizeof in, NULL)) < 0) goto out;
    CHECK(lo_is(in, sizeof in, 0));
    rc = uvt_yield(); /* a cancel with nothing under way */
out:
    if (c != NULL) CHECK_EQ(uvt_close(c), 0);
    if (s != NULL) CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
    if (echo.id != 0) {
        int echo_rc = uvt_shielded(UVT_FOREVER, ends_echo, &echo);
        if (echo_rc < 0) rc = echo_rc;
    }
    return rc;
}

UVT_TEST(oom_big_exchange_with_two_tasks_fails_clean) {
    uvt_stats before;
    CHECK_EQ(in_a_task(big_exchange, NULL), 0);
    uvt_stats_get(&before);
    unsigned fds = lo_fds();
    for (unsigned n = 1;; n++) {
        uvt_test_fail_alloc(n);
        int rc = in_a_task(big_exchange, NULL);
        bool hit = uvt_test_fail_hit();
        uvt_test_fail_alloc(0);
        CHECK(rc == 0 || hit); /* the peer of the task that failed sees ECONNRESET or EOF */
        check_nothing_left(&before, fds);
        if (!hit) break;
    }
}

/* ---- failing calls of libuv ---- */

static void uv_sweep(int code) {
    uvt_stats before;
    bool failed = false;
    CHECK_EQ(in_a_task(whole_life, NULL), 0);
    uvt_stats_get(&before);
    unsigned fds = lo_fds();
    for (unsigned n = 1;; n++) {
        uvt_test_fail_uv(n, code);
        int rc = in_a_task(whole_life, NULL);
        bool hit = uvt_test_fail_hit();
        uvt_test_fail_uv(0, 0);
        CHECK(rc == 0 || (hit && rc == code));
        failed = failed || rc == code;
        check_nothing_left(&before, fds);
        CHECK_EQ(in_a_task(whole_life, NULL), 0);
        if (!hit) break;
    }
    CHECK(failed);
}

UVT_TEST(uv_call_fails_with_emfile_fails_clean) {
    uv_sweep(UV_EMFILE);
}

UVT_TEST(uv_call_fails_with_enobufs_fails_clean) {
    uv_sweep(UV_ENOBUFS);
}

UVT_TEST_PLAIN(uv_call_fails_in_the_first_connection_of_a_runtime_fails_clean) {
    for (unsigned n = 1;; n++) {
        unsigned fds = lo_fds();
        uvt_test_fail_uv(n, UV_ENOMEM);
        int rc = uvt_test_run(whole_life, NULL, NULL);
        bool hit = uvt_test_fail_hit();
        uvt_test_fail_uv(0, 0);
        CHECK(rc == 0 || (hit && rc == UV_ENOMEM));
        CHECK_EQ(uvt_test_live_blocks(), 0);
        CHECK_EQ(lo_fds(), fds);
        if (!hit) break;
    }
}

/* ---- cancel at the n-th suspension ---- */

struct sweep {
    unsigned n;
    bool hit;
    uvt_fn fn;
    void *arg;
};

static int with_cancel_at_n(void *arg) {
    struct sweep *w = arg;
    CHECK_EQ(uvt_test_cancel_at(w->n), 0);
    int rc = w->fn(w->arg);
    w->hit = uvt_test_cancel_hit();
    return rc;
}

/* The scenario's status must be one of these when it is cancelled at its n-th suspension; returns the last n. */
static unsigned cancel_sweep(uvt_fn fn, void *arg, int uncancelled) {
    struct sweep w = { .n = 1, .hit = true, .fn = fn, .arg = arg };
    uvt_stats before;
    in_a_task(fn, arg);
    uvt_stats_get(&before);
    unsigned fds = lo_fds();
    for (;; w.n++) {
        int rc = in_a_task(with_cancel_at_n, &w);
        CHECK(rc == uncancelled || (w.hit && rc == UV_ECANCELED));
        check_nothing_left(&before, fds);
        if (!w.hit) return w.n;
    }
}

UVT_TEST(cancel_whole_life_of_a_connection_leaves_nothing) {
    CHECK(cancel_sweep(whole_life, NULL, 0) > 5);
}

UVT_TEST(cancel_big_exchange_leaves_nothing) {
    CHECK(cancel_sweep(big_exchange, NULL, 0) > 5);
}

static int connects_hung(void *arg) {
    uvt_stream_t *s = NULL;
    int rc = uvt_tcp_connect(&s, "127.0.0.1", *(unsigned *)arg);
    return rc < 0 ? rc : uvt_close(s);
}

static int connects_for_a_second(void *arg) {
    return uvt_timeout(1000, connects_hung, arg);
}

UVT_TEST(cancel_timed_out_connect_leaves_nothing) {
    struct lo_hung h;
    lo_hung_open(&h);
    cancel_sweep(connects_for_a_second, &h.port, UV_ETIMEDOUT);
    lo_hung_close(&h);
}

/* Sends a message to an echo and takes it back, and says how far it came. */
struct exchange {
    uvt_stream_t *s;
    size_t written, got;
};

enum { MESSAGE = 300000 };
static unsigned char message[MESSAGE], answer[MESSAGE];

static int exchanges(void *arg) {
    struct exchange *x = arg;
    for (size_t n; x->written < MESSAGE;) {
        int rc = uvt_write(x->s, message + x->written, MESSAGE - x->written, &n);
        x->written += n;
        if (rc < 0) return rc;
    }
    for (size_t n; x->got < MESSAGE;) {
        int rc = uvt_read_exact(x->s, answer + x->got, MESSAGE - x->got, &n);
        x->got += n;
        if (rc < 0) return rc;
    }
    return 0;
}

/* The echo's task: reads the whole message before it answers, so that the writer has to wait for it. */
static int echoes_whole(void *arg) {
    static unsigned char buf[MESSAGE];
    for (;;) {
        size_t got;
        int rc = uvt_read_exact(arg, buf, sizeof buf, &got);
        if (rc == UV_EOF && got == 0) return 0;
        if (rc < 0) return rc;
        if ((rc = uvt_write(arg, buf, sizeof buf, NULL)) < 0) return rc;
    }
}

/* Cancelled anywhere, the exchange goes on from there in other hands: not one byte is lost or sent twice. */
UVT_TEST(cancel_echo_exchange_can_be_finished_by_another_task) {
    uvt_stream_t *c, *s;
    uvt_task_t echo;
    lo_pair(&c, &s);
    uvt_spawn(&echo, echoes_whole, s);
    lo_fill(message, MESSAGE, 0);
    struct sweep w = { .n = 1, .hit = true, .fn = exchanges };
    for (; w.hit; w.n++) {
        struct exchange x = { .s = c };
        w.arg = &x;
        memset(answer, 0, MESSAGE);
        int rc = in_a_task(with_cancel_at_n, &w);
        CHECK(rc == 0 || (w.hit && rc == UV_ECANCELED));
        if (rc < 0) CHECK_EQ(uvt_stream_mend(c), 0);
        CHECK_EQ(exchanges(&x), 0);
        CHECK_EQ(memcmp(message, answer, MESSAGE), 0);
    }
    CHECK(w.n > 2);
    CHECK_EQ(uvt_close(c), 0);
    CHECK_EQ(uvt_join(echo, NULL), 0);
    CHECK_EQ(uvt_close(s), 0);
}

static uvt_listener_t *held_by;

static int accepts_and_closes(void *arg) {
    uvt_stream_t *s;
    int rc = uvt_accept(held_by, &s);
    (void)arg;
    return rc < 0 ? rc : uvt_close(s);
}

/* What looks like "nobody is there any more" but comes after a connection was taken: it must not be waited for. */
UVT_TEST(accept_that_fails_behind_a_connection_taken_does_not_wait_for_another) {
    for (unsigned n = 1; n < 6; n++) {
        held_by = lo_listen();
        int peer = lo_raw_connect((unsigned)uvt_listener_port(held_by));
        uvt_test_fail_uv(n, UV_EAGAIN);
        int rc = uvt_timeout(1000, accepts_and_closes, NULL);
        uvt_test_fail_uv(0, 0);
        CHECK(rc == 0 || rc == UV_ENOBUFS);
        if (rc < 0) CHECK_EQ(accepts_and_closes(NULL), 0); /* it was held */
        CHECK_EQ(uvt_listener_close(held_by), 0);
        close(peer);
    }
}

/* What befell a connection in the backlog is no failure of accept's. */
UVT_TEST(accept_goes_on_after_a_connection_that_has_failed) {
    static const int codes[] = {
        UV_ECONNABORTED, UV_EPROTO, UV_ENETDOWN, UV_ENETUNREACH, UV_EHOSTDOWN, UV_EHOSTUNREACH
    };
    held_by = lo_listen();
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        int peer = lo_raw_connect((unsigned)uvt_listener_port(held_by));
        uvt_test_fail_uv(1, codes[i]);
        CHECK_EQ(accepts_and_closes(NULL), 0);
        CHECK(uvt_test_fail_hit());
        close(peer);
    }
    CHECK_EQ(uvt_listener_close(held_by), 0);
}

UVT_TEST_MAIN()
