/* SPDX-License-Identifier: MIT
 *
 * Stacks. They are cut from slabs (one mapping of 64 stacks of a size class), committed lazily by the
 * kernel, and guarded below: by MADV_GUARD_INSTALL where the kernel has it (Linux 6.13), which costs no
 * mapping of its own, else by mprotect, which does (and so ends at vm.max_map_count, about 32,000 stacks).
 *
 * Stacks start at a page-multiple stride, which would put the hot tops of all of them on the same few sets
 * of the first-level cache; every top is therefore shifted by 192 bytes more than its neighbour's.
 *
 * Ended tasks' stacks go to a cache, last in first out, as they are hot. What a cached stack touched
 * beyond its first pages is given back when the loop goes idle; beyond the cache's bound a stack gives all
 * its pages back at once, and a slab of which no stack is in use is unmapped.
 *
 * The loop's thread alone comes here.
 */
#include "core/stack.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if UVT_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#else
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
#ifndef MAP_STACK
#define MAP_STACK 0
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

#define PER_SLAB 64
#define MIN_STACK ((size_t)16 << 10)
#define MAX_STACK ((size_t)1 << 30)
#define COLOURS 9
#define COLOUR_STEP 192
#define KEEP ((size_t)16 << 10) /* bytes below the top that a cached stack may keep */

struct uvt__slab {
    struct uvt__slab *next, *prev; /* all of the class, those with room first */
    uvt__stack_class *cls;
    char *base;
    uint64_t free;                 /* bit per stack that is not in use and holds no pages */
    uint64_t guarded;              /* bit per stack whose guard is in place */
};

struct uvt__stack_class {
    uvt__stack_class *next;
    size_t size;              /* bytes per stack, guard included */
    struct uvt__slab slabs;   /* list head */
    uvt__stack *cache;        /* last in first out */
    unsigned cached, undeep;  /* in the cache; of those, ahead of the first that may be deep */
};

static size_t page_size(void) {
    static size_t page;
    if (!page) page = (size_t)sysconf(_SC_PAGESIZE);
    return page;
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
    void *m = mmap(NULL, c->size * PER_SLAB, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (m == MAP_FAILED) {
        uvt__free(sl);
        return NULL;
    }
#ifdef MADV_NOHUGEPAGE
    (void)madvise(m, c->size * PER_SLAB, MADV_NOHUGEPAGE); /* a huge page would commit 32 stacks at once */
#endif
    sl->base = m;
    sl->cls = c;
    sl->free = ~(uint64_t)0;
    slab_link_front(c, sl);
    return sl;
}

static void slab_release(struct uvt__slab *sl) {
    munmap(sl->base, sl->cls->size * PER_SLAB);
    slab_unlink(sl);
    uvt__free(sl);
}

static bool guard(const uvt__shard *s, char *low) {
    static bool no_install;
    if (!no_install) {
        if (madvise(low, page_size(), MADV_GUARD_INSTALL) == 0) return true;
        no_install = true;
    }
    return mprotect(low, page_size(), PROT_NONE) == 0 || s->opt.allow_unguarded;
}

static uvt__stack *carve(uvt__shard *s, struct uvt__slab *sl) {
    unsigned i = (unsigned)__builtin_ctzll(sl->free);
    size_t size = sl->cls->size;
    char *low = sl->base + i * size;
    if (!(sl->guarded >> i & 1)) {
        if (!guard(s, low)) return NULL;
        sl->guarded |= (uint64_t)1 << i;
    }
    sl->free &= ~((uint64_t)1 << i);
    if (!sl->free) { /* full ones to the back */
        slab_unlink(sl);
        sl->prev = sl->cls->slabs.prev;
        sl->next = &sl->cls->slabs;
        sl->prev->next = sl;
        sl->cls->slabs.prev = sl;
    }
    uvt__stack *st = (uvt__stack *)(low + size - 128);
    _Static_assert(sizeof *st <= 128, "the descriptor fits");
    st->low = low + page_size();
    st->top = (char *)st - (i % COLOURS) * COLOUR_STEP;
    st->slab = sl;
    st->index = i;
    st->fake = NULL;
    st->deep = false;
    st->valgrind_id = VALGRIND_STACK_REGISTER(st->low, st->top);
#if UVT_TSAN
    st->fiber = __tsan_create_fiber(0);
#endif
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
        if (c->undeep) c->undeep--;
    } else {
        struct uvt__slab *sl = c->slabs.next;
        if (sl == &c->slabs || !sl->free) sl = slab_new(c);
        if (!sl || !(st = carve(s, sl))) return NULL;
    }
    s->stats.stacks++;
    return st;
}

static void discard(uvt__shard *s, uvt__stack *st) {
    struct uvt__slab *sl = st->slab;
    uvt__stack_class *c = sl->cls;
    unsigned i = st->index;
    (void)s;
    VALGRIND_STACK_DEREGISTER(st->valgrind_id);
#if UVT_TSAN
    __tsan_destroy_fiber(st->fiber);
#endif
    char *low = sl->base + i * c->size;
#if UVT_ASAN
    __asan_unpoison_memory_region(low + page_size(), c->size - page_size());
#endif
    bool was_full = sl->free == 0;
    sl->free |= (uint64_t)1 << i;
    if (sl->free == ~(uint64_t)0) {
        slab_release(sl); /* all its pages in one go */
        return;
    }
    (void)madvise(low + page_size(), c->size - page_size(), MADV_DONTNEED);
    if (was_full) {
        slab_unlink(sl);
        slab_link_front(c, sl);
    }
}

void uvt__stack_put(uvt__shard *s, uvt__stack *st) {
    uvt__stack_class *c = st->slab->cls;
    s->stats.stacks--;
#if UVT_ASAN
    __asan_unpoison_memory_region(st->low, (size_t)((char *)st->top - (char *)st->low));
#endif
    if (c->cached >= s->opt.stack_cache) {
        discard(s, st);
        return;
    }
    st->deep = true;
    st->next = c->cache;
    c->cache = st;
    c->cached++;
    c->undeep = 0;
    s->stats.stacks_cached++;
}

/* Called when the loop is about to sleep: cached stacks keep their first pages only. The cache is last in
 * first out, so those that were in use since the last time are in front. */
void uvt__stacks_trim(uvt__shard *s) {
    for (uvt__stack_class *c = s->classes; c; c = c->next) {
        if (c->undeep == c->cached) continue;
        for (uvt__stack *st = c->cache; st && st->deep; st = st->next) {
            size_t room = (size_t)((char *)st + 128 - (char *)st->low);
            if (room > KEEP) (void)madvise(st->low, room - KEEP, MADV_DONTNEED);
            st->deep = false;
        }
        c->undeep = c->cached;
    }
}

void uvt__stacks_release(uvt__shard *s) {
    for (uvt__stack_class *c = s->classes, *next; c; c = next) {
        next = c->next;
        for (uvt__stack *st = c->cache, *n; st; st = n) {
            n = st->next;
            s->stats.stacks_cached--;
            discard(s, st);
        }
        while (c->slabs.next != &c->slabs) slab_release(c->slabs.next);
        uvt__free(c);
    }
    s->classes = NULL;
}
