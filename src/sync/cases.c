/* SPDX-License-Identifier: MIT
 *
 * The select cases of what the core has to wait for: time, tasks, sets and tokens. They belong to the selecting task's
 * own shard, but for a token of another shard, which is waited for through a child, as uvt_token_wait does.
 */
#include "sync/select.h"

/* ---- time ---- */

static int sleep_attempt(uvt_case_t *c) {
    if ((int64_t)c->n < 0 && c->n != UVT_FOREVER) return UV_EINVAL;
    return c->n == 0 || (c->due && uvt__now(uvt__here()) >= c->due) ? 0 : UV_EAGAIN;
}

static int until_attempt(uvt_case_t *c) {
    return uvt__now(uvt__here()) >= c->n ? 0 : UV_EAGAIN;
}

/* Of a timer, or of a token. */
static void fires(uvt__timer_t *t) {
    uvt_unpark(&CONTAINER_OF(t, uvt__part, timer)->wait.park, 0);
}

static int arm(uvt__part *p, uint64_t due) {
    p->c->due = due;
    p->timer.next = NULL;
    p->timer.fire = fires;
    if (due != UVT_FOREVER) uvt__timer_arm(uvt__here(), &p->timer, due);
    return 0;
}

/* The time counts from the first hook on, which directly follows the beginning. */
static int sleep_hook(uvt__part *p) {
    return arm(p, p->c->due ? p->c->due : uvt__after(uvt__here(), p->c->n));
}

static int until_hook(uvt__part *p) {
    return arm(p, p->c->n);
}

static void time_unhook(uvt__part *p) {
    uvt__timer_disarm(uvt__here(), &p->timer);
}

static const uvt__kind sleep_kind = { false, sleep_attempt, sleep_hook, uvt__finish_handed, time_unhook };
static const uvt__kind until_kind = { false, until_attempt, until_hook, uvt__finish_handed, time_unhook };

uvt_case_t uvt_case_sleep(uint64_t ms) {
    return (uvt_case_t){ .kind = &sleep_kind, .n = ms };
}

uvt_case_t uvt_case_sleep_until(uint64_t deadline) {
    return (uvt_case_t){ .kind = &until_kind, .n = deadline };
}

/* ---- a task ---- */

static uvt_task_t task_of(const uvt_case_t *c) {
    return (uvt_task_t){ c->object, c->n };
}

static int join_attempt(uvt_case_t *c) {
    return uvt__join_now(task_of(c), c->out);
}

static int join_hook(uvt__part *p) {
    p->wait.slot = p->c->out;
    return uvt__join_hook(task_of(p->c), &p->wait);
}

static int join_finish(uvt__part *p, int rc) {
    return rc < 0 || p->c->out ? rc : p->wait.result;
}

static void join_unhook(uvt__part *p) {
    uvt__join_unhook(task_of(p->c), &p->wait);
}

static const uvt__kind join_kind = { false, join_attempt, join_hook, join_finish, join_unhook };

uvt_case_t uvt_case_join(uvt_task_t t, uvt_result *r) {
    return (uvt_case_t){ .kind = &join_kind, .object = t.rec, .n = t.id, .out = r };
}

/* ---- a task set ---- */

static int next_attempt(uvt_case_t *c) {
    return uvt_set_try_next(c->object, c->out);
}

static int next_hook(uvt__part *p) {
    return uvt__set_hook(p->c->object, &p->wait.park);
}

static void next_unhook(uvt__part *p) {
    uvt__set_unhook(p->c->object, &p->wait.park);
}

static const uvt__kind next_kind = { false, next_attempt, next_hook, uvt__finish_again, next_unhook };

uvt_case_t uvt_case_set_next(uvt_set_t *set, uvt_result *r) {
    return (uvt_case_t){ .kind = &next_kind, .object = set, .out = r };
}

/* ---- a token ---- */

static int token_attempt(uvt_case_t *c) {
    if (!c->object) return UV_EINVAL;
    if (!uvt__token_near(uvt__here(), c->object)) return UVT_ESHARD;
    return uvt_token_cancelled(c->object) ? 0 : UV_EAGAIN;
}

static int token_hook(uvt__part *p) {
    uvt_token_t *k;
    int rc = uvt__token_local(uvt__here(), p->c->object, &k);
    if (rc < 0) return rc;
    p->timer.next = NULL;
    p->timer.fire = fires;
    if (!uvt__token_hook(k, &p->timer)) {
        uvt_token_unref(k);
        return UV_EAGAIN;
    }
    p->wait.slot = k; /* a reference: its last owner may let go meanwhile */
    return 0;
}

static void token_unhook(uvt__part *p) {
    uvt__token_unhook(&p->timer);
    uvt_token_unref(p->wait.slot);
}

static const uvt__kind token_kind = { false, token_attempt, token_hook, uvt__finish_handed, token_unhook };

uvt_case_t uvt_case_token(uvt_token_t *token) {
    return (uvt_case_t){ .kind = &token_kind, .object = token };
}
