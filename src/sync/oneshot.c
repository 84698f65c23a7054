/* SPDX-License-Identifier: MIT
 *
 * Oneshot. What was decided (sent, sender gone, receiver gone) is one atomic state, so a value is never lost
 * between a sender on another thread and a receiver that leaves: exactly one of them moves it on from
 * EMPTY. Waking the receiver is the home loop's business (the one the oneshot was made on); from another thread a
 * message embedded in the oneshot carries it there, so a send cannot run out of memory. The receiver may be on any
 * shard of the runtime: what both ends' tasks touch is under the object's lock.
 */
#include "sync/select.h"
#include <stdatomic.h>

enum { EMPTY, SENDING, SENT, TX_GONE, RX_GONE, TAKEN };

struct uvt_oneshot {
    uvt__behind behind;     /* of `task` */
    void **value_out;       /* of `task`: where the value goes; may be NULL */
    atomic_int state;
    atomic_int refs;        /* one per end */
    int status;             /* valid from SENT on */
    void *value;
    uvt_runtime_t *rt;      /* a reference */
    uint64_t tag;           /* the home loop */
    uint64_t gid;           /* its runtime */
    bool external;          /* holds an uvt_external count until the sender's end is back */
    uvt__task *task;        /* a stackless task that receives; home loop only */
    bool receiving;         /* a task is in recv, or there is `task`; under the lock, as the rest */
    uvt__waits receiver;    /* it, while parked */
    uvt__waits watcher;     /* sender's side, in wait_closed */
    uvt__msg msg;
};

static void unref(uvt_oneshot_t *o) {
    if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1) return;
    uvt_runtime_unref(o->rt);
    uvt__free(o);
}

int uvt_oneshot_new(uvt_oneshot_t **out, unsigned flags) {
    uvt__shard *s = uvt__here();
    if (!s) return UVT_ENOTASK;
    if (!out || (flags & ~(unsigned)UVT_ONESHOT_EXTERNAL)) return UV_EINVAL;
    uvt_oneshot_t *o = uvt__calloc(sizeof *o);
    if (!o) return UV_ENOMEM;
    atomic_init(&o->refs, 2);
    o->rt = uvt_runtime_ref();
    o->tag = s->tag;
    o->gid = s->gid;
    o->external = (flags & UVT_ONESHOT_EXTERNAL) != 0;
    if (o->external) uvt_external_begin();
    *out = o;
    return 0;
}

static bool at_home(const uvt_oneshot_t *o) {
    uvt__shard *s = uvt__here();
    return s && s->tag == o->tag;
}

/* On a shard of its runtime. */
static bool near(const uvt_oneshot_t *o) {
    uvt__shard *s = uvt__here();
    return s && s->gid == o->gid;
}

static bool decide(uvt_oneshot_t *o, int to) {
    int empty = EMPTY;
    return atomic_compare_exchange_strong(&o->state, &empty, to);
}

/* ---- sending ---- */

/* On the home loop: the sender is through. */
static void arrive(void *arg) {
    uvt_oneshot_t *o = arg;
    if (o->external) uvt_external_end();
    int rc = atomic_load(&o->state) == SENT ? 0 : UV_EOF;
    uvt__task *t = o->task;
    uvt__lock(o);
    if (o->receiver.head) uvt__wait_wake(&o->receiver, o->receiver.head, rc);
    uvt__unlock(o);
    if (t && !(t->flags & TF_SKIP)) uvt__task_complete(uvt__here(), t, rc);
    unref(o);
}

/* Takes the sender's reference to the home loop. */
static int go_home(uvt_oneshot_t *o) {
    if (at_home(o)) {
        arrive(o);
        return 0;
    }
    o->msg = (uvt__msg){ .fn = arrive, .arg = o, .embedded = true };
    int rc = uvt__post_embedded(o->rt, &o->msg);
    if (rc < 0) { /* nobody will ever receive it, unless somebody did before the runtime ended */
        int sent = SENT;
        if (!atomic_compare_exchange_strong(&o->state, &sent, RX_GONE) && sent == TAKEN) rc = 0;
        unref(o);
    }
    return rc;
}

