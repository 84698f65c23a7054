/* SPDX-License-Identifier: MIT
 *
 * A task that runs elsewhere than where it was asked for. Where it was spawned, its handle is a task without a stack
 * (so joining, sets and cancels are what they are for any other); where it runs, it is a guest, owned by that
 * shard's root. Between the two stands a record with messages of its own: one to begin there, one to tell of the end
 * here, one for a cancel. So nothing but the beginning can fail for want of memory.
 *
 * The caller may also be a task that simply waits (uvt_call), or a thread without a runtime (uvt_block_on).
 *
 * Who may touch what: the fields of the first group are written before the beginning is posted, those of the second
 * where the guest runs, those of the third before the end is posted. A cancel holds a reference of its own, since it
 * may cross the end.
 */
#include "shard/shard.h"
#include <string.h>

struct uvt__remote {
    uvt__behind behind;     /* of the task at home, if there is one */
    uvt__guest as_guest;
    uvt__msg msg, cancel;
    atomic_int refs;
    /* what to run, and who wants to know */
    uvt_fn fn;
    void *arg;
    const char *site;
    uvt_task_options opt;
    char name[32];
    uint32_t locals_set;
    void **locals;          /* inherited, or NULL; ours */
    uvt_runtime_t *home;    /* a shard of the same runtime, or NULL: a foreign thread */
    uvt_runtime_t *there;
    uvt__task *task;        /* at home, if the caller has a handle */
    uvt_park_t *caller;     /* at home, if the caller waits in uvt_call */
    struct foreign *foreign;
    uvt_reason why;         /* of the cancel */
    uvt__remote *next;      /* among those that wait to be used again */
    bool stolen;            /* by the shard it runs on, which gets the record back */
    /* there */
    uvt__task *guest;       /* while it lives */
    /* how it ended */
    uvt_result result;
    bool never_ran;
};

/* A thread that waits in uvt_block_on; on its stack. */
struct foreign {
    uv_sem_t done;
    int status;
};

void uvt__remote_reset(uvt__remote *r) {
    memset((void *)r, 0, offsetof(uvt__remote, result));
    atomic_init(&r->refs, 1);
}

uvt__remote *uvt__remote_new(void) {
    uvt__remote *r = uvt__alloc(sizeof *r);
    if (r) uvt__remote_reset(r);
    return r;
}

uvt__remote *uvt__remote_next(const uvt__remote *r) {
    return r->next;
}

void uvt__remote_chain(uvt__remote *r, uvt__remote *next) {
    r->next = next;
}

void uvt__remote_empty(uvt__remote *r) {
    uvt__free(r->locals);
    r->locals = NULL;
}

void uvt__remote_free(uvt__remote *r) {
    uvt__remote_empty(r);
    uvt__free(r);
}

static void unref(uvt__remote *r) {
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1) return;
    if (r->stolen) uvt__any_give_back(r->there, r);
    else uvt__remote_free(r);
}

/* ---- the end, at home ---- */

static void task_end(uvt__task *t) {
    uvt__remote *r = CONTAINER_OF(t->behind, uvt__remote, behind);
    t->status = r->result.status;
    t->outcome = (uint8_t)r->result.outcome;
    if (t->outcome == UVT_CANCELLED && !(t->flags & TF_BASE_CANCELLED)) { /* by the shard it ran on */
        t->flags |= TF_BASE_CANCELLED;
        t->reason_code = (uint8_t)r->result.reason.code;
        t->reason_text = r->result.reason.text;
    }
    if (t->outcome == UVT_PANICKED) {
        uvt__ext *x = uvt__task_ext(t); /* without memory for it the message is lost, the outcome is not */
        if (x) memcpy(x->message, r->result.message, sizeof x->message);
    }
    if (r->never_ran) uvt__task_drop(uvt__here(), t);
}

static void come_home(void *arg) {
    uvt__remote *r = arg;
    uvt__task *t = r->task;
    if (t) {
        t->flags |= TF_STACKLESS; /* one that was taken has not been told so yet */
        uvt__task_complete(uvt__here(), t, r->result.status);
    } else {
        uvt_unpark(r->caller, r->result.status);
    }
    unref(r);
}

/* ---- there ---- */

