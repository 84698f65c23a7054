/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, Rust: thread::scope, two threads that each sum_range a half of 0..100_000_000 (squares,
 * wrapping) and borrow from the frame of their parent. Here the set is the scope: what its jobs point to lives in the
 * block around it, and once the set is closed nobody uses it any more.
 */
#include <stdio.h>
#include <uvtask.h>

#define END 100000000u

struct range {
    uint64_t lo, hi, sum;
};

static int sum_range(void *arg) {
    struct range *r = arg;
    uint64_t sum = 0; /* unsigned numbers wrap around, as wrapping_add and wrapping_mul do */
    for (uint64_t x = r->lo; x < r->hi; x++) sum += x * x;
    r->sum = sum;
    return 0;
}

static int app(void *arg) {
    uint64_t *total = arg;
    struct range halves[] = { { 0, END / 2, 0 }, { END / 2, END, 0 } };
    uvt_set_t set;
    int rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;

    for (int i = 0; i < 2 && rc >= 0; i++) rc = uvt_set_spawn_blocking(&set, sum_range, &halves[i]);
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set);

    *total = halves[0].sum + halves[1].sum;
    return rc;
}

int main(void) {
    uint64_t total;
    int rc = uvt_run(app, &total, NULL);
    if (rc < 0) {
        fprintf(stderr, "scoped_sum: %s\n", uvt_strerror(rc));
        return 1;
    }
    printf("sum = %llu\n", (unsigned long long)total);

    struct range whole = { 0, END, 0 }; /* the plain loop, on the only thread there is now */
    sum_range(&whole);
    if (total != whole.sum) fprintf(stderr, "scoped_sum: the plain loop's is %llu\n", (unsigned long long)whole.sum);
    return total != whole.sum;
}
