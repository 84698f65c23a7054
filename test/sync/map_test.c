/* SPDX-License-Identifier: MIT
 *
 * uvt_map, a function over an array with so many at a time, and uvt_background, a task beside a body.
 */
#include "branches.h"

#define ITEMS 20

struct item {
    uint64_t ms;
    int status;       /* what its call is to return */
    int begun, ended; /* how often */
    uint64_t at;      /* when it began */
};

static int inside, most_inside;

static int visits(void *arg, void *ctx) {
    struct item *it = arg;
    it->begun++;
    it->at = uvt_now();
    if (ctx) uvt_test_step("%d", (int)(it - (struct item *)ctx));
    if (++inside > most_inside) most_inside = inside;
    int rc = uvt_sleep(it->ms);
    inside--;
    it->ended++;
    return rc < 0 ? rc : it->status;
}

static void set(struct item *items, int n, uint64_t ms) {
    for (int i = 0; i < n; i++) items[i] = (struct item){ .ms = ms };
}

static int counts(const struct item *items, int n) {
    int begun = 0;
    for (int i = 0; i < n; i++) {
        CHECK_EQ(items[i].begun, items[i].ended);
        CHECK(items[i].begun <= 1);
        begun += items[i].begun;
    }
    return begun;
}

UVT_TEST(map_five_at_a_time_take_exactly_four_rounds) {
    struct item items[ITEMS];
    uint64_t t = uvt_now();
    set(items, ITEMS, 10);
    CHECK_EQ(uvt_map(items, ITEMS, sizeof *items, 5, visits, NULL), 0);
    CHECK_EQ(uvt_now() - t, 40);
    CHECK_EQ(most_inside, 5);
    CHECK_EQ(counts(items, ITEMS), ITEMS);
    for (int i = 0; i < ITEMS; i++) CHECK_EQ(items[i].at - t, 10u * (unsigned)(i / 5));
}

UVT_TEST(map_one_at_a_time_is_in_the_arrays_order) {
    struct item items[5];
    set(items, 5, 1);
    CHECK_EQ(uvt_map(items, 5, sizeof *items, 1, visits, items), 0);
    CHECK_STEPS("0 1 2 3 4");
    CHECK_EQ(most_inside, 1);
}

UVT_TEST(map_a_place_that_is_free_goes_to_the_next_item_at_once) {
    struct item items[4];
    uint64_t t = uvt_now();
    set(items, 4, 2);
    items[0].ms = 6;
    CHECK_EQ(uvt_map(items, 4, sizeof *items, 2, visits, NULL), 0);
    CHECK_EQ(uvt_now() - t, 6);
    CHECK_EQ(items[3].at - t, 4);
}

UVT_TEST(map_without_a_limit_all_run_at_once) {
    struct item items[ITEMS * 5];
    uint64_t t = uvt_now();
    set(items, ITEMS * 5, 10);
    CHECK_EQ(uvt_map(items, ITEMS * 5, sizeof *items, 0, visits, NULL), 0);
    CHECK_EQ(uvt_now() - t, 10);
    CHECK_EQ(most_inside, ITEMS * 5);
}

UVT_TEST(map_limit_above_the_number_of_items_is_as_none) {
    struct item items[3];
    set(items, 3, 10);
    CHECK_EQ(uvt_map(items, 3, sizeof *items, UINT32_MAX, visits, NULL), 0);
    CHECK_EQ(most_inside, 3);
}

UVT_TEST(map_of_nothing_is_done_at_once) {
    CHECK_EQ(uvt_map(NULL, 0, sizeof(int), 5, visits, NULL), 0);
}

UVT_TEST(map_first_failure_stops_the_rest_and_no_more_are_begun) {
    struct item items[ITEMS];
    uint64_t t = uvt_now();
    set(items, ITEMS, 10);
    items[6].ms = 5;
    items[6].status = UV_EIO;
    CHECK_EQ(uvt_map(items, ITEMS, sizeof *items, 5, visits, NULL), UV_EIO);
    CHECK_EQ(uvt_now() - t, 15);
    CHECK_EQ(counts(items, ITEMS), 10);
    CHECK_EQ(items[10].begun, 0);
}

