/* SPDX-License-Identifier: MIT
 *
 * Runs many generated stream programs: random_streams COUNT [FIRST]. The first that breaks a promise is printed and
 * ends it. With -p before the count they are printed first, all of them; `random_streams -m 1 NUMBER` makes that one
 * smaller.
 */
#include "streams.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uvtask/test.h>

enum { LIMIT_S = 30 }; /* for one program, real time: they take a few milliseconds */

static uint64_t count, first = 1;
static bool minimizes;

/* Also for the library's own assertions. */
static void shows_program(int sig) {
    signal(SIGABRT, SIG_DFL);
    fprintf(stderr, "in this program%s:\n", sig == SIGALRM ? ", which does not end" : "");
    program_print(stderr, run.p);
    abort();
}

/* ---- smaller ---- */

/* In a process of its own, for it ends there; a few times, for the order is not the program's alone. */
static bool breaks(const struct program *p) {
    int status = 0;
    for (int i = 0; i < 3 && status == 0; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
            dup2(fd, 2);
            close(fd);
            alarm(LIMIT_S);
            signal(SIGABRT, SIG_DFL);
            program_run(p);
            _exit(0);
        }
        waitpid(pid, &status, 0);
    }
    return status != 0;
}

static bool without_op(struct program *p, struct op *op) {
    struct op was = *op;
    if (op->kind == KIND_nothing) return false;
    *op = (struct op){ .kind = KIND_nothing };
    if (breaks(p)) return true;
    *op = was;
    op->wrap = WRAP_NONE;
    if (was.wrap != WRAP_NONE && breaks(p)) return true;
    *op = was;
    return false;
}

static bool without_ops(struct program *p) {
    bool some = false;
    for (unsigned i = 0; i < p->workers; i++)
        for (unsigned k = 0; k < p->plan[i].ops; k++) some |= without_op(p, &p->plan[i].op[k]);
    return some;
}

static void without_conditions(struct program *p) {
    struct program was = *p;
    p->shuffle = 0;
    if (was.shuffle && !breaks(p)) *p = was;
    was = *p;
    p->narrow = false;
    if (was.narrow && !breaks(p)) *p = was;
    was = *p;
    p->fail_alloc = p->fail_uv = 0;
    if ((was.fail_alloc || was.fail_uv) && !breaks(p)) *p = was;
}

/* Prints what is left of the program when whatever it breaks without is gone, and lets that break. */
static void minimize(struct program *p) {
    if (!breaks(p)) printf("it does not break\n");
    while (without_ops(p)) without_conditions(p);
    without_conditions(p);
    printf("smaller:\n");
    program_print(stdout, p);
    fflush(stdout);
    alarm(LIMIT_S);
    for (int i = 0; i < 10; i++) program_run(p);
}

/* ---- many ---- */

UVT_TEST_PLAIN(programs) {
    static struct program p;
    signal(SIGALRM, shows_program);
    signal(SIGABRT, shows_program);
    program_of(&p, first);
    if (minimizes) minimize(&p);
    for (uint64_t number = first; !minimizes && number < first + count; number++) {
        alarm(LIMIT_S);
        program_of(&p, number);
        program_run(&p);
    }
    alarm(0);
}

static void print_all(void) {
    static struct program p;
    for (uint64_t number = first; number < first + count; number++) {
        program_of(&p, number);
        program_print(stdout, &p);
    }
}

int main(int argc, char **argv) {
    bool prints = argc > 1 && strcmp(argv[1], "-p") == 0;
    minimizes = argc > 1 && strcmp(argv[1], "-m") == 0;
    argc -= prints || minimizes;
    argv += prints || minimizes;
    if (argc < 2) {
        fprintf(stderr, "usage: random_streams [-p | -m] COUNT [FIRST]\n");
        return 2;
    }
    count = strtoull(argv[1], NULL, 10);
    if (argc > 2) first = strtoull(argv[2], NULL, 10);
    if (prints) print_all();
    uint64_t begin = uv_hrtime();
    char *args[] = { argv[0], "-f", NULL };
    int rc = uvt_test_main(2, args);
    printf("%" PRIu64 " programs from %" PRIu64 " in %.1f s\n", count, first, (double)(uv_hrtime() - begin) / 1e9);
    return rc;
}
