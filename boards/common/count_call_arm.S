/* SPDX-License-Identifier: MIT
 *
 * Two reads of SysTick around a call and nothing else between them. Only Thumb-1 instructions, so
 * that every Cortex-M takes it.
 *
 * uint32_t board_count_ticks(function r0, const uintptr_t args[5] r1, uintptr_t *result r2)
 */
        .syntax unified
        .thumb
        .section .text.board_count_ticks, "ax", %progbits
        .global board_count_ticks
        .type   board_count_ticks, %function
        .thumb_func
board_count_ticks:
        push    {r4, r5, r6, r7, lr}
        sub     sp, #12             /* the fifth argument, and 8-byte alignment */
        mov     r4, r0
        mov     r7, r2
        ldr     r5, =0xE000E018     /* SysTick current value: counts down */
        ldr     r0, [r1, #16]
        str     r0, [sp]
        ldr     r0, [r1]
        ldr     r2, [r1, #8]
        ldr     r3, [r1, #12]
        ldr     r1, [r1, #4]
        ldr     r6, [r5]
        blx     r4
        ldr     r5, [r5]
        subs    r6, r6, r5
        lsls    r6, r6, #8          /* 24 bits: let the difference wrap as the counter does */
        lsrs    r6, r6, #8
        str     r0, [r7]
        mov     r0, r6
        add     sp, #12
        pop     {r4, r5, r6, r7, pc}
        .ltorg
        .size   board_count_ticks, . - board_count_ticks
