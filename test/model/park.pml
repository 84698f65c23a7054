/* SPDX-License-Identifier: MIT
 *
 * A wait that a task of one shard is woken from by another (src/core/wait.c, sched.c, cancel.c), with the semaphore as
 * the object. Tasks 0 (wants 2 permits) and 1 (wants 1, and is held back by 0) are on shard A, which also cancels
 * task 0 at any moment; shard B releases RELEASES permits. A task that got permits gives them back.
 *
 *   lock, unlock      uvt__lock of the semaphore; what lies between may still be interleaved with the other's steps
 *   acquire           uvt_semaphore_acquire_many with take_or_hook
 *   park              uvt_park. What arming a deadline may do there is one choice: it cancels task 0, be that the very
 *                     task that parks, or another one that holds its request back
 *   grant             grant with uvt__wait_wake: unpark on the task's own shard, a message from another
 *   abort             wait_abort: DONE when it was still hooked, else LATER
 *   unpark            uvt_unpark; cancel: visit with uvt__task_recheck and deliver
 *   A                 what runs next on A: a task's beginning or going on, a message, the cancel
 *
 * Left out: the mailbox (mailbox.pml; here a channel), the wait's place in memory: `frame` says whether it is alive.
 *
 * Holds: no permit is lost or doubled; a task goes on exactly once, with 0 exactly when the permits are its own; a
 * message never finds a wait that is gone; nobody waits for ever.
 *
 * BUG_LATER   abort answers DONE when the permits are already on their way
 * BUG_HOOKED  whether to park is asked of the wait after the unlock, not before (so it once was with a
 *             oneshot's watcher)
 * BUG_GRANT   abort does not look whether those behind can go now (with -DRELEASES=1)
 */
#ifndef RELEASES
#define RELEASES 2
#endif
#define WANT(i) (2 - (i))

mtype { NEW, PARKED, READY, DONE, OK, CANCELED }
mtype state[2] = NEW, result[2];
bool locked, hooked[2], got[2], cancelled[2], asked[2], frame[2];
bool park_task[2]; /* the park's `task` is not NULL */
byte available;
chan queue = [2] of { byte };
chan mail = [2] of { byte }; /* to A: wake_here */
bool released, fired;

inline lock() {
    atomic { !locked -> locked = true }
}

inline unlock() {
    locked = false
}

inline unpark(i, r) {
    d_step {
        assert(frame[i] && park_task[i]);
        park_task[i] = false;
        result[i] = r;
        if
        :: state[i] == PARKED -> state[i] = READY; asked[i] = false
        :: else
        fi
    }
}

inline unhook(i) {
    queue ?? eval(i);
    hooked[i] = false
}

inline grant(here, k) {
    do
    :: queue ? [k] ->
        queue ? <k>;
        if
        :: available >= WANT(k) ->
            available = available - WANT(k);
            assert(!got[k]);
            got[k] = true;
            unhook(k);
            if
            :: here -> unpark(k, OK)
            :: else -> mail ! k
            fi
        :: else -> break
        fi
    :: else -> break
    od
}

/* `later` is set to what it answers. */
inline abort(i) {
    lock();
    later = !hooked[i];
    if
    :: hooked[i] ->
        unhook(i);
#ifndef BUG_GRANT
        grant(true, k)
#endif
    :: else
    fi;
    unlock();
#ifdef BUG_LATER
    later = false
#endif
}

inline cancel(i) {
    fired = true;
    cancelled[i] = true;
    if
    :: state[i] == PARKED && !asked[i] ->
        asked[i] = true;
        abort(i);
        if
        :: later
        :: else -> unpark(i, CANCELED)
        fi
    :: else
    fi
}

inline release(n, here) {
    lock();
    available = available + n;
    grant(here, k);
    unlock()
}

inline finish(i, r) {
    assert(state[i] != DONE && got[i] == (r == OK));
    frame[i] = false;
    state[i] = DONE;
    if
    :: got[i] -> release(WANT(i), true)
    :: else
    fi
}

inline park(i) {
    park_task[i] = true;
    if
    :: !fired -> cancel(0)
    :: true
    fi;
    if
    :: !park_task[i] -> state[i] = READY /* completed_early */
    :: else ->
        later = true;
        if
        :: cancelled[i] -> abort(i); asked[i] = later
        :: else
        fi;
        if
        :: !park_task[i] -> state[i] = READY
        :: else ->
            if
            :: later -> state[i] = PARKED
            :: else -> park_task[i] = false; result[i] = CANCELED; state[i] = READY /* the yield */
            fi
        fi
    fi
}

inline acquire(i) {
    if
    :: cancelled[i] -> finish(i, CANCELED)
    :: else ->
        lock();
        waits = len(queue) > 0 || available < WANT(i);
        if
        :: waits -> queue ! i; hooked[i] = true; frame[i] = true
        :: else -> available = available - WANT(i); got[i] = true
        fi;
        unlock();
#ifdef BUG_HOOKED
        waits = hooked[i];
#endif
        if
        :: waits -> park(i)
        :: else -> finish(i, OK)
        fi
    fi
}

proctype A() {
    byte i, k;
    bool later, waits;
    do
    :: state[0] == NEW -> acquire(0)
    :: state[1] == NEW -> acquire(1)
    :: !fired -> cancel(0)
    :: mail ? i -> unpark(i, OK)
    :: state[0] == READY -> finish(0, result[0])
    :: state[1] == READY -> finish(1, result[1])
    :: state[0] == DONE && state[1] == DONE && released -> break
    od;
    assert(available == RELEASES && empty(queue) && empty(mail))
}

proctype B() {
    byte k, n;
    do
    :: n < RELEASES -> release(1, false); n++
    :: else -> break
    od;
    released = true
}

init {
    atomic { run A(); run B() }
}
