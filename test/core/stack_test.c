/* SPDX-License-Identifier: MIT
 *
 * Stacks: sizes, guard pages, reuse, pages given back, and what a switch keeps of the processor's state.
 * Addresses of locals stand for the stack that a task runs on.
 */
#include <stdio.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <execinfo.h>
#endif

#include "bodies.h"
#include "sanitized.h"

enum { PAGE = 4096 };

/* Keeps the compiler from seeing where a pointer came from. */
static void *launder(void *p) {
    __asm__ volatile("" : "+r"(p));
    return p;
}

/* Calls itself until the stack reaches so many bytes below top, writing all the way; the lowest address. */
static __attribute__((noinline)) char *use_down_to(char *top, size_t size) {
    char block[512];
    memset(launder(block), 0x5a, sizeof block);
    char *here = launder(block);
    char *lowest = (size_t)(top - here) < size ? use_down_to(top, size) : here;
    memset(launder(block), 0x5b, 1); /* no tail call */
    return lowest;
}

static char *use_stack(size_t size) {
    char top;
    return use_down_to(launder(&top), size);
}

static int uses(void *arg) {
    use_stack((size_t)(intptr_t)arg);
    return uvt_yield();
}

/* ---- sizes ---- */

static int spawn_sized(size_t stack, size_t use) {
    uvt_task_t t;
    int rc = uvt_spawn_opts(&t, uses, INT(use), &(uvt_task_options){ .stack_size = stack });
    return rc < 0 ? rc : uvt_join(t, NULL);
}

UVT_TEST(stack_size_of_a_task_is_what_was_asked_for) {
    CHECK_EQ(spawn_sized(256 * 1024, 200 * 1024), 0);
    CHECK_EQ(spawn_sized(4 << 20, 3 << 20), 0);
    CHECK_EQ(spawn_sized(48 * 1024, 40 * 1024), 0); /* rounded up to 64 KiB */
    CHECK_EQ(spawn_sized(0, 40 * 1024), 0);         /* the runtime's 64 KiB */
}

UVT_TEST(stack_size_smallest_runs_a_task) {
    CHECK_EQ(spawn_sized(16 * 1024, 6 * 1024), 0);
}

UVT_TEST(stack_size_below_the_minimum_or_absurd_is_refused) {
    CHECK_EQ(spawn_sized(1, 0), UV_EINVAL);
    CHECK_EQ(spawn_sized(16 * 1024 - 1, 0), UV_EINVAL);
    int rc = spawn_sized(SIZE_MAX, 0);
    CHECK(rc == UV_EINVAL || rc == UV_ENOMEM);
}

UVT_TEST_PLAIN(stack_size_of_a_runtime_holds_for_its_tasks) {
    CHECK_EQ(uvt_run(uses, INT(900 * 1024), &(uvt_options){ .stack_size = 1 << 20 }), 0);
    CHECK_EQ(uvt_run(uses, INT(0), &(uvt_options){ .stack_size = 16 * 1024 - 1 }), UV_EINVAL);
    CHECK_EQ(uvt_run(uses, INT(0), &(uvt_options){ .stack_size = SIZE_MAX }), UV_EINVAL);
}

/* ---- guards ---- */

static int overflows(void *arg) {
    use_stack((size_t)(intptr_t)arg);
    return 0;
}

