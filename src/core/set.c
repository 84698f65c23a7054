/* SPDX-License-Identifier: MIT
 *
 * Task sets. The record (recycled, checked by id) is a node between its owner and its members. Members that
 * have ended wait in the order of their ends until uvt_set_next takes them. Room in a set with a limit is
 * handed over: a member that ends gives its place to the spawner that has waited longest.
 *
 * The shard's root set, owner of the main task and of detached ones, is one of these, too: it keeps nothing.
 */
#include "core/core.h"

struct uvt__room_wait {
    uvt_park_t park;
    struct uvt__room_wait *next, **at; /* at: what points to it */
    uvt__set *set;
    uint64_t id;
};

/* ---- records and handles ---- */

uvt__set *uvt__set_new(uvt__shard *s, uvt__node *owner) {
    uvt__set *set = s->free_sets;
    if (set) {
        s->free_sets = set->qnext;
    } else {
        if (!(set = uvt__calloc(sizeof *set))) return NULL;
        set->all = s->all_sets;
        s->all_sets = set;
    }
    *set = (uvt__set){ .node = { .up = NODE_SET }, .id = uvt__new_id(s), .all = set->all };
    set->done_tail = &set->done;
    set->spawners_tail = &set->spawners;
    if (owner) {
        uvt__node_link(owner, &set->node);
        set->scope = TASK_OF(owner)->scope;
        if (set->scope) set->scope->sets++;
    }
    return set;
}

/* Drops results nobody took; returns the first failure among them. */
static int drop_results(uvt__shard *s, uvt__set *set) {
    int failure = 0;
    for (uvt__task *t; (t = set->done) != NULL;) {
        set->done = t->qnext;
        if (failure == 0 && uvt__failed(t)) failure = t->status;
        uvt__task_free(s, t);
    }
    set->done_tail = &set->done;
    set->results = set->cut_short = 0;
    return failure;
}

/* No member lives. Spawners that wait for room learn that the set is gone. */
void uvt__set_free(uvt__shard *s, uvt__set *set) {
    drop_results(s, set);
    for (struct uvt__room_wait *w; (w = set->spawners) != NULL;) {
        set->spawners = w->next;
        uvt_unpark(&w->park, UVT_ESTALE);
    }
    if (uvt__owner(&set->node)) uvt__node_unlink(&set->node);
    if (set->scope) set->scope->sets--;
    set->id = 0;
    set->qnext = s->free_sets;
    s->free_sets = set;
}

static int find(const uvt_set_t *h, uvt__set **out) {
    uvt__shard *s = uvt__here();
    if (UNLIKELY(!s || !s->current)) return UVT_ENOTASK;
    if (UNLIKELY(!h || !h->rec)) return UV_EINVAL;
    if (UNLIKELY(h->id >> TAG_SHIFT != s->tag >> TAG_SHIFT)) return UVT_ESHARD;
    if (UNLIKELY(h->rec->id != h->id)) return UVT_ESTALE;
    *out = h->rec;
    return 0;
}

int uvt_set_open(uvt_set_t *h, const uvt_set_options *o) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if (!h) return UV_EINVAL;
    uvt__set *set = uvt__set_new(s, &s->current->node);
    if (!set) return UV_ENOMEM;
    if (o) {
        set->limit = o->limit;
        set->fail_fast = o->fail_fast;
        set->discard = o->discard;
        set->drop = o->drop;
        set->place = o->place;
    }
    *h = (uvt_set_t){ set, set->id };
    return 0;
}

/* ---- members end ---- */

static void leave_room_queue(struct uvt__room_wait *w) {
    *w->at = w->next;
    *(w->next ? &w->next->at : &w->set->spawners_tail) = w->at;
}

static void give_room(uvt__set *set) {
    struct uvt__room_wait *w = set->spawners;
    if (!w || set->live + set->granted >= set->limit) return;
    leave_room_queue(w);
    set->granted++;
    uvt_unpark(&w->park, 0);
}

