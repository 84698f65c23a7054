/* SPDX-License-Identifier: MIT
 *
 * Generated programs over TCP streams on the loopback address, and what is known of a run of one. A program is plain
 * data: up to six workers with a list of operations each. Which streams they meet is not a part of it: streams come
 * from listeners and pairs as the run goes, into a table that all workers take them from.
 *
 * The order of things is the kernel's as well as the library's, so the model holds what is true whatever it was: each
 * direction of a connection (way) has a pattern of bytes of its own and knows how many were handed over surely,
 * perhaps, and received. When nothing moves any more it is exact, and who still waits has to have a reason.
 */
#ifndef RANDOM_STREAMS_H
#define RANDOM_STREAMS_H

#include <uvtask.h>

enum { WORKERS = 6, OPS = 14, SHARDS = 4, LISTENERS = 2, ENDS = 96, FULL = ENDS - 8 };
enum { KEPT = 60 }; /* a stream is used after its close until so many others were closed */
enum { ADOPTED = LISTENERS }; /* in the listener's place, for a connection that both ends were adopted of */

/* name, how often */
#define KINDS(X)                                                                                                       \
    X(nothing, 0) X(connect, 5) X(accept, 7) X(pair, 3) X(read, 7) X(read_exact, 5) X(read_until, 3) X(peek, 3)        \
    X(drain, 3) X(crowd, 1)                                                                                            \
    X(write, 9) X(writev, 4) X(try_write, 4) X(probe, 2) X(shutdown, 3) X(mend, 3) X(close, 3) X(close_soon, 3)        \
    X(reset, 3) X(own, 3) X(select, 7) X(try_select, 3) X(sleep, 4) X(yield, 4) X(spend, 3) X(abort, 1)                \
    X(token_cancel, 1) X(many_closes, 2) X(listener_close, 1)

enum kind {
#define X(name, often) KIND_##name,
    KINDS(X)
#undef X
    KINDS_COUNT
};

enum wrap { WRAP_NONE, WRAP_DEADLINE, WRAP_TOKEN, WRAP_SHIELD };

struct op {
    uint8_t kind, wrap, ms; /* ms: of the wrap's deadline */
    uint8_t a, b;           /* which stream; what else there is to say */
    uint16_t size;
};

struct plan {
    uint8_t shard, ops;
    bool stubborn; /* goes on when it was cancelled */
    struct op op[OPS];
};

struct program {
    uint64_t number;
    uint8_t shards, workers, fail_alloc, fail_uv;
    int fail_code;
    uint32_t shuffle;
    bool narrow; /* small buffers to send from */
    struct plan plan[WORKERS];
};

/* One direction of a connection. */
struct way {
    struct end *from, *to; /* NULL: not known, or there is none */
    uint64_t key;          /* of its pattern */
    uint64_t handed, got;  /* bytes that writes have told of; that reads have taken */
    uint64_t active;       /* at most so many more, by the write that goes on */
};

struct conn {
    unsigned port, listener; /* the client's port, and which listener */
    bool blind;              /* nobody can say for sure who is at the other end: nothing is known of its bytes */
    struct way way[2];       /* from the client, to the client */
};

/* A stream as some worker got it. */
struct end {
    uvt_stream_t *s;
    struct conn *conn;
    struct way *in, *out;
    unsigned shard, readers, sure_readers, writers, sure_writers, shutters;
    struct worker *owner;
    bool closing, closed;   /* perhaps; surely */
    uint64_t closed_at;     /* the shard's count of closes before */
    bool resets, shut, shut_perhaps, torn, soft; /* soft: a close may drop bytes that were handed over */
    bool eof, write_failed, spoilt;              /* spoilt: a failure was injected here */
};

struct worker {
    unsigned index, shard;
    const struct plan *plan;
    uvt_task_t task;
    const struct op *op; /* what it is at */
    uint64_t since;
    unsigned spent;      /* of its budget, at most */
    bool cancelling, ended;
    struct end *end;     /* that it is in a call on */
    unsigned listener;   /* that it accepts from */
    bool in_close, in_connect;
};

extern struct run {
    const struct program *p;
    struct worker worker[WORKERS];
    struct {
        uvt_listener_t *it;
        unsigned port, acceptors;
        bool closing, closed;
    } listener[LISTENERS];
    struct end end[ENDS];
    struct conn conn[ENDS + 32];
    unsigned ends, conns, expected_left, left;
    uint64_t closes[SHARDS];
    uvt_token_t *token;
    bool token_cancelled;
} run;

/* generate.c */
void program_of(struct program *p, uint64_t number);
void op_print(FILE *f, const struct op *op);
void program_print(FILE *f, const struct program *p);

/* model.c */
#define broken(...) broken_at(__FILE__, __LINE__, __VA_ARGS__)
#define HOLDS(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) broken("does not hold: %s", #cond);                                                               \
    } while (0)
UVT_NORETURN void broken_at(const char *file, int line, const char *format, ...) UVT_PRINTF(3, 4);
extern void (*broken_hook)(void);
void model_lock(void);
void model_unlock(void);
/* Which stream it is, for messages. */
int index_of(const struct end *e);
/* Once, before what follows. */
void pattern_make(void);
void pattern(char *buf, size_t size, const struct way *way, uint64_t at);
void check_bytes(const struct end *e, const char *buf, size_t n, uint64_t at);
bool injected(int rc);
bool perhaps_cancelled(const struct worker *w);
/* There is room for more streams. */
bool room(void);
/* The connection of that client's port that the side (0 client, 1 server) is new in. */
struct conn *conn_of(unsigned listener, unsigned port, int side);
void end_add(struct worker *w, uvt_stream_t *s, struct conn *c, int side);
/* A stream for an operation: an open one as a rule. NULL none. */
struct end *end_pick(const struct worker *w, unsigned n);
void end_closes(struct end *e);
bool peer_gone(const struct end *e);
/* A read says that no more will come; all: and that nothing has stayed. */
void check_end(const struct end *e, int rc, bool all);

/* A call on a stream: begin before, the check after. */
struct call {
    struct worker *w;
    struct end *e;
    bool was_closed, busy, sure; /* sure: once it is suspended, others are kept out */
    unsigned others;             /* sure ones, when it began */
    uint64_t got;                /* bytes taken before */
};
/* On a stream that the operation's number picks; false when there is none. */
bool call_begin(struct call *c, struct worker *w, const struct op *op);
void call_begin_on(struct call *c, struct worker *w, struct end *e);
/* True when the code is explained by what it is about all calls alike. */
bool call_failed(struct call *c, int rc, bool busy);
void call_reads(struct call *c, int by);
void call_writes(struct call *c, int by);

/* stuck.c: what the worker should not wait for, when nothing moves; or NULL. */
const char *stuck(const struct worker *w);

/* ops.c: an operation as its worker does it, with what the model is told before and after; ops_*.c: the kinds. */
int op_perform(struct worker *w, const struct op *op);
#define X(name, often) int do_##name(struct worker *w, const struct op *op);
KINDS(X)
#undef X
void check_accept(const struct worker *w, unsigned l, int rc, bool busy);
void accepted(struct worker *w, unsigned l, uvt_stream_t *s);

/* run.c */
void program_run(const struct program *p);

#endif
