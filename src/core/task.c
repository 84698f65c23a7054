/* SPDX-License-Identifier: MIT
 *
 * Tasks: records and handles, spawn, join, abort, detach, and the bookkeeping at a task's end.
 *
 * Records come in chunks that stay until the shard ends, so that the id in a handle can be compared with
 * the record's at any time. An ended task keeps its record until somebody has taken its result: whoever
 * joins it, its set, or its owner at its own end.
 */
#include "core/core.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__) && !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23
#endif

#define PER_CHUNK 127
#define MANY 2000 /* records */

struct uvt__chunk {
    struct uvt__chunk *next;
};

static uvt__task *records_of(struct uvt__chunk *c) {
    return (uvt__task *)(((uintptr_t)(c + 1) + 63) & ~(uintptr_t)63); /* on cache lines */
}

static void ext_free(uvt__ext *x) {
    for (struct uvt__defer *d = x->defers, *next; d; d = next) { /* of tasks that were given up */
        next = d->next;
        uvt__free(d);
    }
    uvt__free(x->locals);
    uvt__free(x);
}

/* ---- records ---- */

/* With many records the page faults are most of what a new one costs, and a chunk's together cost a fifth. Where the
 * kernel cannot do that they come one by one. */
static void populate(void *p, size_t size) {
#ifdef MADV_POPULATE_WRITE
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), end = (uintptr_t)p + size;
    uintptr_t from = ((uintptr_t)p + page - 1) & ~(page - 1);
    if (from < end) (void)madvise((void *)from, end - from, MADV_POPULATE_WRITE);
#endif
    (void)p, (void)size;
}

static int more_records(uvt__shard *s) {
    size_t size = sizeof(struct uvt__chunk) + 63 + PER_CHUNK * sizeof(uvt__task);
    struct uvt__chunk *c = uvt__alloc(size);
    if (!c) return UV_ENOMEM;
    if (s->stats.records > MANY) populate(c, size);
    c->next = s->chunks;
    s->chunks = c;
    uvt__task *t = records_of(c);
    for (int i = PER_CHUNK - 1; i >= 0; i--) {
        t[i].id = 0;
        t[i].state = T_FREE;
        t[i].qnext = s->free_tasks;
        s->free_tasks = &t[i];
    }
    return 0;
}

/* At the end of the shard; tasks that were given up in a deadlock may still be in use. */
void uvt__records_release(uvt__shard *s) {
    for (struct uvt__chunk *c = s->chunks, *next; c; c = next) {
        uvt__task *t = records_of(c);
        next = c->next;
        for (int i = 0; i < PER_CHUNK; i++)
            if (t[i].id && t[i].ext) ext_free(t[i].ext);
        uvt__free(c);
    }
    for (uvt__set *set = s->all_sets, *next; set; set = next) {
        next = set->all;
        uvt__free(set);
    }
}

void uvt__node_link(uvt__node *owner, uvt__node *n) {
    n->up = (uintptr_t)owner | (n->up & NODE_SET);
    n->prev = NULL;
    n->next = owner->child;
    if (n->next) n->next->prev = n;
    owner->child = n;
}

void uvt__node_unlink(uvt__node *n) {
    if (n->prev) n->prev->next = n->next;
    else uvt__owner(n)->child = n->next;
    if (n->next) n->next->prev = n->prev;
    n->prev = n->next = NULL;
}

/* The record must be out of its owner's list. */
void uvt__task_free(uvt__shard *s, uvt__task *t) {
    if (UNLIKELY(t->ext != NULL)) ext_free(t->ext);
    t->id = 0;
    t->state = T_FREE;
    t->qnext = s->free_tasks;
    s->free_tasks = t;
    s->stats.records--;
}

uvt__ext *uvt__task_ext(uvt__task *t) {
    if (!t->ext) t->ext = uvt__calloc(sizeof *t->ext);
    return t->ext;
}

const char *uvt__name(const uvt__task *t) {
    return t->flags & TF_NAMED ? t->ext->name : t->site;
}

static void start_due(uvt__timer_t *timer) {
    uvt__ready(uvt__here(), CONTAINER_OF(timer, uvt__task, timer));
}

