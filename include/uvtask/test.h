/* SPDX-License-Identifier: MIT
 *
 * The test kit: tests are tasks on a virtual clock, exact and instant. Not included by <uvtask.h>.
 *
 *     UVT_TEST(sleep_virtual_clock_is_instant) {
 *         uint64_t t = uvt_now();
 *         CHECK_EQ(uvt_sleep(60000), 0);
 *         CHECK_EQ(uvt_now() - t, 60000);
 *     }
 *     UVT_TEST_PLAIN(run_null_function_is_refused) { CHECK_EQ(uvt_run(NULL, NULL, NULL), UV_EINVAL); }
 *     UVT_TEST_MAIN()
 *
 * The virtual clock moves on to the next timer when, on every shard, no task is ready, a few turns of the loop brought
 * no event, and no request or job of the library's is on the thread pool. Requests that a test starts with libuv by
 * itself, and other threads, it does not know of: announce them with uvt_external_begin.
 *
 * Every test runs in a process of its own with a time limit (real seconds). UVT_TEST runs its body as the
 * first task of a runtime on the virtual clock, and fails on deadlock, and when anything is left: bytes,
 * file descriptors, handles. UVT_TEST_REAL is the same on the real clock, UVT_TEST_PLAIN is a bare
 * function that checks bytes and descriptors. A program takes names (or PREFIX*) of tests, and -l to list them,
 * -s SEED for another order of ready tasks, -t SECONDS as each test's limit, -f to run in this process (for
 * debuggers). The environment may give UVT_TEST_SHARDS, how many shards runtimes have whose options do not say,
 * UVT_TEST_SEED, as -s, and UVT_TEST_TIMEOUT_SCALE, a factor for all limits.
 *
 * It prints a line per failed test and ends with "N passed, M failed".
 */
#ifndef UVTASK_TEST_H
#define UVTASK_TEST_H

#include <uvtask/base.h>
#include <uvtask/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { UVT_TEST_VIRTUAL, UVT_TEST_REALCLOCK, UVT_TEST_NORUNTIME };

struct uvt_test {
    const char *name, *file, *site;
    void (*fn)(void);
    int kind;
    struct uvt_test *next;
};

/* Adds a test to the program's list; the macros below call it before main.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void uvt_test_register(struct uvt_test *t);

/* Runs the registered tests as the arguments ask; returns main's exit status.
 * Suspends: never (blocks) - On cancel: no effect - Thread: main - Errors: 1 when a test failed, 2 usage */
UVT_EXTERN int uvt_test_main(int argc, char **argv);

#define UVT__TEST(fname, tkind)                                                                        \
    static void uvt__t_##fname(void);                                                                  \
    static struct uvt_test uvt__s_##fname = { #fname, __FILE__, UVT_SITE(#fname), uvt__t_##fname, tkind, \
                                              NULL };                                                  \
    __attribute__((constructor)) static void uvt__r_##fname(void) {                                    \
        uvt_test_register(&uvt__s_##fname);                                                            \
    }                                                                                                  \
    static void uvt__t_##fname(void)

#define UVT_TEST(name) UVT__TEST(name, UVT_TEST_VIRTUAL)
#define UVT_TEST_REAL(name) UVT__TEST(name, UVT_TEST_REALCLOCK)
#define UVT_TEST_PLAIN(name) UVT__TEST(name, UVT_TEST_NORUNTIME)
#define UVT_TEST_MAIN()                                                                                \
    int main(int argc, char **argv) {                                                                  \
        return uvt_test_main(argc, argv);                                                              \
    }

