/* SPDX-License-Identifier: MIT
 *
 * A task's stack and what the sanitizers need to know about it. The descriptor lies at the top of the
 * stack's own memory, in the page that is touched anyway.
 */
#ifndef UVT_STACK_H
#define UVT_STACK_H

#include "core/core.h"

#if defined(__SANITIZE_ADDRESS__)
#define UVT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UVT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define UVT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UVT_TSAN 1
#endif
#endif
#ifndef UVT_ASAN
#define UVT_ASAN 0
#endif
#ifndef UVT_TSAN
#define UVT_TSAN 0
#endif

struct uvt__slab;

struct uvt__stack {
    void *low;              /* lowest usable byte, above the guard page */
    void *top;              /* where execution starts, downwards; below this descriptor */
    uvt__stack *next;       /* in the cache */
    struct uvt__slab *slab; /* the mapping it is part of */
    unsigned index;         /* which part */
    unsigned valgrind_id;
    void *fiber;            /* ThreadSanitizer's */
    void *fake;             /* AddressSanitizer's, while the stack is suspended */
};

size_t uvt__stack_size(const uvt__stack *st);

#endif
