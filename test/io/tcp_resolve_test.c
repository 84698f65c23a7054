/* SPDX-License-Identifier: MIT
 *
 * uvt_tcp_connect to host names: which addresses are tried, in which order and when, and what becomes of a
 * resolution that is cancelled. No DNS is asked: this program brings its own getaddrinfo, which libuv's
 * worker threads call instead of the system's. It answers from a table that the test fills, and can be
 * held back. Lists it made and lists that were freed are counted.
 */
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "loopback.h"

static struct {
    const char *addresses[8]; /* numeric, in the order of the answer */
    int error;                /* EAI_*, given instead when not 0 */
    atomic_bool held;         /* wait for gate first */
    uv_sem_t gate;
    atomic_int asked, made, freed;
} dns;

static struct addrinfo *entry(const char *address, unsigned port) {
    struct place {
        struct addrinfo info;
        struct sockaddr_storage addr;
    } *p = calloc(1, sizeof *p);
    if (p == NULL) abort();
    p->info.ai_socktype = SOCK_STREAM;
    p->info.ai_protocol = IPPROTO_TCP;
    p->info.ai_addr = (struct sockaddr *)&p->addr;
    if (uv_ip4_addr(address, (int)port, (struct sockaddr_in *)&p->addr) == 0) {
        p->info.ai_addrlen = sizeof(struct sockaddr_in);
    } else {
        uv_ip6_addr(address, (int)port, (struct sockaddr_in6 *)&p->addr);
        p->info.ai_addrlen = sizeof(struct sockaddr_in6);
    }
    p->info.ai_family = p->addr.ss_family;
    return &p->info;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **res) {
    (void)name;
    (void)hints;
    atomic_fetch_add(&dns.asked, 1);
    if (dns.held) uv_sem_wait(&dns.gate);
    if (dns.error != 0) return dns.error;
    struct addrinfo **end = res;
    for (int i = 0; dns.addresses[i] != NULL; i++, end = &(*end)->ai_next)
        *end = entry(dns.addresses[i], service != NULL ? (unsigned)atoi(service) : 0);
    atomic_fetch_add(&dns.made, 1);
    return 0;
}

