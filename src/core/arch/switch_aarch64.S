/* SPDX-License-Identifier: MIT
 *
 * AArch64 AAPCS64: callee-saved are x19-x28, fp (x29), lr (x30), the low halves of v8-v15, and fpcr. The
 * control word is written only where it differs.
 *
 * A suspended stack, upwards from its saved sp:
 *     0 x19 x20   16 x21 x22   32 x23 x24   48 x25 x26   64 x27 x28   80 x29 x30
 *     96 d8 d9   112 d10 d11   128 d12 d13   144 d14 d15   160 fpcr
 */
    .text
    .p2align 4
    .globl  uvt__ctx_switch
    .hidden uvt__ctx_switch
    .type   uvt__ctx_switch, %function
uvt__ctx_switch:
    .cfi_startproc
    hint    #34                     /* bti c */
    sub     sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp     x19, x20, [sp, #0]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    mrs     x9, fpcr
    str     x9, [sp, #160]
    mov     x10, sp
    str     x10, [x0]
    mov     sp, x1
    ldr     x11, [sp, #160]
    cmp     x9, x11
    b.eq    1f
    msr     fpcr, x11
1:  ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    ldp     d8, d9, [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    add     sp, sp, #176
    .cfi_adjust_cfa_offset -176
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size   uvt__ctx_switch, . - uvt__ctx_switch

/* Where a new context begins: x19 holds the function; the return address is undefined, unwinding stops. */
    .p2align 4
    .globl  uvt__ctx_start
    .hidden uvt__ctx_start
    .type   uvt__ctx_start, %function
uvt__ctx_start:
    .cfi_startproc
    .cfi_undefined x30
    hint    #36                     /* bti j: reached by ret, which needs none, and by debuggers */
    mov     x29, xzr
    mov     x30, xzr
    blr     x19
    brk     #1
    .cfi_endproc
    .size   uvt__ctx_start, . - uvt__ctx_start

/* void *uvt__ctx_make(void *low, void *top, void (*entry)(void)) */
    .p2align 4
    .globl  uvt__ctx_make
    .hidden uvt__ctx_make
    .type   uvt__ctx_make, %function
uvt__ctx_make:
    .cfi_startproc
    hint    #34
    and     x9, x1, #-16
    sub     x0, x9, #192
    str     x2, [x0, #0]
    adr     x10, uvt__ctx_start
    stp     xzr, x10, [x0, #80]
    mrs     x11, fpcr
    str     x11, [x0, #160]
    stp     xzr, xzr, [x0, #176]
    ret
    .cfi_endproc
    .size   uvt__ctx_make, . - uvt__ctx_make

    .section .note.GNU-stack, "", %progbits
    .section .note.gnu.property, "a"
    .p2align 3
    .long   4, 16, 5
    .asciz  "GNU"
    .long   0xc0000000, 4, 1, 0     /* BTI */
