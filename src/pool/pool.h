/* SPDX-License-Identifier: MIT
 *
 * The pool's own header: what waits in lanes, and the crew that works it off.
 *
 * An item is work for threads: a blocking job, or a parallel loop's call for helpers (then several threads may take
 * the same item). It waits in a lane; everything about items and lanes is under the crew's lock. A job is an
 * item with a task behind it, on the heap: neither side may die under the other.
 */
#ifndef UVT_POOL_H
#define UVT_POOL_H

#include "core/core.h"

typedef struct uvt__item uvt__item;
typedef struct uvt__job uvt__job;

/* Lanes by number: the default one, those that were made, parallel loops of tasks, and loops' calls for helpers. The
 * last two are counted nowhere. */
enum { LANE_DEFAULT, LANES_MADE = 32, LANE_LOOPS, LANE_HELPERS, LANES };

typedef struct uvt__item_kind {
    void (*run)(uvt__item *it);  /* on a thread of the pool, no lock held */
    void (*left)(uvt__item *it); /* under the lock, when a thread has left and none is inside; may be NULL. The item may
                                    be gone as soon as the lock is given back */
    bool (*home)(uvt__item *it); /* after that without the lock; may be NULL. The item is its own from then on. Whether
                                    more like it are likely to come in a moment */
} uvt__item_kind;

/* What is in LANE_HELPERS calls for helpers, all else is a job. */
extern const uvt__item_kind uvt__help_kind, uvt__job_kind;

struct uvt__item {
    uvt__item *next, *prev; /* neighbours in its lane while copies > 0 */
    uint64_t since;         /* a job: uvt__lane_clock when it came into the lane */
    uint16_t copies;        /* threads wanted; 0: not in the lane */
    uint16_t inside;        /* threads at it */
    uint8_t lane;
    bool one_of_many;       /* a job whose shard had others out when it brought it */
    atomic_bool ended;      /* a job whose fn has returned */
};

/* ---- lane.c: under the lock, but for what says so ---- */

uint64_t uvt__lane_clock(void);                /* what waiting is measured by. Needs no lock */
uint64_t uvt__lane_moment(void);               /* some 20 us of it. Needs no lock */
void uvt__lane_start_clock(void);              /* before the first item is taken */
bool uvt__lane_exists(uvt_lane_t lane);        /* needs no lock */
void uvt__lane_offer(uvt__item *it);           /* puts it into the entrance; needs no lock */
bool uvt__lane_newcomers(void);                /* somebody is in the entrance; needs no lock */
bool uvt__lane_wants(const uvt__item *it);     /* it waits, and a thread that came could begin it, or one before it */
void uvt__lane_unlink(uvt__item *it);          /* it waits */
void uvt__lane_drop(uvt__item *it);            /* the same, and counts it as cancelled */
uvt__item *uvt__lane_take(uint64_t now);       /* the next in turn, with one more inside; NULL */
void uvt__lane_leave(uvt__item *it);           /* one thread less inside */
bool uvt__lanes_idle(void);                    /* uvt__lane_take would find nothing */
bool uvt__lane_calls(void);                    /* a loop's call for helpers is in its lane */

/* ---- crew.c ---- */

void uvt__crew_lock(void);
void uvt__crew_unlock(void);
int uvt__crew_submit(uvt__item *it);           /* with one copy; UV_ENOMEM, UV_EAGAIN, and then it is nowhere */
bool uvt__crew_withdraw(uvt__item *it);        /* true: it waited, and no thread will come to it any more */
void uvt__crew_call(uvt__item *it, unsigned copies); /* asks for that many threads, if there is a crew */

/* A slot's thread is about to call what the program gave us for the end of a job (or has): nobody is to wait for it. */
void uvt__crew_outside(bool outside);
void uvt__crew_dismiss(uvt__item *it, uv_cond_t *none_inside); /* no others; waits for those that are inside */

/* ---- records.c: at home, but for what says so ---- */

uvt__job *uvt__record_get(uvt__shard *s);      /* of a new job: only `chunk` is valid. NULL: no memory */
void uvt__record_put(uvt__job *job);           /* at home, or where it holds its home; the job is over */
void uvt__record_keep(uvt__job *job);          /* it has begun to hold its home */

/* ---- job.c ---- */

enum { JOB_NEW, JOB_OUT, JOB_DROPPED, JOB_LEFT };

/* The thread touches the first cache line alone, msg.next included, unless something is unusual: to carry a line from
 * processor to processor and back is most of what a job costs. */
struct uvt__job {
    uvt__item item;
    union {
        uvt_fn fn;
        int status;       /* when fn has returned; valid at home */
    };
    void *arg;
    uvt_runtime_t *home;  /* valid from submit on; a reference when holds_home */
    uvt__msg msg;         /* brings it home */
    char *text;           /* what it said when it panicked; may be NULL. Valid at home */
    bool panicked;        /* valid at home */
    atomic_bool cancelled; /* uvt_blocking_cancelled */
    /* home's own */
    uvt__behind behind;   /* of task */
    uvt__task *task;      /* a stackless task that has not ended; or NULL */
    struct uvt__job_wait *waiter; /* a task in uvt__job_await; NULL when there is none, or it has left */
    void (*drop)(void *arg); /* NULL: none */
    const char *site;
    uint64_t submitted;   /* ms; 0 (long ago) when the runtime's end had not begun, which is what it is for */
    uint8_t state;        /* home's view: not submitted, out, dropped while it waited, left by its task */
    bool abandon;         /* its task leaves it when cancelled */
    bool holds_home;      /* the runtime may end before it */
    bool named, forgiven; /* the runtime's end has reported it, and does not wait for it */
    bool arrived;         /* it is home, and its task has not ended yet */
    uvt__job *prev, *next; /* neighbours among the shard's, while state is JOB_OUT; next: also among the spare ones */
    struct uvt__job_chunk *chunk; /* the memory it lies in */
};

int uvt__job_new(uvt__job **out, uvt_fn fn, void *arg, const uvt_blocking_options *o, const char *site);
void uvt__job_free(uvt__job *job);             /* NULL is allowed; not one that is out */
int uvt__job_submit(uvt__shard *s, uvt__job *job); /* it stays the caller's when this fails */
int uvt__job_await(uvt__job *job);             /* submits it, parks, and frees it: also when it fails */
void uvt__job_put(uvt__job *job);              /* nobody takes its result: drops and frees it */

#endif