void freeaddrinfo(struct addrinfo *list) {
    atomic_fetch_add(&dns.freed, 1);
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

/* Connects to the name whose addresses the table holds, with the port of *arg, and closes. */
static int connects(void *arg) {
    uvt_stream_t *s = NULL;
    int rc = uvt_tcp_connect(&s, "two.test", *(unsigned *)arg);
    if (rc < 0) return rc;
    struct sockaddr_storage a;
    char text[64];
    CHECK_EQ(uvt_tcp_peername(s, &a), 0);
    uv_ip_name((struct sockaddr *)&a, text, sizeof text);
    uvt_test_step("%s", text);
    return uvt_close(s);
}

static void answer(const char *a, const char *b, const char *c) {
    dns.addresses[0] = a;
    dns.addresses[1] = b;
    dns.addresses[2] = c;
}

/* A plain listener at an address of 127/8 and a given port (0 any). */
static int listen_at(const char *address, unsigned port, int backlog) {
    struct sockaddr_in a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    CHECK_EQ(uv_ip4_addr(address, (int)port, &a), 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_EQ(listen(fd, backlog), 0);
    return fd;
}

UVT_TEST_REAL(resolve_name_connects_to_its_address) {
    int l = lo_raw_listen(8);
    unsigned port = lo_port_of(l);
    answer("127.0.0.1", NULL, NULL);
    CHECK_EQ(connects(&port), 0);
    CHECK_STEPS("127.0.0.1");
    CHECK_EQ(dns.asked, 1);
    CHECK_EQ(dns.freed, dns.made);
    close(l);
}

UVT_TEST_REAL(resolve_numeric_address_asks_nobody) {
    uvt_listener_t *l = lo_listen();
    uvt_stream_t *s = NULL;
    CHECK_EQ(uvt_tcp_connect(&s, "127.0.0.1", (unsigned)uvt_listener_port(l)), 0);
    CHECK_EQ(dns.asked, 0);
    CHECK_EQ(uvt_close(s), 0);
    CHECK_EQ(uvt_listener_close(l), 0);
}

UVT_TEST_REAL(resolve_failures_come_out_as_eai_codes) {
    const struct {
        int eai, uv;
    } codes[] = { { EAI_NONAME, UV_EAI_NONAME }, { EAI_AGAIN, UV_EAI_AGAIN }, { EAI_FAIL, UV_EAI_FAIL } };
    unsigned port = 80;
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++) {
        dns.error = codes[i].eai;
        CHECK_EQ(connects(&port), codes[i].uv);
    }
}

/* ---- several addresses: on the virtual clock, which stands while a name is being resolved ---- */

/* Connects to the name and checks where it came out and when: milliseconds. No descriptor of the race is left. */
static void check_connects(unsigned port, const char *address, uint64_t after) {
    lo_warm();
    unsigned fds = lo_fds();
    uint64_t t = uvt_now();
    CHECK_EQ(connects(&port), 0);
    CHECK_STEPS(address);
    CHECK_EQ(uvt_now() - t, after);
    CHECK_EQ(lo_fds(), fds);
    CHECK_EQ(dns.freed, dns.made);
}

UVT_TEST(resolve_first_address_refuses_second_is_taken_at_once) {
    int l = listen_at("127.0.0.3", 0, 8);
    answer("127.0.0.2", "127.0.0.3", NULL);
    check_connects(lo_port_of(l), "127.0.0.3", 0);
    close(l);
}

UVT_TEST(resolve_all_addresses_refuse_gives_refused) {
    int l = lo_raw_listen(8);
    unsigned port = lo_port_of(l);
    answer("127.0.0.2", "127.0.0.3", "127.0.0.4");
    lo_warm();
    unsigned fds = lo_fds();
    CHECK_EQ(connects(&port), UV_ECONNREFUSED);
    CHECK_EQ(lo_fds(), fds);
    close(l);
}

UVT_TEST(resolve_first_address_hangs_second_is_tried_after_250ms) {
    struct lo_hung h;
    lo_hung_fill(&h, listen_at("127.0.0.2", 0, 0));
    int l = listen_at("127.0.0.3", h.port, 8);
    answer("127.0.0.2", "127.0.0.3", NULL);
    check_connects(h.port, "127.0.0.3", 250);
    close(l);
    lo_hung_close(&h);
}

UVT_TEST(resolve_every_250ms_one_more_is_tried_and_a_refusal_counts_from_its_own_time) {
    struct lo_hung h;
    lo_hung_fill(&h, listen_at("127.0.0.2", 0, 0));
    int l = listen_at("127.0.0.4", h.port, 8);
    answer("127.0.0.2", "127.0.0.3", "127.0.0.4"); /* the second refuses, at 250 ms */
    check_connects(h.port, "127.0.0.4", 250);
    close(l);
    lo_hung_close(&h);
}

UVT_TEST(resolve_families_alternate) {
    if (!lo_have_ipv6()) return;
    struct lo_hung h;
    lo_hung_fill(&h, listen_at("127.0.0.2", 0, 0));
    int l4 = listen_at("127.0.0.3", h.port, 8);
    uvt_listener_t *l6 = NULL;
    CHECK_EQ(uvt_tcp_listen(&l6, "::1", h.port, 0), 0);
    answer("127.0.0.2", "127.0.0.3", "::1"); /* the third is of the other family: it comes second */
    check_connects(h.port, "::1", 250);
    CHECK_EQ(uvt_listener_close(l6), 0);
    close(l4);
    lo_hung_close(&h);
}

/* The resolver's order is kept: it knows better which family the machine reaches. */
UVT_TEST(resolve_the_family_that_the_answer_begins_with_comes_first) {
    if (!lo_have_ipv6()) return;
    struct lo_hung h;
    lo_hung_fill(&h, listen_at("127.0.0.2", 0, 0));
    uvt_listener_t *l6 = NULL;
    CHECK_EQ(uvt_tcp_listen(&l6, "::1", h.port, 0), 0);
    answer("::1", "127.0.0.2", NULL);
    check_connects(h.port, "::1", 0);
    CHECK_EQ(uvt_listener_close(l6), 0);
    lo_hung_close(&h);
}

UVT_TEST(resolve_the_other_family_is_tried_when_the_first_refuses) {
    int l = listen_at("127.0.0.3", 0, 8);
    answer("::1", "127.0.0.3", NULL); /* without IPv6 the first cannot be reached, which is as good */
    check_connects(lo_port_of(l), "127.0.0.3", 0);
    close(l);
}

/* Two addresses that do not answer; returns what is open besides while both are being tried. */
static unsigned two_hang(struct lo_hung *a, struct lo_hung *b) {
    lo_hung_fill(a, listen_at("127.0.0.2", 0, 0));
    lo_hung_fill(b, listen_at("127.0.0.3", a->port, 0));
    answer("127.0.0.2", "127.0.0.3", NULL);
    lo_warm();
    return lo_fds() + 2;
}

static void none_hang(struct lo_hung *a, struct lo_hung *b, unsigned fds) {
    CHECK_EQ(lo_fds(), fds - 2);
    CHECK_EQ(dns.freed, dns.made);
    lo_hung_close(a);
    lo_hung_close(b);
}

UVT_TEST(resolve_deadline_while_two_addresses_hang_closes_both) {
    struct lo_hung a, b;
    unsigned fds = two_hang(&a, &b);
    uint64_t t = uvt_now();
    CHECK_EQ(uvt_timeout(400, connects, &a.port), UV_ETIMEDOUT);
    CHECK_EQ(uvt_now() - t, 400);
    none_hang(&a, &b, fds);
}

UVT_TEST(resolve_abort_while_two_addresses_hang_closes_both) {
    struct lo_hung a, b;
    uvt_task_t t;
    uvt_result r;
    unsigned fds = two_hang(&a, &b);
    CHECK_EQ(uvt_spawn(&t, connects, &a.port), 0);
    CHECK_EQ(uvt_sleep(249), 0);
    CHECK_EQ(lo_fds(), fds - 1);
    CHECK_EQ(uvt_sleep(2), 0);
    CHECK_EQ(lo_fds(), fds);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0);
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    none_hang(&a, &b, fds);
}

