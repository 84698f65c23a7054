/* SPDX-License-Identifier: MIT
 *
 * Running a program, and the model beside it. Each worker is a task that does its operations in order. The model
 * is told before a call is made (prepare) and after it (done), so what it knows holds whatever the order in
 * which the library did things: a value is "perhaps sent" in between.
 *
 * When all timers have fired and nothing moves any more, on any shard, the model is exact: for every
 * worker that still waits it must be true then that what it waits for is not there (possible). That is how a lost
 * wake-up is found.
 *
 * Everything here but a slot's `place` is under one lock, which is never held in a call of the library that could
 * call back or suspend.
 */
#ifndef RANDOM_RUN_H
#define RANDOM_RUN_H

#include <uvtask.h>

#include "program.h"

struct worker;
struct thing;

struct element { /* what goes through channels */
    uint32_t index, check;
};
enum { MANY = 4, LIMITS = 8 };

/* One call, or one case of a select. */
struct slot {
    struct worker *w;
    const struct kind *kind;
    struct thing *thing;
    unsigned n;
    bool armed;     /* prepared and not done: it may wait */
    bool fits;      /* prepare has found what done is to judge by */
    uint64_t began; /* stamp */
    uint64_t since; /* ms of uvt_now */
    struct worker *other; /* whom it is about */
    union {         /* where values go to and come from; the worker's alone until done */
        uvt_result result;
        struct {
            int status;
            void *value;
        } got;
        struct element element, elements[MANY];
    } place;
};

/* How the operations of one kind are done. prepare and done are called with the lock held. */
struct kind {
    const char *name;
    bool (*prepare)(struct slot *s);          /* false: there is nothing to be done now */
    int (*call)(struct slot *s);
    uvt_case_t (*as_case)(struct slot *s);
    void (*done)(struct slot *s, int rc);     /* UV_ECANCELED also for cases that another one has beaten */
    bool (*possible)(const struct slot *s);   /* nothing moves: could it have gone on? NULL: always */
};

/* What a worker holds of a thing. */
struct grip {
    unsigned held;   /* permits, locks */
    unsigned closed; /* ends of its handles that it has closed */
    union {          /* its handles */
        uvt_chan_t chan;
        struct {
            uvt_broadcast_t sender;
            uvt_subscriber_t subscriber;
            uint64_t at; /* how many elements it has had, lost ones included */
        };
        struct {
            uvt_watch_t setter;
            uvt_watcher_t watcher;
            unsigned value;                /* that it has read last */
            uint64_t saw_began, saw_ended; /* when it did: stamps */
            bool marked;                   /* as not seen */
        };
    };
};

struct thing {
    unsigned index, n;
    const struct type *type;
    bool closed; /* it was closed for good: waiters are told */
    unsigned senders, receivers; /* open ends of handles, of things that have such */
    union {
        struct {
            uvt_semaphore_t it;
            unsigned held; /* by all workers */
            unsigned limit;
            struct {       /* limits there were before */
                unsigned limit;
                uint64_t until; /* stamp */
            } was[LIMITS];
            unsigned changes;
            bool bounded, changing;
        } semaphore;
        struct {
            uvt_oneshot_t *it;
            bool sending, sent, unsent, received, receiving; /* unsent: the sender's end was given back */
            struct worker *receiver;
        } oneshot;
        struct {
            uvt_token_t *it;
            bool perhaps, surely; /* cancelled */
        } token;
        struct {
            uvt_mutex_t mutex;
            uvt_cond_t cond; /* the mutex's */
            uvt_rwlock_t rw;
            struct worker *writer; /* or who has the mutex */
            unsigned readers;
        } lock;
        struct {
            uvt_event_t it;
            unsigned sets; /* that have begun */
        } event;
        struct {
            uvt_notify_t it;
            bool kept; /* surely, for the next */
        } notify;
        struct {
            uvt_once_t it;
            const struct worker *runner;
            bool done;
            int result;
        } once;
        struct {
            uvt_rate_t it;
            unsigned tokens, period, burst;
            uint64_t least, most, at; /* in the bucket, tokens times period; at that ms */
            uint64_t moved_up;        /* ms when somebody left the line last */
        } rate;
        struct {
            uvt_barrier_t it;
            unsigned through, leaders;
        } barrier;
        struct {
            uvt_chan_t it;     /* the main task's */
            unsigned reserved; /* permits that workers know to have */
            bool ended;
        } chan;
        struct {
            uvt_broadcast_t it; /* the main task's */
            unsigned begun, sent;
        } broadcast;
        uvt_watch_t watch; /* the same */
    };
};

struct type {
    const char *name;
    int (*open)(struct thing *t);                      /* in the main task, before the workers */
    void (*leave)(struct worker *w, struct thing *t);  /* at a worker's end: gives back what it holds */
    void (*close)(struct thing *t);                    /* in the main task, when all have ended: last checks */
};

