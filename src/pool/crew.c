/* SPDX-License-Identifier: MIT
 *
 * The crew: threads of libuv's pool while they work for us. They are borrowed with uv_queue_work on a loop that
 * nobody runs, one for the process; it is touched under the crew's lock only, and turned now and then, without
 * waiting, to get finished requests back. So no runtime's loop has a request of ours, and one may end
 * while a job goes on; and the requests are slots of a table, not parts of what they work for.
 *
 * A slot's thread takes one item after the other, and goes back to libuv when there is none; but one stays and waits
 * for the next item, without a time limit (which alone costs 10 us), so jobs that come one by one cost what they
 * would without lanes. It is called after the lock was left, or it would wake up only to wait for that. At most
 * for_jobs slots are active, so the reserve is never lent. Where libuv cannot keep a thread for itself (a pool of one)
 * a slot does one item only and gets in line again behind libuv's own work.
 *
 * Threads are called one at a time: the one that comes calls the next if there is more than its own item. And a thread
 * that has run out of items looks for newcomers a few times before it sleeps, if its last item was one of many; as long
 * as it is going to, nobody has to call. Or a loop that brings many short items would make a system call for most of
 * them, and on one cpu be interrupted by the thread (26,000 switches for 100,000 jobs). With few jobs it would be in
 * vain: their loop sleeps, and a thread that has yielded is interrupted when it wakes it (33 us a trip instead of 11).
 *
 * Items that take less than the lock does are best left to one thread: more would only make each other wait for it and
 * carry its cache lines from processor to processor (twice the time for 100,000 jobs that do nothing). So when the last
 * items were that brief, a thread that comes to them or goes for its next one steps aside if another has just taken
 * one. One thread stands by, that is, it naps and looks; when the other is stuck in a longer item it takes over, and
 * then everybody does as usual again. The others leave. So an item that is wrongly thought to be brief costs those
 * behind it some 200 us, once. Calls for helpers are answered at once.
 *
 * Items come without the lock while no thread is to be called. That no item is overlooked: who brings one puts it into
 * the lanes' entrance and then looks whether a thread has to be called (spare); a slot that comes, leaves or goes to
 * sleep says so first and then looks into the entrance, or leaves that to the one that stands by.
 */
#include "pool/pool.h"
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MOST 1024            /* threads libuv's pool can have */
#define LOOKS 4              /* of a thread without an item, before it sleeps */
#define BRIEF 16             /* items that were brief, but for one or two: those to come will be, too */
#define NAP_US 100           /* of the thread that stands by, between two looks */
#define UNREAPED 64          /* finished requests that may lie about */
#define SLOTS (2 * MOST + 2 * UNREAPED) /* active ones, and those that have left and are on their way to the loop */

enum { FREE, QUEUED, ACTIVE, LEFT };

struct slot {
    uv_work_t req;
    struct slot *next; /* FREE: the next one */
    int state;
    bool called;       /* under crew.waiting: it may stop waiting */
};

static uv_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uv_mutex_t call_lock = PTHREAD_MUTEX_INITIALIZER; /* of the slots' called; no other is taken under it */
static struct {
    uv_loop_t loop;            /* valid while open */
    uv_cond_t gone;            /* valid while open: to whoever closes */
    uv_cond_t call;            /* valid while open: to slots that wait; for a moment there may be two */
    struct slot *waiter;       /* the slot that waits for an item, until it is called */
    bool open;
    bool closing;              /* somebody waits for gone */
    bool alone;                /* the pool has one thread; valid while open */
    bool exiting;              /* the process ends: libuv is about to wait for its threads */
    struct slot slots[SLOTS], *free;
    unsigned used;             /* slots that were ever in use */
    unsigned active;           /* slots QUEUED or ACTIVE */
    unsigned busy;             /* those of them that are inside an item */
    unsigned unreaped;         /* slots LEFT */
    bool coming;               /* a thread was called and has not taken the lock yet */
    bool looking;              /* a slot is about to look for newcomers */
    bool standby;              /* a slot stands by */
    unsigned brief;            /* grows with each brief item up to 2 * BRIEF, is halved by each other one */
    struct slot *taker;        /* who took the last item, until it takes none; or NULL */
    uint64_t taken;            /* when (uvt__lane_clock) */
    _Alignas(64) atomic_bool spare; /* whoever brings an item has to call a thread; written under the lock */
} crew = { .spare = true };

