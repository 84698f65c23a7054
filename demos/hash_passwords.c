/* SPDX-License-Identifier: MIT
 *
 * Mirrors document 002, Node.js: hashPasswords, a SHA-256 of each password repeated 200,000 times, which freezes the
 * event loop while it computes. The digests are those of node:crypto. Here every password is a job on the pool,
 * and a heartbeat on the loop measures how late it comes meanwhile.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <uvtask.h>

enum { PASSWORDS = 3, ROUNDS = 200000 };

struct hashing {
    const char *password;
    char hex[65];
};

/* createHash("sha256"), ROUNDS times update(password), digest("hex"). */
static int hash_password(void *arg) {
    struct hashing *h = arg;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    for (int i = 0; i < ROUNDS && ok; i++) ok = EVP_DigestUpdate(ctx, h->password, strlen(h->password));
    ok = ok && EVP_DigestFinal_ex(ctx, digest, &length);
    EVP_MD_CTX_free(ctx);
    for (unsigned i = 0; i < length; i++) snprintf(&h->hex[2 * i], 3, "%02x", digest[i]);
    return ok ? 0 : UV_EIO;
}

struct beat {
    int ticks, latest_ms;
};

/* Ticks every millisecond until it is aborted, and notes how late the latest tick was. */
static int heartbeat(void *arg) {
    struct beat *beat = arg;
    uvt_interval_t tick;
    uvt_interval_init(&tick, 1, UVT_MISSED_SKIP);
    for (;;) {
        uint64_t due = tick.next;
        int rc = uvt_interval_tick(&tick);
        if (rc < 0) return rc;
        int late_ms = (int)(uvt_now() - due);
        if (late_ms > beat->latest_ms) beat->latest_ms = late_ms;
        beat->ticks++;
    }
}

static int hash_all(struct hashing *h) {
    uvt_set_t set;
    int rc = uvt_set_open(&set, &(uvt_set_options){ .fail_fast = true });
    if (rc < 0) return rc;
    for (int i = 0; i < PASSWORDS && rc >= 0; i++) rc = uvt_set_spawn_blocking(&set, hash_password, &h[i]);
    if (rc >= 0) rc = uvt_set_wait(&set);
    uvt_set_close(&set);
    return rc;
}

static int app(void *arg) {
    (void)arg;
    struct hashing h[PASSWORDS] = { { "hunter2", "" }, { "swordfish", "" }, { "correct horse battery staple", "" } };
    struct beat beat = { 0 };
    uvt_task_t heart;
    int rc = uvt_spawn(&heart, heartbeat, &beat);
    if (rc < 0) return rc;

    rc = hash_all(h);
    if (rc >= 0) rc = uvt_abort(heart);
    if (rc >= 0) rc = uvt_join(heart, &(uvt_result){ 0 });
    if (rc < 0) return rc;

    for (int i = 0; i < PASSWORDS; i++) printf("%s: %s\n", h[i].password, h[i].hex);
    printf("heartbeat: %d ticks, at most %d ms late\n", beat.ticks, beat.latest_ms);
    return 0;
}

int main(void) {
    int rc = uvt_run(app, NULL, NULL);
    if (rc < 0) fprintf(stderr, "hash_passwords: %s\n", uvt_strerror(rc));
    return rc < 0;
}