/* Checks end the test's process at the first that does not hold, saying what was found. */
/* Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN UVT_NORETURN void uvt_test_fail(const char *file, int line, const char *format, ...)
    UVT_PRINTF(3, 4);
/* Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void uvt_test_check_eq(const char *file, int line, const char *ea, int64_t a, const char *eb,
                                  int64_t b);
/* Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void uvt_test_check_str(const char *file, int line, const char *ea, const char *a, const char *b);

#define CHECK(cond)                                                                                    \
    do {                                                                                               \
        if (!(cond)) uvt_test_fail(__FILE__, __LINE__, "does not hold: %s", #cond);                    \
    } while (0)
#define CHECK_EQ(a, b) uvt_test_check_eq(__FILE__, __LINE__, #a, (int64_t)(a), #b, (int64_t)(b))
#define CHECK_STR(a, b) uvt_test_check_str(__FILE__, __LINE__, #a, (a), (b))
/* lo <= v < hi */
#define CHECK_IN(v, lo, hi)                                                                            \
    do {                                                                                               \
        int64_t uvt__v = (int64_t)(v);                                                                 \
        if (uvt__v < (int64_t)(lo) || uvt__v >= (int64_t)(hi))                                         \
            uvt_test_fail(__FILE__, __LINE__, "%s is %lld, not in [%lld, %lld)", #v, (long long)uvt__v, \
                          (long long)(lo), (long long)(hi));                                           \
    } while (0)

/* The order checker: steps are noted as they happen and compared at the end.
 *     uvt_test_step("a"); ...; CHECK_STEPS("a b c");
 * The list is cut off after 2000 characters. CHECK_STEPS empties it.
 * Suspends: never - On cancel: no effect - Thread: loop, of one shard at a time - Errors: none */
UVT_EXTERN void uvt_test_step(const char *format, ...) UVT_PRINTF(1, 2);
/* The steps so far, separated by blanks; emptied when take is true (the text stays until the next step).
 * Suspends: never - On cancel: no effect - Thread: loop, of one shard at a time - Errors: none */
UVT_EXTERN const char *uvt_test_steps(bool take);
#define CHECK_STEPS(expected) CHECK_STR(uvt_test_steps(true), (expected))

/* Everything reported by the runtime in this test so far (deadlock, things left open, stragglers). Valid until
 * the next call.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN const char *uvt_test_reports(void);

/* Fails the n-th allocation from now (1 = the next) of the library, once; 0 switches it off. The test's own
 * mallocs are not counted.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void uvt_test_fail_alloc(unsigned n);

/* Fails the n-th fallible call of libuv that the library makes from now with code (UV_EMFILE, ...), once.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN void uvt_test_fail_uv(unsigned n, int code);

/* Whether the failure asked for has happened: sweeps go on until it has not.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN bool uvt_test_fail_hit(void);

/* Aborts the task itself at its n-th suspension from now (1 = the next); the suspending call sees it. 0 switches
 * that off, and so does the task's end. One task of a shard at a time: the last that asked.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UVT_ENOTASK */
UVT_EXTERN int uvt_test_cancel_at(unsigned n);

/* Whether the cancel asked for by uvt_test_cancel_at has been delivered.
 * Suspends: never - On cancel: no effect - Thread: task, on the shard that asked - Errors: none */
UVT_EXTERN bool uvt_test_cancel_hit(void);

/* Moves the virtual clock on by hand: exactly the timers that are due then fire, on other shards soon after.
 * Suspends: always - On cancel: UV_ECANCELED - Thread: task - Errors: UV_EINVAL not on the virtual clock */
UVT_EXTERN int uvt_test_advance(uint64_t ms);

/* Bytes and blocks the library holds now.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN size_t uvt_test_live_bytes(void);
/* Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN size_t uvt_test_live_blocks(void);

/* The program's seed (-s, UVT_TEST_SEED): 0 when ready tasks run in the order in which they became ready.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: none */
UVT_EXTERN uint64_t uvt_test_seed(void);

/* Runs fn(arg) on a runtime as UVT_TEST does (virtual clock, the program's seed, reports collected), for
 * plain tests that want several: returns what uvt_run returns.
 * Suspends: never (blocks) - On cancel: no effect - Thread: outside of a runtime - Errors: as uvt_run */
UVT_EXTERN int uvt_test_run(uvt_fn fn, void *arg, const uvt_options *options);

#ifdef __cplusplus
}
#endif
#endif
