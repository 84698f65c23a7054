/* SPDX-License-Identifier: MIT
 *
 * Timers: a hierarchical wheel of one millisecond per shard over a single uv_timer. Arming and disarming
 * are a few instructions and never allocate, which is what deadlines want: most are never reached.
 *
 * Level k has 64 slots of 64^k ms. A timer lies at the level of the highest 6-bit group in which its due
 * time differs from `elapsed`, in the slot of that group. So every timer of a lower level is due before
 * every one of a higher level, the first used slot of the lowest used level is next, and when `elapsed`
 * reaches the start of a slot of a higher level, its timers are spread over the levels below (before any
 * other timer can be put there, so timers that are due at the same time stay in the order of arming).
 */
#include "core/core.h"
#include "core/arch/ticks.h"

/* Far enough for anybody, near enough that the arithmetic cannot overflow. */
#define FAR_AWAY ((uint64_t)1 << 46)

#define BRIEF 100000 /* ticks: so little time that it is not worth a division */

uint64_t uvt__now(const uvt__shard *s) {
    return s->virtual_clock ? s->clock : uv_hrtime() / 1000000;
}

/* What the counter said when the clock was at ns. Both are read in this order everywhere: a thread that was interrupted
 * between them makes what is reckoned later, and no deadline early. Here the best of a few counts. */
static void read_together(uint64_t *ticks, uint64_t *ns) {
    for (uint64_t least = UINT64_MAX, i = 0; i < 4; i++) {
        uint64_t before = uvt__ticks(), now = uv_hrtime(), took = uvt__ticks() - before;
        if (took >= least) continue;
        least = took;
        *ticks = before;
        *ns = now;
    }
}

/* A counter that is not the same on all processors may have gone backwards. Its pace is taken to vary by a thousandth:
 * the kernel slews the clock by up to 500 ppm to either side, unless somebody who sets the time is in greater hurry. */
uint64_t uvt__at_ticks(const uvt__shard *s, uint64_t then, uint64_t now, uint64_t now_ns) {
    uint64_t ago = now - then, all = now - s->ticks_then;
    if (now < then || ago < BRIEF || now <= s->ticks_then || ago > all) return now_ns;
    double pace = (double)(now_ns - s->ns_then) / (double)all;
    return now_ns - (uint64_t)((double)ago * pace * 0.999);
}

uint64_t uvt__after(const uvt__shard *s, uint64_t ms) {
    if (ms >= FAR_AWAY) return UVT_FOREVER;
    if (s->virtual_clock) return s->clock + ms;
    return (uv_hrtime() + 999999) / 1000000 + ms;
}

static unsigned level_of(uint64_t elapsed, uint64_t due) {
    uint64_t differ = (elapsed ^ due) | (WHEEL_SLOTS - 1);
    return (unsigned)(63 - __builtin_clzll(differ)) / WHEEL_BITS;
}

static unsigned slot_of(uint64_t due, unsigned level) {
    return (unsigned)(due >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);
}

void uvt__wheel_init(uvt__shard *s) {
    uvt__wheel *w = &s->wheel;
    for (int l = 0; l < WHEEL_LEVELS; l++) {
        w->used[l] = 0;
        for (int i = 0; i < WHEEL_SLOTS; i++) w->slot[l][i].next = w->slot[l][i].prev = &w->slot[l][i];
    }
    w->armed = 0;
    w->elapsed = uvt__now(s);
    read_together(&s->ticks_then, &s->ns_then);
    s->timer_at = UVT_FOREVER;
}

void uvt__wheel_clear(uvt__shard *s) {
    uvt__wheel *w = &s->wheel;
    for (int l = 0; l < WHEEL_LEVELS; l++)
        for (int i = 0; i < WHEEL_SLOTS; i++)
            while (w->slot[l][i].next != &w->slot[l][i]) uvt__timer_disarm(s, w->slot[l][i].next);
}

static void put(uvt__wheel *w, uvt__timer_t *t) {
    unsigned l = level_of(w->elapsed, t->due), i = slot_of(t->due, l);
    uvt__timer_t *head = &w->slot[l][i];
    t->next = head;
    t->prev = head->prev;
    head->prev->next = t;
    head->prev = t;
    w->used[l] |= (uint64_t)1 << i;
}

static void take(uvt__wheel *w, uvt__timer_t *t) {
    uvt__timer_t *n = t->next, *p = t->prev;
    n->prev = p;
    p->next = n;
    if (n == p) { /* that was the last: n is the slot's head */
        size_t i = (size_t)(n - &w->slot[0][0]);
        w->used[i / WHEEL_SLOTS] &= ~((uint64_t)1 << (i % WHEEL_SLOTS));
    }
    t->next = NULL;
}

/* When the loop has to look next: the due time of the earliest timer, or the start of the slot it is in. */
uint64_t uvt__wheel_next(const uvt__wheel *w) {
    for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
        if (!w->used[l]) continue;
        uint64_t slot = (uint64_t)__builtin_ctzll(w->used[l]);
        uint64_t below = ((uint64_t)1 << ((l + 1) * WHEEL_BITS)) - 1;
        return (w->elapsed & ~below) | slot << (l * WHEEL_BITS);
    }
    return UVT_FOREVER;
}

/* Sets the uv_timer for what comes next. Its time is kept absolute, so a stale uv_now does no harm. */
void uvt__timer_set(uvt__shard *s) {
    uint64_t next = uvt__wheel_next(&s->wheel);
    if (s->virtual_clock || next >= s->timer_at) return;
    uint64_t base = uv_now(s->loop);
    s->timer_at = next;
    uv_timer_start(&s->timer, uvt__on_timer, next > base ? next - base : 0, 0);
}

