/* SPDX-License-Identifier: MIT
 *
 * Requests out of llhttp's callbacks (see http_request.h). llhttp checks the grammar and the framing; what it
 * leaves to its user stands here: the limits, and the rules of RFC 9110 and 9112 about Host, Expect,
 * Transfer-Encoding and versions.
 *
 * llhttp is paused twice per request, after the head and at the end. The first pause tells exactly how long the
 * head was, the second one where the next request begins.
 */
#include "http_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    KEPT_BODY = 16 * 1024, /* a larger body buffer is not kept while the connection is idle */
    FRAMING = 16           /* bytes beside it that a byte of a body may cost, as a chunk of one byte does */
};

static int refuse(struct request *r, int status) {
    if (r->status == 0) r->status = status;
    return HPE_USER;
}

/* Grows by doubling as bytes come: a Content-Length is a promise, memory is spent only on what was kept of it. */
static int append(struct request *r, struct buffer *b, const char *at, size_t n) {
    if (n > b->capacity - b->size) {
        size_t capacity = b->capacity > 0 ? b->capacity : 128;
        while (n > capacity - b->size) capacity *= 2;
        char *data = realloc(b->data, capacity);
        if (data == NULL) return refuse(r, 503);
        b->data = data;
        b->capacity = capacity;
    }
    memcpy(b->data + b->size, at, n);
    b->size += n;
    return 0;
}

static void word_add(struct word *w, const char *at, size_t n) {
    for (size_t i = 0; i < n; i++, w->size++)
        if (w->size < sizeof w->text) w->text[w->size] = at[i];
}

static bool word_is(const struct word *w, const char *lower) {
    return w->size == strlen(lower) && w->size <= sizeof w->text && strncasecmp(w->text, lower, w->size) == 0;
}

static int on_message_begin(llhttp_t *parser) {
    struct request *r = parser->data;
    r->state = REQUEST_HEAD;
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t n) {
    struct request *r = parser->data;
    return append(r, &r->target, at, n);
}

static int on_header_field(llhttp_t *parser, const char *at, size_t n) {
    struct request *r = parser->data;
    if (r->state == REQUEST_HEAD) word_add(&r->name, at, n); /* not a trailer */
    return 0;
}

/* What no host and port can contain (RFC 9110, 7.2): blanks, once there is something, are looked at in the end. */
static bool in_host(char c) {
    return c > ' ' && c < 127 && strchr("/?#@\\\"<>^`{|}", c) == NULL;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t n) {
    struct request *r = parser->data;
    if (r->state != REQUEST_HEAD) return 0;
    word_add(&r->value, at, n);
    if (!word_is(&r->name, "host")) return 0;
    for (size_t i = 0; i < n; i++) {
        bool blank = at[i] == ' ' || at[i] == '\t';
        r->bad_host = r->bad_host || (blank ? false : r->host_over || !in_host(at[i]));
        r->host_over = r->host_over || blank;
    }
    return 0;
}

static int on_header_value_complete(llhttp_t *parser) {
    struct request *r = parser->data;
    struct word *value = &r->value;
    while (value->size > 0 && value->size <= sizeof value->text && strchr(" \t", value->text[value->size - 1]) != NULL)
        value->size--;
    if (word_is(&r->name, "host")) {
        r->hosts++;
    } else if (word_is(&r->name, "expect")) {
        r->expects = true;
        r->wanted = word_is(value, "100-continue");
    } else if (word_is(&r->name, "transfer-encoding")) {
        r->unknown_coding = r->unknown_coding || !word_is(value, "chunked");
    }
    r->name.size = value->size = 0;
    return 0;
}

static int on_headers_complete(llhttp_t *parser) {
    struct request *r = parser->data;
    bool old = request_is_old(r), chunked = parser->flags & F_CHUNKED;
    bool sized = parser->flags & F_CONTENT_LENGTH;

    if (parser->http_major != 1) return refuse(r, 505);
    if (request_method(r) == HTTP_CONNECT) return refuse(r, 501);       /* other bytes than HTTP's would follow */
    if (r->hosts > 1 || (r->hosts == 0 && !old)) return refuse(r, 400); /* RFC 9112, 3.2 */
    if (r->bad_host) return refuse(r, 400);                             /* 3.2, too */
    if (chunked && old) return refuse(r, 400);                          /* 6.1: the framing may be faulty */
    if (r->unknown_coding) return refuse(r, chunked ? 501 : 400);       /* 6.1, 6.3 */
    if (sized && parser->content_length > r->body_limit) return refuse(r, 413);
    if (r->expects && !old && !r->wanted) return refuse(r, 417);
    r->wants_continue = r->wanted && !old && (chunked || (sized && parser->content_length > 0));

    /* An offer to change the protocol may be ignored, and is: llhttp would stop after this request otherwise. */
    parser->upgrade = 0;
    r->state = REQUEST_BODY;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t n) {
    struct request *r = parser->data;
    if (n > r->body_limit - r->body.size) return refuse(r, 413);
    return append(r, &r->body, at, n);
}

static int on_message_complete(llhttp_t *parser) {
    struct request *r = parser->data;
    r->keep_alive = llhttp_should_keep_alive(parser);
    r->state = REQUEST_DONE;
    return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void request_init(struct request *r, size_t head_limit, size_t body_limit) {
    memset(r, 0, sizeof *r);
    r->head_limit = head_limit;
    r->body_limit = body_limit;
    llhttp_init(&r->parser, HTTP_REQUEST, &callbacks);
    r->parser.data = r;
}

static size_t bad(struct request *r, int status, size_t used) {
    refuse(r, status);
    r->state = REQUEST_BAD;
    return used;
}

size_t request_feed(struct request *r, const char *data, size_t n) {
    size_t used = 0;
    while (r->state < REQUEST_DONE) {
        bool in_head = r->state < REQUEST_BODY;
        size_t had = r->body.size;
        llhttp_errno_t err = llhttp_execute(&r->parser, data + used, n - used);
        size_t stop = err == HPE_OK ? n : (size_t)(llhttp_get_error_pos(&r->parser) - data);
        *(in_head ? &r->head_size : &r->framing) += stop - used - (r->body.size - had);
        used = stop;

        if (in_head && r->head_size > r->head_limit) return bad(r, 431, used);
        /* Chunk sizes, extensions and trailers count as head, so that nobody can send them for ever. */
        if (r->framing > r->head_limit && r->framing - r->head_limit > FRAMING * r->body.size) return bad(r, 431, used);
        if (err == HPE_OK) return n;
        if (err == HPE_INVALID_VERSION || err == HPE_PAUSED_H2_UPGRADE) return bad(r, 505, used);
        if (err != HPE_PAUSED) return bad(r, 400, used); /* unless a callback gave a better reason */
        llhttp_resume(&r->parser);
        if (r->wants_continue) return used;
    }
    return used;
}

void request_next(struct request *r) {
    struct buffer target = r->target, body = r->body;
    if (body.capacity > KEPT_BODY) {
        free(body.data);
        body = (struct buffer){ 0 };
    }
    request_init(r, r->head_limit, r->body_limit);
    r->target = (struct buffer){ target.data, 0, target.capacity };
    r->body = (struct buffer){ body.data, 0, body.capacity };
}

void request_release(struct request *r) {
    free(r->target.data);
    free(r->body.data);
}
