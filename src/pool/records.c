/* SPDX-License-Identifier: MIT
 *
 * The memory of jobs' records. They come in chunks that stay until the shard ends, or longer: a job that may outlive
 * its runtime holds its chunk, and whoever is last frees it.
 *
 * A record's lines go to the processor that works at the job and back, and that costs more than all the rest. It is
 * cheapest when records that follow each other lie side by side, so that the processors see it coming. So those in use
 * go round: what comes back first is used first, and with it what was its neighbour. But only as many go round as a
 * cache can hold. What comes back beyond that is used when none of those is left, the last one first. So a shard keeps
 * the memory of the most jobs that it ever had out.
 */
#include "core/stack.h"
#include "pool/pool.h"
#include <stddef.h>
#if UVT_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#endif

#define LINE 64       /* bytes */
#define PER_CHUNK 20  /* below 4 KiB */
#define ROUND 1024    /* records, 192 KiB */

_Static_assert(sizeof(void *) != 8 || (offsetof(uvt__job, msg.fn) == LINE && sizeof(uvt__job) % LINE == 0),
               "the first line is the thread's");

struct uvt__job_chunk {
    atomic_int refs;  /* its shard, and each of its jobs that may outlive that */
    struct uvt__job_chunk *next; /* of its shard */
};

static uvt__job *records_of(struct uvt__job_chunk *c) {
    return (uvt__job *)(((uintptr_t)(c + 1) + LINE - 1) & ~(uintptr_t)(LINE - 1));
}

static void unref(struct uvt__job_chunk *c) {
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1) return;
    ASAN_UNPOISON_MEMORY_REGION(records_of(c), PER_CHUNK * sizeof(uvt__job));
    uvt__free(c);
}

void uvt__record_keep(uvt__job *job) {
    atomic_fetch_add_explicit(&job->chunk->refs, 1, memory_order_relaxed);
}

/* But for `next` and `chunk` nobody has any business in a record that is not in use. */
static void close_off(uvt__job *job) {
    ASAN_POISON_MEMORY_REGION(job, offsetof(uvt__job, next));
}

static void put(uvt__job_store *st, uvt__job *job) {
    if (st->round == ROUND) {
        job->next = st->others;
        st->others = job;
    } else {
        job->next = NULL;
        if (st->round++ > 0) st->last->next = job;
        else st->first = job;
        st->last = job;
    }
    close_off(job);
}

static void release(uvt__shard *s) {
    for (struct uvt__job_chunk *c = s->job_store.chunks, *next; c; c = next) {
        next = c->next;
        unref(c);
    }
}

static int more(uvt__job_store *st) {
    struct uvt__job_chunk *c = uvt__alloc(sizeof *c + LINE - 1 + PER_CHUNK * sizeof(uvt__job));
    if (!c) return UV_ENOMEM;
    atomic_init(&c->refs, 1);
    c->next = st->chunks;
    st->chunks = c;
    st->release = release;
    for (uvt__job *job = records_of(c), *end = job + PER_CHUNK; job < end; job++) {
        job->chunk = c;
        put(st, job);
    }
    return 0;
}

uvt__job *uvt__record_get(uvt__shard *s) {
    uvt__job_store *st = &s->job_store;
    uvt__job *job = st->first;
    if (st->round > 0) {
        st->first = job->next;
        st->round--;
    } else if ((job = st->others) != NULL) {
        st->others = job->next;
    } else {
        return more(st) < 0 ? NULL : uvt__record_get(s);
    }
    ASAN_UNPOISON_MEMORY_REGION(job, sizeof *job);
    return job;
}

void uvt__record_put(uvt__job *job) {
    uvt__shard *s = uvt__here();
    bool held = job->holds_home;
    struct uvt__job_chunk *c = job->chunk;
    UVT_ASSERT(s || held, "a job outlives its runtime");
    if (s) put(&s->job_store, job);
    if (held) unref(c);
}
