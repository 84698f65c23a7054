/* SPDX-License-Identifier: MIT
 *
 * When nothing moves any more the model is exact: who still waits has to have a reason.
 */
#include "streams.h"

static bool something_to_read(const struct end *e) {
    const struct end *peer = e->in->from;
    if (e->spoilt || e->conn->blind) return false;
    if (e->closed || (e->in->got < e->in->handed && !(peer && peer->soft))) return true;
    return peer ? peer->closed || peer->shut : peer_gone(e);
}

static bool somebody_to_accept(unsigned listener) {
    for (unsigned i = 0; i < run.conns; i++) {
        const struct conn *c = &run.conn[i];
        if (c->listener != listener || c->blind || !c->way[0].from || c->way[1].from) continue;
        /* Of one that closes it may have been accepted, and nobody could say whose it was. */
        if (!c->way[0].from->closing) return true;
    }
    return run.listener[listener].closed;
}

/* Whatever comes of a call, these end it. */
static const char *should_have_ended(const struct worker *w) {
    if (w->op->wrap == WRAP_DEADLINE || w->op->wrap == WRAP_SHIELD) return "its deadline";
    if (w->op->wrap == WRAP_TOKEN && run.token_cancelled) return "the token";
    if (w->cancelling) return "being cancelled";
    if (w->in_close) return "a close";
    if (w->in_connect) return "a connect";
    return NULL;
}

/* No more will come than there is, so a call that wants more should see the end. */
static bool at_end(const struct end *e) {
    return e->closed || !e->in->from || e->in->from->closed;
}

/* Without a stream the call is over, its worker runs on another shard; or it is a select of others. */
static const char *stuck_reading(const struct end *e, const struct op *op) {
    if (!e) return NULL;
    bool enough = true; /* what there is, for this call to return */
    if (op->kind == KIND_read_until) enough = at_end(e);
    if (op->kind == KIND_read_exact) enough = at_end(e) || e->in->handed - e->in->got >= op->size;
    return enough && something_to_read(e) ? "bytes that are there, or the end" : NULL;
}

const char *stuck(const struct worker *w) {
    const struct end *e = w->end;
    if (!w->op) return NULL;
    const char *why = should_have_ended(w);
    if (why) return why;
    switch ((enum kind)w->op->kind) {
    case KIND_accept:
        return somebody_to_accept(w->listener) ? "a connection that is there" : NULL;
    case KIND_read:
    case KIND_read_exact:
    case KIND_read_until:
    case KIND_drain:
    case KIND_peek:
    case KIND_select:
        return stuck_reading(e, w->op);
    case KIND_write:
    case KIND_writev:
    case KIND_shutdown:
        return e && (e->closed || (e->out->to && e->out->to->closed)) ? "a peer that is gone" : NULL;
    case KIND_crowd:
        return NULL;
    default:
        return "nothing";
    }
}