static void root_child_done(uvt__shard *s, uvt__task *t) {
    if (t->flags & TF_GUEST) t->guest->ended(t->guest, t);
    else if (t->flags & TF_MAIN) uvt__main_done(s, t);
    else if (uvt__failed(t) && !(t->flags & TF_STARTING) && s->root_failure == 0) s->root_failure = t->status;
}

static void first_failure(uvt__shard *s, uvt__set *set, uvt__task *t) {
    if (set->error != 0 || !(set->fail_fast || set->discard)) return;
    set->error = t->status;
    if (set->fail_fast) uvt__cancel_children(s, &set->node, (uvt_reason){ .code = UVT_REASON_SIBLING });
}

/* A set that was left open goes when it is empty: its failure is its owner's. */
static void abandoned_end(uvt__shard *s, uvt__set *set) {
    uvt__node *owner = uvt__owner(&set->node);
    int failure = set->error ? set->error : drop_results(s, set);
    if (failure && TASK_OF(owner)->child_failure == 0) TASK_OF(owner)->child_failure = failure;
    uvt__set_free(s, set);
    uvt__owner_recheck(owner);
}

/* The set goes away under a task that waits on it. */
static void dismiss_waiter(uvt__set *set) {
    uvt_park_t *p = set->waiter;
    set->waiter = NULL;
    if (p) uvt_unpark(p, UVT_ESTALE);
}

void uvt__set_child_done(uvt__shard *s, uvt__set *set, uvt__task *t) {
    uvt__node_unlink(&t->node);
    set->live--;
    if (set == s->root) root_child_done(s, t);
    else if (uvt__failed(t) && !(t->flags & TF_STARTING)) first_failure(s, set, t);
    if (t->outcome == UVT_CANCELLED && !(t->flags & TF_STARTING)) set->cut_short++;
    if (set == s->root || set->discard || (t->flags & TF_STARTING)) {
        uvt__task_free(s, t);
    } else {
        t->qnext = NULL;
        *set->done_tail = t;
        set->done_tail = &t->qnext;
        set->results++;
    }
    if (set->limit) give_room(set);
    if (set == s->root) {
        uvt__maybe_end(s);
    } else if (set->waiter) {
        if (set->live == 0 || (!set->wait_all && set->done)) {
            uvt_park_t *p = set->waiter;
            set->waiter = NULL;
            uvt_unpark(p, 0);
        }
    } else if (set->abandoned && set->live == 0) {
        abandoned_end(s, set);
    }
}

/* The owner ends with the set open: its members were cancelled; it goes when the last has left. */
void uvt__set_abandon(uvt__shard *s, uvt__set *set) {
    set->closing = set->abandoned = true;
    dismiss_waiter(set);
    if (set->live == 0) abandoned_end(s, set);
}

/* ---- spawn ---- */

/* fn or behind, which makes a member without a stack. */
static int spawn_now(uvt__set *set, uvt_task_t *out, uvt_fn fn, uvt__behind *behind, void *arg,
                     const uvt_task_options *o, uvt__ext *ext, const char *site) {
    uvt__shard *s = uvt__here();
    uvt__task *t;
    uvt_task_options placed;
    if (UNLIKELY(set->place && !ext && fn && (!o || !(o->place || o->start_after_ms)))) {
        placed = o ? *o : (uvt_task_options){ 0 };
        placed.place = set->place;
        o = &placed;
    }
    int rc = uvt__task_new(s, &set->node, fn, arg, o, ext, site, &t);
    if (LIKELY(rc == 0)) rc = uvt__task_launch(s, t, o);
    if (UNLIKELY(rc < 0)) return rc;
    if (UNLIKELY(behind != NULL)) t->behind = behind;
    set->live++;
    t->drop = set->drop;
    uvt__task *opener = TASK_OF(uvt__owner(&set->node));
    if (UNLIKELY(set->closing || (set->fail_fast && set->error)))
        uvt__cancel_task(s, t, (uvt_reason){ .code = set->closing ? UVT_REASON_OWNER : UVT_REASON_SIBLING });
    else if (UNLIKELY((set->scope || (opener->flags & TF_BASE_CANCELLED)) && uvt__scope_reached(opener, set->scope)))
        uvt__cancel_task(s, t, uvt__reason_at(opener, set->scope));
    if (out) *out = (uvt_task_t){ t, t->id };
    return 0;
}

