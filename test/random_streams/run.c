/* SPDX-License-Identifier: MIT
 *
 * Runs a program: the main task listens, spawns the workers, looks after them when nothing moves any more, and checks
 * what is left.
 */
#include "streams.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uvtask/test.h>

enum { AN_HOUR = 3600000, PATIENCE_MS = 5000 };

static void worker_leaves(void *arg) {
    struct worker *w = arg;
    model_lock();
    w->ended = true;
    for (unsigned i = 0; i < run.ends; i++) {
        struct end *e = &run.end[i];
        if (e->owner != w || e->closing) continue;
        end_closes(e);
        run.expected_left++;
    }
    model_unlock();
}

static int worker_body(void *arg) {
    struct worker *w = arg;
    int rc = 0;
    while ((rc = uvt_defer(worker_leaves, w)) < 0) HOLDS(injected(rc));
    for (unsigned i = 0; i < w->plan->ops; i++) {
        rc = op_perform(w, &w->plan->op[i]);
        if (rc == UV_ECANCELED && !w->plan->stubborn && uvt_cancelled()) return rc;
    }
    return 0;
}

static const char *any_stuck(void) {
    const char *why = NULL;
    model_lock();
    for (unsigned i = 0; !why && i < run.p->workers; i++) why = stuck(&run.worker[i]);
    model_unlock();
    return why;
}

/* The kernel has timers of its own, in real time, which double: a window that was closed opens late. And it may be busy
 * with others. */
static void check_stuck(void) {
    const char *why = any_stuck();
    for (unsigned ms = 1; why && ms < PATIENCE_MS; ms *= 2) {
        usleep(ms * 1000);
        HOLDS(uvt_sleep(1000) == 0);
        why = any_stuck();
    }
    model_lock();
    if (why) broken("somebody waits for %s", why);
    model_unlock();
}

static void open_listeners(void) {
    for (unsigned i = 0; i < LISTENERS; i++) {
        HOLDS(uvt_tcp_listen(&run.listener[i].it, "127.0.0.1", 0, 0) == 0);
        run.listener[i].port = (unsigned)uvt_listener_port(run.listener[i].it);
    }
}

/* Whoever owned it has ended. */
static void check_closed(void) {
    for (unsigned i = 0; i < run.ends; i++) {
        struct end *e = &run.end[i];
        bool kept = run.closes[e->shard] - e->closed_at < KEPT;
        if (!e->closing) broken("stream %u has no owner any more", i);
        if (e->shard == 0 && kept && uvt_stream_handle(e->s)) broken("stream %u is open, its owner has ended", i);
    }
}

static void spawn_workers(void) {
    for (unsigned i = 0; i < run.p->workers; i++) {
        struct worker *w = &run.worker[i];
        uvt_task_options o = { .place = w->shard ? UVT_ON(w->shard) : 0 };
        uvt_task_t t;
        HOLDS(uvt_spawn_opts(&t, worker_body, w, &o) == 0);
        model_lock();
        w->task = t;
        model_unlock();
    }
}

static void end_workers(void) {
    uvt_result r;
    model_lock();
    for (unsigned i = 0; i < run.p->workers; i++) run.worker[i].cancelling = true;
    model_unlock();
    for (unsigned i = 0; i < run.p->workers; i++) HOLDS(uvt_abort(run.worker[i].task) == 0);
    for (unsigned i = 0; i < run.p->workers; i++) {
        HOLDS(uvt_join(run.worker[i].task, &r) == 0);
        if (r.status < 0 && r.status != UV_ECANCELED && !injected(r.status))
            broken("worker %u ended with %s", i, uvt_err_name(r.status));
    }
}

static void close_listeners(void) {
    for (unsigned i = 0; i < LISTENERS; i++)
        if (!run.listener[i].closing) HOLDS(uvt_listener_close(run.listener[i].it) == 0);
}

static int main_task(void *arg) {
    uvt_stats stats;
    (void)arg;
    HOLDS(uvt_token_new(&run.token, NULL) == 0);
    open_listeners();
    spawn_workers();
    /* In this order, as each forgets of itself and of an allocation whether it has happened, and other shards run. */
    uvt_test_fail_uv(run.p->fail_uv, run.p->fail_code);
    uvt_test_fail_alloc(run.p->fail_alloc);
    HOLDS(uvt_sleep(AN_HOUR) == 0);
    check_stuck();
    end_workers();
    uvt_test_fail_alloc(0);
    uvt_test_fail_uv(0, 0);
    check_closed();
    close_listeners();
    HOLDS(uvt_sleep(1) == 0);
    HOLDS(uvt_stats_get(&stats) == 0);
    HOLDS(stats.streams == 0);
    uvt_token_unref(run.token);
    return 0;
}

static void on_report(void *arg, const char *text) {
    (void)arg;
    model_lock();
    for (const char *at = text; (at = strstr(at, "left open")); at++) run.left++;
    if (strstr(text, "deadlock") || strstr(text, "straggler")) broken("reported: %s", text);
    model_unlock();
}

static int lowest_free(void) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    return fd;
}

static void run_clear(const struct program *p) {
    memset(&run, 0, sizeof run);
    run.p = p;
    for (unsigned i = 0; i < p->workers; i++)
        run.worker[i] = (struct worker){ .index = i, .plan = &p->plan[i], .shard = p->plan[i].shard };
}

void program_run(const struct program *p) {
    run_clear(p);
    pattern_make();
    size_t blocks = uvt_test_live_blocks();
    int fd = lowest_free();
    uvt_options o = { .shards = p->shards > 1 ? p->shards : 0, .seed = p->shuffle, .report = on_report };
    int rc = uvt_test_run(main_task, NULL, &o);
    if (rc != 0) broken("the runtime said %d %s", rc, uvt_err_name(rc));
    if (uvt_test_live_blocks() != blocks) broken("memory is left");
    if (lowest_free() != fd) broken("a descriptor is left");
    if (run.left != run.expected_left) broken("%u streams were left, %u reported", run.expected_left, run.left);
}
