/* SPDX-License-Identifier: MIT
 *
 * A oneshot's two ends, as its tests have them.
 */
#ifndef UVTASK_TEST_SYNC_ENDS_H
#define UVTASK_TEST_SYNC_ENDS_H

#include <uvtask.h>
#include <uvtask/test.h>

static int word; /* something to point at */

static inline uvt_oneshot_t *oneshot(unsigned flags) {
    uvt_oneshot_t *o = NULL;
    CHECK_EQ(uvt_oneshot_new(&o, flags), 0);
    return o;
}

/* The status received, or the code. */
static inline int receive(void *o) {
    int status = -1;
    int rc = uvt_oneshot_recv(o, &status, NULL);
    return rc < 0 ? rc : status;
}

#endif