/* The last that happens there. */
static void go_home(uvt__remote *r) {
    r->guest = NULL;
    if (r->foreign) {
        r->foreign->status = r->result.status;
        uv_sem_post(&r->foreign->done); /* from here on it may be gone */
        unref(r);
        return;
    }
    if (r->home == uvt__here()->mailbox) {
        come_home(r);
        return;
    }
    r->msg = (uvt__msg){ .fn = come_home, .arg = r, .embedded = true };
    int rc = uvt__post_embedded(r->home, &r->msg); /* somebody waits there, so that shard has not ended */
    UVT_ASSERT(rc == 0, "a task's owner has ended before it");
}

static void guest_ended(uvt__guest *g, uvt__task *t) {
    uvt__remote *r = CONTAINER_OF(g, uvt__remote, as_guest);
    uvt__task_result(t, &r->result);
    r->never_ran = (t->flags & TF_NEVER_RAN) != 0;
    go_home(r);
}

/* The shard gives up the tasks that it still has (nothing could wake them): nobody will hear of those any more. */
void uvt__guests_abandon(uvt__shard *s) {
    for (uvt__node *c = s->root->node.child; c; c = c->next) {
        uvt__task *t = TASK_OF(c);
        if (!(t->flags & TF_GUEST)) continue;
        uvt__remote *r = CONTAINER_OF(t->guest, uvt__remote, as_guest);
        r->guest = NULL;
        if (r->foreign) {
            r->foreign->status = s->deadlocked ? UVT_EDEADLK : UV_ETIMEDOUT;
            uv_sem_post(&r->foreign->done);
        }
        unref(r);
    }
}

static int make_guest(uvt__remote *r) {
    uvt__shard *s = uvt__here();
    uvt__task *t;
    uvt__ext *x = NULL;
    if (s->ending && r->foreign) return UVT_EGONE;
    if (r->locals) {
        if (!(x = uvt__calloc(sizeof *x))) return UV_ENOMEM;
        x->locals = r->locals;
        x->locals_set = r->locals_set;
    }
    uvt__task *caller = s->current; /* no parent: what it inherits is packed already */
    s->current = NULL;
    int rc = uvt__task_new(s, &s->root->node, r->fn, r->arg, &r->opt, x, r->site, &t);
    s->current = caller;
    if (rc < 0) {
        uvt__free(x);
        return rc;
    }
    s->root->live++;
    r->locals = NULL;
    t->flags |= TF_GUEST;
    t->guest = &r->as_guest;
    r->guest = t;
    uvt__group_busy(s);
    return 0;
}

static void begin_guest(uvt__remote *r, int rc) {
    r->as_guest.ended = guest_ended;
    if (rc == 0) rc = make_guest(r);
    if (rc == 0) return;
    r->result = (uvt_result){ .status = rc, .outcome = UVT_RETURNED };
    r->never_ran = true;
    go_home(r);
}

static void begin(void *arg) {
    begin_guest(arg, 0);
}

/* ---- cancelling ---- */

static void cancel_there(void *arg) {
    uvt__remote *r = arg;
    if (r->guest) uvt__cancel_task(uvt__here(), r->guest, r->why);
    unref(r);
}

static void send_cancel(uvt__remote *r, uvt_reason why) {
    r->why = why;
    r->cancel = (uvt__msg){ .fn = cancel_there, .arg = r, .embedded = true };
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    if (uvt__post_embedded(r->there, &r->cancel) < 0) unref(r);
}

static void task_cancelled(uvt__shard *s, uvt__task *t) {
    (void)s;
    uvt_reason why = { .code = (uvt_reason_code)t->reason_code, .text = t->reason_text };
    send_cancel(CONTAINER_OF(t->behind, uvt__remote, behind), why);
}

/* ---- sending ---- */

/* What a task brings along; its record stays where it is and does not change while it is away. */
static int pack(uvt__remote *r, const uvt__task *t) {
    r->fn = t->fn;
    r->arg = t->arg;
    r->site = t->site;
    r->behind = (uvt__behind){ .cancel = task_cancelled, .end = task_end };
    if (!t->ext) return 0;
    r->opt.stack_size = t->ext->stack_size;
    if (t->flags & TF_NAMED) {
        memcpy(r->name, t->ext->name, sizeof r->name);
        r->opt.name = r->name;
    }
    return uvt__locals_copy(t, &r->locals_set, &r->locals); /* all it has, it has inherited */
}

