/* SPDX-License-Identifier: MIT
 *
 * What every part shares: version, error codes, allocator. One error channel throughout the library: an
 * int (or ssize_t), negative for an error, either libuv's UV_E* or one of ours below. Never errno, and
 * the library never prints by itself (but for a panic outside of tasks, and assertions).
 *
 * Every call that needs a task answers UVT_ENOTASK outside of one, every call on a handle of another
 * shard, or of another runtime, UVT_ESHARD (on another one's scope UV_EINVAL), and a NULL object or a {0} handle
 * UV_EINVAL; they are not repeated in the lists of errors.
 *
 * Where a call "may" suspend it does when it has to wait, and now and then when it need not: a task that has made 128
 * such calls in one run lets the others run.
 */
#ifndef UVTASK_BASE_H
#define UVTASK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#define UVT_VERSION_MAJOR 0
#define UVT_VERSION_MINOR 1
#define UVT_VERSION_PATCH 0

#if defined(__GNUC__)
#define UVT_EXTERN __attribute__((visibility("default")))
#define UVT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UVT_NORETURN __attribute__((noreturn))
#else
#define UVT_EXTERN
#define UVT_PRINTF(fmt, args)
#define UVT_NORETURN
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Our own codes, beside libuv's. XX(name, value, text) */
#define UVT_ERRNO_MAP(XX)                                                                              \
    XX(EDEADLK, -5001, "would wait for itself, or every task waits and nothing can wake them")         \
    XX(EPANIC, -5002, "the task panicked")                                                             \
    XX(ENOTASK, -5003, "not inside a task")                                                            \
    XX(ESHARD, -5004, "the handle belongs to another loop or to a runtime that has ended")             \
    XX(ENESTED, -5005, "this thread runs a loop of uvtask, which must not block: await instead")             \
    XX(ESCOPE, -5006, "the task returned with a scope still open")                                     \
    XX(ESTALE, -5007, "the handle was joined, detached or closed before")                              \
    XX(ECLOSED, -5008, "the object was closed")                                                        \
    XX(ETORN, -5009, "an earlier write ended half way; see uvt_stream_mend")                           \
    XX(EGONE, -5010, "the runtime has ended")                                                          \
    XX(ENOSTART, -5011, "the task ended without calling uvt_started")                                  \
    XX(ELAGGED, -5012, "elements were overwritten before they were received; see uvt_subscriber_lost")

enum {
#define UVT__XX(name, value, text) UVT_##name = value,
    UVT_ERRNO_MAP(UVT__XX)
#undef UVT__XX
    UVT__ERRNO_END = -5999
};

/* A deadline or delay that never comes. */
#define UVT_FOREVER UINT64_MAX

/* "name", then its source line, as one string: how spawn sites and scopes are remembered. */
#define UVT__STR2(x) #x
#define UVT__STR(x) UVT__STR2(x)
#define UVT_SITE(name) (name "\0" __FILE__ ":" UVT__STR(__LINE__))

/* The text of a code, libuv's or ours. The string is static; an unknown code gives "unknown error".
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN const char *uvt_strerror(int code);

/* The name of a code, "ECANCELED" or "EPANIC". The string is static; an unknown code gives "UNKNOWN".
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN const char *uvt_err_name(int code);

/* "0.1.0", of the library that is linked.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN const char *uvt_version_string(void);

/* Replaces the functions through which the library takes all its memory but stacks (those are mapped).
 * As uv_replace_allocator: call it before anything else of the library; none may be NULL. libuv's own
 * memory is replaced by libuv's own function.
 * Suspends: never - On cancel: no effect - Thread: any, before the first runtime
 * Errors: UV_EINVAL a function is NULL; UV_EBUSY memory is already in use */
UVT_EXTERN int uvt_replace_allocator(void *(*malloc_fn)(size_t), void *(*realloc_fn)(void *, size_t),
                                     void *(*calloc_fn)(size_t, size_t), void (*free_fn)(void *));

#ifdef __cplusplus
}
#endif
#endif
