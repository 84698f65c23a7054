/* SPDX-License-Identifier: MIT
 *
 * The crew: threads of libuv's pool while they work for us. They are borrowed with uv_queue_work on a loop that
 * nobody runs, one for the process; it is touched under the crew's lock only, and turned now and then, without
 * waiting, to get finished requests back. So no runtime's loop has a request of ours, and one may end
 * while a job goes on; and the requests are slots of a table, not parts of what they work for.
 *
 * A slot's thread takes one item after the other, looks about for a moment when there is none, sleeps a little, and
 * goes back to libuv. That saves the way through libuv's queue where work keeps coming. At most for_jobs slots are
 * active, so the reserve is never lent. Where libuv cannot keep a thread for itself (a pool of one) a slot does one
 * item only and gets in line again behind libuv's own work.
 *
 * No wake-up is lost: an item that comes is a token for a slot that looks about or sleeps, if one has no token yet;
 * else for a new slot, if there may be one; else every slot is busy and will look into the lanes before it leaves.
 */
#include "pool/pool.h"
#include <unistd.h>

#define MOST 1024            /* threads libuv's pool can have */
#define UNREAPED 64          /* finished requests that may lie about */
#define SLOTS (2 * MOST + 2 * UNREAPED) /* active ones, and those that have left and are on their way to the loop */
#define SPIN 200             /* looks before sleeping: a microsecond or two */
#define LINGER_NS 1000000    /* sleep before the thread goes back */

enum { FREE, QUEUED, ACTIVE, LEFT };

struct slot {
    uv_work_t req;
    struct slot *next; /* FREE: the next one */
    int state;
};

static uv_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uv_loop_t loop;            /* valid while open */
    uv_cond_t sleepers;        /* valid while open */
    uv_cond_t gone;            /* valid while open: to whoever closes */
    bool open;
    bool closing;              /* no runtime is left: do not linger */
    bool alone;                /* the pool has one thread; valid while open */
    struct slot slots[SLOTS], *free;
    unsigned used;             /* slots that were ever in use */
    unsigned active;           /* slots QUEUED or ACTIVE */
    unsigned busy;             /* those of them that are inside an item */
    unsigned unreaped;         /* slots LEFT */
    unsigned spinning, asleep; /* those that wait for a token */
    atomic_uint tokens;        /* written under the lock */
} crew;

void uvt__crew_lock(void) {
    uv_mutex_lock(&lock);
}

void uvt__crew_unlock(void) {
    uv_mutex_unlock(&lock);
}

/* ---- slots ---- */

/* In uv_run, so under the lock. */
static void reaped(uv_work_t *req, int status) {
    struct slot *me = req->data;
    (void)status;
    me->state = FREE;
    me->next = crew.free;
    crew.free = me;
    crew.unreaped--;
}

static void work(uv_work_t *req);

static int start_slot(void) {
    if (crew.unreaped >= UNREAPED) uv_run(&crew.loop, UV_RUN_NOWAIT);
    struct slot *me = crew.free ? crew.free : &crew.slots[crew.used];
    UVT_ASSERT(crew.free || crew.used < SLOTS, "more requests than libuv has threads");
    me->req.data = me;
    int rc = UVT_UV(uv_queue_work(&crew.loop, &me->req, work, reaped));
    if (rc < 0) return rc;
    if (crew.free) crew.free = me->next;
    else crew.used++;
    me->state = QUEUED;
    crew.active++;
    return 0;
}

/* Sees to it that one more thread looks for work, if there may be one. */
static int call_one(void) {
    unsigned waiting = crew.spinning + crew.asleep, tokens = atomic_load_explicit(&crew.tokens, memory_order_relaxed);
    if (tokens < waiting) {
        atomic_store_explicit(&crew.tokens, tokens + 1, memory_order_relaxed);
        if (tokens + 1 > crew.spinning) uv_cond_signal(&crew.sleepers);
        return 0;
    }
    unsigned for_jobs;
    uvt_pool_size(NULL, &for_jobs);
    return crew.active < for_jobs ? start_slot() : 0;
}

