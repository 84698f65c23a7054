/* SPDX-License-Identifier: MIT
 *
 * The core's own header: the structures of tasks, sets and shards, and the calls between the core's files.
 *
 * A shard is one loop and all that runs on it; everything here is touched by its thread alone, except the
 * mailbox. A node is what can own: a task or a set. Ownership and cancellation are one tree: a cancel walks
 * the nodes below. Records of nodes are recycled but not freed while the shard lives, so that a handle
 * (record, id) can always be checked; an id's upper 16 bits name the shard, so a handle of another shard is
 * refused before its record is looked at.
 */
#ifndef UVT_CORE_H
#define UVT_CORE_H

#include <uvtask.h>
#include <uvtask/park.h>
#include <stdatomic.h>
#include "uvt_config.h"
#include "core/arch/switch.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define CONTAINER_OF(ptr, type, field) ((type *)((char *)(ptr) - offsetof(type, field)))

typedef struct uvt__node uvt__node;
typedef struct uvt__task uvt__task;
typedef struct uvt__set uvt__set;
typedef struct uvt__shard uvt__shard;
typedef struct uvt__stack uvt__stack;
typedef struct uvt__msg uvt__msg;
typedef struct uvt__group uvt__group;
typedef struct uvt__res uvt__res;
typedef struct uvt__waits uvt__waits;

/* ---- always-on assertions: for what would corrupt memory, with the place and the task ---- */
UVT_NORETURN void uvt__assert_fail(const char *file, int line, const char *what);
#define UVT_ASSERT(cond, what) (LIKELY(cond) ? (void)0 : uvt__assert_fail(__FILE__, __LINE__, what))

static inline void uvt__cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* ---- memory (alloc.c): every allocation goes through here; NULL is out of memory ---- */
void *uvt__alloc(size_t size);
void *uvt__calloc(size_t size);
void uvt__free(void *p);

/* ---- fault hooks (hooks.c): the test kit sets them, everybody else pays one predictable branch ---- */
extern atomic_bool uvt__faults;
int uvt__fault_uv(void);
/* A fallible call of libuv: rc = UVT_UV(uv_tcp_init(loop, h)) */
#define UVT_UV(call)                                                                                                   \
    (UNLIKELY(atomic_load_explicit(&uvt__faults, memory_order_relaxed)) && uvt__fault_uv() != 0                        \
         ? atomic_load(&uvt__fault_code)                                                                               \
         : (call))
extern atomic_int uvt__fault_code;
void uvt__fault_uv_set(unsigned n, int code);
bool uvt__fault_uv_hit(void);

/* ---- nodes ---- */
enum { NODE_TASK = 0, NODE_SET = 1 };

struct uvt__node {
    uintptr_t up;           /* the owner's node (0: the root set's), plus NODE_SET when this is a set */
    uvt__node *child;       /* first of the nodes it owns */
    uvt__node *prev, *next; /* neighbours among the owner's children */
};

/* A task's life: FREE -> (DELAYED ->) READY -> RUNNING <-> PARKED ... -> DONE -> FREE. SHARED: any shard may begin
 * it. */
enum { T_FREE, T_DELAYED, T_READY, T_RUNNING, T_PARKED, T_DONE, T_SHARED };

enum {
    TF_BASE_CANCELLED = 1,   /* the task as a whole was cancelled */
    TF_CANCELLED = 2,        /* a suspending call made now would say UV_ECANCELED (scopes considered) */
    TF_ABORT_ASKED = 4,      /* the current park's abort was called and answered LATER */
    TF_SKIP = 8,             /* cancelled during its start delay: never runs */
    TF_CLOSING = 16,         /* its body has returned; it is awaiting what it owns */
    TF_STACKLESS = 32,       /* something else stands behind it */
    TF_STARTING = 64,        /* spawned by uvt_set_start and not started yet */
    TF_MAIN = 128,           /* the function given to uvt_run */
    TF_NAMED = 256,          /* ext->name is its name */
    TF_GUEST = 512,          /* runs here for a task of another shard, or a foreign thread */
    TF_NEVER_RAN = 1024,     /* ended without its body having run */
    TF_UNHELD = 2048         /* a child of whom no handle was asked for: its record goes with it */
};

struct uvt__defer {
    struct uvt__defer *next;
    void (*fn)(void *);
    void *arg;
};

