#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds uvtask and its peers in release mode and measures them side by side:
#
#     sh bench/run.sh [WORKLOAD...]      all of them by default, about twenty minutes
#
# Workloads: spawn_join set_next yield sem sleepers delayed echo http blocking_seq blocking_flight fs_under_load
# parallel pingpong pingpong_spin pingpong_sleep spawn_any imbalance chan_1 chan_2 chan_2_spin chan_2_sleep pingpong1
# select mutex mutex_1000 cancel timeout timeout_armed, and parts of two of them: sleepers_100k sleepers_1m echo_64x64
# echo_1024x64 echo_64x16k. On standard output, for each figure and each pair, the median of the rounds:
#
#     WORKLOAD WHO VALUE UNIT
#     ratio WORKLOAD uvtask/WHO VALUE
#     # ...                              a remark: a peer that is not there, a sample that failed
#
# Environment: ROUNDS (5, no fewer) and SECS (2, whole seconds per load) for the measuring, SERVER_CPU (0) and
# LOAD_CPU (1) for the pinning, BUILD for the build directory. Every single sample stays in $BUILD/samples.txt.
# shellcheck disable=SC2317,SC3045  # functions are called by name; ulimit -n is in every shell that matters
set -u

here=$(cd "$(dirname "$0")" && pwd) || exit 1
root=$(dirname "$here")
BUILD=${BUILD:-$root/build-bench}
ROUNDS=${ROUNDS:-5}
SECS=${SECS:-2}
SERVER_CPU=${SERVER_CPU:-0}
LOAD_CPU=${LOAD_CPU:-1}
server='' failed=0
PATH=$PATH:${HOME:-}/.cargo/bin

say() { echo "# $*"; }
note() { echo "bench: $*" >&2; }
die() { note "$*"; exit 1; }
have() { command -v "$1" > /dev/null 2>&1; }

# bounded SECONDS COMMAND...: a benchmark program never runs for longer
bounded() { timeout --foreground "$@"; }

# ---- building ------------------------------------------------------------------------------------------------------

# quietly LOG COMMAND...: the log is shown only when the command fails
quietly() {
    log=$1
    shift
    "$@" > "$log" 2>&1 || { tail -n 30 "$log" >&2; return 1; }
}

build_c() {
    for tool in meson ninja cc taskset timeout; do
        have $tool || die "no $tool; Debian: apt-get install gcc meson ninja-build pkg-config libuv1-dev util-linux"
    done
    if [ ! -f "$BUILD/build.ninja" ]; then
        quietly "$BUILD/setup.log" meson setup "$BUILD" "$root" --buildtype=release -Dbench=true -Dtests=false \
            -Ddemos=false || die "meson setup failed"
    fi
    quietly "$BUILD/ninja.log" ninja -C "$BUILD" || die "the build failed"
}

# build_rust NAME: the peer in peers/NAME, on the crate of that name; tokio's needs tokio-util as well. Built from
# copies, so that cargo writes nothing into the source tree; from Debian's crates alone, without a lock.
build_rust() {
    rust_dir=$BUILD/$1
    have cargo || { say "skip $1: no cargo (Debian: cargo)"; return 1; }
    crates=$(dpkg -L "librust-$1-dev" 2> /dev/null | sed -n "s,/$1-[0-9.]*/Cargo.toml\$,,p" | head -n 1)
    [ -n "$crates" ] || { say "skip $1: no crate (Debian: librust-$1-dev)"; return 1; }
    if [ "$1" = tokio ] && ! dpkg -L librust-tokio-util-dev > /dev/null 2>&1; then
        say "skip tokio: no crate (Debian: librust-tokio-util-dev)"
        return 1
    fi
    mkdir -p "$rust_dir/src"
    cp -p "$here/peers/$1/Cargo.toml" "$rust_dir/"
    cp -p "$here/peers/$1/src/"*.rs "$rust_dir/src/"
    rm -f "$rust_dir/Cargo.lock"
    (cd "$rust_dir" && quietly "$BUILD/$1.log" cargo build --release --offline --target-dir "$BUILD/cargo" \
        --config 'source.crates-io.replace-with="debian"' --config "source.debian.directory=\"$crates\"") ||
        { say "skip $1: its build failed"; return 1; }
}