UVT_TEST(map_item_that_fails_with_eof_is_a_failure_like_others) {
    struct item items[3];
    set(items, 3, 1);
    items[1].status = UV_EOF;
    CHECK_EQ(uvt_map(items, 3, sizeof *items, 1, visits, NULL), UV_EOF);
    CHECK_EQ(items[2].begun, 0);
}

static int panics_at_three(void *item, void *ctx) {
    int *at = item;
    ++*(int *)ctx;
    if (*at == 3) uvt_panic("at %d", *at);
    return uvt_sleep(1);
}

UVT_TEST(map_panic_of_an_item_is_a_failure) {
    int items[] = { 0, 1, 2, 3, 4, 5 }, calls = 0;
    CHECK_EQ(uvt_map(items, 6, sizeof *items, 2, panics_at_three, &calls), UVT_EPANIC);
    CHECK_EQ(calls, 4);
}

static int maps_all(void *items) {
    return uvt_map(items, ITEMS, sizeof(struct item), 5, visits, NULL);
}

UVT_TEST(map_under_a_deadline_is_cut_short_and_awaited) {
    struct item items[ITEMS];
    uint64_t t = uvt_now();
    set(items, ITEMS, 10);
    CHECK_EQ(uvt_timeout(25, maps_all, items), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 25);
    CHECK_EQ(counts(items, ITEMS), 15);
    CHECK_EQ(inside, 0);
}

static int writes_on(void *item, void *ctx) {
    (void)ctx;
    int rc = uvt_shielded(UVT_FOREVER, two_ms, NULL);
    *(int *)item = 1;
    return rc;
}

static int maps_four(void *items) {
    return uvt_map(items, 4, sizeof(int), 0, writes_on, NULL);
}

UVT_TEST(map_cancelled_but_all_had_completed_says_so) {
    int items[4] = { 0 };
    CHECK_EQ(uvt_timeout(1, maps_four, items), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(items[i], 1);
}

UVT_TEST(map_misuse_is_refused) {
    int items[2] = { 0 };
    CHECK_EQ(uvt_map(NULL, 2, sizeof(int), 0, writes_on, NULL), UV_EINVAL);
    CHECK_EQ(uvt_map(items, 2, 0, 0, writes_on, NULL), UV_EINVAL);
    CHECK_EQ(uvt_map(items, SIZE_MAX / 2, sizeof(int), 0, writes_on, NULL), UV_EINVAL);
    CHECK_EQ(uvt_map_at(items, 2, sizeof(int), 0, NULL, NULL, "nothing\0"), UV_EINVAL);
    CHECK_EQ(items[0] + items[1], 0);
}

/* ---- a task in the background ---- */

struct behind {
    uint64_t start_ms, end_ms; /* when it calls uvt_started, and ends after that */
    int value;
    bool ended;
};

#define B(start, end, v) { .start_ms = (start), .end_ms = (end), .value = (v) }

static void has_ended(void *arg) {
    ((struct behind *)arg)->ended = true;
}

static int goes_on(void *arg) {
    struct behind *b = arg;
    CHECK_EQ(uvt_defer(has_ended, b), 0);
    int rc = uvt_sleep(b->start_ms);
    if (rc < 0) return rc;
    if (b->end_ms == 0) return b->value; /* without having started */
    CHECK_EQ(uvt_started(NULL), 0);
    uvt_test_step("ready");
    rc = uvt_sleep(b->end_ms);
    if (rc < 0) uvt_test_step("cancelled");
    return rc < 0 ? rc : b->value;
}

static int body(void *arg) {
    struct work *w = arg;
    uvt_test_step("body");
    return works(w);
}

UVT_TEST(background_is_ready_before_the_body_and_cancelled_and_awaited_after_it) {
    struct behind b = B(3, UVT_FOREVER, 0);
    struct work w = W(5, 55);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_background(goes_on, &b, body, &w), 55);
    CHECK_EQ(uvt_now() - t, 8);
    CHECK(b.ended);
    CHECK_STEPS("ready body cancelled");
}

