#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks the models of what is lock-free or spread over threads with spin, every order of their steps: those that are to
# hold, and each once more with an essential step taken out (-DBUG_...), where spin has to find a counterexample. A
# line for each; ends with "N passed, M failed", with 1 when anything failed, with 77 where there is no spin.
#
#     sh test/model/run.sh                  all
#     sh test/model/run.sh steal mailbox    these
#     KEEP=dir sh test/model/run.sh steal   what is found is left in dir; to read it:
#         cd dir/steal-DBUG_FED && spin -k model.pml.trail -DBUG_FED -g -l -p model.pml
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# What is to hold, and what has to be found.
cases() {
    cat <<'END'
holds mailbox
holds mailbox -DDOZES
holds mailbox -DPOSTERS=3 -DPER=1
holds mailbox -DDOZES -DPOSTERS=3 -DPER=1
fails mailbox -DDOZES -DBUG_DOZE
fails mailbox -DBUG_OWED
fails mailbox -DDOZES -DBUG_OWED
fails mailbox -DBUG_REST
fails mailbox -DBUG_INBOX
holds park
holds park -DRELEASES=1
fails park -DBUG_LATER
fails park -DBUG_HOOKED
fails park -DRELEASES=1 -DBUG_GRANT
holds select
holds select -DNO_CANCEL
fails select -DBUG_CLAIM
fails select -DBUG_WITHDRAW
fails select -DNO_CANCEL -DBUG_LOOK
fails select -DBUG_LEAVE
fails select -DBUG_LATER
fails select -DBUG_DROP
holds steal
holds steal -DN=2
fails steal -DBUG_LOOK
fails steal -DBUG_FED
fails steal -DBUG_BEHIND
holds rest
fails rest -DBUG_EPOCH
fails rest -DBUG_EPOCH_FIRST
fails rest -DBUG_ONE_LOOK
holds remote
fails remote -DBUG_REF
fails remote -DBUG_GUEST
fails remote -DBUG_LATE
END
}

# one DIR EXPECTED MODEL FLAG...: a line, in DIR/line below $MODEL_WORK.
one() {
    cd "$MODEL_WORK/$1"
    expected=$2 name=$3
    shift 3
    what="$name${*:+ $*}"
    cp "$here/$name.pml" model.pml
    level=-Og # with -O2 the compiler takes longer than is won by it
    [ "$expected" = holds ] || level=-O0
    if ! { spin -a "$@" model.pml && "${CC:-gcc}" $level -w -DSAFETY -DMEMLIM=2048 pan.c -o pan; } >log 2>&1; then
        echo "FAIL  $what: spin or the compiler does not take it: $(grep -m 1 -i error log)" >line
        return
    fi
    ./pan -m50000 -w22 >out 2>&1 || true
    states=$(sed -n 's/^ *\([0-9][0-9]*\) states, stored.*/\1/p' out)
    errors=$(sed -n 's/.*errors: \([0-9][0-9]*\)$/\1/p' out)
    why=$(sed -n 's/^pan:[0-9]*: \(.*\)/\1/p' out | head -n 1)
    if [ -z "$states" ] || [ -z "$errors" ] || ! grep -q '^Full statespace search' out; then
        echo "FAIL  $what: no result: $(grep -m 1 '^pan' out || true)" >line
    elif [ "$expected" = fails ]; then
        case "$errors $why" in
        [1-9]*'assertion violated'* | [1-9]*'invalid end state'*) echo "ok    $what: found ($why)" >line ;;
        *) echo "FAIL  $what: spin finds nothing wrong with it, $states states" >line ;;
        esac
    elif [ "$errors" -ne 0 ]; then
        echo "FAIL  $what: $why" >line
    elif grep -q -i -e 'truncated' -e 'not completed' -e 'too small' out; then
        echo "FAIL  $what: not all was looked at: $(grep -m 1 -i -e truncated -e completed -e small out)" >line
    else
        echo "ok    $what: $states states, all of them" >line
    fi
    rm -f pan pan.* # the counterexample stays
}

if [ "${1-}" = --one ]; then
    shift
    one "$@"
    exit
fi

for tool in spin "${CC:-gcc}"; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "$tool is missing (Debian: apt-get install spin gcc)"
        exit 77
    fi
done
for name; do
    if ! cases | grep -q "^holds $name\( \|\$\)"; then
        echo "no model $name" >&2
        exit 2
    fi
done

work=${KEEP:-$(mktemp -d)}
[ -n "${KEEP-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
MODEL_WORK=$(cd "$work" && pwd)
export MODEL_WORK

# As many at a time as there are cores; what they say is shown in order.
: >"$work/dirs"
cases | while read -r expected name flags; do
    case " ${*:-$name} " in
    *" $name "*) ;;
    *) continue ;;
    esac
    dir=$name$(printf '%s' "$flags" | tr -d ' ')
    rm -rf "${work:?}/$dir"
    mkdir "$work/$dir"
    echo "$dir" >>"$work/dirs"
    echo "$dir $expected $name${flags:+ $flags}"
done | xargs -P "$(nproc 2>/dev/null || echo 2)" -L 1 sh "$here/run.sh" --one || true

passed=0 failed=0
while read -r dir; do
    line=$(cat "$work/$dir/line" 2>/dev/null) || line="FAIL  $dir: did not end"
    echo "$line"
    case $line in
    ok*) passed=$((passed + 1)) ;;
    *) failed=$((failed + 1)) ;;
    esac
done <"$work/dirs"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
