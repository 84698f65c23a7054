/* SPDX-License-Identifier: MIT
 *
 * Combinators over a task set of their own. What is common to all: the set is opened and closed inside the call,
 * results are taken as they come until one of them decides, then the rest is cancelled, and awaited in a shield, so
 * that the results of those are taken, too, whatever happens to the caller.
 *
 * Branches run behind run_branch, which calls off those that were made when a later one could not be.
 */
#include "core/core.h"
#include <limits.h>

/* ---- the end of a set whose results matter ---- */

struct rest {
    uvt_set_t *set;
    void (*note)(void *ctx, const uvt_result *r);
    void *ctx;
};

static int take_rest(void *arg) {
    struct rest *rest = arg;
    uvt_result r;
    while (uvt_set_next(rest->set, &r) == 0) rest->note(rest->ctx, &r);
    return 0;
}

/* Cancels the members that live and awaits them; every result is noted. */
static void end_all(uvt_set_t *set, void (*note)(void *, const uvt_result *), void *ctx) {
    uvt_set_abort_all(set);
    uvt_shielded(UVT_FOREVER, take_rest, &(struct rest){ set, note, ctx });
    uvt_set_close(set);
}

/* ---- branches ---- */

typedef struct uvt__fan {
    uvt_set_t set;
    uvt_branch_t *branches;
    size_t n;
    bool (*decides)(const uvt_branch_t *b); /* a branch that ended so ends it all; NULL: none does */
    int decided;                            /* the first that did, or -1 */
    int failure;                            /* the last in time, or 0 */
    bool cancelled;                         /* a branch was, and gave up */
    bool off;                               /* branches that begin from now on do not run */
} uvt__fan;

static bool failed(const uvt_branch_t *b) {
    return b->status < 0 && b->outcome != UVT_CANCELLED;
}

static bool succeeded(const uvt_branch_t *b) {
    return b->status >= 0;
}

static bool ended(const uvt_branch_t *b) {
    return b->outcome != UVT_CANCELLED;
}

static int run_branch(void *arg) {
    uvt_branch_t *b = arg;
    return b->fan->off ? UV_ENOMEM : b->fn(b->arg);
}

static void note_branch(void *ctx, const uvt_result *r) {
    uvt__fan *f = ctx;
    uvt_branch_t *b = r->arg;
    b->status = r->status;
    b->outcome = r->outcome;
    if (failed(b)) f->failure = b->status;
    if (b->outcome == UVT_CANCELLED) f->cancelled = true;
    if (f->decided < 0 && f->decides && f->decides(b)) f->decided = (int)(b - f->branches);
}

static int spawn_all(uvt__fan *f) {
    for (size_t i = 0; i < f->n; i++) {
        uvt_branch_t *b = &f->branches[i];
        int rc = uvt_set_spawn_at(&f->set, NULL, run_branch, b, NULL, b->site ? b->site : UVT_SITE("branch"));
        if (rc < 0) return rc;
    }
    return 0;
}

static void all_are(uvt__fan *f, int status, uvt_outcome outcome) {
    for (size_t i = 0; i < f->n; i++) {
        f->branches[i].status = status;
        f->branches[i].outcome = outcome;
        f->branches[i].fan = f;
    }
}

static int check(const uvt_branch_t *branches, size_t n) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if ((!branches && n > 0) || n > INT_MAX) return UV_EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!branches[i].fn) return UV_EINVAL;
    return 0;
}

/* Runs all branches until one decides or all have ended. A code means that none has run. */
static int run(uvt__fan *f, bool fail_fast) {
    uvt_result r;
    int rc = uvt__enter(uvt__here());
    f->decided = -1;
    all_are(f, UV_ECANCELED, UVT_CANCELLED);
    if (rc < 0) return rc;
    rc = uvt_set_open(&f->set, &(uvt_set_options){ .fail_fast = fail_fast });
    if (rc == 0 && (rc = spawn_all(f)) < 0) {
        f->off = true;
        end_all(&f->set, note_branch, f);
    }
    if (rc < 0) {
        all_are(f, rc, UVT_RETURNED);
        return rc;
    }
    while (f->decided < 0 && uvt_set_next(&f->set, &r) == 0) note_branch(f, &r);
    end_all(&f->set, note_branch, f);
    return 0;
}

int uvt_join_all(uvt_branch_t *branches, size_t n) {
    uvt__fan f = { .branches = branches, .n = n };
    int rc = check(branches, n);
    if (rc == 0) rc = run(&f, false);
    if (rc < 0) return rc;
    for (size_t i = 0; i < n; i++)
        if (failed(&branches[i])) return branches[i].status;
    return f.cancelled ? UV_ECANCELED : 0;
}

/* The set cancels the others at once when one fails: they do not run on until the caller has its turn. */
int uvt_try_join(uvt_branch_t *branches, size_t n) {
    uvt__fan f = { .branches = branches, .n = n, .decides = failed };
    int rc = check(branches, n);
    if (rc == 0) rc = run(&f, true);
    if (rc < 0) return rc;
    if (f.decided >= 0) return branches[f.decided].status;
    return f.cancelled ? UV_ECANCELED : 0;
}