int uvt_oneshot_send(uvt_oneshot_t *o, int status, void *value) {
    if (!o) return UV_EINVAL;
    if (decide(o, SENDING)) {
        o->status = status;
        o->value = value;
        atomic_store(&o->state, SENT);
        return go_home(o);
    }
    int rc = go_home(o);
    return rc < 0 ? rc : UVT_ECLOSED;
}

void uvt_oneshot_close_tx(uvt_oneshot_t *o) {
    if (!o) return;
    decide(o, TX_GONE);
    go_home(o);
}

/* ---- receiving ---- */

/* The state, once a sender that is just storing the value is through (a few instructions). */
static int settled(uvt_oneshot_t *o) {
    int st;
    while ((st = atomic_load(&o->state)) == SENDING) {}
    return st;
}

/* Whose the value is, should two tasks ask at once. */
static bool take(uvt_oneshot_t *o) {
    int sent = SENT;
    return atomic_compare_exchange_strong(&o->state, &sent, TAKEN);
}

static int receive(uvt_oneshot_t *o, int *status, void **value) {
    switch (settled(o)) {
    case EMPTY: return UV_EAGAIN;
    case TX_GONE: return UV_EOF;
    case SENT: break;
    default: return UVT_ECLOSED;
    }
    if (!take(o)) return UVT_ECLOSED;
    if (status) *status = o->status;
    if (value) *value = o->value;
    return 0;
}

static bool is_receiving(uvt_oneshot_t *o) {
    uvt__lock(o);
    bool is = o->receiving;
    uvt__unlock(o);
    return is;
}

int uvt_oneshot_try_recv(uvt_oneshot_t *o, int *status, void **value) {
    if (!o) return UV_EINVAL;
    if (!uvt__here()) return UVT_ENOTASK;
    if (!near(o)) return UVT_ESHARD;
    return is_receiving(o) ? UV_EBUSY : receive(o, status, value);
}

/* Of either side. */
static int leave_queue(uvt_oneshot_t *o, uvt__waits *q, uvt__wait *w) {
    uvt__lock(o);
    int left = uvt__wait_leave(q, w);
    uvt__unlock(o);
    return left;
}

static int recv_abort(uvt_park_t *p) {
    uvt_oneshot_t *o = (uvt_oneshot_t *)p->object;
    return leave_queue(o, &o->receiver, CONTAINER_OF(p, uvt__wait, park));
}

/* From here to set_receiving(o, false) nobody may close the receiver's end under us. */
static bool set_receiving(uvt_oneshot_t *o, bool to) {
    uvt__lock(o);
    bool was = o->receiving;
    o->receiving = to;
    uvt__unlock(o);
    return was;
}

/* False when it has been decided. */
static bool hook_receiver(uvt_oneshot_t *o, uvt__wait *w) {
    uvt__lock(o);
    bool empty = settled(o) == EMPTY;
    if (empty) uvt__wait_hook(&o->receiver, w, uvt__here());
    uvt__unlock(o);
    return empty;
}

int uvt_oneshot_recv(uvt_oneshot_t *o, int *status, void **value) {
    if (!o) return UV_EINVAL;
    if (!uvt__current()) return UVT_ENOTASK;
    if (!near(o)) return UVT_ESHARD;
    if (set_receiving(o, true)) return UV_EBUSY;
    int rc = uvt_checkpoint();
    if (rc == 0) {
        uvt__wait w = { .park = { .what = "oneshot", .object = o, .abort = recv_abort } };
        if (hook_receiver(o, &w)) rc = uvt_park(&w.park);
        if (rc == UV_EOF) rc = 0; /* as the state says, too */
    }
    if (rc == 0) rc = receive(o, status, value);
    set_receiving(o, false); /* from here on it may be gone */
    return rc;
}

/* The receiver leaves; 1 when a value that nobody had taken goes with it. */
static int leave(uvt_oneshot_t *o, int *status, void **value) {
    int had = 0;
    if (!decide(o, RX_GONE) && settled(o) == SENT && take(o)) {
        had = 1;
        if (status) *status = o->status;
        if (value) *value = o->value;
    }
    uvt__lock(o);
    if (o->watcher.head) uvt__wait_wake(&o->watcher, o->watcher.head, 0);
    uvt__unlock(o);
    unref(o);
    return had;
}

