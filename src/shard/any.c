/* SPDX-License-Identifier: MIT
 *
 * Tasks that may begin anywhere (UVT_ANY). They wait in a ring of the shard that spawned them, under a lock: that
 * shard takes the oldest when it has nothing else to run, and now and then in between; a shard with nothing to do
 * takes up to half of what another one has. A task taken so runs as a guest (remote.c); what never leaves costs a
 * lock and no message.
 *
 * The lock is held for a few instructions, so it spins. Nothing but the ring is touched under it, no task: a thief
 * would wait for the memory of each. Whether a task is still in its home's ring is told by its place in there (kept in
 * its timer, which it does not need yet); the thief writes `behind` a moment later.
 *
 * What a thief has taken cannot be taken on by others, so it takes one at first, and more as long as they turn out to
 * be short: nothing waits behind a long one while another shard is idle.
 *
 * Tasks of less than half a microsecond cost more elsewhere than here: a thief that got such leaves off for a
 * millisecond.
 *
 * A thief whose results are not fetched does not help: it has so many out at most, and their records come back to it.
 */
#include "shard/shard.h"
#include <sched.h>

#define HAUL 16  /* at most so many at a time */
#define LOOK 32  /* picks between two looks here while other tasks are ready */
#define LONG_NS 50000
#define TINY_NS 500
#define NAP_MS 1
#define OUT 1024 /* tasks of others that a shard may have */

static void lock(uvt_runtime_t *m) {
    for (unsigned tries = 0; atomic_exchange_explicit(&m->any.locked, true, memory_order_acquire); tries++) {
        while (atomic_load_explicit(&m->any.locked, memory_order_relaxed) && tries < 100) {
            uvt__cpu_relax();
            tries++;
        }
        if (tries >= 100) sched_yield(); /* its holder is not running */
    }
}

static void unlock(uvt_runtime_t *m) {
    atomic_store_explicit(&m->any.locked, false, memory_order_release);
}

/* ---- at home ---- */

/* A ring of twice the size, with the lock held. */
static int grow(uvt_runtime_t *m) {
    uint64_t cap = m->any.cap ? m->any.cap * 2 : 256;
    uvt__task **ring = uvt__alloc(cap * sizeof(*ring)), **old = m->any.ring;
    if (!ring) return UV_ENOMEM;
    for (uint64_t i = m->any.head; i != m->any.tail; i++) ring[i & (cap - 1)] = old[i & (m->any.cap - 1)];
    m->any.ring = ring;
    m->any.cap = cap;
    uvt__free(old);
    return 0;
}

/* With the lock held. Others read it without. */
static void one_less(uvt_runtime_t *m) {
    unsigned count = atomic_load_explicit(&m->any.count, memory_order_relaxed);
    atomic_store_explicit(&m->any.count, count - 1, memory_order_relaxed);
}

int uvt__any_push(uvt__shard *s, uvt__task *t) {
    uvt_runtime_t *m = s->mailbox;
    t->state = T_SHARED;
    t->behind = NULL;
    t->timer.due = m->any.tail;
    lock(m);
    if (UNLIKELY(m->any.tail - m->any.head == m->any.cap) && grow(m) < 0) {
        unlock(m);
        return UV_ENOMEM;
    }
    m->any.ring[m->any.tail++ & (m->any.cap - 1)] = t;
    atomic_fetch_add(&m->any.count, 1); /* in the one order of all: who is hungry says so first, and looks here then */
    unlock(m);
    if (atomic_load(&s->group->hungry)) uvt__any_feed(s->group, m->index);
    return 0;
}

/* The oldest, with the lock held. */
static uvt__task *take(uvt_runtime_t *m) {
    while (m->any.head != m->any.tail) {
        uvt__task *t = m->any.ring[m->any.head++ & (m->any.cap - 1)];
        if (!t) continue; /* withdrawn */
        one_less(m);
        return t;
    }
    return NULL;
}

uvt__task *uvt__any_take(uvt__shard *s) {
    uvt_runtime_t *m = s->mailbox;
    if (atomic_load_explicit(&m->any.count, memory_order_relaxed) == 0) return NULL;
    if (s->ready.head && ++s->tick % LOOK != 0) return NULL;
    lock(m);
    uvt__task *t = take(m);
    unlock(m);
    if (t) t->state = T_READY;
    return t;
}

void uvt__any_withdraw(uvt__shard *s, uvt__task *t) {
    uvt_runtime_t *m = s->mailbox;
    lock(m);
    bool here = t->timer.due >= m->any.head;
    if (here) {
        m->any.ring[t->timer.due & (m->any.cap - 1)] = NULL;
        one_less(m);
    }
    unlock(m);
    if (here) {
        uvt__ready(s, t);
        return;
    }
    while (!__atomic_load_n(&t->behind, __ATOMIC_ACQUIRE)) uvt__cpu_relax(); /* the thief is about to write it */
    t->flags |= TF_STACKLESS;
    t->state = T_PARKED;
}

