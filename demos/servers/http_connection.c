/* SPDX-License-Identifier: MIT
 *
 * One connection, one task, read from top to bottom: wait for a request, read it, answer it, again. Answers come in
 * the order of the requests because there is nothing here that could reorder them; a client that pipelines finds its
 * next request in the buffer already.
 *
 * Every wait stands under a scope that says what may end it:
 *
 *     between requests    the idle limit, and the server's drain token: nobody is owed an answer
 *     inside a request    the request limit alone, so a stopping server still answers (408 when it runs out)
 *     sending             the request limit: a client that does not read holds memory as one that does not write
 *
 * and all of it under the connection set's own scope, which cancels whatever is left when the grace time is over.
 */
#include "http.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LINGER_MS = 1000 };

struct connection {
    struct server *server;
    uvt_stream_t *stream;
    struct request req;
    struct response res;
    size_t pos, end; /* what of buf is not parsed yet */
    bool answered;   /* an answer is the last thing that happened */
    char buf[8192];
};

/* Feeds the parser, from the network when the buffer is empty. 0, or what the read said. */
static int advance(struct connection *c) {
    if (c->pos == c->end) {
        ssize_t n = uvt_read(c->stream, c->buf, sizeof c->buf);
        if (n < 0) return (int)n;
        c->pos = 0;
        c->end = (size_t)n;
    }
    c->pos += request_feed(&c->req, c->buf + c->pos, c->end - c->pos);
    return 0;
}

/* Returns when the first byte of a request is there. */
static int wait_for_request(struct connection *c) {
    uvt_scope_t idle;
    int rc = 0;
    uvt_scope_begin(&idle, &(uvt_scope_options){ .timeout_ms = c->server->idle_ms, .token = c->server->drain });
    while (rc == 0 && c->req.state == REQUEST_IDLE) rc = advance(c);
    return uvt_scope_end(&idle, rc);
}

static int read_request(struct connection *c) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uvt_scope_t limit;
    int rc = 0;
    uvt_scope_begin(&limit, &(uvt_scope_options){ .timeout_ms = c->server->request_ms });
    while (rc == 0 && (c->req.state == REQUEST_HEAD || c->req.state == REQUEST_BODY)) {
        if (c->req.wants_continue) {
            c->req.wants_continue = false;
            /* RFC 9110, 10.1.1: not needed any more when the body is on its way already. */
            if (c->pos == c->end) rc = uvt_write(c->stream, go_on, sizeof go_on - 1, NULL);
        }
        if (rc == 0) rc = advance(c);
    }
    return uvt_scope_end(&limit, rc);
}

/* The Date header's value, made once per second. */
static const char *http_date(void) {
    static char text[32];
    static time_t made;
    time_t now = time(NULL);
    struct tm tm;
    if (now != made && gmtime_r(&now, &tm) != NULL) {
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        made = now;
    }
    return text;
}

static int send_response(struct connection *c, bool keep_alive) {
    const struct response *res = &c->res;
    /* HTTP/1.1 goes on and HTTP/1.0 closes unless it is said otherwise. */
    const char *connection = "";
    if (!keep_alive)
        connection = "Connection: close\r\n";
    else if (request_is_old(&c->req))
        connection = "Connection: keep-alive\r\n";
    char head[512];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %d %s\r\n"
                     "Date: %s\r\n"
                     "Content-Type: %s\r\n"
                     "Content-Length: %zu\r\n"
                     "%s%s\r\n",
                     res->status, http_reason(res->status), http_date(), res->type, res->size, res->extra, connection);
    uv_buf_t bufs[] = { uv_buf_init(head, (unsigned)n), uv_buf_init((char *)res->body, (unsigned)res->size) };
    bool with_body = res->size > 0 && request_method(&c->req) != HTTP_HEAD;

    uvt_scope_t limit;
    uvt_scope_begin(&limit, &(uvt_scope_options){ .timeout_ms = c->server->request_ms });
    int rc = uvt_scope_end(&limit, uvt_writev(c->stream, bufs, with_body ? 2 : 1, NULL));
    if (rc < 0) return rc;
    c->answered = true;
    c->server->served++;
    return 0;
}

/* One request and its answer. True when the connection goes on. */
static bool exchange(struct connection *c) {
    if (wait_for_request(c) < 0) return false; /* idle for too long, gone, or the server stops: nothing to say */

    c->answered = false;
    bool keep_alive = false;
    int rc = read_request(c);
    if (c->req.state == REQUEST_DONE) {
        rc = http_route(c->server, &c->req, &c->res);
        if (rc < 0) return false;
        /* Asked only now: the server may have been told to stop while the route was at work. */
        keep_alive = c->req.keep_alive && !uvt_token_cancelled(c->server->drain);
    } else if (c->req.state == REQUEST_BAD) {
        http_plain(&c->res, c->req.status);
    } else if (rc == UV_ETIMEDOUT) {
        http_plain(&c->res, 408);
    } else if (rc == UV_EOF) {
        http_plain(&c->res, 400); /* it may still listen, having closed its sending side too early */
    } else {
        return false;
    }
    if (send_response(c, keep_alive) < 0) return false;
    if (keep_alive) request_next(&c->req);
    return keep_alive;
}

/* To close a socket on which input lies unread, or to which some comes later, is to reset it, and the reset can destroy
 * our last answer before the client has read it (RFC 9112, 9.6). So end the sending side only, and look away until the
 * client has closed, for a while. */
static void linger(struct connection *c) {
    uvt_scope_t limit;
    uvt_scope_begin(&limit, &(uvt_scope_options){ .timeout_ms = LINGER_MS });
    int rc = uvt_shutdown(c->stream);
    while (rc == 0 && uvt_read(c->stream, c->buf, sizeof c->buf) > 0) continue;
    uvt_scope_end(&limit, rc);
}

int http_connection(void *arg) {
    struct connection c; /* not cleared: buf's pages are touched when something is read into them, not before */
    c.stream = arg;
    c.server = uvt_stream_data(c.stream);
    c.pos = c.end = 0;
    c.answered = false;
    uvt_stream_own(c.stream);
    request_init(&c.req, c.server->head_limit, c.server->body_limit);
    c.server->open++;

    while (exchange(&c)) continue;

    bool unread = c.pos < c.end || (c.req.state != REQUEST_IDLE && c.req.state != REQUEST_DONE);
    if (c.answered || unread) linger(&c);
    uvt_close(c.stream);
    request_release(&c.req);
    c.server->open--;
    return 0;
}
