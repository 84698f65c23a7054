/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 000, Node.js: main with Promise.all over three fetchUser (setTimeout of 100 ms); and its Tokio
 * twin: three tokio::spawn(fetch_user) whose handles are awaited. Three waits of 100 ms overlap on one thread. A
 * fail_fast set is Promise.all, and more: when one fails, the others are cancelled and awaited.
 */
#include <stdio.h>
#include <uvtask.h>

struct user {
    int id;
    char name[16];
};

static int fetch_user(void *arg) {
    struct user *u = arg;
    int rc = uvt_sleep(100); /* a network round trip: the task waits, the thread does not */
    if (rc < 0) return rc;
    snprintf(u->name, sizeof u->name, "user-%d", u->id);
    return 0;
}

static int app(void *arg) {
    (void)arg;
    struct user users[3];
    uint64_t start = uvt_now();
    uvt_set_t set;
    int rc = uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true });
    if (rc < 0) return rc;

    for (int i = 0; i < 3 && rc >= 0; i++) {
        users[i].id = i + 1;
        rc = uvt_set_spawn(&set, fetch_user, &users[i]);
    }
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set); /* whatever happened: nobody uses users any more */
    if (rc < 0) return rc;

    printf("fetched [\"%s\",\"%s\",\"%s\"] in ~%d ms\n", users[0].name, users[1].name, users[2].name,
           (int)(uvt_now() - start));
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "promise_all: %s\n", uvt_strerror(rc));
    return rc < 0;
}
