/* SPDX-License-Identifier: MIT
 *
 * The kit under its own eyes. What has to fail does so in a second run of this program, with the tests of
 * kit_hidden_* registered (only then: the environment says so), and its output and exit status are looked
 * at. What has to work (fault counters, steps, the virtual clock) is tested directly.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uvtask.h>
#include <uvtask/test.h>

extern char **environ;

#define HIDDEN_VARIABLE "UVT_KIT_TEST_HIDDEN"

/* As UVT_TEST, but part of the program only when it runs itself. */
#define HIDDEN(fname, tkind)                                                                                           \
    static void hidden_##fname(void);                                                                                  \
    static struct uvt_test hidden_s_##fname = { .name = "kit_hidden_" #fname,                                          \
                                                .file = __FILE__,                                                      \
                                                .site = UVT_SITE("kit_hidden_" #fname),                                \
                                                .fn = hidden_##fname,                                                  \
                                                .kind = tkind };                                                       \
    __attribute__((constructor)) static void hidden_r_##fname(void) {                                                  \
        if (getenv(HIDDEN_VARIABLE)) uvt_test_register(&hidden_s_##fname);                                             \
    }                                                                                                                  \
    static void hidden_##fname(void)

/* ---- tests that are to fail ---- */

HIDDEN(passes, UVT_TEST_VIRTUAL) {
    CHECK_EQ(uvt_sleep(1000), 0);
}

HIDDEN(check_eq, UVT_TEST_VIRTUAL) {
    CHECK_EQ(uvt_sleep((uint64_t)-2), 0);
}

HIDDEN(check_str, UVT_TEST_NORUNTIME) {
    CHECK_STR("found", "wanted");
}

HIDDEN(check_in, UVT_TEST_NORUNTIME) {
    int six = 6;
    CHECK_IN(six, 1, 6);
}

static int checks_in_vain(void *arg) {
    CHECK(arg != NULL);
    return 0;
}

HIDDEN(check_in_a_task, UVT_TEST_VIRTUAL) {
    uvt_task_t t;
    CHECK_EQ(uvt_spawn(&t, checks_in_vain, NULL), 0);
    (void)uvt_join(t, NULL);
}

HIDDEN(byte_left, UVT_TEST_VIRTUAL) {
    uvt_token_t *t;
    CHECK_EQ(uvt_token_new(&t, NULL), 0);
}

HIDDEN(fd_left, UVT_TEST_NORUNTIME) {
    CHECK(open("/dev/null", O_RDONLY) >= 0);
}

static uv_idle_t forgotten;

HIDDEN(handle_left, UVT_TEST_VIRTUAL) {
    CHECK_EQ(uv_idle_init(uvt_loop(), &forgotten), 0);
}

static int waits_for_a_permit_nobody_has(void *sem) {
    return uvt_semaphore_acquire(sem);
}

HIDDEN(deadlock, UVT_TEST_VIRTUAL) {
    uvt_semaphore_t sem;
    uvt_task_t t;
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    CHECK_EQ(uvt_spawn(&t, waits_for_a_permit_nobody_has, &sem), 0);
    (void)uvt_join(t, NULL);
}

HIDDEN(computes_for_ever, UVT_TEST_VIRTUAL) {
    for (volatile unsigned n = 0;; n++) continue;
}

HIDDEN(crashes, UVT_TEST_NORUNTIME) {
    abort();
}

static int panics(void *arg) {
    (void)arg;
    uvt_panic("no way on");
}

static int ends_with_a_failed_child(void *arg) {
    (void)arg;
    return uvt_spawn(NULL, panics, NULL);
}

HIDDEN(panic_nobody_joined, UVT_TEST_VIRTUAL) {
    CHECK_EQ(uvt_spawn(NULL, ends_with_a_failed_child, NULL), 0);
    CHECK_EQ(uvt_sleep(1), 0);
}

static int step_number(void *arg) {
    uvt_test_step("%d", (int)(intptr_t)arg);
    return 0;
}

/* Twelve tasks ready at once: the order in which they run. */
static void spawn_twelve(void) {
    uvt_set_t set;
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    for (int i = 0; i < 12; i++) CHECK_EQ(uvt_set_spawn(&set, step_number, (void *)(intptr_t)i), 0);
    CHECK_EQ(uvt_set_wait(&set), 0);
    CHECK_EQ(uvt_set_close(&set), 0);
}

