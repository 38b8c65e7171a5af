/* SPDX-License-Identifier: MIT
 *
 * RV32 machine mode: reset, trap, semihosting.
 */
        .option arch, +zicsr

        .section .vectors, "ax", @progbits
        .global board_reset
board_reset:
        .option push
        .option norelax
        la      gp, __global_pointer$
        .option pop
        la      sp, board_stack_end
        la      tp, board_tls_begin
        la      t0, trap
        csrw    mtvec, t0
        tail    board_start

        .text
        .balign 4
trap:
        /* The one interrupt is the timer's: it saves what a C function may change. */
        csrw    mscratch, t0
        csrr    t0, mcause
        bgez    t0, fault
        csrr    t0, mscratch
        addi    sp, sp, -64
        sw      t0, 0(sp)
        sw      t1, 4(sp)
        sw      t2, 8(sp)
        sw      t3, 12(sp)
        sw      t4, 16(sp)
        sw      t5, 20(sp)
        sw      t6, 24(sp)
        sw      a0, 28(sp)
        sw      a1, 32(sp)
        sw      a2, 36(sp)
        sw      a3, 40(sp)
        sw      a4, 44(sp)
        sw      a5, 48(sp)
        sw      a6, 52(sp)
        sw      a7, 56(sp)
        sw      ra, 60(sp)
        call    board_tick_interrupt
        lw      t0, 0(sp)
        lw      t1, 4(sp)
        lw      t2, 8(sp)
        lw      t3, 12(sp)
        lw      t4, 16(sp)
        lw      t5, 20(sp)
        lw      t6, 24(sp)
        lw      a0, 28(sp)
        lw      a1, 32(sp)
        lw      a2, 36(sp)
        lw      a3, 40(sp)
        lw      a4, 44(sp)
        lw      a5, 48(sp)
        lw      a6, 52(sp)
        lw      a7, 56(sp)
        lw      ra, 60(sp)
        addi    sp, sp, 64
        mret
fault:
        la      sp, board_stack_end  /* the old one may have run over */
        csrr    a0, mepc
        tail    board_fault

/* The emulator knows the call by these three instructions, all four bytes long and in one page. */
        .global semihost
        .balign 16
semihost:
        .option push
        .option norvc
        .option norelax
        slli    zero, zero, 0x1f
        ebreak
        srai    zero, zero, 7
        .option pop
        ret
