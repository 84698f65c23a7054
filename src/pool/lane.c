/* SPDX-License-Identifier: MIT
 *
 * Lanes: what waits for a thread, first come first served, and whose turn it is. A lane that has work and room for
 * one more of it stands in the line of turns, once; whoever takes an item takes the first lane's first one and puts
 * the lane behind the others. So a take costs the same however many lanes there are, and a lane that is full costs
 * nothing.
 *
 * Two lanes are our own: the parallel loops that tasks wait for, and what loops ask of other threads. They take
 * their turns like the others, and no limit but the crew's holds for them.
 *
 * All of it is under the crew's lock, except the entrance: there an item may be put at any time, and whoever has the
 * lock brings what is there into the lanes, in the order it came.
 */
#include "core/arch/ticks.h"
#include "pool/pool.h"
#include <string.h>

struct lane {
    uvt__item *head, *tail;
    struct lane *next_turn; /* valid while in_turn */
    bool in_turn;
    unsigned limit;        /* 0 none */
    unsigned running, waiting;
    uint64_t started, dropped;
    uint64_t waited, longest; /* in uvt__lane_clock's units */
    char name[32];
};

static struct lane lanes[LANES];
static struct lane *turns, *last_turn;
/* Both alone on their cache lines: whoever brings an item reads the one and writes the other. */
static struct {
    _Alignas(64) atomic_int made;             /* a lane is complete before it is counted */
    _Alignas(64) _Atomic(uvt__item *) newest; /* in the entrance; each one's next is the one before it */
    _Alignas(64) char end;
} shared;
static uint64_t looked; /* into the entrance last, by uvt__lane_clock */
static struct times {
    uint64_t ns, units; /* uv_hrtime and uvt__lane_clock at one moment */
} beginning;

static int made(void) {
    return atomic_load(&shared.made);
}

bool uvt__lane_exists(uvt_lane_t lane) {
    return lane.index >= 0 && lane.index <= made();
}

/* ---- the clock ---- */

/* To read the real one costs more than a lane. */
uint64_t uvt__lane_clock(void) {
    uint64_t ticks = uvt__ticks();
    return ticks ? ticks : uv_hrtime();
}

/* Twice, as one may be interrupted between the two. */
static struct times times_now(void) {
    struct times best = { 0, 0 };
    uint64_t shortest = UINT64_MAX;
    for (int i = 0; i < 2; i++) {
        uint64_t before = uvt__lane_clock(), ns = uv_hrtime(), units = uvt__lane_clock();
        if (units - before < shortest) best = (struct times){ ns, units };
        shortest = units - before;
    }
    return best;
}

void uvt__lane_start_clock(void) {
    if (!beginning.ns) beginning = times_now();
}

uint64_t uvt__lane_moment(void) {
    uint64_t ticks = uvt__ticks_moment();
    return ticks ? ticks : 20000;
}

static double us_per_unit(void) {
    struct times now = times_now();
    if (beginning.ns == 0 || now.units <= beginning.units) return 0;
    return (double)(now.ns - beginning.ns) / 1e3 / (double)(now.units - beginning.units);
}

/* ---- turns ---- */

static bool runnable(const struct lane *l) {
    return l->head && (l->limit == 0 || l->running < l->limit);
}

static void line_up(struct lane *l) {
    if (l->in_turn || !runnable(l)) return;
    l->in_turn = true;
    l->next_turn = NULL;
    if (turns) last_turn->next_turn = l;
    else turns = l;
    last_turn = l;
}

/* ---- items ---- */

void uvt__lane_offer(uvt__item *it) {
    it->next = atomic_load_explicit(&shared.newest, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&shared.newest, &it->next, it)) {}
}

static void enter(uvt__item *it) {
    struct lane *l = &lanes[it->lane];
    it->next = NULL;
    it->prev = l->tail;
    if (l->head) l->tail->next = it;
    else l->head = it;
    l->tail = it;
    l->waiting++;
    line_up(l);
}

