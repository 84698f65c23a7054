/* SPDX-License-Identifier: MIT
 *
 * The life of several shards together: they are all made, then started, each on its thread, and end together. The
 * end of the main task, or a deadlock, makes every shard cancel what it owns; a shard without live tasks is quiet, and
 * when all are quiet at the same time all loops are told to return. A shard that is quiet may get tasks again
 * as long as another one is not (a clean-up there may send some): while such a task is on its way its sender is
 * not quiet.
 *
 * The messages with these orders are the group's own, one of each per shard, so they cannot fail.
 */
#include "shard/shard.h"

unsigned uvt__core_count(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (unsigned)CPU_COUNT(&set);
#endif
    return uv_available_parallelism();
}

static void order(uvt__group *g, unsigned k, uvt__msg *msg, void (*fn)(void *)) {
    *msg = (uvt__msg){ .fn = fn, .arg = g, .embedded = true };
    (void)uvt__post_embedded(g->box[k], msg); /* a shard that has ended needs no order */
}

static void on_grace(void *arg) {
    (void)arg;
    uvt__grace_begins(uvt__here());
}

/* The main task's body has returned: on the other shards the time for jobs runs, too. */
static void grace(uvt__shard *s) {
    uvt__group *g = s->group;
    if (g->graced) return; /* a defer of the main task's has panicked */
    g->graced = true;
    for (unsigned k = 0; k < g->n; k++)
        if (k != s->mailbox->index) order(g, k, &g->orders[k].grace, on_grace);
}

unsigned uvt_shard_count(void) {
    uvt__shard *s = uvt__here();
    return !s ? 0 : s->many ? s->group->n : 1;
}

unsigned uvt_shard_index(void) {
    uvt__shard *s = uvt__here();
    return s ? s->mailbox->index : 0;
}

/* ---- the end ---- */

static void on_stop(void *arg) {
    uvt__shard *s = uvt__here();
    (void)arg;
    s->stopped = true;
    uv_stop(s->loop);
}

void uvt__group_stop(uvt__group *g) {
    if (g->stopping) return;
    g->stopping = true;
    for (unsigned k = 0; k < g->n; k++) order(g, k, &g->orders[k].stop, on_stop);
}

static void on_end(void *arg) {
    uvt__shard *s = uvt__here();
    (void)arg;
    uvt__begin_end(s);
    uvt__maybe_end(s);
}

static void begin_end(uvt__shard *s) {
    uvt__group *g = s->group;
    uv_mutex_lock(&g->lock);
    bool first = !g->ending;
    g->ending = true;
    if (first)
        for (unsigned k = 0; k < g->n; k++)
            if (k != s->mailbox->index) order(g, k, &g->orders[k].end, on_end);
    uv_mutex_unlock(&g->lock);
}

static void set_quiet(uvt__shard *s, bool to) {
    uvt__group *g = s->group;
    if (s->counted == to) return;
    s->counted = to;
    uv_mutex_lock(&g->lock);
    if (to) g->quiet++;
    else g->quiet--;
    if (g->quiet == g->n) uvt__group_stop(g);
    uv_mutex_unlock(&g->lock);
}

static void quiet(uvt__shard *s) {
    set_quiet(s, true);
}

void uvt__group_busy(uvt__shard *s) {
    if (s->many) set_quiet(s, false);
}

/* ---- deadlock ---- */

enum { CANCEL = 1, ABORT, GIVE_UP }; /* stages */

static void on_deadlock(void *arg) {
    uvt__shard *s = uvt__here();
    uvt__group *g = arg;
    uv_mutex_lock(&g->lock);
    unsigned stage = g->stage;
    uv_mutex_unlock(&g->lock);
    if (stage == CANCEL) uvt__deadlock_cancel(s);
    else if (stage == GIVE_UP) uvt__deadlock_give_up(s);
    else if (uvt__abort_all_waits(s)) atomic_store(&g->helped, true);
    uvt__maybe_end(s);
}