/* What few tasks need, allocated on first use, freed with the task. */
typedef struct uvt__ext {
    struct uvt__defer *defers;  /* last registered first */
    uint32_t stack_size;        /* 0: the shard's default */
    void (*drop)(void *arg);    /* called if the body never runs; may be NULL */
    uint32_t locals_set;        /* bit per key that has a value */
    void **locals;              /* UVT__KEYS values or NULL */
    uvt_park_t *starter;        /* TF_STARTING: who waits in uvt_set_start */
    bool started;               /* TF_STARTING: it has called uvt_started, but too late */
    char message[96];           /* panic message */
    char name[32];              /* TF_NAMED */
} uvt__ext;

/* What stands behind a task without a stack: the beginning of a oneshot, a job, a task on another shard. */
typedef struct uvt__behind {
    void (*cancel)(uvt__shard *s, uvt__task *t); /* it was cancelled: has it end, now (uvt__stackless_skip) or later */
    void (*end)(uvt__task *t);                   /* called once, when it ends, before anybody is told */
} uvt__behind;

struct uvt__task {
    /* touched by every switch */
    union {
        void *sp;            /* saved context while suspended */
        uvt__behind *behind; /* TF_STACKLESS */
    };
    uvt__task *qnext;        /* next in the ready queue, in a set's results, or in the free list */
    uvt_park_t *park;        /* non-NULL while parked */
    uvt__stack *stack;       /* NULL until started */
    uvt_scope_t *scope;      /* innermost open scope */
    uint8_t state;
    uint16_t flags;
    uint32_t unarmed;        /* scopes with a deadline that is not armed yet */
    uvt__ext *ext;           /* NULL as a rule */
    uint64_t id;             /* 0 while free */
    /* touched by spawn, start and end */
    uvt__node node;
    uvt_fn fn;
    void *arg;
    const char *site;        /* UVT_SITE string */
    union {
        uvt_park_t *joiner;      /* owned by a task: who waits in uvt_join */
        void (*drop)(void *arg); /* owned by a set: its drop, which stays with the member when that is detached */
        struct uvt__guest *guest; /* TF_GUEST */
    };
    /* touched by few */
    uvt__timer_t timer;      /* start delay, then sleep */
    uvt__res *res;           /* what it owns that is given back at its end: streams, listeners, locks */
    const char *reason_text; /* with reason_code: why it was cancelled as a whole */
    int32_t status;          /* valid when DONE */
    int32_t child_failure;   /* first failure of a child that nobody joined, or 0 */
    uint8_t outcome;         /* valid when DONE */
    uint8_t reason_code;
};

/* Who is told of the end of a guest: the shard's root set owns it, its result goes elsewhere. */
typedef struct uvt__guest {
    void (*ended)(struct uvt__guest *g, uvt__task *t);
    bool foreign; /* a thread without a runtime waits for it */
} uvt__guest;

struct uvt__set {
    uvt__node node;           /* owner: the task that opened it, NULL for the root set */
    uint64_t id;              /* 0 while free */
    uvt_scope_t *scope;       /* the opener's scope that it lies under */
    uvt__task *done, **done_tail; /* results not taken yet, in the order they came */
    uvt_park_t *waiter;       /* in next, wait or close */
    struct uvt__room_wait *spawners, **spawners_tail; /* waiting for room, oldest first */
    uint32_t live, results, limit;
    uint32_t cut_short;       /* members that ended cancelled and were not handed out */
    int32_t place;            /* of members that bring none */
    uint32_t granted;         /* room promised to spawners that were woken and have not run yet */
    int32_t error;            /* first failure (fail_fast, discard) */
    bool fail_fast, discard;
    bool closing;             /* in uvt_set_close, or abandoned */
    bool abandoned;           /* its owner has ended and awaits it: it frees itself */
    void (*drop)(void *arg);  /* for members whose body never runs; may be NULL */
    bool wait_all;            /* the waiter wants live == 0, not just a result */
    uvt__set *qnext;          /* free list */
    uvt__set *all;            /* every set record there is */
};

/* ---- shard ---- */
typedef struct uvt__queue {
    uvt__task *head, *tail;
    unsigned count;
} uvt__queue;

#define WHEEL_BITS 6
#define WHEEL_SLOTS 64
#define WHEEL_LEVELS 8

