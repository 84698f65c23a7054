/* SPDX-License-Identifier: MIT
 *
 * What other threads may touch: a list of messages, drained on the loop's thread, and the registry in which the
 * runtime of a handle is found by the tag in its id. Both are reference-counted apart from the loop.
 *
 * All there is to know about a mailbox is in one word, `head`: the newest message (each links to the one before it),
 * or, when there is none, a mark. AWAKE: the loop will look here before it sleeps. ASLEEP: whoever puts the first
 * message has to wake it. CLOSED: no more. A loop that is alone leaves the mark ASLEEP whenever it has drained; with
 * several shards, where messages are many, the mark is ASLEEP only around a poll that may sleep, and a post to a busy
 * shard costs one compare-and-swap and no system call.
 *
 * Every push is one step in one order, which is the order in which the messages run. A message that was accepted is
 * run before the loop ends. The bell must not be touched after it is closed: only the poster that replaced ASLEEP
 * rings it, the loop knows that there is one, and it closes the bell only when that one has said (woken) that it is
 * through. test/model has this as a model that is checked exhaustively.
 */
#include "core/core.h"
#include <pthread.h>

#define AWAKE ((uvt__msg *)0)
#define ASLEEP ((uvt__msg *)1)
#define CLOSED ((uvt__msg *)2)
#define DRAIN 1024 /* messages run between two polls */

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static uvt_runtime_t *registry;
static uint64_t last_tag;

static bool is_mark(const uvt__msg *msg) {
    return (uintptr_t)msg <= (uintptr_t)CLOSED;
}

int uvt__mailbox_new(uvt__shard *s, uvt_runtime_t **out) {
    uvt_runtime_t *m = uvt__calloc(sizeof *m);
    if (!m) return UV_ENOMEM;
    atomic_init(&m->head, ASLEEP);
    atomic_init(&m->refs, 1);
    atomic_init(&m->shard, s);
    m->bell = &s->bell;
    *out = m;
    return 0;
}

void uvt_runtime_unref(uvt_runtime_t *m) {
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) return;
    uvt__free(m->any.ring);
    uvt__free(m);
}

