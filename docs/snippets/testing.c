/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 15: tests are tasks on a clock that jumps.
 */
#include <uvtask.h>
#include <uvtask/test.h>

static int slow(void *arg) {
    (void)arg;
    int rc = uvt_sleep(60 * 60 * 1000); /* an hour: no time at all in a test */
    uvt_test_step(rc < 0 ? "cut short" : "slept");
    return rc;
}

UVT_TEST(timeout_fires_exactly_at_its_time) {
    uint64_t start = uvt_now();
    CHECK_EQ(uvt_timeout(2500, slow, NULL), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - start, 2500);
    CHECK_STEPS("cut short");
}

UVT_TEST(spawn_out_of_memory_leaves_nothing_half_done) {
    for (unsigned n = 1;; n++) { /* every allocation on the way fails once */
        uvt_set_t set;
        uvt_test_fail_alloc(n);
        int rc = uvt_set_open(&set, NULL);
        if (rc == 0) {
            rc = uvt_set_spawn(&set, slow, NULL);
            uvt_set_close(&set);
        }
        if (!uvt_test_fail_hit()) break;
        CHECK_EQ(rc, UV_ENOMEM);
    }
}

UVT_TEST_MAIN()
