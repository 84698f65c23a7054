/* SPDX-License-Identifier: MIT
 *
 * Who was told of something: notifications and signals are written down when they are about to be given, and every
 * wait that was told when it knows. Nobody is told without a cause; and a task that still waits when nothing moves
 * was passed over by all that came since it waits, so each of those went to somebody else.
 *
 * A task waits for sure from its call on, where there is one shard; with several, when the clock has moved on, for it
 * does that only when all tasks wait.
 */
#include "run.h"

static bool since_it_waits(const struct told *e, const struct slot *s) {
    return exact() ? e->at > s->began : e->ms > s->since;
}

static struct told *tell(const struct slot *s, enum telling how) {
    HOLDS(run.tellings < TELLINGS);
    struct told *e = &run.told[run.tellings++];
    *e = (struct told){ .thing = s->thing, .how = how, .began = s->began, .at = stamp(), .ms = uvt_now() };
    return e;
}

void tells(const struct slot *s, enum telling how) {
    tell(s, how);
}

void hears(const struct slot *s) {
    unsigned ones = 0, heard = 1;
    for (unsigned i = 0; i < run.tellings; i++) {
        const struct told *e = &run.told[i];
        if (e->thing != s->thing) continue;
        if (e->how == TOLD_ALL && (exact() ? e->at > s->began : e->ms >= s->since)) {
            tell(s, TOLD_WITH_ALL);
            return;
        }
        ones += e->how == TOLD_ONE || e->how == TOLD_LAST;
        heard += e->how == TOLD_ALONE;
    }
    if (heard > ones) broken("worker %u was told of what nobody has told", s->w->index);
    tell(s, TOLD_ALONE);
}

bool was_told(const struct slot *s) {
    unsigned ones = 0, heard = 0;
    bool in_order = true, overtaken = false;
    for (unsigned i = 0; i < run.tellings; i++) {
        const struct told *e = &run.told[i];
        if (e->thing != s->thing) continue;
        if (e->how == TOLD_LAST) in_order = false;
        if (!since_it_waits(e, s)) continue;
        if (e->how == TOLD_ALL) return true;
        if (e->how == TOLD_ONE || e->how == TOLD_LAST) ones++;
        else heard++;
        if (e->how == TOLD_ALONE && e->began > s->began) overtaken = true;
    }
    return ones > heard || (exact() && in_order && overtaken);
}

bool ever_told(const struct thing *t) {
    for (unsigned i = 0; i < run.tellings; i++)
        if (run.told[i].thing == t && (run.told[i].how == TOLD_ONE || run.told[i].how == TOLD_LAST)) return true;
    return false;
}
