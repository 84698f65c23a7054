/* SPDX-License-Identifier: MIT
 *
 * Stacks where the kernel has less to offer: no list of advices, no guard pages by advice, no guard pages at all, no
 * memory. The kernel is made so for the test's own process by a system call filter, or by a limit on its address space.
 * Where filters cannot be had (valgrind, emulation), these tests say nothing.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uvtask.h>
#include <uvtask/test.h>
#include "sanitized.h"

#define GUARD_INSTALL 102

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), 0, (skip))
#define FAIL_WITH(code) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (code))

/* From here on this process has no process_madvise and no MADV_GUARD_INSTALL and, if asked for, no mprotect to
 * PROT_NONE. False when that cannot be arranged. */
static bool take_guards_away(bool mprotect_too) {
    struct sock_filter code[] = {
        LOAD(nr),
        UNLESS(SYS_process_madvise, 1), FAIL_WITH(ENOSYS),
        UNLESS(SYS_madvise, 3), LOAD(args[2]), UNLESS(GUARD_INSTALL, 1), FAIL_WITH(EINVAL),
        LOAD(nr),
        UNLESS(SYS_mprotect, 3), LOAD(args[2]), UNLESS(mprotect_too ? PROT_NONE : ~0u, 1), FAIL_WITH(ENOMEM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return false;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool works = madvise(page, 4096, GUARD_INSTALL) != 0 && (mprotect(page, 4096, PROT_NONE) != 0) == mprotect_too;
    munmap(page, 4096);
    return works;
}

static int sleeps(void *arg) {
    (void)arg;
    return uvt_sleep(10);
}

static int hundred(void *arg) {
    (void)arg;
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_set_spawn(&set, sleeps, NULL), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    return uvt_set_close(&set);
}

static int below_the_stack(void *arg) {
    (void)arg;
    volatile char here = 0;
    for (volatile char *p = &here; p; p -= 1024) *p = 1;
    return 0;
}

UVT_TEST_PLAIN(stacks_without_guard_advice_are_guarded_by_mprotect) {
    int status;
    if (SANITIZED || !take_guards_away(false)) return;
    CHECK_EQ(uvt_test_run(hundred, NULL, NULL), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) _exit(uvt_test_run(below_the_stack, NULL, NULL) == 0 ? 0 : 1);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGSEGV);
}

UVT_TEST_PLAIN(stacks_without_any_guard_are_refused) {
    if (SANITIZED || !take_guards_away(true)) return;
    CHECK_EQ(uvt_test_run(hundred, NULL, NULL), UV_ENOMEM);
}

UVT_TEST_PLAIN(stacks_without_any_guard_work_when_allowed) {
    if (SANITIZED || !take_guards_away(true)) return;
    CHECK_EQ(uvt_test_run(hundred, NULL, &(uvt_options){ .allow_unguarded = true }), 0);
}

/* ---- no memory for a stack ---- */

static int dropped;

static void counts(void *arg) {
    CHECK_EQ(uvt_sleep(1), UVT_ENOTASK); /* it cannot suspend */
    dropped += *(int *)arg;
}

static int never(void *arg) {
    (void)arg;
    uvt_test_fail(__FILE__, __LINE__, "ran without a stack");
}

/* Less address space than one of the largest stacks takes. */
static bool take_memory_away(void) {
    struct rlimit most = { (rlim_t)512 << 20, (rlim_t)512 << 20 };
    if (SANITIZED || setrlimit(RLIMIT_AS, &most) != 0) return false;
    void *m = mmap(NULL, (size_t)1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return m == MAP_FAILED;
}

UVT_TEST(stack_that_cannot_be_had_ends_the_task_and_drops_its_argument) {
    uvt_task_t t;
    uvt_result r;
    int two = 2;
    if (!take_memory_away()) return;
    CHECK_EQ(uvt_spawn_opts(&t, never, &two, &(uvt_task_options){ .stack_size = (size_t)1 << 30, .drop = counts }), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.status, UV_ENOMEM);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(dropped, 2);
    CHECK_EQ(uvt_join((uvt_task_t){ NULL, 0 }, NULL), UV_EINVAL); /* and the loop goes on */
}

UVT_TEST(stack_that_cannot_be_had_of_a_member_uses_the_sets_drop) {
    uvt_set_t set;
    int three = 3;
    if (!take_memory_away()) return;
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .discard = true, .drop = counts }), 0);
    uvt_task_options big = { .stack_size = (size_t)1 << 30 };
    CHECK_EQ(uvt_set_spawn_opts(&set, NULL, never, &three, &big), 0);
    CHECK_EQ(uvt_set_wait(&set), UV_ENOMEM);
    CHECK_EQ(dropped, 3);
    CHECK_EQ(uvt_set_close(&set), UV_ENOMEM);
}

UVT_TEST(drop_of_a_delayed_task_that_is_cancelled) {
    uvt_task_t t;
    uvt_result r;
    int five = 5;
    CHECK_EQ(uvt_spawn_opts(&t, never, &five, &(uvt_task_options){ .start_after_ms = 1000, .drop = counts }), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(dropped, 5);
}

static int runs(void *arg) {
    return *(int *)arg;
}

UVT_TEST(drop_is_not_called_for_a_task_that_ran) {
    uvt_task_t t;
    int seven = 7;
    CHECK_EQ(uvt_spawn_opts(&t, runs, &seven, &(uvt_task_options){ .start_after_ms = 10, .drop = counts }), 0);
    CHECK_EQ(uvt_join(t, NULL), 7);
    CHECK_EQ(dropped, 0);
}

UVT_TEST_MAIN()
