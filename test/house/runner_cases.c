/* SPDX-License-Identifier: MIT
 *
 * Tests that must fail, each in its own way, and two that must not: runner.sh runs this program and looks at what
 * the kit says of it. Not a test program itself.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uvtask.h>
#include <uvtask/test.h>

static uvt_token_t *kept; /* what a test leaks stays reachable: the kit is to find it, not a leak checker */

static int wait_for_nobody(void *arg) {
    return uvt_semaphore_acquire(arg);
}

UVT_TEST(good_virtual_hour) {
    CHECK_EQ(uvt_sleep(3600000), 0);
}

UVT_TEST_PLAIN(good_steps_and_strings) {
    uvt_test_step("a");
    uvt_test_step("%d", 2);
    CHECK_STR(uvt_test_steps(false), "a 2");
    CHECK_STEPS("a 2");
    CHECK_STEPS("");
}

UVT_TEST(bad_check_in_task) {
    printf("words before the failure\n");
    CHECK_EQ(uvt_sleep(1), UV_EINVAL);
}

UVT_TEST_PLAIN(bad_string) {
    CHECK_STR("is", "should be");
}

UVT_TEST(bad_signal) {
    raise(SIGSEGV);
}

UVT_TEST(bad_exit) {
    exit(7);
}

UVT_TEST_REAL(bad_hang) {
    for (;;) uvt_sleep(1);
}

UVT_TEST_PLAIN(bad_descriptor) {
    (void)!open("/dev/null", O_RDONLY);
}

UVT_TEST(bad_memory) {
    CHECK_EQ(uvt_token_new(&kept, NULL), 0);
}

UVT_TEST(bad_stream_left_open) {
    uvt_listener_t *listener;
    CHECK_EQ(uvt_tcp_listen(&listener, "127.0.0.1", 0, 0), 0);
}

UVT_TEST(bad_deadlock) {
    uvt_semaphore_t none;
    uvt_semaphore_init(&none, 0, 0);
    uvt_set_t set;
    uvt_set_open(&set, NULL);
    uvt_set_spawn(&set, wait_for_nobody, &none);
    uvt_set_wait(&set);
}

UVT_TEST(bad_panic) {
    uvt_panic("no way on");
}

UVT_TEST_PLAIN(bad_stray_process) {
    if (fork() == 0) {
        sleep(100);
        _exit(0);
    }
}

UVT_TEST_MAIN()
