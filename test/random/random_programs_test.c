/* SPDX-License-Identifier: MIT
 *
 * Thousands of small generated programs over all primitives against the model in this directory. Which ones
 * follows from the seed, so other seeds run other programs. One that breaks a promise is printed with its number;
 * UVT_PROGRAM=number runs that one alone.
 */
#include <stdlib.h>
#include <uvtask/test.h>

#include "run.h"

enum { PROGRAMS = 1500 };

static void stop(void) {
    uvt_test_fail(__FILE__, __LINE__, "run it again with UVT_PROGRAM=%llu", (unsigned long long)run.p->number);
}

static void run_some(uint64_t part) {
    broken_hook = stop;
    const char *one = getenv("UVT_PROGRAM");
    if (one) {
        program_run_number(strtoull(one, NULL, 10));
        return;
    }
    uint64_t first = 1 + (uvt_test_seed() * 2 + part) * PROGRAMS;
    for (uint64_t i = 0; i < PROGRAMS; i++) program_run_number(first + i);
}

UVT_TEST_PLAIN(random_programs_keep_all_promises) {
    run_some(0);
}

UVT_TEST_PLAIN(random_programs_keep_all_promises_with_other_numbers) {
    run_some(1);
}

UVT_TEST_MAIN()
