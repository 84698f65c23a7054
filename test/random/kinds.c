/* SPDX-License-Identifier: MIT
 *
 * The tables of kinds and types, in the order of program.h.
 */
#include "run.h"

#define X(name) extern const struct type type_##name;
TYPES(X)
#undef X

const struct kind *const kinds[KINDS_COUNT] = {
#define X(name, type, a_case) &kind_##name,
    KINDS(X)
#undef X
};

const struct type *const types[TYPES_COUNT] = {
#define X(name) &type_##name,
    TYPES(X)
#undef X
};
