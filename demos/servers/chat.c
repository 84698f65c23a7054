/* SPDX-License-Identifier: MIT
 *
 * A chat over TCP, one line a message, for telnet and netcat. The first line is the name; every further line goes to
 * everybody else through one broadcast channel, which never waits for anybody: a client that does not read loses
 * messages, and is told so and dropped. One task per connection waits for both directions at once (uvt_select), so it
 * needs no locks and no second task.
 *
 *     chat [--port N] [--max-connections N] [--backlog N] [--patience-ms N]
 */
#include <stdio.h>
#include <string.h>
#include <uvtask.h>

#include "options.h"
#include "stop.h"

enum { LINE = 256, NAME = 24, SEND_BUFFER = 16384 };

static unsigned port = 7001, max_connections = 1024, backlog = 64, patience_ms = 1000;

struct message {
    unsigned from; /* a client's id; 0: the room itself */
    unsigned size;
    char text[NAME + LINE + 8];
};

static struct {
    uvt_listener_t *listener;
    uvt_set_t clients;
    uvt_broadcast_t talk;
    unsigned here, last_id;
} room; /* everything runs on one loop: no locks */

struct client {
    uvt_stream_t *stream;
    uvt_subscriber_t ears;
    unsigned id;
    char name[NAME];
    char line[LINE]; /* what has come of the next line */
    size_t have;
    bool too_long;   /* the rest of this line is thrown away */
};

static void say(unsigned from, const char *name, const char *text) {
    struct message m = { .from = from };
    int n = snprintf(m.text, sizeof m.text, from ? "%s: %s\n" : "* %s %s\n", name, text);
    m.size = (unsigned)n;
    uvt_broadcast_send(&room.talk, &m); /* that nobody is here is no failure */
}

/* Everything is written under a time limit: a peer that takes nothing must not hold its task for ever. */
struct text {
    uvt_stream_t *stream;
    const char *bytes;
    size_t size;
};

static int write_text(void *arg) {
    struct text *t = arg;
    return uvt_write(t->stream, t->bytes, t->size, NULL);
}

static int tell(struct client *c, const char *bytes, size_t size) {
    return uvt_timeout(patience_ms, write_text, &(struct text){ c->stream, bytes, size });
}

static int notice(struct client *c, const char *text) {
    return tell(c, text, strlen(text));
}

static int got_line(struct client *c, const char *line) {
    if (c->name[0]) {
        say(c->id, c->name, line);
        return 0;
    }
    if (!line[0]) return notice(c, "* what is your name?\n");
    snprintf(c->name, sizeof c->name, "%.*s", NAME - 1, line);
    say(0, c->name, "has come");
    return 0;
}

/* A message of the room, or that some were lost: then the client is dropped. */
static int hear(struct client *c, int rc, const struct message *m) {
    if (rc == UVT_ELAGGED) {
        char text[80];
        snprintf(text, sizeof text, "* you are too slow: %llu messages lost, good-bye\n",
                 (unsigned long long)uvt_subscriber_lost(&c->ears));
        notice(c, text);
        return rc;
    }
    if (rc < 0 || m->from == c->id) return rc;
    return tell(c, m->text, m->size); /* while this waits, the room goes on, and its messages pile up */
}

/* Whoever says much at once is in the room, too, and must not lose messages for having said them. */
static int hear_all(struct client *c) {
    struct message m;
    int rc = 0;
    while (rc == 0) {
        int got = uvt_broadcast_try_recv(&c->ears, &m);
        if (got == UV_EAGAIN) break;
        rc = hear(c, got, &m);
    }
    return rc;
}

/* What can be read now; the select has said that there is something. */
static int read_lines(struct client *c) {
    char buf[512];
    ssize_t n = uvt_read(c->stream, buf, sizeof buf);
    if (n < 0) return (int)n;
    for (ssize_t i = 0; i < n; i++) {
        if (buf[i] == '\n') {
            if (c->have > 0 && c->line[c->have - 1] == '\r') c->have--;
            c->line[c->have] = '\0';
            int rc = c->too_long ? notice(c, "* that line was too long\n") : got_line(c, c->line);
            if (rc == 0) rc = hear_all(c);
            c->have = 0;
            c->too_long = false;
            if (rc < 0) return rc;
        } else if (c->have < sizeof c->line - 1) {
            c->line[c->have++] = buf[i];
        } else {
            c->too_long = true;
        }
    }
    return 0;
}

