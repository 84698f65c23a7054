/* SPDX-License-Identifier: MIT
 *
 * uvt_run: a shard alone on the caller's thread, or a group of them.
 */
#include "shard/shard.h"

#define MOST_SHARDS 1024

/* Something is to be run, or to come: from the loop, or with the messages that have been posted meanwhile. */
static bool stirs(uvt__shard *s) {
    return s->ready.head || uv_loop_alive(s->loop) || uvt__mailbox_drain(s);
}

/* The loop has nothing to wait for, but tasks live. False when not even their cleanup can run. */
static bool break_deadlock(uvt__shard *s) {
    if (!s->deadlocked) uvt__deadlock_cancel(s);
    if (!stirs(s)) uvt__abort_all_waits(s);
    if (stirs(s)) return true;
    uvt__deadlock_give_up(s);
    return false;
}

static bool goes_on(uvt__shard *s) {
    if (s->ending && s->root->live == 0) return false;
    if (uv_loop_alive(s->loop) || uvt__mailbox_drain(s)) return true;
    if (s->jobs_forgiven > 0) return false; /* what is left waits for jobs that we do not wait for */
    return break_deadlock(s);
}

static int run_alone(uvt_fn fn, void *arg, const uvt_options *o, const char *site, bool virtual_clock) {
    uvt__shard *s;
    uvt__task *t;
    int rc = uvt__shard_new(&s, NULL, o, virtual_clock);
    if (rc < 0) return rc;
    uvt__shard_enter(s);
    rc = uvt__spawn_root(s, fn, arg, site, &t);
    if (rc == 0) {
        t->flags |= TF_MAIN;
        do uv_run(s->loop, UV_RUN_DEFAULT);
        while (goes_on(s));
        rc = s->deadlocked ? UVT_EDEADLK : s->main_result.status;
    }
    uvt__shard_close(s);
    uvt__guests_abandon(s);
    int failure = uvt__shard_finish(s);
    return rc >= 0 && failure ? failure : rc;
}

int uvt__run_with(uvt_fn fn, void *arg, const uvt_options *o, const char *site, bool virtual_clock) {
    unsigned n = o && o->shards ? o->shards : 1;
    if (n == UVT_PER_CORE) n = uvt__core_count() < MOST_SHARDS ? uvt__core_count() : MOST_SHARDS;
    if (!fn || n > MOST_SHARDS) return UV_EINVAL;
    if (uvt__here()) return UVT_ENESTED;
    int rc = uvt__options_check(o);
    if (rc == 0) rc = uvt__pool_enter(o);
    if (rc < 0) return rc;
    rc = n == 1 ? run_alone(fn, arg, o, site, virtual_clock) : uvt__run_group(n, fn, arg, o, site, virtual_clock);
    uvt__pool_leave();
    return rc;
}

int uvt_run_at(uvt_fn fn, void *arg, const uvt_options *o, const char *site) {
    return uvt__run_with(fn, arg, o, site, false);
}

int uvt_post_on(uvt_runtime_t *rt, unsigned shard, void (*fn)(void *arg), void *arg) {
    if (!rt || !fn) return UV_EINVAL;
    if (shard == rt->index) return uvt_post(rt, fn, arg);
    if (shard >= rt->shards) return UV_EINVAL;
    uvt_runtime_t *to = uvt__registry_peer(rt, shard);
    if (!to) return UVT_EGONE;
    int rc = uvt_post(to, fn, arg);
    uvt_runtime_unref(to);
    return rc;
}
