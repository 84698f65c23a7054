/* SPDX-License-Identifier: MIT
 *
 * What a shard among several does when it has nothing to run: it looks for messages, for tasks that it may take from
 * others, looks again for as long as spin_us says, and then sleeps in its poll, until a message, a timer or the kernel
 * wakes it.
 *
 * Without spin_us it lingers where that has lately paid: a wake-up costs some 20 us, a loop that has sent a message to
 * another and goes to sleep pays two of them for each answer. So if it slept for less than PROMPT_US after its last
 * messages, it looks for the next answer for LINGER_US first. When that is in vain it lets the next occasions pass,
 * twice as many each time. A shard that sends nothing sleeps at once, and so does everybody where there are more
 * shards than cores. It gives the processor to nobody meanwhile: where others want it they would keep it for longer
 * than a wake-up takes.
 *
 * Who goes to sleep says so first (hungry, ASLEEP) and looks again then, and who has something to give puts it down
 * first and looks then who sleeps: so one of the two sees the other.
 *
 * When nothing outside of the shards can wake any of them, the last one to fall asleep finds that out, by looking at
 * all of them twice: if every shard sleeps both times, and none has woken from before the first look until after the
 * second, then between the two all slept and no message was on its way. On the virtual clock that is when time moves
 * on; with nothing to move on to it is a deadlock.
 */
#include "shard/shard.h"

/* Bits of rest.state: what the shard waits for. */
enum {
    MESSAGES_ONLY = 1, /* no handle, request, job or foreign thread that could wake it */
    CLOCK_MAY_MOVE = 2, /* nothing is out that takes real time */
    FORGIVEN = 4        /* it has tasks that wait for blocking jobs which the end does not wait for */
};

#define FEW_TURNS 64  /* spinning: looks between two polls */
#define POLL_US 200   /* the same in time, where messages keep coming */
#define LINGER_US 50
#define PROMPT_US 100 /* that and the own wake-up */
#define MOST_VAIN 7   /* 127 occasions pass */

/* ---- everybody sleeps ---- */

struct look {
    unsigned all, any;  /* bits that all have, that some have */
    uint64_t due;       /* the earliest timer */
};

/* A sum, since epochs only grow. */
static uint64_t epochs(uvt__group *g) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < g->n; i++) sum += atomic_load(&g->box[i]->rest.epoch);
    return sum;
}

static bool all_asleep(uvt__group *g, struct look *l) {
    *l = (struct look){ .all = ~0u, .due = UVT_FOREVER };
    for (unsigned i = 0; i < g->n; i++) {
        uvt_runtime_t *m = g->box[i];
        if (!uvt__mailbox_asleep(m)) return false;
        l->all &= atomic_load(&m->rest.state);
        l->any |= atomic_load(&m->rest.state);
        uint64_t due = atomic_load(&m->rest.due);
        if (due < l->due) l->due = due;
    }
    return true;
}

void uvt__group_clock(uvt__group *g, uint64_t now) {
    atomic_store(&g->clock, now);
    for (unsigned i = 0; i < g->n; i++)
        if (atomic_load(&g->box[i]->rest.due) <= now) uvt__mailbox_nudge(g->box[i]);
}

static void everybody_sleeps(uvt__group *g) {
    struct look first, second;
    uv_mutex_lock(&g->lock);
    uint64_t before = epochs(g);
    if (all_asleep(g, &first) && all_asleep(g, &second) && epochs(g) == before) {
        if (g->virtual_clock && (second.all & CLOCK_MAY_MOVE) && second.due != UVT_FOREVER) {
            uvt__group_clock(g, second.due);
        } else if (second.all & MESSAGES_ONLY) {
            if (second.any & FORGIVEN) uvt__group_give_up(g);
            else uvt__group_deadlock(g);
        }
    }
    uv_mutex_unlock(&g->lock);
}

/* ---- going to sleep ---- */

static unsigned waits_for(uvt__shard *s) {
    unsigned state = 0;
    uv_unref(&s->bell.uv.handle); /* it is what keeps the loop from ending here */
    bool alone = !uv_loop_alive(s->loop) && s->externals == 0;
    uv_ref(&s->bell.uv.handle);
    if (alone && (!s->virtual_clock || s->wheel.armed == 0)) state |= MESSAGES_ONLY;
    if (s->virtual_clock && s->pool_reqs == 0 && s->externals == 0) state |= CLOCK_MAY_MOVE;
    if (s->jobs_forgiven > 0) state |= FORGIVEN;
    return state;
}