int uvt_oneshot_close_rx(uvt_oneshot_t *o, void **value) {
    if (!o) return 0;
    if (!near(o)) {
        if (uvt__registry_alive(o->tag)) return UVT_ESHARD;
        o->watcher = (uvt__waits){ 0 }; /* of a task that was given up, if any; so is who was receiving */
    } else if (is_receiving(o)) {
        return UV_EBUSY;
    }
    return leave(o, NULL, value);
}

static int watch_abort(uvt_park_t *p) {
    uvt_oneshot_t *o = (uvt_oneshot_t *)p->object;
    return leave_queue(o, &o->watcher, CONTAINER_OF(p, uvt__wait, park));
}

int uvt_oneshot_wait_closed(uvt_oneshot_t *o) {
    if (!o) return UV_EINVAL;
    if (!uvt__current()) return UVT_ENOTASK;
    if (!near(o)) return UVT_ESHARD;
    int rc = uvt_checkpoint();
    if (rc < 0) return rc;
    uvt__wait w = { .park = { .what = "a oneshot's receiver to go", .object = o, .abort = watch_abort } };
    uvt__lock(o);
    bool busy = o->watcher.head != NULL, waits = !busy && atomic_load(&o->state) != RX_GONE;
    if (waits) uvt__wait_hook(&o->watcher, &w, uvt__here());
    uvt__unlock(o);
    return waits ? uvt_park(&w.park) : busy ? UV_EBUSY : 0;
}

/* ---- as a task ---- */

/* The stackless task ends: with what was sent, or because it was cancelled. */
static void task_end(uvt__task *t) {
    uvt_oneshot_t *o = CONTAINER_OF(t->behind, uvt_oneshot_t, behind);
    int status;
    void *value, **value_out = o->value_out;
    o->task = NULL;
    if (!leave(o, &status, &value)) return;
    t->status = status;
    t->outcome = UVT_RETURNED;
    if (value_out) *value_out = value;
}

int uvt_spawn_oneshot_at(uvt_task_t *out, uvt_oneshot_t *o, void **value, const char *site) {
    uvt__shard *s = uvt__here();
    uvt__task *t;
    if (!s || !s->current) return UVT_ENOTASK;
    if (!o) return UV_EINVAL;
    if (!at_home(o)) return UVT_ESHARD;
    if (set_receiving(o, true)) return UV_EBUSY;
    uvt__task *owner = s->current;
    int rc = uvt__task_new(s, &owner->node, NULL, o, NULL, NULL, site, &t);
    if (rc < 0) {
        set_receiving(o, false);
        return rc;
    }
    o->behind = (uvt__behind){ .cancel = uvt__stackless_skip, .end = task_end };
    o->value_out = value;
    o->task = t;
    t->behind = &o->behind;
    if (out) *out = (uvt_task_t){ t, t->id };
    else t->flags |= TF_UNHELD;
    int st = settled(o);
    if (st != EMPTY) uvt__task_complete(s, t, st == TX_GONE ? UV_EOF : UVT_ECLOSED);
    else if (owner->flags & TF_BASE_CANCELLED)
        uvt__cancel_task(s, t, (uvt_reason){ .code = UVT_REASON_OWNER, .text = owner->reason_text });
    return 0;
}

/* ---- as a case of a select ---- */

static int case_attempt(uvt_case_t *c) {
    return uvt_oneshot_try_recv(c->object, c->out, c->out2);
}

static int case_hook(uvt__part *p) {
    uvt_oneshot_t *o = p->c->object;
    if (set_receiving(o, true)) return UV_EBUSY;
    if (hook_receiver(o, &p->wait)) return 0;
    set_receiving(o, false);
    return UV_EAGAIN;
}

static int case_finish(uvt__part *p, int rc) {
    (void)rc; /* the state says the same */
    return receive(p->c->object, p->c->out, p->c->out2);
}

static void case_unhook(uvt__part *p) {
    uvt_oneshot_t *o = p->c->object;
    leave_queue(o, &o->receiver, &p->wait);
    set_receiving(o, false);
}

static const uvt__kind recv_kind = { false, case_attempt, case_hook, case_finish, case_unhook };

uvt_case_t uvt_case_oneshot(uvt_oneshot_t *o, int *status, void **value) {
    return (uvt_case_t){ .kind = &recv_kind, .object = o, .out = status, .out2 = value };
}
