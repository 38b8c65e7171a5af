/* SPDX-License-Identifier: MIT
 *
 * What the sources of the monitor share: a slot's word, its record, counters. The scheme is
 * explained in monitor.c.
 */
#ifndef EALLOC_MONITOR_MONITOR_INTERNAL_H
#define EALLOC_MONITOR_MONITOR_INTERNAL_H

#include "ealloc/monitor.h"
#include "ealloc/monitor_wait.h"

#include "accounts/account_internal.h"
#include "base/atomic.h"

typedef ea_monitor_t monitor_t;
typedef eai_slot_t slot_t;
typedef ea_resource_type_t type_t;
typedef uintptr_t word_t;

#define NO_SLOT UINT32_MAX
#define BITS_PER_WORD 32u

/* --- the word of a slot ----------------------------------------------------------------------- */

/*     [generation 32 or 20 | references 27 or 7 | their parity | state 4]
 *
 * States have an even number of bits set, so that one flipped bit makes none. The references of a
 * slot that is being cleaned up are the number of the cleanup's incarnation. */
#define SLOT_HELD 0u      /* for a reservation; nobody's, and charged to nobody */
#define SLOT_FREE 3u      /* the generation is the next resource's */
#define SLOT_RESERVED 5u  /* somebody's, not yet live */
#define SLOT_LIVE 6u      /* with 1 reference or more */
#define SLOT_RELEASING 9u /* the last reference went, and its holder is at it */
#define SLOT_QUEUED 10u   /* ... and it waits in the queue */
#define SLOT_CLEANING 12u /* ... and the cleanup is at it */
#define SLOT_IDLE 15u     /* nobody's; its object may be handed out again */
#define STATE_MASK 15u
#if UINTPTR_MAX > 0xFFFFFFFFu
#define GENERATION_SHIFT 32u
#else
#define GENERATION_SHIFT 12u
#endif
#define REFERENCES_SHIFT 5u
#define PARITY_SHIFT 4u
#define REFERENCES_MAX (((word_t)1 << (GENERATION_SHIFT - REFERENCES_SHIFT)) - 1u)
#define GENERATION_MAX (UINTPTR_MAX >> GENERATION_SHIFT)
#define INCARNATION_MAX 127u

EA_INLINE uint32_t parity(word_t x)
{
    uint32_t folded = (uint32_t)(x ^ x >> (sizeof x * 4u));
    folded ^= folded >> 16;
    folded ^= folded >> 8;
    folded ^= folded >> 4;
    return 0x6996u >> (folded & 15u) & 1u;
}

EA_INLINE word_t make_word(word_t generation, word_t references, word_t state)
{
    return generation << GENERATION_SHIFT | references << REFERENCES_SHIFT |
           (word_t)parity(references) << PARITY_SHIFT | state;
}

EA_INLINE word_t generation_of(word_t word)
{
    return word >> GENERATION_SHIFT;
}

EA_INLINE word_t references_of(word_t word)
{
    return word >> REFERENCES_SHIFT & REFERENCES_MAX;
}

EA_INLINE word_t state_of(word_t word)
{
    return word & STATE_MASK;
}

/* The same generation, one reference at most: what most transitions make. */
EA_INLINE word_t with_state(word_t word, word_t state)
{
    return generation_of(word) << GENERATION_SHIFT | state;
}

#define ONE_REFERENCE (1u << REFERENCES_SHIFT | 1u << PARITY_SHIFT)

/* 0 is no generation. */
EA_INLINE word_t next_generation(word_t word)
{
    word_t next = (generation_of(word) + 1u) & GENERATION_MAX;
    return next + (next == 0);
}

EA_INLINE bool is_on_its_way(word_t word)
{
    word_t state = state_of(word);
    return state == SLOT_RESERVED || state == SLOT_RELEASING || state == SLOT_CLEANING;
}

/* --- accesses --------------------------------------------------------------------------------- */

/* Whether *word was seen and is next now. Repeats only what failed without cause. */
EA_INLINE bool move_word(EAI_SHARED(word_t) * word, word_t seen, word_t next)
{
    for (;;) {
        EAI_ENTER(irq);
        bool is_same = EAI_LOAD(word, EAI_RELAXED) == seen;
        bool done = is_same && EAI_CAS_SEQ_CST(word, seen, next);
        EAI_LEAVE(irq);
        if (EA_LIKELY(done) || !is_same) return done;
    }
}

