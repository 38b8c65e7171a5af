/* SPDX-License-Identifier: MIT
 *
 * Slots held for a reservation. A held slot is in its handle's holder's hands and in no list: who
 * uses it, gives it up or finds its time over moves its word from held, one of them. Its record
 * says until when, in the places of object and since, which acquire writes last: so one that is put
 * back is as it was.
 */
#include "monitor/monitor_internal.h"

#define FOR_EVER UINT64_MAX

/* In units of 1024 us. */
static uint64_t held_until(const record_t *record)
{
    return (uint64_t)record->object << 32 | record->since;
}

/* No resource has 0 units, and none that is held has no caller. */
bool eai_held_is_sealed(const monitor_t *monitor, const slot_t *slot, word_t word)
{
    record_t record;
    uint8_t seal = read_record(slot, &record);
    return record.units == 0 && record.whose == 0 && record.caller != 0 && record.parent == 0 &&
           seal == seal_of(index_of(monitor, slot), word, &record);
}

static void hold_slot(monitor_t *monitor, slot_t *slot, uint64_t expires_us, const void *caller)
{
    word_t word = with_state(word_of(slot), SLOT_HELD);
    uint64_t until = expires_us == FOR_EVER ? FOR_EVER : (expires_us >> 10) + 1u;
    const record_t record = {
        .object = (word_t)(until >> 32), .caller = (word_t)caller, .since = (uint32_t)until};
    WRITE(slot, eai_units, 0);
    WRITE(slot, eai_object, record.object);
    WRITE(slot, eai_caller, record.caller);
    WRITE(slot, eai_whose, 0);
    WRITE(slot, eai_since, record.since);
    write_seal(monitor, slot, word, &record);
    EAI_STORE(&slot->eai_state, word, EAI_RELEASE);
}

static word_t held_word(ea_resource_t held)
{
    return make_word(held.eai_generation, 0, SLOT_HELD);
}

slot_t *eai_held_take(monitor_t *monitor, ea_resource_t held)
{
    slot_t *slot = slot_with(monitor, held);
    word_t word = held_word(held);
    return slot != NULL && move_word(&slot->eai_state, word, with_state(word, SLOT_RESERVED))
               ? slot
               : NULL;
}

bool eai_held_is(const monitor_t *monitor, ea_resource_t held, const slot_t *slot)
{
    return slot_with(monitor, held) == slot && generation_of(word_of(slot)) == held.eai_generation;
}

/* The word comes back: an audit must know. */
void eai_held_put_back(monitor_t *monitor, slot_t *slot)
{
    add_word(&monitor->eai_n_begun, 1);
    WRITE(slot, eai_units, 0);
    WRITE(slot, eai_whose, 0);
    EAI_STORE(&slot->eai_state, with_state(word_of(slot), SLOT_HELD), EAI_RELEASE);
    add_word(&monitor->eai_n_ended, 1);
}

ea_status_t ea_monitor_hold_slots(monitor_t *monitor, size_t n, uint64_t expires_us,
                                  ea_resource_t *slots)
{
    for (size_t i = 0; i < n; i++) {
        slot_t *slot = eai_slots_take(monitor, 0);
        if (slot == NULL && ea_monitor_trim(monitor, 1) > 0) slot = eai_slots_take(monitor, 0);
        if (slot == NULL) {
            while (i > 0) (void)ea_monitor_drop_slot(monitor, slots[--i]);
            return EA_ERR_NO_MEMORY;
        }
        hold_slot(monitor, slot, expires_us, __builtin_return_address(0));
        slots[i] = handle_of(index_of(monitor, slot), 0, word_of(slot));
    }
    return EA_OK;
}

ea_status_t ea_monitor_drop_slot(monitor_t *monitor, ea_resource_t held)
{
    slot_t *slot = eai_held_take(monitor, held);
    if (slot == NULL) return EA_ERR_NOT_FOUND;
    eai_monitor_free(monitor, slot, word_of(slot), 0);
    eai_monitor_wake(monitor);
    return EA_OK;
}

size_t ea_monitor_expire_slots(monitor_t *monitor, uint64_t now_us, size_t max_steps)
{
    size_t n = 0;
    for (size_t i = 0; i < max_steps && i < monitor->eai_n_slots; i++) {
        const uint32_t at = monitor->eai_expire_at;
        slot_t *slot = &monitor->eai_slots[at];
        word_t word = word_of(slot);
        monitor->eai_expire_at = at + 1u < monitor->eai_n_slots ? at + 1u : 0;
        if (state_of(word) != SLOT_HELD || !eai_held_is_sealed(monitor, slot, word)) continue;
        record_t record;
        (void)read_record(slot, &record);
        uint64_t until = held_until(&record);
        if (until == FOR_EVER || now_us >> 10 < until) continue;
        n += ea_monitor_drop_slot(monitor, handle_of(at, 0, word)) == EA_OK;
    }
    return n;
}
