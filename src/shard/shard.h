/* SPDX-License-Identifier: MIT
 *
 * Several shards: what they share, and the calls between the files here. The core reaches them through the pointers
 * in its shard structure (take_any, place, withdraw, rest, wake), which are set only where there is more than one.
 */
#ifndef UVT_SHARD_H
#define UVT_SHARD_H

#include "core/core.h"
#if defined(__linux__)
#include <sched.h>
#endif

struct uvt__group {
    unsigned n;
    uv_mutex_t lock;
    uvt_runtime_t **box;        /* n mailboxes, references */
    uvt__shard **shards;        /* for uvt_run, before and after their threads run them */
    uv_thread_t *threads;       /* the first is not used: that shard runs on the caller's */
#if defined(__linux__)
    cpu_set_t cores;            /* that the process may use, if pinned */
    bool pinned;
#endif
    bool virtual_clock;
    bool graced;                /* the orders of grace have been given; main's shard only */
    bool lingers;               /* see rest.c */
    _Atomic uint64_t clock;     /* ms, of the virtual clock */
    atomic_uint hungry;         /* shards that would take tasks */
    atomic_bool helped;         /* the last round of aborts has found a wait to abort */
    /* under the lock: */
    bool ending, stopping;
    unsigned started, closed;   /* shards that run, and of those the ones that run nothing any more ... */
    uv_cond_t all_closed;       /* ... which wait for the others before they free anything */
    bool given_up;              /* tasks are left whose stacks a job may use */
    unsigned quiet;             /* shards that are ending and have no live task */
    unsigned stage;             /* how far the breaking of a deadlock has got */
    int failure;                /* first failure of a detached task */
    struct uvt__orders {        /* one per shard, its own messages; each is on its way at most once */
        uvt__msg grace, end, deadlock, stop;
    } *orders;
};

/* group.c */
void uvt__group_stop(uvt__group *g);     /* it is over, every loop returns; called with the lock */
void uvt__group_busy(uvt__shard *s);     /* a shard that may have been quiet has got a task */
int uvt__run_group(unsigned n, uvt_fn fn, void *arg, const uvt_options *o, const char *site, bool virtual_clock);
void uvt__group_deadlock(uvt__group *g); /* nothing can wake anybody; called with the lock */
void uvt__group_give_up(uvt__group *g);  /* what is left waits for jobs that nobody waits for; called with the lock */
void uvt__group_clock(uvt__group *g, uint64_t now); /* moves the virtual clock (rest.c) */
unsigned uvt__core_count(void);

/* run.c */
int uvt__run_with(uvt_fn fn, void *arg, const uvt_options *o, const char *site, bool virtual_clock);

/* rest.c */
void uvt__rest(uvt__shard *s);
void uvt__wake(uvt__shard *s);

/* any.c */
int uvt__any_push(uvt__shard *s, uvt__task *t);
uvt__task *uvt__any_take(uvt__shard *s);
void uvt__any_withdraw(uvt__shard *s, uvt__task *t);
bool uvt__any_steal(uvt__shard *s); /* takes tasks of another shard; true when it got some */
void uvt__any_learn(uvt__shard *s, uint64_t ns);
bool uvt__any_naps(const uvt__shard *s);
bool uvt__any_waits(uvt__shard *s); /* are there tasks that it could run? */
void uvt__any_feed(uvt__group *g, unsigned from); /* wakes one shard that is hungry, if there is one */
typedef struct uvt__remote uvt__remote;
void uvt__any_give_back(uvt_runtime_t *thief, uvt__remote *r);
void uvt__any_release(uvt_runtime_t *m); /* all loops have ended */

/* remote.c: a task that runs elsewhere than it was spawned. */
uvt__remote *uvt__remote_new(void); /* NULL: no memory */
void uvt__remote_reset(uvt__remote *r);
void uvt__remote_empty(uvt__remote *r); /* frees what it has not handed on */
void uvt__remote_free(uvt__remote *r);
uvt__remote *uvt__remote_next(const uvt__remote *r);
void uvt__remote_chain(uvt__remote *r, uvt__remote *next);
int uvt__place(uvt__shard *s, uvt__task *t, int place);
void uvt__guests_abandon(uvt__shard *s);
void uvt__remote_steal(uvt__remote *r, uvt__task *t, uvt_runtime_t *home); /* begins another shard's task here */

#endif
