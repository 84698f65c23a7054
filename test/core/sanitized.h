/* SPDX-License-Identifier: MIT
 *
 * Whether the sanitizers are built in: WITH_ASAN, WITH_TSAN and SANITIZED, 0 or 1, for #if.
 */
#ifndef SANITIZED_H
#define SANITIZED_H

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define WITH_ASAN 1
#else
#define WITH_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define WITH_TSAN 1
#else
#define WITH_TSAN 0
#endif

#define SANITIZED (WITH_ASAN || WITH_TSAN)

#endif