UVT_TEST(background_that_ends_well_lets_the_body_go_on) {
    struct behind b = B(1, 1, 0);
    struct work w = W(5, 55);
    CHECK_EQ(uvt_background(goes_on, &b, body, &w), 55);
    CHECK(b.ended);
}

UVT_TEST(background_that_fails_cuts_the_body_short) {
    struct behind b = B(1, 3, UV_EIO);
    struct work w = W(50, 55);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_background(goes_on, &b, body, &w), UV_EIO);
    CHECK_EQ(uvt_now() - t, 4);
    CHECK_EQ(w.ended, 1);
    CHECK_EQ(uvt_yield(), 0);
}

static int panics_when_started(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_started(NULL), 0);
    CHECK_EQ(uvt_sleep(2), 0);
    uvt_panic("in the background");
}

UVT_TEST(background_that_panics_cuts_the_body_short) {
    struct work w = W(50, 55);
    CHECK_EQ(uvt_background(panics_when_started, NULL, body, &w), UVT_EPANIC);
    CHECK_EQ(w.ended, 1);
}

UVT_TEST(background_that_fails_first_wins_over_the_bodys_failure) {
    struct behind b = B(1, 3, UV_EIO);
    struct work w = W(5, UV_EPIPE);
    CHECK_EQ(uvt_background(goes_on, &b, works_on, &w), UV_EIO);
}

UVT_TEST(background_body_fails_first_is_returned) {
    struct behind b = B(1, UVT_FOREVER, 0);
    struct work w = W(5, UV_EPIPE);
    CHECK_EQ(uvt_background(goes_on, &b, body, &w), UV_EPIPE);
}

static int fails_in_its_clean_up(void *arg) {
    (void)arg;
    CHECK_EQ(uvt_started(NULL), 0);
    CHECK_EQ(uvt_sleep(UVT_FOREVER), UV_ECANCELED);
    return UV_EIO;
}

UVT_TEST(background_that_fails_in_its_clean_up_is_told_unless_the_body_has_failed) {
    struct work w = W(1, 55);
    CHECK_EQ(uvt_background(fails_in_its_clean_up, NULL, body, &w), UV_EIO);
    w.value = UV_EPIPE;
    CHECK_EQ(uvt_background(fails_in_its_clean_up, NULL, body, &w), UV_EPIPE);
}

UVT_TEST(background_that_never_starts_keeps_the_body_from_running) {
    struct behind b = B(3, 0, 0);
    struct work w = W(5, 55);
    CHECK_EQ(uvt_background(goes_on, &b, body, &w), UVT_ENOSTART);
    b.value = UV_EIO;
    CHECK_EQ(uvt_background(goes_on, &b, body, &w), UV_EIO);
    CHECK_EQ(w.begun, 0);
}

struct both {
    struct behind b;
    struct work w;
};

static int runs_both(void *arg) {
    struct both *both = arg;
    return uvt_background(goes_on, &both->b, body, &both->w);
}

UVT_TEST(background_under_a_deadline_both_are_cut_short_and_awaited) {
    struct both both = { B(2, UVT_FOREVER, 0), W(50, 0) };
    CHECK_EQ(uvt_timeout(10, runs_both, &both), UV_ETIMEDOUT);
    CHECK(both.b.ended);
    CHECK_EQ(both.w.ended, 1);
    both = (struct both){ B(20, UVT_FOREVER, 0), W(50, 0) };
    CHECK_EQ(uvt_timeout(10, runs_both, &both), UV_ETIMEDOUT);
    CHECK(both.b.ended);
    CHECK_EQ(both.w.begun, 0);
}

UVT_TEST(background_misuse_is_refused) {
    CHECK_EQ(uvt_background(NULL, NULL, body, NULL), UV_EINVAL);
    CHECK_EQ(uvt_background(goes_on, NULL, NULL, NULL), UV_EINVAL);
}

UVT_TEST_MAIN()