struct worker {
    unsigned index;
    const struct plan *plan;
    uvt_task_t task;          /* valid when known */
    struct worker *owner;     /* NULL: the main task */
    uvt_set_t set;
    bool set_open;            /* only the worker itself looks */
    bool claimed, known;      /* somebody spawns it; has spawned it */
    bool member, joining, joined; /* joined: its result was taken */
    unsigned sets;            /* that it has opened; of a member: ... */
    unsigned of_set;          /* ... in which of its owner's it is */
    bool member_failed, member_has; /* of its set that is open: perhaps, surely */
    bool started, leaving, ended; /* body began; returned; has cleaned up */
    bool cancelling, cancelled;   /* perhaps; surely */
    bool panicked;            /* status is UVT_EPANIC */
    int status;               /* what it returned, once leaving */
    const struct op *op;      /* what it is at; NULL between two */
    uint64_t op_since;        /* ms */
    unsigned slots;
    struct slot slot[CASES];
    struct grip grip[THINGS];
};

/* told.c */
enum telling { TOLD_ONE, TOLD_LAST, TOLD_ALL, /* and who heard: */ TOLD_ALONE, TOLD_WITH_ALL };
struct told {
    const struct thing *thing;
    enum telling how;
    uint64_t began, at, ms; /* stamps: of the slot, of the telling; time of the telling */
};
enum { TELLINGS = WORKERS * OPS * CASES };

extern struct run {
    const struct program *p;
    struct thing thing[THINGS];
    struct worker worker[WORKERS];
    bool deadlocked; /* everything was cancelled for it */
    struct told told[TELLINGS];
    unsigned tellings;
} run;

#define X(name, type, a_case) extern const struct kind kind_##name;
KINDS(X)
#undef X
extern const struct kind *const kinds[KINDS_COUNT];
extern const struct type *const types[TYPES_COUNT];

/* What kinds have in common. prepare: of those that can always be done. done: of those that never fail or wait. */
bool always(struct slot *s);
void must_succeed(struct slot *s, int rc);
/* An earlier case of the same select is the same. */
bool repeated(const struct slot *s);
/* ... those of handles with two ends: the worker closes some, n & UVT_BOTH; it waits for there being no receiver. */
bool close_prepare(struct slot *s);
void no_reader_done(struct slot *s, int rc);
bool no_reader_possible(const struct slot *s);
void ends_closed(struct thing *t, struct grip *g, unsigned ends);
/* ... and those that spawn. */
bool spawn_prepare(struct slot *s);
void spawn_done(struct slot *s, int rc);
/* Whether some child of the worker, or a child's child, has ended with this failure. */
bool failure_of_child(const struct worker *w, int status);
/* It was not spawned after all. */
void unspawned(struct worker *w);
/* A worker returns that status, or panics; has cleaned up. */
void returns(struct worker *w, int status);
void has_ended(struct worker *w);

/* The code is that of the allocation that was to fail: the call has had no effect. Says so once. */
bool starved(int rc);

/* What a worker is spawned with: its body, and where; what is called when there is no memory to run it. */
int worker_body(void *worker);
void worker_dropped(void *worker);
uvt_task_options worker_options(const struct worker *w);
/* With the lock held: the result that somebody got of it. */
void check_result(struct worker *w, const uvt_result *r);

/* Runs a program and checks it; `broken` does not return. */
void program_run(const struct program *p);
/* Runs the one of that number, or of bytes. */
void program_run_number(uint64_t number);

/* Something does not hold: prints what, and the program; then calls this, which must not return. */
extern void (*broken_hook)(void);
#define broken(...) broken_at(__FILE__, __LINE__, __VA_ARGS__)
UVT_NORETURN void broken_at(const char *file, int line, const char *format, ...) UVT_PRINTF(3, 4);
/* The result of a slot's call is one that it may not have. */
UVT_NORETURN void broken_result(const char *file, int line, const struct slot *s, int rc);
#define wrong(s, rc) broken_result(__FILE__, __LINE__, (s), (rc))
#define HOLDS(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) broken("does not hold: %s", #cond);                                                               \
    } while (0)

void model_lock(void);
void model_unlock(void);
uint64_t stamp(void); /* larger than all before */

bool perhaps_cancelled(const struct worker *w);
bool surely_cancelled(const struct worker *w);
/* Nothing moves: has every worker that has not ended a reason to wait? Returns how many wait. */
unsigned check_stuck(void);

/* Goes through the slots that may wait on a thing: NULL ends. Another worker's than `but` (may be NULL). */
const struct slot *next_waiting(const struct thing *t, const struct worker *but, const struct slot *after);
/* One shard only: what the model knows is exact between two suspensions. */
bool exact(void);

/* The slot is about to tell others, has been told (told.c). */
void tells(const struct slot *s, enum telling how);
void hears(const struct slot *s);
/* Nothing moves: the slot should have been told of something that was told since it waits. */
bool was_told(const struct slot *s);
/* Somebody was told, or the next one is to be. */
bool ever_told(const struct thing *t);

static inline struct grip *grip(const struct slot *s) {
    return &s->w->grip[s->thing->index];
}

#endif
