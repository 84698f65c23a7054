/* SPDX-License-Identifier: MIT
 *
 * What a test says about itself: checks, the order of its steps, and the reports that the runtime made
 * while it ran. All of it lives in fixed buffers, so that a check works on the smallest stack and when
 * memory has run out: nothing here allocates.
 *
 * A check that does not hold ends the process (the runner forked it for this test alone) with _exit:
 * tasks are still alive then, and whatever they hold would be reported as leaks that are none.
 *
 * Checks and steps belong to one test at a time; reports may come from any thread and take a lock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uvtask/test.h>

#include "kit/kit.h"
#include "kit/runner.h"

enum { STEPS_MAX = 2000, REPORTS_MAX = 16384, LINE_MAX_BYTES = 1024, SHOWN_MAX = 300 };

static bool fail_aborts; /* true: a failed check stops in abort(), for debuggers */

static char steps[STEPS_MAX + 1];
static size_t steps_used;
static bool steps_taken; /* the text was handed out and stays readable; the next step starts anew */

static pthread_mutex_t reports_lock = PTHREAD_MUTEX_INITIALIZER;
static char reports[REPORTS_MAX + 1];  /* guarded by reports_lock */
static char snapshot[REPORTS_MAX + 1]; /* what uvt_test_reports handed out last */
static size_t reports_used;            /* guarded by reports_lock */
static bool reports_read;              /* guarded by reports_lock; the test looks after them itself */
static bool reports_leak;              /* guarded by reports_lock; a line began with "leak:" */

void uvt__kit_say(const char *format, ...) {
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0) return;
    size_t size = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    for (size_t at = 0; at < size;) {
        ssize_t put = write(STDERR_FILENO, text + at, size - at);
        if (put < 0 && errno != EINTR) return;
        if (put > 0) at += (size_t)put;
    }
}

void uvt__kit_fail_aborts(bool on) {
    fail_aborts = on;
}

static UVT_NORETURN void give_up(void) {
    fflush(stdout);
    if (fail_aborts) abort();
    _exit(UVT__KIT_FAILED);
}

void uvt_test_fail(const char *file, int line, const char *format, ...) {
    char text[LINE_MAX_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    uvt__kit_say("%s:%d: %s\n", file, line, text);
    give_up();
}

/* " ECANCELED" for a code that has a name, else "". */
static void code_name(char *out, size_t size, int64_t v) {
    out[0] = '\0';
    if (v >= 0 || v < -6000) return;
    const char *name = uvt_err_name((int)v);
    if (name != NULL && strcmp(name, "UNKNOWN") != 0) snprintf(out, size, " %s", name);
}

void uvt_test_check_eq(const char *file, int line, const char *ea, int64_t a, const char *eb, int64_t b) {
    if (a == b) return;
    char name_a[40], name_b[40], literal[24];
    code_name(name_a, sizeof name_a, a);
    code_name(name_b, sizeof name_b, b);
    snprintf(literal, sizeof literal, "%lld", (long long)b);
    if (strcmp(literal, eb) == 0)
        uvt_test_fail(file, line, "%.200s is %lld%s, expected %s", ea, (long long)a, name_a, eb);
    uvt_test_fail(file, line, "%.200s is %lld%s, expected %.100s = %lld%s", ea, (long long)a, name_a, eb, (long long)b,
                  name_b);
}

void uvt_test_check_str(const char *file, int line, const char *ea, const char *a, const char *b) {
    if (a == b || (a != NULL && b != NULL && strcmp(a, b) == 0)) return;
    uvt__kit_say("%s:%d: %.200s\n  is       %s%.*s%s\n  expected %s%.*s%s\n", file, line, ea, a ? "\"" : "", SHOWN_MAX,
                 a ? a : "NULL", a ? "\"" : "", b ? "\"" : "", SHOWN_MAX, b ? b : "NULL", b ? "\"" : "");
    give_up();
}

void uvt_test_step(const char *format, ...) {
    if (steps_taken) {
        steps_taken = false;
        steps_used = 0;
    }
    char word[256];
    va_list args;
    va_start(args, format);
    vsnprintf(word, sizeof word, format, args);
    va_end(args);
    int n = snprintf(steps + steps_used, sizeof steps - steps_used, "%s%s", steps_used > 0 ? " " : "", word);
    if (n < 0) return;
    steps_used += (size_t)n;
    if (steps_used > STEPS_MAX) steps_used = STEPS_MAX;
}

const char *uvt_test_steps(bool take) {
    if (steps_taken || steps_used == 0) return "";
    steps_taken = take;
    return steps;
}

/* What the runtime calls with each report. Lines of a report that is cut off are lost at the end, not the
 * knowledge that something leaked. */
void uvt__kit_report(void *arg, const char *text) {
    (void)arg;
    pthread_mutex_lock(&reports_lock);
    if (strncmp(text, "leak:", 5) == 0 || strstr(text, "\nleak:") != NULL) reports_leak = true;
    size_t size = strlen(text);
    bool ends = size > 0 && text[size - 1] == '\n';
    int n = snprintf(reports + reports_used, sizeof reports - reports_used, "%s%s", text, ends ? "" : "\n");
    if (n > 0) reports_used += (size_t)n;
    if (reports_used > REPORTS_MAX) reports_used = REPORTS_MAX;
    pthread_mutex_unlock(&reports_lock);
}

const char *uvt_test_reports(void) {
    pthread_mutex_lock(&reports_lock);
    reports_read = true;
    memcpy(snapshot, reports, reports_used);
    snapshot[reports_used] = '\0';
    pthread_mutex_unlock(&reports_lock);
    return snapshot;
}

bool uvt__kit_reports_bad(void) {
    pthread_mutex_lock(&reports_lock);
    bool bad = reports_leak && !reports_read;
    pthread_mutex_unlock(&reports_lock);
    return bad;
}

void uvt__kit_say_reports(void) {
    if (reports_used == 0) return;
    uvt__kit_say("the runtime reported:\n");
    for (size_t at = 0; at < reports_used;) {
        size_t len = strcspn(reports + at, "\n");
        uvt__kit_say("  %.*s\n", (int)len, reports + at);
        at += len + 1;
    }
}

void uvt__kit_checks_reset(void) {
    steps_used = 0;
    steps_taken = false;
    reports_used = 0;
    reports_read = false;
    reports_leak = false;
}
