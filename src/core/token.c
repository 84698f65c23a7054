/* SPDX-License-Identifier: MIT
 *
 * Tokens: reference-counted nodes of a tree that scopes are bound to and tasks wait on. A token's scopes and waiters
 * belong to the loop it was made on; the flag and the count are shared with other threads, the links of the tree are
 * under one lock. A child may belong to another shard of the runtime than its parent: a cancel that comes to it
 * goes on there, by a message. A task that waits on another shard's token, or binds a scope to it, does so through
 * a child of its own. A child keeps its parent, so a middle token that everybody has let go of still passes a cancel
 * on.
 */
#include "core/core.h"
#include <pthread.h>
#include <stdatomic.h>

/* Around the links between tokens. It is recursive, because the walk that cancels calls the aborts of waits, and these
 * may cancel or release tokens. No other lock is held when it is taken. */
static pthread_mutex_t tree_lock;
static pthread_once_t tree_once = PTHREAD_ONCE_INIT;

static void make_tree_lock(void) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&tree_lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

struct uvt_token {
    atomic_uint refs;
    atomic_bool flag;             /* cancelled, as anybody sees it */
    bool done;                    /* its loop has acted on it; loop only */
    uint8_t code;                 /* reason, valid when done */
    _Atomic(const char *) text;
    uint64_t tag, gid;            /* the loop it belongs to, and that one's runtime */
    uvt_token_t *parent;          /* holds a reference; NULL for a root */
    uvt_token_t *child;           /* children do not hold references downwards */
    uvt_token_t *prev, *next;     /* siblings */
    uvt_scope_t *scopes, *last;   /* bound ones, oldest first */
    uvt__timer_t waiters;         /* list head; the waiting tasks' own timers serve as nodes, which fire */
    uvt__timer_t timer;           /* cancel_after */
    uvt__msg msg;                 /* a cancel, or after all references the end, on its way home */
};

static void cancel_tree(uvt__shard *s, uvt_token_t *root, uvt_reason_code code, const char *text);

static void time_came(uvt__timer_t *t) {
    cancel_tree(uvt__here(), CONTAINER_OF(t, uvt_token_t, timer), UVT_REASON_DEADLINE, NULL);
}

int uvt_token_new(uvt_token_t **out, uvt_token_t *parent) {
    uvt__shard *s = uvt__here();
    if (!s) return UVT_ENOTASK;
    if (!out) return UV_EINVAL;
    if (parent && parent->gid != s->gid) return UVT_ESHARD;
    pthread_once(&tree_once, make_tree_lock);
    uvt_token_t *k = uvt__calloc(sizeof *k);
    if (!k) return UV_ENOMEM;
    atomic_init(&k->refs, 1);
    k->tag = s->tag;
    k->gid = s->gid;
    k->waiters.next = k->waiters.prev = &k->waiters;
    k->timer.fire = time_came;
    if (parent) {
        bool home = parent->tag == s->tag;
        k->parent = uvt_token_ref(parent);
        pthread_mutex_lock(&tree_lock);
        k->next = parent->child;
        if (k->next) k->next->prev = k;
        parent->child = k;
        bool cancelled = atomic_load(&parent->flag); /* or the walk that is to come finds us */
        pthread_mutex_unlock(&tree_lock);
        if (home && parent->done) cancel_tree(s, k, (uvt_reason_code)parent->code, parent->text);
        else if (home && cancelled) atomic_store(&k->flag, true); /* its cancel is on the way to this loop */
        else if (cancelled) cancel_tree(s, k, UVT_REASON_TOKEN, parent->text);
    }
    *out = k;
    return 0;
}

