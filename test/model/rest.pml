/* SPDX-License-Identifier: MIT
 *
 * How shards find out that all of them sleep (src/shard/rest.c, and the marks of src/core/mailbox.c). N shards send
 * each other MESSAGES messages in all, from tasks and from the functions of other messages; two have a timer on the
 * virtual clock.
 *
 *   post, nudge       uvt__post_embedded, uvt__mailbox_nudge
 *   work              messages' functions and tasks run: each may post
 *   doze, get_up      uvt__mailbox_doze; get_up with uvt__mailbox_rouse
 *   epochs, look      epochs(), all_asleep(): one shard's word is one step
 *   everybody_sleeps  with uvt__group_clock; `quiet` is what it must have found out
 *   Shard             uvt__rest and fall_asleep; the poll; uvt__on_async, whose messages run before get_up; uvt__wake
 *
 * Left out: shards that something else can wake (their bits in rest.state make the look fail), tasks for any shard (a
 * shard does not doze with any in its own ring; steal.pml), what the end of a deadlock does.
 *
 * Holds: the clock moves and a deadlock is declared only when every shard sleeps and no message is under way, and when
 * that is so, one of them is sure to come.
 *
 * BUG_EPOCH        the looks are not compared
 * BUG_EPOCH_FIRST  in each look, the epoch of a shard is read just before its mark (so it once was)
 * BUG_ONE_LOOK     looks once
 */
#define N 3
#ifndef MESSAGES
#define MESSAGES 3
#endif
#define NEVER 9

bool asleep_mark[N];  /* the mark is ASLEEP; else AWAKE or messages */
byte mail[N];         /* messages in the mailbox */
bool async[N];        /* uv_async_send */
byte epoch[N], due[N] = NEVER; /* rest.epoch, rest.due */
byte clock, left = MESSAGES;
bool locked, over;

inline post(j) {
    d_step {
        mail[j]++;
        if
        :: asleep_mark[j] -> asleep_mark[j] = false; async[j] = true
        :: else
        fi
    }
}

inline nudge(j) {
    d_step {
        if
        :: asleep_mark[j] -> asleep_mark[j] = false; async[j] = true
        :: else
        fi
    }
}

inline work() {
    do
    :: atomic { left > 0 -> left-- };
        if
        :: post((me + 1) % N)
        :: post((me + 2) % N)
        fi
    :: true -> break
    od
}

inline sum_epochs(sum) {
    k = 0;
    do
    :: k < N -> atomic { sum = sum + epoch[k]; k++ }
    :: else -> break
    od
}

/* all_asleep: `all` stays true when all are; the earliest timer. */
inline look(sum) {
    k = 0;
    first_due = NEVER;
    do
    :: k < N && all ->
#ifdef BUG_EPOCH_FIRST
        sum = sum + epoch[k];
#endif
        all = asleep_mark[k];
        if
        :: atomic { due[k] < first_due -> first_due = due[k]; k++ }
        :: atomic { due[k] >= first_due -> k++ }
        fi
    :: else -> break
    od
}

inline quiet() {
    d_step {
        k = 0;
        do
        :: k < N -> assert(asleep_mark[k] && mail[k] == 0); k++
        :: else -> break
        od
    }
}

inline everybody_sleeps() {
    atomic { !locked -> locked = true };
    all = true;
#if !defined(BUG_EPOCH) && !defined(BUG_EPOCH_FIRST)
    sum_epochs(before);
#endif
    look(before);
#ifndef BUG_ONE_LOOK
    look(after);
#endif
#if !defined(BUG_EPOCH) && !defined(BUG_EPOCH_FIRST)
    if
    :: all -> sum_epochs(after)
    :: else
    fi;
#endif
    if
    :: all && before == after ->
        quiet();
        if
        :: first_due == NEVER -> over = true
        :: else ->
            assert(first_due > clock);
            clock = first_due;
            k = 0;
            do
            :: k < N ->
                if
                :: due[k] <= clock -> nudge(k)
                :: else
                fi;
                k++
            :: else -> break
            od
        fi
    :: else
    fi;
    atomic { before = 0; after = 0; k = 0; first_due = 0; all = false; locked = false }
}

proctype Shard(byte me; byte timer) {
    byte k, before, after, first_due;
    bool all, asleep;
    work();
    do
    :: mail[me] > 0 -> mail[me] = 0; work()
    :: else ->
        due[me] = timer;
        atomic {
            asleep = mail[me] == 0;
            asleep_mark[me] = asleep
        };
        if
        :: asleep -> everybody_sleeps()
        :: else
        fi;
end_poll: /* here one may stay for ever */
        if
        :: atomic { async[me] -> async[me] = false };
            if
            :: mail[me] > 0 -> mail[me] = 0; work()
            :: else
            fi
        :: !asleep && !async[me]
        fi;
        if
        :: asleep -> atomic { asleep = false; epoch[me]++ }; asleep_mark[me] = false
        :: else
        fi;
        if
        :: timer <= clock -> timer = NEVER; work()
        :: else
        fi
    od
}

init {
    atomic {
        run Shard(0, 1);
        run Shard(1, NEVER);
        run Shard(2, 2)
    }
    timeout -> assert(over && clock == 2)
}
