/* SPDX-License-Identifier: MIT
 *
 * What this server serves; the part that another program would replace. A route is a plain function that may
 * suspend: it runs in the task of its connection, and meanwhile the loop serves the others.
 *
 *     GET /            hello
 *     GET /slow?ms=N   answers after N milliseconds, ten seconds at most
 *     POST /echo       answers with the body of the request
 *     GET /stats       the server and its runtime in numbers
 */
#include "http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SLOW_MOST_MS = 10000 };

struct text {
    const char *at;
    size_t size;
};

static void say(struct response *res, const char *format, ...) UVT_PRINTF(2, 3);

static void say(struct response *res, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(res->text, sizeof res->text, format, args);
    va_end(args);
    res->body = res->text;
    res->size = n < 0 ? 0 : (size_t)n < sizeof res->text ? (size_t)n : sizeof res->text - 1;
}

const char *http_reason(int status) {
    static const struct {
        int status;
        const char *reason;
    } known[] = {
        { 200, "OK" },
        { 400, "Bad Request" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 413, "Content Too Large" },
        { 417, "Expectation Failed" },
        { 431, "Request Header Fields Too Large" },
        { 501, "Not Implemented" },
        { 503, "Service Unavailable" },
        { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].status == status) return known[i].reason;
    return "Unknown";
}

void http_plain(struct response *res, int status) {
    res->status = status;
    res->type = "text/plain";
    res->extra = "";
    say(res, "%d %s\n", status, http_reason(status));
}

static int hello(struct server *server, const struct request *req, struct text query, struct response *res) {
    (void)server, (void)req, (void)query;
    res->body = "hello\n";
    res->size = 6;
    return 0;
}

/* "ms=250" and nothing else; more than the most is the most. */
static bool milliseconds(struct text query, unsigned *ms) {
    if (query.size < 4 || memcmp(query.at, "ms=", 3) != 0) return false;
    *ms = 0;
    for (size_t i = 3; i < query.size; i++) {
        if (query.at[i] < '0' || query.at[i] > '9') return false;
        *ms = *ms * 10 + (unsigned)(query.at[i] - '0');
        if (*ms > SLOW_MOST_MS) *ms = SLOW_MOST_MS;
    }
    return true;
}

static int slow(struct server *server, const struct request *req, struct text query, struct response *res) {
    (void)server, (void)req;
    unsigned ms;
    if (!milliseconds(query, &ms)) {
        http_plain(res, 400);
        return 0;
    }
    int rc = uvt_sleep(ms);
    if (rc < 0) return rc;
    say(res, "slept %u ms\n", ms);
    return 0;
}

static int echo(struct server *server, const struct request *req, struct text query, struct response *res) {
    (void)server, (void)query;
    res->type = "application/octet-stream";
    res->body = req->body.data;
    res->size = req->body.size;
    return 0;
}

static int stats(struct server *server, const struct request *req, struct text query, struct response *res) {
    (void)req, (void)query;
    uvt_stats s;
    int rc = uvt_stats_get(&s);
    if (rc < 0) return rc;
    say(res,
        "requests %lu\nconnections %lu\nopen %u\naccept_pauses %lu\n"
        "tasks %zu\nstacks %zu\nstacks_cached %zu\nstreams %zu\ntimers %zu\nswitches %llu\n",
        server->served, server->connections, server->open, server->pauses, s.tasks, s.stacks, s.stacks_cached,
        s.streams, s.timers, (unsigned long long)s.switches);
    return 0;
}

static const struct route {
    const char *path;
    llhttp_method_t method;
    int (*answer)(struct server *server, const struct request *req, struct text query, struct response *res);
} routes[] = {
    { "/", HTTP_GET, hello },
    { "/slow", HTTP_GET, slow },
    { "/echo", HTTP_POST, echo },
    { "/stats", HTTP_GET, stats },
};

int http_route(struct server *server, const struct request *req, struct response *res) {
    struct text path = { req->target.data, req->target.size }, query = { "", 0 };
    llhttp_method_t method = request_method(req);
    if (method == HTTP_HEAD) method = HTTP_GET; /* the same answer; its body is left out when it is sent */

    /* A proxy's form, "http://host/path", is allowed to any client (RFC 9112, 3.2.2). */
    if (path.size > 7 && strncasecmp(path.at, "http://", 7) == 0) {
        path = (struct text){ path.at + 7, path.size - 7 };
        while (path.size > 0 && *path.at != '/' && *path.at != '?') path.at++, path.size--;
    }
    const char *mark = memchr(path.at, '?', path.size);
    if (mark != NULL) {
        query = (struct text){ mark + 1, path.size - (size_t)(mark - path.at) - 1 };
        path.size = (size_t)(mark - path.at);
    }
    if (path.size == 0) path = (struct text){ "/", 1 }; /* "http://host?query" */

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const struct route *r = &routes[i];
        if (strlen(r->path) != path.size || memcmp(r->path, path.at, path.size) != 0) continue;
        if (r->method != method) {
            http_plain(res, 405);
            res->extra = r->method == HTTP_GET ? "Allow: GET, HEAD\r\n" : "Allow: POST\r\n";
            return 0;
        }
        res->status = 200;
        res->type = "text/plain";
        res->extra = "";
        return r->answer(server, req, query, res);
    }
    http_plain(res, 404);
    return 0;
}
