/* SPDX-License-Identifier: MIT
 *
 * The switches by which the test kit makes libuv's calls fail. Off but under test.
 */
#include "core/core.h"

bool uvt__faults;
int uvt__fault_code;
static unsigned fault_left;
static bool fault_hit;

/* Called for every fallible call of libuv while faults are on: not 0 when this one is to fail. */
int uvt__fault_uv(void) {
    if (fault_left == 0 || --fault_left > 0) return 0;
    fault_hit = true;
    return 1;
}

void uvt__fault_uv_set(unsigned n, int code) {
    fault_left = n;
    uvt__fault_code = code;
    fault_hit = false;
    if (n) uvt__faults = true;
}

bool uvt__fault_uv_hit(void) {
    return fault_hit;
}
