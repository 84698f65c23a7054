/* SPDX-License-Identifier: MIT
 *
 * Between the two halves of the kit that the user sees: the runner (one process per test) and the checks
 * (what a test says about itself). Only those two files include this.
 */
#ifndef UVT_KIT_RUNNER_H
#define UVT_KIT_RUNNER_H

#include <stdbool.h>
#include <uvtask/base.h>

enum { UVT__KIT_FAILED = 1 }; /* exit status of a test's process whose check did not hold */

/* printf to standard error in one write, without allocating: works on any stack and out of memory. */
void uvt__kit_say(const char *format, ...) UVT_PRINTF(1, 2);

/* Whether a failed check stops in abort() instead of _exit. */
void uvt__kit_fail_aborts(bool on);

/* The report function of every runtime under test. */
void uvt__kit_report(void *arg, const char *text);

/* Whether something was reported as leaked and the test did not ask for the reports. */
bool uvt__kit_reports_bad(void);

/* Prints what was reported, for a test that failed. */
void uvt__kit_say_reports(void);

/* Forgets steps and reports, for tests that share a process. */
void uvt__kit_checks_reset(void);

#endif
