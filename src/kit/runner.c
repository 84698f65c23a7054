/* SPDX-License-Identifier: MIT
 *
 * Runs the registered tests: each in a forked process of its own, with a time limit, its output kept and
 * shown only when it failed. One pipe per test carries the output and tells of the end: it is at its end
 * when the process is gone. A process that a test left behind may hold it open longer, so the parent also
 * looks for the exit status every so often.
 *
 * After the body the child looks for what is left: descriptors, memory, reports of leaks. It leaves
 * through exit() when all is well, so that a leak checker's turn comes; a failed one goes by _exit.
 *
 * Nothing here runs beside a test: the parent has one thread and makes no runtime.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uvtask/test.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "kit/kit.h"
#include "kit/runner.h"
#include "shard/shard.h"

enum {
    FD_MAX = 4096,          /* descriptors looked at; tests that use up 1024 stay below */
    OUTPUT_MAX = 32 * 1024, /* bytes of a test's output that are kept: the last ones */
    LOOK_MS = 50            /* how often the parent looks for an exit status on its own */
};

/* How the program was asked to run; set once by uvt_test_main. */
static struct {
    uint64_t seed;  /* 0: ready tasks run in the order they became ready */
    unsigned shards; /* of runtimes whose options do not say */
    double limit_s; /* real seconds per test, scaled already */
    bool no_fork, list;
    char **names; /* which tests, exact or "prefix*"; all when there are none */
    int nnames;
} opt = { .limit_s = 20 };

static struct uvt_test *tests, **tests_end = &tests; /* in the order of registration */

void uvt_test_register(struct uvt_test *t) {
    t->next = NULL;
    *tests_end = t;
    tests_end = &t->next;
}

static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- inside the test's process ---- */

static uvt_options kit_options(const uvt_options *options) {
    uvt_options o = options != NULL ? *options : (uvt_options){ 0 };
    if (o.seed == 0) o.seed = opt.seed;
    if (o.shards == 0) o.shards = opt.shards;
    if (o.report == NULL) {
        o.report = uvt__kit_report;
        o.report_arg = NULL;
    }
    return o;
}

uint64_t uvt_test_seed(void) {
    return opt.seed;
}

int uvt_test_run(uvt_fn fn, void *arg, const uvt_options *options) {
    uvt_options o = kit_options(options);
    return uvt__run_with(fn, arg, &o, UVT_SITE("main"), true);
}

static int body(void *arg) {
    const struct uvt_test *t = arg;
    t->fn();
    return 0;
}

static void open_fds(bool *open_now) {
    for (int fd = 0; fd < FD_MAX; fd++) open_now[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* Names the descriptors that are open and were not. */
static bool fds_left(const bool *before) {
    static bool after[FD_MAX];
    open_fds(after);
    bool left = false;
    for (int fd = 0; fd < FD_MAX; fd++) {
        if (!after[fd] || before[fd]) continue;
        char path[64], what[128];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, what, sizeof what - 1);
        what[n > 0 ? n : 0] = '\0';
        uvt__kit_say("descriptor left open: %d %s\n", fd, what);
        left = true;
    }
    return left;
}

/* The whole life of a test in its process. A check that fails does not come back from here. */
static bool run_test(const struct uvt_test *t) {
    static bool before[FD_MAX];
    /* libuv opens a pipe for signals with the first loop of a process and keeps it: not the test's. */
    uv_loop_t loop;
    if (uv_loop_init(&loop) == 0) uv_loop_close(&loop);
    open_fds(before);
    size_t blocks = uvt_test_live_blocks();

    bool ok = true;
    if (t->kind == UVT_TEST_NORUNTIME) {
        t->fn();
    } else {
        uvt_options o = kit_options(NULL);
        int rc = uvt__run_with(body, (void *)(uintptr_t)t, &o, t->site, t->kind == UVT_TEST_VIRTUAL);
        if (rc != 0) {
            uvt__kit_say("the runtime ended with %s (%d): %s\n", uvt_err_name(rc), rc, uvt_strerror(rc));
            ok = false;
        }
    }
    uvt_test_fail_alloc(0);
    uvt_test_fail_uv(0, 0);
    if (uvt__kit_reports_bad()) {
        uvt__kit_say("something was left, and the test did not ask for the reports\n");
        ok = false;
    }
    if (uvt_test_live_blocks() != blocks) {
        uvt__kit_say("memory of the library left: %zu blocks, %zu bytes\n", uvt_test_live_blocks() - blocks,
                     uvt_test_live_bytes());
        ok = false;
    }
    if (fds_left(before)) ok = false;
    if (!ok) uvt__kit_say_reports();
    return ok;
}

/* ---- the parent ---- */

struct output {
    char *text;  /* malloc'd, not terminated; NULL while empty */
    size_t used; /* bytes, at most OUTPUT_MAX */
};

/* size is at most half of OUTPUT_MAX. */
static void output_add(struct output *out, const char *data, size_t size) {
    if (out->text == NULL) out->text = malloc(OUTPUT_MAX);
    if (out->text == NULL) return;
    if (size > OUTPUT_MAX - out->used) {
        memmove(out->text, out->text + out->used - OUTPUT_MAX / 2, OUTPUT_MAX / 2);
        out->used = OUTPUT_MAX / 2;
    }
    memcpy(out->text + out->used, data, size);
    out->used += size;
}

/* Takes what is in the pipe; false at its end. */
static bool drain(int fd, struct output *out) {
    char buf[4096];
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n > 0) {
            output_add(out, buf, (size_t)n);
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        return n < 0 && errno == EAGAIN;
    }
}

