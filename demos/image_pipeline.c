/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 002, "Real-World Example": a JoinSet of four tasks, each of which downloads an image (80 ms, 1 MB)
 * and has it processed by spawn_blocking. The downloads overlap, and the processing does not hold them up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uvtask.h>

enum { IMAGES = 4, IMAGE_BYTES = 1000000 };

struct image {
    unsigned id;
    unsigned char *bytes;
    uint64_t checksum;
};

/* I/O: mostly waiting. */
static int download(struct image *img) {
    int rc = uvt_sleep(80);
    if (rc < 0) return rc;
    img->bytes = malloc(IMAGE_BYTES);
    if (!img->bytes) return UV_ENOMEM;
    memset(img->bytes, (int)(img->id % 256), IMAGE_BYTES);
    return 0;
}

/* CPU: a fold over every byte stands in for real work. */
static int process(void *arg) {
    struct image *img = arg;
    for (size_t i = 0; i < IMAGE_BYTES; i++) img->checksum = img->checksum * 1099511628211u + img->bytes[i];
    return 0;
}

static int handle(void *arg) {
    struct image *img = arg;
    int rc = download(img);
    if (rc >= 0) rc = uvt_blocking(process, img); /* returns when the job has ended, cancelled or not */
    free(img->bytes);
    return rc;
}

static int app(void *arg) {
    (void)arg;
    struct image images[IMAGES];
    uint64_t start = uvt_now();
    uvt_set_t set;
    int rc = uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true });
    if (rc < 0) return rc;

    for (unsigned id = 0; id < IMAGES && rc >= 0; id++) {
        images[id] = (struct image){ .id = id };
        rc = uvt_set_spawn(&set, handle, &images[id]);
    }
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    if (rc < 0) return rc;

    for (int i = 0; i < IMAGES; i++)
        printf("image %u: checksum %llu\n", images[i].id, (unsigned long long)images[i].checksum);
    printf("elapsed = %d ms\n", (int)(uvt_now() - start));
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "image_pipeline: %s\n", uvt_strerror(rc));
    return rc < 0;
}
