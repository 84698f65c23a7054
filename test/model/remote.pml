/* SPDX-License-Identifier: MIT
 *
 * A task that runs elsewhere (src/shard/remote.c): its record, the end that comes home, and a cancel that may cross it.
 *
 *   Home              task_cancelled with send_cancel (once, as visit in cancel.c sees to), come_home, unref. Who waits
 *                     in uvt_call does the same
 *   There             begin (or, for a stolen one, uvt__remote_steal: its home may cancel it from then on, too), which
 *                     may fail; the guest, which may end by itself or go on until it is cancelled; guest_ended with
 *                     go_home; cancel_there; unref
 *   touch             the record is used: it must not have been freed. Freed is also given back to a thief, which uses
 *                     it for the next task (uvt__any_give_back): that is not modelled apart
 *
 * The order of a begin and its cancel in one mailbox is the channel's; mailbox.pml has shown it. Left out: a thread in
 * uvt_block_on, which cannot cancel.
 *
 * Holds: the record is freed exactly once, when nobody uses it any more; a message is not posted again while it is on
 * its way; the cancel does not touch a guest that has ended, and the guest that waits for it gets it; the end is told
 * once.
 *
 * BUG_REF    a cancel takes no reference
 * BUG_GUEST  the record keeps pointing at the guest that has ended
 * BUG_LATE   the record is cleaned up after the end was posted
 */
mtype { BEGIN, CANCEL, END }
chan there = [2] of { mtype };
chan home = [2] of { mtype };
byte refs = 1;
bool freed;
bool guest;           /* the record's pointer */
bool alive, ended;    /* the guest itself */
bool cancelled, told; /* at home */
bool msg_out, cancel_out;

inline touch() {
    assert(!freed)
}

inline unref() {
    d_step { touch(); assert(refs > 0); refs--; last = refs == 0 };
    if
    :: last -> touch(); freed = true
    :: else
    fi
}

proctype Home() {
    bool last;
    d_step { msg_out = true; there ! BEGIN };
    do
    :: !cancelled && !told ->
        cancelled = true;
        touch();
#ifndef BUG_REF
        refs++;
#endif
        assert(!cancel_out);
        cancel_out = true;
        there ! CANCEL
    :: home ? END ->
        msg_out = false;
        touch();
        assert(!told);
        told = true;
        unref()
    :: told -> break
    od
}

inline go_home() {
    touch();
#if !defined(BUG_GUEST) && !defined(BUG_LATE)
    guest = false;
#endif
    touch();
    assert(!msg_out);
    msg_out = true;
    home ! END;
#ifdef BUG_LATE
    touch();
    guest = false;
#endif
    ended = true
}

proctype There() {
    bool last, patient;
end:
    do
    :: there ? BEGIN ->
        touch();
        msg_out = false;
        if
        :: go_home() /* no memory for it */
        :: alive = true; guest = true
        :: alive = true; guest = true; patient = true
        fi
    :: there ? CANCEL ->
        touch();
        cancel_out = false;
        if
        :: guest -> assert(alive); patient = false
        :: else
        fi;
#ifndef BUG_REF
        unref()
#endif
    :: alive && !patient -> alive = false; go_home()
    od
}

init {
    atomic { run Home(); run There() }
    timeout -> assert(told && ended && freed && refs == 0 && empty(there) && empty(home))
}
