/* SPDX-License-Identifier: MIT
 *
 * What the pool (src/pool) asks about the size of libuv's pool and about who uses it, besides what core.h has.
 */
#ifndef UVT_POOL_SIZE_H
#define UVT_POOL_SIZE_H

#include <stdbool.h>

/* Keeps the pool from being closed, as a runtime does, if there is one: give it back with uvt__pool_leave. False when
 * there is none: nothing was taken. */
bool uvt__pool_hold(void);

#endif
