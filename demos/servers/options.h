/* SPDX-License-Identifier: MIT
 *
 * The command line of the demo servers: numbers behind long names, `--name N` or `--name=N`, nothing else. A
 * program lists what it takes in a table; the table is also its usage text.
 */
#ifndef DEMOS_SERVERS_OPTIONS_H
#define DEMOS_SERVERS_OPTIONS_H

#include <stddef.h>

struct number_option {
    const char *name;     /* without the dashes */
    const char *help;     /* one line for the usage */
    unsigned *value;      /* holds the default before, the user's number after */
    unsigned least, most; /* both allowed */
};

/* Reads the command line into the table's values. `--help` prints the usage and exits 0; anything that is wrong
 * prints what it is, and the usage, to stderr and exits 2. */
void options_read(int argc, char **argv, const struct number_option *table, size_t count);

#endif
