/* SPDX-License-Identifier: MIT
 *
 * What a dump says of a store of movable blocks: its control structure, then its blocks, first
 * those with a handle. stores/movable_look.c finds them; whose they are the allocator knows, if the
 * store is a region of one: of blocks with a handle by an array in front of the store, of those
 * with an address by their tags.
 */
#include "memory/allocator_internal.h"
#include "observe/dump_internal.h"
#include "stores/movable_look.h"

typedef ea_dump_t dump_t;
typedef eai_dump_sight_t sight_t;

bool eai_dump_store(dump_t *d, const slot_t *slot, const char *mem, const char *end,
                    const char *name)
{
    eai_movable_look_t *look = &d->eai_look;
    eai_movable_facts_t f = {0};
    ea_movable_fault_t fault;
    bool is_live = d->eai_options->is_live;
    eai_dump_lock(d, slot);
    bool possible = eai_movable_look_begin(look, mem, end, !is_live, &fault);
    look->eai_is_live = is_live;
    if (possible) eai_movable_look_facts(look, &f);
    eai_dump_unlock(d, slot);
    if (!possible) {
        eai_dump_put_trouble(d, EA_DUMP_RANGE, mem, "store");
        return false;
    }
    eai_dump_open(d, EAI_RECORD_STORE, 23);
    if (name != NULL)
        eai_dump_put_text(d, name);
    else
        eai_dump_put_null(d);
    eai_dump_put_address(d, look->eai_store);
    eai_dump_put_u(d, f.layout);
    eai_dump_put_u(d, f.features);
    eai_dump_put_u(d, look->eai_unit_bytes);
    eai_dump_put_u(d, look->eai_unit_bytes); /* of a header: one unit in every layout */
    eai_dump_put_address(d, f.first);
    eai_dump_put_address(d, f.end);
    eai_dump_put_address(d, f.table_end);
    eai_dump_put_u(d, f.n_handles);
    eai_dump_put_u(d, f.max_handles);
    eai_dump_put_u(d, f.free_bytes);
    eai_dump_put_u(d, f.n_live);
    eai_dump_put_u(d, f.n_fixed);
    eai_dump_put_u(d, f.moved_bytes);
    eai_dump_put_u(d, f.n_moves);
    eai_dump_put_u(d, f.max_demand_bytes);
    eai_dump_put_u(d, f.n_failures);
    eai_dump_put_u(d, f.n_again);
    eai_dump_put_address(d, f.from);
    eai_dump_put_address(d, f.to);
    eai_dump_put_u(d, f.move_bytes);
    eai_dump_put_u(d, f.copied_bytes);
    if (fault.invariant != NULL)
        eai_dump_put_trouble(d, EA_DUMP_INVARIANT, fault.where, fault.invariant);
    return true;
}

/* --- blocks ----------------------------------------------------------------------------------- */

#if EA_CFG_ALLOC_MOVABLE && EAI_ALLOC_OWNERS
/* The owner of a block with a handle, by its number. */
static uint16_t owner_of(const dump_t *d, const slot_t *slot, uint32_t handle)
{
    uintptr_t begin = (uintptr_t)slot->eai_owners, end = (uintptr_t)d->eai_look.eai_store;
    ea_movable_handle_t of = {handle};
    size_t number = eai_movable_number(of);
    if (begin < (uintptr_t)slot->eai_begin || begin > end || begin % sizeof(uint16_t) != 0 ||
        number >= (end - begin) / sizeof(uint16_t))
        return 0;
    return slot->eai_owners[number];
}
#endif

/* Whose the block is. */
static void look_at_owner(const dump_t *d, const slot_t *slot, bool is_fixed, sight_t *s)
{
    size_t header = d->eai_look.eai_unit_bytes,
           usable = s->eai_bytes != 0 ? s->eai_bytes - header : 0;
    s->eai_requested = usable;
    if (slot == NULL) return;
    if (is_fixed) {
        eai_dump_look_closer(d, slot, s->eai_begin + header, usable, s);
        return;
    }
#if EA_CFG_ALLOC_MOVABLE && EAI_ALLOC_OWNERS
    s->eai_owner = owner_of(d, slot, s->eai_handle);
#endif
}

static void translate(const dump_t *d, const slot_t *slot, const eai_movable_seen_t *seen,
                      sight_t *s)
{
    static const uint8_t states[] = {
        [EAI_SEEN_NOTHING] = EAI_DUMP_NOTHING, [EAI_SEEN_HOLE] = EA_DUMP_FREE,
        [EAI_SEEN_BLOCK] = EA_DUMP_USED,       [EAI_SEEN_FIXED] = EA_DUMP_USED,
        [EAI_SEEN_MOVING] = EA_DUMP_MOVING,    [EAI_SEEN_LOST] = EA_DUMP_DAMAGED};
    static const uint8_t troubles[] = {[EAI_SEEN_HEADER] = EA_DUMP_HEADER,
                                       [EAI_SEEN_FLAGS] = EA_DUMP_FLAGS,
                                       [EAI_SEEN_TAIL] = EA_DUMP_TAIL};
    *s = (sight_t){.eai_begin = seen->begin,
                   .eai_bytes = seen->bytes,
                   .eai_state = states[seen->what],
                   .eai_handle = seen->handle,
                   .eai_n_locks = seen->n_locks,
                   .eai_trouble = troubles[seen->trouble],
                   .eai_where = seen->where};
    if (s->eai_state == EA_DUMP_USED || s->eai_state == EA_DUMP_MOVING)
        look_at_owner(d, slot, seen->what == EAI_SEEN_FIXED, s);
}

static void put_store_block(dump_t *d, const sight_t *s)
{
    if (s->eai_state == EAI_DUMP_NOTHING) return;
    bool brief = s->eai_state == EA_DUMP_FREE || s->eai_state == EA_DUMP_DAMAGED;
    eai_dump_open(d, EAI_RECORD_STORE_BLOCK, brief ? 3 : s->eai_finding != 0 ? 11 : 9);
    eai_dump_put_address(d, s->eai_begin);
    eai_dump_put_u(d, s->eai_bytes);
    eai_dump_put_u(d, s->eai_state);
    if (brief) return;
    eai_dump_put_u(d, s->eai_handle);
    eai_dump_put_u(d, s->eai_n_locks);
    eai_dump_put_whose(d, s);
}

bool eai_dump_store_block(dump_t *d, const slot_t *slot)
{
    eai_movable_look_t *look = &d->eai_look;
    eai_movable_seen_t seen = {0};
    sight_t *s = &d->eai_sights[0];
    bool more = true;
    eai_dump_lock(d, slot);
#if EA_CFG_ALLOC_MOVABLE
    if (slot != NULL) more = slot->eai_store == look->eai_store; /* or the region has gone */
#endif
    if (more) more = eai_movable_look_next(look, &seen);
    translate(d, slot, &seen, s);
    eai_dump_unlock(d, slot);
    put_store_block(d, s);
    eai_dump_put_wounds(d, s, (const char *)look->eai_store,
                        (const char *)look->eai_store +
                            ((size_t)look->eai_end * look->eai_unit_bytes));
    return more;
}

const struct eai_dump_stores ea_dump_of_stores = {eai_dump_store, eai_dump_store_block};