typedef struct uvt__wheel {
    uint64_t elapsed;                  /* ms: all timers due up to here have fired */
    uint64_t used[WHEEL_LEVELS];       /* bit per slot that is not empty */
    size_t armed;                      /* timers in it */
    uvt__timer_t slot[WHEEL_LEVELS][WHEEL_SLOTS]; /* list heads */
} uvt__wheel;

typedef struct uvt__stack_class uvt__stack_class;

/* What gets a loop out of its poll (bell.c). */
typedef struct uvt__bell {
    union {
        uv_handle_t handle;
        uv_async_t async;
        uv_poll_t poll;
    } uv;
    int fd; /* eventfd, negative when there is none */
} uvt__bell;

/* What other threads may touch of a shard; it outlives the loop (mailbox.c). */
struct uvt_runtime {
    atomic_int refs;
    char apart[64];           /* posters write the next one, whoever comes and goes the last one */
    _Atomic(uvt__msg *) head; /* newest message not taken yet, or a mark: AWAKE, ASLEEP, CLOSED */
    atomic_uint woken;        /* times a poster has replaced ASLEEP and is done with the bell */
    unsigned owed;            /* times the loop has seen ASLEEP replaced; the loop's thread only */
    bool dozes;               /* between two polls: take the mark AWAKE, so that posts need no wake-up */
    struct uvt__bell *bell;   /* valid while not closed */
    _Atomic(uvt__shard *) shard; /* NULL after the end; only the loop's thread follows it */
    uint64_t tag;             /* upper 16 bits of the shard's ids */
    uvt_runtime_t *next;      /* in the registry, under its lock */
    uint64_t gid;             /* of the shards it is one of; 0 when it is alone */
    unsigned index, shards;   /* which of how many; 0 of 0 when it is alone */
    struct {                  /* tasks placed UVT_ANY that nobody has begun (shard/any.c) */
        atomic_bool locked;
        uvt__task **ring;     /* under the lock: cap entries, those from head to tail in use, some of them NULL */
        uint64_t head, tail, cap;
        atomic_uint count;
        atomic_bool hungry;   /* the shard is about to sleep, or sleeps, and would take some */
        atomic_uint out;      /* tasks of others that it has taken and whose homes have not heard of the end */
        _Atomic(struct uvt__remote *) back; /* the records of those that have ... */
        struct uvt__remote *bags; /* ... and those taken from there; the loop's thread only */
        unsigned haul;        /* the loop's thread only, as the rest: how many more than one to take at a time ... */
        unsigned got;         /* ... how many were taken last and have not run yet ... */
        bool naps;            /* ... and whether it has left off taking for a moment */
        uvt__timer_t nap;     /* until then */
    } any;
    struct {                  /* what the shard waits for while ASLEEP (shard/rest.c); set before it */
        atomic_uint epoch;    /* how often it has woken */
        atomic_uint state;
        _Atomic uint64_t due; /* its next timer on the virtual clock */
    } rest;
};

struct uvt__msg {
    uvt__msg *next;
    void (*fn)(void *arg);
    void *arg;
    bool embedded; /* the memory is part of something else: not freed after running */
};

/* Records of blocking jobs that are not in use (pool/records.c). */
typedef struct uvt__job_store {
    struct uvt__job *first, *last; /* those that go round, while round > 0 */
    unsigned round;           /* so many */
    struct uvt__job *others;
    struct uvt__job_chunk *chunks;
    void (*release)(uvt__shard *s); /* set with the first chunk; at the shard's end */
} uvt__job_store;

