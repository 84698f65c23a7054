#!/bin/sh
# SPDX-License-Identifier: MIT
# Every public header compiles alone, twice over and without a warning, as C11 and as C++17. libuv's own header needs
# POSIX's types, so strict C11 gets _POSIX_C_SOURCE.
set -eu
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-Wall -Wextra -Werror -pedantic -fsyntax-only -I$root/include $(pkg-config --cflags libuv)"
cxx=$(command -v "${CXX:-g++}" || true)
bad=0

cd "$root/include"
for header in uvtask.h uvtask/*.h; do
    printf '#include <%s>\n#include <%s>\nint uvt_header_test;\n' "$header" "$header" >"$work/t.c"
    cp "$work/t.c" "$work/t.cpp"
    # shellcheck disable=SC2086
    ${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L $flags "$work/t.c" || { echo "$header: not C11"; bad=1; }
    # shellcheck disable=SC2086
    if [ -n "$cxx" ]; then "$cxx" -std=c++17 $flags "$work/t.cpp" || { echo "$header: not C++17"; bad=1; }; fi
done
if [ -z "$cxx" ]; then echo "no C++ compiler: C++ was left out"; fi

# The macros expand in C++ too.
cat >"$work/use.cpp" <<'END'
#include <uvtask.h>
#include <uvtask/park.h>
#include <uvtask/test.h>
static int child(void *arg) { return arg == nullptr ? 0 : 1; }
UVT_TEST(cplusplus_spawn_and_join) {
    uvt_task_t t;
    uvt_set_t set;
    uvt_scope_t scope;
    uvt_stream_t *s = nullptr;
    uvt_listener_t *l = nullptr;
    CHECK_EQ(uvt_spawn(&t, child, nullptr), 0);
    CHECK_EQ(uvt_join(t, nullptr), 0);
    CHECK_EQ(uvt_set_open(&set, nullptr), 0);
    CHECK_EQ(uvt_set_spawn(&set, child, nullptr), 0);
    CHECK_EQ(uvt_scope_begin(&scope, nullptr), 0);
    CHECK_EQ(uvt_scope_end(&scope, uvt_tcp_connect(&s, "localhost", 1)), uvt_tcp_listen(&l, "::1", 0, 0));
    CHECK_STR("a", "b");
    CHECK_IN(1, 0, 2);
    CHECK_STEPS("");
}
UVT_TEST_MAIN()
END
if [ -n "$cxx" ]; then
    # shellcheck disable=SC2086
    "$cxx" -std=c++17 $flags "$work/use.cpp" || bad=1
fi
exit $bad
