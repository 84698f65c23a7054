/* SPDX-License-Identifier: MIT
 *
 * What other threads may touch: a list of messages under a lock, drained on the loop's thread, and the
 * registry in which the runtime of a handle is found by the tag in its id. Both are reference-counted apart
 * from the loop: uv_async_send after uv_close would be a use after free, so the async is only touched under
 * the lock and while the mailbox is open. A message that was accepted is run, in order, before the loop ends.
 *
 * Lock order: the registry's, then a mailbox's.
 */
#include "core/core.h"
#include <pthread.h>

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static uvt_runtime_t *registry;
static uint64_t last_tag;

int uvt__mailbox_new(uvt__shard *s, uvt_runtime_t **out) {
    uvt_runtime_t *m = uvt__calloc(sizeof *m);
    if (!m) return UV_ENOMEM;
    int rc = UVT_UV(uv_mutex_init(&m->lock));
    if (rc < 0) {
        uvt__free(m);
        return rc;
    }
    m->tail = &m->head;
    m->refs = 1;
    m->async = &s->async;
    m->shard = s;
    *out = m;
    return 0;
}

void uvt_runtime_unref(uvt_runtime_t *m) {
    if (!m) return;
    uv_mutex_lock(&m->lock);
    int left = --m->refs;
    uv_mutex_unlock(&m->lock);
    if (left > 0) return;
    uv_mutex_destroy(&m->lock);
    uvt__free(m);
}

static uvt_runtime_t *ref(uvt_runtime_t *m) {
    uv_mutex_lock(&m->lock);
    m->refs++;
    uv_mutex_unlock(&m->lock);
    return m;
}

uvt_runtime_t *uvt_runtime_ref(void) {
    uvt__shard *s = uvt__here();
    return s ? ref(s->mailbox) : NULL;
}

int uvt__post_embedded(uvt_runtime_t *m, uvt__msg *msg) {
    msg->next = NULL;
    uv_mutex_lock(&m->lock);
    int rc = m->closed ? UVT_EGONE : 0;
    if (rc == 0) {
        bool first = m->head == NULL;
        *m->tail = msg;
        m->tail = &msg->next;
        if (first) uv_async_send(m->async);
    }
    uv_mutex_unlock(&m->lock);
    return rc;
}

int uvt_post(uvt_runtime_t *m, void (*fn)(void *), void *arg) {
    if (!m || !fn) return UV_EINVAL;
    uvt__msg *msg = uvt__alloc(sizeof *msg);
    if (!msg) return UV_ENOMEM;
    *msg = (uvt__msg){ .fn = fn, .arg = arg };
    int rc = uvt__post_embedded(m, msg);
    if (rc < 0) uvt__free(msg);
    return rc;
}

static uvt__msg *take_all(uvt_runtime_t *m, bool close) {
    uv_mutex_lock(&m->lock);
    uvt__msg *list = m->head;
    m->head = NULL;
    m->tail = &m->head;
    if (close) m->closed = true;
    uv_mutex_unlock(&m->lock);
    return list;
}

static void run_all(uvt__msg *list) {
    for (uvt__msg *next; list; list = next) {
        next = list->next;
        void (*fn)(void *) = list->fn;
        void *arg = list->arg;
        if (!list->embedded) uvt__free(list);
        fn(arg);
    }
}

void uvt__on_async(uv_async_t *h) {
    uvt__shard *s = h->data;
    run_all(take_all(s->mailbox, false));
}

bool uvt__mailbox_drain(uvt_runtime_t *m) {
    uvt__msg *list = take_all(m, false);
    run_all(list);
    return list != NULL;
}

/* Takes no more, and runs what was accepted. */
void uvt__mailbox_close(uvt_runtime_t *m) {
    run_all(take_all(m, true));
}

/* ---- the registry ---- */

uint64_t uvt__registry_add(uvt_runtime_t *m) {
    pthread_mutex_lock(&registry_lock);
    for (bool taken = true; taken;) { /* tags come round after 65,535 runtimes */
        last_tag = last_tag % 65535 + 1;
        taken = false;
        for (uvt_runtime_t *r = registry; r; r = r->next) taken |= r->tag == last_tag << TAG_SHIFT;
    }
    uint64_t tag = m->tag = last_tag << TAG_SHIFT;
    m->next = registry;
    registry = m;
    pthread_mutex_unlock(&registry_lock);
    return tag;
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

uvt_runtime_t *uvt__registry_find(uint64_t id) {
    pthread_mutex_lock(&registry_lock);
    uvt_runtime_t *m = registry;
    while (m && m->tag >> TAG_SHIFT != id >> TAG_SHIFT) m = m->next;
    if (m) ref(m);
    pthread_mutex_unlock(&registry_lock);
    return m;
}
