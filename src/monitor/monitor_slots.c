/* SPDX-License-Identifier: MIT
 *
 * Where free slots and idle objects are. All that is kept here says where to look; a slot is taken
 * by moving its word (M3 in monitor.c).
 *
 * A stripe has a hint, the slot that was released to it last, and the words of bits of its slots. A
 * slot that is taken by the hint keeps its bit, and is put back without touching it: what a short
 * life costs is no access to the bits but a load.
 */
#include "monitor/monitor_internal.h"

#include "base/bits.h"

/* --- bits ------------------------------------------------------------------------------------- */

static void set_bit(monitor_t *monitor, uint32_t index)
{
    EAI_SHARED(uint32_t) *word = &monitor->eai_bits[index / BITS_PER_WORD];
    const uint32_t bit = eai_bit(index);
    for (;;) {
        uint32_t bits = EAI_LOAD(word, EAI_SEQ_CST); /* after the slot's word became free */
        if ((bits & bit) != 0 || move_u32(word, bits, bits | bit)) return;
    }
}

static void clear_bit(monitor_t *monitor, uint32_t index)
{
    EAI_SHARED(uint32_t) *word = &monitor->eai_bits[index / BITS_PER_WORD];
    const uint32_t bit = eai_bit(index);
    for (;;) {
        uint32_t bits = EAI_LOAD(word, EAI_RELAXED);
        if ((bits & bit) == 0 || move_u32(word, bits, bits & ~bit)) return;
    }
}

static bool is_free(const slot_t *slot)
{
    return state_of(EAI_LOAD(&((slot_t *)slot)->eai_state, EAI_SEQ_CST)) == SLOT_FREE;
}

/* --- free slots ------------------------------------------------------------------------------- */

/* Whether the slot was free and is the caller's now. */
EA_INLINE bool take(slot_t *slot)
{
    word_t word = word_of(slot);
    return state_of(word) == SLOT_FREE &&
           move_word(&slot->eai_state, word, with_state(word, SLOT_RESERVED));
}

/* Of one word of bits. At most 32 turns. */
static slot_t *take_of_word(monitor_t *monitor, uint32_t at)
{
    uint32_t bits = EAI_LOAD(&monitor->eai_bits[at], EAI_RELAXED);
    while (bits != 0) {
        uint32_t index = at * BITS_PER_WORD + eai_bits_first(bits);
        bits &= ~eai_bit(index);
        if (index >= monitor->eai_n_slots) continue; /* damaged */
        slot_t *slot = &monitor->eai_slots[index];
        bool is_taken = take(slot);
        clear_bit(monitor, index);
        if (is_taken) return slot;
        /* Its owner may have looked at the bit before it was cleared, and gone. */
        if (is_free(slot)) set_bit(monitor, index);
    }
    return NULL;
}

static slot_t *take_of_stripe(monitor_t *monitor, eai_stripe_t *stripe)
{
    uint32_t n = stripe->eai_n, first = stripe->eai_first;
    uint32_t at = EAI_LOAD(&stripe->eai_word, EAI_RELAXED);
    if (at - first >= n) at = first;
    for (uint32_t i = 0; i < n; i++) {
        slot_t *slot = take_of_word(monitor, at);
        if (slot != NULL) {
            EAI_STORE(&stripe->eai_word, at, EAI_RELAXED);
            return slot;
        }
        if (++at == first + n) at = first;
    }
    return NULL;
}

/* The hint does not help: the caller's stripe, then the others. */
static EA_NOINLINE slot_t *search(monitor_t *monitor, uint32_t stripe)
{
    for (uint32_t i = 0; i <= monitor->eai_stripe_mask; i++) {
        uint32_t at = (stripe + i) & monitor->eai_stripe_mask;
        slot_t *slot = take_of_stripe(monitor, &monitor->eai_stripes[at]);
        if (slot != NULL) return slot;
    }
    return NULL;
}

slot_t *eai_slots_take(monitor_t *monitor, uint32_t stripe)
{
    uint32_t hint = EAI_LOAD(&monitor->eai_stripes[stripe].eai_hint, EAI_RELAXED);
    if (EA_LIKELY(hint < monitor->eai_n_slots && take(&monitor->eai_slots[hint]))) {
        return &monitor->eai_slots[hint];
    }
    return search(monitor, stripe);
}

/* A slot may lie in another stripe than its owner's: it goes home, but the owner's next request
 * finds it first. */
