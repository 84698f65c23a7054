/* SPDX-License-Identifier: MIT
 *
 * The scheduler: which task runs next, and how one is set aside and made ready again.
 *
 * Tasks run in batches from the loop's prepare and check hooks. Within a batch a task that suspends switches
 * straight to the next one; the loop's own stack is entered again when nothing is ready or the batch is
 * used up. A task that yields is put behind all that are ready, those that are woken meanwhile included. A
 * task that ends runs the next unstarted one on the same stack, without any switch, so a hundred thousand
 * tasks that never suspend touch one stack.
 *
 * Nothing here may be entered from another thread; see mailbox.c for that.
 */
#include "core/stack.h"
#include <string.h>
#if UVT_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if UVT_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if UVT_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(low, size) (void)0
#endif

#define BATCH 256  /* task runs between two polls, or as many as are ready when that is more; readers come on top */
#define FEW 4      /* ready tasks, up to which a stack is asked for at once */
#define BUDGET 128 /* operations that may complete at once between two suspensions */

__thread uvt__shard *uvt__tls __attribute__((tls_model("initial-exec")));

/* ---- queues ---- */

static void push(uvt__queue *q, uvt__task *t) {
    t->qnext = NULL;
    if (q->head) q->tail->qnext = t;
    else q->head = t;
    q->tail = t;
    q->count++;
}

/* With many tasks the stack of the one that runs next is not in the first-level cache. The frames of a wait, four
 * lines of it, are asked for as early as the task is known, a few dozen nanoseconds ahead. */
static inline void fetch_stack(const uvt__task *t) {
    uintptr_t sp = (uintptr_t)t->sp; /* 0 for one that has not started: a prefetch of nothing is harmless */
    __builtin_prefetch((void *)sp, 1);
    __builtin_prefetch((void *)(sp + 64), 1);
    __builtin_prefetch((void *)(sp + 128), 1);
    __builtin_prefetch((void *)(sp + 192), 1);
}

static uvt__task *pop(uvt__queue *q) {
    uvt__task *t = q->head;
    if (!t) return NULL;
    uvt__task *next = q->head = t->qnext;
    q->count--;
    if (next) { /* its record is here already, and so is the next one's */
        uvt__task *second = next->qnext;
        uvt__task *third = second ? second->qnext : NULL;
        if (third) {
            __builtin_prefetch(third, 1);
            __builtin_prefetch((char *)third + 64, 1);
        }
        if (second) fetch_stack(second);
    }
    return t;
}

/* The seeded order of the tests: any of the first eight may be next. */
static uvt__task *pop_shuffled(uvt__shard *s) {
    uvt__queue *q = &s->ready;
    unsigned n = 0;
    for (uvt__task *t = q->head; t && n < 8; t = t->qnext) n++;
    if (n < 2) return pop(q);
    s->shuffle ^= s->shuffle << 13;
    s->shuffle ^= s->shuffle >> 7;
    s->shuffle ^= s->shuffle << 17;
    unsigned k = (unsigned)(s->shuffle % n);
    if (k == 0) return pop(q);
    uvt__task *before = q->head;
    while (--k) before = before->qnext;
    uvt__task *t = before->qnext;
    before->qnext = t->qnext;
    if (q->tail == t) q->tail = before;
    q->count--;
    return t;
}

/* Those that have yielded get behind those that are ready. */
void uvt__splice_yielded(uvt__shard *s) {
    uvt__queue *to = &s->ready, *from = &s->yielded;
    if (!from->head) return;
    if (to->head) to->tail->qnext = from->head;
    else to->head = from->head;
    to->tail = from->tail;
    to->count += from->count;
    *from = (uvt__queue){ NULL, NULL, 0 };
}

static void on_idle(uv_idle_t *h) {
    (void)h;
}

/* Sees to it that the loop neither sleeps nor ends: there is work for it. */
void uvt__keep_turning(uvt__shard *s) {
    if (s->idling) return;
    s->idling = true;
    uv_idle_start(&s->idle, on_idle);
}

