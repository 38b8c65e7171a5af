/* SPDX-License-Identifier: MIT
 *
 * Two reads of minstret around a call and nothing else between them.
 *
 * board_call_t board_count_call(function a0, const uintptr_t args[5] a1): a pair returns in a0, a1.
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
        lw      a0, 0(a1)
        lw      a2, 8(a1)
        lw      a3, 12(a1)
        lw      a4, 16(a1)
        lw      a1, 4(a1)
        csrr    s0, minstret
        jalr    t0
        csrr    a1, minstret
        sub     a1, a1, s0
        addi    a1, a1, -1          /* one of the two reads is inside the interval */
        lw      ra, 12(sp)
        lw      s0, 8(sp)
        addi    sp, sp, 16
        ret
        .size   board_count_call, . - board_count_call

        .section .text.board_counter, "ax", @progbits
        .global board_counter
        .type   board_counter, @function
board_counter:
        csrr    a0, minstret
        ret
        .size   board_counter, . - board_counter

        .section .text.board_instructions_between, "ax", @progbits
        .global board_instructions_between
        .type   board_instructions_between, @function
board_instructions_between:
        sub     a0, a1, a0
        ret
        .size   board_instructions_between, . - board_instructions_between
