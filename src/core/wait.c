/* SPDX-License-Identifier: MIT
 *
 * What objects need that tasks of several shards wait on: a lock while more than one thread may be at them, and a
 * queue of waits whose tasks are woken by their own shards.
 *
 * Locks stand in a table and are found by the object's address, so an object needs no room for one and nothing has to
 * be destroyed. They are held for a few instructions. No two are held together, and under one nothing else is
 * locked but mailboxes, which do not wait.
 *
 * A wait that was taken out of its queue will be woken, if it must by a message: its abort then answers LATER. So
 * what was handed over is never lost to a cancel.
 *
 * A choice is a task that waits in several queues. Whoever is about to hand something to one of its waits claims it
 * first, with one compare-and-swap; the other waits are then passed over wherever they are met, until the task has
 * run and taken them out. So exactly one takes effect, and a claim that was made is always followed by its wake-up.
 */
#include "core/core.h"
#include <pthread.h>

#define LOCKS 64 /* a power of two */

static struct {
    _Alignas(64) pthread_mutex_t mutex;
} locks[LOCKS] = { [0 ... LOCKS - 1] = { PTHREAD_MUTEX_INITIALIZER } };

static pthread_mutex_t *lock_of(const void *object) {
    uint64_t mixed = (uint64_t)(uintptr_t)object * 0x9e3779b97f4a7c15u;
    return &locks[mixed >> 32 & (LOCKS - 1)].mutex;
}

/* On a shard that is alone, no other thread can use the object. (Oneshots, which foreign threads send to, use
 * atomics for that.) */
void uvt__lock(const void *object) {
    uvt__shard *s = uvt__here();
    if (UNLIKELY(s && s->many)) pthread_mutex_lock(lock_of(object));
}

void uvt__unlock(const void *object) {
    uvt__shard *s = uvt__here();
    if (UNLIKELY(s && s->many)) pthread_mutex_unlock(lock_of(object));
}

void uvt__wait_hook(uvt__waits *q, uvt__wait *w, uvt__shard *s) {
    w->home = s->mailbox;
    w->hooked = true;
    w->next = NULL;
    w->prev = q->tail;
    if (q->tail) q->tail->next = w;
    else q->head = w;
    q->tail = w;
}

void uvt__wait_unhook(uvt__waits *q, uvt__wait *w) {
    if (w->prev) w->prev->next = w->next;
    else q->head = w->next;
    if (w->next) w->next->prev = w->prev;
    else q->tail = w->prev;
    w->hooked = false;
}

/* ---- choices ---- */

#define PART ((uintptr_t)1) /* in a park's task: this is a choice */

static uvt__choice *choice_of(const uvt_park_t *p) {
    uintptr_t word = (uintptr_t)p->task;
    return word & PART ? (uvt__choice *)(word - PART) : NULL;
}

void uvt__choice_part(uvt__choice *c, uvt_park_t *part) {
    part->task = (uvt__task *)((uintptr_t)c | PART);
}

static bool claim(uvt__choice *c, const uvt_park_t *by) {
    const uvt_park_t *none = NULL;
    return atomic_compare_exchange_strong(&c->won, &none, by) || none == by;
}

bool uvt__choice_withdraw(uvt__choice *c) {
    return claim(c, &c->park);
}

bool uvt__park_claim(uvt_park_t *p) {
    uvt__choice *c = choice_of(p);
    return !c || claim(c, p);
}

/* On the task's own shard, as every unpark. */
bool uvt__choice_unpark(uvt_park_t *part, int result) {
    uvt__choice *c = choice_of(part);
    if (!claim(c, part)) return false;
    part->task = NULL;
    part->result = result;
    return uvt_unpark(&c->park, 0);
}

/* ---- queues ---- */

static void wake_here(void *arg) {
    uvt__wait *w = arg;
    uvt_unpark(&w->park, w->result);
}

void uvt__wait_wake(uvt__waits *q, uvt__wait *w, int result) {
    uvt__shard *s = uvt__here();
    uvt__wait_unhook(q, w);
    if (UNLIKELY(w->choice && !uvt__park_claim(&w->park))) return; /* it would not be there when a message comes */
    if (LIKELY(s && w->home == s->mailbox)) {
        uvt_unpark(&w->park, result);
        return;
    }
    w->result = result;
    w->msg = (uvt__msg){ .fn = wake_here, .arg = w, .embedded = true };
    int rc = uvt__post_embedded(w->home, &w->msg); /* its task lives, and so does its shard, or it was given up */
    UVT_ASSERT(rc == 0 || (s && s->stopped), "a task waits on a shard that has ended");
}
