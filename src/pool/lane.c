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
#include "pool/pool.h"
#include <string.h>

/* While there is work in the lanes, the entrance is left alone for so long: whoever brings many items would have to get
 * its cache line back for each. */
#define NEWCOMERS_NS 20000

enum { MADE_MAX = 32, LOOPS = 1 + MADE_MAX, HELPERS, LANES };

struct uvt__lane {
    uvt__item *head, *tail;
    uvt__lane *next_turn;  /* valid while in_turn */
    bool in_turn;
    unsigned limit;        /* 0 none */
    unsigned running, waiting;
    uint64_t started, dropped;
    uint64_t waited, longest; /* ns */
    char name[32];
};

static uvt__lane lanes[LANES]; /* 0 the default one, then those that were made, LOOPS, HELPERS */
static _Alignas(64) atomic_int made; /* a lane is complete before it is counted */
static uvt__lane *turns, *last_turn;
/* The newest; each one's next is the one before it. Alone on its cache line, as everybody writes it. */
static struct {
    _Alignas(64) _Atomic(uvt__item *) newest;
    char rest[64 - sizeof(void *)];
} entrance;

uvt__lane *const uvt__lane_loops = &lanes[LOOPS];
uvt__lane *const uvt__lane_helpers = &lanes[HELPERS];

uvt__lane *uvt__lane_of(uvt_lane_t lane) {
    return lane.index >= 0 && lane.index <= atomic_load(&made) ? &lanes[lane.index] : NULL;
}

/* ---- turns ---- */

static bool runnable(const uvt__lane *l) {
    return l->head && (l->limit == 0 || l->running < l->limit);
}

static void line_up(uvt__lane *l) {
    if (l->in_turn || !runnable(l)) return;
    l->in_turn = true;
    l->next_turn = NULL;
    if (turns) last_turn->next_turn = l;
    else turns = l;
    last_turn = l;
}

/* ---- items ---- */

void uvt__lane_offer(uvt__item *it) {
    it->next = atomic_load_explicit(&entrance.newest, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&entrance.newest, &it->next, it)) {}
}

static void enter(uvt__item *it) {
    uvt__lane *l = it->lane;
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
    if (!atomic_load(&entrance.newest)) return;
    uvt__item *it = atomic_exchange(&entrance.newest, NULL), *oldest = NULL;
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
    return atomic_load_explicit(&entrance.newest, memory_order_relaxed) != NULL;
}

bool uvt__lane_wants(const uvt__item *it) {
    const uvt__lane *l = it->lane;
    let_in();
    return it->copies > 0 && (l->limit == 0 || l->running + l->waiting <= l->limit);
}

static void unlink_item(uvt__item *it) {
    uvt__lane *l = it->lane;
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
    it->lane->dropped++;
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

uvt__item *uvt__lane_take(uint64_t now) {
    static uint64_t looked;
    if (now - looked > NEWCOMERS_NS) {
        looked = now;
        let_in();
    }
    if (uvt__lanes_idle()) return NULL;
    uvt__lane *l = turns;
    uvt__item *it = l->head;
    turns = l->next_turn;
    l->in_turn = false;
    if (it->copies == 1) unlink_item(it);
    else it->copies--;
    it->inside++;
    l->running++;
    l->started++;
    if (now > it->since) { /* it may have come after the clock was read */
        uint64_t waited = now - it->since;
        l->waited += waited;
        if (waited > l->longest) l->longest = waited;
    }
    line_up(l);
    return it;
}

void uvt__lane_leave(uvt__item *it) {
    it->inside--;
    it->lane->running--;
    line_up(it->lane);
}

/* ---- public ---- */

static uvt__lane *named(const char *name) {
    for (int i = 1; i <= made; i++)
        if (strcmp(lanes[i].name, name) == 0) return &lanes[i];
    return NULL;
}

int uvt_lane_create(uvt_lane_t *lane, const char *name, unsigned limit) {
    char cut[sizeof lanes->name] = { 0 };
    int rc = 0;
    if (!lane || !name || !*name) return UV_EINVAL;
    strncpy(cut, name, sizeof cut - 1);
    uvt__crew_lock();
    uvt__lane *l = named(cut);
    if (!l && made == MADE_MAX) {
        rc = UV_ENOSPC;
    } else if (!l) {
        l = &lanes[made + 1];
        memcpy(l->name, cut, sizeof cut);
        l->limit = limit;
        atomic_fetch_add(&made, 1);
    } else if (l->limit != limit) {
        rc = UV_EEXIST;
    }
    if (rc == 0) lane->index = (int)(l - lanes);
    uvt__crew_unlock();
    return rc;
}

int uvt_lane_stats_get(uvt_lane_t lane, uvt_lane_stats *out) {
    const uvt__lane *l = uvt__lane_of(lane);
    if (!out || !l) return UV_EINVAL;
    uvt__crew_lock();
    let_in();
    *out = (uvt_lane_stats){ .limit = l->limit, .running = l->running, .waiting = l->waiting, .started = l->started,
                             .dropped = l->dropped, .waited_us = l->waited / 1000, .longest_us = l->longest / 1000 };
    uvt__crew_unlock();
    return 0;
}
