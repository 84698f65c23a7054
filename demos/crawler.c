/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, "Real-World Example": a task per URL, a Semaphore of 2 around the fetch (20 ms) and the
 * checksum, which is computed by spawn_blocking; then the results, sorted. The document keeps its data alive with Arc
 * and move; here the pages are the parent's locals, and the set sees to it that nobody uses them later.
 */
#include <stdio.h>
#include <uvtask.h>

struct page {
    const char *url;
    uvt_semaphore_t *limit;
    char body[64];
    uint64_t checksum;
};

/* I/O: the task waits, the loop goes on. */
static int fetch(struct page *p) {
    int rc = uvt_sleep(20);
    if (rc < 0) return rc;
    snprintf(p->body, sizeof p->body, "<html>%s</html>", p->url);
    return 0;
}

/* CPU: runs on a thread of the pool. */
static int checksum(void *arg) {
    struct page *p = arg;
    for (const char *c = p->body; *c; c++) p->checksum = p->checksum * 31 + (unsigned char)*c;
    return 0;
}

static int crawl(void *arg) {
    struct page *p = arg;
    int rc = uvt_semaphore_acquire(p->limit);
    if (rc < 0) return rc;
    rc = fetch(p);
    if (rc >= 0) rc = uvt_blocking(checksum, p);
    uvt_semaphore_release(p->limit, 1);
    return rc;
}

static int app(void *arg) {
    (void)arg;
    uvt_semaphore_t limit;
    struct page pages[] = {
        { .url = "https://a.example" },
        { .url = "https://b.example" },
        { .url = "https://c.example" },
        { .url = "https://d.example" },
    };
    uvt_set_t set;
    int rc = uvt_semaphore_init(&limit, 2, 0);
    if (rc >= 0) rc = uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true });
    if (rc < 0) return rc;

    for (int i = 0; i < 4 && rc >= 0; i++) {
        pages[i].limit = &limit;
        rc = uvt_set_spawn(&set, crawl, &pages[i]);
    }
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    if (rc < 0) return rc;

    for (int i = 0; i < 4; i++) printf("%s -> %llu\n", pages[i].url, (unsigned long long)pages[i].checksum);
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "crawler: %s\n", uvt_strerror(rc));
    return rc < 0;
}
