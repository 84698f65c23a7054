/* SPDX-License-Identifier: MIT
 *
 * Faults on request: a counting allocator that fails the n-th allocation, libuv's calls failing by counter,
 * a cancel at the n-th suspension, and the virtual clock moved by hand.
 */
#include "kit/kit.h"
#include "shard/shard.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Every block is preceded by its size. */
typedef union {
    size_t size;
    max_align_t align;
} header;

static atomic_size_t bytes, blocks;
static atomic_uint fail_in;
static atomic_bool hit;

static bool fails(void) {
    unsigned n = atomic_load(&fail_in);
    while (n > 0)
        if (atomic_compare_exchange_weak(&fail_in, &n, n - 1)) {
            if (n == 1) atomic_store(&hit, true);
            return n == 1;
        }
    return false;
}

static void *counted(header *h, size_t size) {
    if (!h) return NULL;
    h->size = size;
    atomic_fetch_add(&bytes, size);
    atomic_fetch_add(&blocks, 1);
    return h + 1;
}

static void *kit_malloc(size_t size) {
    return fails() ? NULL : counted(malloc(sizeof(header) + size), size);
}

static void *kit_calloc(size_t n, size_t size) {
    return fails() ? NULL : counted(calloc(1, sizeof(header) + n * size), n * size);
}

static void kit_free(void *p) {
    if (!p) return;
    header *h = (header *)p - 1;
    atomic_fetch_sub(&bytes, h->size);
    atomic_fetch_sub(&blocks, 1);
    free(h);
}

static void *kit_realloc(void *p, size_t size) {
    void *q = kit_malloc(size);
    if (!q || !p) return q;
    size_t old = ((header *)p - 1)->size;
    memcpy(q, p, old < size ? old : size);
    kit_free(p);
    return q;
}

void uvt__kit_count_memory(void) {
    uvt_replace_allocator(kit_malloc, kit_realloc, kit_calloc, kit_free);
}

size_t uvt_test_live_bytes(void) {
    return atomic_load(&bytes);
}

size_t uvt_test_live_blocks(void) {
    return atomic_load(&blocks);
}

void uvt_test_fail_alloc(unsigned n) {
    atomic_store(&hit, false);
    atomic_store(&fail_in, n);
}

void uvt_test_fail_uv(unsigned n, int code) {
    atomic_store(&hit, false);
    uvt__fault_uv_set(n, code);
}

bool uvt_test_fail_hit(void) {
    return atomic_load(&hit) || uvt__fault_uv_hit();
}

int uvt_test_cancel_at(unsigned n) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    s->cancel_at_task = n ? s->current->id : 0;
    s->cancel_at_n = n;
    s->cancel_at_hit = false;
    return 0;
}

bool uvt_test_cancel_hit(void) {
    uvt__shard *s = uvt__here();
    return s && s->cancel_at_hit;
}

int uvt_test_advance(uint64_t ms) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if (!s->virtual_clock) return UV_EINVAL;
    if (s->many) {
        uv_mutex_lock(&s->group->lock);
        s->clock = atomic_load(&s->group->clock) + ms; /* another shard may have moved it on */
        uvt__group_clock(s->group, s->clock);
        uv_mutex_unlock(&s->group->lock);
    } else {
        s->clock += ms;
    }
    uvt__wheel_advance(s, s->clock);
    return uvt_yield();
}
