/* SPDX-License-Identifier: MIT
 *
 * Stacks. They are cut from slabs (one mapping of up to 64 stacks of a size class), committed lazily by the
 * kernel, and guarded below: by MADV_GUARD_INSTALL where the kernel has it (Linux 6.13), which costs no
 * mapping of its own, else by mprotect, which does (and so ends at vm.max_map_count, about 32,000 stacks).
 *
 * Stacks start at a page-multiple stride, which would put the hot tops of all of them on the same few sets
 * of the first-level cache; every top is therefore shifted by 192 bytes more than its neighbour's.
 *
 * Ended tasks' stacks go to a cache, last in first out, as they are hot. Those beyond the cache's bound lie
 * idle in their slab, pages and all, for the next burst of tasks. What idle and cached stacks hold is given back when
 * the loop is about to sleep for a while (or has not slept for a second): all of an idle one, all but the first pages
 * of a cached one. Slabs without a stack in use are unmapped then, which costs a sixth of giving the pages back one by
 * one, and so many at a time that nothing else has to wait for long.
 *
 * The loop's thread alone comes here.
 */
#include "core/stack.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#if UVT_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(low, top) 0
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif
#if UVT_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if UVT_ASAN
#include <sanitizer/asan_interface.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef PIDFD_SELF
#define PIDFD_SELF (-10000)
#endif
#ifndef MAP_STACK
#define MAP_STACK 0
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

#define PER_SLAB 64                  /* stacks, or fewer of a large size: */
#define SLAB_BYTES ((size_t)4 << 20) /* page tables of larger mappings were seen to be visited anew each time */
#define MIN_STACK ((size_t)16 << 10)
#define MAX_STACK ((size_t)1 << 30)
#define MANY 16 /* slabs of a class from which on new ones get their stacks' first pages in one go */
#define COLOURS 9
#define COLOUR_STEP 192
#define DESCRIPTOR 128
#define NAP_MS 20 /* a sleep of the loop from which on it pays to give pages back */
#define BUSY_MS 1000 /* without one they are given back after so long */
#define AT_A_TIME 64 /* slabs that are cleaned or unmapped between two polls, some 5 ms */
#define KEEP ((size_t)16 << 10) /* bytes below the top that a cached stack may keep */

struct uvt__slab {
    struct uvt__slab *next, *prev; /* all of the class, those with room first */
    uvt__stack_class *cls;
    char *base;
    uint64_t free;                 /* bit per stack that is neither in use nor in the cache */
    uint64_t dirty;                /* of those, the ones that hold pages */
    uint64_t dirtied_at;           /* when the last of them came, ms of uv_now */
    bool guarded;
};

struct uvt__stack_class {
    uvt__stack_class *next;
    size_t size;              /* what is asked for by; bytes, a power of two */
    size_t stride;            /* bytes per stack: that and its guard page */
    unsigned per_slab;
    uint64_t all;             /* bit per stack of a slab */
    struct uvt__slab slabs;   /* list head */
    uvt__stack *cache;        /* last in first out */
    unsigned count;           /* slabs */
    unsigned cached;
    unsigned shallow;         /* of those, from the back, how many hold their first pages only */
    bool dirty;               /* some slab has dirty stacks */
};

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t uvt__stack_round(size_t size) {
    size_t n = MIN_STACK;
    if (size < MIN_STACK || size > MAX_STACK) return 0;
    while (n < size) n *= 2;
    return n;
}

size_t uvt__stack_size(const uvt__stack *st) {
    return st->slab->cls->size;
}

static uvt__stack_class *class_of(uvt__shard *s, size_t size) {
    for (uvt__stack_class *c = s->classes; c; c = c->next)
        if (c->size == size) return c;
    uvt__stack_class *c = uvt__calloc(sizeof *c);
    if (!c) return NULL;
    c->size = size;
    c->stride = size + page_size();
    size_t fit = SLAB_BYTES / c->stride;
    c->per_slab = fit > PER_SLAB ? PER_SLAB : fit > 1 ? (unsigned)fit : 1;
    c->all = ~(uint64_t)0 >> (64 - c->per_slab);
    c->slabs.next = c->slabs.prev = &c->slabs;
    c->next = s->classes;
    s->classes = c;
    return c;
}

static void slab_link_front(uvt__stack_class *c, struct uvt__slab *sl) {
    sl->next = c->slabs.next;
    sl->prev = &c->slabs;
    sl->next->prev = sl;
    c->slabs.next = sl;
}

static void slab_unlink(struct uvt__slab *sl) {
    sl->prev->next = sl->next;
    sl->next->prev = sl->prev;
}

