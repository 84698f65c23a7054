/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 002, "Rust Equivalent": futures::future::join_all over fetch of three urls, 100 ms each. Results
 * are in the order of the urls.
 */
#include <stdio.h>
#include <string.h>
#include <uvtask.h>

enum { URLS = 3 };

static int fetch(void *arg) {
    const char *url = arg;
    int rc = uvt_sleep(100); /* stands in for a network round trip */
    return rc < 0 ? rc : (int)strlen(url);
}

static int app(void *arg) {
    (void)arg;
    static char urls[URLS][32] = { "https://a.example", "https://b.example", "https://c.example" };
    int results[URLS], rc = 0;
    uvt_task_t tasks[URLS];
    uint64_t start = uvt_now();

    for (int i = 0; i < URLS && rc >= 0; i++) rc = uvt_spawn(&tasks[i], fetch, urls[i]);
    for (int i = 0; i < URLS && rc >= 0; i++) rc = results[i] = uvt_join(tasks[i], NULL);
    if (rc < 0) return rc;

    printf("results = [%d, %d, %d]\n", results[0], results[1], results[2]);
    printf("elapsed = %d ms\n", (int)(uvt_now() - start));
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "join_all: %s\n", uvt_strerror(rc));
    return rc < 0;
}
