/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, "Real-World Example": ten urls, a task each in a JoinSet, and a Semaphore(3) that lets three
 * of them fetch at a time. (uvt_set_options.limit would do as well, with three tasks instead of ten; the semaphore is
 * for a limit that several places share, like a connection pool's.)
 */
#include <stdio.h>
#include <string.h>
#include <uvtask.h>

enum { PAGES = 10 };

struct site {
    uvt_semaphore_t slots;
    int in_flight, most; /* measured: how many fetched at a time */
};

struct page {
    struct site *site;
    char url[40];
};

/* Returns the number of bytes. */
static int fetch(const char *url) {
    int rc = uvt_sleep(100); /* network latency */
    return rc < 0 ? rc : (int)strlen(url) * 10;
}

static int fetch_page(void *arg) {
    struct page *page = arg;
    struct site *site = page->site;
    int bytes = uvt_semaphore_acquire(&site->slots); /* first come, first served */
    if (bytes < 0) return bytes;

    if (++site->in_flight > site->most) site->most = site->in_flight;
    bytes = fetch(page->url);
    site->in_flight--;

    uvt_semaphore_release(&site->slots, 1);
    return bytes;
}

static int app(void *arg) {
    (void)arg;
    struct site site = { 0 };
    struct page pages[PAGES];
    int count = 0, total = 0;
    uint64_t start = uvt_now();
    uvt_result r;
    uvt_set_t set;
    int rc = uvt_semaphore_init(&site.slots, 3, 3);
    if (rc >= 0) rc = uvt_set_open(&set, NULL);
    if (rc < 0) return rc;

    for (int i = 0; i < PAGES && rc >= 0; i++) {
        pages[i].site = &site;
        snprintf(pages[i].url, sizeof pages[i].url, "https://example.com/page/%d", i + 1);
        rc = uvt_set_spawn(&set, fetch_page, &pages[i]);
    }
    while (rc >= 0 && (rc = uvt_set_next(&set, &r)) == 0) {
        if (r.status < 0)
            rc = r.status;
        else
            total += r.status;
        count++;
    }
    uvt_set_close(&set); /* had something failed: cancels and awaits the rest */
    if (rc != UV_EOF) return rc;

    printf("fetched %d pages (%d bytes) in ~%d ms with max %d concurrent\n", count, total, (int)(uvt_now() - start),
           site.most);
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "bounded_fetch: %s\n", uvt_strerror(rc));
    return rc < 0;
}