EA_INLINE bool move_u32(EAI_SHARED(uint32_t) * word, uint32_t seen, uint32_t next)
{
    for (;;) {
        EAI_ENTER(irq);
        bool is_same = EAI_LOAD(word, EAI_RELAXED) == seen;
        bool done = is_same && EAI_CAS_U32(word, seen, next);
        EAI_LEAVE(irq);
        if (EA_LIKELY(done) || !is_same) return done;
    }
}

EA_INLINE void count(eai_count_t *counter)
{
    EAI_ENTER(irq);
    EAI_COUNT(counter, n);
    EAI_LEAVE(irq);
}

/* Repeats only when another context's addition came in between. */
EA_INLINE void add_word(EAI_SHARED(word_t) * word, word_t n)
{
    word_t seen;
    do seen = EAI_LOAD(word, EAI_RELAXED);
    while (!move_word(word, seen, seen + n));
}

EA_INLINE word_t counted(const eai_count_t *counter)
{
    return EAI_LOAD(&((eai_count_t *)counter)->n, EAI_ACQUIRE);
}

EA_INLINE word_t word_of(const slot_t *slot)
{
    return EAI_LOAD(&((slot_t *)slot)->eai_state, EAI_ACQUIRE);
}

/* --- the record ------------------------------------------------------------------------------- */

/* Written while the slot is the writer's alone, read by anybody, who looks at the word before and
 * after: so each is an access of its own. */
typedef struct {
    word_t units, object, caller;
    uint32_t whose, since, parent; /* parent: the slot + 1, without the seal */
} record_t;

#define READ(slot, member) EAI_LOAD(&((slot_t *)(slot))->member, EAI_ACQUIRE)
#define WRITE(slot, member, value) EAI_STORE(&(slot)->member, value, EAI_RELEASE)

EA_INLINE uint8_t type_of(uint32_t whose)
{
    return (uint8_t)(whose >> 8);
}

EA_INLINE uint16_t account_of(uint32_t whose)
{
    return (uint16_t)(whose >> 16);
}

/* In units of 1024 us, of 40 bits. */
EA_INLINE uint64_t since_of(const record_t *record)
{
    return (uint64_t)(record->whose & 0xFFu) << 32 | record->since;
}

#define SINCE_BITS 40u

/* Any one flipped bit of record or generation changes it. */
EA_INLINE uint8_t seal_of(uint32_t index, word_t word, const record_t *record)
{
    word_t x = record->units ^ (record->object << 3 | record->object >> (sizeof x * 8u - 3u)) ^
               (record->caller << 5 | record->caller >> (sizeof x * 8u - 5u));
    uint32_t y = (uint32_t)x ^ (uint32_t)((uint64_t)x >> 32) ^ record->whose ^ record->since ^
                 record->parent ^ index ^ (uint32_t)generation_of(word);
    y ^= y >> 16;
    y ^= y >> 8;
    return (uint8_t)(y ^ 0x5Au);
}

/* Returns the seal beside it. */
EA_INLINE uint8_t read_record(const slot_t *slot, record_t *record)
{
    record->units = READ(slot, eai_units);
    record->object = READ(slot, eai_object);
    record->caller = READ(slot, eai_caller);
    record->whose = READ(slot, eai_whose);
    record->since = READ(slot, eai_since);
    uint32_t parent = READ(slot, eai_parent);
    record->parent = parent & 0xFFFFFFu;
    return (uint8_t)(parent >> 24);
}

EA_INLINE uint32_t index_of(const monitor_t *monitor, const slot_t *slot)
{
    return (uint32_t)(slot - monitor->eai_slots);
}

EA_INLINE void write_seal(const monitor_t *monitor, slot_t *slot, word_t word,
                          const record_t *record)
{
    uint32_t seal = seal_of(index_of(monitor, slot), word, record);
    WRITE(slot, eai_parent, seal << 24 | record->parent);
}

/* --- who and where ---------------------------------------------------------------------------- */

