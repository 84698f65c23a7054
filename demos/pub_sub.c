/* SPDX-License-Identifier: MIT
 *
 * Mirrors Tokio's broadcast::channel(4) (tx.subscribe(), rx.recv() and its RecvError::Lagged(n), tx.send() that says
 * how many it reached) and watch::channel(config) (rx.changed(), rx.borrow_and_update()). A publisher sends eight
 * headlines and never waits for anybody. Two readers keep up; the third is away for a while, is told exactly how many
 * it has lost, and goes on with the oldest that is kept. The edition is a watch: who was away misses nothing by not
 * having seen the one in between, the latest is what counts.
 */
#include <stdio.h>
#include <uvtask.h>

enum { HEADLINES = 8, KEPT = 4, READERS = 3 };

struct headline {
    int number;
};

struct config {
    const char *edition; /* a literal: copies may share it */
};

struct reader {
    const char *name;
    uint64_t away_ms; /* after the first headline */
    uvt_subscriber_t news;
    uvt_watcher_t config;
};

struct paper {
    uvt_broadcast_t news;
    uvt_watch_t config;
};

static int publish(void *arg) {
    struct paper *p = arg;
    int rc = 0;
    for (struct headline h = { 1 }; h.number <= HEADLINES && rc >= 0; h.number++) {
        if (h.number == 3) rc = uvt_watch_set(&p->config, &(struct config){ "noon" });
        if (h.number == 6) rc = uvt_watch_set(&p->config, &(struct config){ "evening" });
        if (rc >= 0) rc = uvt_broadcast_send(&p->news, &h); /* at once, whatever the readers do */
        if (rc >= 0) printf("publisher: headline %d to %d readers\n", h.number, rc);
        if (rc >= 0) rc = uvt_yield(); /* those that have been woken run now */
    }
    uvt_broadcast_close(&p->news); /* readers take what is left, then see the end */
    return rc < 0 ? rc : 0;
}

static int on_headline(const struct reader *r, int rc, const struct headline *h) {
    if (rc == UVT_ELAGGED) {
        printf("  %s: lost %d headlines\n", r->name, (int)uvt_subscriber_lost(&r->news));
        return 0;
    }
    if (rc < 0) return rc;
    printf("  %s: headline %d\n", r->name, h->number);
    return h->number == 1 ? uvt_sleep(r->away_ms) : 0;
}

static int on_config(struct reader *r, int rc) {
    struct config c;
    if (rc == 0) rc = uvt_watch_get(&r->config, &c); /* the latest, which it has seen now */
    if (rc == 0) printf("  %s: the %s edition\n", r->name, c.edition);
    return rc;
}

static int reading(void *arg) {
    struct reader *r = arg;
    struct headline h;
    int rc = 0;
    while (rc >= 0) {
        uvt_case_t c[] = { uvt_case_watch_changed(&r->config), uvt_case_broadcast_recv(&r->news, &h) };
        rc = uvt_select(c, 2, UVT_SELECT_BIASED);
        if (rc >= 0) rc = rc == 0 ? on_config(r, c[0].result) : on_headline(r, c[1].result, &h);
    }
    if (rc == UV_EOF) printf("  %s: that was all\n", r->name);
    return rc == UV_EOF ? 0 : rc;
}

static int app(void *arg) {
    (void)arg;
    struct reader readers[READERS] = { { .name = "ada" }, { .name = "bob" }, { .name = "cy", .away_ms = 200 } };
    struct paper p = { 0 };
    uvt_set_t set;
    int rc = uvt_broadcast_open(&p.news, sizeof(struct headline), KEPT);
    if (rc < 0) return rc;
    rc = uvt_watch_open(&p.config, sizeof(struct config), &(struct config){ "morning" });
    if (rc == 0) rc = uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true });
    if (rc < 0) goto close;

    for (int i = 0; i < READERS && rc == 0; i++) {
        struct reader *r = &readers[i];
        rc = uvt_broadcast_subscribe(&r->news, &p.news); /* before the first one is sent, so they get them all */
        if (rc == 0) rc = uvt_watch_subscribe(&r->config, &p.config);
        if (rc == 0) rc = uvt_watch_mark_changed(&r->config); /* the first edition is news to them, too */
        if (rc == 0) rc = uvt_set_spawn(&set, reading, r);
    }
    if (rc == 0) rc = uvt_set_spawn(&set, publish, &p);
    if (rc == 0) rc = uvt_set_wait(&set);
    int closed = uvt_set_close(&set);
    if (rc == 0) rc = closed;
close:
    for (int i = 0; i < READERS; i++) {
        uvt_subscriber_close(&readers[i].news);
        uvt_watcher_close(&readers[i].config);
    }
    uvt_watch_close(&p.config);
    uvt_broadcast_close(&p.news); /* twice is as once */
    return rc;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "pub_sub: %s\n", uvt_strerror(rc));
    return rc < 0 ? 1 : 0;
}