static bool take_token(void) {
    unsigned tokens = atomic_load_explicit(&crew.tokens, memory_order_relaxed);
    if (tokens == 0) return false;
    atomic_store_explicit(&crew.tokens, tokens - 1, memory_order_relaxed);
    return true;
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Nothing to do: waits for a token. False: the thread is to go back. */
static bool linger(void) {
    if (crew.closing || crew.alone) return false;
    crew.spinning++;
    uv_mutex_unlock(&lock);
    for (int i = 0; i < SPIN && atomic_load_explicit(&crew.tokens, memory_order_relaxed) == 0; i++) relax();
    uv_mutex_lock(&lock);
    crew.spinning--;
    if (take_token()) return true;
    crew.asleep++;
    uint64_t now = uv_hrtime(), until = now + LINGER_NS;
    bool token;
    while (!(token = take_token()) && !crew.closing && now < until) {
        uv_cond_timedwait(&crew.sleepers, &lock, until - now);
        now = uv_hrtime();
    }
    crew.asleep--;
    return token;
}

/* Leaves; false when there is work for which no other thread would come. */
static bool leave(struct slot *me) {
    if (crew.alone && !crew.closing && !uvt__lanes_idle() && start_slot() < 0) return false;
    me->state = LEFT;
    crew.active--;
    crew.unreaped++;
    if (crew.closing) uv_cond_signal(&crew.gone);
    return true;
}

/* A slot's thread. What an item still has to do when it is off our books (home) is done in the same turn without the
 * lock as the next item, so that an item costs one lock. */
static void work(uv_work_t *req) {
    struct slot *me = req->data;
    uvt__item *it, *done = NULL;
    const uvt__item_kind *kind = NULL;
    uint64_t now = uv_hrtime();
    bool stays = true;
    uv_mutex_lock(&lock);
    me->state = ACTIVE;
    for (;;) {
        it = stays ? uvt__lane_take(now) : NULL;
        if (!it && !done) {
            if ((!stays || !linger()) && leave(me)) break;
            stays = true;
            now = uv_hrtime();
            continue;
        }
        if (it) {
            crew.busy++;
            if (UNLIKELY(crew.closing)) uv_cond_signal(&crew.gone);
        }
        uv_mutex_unlock(&lock);
        if (done) kind->home(done);
        done = NULL;
        if (it) {
            kind = it->kind;
            kind->run(it);
            now = uv_hrtime();
        }
        uv_mutex_lock(&lock);
        if (!it) continue;
        crew.busy--;
        if (kind->home) done = it;
        uvt__lane_leave(it);
        if (kind->left && it->inside == 0) kind->left(it);
        stays = !crew.alone;
    }
    uv_mutex_unlock(&lock);
}

/* ---- open and close ---- */

/* After the last runtime. A slot that is inside an item stays, and with it the loop, for the next runtime. */
static void close_crew(void) {
    uv_mutex_lock(&lock);
    if (crew.open) {
        crew.closing = true;
        uv_cond_broadcast(&crew.sleepers);
        for (unsigned i = 0; i < crew.used; i++) {
            struct slot *other = &crew.slots[i];
            if (other->state != QUEUED || uv_cancel((uv_req_t *)&other->req) < 0) continue;
            other->state = LEFT;
            crew.active--;
            crew.unreaped++;
        }
        while (crew.active > crew.busy) uv_cond_wait(&crew.gone, &lock);
        while (crew.unreaped > 0) uv_run(&crew.loop, UV_RUN_ONCE);
        if (crew.active == 0) {
            int rc = uv_loop_close(&crew.loop);
            UVT_ASSERT(rc == 0, "the crew's loop has requests at its end");
            uv_cond_destroy(&crew.sleepers);
            uv_cond_destroy(&crew.gone);
            crew.open = false;
        }
    }
    uv_mutex_unlock(&lock);
}

static int open_crew(void) {
    unsigned threads;
    int rc;
    uvt_pool_size(&threads, NULL);
    crew.alone = threads == 1;
    crew.closing = false;
    if (crew.open) return 0;
    crew.loop.backend_fd = -1;
    if ((rc = UVT_UV(uv_loop_init(&crew.loop))) < 0) {
        /* libuv 1.44 leaves its epoll descriptor open when it fails half way. */
        if (crew.loop.backend_fd >= 0) close(crew.loop.backend_fd);
        return rc;
    }
    if ((rc = UVT_UV(uv_cond_init(&crew.sleepers))) < 0) {
        uv_loop_close(&crew.loop);
        return rc;
    }
    if ((rc = UVT_UV(uv_cond_init(&crew.gone))) < 0) {
        uv_cond_destroy(&crew.sleepers);
        uv_loop_close(&crew.loop);
        return rc;
    }
    crew.open = true;
    uvt__pool_close = close_crew;
    return 0;
}

/* ---- items come and go ---- */

int uvt__crew_submit(uvt__item *it) {
    it->copies = 1;
    it->since = uv_hrtime();
    uv_mutex_lock(&lock);
    int rc = LIKELY(crew.open && !crew.closing) ? 0 : open_crew();
    if (rc == 0 && uvt__lane_has_room(it->lane)) {
        rc = call_one();
        if (rc < 0 && crew.active > 0) rc = 0; /* they will get to it */
    }
    if (rc == 0) uvt__lane_push(it);
    uv_mutex_unlock(&lock);
    return rc == 0 || rc == UV_ENOMEM ? rc : UV_EAGAIN;
}

bool uvt__crew_withdraw(uvt__item *it) {
    uv_mutex_lock(&lock);
    bool waited = it->copies > 0;
    if (waited) uvt__lane_withdraw(it);
    uv_mutex_unlock(&lock);
    return waited;
}

void uvt__crew_call(uvt__item *it, unsigned copies) {
    it->copies = copies;
    it->since = 0; /* nobody asks how long it waited */
    uv_mutex_lock(&lock);
    if (crew.open && !crew.closing) {
        uvt__lane_push(it);
        for (unsigned i = 0; i < copies && call_one() == 0; i++) {}
    } else {
        it->copies = 0;
    }
    uv_mutex_unlock(&lock);
}

void uvt__crew_dismiss(uvt__item *it, uv_cond_t *none_inside) {
    uv_mutex_lock(&lock);
    if (it->copies > 0) uvt__lane_withdraw(it);
    while (it->inside > 0) uv_cond_wait(none_inside, &lock);
    uv_mutex_unlock(&lock);
}
