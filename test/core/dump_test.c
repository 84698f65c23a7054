/* SPDX-License-Identifier: MIT
 *
 * What can be seen from outside: the dump, the statistics of ignored cancels, and the report of a task that
 * computes too long.
 */
#include <stdio.h>

#include "bodies.h"

/* The lines of a dump, one after another. */
static struct {
    char text[16384];
    size_t used;
    int lines;
} dump;

static void keeps(void *arg, const char *text) {
    (void)arg;
    int n = snprintf(dump.text + dump.used, sizeof dump.text - dump.used, "%s\n", text);
    CHECK(n > 0 && dump.used + (size_t)n < sizeof dump.text);
    dump.used += (size_t)n;
    dump.lines++;
}

static const char *take_dump(void) {
    dump.used = 0;
    dump.lines = 0;
    CHECK_EQ(uvt_dump(keeps, NULL), 0);
    return dump.text;
}

/* The line of the dump that has this in it, copied into line; fails when there is none. */
static void line_of(const char *what, char *line, size_t size) {
    const char *at = strstr(take_dump(), what);
    CHECK(at != NULL);
    while (at > dump.text && at[-1] != '\n') at--;
    size_t len = strcspn(at, "\n");
    CHECK(len < size);
    memcpy(line, at, len);
    line[len] = '\0';
}

static int abort_done(uvt_park_t *p) {
    (void)p;
    return UVT_ABORT_DONE;
}

static int waits(void *what) {
    uvt_park_t p = { .what = what, .object = what, .abort = abort_done };
    return uvt_park(&p);
}

UVT_TEST(dump_has_a_line_per_task) {
    for (int i = 0; i < 7; i++) CHECK_EQ(uvt_spawn(NULL, waits, "the bus"), 0);
    settle();
    take_dump();
    CHECK_EQ(dump.lines, 8); /* and this one */
}

UVT_TEST(dump_line_has_name_site_and_what_it_waits_for) {
    char line[300];
    CHECK_EQ(uvt_spawn(NULL, waits, "the bus"), 0);
    settle();
    line_of("the bus", line, sizeof line);
    CHECK(strstr(line, "waits") != NULL);
    CHECK(strstr(line, "dump_test.c:") != NULL);
}

UVT_TEST(dump_shows_a_name_that_was_given) {
    char line[300];
    uvt_task_options named = { .name = "night watch" };
    CHECK_EQ(uvt_spawn_opts(NULL, waits, "morning", &named), 0);
    settle();
    line_of("night watch", line, sizeof line);
    CHECK(strstr(line, "morning") != NULL);
}

static int has_a_child(void *arg) {
    CHECK_EQ(uvt_spawn(NULL, waits, "undermost"), 0);
    return waits(arg);
}

static size_t indent(const char *line) {
    return strspn(line, " ");
}

UVT_TEST(dump_shows_how_deep_a_task_is_owned) {
    char top[300], deep[300];
    CHECK_EQ(uvt_spawn(NULL, has_a_child, "shallow"), 0);
    settle();
    line_of("shallow", top, sizeof top);
    line_of("undermost", deep, sizeof deep);
    CHECK(indent(deep) > indent(top));
    CHECK(strstr(dump.text, "shallow") < strstr(dump.text, "undermost")); /* owners first */
}

UVT_TEST(dump_lists_members_delayed_and_detached_tasks) {
    uvt_set_t set;
    uvt_task_t t;
    uvt_task_options later = { .name = "tomorrow", .start_after_ms = 1000 };
    CHECK_EQ(uvt_set_open(&set, NULL), 0);
    CHECK_EQ(uvt_set_spawn(&set, waits, "membership"), 0);
    CHECK_EQ(uvt_spawn_opts(NULL, b_return, INT(0), &later), 0);
    CHECK_EQ(uvt_spawn(&t, waits, "freedom"), 0);
    CHECK_EQ(uvt_detach(t), 0);
    settle();
    const char *text = take_dump();
    CHECK(strstr(text, "membership") && strstr(text, "tomorrow") && strstr(text, "freedom"));
    CHECK_EQ(uvt_set_close(&set), 0);
}