static int post_begin(uvt__remote *r, uvt_runtime_t *to) {
    r->there = to;
    r->msg = (uvt__msg){ .fn = begin, .arg = r, .embedded = true };
    return uvt__post_embedded(to, &r->msg);
}

static int send_task(uvt__shard *s, uvt__task *t, unsigned to) {
    uvt__remote *r = uvt__remote_new();
    if (!r || pack(r, t) < 0) {
        if (r) uvt__remote_free(r);
        return UV_ENOMEM;
    }
    r->task = t;
    r->home = s->mailbox;
    t->behind = &r->behind;
    t->flags |= TF_STACKLESS;
    t->state = T_PARKED;
    int rc = post_begin(r, s->group->box[to]);
    UVT_ASSERT(rc == 0, "a shard has ended before the others"); /* this task's owner lives */
    return 0;
}

int uvt__place(uvt__shard *s, uvt__task *t, int place) {
    return place == UVT_ANY ? uvt__any_push(s, t) : send_task(s, t, (unsigned)place - 1);
}

void uvt__remote_steal(uvt__remote *r, uvt__task *t, uvt_runtime_t *home) {
    int rc = pack(r, t);
    r->stolen = true;
    r->task = t;
    r->home = home;
    r->there = uvt__here()->mailbox;
    __atomic_store_n(&t->behind, &r->behind, __ATOMIC_RELEASE); /* from here on a cancel may come */
    begin_guest(r, rc);
}

/* ---- uvt_call ---- */

static int call_abort(uvt_park_t *p) {
    uvt__remote *r = (uvt__remote *)p->object;
    send_cancel(r, uvt__reason_at(p->task, p->task->scope));
    return UVT_ABORT_LATER;
}

static int begin_call(uvt__remote *r, unsigned shard) {
    uvt__shard *s = uvt__here();
    int rc = uvt__locals_copy(s->current, &r->locals_set, &r->locals);
    if (rc < 0) return rc;
    if (shard == s->mailbox->index) {
        r->there = s->mailbox;
        r->as_guest.ended = guest_ended;
        return make_guest(r);
    }
    rc = post_begin(r, s->group->box[shard]);
    UVT_ASSERT(rc == 0, "a shard has ended before the others"); /* the caller lives */
    return rc;
}

int uvt_call_at(unsigned shard, uvt_fn fn, void *arg, const char *site) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if (!fn || shard >= uvt_shard_count()) return UV_EINVAL;
    int rc = uvt_checkpoint();
    if (rc < 0) return rc;
    uvt__remote *r = uvt__remote_new();
    if (!r) return UV_ENOMEM;
    r->fn = fn;
    r->arg = arg;
    r->site = site;
    r->home = s->mailbox;
    uvt_park_t p = { .what = "a call on another shard", .object = r, .abort = call_abort };
    if (shard == s->mailbox->index) p.what = "a call";
    r->caller = &p;
    rc = begin_call(r, shard);
    if (rc < 0) {
        uvt__remote_free(r);
        return rc;
    }
    return uvt_park(&p);
}

/* ---- uvt_block_on, uvt_post_on ---- */

int uvt_block_on_at(uvt_runtime_t *rt, uvt_fn fn, void *arg, const char *site) {
    struct foreign me;
    if (!rt || !fn) return UV_EINVAL;
    if (uvt__here()) return UVT_ENESTED;
    uvt__remote *r = uvt__remote_new();
    if (!r) return UV_ENOMEM;
    int rc = UVT_UV(uv_sem_init(&me.done, 0));
    if (rc < 0) {
        uvt__remote_free(r);
        return rc;
    }
    r->fn = fn;
    r->arg = arg;
    r->site = site;
    r->foreign = &me;
    r->as_guest.foreign = true;
    rc = post_begin(r, rt);
    if (rc < 0) {
        uvt__remote_free(r);
    } else {
        uv_sem_wait(&me.done);
        rc = me.status;
    }
    uv_sem_destroy(&me.done);
    return rc;
}
