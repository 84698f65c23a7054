/* SPDX-License-Identifier: MIT
 *
 * pages sleepers N: touches one page in every 64 KiB, N times, and gives all back: what the kernel, and on a virtual
 * machine its host, take for the pages that N stacks lie in, before anybody has done anything with them. Some
 * hosts keep the page tables of their guests in software, where that is most of what a sleeping task costs.
 */
#include "bench.h"
#include <sys/mman.h>

#define STRIDE ((size_t)64 << 10)

int main(int argc, char **argv) {
    size_t n = argc == 3 && !strcmp(argv[1], "sleepers") ? (size_t)atol(argv[2]) : 0;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    bench_asleep before = bench_asleep_begin();
    char *m = mmap(NULL, n * STRIDE, PROT_READ | PROT_WRITE, flags, -1, 0); /* of no size: fails */
    if (m == MAP_FAILED) return 1;
    madvise(m, n * STRIDE, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < n; i++) m[i * STRIDE] = 1;
    munmap(m, n * STRIDE);
    bench_asleep_report(before, n);
    return 0;
}
