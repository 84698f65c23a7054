/* SPDX-License-Identifier: MIT
 *
 * A program for people: its objects, and what each worker does, one line per operation.
 */
#include "program.h"

static const char *const type_names[] = {
#define X(name) #name,
    TYPES(X)
#undef X
};

static const char *const kind_names[] = {
#define X(name, type, a_case) #name,
    KINDS(X)
#undef X
};

static void act_print(FILE *f, const struct program *p, const struct act *a) {
    fprintf(f, "%s", kind_names[a->kind]);
    if (a->thing >= 2) fprintf(f, " %s%u", type_names[p->thing[a->thing].type], a->thing);
    fprintf(f, " %u", a->n);
}

void op_print(FILE *f, const struct program *p, const struct op *op) {
    if (op->wrap == WRAP_DEADLINE) fprintf(f, "within %u ms: ", op->ms);
    if (op->wrap == WRAP_TOKEN) fprintf(f, "under token%u: ", op->token);
    if (op->wrap == WRAP_SHIELD) fprintf(f, "shielded for %u ms: ", op->ms);
    if (op->cases == 0) {
        act_print(f, p, &op->acts[0]);
        return;
    }
    fprintf(f, "%sselect%s {", op->tries ? "try " : "", op->biased ? " biased" : "");
    for (unsigned i = 0; i < op->cases; i++) {
        fprintf(f, i ? " | " : " ");
        act_print(f, p, &op->acts[i]);
    }
    fprintf(f, " }");
}

static void place_print(FILE *f, const struct plan *w) {
    if (w->place == 5) fprintf(f, ", anywhere");
    else if (w->place > 0) fprintf(f, ", on shard %u", w->place - 1);
}

static void sets_print(FILE *f, const struct plan *w) {
    if (w->limit) fprintf(f, ", sets of %u", w->limit);
    fprintf(f, "%s%s", w->fail_fast ? ", that fail fast" : "", w->discard ? ", that discard" : "");
}

void program_print(FILE *f, const struct program *p) {
    fprintf(f, "program %llu: %u shard%s, ", (unsigned long long)p->number, p->shards, p->shards == 1 ? "" : "s");
    if (p->shuffle) fprintf(f, "shuffled by %u", p->shuffle);
    else fprintf(f, "in order");
    fprintf(f, "%s", p->unwatched ? ", unwatched" : "");
    if (p->fail_at) fprintf(f, ", allocation %u fails", p->fail_at);
    fprintf(f, "\n");
    for (unsigned i = 2; i < p->things; i++)
        fprintf(f, "  %s%u made with %u\n", type_names[p->thing[i].type], i, p->thing[i].n);
    for (unsigned i = 0; i < p->workers; i++) {
        const struct plan *w = &p->plan[i];
        fprintf(f, "  worker %u%s", i, w->starts ? "" : " (to be spawned)");
        place_print(f, w);
        fprintf(f, "%s%s", w->stubborn ? ", stubborn" : "", w->fails ? ", fails" : "");
        sets_print(f, w);
        fprintf(f, "\n");
        for (unsigned k = 0; k < w->ops; k++) {
            fprintf(f, "    %u.%u ", i, k);
            op_print(f, p, &w->op[k]);
            fprintf(f, "\n");
        }
    }
}
