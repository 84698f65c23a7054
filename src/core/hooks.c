/* SPDX-License-Identifier: MIT
 *
 * The switches by which the test kit makes libuv's calls fail. Off but under test.
 */
#include "core/core.h"

atomic_bool uvt__faults;
atomic_int uvt__fault_code;
static atomic_uint fault_left;
static atomic_bool fault_hit;

/* Called for every fallible call of libuv while faults are on, on whichever shard: not 0 when this one is to fail. */
int uvt__fault_uv(void) {
    unsigned left = atomic_load(&fault_left);
    while (left > 0)
        if (atomic_compare_exchange_weak(&fault_left, &left, left - 1)) {
            if (left == 1) atomic_store(&fault_hit, true);
            return left == 1;
        }
    return 0;
}

void uvt__fault_uv_set(unsigned n, int code) {
    atomic_store(&uvt__fault_code, code);
    atomic_store(&fault_hit, false);
    atomic_store(&fault_left, n);
    if (n) atomic_store(&uvt__faults, true);
}

bool uvt__fault_uv_hit(void) {
    return atomic_load(&fault_hit);
}
