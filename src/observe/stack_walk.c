/* SPDX-License-Identifier: MIT
 *
 * From frame to frame up the running stack. stack.c keeps what is found.
 *
 *     above (x86, AArch64, Arm with Clang)      below (RISC-V)
 *       fp -> caller's fp                                caller's fp
 *             return address                             return address
 *                                               fp ->
 *     Thumb of GCC: fp (r7) is the lowest address of the frame; where r7 and lr lie above it the
 *     function's first instructions tell: push {..., r7, lr}; sub sp, #n; add r7, sp, #m
 *
 * W1  A word of the stack is read only between low and end; low is the frame pointer that was
 *     reached, and only grows.
 * W2  A word of code is read only between the map's ends.
 * W3  So a walk ends after as many steps as there are words up to end at the latest; it ends
 *     earlier, at the number of frames that are asked for.
 *
 * Rejected: unwind tables (.ARM.exidx), which cost a tenth of the code's size and an interpreter;
 * taking every word that looks like a return address, which finds those of calls long returned.
 */
#include "observe/stack_internal.h"

/* A garbage frame pointer may lead between the variables of other frames. */
#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
#define UNCHECKED __attribute__((no_sanitize("address")))
#else
#define UNCHECKED
#endif

#define WORD sizeof(uintptr_t)

typedef const uintptr_t EA_MAY_ALIAS word_t;

static UNCHECKED bool read_word(const eai_frame_t *f, uintptr_t at, uintptr_t *word)
{
    if ((at & (WORD - 1u)) != 0 || at < f->low || at > f->end - WORD) return false; /* W1 */
    *word = *(word_t *)at;
    return true;
}

static bool is_code(const ea_stack_map_t *map, uintptr_t pc)
{
#if EAI_FRAMES == EAI_FRAMES_THUMB
    if ((pc & 1u) == 0) return false;
#endif
    if (!map->code_begin && !map->code_end) return pc != 0 && EAI_FRAMES != EAI_FRAMES_THUMB;
    return pc >= (uintptr_t)map->code_begin && pc < (uintptr_t)map->code_end;
}

#if EAI_FRAMES == EAI_FRAMES_THUMB

#define MAX_SCAN 4096u   /* bytes from the beginning of a function to where it is */
#define MAX_PROLOGUE 16u /* halfwords behind the push */

typedef const uint16_t EA_MAY_ALIAS half_t;

/* 0 outside of the code: no instruction that is looked for. */
static uint32_t half_at(const ea_stack_map_t *map, uintptr_t at)
{
    if (at < (uintptr_t)map->code_begin || at + 2u > (uintptr_t)map->code_end) return 0; /* W2 */
    return *(half_t *)at;
}

EA_INLINE bool is_long(uint32_t half)
{
    return half >> 11 >= 0x1D;
}

/* Bits of the registers that a push at this place saves, if lr (bit 14) is among them; else 0. */
static uint32_t pushed_at(const ea_stack_map_t *map, uintptr_t at)
{
    uint32_t half = half_at(map, at);
    if (half >> 8 == 0xB5) return (half & 0xFFu) | 1u << 14;
    if (half != 0xE92D) return 0;
    uint32_t registers = half_at(map, at + 2u);
    return (registers & 1u << 14) != 0 && (registers & 0xA000u) == 0 ? registers : 0;
}

/* What a 32-bit "sub sp, sp, #constant" subtracts; 0: it is none. */
static uint32_t long_subtraction(uint32_t first, uint32_t second)
{
    uint32_t imm8 = second & 0xFFu,
             imm12 = (first >> 10 & 1u) << 11 | (second >> 12 & 7u) << 8 | imm8;
    if ((second & 0x8F00u) != 0x0D00u) return 0;
    if ((first & 0xFBFFu) == 0xF2AD) return imm12;
    if ((first & 0xFBFFu) != 0xF1AD) return 0;
    if (imm12 < 0x400) return imm12 < 0x100 ? imm8 : 0; /* a pattern of bytes: no frame's size */
    uint32_t value = 0x80u | (imm12 & 0x7Fu), turn = imm12 >> 7;
    return value >> turn | value << (32u - turn);
}

static unsigned count_bits(uint32_t bits)
{
    unsigned n = 0;
    for (; bits != 0; bits &= bits - 1u) n++;
    return n;
}

/* How far above the frame pointer the saved registers begin, which are in *registers. false: the
 * function that pc is in does not begin as it should. Bound: MAX_SCAN. */