/* ---- resolutions that are cancelled ---- */

static int goes_away_after_abort(void *arg) {
    unsigned port = *(unsigned *)arg;
    return connects(&port);
}

/* Aborts a connect whose resolution a worker is busy with; returns with the gate still shut. */
static void abort_held_resolution(void) {
    unsigned port = 80;
    uvt_task_t t;
    uvt_result r;
    CHECK_EQ(uv_sem_init(&dns.gate, 0), 0);
    dns.held = true;
    answer("127.0.0.1", NULL, NULL);
    uvt_spawn(&t, goes_away_after_abort, &port);
    while (atomic_load(&dns.asked) == 0) CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(uvt_abort(t), 0);
    CHECK_EQ(uvt_join(t, &r), 0); /* at once: the worker is still held */
    CHECK_EQ(r.outcome, UVT_CANCELLED);
    CHECK_EQ(atomic_load(&dns.made), 0);
}

static int scribbles(void *arg) {
    volatile char junk[16384];
    (void)arg;
    for (unsigned i = 0; i < sizeof junk; i++) junk[i] = (char)0xa5;
    return 0;
}

UVT_TEST_REAL(resolve_aborted_is_abandoned_and_its_answer_is_freed) {
    abort_held_resolution();
    for (int i = 0; i < 4; i++) { /* whoever still wrote to the task's stack would now hit these */
        uvt_task_t t;
        uvt_spawn(&t, scribbles, NULL);
        CHECK_EQ(uvt_join(t, NULL), 0);
    }
    uv_sem_post(&dns.gate);
    while (atomic_load(&dns.freed) == 0) CHECK_EQ(uvt_sleep(1), 0);
    CHECK_EQ(dns.freed, dns.made);
    uv_sem_destroy(&dns.gate);
}

static void opens_gate_later(void *arg) {
    (void)arg;
    uv_sleep(30);
    uv_sem_post(&dns.gate);
}

static int aborts_and_ends(void *arg) {
    abort_held_resolution();
    CHECK_EQ(uv_thread_create(arg, opens_gate_later, NULL), 0);
    return 0;
}

UVT_TEST_PLAIN(resolve_abandoned_when_the_runtime_ends_is_awaited) {
    uv_thread_t thread;
    CHECK_EQ(uvt_run(aborts_and_ends, &thread, NULL), 0);
    CHECK_EQ(dns.made, 1);
    CHECK_EQ(dns.freed, 1);
    uv_thread_join(&thread);
    uv_sem_destroy(&dns.gate);
}

static void opens_gate_soon(void *arg) {
    while (atomic_load(&dns.asked) == 0) uv_sleep(1);
    opens_gate_later(arg);
}

/* A name server's real time must not look like a virtual minute. */
UVT_TEST(resolve_stops_the_virtual_clock) {
    uv_thread_t thread;
    int l = lo_raw_listen(8);
    unsigned port = lo_port_of(l);
    uint64_t t = uvt_now();
    CHECK_EQ(uv_sem_init(&dns.gate, 0), 0);
    dns.held = true;
    answer("127.0.0.1", NULL, NULL);
    CHECK_EQ(uv_thread_create(&thread, opens_gate_soon, NULL), 0);
    CHECK_EQ(uvt_timeout(60000, connects, &port), 0);
    CHECK_EQ(uvt_now(), t);
    uv_thread_join(&thread);
    uv_sem_destroy(&dns.gate);
    close(l);
}

UVT_TEST_REAL(resolve_queued_behind_a_full_pool_is_cancelled_at_once) {
    enum { MANY = 12 }; /* libuv's pool has four threads: the others wait in its queue */
    unsigned port = 80;
    uvt_task_t t[MANY];
    uvt_result r;
    CHECK_EQ(uv_sem_init(&dns.gate, 0), 0);
    dns.held = true;
    dns.error = EAI_NONAME;
    for (int i = 0; i < MANY; i++) uvt_spawn(&t[i], connects, &port);
    while (atomic_load(&dns.asked) == 0) CHECK_EQ(uvt_sleep(1), 0);
    for (int i = 0; i < MANY; i++) CHECK_EQ(uvt_abort(t[i]), 0);
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(uvt_join(t[i], &r), 0);
        CHECK_EQ(r.outcome, UVT_CANCELLED);
    }
    for (int i = 0; i < MANY; i++) uv_sem_post(&dns.gate);
    dns.held = false;
    CHECK_EQ(connects(&port), UV_EAI_NONAME); /* the pool works again */
    CHECK_IN(atomic_load(&dns.asked), 2, 4 + 1 + 1); /* those that had not begun never did */
}

UVT_TEST_MAIN()
