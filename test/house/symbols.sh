#!/bin/sh
# SPDX-License-Identifier: MIT
# The shared library shows what the headers declare, all of it and nothing else; and it says its soversion.
set -eu
root=$1 build=$2
lib=$(find "$build/src" -name 'libuvtask.so.*.*.*' -type f | head -n 1)
if [ -z "$lib" ]; then
    echo "no shared library was built"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk '/^UVT_EXTERN/ { sub(/\(.*/, ""); sub(/.*[ *]/, ""); print }' "$root"/include/uvtask/*.h | sort >"$work/declared"
nm -D --defined-only "$lib" | awk '$2 ~ /[A-TV-Z]/ { print $3 }' | grep -v '^_' | sort >"$work/shown"
diff -u "$work/declared" "$work/shown"
readelf -d "$lib" | grep -q 'SONAME.*\[libuvtask\.so\.[0-9]*\]'
echo "$(wc -l <"$work/shown") symbols"