struct uvt__shard {
    uvt__task *current;       /* running task; NULL on the loop's own stack */
    int budget;               /* operations that may complete at once before the task has to yield */
    uint64_t tag;             /* upper 16 bits of every id made here */
    uint64_t serial;          /* last id given out */
    uvt__queue ready;         /* to run in this batch */
    uvt__queue yielded;       /* to run after the next poll */
    void *loop_sp;            /* the loop's context while tasks run */
    void *nowhere;            /* where a context that will not be resumed is saved */
    unsigned left;            /* task runs left in this batch */
    bool idling;              /* the idle handle is started */
    bool in_batch;
    bool polling;             /* from the prepare hook until the check hook has woken the poll's readers */
    bool virtual_clock;
    bool attached;            /* on a loop that the host drives */
    bool loop_made;
    bool ending;              /* main has ended or shutdown was asked for */
    uint8_t quiet;            /* loop turns in a row in which nothing happened (virtual clock) */
    uint64_t clock;           /* virtual ms */
    uint64_t shuffle;         /* state of the seeded order, 0 off */
    uvt__task *free_tasks;
    uvt__set *free_sets;
    uvt__set *all_sets;
    struct uvt__chunk *chunks; /* memory of the records */
    uvt__stack_class *classes; /* stacks by size (stack.c) */
    uint64_t trimmed_at;      /* when stacks gave pages back last, ms of uv_now */
    uvt__stack *dying;        /* stack of a task that has ended, until we are off it */
    uvt__set *root;           /* owner of main and of detached tasks */
    uvt_result main_result;
    uvt__wheel wheel;
    uv_loop_t *loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t timer;
    uvt__bell bell;
    uint64_t timer_at;        /* what the uv_timer is set to; UVT_FOREVER stopped */
    int handles_open;         /* the five above and io's, until their close callbacks ran */
    bool end_due;             /* to be taken down after this batch (attached) */
    bool tearing_down;
    int externals;            /* uvt_external_begin less _end */
    int pool_reqs;            /* requests of ours on libuv's thread pool, jobs included */
    int jobs_out;             /* blocking jobs that have not come back and are waited for */
    int jobs_forgiven;        /* those that the end does not wait for any more */
    struct uvt__job *jobs;    /* both, for the pool to name. Set with the first one: reports those that have been out
                                 since before a time, or the end's beginning, and forgives them if told so */
    void (*jobs_overdue)(uvt__shard *s, uint64_t before, bool forgive);
    uvt__job_store job_store;
    uvt_runtime_t *mailbox;
    uvt__group *group;        /* NULL when it is alone */
    uint64_t gid;             /* the same number for all shards of a group: objects remember it */
    uvt__msg *inbox;          /* messages taken and not run yet */
    bool many;                /* group->n > 1 */
    bool asleep;              /* the mailbox's mark may be ASLEEP (shard/rest.c) */
    struct uvt__linger {      /* looking for the answer before it sleeps (shard/rest.c) */
        bool sent;            /* a message to another shard since it slept last */
        bool prompt;          /* the last sleep after a message of ours was short */
        uint8_t vain;         /* how often in a row it has looked in vain, up to a bound */
        uint8_t skip;         /* occasions to let pass for that */
        uint64_t since;       /* ns: since when it sleeps, having sent; 0: it had not */
    } linger;
    bool stopped;             /* the whole group is over */
    bool counted;             /* among the group's quiet ones */
    bool named;               /* the end has named those that take long */
    bool keep_stacks;         /* those in use stay mapped for ever: a forgiven job may point into them */
    uint64_t end_began;       /* ms: since when jobs are to come back; 0 not yet */
    uint64_t ticks_then, ns_then; /* the processor's counter and the clock when the shard was made */
    uint64_t select_owed;     /* stats.switches when a select did not give way that should have */
    uint32_t select_turn;     /* selects so far: where the next begins to look */
    unsigned tick;            /* picks, for looking at the shared tasks now and then */
    uvt__task *(*take_any)(uvt__shard *s); /* the next of the tasks placed UVT_ANY here, or NULL */
    int (*place)(uvt__shard *s, uvt__task *t, int place); /* has a new task run elsewhere */
    void (*withdraw)(uvt__shard *s, uvt__task *t); /* a SHARED task: READY here, or without a stack when it is away */
    void (*rest)(uvt__shard *s);  /* nothing to run: look elsewhere, or get ready to sleep in the poll */
    void (*wake)(uvt__shard *s);  /* after the poll */
    void (*end_others)(uvt__shard *s);   /* the end begins: for the other shards, too */
    void (*grace_others)(uvt__shard *s); /* the same of the time that jobs have */
    void (*is_quiet)(uvt__shard *s);     /* it is ending and has no live task */
    uvt_options opt;
    int root_failure;         /* first failure of a detached task */
    bool deadlocked;
    uvt__timer_t end_timer;   /* when a shutdown names the stragglers */
    void (*shutdown_cb)(void *, int);
    void *shutdown_arg;
    uvt_stats stats;
    void *tsan_loop, *asan_fake; /* the loop's context for the sanitizers */
    const void *asan_bottom;
    size_t asan_size;
    uv_loop_t own_loop;
    struct uvt__io *io;       /* io's own state, made on first use ... */
    void (*io_release)(uvt__shard *s); /* ... and how it goes */
    void (*io_told)(uvt__shard *s); /* wakes those that the poll has told of something; NULL when there are none */
    uint64_t cancel_at_task;   /* test kit: the id of the task to abort at a later suspension; 0 none */
    unsigned cancel_at_n;
    bool cancel_at_hit;
};