static int room_abort(uvt_park_t *p) {
    leave_room_queue(CONTAINER_OF(p, struct uvt__room_wait, park));
    return UVT_ABORT_DONE;
}

/* Waits until the set has room, which is then promised. */
static int wait_for_room(uvt__set *set) {
    struct uvt__room_wait w = { .park = { .what = "room in a task set", .object = set, .abort = room_abort },
                                .at = set->spawners_tail,
                                .set = set,
                                .id = set->id };
    *set->spawners_tail = &w;
    set->spawners_tail = &w.next;
    int rc = uvt_park(&w.park);
    if (rc == 0) {
        if (set->id != w.id) return UVT_ESTALE;
        set->granted--;
    }
    return rc;
}

static bool full(const uvt__set *set) {
    return set->limit && (set->live + set->granted >= set->limit || set->spawners);
}

/* Spawns when there is room. */
static int spawn_in_turn(uvt_set_t *h, uvt_task_t *t, uvt_fn fn, uvt__behind *behind, void *arg,
                         const uvt_task_options *o, uvt__ext *ext, const char *site) {
    uvt__set *set;
    int rc = find(h, &set);
    if (UNLIKELY(rc < 0)) return rc;
    if (UNLIKELY(!fn && !behind)) return UV_EINVAL;
    if (LIKELY(!full(set))) return spawn_now(set, t, fn, behind, arg, o, ext, site);
    rc = wait_for_room(set);
    if (rc < 0) return rc;
    rc = spawn_now(set, t, fn, behind, arg, o, ext, site);
    if (rc < 0) give_room(set); /* the place goes on to the next */
    return rc;
}

int uvt_set_spawn_at(uvt_set_t *h, uvt_task_t *t, uvt_fn fn, void *arg, const uvt_task_options *o, const char *site) {
    return spawn_in_turn(h, t, fn, NULL, arg, o, NULL, site);
}

int uvt__set_spawn_behind(uvt_set_t *h, uvt__behind *behind, void *arg, const uvt_task_options *o, const char *site,
                          uvt__task **out) {
    uvt_task_t t;
    int rc = spawn_in_turn(h, &t, NULL, behind, arg, o, NULL, site);
    if (rc == 0) *out = t.rec;
    return rc;
}

void uvt__unspawn(uvt__shard *s, uvt__task *t) {
    uvt__node *owner = uvt__owner(&t->node);
    uvt__node_unlink(&t->node);
    s->stats.tasks--;
    s->stats.spawned--;
    uvt__task_free(s, t);
    if (!uvt__is_set(owner)) return;
    SET_OF(owner)->live--;
    if (SET_OF(owner)->limit) give_room(SET_OF(owner));
}

int uvt_set_try_spawn_at(uvt_set_t *h, uvt_task_t *t, uvt_fn fn, void *arg, const uvt_task_options *o,
                         const char *site) {
    uvt__set *set;
    int rc = find(h, &set);
    if (rc < 0) return rc;
    if (!fn) return UV_EINVAL;
    if (full(set)) return UV_EBUSY;
    return spawn_now(set, t, fn, NULL, arg, o, NULL, site);
}

/* ---- start: a member that says when it is ready ---- */

struct starter {
    uvt_park_t park;
    void *value;
    bool cancelled; /* the starter has given up; the member has to end */
    bool ended;     /* the member has ended without having started */
    int rc;         /* valid when it has */
};

/* The member is cancelled by the starter when it runs: a cancel must not go on to another from inside itself. */
static int start_abort(uvt_park_t *p) {
    CONTAINER_OF(p, struct starter, park)->cancelled = true;
    return UVT_ABORT_DONE;
}

