/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 13: the same program on one loop or on several.
 */
#include <stdio.h>
#include <uvtask.h>

struct part {
    unsigned long from, to, sum;
};

static int add_up(void *arg) {
    struct part *p = arg;
    for (unsigned long i = p->from; i < p->to; i++) p->sum += i;
    return 0;
}

static int app(void *arg) {
    (void)arg;
    struct part parts[8];
    uvt_set_t set;
    int rc = uvt_set_open(&set, &(uvt_set_options){ .place = UVT_ANY }); /* whichever shard gets to them first */
    if (rc < 0) return rc;
    for (unsigned long i = 0; i < 8; i++) {
        parts[i] = (struct part){ i * 1000, (i + 1) * 1000, 0 };
        uvt_set_spawn(&set, add_up, &parts[i]); /* parts outlives the set: members elsewhere may borrow it, too */
    }
    rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    unsigned long sum = 0;
    for (int i = 0; i < 8; i++) sum += parts[i].sum;
    printf("sum %lu\n", sum);
    return rc;
}

static int where(void *arg) {
    *(unsigned *)arg = uvt_shard_index();
    return 0;
}

static int calls(void *arg) {
    unsigned there = 0, last = uvt_shard_count() - 1;
    int rc = uvt_call(last, where, &there); /* runs there, is awaited here */
    printf("%u shards, the call ran on shard %u\n", uvt_shard_count(), there);
    return rc < 0 ? rc : app(arg);
}

int main(void) {
    int rc = uvt_run(calls, NULL, NULL);
    return rc < 0 ? 1 : uvt_run(calls, NULL, &(uvt_options){ .shards = 4 });
}