extern __thread uvt__shard *uvt__tls __attribute__((tls_model("initial-exec")));

static inline uvt__shard *uvt__here(void) {
    return uvt__tls;
}
static inline uvt__task *uvt__current(void) {
    return uvt__tls ? uvt__tls->current : NULL;
}

#define TAG_SHIFT 48
static inline uint64_t uvt__new_id(uvt__shard *s) {
    return s->tag | ++s->serial;
}

#define TASK_OF(n) CONTAINER_OF(n, uvt__task, node)
#define SET_OF(n) CONTAINER_OF(n, uvt__set, node)
static inline bool uvt__is_set(const uvt__node *n) {
    return (n->up & NODE_SET) != 0;
}
static inline uvt__node *uvt__owner(const uvt__node *n) {
    return (uvt__node *)(n->up & ~(uintptr_t)NODE_SET);
}

/* wait.c: what objects that several shards use need. The lock of an object is taken only where there is more than one
 * thread to use it; locks of two objects are never held together. */
void uvt__lock(const void *object);
void uvt__unlock(const void *object);

/* One task that waits for several things at once (sync/select.c): each of its waits is a part, the first completion
 * that claims the choice ends it. A part's park is not the task's own: its `task` is the choice, marked as one. */
typedef struct uvt__choice {
    uvt_park_t park;                  /* what the task is parked on */
    _Atomic(const uvt_park_t *) won;  /* the part that ends it; &park: the task has withdrawn. Set once, by any shard */
} uvt__choice;
void uvt__choice_part(uvt__choice *c, uvt_park_t *part); /* makes it one, before it is hooked anywhere */
bool uvt__choice_withdraw(uvt__choice *c);               /* nobody can claim it any more; false: somebody has */
bool uvt__choice_unpark(uvt_park_t *part, int result);
/* Before something is handed over to a park that may be a part: false when its task has been served elsewhere. */
bool uvt__park_claim(uvt_park_t *p);

typedef struct uvt__wait {
    uvt_park_t park;
    struct uvt__wait *next, *prev; /* in its object's queue, under the object's lock */
    uvt_runtime_t *home;           /* where its task is */
    uvt__choice *choice;           /* NULL: the wait is all its task waits for */
    void *slot;                    /* the object's, as n: what is handed over goes there, comes from there ... */
    uint64_t n;                    /* ... or how much it is */
    uvt__msg msg;
    int result;
    bool hooked;                   /* in the queue */
} uvt__wait;
void uvt__wait_hook(uvt__waits *q, uvt__wait *w, uvt__shard *s);
void uvt__wait_unhook(uvt__waits *q, uvt__wait *w);
/* Unhooks it, too. A task that was served elsewhere is not told. */
void uvt__wait_wake(uvt__waits *q, uvt__wait *w, int result);
/* Before something is handed over to a wait: false, and it is out of the queue, when its task was served elsewhere. */
static inline bool uvt__wait_claim(uvt__waits *q, uvt__wait *w) {
    if (LIKELY(!w->choice) || uvt__park_claim(&w->park)) return true;
    uvt__wait_unhook(q, w);
    return false;
}
/* Takes a wait out when its task gives up: UVT_ABORT_LATER when what it waits for is on its way. With the lock held. */
static inline int uvt__wait_leave(uvt__waits *q, uvt__wait *w) {
    if (!w->hooked) return UVT_ABORT_LATER;
    uvt__wait_unhook(q, w);
    return UVT_ABORT_DONE;
}

/* task.c */
const char *uvt__name(const uvt__task *t);
/* ext: one made beforehand for it, or NULL; it stays the caller's when this fails. */
int uvt__task_new(uvt__shard *s, uvt__node *owner, uvt_fn fn, void *arg, const uvt_task_options *o, uvt__ext *ext,
                  const char *site, uvt__task **out);
