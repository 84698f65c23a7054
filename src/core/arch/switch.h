/* SPDX-License-Identifier: MIT
 *
 * The context switch. A suspended context is one pointer: with our own switch, the stack pointer below
 * which the callee-saved registers, the floating point control words and the return address lie; with
 * ucontext, the ucontext_t in the suspended function's frame.
 *
 * Both ends the same: uvt__ctx_switch saves here and continues there; it returns when somebody switches
 * back. A new context enters its function with an empty frame above it, at which unwinding stops.
 */
#ifndef UVT_SWITCH_H
#define UVT_SWITCH_H

#include <stddef.h>

/* Prepares a context that will call entry() on the stack [low, top); entry must never return. The value
 * can be switched to once. */
void *uvt__ctx_make(void *low, void *top, void (*entry)(void));

/* Saves the present context in *from and continues to. */
void uvt__ctx_switch(void **from, void *to);

#endif
