#!/bin/sh
# SPDX-License-Identifier: MIT
# Starts the chat server and checks it with real connections: check_chat.sh SERVER CLIENT
set -eu
server=$1 client=$2
. "$(dirname "$0")/check_lib.sh"

name='* what is your name?\n'

# Everybody hears everybody else, and who comes and goes; lines may come in pieces, several at a time, with \r\n or \n.
start
talk on 0 next "$name" send 'ann\r\n' next '* ann has come\n' \
    on 1 next "$name" send bo send 'b\n' next '* bob has come\n' on 0 next '* bob has come\n' \
    on 0 send 'hello\n' on 1 next 'ann: hello\n' send 'hi, ann\nhow are you?\r\n' \
    on 0 next 'bob: hi, ann\nbob: how are you?\n' quiet 50 \
    on 1 fin end on 0 next '* bob has gone\n' \
    on 2 next "$name" send '\n' next "$name" send 'cy\n' next '* cy has come\n' on 0 next '* cy has come\n' \
    on 2 reset on 0 next '* cy has gone\n' fin end
stop TERM 'stopped: 3 connections'

# A line that is too long is thrown away whole, and a name is cut.
start
talk on 0 next "$name" send 'a-name-that-is-longer-than-a-name-may-be\n' next '* a-name-that-is-longer-t has come\n' \
    on 1 next "$name" send 'bob\n' next '* bob has come\n' repeat 300 x send 'x\nshort\n' next '* that line was too long\n' \
    on 0 next '* bob has come\nbob: short\n'
# Who is still here when it stops is told so.
talk on 0 next "$name" on 1 next "$name" send 'dee\n' next '* dee has come\n' on 0 next '* dee has come\n' \
    kill TERM "$pid" next '* the chat is over\n' end on 1 next '* the chat is over\n'
gone 'stopped: 4 connections'

# A slow client loses messages, is told how many, and is dropped; the others hear of it and are not held up. (The answer
# to a line that is too long comes when all before it has been said.)
start --backlog 64 --patience-ms 5000
talk on 0 next "$name" send 'slow\n' next '* slow has come\n' \
    on 1 next "$name" send 'fast\n' next '* fast has come\n' repeat 200000 'a message of the fast one\n' \
    repeat 300 x send '\n' expect '* that line was too long\n' \
    on 2 next "$name" send 'late\n' next '* late has come\n' on 1 send 'done\n' on 2 next 'fast: done\n' \
    on 0 expect '* you are too slow: ' expect ' messages lost, good-bye\n' end
stop TERM 'stopped: 3 connections'

# One that takes nothing at all is dropped when patience is over.
start --backlog 64 --patience-ms 100
talk on 0 next "$name" send 'dead\n' next '* dead has come\n' \
    on 1 next "$name" send 'fast\n' next '* fast has come\n' repeat 200000 'a message of the fast one\n' \
    expect '* dead was too slow\n'
stop INT 'stopped: 2 connections'

wrong_options
port_taken
