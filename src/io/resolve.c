/* SPDX-License-Identifier: MIT
 *
 * Names to addresses, by getaddrinfo on libuv's pool. The request lies on the heap: a task that is
 * cancelled leaves at once, and whatever the resolver answers later is freed by the callback.
 */
#include "io/io.h"
#include <stdio.h>
#include <string.h>

struct lookup {
    uv_getaddrinfo_t req;
    uvt__shard *shard;
    struct waiting *waiter;  /* NULL once its task has left */
};

/* On the task's stack. */
struct waiting {
    uvt_park_t park;
    struct addrinfo *found;
};

int uvt__parse_addr(const char *host, unsigned port, struct sockaddr_storage *addr) {
    memset(addr, 0, sizeof *addr);
    if (!host || port > 65535) return UV_EINVAL;
    if (uv_ip4_addr(host, (int)port, (struct sockaddr_in *)addr) == 0) return 0;
    return uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)addr) == 0 ? 0 : UV_EINVAL;
}

static void on_found(uv_getaddrinfo_t *req, int status, struct addrinfo *res) {
    struct lookup *l = CONTAINER_OF(req, struct lookup, req);
    uvt__shard *s = l->shard;
    s->pool_reqs--;
    if (l->waiter) {
        l->waiter->found = res;
        uvt_unpark(&l->waiter->park, status);
    } else {
        uv_freeaddrinfo(res);
    }
    uvt__free(l);
    uvt__handle_closed(s); /* last: an attached runtime that waited for this is gone now */
}

static int lookup_abort(uvt_park_t *p) {
    struct lookup *l = (struct lookup *)p->object;
    l->waiter = NULL;
    uv_cancel((uv_req_t *)&l->req); /* if it has not begun; else it is left to itself */
    return UVT_ABORT_DONE;
}

int uvt__resolve(const char *host, unsigned port, struct addrinfo **out) {
    uvt__shard *s = uvt__here();
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct lookup *l = uvt__calloc(sizeof *l);
    if (!l) return UV_ENOMEM;
    struct waiting w = { .park = { .what = "name resolution", .object = l, .abort = lookup_abort } };
    l->shard = s;
    l->waiter = &w;
    int rc = UVT_UV(uv_getaddrinfo(s->loop, &l->req, on_found, host, service, &hints));
    if (rc < 0) {
        uvt__free(l);
        return rc;
    }
    s->pool_reqs++;
    uvt__handle_opened(s); /* the shard must not go before the answer has come */
    rc = uvt_park(&w.park);
    if (rc == 0) *out = w.found;
    return rc;
}