int uvt_set_start_at(uvt_set_t *h, uvt_fn fn, void *arg, void **value, const char *site) {
    uvt_task_t t;
    int rc = uvt_checkpoint();
    if (rc < 0) return rc;
    uvt__ext *x = uvt__calloc(sizeof *x);
    if (!x) return UV_ENOMEM;
    rc = spawn_in_turn(h, &t, fn, NULL, arg, NULL, x, site);
    if (rc < 0) {
        uvt__free(x);
        return rc;
    }
    struct starter st = { .park = { .what = "a member to start", .object = h->rec, .abort = start_abort } };
    x->starter = &st.park;
    t.rec->flags |= TF_STARTING;
    rc = uvt_park(&st.park);
    if (st.cancelled && !st.ended) {
        uvt__cancel_task(uvt__here(), t.rec, (uvt_reason){ .code = UVT_REASON_OWNER });
        uvt__park_shielded(&st.park);
    }
    if (st.ended) rc = st.rc;
    if (rc == 0 && value) *value = st.value;
    return rc;
}

int uvt_started(void *value) {
    uvt__task *t = uvt__current();
    if (!t) return UVT_ENOTASK;
    if (!(t->flags & TF_STARTING) || t->ext->started) return UV_EINVAL;
    struct starter *st = CONTAINER_OF(t->ext->starter, struct starter, park);
    if (st->cancelled) { /* the starter has given up, and waits for the end */
        t->ext->started = true;
        return 0;
    }
    t->flags &= (uint16_t)~TF_STARTING;
    t->ext->starter = NULL;
    st->value = value;
    uvt_unpark(&st->park, 0);
    return 0;
}

/* A member has ended without having started. */
void uvt__set_starting_ended(uvt__task *t) {
    uvt_park_t *p = t->ext ? t->ext->starter : NULL;
    if (!p) return;
    t->ext->starter = NULL;
    struct starter *st = CONTAINER_OF(p, struct starter, park);
    int rc = t->status < 0 ? t->status : UVT_ENOSTART;
    if (st->cancelled && (t->status == UV_ECANCELED || t->status >= 0)) rc = UV_ECANCELED;
    st->ended = true;
    st->rc = rc;
    uvt_unpark(p, rc);
}

/* ---- next, wait, close ---- */

static int waiter_abort(uvt_park_t *p) {
    ((uvt__set *)p->object)->waiter = NULL;
    return UVT_ABORT_DONE;
}

static int wait_on(uvt__set *set, bool all, bool shielded) {
    uvt_park_t p = { .what = all ? "a task set to empty" : "a member of a task set", .object = set };
    if (!shielded) p.abort = waiter_abort;
    set->waiter = &p;
    set->wait_all = all;
    return shielded ? uvt__park_shielded(&p) : uvt_park(&p);
}

static void take_result(uvt__shard *s, uvt__set *set, uvt_result *r) {
    uvt__task *t = set->done;
    set->done = t->qnext;
    if (!set->done) set->done_tail = &set->done;
    set->results--;
    if (t->outcome == UVT_CANCELLED) set->cut_short--;
    if (r) uvt__task_result(t, r);
    uvt__task_free(s, t);
}

int uvt_set_try_next(uvt_set_t *h, uvt_result *r) {
    uvt__set *set;
    int rc = find(h, &set);
    if (rc < 0) return rc;
    if (!set->done) return set->live ? UV_EAGAIN : UV_EOF;
    take_result(uvt__here(), set, r);
    return 0;
}

int uvt_set_next(uvt_set_t *h, uvt_result *r) {
    uvt__set *set;
    int rc = find(h, &set);
    if (UNLIKELY(rc < 0)) return rc;
    uvt__shard *s = uvt__here();
    if (!set->done && set->live == 0 && !(s->current->flags & TF_CANCELLED)) return UV_EOF;
    rc = uvt__enter(s);
    while (rc == 0 && set->id == h->id && !set->done) {
        if (set->live == 0) return UV_EOF;
        if (set->waiter) return UV_EBUSY;
        if (set->closing) return UVT_ESTALE;
        rc = wait_on(set, false, false);
    }
    if (UNLIKELY(rc < 0)) return rc;
    if (UNLIKELY(set->id != h->id)) return UVT_ESTALE;
    take_result(s, set, r);
    return 0;
}