static int apply_options(uvt__task *t, const uvt_task_options *o) {
    if (!o->name && !o->stack_size && !o->drop) return 0;
    uvt__ext *x = uvt__task_ext(t);
    if (!x) return UV_ENOMEM;
    if (o->name) {
        strncpy(x->name, o->name, sizeof x->name - 1);
        t->flags |= TF_NAMED;
    }
    x->stack_size = (uint32_t)o->stack_size;
    x->drop = o->drop;
    return 0;
}

/* Makes a task under owner and has it run, or (fn NULL) one without a stack. */
int uvt__task_new(uvt__shard *s, uvt__node *owner, uvt_fn fn, void *arg, const uvt_task_options *o, uvt__ext *ext,
                  const char *site, uvt__task **out) {
    uvt__task *t = s->free_tasks;
    if (UNLIKELY(!t)) {
        if (more_records(s) < 0) return UV_ENOMEM;
        t = s->free_tasks;
    }
    t->sp = NULL;
    t->park = NULL;
    t->stack = NULL;
    t->scope = NULL;
    t->flags = 0;
    t->unarmed = 0;
    t->ext = ext;
    t->node.up = 0;
    t->node.child = NULL;
    t->fn = fn;
    t->arg = arg;
    t->site = site;
    t->joiner = NULL;
    t->res = NULL;
    t->child_failure = 0;
    uvt_task_options rounded;
    if (UNLIKELY(o != NULL)) {
        rounded = *o;
        int place = o->place;
        if (place && o->start_after_ms) return UV_EINVAL;
        if (place < UVT_ANY || (place > 0 && (unsigned)place > (s->many ? uvt_shard_count() : 1))) return UV_EINVAL;
        if ((int64_t)o->start_after_ms < 0 && o->start_after_ms != UVT_FOREVER) return UV_EINVAL;
        if (o->stack_size && (rounded.stack_size = uvt__stack_round(o->stack_size)) == 0) return UV_EINVAL;
        int rc = apply_options(t, &rounded);
        if (rc < 0) return rc;
    }
    uvt__task *parent = s->current;
    if (UNLIKELY(parent && parent->ext && parent->ext->locals)) {
        int rc = uvt__task_locals_inherit(t, parent);
        if (rc < 0) {
            if (t->ext && t->ext != ext) ext_free(t->ext);
            return rc;
        }
    }
    s->free_tasks = t->qnext;
    t->id = uvt__new_id(s);
    uvt__node_link(owner, &t->node);
    s->stats.tasks++;
    s->stats.records++;
    s->stats.spawned++;
    *out = t;
    if (UNLIKELY(!fn)) { /* something else stands behind it */
        t->flags |= TF_STACKLESS;
        t->state = T_PARKED;
        return 0;
    }
    if (UNLIKELY(o && o->start_after_ms)) {
        uint64_t due = uvt__after(s, o->start_after_ms);
        t->state = T_DELAYED;
        t->timer.next = NULL;
        t->timer.fire = start_due;
        if (due != UVT_FOREVER) uvt__timer_arm(s, &t->timer, due);
        return 0;
    }
    if (LIKELY(!o || o->place == 0)) uvt__ready(s, t);
    else t->state = T_SHARED; /* uvt__task_launch is still to come */
    return 0;
}

/* Has a task that was made with a place run there. When that fails the task is gone. */
static int launch(uvt__shard *s, uvt__task *t, int place) {
    int rc = 0;
    if (s->many && place != UVT_ON(s->mailbox->index)) rc = s->place(s, t, place);
    else uvt__ready(s, t);
    if (rc < 0) {
        s->stats.tasks--;
        s->stats.spawned--;
        uvt__node_unlink(&t->node);
        uvt__task_free(s, t);
    }
    return rc;
}

int uvt__task_launch(uvt__shard *s, uvt__task *t, const uvt_task_options *o) {
    return LIKELY(!o || o->place == 0) ? 0 : launch(s, t, o->place);
}

/* ---- handles ---- */