uvt_token_t *uvt_token_ref(uvt_token_t *k) {
    if (k) atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

static int send_home(uvt_token_t *k, void (*fn)(void *));

/* The last reference, on the token's own loop (or after its end). */
static void destroy(void *arg) {
    for (uvt_token_t *k = arg, *up; k; k = up) {
        up = k->parent;
        uvt__shard *s = uvt__here();
        if (s && s->tag == k->tag) uvt__timer_disarm(s, &k->timer); /* else the wheel is gone */
        if (up) {
            pthread_mutex_lock(&tree_lock);
            if (k->prev) k->prev->next = k->next;
            else up->child = k->next;
            if (k->next) k->next->prev = k->prev;
            pthread_mutex_unlock(&tree_lock);
        }
        uvt__free(k);
        if (!up || atomic_fetch_sub_explicit(&up->refs, 1, memory_order_acq_rel) != 1) return;
        if (!(s && s->tag == up->tag) && send_home(up, destroy) == 0) return; /* its timer is there */
    }
}

/* Has fn(token) run on the token's loop. */
static int send_home(uvt_token_t *k, void (*fn)(void *)) {
    uvt_runtime_t *rt = uvt__registry_find(k->tag);
    if (!rt) return UVT_EGONE;
    k->msg = (uvt__msg){ .fn = fn, .arg = k, .embedded = true };
    int rc = uvt__post_embedded(rt, &k->msg);
    uvt_runtime_unref(rt);
    return rc;
}

void uvt_token_unref(uvt_token_t *k) {
    if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1) return;
    uvt__shard *s = uvt__here();
    /* Its place in the tree is its loop's: there it is taken out. */
    if ((s && s->tag == k->tag) || send_home(k, destroy) < 0) destroy(k);
}

static void cancel_here(void *arg) {
    uvt_token_t *k = arg;
    cancel_tree(uvt__here(), k, UVT_REASON_TOKEN, k->text);
    uvt_token_unref(k);
}

/* The first one to set the flag sends the message, which is the token's own. */
static int cancel_from_afar(uvt_token_t *k, const char *text, uvt_token_t **late) {
    const char *none = NULL;
    if (atomic_load(&k->flag)) return 0;
    atomic_compare_exchange_strong(&k->text, &none, text);
    if (atomic_exchange(&k->flag, true)) return 0;
    unsigned refs = atomic_load(&k->refs); /* one that nobody holds any more is on its way home to be freed */
    do {
        if (refs == 0) return 0;
    } while (!atomic_compare_exchange_weak(&k->refs, &refs, refs + 1));
    int rc = send_home(k, cancel_here);
    if (rc < 0) { /* its loop has ended: the reference is given back when the walk is over */
        k->msg.arg = *late;
        *late = k;
    }
    return rc;
}

static void give_back(uvt_token_t *late) {
    for (uvt_token_t *next; late; late = next) {
        next = late->msg.arg;
        uvt_token_unref(late);
    }
}

void uvt__token_unhook(uvt__timer_t *w) {
    if (!w->next) return;
    w->next->prev = w->prev;
    w->prev->next = w->next;
    w->next = NULL;
}

/* What a cancel does to one token on its own loop. */
static void cancel_one(uvt__shard *s, uvt_token_t *k, uvt_reason_code code, const char *text) {
    k->done = true;
    k->code = (uint8_t)code;
    if (!atomic_load(&k->flag)) atomic_store(&k->text, text);
    atomic_store(&k->flag, true);
    uvt__timer_disarm(s, &k->timer);
    for (uvt__timer_t *w; (w = k->waiters.next) != &k->waiters;) {
        uvt__token_unhook(w);
        w->fire(w);
    }
    for (uvt_scope_t *sc = k->scopes; sc; sc = sc->tok_next)
        uvt__scope_fire(s, sc, (uvt_reason){ .code = UVT_REASON_TOKEN, .text = k->text });
}

/* Marks a token and everything below, wakes and cancels. Children of a done token are done, or on their way. */
static void cancel_tree(uvt__shard *s, uvt_token_t *root, uvt_reason_code code, const char *text) {
    uvt_token_t *late = NULL;
    pthread_mutex_lock(&tree_lock);
    for (uvt_token_t *k = root;;) {
        bool fresh = k->tag == s->tag && !k->done;
        if (fresh) cancel_one(s, k, code, text);
        else if (k->tag != s->tag) cancel_from_afar(k, text, &late);
        if (fresh && k->child) {
            k = k->child;
            continue;
        }
        while (k != root && !k->next) k = k->parent;
        if (k == root) break;
        k = k->next;
    }
    pthread_mutex_unlock(&tree_lock);
    give_back(late);
}