static int first_that(bool (*decides)(const uvt_branch_t *), uvt_branch_t *branches, size_t n) {
    uvt__fan f = { .branches = branches, .n = n, .decides = decides };
    int rc = check(branches, n);
    if (rc == 0 && n == 0) rc = UV_EOF;
    if (rc == 0) rc = run(&f, false);
    if (rc < 0) return rc;
    if (f.decided >= 0) return f.decided;
    return f.cancelled ? UV_ECANCELED : f.failure;
}

int uvt_race(uvt_branch_t *branches, size_t n) {
    return first_that(ended, branches, n);
}

int uvt_first_ok(uvt_branch_t *branches, size_t n) {
    return first_that(succeeded, branches, n);
}

/* ---- over an array ---- */

#define FEW 16 /* items at a time that need no allocation */

struct map;

struct slot {
    struct map *map;
    void *item;
    struct slot *next; /* the next free one */
};

struct map {
    int (*fn)(void *item, void *ctx);
    void *ctx;
    struct slot *free; /* as many as there may be items running more */
    int failure;       /* the first in time, or 0 */
    bool cancelled;    /* an item was, and gave up */
};

static int run_item(void *arg) {
    struct slot *sl = arg;
    return sl->map->fn(sl->item, sl->map->ctx);
}

static void note_item(void *ctx, const uvt_result *r) {
    struct map *m = ctx;
    struct slot *sl = r->arg;
    sl->next = m->free;
    m->free = sl;
    if (r->outcome == UVT_CANCELLED) m->cancelled = true;
    else if (r->status < 0 && m->failure == 0) m->failure = r->status;
}

static int begin_item(struct map *m, uvt_set_t *set, void *item, const char *site) {
    struct slot *sl = m->free;
    m->free = sl->next;
    *sl = (struct slot){ .map = m, .item = item };
    return uvt_set_spawn_at(set, NULL, run_item, sl, NULL, site);
}

/* Keeps as many items running as there are slots. */
static int run_items(struct map *m, char *items, size_t n, size_t item_size, const char *site) {
    uvt_set_t set;
    uvt_result r;
    size_t begun = 0;
    int rc = uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true });
    if (rc < 0) return rc;
    while (rc == 0 && m->failure == 0) {
        if (begun < n && m->free) {
            rc = begin_item(m, &set, items + begun * item_size, site);
            if (rc == 0) begun++;
            else m->failure = rc;
        } else if ((rc = uvt_set_next(&set, &r)) == 0) {
            note_item(m, &r);
        }
    }
    end_all(&set, note_item, m);
    if (m->failure < 0) return m->failure;
    return m->cancelled || begun < n ? UV_ECANCELED : 0;
}

int uvt_map_at(void *items, size_t n, size_t item_size, unsigned limit, int (*fn)(void *item, void *ctx), void *ctx,
               const char *site) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if (!fn || item_size == 0 || n > SIZE_MAX / item_size || (!items && n > 0)) return UV_EINVAL;
    int rc = uvt__enter(s);
    if (rc < 0) return rc;
    struct slot few[FEW], *slots = few;
    size_t most = limit && limit < n ? limit : n;
    if (most > FEW) slots = most <= SIZE_MAX / sizeof *slots ? uvt__alloc(most * sizeof *slots) : NULL;
    if (!slots) return UV_ENOMEM;
    struct map m = { .fn = fn, .ctx = ctx };
    for (size_t i = most; i-- > 0; m.free = &slots[i]) slots[i].next = m.free;
    rc = run_items(&m, items, n, item_size, site);
    if (slots != few) uvt__free(slots);
    return rc;
}

/* ---- a task in the background ---- */

struct background {
    uvt_fn fn;
    void *arg;
    uvt_scope_t scope; /* body's */
    bool body_runs;    /* ... which is open */
    bool well;         /* the background function has returned without a failure */
    bool failed_first; /* it has failed while the body ran */
};

/* A defer, because it may panic. */
static void background_ended(void *arg) {
    struct background *b = arg;
    if (b->well || !b->body_runs) return;
    b->failed_first = true;
    uvt_scope_cancel(&b->scope, "its background task failed");
}

static int run_background(void *arg) {
    struct background *b = arg;
    int rc = uvt_defer(background_ended, b);
    if (rc < 0) return rc;
    rc = b->fn(b->arg);
    b->well = rc >= 0;
    return rc;
}

static int run_body(struct background *b, uvt_fn body, void *arg) {
    int rc = uvt_scope_begin_at(&b->scope, NULL, UVT_SITE("uvt_background"));
    if (rc < 0) return rc;
    b->body_runs = true;
    rc = body(arg);
    b->body_runs = false;
    return uvt_scope_end(&b->scope, rc);
}

int uvt_background_at(uvt_fn background, void *arg, uvt_fn body, void *body_arg, const char *site) {
    struct background b = { .fn = background, .arg = arg };
    uvt_set_t set;
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if (!background || !body) return UV_EINVAL;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;
    rc = uvt_set_start_at(&set, run_background, &b, NULL, site);
    if (rc == 0) rc = run_body(&b, body, body_arg);
    int closed = uvt_set_close(&set);
    if (closed < 0 && closed != UV_ECANCELED && (rc >= 0 || b.failed_first)) return closed;
    return rc;
}
