/* SPDX-License-Identifier: MIT
 *
 * Error texts, ours and libuv's through one door, and the always-on assertion.
 */
#include "core/core.h"
#include <stdio.h>
#include <stdlib.h>

const char *uvt_strerror(int code) {
    switch (code) {
#define XX(name, value, text)                                                                                          \
    case value: return text;
        UVT_ERRNO_MAP(XX)
#undef XX
#define XX(name, text)                                                                                                 \
    case UV_##name: return text;
        UV_ERRNO_MAP(XX)
#undef XX
    case 0: return "success";
    default: return "unknown error";
    }
}

const char *uvt_err_name(int code) {
    switch (code) {
#define XX(name, value, text)                                                                                          \
    case value: return #name;
        UVT_ERRNO_MAP(XX)
#undef XX
#define XX(name, text)                                                                                                 \
    case UV_##name: return #name;
        UV_ERRNO_MAP(XX)
#undef XX
    case 0: return "OK";
    default: return "UNKNOWN";
    }
}

const char *uvt_version_string(void) {
    return UVT__STR(UVT_VERSION_MAJOR) "." UVT__STR(UVT_VERSION_MINOR) "." UVT__STR(UVT_VERSION_PATCH);
}

/* The one place that prints without being asked: the process is about to end. */
void uvt__assert_fail(const char *file, int line, const char *what) {
    uvt__task *t = uvt__current();
    fprintf(stderr, "uvtask: %s:%d: %s (in task %s)\n", file, line, what, t ? uvt__name(t) : "none");
    fflush(stderr);
    abort();
}