static void set_hungry(uvt__shard *s, bool to) {
    if (atomic_exchange(&s->mailbox->any.hungry, to) == to) return;
    if (to) atomic_fetch_add(&s->group->hungry, 1);
    else atomic_fetch_sub(&s->group->hungry, 1);
}

static bool busy(const uvt__shard *s) {
    return s->ready.head || s->yielded.head || s->inbox || s->stopped;
}

/* Messages and tasks of others; true when there is something to run now. */
static bool find_work(uvt__shard *s) {
    uvt__mailbox_drain(s);
    if (busy(s)) return true;
    return atomic_load(&s->mailbox->any.count) > 0 || uvt__any_steal(s);
}

static void run(uvt__shard *s) {
    uint64_t start = uv_hrtime();
    uvt__run_batch(s);
    uvt__any_learn(s, uv_hrtime() - start);
}

/* Looks for a while before it sleeps, running what comes, with a poll now and then. True when something came. */
static bool spin(uvt__shard *s, uint64_t us) {
    uint64_t now = uv_hrtime(), until = now + us * 1000, poll = now + POLL_US * 1000;
    for (unsigned turns = 0;; now = uv_hrtime()) {
        if (find_work(s)) {
            run(s);
            if (busy(s)) return true;
            if (++turns == FEW_TURNS || (now = uv_hrtime()) >= poll) break;
            until = now + us * 1000;
        } else if (now >= until || now / 1000000 >= uvt__wheel_next(&s->wheel)) {
            return turns > 0;
        }
        uvt__cpu_relax();
    }
    uvt__keep_turning(s);
    return true;
}

static void linger(uvt__shard *s) {
    struct uvt__linger *l = &s->linger;
    if (!l->sent || !l->prompt) return;
    if (l->skip > 0) {
        l->skip--;
        return;
    }
    if (spin(s, LINGER_US)) l->vain = 0;
    else if (l->vain < MOST_VAIN) l->vain++;
    l->skip = (uint8_t)((1u << l->vain) - 1);
}

static void get_up(uvt__shard *s) {
    s->asleep = false;
    if (s->linger.since) s->linger.prompt = uv_hrtime() - s->linger.since < PROMPT_US * 1000;
    atomic_fetch_add(&s->mailbox->rest.epoch, 1);
    uvt__mailbox_rouse(s->mailbox);
}

static void fall_asleep(uvt__shard *s) {
    uvt_runtime_t *m = s->mailbox;
    unsigned state = waits_for(s);
    atomic_store(&m->rest.state, state);
    atomic_store(&m->rest.due, s->virtual_clock ? uvt__wheel_next(&s->wheel) : UVT_FOREVER);
    bool hungry = !uvt__any_naps(s);
    set_hungry(s, hungry);
    s->linger.since = s->linger.sent && s->group->lingers ? uv_hrtime() : 0;
    s->linger.sent = false;
    s->asleep = uvt__mailbox_doze(m);
    /* After saying it: see above. Whoever wanted to feed us before we slept had no one to wake. */
    if (s->asleep && (uvt__any_waits(s) || atomic_load(&m->any.hungry) != hungry)) get_up(s);
    if (!s->asleep) uvt__keep_turning(s);
    else if (state) everybody_sleeps(s->group);
}

void uvt__rest(uvt__shard *s) {
    if (!busy(s) && find_work(s)) {
        run(s);
        if (!busy(s)) uvt__keep_turning(s); /* a poll between two batches */
    } else if (!busy(s) && s->opt.spin_us && !s->virtual_clock) {
        (void)spin(s, s->opt.spin_us);
    } else if (!busy(s) && s->group->lingers) {
        linger(s);
    }
    if (busy(s)) uvt__keep_turning(s);
    if (s->idling) return;
    if (s->virtual_clock && uvt__quiet_turn(s)) {
        uvt__keep_turning(s);
        return;
    }
    fall_asleep(s);
}

/* After the poll, or in it. */
void uvt__wake(uvt__shard *s) {
    if (s->asleep) get_up(s);
    set_hungry(s, false);
    if (!s->virtual_clock) return;
    uint64_t now = atomic_load(&s->group->clock);
    if (now == s->clock) return;
    s->clock = now;
    uvt__wheel_advance(s, now);
}
