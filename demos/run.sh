#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the library and runs every demo: sh demos/run.sh. Installs what is missing first (Debian; see
# .ci/packages.sh), keeps its build in build/, and prints a line per demo and the totals. The whole story of a demo that
# failed is in build/meson-logs/testlog.txt.
set -eu
cd "$(dirname "$0")/.."

# shellcheck source=.ci/packages.sh
. .ci/packages.sh
need_packages gcc libc6-dev meson ninja-build pkg-config libuv1-dev 'libllhttp-dev|node-llhttp' libssl-dev curl

log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
    "$@" >"$log" 2>&1 || {
        cat "$log"
        echo "FAILED: $*"
        exit 1
    }
}
if [ ! -f build/build.ninja ]; then
    echo 'configuring and building in build/'
    quietly meson setup build
fi
quietly ninja -C build

status=0
rm -f build/meson-logs/testlog.json
meson test -C build --suite demos --no-rebuild --print-errorlogs >"$log" 2>&1 || status=$?
[ -f build/meson-logs/testlog.json ] || { cat "$log"; exit 1; }
[ $status -eq 0 ] || sed '/ OK  *[0-9.]*s$/d; /^Summary of Failures/,$d' "$log" # what went wrong, before the summary

# One line of JSON per test; quotes inside its texts are escaped, so these match the keys only.
sed -n 's/^{"name": "\([^"]*\)".*[^\\]"result": "\([A-Z]*\)".*$/\2 \1/p' build/meson-logs/testlog.json |
    sed 's,^\([A-Z]*\) .* / ,\1 ,; s,^\([A-Z]*\) .*:,\1 ,' | sort -k 2 |
    awk '$1 == "OK" { ok++ } $1 == "SKIP" { skipped++ } $1 != "OK" && $1 != "SKIP" { failed++; $1 = "FAILED" }
         { printf "%-28s %s\n", $2, $1 }
         END { printf "%d OK, %d FAILED", ok, failed; if (skipped) printf ", %d SKIPPED", skipped; print "" }'
exit $status
