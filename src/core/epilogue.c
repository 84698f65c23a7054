/* SPDX-License-Identifier: MIT
 *
 * The end of a task that owns something: children and sets are cancelled and awaited, defers run, last first,
 * resources left open (and locks left held) are given back and reported. A panic goes the same way, from the depth at
 * which it happened: the frames above are given up, but stay as they are until everything that may point into them
 * has ended.
 */
#include "core/core.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__thread uvt__work *uvt__working __attribute__((tls_model("initial-exec")));

static void await_children(uvt__shard *s, uvt__task *t) {
    if (!t->node.child) return;
    uvt__cancel_children(s, &t->node, (uvt_reason){ .code = UVT_REASON_OWNER });
    /* Those that have ended already give up their results now, the others as they end. */
    for (uvt__node *c = t->node.child, *next; c; c = next) {
        next = c->next;
        if (uvt__is_set(c)) {
            uvt__set_abandon(s, SET_OF(c));
        } else if (TASK_OF(c)->state == T_DONE) {
            if (uvt__failed(TASK_OF(c)) && t->child_failure == 0) t->child_failure = TASK_OF(c)->status;
            uvt__node_unlink(c);
            uvt__task_free(s, TASK_OF(c));
        }
    }
    if (!t->node.child) return;
    uvt_park_t p = { .what = "its children to end", .object = t };
    t->flags |= TF_CLOSING;
    uvt__park_shielded(&p);
    t->flags &= (uint16_t)~TF_CLOSING;
}

static int run_defers(void *arg) {
    uvt__ext *x = arg;
    for (struct uvt__defer *d; (d = x->defers) != NULL;) {
        x->defers = d->next;
        void (*fn)(void *) = d->fn;
        void *darg = d->arg;
        uvt__free(d);
        fn(darg);
    }
    return 0;
}

void uvt__res_report(const uvt__res *r, const char *what) {
    uvt__report(uvt__here(), "leak: %s (%s) was %s by task %s", r->site, r->site + strlen(r->site) + 1, what,
                uvt__name(r->owner));
}

static int give_back(void *arg) {
    uvt__task *t = arg;
    for (uvt__res *r; (r = t->res) != NULL;) {
        UVT_ASSERT(r->owner == t, "a lock went away while a task held it");
        r->close(r);
    }
    return 0;
}

static void wind_up(uvt__shard *s, uvt__task *t) {
    if (t->flags & TF_MAIN) uvt__main_returned(s);
    await_children(s, t);
    if (t->ext && t->ext->defers) {
        uvt_shielded(s->opt.grace_ms, run_defers, t->ext);
        await_children(s, t); /* a defer may have spawned */
    }
    if (t->res) uvt_shielded(UVT_FOREVER, give_back, t);
}

void uvt__task_epilogue(uvt__shard *s, uvt__task *t) {
    if (t->scope && uvt__scopes_drop(s, t, true) && t->outcome == UVT_RETURNED) t->status = UVT_ESCOPE;
    wind_up(s, t);
}

int uvt_defer(void (*fn)(void *), void *arg) {
    uvt__task *t = uvt__current();
    if (!t) return UVT_ENOTASK;
    if (!fn) return UV_EINVAL;
    uvt__ext *x = uvt__task_ext(t);
    struct uvt__defer *d = x ? uvt__alloc(sizeof *d) : NULL;
    if (!d) return UV_ENOMEM;
    *d = (struct uvt__defer){ x->defers, fn, arg };
    x->defers = d;
    return 0;
}

void uvt_panic(const char *format, ...) {
    char text[96];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    uvt__shard *s = uvt__here();
    uvt__task *t = uvt__current();
    if (!t && uvt__working) {
        memcpy(uvt__working->message, text, sizeof text);
        uvt__working->panic(uvt__working);
    }
    if (!t) {
        fprintf(stderr, "uvtask: panic outside of a task: %s\n", text);
        abort();
    }
    t->status = UVT_EPANIC;
    t->outcome = UVT_PANICKED;
    uvt__ext *x = uvt__task_ext(t); /* without memory for it the message is lost, the outcome is not */
    if (x && !x->message[0]) memcpy(x->message, text, sizeof text);
    uvt__report(s, "panic: task %s (%s): %s", uvt__name(t), t->site + strlen(t->site) + 1, text);
    /* The scopes are given up with their frames, but the sets that lie under them are still to be awaited. */
    uvt__scopes_drop(s, t, false);
    wind_up(s, t);
    uvt__leave(s, t);
}
