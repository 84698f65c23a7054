/* SPDX-License-Identifier: MIT
 *
 * Parallel loops. The next index is one atomic word, from which every thread that is at the loop takes chunk after
 * chunk: a share of what is left, so that the chunks shrink and uneven work evens out at the end, or as many as
 * the caller said. One thread leads; it asks the crew for helpers, works itself until no index is left, takes back
 * the calls that nobody has answered, and waits for the helpers that are inside a chunk. It waits for nothing that
 * has not begun, so loops inside loops cannot deadlock, whatever the pool's size.
 *
 * The leader is the calling thread, if that may block. A task hands the leading over as a blocking job, with all
 * that this brings: it is cancelled, reported and awaited like one.
 */
#include "core/pool_size.h"
#include "pool/pool.h"
#include <setjmp.h>
#include <string.h>

#define LINE 64         /* bytes of a cache line */
#define SHARES 4        /* an automatic chunk is a thread's share of what is left, divided by this */

typedef struct loop {
    uvt__item item;        /* the call for helpers */
    size_t n, grain;       /* grain 0: automatic */
    void *ctx;
    uvt_chunk_fn each;     /* or, for a reduction: */
    uvt_reduce_fn reduce;
    uvt_combine_fn combine;
    void *acc;             /* the caller's */
    char *accs;            /* a copy per thread, stride apart; NULL: no reduction */
    size_t size, stride;
    size_t threads;        /* that can be at it */
    uvt__work *outer;      /* the caller's, which waits: asked to stop, so are we */
    uv_cond_t none_inside;
    _Alignas(LINE) atomic_size_t next;
    _Alignas(LINE) atomic_int failure; /* the first one, or 0 */
    atomic_size_t joined;  /* threads that have got their copy */
} loop;

struct frame {
    uvt__work work;
    loop *l;
    jmp_buf env;
};

/* ---- chunks ---- */

static bool stopped(loop *l) {
    return atomic_load_explicit(&l->failure, memory_order_relaxed) != 0 || (l->outer && l->outer->stopped(l->outer));
}

static bool frame_stopped(const uvt__work *w) {
    return stopped(CONTAINER_OF(w, struct frame, work)->l);
}

static UVT_NORETURN void frame_panic(uvt__work *w) {
    longjmp(CONTAINER_OF(w, struct frame, work)->env, 1);
}

static void fail(loop *l, int rc) {
    int none = 0;
    atomic_compare_exchange_strong(&l->failure, &none, rc);
}

/* Takes a chunk; false when no index is left. */
static bool claim(loop *l, size_t *begin, size_t *end) {
    size_t at = atomic_load_explicit(&l->next, memory_order_relaxed), size;
    do {
        size_t left = l->n - at;
        if (left == 0) return false;
        size = l->grain ? l->grain : left / (SHARES * l->threads);
        if (size == 0) size = 1;
        if (size > left) size = left;
    } while (!atomic_compare_exchange_weak_explicit(&l->next, &at, at + size, memory_order_relaxed,
                                                    memory_order_relaxed));
    *begin = at;
    *end = at + size;
    return true;
}

static void chunks(loop *l) {
    void *acc = NULL;
    size_t begin, end;
    while (!stopped(l) && claim(l, &begin, &end)) {
        if (l->accs && !acc) {
            acc = l->accs + atomic_fetch_add(&l->joined, 1) * l->stride;
            memcpy(acc, l->acc, l->size);
        }
        int rc = l->accs ? l->reduce(l->ctx, begin, end, acc) : l->each(l->ctx, begin, end);
        if (rc < 0) fail(l, rc);
    }
}

static void combine_all(loop *l) {
    size_t joined = atomic_load(&l->joined);
    for (size_t i = 1; i < joined; i++) l->combine(l->ctx, l->accs, l->accs + i * l->stride);
}

