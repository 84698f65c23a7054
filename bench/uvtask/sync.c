/* SPDX-License-Identifier: MIT
 *
 * The workloads on what tasks wait for together:
 *     sync chan_1         a million messages through a channel of 64, both tasks on one shard: ns per message
 *     sync chan_2         the same, the consumer on another shard
 *     sync chan_2_spin    the same, where an idle shard always spins a while before it sleeps
 *     sync chan_2_sleep   the same, where it sleeps at once
 *     sync pingpong1      there and back through two channels without capacity: ns per round
 *     sync select         the one channel of eight that has a message: ns per send and select
 *     sync mutex          lock and unlock, nobody else wants it: ns for both
 *     sync mutex_1000     1000 tasks, 100 times each: lock, yield, unlock: ns per turn
 * ../README.md says what each measures and what the peers do.
 */
#include "timed.h"

enum { MESSAGES = 1000000, CAPACITY = 64, ROUNDS = 100000, CASES = 8, SELECTS = 1000000 };
enum { LOCKS = 1000000, LOCKERS = 1000, LOCK_TURNS = 100, SPIN_US = 50 };

/* ---- a channel ---- */

static int produce(void *arg) {
    uvt_chan_t *ch = arg;
    for (uint64_t i = 0; i < MESSAGES; i++) must(uvt_send(ch, &i), "send");
    uvt_chan_close(ch, UVT_SEND);
    return 0;
}

static int consume(void *arg) {
    uvt_chan_t *ch = arg;
    uint64_t x, sum = 0;
    int rc;
    while ((rc = uvt_recv(ch, &x)) == 0) sum += x;
    if (rc != UV_EOF) must(rc, "receive");
    if (sum != (uint64_t)MESSAGES * (MESSAGES - 1) / 2) must(UV_EIO, "sum");
    uvt_chan_close(ch, UVT_RECV);
    return 0;
}

static int consume_on_1(void *arg) {
    if (uvt_shard_index() != 1) must(UV_EIO, "shard");
    return consume(arg);
}

static void chan(uvt_fn consumer, int place) {
    uvt_chan_t out, in;
    uvt_task_t p, c;
    must(uvt_chan_open(&out, sizeof(uint64_t), CAPACITY, NULL), "channel");
    must(uvt_chan_clone(&in, &out, UVT_RECV), "clone");
    uvt_chan_close(&out, UVT_RECV);
    must(uvt_spawn(&p, produce, &out), "spawn");
    must(uvt_spawn_opts(&c, consumer, &in, &(uvt_task_options){ .place = place }), "spawn");
    must(uvt_join(p, NULL), "join");
    must(uvt_join(c, NULL), "join");
}

static void chan_1(void) {
    chan(consume, 0);
}

static void chan_2(void) {
    chan(consume_on_1, UVT_ON(1));
}

/* ---- a rendezvous ---- */

static uvt_chan_t there, back;

static int answer(void *arg) {
    uint64_t x;
    (void)arg;
    while (uvt_recv(&there, &x) == 0) must(uvt_send(&back, &x), "pong");
    return 0;
}

static void pingpong1(void) {
    uvt_task_t t;
    uint64_t x;
    must(uvt_chan_open(&there, sizeof(uint64_t), 0, NULL), "channel");
    must(uvt_chan_open(&back, sizeof(uint64_t), 0, NULL), "channel");
    must(uvt_spawn(&t, answer, NULL), "spawn");
    for (uint64_t i = 0; i < ROUNDS; i++) {
        must(uvt_send(&there, &i), "ping");
        must(uvt_recv(&back, &x), "pong");
        if (x != i) must(UV_EIO, "answer");
    }
    must(uvt_chan_end(&there), "end");
    must(uvt_join(t, NULL), "join");
    uvt_chan_close(&there, UVT_BOTH);
    uvt_chan_close(&back, UVT_BOTH);
}

/* ---- a choice ---- */

static void select_one(void) {
    uvt_chan_t ch[CASES];
    uvt_case_t cases[CASES];
    uint64_t x[CASES];
    for (int k = 0; k < CASES; k++) {
        must(uvt_chan_open(&ch[k], sizeof(uint64_t), 1, NULL), "channel");
        cases[k] = uvt_case_recv(&ch[k], &x[k]);
    }
    for (uint64_t i = 0; i < SELECTS; i++) {
        int ready = (int)(i % CASES);
        must(uvt_try_send(&ch[ready], &i), "send");
        int k = uvt_select(cases, CASES, 0);
        must(k, "select");
        if (k != ready || cases[k].result != 0 || x[k] != i) must(UV_EIO, "message");
    }
    for (int k = 0; k < CASES; k++) uvt_chan_close(&ch[k], UVT_BOTH);
}

/* ---- a lock ---- */

static void mutex(void) {
    uvt_mutex_t m;
    must(uvt_mutex_init(&m), "mutex");
    for (int i = 0; i < LOCKS; i++) {
        must(uvt_mutex_lock(&m), "lock");
        must(uvt_mutex_unlock(&m), "unlock");
    }
}

static int turns(void *arg) {
    uvt_mutex_t *m = arg;
    for (int i = 0; i < LOCK_TURNS; i++) {
        must(uvt_mutex_lock(m), "lock");
        must(uvt_yield(), "yield");
        must(uvt_mutex_unlock(m), "unlock");
    }
    return 0;
}

static void mutex_1000(void) {
    uvt_task_t tasks[LOCKERS];
    uvt_mutex_t m;
    must(uvt_mutex_init(&m), "mutex");
    for (int i = 0; i < LOCKERS; i++) must(uvt_spawn(&tasks[i], turns, &m), "spawn");
    for (int i = 0; i < LOCKERS; i++) must(uvt_join(tasks[i], NULL), "join");
}

static const timed works[] = {
    { "chan_1", "ns/msg", chan_1, MESSAGES, { 0 } },
    { "chan_2", "ns/msg", chan_2, MESSAGES, { .shards = 2 } },
    { "chan_2_spin", "ns/msg", chan_2, MESSAGES, { .shards = 2, .spin_us = SPIN_US } },
    { "chan_2_sleep", "ns/msg", chan_2, MESSAGES, { .shards = 2, .no_linger = true } },
    { "pingpong1", "ns/round", pingpong1, ROUNDS, { 0 } },
    { "select", "ns/op", select_one, SELECTS, { 0 } },
    { "mutex", "ns/op", mutex, LOCKS, { 0 } },
    { "mutex_1000", "ns/turn", mutex_1000, 1.0 * LOCKERS *LOCK_TURNS, { 0 } },
};

int main(int argc, char **argv) {
    if (argc > 1 && timed_run(works, sizeof works / sizeof *works, argv[1])) return 0;
    fprintf(stderr, "usage: %s chan_1 | chan_2[_spin|_sleep] | pingpong1 | select | mutex | mutex_1000\n", argv[0]);
    return 2;
}