void uvt__crew_lock(void) {
    uv_mutex_lock(&lock);
}

void uvt__crew_unlock(void) {
    uv_mutex_unlock(&lock);
}

static const uvt__item_kind *kind_of(const uvt__item *it) {
    return it->lane == LANE_HELPERS ? &uvt__help_kind : &uvt__job_kind;
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

static void count_spare(void) {
    unsigned for_jobs;
    uvt_pool_size(NULL, &for_jobs);
    bool spare = !crew.coming && !crew.looking && (crew.waiter || (!crew.standby && crew.active < for_jobs));
    if (spare != atomic_load_explicit(&crew.spare, memory_order_relaxed)) atomic_store(&crew.spare, spare);
}

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
    crew.coming = true;
    return 0;
}

/* The reserve is another. */
static void reckon_anew(void) {
    uv_mutex_lock(&lock);
    count_spare();
    uv_mutex_unlock(&lock);
}

/* Sees to it that one more thread looks for work, if there may be one: a new one, or *waiter, to be woken when the lock
 * has been left. */
static int call_one(struct slot **waiter) {
    unsigned for_jobs;
    int rc = 0;
    uvt_pool_size(NULL, &for_jobs);
    if (crew.waiter) {
        *waiter = crew.waiter;
        crew.waiter = NULL;
        crew.coming = true;
    } else if (crew.active < for_jobs) {
        rc = start_slot();
    }
    count_spare();
    return rc;
}

static void wake(struct slot *waiter) {
    if (!waiter) return;
    uv_mutex_lock(&call_lock);
    waiter->called = true;
    uv_mutex_unlock(&call_lock);
    uv_cond_broadcast(&crew.call);
}

void uvt__crew_outside(bool outside) {
    struct slot *waiter = NULL;
    uv_mutex_lock(&lock);
    if (outside) {
        crew.busy++;
        crew.looking = false; /* if it is this one that was about to, it will not be soon */
        count_spare();
        if (!crew.closing && !uvt__lanes_idle()) call_one(&waiter);
    } else {
        crew.busy--;
    }
    if (crew.closing) uv_cond_signal(&crew.gone);
    uv_mutex_unlock(&lock);
    wake(waiter);
}

/* From here on whoever brings an item has to call a thread again; what was brought before, this one sees. */
static void has_come(void) {
    crew.coming = false;
    count_spare();
}

static bool may_wait(void) {
    return !crew.alone && !crew.closing && !crew.exiting && !crew.waiter && !crew.looking;
}

/* Waits for an item unless another slot does, with the lock held; false when it does not. */
static bool wait_for_item(struct slot *me) {
    if (!may_wait()) return false;
    crew.waiter = me;
    crew.coming = false; /* one that is may be behind libuv's own work */
    me->called = false;
    count_spare(); /* before the entrance is looked at once more */
    if (!uvt__lanes_idle()) {
        crew.waiter = NULL;
        return true;
    }
    uv_mutex_unlock(&lock);
    uv_mutex_lock(&call_lock);
    while (!me->called) uv_cond_wait(&crew.call, &call_lock);
    uv_mutex_unlock(&call_lock);
    uv_mutex_lock(&lock);
    return true;
}

/* Leaves; false when there is work for which no other thread would come. */
static bool leave(struct slot *me) {
    crew.active--;
    count_spare(); /* before the entrance is looked at once more */
    if (!crew.standby && !uvt__lanes_idle() && (!crew.alone || start_slot() < 0)) {
        crew.active++;
        count_spare();
        return false;
    }
    me->state = LEFT;
    crew.unreaped++;
    if (crew.closing) uv_cond_signal(&crew.gone);
    return true;
}

/* What a thread does that finds no item: sends the last one home (done, or NULL) and, if that was one of many, lets
 * others run and looks for newcomers; waits for them; leaves: then false. */
