#!/bin/sh
# SPDX-License-Identifier: MIT
# Layers point down: each room below src/ includes only the rooms it may build on, and the public headers of those.
# The one exception is kit/kit.h, the hooks of the test kit, which the rooms that answer them include.
set -eu
cd "$1"

# shellcheck disable=SC2046
awk '
    BEGIN {
        may["core"] = " core "
        may["sync"] = " core sync "
        may["pool"] = " core pool "
        may["shard"] = " core pool shard "
        may["io"] = " core sync pool shard io "
        may["debug"] = " core sync pool shard io debug "
        may["kit"] = " core sync pool shard io debug kit "
        split("base runtime task time scope set park", h, " ")
        for (i in h) room_of[h[i]] = "core"
        split("semaphore oneshot select chan mutex rwlock event barrier combine rate broadcast watch", h2, " ")
        for (i in h2) room_of[h2[i]] = "sync"
        split("stream tcp", h3, " ")
        for (i in h3) room_of[h3[i]] = "io"
        room_of["shard"] = "shard"
        room_of["blocking"] = "pool"
        room_of["parallel"] = "pool"
        room_of["test"] = "kit"
        bad = 0
    }
    function complain(what) {
        printf "%s:%d: %s\n", FILENAME, FNR, what
        bad = 1
    }
    FNR == 1 {
        split(FILENAME, part, "/")
        room = part[2]
        if (!(room in may)) complain("src/" room " is no room that this script knows")
    }
    /^[ \t]*#[ \t]*include[ \t]*["<]/ {
        target = $0
        sub(/^[^"<]*["<]/, "", target)
        sub(/[">].*/, "", target)
        if (target == "uvtask.h" || target == "uv.h") next
        if (target ~ /^\.\.\//) { complain("write the path from src/ on: " target); next }
        if (target ~ /^uvtask\//) {
            name = target
            sub(/^uvtask\//, "", name)
            sub(/\.h$/, "", name)
            if (!(name in room_of)) { complain("public header without a room: " target); next }
            to = room_of[name]
        } else if (target ~ /\// && $0 ~ /"/) {
            if (target == "kit/kit.h") next
            split(target, t, "/")
            to = t[1]
        } else next
        seen++
        if (index(may[room], " " to " ") == 0) complain("src/" room " may not include " target)
    }
    END {
        if (seen == 0) { print "no include was looked at"; bad = 1 }
        exit bad
    }
' $(find src -name '*.[chS]' | sort)
