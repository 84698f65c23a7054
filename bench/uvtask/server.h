/* SPDX-License-Identifier: MIT
 *
 * What the two uvtask servers share: listen on loopback, one task per connection in a set that keeps no
 * results. The handler gets an uvt_stream_t that is its own to close.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <uvtask.h>

/* main of a server: argv[1] is the port, 0 for any; prints the one it got. Runs until it is killed. */
int bench_serve(int argc, char **argv, uvt_fn handler);

#endif
