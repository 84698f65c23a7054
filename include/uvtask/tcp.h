/* SPDX-License-Identifier: MIT
 *
 * TCP: connections are streams (<uvtask/stream.h>), listeners accept them.
 */
#ifndef UVTASK_TCP_H
#define UVTASK_TCP_H

#include <uvtask/base.h>
#include <uvtask/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvt_listener uvt_listener_t;

/* Connects to a host name or a numeric IPv4 / IPv6 address. Names are resolved on libuv's pool; the
 * addresses are tried in RFC 8305's manner: alternating families, the next one after 250 ms or when the
 * last has failed, the first connection wins and the others are closed; 16 of them at most. TCP_NODELAY is set, as
 * Node does.
 * Suspends: always - On cancel: UV_ECANCELED, nothing stays open (a resolution that runs is abandoned)
 * Thread: task
 * Errors: UV_EINVAL NULL, no port of 1..65535, no host name; UV_EAI_* the name does not resolve;
 *         UV_ECONNREFUSED, UV_ETIMEDOUT ... of the last address that failed; UV_ENOMEM; UV_EMFILE */
#define uvt_tcp_connect(s, host, port) uvt_tcp_connect_at((s), (host), (port), UVT_SITE("tcp"))
/* The function behind the macro.
 * Suspends: always - On cancel: as uvt_tcp_connect - Thread: task - Errors: as uvt_tcp_connect */
UVT_EXTERN int uvt_tcp_connect_at(uvt_stream_t **s, const char *host, unsigned port, const char *site);

/* Connects to one address.
 * Suspends: always - On cancel: UV_ECANCELED, nothing stays open - Thread: task
 * Errors: as uvt_tcp_connect */
#define uvt_tcp_connect_addr(s, addr) uvt_tcp_connect_addr_at((s), (addr), UVT_SITE("tcp"))
/* The function behind the macro.
 * Suspends: always - On cancel: as uvt_tcp_connect_addr - Thread: task - Errors: as uvt_tcp_connect */
UVT_EXTERN int uvt_tcp_connect_addr_at(uvt_stream_t **s, const struct sockaddr *addr, const char *site);

/* Takes over a connected TCP socket; on success the stream owns the descriptor and makes it non-blocking.
 * Suspends: never - On cancel: no effect - Thread: task
 * Errors: UV_EINVAL not a TCP socket (the descriptor stays the caller's); UV_EBADF; UV_ENOMEM */
#define uvt_tcp_adopt(s, fd) uvt_tcp_adopt_at((s), (fd), UVT_SITE("tcp"))
/* The function behind the macro.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: as uvt_tcp_adopt */
UVT_EXTERN int uvt_tcp_adopt_at(uvt_stream_t **s, int fd, const char *site);

/* Listens on a numeric address ("127.0.0.1", "::1", "0.0.0.0", "::") and port (0: the system picks; ask
 * with uvt_listener_port). SO_REUSEADDR is set, as libuv does. backlog 0 means 511, Node's.
 * Suspends: never - On cancel: no effect - Thread: task
 * Errors: UV_EINVAL not a numeric address (a name is none), port or backlog out of range; UV_EADDRINUSE; UV_EACCES;
 *         UV_ENOMEM; UV_EMFILE */
#define uvt_tcp_listen(l, host, port, backlog)                                                         \
    uvt_tcp_listen_at((l), (host), (port), (backlog), UVT_SITE("listener"))
/* The function behind the macro.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: as uvt_tcp_listen */
UVT_EXTERN int uvt_tcp_listen_at(uvt_listener_t **l, const char *host, unsigned port, int backlog,
                                 const char *site);

/* Waits for a connection; the calling task owns the stream. TCP_NODELAY is set.
 * Suspends: may - On cancel: UV_ECANCELED; a connection that had come goes to the next accept
 * Thread: task
 * Errors: UV_EBUSY another task accepts; UV_EBADF closed, also by another task meanwhile; UV_ENOMEM;
 *         UV_EMFILE and UV_ENFILE no descriptor is free (pause, then go on) */
#define uvt_accept(l, s) uvt_accept_at((l), (s), UVT_SITE("accepted"))
/* The function behind the macro.
 * Suspends: may - On cancel: as uvt_accept - Thread: task - Errors: as uvt_accept */
UVT_EXTERN int uvt_accept_at(uvt_listener_t *l, uvt_stream_t **s, const char *site);

/* uvt_accept(l, s) as a case of a select.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_accept */
#define uvt_case_accept(l, s) uvt_case_accept_at((l), (s), UVT_SITE("accepted"))
/* The function behind the macro.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_accept */
UVT_EXTERN uvt_case_t uvt_case_accept_at(uvt_listener_t *l, uvt_stream_t **s, const char *site);

/* Stops listening; a task in accept wakes with UV_EBADF. NULL is allowed.
 * Suspends: always - On cancel: it goes on (shielded) and returns 0 - Thread: task
 * Errors: UV_EBADF closed before */
UVT_EXTERN int uvt_listener_close(uvt_listener_t *l);

/* The port it listens on.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EBADF */
UVT_EXTERN int uvt_listener_port(uvt_listener_t *l);

/* The addresses of both ends.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EBADF; UV_ENOTCONN */
UVT_EXTERN int uvt_tcp_sockname(uvt_stream_t *s, struct sockaddr_storage *addr);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EBADF; UV_ENOTCONN */
UVT_EXTERN int uvt_tcp_peername(uvt_stream_t *s, struct sockaddr_storage *addr);

/* TCP_NODELAY, and SO_KEEPALIVE with the delay in seconds before the first probe.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EBADF; setsockopt's */
UVT_EXTERN int uvt_tcp_nodelay(uvt_stream_t *s, bool on);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EBADF; setsockopt's */
UVT_EXTERN int uvt_tcp_keepalive(uvt_stream_t *s, bool on, unsigned delay_s);

/* Closes with a reset (SO_LINGER 0) instead of a FIN; else as uvt_close.
 * Suspends: always - On cancel: it goes on - Thread: task - Errors: UV_EBADF */
UVT_EXTERN int uvt_tcp_reset(uvt_stream_t *s);

#ifdef __cplusplus
}
#endif
#endif
