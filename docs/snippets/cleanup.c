/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 4: a cancelled task cleans up by itself, and may take its time for it.
 */
#include <stdio.h>
#include <uvtask.h>

static int say_goodbye(void *arg) {
    int rc = uvt_sleep(20); /* a last message to a peer, say */
    printf("%s: goodbye %s\n", (const char *)arg, rc < 0 ? "cut short" : "said");
    return rc;
}

static void release(void *arg) {
    printf("%s: released\n", (const char *)arg);
}

static int job(void *arg) {
    uvt_defer(release, arg); /* runs however the task ends */
    printf("%s: started\n", (const char *)arg);

    int rc = uvt_sleep(60 * 1000);
    printf("%s: first sleep %s\n", (const char *)arg, uvt_err_name(rc));
    printf("%s: next sleep %s\n", (const char *)arg, uvt_err_name(uvt_sleep(1))); /* still cancelled */

    uvt_shielded(1000, say_goodbye, arg); /* the cancel does not reach inside; one second at most */
    return rc;
}

static int app(void *arg) {
    (void)arg;
    uvt_task_t t;
    uvt_result r;
    uvt_spawn(&t, job, "job");
    uvt_sleep(10);
    uvt_abort_why(t, "not needed any more");
    uvt_join(t, &r);
    printf("cancelled: %s, because: %s\n", r.outcome == UVT_CANCELLED ? "yes" : "no", r.reason.text);
    return 0;
}

int main(void) {
    return uvt_run(app, NULL, NULL);
}