static struct uvt__slab *slab_new(uvt__stack_class *c) {
    struct uvt__slab *sl = uvt__calloc(sizeof *sl);
    if (!sl) return NULL;
    void *m = mmap(NULL, c->stride * c->per_slab, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (m == MAP_FAILED) {
        uvt__free(sl);
        return NULL;
    }
#ifdef MADV_NOHUGEPAGE
    (void)madvise(m, c->stride * c->per_slab, MADV_NOHUGEPAGE); /* a huge page would commit 32 stacks at once */
#endif
    sl->base = m;
    sl->cls = c;
    sl->free = c->all;
    slab_link_front(c, sl);
    c->count++;
    return sl;
}

static void slab_forget(struct uvt__slab *sl) {
    slab_unlink(sl);
    sl->cls->count--;
    uvt__free(sl);
}

static void slab_release(struct uvt__slab *sl) {
    munmap(sl->base, sl->cls->stride * sl->cls->per_slab);
    slab_forget(sl);
}

/* Advice for one page of every stack of a slab, at `offset`, in one call: Linux 6.15 takes a list. */
static bool advise_all(struct uvt__slab *sl, size_t offset, int advice) {
#ifdef SYS_process_madvise
    static atomic_bool no_list;
    struct iovec pages[PER_SLAB];
    size_t page = page_size();
    unsigned n = sl->cls->per_slab;
    for (unsigned i = 0; i < n; i++) pages[i] = (struct iovec){ sl->base + i * sl->cls->stride + offset, page };
    if (!no_list && !RUNNING_ON_VALGRIND) { /* valgrind would complain of a call it does not know */
        if (syscall(SYS_process_madvise, PIDFD_SELF, pages, n, advice, 0) == (long)(n * page)) return true;
        no_list = true;
    }
#endif
    (void)sl, (void)offset, (void)advice;
    return false;
}

/* Whether a guard is really there: some emulators answer 0 to any advice and do nothing. The kernel is asked to
 * read the page (it would find a sleep of no time). */
static bool guarded(char *low) {
#ifdef __linux__
    return syscall(SYS_nanosleep, low, NULL) == -1 && errno == EFAULT;
#else
    return low != NULL;
#endif
}

static bool guard_each(const uvt__shard *s, struct uvt__slab *sl) {
    static atomic_bool no_install;
    for (unsigned i = 0; i < sl->cls->per_slab; i++) {
        char *low = sl->base + i * sl->cls->stride;
        if (!no_install && madvise(low, page_size(), MADV_GUARD_INSTALL) == 0 && guarded(low)) continue;
        no_install = true;
        if (mprotect(low, page_size(), PROT_NONE) != 0) return s->opt.allow_unguarded;
    }
    return true;
}

static bool guard(const uvt__shard *s, struct uvt__slab *sl) {
    if (!(advise_all(sl, 0, MADV_GUARD_INSTALL) && guarded(sl->base)) && !guard_each(s, sl)) return false;
    /* Where stacks are wanted by the thousand, a fault for each would be most of what a task costs. */
    if (sl->cls->count > MANY) (void)advise_all(sl, sl->cls->stride - page_size(), MADV_POPULATE_WRITE);
    return true;
}

static uvt__stack *carve(uvt__shard *s, struct uvt__slab *sl) {
    /* One that still holds pages, if there is one. */
    unsigned i = (unsigned)__builtin_ctzll(sl->dirty ? sl->dirty : sl->free);
    size_t stride = sl->cls->stride;
    char *low = sl->base + i * stride;
    if (!sl->guarded && !(sl->guarded = guard(s, sl))) {
        slab_release(sl);
        return NULL;
    }
    sl->free &= ~((uint64_t)1 << i);
    sl->dirty &= ~((uint64_t)1 << i);
    if (!sl->free) { /* full ones to the back */
        slab_unlink(sl);
        sl->prev = sl->cls->slabs.prev;
        sl->next = &sl->cls->slabs;
        sl->prev->next = sl;
        sl->cls->slabs.prev = sl;
    }
    uvt__stack *st = (uvt__stack *)(low + stride - DESCRIPTOR);
    _Static_assert(sizeof *st <= DESCRIPTOR, "the descriptor fits");
    st->low = low + page_size();
    st->top = (char *)st - (i % COLOURS) * COLOUR_STEP;
    st->slab = sl;
    st->index = i;
    st->fake = NULL;
    st->valgrind_id = VALGRIND_STACK_REGISTER(st->low, st->top);
    return st;
}

uvt__stack *uvt__stack_get(uvt__shard *s, size_t size, int *err) {
    uvt__stack_class *c = s->classes;
    *err = UV_ENOMEM;
    if (!c || c->size != size) c = class_of(s, size);
    if (!c) return NULL;
    uvt__stack *st = c->cache;
    if (LIKELY(st != NULL)) {
        c->cache = st->next;
        c->cached--;
        s->stats.stacks_cached--;
        if (c->shallow > c->cached) c->shallow = c->cached;
    } else {
        struct uvt__slab *sl = c->slabs.next;
        if (sl == &c->slabs || !sl->free) sl = slab_new(c);
        if (!sl || !(st = carve(s, sl))) return NULL;
    }
    s->stats.stacks++;
#if UVT_TSAN
    st->fiber = __tsan_create_fiber(0); /* anew each time: frames given up would pile up in an old one */
#endif
    return st;
}

/* Back to its slab, pages and all. */
static void discard(const uvt__shard *s, uvt__stack *st) {
    struct uvt__slab *sl = st->slab;
    uvt__stack_class *c = sl->cls;
    unsigned i = st->index;
    VALGRIND_STACK_DEREGISTER(st->valgrind_id);
    if (sl->free == 0) { /* it has room again: to the front */
        slab_unlink(sl);
        slab_link_front(c, sl);
    }
    sl->free |= (uint64_t)1 << i;
    sl->dirty |= (uint64_t)1 << i;
    sl->dirtied_at = uv_now(s->loop);
    c->dirty = true;
}

void uvt__stack_put(uvt__shard *s, uvt__stack *st) {
    uvt__stack_class *c = st->slab->cls;
    s->stats.stacks--;
#if UVT_TSAN
    __tsan_destroy_fiber(st->fiber);
#endif
#if UVT_ASAN
    __asan_unpoison_memory_region(st->low, (size_t)((char *)st->top - (char *)st->low));
#endif
    if (c->cached >= s->opt.stack_cache) {
        discard(s, st);
        return;
    }
    st->next = c->cache;
    c->cache = st;
    c->cached++;
    s->stats.stacks_cached++;
}

/* Gives back what the dirty stacks of a slab hold, run by run. */
static void clean(struct uvt__slab *sl) {
    size_t stride = sl->cls->stride;
    while (sl->dirty) {
        unsigned i = (unsigned)__builtin_ctzll(sl->dirty), n = 1;
        while (i + n < sl->cls->per_slab && (sl->dirty >> (i + n) & 1)) n++;
        (void)madvise(sl->base + i * stride, n * stride, MADV_DONTNEED); /* guards stay */
        sl->dirty &= ~((n < 64 ? ((uint64_t)1 << n) - 1 : ~(uint64_t)0) << i);
    }
}

/* Up to so many slabs, of those in use only what was dirtied before then (ms): the others may be free altogether soon.
 * Returns what is left of the number. */
static unsigned trim_class(uvt__stack_class *c, unsigned slabs, uint64_t before) {
    /* Last in first out: what was in use since the last time is in front. */
    unsigned deep = c->cached - c->shallow;
    for (uvt__stack *st = c->cache; deep > 0; st = st->next, deep--) {
        size_t room = (size_t)((char *)st + DESCRIPTOR - (char *)st->low);
        if (room > KEEP) (void)madvise(st->low, room - KEEP, MADV_DONTNEED);
    }
    c->shallow = c->cached;
    if (!c->dirty) return slabs;
    c->dirty = false;
    /* Full slabs are at the back. */
    for (struct uvt__slab *sl = c->slabs.next, *next; sl != &c->slabs && sl->free; sl = next) {
        next = sl->next;
        if (sl->free != c->all && (!sl->dirty || sl->dirtied_at > before)) {
            c->dirty |= sl->dirty != 0;
            continue;
        }
        if (slabs == 0) {
            c->dirty = true;
            return 0;
        }
        slabs--;
        if (sl->free == c->all) slab_release(sl);
        else clean(sl);
    }
    return slabs;
}

void uvt__stacks_trim(uvt__shard *s) {
    uint64_t now = uv_now(s->loop);
    bool due = false;
    for (uvt__stack_class *c = s->classes; c; c = c->next) due |= c->dirty || c->shallow < c->cached;
    if (LIKELY(!due)) {
        s->trimmed_at = now;
        return;
    }
    bool naps = uvt__wheel_next(&s->wheel) >= now + NAP_MS;
    if (!naps && now < s->trimmed_at + BUSY_MS) return;
    unsigned slabs = AT_A_TIME;
    uint64_t before = naps ? now : now > BUSY_MS ? now - BUSY_MS : 0;
    for (uvt__stack_class *c = s->classes; c; c = c->next) slabs = trim_class(c, slabs, before);
    if (slabs > 0) s->trimmed_at = now;
    else uvt__keep_turning(s); /* and goes on after the poll */
}

/* keep_used: stacks in use stay mapped for ever, since a job that goes on may have its arguments there. */
void uvt__stacks_release(uvt__shard *s, bool keep_used) {
    for (uvt__stack_class *c = s->classes, *next; c; c = next) {
        next = c->next;
        for (uvt__stack *st = c->cache, *n; st; st = n) {
            n = st->next;
            s->stats.stacks_cached--;
            discard(s, st);
        }
        while (c->slabs.next != &c->slabs) {
            struct uvt__slab *sl = c->slabs.next;
            if (keep_used && sl->free != c->all) slab_forget(sl);
            else slab_release(sl);
        }
        uvt__free(c);
    }
    s->classes = NULL;
}