/* Runs an overflow of so many bytes in a process of its own; the signal that ended it, or 0. */
static int signal_of_overflow(size_t stack, size_t use) {
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's own handler would make an exit status of it */
        signal(SIGBUS, SIG_DFL);
        uvt_run(overflows, INT(use), &(uvt_options){ .stack_size = stack });
        _exit(0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

UVT_TEST_PLAIN(guard_page_hit_kills_the_process) {
    CHECK_EQ(signal_of_overflow(64 * 1024, 40 * 1024), 0);
    CHECK_EQ(signal_of_overflow(64 * 1024, 66 * 1024), SIGSEGV);
    CHECK_EQ(signal_of_overflow(256 * 1024, 258 * 1024), SIGSEGV);
}

static char *deep_end; /* lowest address that a task wrote on its stack */

static int overflows_late(void *arg) {
    (void)arg;
    uvt_sleep(1);
    use_stack(80 * 1024);
    return 0;
}

static int runs_among_others(void *arg) {
    uvt_set_t set;
    uvt_set_open(&set, NULL);
    for (int i = 0; i < 10; i++) uvt_set_spawn(&set, b_sleep, INT(50));
    uvt_set_spawn(&set, overflows_late, arg);
    for (int i = 0; i < 10; i++) uvt_set_spawn(&set, b_sleep, INT(50));
    uvt_set_wait(&set);
    return uvt_set_close(&set);
}

/* Between the stacks of others, too: it must not run on into a neighbour's. */
UVT_TEST_PLAIN(guard_page_protects_neighbours) {
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGSEGV, SIG_DFL);
        uvt_run(runs_among_others, NULL, NULL);
        _exit(0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGSEGV);
}

/* ---- many, reuse, pages ---- */

UVT_TEST(two_thousand_live_tasks_each_have_their_stack) {
    uvt_stats before, now;
    uvt_set_t set;
    uvt_stats_get(&before);
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 2000; i++) CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT(100)), 0);
    settle();
    uvt_stats_get(&now);
    CHECK_EQ(now.stacks - before.stacks, 2000);
    CHECK_EQ(uvt_set_wait(&set), 0);
    uvt_stats_get(&now);
    CHECK_EQ(now.stacks, before.stacks);
    CHECK_IN(now.stacks_cached, 1, 256 + 1); /* the default cap */
    CHECK_EQ(uvt_set_close(&set), 0);
}

#if !WITH_TSAN /* TSan maps memory of its own for each stack */
static int mappings(void) {
    FILE *f = fopen("/proc/self/maps", "r");
    if (f == NULL) return -1;
    int n = 0;
    for (int c; (c = getc(f)) != EOF;) n += c == '\n';
    fclose(f);
    return n;
}

/* Linux 6.13's guards need no mapping of their own: vm.max_map_count is not the limit of tasks then. */
UVT_TEST(two_thousand_stacks_are_few_mappings_where_the_kernel_can) {
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    bool can = madvise(page, PAGE, 102 /* MADV_GUARD_INSTALL */) == 0 &&
               madvise(page, PAGE, 0x7ffe) != 0; /* emulators say yes to anything */
    munmap(page, PAGE);
    if (!can) return;
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    int before = mappings();
    for (int i = 0; i < 2000; i++) CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT(100)), 0);
    settle();
    CHECK_IN(mappings() - before, 0, 200);
    CHECK_EQ(uvt_set_close(&set), 0);
}
#endif

