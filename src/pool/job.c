/* SPDX-License-Identifier: MIT
 *
 * A blocking job's life. Its record lies on the heap: a task may leave while a thread works on it, and the runtime
 * may end. What the task's side reads and writes (state, waiter, task) the thread never looks at, and it is the
 * message home that passes the rest over. Where there is no home any more, the thread ends the job by itself.
 *
 *     NEW -- submit --> OUT --- home ------------------------------------> its result is taken
 *                        |--- cancelled while it waited --> DROPPED        drop
 *                        `--- cancelled, abandon ---------> LEFT - home -> drop
 *
 * Whether a cancel comes before or after the beginning is decided under the crew's lock. drop is never called from a
 * walk over the tree of tasks: the task that waited does it when it runs, or the end of the stackless one.
 */
#include "pool/pool.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#define MANY 8    /* jobs of one loop that are out: it may be about to bring more */
#define OFTEN 256 /* as often, in jobs, a task that brings them looks whether some are back */

/* On the stack of the task that waits. */
struct uvt__job_wait {
    uvt_park_t park;
    uvt__job *job; /* NULL once it is left behind or home */
};

static uvt__job *job_of(uvt__item *it) {
    return CONTAINER_OF(it, uvt__job, item);
}

/* ---- on the thread ---- */

struct frame {
    uvt__work work;
    uvt__job *job;
    jmp_buf env;
};

static bool frame_stopped(const uvt__work *w) {
    return atomic_load(&CONTAINER_OF(w, struct frame, work)->job->cancelled);
}

static UVT_NORETURN void frame_panic(uvt__work *w) {
    longjmp(CONTAINER_OF(w, struct frame, work)->env, 1);
}

static void run(uvt__item *it) {
    struct frame f;
    f.job = job_of(it);
    f.work.outer = NULL; /* a thread of the pool runs one item at a time */
    f.work.stopped = frame_stopped;
    f.work.panic = frame_panic;
    uvt__working = &f.work;
    if (setjmp(f.env) == 0) {
        f.job->status = f.job->fn(f.job->arg);
    } else {
        f.job->status = UVT_EPANIC;
        f.job->panicked = true;
        size_t size = strlen(f.work.message) + 1;
        f.job->text = uvt__alloc(size); /* without memory for it the message is lost, the outcome is not */
        if (f.job->text) memcpy(f.job->text, f.work.message, size);
    }
    uvt__working = NULL;
    atomic_store_explicit(&f.job->item.ended, true, memory_order_release);
}

/* The mailbox is there: its shard waits for the job, or the job holds it. */
static bool go_home(uvt__job *job) {
    uvt_runtime_t *home = job->home;
    bool one_of_many = job->item.one_of_many;
    if (uvt__post_embedded(home, &job->msg) == 0) return one_of_many;
    if (job->drop) {
        uvt__crew_outside(true);
        job->drop(job->arg);
        uvt__crew_outside(false);
    }
    uvt__job_free(job);
    uvt_runtime_unref(home);
    return false;
}

static bool home(uvt__item *it) {
    return go_home(job_of(it));
}

const uvt__item_kind uvt__job_kind = { .run = run, .home = home };

/* ---- at home ---- */

/* Nobody takes the result. No task is current meanwhile, so that nothing in there can suspend. */
void uvt__job_put(uvt__job *job) {
    uvt__shard *s = uvt__here();
    uvt__task *current = s ? s->current : NULL;
    if (s) s->current = NULL;
    if (job->drop) job->drop(job->arg);
    if (s) s->current = current;
    uvt__job_free(job);
}

void uvt__job_free(uvt__job *job) {
    if (!job) return;
    uvt__free(job->text);
    uvt__record_put(job);
}

static const char *place(const char *site) {
    return site + strlen(site) + 1;
}

static const char *name_of(const uvt__job *job) {
    return job->task ? uvt__name(job->task) : job->site;
}

/* The shard does not wait for it from now on, so it has to keep the mailbox by itself. */
static void hold_home(uvt__job *job) {
    if (job->holds_home) return;
    job->holds_home = true;
    uvt__runtime_ref(job->home);
    uvt__record_keep(job);
}

/* It is not among the shard's any more, which does not wait for it. */
static void strike(uvt__shard *s, uvt__job *job) {
    if (job->prev) job->prev->next = job->next;
    else s->jobs = job->next;
    if (job->next) job->next->prev = job->prev;
    if (job->forgiven) s->jobs_forgiven--;
    else uvt__job_back(s);
}

static void arrive(void *arg) {
    uvt__job *job = arg;
    uvt__shard *s = uvt__here();
    uvt__task *t = job->task;
    struct uvt__job_wait *w = job->waiter;
    if (UNLIKELY(job->panicked))
        uvt__report(s, "panic: job %s (%s): %s", name_of(job), place(job->site), job->text ? job->text : "");
    if (job->holds_home) uvt_runtime_unref(job->home);
    if (job->state == JOB_LEFT) {
        job->arrived = true;
        if (!t) uvt__job_put(job); /* else its task's end is due */
        return;
    }
    strike(s, job);
    job->arrived = true;
    if (t) {
        uvt__task_complete(s, t, job->status);
    } else {
        w->job = job->state == JOB_DROPPED ? job : NULL;
        int status = job->status;
        if (!w->job) uvt__job_free(job);
        uvt_unpark(&w->park, status);
    }
}

/* The end has waited long enough: names the jobs that run, and has those that wait never run. They come home as all
 * do: by a message. */
