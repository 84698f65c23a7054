/* SPDX-License-Identifier: MIT
 *
 * Retry: a function is called again after a failure, with growing delays. It runs in the calling task, so whatever
 * scope is around it holds for all attempts together.
 */
#include "core/core.h"

#define ATTEMPTS 3
#define FACTOR 2.0

/* splitmix64: small, and good from any seed on, 0 included. */
static uint64_t draw(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool valid(const uvt_retry_options *o) {
    if ((int64_t)o->delay_ms < 0 && o->delay_ms != UVT_FOREVER) return false;
    if ((int64_t)o->max_delay_ms < 0 && o->max_delay_ms != UVT_FOREVER) return false;
    return o->factor == 0 || o->factor >= 1; /* no comparison holds for NaN */
}

static bool worth(const uvt_retry_options *o, int status) {
    return o->worth ? o->worth(status, o->ctx) : status != UV_ECANCELED;
}

/* Where the attempts have got to. */
struct delays {
    uint64_t next, most; /* ms */
    double factor;
    uint64_t random;
    bool jitter;
};

/* The delay before the next attempt. The modulo favours some values, by nothing that shows for any delay one waits. */
static uint64_t take(struct delays *d) {
    uint64_t ms = d->next < d->most ? d->next : d->most;
    double longer = (double)ms * d->factor;
    d->next = longer < (double)d->most ? (uint64_t)longer : d->most;
    return d->jitter && ms < UVT_FOREVER ? draw(&d->random) % (ms + 1) : ms;
}

int uvt_retry(const uvt_retry_options *o, uvt_fn fn, void *arg) {
    static const uvt_retry_options none;
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if (!o) o = &none;
    if (!fn || !valid(o)) return UV_EINVAL;
    struct delays d = { .next = o->delay_ms, .most = o->max_delay_ms ? o->max_delay_ms : UVT_FOREVER };
    d.factor = o->factor > 0 ? o->factor : FACTOR;
    d.jitter = o->jitter;
    d.random = o->seed ? o->seed : uv_hrtime() ^ s->current->id << 20;
    for (unsigned left = o->attempts ? o->attempts : ATTEMPTS;;) {
        int status = fn(arg);
        if (status >= 0 || --left == 0 || !worth(o, status)) return status;
        uint64_t ms = take(&d), deadline = uvt_deadline(); /* 0: cancelled, which the sleep says */
        if (deadline && uvt__after(s, ms) >= deadline) return status;
        int rc = uvt_sleep(ms);
        if (rc < 0) return rc;
    }
}