build_go() {
    have go || { say "skip go: no go (Debian: golang-go)"; return 1; }
    (cd "$here/peers/go" && CGO_ENABLED=0 GOPROXY=off GOTOOLCHAIN=local GOFLAGS=-buildvcs=false \
        quietly "$BUILD/go.log" go build -o "$BUILD/go_bench" .) || { say "skip go: its build failed"; return 1; }
}

# build WORKLOAD...: leaves the shell in the build directory: from here on every program is a short relative path.
build() {
    mkdir -p "$BUILD" || exit 1
    BUILD=$(cd "$BUILD" && pwd) || exit 1
    note "building in $BUILD"
    build_c
    peers='' hyper='' rayon=''
    build_rust tokio && peers="$peers tokio"
    build_go && peers="$peers go"
    if have node; then
        cp -R "$here/peers/node" "$BUILD/" && peers="$peers node"
    else
        say "skip node: no node (Debian: nodejs)"
    fi
    among http "$*" && build_rust hyper && hyper=hyper # for http alone, so no other workload misses it
    among parallel "$*" && build_rust rayon && rayon=rayon
    cd "$BUILD" || exit 1
}

# ---- who takes part, and how each is called ------------------------------------------------------------------------

among() { case " $2 " in *" $1 "*) return 0 ;; esac; return 1; }

# among_peers WHO...: those of them that are there
among_peers() {
    for w in "$@"; do
        if among "$w" "$peers"; then echo "$w"; fi
    done
}

# program KIND WHO: the command line of a micro, pool, shards, sync, apart, cancel, echo or http program; empty where
# WHO has none. apart is sync's with all cpus.
program() {
    case $1.$2 in
    micro.tokio | pool.tokio | shards.tokio) echo ./cargo/release/tokio_bench ;;
    sync.tokio | apart.tokio | cancel.tokio) echo ./cargo/release/tokio_bench ;;
    *.tokio) echo "./cargo/release/tokio_bench $1" ;;
    http.hyper) echo ./cargo/release/hyper_bench ;;
    micro.go | sync.go | cancel.go) echo env GOMAXPROCS=1 ./go_bench ;;
    apart.uvtask) echo ./bench/uvtask_sync ;;
    pool.go | shards.go | apart.go) echo ./go_bench ;;
    micro.pages) echo ./bench/pages ;;
    pool.idle) echo ./bench/uv_pool idle ;;
    pool.rayon) echo ./cargo/release/rayon_bench ;;
    pool.pthreads | pool.sequential) echo "./bench/collatz $2" ;;
    shards.ideal) echo ./bench/uvtask_shards ideal ;;
    *.go) echo "env GOMAXPROCS=1 ./go_bench $1" ;;
    *.node) echo "node node/$1.js" ;;
    *) if [ -x "bench/$2_$1" ]; then echo "./bench/$2_$1"; fi ;;
    esac
}

# backwards WORD...: every second round runs the programs in the opposite order
backwards() {
    out=
    for w in "$@"; do out="$w $out"; done
    echo "$out"
}

# interleave FUNCTION WORKLOAD "WHO..." ARG...: calls FUNCTION WORKLOAD WHO ARG... in rounds
interleave() {
    fn=$1 workload=$2 whos=$3
    shift 3
    round=1
    while [ "$round" -le "$ROUNDS" ]; do
        note "$workload, round $round of $ROUNDS"
        order=$whos
        # shellcheck disable=SC2086
        [ $((round % 2)) = 1 ] || order=$(backwards $whos)
        for who in $order; do
            "$fn" "$workload" "$who" "$@" && continue
            say "failed: $workload $who, round $round"
            [ "$who" != uvtask ] || failed=1
        done
        round=$((round + 1))
    done
    summary "$workload"
}