void uvt__ready(uvt__shard *s, uvt__task *t) {
    t->state = T_READY;
    if (s->ready.count < FEW) fetch_stack(t); /* of a long queue pop does it in time */
    push(&s->ready, t);
    s->quiet = 0;
    /* In a batch the hooks look by themselves, and after the poll comes the check hook; but a host's own prepare
     * hooks may run after ours. */
    if (!s->in_batch && (!s->polling || s->attached)) uvt__keep_turning(s);
}

void uvt__yielded(uvt__shard *s, uvt__task *t) {
    t->state = T_READY;
    push(&s->yielded, t);
    s->quiet = 0;
}

/* ---- switching ---- */

/* What has to happen on arrival in any context, new or resumed. */
static inline void arrived(uvt__shard *s) {
    if (s->dying) {
        uvt__stack *st = s->dying;
        s->dying = NULL;
        uvt__stack_put(s, st);
    }
}

#if UVT_ASAN || UVT_TSAN
/* from: the stack that is left, NULL the loop's; it ends here for good when last. Inlined, or ThreadSanitizer would
 * see a function that is entered on one fiber and left on another. */
static inline __attribute__((always_inline)) void announce(uvt__shard *s, uvt__stack *from, uvt__stack *to, bool last) {
#if UVT_ASAN
    void **fake = last ? NULL : from ? &from->fake : &s->asan_fake;
    if (to) __sanitizer_start_switch_fiber(fake, to->low, (size_t)((char *)to->top - (char *)to->low));
    else __sanitizer_start_switch_fiber(fake, s->asan_bottom, s->asan_size);
#endif
#if UVT_TSAN
    if (!from) s->tsan_loop = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to ? to->fiber : s->tsan_loop, 0);
#endif
    (void)s, (void)from, (void)to, (void)last;
}
static void landed(uvt__shard *s, void *fake, bool from_loop) {
#if UVT_ASAN
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(fake, &bottom, &size);
    if (from_loop) s->asan_bottom = bottom, s->asan_size = size;
#endif
    (void)s, (void)fake, (void)from_loop;
}
#else
#define announce(s, from, to, last) (void)0
#define landed(s, fake, from_loop) (void)0
#endif

/* Takes the next task to run, giving it a stack if it has none (`own`, when it fits, is the stack the
 * caller is about to give up). NULL: back to the loop. */
static uvt__task *pick(uvt__shard *s, uvt__stack *own) {
    for (;;) {
        if (UNLIKELY(s->left == 0)) return NULL;
        uvt__task *t = UNLIKELY(s->many) ? s->take_any(s) : NULL;
        if (LIKELY(!t)) t = UNLIKELY(s->shuffle != 0) ? pop_shuffled(s) : pop(&s->ready);
        if (!t) {
            if (!s->yielded.head) return NULL;
            uvt__splice_yielded(s);
            continue;
        }
        s->left--;
        s->stats.switches++;
        if (LIKELY(t->stack != NULL)) return t;
        if (UNLIKELY(t->flags & (TF_SKIP | TF_STACKLESS))) {
            uvt__task_complete(s, t, UV_ECANCELED);
            continue;
        }
        size_t size = t->ext && t->ext->stack_size ? t->ext->stack_size : s->opt.stack_size;
        if (own && uvt__stack_size(own) == size) {
            t->stack = own;
            return t;
        }
        int err;
        t->stack = uvt__stack_get(s, size, &err);
        if (t->stack) t->sp = uvt__ctx_make(t->stack->low, t->stack->top, uvt__task_entry);
        if (LIKELY(t->stack && t->sp)) return t;
        if (t->stack) uvt__stack_put(s, t->stack);
        t->stack = NULL;
        uvt__task_complete(s, t, err);
    }
}

static void stall_check(uvt__shard *s, uvt__task *t, bool begins) {
    static __thread uint64_t since;
    uint64_t now = uv_hrtime() / 1000000;
    if (!begins && t && now - since > s->opt.stall_ms)
        uvt__report(s, "stall: task %s (%s) computed for %llu ms without suspending", uvt__name(t),
                    t->site + strlen(t->site) + 1, (unsigned long long)(now - since));
    since = now;
}

static inline void run_begins(uvt__shard *s, uvt__task *t) {
    t->state = T_RUNNING;
    s->current = t;
    s->budget = BUDGET;
}

