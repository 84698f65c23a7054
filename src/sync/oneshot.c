/* SPDX-License-Identifier: MIT
 *
 * Oneshot. What was decided (sent, sender gone, receiver gone) is one atomic state, so a value is never lost
 * between a sender on another thread and a receiver that leaves: exactly one of them moves it on from
 * EMPTY. Waking the receiver is the home loop's business; from another thread a message embedded in the
 * oneshot carries it there, so a send cannot run out of memory.
 */
#include "core/core.h"
#include <stdatomic.h>

enum { EMPTY, SENDING, SENT, TX_GONE, RX_GONE, TAKEN };

struct uvt_oneshot {
    atomic_int state;
    atomic_int refs;        /* one per end */
    int status;             /* valid from SENT on */
    void *value;
    uvt_runtime_t *rt;      /* a reference */
    uint64_t tag;           /* the home loop */
    bool external;          /* holds an uvt_external count until the sender's end is back */
    bool receiving;         /* a task is in recv; home loop only, as the rest */
    uvt_park_t *receiver;   /* it, while parked */
    uvt_park_t *watcher;    /* sender's side, in wait_closed */
    uvt__task *task;        /* a stackless task that receives */
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
    o->external = (flags & UVT_ONESHOT_EXTERNAL) != 0;
    if (o->external) uvt_external_begin();
    *out = o;
    return 0;
}

static bool at_home(const uvt_oneshot_t *o) {
    uvt__shard *s = uvt__here();
    return s && s->tag == o->tag;
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
    uvt_park_t *p = o->receiver;
    uvt__task *t = o->task;
    o->receiver = NULL;
    if (p) uvt_unpark(p, rc);
    else if (t && !(t->flags & TF_SKIP)) uvt__task_complete(uvt__here(), t, rc);
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

int uvt_oneshot_try_recv(uvt_oneshot_t *o, int *status, void **value) {
    if (!o) return UV_EINVAL;
    if (!uvt__here()) return UVT_ENOTASK;
    if (!at_home(o)) return UVT_ESHARD;
    switch (settled(o)) {
    case EMPTY: return UV_EAGAIN;
    case TX_GONE: return UV_EOF;
    case SENT: break;
    default: return UVT_ECLOSED;
    }
    atomic_store(&o->state, TAKEN);
    if (status) *status = o->status;
    if (value) *value = o->value;
    return 0;
}

static int recv_abort(uvt_park_t *p) {
    ((uvt_oneshot_t *)p->object)->receiver = NULL;
    return UVT_ABORT_DONE;
}

int uvt_oneshot_recv(uvt_oneshot_t *o, int *status, void **value) {
    if (!o) return UV_EINVAL;
    if (!uvt__current()) return UVT_ENOTASK;
    if (!at_home(o)) return UVT_ESHARD;
    if (o->receiving || o->task) return UV_EBUSY;
    o->receiving = true; /* from here to the end nobody may close the receiver's end under us */
    int rc = uvt_checkpoint();
    if (rc == 0 && settled(o) == EMPTY) {
        uvt_park_t p = { .what = "oneshot", .object = o, .abort = recv_abort };
        o->receiver = &p;
        rc = uvt_park(&p);
        if (rc == UV_EOF) rc = 0; /* as the state says, too */
    }
    o->receiving = false;
    return rc < 0 ? rc : uvt_oneshot_try_recv(o, status, value);
}

/* The receiver leaves; 1 when a value that nobody had taken goes with it. */
static int leave(uvt_oneshot_t *o, int *status, void **value) {
    int had = 0;
    if (!decide(o, RX_GONE) && settled(o) == SENT) {
        had = 1;
        if (status) *status = o->status;
        if (value) *value = o->value;
        atomic_store(&o->state, TAKEN);
    }
    uvt_park_t *p = o->watcher;
    o->watcher = NULL;
    if (p) uvt_unpark(p, 0);
    unref(o);
    return had;
}

int uvt_oneshot_close_rx(uvt_oneshot_t *o, void **value) {
    if (!o) return 0;
    if (!at_home(o) && uvt__registry_alive(o->tag)) return UVT_ESHARD;
    if (o->receiving || o->task) return UV_EBUSY;
    return leave(o, NULL, value);
}

static int watch_abort(uvt_park_t *p) {
    ((uvt_oneshot_t *)p->object)->watcher = NULL;
    return UVT_ABORT_DONE;
}

int uvt_oneshot_wait_closed(uvt_oneshot_t *o) {
    if (!o) return UV_EINVAL;
    if (!uvt__current()) return UVT_ENOTASK;
    if (!at_home(o)) return UVT_ESHARD;
    if (o->watcher) return UV_EBUSY;
    int rc = uvt_checkpoint();
    if (rc < 0 || o->watcher) return rc < 0 ? rc : UV_EBUSY;
    if (atomic_load(&o->state) == RX_GONE) return 0;
    uvt_park_t p = { .what = "a oneshot's receiver to go", .object = o, .abort = watch_abort };
    o->watcher = &p;
    return uvt_park(&p);
}

/* ---- as a task ---- */

/* The stackless task ends: with what was sent, or because it was cancelled. */
static void task_end(uvt__task *t) {
    uvt_oneshot_t *o = t->ext->stackless;
    int status;
    void *value;
    o->task = NULL;
    if (!leave(o, &status, &value)) return;
    t->status = status;
    t->outcome = UVT_RETURNED;
    if (t->ext->value_out) *t->ext->value_out = value;
}

int uvt_spawn_oneshot_at(uvt_task_t *out, uvt_oneshot_t *o, void **value, const char *site) {
    uvt__shard *s = uvt__here();
    uvt__task *t;
    if (!s || !s->current) return UVT_ENOTASK;
    if (!o) return UV_EINVAL;
    if (!at_home(o)) return UVT_ESHARD;
    if (o->receiving || o->task) return UV_EBUSY;
    uvt__task *owner = s->current;
    uvt__ext *x = uvt__calloc(sizeof *x);
    if (!x) return UV_ENOMEM;
    int rc = uvt__task_new(s, &owner->node, NULL, o, NULL, x, site, &t);
    if (rc < 0) {
        uvt__free(x);
        return rc;
    }
    x->stackless = o;
    x->stackless_end = task_end;
    x->value_out = value;
    o->task = t;
    if (out) *out = (uvt_task_t){ t, t->id };
    int st = settled(o);
    if (st != EMPTY) uvt__task_complete(s, t, st == TX_GONE ? UV_EOF : UVT_ECLOSED);
    else if (owner->flags & TF_BASE_CANCELLED)
        uvt__cancel_task(s, t, (uvt_reason){ .code = UVT_REASON_OWNER, .text = owner->reason_text });
    return 0;
}
