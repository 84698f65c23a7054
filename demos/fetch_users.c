/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 001, Node.js: five fetchUser of 50 ms gathered by Promise.all; and its Tokio twin: handles pushed
 * to a Vec and awaited in a loop. Users come out in the order they were asked for, whoever was faster.
 */
#include <stdio.h>
#include <uvtask.h>

enum { USERS = 5 };

struct user {
    int id;
    char name[16];
};

static int fetch_user(void *arg) {
    struct user *u = arg;
    int rc = uvt_sleep(50); /* stands in for a database */
    if (rc < 0) return rc;
    snprintf(u->name, sizeof u->name, "user-%d", u->id);
    return 0;
}

static int app(void *arg) {
    struct user *users = arg;
    uvt_task_t tasks[USERS];
    int rc = 0;

    for (int i = 0; i < USERS && rc >= 0; i++) {
        users[i].id = i + 1;
        rc = uvt_spawn(&tasks[i], fetch_user, &users[i]);
    }
    printf("all fetches kicked off, event loop continues\n");
    for (int i = 0; i < USERS && rc >= 0; i++) rc = uvt_join(tasks[i], NULL);
    if (rc < 0) return rc;

    for (int i = 0; i < USERS; i++) printf("%s\"%s\"", i ? ", " : "[", users[i].name);
    printf("]\n");
    return 0;
}

int main(void) {
    struct user users[USERS]; /* here, so that they outlive every task, whatever goes wrong */
    int rc = uvt_run(app, users, NULL);
    if (rc < 0) fprintf(stderr, "fetch_users: %s\n", uvt_strerror(rc));
    return rc < 0;
}
