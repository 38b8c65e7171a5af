/* SPDX-License-Identifier: MIT
 *
 * Two reads of SysTick around a call and nothing else between them. Only Thumb-1 instructions, so
 * that every Cortex-M takes it.
 *
 * uint32_t board_count_ticks(function r0, a r1, b r2, c r3, uintptr_t *result [sp])
 */
        .syntax unified
        .thumb
        .section .text.board_count_ticks, "ax", %progbits
        .global board_count_ticks
        .type   board_count_ticks, %function
        .thumb_func
board_count_ticks:
        push    {r4, r5, r6, lr}
        mov     r4, r0
        mov     r0, r1
        mov     r1, r2
        mov     r2, r3
        ldr     r5, =0xE000E018     /* SysTick current value: counts down */
        ldr     r6, [r5]
        blx     r4
        ldr     r5, [r5]
        subs    r6, r6, r5
        lsls    r6, r6, #8          /* 24 bits: let the difference wrap as the counter does */
        lsrs    r6, r6, #8
        ldr     r1, [sp, #16]
        str     r0, [r1]
        mov     r0, r6
        pop     {r4, r5, r6, pc}
        .ltorg
        .size   board_count_ticks, . - board_count_ticks