UVT_TEST(dump_allocates_nothing_and_resumes_nobody) {
    uvt_stats before, after;
    CHECK_EQ(uvt_spawn(NULL, waits, "the bus"), 0);
    settle();
    uvt_spawn(NULL, b_step, "not now");
    uvt_stats_get(&before);
    uvt_test_fail_alloc(1);
    take_dump();
    CHECK(!uvt_test_fail_hit());
    uvt_test_fail_alloc(0);
    uvt_stats_get(&after);
    CHECK_EQ(after.switches, before.switches);
    CHECK_STEPS("");
}

static void dumps(void *arg) {
    take_dump();
    *(int *)arg = dump.lines;
}

UVT_TEST(dump_works_in_a_callback_of_the_loop) {
    int lines = 0;
    uvt_runtime_t *rt = uvt_runtime_ref();
    CHECK_EQ(uvt_post(rt, dumps, &lines), 0);
    while (lines == 0) uvt_yield();
    CHECK_EQ(lines, 1);
    uvt_runtime_unref(rt);
}

UVT_TEST(dump_null_function_is_refused) {
    CHECK_EQ(uvt_dump(NULL, NULL), UV_EINVAL);
}

UVT_TEST_PLAIN(dump_outside_of_a_runtime_is_refused) {
    CHECK_EQ(uvt_dump(keeps, NULL), UVT_ENOTASK);
}

/* ---- tasks that do not listen ---- */

static int ignores_five(void *arg) {
    (void)arg;
    for (int i = 0; i < 5; i++) CHECK_EQ(uvt_sleep(1000), UV_ECANCELED);
    return waits("deafness");
}

UVT_TEST(ignored_cancels_are_counted) {
    uvt_stats before, after;
    uvt_task_t t;
    uvt_stats_get(&before);
    CHECK_EQ(uvt_spawn(&t, ignores_five, NULL), 0);
    settle();
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
    uvt_stats_get(&after);
    CHECK_EQ(after.ignored - before.ignored, 5); /* six calls said so; the first was the cancel itself */
}

static int turns_over(void *arg) {
    while (!*(volatile bool *)arg) uvt_yield();
    return UV_ECANCELED;
}

UVT_TEST(dump_tells_that_a_task_was_cancelled) {
    char line[300];
    bool stop = false;
    uvt_task_t t;
    uvt_task_options named = { .name = "deaf" };
    CHECK_EQ(uvt_spawn_opts(&t, turns_over, &stop, &named), 0);
    CHECK_EQ(uvt_yield(), 0);
    line_of("deaf", line, sizeof line);
    CHECK(strstr(line, "cancelled") == NULL);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_yield(), 0);
    line_of("deaf", line, sizeof line);
    CHECK(strstr(line, "cancelled") != NULL);
    stop = true;
    CHECK_EQ(uvt_join(t, NULL), UV_ECANCELED);
}

/* ---- stalls ---- */

static int computes(void *ms) {
    uint64_t until = uv_hrtime() + (uint64_t)(intptr_t)ms * 1000000;
    while (uv_hrtime() < until) {}
    return 0;
}

static int computes_after_a_while(void *ms) {
    uvt_task_t t;
    CHECK_EQ(uvt_yield(), 0);
    CHECK_EQ(uvt_spawn(&t, computes, ms), 0);
    return uvt_join(t, NULL);
}

static void keeps_report(void *arg, const char *text) {
    (void)arg;
    keeps(NULL, text);
}

UVT_TEST_PLAIN(stall_of_a_task_is_reported_with_its_name) {
    uvt_options o = { .stall_ms = 20, .report = keeps_report };
    CHECK_EQ(uvt_run(computes_after_a_while, INT(60), &o), 0);
    CHECK(strstr(dump.text, "computes") != NULL);
    CHECK(strstr(dump.text, "dump_test.c:") != NULL);
}

UVT_TEST_PLAIN(stall_report_is_off_by_default) {
    uvt_options o = { .report = keeps_report };
    CHECK_EQ(uvt_run(computes_after_a_while, INT(60), &o), 0);
    CHECK_EQ(dump.used, 0);
}

UVT_TEST_PLAIN(stall_sleeping_is_none) {
    uvt_options o = { .stall_ms = 1000, .report = keeps_report };
    CHECK_EQ(uvt_run(b_sleep, INT(30), &o), 0);
    CHECK_EQ(dump.used, 0);
}

UVT_TEST_MAIN()
