#!/bin/sh
# SPDX-License-Identifier: MIT
# Every source says its licence in the first lines; no file of C is longer than 700 lines or wider than 120 columns or
# has a tab; shell scripts parse.
set -eu
cd "$1"
bad=0

files=$(find src include test demos bench docs -name '*.[chS]' -o -name '*.sh' -o -name meson.build |
    grep -v '/build' | sort)

# shellcheck disable=SC2086
awk '
    function complain(what) {
        printf "%s: %s\n", name, what
        bad = 1
    }
    function file_ends() {
        if (name == "") return
        if (!licence) complain("no SPDX line")
        if (c && lines > 700) complain("longer than 700 lines")
        if (c && tabs) complain("has a tab")
        if (wide != "") complain("wider than 120 columns in line" wide)
        seen++
    }
    FNR == 1 {
        file_ends()
        name = FILENAME; c = name ~ /\.[ch]$/; licence = tabs = 0; wide = ""
    }
    { lines = FNR }
    FNR <= 3 && /SPDX-License-Identifier: MIT/ { licence = 1 }
    /\t/ { tabs++ }
    c && length($0) > 120 { wide = wide " " FNR }
    END {
        file_ends()
        if (seen < 100) { printf "only %d files were looked at\n", seen; bad = 1 }
        exit bad
    }
' $files meson.build .ci/run || bad=1

for file in $files; do
    case $file in
    *.sh) sh -n "$file" || { echo "$file: does not parse"; bad=1; } ;;
    esac
done
exit $bad