uvt_runtime_t *uvt__runtime_ref(uvt_runtime_t *m) {
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

uvt_runtime_t *uvt_runtime_ref(void) {
    uvt__shard *s = uvt__here();
    return s ? uvt__runtime_ref(s->mailbox) : NULL;
}

/* ---- posting ---- */

static void wake(uvt_runtime_t *m) {
    uvt__bell_ring(m->bell);
    atomic_fetch_add_explicit(&m->woken, 1, memory_order_release);
}

int uvt__post_embedded(uvt_runtime_t *m, uvt__msg *msg) {
    uvt__msg *head = atomic_load_explicit(&m->head, memory_order_relaxed);
    do {
        if (head == CLOSED) { /* final; and the poster is to see what the loop's thread did before it */
            (void)atomic_load_explicit(&m->head, memory_order_acquire);
            return UVT_EGONE;
        }
        msg->next = head;
    } while (!atomic_compare_exchange_weak(&m->head, &head, msg));
    if (head == ASLEEP) wake(m);
    uvt__shard *s = uvt__here();
    if (s) s->linger.sent = true;
    return 0;
}

int uvt_post(uvt_runtime_t *m, void (*fn)(void *arg), void *arg) {
    if (!m || !fn) return UV_EINVAL;
    uvt__msg *msg = uvt__alloc(sizeof *msg);
    if (!msg) return UV_ENOMEM;
    *msg = (uvt__msg){ .fn = fn, .arg = arg };
    int rc = uvt__post_embedded(m, msg);
    if (rc < 0) uvt__free(msg);
    return rc;
}

void uvt__mailbox_nudge(uvt_runtime_t *m) {
    uvt__msg *asleep = ASLEEP;
    if (atomic_compare_exchange_strong(&m->head, &asleep, AWAKE)) wake(m);
}

bool uvt__mailbox_filled(const uvt_runtime_t *m) {
    return !is_mark(atomic_load_explicit(&((uvt_runtime_t *)m)->head, memory_order_relaxed));
}

bool uvt__mailbox_asleep(const uvt_runtime_t *m) {
    return atomic_load(&((uvt_runtime_t *)m)->head) == ASLEEP;
}

/* ---- draining ---- */

/* Takes everything, oldest first, and leaves the mark. */
static uvt__msg *take_all(uvt_runtime_t *m, uvt__msg *mark) {
    uvt__msg *list = NULL, *msg = atomic_exchange(&m->head, mark);
    while (!is_mark(msg)) {
        uvt__msg *before = msg->next;
        msg->next = list;
        list = msg;
        msg = before;
    }
    if (!m->dozes && msg == ASLEEP && list) m->owed++;
    return list;
}

/* A message may be what ends the runtime, so each is out of the inbox before it runs. Returns what is left of most. */
static unsigned run_some(uvt__shard *s, unsigned most) {
    for (uvt__msg *msg; (msg = s->inbox) != NULL && most > 0; most--) {
        s->inbox = msg->next;
        void (*fn)(void *) = msg->fn;
        void *arg = msg->arg;
        if (!msg->embedded) uvt__free(msg);
        fn(arg);
    }
    return most;
}

uvt__msg *uvt__mailbox_look(uvt__shard *s) {
    uvt_runtime_t *m = s->mailbox;
    if (!s->inbox && uvt__mailbox_filled(m)) s->inbox = take_all(m, m->dozes ? AWAKE : ASLEEP);
    return s->inbox;
}

bool uvt__mailbox_drain(uvt__shard *s) {
    uvt_runtime_t *m = s->mailbox;
    bool any = s->inbox != NULL;
    unsigned left = run_some(s, DRAIN);
    /* Whenever the inbox is empty the head is looked at: the wake-up for what is there may have been used up. */
    if (!s->inbox && !is_mark(atomic_load_explicit(&m->head, memory_order_relaxed))) {
        s->inbox = take_all(m, m->dozes ? AWAKE : ASLEEP);
        if (UNLIKELY(s->many && s->virtual_clock)) s->wake(s); /* they are to find the clock as it is now */
        run_some(s, left);
        any = true;
    }
    if (s->inbox) uvt__keep_turning(s);
    return any;
}

void uvt__on_bell(uvt__shard *s) {
    if (s->many) s->wake(s);
    uvt__mailbox_drain(s);
}

bool uvt__mailbox_doze(uvt_runtime_t *m) {
    uvt__msg *awake = AWAKE;
    return atomic_compare_exchange_strong(&m->head, &awake, ASLEEP);
}

void uvt__mailbox_rouse(uvt_runtime_t *m) {
    uvt__msg *asleep = ASLEEP;
    if (!atomic_compare_exchange_strong(&m->head, &asleep, AWAKE)) m->owed++;
}

void uvt__mailbox_close(uvt_runtime_t *m) {
    uvt__shard *s = atomic_load(&m->shard);
    run_some(s, UINT32_MAX);
    s->inbox = take_all(m, CLOSED);
    run_some(s, UINT32_MAX);
    while (atomic_load_explicit(&m->woken, memory_order_acquire) != m->owed) {} /* a poster is just waking us */
}

/* ---- the registry ---- */

void uvt__registry_add(uvt_runtime_t *m) {
    pthread_mutex_lock(&registry_lock);
    for (bool taken = true; taken;) { /* tags come round after 65,535 shards */
        last_tag = last_tag % 65535 + 1;
        taken = false;
        for (uvt_runtime_t *r = registry; r; r = r->next) taken |= r->tag == last_tag << TAG_SHIFT;
    }
    m->tag = last_tag << TAG_SHIFT;
    m->next = registry;
    registry = m;
    pthread_mutex_unlock(&registry_lock);
}

void uvt__registry_remove(uvt_runtime_t *m) {
    pthread_mutex_lock(&registry_lock);
    uvt_runtime_t **at = &registry;
    while (*at && *at != m) at = &(*at)->next;
    if (*at) *at = m->next;
    pthread_mutex_unlock(&registry_lock);
}

bool uvt__registry_alive(uint64_t tag) {
    uvt_runtime_t *m = uvt__registry_find(tag);
    uvt_runtime_unref(m);
    return m != NULL;
}

void uvt__mailbox_join(uvt_runtime_t *m, uint64_t gid, unsigned index, unsigned of) {
    pthread_mutex_lock(&registry_lock); /* another runtime may be looking for a peer */
    m->gid = gid;
    m->index = index;
    m->shards = of;
    pthread_mutex_unlock(&registry_lock);
    m->dozes = true;
    atomic_store(&m->head, AWAKE);
}

uvt_runtime_t *uvt__registry_peer(const uvt_runtime_t *m, unsigned index) {
    uvt_runtime_t *found = NULL;
    pthread_mutex_lock(&registry_lock);
    for (uvt_runtime_t *r = registry; r; r = r->next)
        if (r->gid == m->gid && r->index == index) found = r;
    if (found) uvt__runtime_ref(found);
    pthread_mutex_unlock(&registry_lock);
    return found;
}

uvt_runtime_t *uvt__registry_find(uint64_t id) {
    pthread_mutex_lock(&registry_lock);
    uvt_runtime_t *m = registry;
    while (m && m->tag >> TAG_SHIFT != id >> TAG_SHIFT) m = m->next;
    if (m) uvt__runtime_ref(m);
    pthread_mutex_unlock(&registry_lock);
    return m;
}