HIDDEN(order, UVT_TEST_VIRTUAL) {
    spawn_twelve();
    uvt_test_fail(__FILE__, __LINE__, "by seed %llu: order %s.", (unsigned long long)uvt_test_seed(),
                  uvt_test_steps(true));
}

/* ---- running this program again ---- */

static char output[16384]; /* of the last run, both streams */

/* Runs this program with the given arguments (NULL at the end); returns its exit status, -1 if it had none. */
static int run_self(const char *const *args) {
    char exe[1024], *argv[8] = { exe };
    size_t exe_size = sizeof exe, used = 0;
    int fds[2], status = 0, n = 1;
    posix_spawn_file_actions_t actions;
    pid_t pid;
    CHECK_EQ(uv_exepath(exe, &exe_size), 0);
    for (; *args; args++) argv[n++] = (char *)*args;
    CHECK_EQ(setenv(HIDDEN_VARIABLE, "1", 1), 0);
    CHECK_EQ(unsetenv("UVT_TEST_SEED"), 0);
    CHECK_EQ(pipe(fds), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, fds[0]);
    posix_spawn_file_actions_addclose(&actions, fds[1]);
    CHECK_EQ(posix_spawn(&pid, exe, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    for (ssize_t got; (got = read(fds[0], output + used, sizeof output - 1 - used)) > 0;) used += (size_t)got;
    output[used] = '\0';
    close(fds[0]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN_SELF(...) run_self((const char *const[]){ __VA_ARGS__, NULL })
#define CHECK_OUTPUT(words)                                                                                            \
    do {                                                                                                               \
        if (!strstr(output, words)) uvt_test_fail(__FILE__, __LINE__, "no \"%s\" in:\n%s", words, output);             \
    } while (0)

/* Checks that the hidden test fails, is named with its file, and that its output contains the words. */
static void check_fails(const char *name, const char *words) {
    CHECK_EQ(RUN_SELF(name), 1);
    CHECK_OUTPUT("FAIL");
    CHECK_OUTPUT(name);
    CHECK_OUTPUT("kit_test.c");
    CHECK_OUTPUT(words);
    CHECK_OUTPUT("0 passed, 1 failed\n");
}

UVT_TEST_PLAIN(kit_passing_test_is_counted_and_exit_status_is_zero) {
    CHECK_EQ(RUN_SELF("kit_hidden_passes"), 0);
    CHECK_STR(output, "1 passed, 0 failed\n");
}

UVT_TEST_PLAIN(kit_failed_checks_say_what_was_found_and_expected) {
    check_fails("kit_hidden_check_eq", "EINVAL");
    CHECK_OUTPUT("uvt_sleep((uint64_t)-2)");
    check_fails("kit_hidden_check_str", "\"found\"");
    CHECK_OUTPUT("\"wanted\"");
    check_fails("kit_hidden_check_in", "six is 6, not in [1, 6)");
    check_fails("kit_hidden_check_in_a_task", "does not hold: arg != NULL");
}

UVT_TEST_PLAIN(kit_memory_left_fails_the_test) {
    check_fails("kit_hidden_byte_left", "memory");
}

UVT_TEST_PLAIN(kit_descriptor_left_fails_the_test) {
    check_fails("kit_hidden_fd_left", "/dev/null");
}

UVT_TEST_PLAIN(kit_handle_left_fails_the_test) {
    check_fails("kit_hidden_handle_left", "idle");
}

UVT_TEST_PLAIN(kit_deadlock_fails_the_test_and_names_the_task) {
    check_fails("kit_hidden_deadlock", "EDEADLK");
    CHECK_OUTPUT("waits_for_a_permit_nobody_has");
    CHECK_OUTPUT("semaphore");
}

UVT_TEST_PLAIN(kit_time_limit_kills_a_test_that_computes_for_ever) {
    CHECK_EQ(setenv("UVT_TEST_TIMEOUT_SCALE", "1", 1), 0);
    uint64_t begin = uv_hrtime();
    CHECK_EQ(RUN_SELF("-t", "0.3", "kit_hidden_computes_for_ever"), 1);
    CHECK_OUTPUT("timed out");
    CHECK(uv_hrtime() - begin >= 300 * 1000000);
}

UVT_TEST_PLAIN(kit_crash_fails_the_test_and_the_others_run) {
    check_fails("kit_hidden_crashes", "signal");
    CHECK_EQ(RUN_SELF("kit_hidden_crashes", "kit_hidden_passes"), 1);
    CHECK_OUTPUT("1 passed, 1 failed\n");
}

UVT_TEST_PLAIN(kit_failure_of_a_task_nobody_joined_fails_the_test) {
    check_fails("kit_hidden_panic_nobody_joined", "EPANIC");
}

UVT_TEST_PLAIN(kit_lists_the_tests_it_has) {
    CHECK_EQ(RUN_SELF("-l"), 0);
    CHECK_OUTPUT("kit_hidden_passes\n");
    CHECK_OUTPUT("kit_lists_the_tests_it_has\n");
    CHECK(!strstr(output, "passed,"));
}

UVT_TEST_PLAIN(kit_bad_usage_and_unknown_names_are_refused) {
    CHECK_EQ(RUN_SELF("-s", "nonsense"), 2);
    CHECK_EQ(RUN_SELF("-t", "0"), 2);
    CHECK_EQ(RUN_SELF("-X"), 2);
    CHECK(RUN_SELF("no_such_test") != 0);
}

UVT_TEST_PLAIN(kit_in_one_process_runs_without_forking) {
    CHECK_EQ(RUN_SELF("-f", "kit_hidden_passes"), 0);
    CHECK_OUTPUT("1 passed, 0 failed\n");
}

/* ---- seeds ---- */

/* The order of twelve tasks under a seed. */
static void order_under(const char *seed, char *order, size_t size) {
    char by_seed[64];
    snprintf(by_seed, sizeof by_seed, "by seed %s: order ", seed);
    CHECK_EQ(RUN_SELF("-s", seed, "kit_hidden_order"), 1);
    CHECK_OUTPUT(by_seed);
    const char *begin = strstr(output, "order "), *end = strchr(begin, '.');
    CHECK(end != NULL);
    snprintf(order, size, "%.*s", (int)(end - begin), begin);
}

UVT_TEST_PLAIN(kit_seed_gives_the_same_order_every_time) {
    char first[128], second[128];
    order_under("4711", first, sizeof first);
    order_under("4711", second, sizeof second);
    CHECK_STR(first, second);
}

UVT_TEST_PLAIN(kit_seeds_give_different_orders) {
    char a[128], b[128], c[128];
    order_under("1", a, sizeof a);
    order_under("2", b, sizeof b);
    order_under("3", c, sizeof c);
    CHECK(strcmp(a, b) != 0 && strcmp(b, c) != 0 && strcmp(a, c) != 0);
}

UVT_TEST_PLAIN(kit_seed_zero_keeps_the_order_of_spawning) {
    char order[128];
    order_under("0", order, sizeof order);
    CHECK_STR(order, "order 0 1 2 3 4 5 6 7 8 9 10 11");
}

static int note_order(void *arg) {
    spawn_twelve();
    snprintf(arg, 128, "%s", uvt_test_steps(true));
    return 0;
}

UVT_TEST_PLAIN(kit_seed_of_the_options_wins_over_the_programs) {
    char a[128], b[128], c[128];
    CHECK_EQ(uvt_test_run(note_order, a, &(uvt_options){ .seed = 99 }), 0);
    CHECK_EQ(uvt_test_run(note_order, b, &(uvt_options){ .seed = 99 }), 0);
    CHECK_EQ(uvt_test_run(note_order, c, &(uvt_options){ .seed = 98 }), 0);
    CHECK_STR(a, b);
    CHECK(strcmp(a, c) != 0);
}

/* ---- fault counters ---- */

UVT_TEST(kit_nth_allocation_fails_once) {
    uvt_token_t *t[3] = { NULL };
    uvt_test_fail_alloc(2);
    CHECK_EQ(uvt_token_new(&t[0], NULL), 0);
    CHECK(!uvt_test_fail_hit());
    CHECK_EQ(uvt_token_new(&t[1], NULL), UV_ENOMEM);
    CHECK(uvt_test_fail_hit());
    CHECK_EQ(uvt_token_new(&t[2], NULL), 0);
    uvt_token_unref(t[0]);
    uvt_token_unref(t[2]);
}

UVT_TEST(kit_failing_allocation_is_switched_off_by_zero) {
    uvt_token_t *t;
    uvt_test_fail_alloc(1);
    uvt_test_fail_alloc(0);
    CHECK_EQ(uvt_token_new(&t, NULL), 0);
    CHECK(!uvt_test_fail_hit());
    uvt_token_unref(t);
}

UVT_TEST(kit_test_own_allocations_are_not_counted) {
    uvt_test_fail_alloc(1);
    void *volatile p = malloc(10);
    CHECK(p != NULL);
    free(p);
    CHECK(!uvt_test_fail_hit());
    uvt_test_fail_alloc(0);
}

UVT_TEST(kit_nth_call_of_libuv_fails_with_the_code_asked_for) {
    uvt_listener_t *l = NULL;
    uvt_test_fail_uv(1, UV_EMFILE);
    CHECK_EQ(uvt_tcp_listen(&l, "127.0.0.1", 0, 0), UV_EMFILE);
    CHECK(uvt_test_fail_hit());
    CHECK_EQ(uvt_tcp_listen(&l, "127.0.0.1", 0, 0), 0);
    uvt_test_fail_uv(0, 0);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST(kit_live_bytes_follow_what_the_library_holds) {
    uvt_token_t *t;
    size_t bytes = uvt_test_live_bytes(), blocks = uvt_test_live_blocks();
    CHECK_EQ(uvt_token_new(&t, NULL), 0);
    CHECK_EQ(uvt_test_live_blocks(), blocks + 1);
    CHECK(uvt_test_live_bytes() > bytes);
    uvt_token_unref(t);
    CHECK_EQ(uvt_test_live_blocks(), blocks);
    CHECK_EQ(uvt_test_live_bytes(), bytes);
}

static int cancelled_at_third(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_test_cancel_at(3), 0);
    CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_yield(), 0);
    CHECK(!uvt_test_cancel_hit());
    CHECK_EQ(uvt_sleep(1), UV_ECANCELED);
    CHECK(uvt_test_cancel_hit());
    CHECK_EQ(uvt_cancel_reason().code, UVT_REASON_TEST);
    return uvt_yield();
}

UVT_TEST(kit_cancel_comes_at_the_nth_suspension_of_that_task) {
    uvt_task_t t;
    uvt_result r;
    CHECK_EQ(uvt_spawn(&t, cancelled_at_third, NULL), 0);
    for (int i = 0; i < 10; i++) CHECK_EQ(uvt_yield(), 0); /* other tasks' suspensions do not count */
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(r.reason.code, UVT_REASON_TEST);
}

static int asks_and_ends(void *arg) {
    (void)arg;
    return uvt_test_cancel_at(1);
}

static int sleeps(void *arg) {
    (void)arg;
    return uvt_sleep(1);
}

UVT_TEST(kit_cancel_that_did_not_come_ends_with_its_task) {
    uvt_task_t t;
    uvt_result r;
    CHECK_EQ(uvt_spawn(&t, asks_and_ends, NULL), 0);
    CHECK_EQ(uvt_join(t, NULL), 0);
    CHECK_EQ(uvt_spawn(&t, sleeps, NULL), 0); /* which gets the same record */
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_RETURNED);
    CHECK_EQ(r.status, 0);
    CHECK(!uvt_test_cancel_hit());
}

/* ---- steps, reports, clock ---- */

UVT_TEST_PLAIN(kit_steps_are_kept_until_taken) {
    CHECK_STEPS("");
    uvt_test_step("a");
    uvt_test_step("b%d", 2);
    CHECK_STR(uvt_test_steps(false), "a b2");
    CHECK_STEPS("a b2");
    CHECK_STEPS("");
    for (int i = 0; i < 1000; i++) uvt_test_step("abcdefghi");
    CHECK(strlen(uvt_test_steps(true)) <= 2000);
}

static int deadlocks(void *arg) {
    uvt_semaphore_t sem;
    (void)arg;
    CHECK_EQ(uvt_semaphore_init(&sem, 0, 0), 0);
    return uvt_semaphore_acquire(&sem);
}

UVT_TEST_PLAIN(kit_reports_of_a_runtime_are_collected) {
    CHECK_STR(uvt_test_reports(), "");
    CHECK_EQ(uvt_test_run(deadlocks, NULL, NULL), UVT_EDEADLK);
    CHECK(strstr(uvt_test_reports(), "deadlock") != NULL);
}

UVT_TEST(kit_virtual_hour_passes_at_once) {
    uint64_t begin = uv_hrtime(), t = uvt_now();
    CHECK_EQ(uvt_sleep(3600 * 1000), 0);
    CHECK_EQ(uvt_now() - t, 3600 * 1000);
    CHECK(uv_hrtime() - begin < UINT64_C(5000000000));
}

UVT_TEST_REAL(kit_advance_on_the_real_clock_is_refused) {
    CHECK_EQ(uvt_test_advance(1), UV_EINVAL);
}

UVT_TEST_MAIN()