int uvt_token_cancel(uvt_token_t *k, const char *text) {
    if (!k) return UV_EINVAL;
    uvt__shard *s = uvt__here();
    if (s && s->tag == k->tag) {
        cancel_tree(s, k, UVT_REASON_TOKEN, text);
        return 0;
    }
    uvt_token_t *late = NULL;
    int rc = cancel_from_afar(k, text, &late);
    give_back(late);
    return rc;
}

int uvt_token_cancel_after(uvt_token_t *k, uint64_t ms) {
    uvt__shard *s = uvt__here();
    if (!k || ((int64_t)ms < 0 && ms != UVT_FOREVER)) return UV_EINVAL;
    if (!s) return UVT_ENOTASK;
    if (s->tag != k->tag) return UVT_ESHARD;
    uvt__timer_disarm(s, &k->timer);
    uint64_t due = uvt__after(s, ms);
    if (!k->done && due != UVT_FOREVER) uvt__timer_arm(s, &k->timer, due);
    return 0;
}

bool uvt_token_cancelled(const uvt_token_t *k) {
    return k && atomic_load(&((uvt_token_t *)k)->flag);
}

uvt_reason uvt_token_reason(const uvt_token_t *k) {
    uvt__shard *s = uvt__here();
    if (!uvt_token_cancelled(k)) return (uvt_reason){ .code = UVT_REASON_NONE };
    return (uvt_reason){ .code = s && s->tag == k->tag && k->done ? (uvt_reason_code)k->code : UVT_REASON_TOKEN,
                         .text = ((uvt_token_t *)k)->text };
}

bool uvt__token_hook(uvt_token_t *k, uvt__timer_t *w) {
    if (k->done) return false;
    w->next = &k->waiters;
    w->prev = k->waiters.prev;
    w->prev->next = w;
    k->waiters.prev = w;
    return true;
}

static int wait_abort(uvt_park_t *p) {
    uvt__token_unhook(&p->task->timer);
    return UVT_ABORT_DONE;
}

bool uvt__token_near(const uvt__shard *s, const uvt_token_t *k) {
    return k->gid == s->gid;
}

/* Waits on another shard's token. */
static int wait_through_child(uvt__shard *s, uvt_token_t *far) {
    uvt_token_t *k;
    if (far->gid != s->gid) return UVT_ESHARD;
    int rc = uvt_token_new(&k, far);
    if (rc < 0) return rc;
    rc = uvt_token_wait(k);
    uvt_token_unref(k);
    return rc;
}

int uvt_token_wait(uvt_token_t *k) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if (!k) return UV_EINVAL;
    if (k->tag != s->tag) return wait_through_child(s, k);
    uvt_token_ref(k); /* the last owner may let go while we wait */
    int rc = uvt__enter(s);
    if (rc == 0 && !k->done) {
        uvt_park_t p = { .what = "token", .object = k, .abort = wait_abort };
        s->current->timer.fire = uvt__timer_wakes;
        if (uvt__token_hook(k, &s->current->timer)) rc = uvt_park(&p);
    }
    uvt_token_unref(k);
    return rc;
}

/* ---- scopes ---- */

/* The token of this shard that a scope is to be bound to, with a reference: itself, or a child of its own. */
int uvt__token_local(uvt__shard *s, uvt_token_t *k, uvt_token_t **out) {
    if (k->gid != s->gid) return UVT_ESHARD;
    if (k->tag != s->tag) return uvt_token_new(out, k);
    *out = uvt_token_ref(k);
    return 0;
}

/* Hooks a scope to a token of its shard, whose reference it takes over; true when the token is cancelled already. */
bool uvt__token_bind(uvt_scope_t *sc, uvt_token_t *k) {
    sc->token = k;
    sc->tok_next = NULL;
    sc->tok_prev = k->last;
    if (k->last) k->last->tok_next = sc;
    else k->scopes = sc;
    k->last = sc;
    return k->done;
}

void uvt__token_unbind(uvt_scope_t *sc) {
    uvt_token_t *k = sc->token;
    if (sc->tok_prev) sc->tok_prev->tok_next = sc->tok_next;
    else k->scopes = sc->tok_next;
    if (sc->tok_next) sc->tok_next->tok_prev = sc->tok_prev;
    else k->last = sc->tok_prev;
    sc->token = NULL;
    uvt_token_unref(k);
}
