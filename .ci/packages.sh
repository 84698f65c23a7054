# SPDX-License-Identifier: MIT
#
# Gets the packages a script needs; sourced, never run:
#
#     . .ci/packages.sh
#     need_packages gcc meson 'libllhttp-dev|node-llhttp' ...
#
# Names are Debian's; a|b means that either will do, the first that exists being installed. When all are there it
# returns at once, without a call of apt. On Debian and its kin it installs what is missing, as root or through sudo,
# and says so. Where it may not, or on another system, it prints what is missing and ends the script with status 1.
# On another system a package counts as there when what we use of it is (packages we have no such check for do too).

need_packages() {
    ( packages__need "$@" ) || exit 1
}

# Whether a command or a pkg-config module stands for the package. 0 yes, 1 no, 2 not known here.
packages__by_use() {
    case $1 in
    gcc | clang | meson | curl | valgrind | gdb) command -v "$1" ;;
    libc6-dev) test -f /usr/include/stdio.h ;;
    ninja-build) command -v ninja ;;
    pkg-config | pkgconf) command -v pkg-config ;;
    libuv1-dev) pkg-config --exists 'libuv >= 1.44' ;;
    libllhttp-dev) pkg-config --exists libllhttp ;;
    libssl-dev) pkg-config --exists libcrypto ;;
    *) return 2 ;;
    esac >/dev/null 2>&1 || return 1
}

packages__debian() {
    command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1
}

# One name without alternatives.
packages__there() {
    if packages__debian; then
        status=$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) || status=
        [ "$status" = 'install ok installed' ] || packages__by_use "$1"
    else
        case $1 in
        gcc) command -v cc >/dev/null 2>&1 ;;
        libc6-dev) ;;
        *) packages__by_use "$1" || [ $? -eq 2 ] ;;
        esac
    fi
}

# Prints those of the arguments that are not there, one per line.
packages__missing() {
    for spec; do
        (
            IFS='|'
            for name in $spec; do
                IFS=' '
                if packages__there "$name"; then exit 0; fi
            done
            exit 1
        ) || printf '%s\n' "$spec"
    done
}

# The alternative of a|b that apt can install; the first one when it knows none, so that its error names it.
packages__pick() {
    (
        IFS='|'
        for name in $1; do
            IFS=' '
            case $(apt-cache policy "$name" 2>/dev/null) in
            *'Candidate: (none)'*) ;;
            *Candidate:*) echo "$name" && exit ;;
            esac
        done
        echo "${1%%|*}"
    )
}

# Runs apt-get quietly; its output is shown only when it fails.
packages__apt() {
    packages__out=$($packages__root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@" 2>&1) || {
        printf '%s\n' "$packages__out" >&2
        echo "apt-get $1 failed" >&2
        return 1
    }
}

packages__need() {
    missing=$(packages__missing "$@")
    [ -n "$missing" ] || return 0
    flat=$(printf '%s' "$missing" | tr '\n' ' ')
    if ! packages__debian; then
        echo "missing: $flat" >&2
        echo "(these are Debian's names: install what your system calls them, libuv with its headers and 1.44 or newer)" >&2
        return 1
    fi

    if [ "$(id -u)" -eq 0 ]; then
        packages__root=
    elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        packages__root=sudo # it may ask for a password: there is a terminal
    else
        echo "missing packages: $flat" >&2
        echo "neither root nor sudo here; as root: apt-get update && apt-get install --no-install-recommends$(
            for spec in $missing; do printf ' %s' "$(packages__pick "$spec")"; done)" >&2
        return 1
    fi

    echo "installing what is missing: $flat"
    packages__apt update || return 1
    names=
    for spec in $missing; do names="$names $(packages__pick "$spec")"; done
    # shellcheck disable=SC2086 # a list of names
    packages__apt install -y --no-install-recommends $names || return 1

    missing=$(packages__missing "$@")
    [ -z "$missing" ] && return 0
    echo "still missing after the installation: $(printf '%s' "$missing" | tr '\n' ' ')" >&2
    return 1
}
