/* SPDX-License-Identifier: MIT
 *
 * What walking a stack and keeping stacks share; stack.c tells the story.
 */
#ifndef EALLOC_OBSERVE_STACK_INTERNAL_H
#define EALLOC_OBSERVE_STACK_INTERNAL_H

#include "ealloc/stack.h"

/* How this machine's frames are found: not at all; by a chain with the return address above the
 * caller's frame pointer, or both below it; by reading the beginnings of functions. */
#define EAI_FRAMES_NONE 0
#define EAI_FRAMES_ABOVE 1
#define EAI_FRAMES_BELOW 2
#define EAI_FRAMES_THUMB 3
#ifndef EAI_FRAMES
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__) ||                            \
    (defined(__arm__) && defined(__clang__))
#define EAI_FRAMES EAI_FRAMES_ABOVE
#elif defined(__riscv)
#define EAI_FRAMES EAI_FRAMES_BELOW
#elif defined(__thumb__)
#define EAI_FRAMES EAI_FRAMES_THUMB
#else
#define EAI_FRAMES EAI_FRAMES_NONE
#endif
#endif

/* A frame: where the program is in it, its frame pointer, and between which addresses the rest of
 * the stack lies. */
typedef struct {
    uintptr_t pc, fp;
    uintptr_t low, end;
} eai_frame_t;

/* From a frame to its caller's. false: that makes no sense; *frame may be anything. Reads nothing
 * but words from low up to end, and code. */
bool eai_stack_step(const ea_stack_map_t *map, eai_frame_t *frame);

/* ea_stack_walk() from a given frame on. */
size_t eai_stack_follow(const ea_stack_map_t *map, eai_frame_t frame, const void *site,
                        uintptr_t *frames, size_t n);

#endif