/* The reads are ordered with the crew's saying who is spare. */
static void let_in(void) {
    if (!atomic_load(&shared.newest)) return;
    uvt__item *it = atomic_exchange(&shared.newest, NULL), *oldest = NULL;
    for (uvt__item *before; it; it = before) {
        before = it->next;
        it->next = oldest;
        oldest = it;
    }
    for (uvt__item *after; oldest; oldest = after) {
        after = oldest->next;
        enter(oldest);
    }
}

bool uvt__lane_newcomers(void) {
    return atomic_load_explicit(&shared.newest, memory_order_relaxed) != NULL;
}

bool uvt__lane_wants(const uvt__item *it) {
    const struct lane *l = &lanes[it->lane];
    let_in();
    return it->copies > 0 && (l->limit == 0 || l->running + l->waiting <= l->limit);
}

static void unlink_item(uvt__item *it) {
    struct lane *l = &lanes[it->lane];
    if (it->prev) it->prev->next = it->next;
    else l->head = it->next;
    if (it->next) it->next->prev = it->prev;
    else l->tail = it->prev;
    l->waiting--;
    it->copies = 0;
}

void uvt__lane_unlink(uvt__item *it) {
    let_in();
    unlink_item(it);
}

void uvt__lane_drop(uvt__item *it) {
    uvt__lane_unlink(it);
    lanes[it->lane].dropped++;
}

static bool no_turns(void) {
    while (turns && !runnable(turns)) { /* its work was withdrawn */
        turns->in_turn = false;
        turns = turns->next_turn;
    }
    return !turns;
}

bool uvt__lanes_idle(void) {
    if (!no_turns()) return false;
    let_in();
    return no_turns();
}

bool uvt__lane_calls(void) {
    return lanes[LANE_HELPERS].head != NULL;
}

uvt__item *uvt__lane_take(uint64_t now) {
    if (now - looked > uvt__lane_moment()) { /* not each time: whoever brings many needs the entrance's line */
        looked = now;
        let_in();
    }
    if (uvt__lanes_idle()) return NULL;
    struct lane *l = turns;
    uvt__item *it = l->head;
    turns = l->next_turn;
    l->in_turn = false;
    if (it->copies == 1) unlink_item(it);
    else it->copies--;
    it->inside++;
    l->running++;
    l->started++;
    if (now > it->since) { /* it may have come after the clock was read, or by another processor's counter */
        uint64_t waited = now - it->since;
        l->waited += waited;
        if (waited > l->longest) l->longest = waited;
    }
    line_up(l);
    return it;
}

void uvt__lane_leave(uvt__item *it) {
    struct lane *l = &lanes[it->lane];
    it->inside--;
    l->running--;
    line_up(l);
}

/* ---- public ---- */

static struct lane *named(const char *name) {
    for (int i = 1; i <= made(); i++)
        if (strcmp(lanes[i].name, name) == 0) return &lanes[i];
    return NULL;
}

int uvt_lane_create(uvt_lane_t *out, const char *name, unsigned limit) {
    char cut[sizeof lanes->name] = { 0 };
    int rc = 0;
    if (!out || !name || !*name) return UV_EINVAL;
    strncpy(cut, name, sizeof cut - 1);
    uvt__crew_lock();
    struct lane *l = named(cut);
    if (!l && made() == LANES_MADE) {
        rc = UV_ENOSPC;
    } else if (!l) {
        l = &lanes[made() + 1];
        memcpy(l->name, cut, sizeof cut);
        l->limit = limit;
        atomic_fetch_add(&shared.made, 1);
    } else if (l->limit != limit) {
        rc = UV_EEXIST;
    }
    if (rc == 0) out->index = (int)(l - lanes);
    uvt__crew_unlock();
    return rc;
}

int uvt_lane_stats_get(uvt_lane_t which, uvt_lane_stats *out) {
    if (!out || !uvt__lane_exists(which)) return UV_EINVAL;
    const struct lane *l = &lanes[which.index];
    uvt__crew_lock();
    double pace = us_per_unit();
    let_in();
    *out = (uvt_lane_stats){ .limit = l->limit, .running = l->running, .waiting = l->waiting, .started = l->started,
                             .dropped = l->dropped, .waited_us = (uint64_t)((double)l->waited * pace),
                             .longest_us = (uint64_t)((double)l->longest * pace) };
    uvt__crew_unlock();
    return 0;
}
