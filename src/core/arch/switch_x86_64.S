/* SPDX-License-Identifier: MIT
 *
 * x86-64 System V: callee-saved are rbx, rbp, r12-r15, mxcsr's control bits and the x87 control word. The
 * control words are reloaded only where they differ: loading them costs more than the whole rest, and
 * they hardly ever do.
 *
 * A suspended stack, upwards from its saved rsp:
 *     0 mxcsr (4), x87 control word (4)   8 r15   16 r14   24 r13   32 r12   40 rbx   48 rbp   56 return address
 */
    .text
    .p2align 4
    .globl  uvt__ctx_switch
    .hidden uvt__ctx_switch
    .type   uvt__ctx_switch, @function
uvt__ctx_switch:
    .cfi_startproc
    endbr64
    pushq   %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq   %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq   %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq   %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq   %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    subq    $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw  4(%rsp)
    movl    (%rsp), %eax
    movzwl  4(%rsp), %edx
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    /* The sticky exception flags (low six bits) are no part of the context. */
    xorl    (%rsp), %eax
    testl   $0xffc0, %eax
    jne     3f
1:  cmpw    4(%rsp), %dx
    jne     4f
2:  addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq    %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq    %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq    %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq    %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq    %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    ret
    .cfi_adjust_cfa_offset 56
3:  ldmxcsr (%rsp)
    jmp     1b
4:  fldcw   4(%rsp)
    jmp     2b
    .cfi_endproc
    .size   uvt__ctx_switch, . - uvt__ctx_switch

/* Where a new context begins: rbx holds the function. The return address is marked undefined, which is
 * where unwinders and debuggers stop. */
    .p2align 4
    .globl  uvt__ctx_start
    .hidden uvt__ctx_start
    .type   uvt__ctx_start, @function
uvt__ctx_start:
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    xorl    %ebp, %ebp
    callq   *%rbx
    ud2
    .cfi_endproc
    .size   uvt__ctx_start, . - uvt__ctx_start

/* void *uvt__ctx_make(void *low, void *top, void (*entry)(void)) */
    .p2align 4
    .globl  uvt__ctx_make
    .hidden uvt__ctx_make
    .type   uvt__ctx_make, @function
uvt__ctx_make:
    .cfi_startproc
    endbr64
    movq    %rsi, %rax
    andq    $-16, %rax
    subq    $80, %rax               /* rsp is 16-aligned at the call in uvt__ctx_start */
    leaq    uvt__ctx_start(%rip), %rcx
    movq    %rcx, 56(%rax)
    movq    $0, 64(%rax)
    movq    $0, 72(%rax)
    movq    $0, 48(%rax)
    movq    %rdx, 40(%rax)
    stmxcsr (%rax)
    fnstcw  4(%rax)
    ret
    .cfi_endproc
    .size   uvt__ctx_make, . - uvt__ctx_make

    .section .note.GNU-stack, "", @progbits
    /* This object keeps to IBT; shadow stacks are not supported, so only the first bit is set. */
    .section .note.gnu.property, "a"
    .p2align 3
    .long   4, 16, 5
    .asciz  "GNU"
    .long   0xc0000002, 4, 1, 0