# record WORKLOAD WHO: keeps the "SUFFIX VALUE UNIT" lines in out.txt, with their round
record() {
    awk -v w="$1" -v who="$2" -v r="$round" '{ s = $1 == "-" ? "" : $1; print r, w s, who, $2, $3 }' out.txt \
        >> samples.txt
}

# summary WORKLOAD: medians and ratios of what was recorded under that name
summary() {
    awk -v w="$1" '
        $2 == w || $2 == w "_cpu" || $2 == w "_rss" {
            if (!(($2, $3) in unit)) { order[++n] = $2 SUBSEP $3; unit[$2, $3] = $5 }
            v[$2, $3, $1] = $4
            if ($1 > rounds) rounds = $1
        }
        function median(a, m,   i, j, t) {
            for (i = 2; i <= m; i++) { t = a[i]; for (j = i - 1; j > 0 && a[j] > t; j--) a[j + 1] = a[j]; a[j + 1] = t }
            return m % 2 ? a[(m + 1) / 2] : (a[m / 2] + a[m / 2 + 1]) / 2
        }
        function show(x) { return sprintf(x >= 1000 ? "%.0f" : x >= 10 ? "%.1f" : "%.3f", x) }
        END {
            for (pass = 1; pass <= 2; pass++) for (f = 1; f <= n; f++) {
                split(order[f], k, SUBSEP)
                if (shown[k[1], pass]++) continue
                for (i = 1; i <= n; i++) { # every who of this figure, in the order they first ran
                    name = k[1]; split(order[i], q, SUBSEP)
                    if (q[1] != name || (pass == 2 && q[2] == "uvtask")) continue
                    m = 0
                    for (r = 1; r <= rounds; r++) {
                        if (!((name, q[2], r) in v)) continue
                        if (pass == 1) a[++m] = v[name, q[2], r]
                        else if (((name, "uvtask", r) in v) && v[name, q[2], r] > 0)
                            a[++m] = v[name, "uvtask", r] / v[name, q[2], r]
                    }
                    if (!m) continue
                    x = median(a, m)
                    if (pass == 1) print name, q[2], show(x), unit[name, q[2]]
                    else printf "ratio %s uvtask/%s " (x < 0.01 ? "%.6f" : "%.3f") "\n", name, q[2], x
                }
            }
        }' samples.txt
}

# ---- programs that end by themselves -------------------------------------------------------------------------------

# single WORKLOAD WHO KIND ARG...: one fresh process, bounded
single() {
    s_workload=$1 s_who=$2 s_kind=$3 s_where=
    shift 3
    # One job after the other: on which cpus loop and thread happen to be would decide, not what is measured.
    [ "$s_workload" != blocking_seq ] || s_where="taskset -c $SERVER_CPU"
    # shellcheck disable=SC2046,SC2086
    bounded 120 $s_where $(program "$s_kind" "$s_who") "$@" > out.txt || return 1
    record "$s_workload" "$s_who"
}

# timed KIND WORKLOAD WHO...: the programs of that kind, called with the workload's name
timed() {
    t_kind=$1 t_workload=$2
    shift 2
    interleave single "$t_workload" "$*" "$t_kind" "$t_workload"
}

# micro WORKLOAD
micro() {
    # shellcheck disable=SC2086
    timed micro "$1" uvtask $peers
}

# asleep WORKLOAD WHO N: the peer of a delayed task is one asleep
asleep() {
    kind=sleepers
    case $1.$2 in delayed*.uvtask) kind=delayed ;; esac
    "$BUILD/bench/warm" $(($3 * 6 / 1024)) # so that everybody finds the same memory: see warm.c
    single "$1" "$2" micro "$kind" "$3"
}