static int keeps_the_cap(void *arg) {
    uvt_set_t set;
    uvt_stats now;
    (void)arg;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 100; i++) CHECK_EQ(uvt_set_spawn(&set, b_sleep, INT(1)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    uvt_stats_get(&now);
    CHECK_IN(now.stacks_cached, 0, 5);
    return uvt_set_close(&set);
}

UVT_TEST_PLAIN(stack_cache_has_the_cap_that_was_asked_for) {
    CHECK_EQ(uvt_run(keeps_the_cap, NULL, &(uvt_options){ .stack_cache = 4 }), 0);
}

static uintptr_t pages[16];
static int npages;

static int notes_its_page(void *arg) {
    char here;
    (void)arg;
    uintptr_t page = (uintptr_t)launder(&here) / (64 * 1024);
    for (int i = 0; i < npages; i++)
        if (pages[i] == page) return 0;
    CHECK(npages < 16);
    pages[npages++] = page;
    return 0;
}

UVT_TEST(ten_thousand_short_tasks_share_a_stack) {
    for (int i = 0; i < 10000; i++) CHECK_EQ(uvt_spawn(NULL, notes_its_page, NULL), 0);
    settle();
    CHECK_IN(npages, 1, 3);
}

static int goes_deep(void *arg) {
    deep_end = use_stack((size_t)(intptr_t)arg);
    return 0;
}

/* Whether the page under an address is in memory; a range that is not mapped is not. */
static bool resident(char *p) {
    unsigned char v = 0;
    return mincore((void *)((uintptr_t)p & ~(uintptr_t)(PAGE - 1)), PAGE, &v) == 0 && (v & 1);
}

UVT_TEST_REAL(deep_stack_gives_its_pages_back_when_the_loop_idles) {
    const size_t sizes[] = { 0, 1 << 20 }; /* the default, and a big one */
    for (int i = 0; i < 2; i++) {
        uvt_task_t t;
        size_t deep = i == 0 ? 48 * 1024 : 900 * 1024;
        CHECK_EQ(uvt_spawn_opts(&t, goes_deep, INT(deep), &(uvt_task_options){ .stack_size = sizes[i] }), 0);
        CHECK_EQ(uvt_join(t, NULL), 0);
        char *lowest = deep_end;
        CHECK_EQ(uvt_sleep(300), 0); /* real: the loop has nothing to do meanwhile */
        CHECK(!resident(lowest));
        CHECK(!resident(lowest + deep / 2));
    }
}

/* Of 512 KiB, seven lie in a slab: more slabs than are unmapped between two polls. */
#define BURST 1000
static char *burst[BURST];
static bool ended[BURST];
static unsigned parked;

static int parks(void *arg) {
    char here;
    unsigned i = parked++;
    burst[i] = &here;
    int rc = uvt_token_wait(arg);
    ended[i] = true;
    return rc;
}

static unsigned resident_frames(bool of_all) {
    unsigned n = 0;
    for (unsigned i = 0; i < parked; i++) n += (of_all || ended[i]) && resident(burst[i]);
    return n;
}

UVT_TEST_REAL(stacks_of_a_burst_are_given_back_when_the_loop_idles) {
    uvt_token_t *stop;
    uvt_set_t set;
    CHECK_EQ(uvt_token_new(&stop, NULL), 0);
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .discard = true }), 0);
    for (int i = 0; i < BURST; i++)
        CHECK_EQ(uvt_set_spawn_opts(&set, NULL, parks, stop, &(uvt_task_options){ .stack_size = 512 << 10 }), 0);
    while (parked < BURST) CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(resident_frames(true), BURST);
    CHECK_EQ(uvt_token_cancel(stop, NULL), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    /* Real: the loop idles. The default cap's stacks keep their first pages. */
    for (int i = 0; i < 100 && resident_frames(true) > 256; i++) CHECK_EQ(uvt_sleep(50), 0);
    CHECK_IN(resident_frames(true), 0, 256 + 1);
    uvt_token_unref(stop);
}

#define HALVES 256

static int every_other_ends(void *arg) {
    uvt_token_t *stop[2];
    uvt_set_t set;
    CHECK_EQ(uvt_token_new(&stop[0], NULL), 0);
    CHECK_EQ(uvt_token_new(&stop[1], NULL), 0);
    CHECK_EQ(uvt_set_open(&set, &(uvt_set_options){ .discard = true }), 0);
    for (int i = 0; i < HALVES; i++) CHECK_EQ(uvt_set_spawn(&set, parks, stop[i % 2]), 0);
    while (parked < HALVES) CHECK_EQ(uvt_yield(), 0);
    uint64_t began = uvt_now();
    CHECK_EQ(uvt_token_cancel(stop[0], NULL), 0);
    for (int i = 0; i < 20; i++) CHECK_EQ(uvt_sleep(1), 0); /* real: the loop has something to do all the time */
    unsigned left = resident_frames(false);
    if (uvt_now() - began < 900) CHECK_EQ(left, HALVES / 2); /* on a machine that stood still for a second: less */
    CHECK_EQ(uvt_sleep(200), 0); /* and here it has not */
    CHECK_IN(resident_frames(false), 0, 1 + 1); /* the one in the cache */
    CHECK_EQ(uvt_token_cancel(stop[1], NULL), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
    uvt_token_unref(stop[0]);
    uvt_token_unref(stop[1]);
    return arg != NULL;
}

/* Their slabs may be free altogether soon, which is cheaper to give back. */
UVT_TEST_PLAIN(stacks_among_others_in_use_are_given_back_when_the_loop_idles_and_not_at_once) {
    CHECK_EQ(uvt_run(every_other_ends, NULL, &(uvt_options){ .stack_cache = 1 }), 0);
}

/* ---- the processor's state ---- */

/* The rounding mode, 0..3 with 0 "to nearest", in the unit's own words: fesetround would need libm. */
#if defined(__x86_64__)
static void set_rounding(unsigned mode) {
    uint32_t csr;
    uint16_t cw;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(csr), "=m"(cw));
    csr = (csr & ~(3u << 13)) | mode << 13;
    cw = (uint16_t)((cw & ~(3u << 10)) | mode << 10);
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(csr), "m"(cw));
}
static unsigned rounding(void) {
    uint32_t csr;
    uint16_t cw;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(csr), "=m"(cw));
    CHECK_EQ(csr >> 13 & 3, cw >> 10 & 3); /* both units */
    return csr >> 13 & 3;
}
#elif defined(__aarch64__)
static void set_rounding(unsigned mode) {
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    fpcr = (fpcr & ~(3ull << 22)) | (uint64_t)mode << 22;
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
}
static unsigned rounding(void) {
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr >> 22 & 3;
}
#else
#define NO_ROUNDING 1
#endif

