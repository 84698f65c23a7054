/* SPDX-License-Identifier: MIT
 *
 * Reading a command line of numbers (see options.h). Written out instead of calling getopt_long: that would take
 * abbreviated names, and a server whose `--g` means something today and is refused tomorrow is no friend.
 */
#include "options.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void usage(FILE *to, const char *program, const struct number_option *table, size_t count) {
    fprintf(to, "usage: %s [--option N] ...\n", program);
    for (size_t i = 0; i < count; i++) {
        const struct number_option *o = &table[i];
        fprintf(to, "  --%-20s %s; %u to %u, default %u\n", o->name, o->help, o->least, o->most, *o->value);
    }
}

/* Digits only: strtoul alone would take "-1", " 7" and "0x10" as well. */
static bool number(const char *text, unsigned least, unsigned most, unsigned *value) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10 || text[digits] != '\0') return false;
    unsigned long long n = strtoull(text, NULL, 10);
    if (n < least || n > most) return false;
    *value = (unsigned)n;
    return true;
}

static const struct number_option *find(const struct number_option *table, size_t count, const char *name, size_t len) {
    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0) return &table[i];
    return NULL;
}

void options_read(int argc, char **argv, const struct number_option *table, size_t count) {
    const char *slash = strrchr(argv[0], '/'), *program = slash ? slash + 1 : argv[0];
    unsigned values[16]; /* set only when all is well, so that the usage shows the defaults */
    if (count > 16) abort();
    for (size_t i = 0; i < count; i++) values[i] = *table[i].value;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout, program, table, count);
            exit(0);
        }
        const char *name = strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : "";
        size_t len = strcspn(name, "=");
        const struct number_option *o = find(table, count, name, len);
        const char *text = o == NULL ? NULL : name[len] == '=' ? name + len + 1 : i + 1 < argc ? argv[++i] : "";
        if (o != NULL && number(text, o->least, o->most, &values[o - table])) continue;
        if (o == NULL) {
            fprintf(stderr, "%s: unknown option '%s'\n", program, argv[i]);
        } else {
            fprintf(stderr, "%s: --%s takes a number from %u to %u\n", program, o->name, o->least, o->most);
        }
        usage(stderr, program, table, count);
        exit(2);
    }
    for (size_t i = 0; i < count; i++) *table[i].value = values[i];
}
