/* SPDX-License-Identifier: MIT
 *
 * fs_under_load, for uvtask's program and the one on bare libuv: the jobs that hold the pool, the file that is read
 * meanwhile.
 */
#ifndef BENCH_SLOW_H
#define BENCH_SLOW_H

#include "bench.h"
#include <unistd.h>

enum {
    SLOW_JOBS = 1000,
    SLOW_US = 5000,    /* each job sleeps so long */
    SLOW_READS = 300,  /* with the pauses well below what the jobs take altogether */
    SLOW_PAUSE_MS = 1, /* before each read, so that they meet the jobs in every state, not all in one gap */
    SLOW_FILE = 4096   /* bytes, read whole */
};

static inline void slow_job(void) {
    usleep(SLOW_US);
}

/* A small file without a name, in the page cache. */
static inline int slow_file(void) {
    static const char bytes[SLOW_FILE];
    FILE *f = tmpfile();
    if (f && fwrite(bytes, 1, sizeof bytes, f) == sizeof bytes && fflush(f) == 0) return fileno(f);
    perror("temporary file");
    exit(1);
}

#endif
