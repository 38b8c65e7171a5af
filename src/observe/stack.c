/* SPDX-License-Identifier: MIT
 *
 * Different stacks, each kept once under a number. stack_walk.c finds them, stack_attach.c joins
 * the table to an allocator.
 *
 *     mem    control words | stack 1 | stack 2 | ... | stack n
 *     stack  key | how often | frames [depth]
 *
 * K1  A key is 0 (free), 1 (being filled), or the highest bit, some bits of the frames' hash, and
 *     their number in the low 8; then the frames are there and do not change.
 * K2  A stack is one of eight from its hash on, the first that was free. None is given up: its
 *     number may be anywhere.
 */
#include "observe/stack_internal.h"

#include "base/mem.h"
#include "base/tally.h"

typedef ea_stacks_t stacks_t;

#define MAGIC ((uintptr_t)0x4541534Bu) /* EASK */
#define VERSION 1u
#define N_WAYS 8u
#define MOST 32768u
#define IS_THERE ((uintptr_t)0x80000000u)

EA_STATIC_ASSERT(sizeof(ea_stacks_t) == 16 * sizeof(uintptr_t),
                 "the control words are as described");

EA_INLINE uint32_t n_stacks(const stacks_t *s)
{
    return (uint32_t)1 << (s->eai_shape & 0xFFu);
}

EA_INLINE uintptr_t *nth(const stacks_t *s, uint32_t i)
{
    return (uintptr_t *)(uintptr_t)(s + 1) + i * (s->eai_depth + 2u);
}

static uintptr_t key_of(const uintptr_t *frames, size_t n, uint32_t *hash)
{
    uint32_t h = (uint32_t)n;
    for (size_t i = 0; i < n; i++) h = eai_hash_of(frames[i] ^ h ^ h >> 15);
    *hash = h >> 16;
    return IS_THERE | (h & 0x7FFFFF00u) | n;
}

static bool is_same(const uintptr_t *stack, const uintptr_t *frames, size_t n)
{
    return memcmp(stack + 2, frames, n * sizeof *frames) == 0;
}

uint16_t ea_stacks_add(stacks_t *s, const uintptr_t *frames, size_t n)
{
    uint32_t hash, mask = n_stacks(s) - 1u;
    if (n > s->eai_depth) n = s->eai_depth;
    if (n == 0) return 0;
    uintptr_t key = key_of(frames, n, &hash);
    for (uint32_t i = 0; i < N_WAYS; i++) {
        uint32_t index = (hash + i) & mask;
        uintptr_t *stack = nth(s, index);
        bool is_ours = false;
        while (!is_ours && EAI_LOAD(stack, EAI_RELAXED) == 0) { /* bound: interrupts */
            EAI_ENTER(irq);
            is_ours = eai_claim(stack, 0, EAI_TAKEN); /* K1 */
            EAI_LEAVE(irq);
        }
        if (is_ours) {
            memcpy(stack + 2, frames, n * sizeof *frames);
            EAI_STORE(stack, key, EAI_RELEASE); /* pairs with the load below, and readers' */
        } else if (EAI_LOAD(stack, EAI_ACQUIRE) != key || !is_same(stack, frames, n)) {
            continue;
        }
        eai_tally(&stack[1], 1);
        return (uint16_t)(index + 1u);
    }
    eai_tally(&s->eai_n_dropped, 1);
    return 0;
}

uint16_t ea_stacks_here(stacks_t *s, const void *site)
{
    uintptr_t frames[EA_STACK_DEPTH_MAX];
    size_t n = 1;
    if (s->eai_depth > 1)
        n = ea_stack_walk(&s->eai_map, site, frames, s->eai_depth);
    else
        frames[0] = (uintptr_t)site;
    return ea_stacks_add(s, frames, n);
}

ea_status_t ea_stacks_get(const stacks_t *s, uint16_t id, ea_stack_t *stack)
{
    if (!s || !stack) return EA_ERR_INVALID;
    if (id == 0 || id > n_stacks(s)) return EA_ERR_NOT_FOUND;
    uintptr_t *from = nth(s, id - 1u), key = EAI_LOAD(from, EAI_ACQUIRE);
    if (key < IS_THERE) return EA_ERR_NOT_FOUND;
    stack->id = id;
    stack->n_seen = EAI_LOAD(&from[1], EAI_RELAXED);
    stack->n_frames = key & 0xFFu;
    stack->frames = from + 2;
    return EA_OK;
}

ea_status_t ea_stacks_next(const stacks_t *s, const void *site, size_t *cursor, ea_stack_t *stack)
{
    if (!s || !cursor || !stack) return EA_ERR_INVALID;
    while (*cursor < n_stacks(s)) /* bound: stacks */
        if (ea_stacks_get(s, (uint16_t)++ * cursor, stack) == EA_OK &&
            (!site || stack->frames[0] == (uintptr_t)site))
            return EA_OK;
    return EA_ERR_NOT_FOUND;
}

size_t ea_stacks_dropped(const stacks_t *s)
{
    return EAI_LOAD(&((stacks_t *)(uintptr_t)s)->eai_n_dropped, EAI_RELAXED);
}

stacks_t *ea_stacks_init(void *mem, size_t size_bytes, const ea_stacks_options_t *o)
{
    if (!mem || !o || ((uintptr_t)mem & (sizeof(uintptr_t) - 1u)) != 0 || o->n_stacks < N_WAYS ||
        o->n_stacks > MOST || (o->n_stacks & (o->n_stacks - 1u)) != 0 ||
        o->depth > EA_STACK_DEPTH_MAX)
        return NULL;
    size_t depth = o->depth ? o->depth : 1u;
    if (size_bytes < EA_STACKS_BYTES(o->n_stacks, depth)) return NULL;
    memset(mem, 0, EA_STACKS_BYTES(o->n_stacks, depth));
    stacks_t *s = (stacks_t *)mem;
    s->eai_shape =
        VERSION << 16 | sizeof(uintptr_t) << 8 | (31u - (unsigned)__builtin_clz(o->n_stacks));
    s->eai_depth = depth;
    s->eai_map = o->map;
    s->eai_magic = MAGIC;
    return s;
}
