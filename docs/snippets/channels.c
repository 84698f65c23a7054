/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 7: a pipeline with back-pressure, and a wait for several things.
 */
#include <stdio.h>
#include <uvtask.h>

static int produce(void *arg) {
    uvt_chan_t *numbers = arg;
    int rc = 0;
    for (int i = 1; i <= 5 && rc == 0; i++) rc = uvt_send(numbers, &i); /* waits while two are in it */
    uvt_chan_close(numbers, UVT_SEND); /* the last sender: receivers drain it, then see the end */
    return rc;
}

static int pipeline(void) {
    uvt_chan_t numbers, to_send;
    int rc = uvt_chan_open(&numbers, sizeof(int), 2, NULL);
    if (rc < 0) return rc;
    rc = uvt_chan_clone(&to_send, &numbers, UVT_SEND);
    uvt_chan_close(&numbers, UVT_SEND); /* this side only receives */
    if (rc == 0) rc = uvt_spawn(NULL, produce, &to_send);

    int n, sum = 0;
    while (rc == 0 && (rc = uvt_recv(&numbers, &n)) == 0) sum += n;
    printf("sum %d, then %s\n", sum, uvt_err_name(rc));
    uvt_chan_close(&numbers, UVT_RECV);
    return rc == UV_EOF ? 0 : rc;
}

static int stop_soon(void *arg) {
    int rc = uvt_sleep(25);
    uvt_token_cancel(arg, NULL);
    return rc;
}

static int wait_for_several(void) {
    uvt_chan_t jobs;
    uvt_token_t *stop;
    int job, ticks = 0, rc = uvt_chan_open(&jobs, sizeof job, 8, NULL);
    if (rc < 0) return rc;
    rc = uvt_token_new(&stop, NULL);
    if (rc == 0) rc = uvt_spawn(NULL, stop_soon, stop);
    for (bool stopped = false; rc == 0 && !stopped;) {
        uvt_case_t c[] = { uvt_case_recv(&jobs, &job), uvt_case_token(stop), uvt_case_sleep(10) };
        switch (uvt_select(c, 3, 0)) { /* exactly one of the three has happened */
        case 0: rc = c[0].result; break;
        case 1: stopped = true; break;
        case 2: ticks++; break;
        default: rc = UV_ECANCELED;
        }
    }
    printf("stopped after %d ticks\n", ticks);
    uvt_token_unref(stop);
    uvt_chan_close(&jobs, UVT_BOTH);
    return rc;
}

static int app(void *arg) {
    (void)arg;
    int rc = pipeline();
    return rc < 0 ? rc : wait_for_several();
}

int main(void) {
    return uvt_run(app, NULL, NULL);
}