uvt__ext *uvt__task_ext(uvt__task *t);
int uvt__task_find(uvt_task_t h, uvt__task **out); /* checks a handle on its shard */
/* uvt_join in two halves, for those who wait for several things: the result, or UV_EAGAIN while it runs; and the task
 * that *w (slot: a uvt_result or NULL, result: the status) is then to wait for. */
int uvt__join_now(uvt_task_t h, uvt_result *r);
int uvt__join_hook(uvt_task_t h, uvt__wait *w);
void uvt__join_unhook(uvt_task_t h, uvt__wait *w);
void uvt__task_body_done(uvt__shard *s, uvt__task *t, int rc);
void uvt__task_finish(uvt__shard *s, uvt__task *t); /* after the epilogue: tells whoever waits, may free t */
void uvt__task_free(uvt__shard *s, uvt__task *t);
void uvt__task_result(const uvt__task *t, uvt_result *r);
void uvt__task_drop(uvt__shard *s, uvt__task *t); /* its body will never run */
/* Has a new task run in its place; after a failure it is gone. */
int uvt__task_launch(uvt__shard *s, uvt__task *t, const uvt_task_options *o);
void uvt__task_complete(uvt__shard *s, uvt__task *t, int status); /* stackless tasks */
void uvt__stackless_skip(uvt__shard *s, uvt__task *t); /* has it end, cancelled, in its turn (once) */
void uvt__node_link(uvt__node *owner, uvt__node *n);
void uvt__node_unlink(uvt__node *n);
bool uvt__failed(const uvt__task *t); /* ended with a failure that is no cancellation */
int uvt__task_locals_inherit(uvt__task *child, const uvt__task *parent);
int uvt__locals_copy(const uvt__task *parent, uint32_t *set, void ***values); /* those that inherit; NULL if none */
void uvt__records_release(uvt__shard *s);
void uvt__owner_child_done(uvt__shard *s, uvt__task *owner, uvt__task *t);
void uvt__owner_recheck(uvt__node *owner);
void uvt__give_to_root(uvt__shard *s, uvt__task *t);

/* epilogue.c */
void uvt__res_report(const uvt__res *r, const char *what); /* "leak: ... was <what> by task ..." */
/* The owner's list of what is given back at its end. Only the owner's own thread is at it; r->owner, which others may
 * read, is the caller's to set. */
static inline void uvt__res_link(uvt__res *r, uvt__task *owner) {
    uvt__res *first = owner->res;
    r->prev = NULL;
    r->next = first;
    if (first) first->prev = r;
    owner->res = r;
}
static inline void uvt__res_unlink(uvt__res *r, uvt__task *owner) {
    if (r->prev) r->prev->next = r->next;
    else owner->res = r->next;
    if (r->next) r->next->prev = r->prev;
}
void uvt__task_epilogue(uvt__shard *s, uvt__task *t);

/* set.c */
void uvt__set_child_done(uvt__shard *s, uvt__set *set, uvt__task *t);
uvt__set *uvt__set_new(uvt__shard *s, uvt__node *owner);
void uvt__set_free(uvt__shard *s, uvt__set *set);
void uvt__set_abandon(uvt__shard *s, uvt__set *set);
void uvt__set_starting_ended(uvt__task *t);
/* A member without a stack, in its turn. */
int uvt__set_spawn_behind(uvt_set_t *h, uvt__behind *behind, void *arg, const uvt_task_options *o, const char *site,
                          uvt__task **out);
/* uvt_set_next's waiting half: 0 hooked, else a code; UV_EAGAIN when uvt_set_try_next has something to say by now. */
int uvt__set_hook(uvt_set_t *h, uvt_park_t *p);
void uvt__set_unhook(uvt_set_t *h, uvt_park_t *p);
void uvt__unspawn(uvt__shard *s, uvt__task *t); /* a task just made without a stack is not to be after all */

/* cancel.c */
void uvt__cancel_task(uvt__shard *s, uvt__task *t, uvt_reason why);
void uvt__cancel_children(uvt__shard *s, uvt__node *n, uvt_reason why);
bool uvt__scope_reached(const uvt__task *t, const uvt_scope_t *from); /* does a cancel reach this place? */
void uvt__task_recheck(uvt__shard *s, uvt__task *t);                   /* after a change of its scopes */
void uvt__scope_fire(uvt__shard *s, uvt_scope_t *sc, uvt_reason why);
uvt_reason uvt__reason_at(const uvt__task *t, const uvt_scope_t *from);
void uvt__sets_recheck(uvt__shard *s, const uvt_scope_t *sc);
void uvt__task_sets_recheck(uvt__shard *s, uvt__task *t);
void uvt__sets_move_out(uvt__task *t, uvt_scope_t *sc);