/* Leaves the running task suspended; returns when it runs again. */
void uvt__suspend(uvt__shard *s, uvt__task *t) {
    if (UNLIKELY(s->opt.stall_ms != 0)) stall_check(s, t, false);
    uvt__task *next = pick(s, NULL);
    if (next == t) {
        run_begins(s, t);
        return;
    }
    announce(s, t->stack, next ? next->stack : NULL, false);
    if (next) {
        run_begins(s, next);
        uvt__ctx_switch(&t->sp, next->sp);
    } else {
        s->current = NULL;
        uvt__ctx_switch(&t->sp, s->loop_sp);
    }
    landed(s, t->stack->fake, false);
    arrived(s);
}

/* Leaves a stack for good: its task has ended. */
static UVT_NORETURN void leave(uvt__shard *s, uvt__stack *st, uvt__task *next) {
    s->dying = st;
    announce(s, st, next ? next->stack : NULL, true);
    if (next) {
        run_begins(s, next);
        uvt__ctx_switch(&s->nowhere, next->sp);
    } else {
        s->current = NULL;
        uvt__ctx_switch(&s->nowhere, s->loop_sp);
    }
    __builtin_unreachable();
}

/* The end of a task that panicked: what is on its stack is given up. */
void uvt__leave(uvt__shard *s, uvt__task *t) {
    uvt__stack *st = t->stack;
    t->stack = NULL;
    uvt__task_finish(s, t);
    leave(s, st, pick(s, NULL));
}

/* The first function on every stack: runs one task after the other while they fit on it. (AddressSanitizer would put
 * red zones around the gap, over the very frames that it is to keep.) */
__attribute__((no_sanitize_address)) void uvt__task_entry(void) {
    uvt__shard *s = uvt__here();
    uvt__task *t = s->current;
    uvt__stack *st = t->stack;
    landed(s, NULL, s->asan_bottom == NULL);
    arrived(s);
    for (;;) {
        int rc = t->fn(t->arg);
        bool spoiled = UNLIKELY(t->scope || t->res);
        if (spoiled) { /* scopes left open, and locks left held, may lie in the dead frames below: keep ours off them */
            char *here = __builtin_frame_address(0), *low = here;
            for (uvt_scope_t *sc = t->scope; sc; sc = sc->outer) {
                VALGRIND_MAKE_MEM_DEFINED(sc, sizeof *sc);
                if ((char *)sc < low && (char *)sc > (char *)st->low) low = (char *)sc;
            }
            for (uvt__res *r = t->res; r; r = r->next) {
                VALGRIND_MAKE_MEM_DEFINED(r, sizeof *r);
                if (r->owner != t) break; /* overwritten: the epilogue says so */
                if ((char *)r < low && (char *)r > (char *)st->low) low = (char *)r;
            }
            volatile char *gap = __builtin_alloca((size_t)(here - low) + 64);
            gap[0] = 0;
            VALGRIND_MAKE_MEM_DEFINED(low, here - low);
        }
        uvt__task_body_done(s, t, rc);
        if (UNLIKELY(s->opt.stall_ms != 0)) stall_check(s, t, false);
        t->stack = NULL;
        uvt__task_finish(s, t);
        t = pick(s, spoiled ? NULL : st);
        if (!t || t->stack != st) leave(s, st, t);
        run_begins(s, t);
    }
}

/* One batch of at most so many task runs, from the loop's stack. */
static void run_batch(uvt__shard *s, size_t most) {
    if (s->in_batch) return; /* a task drives the loop by itself: not supported, but harmless */
    if (UNLIKELY(s->stopped)) return; /* tasks that are left have been given up */
    s->left = most;
    s->in_batch = true;
    uvt__task *t = pick(s, NULL);
    if (t) {
        if (UNLIKELY(s->opt.stall_ms != 0)) stall_check(s, NULL, true);
        announce(s, NULL, t->stack, false);
        run_begins(s, t);
        uvt__ctx_switch(&s->loop_sp, t->sp);
        landed(s, s->asan_fake, false);
        arrived(s);
    }
    s->in_batch = false;
}

void uvt__run_batch(uvt__shard *s) {
    /* All that the poll made ready run before the next one, which would only report them again. */
    run_batch(s, s->ready.count > BATCH ? s->ready.count : BATCH);
}

