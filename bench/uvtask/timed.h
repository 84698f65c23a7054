/* SPDX-License-Identifier: MIT
 *
 * What uvtask's timed programs share: a table of workloads, each measured inside the first task of a runtime of its
 * own, and the end of the program when something fails.
 */
#ifndef BENCH_TIMED_H
#define BENCH_TIMED_H

#include "../bench.h"
#include <uvtask.h>

typedef struct timed {
    const char *name, *unit;
    void (*fn)(void);
    double operations; /* the time is divided by it: see bench_time. 0: fn reports by itself */
    uvt_options options;
} timed;

static inline void must(int rc, const char *what) {
    if (rc >= 0) return;
    fprintf(stderr, "%s: %s (%s)\n", what, uvt_strerror(rc), uvt_err_name(rc));
    exit(1);
}

static inline int timed_task(void *arg) {
    const timed *w = arg;
    if (w->operations > 0)
        bench_time(w->fn, w->operations, w->unit);
    else
        w->fn();
    return 0;
}

/* Runs the workload of that name; false when there is none. */
static inline bool timed_run(const timed *works, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(works[i].name, name)) continue;
        must(uvt_run(timed_task, (void *)&works[i], &works[i].options), name);
        return true;
    }
    return false;
}

#endif