static void print_output(const struct output *out) {
    for (size_t at = 0; at < out->used;) {
        const char *line = out->text + at;
        const char *end = memchr(line, '\n', out->used - at);
        size_t len = end != NULL ? (size_t)(end - line) : out->used - at;
        printf("    %.*s\n", (int)len, line);
        at += len + 1;
    }
}

static UVT_NORETURN void child_main(const struct uvt_test *t, int out) {
    setpgid(0, 0); /* a test that is killed for its time takes what it started along */
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    if (out > STDERR_FILENO) close(out);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!run_test(t)) {
        fflush(stdout);
        _exit(UVT__KIT_FAILED);
    }
    exit(0);
}

/* Waits for the child and collects its output; says in why (of size bytes) what went wrong, "" if nothing. */
static void await_child(pid_t pid, int fd, struct output *out, char *why, size_t size) {
    int64_t start = now_ms(), end = start + (int64_t)(opt.limit_s * 1000);
    bool at_end = false, timed_out = false;
    int status = 0;
    for (;;) {
        int64_t left = end - now_ms();
        if (left <= 0 && !timed_out) {
            timed_out = true;
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
        }
        if (!at_end) {
            struct pollfd p = { .fd = fd, .events = POLLIN };
            poll(&p, 1, !timed_out && left < LOOK_MS ? (int)left : LOOK_MS);
            at_end = !drain(fd, out);
        }
        /* At the pipe's end the process is about to go, unless it closed its own output: then look again. */
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == 0 && at_end) {
            struct timespec nap = { .tv_nsec = 200000 };
            nanosleep(&nap, NULL);
            continue;
        }
        if (got == pid || (got < 0 && errno != EINTR)) break;
    }
    drain(fd, out);
    bool strays = kill(-pid, SIGKILL) == 0; /* the group outlived its leader: processes nobody waited for */
    why[0] = '\0';
    if (timed_out)
        snprintf(why, size, "timed out after %g s", opt.limit_s);
    else if (WIFSIGNALED(status))
        snprintf(why, size, "killed by signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == UVT__KIT_FAILED)
        snprintf(why, size, "failed");
    else if (WEXITSTATUS(status) != 0)
        snprintf(why, size, "exit status %d", WEXITSTATUS(status));
    else if (strays)
        snprintf(why, size, "left processes behind");
}

