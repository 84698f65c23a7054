#!/bin/sh
# SPDX-License-Identifier: MIT
# Starts the HTTP server and asks it as real clients would, with curl where curl can and with client_check.c where it
# cannot: check_http.sh SERVER CLIENT CASE, with CASE one of the functions in the second half.
set -eu
server=$1 client=$2
. "$(dirname "$0")/check_lib.sh"

command -v curl >/dev/null || {
    echo "curl is not installed: skipped"
    exit 77
}

# ask PATH [CURL-OPTION...]: the body goes to $tmp/body, the head to $tmp/head, the status to $code.
ask() {
    path=$1
    shift
    code=$(curl -sS --noproxy '*' -m 20 -o "$tmp/body" -D "$tmp/head" -w '%{http_code}' "$@" \
        "http://127.0.0.1:$port$path") || fail "curl $path $* (status $?)"
}

# is CODE [BODY]
is() {
    test "$code" = "$1" || fail "$path gives $code, not $1"
    test $# -lt 2 || test "$(cat "$tmp/body")" = "$2" || fail "$path gives '$(cat "$tmp/body")', not '$2'"
}

head_has() {
    tr -d '\r' <"$tmp/head" | grep -Eqx "$1" || fail "$path: no header '$1' in: $(cat "$tmp/head")"
}

body_has() {
    grep -Eqx "$1" "$tmp/body" || fail "$path: no line '$1' in: $(cat "$tmp/body")"
}

same() {
    cmp "$tmp/blob" "$tmp/body" || fail "$path does not give back what was sent"
}

# Pieces of requests and answers for client_check.c. A POST still needs its last headers and an empty line.
host='Host: x\r\n'
end='\r\n\r\n'
get="GET / HTTP/1.1\r\n$host\r\n"
post="POST /echo HTTP/1.1\r\n$host"
chunked="${post}Transfer-Encoding: chunked$end"
hello="${end}hello\n"

# get_slow MS
get_slow() {
    printf '%s' "GET /slow?ms=$1 HTTP/1.1\r\n$host\r\n"
}

# What curl says, one request after another.
routes() {
    start
    ask /
    is 200 hello
    head_has 'Content-Type: text/plain'
    head_has 'Content-Length: 6'
    head_has 'Date: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT'
    ask '/?anything'
    is 200 hello
    ask / -I
    is 200
    head_has 'Content-Length: 6'
    ask '/slow?ms=20'
    is 200 'slept 20 ms'
    ask '/slow?ms=soon'
    is 400
    ask /slow
    is 400
    ask /nowhere
    is 404 '404 Not Found'
    ask / -X DELETE
    is 405
    head_has 'Allow: GET, HEAD'
    ask /echo
    is 405
    head_has 'Allow: POST'
    ask /echo -d ''
    is 200 ''
    head -c 300000 /dev/urandom >"$tmp/blob"
    ask /echo --data-binary "@$tmp/blob"
    is 200
    same
    ask /echo -X POST -T "$tmp/blob" -H 'Transfer-Encoding: chunked'
    is 200
    same
    ask /echo -d 'wait for it' -H 'Expect: 100-continue'
    is 200 'wait for it'
    head_has 'HTTP/1.1 100 Continue'
    ask / --http2 # offers another protocol, which a server may ignore
    is 200 hello
    ask / -0
    is 200 hello
    head_has 'Connection: close'
    ask /stats
    is 200
    body_has 'requests 15'
    body_has 'tasks [1-9][0-9]*'
    # A proxy's form of the target, and a request byte by byte.
    talk send "GET http://x/ HTTP/1.1\r\n$host\r\n" expect '200 OK' expect "$hello"
    talk send "GET HTTP://x?/stats HTTP/1.1\r\n$host\r\n" expect '200 OK' expect "$hello"
    talk send "GET / HTTP/1.1\r\nHost: [::1]:80 \x09\r\n\r\n" expect '200 OK' expect "$hello"
    # A head in two pieces, with what the client waits for in the first.
    talk send "${post}Expect: 100-continue\r\nContent-" sleep 50 send "Length: 2$end" \
        next 'HTTP/1.1 100 Continue' expect "$end" send ab expect "${end}ab"
    talk drip 2 "${chunked}2\r\nab\r\n3\r\ncde\r\n0$end" expect "$end" next abcde
    stop TERM 'stopped: 21 requests served, 21 connections'
}