void eai_slots_offer(monitor_t *monitor, uint32_t index, uint32_t stripe)
{
    const uint32_t word = index / BITS_PER_WORD, bit = eai_bit(index);
    eai_stripe_t *near = &monitor->eai_stripes[stripe];
    if (EA_UNLIKELY((EAI_LOAD(&monitor->eai_bits[word], EAI_SEQ_CST) & bit) == 0)) {
        set_bit(monitor, index);
        if (word - near->eai_first < near->eai_n) EAI_STORE(&near->eai_word, word, EAI_RELAXED);
    }
    if (EAI_LOAD(&near->eai_hint, EAI_RELAXED) != index) {
        EAI_STORE(&near->eai_hint, index, EAI_RELAXED);
    }
}

bool eai_slots_knows(const monitor_t *monitor, uint32_t index)
{
    uint32_t bits = EAI_LOAD(&((monitor_t *)monitor)->eai_bits[index / BITS_PER_WORD], EAI_SEQ_CST);
    return (bits & eai_bit(index)) != 0;
}

/* --- idle objects ----------------------------------------------------------------------------- */

/* What a cell holds: 0, or a slot + 1 that is idle in this generation (of which 32-bit machines
 * keep 8 bits). */
EA_INLINE word_t idle_entry(uint32_t index, word_t word)
{
    return generation_of(word) << 24 | (index + 1u);
}

/* Returns the word of a slot that is idle; else 0. */
static word_t idle_word(const slot_t *slot, uint8_t type)
{
    word_t word = EAI_LOAD(&((slot_t *)slot)->eai_state, EAI_SEQ_CST);
    return state_of(word) == SLOT_IDLE && type_of(READ(slot, eai_whose)) == type ? word : 0;
}

/* Of one cell. */
static slot_t *take_of_cell(monitor_t *monitor, EAI_SHARED(word_t) * cell, uint8_t type)
{
    word_t content = EAI_LOAD(cell, EAI_SEQ_CST);
    if (content == 0) return NULL;
    uint32_t index = (uint32_t)(content & 0xFFFFFFu) - 1u;
    slot_t *slot = index < monitor->eai_n_slots ? &monitor->eai_slots[index] : NULL;
    if (slot != NULL) {
        word_t word = idle_word(slot, type);
        if (word != 0 &&
            move_word(&slot->eai_state, word, make_word(generation_of(word), 0, SLOT_RESERVED))) {
            (void)move_word(cell, content, 0);
            return slot;
        }
    }
    /* Left over. But where the generation is short others may have taken it, given it back and put
     * it into this very cell. */
    if (move_word(cell, content, 0) && slot != NULL) {
        word_t word = idle_word(slot, type);
        if (word != 0) (void)eai_idle_offer(monitor, type, index, word);
    }
    return NULL;
}

/* Repeats when an object became idle during the search: else there was a moment without one. */
slot_t *eai_idle_take(monitor_t *monitor, uint8_t type)
{
    eai_kind_t *kind = &monitor->eai_kinds[type];
    word_t seen, version = EAI_LOAD(&kind->idle_version, EAI_SEQ_CST);
    do {
        seen = version;
        for (uint32_t i = 0; i < kind->n_idle; i++) {
            slot_t *slot = take_of_cell(monitor, &kind->idle[i], type);
            if (slot != NULL) return slot;
        }
        version = EAI_LOAD(&kind->idle_version, EAI_SEQ_CST);
    } while (version != seen);
    return NULL;
}

bool eai_idle_offer(monitor_t *monitor, uint8_t type, uint32_t index, word_t word)
{
    eai_kind_t *kind = &monitor->eai_kinds[type];
    for (uint32_t i = 0; i < kind->n_idle; i++) {
        if (EAI_LOAD(&kind->idle[i], EAI_RELAXED) == 0 &&
            move_word(&kind->idle[i], 0, idle_entry(index, word))) {
            add_word(&kind->idle_version, 1);
            return true;
        }
    }
    return false;
}

bool eai_idle_knows(const monitor_t *monitor, uint8_t type, uint32_t index, word_t word)
{
    eai_kind_t *kind = &monitor->eai_kinds[type];
    for (uint32_t i = 0; i < kind->n_idle; i++) {
        if (EAI_LOAD(&kind->idle[i], EAI_ACQUIRE) == idle_entry(index, word)) return true;
    }
    return false;
}
