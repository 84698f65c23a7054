#!/bin/sh
# SPDX-License-Identifier: MIT
# What a stranger does: install to a prefix, ask pkg-config, compile ten lines, run them; with the shared library and
# with everything linked in.
set -eu
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

# A failure prints the log, success nothing.
quiet() {
    if ! "$@" >"$work/log" 2>&1; then
        cat "$work/log"
        return 1
    fi
}
# is WHAT FOUND EXPECTED
is() {
    if [ "$2" != "$3" ]; then
        echo "$1: \"$2\", not \"$3\""
        exit 1
    fi
}
quiet meson setup "$work/build" "$root" --prefix="$prefix" --buildtype=debug \
    -Dtests=false -Ddemos=false -Dbench=false
quiet meson install -C "$work/build"

cat >"$work/hello.c" <<'END'
#include <stdio.h>
#include <uvtask.h>

static int app(void *arg) {
    int rc = uvt_sleep(1);
    printf("%s from uvtask %s\n", rc == 0 ? (char *)arg : "error", uvt_version_string());
    return rc;
}

int main(void) { return uvt_run(app, "hello", NULL); }
END

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name uvtask.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir uvtask)
version=$(sed -n "s/^ *version: '\([0-9.]*\)',/\1/p" "$root/meson.build")
is "pkg-config's version" "$(pkg-config --modversion uvtask)" "$version"

# shellcheck disable=SC2046
${CC:-cc} -Wall -Wextra -Werror "$work/hello.c" -o "$work/shared" $(pkg-config --cflags --libs uvtask)
is "the program" "$(LD_LIBRARY_PATH=$libdir "$work/shared")" "hello from uvtask $version"
readelf -d "$work/shared" | grep -q 'NEEDED.*libuvtask\.so\.0' || { echo "it does not need libuvtask.so.0"; exit 1; }

# A static libuv is called libuv_a on Debian; where there is only the shared one, it is that which is linked.
# shellcheck disable=SC2046
${CC:-cc} -Wall -Wextra -Werror "$work/hello.c" -o "$work/static" $(pkg-config --cflags uvtask) \
    $(pkg-config --static --libs uvtask | sed "s|-luvtask|$libdir/libuvtask.a|")
is "the static program" "$("$work/static")" "hello from uvtask $version"
if readelf -d "$work/static" | grep -q 'NEEDED.*libuvtask'; then
    echo "the static program needs the shared library"
    exit 1
fi
for header in uvtask.h uvtask/park.h uvtask/test.h; do
    if [ ! -e "$prefix/include/$header" ]; then
        echo "not installed: $header"
        exit 1
    fi
done