/* First everything is cancelled, then waits that shields protect are aborted, as long as there are some, then tasks are
 * given up. */
void uvt__group_deadlock(uvt__group *g) {
    g->ending = true;
    if (g->stage < ABORT) g->stage++;
    else if (!atomic_load(&g->helped)) g->stage = GIVE_UP;
    atomic_store(&g->helped, false);
    for (unsigned k = 0; k < g->n; k++) order(g, k, &g->orders[k].deadlock, on_deadlock);
    if (g->stage == GIVE_UP) uvt__group_stop(g);
}

void uvt__group_give_up(uvt__group *g) {
    g->given_up = true;
    uvt__group_stop(g);
}

/* ---- threads ---- */

#if defined(__linux__)
/* Keeps the calling thread on the k-th of the cores that the process may use. */
static void pin(const cpu_set_t *all, unsigned k) {
    cpu_set_t one;
    k %= (unsigned)CPU_COUNT(all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, all) || k-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

static void nothing(uv_work_t *req) {
    (void)req;
}

/* Has libuv make its pool now: its threads would keep the core of whoever uses it first. */
static int make_pool(void) {
    uv_loop_t loop;
    uv_work_t req;
    int rc = UVT_UV(uv_loop_init(&loop));
    if (rc < 0) return rc;
    rc = UVT_UV(uv_queue_work(&loop, &req, nothing, NULL));
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return rc;
}

static bool cores(cpu_set_t *all) {
    return sched_getaffinity(0, sizeof *all, all) == 0 && CPU_COUNT(all) > 0;
}
#endif

/* Until the group is over; returns what the main task made of it, on the shard that had it. */
static int run_shard(uvt__shard *s) {
    uvt__group *g = s->group;
    while (!s->stopped) uv_run(s->loop, UV_RUN_DEFAULT); /* an empty loop waits for messages all the same */
    int status = s->deadlocked ? UVT_EDEADLK : s->main_result.status;
    uvt__shard_close(s);
    uv_mutex_lock(&g->lock);
    g->closed++;
    uv_cond_broadcast(&g->all_closed);
    while (g->closed < g->started) uv_cond_wait(&g->all_closed, &g->lock);
    s->keep_stacks = g->given_up;
    uv_mutex_unlock(&g->lock);
    uvt__guests_abandon(s);
    int failure = uvt__shard_finish(s);
    uv_mutex_lock(&g->lock);
    if (g->failure == 0) g->failure = failure;
    uv_mutex_unlock(&g->lock);
    return status;
}

static void thread_main(void *arg) {
    uvt__shard *s = arg;
    uvt__shard_enter(s);
#if defined(__linux__)
    if (s->group->pinned) pin(&s->group->cores, s->mailbox->index);
#endif
    run_shard(s);
}

/* ---- making ---- */

static void group_free(uvt__group *g) {
    for (unsigned k = 0; g->box && k < g->n; k++) {
        if (g->box[k]) uvt__any_release(g->box[k]);
        uvt_runtime_unref(g->box[k]);
    }
    uv_cond_destroy(&g->all_closed);
    uv_mutex_destroy(&g->lock);
    uvt__free(g->threads);
    uvt__free(g->shards);
    uvt__free(g->orders);
    uvt__free(g->box);
    uvt__free(g);
}

static uvt__group *group_new(unsigned n, bool virtual_clock, int *err) {
    uvt__group *g = uvt__calloc(sizeof *g);
    *err = UV_ENOMEM;
    if (!g) return NULL;
    *err = UVT_UV(uv_mutex_init(&g->lock));
    if (*err < 0) {
        uvt__free(g);
        return NULL;
    }
    *err = UVT_UV(uv_cond_init(&g->all_closed));
    if (*err < 0) {
        uv_mutex_destroy(&g->lock);
        uvt__free(g);
        return NULL;
    }
    g->n = n;
    g->started = n; /* as far as it is known */
    g->virtual_clock = virtual_clock;
    g->box = uvt__calloc(n * sizeof(*g->box));
    g->orders = uvt__calloc(n * sizeof(*g->orders));
    g->shards = uvt__calloc(n * sizeof(*g->shards));
    g->threads = uvt__calloc(n * sizeof(*g->threads));
    if (g->box && g->orders && g->shards && g->threads) return g;
    *err = UV_ENOMEM;
    group_free(g);
    return NULL;
}

static void join_group(uvt__group *g, uvt__shard *s, unsigned k) {
    s->group = g;
    s->many = true;
    s->gid = g->shards[0]->tag;
    s->take_any = uvt__any_take;
    s->place = uvt__place;
    s->withdraw = uvt__any_withdraw;
    s->rest = uvt__rest;
    s->wake = uvt__wake;
    s->end_others = begin_end;
    s->grace_others = grace;
    s->is_quiet = quiet;
    if (s->shuffle) s->shuffle += k;
    atomic_store(&g->clock, s->clock);
    uv_ref(&s->bell.uv.handle);
    uvt__mailbox_join(s->mailbox, s->gid, k, g->n);
    g->box[k] = uvt__runtime_ref(s->mailbox);
}

static int make_shards(uvt__group *g, const uvt_options *o) {
    for (unsigned k = 0; k < g->n; k++) {
        int rc = uvt__shard_new(&g->shards[k], NULL, o, g->virtual_clock);
        if (rc < 0) return rc;
        join_group(g, g->shards[k], k);
    }
    return 0;
}

/* Shards that no thread has run. */
static void finish_idle(uvt__group *g, unsigned first) {
    for (unsigned k = first; k < g->n; k++) {
        if (!g->shards[k]) continue;
        uvt__shard_enter(g->shards[k]);
        uvt__shard_close(g->shards[k]);
        uvt__shard_finish(g->shards[k]);
    }
}

static int start(uvt__group *g, unsigned *started) {
    int rc = 0;
    for (*started = 1; rc == 0 && *started < g->n; ++*started)
        rc = UVT_UV(uv_thread_create(&g->threads[*started], thread_main, g->shards[*started]));
    if (rc < 0) --*started;
    uv_mutex_lock(&g->lock);
    g->started = *started;
    uv_cond_broadcast(&g->all_closed);
    uv_mutex_unlock(&g->lock);
    return rc;
}

static int run_threads(uvt__group *g, uvt_fn fn, void *arg, const char *site) {
    uvt__shard *s = g->shards[0];
    uvt__task *t;
    unsigned started;
    int rc = start(g, &started);
    uvt__shard_enter(s);
    if (rc == 0) rc = uvt__spawn_root(s, fn, arg, site, &t);
    if (rc == 0) {
        t->flags |= TF_MAIN;
    } else {
        s->main_result.status = rc;
        uv_mutex_lock(&g->lock);
        uvt__group_stop(g);
        uv_mutex_unlock(&g->lock);
    }
    rc = run_shard(s);
    for (unsigned k = 1; k < started; k++) uv_thread_join(&g->threads[k]);
    finish_idle(g, started);
    return rc >= 0 && g->failure ? g->failure : rc;
}

int uvt__run_group(unsigned n, uvt_fn fn, void *arg, const uvt_options *o, const char *site, bool virtual_clock) {
    int rc;
    uvt__group *g = group_new(n, virtual_clock, &rc);
    if (!g) return rc;
    g->lingers = n <= uvt__core_count() && !virtual_clock && !(o && o->no_linger);
    rc = make_shards(g, o);
    if (rc < 0) {
        finish_idle(g, 0);
    } else {
#if defined(__linux__)
        g->pinned = o && o->pin && make_pool() == 0 && cores(&g->cores);
        if (g->pinned) pin(&g->cores, 0);
#endif
        rc = run_threads(g, fn, arg, site);
#if defined(__linux__)
        if (g->pinned) (void)sched_setaffinity(0, sizeof g->cores, &g->cores);
#endif
    }
    group_free(g);
    return rc;
}
