/* SPDX-License-Identifier: MIT
 *
 * From bytes to a program. Each decision takes a byte or two, in an order that keeps what belongs together side
 * by side, so that a fuzzer's cuts and splices make sense. After the last byte everything is 0, which is
 * always "none" or "no more".
 */
#include "program.h"

#include <string.h>

struct reader {
    const uint8_t *at, *end;
};

static uint8_t take(struct reader *r) {
    return r->at < r->end ? *r->at++ : 0;
}

static unsigned below(struct reader *r, unsigned n) {
    return take(r) % n;
}

static bool at_end(const struct reader *r) {
    return r->at >= r->end;
}

static const struct {
    uint8_t type;
    bool a_case;
} kind_info[] = {
#define X(name, type, a_case) { TYPE_##type, a_case },
    KINDS(X)
#undef X
};

/* The n-th kind of a type, going round; any one that can be a case, or any at all. False when it has none. */
static bool kind_of(unsigned type, unsigned n, bool a_case, uint8_t *kind) {
    unsigned found = 0;
    uint8_t fit[KINDS_COUNT];
    for (uint8_t k = 0; k < KINDS_COUNT; k++)
        if (kind_info[k].type == type && (!a_case || kind_info[k].a_case)) fit[found++] = k;
    if (found == 0) return false;
    *kind = fit[n % found];
    return true;
}

/* Time and tasks are things, too, but half as often. */
static unsigned thing_of(const struct program *p, unsigned n) {
    n %= 2u * p->things - 2;
    return n < p->things ? n : n - p->things + 2;
}

static bool make_act(struct reader *r, const struct program *p, struct act *a, bool a_case) {
    unsigned thing = take(r), which = take(r);
    a->thing = (uint8_t)(p->family && thing >= 128 ? 1 : thing_of(p, thing));
    a->n = take(r);
    if (p->family && thing >= 192 && !a_case) {
        a->kind = thing & 1 ? KIND_set_spawn : KIND_set_try_spawn;
        return true;
    }
    return kind_of(p->thing[a->thing].type, which, a_case, &a->kind);
}

static void make_wrap(struct reader *r, const struct program *p, struct op *op) {
    unsigned what = take(r);
    if (what < 176) return;
    op->wrap = (uint8_t)(1 + what % (WRAP_COUNT - 1));
    op->ms = take(r) % 16;
    if (op->wrap != WRAP_TOKEN) return;
    for (unsigned i = 0; i < p->things; i++) {
        op->token = (uint8_t)((op->ms + i) % p->things);
        if (p->thing[op->token].type == TYPE_token) return;
    }
    op->wrap = WRAP_DEADLINE;
}

static void make_op(struct reader *r, const struct program *p, struct op *op) {
    unsigned what = take(r);
    make_wrap(r, p, op);
    if (what < 176) {
        if (!make_act(r, p, &op->acts[0], false)) op->acts[0].kind = KIND_yield;
        return;
    }
    op->biased = what & 1;
    op->tries = (what & 6) == 6;
    unsigned wanted = 1 + (what >> 3) % CASES;
    for (unsigned i = 0; i < wanted; i++)
        if (make_act(r, p, &op->acts[op->cases], true)) op->cases++;
    if (op->cases == 0) op->acts[0] = (struct act){ .kind = KIND_yield };
}

static void make_plan(struct reader *r, const struct program *p, struct plan *w, unsigned index) {
    unsigned how = take(r), sets = take(r);
    w->place = (uint8_t)(how % 6);
    w->starts = p->family ? index == 0 : index < 2 || how < 160;
    w->stubborn = (how & 7) == 7;
    w->fails = (how & 0x18) == 0x18;
    w->limit = sets % 4 % 3;
    w->fail_fast = sets & 0x10;
    w->discard = (sets & 0x60) == 0x60;
    unsigned wanted = 1 + below(r, OPS);
    while (w->ops < wanted && !at_end(r)) make_op(r, p, &w->op[w->ops++]);
}

void program_make(struct program *p, const uint8_t *bytes, size_t size) {
    struct reader r = { bytes, bytes + size };
    memset(p, 0, sizeof *p);
    unsigned how = take(&r);
    p->shards = how % 4 == 3 ? 4 : 1;
    p->unwatched = how & 0x80;
    p->shuffle = how & 0x40 ? 1u + take(&r) : 0;
    p->fail_at = (uint8_t)(how & 0x20 ? 1 + below(&r, 24) : 0);
    p->family = (how & 0x18) == 0x18;
    p->thing[0].type = TYPE_time;
    p->thing[1].type = TYPE_task;
    p->things = 2;
    unsigned some = take(&r); /* many programs are about one thing or two, or it would rarely be in a tight spot */
    for (unsigned wanted = 1 + (some < 128 ? some % 2 : some % (THINGS - 2)); p->things < 2 + wanted; p->things++) {
        p->thing[p->things].type = (uint8_t)(2 + below(&r, TYPES_COUNT - 2));
        p->thing[p->things].n = take(&r);
    }
    unsigned wanted = 2 + below(&r, WORKERS - 1);
    while (p->workers < wanted) {
        make_plan(&r, p, &p->plan[p->workers], p->workers);
        p->workers++;
    }
}

size_t program_bytes(uint64_t number, uint8_t bytes[PROGRAM_BYTES]) {
    uint64_t x = number * 0x9e3779b97f4a7c15u ^ 0x2545f4914f6cdd1du;
    if (x == 0) x = 1;
    for (unsigned i = 0; i < PROGRAM_BYTES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (uint8_t)(x >> 32);
    }
    return PROGRAM_BYTES;
}

void program_of(struct program *p, uint64_t number) {
    uint8_t bytes[PROGRAM_BYTES];
    program_make(p, bytes, program_bytes(number, bytes));
    p->number = number;
}
