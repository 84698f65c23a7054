/* SPDX-License-Identifier: MIT
 *
 * Runs many generated programs: random_programs COUNT [FIRST]. The first that breaks a promise is printed and ends
 * it; `random_programs 1 NUMBER` runs that one again, with -p before the count it is printed first.
 *
 * Built on the kit's memory counting, like a test, but in this process alone: for debuggers and sanitizers.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uvtask/test.h>

#include "run.h"

enum { LIMIT_S = 60 }; /* for one program, real time: they take a millisecond */

static uint64_t count, first = 1;

/* Also for the library's own assertions. */
static void shows_program(int sig) {
    signal(SIGABRT, SIG_DFL);
    fprintf(stderr, "in this program%s:\n", sig == SIGALRM ? ", which does not end" : "");
    program_print(stderr, run.p);
    abort();
}

UVT_TEST_PLAIN(programs) {
    signal(SIGALRM, shows_program);
    signal(SIGABRT, shows_program);
    for (uint64_t number = first; number < first + count; number++) {
        if ((number - first) % 64 == 0) alarm(LIMIT_S);
        program_run_number(number);
    }
    alarm(0);
}

int main(int argc, char **argv) {
    bool prints = argc > 1 && strcmp(argv[1], "-p") == 0;
    argc -= prints;
    argv += prints;
    if (argc < 2) {
        fprintf(stderr, "usage: random_programs [-p] COUNT [FIRST]\n");
        return 2;
    }
    count = strtoull(argv[1], NULL, 10);
    if (argc > 2) first = strtoull(argv[2], NULL, 10);
    for (uint64_t number = first; prints && number < first + count; number++) {
        static struct program p;
        program_of(&p, number);
        program_print(stdout, &p);
    }
    uint64_t begin = uv_hrtime();
    char *args[] = { argv[0], "-f", NULL };
    int rc = uvt_test_main(2, args);
    printf("%" PRIu64 " programs from %" PRIu64 " in %.1f s\n", count, first, (double)(uv_hrtime() - begin) / 1e9);
    return rc;
}
