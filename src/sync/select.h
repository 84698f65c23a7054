/* SPDX-License-Identifier: MIT
 *
 * How a kind of thing takes part in a select. Each kind is a table of four functions beside the plain call that it
 * mirrors; the functions that make cases (uvt_case_...) name it.
 *
 * attempt and hook must agree: what hook finds possible, the next attempt does, or the select would turn for ever. A
 * hook must not complete its own select (the park has not begun), and therefore not see the other waits of its own
 * choice as somebody to deal with.
 *
 * Two sorts. Where something is handed over (a message, a permit, a result), the object claims the wait before it
 * does so, stores to part->wait.slot, and the case is done when it is woken: `finish` says how. Where an object only
 * tells that it has changed (a token, a set, a socket), `finish` tries again, and UV_EAGAIN sends the task back to
 * waiting.
 */
#ifndef UVT_SELECT_H
#define UVT_SELECT_H

#include "core/core.h"

/* One case while its task waits. */
typedef struct uvt__part {
    uvt__wait wait;      /* its park is a part of the select's choice; hook may set slot and n */
    uvt__timer_t timer;  /* for those that wait for a time */
    uvt_case_t *c;
    bool hooked;         /* unhook is to be called */
} uvt__part;

typedef struct uvt__kind {
    bool passing; /* success takes nothing, and may be over when others have run */
    /* Does it if that can be done without waiting: its result, UV_EAGAIN otherwise. */
    int (*attempt)(uvt_case_t *c);
    /* Leaves word: 0. UV_EAGAIN: it may be possible by now, so attempt again. Another code is the case's result. */
    int (*hook)(uvt__part *p);
    /* It was woken with rc: its result; UV_EAGAIN: go on waiting. */
    int (*finish)(uvt__part *p, int rc);
    /* After every hook, of the woken one after finish. */
    void (*unhook)(uvt__part *p);
} uvt__kind;

/* An object that was made in another runtime, or in none: {0}. */
static inline int uvt__stranger(uint64_t gid) {
    return gid ? UVT_ESHARD : UV_EINVAL;
}

/* finish of those that are handed over what they wait for ... */
int uvt__finish_handed(uvt__part *p, int rc);
/* ... and of those that are to look again. */
int uvt__finish_again(uvt__part *p, int rc);

#endif
