/* SPDX-License-Identifier: MIT
 *
 * uvt_replace_allocator: all of the library's memory but the stacks goes through the caller's functions,
 * every block comes back to them, and they cannot be changed while memory is out.
 */
#include <stdatomic.h>

#include "bodies.h"

static atomic_int taken, given;
static atomic_size_t bytes;
static int fail_at; /* the n-th call fails; 0 none */

static bool refuse(void) {
    return fail_at > 0 && --fail_at == 0;
}

static void *my_malloc(size_t size) {
    if (refuse()) return NULL;
    atomic_fetch_add(&taken, 1);
    atomic_fetch_add(&bytes, size);
    return malloc(size);
}

static void *my_realloc(void *p, size_t size) {
    if (refuse()) return NULL;
    if (p == NULL) atomic_fetch_add(&taken, 1);
    atomic_fetch_add(&bytes, size);
    return realloc(p, size);
}

static void *my_calloc(size_t n, size_t size) {
    if (refuse()) return NULL;
    atomic_fetch_add(&taken, 1);
    atomic_fetch_add(&bytes, n * size);
    return calloc(n, size);
}

static void my_free(void *p) {
    if (p == NULL) return;
    atomic_fetch_add(&given, 1);
    free(p);
}

static int replace(void) {
    return uvt_replace_allocator(my_malloc, my_realloc, my_calloc, my_free);
}

UVT_TEST_PLAIN(allocator_null_function_is_refused) {
    CHECK_EQ(uvt_replace_allocator(NULL, my_realloc, my_calloc, my_free), UV_EINVAL);
    CHECK_EQ(uvt_replace_allocator(my_malloc, NULL, my_calloc, my_free), UV_EINVAL);
    CHECK_EQ(uvt_replace_allocator(my_malloc, my_realloc, NULL, my_free), UV_EINVAL);
    CHECK_EQ(uvt_replace_allocator(my_malloc, my_realloc, my_calloc, NULL), UV_EINVAL);
}

static int uses_everything(void *arg) {
    uvt_token_t *token;
    uvt_oneshot_t *o;
    uvt_set_t set;
    (void)arg;
    CHECK_EQ(uvt_token_new(&token, NULL), 0);
    CHECK_EQ(uvt_oneshot_new(&o, 0), 0);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT(1)), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    uvt_oneshot_close_tx(o);
    uvt_oneshot_close_rx(o, NULL);
    uvt_token_unref(token);
    return 2;
}

UVT_TEST_PLAIN(allocator_gets_every_block_back) {
    CHECK_EQ(replace(), 0);
    CHECK_EQ(uvt_run(uses_everything, NULL, NULL), 2);
    CHECK(taken > 0);
    CHECK_EQ(taken, given);
}

UVT_TEST(allocator_while_memory_is_in_use_is_ebusy) {
    CHECK_EQ(replace(), UV_EBUSY);
    CHECK_EQ(taken, 0);
}

static int spawns_fifty(void *arg) {
    int n = 0;
    (void)arg;
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 50; i++) CHECK_EQ(uvt_set_spawn(&set, b_forever, &n), 0);
    settle();
    return uvt_set_close(&set);
}

UVT_TEST_PLAIN(allocator_is_not_asked_for_stacks) {
    CHECK_EQ(replace(), 0);
    CHECK_EQ(uvt_run(spawns_fifty, NULL, NULL), 0);
    CHECK_IN(bytes, 1, 50 * 16 * 1024); /* fifty of the smallest stacks would be more */
}

UVT_TEST_PLAIN(allocator_that_fails_is_enomem_at_every_point) {
    CHECK_EQ(replace(), 0);
    for (int n = 1;; n++) {
        fail_at = n;
        int rc = uvt_run(b_return, INT(2), NULL);
        bool hit = fail_at == 0;
        fail_at = 0;
        CHECK_EQ(taken, given);
        CHECK(rc == 2 || (hit && rc == UV_ENOMEM));
        if (!hit) break;
    }
    CHECK(taken > 0);
}

UVT_TEST_MAIN()
