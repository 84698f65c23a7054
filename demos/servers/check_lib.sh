# SPDX-License-Identifier: MIT
# What the server checks share: start a server on a free port, stop it, and see that it left nothing behind. Sourced by
# check_echo.sh and check_http.sh with $server and $client set; $tmp is a directory for them to use.

tmp=$(mktemp -d)
pid=
trap 'test -z "$pid" || kill -9 "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT

fail() {
    echo "FAILED: $*" >&2
    for f in out err; do
        echo "-- the server's $f:" >&2
        cat "$tmp/$f" >&2 2>/dev/null || true
    done
    exit 1
}

# start OPTION...: sets $pid and $port.
start() {
    : >"$tmp/out" # or the line of the server before could be taken for this one's
    "$server" --port 0 "$@" >"$tmp/out" 2>"$tmp/err" &
    pid=$!
    tries=0
    until grep -q '^listening on ' "$tmp/out"; do
        kill -0 "$pid" 2>/dev/null || fail "it does not start"
        tries=$((tries + 1))
        test $tries -lt 200 || fail "it does not say where it listens"
        sleep 0.05
    done
    port=$(sed -n 's/^listening on .*:\([0-9][0-9]*\)$/\1/p' "$tmp/out")
}

# talk STEP...: see client_check.c.
talk() {
    "$client" "$port" "$@" || fail "talk $*"
}

# gone LAST [COMPLAINT]: the server, told to stop, ends with status 0, its last line matches LAST, it had nothing to say
# on stderr (leaks would be reported there) but COMPLAINT, and its port is free.
gone() {
    status=0
    wait "$pid" || status=$?
    pid=
    test $status -eq 0 || fail "exit status $status"
    sed -n '$p' "$tmp/out" | grep -Eqx "$1" || fail "last line is not '$1'"
    if test $# -gt 1; then
        grep -Eqx "$2" "$tmp/err" || fail "stderr is not '$2'"
        test "$(wc -l <"$tmp/err")" -eq 1 || fail "stderr says more than '$2'"
    else
        test ! -s "$tmp/err" || fail "stderr is not empty"
    fi
    talk refused
}

# stop SIGNAL LAST [COMPLAINT]
stop() {
    kill -s "$1" "$pid"
    shift
    gone "$@"
}

# Wrong command lines: status 2, the usage on stderr, nothing on stdout.
refuses() {
    status=0
    "$server" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
    test $status -eq 2 || fail "'$*' gives status $status"
    grep -q '^usage: ' "$tmp/err" || fail "'$*' gives no usage"
    test ! -s "$tmp/out" || fail "'$*' prints to stdout"
}

wrong_options() {
    refuses --colour
    refuses --port
    refuses --port x
    refuses --port=
    refuses --port 65536
    refuses --port -1
    refuses --port 1x
    refuses --por 0
    refuses 8080
    refuses --max-connections 0
    "$server" --help >"$tmp/out" 2>"$tmp/err" || fail "--help gives status $?"
    grep -q '^usage: ' "$tmp/out" || fail "--help prints no usage"
}

# A port that is taken is an error message and status 1.
port_taken() {
    start
    status=0
    "$server" --port "$port" >"$tmp/out2" 2>"$tmp/err2" || status=$?
    test $status -eq 1 || fail "taken port gives status $status"
    grep -q 'address already in use' "$tmp/err2" || fail "taken port is not named"
    stop TERM 'stopped: .*0 connections'
    # and once it is free, the next one gets it
    taken=$port
    start --port "$taken"
    test "$port" = "$taken" || fail "listens on $port"
    stop TERM 'stopped: .*0 connections'
}
