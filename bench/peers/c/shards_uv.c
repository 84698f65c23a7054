/* SPDX-License-Identifier: MIT
 *
 * uv_shards: two loops on two threads wake each other with uv_async_send, ns per round trip. What two shards that
 * sleep in their polls pay at least.
 */
#include "../../bench.h"
#include <pthread.h>
#include <uv.h>

enum { TRIPS = 20000 };

typedef struct side {
    uv_loop_t loop;
    uv_async_t async;
    struct side *other;
    int left; /* messages it still gets */
    int starts;
} side;

static void must(int rc, const char *what) {
    if (rc >= 0) return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(rc));
    exit(1);
}

/* The side that started sends again after every answer but the last; the other one answers all. */
static void on_message(uv_async_t *async) {
    side *s = async->data;
    s->left--;
    if (s->left || !s->starts) must(uv_async_send(&s->other->async), "send");
    if (!s->left) uv_close((uv_handle_t *)async, NULL);
}

static void *run(void *arg) {
    side *s = arg;
    uv_run(&s->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* Two loops and a thread are made for each sample too, which is nothing beside 20,000 round trips. */
static void pingpong(void) {
    side sides[2];
    pthread_t thread;
    for (int i = 0; i < 2; i++) {
        side *s = &sides[i];
        *s = (side){ .other = &sides[!i], .left = TRIPS, .starts = !i };
        must(uv_loop_init(&s->loop), "loop");
        must(uv_async_init(&s->loop, &s->async, on_message), "async");
        s->async.data = s;
    }
    must(-pthread_create(&thread, NULL, run, &sides[1]), "thread");
    must(uv_async_send(&sides[1].async), "send");
    run(&sides[0]);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++) must(uv_loop_close(&sides[i].loop), "loop");
}

int main(void) {
    bench_time(pingpong, TRIPS, "ns/trip");
    return 0;
}
