/* SPDX-License-Identifier: MIT
 *
 * Worst and median instructions of every operation of the arena. Each is a handful of instructions
 * with few branches; the scenarios take them all.
 *
 *   plain    default options, sizes from 0 to 200
 *   limits   alignment 4, quantum 16, a least block of 40 bytes, a guard at every mark
 *   growing  chunks from an upstream that only hands out the next piece of its memory
 */
#include "count.h"
#include "ealloc/arena.h"

#define MEMORY_BYTES 16384u
#define N_ROUNDS 20u

static _Alignas(16) unsigned char memory[MEMORY_BYTES];
static ea_arena_t arena;

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

static void stop(const char *what)
{
    board_put(what);
    board_exit(1);
}

static void start(size_t size_bytes, const ea_arena_options_t *options)
{
    if (ea_arena_init(&arena, memory, size_bytes, options) != EA_OK) stop("init failed\n");
}

/* --- counted calls, each of which must succeed ------------------------------------------------ */

static void *checked(op_t op, uint32_t instructions, uintptr_t result)
{
    if (result == 0) stop("a request was refused\n");
    count_note(op, instructions);
    return (void *)result;
}

static void *alloc(size_t size_bytes)
{
    uint32_t n = 0;
    uintptr_t block = COUNTED(&n, ea_arena_alloc, &arena, size_bytes, 0, 0, 0);
    return checked(OP_ARENA_ALLOC, n, block);
}

static void alloc_high(size_t size_bytes)
{
    uint32_t n = 0;
    uintptr_t block = COUNTED(&n, ea_arena_alloc_high, &arena, size_bytes, 0, 0, 0);
    (void)checked(OP_ARENA_ALLOC_HIGH, n, block);
}

static void alloc_aligned(size_t alignment_bytes, size_t size_bytes)
{
    uint32_t n = 0;
    board_function_t f = random_below(2) ? (board_function_t)ea_arena_alloc_aligned
                                         : (board_function_t)ea_arena_alloc_high_aligned;
    uintptr_t block = COUNTED(&n, f, &arena, alignment_bytes, size_bytes, 0, 0);
    (void)checked(OP_ARENA_ALLOC_ALIGNED, n, block);
}

static void fail(size_t size_bytes)
{
    uint32_t n = 0;
    if (COUNTED(&n, ea_arena_alloc, &arena, size_bytes, 0, 0, 0) != 0) stop("granted\n");
    count_note(OP_ARENA_ALLOC_FAIL, n);
}

static void resize(void *block, size_t old_bytes, size_t new_bytes)
{
    uint32_t n = 0;
    uintptr_t now = COUNTED(&n, ea_arena_realloc, &arena, block, old_bytes, new_bytes, 0);
    if (now != (uintptr_t)block) stop("moved\n");
    count_note(OP_ARENA_REALLOC, n);
}

static void give_back(void *block, size_t size_bytes)
{
    uint32_t n = 0;
    if (COUNTED(&n, ea_arena_free, &arena, block, size_bytes, 0, 0) != EA_OK) stop("not freed\n");
    count_note(OP_ARENA_FREE, n);
}

/* Where the mark is returned: its address is the first argument on every core we have. */
static void mark(ea_arena_mark_t *to, ea_arena_end_t end)
{
    uint32_t n = 0;
    (void)COUNTED(&n, ea_arena_mark, to, &arena, end, 0, 0);
    count_note(OP_ARENA_MARK, n);
}

static void rewind_to(const ea_arena_mark_t *to)
{
    uint32_t n = 0;
    if (COUNTED(&n, ea_arena_rewind, &arena, to, 0, 0, 0) != EA_OK) stop("not rewound\n");
    count_note(OP_ARENA_REWIND, n);
}

/* --- scenarios -------------------------------------------------------------------------------- */

static void use(const char *name, const ea_arena_options_t *options)
{
    count_scenario(name);
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        start(MEMORY_BYTES - round, options);
        for (unsigned i = 0; i < 8; i++) {
            ea_arena_mark_t low, high;
            size_t old_bytes = random_below(200), new_bytes = random_below(200);
            alloc_high(random_below(200));
            mark(&low, EA_ARENA_LOW);
            mark(&high, EA_ARENA_HIGH);
            alloc_aligned(1u << random_below(8), random_below(200));
            alloc_high(random_below(200));
            rewind_to(random_below(2) ? &low : &high);
            void *block = alloc(old_bytes);
            resize(block, old_bytes, new_bytes);
            if (random_below(2)) give_back(block, new_bytes);
        }
        fail(MEMORY_BYTES);
        fail(SIZE_MAX);
    }
    count_report();
}

#if EA_CFG_ARENA_GROW
static _Alignas(16) unsigned char lent[MEMORY_BYTES];
static size_t lent_bytes;

static void *lend(void *context, size_t size_bytes)
{
    (void)context;
    lent_bytes += size_bytes;
    return lent + lent_bytes - size_bytes;
}

static void take_back(void *context, void *ptr, size_t size_bytes)
{
    (void)context, (void)ptr, (void)size_bytes;
}

static void grow(void)
{
    ea_arena_options_t options = {.upstream = {lend, take_back, NULL}, .chunk_bytes = 256};
    count_scenario("growing");
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        start(64, &options);
        lent_bytes = round;
        for (unsigned i = 0; i < 16; i++) {
            uint32_t n = 0;
            uintptr_t block = COUNTED(&n, ea_arena_alloc, &arena, 300, 0, 0, 0);
            (void)checked(OP_ARENA_ALLOC_GROW, n, block);
        }
    }
    count_report();
}
#endif

int main(void)
{
    ea_arena_options_t limits = {.alignment_bytes = 4,
                                 .quantum_bytes = 16,
                                 .min_block_bytes = 40,
                                 .max_block_bytes = 4096,
                                 .guard = EA_CFG_ARENA_GUARD};
    count_calibrate();
    use("plain", NULL);
    use("limits", &limits);
#if EA_CFG_ARENA_GROW
    grow();
#endif
    count_report_all();
    board_put("end\n");
    return 0;
}
