#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the library into build/ and runs everything that tests it: the test programs, the programs of the guide, the
# house scripts and the demo suite. Installs what is missing first (Debian and its kin). Prints a line per part and
# ends with "N passed, M failed"; exits with 1 when anything failed.
#
#     sh test/run.sh                  all of it
#     SEED=7 sh test/run.sh           ready tasks run in an order drawn from 7
#     BUILD_DIR=dir, MESON_OPTIONS='-Dwerror=true', CC=clang    for a build of one's own
set -eu
cd "$(dirname "$0")/.."
. .ci/packages.sh
need_packages gcc g++ libc6-dev meson ninja-build pkg-config libuv1-dev 'libllhttp-dev|node-llhttp' \
    libssl-dev curl

build=${BUILD_DIR:-build}
[ -z "${SEED-}" ] || export UVT_TEST_SEED="$SEED"

# The list of programs is made at configuration: configure again when it would change.
list=$(sh test/list.sh tests; sh test/list.sh snippets)
if [ ! -e "$build/build.ninja" ]; then
    rm -rf "$build"
    # shellcheck disable=SC2086
    set -- meson setup "$build" ${MESON_OPTIONS-}
elif [ "$(cat "$build/.list" 2>/dev/null)" != "$list" ]; then
    set -- meson setup --reconfigure "$build"
else
    set -- true
fi
log=$build.log
quiet() {
    if ! "$@" >"$log" 2>&1; then
        cat "$log"
        echo "failed: $*"
        echo "0 passed, 1 failed"
        exit 1
    fi
}
quiet "$@"
quiet ninja -C "$build"
rm -f "$log"
printf '%s\n' "$list" >"$build/.list"

# part NAME OPTION...: one run of meson's; the figures are added up at the end, from the logs.
logs=
part() {
    name=$1
    shift
    start=$(date +%s)
    meson test -C "$build" --no-rebuild --logbase "$name" "$@" >/dev/null 2>&1 || true
    logs="$logs $build/meson-logs/$name.json"
    figures=$(python3 test/tally.py "$build/meson-logs/$name.json" | tail -n 1)
    printf '%-9s %s (%d s)\n' "$name" "$figures" "$(($(date +%s) - start))"
}
rm -f "$build"/meson-logs/*.json
part tests --suite uvtask:uvtask
part snippets --suite snippets
part house --suite house
part demos --suite demos
# shellcheck disable=SC2086
python3 test/tally.py $logs
