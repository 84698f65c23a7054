/* SPDX-License-Identifier: MIT
 *
 * What the parts of the HTTP server share. From the outside in:
 *
 *     http_server.c      the command line, accepting, stopping
 *     http_connection.c  one task per connection: requests in, answers out, the time limits
 *     http_request.c     bytes to requests (llhttp), the size limits
 *     http_routes.c      requests to answers: the application
 *
 * Everything runs on one loop, so *server is read and written by all tasks without locks.
 */
#ifndef DEMOS_SERVERS_HTTP_H
#define DEMOS_SERVERS_HTTP_H

#include <uvtask.h>

#include "http_request.h"

struct server {
    /* from the command line */
    unsigned port, max_connections;
    unsigned head_limit, body_limit;        /* bytes */
    unsigned request_ms, idle_ms, grace_ms; /* time limits */

    uvt_token_t *drain;        /* cancelled when the server is to stop; owned by http_server.c */
    unsigned long served;      /* requests answered to the last byte, whatever the answer was */
    unsigned long connections; /* accepted so far */
    unsigned open;             /* connections open now */
    unsigned long pauses;      /* times accepting paused because descriptors or memory had run out */
};

struct response {
    int status;
    const char *type;  /* Content-Type */
    const char *extra; /* further header lines, each with its CRLF, or "" */
    const char *body;  /* in text below, in the request, or a literal; valid until the next request */
    size_t size;       /* bytes of body */
    char text[512];
};

/* The body of a connection's task; arg is its stream, whose data is the server. Returns 0: that a client misbehaves
 * or goes away is no failure of the server's. */
int http_connection(void *arg);

/* Answers a complete request. Returns 0 with *res filled, or a code (UV_ECANCELED above all): then there is no answer
 * and the connection is to be closed. Suspends as the routes do. */
int http_route(struct server *server, const struct request *req, struct response *res);

/* Makes *res the plain answer that a bare status gets: "404 Not Found". */
void http_plain(struct response *res, int status);

/* "Not Found" */
const char *http_reason(int status);

#endif