int uvt__task_find(uvt_task_t h, uvt__task **out) {
    uvt__shard *s = uvt__here();
    if (!s) return UVT_ENOTASK;
    if (!h.rec) return UV_EINVAL;
    if (UNLIKELY(h.id >> TAG_SHIFT != s->tag >> TAG_SHIFT)) return UVT_ESHARD;
    if (UNLIKELY(h.rec->id != h.id)) return UVT_ESTALE;
    *out = h.rec;
    return 0;
}

uvt_task_t uvt_self(void) {
    uvt__task *t = uvt__current();
    return t ? (uvt_task_t){ t, t->id } : (uvt_task_t){ NULL, 0 };
}

const char *uvt_task_name(uvt_task_t h) {
    uvt__task *t;
    return uvt__task_find(h, &t) == 0 ? uvt__name(t) : "?";
}

int uvt_is_done(uvt_task_t h) {
    uvt__task *t;
    int rc = uvt__task_find(h, &t);
    return rc < 0 ? rc : t->state == T_DONE;
}

/* ---- spawn ---- */

int uvt_spawn_at(uvt_task_t *out, uvt_fn fn, void *arg, const uvt_task_options *o, const char *site) {
    uvt__shard *s = uvt__here();
    if (UNLIKELY(!s || !s->current)) return UVT_ENOTASK;
    if (UNLIKELY(!fn)) return UV_EINVAL;
    uvt__task *owner = s->current, *t;
    int rc = uvt__task_new(s, &owner->node, fn, arg, o, NULL, site, &t);
    if (UNLIKELY(rc < 0)) return rc;
    if (!out) t->flags |= TF_UNHELD; /* now: another shard may begin it at once */
    rc = uvt__task_launch(s, t, o);
    if (UNLIKELY(rc < 0)) return rc;
    if (UNLIKELY(owner->flags & TF_BASE_CANCELLED))
        uvt__cancel_task(s, t, (uvt_reason){ .code = UVT_REASON_OWNER, .text = owner->reason_text });
    if (out) *out = (uvt_task_t){ t, t->id };
    return 0;
}

/* ---- the end ---- */

bool uvt__failed(const uvt__task *t) {
    return t->status < 0 && t->outcome != UVT_CANCELLED;
}

void uvt__task_result(const uvt__task *t, uvt_result *r) {
    r->task = (uvt_task_t){ (uvt__task *)t, t->id };
    r->arg = t->arg;
    r->status = t->status;
    r->outcome = (uvt_outcome)t->outcome;
    r->reason.code = UVT_REASON_NONE;
    r->reason.text = NULL;
    r->message[0] = '\0';
    if (LIKELY(t->outcome == UVT_RETURNED)) return;
    if (t->outcome == UVT_CANCELLED) r->reason = uvt__reason_at(t, NULL);
    else if (t->ext) memcpy(r->message, t->ext->message, sizeof r->message);
}

/* The body has returned. */
void uvt__task_body_done(uvt__shard *s, uvt__task *t, int rc) {
    t->outcome = UVT_RETURNED;
    t->status = rc;
    if (UNLIKELY(t->node.child || t->ext || t->res || t->scope)) uvt__task_epilogue(s, t);
    if (UNLIKELY(t->status < 0)) {
        if (t->status == UV_ECANCELED && (t->flags & TF_BASE_CANCELLED)) t->outcome = UVT_CANCELLED;
    } else if (UNLIKELY(t->child_failure != 0)) {
        t->status = t->child_failure;
    }
}

/* An unjoined child has ended that nobody will join. */
void uvt__owner_child_done(uvt__shard *s, uvt__task *owner, uvt__task *t) {
    if (uvt__failed(t) && owner->child_failure == 0) owner->child_failure = t->status;
    uvt__node_unlink(&t->node);
    uvt__task_free(s, t);
    uvt__owner_recheck(&owner->node);
}

/* A node that awaits all it owns goes on when the last has left. */
void uvt__owner_recheck(uvt__node *owner) {
    if (uvt__is_set(owner) || owner->child) return;
    uvt__task *t = TASK_OF(owner);
    if ((t->flags & TF_CLOSING) && t->park) uvt_unpark(t->park, 0);
}