# Several requests on one connection.
keep_alive() {
    start
    url="http://127.0.0.1:$port"
    made=$(curl -sS --noproxy '*' -m 20 -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects} ' \
        "$url/" "$url/stats" "$url/none") || fail "curl (status $?)"
    test "$made" = '1 0 0 ' || fail "connections made per request: $made"
    # Pipelined: the answers come in the order of the requests, whatever each of them takes.
    talk send "$(get_slow 80)HEAD / HTTP/1.1\r\n$host\r\n${post}Content-Length: 3${end}abc\r\n$get" \
        expect 'slept 80 ms\nHTTP/1.1 200' \
        expect 'Content-Length: 6\r\n\r\nHTTP/1.1 200' \
        expect "${end}abcHTTP/1.1 200" \
        expect "$hello" quiet 50
    talk repeat 300 "$get" send "GET /none HTTP/1.1\r\n$host\r\n" fin expect "${end}404 Not Found\n" end
    # What closes, and what does not.
    talk send "GET / HTTP/1.1\r\n${host}Connection: close$end" expect "\nConnection: close$end" next 'hello\n' end
    talk send "GET / HTTP/1.1\r\n${host}Connection: close$end$get" expect "$hello" end
    talk send "GET / HTTP/1.0$end" expect "\nConnection: close$end" next 'hello\n' end
    talk send "GET / HTTP/1.0\r\nConnection: keep-alive$end" \
        expect "\nConnection: keep-alive$end" next 'hello\n' quiet 50
    talk send "$get" fin expect "$hello" end # a client may close its sending side once it has asked
    # Clients that go away in the middle.
    talk send 'GET / HT' reset on 1 send "${post}Content-Length: 9${end}abc" reset
    talk send "$(get_slow 100)" sleep 20 reset sleep 150
    ask /
    is 200 hello
    stop INT 'stopped: 31[45] requests served, 12 connections' # the one reset may count or not
}

# Sizes.
limits() {
    start --head-limit 256 --body-limit 1000
    # A head of exactly 256 bytes (40 around the padding), then one more.
    pad=$(printf '%0216d' 0)
    too_large='431 Request Header Fields Too Large'
    talk send "GET / HTTP/1.1\r\nHost: example\r\nPad: $pad$end" expect '200 OK' expect "$hello"
    talk send "GET / HTTP/1.1\r\nHost: example\r\nPad: 0$pad$end" \
        expect "HTTP/1.1 $too_large\r\n" expect "\nConnection: close$end" next "$too_large\n" end
    talk send "GET /$pad$pad" expect "$end$too_large\n" end # without an end, too
    talk send "GET / HTTP/1.1\r\n" repeat 5000 'Again: and again\r\n' expect "$end$too_large\n" end
    ask / -H "Pad: $pad$pad"
    is 431

    head -c 1000 /dev/zero >"$tmp/blob"
    ask /echo --data-binary "@$tmp/blob"
    is 200
    same
    ask /echo -X POST -T "$tmp/blob" -H 'Transfer-Encoding: chunked'
    is 200
    same
    head -c 1001 /dev/zero >"$tmp/blob"
    ask /echo --data-binary "@$tmp/blob"
    is 413 '413 Content Too Large'
    head_has 'Connection: close'
    ask /echo -X POST -T "$tmp/blob" -H 'Transfer-Encoding: chunked'
    is 413
    # The refusal comes instead of "100 Continue", not after it.
    talk send "${post}Content-Length: 1001\r\nExpect: 100-continue$end" \
        next 'HTTP/1.1 413 ' expect "${end}413 Content Too Large\n" end
    # It gets through to a client that goes on sending: no reset destroys it.
    talk send "${post}Content-Length: 2000000$end" repeat 5000 "$pad" expect "${end}413 Content Too Large\n" end
    # Chunk extensions and trailers are bounded as a head is.
    talk send "${chunked}1;" repeat 3000 extension expect "$end$too_large\n" end
    talk send "${chunked}1\r\na\r\n0\r\n" repeat 3000 'Trailer: x\r\n' expect "$end$too_large\n" end
    talk send "${chunked}1\r\na\r\n0\r\nTrailer:" repeat 3000 '      ' expect "$end$too_large\n" end
    talk send "$chunked" repeat 3000 000000 expect "$end$too_large\n" end
    talk send "$chunked" repeat 900 '1\r\na\r\n' send '0\r\n\r\n' expect '200 OK' # that much each byte may cost
    ask /
    is 200 hello
    stop TERM 'stopped: 17 requests served, 17 connections'
}

