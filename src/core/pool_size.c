/* SPDX-License-Identifier: MIT
 *
 * The size of libuv's pool, of which a process has one: settled by the first runtime, and kept. libuv reads
 * UV_THREADPOOL_SIZE when the pool is first used, so the size is put there; that it has been used before by the
 * program itself cannot be seen from outside.
 *
 * Also counts the runtimes, so that what the jobs need is closed after the last one. The lock here is held while that
 * happens, so that a new runtime begins before or after it; it comes before the crew's (pool/crew.c).
 */
#include "core/core.h"
#include "core/pool_size.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_THREADS 1024 /* libuv's own limit */
#define FEWEST_BY_DEFAULT 4 /* libuv's own number */

void (*_Atomic uvt__pool_close)(void);
void (*_Atomic uvt__pool_changed)(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static atomic_uint settled; /* the pool's threads; 0 before the first runtime */
static atomic_uint reserve = 1;

/* What UV_THREADPOOL_SIZE says, if libuv will take it as it is, else a thread per core and one for libuv. */
static unsigned default_size(void) {
    const char *env = getenv("UV_THREADPOOL_SIZE");
    if (env) {
        char *end;
        long n = strtol(env, &end, 10);
        if (end != env && *end == '\0' && n >= 1 && n <= MOST_THREADS) return (unsigned)n;
    }
    unsigned n = uv_available_parallelism() + 1;
    if (n < FEWEST_BY_DEFAULT) n = FEWEST_BY_DEFAULT;
    return n < MOST_THREADS ? n : MOST_THREADS;
}

static int settle(unsigned size) {
    char text[16];
    snprintf(text, sizeof text, "%u", size);
    if (setenv("UV_THREADPOOL_SIZE", text, 1) != 0) return UV_ENOMEM;
    atomic_store(&settled, size);
    return 0;
}

int uvt__pool_enter(const uvt_options *o) {
    unsigned asked = o ? o->pool_size : 0;
    int rc = 0;
    if (asked > MOST_THREADS) return UV_EINVAL;
    pthread_mutex_lock(&lock);
    unsigned size = atomic_load(&settled);
    if (size == 0) rc = settle(asked ? asked : default_size());
    else if (asked && asked != size) rc = UV_EALREADY;
    if (rc == 0) {
        unsigned left = o ? o->pool_reserve : 0;
        if (left || users == 0) atomic_store(&reserve, left ? left : 1);
        if (uvt__pool_changed) uvt__pool_changed();
        users++;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

void uvt__pool_leave(void) {
    pthread_mutex_lock(&lock);
    if (--users == 0 && uvt__pool_close) uvt__pool_close();
    pthread_mutex_unlock(&lock);
}

bool uvt__pool_hold(void) {
    pthread_mutex_lock(&lock);
    bool held = users > 0;
    if (held) users++;
    pthread_mutex_unlock(&lock);
    return held;
}

void uvt_pool_size(unsigned *threads, unsigned *for_jobs) {
    unsigned size = atomic_load(&settled), left = atomic_load(&reserve);
    if (size == 0) size = default_size();
    if (threads) *threads = size;
    if (for_jobs) *for_jobs = size > left ? size - left : 1;
}
