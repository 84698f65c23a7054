/* SPDX-License-Identifier: MIT
 *
 * warm MIB: touches so much memory once and ends. On a virtual machine whose memory is backed by its host on first
 * use, a page that the guest has not used lately costs many times a page fault; whoever needs more of them, or comes
 * second, would pay for that and not for its own work.
 */
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv) {
    size_t size = (size_t)(argc > 1 ? atol(argv[1]) : 0) << 20;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *m = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0); /* of no size: fails */
    if (m == MAP_FAILED) return 1;
    for (size_t at = 0; at < size; at += 4096) m[at] = 1;
    return 0;
}
