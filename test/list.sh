#!/bin/sh
# SPDX-License-Identifier: MIT
# Lists what test/meson.build makes programs of: `list.sh tests`, one path below test/ per line, or
# `list.sh snippets`, one name per line.
set -eu
cd "$(dirname "$0")"
case ${1-} in
tests)
    for file in */*_test.c; do
        if [ -e "$file" ]; then echo "$file"; fi
    done ;;
snippets)
    for file in ../docs/snippets/*.c; do
        if [ -e "$file" ]; then basename "$file" .c; fi
    done ;;
*)
    echo "usage: list.sh tests|snippets" >&2
    exit 2 ;;
esac