/* scope.c */
void uvt__scopes_arm(uvt__shard *s, uvt__task *t);
bool uvt__scopes_drop(uvt__shard *s, uvt__task *t, bool report); /* was one open? */

/* token.c */
void uvt__token_unbind(uvt_scope_t *sc);
int uvt__token_local(uvt__shard *s, uvt_token_t *k, uvt_token_t **out);
bool uvt__token_bind(uvt_scope_t *sc, uvt_token_t *tok);
/* On a token of this shard: w->fire is called when it is cancelled; false when it is already. */
bool uvt__token_hook(uvt_token_t *k, uvt__timer_t *w);
void uvt__token_unhook(uvt__timer_t *w); /* if it is still hooked */
bool uvt__token_near(const uvt__shard *s, const uvt_token_t *k); /* it is of this runtime */

/* sched.c */
void uvt__ready(uvt__shard *s, uvt__task *t);
void uvt__yielded(uvt__shard *s, uvt__task *t);
void uvt__suspend(uvt__shard *s, uvt__task *t); /* switch away; returns when the task is resumed */
UVT_NORETURN void uvt__leave(uvt__shard *s, uvt__task *t);
int uvt__yield_cancelled(uvt__shard *s, uvt__task *t);
int uvt__checkpoint_slow(uvt__shard *s, uvt__task *t);
void uvt__run_batch(uvt__shard *s);
void uvt__run_some(uvt__shard *s, size_t most); /* of those that are ready now */
void uvt__splice_yielded(uvt__shard *s);
void uvt__keep_turning(uvt__shard *s);
/* On the virtual clock, in a loop turn in which nothing happened: false when the clock may move. */
bool uvt__quiet_turn(uvt__shard *s);
int uvt__park_shielded(uvt_park_t *p);
void uvt__task_entry(void);

/* The beginning of every suspending call that may complete at once: whether it just goes on. */
static inline bool uvt__goes_on(uvt__shard *s) {
    return LIKELY(!(s->current->flags & TF_CANCELLED) && --s->budget >= 0);
}

/* The same for those that need not look again at what they were called on after a suspension. */
static inline int uvt__enter(uvt__shard *s) {
    return uvt__goes_on(s) ? 0 : uvt__checkpoint_slow(s, s->current);
}

/* timer.c */
uint64_t uvt__now(const uvt__shard *s);        /* ms, rounded down */
/* When it was that the counter stood at `then` (uvt__ticks), reckoned back from now_ns, before which it was read to be
 * `now`: never too early. */
uint64_t uvt__at_ticks(const uvt__shard *s, uint64_t then, uint64_t now, uint64_t now_ns);
uint64_t uvt__after(const uvt__shard *s, uint64_t ms); /* ms from now, rounded up */
void uvt__timer_arm(uvt__shard *s, uvt__timer_t *t, uint64_t due);
void uvt__timer_disarm(uvt__shard *s, uvt__timer_t *t);
void uvt__timer_wakes(uvt__timer_t *t);    /* fire of the timer in a parked task's record: makes it ready, with 0 */
void uvt__wheel_init(uvt__shard *s);
void uvt__wheel_clear(uvt__shard *s); /* disarms whatever is armed */
void uvt__wheel_advance(uvt__shard *s, uint64_t now);
uint64_t uvt__wheel_next(const uvt__wheel *w);
void uvt__timer_set(uvt__shard *s);
void uvt__on_timer(uv_timer_t *h);

/* stack.c */
size_t uvt__stack_round(size_t size); /* bytes a stack of at least size has; 0 when it is out of range */
uvt__stack *uvt__stack_get(uvt__shard *s, size_t size, int *err);
void uvt__stack_put(uvt__shard *s, uvt__stack *st);
void uvt__stacks_trim(uvt__shard *s);
void uvt__stacks_release(uvt__shard *s, bool keep_used);

/* bell.c */
int uvt__bell_init(uvt__bell *b, uv_loop_t *loop);
void uvt__bell_ring(uvt__bell *b); /* any thread */
void uvt__bell_free(uvt__bell *b); /* after its close callback */