int uvt__set_hook(uvt_set_t *h, uvt_park_t *p) {
    uvt__set *set;
    int rc = find(h, &set);
    if (rc < 0) return rc;
    if (set->done || set->live == 0) return UV_EAGAIN;
    if (set->waiter) return UV_EBUSY;
    if (set->closing) return UVT_ESTALE;
    set->waiter = p;
    set->wait_all = false;
    return 0;
}

/* Also from the loop, where no task runs: a deadline that ends a select calls this. */
void uvt__set_unhook(uvt_set_t *h, uvt_park_t *p) {
    if (h->rec->id == h->id && h->rec->waiter == p) h->rec->waiter = NULL;
}

/* Whether the calling task is below the set. */
static bool inside(const uvt__shard *s, const uvt__set *set) {
    for (const uvt__node *n = &s->current->node; n; n = uvt__owner(n))
        if (n == &set->node) return true;
    return false;
}

static int failure_of(const uvt__set *set) {
    if (set->error) return set->error;
    for (const uvt__task *t = set->done; t; t = t->qnext)
        if (uvt__failed(t)) return t->status;
    return 0;
}

int uvt_set_wait(uvt_set_t *h) {
    uvt__set *set;
    int rc = find(h, &set);
    if (rc < 0) return rc;
    rc = uvt_checkpoint();
    if (rc == 0 && set->id == h->id && set->live > 0 && inside(uvt__here(), set)) return UVT_EDEADLK;
    while (rc == 0 && set->id == h->id && set->live > 0) {
        if (set->waiter) return UV_EBUSY;
        if (set->closing) return UVT_ESTALE;
        rc = wait_on(set, true, false);
    }
    if (rc < 0) return rc;
    return set->id == h->id ? failure_of(set) : UVT_ESTALE;
}

int uvt_set_abort_all(uvt_set_t *h) {
    uvt__set *set;
    int rc = find(h, &set);
    if (rc < 0) return rc;
    uvt__cancel_children(uvt__here(), &set->node, (uvt_reason){ .code = UVT_REASON_SET });
    return 0;
}

int uvt_set_detach_all(uvt_set_t *h) {
    uvt__set *set;
    uvt__shard *s = uvt__here();
    int rc = find(h, &set);
    if (rc < 0) return rc;
    while (set->node.child) {
        uvt__task *t = TASK_OF(set->node.child);
        set->live--;
        __atomic_store_n(&t->id, uvt__new_id(s), __ATOMIC_RELAXED); /* every copy of its handle is stale from now on */
        uvt__give_to_root(s, t);
    }
    int failure = drop_results(s, set);
    if (failure && s->root_failure == 0) s->root_failure = failure;
    while (set->spawners && set->live + set->granted < set->limit) give_room(set);
    if (set->waiter) {
        uvt_park_t *p = set->waiter;
        set->waiter = NULL;
        uvt_unpark(p, 0);
    } else if (set->abandoned && set->live == 0) { /* a member has called this, and was the last */
        abandoned_end(s, set);
    }
    return 0;
}

int uvt_set_len(const uvt_set_t *h) {
    uvt__set *set;
    int rc = find(h, &set);
    return rc < 0 ? rc : (int)(set->live + set->results);
}

int uvt_set_close(uvt_set_t *h) {
    uvt__set *set;
    uvt__shard *s = uvt__here();
    int rc = find(h, &set);
    if (rc < 0) return rc;
    if (inside(s, set)) return UVT_EDEADLK;
    if (uvt__owner(&set->node) != &s->current->node) return UV_EINVAL;
    if (set->closing) return UVT_ESTALE;
    set->closing = true;
    uvt__cancel_children(s, &set->node, (uvt_reason){ .code = UVT_REASON_OWNER });
    dismiss_waiter(set);
    while (set->live > 0) wait_on(set, true, true); /* a waiting spawner may have come in meanwhile */
    rc = failure_of(set);
    if (rc == 0 && (s->current->flags & TF_CANCELLED) && set->cut_short > 0) rc = UV_ECANCELED;
    uvt__set_free(s, set);
    h->rec = set; /* the stale id stays, so that a second close is recognised */
    return rc;
}