static void overdue(uvt__shard *s, uint64_t before, bool forgive) {
    for (uvt__job *job = s->jobs; job; job = job->next) {
        if (job->named || job->submitted > before || s->end_began > before) continue;
        if (job->state == JOB_OUT && uvt__crew_withdraw(&job->item)) {
            job->state = JOB_DROPPED;
            job->status = UV_ECANCELED;
            go_home(job);
            continue;
        }
        if (atomic_load(&job->item.ended)) continue; /* its message is under way, or waits for us */
        uvt__report(s, "shutdown: job %s (%s) still runs", name_of(job), place(job->site));
        job->named = true;
        job->forgiven = forgive;
        if (!forgive) continue;
        hold_home(job);
        uvt__job_forgiven(s);
    }
}

/* A cancel has come: DONE when nobody waits for the job any longer. */
static int cancel(uvt__shard *s, uvt__job *job) {
    if (job->state == JOB_NEW) {
        job->state = JOB_DROPPED;
        return UVT_ABORT_DONE;
    }
    if (job->state != JOB_OUT) return UVT_ABORT_LATER; /* a message is under way */
    if (uvt__crew_withdraw(&job->item)) {
        job->state = JOB_DROPPED;
        strike(s, job);
        return UVT_ABORT_DONE;
    }
    atomic_store(&job->cancelled, true);
    if (!job->abandon || atomic_load(&job->item.ended)) return UVT_ABORT_LATER;
    job->state = JOB_LEFT;
    hold_home(job);
    strike(s, job);
    return UVT_ABORT_DONE;
}

int uvt__job_submit(uvt__shard *s, uvt__job *job) {
    job->home = s->mailbox;
    job->item.one_of_many = s->jobs_out >= MANY;
    int rc = uvt__crew_submit(&job->item);
    if (rc < 0) return rc;
    job->state = JOB_OUT;
    job->submitted = s->virtual_clock || s->end_began ? uvt__now(s) : 0;
    job->prev = NULL;
    job->next = s->jobs;
    if (s->jobs) s->jobs->prev = job;
    s->jobs = job;
    s->jobs_overdue = overdue;
    uvt__job_out(s);
    return 0;
}

/* ---- a task that waits for its job ---- */

static int wait_abort(uvt_park_t *p) {
    struct uvt__job_wait *w = CONTAINER_OF(p, struct uvt__job_wait, park);
    uvt__job *job = w->job;
    int rc = cancel(uvt__here(), job);
    if (job->state == JOB_LEFT) w->job = NULL;
    return rc;
}

int uvt__job_await(uvt__job *job) {
    struct uvt__job_wait w = { .park = { .what = "a blocking job", .object = job, .abort = wait_abort }, .job = job };
    int rc = uvt_checkpoint();
    if (rc < 0) {
        uvt__job_put(job);
        return rc;
    }
    job->waiter = &w;
    if ((rc = uvt__job_submit(uvt__here(), job)) < 0) {
        uvt__job_free(job);
        return rc;
    }
    rc = uvt_park(&w.park);
    if (w.job) uvt__job_put(w.job); /* it was dropped */
    return rc;
}

/* ---- a task that is nothing but its job ---- */

static void task_cancel(uvt__shard *s, uvt__task *t) {
    if (cancel(s, CONTAINER_OF(t->behind, uvt__job, behind)) == UVT_ABORT_DONE) uvt__stackless_skip(s, t);
}

static void task_end(uvt__task *t) {
    uvt__job *job = CONTAINER_OF(t->behind, uvt__job, behind);
    job->task = NULL;
    if (job->state == JOB_LEFT && !job->arrived) return;
    if (job->state != JOB_OUT) {
        uvt__job_put(job);
        return;
    }
    if (job->panicked) {
        t->outcome = UVT_PANICKED;
        uvt__ext *x = job->text ? uvt__task_ext(t) : NULL;
        if (x) memcpy(x->message, job->text, strlen(job->text) + 1);
    }
    uvt__job_free(job);
}

/* A task that brings many jobs without a pause takes in those that are back, so that their records serve again while
 * they are in the cache: the memory of 100,000 would cost more than all the rest. Messages keep their order, so it
 * stops at the first that is something else, or a job that has more to it than a result. */
static void take_in(uvt__shard *s) {
    for (uvt__msg *msg; (msg = uvt__mailbox_look(s)) != NULL && msg->fn == arrive;) {
        uvt__job *job = msg->arg;
        if (!job->task || job->state != JOB_OUT || job->panicked) return;
        s->inbox = msg->next;
        arrive(job);
    }
}

int uvt__job_new(uvt__job **out, uvt_fn fn, void *arg, const uvt_blocking_options *o, const char *site) {
    uvt_lane_t lane = o ? o->lane : (uvt_lane_t){ LANE_DEFAULT };
    if (!fn || !uvt__lane_exists(lane) || (o && o->abandon && !o->drop)) return UV_EINVAL;
    uvt__shard *s = uvt__here();
    if (s->jobs_out % OFTEN == OFTEN - 1) take_in(s);
    uvt__job *job = uvt__record_get(s);
    if (!job) return UV_ENOMEM;
    struct uvt__job_chunk *chunk = job->chunk;
    *job = (uvt__job){ .item = { .lane = (uint8_t)lane.index },
                       .msg = { .fn = arrive, .arg = job, .embedded = true },
                       .behind = { .cancel = task_cancel, .end = task_end },
                       .fn = fn,
                       .arg = arg,
                       .drop = o ? o->drop : NULL,
                       .abandon = o && o->abandon,
                       .site = site,
                       .chunk = chunk };
    *out = job;
    return 0;
}
