/* SPDX-License-Identifier: MIT
 *
 * The portable switch, by ucontext. A suspended context is its ucontext_t, which lies in the frame of
 * uvt__ctx_switch on its own stack; that of a new one lies at the top of the new stack. Slower than ours
 * by two sigprocmask calls a switch.
 */
#include "core/arch/switch.h"
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

/* Apart, because getcontext counts as a function that returns twice. */
static int init(ucontext_t *u) {
    memset(u, 0, sizeof *u);
    return getcontext(u);
}

void *uvt__ctx_make(void *low, void *top, void (*entry)(void)) {
    ucontext_t *u = (ucontext_t *)(((uintptr_t)top - sizeof *u) & ~(uintptr_t)63);
    if (init(u) != 0) return NULL;
    u->uc_stack.ss_sp = low;
    u->uc_stack.ss_size = (size_t)((char *)u - (char *)low);
    u->uc_link = NULL;
    makecontext(u, entry, 0);
    return u;
}

void uvt__ctx_switch(void **from, void *to) {
    ucontext_t here;
    *from = &here;
    swapcontext(&here, (ucontext_t *)to);
}
