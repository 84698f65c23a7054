#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The checker's own tests: check_test.sh CHECK. Each case gives an expectation, a shell command as the demo, the status
# that check must end with, and a word that it must print.
set -u
check=$1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0 cases=0

# case NAME STATUS WORDS EXPECTATION COMMAND
case_() {
    cases=$((cases + 1))
    printf '%b' "$4" >"$dir/expect"
    "$check" -l 2000 "$dir/expect" sh -c "$5" >"$dir/out" 2>&1
    status=$?
    if [ $status -ne "$2" ] || ! grep -qF -e "$3" "$dir/out"; then
        echo "FAILED: $1: status $status, expected $2 and \"$3\""
        sed 's/^/    /' "$dir/out"
        failed=$((failed + 1))
    fi
}

# what fits
case_ exact 0 '' '= one\n= two\n' 'echo one; echo two'
case_ empty_line 0 '' '= one\n=\n= two\n' 'echo one; echo; echo two'
case_ last_line_unfinished 0 '' '= one\n' 'printf one'
case_ standard_error_too 0 '' '= one\n= two\n' 'echo one; echo two >&2'
case_ number 0 '' '~ in {100..150} ms, {3..}\n' 'echo in 149 ms, 1000'
case_ previous_number 0 '' '~ a {5..10}\n~ b {prev..10}\n' 'echo a 7; echo b 7'
case_ anything 0 '' '~ a{*}z\n' 'echo a-and-z-z'
case_ any_order 0 '' '= a\n? x {1..2}\n? x {2..3}\n? y\n= b\n' 'echo a; echo y; echo x 2; echo x 1; echo b'
case_ any_order_two_runs 0 '' '? x\n? y\n\n? x\n? z\n' 'echo y; echo x; echo z; echo x'
case_ absent 0 '' '= a\n! b\n' 'echo a'
case_ status 0 '' '= a\nx 3\n' 'echo a; exit 3'
case_ run_time 0 '' '# a remark\n\n= a\nt 0..2000\n' 'echo a'
case_ signal 0 '' '= ready\n@ TERM 0 ready\n= stopped\n' \
    'trap "echo stopped; exit 0" TERM; echo ready; while :; do sleep 0.01; done'

# what does not
case_ other_line 1 'expected = two' '= one\n= two\n' 'echo one; echo three'
case_ blank_at_end 1 'expected = one' '= one\n' 'echo "one "'
case_ other_order 1 'expected = one' '= one\n= two\n' 'echo two; echo one'
case_ line_missing 1 'got no more lines' '= one\n= two\n' 'echo one'
case_ line_too_many 1 'not expected: two' '= one\n' 'echo one; echo two'
case_ no_output 1 'got no more lines' '= one\n' ':'
case_ number_too_low 1 'expected ~' '~ {100..150} ms\n' 'echo 99 ms'
case_ number_too_high 1 'late:' '~ {100..150} ms\n' 'echo 150 ms'
case_ number_negative 1 'expected ~' '~ {0..150} ms\n' 'echo -1 ms'
case_ number_is_none 1 'expected ~' '~ {0..150} ms\n' 'echo x ms'
case_ number_goes_on 1 'expected ~' '~ {0..150}\n' 'echo 1.5'
case_ previous_is_higher 1 'expected ~ b' '~ a {5..10}\n~ b {prev..10}\n' 'echo a 7; echo b 6'
case_ any_order_twice_the_same 1 'got x' '? x\n? y\n' 'echo x; echo x'
case_ any_order_two_runs_mixed 1 'expected ?' '? x\n? y\n# more\n? z\n' 'echo z; echo x; echo y'
case_ any_order_not_outside 1 'expected ?' '? x\n= b\n? y\n' 'echo y; echo b; echo x'
case_ present 1 'expected ! bad' '= a bad b\n! bad\n' 'echo a bad b'
case_ status_other 1 'exit status 1, expected 0' '= a\n' 'echo a; exit 1'
case_ killed 1 'killed by signal 9' '= a\n' 'echo a; kill -9 $$'
case_ took_too_long 1 'late:' '= a\nt 0..1\n' 'echo a; sleep 0.01'
case_ ended_early 1 'it took' '= a\nt 1000..\n' 'echo a'
case_ hangs 1 'still running after' '= a\n' 'echo a; sleep 60'
case_ signal_line_absent 1 'no such line' '= a\n@ INT 0 ready\n' 'echo a'
case_ no_such_program 1 'exit status 127' '= a\n' 'exec /does/not/exist'

# mistakes in the expectation
case_ unknown_mark 2 'expect:2: unknown mark' '= a\n& b\n' 'echo a'
case_ no_blank 2 'no blank after the mark' '=a\n' 'echo a'
case_ broken_range 2 'not a range' '~ {1-5}\n' 'echo 1'
case_ open_range 2 'not a range' '~ {1..5\n' 'echo 1'
case_ broken_status 2 'not a status' '= a\nx one\n' 'echo a'
case_ broken_time 2 'not a range' '= a\nt soon\n' 'echo a'
case_ broken_signal 2 'not a signal' '= a\n@ FOO 0 a\n' 'echo a'
case_ nothing_expected 2 'empty' '# nothing\n' 'echo a'

"$check" "$dir/absent" true 2>/dev/null
[ $? -eq 2 ] || { echo 'FAILED: a file that is not there'; failed=$((failed + 1)); }
"$check" 2>/dev/null
[ $? -eq 2 ] || { echo 'FAILED: no arguments'; failed=$((failed + 1)); }

echo "$((cases + 2 - failed)) passed, $failed failed"
[ $failed -eq 0 ]