EA_INLINE eai_tally_t *tally_of(const monitor_t *monitor, uint32_t stripe, uint8_t type)
{
    return (eai_tally_t *)(void *)(monitor->eai_tallies + (size_t)stripe * monitor->eai_stride) +
           type;
}

EA_INLINE uint32_t stripe_of(const monitor_t *monitor, uint16_t account)
{
    return account & monitor->eai_stripe_mask;
}

/* Whether each account of the type's book has a stripe of its own; repairs count in stripe 0, which
 * then is nobody's. */
EA_INLINE bool eai_monitor_knows_owners(const monitor_t *monitor, uint8_t type)
{
    return monitor->eai_types[type].book->eai_n_nodes <= monitor->eai_stripe_mask;
}

/* The account of a record; NULL: there is none. */
EA_INLINE ea_account_t *account_with(const type_t *type, uint16_t id)
{
    return id == 0 || id > type->book->eai_n_nodes ? NULL : &type->book->eai_nodes[id - 1u];
}

/* The slot of a handle, whatever its generation; NULL: none of this monitor's. */
EA_INLINE slot_t *slot_with(const monitor_t *monitor, ea_resource_t resource)
{
    uint32_t index = resource.eai_slot & 0xFFFFFFu;
    return resource.eai_generation != 0 && index < monitor->eai_n_slots &&
                   ea_resource_type(resource) < monitor->eai_n_types
               ? &monitor->eai_slots[index]
               : NULL;
}

EA_INLINE ea_resource_t handle_of(uint32_t index, uint8_t type, word_t word)
{
    return (ea_resource_t){(uint32_t)type << 24 | index, (uint32_t)generation_of(word)};
}

EA_INLINE monitor_t *parents_of(monitor_t *monitor, const type_t *type)
{
    return type->parents != NULL ? type->parents : monitor;
}

/* A parent of which a reference is held. */
typedef struct {
    monitor_t *monitor;
    uint32_t slot; /* + 1; 0: none */
} link_t;

#define NO_LINK ((link_t){NULL, 0})

/* Whether the record of a live, queued or idle slot can be trusted. */
EA_INLINE bool eai_monitor_is_sealed(const monitor_t *monitor, const slot_t *slot, word_t word)
{
    record_t record;
    uint8_t seal = read_record(slot, &record);
    return seal == seal_of(index_of(monitor, slot), word, &record) &&
           type_of(record.whose) < monitor->eai_n_types &&
           account_with(&monitor->eai_types[type_of(record.whose)], account_of(record.whose)) !=
               NULL;
}

/* --- monitor_hook.c --------------------------------------------------------------------------- */

void eai_hooks_tell(monitor_t *monitor, ea_block_event_t what, const slot_t *slot,
                    const record_t *record);

/* Something happened to the resource of slot. */
EA_INLINE void tell_hooks(monitor_t *monitor, ea_block_event_t what, const slot_t *slot,
                          const record_t *record)
{
#if EA_CFG_MONITOR_HOOK
    if (EA_UNLIKELY(monitor->eai_hooks != NULL)) eai_hooks_tell(monitor, what, slot, record);
#else
    (void)monitor, (void)what, (void)slot, (void)record;
#endif
}

/* --- monitor_slots.c -------------------------------------------------------------------------- */

/* A free slot, reserved for the caller; NULL: there was none. */
slot_t *eai_slots_take(monitor_t *monitor, uint32_t stripe);
/* The slot is free: make that known. */
void eai_slots_offer(monitor_t *monitor, uint32_t index, uint32_t stripe);
/* The caller's slot is free from now on; stripe: where to look for it first. */
EA_INLINE void eai_monitor_free(monitor_t *monitor, slot_t *slot, word_t word, uint32_t stripe)
{
    word_t next = make_word(next_generation(word), 0, SLOT_FREE);
    EAI_STORE(&slot->eai_state, next, EAI_SEQ_CST); /* before the bit is looked at */
    eai_slots_offer(monitor, index_of(monitor, slot), stripe);
}
/* Whether acquire would find it. */
bool eai_slots_knows(const monitor_t *monitor, uint32_t index);

