/* SPDX-License-Identifier: MIT
 *
 * The test kit's inner side: what its files share, and the hooks of the core that it sets.
 */
#ifndef UVT_KIT_H
#define UVT_KIT_H

#include "core/core.h"
#include <uvtask/test.h>

/* faults.c: counting allocator, put in place before a test's first allocation. */
void uvt__kit_count_memory(void);

#endif
