/* SPDX-License-Identifier: MIT
 *
 * A select (src/sync/select.c) over two objects that other threads complete (src/core/wait.c, semaphore.c). One task on
 * shard A leaves word at object 0, then at object 1; shard B releases a permit of object 0, shard C one of object 1,
 * and a cancel may come to A while it waits. Each object has a lock, a count and room for the one wait that there is.
 *
 *   lock, unlock      uvt__lock of one object; what lies between may be interleaved with what the others do
 *   claim             the compare-and-swap on the choice's `won`, which the winner may repeat
 *   grant             the waker under the lock: takes the wait out of the line, claims the choice and, when it has won,
 *                     takes the permit for it and sends the message
 *   attempt, hook     case_attempt and case_hook: the hook looks again under the lock
 *   withdraw          uvt__choice_withdraw, of a select that found a case possible while hooking, or of an abort
 *   unhook            case_unhook of one part: out of the line, unless somebody has taken it out
 *   A                 the task, and while it is parked its loop: a message, or the cancel
 *
 * Left out: the mailbox (mailbox.pml; here a channel), and where the parts lie: `frame` says whether they are alive.
 * Waking on one's own shard is a claim and a message that is run at once.
 *
 * Holds: no permit is lost or doubled; the select returns the case whose permit it has, or without one when it was
 * cancelled; a waker and a message never find parts that are gone; nobody waits for ever.
 *
 * NO_CANCEL     no cancel comes, which would end a wait that nobody else ends
 * BUG_CLAIM     the waker does not claim: it hands over to a wait whose task was served elsewhere
 * BUG_WITHDRAW  having found a case possible, the select takes it although another has been claimed for it
 * BUG_LOOK      the hook does not look again under the lock (with -DNO_CANCEL)
 * BUG_LEAVE     the select returns without having taken its other wait out
 * BUG_LATER     the abort answers DONE although somebody has claimed the choice
 * BUG_DROP      whoever has claimed does not send its message
 */
#define NONE 9
#define SELF 2

bool locked[2], hooked[2], frame, fired, cancelled;
byte available[2], won = NONE, got = NONE, wakers;
chan mail = [2] of { byte };

inline lock(x) {
    atomic { !locked[x] -> locked[x] = true }
}

inline unlock(x) {
    locked[x] = false
}

inline claim(by, ok) {
    d_step {
        if
        :: won == NONE || won == by -> won = by; ok = true
        :: else -> ok = false
        fi
    }
}

proctype Waker(byte x) {
    bool ok;
    lock(x);
    available[x]++;
    if
    :: hooked[x] ->
        assert(frame);
        hooked[x] = false;
#ifdef BUG_CLAIM
        ok = true;
        won = x;
#else
        claim(x, ok);
#endif
        if
        :: ok ->
            available[x]--;
#ifndef BUG_DROP
            mail ! x
#endif
        :: else
        fi
    :: else
    fi;
    unlock(x);
    wakers++
}

inline attempt(x) {
    lock(x);
    if
    :: available[x] > 0 ->
        available[x]--;
        assert(got == NONE);
        got = x
    :: else
    fi;
    unlock(x)
}

/* `possible` when it may be by now. */
inline hook(x) {
    lock(x);
#ifdef BUG_LOOK
    possible = false;
#else
    possible = available[x] > 0;
#endif
    if
    :: !possible -> hooked[x] = true
    :: else
    fi;
    unlock(x)
}

inline unhook(x) {
    lock(x);
    hooked[x] = false;
    unlock(x)
}

inline unhook_all() {
    unhook(0);
#ifndef BUG_LEAVE
    unhook(1)
#endif
}

proctype A() {
    byte x;
    bool possible, ok;
again:
    attempt(0);
    if
    :: got == NONE -> attempt(1)
    :: else
    fi;
    if
    :: got != NONE -> goto out
    :: else
    fi;
    won = NONE;
    frame = true;
    hook(0);
    if
    :: !possible -> hook(1)
    :: else
    fi;
    if
    :: possible ->
        claim(SELF, ok);
#ifdef BUG_WITHDRAW
        ok = true;
#endif
        if
        :: ok -> unhook_all(); frame = false; goto again
        :: else /* somebody is handing us the other: wait for it */
        fi
    :: else
    fi;
    do
    :: mail ? x ->
        assert(frame && won == x && got == NONE);
        got = x;
        break
#ifndef NO_CANCEL
    :: atomic { !fired -> fired = true };
        claim(SELF, ok);
#ifdef BUG_LATER
        ok = true;
#endif
        if
        :: ok -> cancelled = true; break
        :: else /* LATER */
        fi
#endif
    od;
    unhook_all();
out:
    frame = false;
    wakers == 2; /* what they do from here on is not for us */
    assert(empty(mail) && !hooked[0] && !hooked[1]);
    assert(cancelled == (got == NONE));
    assert(available[0] + available[1] == (cancelled -> 2 : 1));
    assert(got == NONE || available[got] == 0)
}

init {
    atomic { run A(); run Waker(0); run Waker(1) }
}
