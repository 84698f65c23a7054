/* SPDX-License-Identifier: MIT
 *
 * Task-local values: a small array per task that has any. Keys are given out once per process.
 */
#include "core/core.h"
#include <stdatomic.h>
#include <string.h>

static atomic_int keys;
static atomic_uint inheriting; /* bit per key */

int uvt_key_create(uvt_key_t *key, unsigned flags) {
    if (!key || (flags & ~(unsigned)UVT_KEY_INHERIT)) return UV_EINVAL;
    int i = atomic_load(&keys);
    do {
        if (i >= UVT__KEYS) return UV_ENOSPC;
    } while (!atomic_compare_exchange_weak(&keys, &i, i + 1));
    if (flags & UVT_KEY_INHERIT) atomic_fetch_or(&inheriting, 1u << i);
    key->index = i + 1; /* {0} is no key */
    return 0;
}

static void **values(uvt__task *t) {
    uvt__ext *x = uvt__task_ext(t);
    if (!x) return NULL;
    if (!x->locals) x->locals = uvt__calloc(UVT__KEYS * sizeof *x->locals);
    return x->locals;
}

int uvt_local_set(uvt_key_t key, void *value) {
    uvt__task *t = uvt__current();
    if (!t) return UVT_ENOTASK;
    if (key.index < 1 || key.index > atomic_load(&keys)) return UV_EINVAL;
    void **v = values(t);
    if (!v) return UV_ENOMEM;
    v[key.index - 1] = value;
    t->ext->locals_set |= 1u << (key.index - 1);
    return 0;
}

void *uvt_local_get(uvt_key_t key) {
    uvt__task *t = uvt__current();
    if (!t || !t->ext || !t->ext->locals || key.index < 1 || key.index > UVT__KEYS) return NULL;
    return t->ext->locals[key.index - 1];
}

int uvt__locals_copy(const uvt__task *parent, uint32_t *set, void ***values) {
    *values = NULL;
    *set = parent->ext && parent->ext->locals ? parent->ext->locals_set & atomic_load(&inheriting) : 0;
    if (!*set) return 0;
    *values = uvt__calloc(UVT__KEYS * sizeof **values);
    if (!*values) return UV_ENOMEM;
    for (uint32_t left = *set; left; left &= left - 1) {
        int i = __builtin_ctz(left);
        (*values)[i] = parent->ext->locals[i];
    }
    return 0;
}

/* A new child takes over what its parent has under inheriting keys. */
int uvt__task_locals_inherit(uvt__task *child, const uvt__task *parent) {
    uint32_t set;
    void **v;
    int rc = uvt__locals_copy(parent, &set, &v);
    if (rc < 0 || !v) return rc;
    uvt__ext *x = uvt__task_ext(child);
    if (!x) {
        uvt__free(v);
        return UV_ENOMEM;
    }
    x->locals = v;
    x->locals_set = set;
    return 0;
}