# enough_memory KIB WORKLOAD
enough_memory() {
    free=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
    [ "${free:-0}" -ge "$1" ] || { say "skip $2: needs $(($1 / 1048576)) GiB of free memory"; return 1; }
}

sleepers_100k() { interleave asleep sleepers_100k "uvtask $peers pages" 100000; }
sleepers_1m() { enough_memory 6291456 sleepers_1m && interleave asleep sleepers_1m "uvtask $peers pages" 1000000; }
delayed() {
    whos=uvtask
    among tokio "$peers" && whos="uvtask tokio"
    enough_memory 2097152 delayed_1m && interleave asleep delayed_1m "$whos" 1000000
}

# threads WORKLOAD: those with several threads have all cpus
threads() {
    # shellcheck disable=SC2046,SC2086
    case $1 in
    blocking_*) timed pool "$1" uvtask uv $(among_peers tokio) ;;
    fs_under_load) timed pool "$1" uvtask uv idle ;;
    parallel) timed pool "$1" uvtask pthreads $rayon $(among_peers go) sequential ;;
    pingpong) timed shards "$1" uvtask uv $(among_peers tokio go) ;;
    pingpong_spin | pingpong_sleep) timed shards "$1" uvtask uv ;;
    spawn_any) timed shards "$1" uvtask $(among_peers tokio go) ;;
    imbalance) timed shards "$1" uvtask ideal $(among_peers tokio go) ;;
    esac
}

# together WORKLOAD: what tasks wait for together, and cancellation
together() {
    # shellcheck disable=SC2046
    case $1 in
    chan_2*) timed apart "$1" uvtask $(among_peers tokio go) ;;
    cancel) timed cancel "$1" uvtask $(among_peers tokio go) ;;
    timeout | timeout_armed) timed cancel "$1" uvtask $(among_peers tokio) ;;
    *) timed sync "$1" uvtask $(among_peers tokio go) ;;
    esac
}

# ---- servers -------------------------------------------------------------------------------------------------------

# Killed, not asked: every server must be gone at once, and none has anything to lose.
stop() {
    [ -n "$server" ] || return 0
    kill -9 "$server" 2> /dev/null
    wait "$server" 2> /dev/null
    server=
}

# start KIND WHO: a server on its own cpu; sets $server, its process, and $port, which it picks and prints
start() {
    rm -f port.txt
    # shellcheck disable=SC2046
    taskset -c "$SERVER_CPU" $(program "$1" "$2") 0 > port.txt &
    server=$!
    port='' waited=0
    while [ -z "$port" ] && [ "$waited" -lt 100 ] && kill -0 "$server" 2> /dev/null; do
        sleep 0.05
        port=$(head -n 1 port.txt 2> /dev/null)
        waited=$((waited + 1))
    done
    [ -n "$port" ] || { stop; return 1; }
}

# one_echo WORKLOAD WHO CONNECTIONS BYTES
one_echo() {
    start echo "$2" || return 1
    bounded $((SECS + 30)) taskset -c "$LOAD_CPU" ./bench/loadgen echo "$port" "$3" "$4" "$SECS" "$server" \
        > out.txt
    rc=$?
    stop
    [ "$rc" = 0 ] || return 1
    record "$1" "$2"
}

# one_http WORKLOAD WHO: one second of wrk to warm up, then the one that counts
one_http() {
    start http "$2" || return 1
    bounded 30 taskset -c "$LOAD_CPU" wrk -t1 -c64 -d1s "http://127.0.0.1:$port/" > wrk.txt &&
        before=$(./bench/loadgen cpu "$server") &&
        bounded $((SECS + 30)) taskset -c "$LOAD_CPU" wrk -t1 -c64 -d"$SECS"s "http://127.0.0.1:$port/" \
            > wrk.txt &&
        after=$(./bench/loadgen cpu "$server") &&
        awk -v cpu=$((after - before)) '
            / requests in / { n = $1 }
            /^Requests\/sec:/ { rate = $2 }
            /Socket errors:|Non-2xx/ { print "# wrk: " $0 > "/dev/stderr"; bad = 1 }
            END { if (bad || !n) exit 1; print "-", rate, "req/s"; print "_cpu", cpu / n, "ns/req" }' \
            wrk.txt > out.txt
    rc=$?
    stop
    [ "$rc" = 0 ] || return 1
    record "$1" "$2"
}

