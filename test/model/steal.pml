/* SPDX-License-Identifier: MIT
 *
 * Tasks that may begin anywhere (src/shard/any.c, with fall_asleep of rest.c and the messages of remote.c). Shard 0 is
 * their home: its main task pushes two of them, cancels the first, which ends only so, and waits for both. N - 1 others
 * steal. It is open whether main first computes, without suspending, until another shard has begun the second.
 *
 *   push              uvt__any_push, with uvt__any_feed; a step for each word that others see
 *   take              take(), under the ring's lock: one step, like the rest of what is done under it
 *   withdraw          uvt__any_withdraw, with the wait for the thief that has not written `behind` yet
 *   steal             uvt__any_steal, uvt__remote_steal; one at a time, `behind` being a step of its own
 *   post, nudge       uvt__post_embedded, uvt__mailbox_nudge on the mailbox as mailbox.pml has it
 *   Shard             find_work; set_hungry, doze, the look, get_up; the poll; uvt__wake
 *
 * Left out: the records (remote.pml), more than one task at a time (HAUL), a thief that has too many out (OUT), the
 * hole that a withdrawn task leaves in the ring, tasks that compute on a thief.
 *
 * Holds: each task runs once; the cancel reaches it in the ring, between ring and thief, on the thief, at home, or
 * after its end; a shard that sleeps counts as hungry, or somebody is about to wake it, so main does not compute for
 * ever; all shards end.
 *
 * BUG_LOOK    falls asleep without a last look at the rings
 * BUG_FED     does not look whether somebody has fed it before it slept (so it once was)
 * BUG_BEHIND  the cancel at home does not wait for `behind`
 */
#ifndef N
#define N 3
#endif

mtype { NEW, SHARED, READY, WAITS, AWAY, DONE } /* a task at home */
mtype { CANCEL, END, STOP }
chan mail[N] = [4] of { mtype, byte };
bool asleep_mark[N], async[N], hungry[N], feeding[N];
byte count, hungry_shards;
bool in_ring[2], behind[2];
byte there[2], begun[2];
mtype state[2] = NEW;
mtype guest[2] = NEW; /* on the thief: READY, WAITS, DONE */
bool cancelled[2];

#define BLOCKS(t) (t == 0 && !cancelled[t]) /* the first waits to be cancelled */

inline wake(j) {
    if
    :: asleep_mark[j] -> asleep_mark[j] = false; async[j] = true
    :: else
    fi
}

inline post(j, what, t) {
    atomic { mail[j] ! what, t; wake(j) }
}

inline feed(from) {
    k = 1;
    do
    :: k < N && hungry[(from + k) % N] ->
        atomic {
            fed = hungry[(from + k) % N];
            hungry[(from + k) % N] = false;
            feeding[(from + k) % N] = feeding[(from + k) % N] || fed
        };
        if
        :: fed ->
            hungry_shards--;
            atomic { wake((from + k) % N); feeding[(from + k) % N] = false };
            break
        :: else -> k++
        fi
    :: k < N && !hungry[(from + k) % N] -> k++
    :: k == N -> break
    od;
    atomic { k = 0; fed = false }
}

inline push(t) {
    state[t] = SHARED;
    atomic { in_ring[t] = true; count++ };
    if
    :: hungry_shards > 0 -> feed(0)
    :: else
    fi
}

/* The oldest into `got`; 2: none. */
inline take() {
    atomic {
        got = 2;
        if
        :: in_ring[0] -> got = 0
        :: !in_ring[0] && in_ring[1] -> got = 1
        :: else
        fi;
        if
        :: got < 2 -> in_ring[got] = false; count--
        :: else
        fi
    }
}

inline begins(t) {
    assert(begun[t] == 0);
    begun[t]++
}

inline cancel_at_home(t) {
    if
    :: state[t] == SHARED ->
        atomic {
            here = in_ring[t];
            if
            :: here -> in_ring[t] = false; count--
            :: else
            fi
        };
        if
        :: here -> cancelled[t] = true; state[t] = READY
        :: else ->
#ifndef BUG_BEHIND
            behind[t];
#endif
            assert(behind[t]);
            state[t] = AWAY;
            post(there[t], CANCEL, t)
        fi
    :: state[t] == READY -> cancelled[t] = true
    :: state[t] == WAITS -> cancelled[t] = true; state[t] = READY
    :: state[t] == DONE
    fi
}