static bool run_forked(const struct uvt_test *t) {
    int fds[2];
    if (pipe(fds) != 0) {
        printf("FAIL %s: no pipe: %s\n", t->name, strerror(errno));
        return false;
    }
    for (int i = 0; i < 2; i++) fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fflush(stdout);
    fflush(stderr);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child_main(t, fds[1]);
    }
    close(fds[1]);
    struct output out = { 0 };
    char why[128];
    if (pid < 0)
        snprintf(why, sizeof why, "no process: %s", strerror(errno));
    else
        await_child(pid, fds[0], &out, why, sizeof why);
    close(fds[0]);
    if (why[0] != '\0') {
        printf("FAIL %s: %s (%s, seed %llu)\n", t->name, why, t->file, (unsigned long long)opt.seed);
        print_output(&out);
        fflush(stdout);
    }
    free(out.text);
    return why[0] == '\0';
}

static bool run_here(const struct uvt_test *t) {
    printf("RUN  %s\n", t->name);
    fflush(stdout);
    uvt__kit_checks_reset();
    bool ok = run_test(t);
    if (!ok) printf("FAIL %s (%s)\n", t->name, t->file);
    return ok;
}

static bool wanted(const char *name, bool *used) {
    if (opt.nnames == 0) return true;
    bool match = false;
    for (int i = 0; i < opt.nnames; i++) {
        size_t len = strlen(opt.names[i]);
        bool prefix = len > 0 && opt.names[i][len - 1] == '*';
        if (prefix ? strncmp(name, opt.names[i], len - 1) != 0 : strcmp(name, opt.names[i]) != 0) continue;
        match = used[i] = true;
    }
    return match;
}

static bool parse_seed(const char *text) {
    char *end;
    errno = 0;
    opt.seed = strtoull(text, &end, 10);
    return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0';
}

static bool parse_shards(const char *text) {
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    opt.shards = (unsigned)n;
    return *text >= '0' && *text <= '9' && *end == '\0' && n >= 1 && n <= 1024;
}

static bool parse_seconds(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out > 0 && *out < 1e6;
}

static int usage(const char *program) {
    fprintf(stderr,
            "usage: %s [-l] [-s SEED] [-t SECONDS] [-f] [NAME...]\n"
            "  -l  list the tests    -s  order of ready tasks: 0 is as they come (UVT_TEST_SEED)\n"
            "  -t  limit per test, times UVT_TEST_TIMEOUT_SCALE    -f  in this process, for debuggers\n"
            "  NAME  one test, or all that begin so: 'scope_*'\n",
            program);
    return 2;
}

static bool parse(int argc, char **argv) {
    double scale = 1;
    const char *env = getenv("UVT_TEST_SEED");
    if (env != NULL && *env != '\0' && !parse_seed(env)) return false;
    env = getenv("UVT_TEST_SHARDS");
    if (env != NULL && *env != '\0' && !parse_shards(env)) return false;
    env = getenv("UVT_TEST_TIMEOUT_SCALE");
    if (env != NULL && *env != '\0' && !parse_seconds(env, &scale)) return false;
    int c;
    while ((c = getopt(argc, argv, "ls:t:f")) != -1) {
        if (c == 'l')
            opt.list = true;
        else if (c == 'f')
            opt.no_fork = true;
        else if (c == 's' ? !parse_seed(optarg) : c == 't' ? !parse_seconds(optarg, &opt.limit_s) : true)
            return false;
    }
    opt.limit_s *= scale;
    opt.names = argv + optind;
    opt.nnames = argc - optind;
    return true;
}

int uvt_test_main(int argc, char **argv) {
    if (!parse(argc, argv)) return usage(argc > 0 ? argv[0] : "test");
    bool *used = calloc((size_t)opt.nnames + 1, sizeof *used);
    if (used == NULL) return 2;
    uvt__kit_count_memory();
    uvt__kit_fail_aborts(opt.no_fork);

    unsigned passed = 0, failed = 0;
    for (const struct uvt_test *t = tests; t != NULL; t = t->next) {
        if (!wanted(t->name, used)) continue;
        if (opt.list) {
            printf("%s\n", t->name);
            continue;
        }
        if (opt.no_fork ? run_here(t) : run_forked(t))
            passed++;
        else
            failed++;
    }
    int rc = failed > 0 ? 1 : 0;
    for (int i = 0; i < opt.nnames; i++) {
        if (used[i]) continue;
        fprintf(stderr, "no test is called %s\n", opt.names[i]);
        rc = 2;
    }
    free(used);
    if (!opt.list) printf("%u passed, %u failed\n", passed, failed);
    return rc;
}
