/* SPDX-License-Identifier: MIT
 *
 * Bodies and small helpers that the tests of the core share. A body's argument is a small int where INT()
 * is used. settle() is how a test on the virtual clock waits for "everybody else has run until it waits":
 * the clock only moves when nobody is ready.
 */
#ifndef UVTASK_TEST_CORE_BODIES_H
#define UVTASK_TEST_CORE_BODIES_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uvtask.h>
#include <uvtask/park.h>
#include <uvtask/test.h>

#define INT(n) ((void *)(intptr_t)(n))

static inline int b_return(void *arg) {
    return (int)(intptr_t)arg;
}

static inline int b_sleep(void *arg) {
    return uvt_sleep((uint64_t)(intptr_t)arg);
}

static inline int b_forever(void *arg) {
    (void)arg;
    return uvt_sleep(UVT_FOREVER);
}

/* Notes its argument when it runs. */
static inline int b_step(void *arg) {
    uvt_test_step("%s", (const char *)arg);
    return 0;
}

/* Notes its argument when it is cancelled, and is done then. */
static inline int b_cancelled_step(void *arg) {
    int rc = uvt_sleep(UVT_FOREVER);
    CHECK_EQ(rc, UV_ECANCELED);
    uvt_test_step("%s", (const char *)arg);
    return rc;
}

/* Suspends for so many ms whatever happens outside. */
static inline int b_stubborn(void *arg) {
    return uvt_shielded(UVT_FOREVER, b_sleep, arg);
}

static inline int b_count(void *arg) {
    ++*(int *)arg;
    return 0;
}

/* Joins the task whose handle it is given. */
static inline int b_join(void *arg) {
    return uvt_join(*(uvt_task_t *)arg, NULL);
}

/* For uvt_defer. */
static inline void d_step(void *arg) {
    uvt_test_step("%s", (const char *)arg);
}

static inline void d_count(void *arg) {
    ++*(int *)arg;
}

static inline void settle(void) {
    CHECK_EQ(uvt_sleep(1), 0);
}

/* Spawns and joins; the child's status. */
static inline int spawn_and_join(uvt_fn fn, void *arg) {
    uvt_task_t t;
    int rc = uvt_spawn(&t, fn, arg);
    return rc < 0 ? rc : uvt_join(t, NULL);
}

/* Runs fn in a process of its own, checks that it died by abort(), and collects what it printed. */
static inline void dies(void (*fn)(void), char *text, size_t size) {
    int fds[2], status;
    size_t len = 0;
    ssize_t n;
    CHECK_EQ(pipe(fds), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGABRT, SIG_DFL);
        dup2(fds[1], 2);
        fn();
        _exit(0);
    }
    close(fds[1]);
    while (len + 1 < size && (n = read(fds[0], text + len, size - 1 - len)) > 0) len += (size_t)n;
    text[len] = 0;
    close(fds[0]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGABRT);
}

#endif