static bool find_saved(const ea_stack_map_t *map, uintptr_t pc, uint32_t *registers,
                       uintptr_t *offset)
{
    uintptr_t at = pc & ~(uintptr_t)1;
    uint32_t constants[8], are_known = 0; /* of registers that are loaded from behind the code */
    *registers = 0;
    for (unsigned n = 0; *registers == 0 && n < MAX_SCAN; n += 2u)
        *registers = pushed_at(map, at -= 2u);
    if ((*registers & 1u << 7) == 0) return false;
    *offset = 0;
    at += half_at(map, at) == 0xE92D ? 4u : 2u;
    for (unsigned i = 0; i < MAX_PROLOGUE; i++, at += 2u) {
        uint32_t half = half_at(map, at), second = half_at(map, at + 2u);
        if (half >> 8 == 0xAF) { /* add r7, sp, #imm */
            *offset -= 4u * (half & 0xFFu);
            return true;
        }
        if (half >> 8 == 0xB4) *offset += 4u * count_bits(half & 0xFFu); /* push */
        if (half >> 7 == 0x161) *offset += 4u * (half & 0x7Fu);          /* sub sp, #imm */
        if (half >> 11 == 0x09) { /* ldr register, [pc, #imm] */
            uintptr_t from = ((at + 4u) & ~(uintptr_t)3) + 4u * (half & 0xFFu);
            constants[half >> 8 & 7u] = half_at(map, from) | half_at(map, from + 2u) << 16;
            are_known |= 1u << (half >> 8 & 7u);
        }
        if ((half & 0xFF87u) == 0x4485) { /* add sp, register */
            uint32_t which = half >> 3 & 15u;
            if ((are_known >> which & 1u) == 0) return false;
            *offset -= constants[which];
        }
        if (!is_long(half)) continue;
        *offset += long_subtraction(half, second);
        if (half == 0xED2D && (second & 0x0F00u) == 0x0B00u) /* vpush */
            *offset += 4u * (second & 0xFFu);
        at += 2u;
    }
    return false;
}

#endif

UNCHECKED bool eai_stack_step(const ea_stack_map_t *map, eai_frame_t *f)
{
    uintptr_t caller_fp, caller_pc, fp_at = 0, pc_at = 0;
    if (EAI_FRAMES == EAI_FRAMES_NONE) return false;
#if EAI_FRAMES == EAI_FRAMES_ABOVE
    fp_at = f->fp;
    pc_at = f->fp + WORD;
#elif EAI_FRAMES == EAI_FRAMES_BELOW
    fp_at = f->fp - 2u * WORD;
    pc_at = f->fp - WORD;
#elif EAI_FRAMES == EAI_FRAMES_THUMB
    uint32_t registers;
    uintptr_t offset;
    if (!find_saved(map, f->pc, &registers, &offset)) return false;
    fp_at = f->fp + offset + 4u * count_bits(registers & 0x7Fu);
    pc_at = f->fp + offset + 4u * (count_bits(registers) - 1u);
#endif
    if (f->end < f->low || f->end - f->low < WORD) return false;
    if (!read_word(f, fp_at, &caller_fp) || !read_word(f, pc_at, &caller_pc)) return false;
    if (!is_code(map, caller_pc)) return false;
    if (f->low < f->fp) f->low = f->fp;
    f->fp = caller_fp;
    f->pc = caller_pc;
    return true;
}

/* May the frame's caller be looked at? The outermost frame's pointer often is none. */
static bool goes_on(const eai_frame_t *f, uintptr_t before)
{
    return f->fp > before && f->fp <= f->end && (f->fp & (WORD - 1u)) == 0;
}

#if EAI_FRAMES == EAI_FRAMES_THUMB
#define IN_FUNCTION(address) ((address) & ~(uintptr_t)1)
#else
#define IN_FUNCTION(address) (address)
#endif

size_t eai_stack_follow(const ea_stack_map_t *map, eai_frame_t f, const void *site,
                        uintptr_t *frames, size_t n)
{
    size_t found = 0;
    bool is_met = site == NULL;
    for (size_t i = 0; i < n + EA_STACK_DEPTH_MAX && found < n; i++) { /* W3 */
        uintptr_t before = f.fp;
        if (!eai_stack_step(map, &f)) break;
        if (!is_met) is_met = IN_FUNCTION(f.pc) == IN_FUNCTION((uintptr_t)site);
        if (is_met) frames[found++] = f.pc;
        if (!goes_on(&f, before)) break;
    }
    if (found == 0 && site != NULL && n != 0) frames[found++] = (uintptr_t)site;
    return found;
}

EA_NOINLINE size_t ea_stack_walk(const ea_stack_map_t *map, const void *site, uintptr_t *frames,
                                 size_t n)
{
    eai_frame_t f = {.fp = (uintptr_t)__builtin_frame_address(0)};
    if (map->find_end) f.end = (uintptr_t)map->find_end((const void *)f.fp);
#if EAI_FRAMES == EAI_FRAMES_THUMB
    __asm volatile("mov %0, pc" : "=r"(f.pc));
    f.pc |= 1u;
#endif
    f.low = f.fp - (EAI_FRAMES == EAI_FRAMES_BELOW ? 2u * WORD : 0u);
    return eai_stack_follow(map, f, site, frames, n);
}
