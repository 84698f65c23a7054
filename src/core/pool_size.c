/* SPDX-License-Identifier: MIT
 *
 * The size of libuv's pool, of which a process has one: settled by the first runtime that asks, or before the first
 * job, and kept. Also counts the runtimes, so that what the jobs need is closed after the last one.
 */
#include "core/core.h"

void (*uvt__pool_close)(void);

int uvt__pool_enter(const uvt_options *o) {
    (void)o;
    return 0;
}

void uvt__pool_leave(void) {
}