void uvt__timer_arm(uvt__shard *s, uvt__timer_t *t, uint64_t due) {
    uvt__wheel *w = &s->wheel;
    if (due <= w->elapsed) due = w->elapsed + 1;
    if (due - w->elapsed > FAR_AWAY) due = w->elapsed + FAR_AWAY;
    t->due = due;
    put(w, t);
    if (w->armed++ == 0) {
        if (s->virtual_clock) uvt__keep_turning(s);
        else uv_ref((uv_handle_t *)&s->timer);
    }
    if (due < s->timer_at) uvt__timer_set(s);
}

/* A uv_timer that is left set for a timer that has gone fires once for nothing: cheaper than moving it. */
void uvt__timer_disarm(uvt__shard *s, uvt__timer_t *t) {
    if (!t->next) return;
    take(&s->wheel, t);
    if (--s->wheel.armed == 0) uv_unref((uv_handle_t *)&s->timer);
}

/* Fires everything that is due up to now, in order. */
void uvt__wheel_advance(uvt__shard *s, uint64_t now) {
    uvt__wheel *w = &s->wheel;
    for (uint64_t at; (at = uvt__wheel_next(w)) <= now;) {
        unsigned l = 0;
        while (!w->used[l]) l++;
        uvt__timer_t *head = &w->slot[l][slot_of(at, l)];
        w->elapsed = at;
        if (l == 0) {
            while (head->next != head) {
                uvt__timer_t *t = head->next;
                __builtin_prefetch(t->next, 1);
                uvt__timer_disarm(s, t);
                t->fire(t);
            }
        } else {
            uvt__timer_t *t = head->next;
            w->used[l] &= ~((uint64_t)1 << slot_of(at, l));
            head->prev->next = NULL;
            head->next = head->prev = head;
            for (uvt__timer_t *next; t; t = next) {
                next = t->next;
                put(w, t);
            }
        }
    }
    if (now > w->elapsed) w->elapsed = now;
}

void uvt__on_timer(uv_timer_t *h) {
    uvt__shard *s = h->data;
    s->timer_at = UVT_FOREVER;
    uvt__wheel_advance(s, uvt__now(s));
    uvt__timer_set(s);
}

/* ---- sleeping ---- */

/* A task that sleeps (or waits for a token) is hooked by the timer in its record, and waking it does not touch its
 * stack: of a million sleepers neither would be in any cache, and records at least lie close together. The park says 0
 * all along. */
void uvt__timer_wakes(uvt__timer_t *timer) {
    uvt__task *t = CONTAINER_OF(timer, uvt__task, timer);
    if (UNLIKELY(t->state != T_PARKED)) { /* about to be: by what a deadline does that has just come */
        uvt_unpark(t->park, 0);
        return;
    }
    t->park = NULL;
    t->flags &= (uint16_t)~TF_ABORT_ASKED;
    uvt__ready(uvt__here(), t);
}

static int sleep_abort(uvt_park_t *p) {
    uvt__timer_disarm(uvt__here(), &p->task->timer);
    return UVT_ABORT_DONE;
}

static int sleep_due(uvt__shard *s, uint64_t due) {
    uvt_park_t p = { .what = "sleep", .abort = sleep_abort };
    uvt__timer_t *timer = &s->current->timer;
    timer->next = NULL;
    timer->fire = uvt__timer_wakes;
    if (due != UVT_FOREVER) uvt__timer_arm(s, timer, due);
    return uvt_park(&p);
}

uint64_t uvt_now(void) {
    uvt__shard *s = uvt__here();
    return s ? uvt__now(s) : uv_hrtime() / 1000000;
}

int uvt_sleep(uint64_t ms) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    if ((int64_t)ms < 0 && ms != UVT_FOREVER) return UV_EINVAL;
    return ms == 0 ? uvt_yield() : sleep_due(s, uvt__after(s, ms));
}

int uvt_sleep_until(uint64_t deadline) {
    uvt__shard *s = uvt__here();
    if (!s || !s->current) return UVT_ENOTASK;
    uint64_t now = uvt__now(s);
    if (deadline <= now) return uvt_yield();
    return sleep_due(s, deadline - now < FAR_AWAY ? deadline : UVT_FOREVER);
}

/* ---- intervals ---- */

#define IN_TIME 5 /* ms: a tick that is no later moves no phase, or every wake-up's delay would */

/* ms from now, rounded up, inside a runtime or not. */
static uint64_t after(uint64_t ms) {
    uvt__shard *s = uvt__here();
    return s && s->virtual_clock ? s->clock + ms : (uv_hrtime() + 999999) / 1000000 + ms;
}

int uvt_interval_init(uvt_interval_t *iv, uint64_t period_ms, uvt_missed missed) {
    if (!iv || period_ms == 0 || (int64_t)period_ms < 0 || (unsigned)missed > UVT_MISSED_DELAY) return UV_EINVAL;
    *iv = (uvt_interval_t){ .period = period_ms, .next = after(period_ms), .missed = missed };
    return 0;
}

int uvt_interval_tick(uvt_interval_t *iv) {
    if (!iv || iv->period == 0) return UV_EINVAL;
    int rc = uvt_sleep_until(iv->next);
    if (rc < 0) return rc;
    uint64_t now = uvt_now(), due = iv->next, dropped = 0;
    iv->next = due + iv->period;
    if (now >= iv->next && iv->missed == UVT_MISSED_SKIP) {
        dropped = (now - due) / iv->period;
        iv->next = due + (dropped + 1) * iv->period;
    } else if (now > due + IN_TIME && iv->missed == UVT_MISSED_DELAY) {
        iv->next = after(iv->period);
    }
    return dropped > INT32_MAX ? INT32_MAX : (int)dropped;
}

void uvt_interval_reset_at(uvt_interval_t *iv, uint64_t when) {
    if (iv) iv->next = when;
}
