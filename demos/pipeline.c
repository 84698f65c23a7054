/* SPDX-License-Identifier: MIT
 *
 * Mirrors Node's stream.pipeline(source, transform, sink) with a highWaterMark, and Tokio's stages joined by
 * mpsc::channel(4): numbers come fast, three workers square them, and a sink takes one every 2 ms. The channels have
 * room for 4, so the source can never be further ahead of the sink than both channels and what the workers hold: that
 * is back-pressure. Nobody is told to stop; each stage ends when the one before it has.
 */
#include <stdio.h>
#include <uvtask.h>

enum { NUMBERS = 50, ROOM = 4, WORKERS = 3 };

struct stage {
    uvt_chan_t in, out; /* the ends that this stage holds */
};

static int produced, consumed, most_ahead;

static int source(void *arg) {
    struct stage *s = arg;
    int rc = 0;
    for (long i = 1; i <= NUMBERS && rc == 0; i++) {
        rc = uvt_send(&s->out, &i); /* waits while the channel is full */
        if (rc == 0 && ++produced - consumed > most_ahead) most_ahead = produced - consumed;
    }
    uvt_chan_close(&s->out, UVT_SEND);
    printf("source: done\n");
    return rc;
}

static int square(void *arg) {
    struct stage *s = arg;
    long n;
    int rc;
    while ((rc = uvt_recv(&s->in, &n)) == 0) {
        n *= n;
        if ((rc = uvt_send(&s->out, &n)) < 0) break;
    }
    uvt_chan_close(&s->in, UVT_RECV);
    uvt_chan_close(&s->out, UVT_SEND); /* the last of the workers ends the sink's input */
    return rc == UV_EOF ? 0 : rc;
}

static int sink(uvt_chan_t *in) {
    long n, sum = 0;
    int rc;
    while ((rc = uvt_recv(in, &n)) == 0) {
        consumed++;
        sum += n;
        if ((rc = uvt_sleep(2)) < 0) return rc;
    }
    printf("sink: sum of squares 1..=%d = %ld\n", NUMBERS, sum);
    return rc == UV_EOF ? 0 : rc;
}

static int app(void *arg) {
    (void)arg;
    struct stage first = { 0 }, worker[WORKERS] = { 0 };
    uvt_chan_t numbers, squares;
    uvt_set_t set;

    /* A stage gets the ends that it uses; ours are given back, or nobody would ever see the end. */
    int rc = uvt_chan_open(&numbers, sizeof(long), ROOM, NULL);
    if (rc < 0) return rc;
    rc = uvt_chan_open(&squares, sizeof(long), ROOM, NULL);
    if (rc < 0) goto close_numbers;
    rc = uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true });
    if (rc < 0) goto close_squares;
    rc = uvt_chan_clone(&first.out, &numbers, UVT_SEND);
    if (rc == 0) rc = uvt_set_spawn(&set, source, &first);
    for (int i = 0; i < WORKERS && rc == 0; i++) {
        rc = uvt_chan_clone(&worker[i].in, &numbers, UVT_RECV);
        if (rc == 0) rc = uvt_chan_clone(&worker[i].out, &squares, UVT_SEND);
        if (rc == 0) rc = uvt_set_spawn(&set, square, &worker[i]);
    }
    uvt_chan_close(&numbers, UVT_BOTH);
    uvt_chan_close(&squares, UVT_SEND);

    uint64_t start = uvt_now();
    if (rc == 0) rc = sink(&squares);
    if (rc == 0) rc = uvt_set_wait(&set);
    printf("the source was at most %d numbers ahead\n", most_ahead);
    printf("elapsed = %d ms\n", (int)(uvt_now() - start));
    int closed = uvt_set_close(&set);
    if (rc == 0) rc = closed;
close_squares:
    uvt_chan_close(&squares, UVT_BOTH);
close_numbers:
    uvt_chan_close(&numbers, UVT_BOTH);
    return rc;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "pipeline: %s\n", uvt_strerror(rc));
    return rc < 0 ? 1 : 0;
}
