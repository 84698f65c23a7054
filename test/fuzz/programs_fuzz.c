/* SPDX-License-Identifier: MIT
 *
 * Programs made of a fuzzer's bytes (test/random). Each runs in a fresh runtime and must leave nothing behind; one that
 * breaks a promise is printed and aborts. Built and run by fuzz/run.sh.
 */
#include <stdlib.h>
#include <uvtask/test.h>

#include "../random/run.h"
#include "kit/kit.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stop(void) {
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    uvt__kit_count_memory();
    broken_hook = stop;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct program p;
    program_make(&p, data, size);
    program_run(&p);
    return 0;
}
