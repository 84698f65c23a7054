/* SPDX-License-Identifier: MIT
 *
 * The library's memory: four replaceable functions, as libuv has them. Nothing in the library calls malloc
 * directly. Failing on request and counting what is held is done by the test kit, which puts its own
 * functions here.
 */
#include "core/core.h"
#include <stdatomic.h>
#include <stdlib.h>

static struct {
    void *(*malloc_fn)(size_t);
    void *(*realloc_fn)(void *, size_t);
    void *(*calloc_fn)(size_t, size_t);
    void (*free_fn)(void *);
} mem = { malloc, realloc, calloc, free };

static atomic_size_t held; /* blocks */

int uvt_replace_allocator(void *(*malloc_fn)(size_t), void *(*realloc_fn)(void *, size_t),
                          void *(*calloc_fn)(size_t, size_t), void (*free_fn)(void *)) {
    if (!malloc_fn || !realloc_fn || !calloc_fn || !free_fn) return UV_EINVAL;
    if (atomic_load(&held) != 0) return UV_EBUSY;
    mem.malloc_fn = malloc_fn;
    mem.realloc_fn = realloc_fn;
    mem.calloc_fn = calloc_fn;
    mem.free_fn = free_fn;
    return 0;
}

void *uvt__alloc(size_t size) {
    void *p = mem.malloc_fn(size);
    if (p) atomic_fetch_add_explicit(&held, 1, memory_order_relaxed);
    return p;
}

void *uvt__calloc(size_t size) {
    void *p = mem.calloc_fn(1, size);
    if (p) atomic_fetch_add_explicit(&held, 1, memory_order_relaxed);
    return p;
}

void uvt__free(void *p) {
    if (!p) return;
    atomic_fetch_sub_explicit(&held, 1, memory_order_relaxed);
    mem.free_fn(p);
}
