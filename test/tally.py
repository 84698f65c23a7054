#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts what meson's log of a test run says: tally.py [-v] LOG.json...

A test program of the kit prints "N passed, M failed" as its last line and counts as so many tests; any other test is
one. A program that failed without a failed test of its own (it crashed, it was stopped for its time) is one failure.
Prints the output of what failed (the last lines; all of it with -v), then the plain line "N passed, M failed".
"""
import json
import re
import sys

REMARK = re.compile(r"^--\d+-- ")  # valgrind's, about itself
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed$")
GOOD = ("OK", "EXPECTEDFAIL")


def count(entry):
    good = entry["result"] in GOOD
    lines = [line for line in (entry.get("stdout") or "").splitlines() if line.strip()]
    found = SUMMARY.match(lines[-1]) if lines else None
    if not found:
        return (1, 0) if good else (0, 1)
    passed, failed = int(found[1]), int(found[2])
    return passed, failed if good else max(failed, 1)


def complain(entry, verbose):
    print(f"--- {entry['name']}: {entry['result']}")
    out = (entry.get("stdout") or "").splitlines() + (entry.get("stderr") or "").splitlines()
    out = [line for line in out if not REMARK.match(line)]
    if not verbose and len(out) > 60:
        print(f"    ({len(out) - 60} lines before these)")
        out = out[-60:]
    for line in out:
        print("    " + line)


def main(args):
    verbose = "-v" in args
    passed = failed = skipped = 0
    for path in (a for a in args if a != "-v"):
        try:
            log = open(path, encoding="utf-8", errors="replace")
        except OSError:
            continue  # no test of that kind: meson writes no log
        with log:
            for line in log:
                entry = json.loads(line)
                if entry["result"] == "SKIP":
                    skipped += 1
                    continue
                p, f = count(entry)
                passed, failed = passed + p, failed + f
                if f:
                    complain(entry, verbose)
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
