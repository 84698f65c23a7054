#!/bin/sh
# SPDX-License-Identifier: MIT
# The header is the reference: the comment above every public function and every function-like public macro states
# the four facts, Suspends, On cancel, Thread and Errors.
set -eu
cd "$1"

awk '
    function check(what,   i, n, fact) {
        n = split("Suspends:|On cancel:|Thread:|Errors:", fact, "|")
        for (i = 1; i <= n; i++)
            if (index(comment, fact[i]) == 0) {
                printf "%s:%d: %s: its comment does not say \"%s\"\n", FILENAME, FNR, what, fact[i]
                bad = 1
            }
        seen++
    }
    FNR == 1 { comment = ""; inside = 0 }
    /^[ \t]*\/\*/ { comment = ""; inside = 1 }
    inside { comment = comment $0 "\n" }
    /\*\// { inside = 0; next }
    inside { next }
    /^#define uvt_[a-z_]+\(/ { name = $2; sub(/\(.*/, "", name); check(name) }
    /^UVT_EXTERN/ {
        name = $0
        sub(/\(.*/, "", name)
        sub(/.*[ *]/, "", name)
        check(name)
        comment = ""
    }
    END {
        if (seen < 50) { printf "only %d functions were found\n", seen; bad = 1 }
        printf "%d functions and macros\n", seen
        exit bad
    }
' include/uvtask/*.h