static int converse(struct client *c) {
    for (;;) {
        struct message m;
        uvt_case_t either[] = { uvt_case_readable(c->stream), uvt_case_broadcast_recv(&c->ears, &m) };
        int which = uvt_select(either, 2, 0);
        if (which < 0) return which;
        int rc = which == 0 ? read_lines(c) : hear(c, either[1].result, &m);
        if (rc == 0 && which == 0) rc = uvt_yield(); /* the others hear it before more is said */
        if (rc < 0) return rc;
    }
}

static int last_words(void *arg) {
    return notice(arg, "* the chat is over\n");
}

/* One connection, until its peer goes, is too slow, or the chat is stopped. */
static int client(void *arg) {
    struct client c = { .stream = arg, .id = ++room.last_id };
    uvt_stream_own(c.stream);
    int rc = uvt_broadcast_subscribe(&c.ears, &room.talk);
    if (rc == 0) {
        rc = notice(&c, "* what is your name?\n");
        if (rc == 0) rc = converse(&c);
        uvt_subscriber_close(&c.ears);
        if (rc == UV_ECANCELED) uvt_shielded(patience_ms, last_words, &c); /* it was told to stop, and is polite */
        if (c.name[0]) say(0, c.name, rc == UVT_ELAGGED || rc == UV_ETIMEDOUT ? "was too slow" : "has gone");
    }
    uvt_close(c.stream);
    return 0; /* a peer that goes away is no failure of the server's */
}

/* There was no memory for the task's stack. */
static void close_unserved(void *stream) {
    uvt_close_soon(stream);
}

static int accept_loop(void *arg) {
    (void)arg;
    for (;;) {
        uvt_stream_t *stream = NULL;
        int rc = uvt_accept(room.listener, &stream);
        if (rc == 0) {
            int size = SEND_BUFFER; /* or the kernel would hide for long that a client does not read */
            uv_send_buffer_size((uv_handle_t *)uvt_stream_handle(stream), &size);
            rc = uvt_set_spawn(&room.clients, client, stream);
        }
        if (rc == 0) continue;
        if (stream != NULL) uvt_close_soon(stream);
        if (rc == UV_ECANCELED) return rc;
        /* Most likely no descriptor or no memory is free; asking again at once would not change that. */
        if (uvt_sleep(100) < 0) return UV_ECANCELED;
    }
}

static int run(void *arg) {
    const uvt_set_options members = { .limit = max_connections, .discard = true, .drop = close_unserved };
    struct stop stop;
    (void)arg;
    int rc = uvt_tcp_listen(&room.listener, "127.0.0.1", port, 0);
    if (rc < 0) return rc;
    rc = stop_begin(&stop);
    if (rc < 0) goto close_listener;
    rc = uvt_broadcast_open(&room.talk, sizeof(struct message), backlog);
    if (rc < 0) goto end_stop;
    rc = uvt_set_open(&room.clients, &members);
    if (rc < 0) goto close_talk;

    printf("listening on 127.0.0.1:%d\n", uvt_listener_port(room.listener));
    fflush(stdout);
    uvt_under_token(stop.drain, accept_loop, NULL); /* until a signal comes */
    uvt_listener_close(room.listener);
    room.listener = NULL;
    rc = uvt_set_close(&room.clients); /* cancels the clients, who say good-bye, and waits for them */
    printf("stopped: %u connections\n", room.last_id);
close_talk:
    uvt_broadcast_close(&room.talk);
end_stop:
    stop_end(&stop);
close_listener:
    uvt_listener_close(room.listener);
    return rc;
}

static void report(void *arg, const char *text) {
    (void)arg;
    fprintf(stderr, "chat: %s\n", text);
}

int main(int argc, char **argv) {
    const struct number_option table[] = {
        { "port", "port to listen on, 0 for any", &port, 0, 65535 },
        { "max-connections", "connections served at a time", &max_connections, 1, 1000000 },
        { "backlog", "messages that a slow client may be behind", &backlog, 1, 100000 },
        { "patience-ms", "time that a client has to take a message", &patience_ms, 1, 60000 },
    };
    options_read(argc, argv, table, sizeof table / sizeof *table);
    int rc = uvt_run(run, NULL, &(uvt_options){ .report = report });
    if (rc < 0) fprintf(stderr, "chat: %s\n", uvt_strerror(rc));
    return rc < 0 ? 1 : 0;
}
