#!/bin/sh
# SPDX-License-Identifier: MIT
# Fuzzes generated programs with clang's libFuzzer and AddressSanitizer: test/fuzz/run.sh [SECONDS], by default 60. It
# begins with the programs in test/fuzz/corpus and leaves what it finds there in BUILD/corpus; an input that breaks
# something is kept as BUILD/crash-..., and test/fuzz/run.sh FILE runs one again.
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build-fuzz}
if ! echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n); int LLVMFuzzerTestOneInput(const char *p,
    unsigned long n) { return !p && n; }' | clang -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null; then
    echo "clang has no libFuzzer here (Debian: libclang-rt-14-dev)"
    exit 77
fi
if [ ! -e "$build/build.ninja" ]; then
    CC=clang meson setup "$build" -Ddemos=false -Dtests=false -Ddefault_library=static -Db_sanitize=address \
        -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link >/dev/null
fi
if ! log=$(ninja -C "$build" 2>&1); then
    printf '%s\n' "$log"
    exit 1
fi
set -- "${1:-60}"
sources=$(find test/random -name '*.c' ! -name 'random_programs*.c')
# shellcheck disable=SC2046,SC2086
clang -g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=fuzzer,address -Iinclude -Isrc -I"$build/src" \
    test/fuzz/programs_fuzz.c $sources "$build/src/libuvtask.a" $(pkg-config --cflags --libs libuv) -lpthread \
    -o "$build/programs_fuzz"
export ASAN_OPTIONS=detect_stack_use_after_return=0:print_legend=0
if [ -f "$1" ]; then exec "$build/programs_fuzz" "$1"; fi
mkdir -p "$build/corpus"
"$build/programs_fuzz" -max_total_time="$1" -timeout=30 -max_len=640 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="$build/" "$build/corpus" test/fuzz/corpus