# bad STATUS REQUEST: the request is answered with the status, and the connection closed.
bad() {
    talk send "$2" expect "HTTP/1.1 $1 " expect "\nConnection: close$end" next "$1 " expect '\n' end
}

malformed() {
    start
    bad 400 "hello$end"
    bad 400 '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' # TLS
    bad 400 "GET / HTTP/1.1$end"                           # no Host
    bad 400 "GET / HTTP/1.1\r\n$host$host\r\n"
    bad 400 "GET / HTTP/1.1\r\nHost: a b$end"
    bad 400 "GET / HTTP/1.1\r\nHost: a/b@c$end"
    bad 400 "${post}Content-Length: 3\r\nTransfer-Encoding:$end"
    bad 400 "GET / HTTP/1.1\r\n${host}No colon$end"
    bad 400 "GET / HTTP/1.1\r\n${host}A: \x01$end"
    bad 400 "GET / FTP/1.1\r\n$host\r\n"
    bad 400 "${post}Content-Length: -1$end"
    bad 400 "${post}Content-Length: 1x$end"
    bad 400 "${post}Content-Length: 99999999999999999999$end"
    bad 400 "${post}Content-Length: 1\r\nContent-Length: 2$end"
    bad 400 "${post}Content-Length: 5\r\nTransfer-Encoding: chunked$end"
    bad 400 "${post}Transfer-Encoding: gzip$end"
    bad 501 "${post}Transfer-Encoding: gzip, chunked$end"
    bad 400 "${chunked}size\r\n"
    bad 400 "${chunked}2\r\nabXX3\r\ncdeYY0$end" # no end of line after a chunk
    bad 400 "POST /echo HTTP/1.0\r\n${host}Transfer-Encoding: chunked${end}0$end"
    bad 417 "${post}Content-Length: 5\r\nExpect: a miracle$end"
    bad 505 "GET / HTTP/1.7\r\n$host\r\n"
    bad 505 "PRI * HTTP/2.0${end}SM$end"
    bad 501 "CONNECT x:80 HTTP/1.1\r\n$host\r\n"
    # Ends in the middle: a client that closed its sending side only still gets told.
    talk send 'GET / HTTP/1.1\r\nHos' fin expect "${end}400 Bad Request\n" end
    # Requests before the bad one are answered; it ends the connection, whatever follows.
    talk send "$get${get}nonsense$end$get" expect "$hello" expect "$hello" expect "${end}400 Bad Request\n" end
    # Empty lines before a request are no error (RFC 9112, 2.2).
    talk send "\r\n\r\n$get" expect "$hello" quiet 50
    stop TERM 'stopped: 29 requests served, 27 connections'
}

# Time limits.
slow() {
    start --request-timeout-ms 400 --idle-timeout-ms 900 --body-limit 40000000
    # A request that was begun and not finished.
    talk send 'GET / HTTP/1.1\r\nHo' quiet 200 expect 'HTTP/1.1 408 Request Timeout\r\n' above 390 below 3000 \
        expect "${end}408 Request Timeout\n" end
    talk send "${post}Content-Length: 9${end}abc" quiet 200 expect "${end}408 Request Timeout\n" above 390 end
    # The limit is for the whole request: a byte now and then does not extend it.
    talk drip 40 'GET / HTTP/1.1\r\n' expect "${end}408 Request Timeout\n"
    # Nothing begun, nothing to answer: it just closes. A second request has its own time.
    talk quiet 500 end below 3000
    talk send "$get" expect "$hello" quiet 500 end above 890 below 4000
    talk send "$get" expect "$hello" sleep 500 send "$get" expect "$hello" sleep 500 send "$get" expect "$hello"
    # A route may take longer than a client.
    talk send "$(get_slow 600)" expect 'slept 600 ms\n' above 590
    # A client that takes no answer is let go as well; 16 MB are more than the kernel's buffers hold.
    talk send "${post}Content-Length: 16000000$end" repeat 1600 "$(printf '%010000d' 0)" sleep 1000 \
        on 1 send "GET /stats HTTP/1.1\r\n$host\r\n" expect '\nopen 1\n'
    stop TERM 'stopped: [0-9]+ requests served, 9 connections'
}

