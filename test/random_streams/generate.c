/* SPDX-License-Identifier: MIT
 *
 * From a number to a program, and a program for people.
 */
#include "streams.h"

#include <inttypes.h>
#include <string.h>

static uint64_t state;

static unsigned below(unsigned n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

static const struct {
    const char *name;
    unsigned often;
} kinds[] = {
#define X(name, often) { #name, often },
    KINDS(X)
#undef X
};

static uint8_t any_kind(void) {
    unsigned all = 0;
    for (unsigned k = 0; k < KINDS_COUNT; k++) all += kinds[k].often;
    unsigned n = below(all), k = 0;
    while (n >= kinds[k].often) n -= kinds[k++].often;
    return (uint8_t)k;
}

static void make_op(struct op *op) {
    op->kind = any_kind();
    op->wrap = (uint8_t)(below(3) ? WRAP_NONE : 1 + below(3));
    op->ms = (uint8_t)below(12);
    op->a = (uint8_t)below(256);
    op->b = (uint8_t)below(256);
    op->size = (uint16_t)(below(2) ? 1 + below(64) : below(2) ? below(5000) : below(65536));
}

static int any_code(void) {
    static const int codes[] = { UV_EHOSTUNREACH, UV_ENOBUFS, UV_EAGAIN, UV_EMFILE, UV_ENOMEM, UV_ECONNRESET };
    return codes[below(sizeof codes / sizeof *codes)];
}

void program_of(struct program *p, uint64_t number) {
    memset(p, 0, sizeof *p);
    state = number * 0x9e3779b97f4a7c15u ^ 0x2545f4914f6cdd1du;
    if (state == 0) state = 1;
    for (int i = 0; i < 8; i++) below(2);
    p->number = number;
    p->shards = below(6) == 0 ? 4 : 1;
    p->workers = (uint8_t)(2 + below(WORKERS - 1));
    p->shuffle = below(2) ? 1 + below(1000000) : 0;
    p->narrow = below(2);
    p->fail_alloc = (uint8_t)(below(6) == 0 ? 1 + below(30) : 0);
    p->fail_uv = (uint8_t)(below(6) == 0 ? 1 + below(40) : 0);
    p->fail_code = any_code();
    for (unsigned i = 0; i < p->workers; i++) {
        struct plan *w = &p->plan[i];
        w->shard = (uint8_t)(p->shards > 1 && i > 1 ? below(p->shards) : 0);
        w->stubborn = below(4) == 0;
        w->ops = (uint8_t)(3 + below(OPS - 2));
        for (unsigned k = 0; k < w->ops; k++) make_op(&w->op[k]);
        if (i < 2) w->op[0].kind = i ? KIND_accept : KIND_connect; /* or most programs would be about nothing */
        else if (below(2)) w->op[0].kind = below(2) ? KIND_connect : KIND_pair;
    }
}

void op_print(FILE *f, const struct op *op) {
    if (op->wrap == WRAP_DEADLINE) fprintf(f, "within %u ms: ", op->ms);
    if (op->wrap == WRAP_TOKEN) fprintf(f, "under the token: ");
    if (op->wrap == WRAP_SHIELD) fprintf(f, "shielded for %u ms: ", op->ms);
    fprintf(f, "%s %u %u %u", kinds[op->kind].name, op->a, op->b, op->size);
}

void program_print(FILE *f, const struct program *p) {
    fprintf(f, "program %" PRIu64 ": %u shard%s, ", p->number, p->shards, p->shards == 1 ? "" : "s");
    if (p->shuffle) fprintf(f, "shuffled by %u", p->shuffle);
    else fprintf(f, "in order");
    fprintf(f, "%s", p->narrow ? ", narrow" : "");
    if (p->fail_alloc) fprintf(f, ", allocation %u fails", p->fail_alloc);
    if (p->fail_uv) fprintf(f, ", call %u fails with %s", p->fail_uv, uvt_err_name(p->fail_code));
    fprintf(f, "\n");
    for (unsigned i = 0; i < p->workers; i++) {
        fprintf(f, "  worker %u on shard %u%s\n", i, p->plan[i].shard, p->plan[i].stubborn ? ", stubborn" : "");
        for (unsigned k = 0; k < p->plan[i].ops; k++) {
            if (p->plan[i].op[k].kind == KIND_nothing) continue;
            fprintf(f, "    %u.%u ", i, k);
            op_print(f, &p->plan[i].op[k]);
            fprintf(f, "\n");
        }
    }
}
