#!/bin/sh
# SPDX-License-Identifier: MIT
# The kit must fail what is wrong: runs a program of failing tests (runner_cases.c) and looks at what is said of each.
set -eu
program=$1
out=$(mktemp)
trap 'rm -f "$out"' EXIT
bad=0
unset UVT_TEST_SEED

# said NAME TEXT: the output about the failed test NAME has TEXT.
said() {
    if ! awk -v name="$1" '/^FAIL / { on = $2 == name ":" } on' "$out" | grep -qF -e "$2"; then
        echo "$1: \"$2\" is not said"
        bad=1
    fi
}

if "$program" -t 2 >"$out" 2>&1; then
    echo "the program ended with status 0"
    bad=1
fi
said bad_check_in_task "words before the failure"
said bad_check_in_task "uvt_sleep(1) is 0, expected UV_EINVAL = -22 EINVAL"
said bad_string 'expected "should be"'
said bad_signal "killed by signal 11"
said bad_exit "exit status 7"
said bad_hang "timed out after 2 s"
said bad_descriptor "descriptor left open"
said bad_descriptor "/dev/null"
said bad_memory "memory of the library left"
said bad_stream_left_open "leak:"
said bad_deadlock EDEADLK
said bad_deadlock wait_for_nobody
said bad_panic EPANIC
said bad_stray_process "left processes behind"
if grep '^FAIL good' "$out"; then bad=1; fi
[ "$(tail -n 1 "$out")" = "2 passed, 11 failed" ] || { echo "the last line is: $(tail -n 1 "$out")"; bad=1; }

# Options.
[ "$("$program" -l 'good*' bad_exit | wc -l)" -eq 3 ] || { echo "-l does not list"; bad=1; }
[ "$("$program" 'good_v*')" = "1 passed, 0 failed" ] || { echo "names do not select"; bad=1; }
[ "$("$program" -f -s 5 'good*' | tail -n 1)" = "2 passed, 0 failed" ] || { echo "-f does not run"; bad=1; }
"$program" -s 9 bad_exit | grep -q 'seed 9)' || { echo "the seed is not told"; bad=1; }
for args in '-s x' '-t 0' '-x' 'no_such_test'; do
    # shellcheck disable=SC2086
    "$program" $args >/dev/null 2>&1 && rc=0 || rc=$?
    [ "$rc" -eq 2 ] || { echo "$args: status $rc, not 2"; bad=1; }
done
if [ $bad -ne 0 ]; then cat "$out"; fi
exit $bad
