#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs one of the guide's programs: it must end with status 0 and, where a file with its output is kept beside the
# source, print exactly that.
set -eu
program=$1 expected=$2
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$program" >"$out"
if [ -e "$expected" ]; then diff -u "$expected" "$out"; fi
