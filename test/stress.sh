#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds and runs the stress of several shards: test/stress.sh [SECONDS] [SHARDS] [SEED], by default 10 seconds and 8
# shards. It prints what it counted and "ok", or exits with 1.
#
#     sh test/stress.sh 60 4                             a release build, in build-stress
#     BUILD=build-tsan MESON_OPTIONS='-Db_sanitize=thread -Db_lundef=false' sh test/stress.sh
#     BUILD=build-asan MESON_OPTIONS='-Db_sanitize=address,undefined -Db_lundef=false' sh test/stress.sh
#     CC=clang BUILD=build-clang sh test/stress.sh       another compiler
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build-stress}
if [ ! -e "$build/build.ninja" ]; then
    # shellcheck disable=SC2086
    meson setup "$build" -Ddemos=false --buildtype=release -Db_ndebug=false -Ddefault_library=static \
        ${MESON_OPTIONS-} >/dev/null
fi
if ! log=$(ninja -C "$build" test/stress 2>&1); then
    printf '%s\n' "$log"
    exit 1
fi
exec "$build/test/stress" "${1:-10}" "${2:-8}" ${3+"$3"}