void uvt__run_some(uvt__shard *s, size_t most) {
    run_batch(s, s->ready.count < most ? s->ready.count : most);
}

/* ---- park and unpark ---- */

/* The yield that every call in a cancelled scope makes. */
int uvt__yield_cancelled(uvt__shard *s, uvt__task *t) {
    if (UNLIKELY(t->unarmed)) uvt__scopes_arm(s, t); /* outer ones, for the sets that lie under them */
    s->stats.ignored++;
    uvt__yielded(s, t);
    uvt__suspend(s, t);
    return UV_ECANCELED;
}

static void cancel_at_tick(uvt__shard *s, uvt__task *t) {
    if (s->cancel_at_task != t->id || --s->cancel_at_n > 0) return;
    s->cancel_at_task = 0;
    s->cancel_at_hit = true;
    uvt__cancel_task(s, t, (uvt_reason){ .code = UVT_REASON_TEST, .text = "cancel at the n-th suspension" });
}

int uvt__checkpoint_slow(uvt__shard *s, uvt__task *t) {
    return t->flags & TF_CANCELLED ? uvt__yield_cancelled(s, t) : uvt_yield();
}

int uvt_checkpoint(void) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    return uvt__enter(s);
}

int uvt_yield(void) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    uvt__task *t = s->current;
    if (UNLIKELY(s->cancel_at_task != 0)) cancel_at_tick(s, t);
    if (UNLIKELY(t->unarmed)) uvt__scopes_arm(s, t);
    if (UNLIKELY(t->flags & TF_CANCELLED)) return uvt__yield_cancelled(s, t);
    uvt__yielded(s, t);
    uvt__suspend(s, t);
    return UNLIKELY(t->flags & TF_CANCELLED) ? UV_ECANCELED : 0;
}

static int wait_parked(uvt__shard *s, uvt__task *t, uvt_park_t *p) {
    t->state = T_PARKED;
    uvt__suspend(s, t);
    return p->result;
}

/* It was unparked before it was set aside. */
static int completed_early(uvt__shard *s, uvt__task *t, const uvt_park_t *p) {
    t->park = NULL;
    uvt__yielded(s, t);
    uvt__suspend(s, t);
    return p->result;
}

int uvt_park(uvt_park_t *p) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    uvt__task *t = s->current;
    p->task = t;
    t->park = p;
    if (UNLIKELY(s->cancel_at_task != 0)) cancel_at_tick(s, t);
    if (UNLIKELY(t->unarmed)) uvt__scopes_arm(s, t);
    /* A deadline that came just now may have woken this very park: by what the others do that it cancels. */
    if (UNLIKELY(!p->task)) return completed_early(s, t, p);
    if (UNLIKELY(t->flags & TF_CANCELLED) && p->abort) {
        int rc = p->abort(p);
        if (!p->task) return completed_early(s, t, p);
        if (rc == UVT_ABORT_DONE) {
            p->task = NULL;
            t->park = NULL;
            return uvt__yield_cancelled(s, t);
        }
        t->flags |= TF_ABORT_ASKED;
    }
    return wait_parked(s, t, p);
}

/* For the core's own waits that must not end early. */
int uvt__park_shielded(uvt_park_t *p) {
    uvt__shard *s = uvt__here();
    uvt__task *t = s->current;
    p->task = t;
    p->abort = NULL;
    t->park = p;
    if (UNLIKELY(t->unarmed)) uvt__scopes_arm(s, t); /* what it waits for may lie under them */
    return UNLIKELY(!p->task) ? completed_early(s, t, p) : wait_parked(s, t, p);
}

bool uvt_unpark(uvt_park_t *p, int result) {
    uvt__task *t = p->task;
    if (!t) return false;
    if (UNLIKELY((uintptr_t)t & 1)) return uvt__choice_unpark(p, result);
    uvt__shard *s = uvt__here();
    UVT_ASSERT(s && t->id >> TAG_SHIFT == s->tag >> TAG_SHIFT, "uvt_unpark on another thread than the task's");
    p->task = NULL;
    p->result = result;
    if (t->state == T_PARKED && t->park == p) {
        t->park = NULL;
        t->flags &= (uint16_t)~TF_ABORT_ASKED;
        uvt__ready(s, t);
    }
    return true;
}
