/* SPDX-License-Identifier: MIT
 *
 * The records under streams and listeners: making, owning, closing and recycling them.
 */
#include "io/io.h"
#include <string.h>
#include <unistd.h>

#define CACHE_LINE 64
#define QUARANTINE 64 /* closed records that stay unused behind the one that is closed */

static void release(uvt__shard *s) {
    for (uvt__ioh *h = s->io->all, *next; h; h = next) {
        next = h->all;
        if (h->kind == IO_STREAM) uvt__stream_closed((uvt_stream_t *)h);
        else if (h->state == IO_OPEN) uvt__listener_given_up((uvt_listener_t *)h);
        uvt__free(h->block);
    }
    uvt__free(s->io);
    s->io = NULL;
}

/* Memory for a record whose busy part begins on a cache line. */
static uvt__ioh *new_record(size_t size) {
    char *block = uvt__calloc(size + CACHE_LINE - 1);
    if (!block) return NULL;
    uintptr_t busy = (uintptr_t)block + offsetof(uvt__ioh, shard);
    uvt__ioh *h = (uvt__ioh *)(void *)(block + (-busy & (CACHE_LINE - 1)));
    h->block = block;
    return h;
}

static uvt__ioh *record(uvt__shard *s, int kind) {
    static const size_t size[IO_KINDS] = { sizeof(uvt_stream_t), sizeof(uvt_listener_t) };
    if (!s->io) {
        if (!(s->io = uvt__calloc(sizeof *s->io))) return NULL;
        s->io_release = release;
    }
    uvt__ioh *h = s->io->closed[kind].head;
    if (s->io->closed[kind].count > QUARANTINE && h->state == IO_FREE && h->users == 0) {
        uvt__ioh kept = *h;
        s->io->closed[kind].head = h->next;
        s->io->closed[kind].count--;
        memset(h, 0, size[kind]);
        h->block = kept.block;
        h->all = kept.all;
        return h;
    }
    if (!(h = new_record(size[kind]))) return NULL;
    h->all = s->io->all;
    s->io->all = h;
    return h;
}

/* Behind those that were closed before; when its turn comes it is used again, once it is free and no call is on it. */
static void recycle(uvt__ioh *h) {
    uvt__shard *s = h->shard;
    h->next = NULL;
    if (s->io->closed[h->kind].count++ == 0) s->io->closed[h->kind].head = h;
    else s->io->closed[h->kind].tail->next = h;
    s->io->closed[h->kind].tail = h;
}

static int close_res(uvt__res *r) {
    uvt__res_report(r, "left open");
    return uvt__io_close_wait(CONTAINER_OF(r, uvt__ioh, res));
}

void uvt__io_own(uvt__ioh *h, uvt__task *owner) {
    uvt__io_disown(h);
    h->res.owner = owner;
    uvt__res_link(&h->res, owner);
}

void uvt__io_disown(uvt__ioh *h) {
    if (!h->res.owner) return;
    uvt__res_unlink(&h->res, h->res.owner);
    h->res.owner = NULL;
}

int uvt__io_new(uvt__shard *s, int kind, int fd, uvt__task *owner, const char *site, uvt__ioh **out) {
    uvt__ioh *h = record(s, kind);
    if (!h) return UV_ENOMEM;
    h->shard = s;
    h->kind = (uint8_t)kind;
    h->res.site = site;
    h->res.close = close_res;
    int rc = kind == IO_STREAM ? UVT_UV(uv_tcp_init(s->loop, &h->uv.tcp))
                               : UVT_UV(uv_poll_init_socket(s->loop, &h->uv.poll, fd));
    if (rc < 0) {
        recycle(h);
        return rc;
    }
    uv_unref(&h->uv.handle);
    h->uv.handle.data = h;
    h->state = IO_OPEN;
    s->stats.streams++;
    uvt__handle_opened(s);
    uvt__io_own(h, owner);
    *out = h;
    return 0;
}

static void on_closed(uv_handle_t *uv) {
    uvt__ioh *h = uv->data;
    uvt__shard *s = h->shard;
    if (h->kind == IO_STREAM) uvt__stream_closed((uvt_stream_t *)h);
    uvt_park_t *p = h->closer;
    h->closer = NULL;
    h->state = IO_FREE;
    if (p) uvt_unpark(p, 0);
    uvt__handle_closed(s);
}

void uvt__io_close(uvt__ioh *h) {
    h->state = IO_CLOSING;
    recycle(h); /* in the order of closing, which libuv's callbacks do not keep */
    h->shard->stats.streams--;
    uvt__io_disown(h);
    if (h->kind == IO_STREAM) uvt__stream_closing((uvt_stream_t *)h);
    else uvt__listener_closing((uvt_listener_t *)h);
    uv_close(&h->uv.handle, on_closed);
    if (h->kind == IO_LISTENER) close(((uvt_listener_t *)h)->fd); /* the poll is off it already */
}

int uvt__io_checkpoint(uvt__ioh *h) {
    uvt__io_enter(h);
    int rc = uvt__checkpoint_slow(h->shard, h->shard->current);
    uvt__io_leave(h);
    return rc < 0 ? rc : h->state != IO_OPEN ? UV_EBADF : 0;
}

int uvt__io_close_wait(uvt__ioh *h) {
    uvt_park_t p = { .what = "close", .object = h };
    uvt__io_close(h);
    h->closer = &p;
    return uvt__park_shielded(&p);
}
