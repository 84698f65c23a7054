#!/bin/sh
# SPDX-License-Identifier: MIT
# Every source says its licence in the first lines; no file of C is longer than 700 lines or wider than 120 columns or
# has a tab; shell scripts parse.
set -eu
cd "$1"
bad=0
complain() {
    echo "$1"
    bad=1
}

# shellcheck disable=SC2044
for file in $(find src include test demos bench docs -name '*.[chS]' -o -name '*.sh' -o -name meson.build |
    grep -v '/build' | sort) meson.build .ci/run; do
    if [ ! -e "$file" ]; then continue; fi
    head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MIT' || complain "$file: no SPDX line"
    case $file in
    *.[ch])
        if [ "$(wc -l <"$file")" -gt 700 ]; then complain "$file: longer than 700 lines"; fi
        if grep -n "$(printf '\t')" "$file" >/dev/null; then complain "$file: has a tab"; fi
        wide=$(awk 'length($0) > 120 { printf " %d", FNR }' "$file")
        if [ -n "$wide" ]; then complain "$file: wider than 120 columns in line$wide"; fi ;;
    *.sh) sh -n "$file" || complain "$file: does not parse" ;;
    esac
done
exit $bad
