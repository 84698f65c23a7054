/* SPDX-License-Identifier: MIT
 *
 * Hundreds of generated stream programs against the model in this directory. Which ones follows from the seed;
 * one that breaks a promise is printed with its number, and UVT_PROGRAM=number runs that one alone.
 */
#include "streams.h"

#include <stdlib.h>
#include <uvtask/test.h>

enum { PROGRAMS = 200 };

static void stop(void) {
    uvt_test_fail(__FILE__, __LINE__, "run it again with UVT_PROGRAM=%llu", (unsigned long long)run.p->number);
}

UVT_TEST_PLAIN(random_stream_programs_keep_all_promises) {
    static struct program p;
    const char *one = getenv("UVT_PROGRAM");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1 + uvt_test_seed() * PROGRAMS;
    broken_hook = stop;
    for (uint64_t i = 0; i < (one ? 1 : PROGRAMS); i++) {
        program_of(&p, first + i);
        program_run(&p);
    }
}

UVT_TEST_MAIN()
