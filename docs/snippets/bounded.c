/* SPDX-License-Identifier: MIT
 *
 * The guide, chapter 6: at most three at a time.
 */
#include <stdio.h>
#include <uvtask.h>

struct shop {
    uvt_semaphore_t tills;
    int inside, most;
};

static int customer(void *arg) {
    struct shop *shop = arg;
    int rc = uvt_semaphore_acquire(&shop->tills); /* first come, first served */
    if (rc < 0) return rc;
    if (++shop->inside > shop->most) shop->most = shop->inside; /* one thread: no lock */
    rc = uvt_sleep(10);
    shop->inside--;
    uvt_semaphore_release(&shop->tills, 1); /* goes to the one who waited longest */
    return rc;
}

static int app(void *arg) {
    (void)arg;
    struct shop shop = { .inside = 0 };
    uvt_semaphore_init(&shop.tills, 3, 3);
    uvt_set_t set;
    uvt_set_open(&set, NULL);
    for (int i = 0; i < 10; i++) uvt_set_spawn(&set, customer, &shop);
    int rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    printf("10 served, at most %d at a time\n", shop.most);
    return rc;
}

int main(void) {
    return uvt_run(app, NULL, NULL);
}