#ifndef NO_ROUNDING
static int rounds_its_way(void *arg) {
    unsigned mode = (unsigned)(intptr_t)arg;
    volatile double one = 1, three = 3;
    set_rounding(mode);
    double first = one / three;
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(uvt_yield(), 0);
        CHECK_EQ(rounding(), mode);
        CHECK(one / three == first); /* the unit obeys, not only its register */
    }
    return 0;
}

UVT_TEST(rounding_mode_is_each_tasks_own) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(uvt_set_spawn(&set, rounds_its_way, INT(i)), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(uvt_yield(), 0);
        CHECK_EQ(rounding(), 0);
    }
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST_PLAIN(rounding_mode_of_the_host_is_kept_by_run) {
    set_rounding(2);
    CHECK_EQ(uvt_run(rounds_its_way, INT(1), NULL), 0);
    CHECK_EQ(rounding(), 2);
}
#endif

static int keeps_registers(void *arg) {
    uint64_t seed = (uint64_t)(intptr_t)arg, a = seed, b = a * 3, c = b * 5, d = c * 7, e = d * 11, f = e * 13;
    double x = (double)a + 0.5, y = x * 2, z = y * 3;
    uint64_t want = a ^ b ^ c ^ d ^ e ^ f;
    double wantd = x + y + z;
    for (int i = 0; i < 50; i++) {
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
        CHECK_EQ(uvt_yield(), 0);
    }
    CHECK((a ^ b ^ c ^ d ^ e ^ f) == want);
    CHECK(x + y + z == wantd);
    return 0;
}

UVT_TEST(registers_survive_switches) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 1; i <= 20; i++) CHECK_EQ(uvt_set_spawn(&set, keeps_registers, INT(i * 1000003)), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

static int prints_floats(void *arg) {
    char text[64];
    _Alignas(32) char block[32];
    (void)arg;
    CHECK_EQ((uintptr_t)launder(block) % 32, 0);
    CHECK_EQ(snprintf(text, sizeof text, "%.3f %.2Lf", 1.0 / 3, 2.5L), 10);
    CHECK_STR(text, "0.333 2.50");
    return uvt_yield();
}

UVT_TEST(stack_alignment_is_what_the_abi_wants) {
    for (int i = 0; i < 8; i++) CHECK_EQ(spawn_and_join(prints_floats, NULL), 0);
}

static unsigned lines_used[64];

static int notes_its_line(void *arg) {
    char here;
    (void)arg;
    lines_used[(uintptr_t)launder(&here) % PAGE / 64]++;
    return uvt_sleep(10);
}

/* Tops of stacks at a page-multiple stride would all share one set of the first-level cache. */
UVT_TEST(stack_tops_are_spread_over_the_cache) {
    int used = 0;
    for (int i = 0; i < 64; i++) CHECK_EQ(uvt_spawn(NULL, notes_its_line, NULL), 0);
    CHECK_EQ(uvt_sleep(20), 0);
    for (int i = 0; i < 64; i++) used += lines_used[i] > 0;
    CHECK(used >= 8);
}

#ifdef __GLIBC__
static int traces(void *arg) {
    void *frames[64];
    uvt_yield();
    *(int *)arg = backtrace(frames, 64);
    return 0;
}

UVT_TEST(backtrace_ends_at_the_tasks_bottom_frame) {
    void *warm[4];
    int n = 0;
    uvt_task_t t;
    uvt_task_options roomy = { .stack_size = 256 * 1024 }; /* the first call loads a library */
    backtrace(warm, 4);
    CHECK_EQ(uvt_spawn_opts(&t, traces, &n, &roomy), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_IN(n, 1, 20);
}
#endif

UVT_TEST_MAIN()
