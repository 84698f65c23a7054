#!/bin/sh
# SPDX-License-Identifier: MIT
# Starts the echo server and checks it: check_echo.sh SERVER CLIENT
set -eu
server=$1 client=$2
. "$(dirname "$0")/check_lib.sh"

start
talk send hello next hello send ' again' next ' again' fin end
talk drip 5 'one by one' next 'one by one' fin end
# Several connections at once, answered apart; one that goes away rudely does not disturb the others.
talk on 0 send a on 1 send b on 2 send c on 1 next b on 2 reset on 0 next a send A next A on 1 send B next B
# More than one read's worth in flight.
talk repeat 10000 abcdef send '; the end' fin expect '; the end' end
stop TERM 'stopped: 6 connections'

start
talk send x next x kill INT "$pid" end below 2000
gone 'stopped: 1 connections'

# The third connection waits until there is room.
start --max-connections 2
talk on 0 send a next a on 1 send b next b on 2 send c quiet 200 on 0 fin end on 2 next c
stop TERM 'stopped: 3 connections'

wrong_options
port_taken
