/* SPDX-License-Identifier: MIT
 *
 * Byte streams: awaitable reads and writes over libuv's stream handles. A stream belongs to the task that
 * made it (or took it, uvt_stream_own): what is still open when its owner ends is closed then and
 * reported with its creation site.
 *
 * The caller's buffers are borrowed until the call returns, on every path: libuv never holds one longer.
 * One task may read and one may write at the same time; a second of either gets UV_EBUSY.
 *
 * A stream's memory is recycled after its close and kept unused for a while, so a call on a stream closed
 * before answers UV_EBADF; a handle kept for long after its close is the caller's mistake.
 */
#ifndef UVTASK_STREAM_H
#define UVTASK_STREAM_H

#include <uvtask/base.h>
#include <uvtask/select.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvt_stream uvt_stream_t;

/* Reads what is there, waiting for at least one byte: returns how many (1..size), or UV_EOF, and UV_EOF
 * again from then on. The stream stays armed between reads, but nothing is read ahead: bytes that come while
 * nobody reads stay in the kernel, and hold the peer back in the end.
 * Suspends: may - On cancel: UV_ECANCELED, no byte is lost for the next read - Thread: task
 * Errors: UV_EOF; UV_EBUSY another task reads; UV_EBADF closed, also by another task meanwhile; UV_EINVAL
 *         size is 0; UV_ENOMEM; what read(2) gives, UV_ECONNRESET above all */
UVT_EXTERN ssize_t uvt_read(uvt_stream_t *s, void *buf, size_t size);

/* Reads exactly size bytes. *got (may be NULL) says how many were stored, whatever is returned: 0 for all
 * of them. UV_EOF with *got > 0 means that the stream ended in the middle.
 * Suspends: may - On cancel: UV_ECANCELED, *got bytes were taken - Thread: task - Errors: as uvt_read */
UVT_EXTERN int uvt_read_exact(uvt_stream_t *s, void *buf, size_t size, size_t *got);

/* Reads up to and including the first occurrence of delim (of len bytes, 1..256): returns how many bytes
 * were stored, delimiter included. What follows stays for the next read.
 * Suspends: may - On cancel: UV_ECANCELED; no byte is lost, what had come is read again - Thread: task
 * Errors: as uvt_read; UV_EMSGSIZE size bytes came without the delimiter (they stay to be read); UV_EOF
 *         the stream ended before it (the bytes stay to be read) */
UVT_EXTERN ssize_t uvt_read_until(uvt_stream_t *s, void *buf, size_t size, const void *delim, size_t len);

/* Reads what is there without taking it: the same bytes come again with the next read. It waits only for the
 * first byte, and gives what an earlier peek or read_until has left, else what has come, up to 1 KB or as much as a
 * read_until needed before: to wait for more, read.
 * Suspends: may - On cancel: UV_ECANCELED - Thread: task - Errors: as uvt_read */
UVT_EXTERN ssize_t uvt_peek(uvt_stream_t *s, void *buf, size_t size);

/* As a case of a select: a read would not wait (for there are bytes, or the end, or an error). The result is 0.
 * Suspends: never - On cancel: no effect - Thread: any
 * Errors: in the result: UV_EBUSY another task reads; UV_EBADF closed, also by another task meanwhile */
UVT_EXTERN uvt_case_t uvt_case_readable(uvt_stream_t *s);

/* Writes all of it: returns 0 when every byte was handed to the kernel (or, when it was cancelled at the last piece of
 * up to 64 KiB, to libuv's queue, from a copy: a close drops that, a shutdown first waits for it).
 * *written (may be NULL) says how many bytes were, whatever is returned. A write that ends early leaves the
 * peer with half a message: writes and shutdowns after it get UVT_ETORN, until uvt_stream_mend.
 * Suspends: may, when the socket does not take it at once, so a slow peer holds the writer back
 * On cancel: UV_ECANCELED, see *written; the buffer is free at once - Thread: task
 * Errors: UV_EBUSY another task writes; UV_EBADF; UVT_ETORN; UV_ENOMEM; UV_EPIPE, UV_ECONNRESET ... */
UVT_EXTERN int uvt_write(uvt_stream_t *s, const void *buf, size_t size, size_t *written);

/* As uvt_write for several buffers in a row.
 * Suspends: may - On cancel: as uvt_write - Thread: task - Errors: as uvt_write; UV_EINVAL no buffers */
UVT_EXTERN int uvt_writev(uvt_stream_t *s, const uv_buf_t *bufs, unsigned n, size_t *written);

/* Writes what the kernel takes now: how many bytes, UV_EAGAIN for none.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EAGAIN; UV_EINVAL size is 0; as uvt_write */
UVT_EXTERN ssize_t uvt_try_write(uvt_stream_t *s, const void *buf, size_t size);

/* After a write that ended early: the caller knows how to go on, allow writes again.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EBADF */
UVT_EXTERN int uvt_stream_mend(uvt_stream_t *s);

/* Ends the sending side (FIN) after what was written; reading goes on.
 * Suspends: may - On cancel: UV_ECANCELED; the shutdown may still happen - Thread: task
 * Errors: UV_EBUSY; UV_EBADF; UVT_ETORN; UV_ENOTCONN, also the second time; writes after it get UV_EPIPE */
UVT_EXTERN int uvt_shutdown(uvt_stream_t *s);

/* Closes. Tasks that read, write or shut down on it wake with UV_EBADF. What a write that was cancelled had
 * left in libuv's queue is dropped: uvt_shutdown first waits for it. NULL is allowed.
 * Suspends: always - On cancel: it goes on (shielded) and returns 0 - Thread: task
 * Errors: UV_EBADF closed, or being closed, before */
UVT_EXTERN int uvt_close(uvt_stream_t *s);

/* Closes without waiting: for a task that is about to end, or a callback. The memory is released by the
 * loop later.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EBADF */
UVT_EXTERN int uvt_close_soon(uvt_stream_t *s);

/* Makes the calling task the owner, who closes it at its end: the handler of a connection that another
 * task accepted.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UV_EBADF */
UVT_EXTERN int uvt_stream_own(uvt_stream_t *s);

/* libuv's handle, for its functions that are not wrapped here. Do not read, write, or close through it.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: NULL when closed */
UVT_EXTERN uv_stream_t *uvt_stream_handle(uvt_stream_t *s);

/* A word of the caller's per stream, NULL at first.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN void uvt_stream_set_data(uvt_stream_t *s, void *data);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN void *uvt_stream_data(const uvt_stream_t *s);

#ifdef __cplusplus
}
#endif
#endif