inline drain() {
    do
    :: mail[me] ? CANCEL, got ->
        assert(there[got] == me);
        cancelled[got] = true;
        if
        :: guest[got] == WAITS -> guest[got] = READY
        :: else -> assert(guest[got] == READY || guest[got] == DONE)
        fi
    :: mail[me] ? END, got -> assert(state[got] != DONE); state[got] = DONE
    :: mail[me] ? STOP, _ -> stop = true
    :: empty(mail[me]) -> got = 0; break
    od
}

inline steal() {
    take();
    if
    :: got < 2 ->
        there[got] = me;
        behind[got] = true;
        guest[got] = READY;
        if
        :: count > 0 && hungry_shards > 0 -> feed(me)
        :: else
        fi
    :: else
    fi
}

inline run_home(t) {
    if
    :: begun[t] == 0 -> begins(t)
    :: else
    fi;
    state[t] = (BLOCKS(t) -> WAITS : DONE)
}

inline run_guest(t) {
    if
    :: begun[t] == 0 -> begins(t)
    :: else
    fi;
    if
    :: BLOCKS(t) -> guest[t] = WAITS
    :: else -> guest[t] = DONE; post(0, END, t)
    fi
}

inline main_goes_on() {
    if
    :: pc == 0 -> push(0); pc = 1
    :: pc == 1 ->
        push(1);
        if
        :: true -> begun[1] > 0 /* computes */
        :: true
        fi;
        pc = 2
    :: pc == 2 -> cancel_at_home(0); pc = 3
    :: pc == 3 && state[0] == DONE && state[1] == DONE ->
        pc = 4;
        stop = true;
        got = 1;
        do
        :: got < N -> post(got, STOP, 0); got++
        :: else -> got = 0; break
        od
    fi
}

#define MAIN_READY (me == 0 && (pc < 3 || pc == 3 && state[0] == DONE && state[1] == DONE))
#define GUEST_READY(t) (guest[t] == READY && there[t] == me)

proctype Shard(byte me) {
    byte pc, got, k;
    bool stop, asleep, here, fed;
    do
    :: stop -> break
    :: else ->
        drain();
        if
        :: stop
        :: !stop && MAIN_READY -> main_goes_on()
        :: me == 0 && state[0] == READY -> run_home(0)
        :: me == 0 && state[1] == READY -> run_home(1)
        :: me == 0 && count > 0 ->
            take();
            if
            :: got < 2 -> state[got] = READY
            :: else
            fi
        :: GUEST_READY(0) -> run_guest(0)
        :: GUEST_READY(1) -> run_guest(1)
        :: me != 0 && count > 0 && !GUEST_READY(0) && !GUEST_READY(1) -> steal()
        :: else -> /* fall_asleep */
            if
            :: atomic { !hungry[me] -> hungry[me] = true }; hungry_shards++
            :: hungry[me]
            fi;
            atomic {
                asleep = empty(mail[me]);
                asleep_mark[me] = asleep
            };
            if
            :: asleep ->
                here = false;
#ifndef BUG_LOOK
                here = count > 0;
#endif
#ifndef BUG_FED
                here = here || !hungry[me];
#endif
                if
                :: here -> asleep = false; asleep_mark[me] = false
                :: else -> atomic { assert(hungry[me] || feeding[me] || !asleep_mark[me] || async[me]) }
                fi
            :: else
            fi;
            if /* the poll */
            :: atomic { async[me] -> async[me] = false }
            :: !asleep && !async[me]
            fi;
            if
            :: asleep -> asleep = false; asleep_mark[me] = false
            :: else
            fi;
            if
            :: atomic { hungry[me] -> hungry[me] = false }; hungry_shards--
            :: !hungry[me]
            fi
        fi
    od
}

init {
    byte i;
    atomic {
        do
        :: i < N -> run Shard(i); i++
        :: else -> break
        od
    }
    timeout -> assert(begun[0] == 1 && begun[1] == 1 && state[0] == DONE && state[1] == DONE && count == 0)
}
