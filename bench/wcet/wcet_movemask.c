/* SPDX-License-Identifier: MIT
 *
 * For how many instructions at a stretch a store of movable blocks masks interrupts: the longest
 * section of every operation, beyond an empty section, as wcet_masked.c measures it. Blocks slide
 * down in steps, hop and slide for requests, slide up for a resize, are locked and freed in flight.
 */
#include "ealloc/movable.h"
#include "sections.h"

#define MEMORY_BYTES 8192u
#define N_SLOTS 150u
#define N_ROUNDS 20000u

static _Alignas(16) unsigned char memory[MEMORY_BYTES];
static ea_movable_handle_t slots[N_SLOTS];
static uint32_t random_state = 1;

/* --- operations ------------------------------------------------------------------------------- */

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

static void lock_and_unlock(ea_movable_t *m, ea_movable_handle_t handle)
{
    void *unused;
    bool in_flight = ea_movable_try_lock(m, handle, &unused) != EA_OK;
    if (!in_flight) (void)ea_movable_unlock(m, handle);
    longest = 0;
    if (!ea_movable_lock(m, handle)) board_exit(1);
    note(in_flight ? OP_LOCK_IN_FLIGHT : OP_LOCK);
    if (ea_movable_unlock(m, handle) != EA_OK) board_exit(1);
    note(OP_UNLOCK);
}

int main(void)
{
    count_calibrate();
    ea_port_irq_restore(ea_port_irq_mask());
    empty_section = longest;
    count_scenario("churn");
    ea_movable_t *m = ea_movable_init(memory, MEMORY_BYTES, NULL);
    if (!m) board_exit(1);
    longest = 0;
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        ea_movable_handle_t *slot = &slots[random_below(N_SLOTS)];
        uint32_t what = random_below(8);
        if (!slot->eai_word) {
            *slot = ea_movable_alloc(m, 8u + random_below(150), EA_MOVABLE_UNLIMITED);
            note(slot->eai_word ? OP_ALLOC : OP_ALLOC_FAIL);
        } else if (what < 2) {
            lock_and_unlock(m, *slot);
        } else if (what < 5) {
            (void)ea_movable_resize(m, *slot, 8u + random_below(250), EA_MOVABLE_UNLIMITED);
            note(OP_MOVABLE_RESIZE);
        } else {
            if (ea_movable_free(m, *slot) != EA_OK) board_exit(1);
            note(OP_FREE);
            slot->eai_word = 0;
        }
        (void)ea_movable_step(m, random_below(400));
        note(OP_STEP_256);
    }
    if (ea_movable_check(m, NULL) != EA_OK) board_exit(1);
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
