/* SPDX-License-Identifier: MIT
 *
 * The mailbox (src/core/mailbox.c): POSTERS threads post PER messages each; the loop drains, dozes, polls and closes,
 * at any moment. With -DDOZES it is a shard among several, which is nudged, too; without, a loop that is alone or
 * attached.
 *
 *   Poster            uvt__post_embedded: the load and the exchange are steps of their own; the link before the
 *                     exchange is nobody else's to see
 *   wake              wake(): touching the async and counting `woken` are two steps
 *   nudge             uvt__mailbox_nudge
 *   take              take_all; the list is the loop's own from the exchange on, so turning it round is one step
 *   drain             uvt__mailbox_drain with run_some; that it may stop early is DRAIN
 *   close_box         uvt__mailbox_close, and the uv_close that follows it (teardown in runtime.c)
 *   Loop              REST: on_prepare with rest.c fall_asleep (doze); ASYNC: uvt__on_async; CHECK: on_check with
 *                     rest.c get_up (rouse). A message's function may take an attached runtime down from inside drain.
 *
 * Left out: memory orders (all steps are sequentially consistent here), the messages' memory, foreign handles on the
 * loop (one event ends one poll at any time). The poll's `timeout` is spin's: nothing else in the model can move.
 *
 * Holds: what was accepted runs once, in the order of its poster, before the close is through; what was refused does
 * not run; a loop sleeps for ever only when all has run and the mark says ASLEEP; the async is not touched once it is
 * closed.
 *
 * BUG_DOZE   falls asleep without the mark's exchange telling that something has come
 * BUG_OWED   closes the async without waiting for the poster that is just waking it
 * BUG_REST   runs what the last drain left and does not look for more, having used up the async (so it once was)
 * BUG_INBOX  takes messages off the inbox after they have run, so that a close from inside one runs them again
 *            (so it once was)
 */
#define AWAKE 0 /* NULL, too */
#define ASLEEP 1
#define CLOSED 2
#define FIRST 3
#ifndef POSTERS
#define POSTERS 2
#define PER 2
#endif
#define MSGS (POSTERS * PER)
#define OWNER(m) (((m) - FIRST) / PER)

byte head = ASLEEP, next[FIRST + MSGS];
byte woken, owed;
bool async, async_closed;
bool accepted[FIRST + MSGS], ran[FIRST + MSGS];
byte last[POSTERS]; /* the newest message of each that has run */

inline wake() {
    atomic { assert(!async_closed); async = true };
    woken++
}

proctype Poster(byte p) {
    byte m = FIRST + p * PER, h;
    do
    :: m < FIRST + (p + 1) * PER ->
        h = head;
        do
        :: h == CLOSED -> break
        :: else ->
            if
            :: atomic { head == h -> next[m] = h; head = m; accepted[m] = true };
                if
                :: h == ASLEEP -> wake()
                :: else
                fi;
                break
            :: atomic { head != h -> h = head }
            fi
        od;
        atomic { h = 0; m++ }
    :: else -> break
    od
}

proctype Nudger() {
    if
    :: atomic { head == ASLEEP -> head = AWAKE }; wake()
    :: head != ASLEEP
    fi
}

inline take(mark) {
    d_step {
        msg = head;
        head = mark;
        inbox = 0;
        do
        :: msg > CLOSED -> before = next[msg]; next[msg] = inbox; inbox = msg; msg = before
        :: else -> break
        od;
#ifndef DOZES
        if
        :: msg == ASLEEP && inbox != 0 -> owed++
        :: else
        fi;
#endif
        msg = 0;
        before = 0
    }
}

inline execute(m) {
    assert(accepted[m] && !ran[m] && last[OWNER(m)] < m);
    ran[m] = true;
    last[OWNER(m)] = m
}

inline all_ran() {
    d_step {
        m = FIRST;
        do
        :: m < FIRST + MSGS -> assert(ran[m] == accepted[m]); m++
        :: else -> m = 0; break
        od
    }
}

inline run_all() {
    do
    :: inbox != 0 -> d_step { execute(inbox); inbox = next[inbox] }
    :: else -> break
    od
}

inline close_box() {
    run_all();
    take(CLOSED);
    run_all();
#ifndef BUG_OWED
    woken == owed;
#endif
    async_closed = true
}

inline after_a_message() {
#ifdef DOZES
    skip
#else
    if
    :: !nested -> nested = true; close_box()
    :: true
    fi
#endif
}

inline one() {
    d_step { msg = inbox; inbox = next[msg]; execute(msg); msg = 0 };
    after_a_message()
}

inline look() {
    if
    :: head > CLOSED ->
#ifdef DOZES
        take(AWAKE)
#else
        take(ASLEEP)
#endif
    :: else
    fi;
    looked = true
}

#ifdef BUG_INBOX
inline drain() {
    if
    :: inbox == 0 -> look()
    :: else
    fi;
    list = inbox;
    do
    :: list != 0 ->
        d_step { msg = list; list = next[msg]; execute(msg); msg = 0 };
        after_a_message()
    :: true -> break
    od;
    inbox = list;
    list = 0
}
#else
inline drain() {
#ifdef BUG_REST
    looked = inbox != 0;
#else
    looked = false;
#endif
    do
    :: inbox == 0 && !looked -> look()
    :: inbox != 0 -> one()
    :: inbox != 0 || looked -> break
    od;
    looked = false
}
#endif

mtype { REST, ASYNC, CHECK }

proctype Loop() {
    byte inbox, list, msg, before, m;
    mtype point = REST;
    bool asleep, looked, stop, nested, event = true;
    do
    :: point == REST ->
#ifdef DOZES
        drain();
        if
        :: inbox == 0 ->
#ifdef BUG_DOZE
            asleep = true; head = (head == AWAKE -> ASLEEP : head)
#else
            atomic { asleep = head == AWAKE; head = (asleep -> ASLEEP : head) }
#endif
        :: else
        fi;
#else
        asleep = inbox == 0;
#endif
        if
        :: atomic { async -> async = false; point = ASYNC }
        :: atomic { !asleep && !async -> point = CHECK }
        :: atomic { asleep && event -> event = false; point = CHECK }
        :: timeout -> all_ran(); assert(head == ASLEEP && inbox == 0); stop = true; point = CHECK
        fi
    :: point == ASYNC -> drain(); point = CHECK
    :: point == CHECK ->
#ifdef DOZES
        if
        :: asleep ->
            asleep = false;
            if
            :: atomic { head == ASLEEP -> head = AWAKE }
            :: head != ASLEEP -> owed++
            fi
        :: else
        fi;
        drain();
#else
        asleep = false;
        if
        :: inbox != 0 -> drain()
        :: else
        fi;
#endif
        point = REST;
        if
        :: async_closed -> break /* from inside a message */
        :: !async_closed -> close_box(); break
        :: !async_closed && !stop
        fi
    od;
    all_ran();
    assert(inbox == 0)
}

init {
    atomic {
#ifdef DOZES
        head = AWAKE; /* uvt__mailbox_join, before anybody posts */
        run Nudger();
#endif
        byte p;
        do
        :: p < POSTERS -> run Poster(p); p++
        :: else -> break
        od;
        run Loop()
    }
}
