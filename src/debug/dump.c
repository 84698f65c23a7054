/* SPDX-License-Identifier: MIT
 *
 * The dump and the reports: lines of text about tasks, written from what every park says of itself. Takes
 * no lock, allocates nothing, resumes nothing.
 */
#include "core/core.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void uvt__report(uvt__shard *s, const char *format, ...) {
    char text[512];
    va_list ap;
    if (!s->opt.report) return;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    s->opt.report(s->opt.report_arg, text);
}

static void describe(const uvt__task *t, unsigned depth, char *out, size_t size) {
    static const char *const states[] = { "free",  "delayed", "ready",            "running",
                                          "waits", "ended",   "ready (any shard)" };
    const char *state = t->flags & TF_STACKLESS && t->state != T_DONE ? "pending" : states[t->state];
    const char *place = t->site + strlen(t->site) + 1;
    int n = snprintf(out, size, "%*s%s (%s) %s", (int)depth * 2, "", uvt__name(t), place, state);
    if (n < 0 || (size_t)n >= size) return;
    if (t->state == T_PARKED && t->park)
        snprintf(out + n, size - (size_t)n, " for %s %p%s", t->park->what, t->park->object,
                 t->flags & TF_CANCELLED ? ", cancelled" : "");
    else if (t->flags & TF_CANCELLED)
        snprintf(out + n, size - (size_t)n, ", cancelled");
}

/* Visits every task of the shard, parents before children. */
static void each_task(uvt__shard *s, void (*fn)(void *arg, const char *text), void *arg, bool live_only) {
    char text[256];
    unsigned depth = 0;
    uvt__node *root = &s->root->node;
    for (uvt__node *n = root;;) {
        if (n->child) {
            n = n->child;
            depth++;
        } else {
            while (n != root && !n->next) {
                n = uvt__owner(n);
                depth--;
            }
            if (n == root) return;
            n = n->next;
        }
        if (uvt__is_set(n) || (live_only && TASK_OF(n)->state == T_DONE)) continue;
        describe(TASK_OF(n), depth, text, sizeof text);
        fn(arg, text);
    }
}

static void report_line(void *arg, const char *text) {
    uvt__report(arg, "%s", text);
}

void uvt__report_tasks(uvt__shard *s, const char *headline) {
    if (!s->opt.report || !s->root->node.child) return;
    uvt__report(s, "%s", headline);
    each_task(s, report_line, s, true);
}

int uvt_dump(void (*line)(void *arg, const char *text), void *arg) {
    uvt__shard *s = uvt__here();
    if (!line) return UV_EINVAL;
    if (!s) return UVT_ENOTASK;
    each_task(s, line, arg, false);
    return 0;
}
