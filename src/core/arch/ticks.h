/* SPDX-License-Identifier: MIT
 *
 * The processor's own counter, for "how long ago was that" at a fraction of a clock's price. It says nothing about
 * time by itself: who wants that reads the clock as well, later, and reckons back (scope.c, lane.c). Where there is
 * none that user code may read, it is 0, and the clock is all there is.
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

/* Some 20 us of it: on x86-64 between 10 and 50, as the processors differ. 0 where there is none. */
static inline uint64_t uvt__ticks_moment(void) {
#if defined(__x86_64__) || defined(__i386__)
    return 50000;
#elif defined(__aarch64__)
    uint64_t hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz / 50000;
#else
    return 0;
#endif
}

#endif