/* Calls part(l) so that a panic in there is a failure of the loop. */
static void guarded(loop *l, void (*part)(loop *l)) {
    struct frame f;
    f.l = l;
    f.work.outer = uvt__working;
    f.work.stopped = frame_stopped;
    f.work.panic = frame_panic;
    uvt__working = &f.work;
    if (setjmp(f.env) == 0) part(l);
    else fail(f.l, UVT_EPANIC);
    uvt__working = f.work.outer;
}

/* ---- helpers ---- */

static void help(uvt__item *it) {
    guarded(CONTAINER_OF(it, loop, item), chunks);
}

static void helpers_left(uvt__item *it) {
    uv_cond_signal(&CONTAINER_OF(it, loop, item)->none_inside);
}

const uvt__item_kind uvt__help_kind = { .run = help, .left = helpers_left };

/* ---- the leader ---- */

static int lead(void *arg) {
    loop *l = arg;
    l->outer = uvt__working;
    l->item.lane = LANE_HELPERS;
    bool helped = l->threads > 1 && UVT_UV(uv_cond_init(&l->none_inside)) == 0;
    if (helped) uvt__crew_call(&l->item, (unsigned)l->threads - 1);
    guarded(l, chunks);
    if (helped) {
        uvt__crew_dismiss(&l->item, &l->none_inside);
        uv_cond_destroy(&l->none_inside);
    }
    if (l->accs && atomic_load(&l->failure) == 0 && atomic_load(&l->next) == l->n) guarded(l, combine_all);
    int rc = atomic_load(&l->failure);
    if (rc == 0 && atomic_load(&l->next) < l->n) rc = UV_ECANCELED;
    if (rc == 0 && l->accs) memcpy(l->acc, l->accs, l->size);
    return rc;
}

/* As many threads as there are cores, chunks, and threads for jobs. */
static size_t threads_for(const loop *l) {
    unsigned cores = uv_available_parallelism(), for_jobs;
    size_t chunks = l->grain ? l->n / l->grain + (l->n % l->grain != 0) : l->n;
    uvt_pool_size(NULL, &for_jobs);
    size_t threads = cores < for_jobs ? cores : for_jobs;
    return threads < chunks ? threads : chunks;
}

static int run_loop(loop *l) {
    int rc;
    void *memory = NULL;
    uvt__task *t = uvt__current();
    if (!t && uvt__here()) return UVT_ENOTASK;
    if (l->n == 0) return 0;
    l->threads = threads_for(l);
    if (l->reduce) {
        l->stride = (l->size + LINE - 1) / LINE * LINE + LINE;
        if (l->stride < l->size || l->stride > (SIZE_MAX - LINE) / l->threads) return UV_ENOMEM;
        if (!(memory = uvt__alloc(l->stride * l->threads + LINE))) return UV_ENOMEM;
        l->accs = (char *)(((uintptr_t)memory + LINE - 1) & ~(uintptr_t)(LINE - 1));
    }
    if (t) {
        uvt__job *job;
        rc = uvt__job_new(&job, lead, l, NULL, t->site);
        if (rc == 0) {
            job->item.lane = LANE_LOOPS;
            rc = uvt__job_await(job);
        }
    } else {
        bool held = uvt__working == NULL && uvt__pool_hold();
        if (!held && !uvt__working) l->threads = 1;
        rc = lead(l);
        if (held) uvt__pool_leave();
    }
    uvt__free(memory);
    return rc;
}

int uvt_parallel_for(size_t n, size_t grain, uvt_chunk_fn fn, void *ctx) {
    if (!fn) return UV_EINVAL;
    loop l = { .n = n, .grain = grain, .ctx = ctx, .each = fn };
    return run_loop(&l);
}

int uvt_parallel_reduce(size_t n, size_t grain, uvt_reduce_fn fn, void *ctx, void *acc, size_t size,
                        uvt_combine_fn combine) {
    if (!fn || !combine || !acc || size == 0) return UV_EINVAL;
    loop l = { .n = n, .grain = grain, .ctx = ctx, .reduce = fn, .combine = combine, .acc = acc, .size = size };
    return run_loop(&l);
}