connections() {
    # The third connection waits until there is room.
    start --max-connections 2
    talk on 0 send "$get" expect "$hello" on 1 send "$get" expect "$hello" on 2 send "$get" quiet 200 \
        on 0 fin end on 2 expect "$hello"
    stop TERM 'stopped: 3 requests served, 3 connections'

    # More clients than descriptors: some wait or are turned away, and when the others have gone all is as before.
    limit=$(ulimit -S -n)
    ulimit -S -n 24
    start
    ulimit -S -n "$limit"
    many=$(seq -s ' ' 0 39 | sed 's/[0-9][0-9]*/on &/g')
    # shellcheck disable=SC2086
    talk $many sleep 300 on 0 send "$get" expect "$hello"
    tries=0
    ask /stats
    body_has 'accept_pauses [1-9][0-9]*'
    until grep -qx 'open 1' "$tmp/body"; do
        tries=$((tries + 1))
        test $tries -lt 100 || fail "connections stay open: $(cat "$tmp/body")"
        sleep 0.05
        ask /stats
    done
    ask /
    is 200 hello
    stop TERM 'stopped: [0-9]+ requests served, [0-9]+ connections'
}

# SIGINT and SIGTERM.
stopping() {
    # Nothing to do.
    start
    stop INT 'stopped: 0 requests served, 0 connections'

    # Idle connections close at once and new ones are refused; what is in flight is answered, then closed.
    start
    talk on 0 send "$get" expect "$hello" on 1 on 2 send "$(get_slow 1200)" sleep 200 kill TERM "$pid" \
        on 0 end on 1 end below 700 sleep 50 refused \
        on 2 expect "\nConnection: close$end" next 'slept 1200 ms\n' end
    gone 'stopped: 2 requests served, 3 connections'

    # A request of which a part had come may be finished.
    start
    talk send "${post}Content-Length: 6${end}abc" sleep 200 kill INT "$pid" quiet 200 send def \
        expect "\nConnection: close$end" next abcdef end
    gone 'stopped: 1 requests served, 1 connections'

    # Of pipelined requests the one in flight is answered; that one's answer says that no other will come.
    start
    talk send "$(get_slow 500)$get" sleep 200 kill TERM "$pid" \
        expect "\nConnection: close$end" next 'slept 500 ms\n' end
    gone 'stopped: 1 requests served, 1 connections'

    # One that comes while the last answer is on its way does not destroy it.
    start
    talk send "$(get_slow 500)" sleep 200 kill TERM "$pid" sleep 100 send "$get" \
        expect "\nConnection: close$end" next 'slept 500 ms\n' end
    gone 'stopped: 1 requests served, 1 connections'

    # So does one that comes before the end was asked for, while the client is still taking the last answer.
    start --body-limit 40000000
    talk send "${post}Content-Length: 16000006$end" repeat 1600 "$(printf '%010000d' 0)" send finish sleep 300 \
        send "$get" sleep 50 kill TERM "$pid" sleep 200 expect finish end
    gone 'stopped: 1 requests served, 1 connections'

    # A connection for which there is no room yet is not kept waiting.
    start --max-connections 1
    talk on 0 send "$(get_slow 500)" on 1 sleep 200 kill TERM "$pid" on 1 end below 200 on 0 expect 'slept 500 ms\n' end
    gone 'stopped: 1 requests served, 1 connections'

    # The grace time is over.
    start --grace-ms 200
    talk send "$(get_slow 9000)" on 1 send 'GET / HT' sleep 200 kill TERM "$pid" on 0 end on 1 end above 190 below 3000
    gone 'stopped: 0 requests served, 2 connections' 'http_server: cutting 2 connections'
    start --grace-ms 0
    talk send "$(get_slow 9000)" sleep 200 kill TERM "$pid" end below 3000
    gone 'stopped: 0 requests served, 1 connections' 'http_server: cutting 1 connections'

    # Whoever does not want to wait says it twice.
    start
    talk send "$(get_slow 9000)" sleep 200 kill INT "$pid" quiet 200 kill INT "$pid" end below 3000
    gone 'stopped: 0 requests served, 1 connections' 'http_server: cutting 1 connections'
}

options() {
    wrong_options
    refuses --head-limit 1
    refuses --idle-timeout-ms 0
    port_taken
}

"$3"
