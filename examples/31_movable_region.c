/* SPDX-License-Identifier: MIT
 *
 * One region, two kinds of blocks: messages that come and go for ever and fill the memory to the
 * brim are movable; a task's stack, which an update needs once a day, has an address. There is
 * never a place for it, and yet it is never refused: the allocator moves messages out of the way.
 *
 * Built with EA_CFG_ALLOC_MOVABLE=1.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>
#include <string.h>

#define N_MESSAGES 40
#define STACK_BYTES 1024

static _Alignas(8) unsigned char ram[5760];
static ea_allocator_t memory;
static ea_movable_t *store;
static ea_movable_handle_t messages[N_MESSAGES];

static uint32_t random_state = 1;
static uint32_t draw(uint32_t limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 16) % limit;
}

/* Another message instead of an old one. Returns whether there was memory for it. */
static bool receive(unsigned i)
{
    char text[140];
    size_t n_bytes = 20 + draw(120);
    memset(text, 'a' + (int)(i % 26), n_bytes);
    if (!ea_movable_is_none(messages[i])) (void)ea_free_movable(&memory, store, messages[i]);
    messages[i] = ea_malloc_movable(&memory, store, n_bytes, NULL);
    return !ea_movable_is_none(messages[i]) &&
           ea_movable_write(store, messages[i], 0, text, n_bytes) == EA_OK;
}

int main(void)
{
    const ea_region_options_t movable = {.n_handles = N_MESSAGES, .move_bytes = 4096};
    unsigned n_refused = 0, n_stacks = 0;
    if (ea_allocator_init(&memory, NULL) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, &movable) != EA_OK)
        return 1;
    store = ea_allocator_store(&memory, ram);
    for (unsigned hour = 0; hour < 2400; hour++) {
        if (!receive(draw(N_MESSAGES))) n_refused++;
        if (hour % 24 == 3) {
            unsigned char *stack = ea_malloc(&memory, STACK_BYTES);
            if (stack != NULL) {
                memset(stack, 0xA5, STACK_BYTES); /* the update runs */
                n_stacks++;
            }
            (void)ea_free(&memory, stack);
        }
    }
    ea_allocator_stats_t stats;
    ea_allocator_stats(&memory, &stats);
    printf("messages refused %u\nstacks given %u of 100\n", n_refused, n_stacks);
    printf("given because others were moved: %s\n", stats.n_compacted > 0 ? "yes" : "no");
    for (unsigned i = 0; i < N_MESSAGES; i++)
        if (!ea_movable_is_none(messages[i])) (void)ea_free_movable(&memory, store, messages[i]);
    printf("blocks left %s\n", ea_allocator_deinit(&memory, NULL) == EA_OK ? "none" : "some");
    return 0;
}
