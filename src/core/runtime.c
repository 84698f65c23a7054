/* SPDX-License-Identifier: MIT
 *
 * A shard's life: setting it up on a loop, the hooks that run batches of tasks, the virtual clock, shutdown,
 * deadlock, and taking everything down again. uvt_run itself, for one shard or several, is in shard/run.c.
 *
 * Prepare runs what timers and closed handles made ready, check runs what the poll made ready and what had
 * yielded before it. While anything is ready an idle handle keeps the poll from sleeping and the loop from
 * ending.
 */
#include "core/stack.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_STACK ((size_t)64 << 10)
#define DEFAULT_CACHE 256
#define DEFAULT_GRACE 5000
#define QUIET_TURNS 3 /* turns without any event before the virtual clock moves */

/* ---- hooks ---- */

static void teardown(uvt__shard *s);

static bool clock_may_jump(const uvt__shard *s) {
    return s->virtual_clock && s->wheel.armed > 0 && s->pool_reqs == 0 && s->externals == 0;
}

static void settle(uvt__shard *s) {
    if (UNLIKELY(s->end_due)) teardown(s);
    bool more = s->ready.head || s->yielded.head || s->inbox || (!s->many && clock_may_jump(s));
    /* A host's loop might end with a message in the mailbox, which does not keep it alive. */
    if (more || (s->attached && uvt__mailbox_filled(s->mailbox))) {
        uvt__keep_turning(s);
    } else if (s->idling) {
        s->idling = false;
        uv_idle_stop(&s->idle);
    }
}

/* What was sent to a socket of this machine may still be on its way, when the kernel has left that to a thread of its
 * own: before the last turn that thread gets a moment. */
bool uvt__quiet_turn(uvt__shard *s) {
    if (s->quiet == QUIET_TURNS) return false;
    if (++s->quiet == QUIET_TURNS && s->stats.streams > 0) uv_sleep(1);
    return true;
}

/* Everybody waits: on the virtual clock that moves time on to the next timer. */
static void maybe_jump(uvt__shard *s) {
    if (!clock_may_jump(s) || s->yielded.head) return;
    if (uvt__quiet_turn(s)) return;
    s->quiet = 0;
    s->clock = uvt__wheel_next(&s->wheel);
    uvt__wheel_advance(s, s->clock);
}

#define SAME_THREAD "the loop of a runtime is driven by another thread than the one that attached it"

static void on_prepare(uv_prepare_t *h) {
    uvt__shard *s = h->data;
    UVT_ASSERT(s == uvt__here(), SAME_THREAD);
    if (s->virtual_clock && !s->many && !s->ready.head) maybe_jump(s);
    bool ran = s->ready.head != NULL;
    if (ran) uvt__run_batch(s);
    settle(s);
    if (s->many) s->rest(s);
    if (!s->idling) {
        uvt__stacks_trim(s);
        /* The poll's timeout is reckoned from the loop's time, which tasks may have left far behind. */
        if (ran && s->wheel.armed) uv_update_time(s->loop);
    }
    s->polling = true;
}

static void on_check(uv_check_t *h) {
    uvt__shard *s = h->data;
    UVT_ASSERT(s == uvt__here(), SAME_THREAD);
    if (s->many) s->wake(s);
    if (s->io_told) s->io_told(s);
    s->polling = false;
    if (s->many || s->inbox) uvt__mailbox_drain(s);
    uvt__splice_yielded(s);
    if (s->ready.head) uvt__run_batch(s);
    settle(s);
}

/* ---- up ---- */

/* What can be refused before anything is made. */
int uvt__options_check(const uvt_options *o) {
    return o && o->stack_size && !uvt__stack_round(o->stack_size) ? UV_EINVAL : 0;
}

static int take_options(uvt__shard *s, const uvt_options *o) {
    if (o) s->opt = *o;
    if (!s->opt.stack_size) s->opt.stack_size = DEFAULT_STACK;
    s->opt.stack_size = uvt__stack_round(s->opt.stack_size);
    if (!s->opt.stack_size) return UV_EINVAL;
    if (!s->opt.stack_cache) s->opt.stack_cache = DEFAULT_CACHE;
    if (!s->opt.grace_ms) s->opt.grace_ms = DEFAULT_GRACE;
    s->shuffle = s->opt.seed;
    return 0;
}

static void on_closed(uv_handle_t *h) {
    uvt__handle_closed(h->data);
}