/* ---- elsewhere ---- */

static bool may_take(uvt_runtime_t *m) {
    return !m->any.naps && atomic_load(&m->any.out) < OUT;
}

static void nap_over(uvt__timer_t *t) {
    CONTAINER_OF(t, uvt_runtime_t, any.nap)->any.naps = false;
}

bool uvt__any_naps(const uvt__shard *s) {
    return s->mailbox->any.naps;
}

bool uvt__any_waits(uvt__shard *s) {
    uvt__group *g = s->group;
    for (unsigned i = 0; i < g->n; i++)
        if (atomic_load(&g->box[i]->any.count) && (i == s->mailbox->index || may_take(s->mailbox))) return true;
    return false;
}

/* A record for a stolen task: one that has come back, or a new one. */
static uvt__remote *record(uvt_runtime_t *m) {
    if (!m->any.bags) m->any.bags = atomic_exchange(&m->any.back, NULL);
    uvt__remote *r = m->any.bags;
    if (!r) return uvt__remote_new();
    m->any.bags = uvt__remote_next(r);
    uvt__remote_reset(r);
    return r;
}

static void keep(uvt_runtime_t *m, uvt__remote *r) {
    uvt__remote_chain(r, m->any.bags);
    m->any.bags = r;
}

static void free_all(uvt__remote *r) {
    for (uvt__remote *next; r; r = next) {
        next = uvt__remote_next(r);
        uvt__remote_free(r);
    }
}

/* All loops have ended. */
void uvt__any_release(uvt_runtime_t *m) {
    free_all(m->any.bags);
    free_all(atomic_load(&m->any.back));
}

/* The end of a stolen task has been heard of at home: its record goes back to the thief. */
void uvt__any_give_back(uvt_runtime_t *thief, uvt__remote *r) {
    uvt__remote *head = atomic_load_explicit(&thief->any.back, memory_order_relaxed);
    uvt__remote_empty(r);
    do uvt__remote_chain(r, head);
    while (!atomic_compare_exchange_weak(&thief->any.back, &head, r));
    if (atomic_fetch_sub(&thief->any.out, 1) == OUT / 2) uvt__mailbox_nudge(thief);
}

static unsigned steal_from(uvt__shard *s, uvt_runtime_t *from) {
    uvt__task *tasks[HAUL];
    uvt__remote *bags[HAUL];
    unsigned want = (atomic_load(&from->any.count) + 1) / 2, room = 0, got = 0;
    while (room < want && room <= s->mailbox->any.haul && (bags[room] = record(s->mailbox)) != NULL) room++;
    if (room == 0) return 0;
    lock(from);
    while (got < room && (tasks[got] = take(from)) != NULL) got++;
    unlock(from);
    for (unsigned i = got; i < room; i++) keep(s->mailbox, bags[i]);
    atomic_fetch_add(&s->mailbox->any.out, got);
    s->mailbox->any.got += got;
    for (unsigned i = 0; i < got; i++) uvt__remote_steal(bags[i], tasks[i], from);
    return got;
}

/* ns: how long what was taken last has kept the shard busy. */
void uvt__any_learn(uvt__shard *s, uint64_t ns) {
    uvt_runtime_t *m = s->mailbox;
    unsigned got = m->any.got;
    m->any.got = 0;
    if (got == 0) return;
    m->any.haul = ns > LONG_NS ? 0 : m->any.haul * 2 + 1 < HAUL ? m->any.haul * 2 + 1 : HAUL - 1;
    if (got == 1 || ns / got >= TINY_NS || s->virtual_clock) return;
    m->any.naps = true;
    m->any.nap.fire = nap_over;
    uvt__timer_arm(s, &m->any.nap, uvt__after(s, NAP_MS));
}

bool uvt__any_steal(uvt__shard *s) {
    uvt__group *g = s->group;
    if (!may_take(s->mailbox)) return false;
    for (unsigned i = 1; i < g->n; i++) {
        uvt_runtime_t *from = g->box[(s->mailbox->index + i) % g->n];
        if (atomic_load(&from->any.count) == 0 || steal_from(s, from) == 0) continue;
        if (atomic_load(&from->any.count) && atomic_load(&g->hungry)) uvt__any_feed(g, s->mailbox->index);
        return true;
    }
    return false;
}

void uvt__any_feed(uvt__group *g, unsigned from) {
    for (unsigned i = 1; i < g->n; i++) {
        uvt_runtime_t *m = g->box[(from + i) % g->n];
        if (!atomic_load_explicit(&m->any.hungry, memory_order_relaxed) || !atomic_exchange(&m->any.hungry, false))
            continue;
        atomic_fetch_sub(&g->hungry, 1);
        uvt__mailbox_nudge(m);
        return;
    }
}
