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