void uvt__handle_opened(uvt__shard *s) {
    s->handles_open++;
}

/* The hooks leave the loop; the rest follows when they have gone. */
static void close_hooks(uvt__shard *s) {
    uv_handle_t *all[] = { (uv_handle_t *)&s->prepare, (uv_handle_t *)&s->check, (uv_handle_t *)&s->idle,
                           (uv_handle_t *)&s->timer, &s->bell.uv.handle };
    s->tearing_down = true;
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (!uv_is_closing(all[i])) uv_close(all[i], on_closed);
}

static int make_hooks(uvt__shard *s) {
    int rc = uvt__bell_init(&s->bell, s->loop);
    if (rc < 0) return rc;
    uv_prepare_init(s->loop, &s->prepare);
    uv_check_init(s->loop, &s->check);
    uv_idle_init(s->loop, &s->idle);
    uv_timer_init(s->loop, &s->timer);
    s->bell.uv.handle.data = s->prepare.data = s->check.data = s->idle.data = s->timer.data = s;
    s->handles_open = 5;
    uv_prepare_start(&s->prepare, on_prepare);
    uv_check_start(&s->check, on_check);
    uv_unref(&s->bell.uv.handle);
    uv_unref((uv_handle_t *)&s->prepare);
    uv_unref((uv_handle_t *)&s->check);
    uv_unref((uv_handle_t *)&s->timer);
    return 0;
}

/* Frees what a shard holds besides its hooks, which are closed or were never made. */
static void shard_free(uvt__shard *s) {
    if (s->io_release) s->io_release(s);
    uvt__stacks_release(s, s->keep_stacks || s->jobs_forgiven > 0);
    if (s->root) uvt__set_free(s, s->root);
    uvt__records_release(s);
    if (s->job_store.release) s->job_store.release(s);
    uvt__bell_free(&s->bell);
    if (s->loop_made) {
        int rc = uv_loop_close(&s->own_loop);
        UVT_ASSERT(rc == 0, "the loop still has handles at its end");
    }
    if (uvt__tls == s) uvt__tls = NULL;
    uvt__free(s);
}

