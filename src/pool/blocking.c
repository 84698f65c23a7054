/* SPDX-License-Identifier: MIT
 *
 * Blocking jobs as calls: one that a task waits for, one that is a child, one that is a member of a set. A child or
 * member is a task without a stack; it is made before its job is handed over, so that handing over is the last
 * thing that can fail, and then it is taken back.
 */
#include "pool/pool.h"

int uvt_blocking_at(uvt_fn fn, void *arg, const uvt_blocking_options *o, const char *site) {
    uvt__job *job;
    if (!uvt__current()) return UVT_ENOTASK;
    int rc = uvt__job_new(&job, fn, arg, o, site);
    return rc < 0 ? rc : uvt__job_await(job);
}

/* The task is there. One that was cancelled from birth never gets to a thread. */
static int begin(uvt__shard *s, uvt__job *job, uvt__task *t, uvt_task_t *out) {
    job->task = t;
    if (!out) t->flags |= TF_UNHELD;
    if (job->state == JOB_NEW) {
        int rc = uvt__job_submit(s, job);
        if (rc < 0) {
            uvt__unspawn(s, t);
            return rc;
        }
    }
    if (out) *out = (uvt_task_t){ t, t->id };
    return 0;
}

int uvt_spawn_blocking_at(uvt_task_t *out, uvt_fn fn, void *arg, const uvt_blocking_options *o, const char *site) {
    uvt__shard *s = uvt__here();
    uvt_task_options named = { .name = o ? o->name : NULL };
    uvt__job *job;
    uvt__task *t;
    if (!s || !s->current) return UVT_ENOTASK;
    uvt__task *owner = s->current;
    int rc = uvt__job_new(&job, fn, arg, o, site);
    if (rc < 0) return rc;
    rc = uvt__task_new(s, &owner->node, NULL, arg, named.name ? &named : NULL, NULL, site, &t);
    if (rc == 0) {
        t->behind = &job->behind;
        if (owner->flags & TF_BASE_CANCELLED)
            uvt__cancel_task(s, t, (uvt_reason){ .code = UVT_REASON_OWNER, .text = owner->reason_text });
        rc = begin(s, job, t, out);
    }
    if (rc < 0) uvt__job_free(job);
    return rc;
}

int uvt_set_spawn_blocking_at(uvt_set_t *set, uvt_task_t *out, uvt_fn fn, void *arg, const uvt_blocking_options *o,
                              const char *site) {
    uvt_task_options named = { .name = o ? o->name : NULL };
    uvt__job *job;
    uvt__task *t;
    if (!uvt__current()) return UVT_ENOTASK;
    int rc = uvt__job_new(&job, fn, arg, o, site);
    if (rc < 0) return rc;
    rc = uvt__set_spawn_behind(set, &job->behind, arg, named.name ? &named : NULL, site, &t);
    if (rc == 0) rc = begin(uvt__here(), job, t, out);
    if (rc < 0) uvt__job_free(job);
    return rc;
}

bool uvt_blocking_cancelled(void) {
    if (uvt__current()) return uvt_cancelled();
    const uvt__work *w = uvt__working;
    return w && w->stopped(w);
}