static bool without_item(struct slot *me, uvt__item *done, bool stays) {
    bool looks = stays && may_wait(), any = false;
    if (looks) {
        crew.looking = true;
        count_spare();
    }
    uv_mutex_unlock(&lock);
    bool more = done && kind_of(done)->home(done);
    for (int i = 0; looks && more && !any && i < LOOKS; i++) {
        sched_yield();
        any = uvt__lane_newcomers();
    }
    uv_mutex_lock(&lock);
    if (looks) crew.looking = false;
    return any || (stays && wait_for_item(me)) || !leave(me);
}

/* ---- brief items ---- */

/* Brief is what takes less than some 0.6 us. */
static void note_length(uint64_t took) {
    if (took > uvt__lane_moment() / 32) crew.brief /= 2;
    else if (crew.brief < 2 * BRIEF) crew.brief++;
}

/* Another thread works off the items, or is about to look for some, and they are so brief that this one would only be
 * in its way. */
static bool in_the_way(const struct slot *me, uint64_t now) {
    if (crew.brief < BRIEF || crew.closing || crew.exiting || uvt__lane_calls()) return false;
    return crew.looking || (crew.taker && crew.taker != me && now - crew.taken < 2 * uvt__lane_moment());
}

/* Sends its last item home (done, or NULL), and stands by while it would be in the way; leaves if another does already:
 * then false. With the lock held. */
static bool stand_by(struct slot *me, uvt__item *done) {
    static const struct timespec nap = { .tv_nsec = NAP_US * 1000 };
    if (done) {
        uv_mutex_unlock(&lock);
        kind_of(done)->home(done); /* first, as it may take long */
        uv_mutex_lock(&lock);
    }
    if (crew.standby) return !leave(me);
    crew.standby = true;
    count_spare();
    do {
        uv_mutex_unlock(&lock);
        nanosleep(&nap, NULL);
        uv_mutex_lock(&lock);
    } while (in_the_way(me, uvt__lane_clock()));
    crew.standby = false;
    if (crew.taker) crew.brief = 0; /* it is stuck in a long one */
    return true;
}

/* A slot's thread. What an item still has to do when it is off our books (home) is done without the lock in one go
 * with the next item, so that an item costs one lock. A thread that comes to the items calls the next one if there are
 * more of them: those that were brought before had called one at most. */
static void work(uv_work_t *req) {
    struct slot *me = req->data, *waiter = NULL;
    uvt__item *it, *done = NULL;
    uint64_t now = uvt__lane_clock();
    bool stays = true, comes = true;
    uv_mutex_lock(&lock);
    me->state = ACTIVE;
    for (;;) {
        if (comes) has_come();
        if ((int64_t)(now - crew.taken) < 0) now = uvt__lane_clock(); /* others had the lock meanwhile */
        bool aside = in_the_way(me, now);
        it = stays && !aside ? uvt__lane_take(now) : NULL;
        if (!it) {
            if (crew.taker == me) crew.taker = NULL;
            if (!(aside ? stand_by(me, done) : without_item(me, done, stays))) break;
            done = NULL;
            stays = comes = true;
            now = uvt__lane_clock();
            continue;
        }
        crew.busy++;
        crew.taker = me;
        crew.taken = now;
        if (UNLIKELY(crew.closing)) uv_cond_signal(&crew.gone);
        if (comes && !crew.standby && !uvt__lanes_idle()) call_one(&waiter);
        comes = false;
        uv_mutex_unlock(&lock);
        wake(waiter);
        waiter = NULL;
        if (done) kind_of(done)->home(done);
        const uvt__item_kind *kind = kind_of(it);
        uint64_t began = uvt__lane_clock();
        kind->run(it);
        now = uvt__lane_clock();
        uv_mutex_lock(&lock);
        crew.busy--;
        done = kind->home ? it : NULL;
        if (done) note_length(now - began);
        uvt__lane_leave(it);
        if (kind->left && it->inside == 0) kind->left(it);
        stays = !crew.alone;
    }
    uv_mutex_unlock(&lock);
}

/* ---- open and close ---- */

static void dismiss_waiter(void) {
    struct slot *waiter = crew.waiter;
    crew.waiter = NULL;
    wake(waiter);
}

/* Before libuv's own, which joins its threads. */
static void at_exit(void) {
    uv_mutex_lock(&lock);
    crew.exiting = true;
    dismiss_waiter();
    uv_mutex_unlock(&lock);
}

