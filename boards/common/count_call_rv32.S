/* SPDX-License-Identifier: MIT
 *
 * Two reads of minstret around a call and nothing else between them.
 *
 * board_call_t board_count_call(function a0, a a1, b a2, c a3): the pair returns in a0 and a1.
 */
        .option arch, +zicsr
        .section .text.board_count_call, "ax", @progbits
        .global board_count_call
        .type   board_count_call, @function
board_count_call:
        addi    sp, sp, -16
        sw      ra, 12(sp)
        sw      s0, 8(sp)
        mv      t0, a0
        mv      a0, a1
        mv      a1, a2
        mv      a2, a3
        csrr    s0, minstret
        jalr    t0
        csrr    a1, minstret
        sub     a1, a1, s0
        addi    a1, a1, -1          /* the first read itself */
        lw      ra, 12(sp)
        lw      s0, 8(sp)
        addi    sp, sp, 16
        ret
        .size   board_count_call, . - board_count_call