/* mailbox.c */
int uvt__mailbox_new(uvt__shard *s, uvt_runtime_t **out);
void uvt__mailbox_close(uvt_runtime_t *m); /* takes no more, and runs what was accepted */
bool uvt__mailbox_drain(uvt__shard *s);    /* runs what is there; false when nothing was */
uvt__msg *uvt__mailbox_look(uvt__shard *s); /* the next message, which stays in the inbox; NULL */
bool uvt__mailbox_doze(uvt_runtime_t *m);  /* ASLEEP from now on; false when there are messages */
void uvt__mailbox_rouse(uvt_runtime_t *m); /* AWAKE again */
void uvt__mailbox_nudge(uvt_runtime_t *m); /* from any thread: wakes it if it is ASLEEP */
bool uvt__mailbox_filled(const uvt_runtime_t *m);
bool uvt__mailbox_asleep(const uvt_runtime_t *m);
uvt_runtime_t *uvt__runtime_ref(uvt_runtime_t *m);
void uvt__on_bell(uvt__shard *s);
void uvt__registry_add(uvt_runtime_t *m);           /* gives it its tag */
void uvt__registry_remove(uvt_runtime_t *m);
bool uvt__registry_alive(uint64_t tag);
int uvt__post_embedded(uvt_runtime_t *m, uvt__msg *msg); /* cannot run out of memory */
uvt_runtime_t *uvt__registry_find(uint64_t id);     /* a reference, or NULL */
uvt_runtime_t *uvt__registry_peer(const uvt_runtime_t *m, unsigned index); /* the same */
void uvt__mailbox_join(uvt_runtime_t *m, uint64_t gid, unsigned index, unsigned of); /* before anybody posts */

/* dump.c */
void uvt__report(uvt__shard *s, const char *format, ...) UVT_PRINTF(2, 3);
void uvt__report_tasks(uvt__shard *s, const char *headline);

/* runtime.c */
int uvt__shard_new(uvt__shard **out, uv_loop_t *loop, const uvt_options *o, bool virtual_clock);
void uvt__shard_enter(uvt__shard *s);  /* this thread runs it from now on */
void uvt__shard_close(uvt__shard *s);  /* its loop has ended: takes no more messages, and runs what it has */
int uvt__shard_finish(uvt__shard *s);  /* after that: closes and frees everything; first root failure */
int uvt__spawn_root(uvt__shard *s, uvt_fn fn, void *arg, const char *site, uvt__task **out);
void uvt__begin_end(uvt__shard *s);
void uvt__deadlock_cancel(uvt__shard *s); /* reports it, and has the clean-up run */
void uvt__deadlock_give_up(uvt__shard *s);
bool uvt__abort_all_waits(uvt__shard *s);
void uvt__main_returned(uvt__shard *s); /* its body, that is */
void uvt__grace_begins(uvt__shard *s);
int uvt__options_check(const uvt_options *o);
void uvt__handle_opened(uvt__shard *s); /* a uv handle of ours is on the loop ... */
void uvt__handle_closed(uvt__shard *s); /* ... and its close callback has run; s may be gone afterwards */
void uvt__main_done(uvt__shard *s, uvt__task *t);
void uvt__maybe_end(uvt__shard *s);

/* Blocking jobs of this shard that have not come back keep the loop waiting, like uvt_external_begin. */
void uvt__job_out(uvt__shard *s);
void uvt__job_back(uvt__shard *s);
void uvt__job_forgiven(uvt__shard *s); /* instead of back: it will not be heard of in time */

/* pool_size.c: the one pool of the process. Every runtime enters it before its loops run and leaves it after. */
int uvt__pool_enter(const uvt_options *o);
void uvt__pool_leave(void);
extern void (*_Atomic uvt__pool_changed)(void); /* the same, when the reserve is another */
extern void (*_Atomic uvt__pool_close)(void); /* set by the pool, for after the last runtime */

/* The code of the user's that runs on a thread of the pool, innermost first (epilogue.c, pool). */
typedef struct uvt__work {
    struct uvt__work *outer;
    bool (*stopped)(const struct uvt__work *w); /* has it been asked to stop? */
    void (*panic)(struct uvt__work *w);         /* does not return */
    char message[96];                           /* of the panic */
} uvt__work;
extern __thread uvt__work *uvt__working __attribute__((tls_model("initial-exec")));

#define UVT__KEYS 32

#endif
