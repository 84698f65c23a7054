/* SPDX-License-Identifier: MIT
 *
 * What a condition needs of a mutex beside its public calls.
 */
#ifndef UVT_MUTEX_H
#define UVT_MUTEX_H

#include "sync/line.h"

bool uvt__mutex_is_owner(uvt_mutex_t *m, const uvt__task *t);
/* Locks it for the current task, which is not its owner; cannot be cancelled. */
void uvt__mutex_relock(uvt_mutex_t *m);

#endif