/* libuv writes without MSG_NOSIGNAL. */
static void ignore_sigpipe(void) {
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

int uvt__shard_new(uvt__shard **out, uv_loop_t *loop, const uvt_options *o, bool virtual_clock) {
    uvt__shard *s = uvt__calloc(sizeof *s);
    if (!s) return UV_ENOMEM;
    s->bell.fd = -1;
    int rc = take_options(s, o);
    if (rc == 0 && !loop) {
        s->own_loop.backend_fd = -1;
        rc = UVT_UV(uv_loop_init(&s->own_loop));
        s->loop_made = rc == 0;
        /* libuv 1.44 leaves its epoll descriptor open when it fails half way. */
        if (rc < 0 && s->own_loop.backend_fd >= 0) close(s->own_loop.backend_fd);
        loop = &s->own_loop;
    }
    s->loop = loop;
    s->virtual_clock = virtual_clock;
    s->clock = 1000000; /* where the virtual clock starts: any time but 0, which means "none" */
    if (rc == 0 && !(s->root = uvt__set_new(s, NULL))) rc = UV_ENOMEM;
    if (rc == 0) rc = uvt__mailbox_new(s, &s->mailbox);
    if (rc == 0 && (rc = make_hooks(s)) < 0) uvt_runtime_unref(s->mailbox);
    if (rc < 0) {
        shard_free(s);
        return rc;
    }
    ignore_sigpipe();
    uvt__wheel_init(s);
    uvt__registry_add(s->mailbox);
    s->gid = s->tag = s->mailbox->tag;
    s->main_result.status = UV_ETIMEDOUT; /* until it has ended */
    *out = s;
    return 0;
}

void uvt__shard_enter(uvt__shard *s) {
    uvt__tls = s;
}

int uvt__spawn_root(uvt__shard *s, uvt_fn fn, void *arg, const char *site, uvt__task **out) {
    int rc = uvt__task_new(s, &s->root->node, fn, arg, NULL, NULL, site, out);
    if (rc == 0) s->root->live++;
    return rc;
}

/* ---- the end ---- */

static void arm_end_timer(uvt__shard *s);

static void on_end_timer(uvt__timer_t *t) {
    uvt__shard *s = CONTAINER_OF(t, uvt__shard, end_timer);
    if (s->root->live > 0 && !s->named)
        uvt__report_tasks(s, "stragglers: these tasks still run after the grace period");
    s->named = true;
    if (s->jobs_out == 0) return;
    /* On a host's loop the end goes on as the host drives it: such jobs are named, and waited for. */
    s->jobs_overdue(s, uvt__now(s) - s->opt.grace_ms, !s->attached);
    if (s->jobs_out > 0) arm_end_timer(s); /* a clean-up's, which have had less time */
}

static void arm_end_timer(uvt__shard *s) {
    if (s->end_timer.next) return;
    s->end_timer.fire = on_end_timer;
    uvt__timer_arm(s, &s->end_timer, uvt__after(s, s->opt.grace_ms));
}

void uvt__grace_begins(uvt__shard *s) {
    if (s->end_began) return;
    s->end_began = uvt__now(s);
    if (s->jobs_out > 0) arm_end_timer(s);
}

void uvt__main_returned(uvt__shard *s) {
    uvt__grace_begins(s);
    if (s->many) s->grace_others(s);
}

void uvt__begin_end(uvt__shard *s) {
    if (s->ending) return;
    s->ending = true;
    uvt__grace_begins(s);
    if (s->many) s->end_others(s);
    /* A task that runs here for another shard's is cancelled by its owner, who may be shielded. */
    for (uvt__node *c = s->root->node.child; c; c = c->next)
        if (!(TASK_OF(c)->flags & TF_GUEST) || TASK_OF(c)->guest->foreign)
            uvt__cancel_task(s, TASK_OF(c), (uvt_reason){ .code = UVT_REASON_SHUTDOWN });
    if (s->root->live == 0) return;
    arm_end_timer(s);
}

void uvt__main_done(uvt__shard *s, uvt__task *t) {
    uvt__task_result(t, &s->main_result);
    uvt__begin_end(s);
}

static void teardown(uvt__shard *s) {
    s->end_due = false;
    uvt__wheel_clear(s); /* tokens may be freed by other threads from now on */
    uvt__registry_remove(s->mailbox);
    uvt__mailbox_close(s->mailbox);
    close_hooks(s);
}

/* The last task may just have ended. */
void uvt__maybe_end(uvt__shard *s) {
    if (!s->ending || s->root->live > 0 || s->tearing_down) return;
    if (s->many) s->is_quiet(s);
    else if (!s->attached) uv_stop(s->loop);
    else if (s->in_batch) s->end_due = true; /* posts must not run on a task's stack */
    else teardown(s);
}

/* Posts may still come to a mailbox somebody else holds: they are refused. */
static void forget_mailbox(uvt__shard *s) {
    atomic_store(&s->mailbox->shard, NULL);
    s->mailbox->bell = NULL;
    uvt_runtime_unref(s->mailbox);
}

void uvt__handle_closed(uvt__shard *s) {
    if (--s->handles_open > 0 || !s->tearing_down || !s->attached) return;
    void (*cb)(void *, int) = s->shutdown_cb;
    void *arg = s->shutdown_arg;
    int status = s->root_failure;
    forget_mailbox(s);
    shard_free(s);
    uvt__pool_leave();
    if (cb) cb(arg, status);
}

/* ---- deadlock ---- */

/* Calls the abort of every wait that has one, whatever shields there are; false when there was none. */
bool uvt__abort_all_waits(uvt__shard *s) {
    bool any = false;
    for (uvt__node *n = &s->root->node, *root = n;;) {
        if (n->child) n = n->child;
        else {
            while (n != root && !n->next) n = uvt__owner(n);
            if (n == root) return any;
            n = n->next;
        }
        if (uvt__is_set(n)) continue;
        uvt__task *t = TASK_OF(n);
        if (t->state != T_PARKED || !t->park || !t->park->abort || (t->flags & TF_ABORT_ASKED)) continue;
        uvt_park_t *p = t->park;
        t->flags |= TF_ABORT_ASKED;
        any = true;
        if (p->abort(p) == UVT_ABORT_DONE) uvt_unpark(p, UV_ECANCELED);
    }
}

/* What a shard does of its own when nothing can wake its tasks. */
void uvt__deadlock_cancel(uvt__shard *s) {
    s->deadlocked = true;
    uvt__report_tasks(s, "deadlock: nothing can wake these tasks");
    uvt__grace_begins(s);
    s->ending = true;
    uvt__cancel_children(s, &s->root->node, (uvt_reason){ .code = UVT_REASON_DEADLOCK });
}

void uvt__deadlock_give_up(uvt__shard *s) {
    uvt__report_tasks(s, "deadlock: these waits cannot be cancelled; their tasks are given up");
}

/* ---- the end of a shard that has its own loop ---- */

static void close_stray(uv_handle_t *h, void *arg) {
    if (uv_is_closing(h)) return;
    uvt__report(arg, "leak: a %s handle was left open on the loop", uv_handle_type_name(uv_handle_get_type(h)));
    uv_close(h, NULL);
}

void uvt__shard_close(uvt__shard *s) {
    teardown(s);
}

int uvt__shard_finish(uvt__shard *s) {
    uv_walk(s->loop, close_stray, s); /* what a program left active would keep the loop running for ever */
    while (uv_run(s->loop, UV_RUN_DEFAULT)) {} /* more than once where a message has stopped it */
    int failure = s->root_failure;
    forget_mailbox(s);
    shard_free(s);
    return failure;
}

/* ---- attached runtimes ---- */

int uvt_attach(uvt_runtime_t **rt, uv_loop_t *loop, const uvt_options *o) {
    uvt__shard *s;
    if (!rt || !loop || (o && o->shards > 1)) return UV_EINVAL;
    if (uvt__here()) return UVT_ENESTED;
    int rc = uvt__options_check(o);
    if (rc == 0) rc = uvt__pool_enter(o);
    if (rc < 0) return rc;
    rc = uvt__shard_new(&s, loop, o, false);
    if (rc < 0) {
        uvt__pool_leave();
        return rc;
    }
    uvt__shard_enter(s);
    s->attached = true;
    *rt = uvt_runtime_ref();
    return 0;
}

/* The shard of an open runtime of this thread. */
static int attached_shard(uvt_runtime_t *rt, uvt__shard **out) {
    if (!rt) return UV_EINVAL;
    uvt__shard *s = atomic_load(&rt->shard);
    if (!s) return UVT_EGONE;
    if (s != uvt__here()) return UVT_ESHARD;
    if (s->ending) return UVT_EGONE;
    *out = s;
    return 0;
}

int uvt_runtime_spawn_at(uvt_runtime_t *rt, uvt_fn fn, void *arg, const char *site) {
    uvt__shard *s;
    uvt__task *t;
    if (!fn) return UV_EINVAL;
    int rc = attached_shard(rt, &s);
    return rc < 0 ? rc : uvt__spawn_root(s, fn, arg, site, &t);
}

int uvt_runtime_shutdown(uvt_runtime_t *rt, void (*done)(void *, int), void *arg) {
    uvt__shard *s;
    int rc = attached_shard(rt, &s);
    if (rc < 0) return rc;
    if (!s->attached) return UV_EINVAL;
    s->shutdown_cb = done;
    s->shutdown_arg = arg;
    uvt__begin_end(s);
    uvt__maybe_end(s);
    return 0;
}

/* ---- questions ---- */

uv_loop_t *uvt_loop(void) {
    uvt__shard *s = uvt__here();
    return s ? s->loop : NULL;
}

void uvt_external_begin(void) {
    uvt__shard *s = uvt__here();
    if (s && s->externals++ == 0 && !s->many) uv_ref(&s->bell.uv.handle);
}

void uvt_external_end(void) {
    uvt__shard *s = uvt__here();
    if (s && s->externals > 0 && --s->externals == 0 && !s->many) uv_unref(&s->bell.uv.handle);
}

void uvt__job_out(uvt__shard *s) {
    s->pool_reqs++;
    if (s->jobs_out++ == 0) uvt_external_begin();
    if (s->end_began) arm_end_timer(s);
}

void uvt__job_back(uvt__shard *s) {
    s->pool_reqs--;
    if (--s->jobs_out > 0) return;
    uvt_external_end();
    if (s->named) uvt__timer_disarm(s, &s->end_timer); /* there is nobody left to name or to forgive */
}

void uvt__job_forgiven(uvt__shard *s) {
    s->jobs_forgiven++;
    uvt__job_back(s);
}

int uvt_stats_get(uvt_stats *out) {
    uvt__shard *s = uvt__here();
    if (!out) return UV_EINVAL;
    if (!s) return UVT_ENOTASK;
    *out = s->stats;
    out->timers = s->wheel.armed;
    return 0;
}