/* An idle object's slot, reserved for the caller; NULL: there was a moment without one. */
slot_t *eai_idle_take(monitor_t *monitor, uint8_t type);
/* The slot is idle, with that word: make that known. false: no room. */
bool eai_idle_offer(monitor_t *monitor, uint8_t type, uint32_t index, word_t word);
bool eai_idle_knows(const monitor_t *monitor, uint8_t type, uint32_t index, word_t word);

/* --- monitor_reserve.c ------------------------------------------------------------------------ */

/* The held slot of that handle, reserved for the caller; NULL: it is held no more. */
slot_t *eai_held_take(monitor_t *monitor, ea_resource_t held);
/* Whether a reserved slot was taken by that handle. */
bool eai_held_is(const monitor_t *monitor, ea_resource_t held, const slot_t *slot);
/* It is held as before. */
void eai_held_put_back(monitor_t *monitor, slot_t *slot);
/* Whether the record of a held slot can be trusted. */
bool eai_held_is_sealed(const monitor_t *monitor, const slot_t *slot, word_t word);

/* --- monitor_queue.c -------------------------------------------------------------------------- */

/* The slot's word is queued. false: there is no room. */
bool eai_queue_put(monitor_t *monitor, uint32_t index, word_t word);
bool eai_queue_knows(const monitor_t *monitor, uint32_t index, word_t word);
/* Empty, whatever it held. Alone. */
void eai_queue_reset(monitor_t *monitor);
bool eai_queue_is_sound(const monitor_t *monitor);

/* Become the one who cleans up. Returns its incarnation; 0: somebody is. */
uint32_t eai_cleaner_enter(monitor_t *monitor);
void eai_cleaner_leave(monitor_t *monitor);

/* --- monitor_release.c ------------------------------------------------------------------------ */

/* The caller moved the slot's word to RELEASING or CLEANING: end the resource. Returns its parent,
 * of which a reference is to be dropped. */
link_t eai_monitor_finish(monitor_t *monitor, slot_t *slot, word_t word);
/* Drop a reference of a parent, of what that held if it was the last, and so on, from monitor to
 * monitor. At most as many turns as the chain has links. */
void eai_monitor_drop(link_t parent);
void eai_monitor_refuse(monitor_t *monitor);

/* --- monitor.c -------------------------------------------------------------------------------- */

/* Count and report a request that is refused. Returns status. */
ea_status_t eai_monitor_fail(monitor_t *monitor, const ea_resource_request_t *request,
                             ea_status_t status);

/* Something of it may have become free. A line counts with all books of its monitor. */
EA_INLINE void tell_line(const monitor_t *monitor)
{
    eai_accounts_tell(monitor->eai_types[0].book);
}

/* Acquire in steps: look at the request; hold its parent; reserve a slot and charge the account;
 * find the object, which may change the slot; make it live. Each but the last can be undone. */
ea_status_t eai_monitor_look_at(const monitor_t *monitor, const ea_resource_request_t *request);
/* Whether nobody waits for what it would take. */
bool eai_monitor_may_take(const monitor_t *monitor, const ea_resource_request_t *request);
bool eai_monitor_hold_parent(monitor_t *monitor, const ea_resource_request_t *request);
void eai_monitor_let_parent_go(monitor_t *monitor, const ea_resource_request_t *request);
/* Returns EA_OK with the slot's index; EA_ERR_NO_MEMORY: no slot; EA_ERR_LIMIT, by *refuser. */
ea_status_t eai_monitor_reserve(monitor_t *monitor, uint8_t type, ea_account_t *account,
                                word_t units, uint32_t *index, ea_account_t **refuser);
void eai_monitor_unreserve(monitor_t *monitor, uint32_t index);
/* *is_ours: the object is not what the request brings, and to be undone if it is not used. */
ea_status_t eai_monitor_equip(monitor_t *monitor, const ea_resource_request_t *request,
                              uint32_t *index, bool *is_ours);
void eai_monitor_unequip(const monitor_t *monitor, uint8_t type, uint32_t index);
ea_resource_t eai_monitor_go_live(monitor_t *monitor, const ea_resource_request_t *request,
                                  uint32_t index, const void *caller);

#endif