/* After the last runtime. A slot that is inside an item stays, and with it the loop, for the next runtime. */
static void close_crew(void) {
    uv_mutex_lock(&lock);
    if (crew.open) {
        crew.closing = true;
        dismiss_waiter();
        for (unsigned i = 0; i < crew.used; i++) {
            struct slot *other = &crew.slots[i];
            if (other->state != QUEUED || uv_cancel((uv_req_t *)&other->req) < 0) continue;
            other->state = LEFT;
            crew.active--;
            crew.unreaped++;
            crew.coming = false;
        }
        while (crew.active > crew.busy) uv_cond_wait(&crew.gone, &lock);
        while (crew.unreaped > 0) uv_run(&crew.loop, UV_RUN_ONCE);
        if (crew.active == 0) {
            int rc = uv_loop_close(&crew.loop);
            UVT_ASSERT(rc == 0, "the crew's loop has requests at its end");
            uv_cond_destroy(&crew.call);
            uv_cond_destroy(&crew.gone);
            crew.open = false;
        }
        crew.closing = false;
        count_spare();
    }
    uv_mutex_unlock(&lock);
}

static int open_crew(void) {
    unsigned threads;
    int rc;
    uvt_pool_size(&threads, NULL);
    crew.alone = threads == 1;
    crew.loop.backend_fd = -1;
    if ((rc = UVT_UV(uv_loop_init(&crew.loop))) < 0) {
        /* libuv 1.44 leaves its epoll descriptor open when it fails half way. */
        if (crew.loop.backend_fd >= 0) close(crew.loop.backend_fd);
        return rc;
    }
    if ((rc = UVT_UV(uv_cond_init(&crew.gone))) < 0) {
        uv_loop_close(&crew.loop);
        return rc;
    }
    if ((rc = UVT_UV(uv_cond_init(&crew.call))) < 0) {
        uv_cond_destroy(&crew.gone);
        uv_loop_close(&crew.loop);
        return rc;
    }
    static bool registered;
    if (!registered) registered = atexit(at_exit) == 0;
    uvt__lane_start_clock();
    crew.open = true;
    uvt__pool_close = close_crew;
    uvt__pool_changed = reckon_anew;
    return 0;
}

/* ---- items come and go ---- */

int uvt__crew_submit(uvt__item *it) {
    it->copies = 1;
    it->since = uvt__lane_clock();
    uvt__lane_offer(it);
    if (!atomic_load(&crew.spare)) return 0;
    struct slot *waiter = NULL;
    uv_mutex_lock(&lock);
    int rc = crew.open ? 0 : open_crew();
    if (rc == 0 && uvt__lane_wants(it)) rc = call_one(&waiter); /* unless a thread has taken it meanwhile */
    if (rc < 0) {
        if (crew.active > 0) rc = 0; /* they will get to it */
        else uvt__lane_unlink(it);
    }
    uv_mutex_unlock(&lock);
    wake(waiter);
    return rc == 0 || rc == UV_ENOMEM ? rc : UV_EAGAIN;
}

bool uvt__crew_withdraw(uvt__item *it) {
    uv_mutex_lock(&lock);
    bool waited = it->copies > 0;
    if (waited) uvt__lane_drop(it);
    uv_mutex_unlock(&lock);
    return waited;
}

void uvt__crew_call(uvt__item *it, unsigned copies) {
    struct slot *waiter = NULL; /* there is one at most */
    uv_mutex_lock(&lock);
    if (crew.open && !crew.closing) {
        it->copies = (uint16_t)copies;
        crew.brief = 0; /* nobody is to stand by */
        uvt__lane_offer(it);
        for (unsigned i = 0; i < copies && call_one(&waiter) == 0; i++) {}
    }
    uv_mutex_unlock(&lock);
    wake(waiter);
}

void uvt__crew_dismiss(uvt__item *it, uv_cond_t *none_inside) {
    uv_mutex_lock(&lock);
    if (it->copies > 0) uvt__lane_unlink(it);
    while (it->inside > 0) uv_cond_wait(none_inside, &lock);
    uv_mutex_unlock(&lock);
}