/* Its joiner has not been served elsewhere: the result is handed over, and the record used up. */
static bool hand_to_joiner(uvt__shard *s, uvt__task *t, uvt__node *owner) {
    uvt_park_t *p = t->joiner;
    if (!p || !uvt__park_claim(p)) return false;
    uvt__wait *w = CONTAINER_OF(p, uvt__wait, park);
    if (w->slot) uvt__task_result(t, w->slot);
    w->result = t->status;
    uvt__node_unlink(&t->node);
    uvt__task_free(s, t);
    uvt_unpark(p, 0);
    uvt__owner_recheck(owner); /* which may be at its end, waiting for this one, too */
    return true;
}

/* The task is over but for telling whoever waits. The record may be gone afterwards. */
void uvt__task_finish(uvt__shard *s, uvt__task *t) {
    t->state = T_DONE;
    s->stats.tasks--;
    if (UNLIKELY(t->flags & TF_STARTING)) uvt__set_starting_ended(t);
    uvt__node *owner = uvt__owner(&t->node);
    if (uvt__is_set(owner)) {
        uvt__set_child_done(s, SET_OF(owner), t);
    } else if (!hand_to_joiner(s, t, owner)) {
        t->joiner = NULL;
        if ((TASK_OF(owner)->flags & TF_CLOSING) || (t->flags & TF_UNHELD)) uvt__owner_child_done(s, TASK_OF(owner), t);
    }
}

/* The body will never run: what it was given is released by others. No task is current meanwhile, so that
 * nothing in there can suspend. */
void uvt__task_drop(uvt__shard *s, uvt__task *t) {
    uvt__node *owner = uvt__owner(&t->node);
    void (*fn)(void *) = t->ext ? t->ext->drop : NULL;
    uvt__task *current = s->current;
    if (t->flags & TF_GUEST) return; /* its home does it */
    if (!fn && uvt__is_set(owner)) fn = t->drop;
    if (!fn) return;
    s->current = NULL;
    fn(t->arg);
    s->current = current;
}

/* Ends a task that has no code running: one without a stack, or that never started. */
void uvt__task_complete(uvt__shard *s, uvt__task *t, int status) {
    t->outcome = status == UV_ECANCELED && (t->flags & TF_BASE_CANCELLED) ? UVT_CANCELLED : UVT_RETURNED;
    t->status = status;
    t->flags |= TF_NEVER_RAN;
    if (t->flags & TF_STACKLESS) t->behind->end(t);
    else uvt__task_drop(s, t);
    uvt__task_finish(s, t);
}

void uvt__stackless_skip(uvt__shard *s, uvt__task *t) {
    if (t->flags & TF_SKIP) return;
    t->flags |= TF_SKIP;
    uvt__ready(s, t);
}

/* ---- join ---- */

static int join_abort(uvt_park_t *p) {
    ((uvt__task *)p->object)->joiner = NULL;
    return UVT_ABORT_DONE;
}

/* Whether waiting for t would be waiting for oneself. */
static bool owns_current(const uvt__shard *s, const uvt__task *t) {
    for (const uvt__node *n = &s->current->node; n; n = uvt__owner(n))
        if (n == &t->node) return true;
    return false;
}

static int may_join(const uvt__shard *s, uvt_task_t h, uvt__task **out) {
    if (UNLIKELY(!s || !s->current)) return UVT_ENOTASK;
    int rc = uvt__task_find(h, out);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__task *t = *out;
    if (UNLIKELY(owns_current(s, t))) return UVT_EDEADLK;
    if (UNLIKELY(uvt__is_set(uvt__owner(&t->node)))) return UV_EINVAL;
    return UNLIKELY(t->joiner != NULL) ? UV_EBUSY : 0;
}

static int take_ended(uvt__shard *s, uvt__task *t, uvt_result *r) {
    if (r) uvt__task_result(t, r);
    int status = t->status;
    uvt__node_unlink(&t->node);
    uvt__task_free(s, t);
    return r ? 0 : status;
}

