/* SPDX-License-Identifier: MIT
 *
 * A generated program: a few objects, and up to six workers with a short list of operations each. It is plain data,
 * made from a string of bytes (generate.c), told to people (print.c), and run against the library (run.c).
 *
 * The bytes come from a seed or from a fuzzer. Every string of bytes is a program, and its end is the end of
 * whatever was being made, so that taking bytes away makes a program smaller.
 */
#ifndef RANDOM_PROGRAM_H
#define RANDOM_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { WORKERS = 6, THINGS = 8, OPS = 12, CASES = 4 };

/* Types of objects. The first two are no objects of the library: every program has one of each. */
#define TYPES(X) X(time) X(task) X(semaphore) X(oneshot) X(token) X(mutex) X(rwlock) X(event) X(barrier) X(chan) \
    X(notify) X(once) X(broadcast) X(watch) X(rate)

enum type_index {
#define X(name) TYPE_##name,
    TYPES(X)
#undef X
    TYPES_COUNT
};

/* What a worker can do: name, type of the object that it is done with, and whether it can be a case of a select. Not
 * here: what takes real time (streams, blocking jobs, and the cases of accepting and reading), and sleeping until a
 * time, of which sleeping for a time is made. */
#define KINDS(X)                                                                                                       \
    X(sleep, time, true) X(yield, time, false)                                                                         \
    X(spawn, task, false) X(join, task, true) X(abort, task, false) X(cancel_soon, task, false)                        \
    X(panic, task, false) X(set_spawn, task, false) X(set_try_spawn, task, false) X(set_next, task, true)              \
    X(set_try_next, task, false) X(set_wait, task, false) X(set_abort, task, false) X(set_close, task, false)          \
    X(acquire, semaphore, true) X(try_acquire, semaphore, false) X(release, semaphore, false)                          \
    X(semaphore_close, semaphore, false) X(semaphore_limit, semaphore, false)                                          \
    X(oneshot_send, oneshot, false) X(oneshot_recv, oneshot, true) X(oneshot_try_recv, oneshot, false)                 \
    X(oneshot_drop, oneshot, false)                                                                                    \
    X(token_wait, token, true) X(token_cancel, token, false)                                                           \
    X(lock, mutex, true) X(try_lock, mutex, false) X(unlock, mutex, false)                                             \
    X(cond_wait, mutex, false) X(cond_signal, mutex, false) X(cond_broadcast, mutex, false)                            \
    X(read_lock, rwlock, true) X(write_lock, rwlock, true) X(try_read_lock, rwlock, false)                             \
    X(try_write_lock, rwlock, false) X(rw_unlock, rwlock, false) X(downgrade, rwlock, false)                           \
    X(event_wait, event, true) X(event_set, event, false) X(event_clear, event, false)                                 \
    X(notified, notify, true) X(notify_one, notify, false) X(notify_last, notify, false) X(notify_all, notify, false)  \
    X(barrier_wait, barrier, false) X(once, once, false)                                                               \
    X(send, chan, true) X(recv, chan, true) X(try_send, chan, false) X(try_recv, chan, false)                          \
    X(recv_many, chan, false) X(chan_close, chan, false) X(chan_end, chan, false)                                      \
    X(reserve, chan, false) X(try_reserve, chan, false) X(send_reserved, chan, false) X(unreserve, chan, false) \
    X(broadcast_send, broadcast, false) X(broadcast_recv, broadcast, true) X(broadcast_try_recv, broadcast, false)     \
    X(broadcast_close, broadcast, false) X(subscribe, broadcast, false) X(no_subscriber, broadcast, false)             \
    X(watch_set, watch, false) X(watch_get, watch, false) X(watch_peek, watch, false) X(changed, watch, true)          \
    X(try_changed, watch, false) X(mark_changed, watch, false) X(mark_unchanged, watch, false)                         \
    X(watch_close, watch, false) X(watch_again, watch, false) X(no_watcher, watch, false)                        \
    X(rate, rate, true) X(try_rate, rate, false)

enum kind_index {
#define X(name, type, a_case) KIND_##name,
    KINDS(X)
#undef X
    KINDS_COUNT
};

struct act {
    uint8_t kind, thing;
    uint8_t n; /* a number for the kind to make something of */
};

/* What an operation lies in. SHIELD has a deadline, too: nothing else could end a wait in it. */
enum wrap { WRAP_NONE, WRAP_DEADLINE, WRAP_TOKEN, WRAP_SHIELD, WRAP_COUNT };

struct op {
    uint8_t cases;            /* 0: acts[0] is called; else so many of them are cases of a select */
    bool biased, tries;       /* of a select */
    uint8_t wrap, ms, token;  /* enum wrap, its deadline, its token's index among the things */
    struct act acts[CASES];
};

struct plan { /* of a worker */
    uint8_t place;  /* 0: as its spawner; 1 to 4: on shard 0 to 3; 5: anywhere */
    bool starts;    /* with the program; the others wait for somebody to spawn them */
    bool stubborn;  /* goes on when it was cancelled */
    bool fails;     /* returns a failure */
    uint8_t limit;            /* of its sets, 0: none; as uvt_set_options */
    bool fail_fast, discard;
    uint8_t ops;
    struct op op[OPS];
};

struct program {
    uint64_t number; /* the seed it was made from; 0: of bytes from elsewhere */
    uint8_t shards;
    uint32_t shuffle; /* of ready tasks; 0 off */
    bool unwatched;   /* nobody looks after it: when it is stuck, that is a deadlock */
    bool family;      /* half of it is about tasks, and one worker starts: the others are most of them in its sets */
    uint8_t fail_at;  /* which allocation fails once the first workers are spawned; 0: none */
    uint8_t things;
    struct {
        uint8_t type, n;
    } thing[THINGS];
    uint8_t workers;
    struct plan plan[WORKERS];
};

/* Makes a program of bytes. */
void program_make(struct program *p, const uint8_t *bytes, size_t size);
/* Makes the program of a number. */
void program_of(struct program *p, uint64_t number);
/* The bytes of that number's program; returns how many. */
enum { PROGRAM_BYTES = 640 };
size_t program_bytes(uint64_t number, uint8_t bytes[PROGRAM_BYTES]);

void program_print(FILE *f, const struct program *p);
void op_print(FILE *f, const struct program *p, const struct op *op);

#endif