two_cpus() {
    taskset -c "$SERVER_CPU" true 2> /dev/null && taskset -c "$LOAD_CPU" true 2> /dev/null && return 0
    say "skip $1: needs cpu $SERVER_CPU for the server and cpu $LOAD_CPU for the load"
    return 1
}

echo_load() { two_cpus "$1" && interleave one_echo "$1" "uvtask uv epoll $peers" "$2" "$3"; }
echo_64x64() { echo_load echo_64x64 64 64; }
echo_64x16k() { echo_load echo_64x16k 64 16384; }
echo_1024x64() {
    if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt 1200 ]; then
        say "skip echo_1024x64: needs 1200 descriptors, ulimit -n is $(ulimit -n)"
        return
    fi
    echo_load echo_1024x64 1024 64
}

http() {
    have wrk || { say "skip http: no wrk (Debian: wrk)"; return; }
    [ -n "$(program http uvtask)" ] || { say "skip http: no llhttp (Debian 12: node-llhttp)"; return; }
    two_cpus http && interleave one_http http "uvtask uv $peers $hyper"
}

# ---- main ----------------------------------------------------------------------------------------------------------

case $ROUNDS$SECS in *[!0-9]*) die "ROUNDS and SECS are whole numbers" ;; esac
[ "$ROUNDS" -ge 5 ] || { note "ROUNDS: five at least"; ROUNDS=5; }
[ "$SECS" -ge 1 ] || SECS=1
all="spawn_join set_next yield sem sleepers delayed echo http blocking_seq blocking_flight fs_under_load parallel"
all="$all pingpong pingpong_spin pingpong_sleep spawn_any imbalance chan_1 chan_2 chan_2_spin chan_2_sleep pingpong1"
all="$all select mutex mutex_1000 cancel timeout timeout_armed"
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $all
for w in "$@"; do
    case $w in
    spawn_join | set_next | yield | sem | sleepers | sleepers_100k | sleepers_1m | delayed | delayed_1m) ;;
    echo | echo_64x64 | echo_1024x64 | echo_64x16k | http) ;;
    blocking_seq | blocking_flight | fs_under_load | parallel) ;;
    pingpong | pingpong_spin | pingpong_sleep | spawn_any | imbalance) ;;
    chan_1 | chan_2 | chan_2_spin | chan_2_sleep | pingpong1 | select | mutex | mutex_1000) ;;
    cancel | timeout | timeout_armed) ;;
    *) die "no workload $w; there are $all" ;;
    esac
done
ulimit -n "$(ulimit -Hn)" 2> /dev/null
unset UV_THREADPOOL_SIZE GOMAXPROCS RAYON_NUM_THREADS # as many threads as the programs take by themselves

trap stop EXIT
trap 'exit 130' INT TERM HUP
build "$@"
: > samples.txt
awk -v n="$(getconf _NPROCESSORS_ONLN)" '$1 > n / 4 {
    print "bench: the load average is " $1 " on " n " processors: expect noise" }' /proc/loadavg >&2

for w in "$@"; do
    case $w in
    spawn_join | set_next | yield | sem) micro "$w" ;;
    blocking_* | fs_* | parallel | pingpong | pingpong_s* | spawn_any | imbalance) threads "$w" ;;
    chan_* | pingpong1 | select | mutex* | cancel | timeout*) together "$w" ;;
    sleepers) sleepers_100k; sleepers_1m ;;
    delayed | delayed_1m) delayed ;;
    echo) echo_64x64; echo_1024x64; echo_64x16k ;;
    *) "$w" ;;
    esac
done
exit $failed
