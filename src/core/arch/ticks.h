/* SPDX-License-Identifier: MIT
 *
 * The processor's own counter, for "how long ago was that" at a fraction of a clock's price. It says nothing about
 * time by itself: who wants that reads the clock as well, later, and reckons back (scope.c). Where there is none that
 * user code may read, it is 0, and the clock is all there is.
 */
#ifndef UVT_TICKS_H
#define UVT_TICKS_H

#include <stdint.h>

static inline uint64_t uvt__ticks(void) {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

#endif
