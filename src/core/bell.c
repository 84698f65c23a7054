/* SPDX-License-Identifier: MIT
 *
 * The bell of a mailbox: what another thread rings to get a loop out of its poll. Once per sleep is enough, which the
 * mailbox sees to, so this is an eventfd in the loop's poll where there are any. uv_async_send does the same, but then
 * waits until it has also said so in memory: a loop that wakes on the sender's own processor spins for that with the
 * sender preempted (libuv 1.44, uv__async_spin), which was more than half of the cost of a wake-up.
 *
 * Rung by any thread that has replaced the mailbox's mark ASLEEP; all else is the loop's thread's.
 */
#include "core/core.h"
#ifdef __linux__
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_poll(uv_poll_t *poll, int status, int events) {
    uvt__bell *b = CONTAINER_OF(poll, uvt__bell, uv.poll);
    uint64_t rings;
    (void)status, (void)events;
    while (read(b->fd, &rings, sizeof rings) < 0 && errno == EINTR) {}
    uvt__on_bell(poll->data);
}

static int make_fd(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? uv_translate_sys_error(errno) : fd;
}

int uvt__bell_init(uvt__bell *b, uv_loop_t *loop) {
    b->fd = UVT_UV(make_fd());
    if (b->fd < 0) return b->fd;
    int rc = UVT_UV(uv_poll_init(loop, &b->uv.poll, b->fd));
    if (rc == 0) rc = uv_poll_start(&b->uv.poll, UV_READABLE, on_poll);
    if (rc < 0) uvt__bell_free(b);
    return rc;
}

void uvt__bell_ring(uvt__bell *b) {
    const uint64_t one = 1;
    while (write(b->fd, &one, sizeof one) < 0 && errno == EINTR) {}
}

void uvt__bell_free(uvt__bell *b) {
    if (b->fd >= 0) close(b->fd);
    b->fd = -1;
}

#else

static void on_async(uv_async_t *async) {
    uvt__on_bell(async->data);
}

int uvt__bell_init(uvt__bell *b, uv_loop_t *loop) {
    return UVT_UV(uv_async_init(loop, &b->uv.async, on_async));
}

void uvt__bell_ring(uvt__bell *b) {
    uv_async_send(&b->uv.async);
}

void uvt__bell_free(uvt__bell *b) {
    (void)b;
}

#endif