int uvt_join(uvt_task_t h, uvt_result *r) {
    uvt__shard *s = uvt__here();
    uvt__task *t;
    int rc = may_join(s, h, &t);
    if (UNLIKELY(rc < 0)) return rc;
    rc = uvt__enter(s);
    if (UNLIKELY(rc < 0)) return rc;
    if (LIKELY(t->id == h.id && t->state == T_DONE)) return take_ended(s, t, r);
    if (t->id != h.id) return UVT_ESTALE; /* somebody took it while we yielded */
    if (t->joiner) return UV_EBUSY;
    uvt__wait w;
    w.park = (uvt_park_t){ .what = "join", .object = t, .abort = join_abort };
    w.slot = r;
    t->joiner = &w.park;
    rc = uvt_park(&w.park);
    return rc < 0 || r ? rc : w.result;
}

int uvt__join_now(uvt_task_t h, uvt_result *r) {
    uvt__shard *s = uvt__here();
    uvt__task *t;
    int rc = may_join(s, h, &t);
    if (rc < 0) return rc;
    return t->state == T_DONE ? take_ended(s, t, r) : UV_EAGAIN;
}

int uvt__join_hook(uvt_task_t h, uvt__wait *w) {
    uvt__task *t;
    int rc = may_join(uvt__here(), h, &t);
    if (rc == 0) t->joiner = &w->park;
    return rc;
}

void uvt__join_unhook(uvt_task_t h, uvt__wait *w) {
    uvt__task *t;
    if (uvt__task_find(h, &t) == 0 && !uvt__is_set(uvt__owner(&t->node)) && t->joiner == &w->park) t->joiner = NULL;
}

/* ---- abort, detach ---- */

struct far_abort {
    uvt_task_t h;
    const char *text;
};

static void abort_here(void *arg) {
    struct far_abort *a = arg;
    uvt_abort_why(a->h, a->text);
    uvt__free(a);
}

static int abort_from_afar(uvt_task_t h, const char *text) {
    uvt_runtime_t *rt = uvt__registry_find(h.id);
    if (!rt) return UVT_ESHARD;
    struct far_abort *a = uvt__alloc(sizeof *a);
    int rc = UV_ENOMEM;
    if (a) {
        *a = (struct far_abort){ h, text };
        rc = uvt_post(rt, abort_here, a);
        if (rc < 0) uvt__free(a);
    }
    uvt_runtime_unref(rt);
    return rc;
}

int uvt_abort_why(uvt_task_t h, const char *text) {
    uvt__shard *s = uvt__here();
    uvt__task *t;
    if (!h.rec) return UV_EINVAL;
    if (!s || h.id >> TAG_SHIFT != s->tag >> TAG_SHIFT) return abort_from_afar(h, text);
    int rc = uvt__task_find(h, &t);
    if (rc < 0) return rc;
    uvt__cancel_task(s, t, (uvt_reason){ .code = UVT_REASON_ABORT, .text = text });
    return 0;
}

/* Moves a node from its owner to the root set. */
void uvt__give_to_root(uvt__shard *s, uvt__task *t) {
    uvt__node_unlink(&t->node);
    uvt__node_link(&s->root->node, &t->node);
    s->root->live++;
    if (t->state == T_DONE) uvt__set_child_done(s, s->root, t);
    else if (s->ending) uvt__cancel_task(s, t, (uvt_reason){ .code = UVT_REASON_SHUTDOWN });
}

int uvt_detach(uvt_task_t h) {
    uvt__shard *s = uvt__here();
    uvt__task *t;
    if (!s || !s->current) return UVT_ENOTASK;
    int rc = uvt__task_find(h, &t);
    if (rc < 0) return rc;
    if (uvt__is_set(uvt__owner(&t->node))) return UV_EINVAL;
    if (t->joiner) return UV_EBUSY;
    uvt__node *owner = uvt__owner(&t->node);
    /* Every copy of the handle is stale from now on. (Whoever waits for its lock elsewhere may look at the id.) */
    __atomic_store_n(&t->id, uvt__new_id(s), __ATOMIC_RELAXED);
    uvt__give_to_root(s, t);
    uvt__owner_recheck(owner);
    return 0;
}
