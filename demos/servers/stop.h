/* SPDX-License-Identifier: MIT
 *
 * Stopping on SIGINT and SIGTERM, as two tokens. The first signal cancels `drain`: take nothing new, finish what
 * is being worked on. The second one cancels `now`, for whoever does not want to wait for that. A server binds
 * the parts of its code to the token that is to interrupt them, and needs no other notion of stopping.
 */
#ifndef DEMOS_SERVERS_STOP_H
#define DEMOS_SERVERS_STOP_H

#include <uvtask.h>

struct stop {
    uvt_token_t *drain;    /* cancelled by the first signal */
    uvt_token_t *now;      /* cancelled by the second */
    uv_signal_t signal[2]; /* SIGINT's and SIGTERM's handle; the first `handles` of them are open */
    unsigned handles;
    uvt_oneshot_t *closed; /* sent by the last close callback, see stop_end */
};

/* Watches for the signals, from a task. Returns 0, or a code with nothing left open. */
int stop_begin(struct stop *stop);

/* Stops watching and waits until libuv has let go of the handles; then *stop may go out of scope. */
void stop_end(struct stop *stop);

#endif
