/* SPDX-License-Identifier: MIT
 *
 * One HTTP/1 request, put together by llhttp from whatever pieces the network delivers, within limits. Knows
 * nothing of sockets, tasks or time: bytes go in, a state comes out.
 *
 *     IDLE --first byte--> HEAD --blank line--> BODY --last byte--> DONE      (then request_next: IDLE again)
 *                           `----- anything wrong or too big ------> BAD      (status is the answer it gets)
 */
#ifndef DEMOS_SERVERS_HTTP_REQUEST_H
#define DEMOS_SERVERS_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <llhttp.h>

enum request_state { REQUEST_IDLE, REQUEST_HEAD, REQUEST_BODY, REQUEST_DONE, REQUEST_BAD };

struct buffer {
    char *data; /* NULL while capacity is 0 */
    size_t size, capacity;
};

/* A piece of a header that is only ever compared with short words: what is longer than the room matches nothing. */
struct word {
    char text[24];
    size_t size; /* may exceed the room */
};

struct request {
    enum request_state state;
    int status;           /* in BAD: 400, 413, 417, 431, 501, 503 or 505 */
    struct buffer target; /* complete from BODY on: "/slow?ms=10" */
    struct buffer body;   /* complete in DONE */
    bool wants_continue;  /* in BODY: the client waits for "100 Continue"; whoever answers that clears it */
    bool keep_alive;      /* valid in DONE: the client's wish */

    /* The rest is the parser's own. */
    llhttp_t parser;
    size_t head_limit, body_limit;
    size_t head_size; /* bytes of request line and headers */
    size_t framing;   /* bytes that came after them and are not the body's */
    struct word name, value;
    unsigned hosts;
    bool bad_host, host_over, unknown_coding; /* host_over: a blank has followed it */
    bool expects, wanted; /* wanted: Expect was 100-continue */
};

void request_init(struct request *r, size_t head_limit, size_t body_limit);

/* Takes up to n bytes and says how many it took. It stops at the end of the request (what follows is the next one's),
 * where the client wants a "100 Continue" first, and when the request turns out to be bad. */
size_t request_feed(struct request *r, const char *data, size_t n);

/* From DONE to IDLE, keeping memory that the next request is likely to need. */
void request_next(struct request *r);

void request_release(struct request *r);

/* GET, POST, ...; in BAD possibly not known yet, then 0, which is DELETE. */
static inline llhttp_method_t request_method(const struct request *r) {
    return (llhttp_method_t)r->parser.method;
}

/* Whether it came as HTTP/1.0. */
static inline bool request_is_old(const struct request *r) {
    return r->parser.http_major == 1 && r->parser.http_minor == 0;
}

#endif
