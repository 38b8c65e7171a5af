/* SPDX-License-Identifier: MIT
 *
 * What looks at a store of movable blocks and changes nothing: numbers, walks, the report on pins,
 * the checker. The invariants stand on top of movable.c.
 */
#include "stores/movable_internal.h"

/* --- numbers ---------------------------------------------------------------------------------- */

static units_t largest_hole(const ea_movable_t *m)
{
    units_t largest = 0;
    for (uint32_t bin = EAI_BINS; bin-- && !largest;) {
        for (units_t hole = m->bins[bin]; hole; hole = links_at(m, hole)->next) {
            if (units_of(*at(m, hole)) > largest) largest = units_of(*at(m, hole));
        }
    }
    return largest;
}

void ea_movable_stats(const ea_movable_t *m, ea_movable_stats_t *stats)
{
    units_t largest = largest_hole(m);
    EAI_MASK_BEGIN(irq); /* who locks a block in flight moves it as well */
    stats->moved_bytes = m->moved_units << EAI_UNIT_SHIFT;
    stats->n_moves = m->n_moves;
    EAI_MASK_END(irq);
    stats->total_bytes = (size_t)(m->end - m->first) << EAI_UNIT_SHIFT;
    stats->free_bytes = (size_t)m->free_units << EAI_UNIT_SHIFT;
    stats->largest_bytes = largest ? (size_t)(largest - 1u) << EAI_UNIT_SHIFT : 0;
    stats->control_bytes = (size_t)EAI_CONTROL_UNITS << EAI_UNIT_SHIFT;
    stats->table_bytes = table_bytes(m->n_handles);
    stats->n_live = m->n_live;
#if EA_CFG_MOVABLE_FIXED
    stats->n_fixed = m->n_fixed;
#endif
    stats->n_handles = m->n_handles;
    stats->max_demand_bytes = m->max_demand_bytes;
    stats->n_failures = m->n_failures;
    stats->n_again = m->n_again;
}

/* --- walks ------------------------------------------------------------------------------------ */

bool ea_movable_walk(const ea_movable_t *m, size_t *position, ea_movable_block_t *block)
{
    units_t place = m->first + (units_t)*position;
    if (place < m->first || place >= m->end) return false;
    head_t head = *at(m, place);
    units_t units = units_of(head);
    if (units == 0 || units > m->end - place) return false;
    *position += units;
    block->handle.eai_word = 0;
    block->offset_bytes = (size_t)(place + 1u) << EAI_UNIT_SHIFT;
    block->size_bytes = (size_t)(units - 1u) << EAI_UNIT_SHIFT;
    block->n_locks = 0;
    block->moving = false;
#if EA_CFG_MOVABLE_FIXED
    block->is_fixed = is_fixed(head);
#endif
    if (!(head & EAI_HOLE) && !is_fixed(head) && index_of(head) >= m->first_entry) {
        uint32_t index = index_of(head);
        state_t state = EAI_STATE(entry(m, index));
        block->handle.eai_word = handle_word(index, gen_of(m, index, state));
        block->n_locks = locks_of(state);
        block->moving = is_moving(state);
        if (m->move.n && place == m->move.to - 1u)
            block->size_bytes = (size_t)m->move.n << EAI_UNIT_SHIFT;
    }
    return true;
}

size_t ea_movable_pins(const ea_movable_t *m, ea_movable_pin_t *pins, size_t n)
{
    size_t position = 0, n_pins = 0, hole_bytes = 0;
    ea_movable_block_t block;
    while (ea_movable_walk(m, &position, &block)) {
        if (ea_movable_is_none(block.handle)) {
            hole_bytes = block.size_bytes + EA_MOVABLE_HEADER_BYTES;
#if EA_CFG_MOVABLE_FIXED
            if (block.is_fixed) hole_bytes = 0;
#endif
            continue;
        }
        if (block.n_locks) {
            size_t i = n_pins < n ? n_pins++ : n;
            while (i && pins[i - 1u].hole_bytes < hole_bytes) { /* at most n */
                if (i < n) pins[i] = pins[i - 1u];
                i--;
            }
            if (i < n) {
                ea_movable_pin_t pin = {block.handle, block.size_bytes, hole_bytes, block.n_locks};
                pins[i] = pin;
            }
        }
        hole_bytes = 0;
    }
    return n_pins;
}

/* --- check ------------------------------------------------------------------------------------ */

static const char *const sentences[] = {
    "I1 the control structure's numbers lie in the store's memory",
    "I2 blocks and holes tile the memory from first to end",
    "I3 PF says that a hole is below, which carries its header at its end too",
    "I4 a block's entry names its payload, except while it is being moved",
    "I5 a hole is linked into the bin of its size, its neighbours point back",
    "I6 a bin's bit is set exactly when its list is not empty",
    "I7 entries that are not of a block are free, each once in the list",
    "I8 the counters equal what the blocks say",
};

static bool broken(ea_movable_fault_t *fault, unsigned number, const void *where)
{
    fault->invariant = sentences[number - 1u];
    fault->where = where;
    return false;
}

static bool check_control(const ea_movable_t *m, ea_movable_fault_t *fault)
{
    size_t table = table_bytes(m->n_handles);
    size_t size = (size_t)(m->table + EAI_TABLE_SPAN - (uintptr_t)m);
    const eai_move_t *move = &m->move;
    bool good = m->first == EAI_CONTROL_UNITS && m->end > m->first && size % EAI_UNIT_BYTES == 0 &&
                size >> EAI_UNIT_SHIFT <= EAI_MAX_UNITS && m->n_handles % EAI_CHUNK_ENTRIES == 0 &&
                m->n_handles <= m->max_handles && m->max_handles <= EA_MOVABLE_MAX_HANDLES &&
                table < size && m->end + 1u == (size - table) >> EAI_UNIT_SHIFT &&
                m->first_entry == EAI_INDEXES - m->n_handles && m->n_live <= m->n_handles &&
                m->cursor >= m->first && m->cursor <= m->end && m->free_units <= m->end - m->first;
    if (good && move->n) /* only a slide outlives a call */
        good = move->k <= move->n && move->to > m->first && move->from > move->to &&
               move->from < m->end && move->n <= m->end - move->from &&
               index_of(move->head) >= m->first_entry;
    return good || broken(fault, 1, m);
}

typedef struct {
    units_t free_units;
    uint32_t n_blocks, n_holes;
#if EA_CFG_MOVABLE_FIXED
    uint32_t n_fixed;
#endif
} tally_t;

static bool check_block(const ea_movable_t *m, units_t place, ea_movable_fault_t *fault)
{
    uint32_t index = index_of(*at(m, place));
    if (index < m->first_entry) return broken(fault, 4, at(m, place));
    state_t state = EAI_STATE(entry(m, index));
    if (is_free_entry(state)) return broken(fault, 4, at(m, place));
    bool in_move = m->move.n && m->move.to == place + 1u && index_of(m->move.head) == index;
    if (is_moving(state) || (in_move && m->move.k != m->move.n))
        return (in_move && is_moving(state)) || broken(fault, 4, at(m, place));
    return place_of(m, index, state) == place + 1u || broken(fault, 4, at(m, place));
}

static bool check_hole(const ea_movable_t *m, units_t place, units_t units,
                       ea_movable_fault_t *fault)
{
    const void *where = at(m, place);
    if (*at(m, place + units - 1u) != *at(m, place)) return broken(fault, 3, where);
    if (units < EAI_LISTED) return true;
    links_t links = *links_at(m, place);
    if (links.next && (links.next < m->first || links.next >= m->end - 2u ||
                       links_at(m, links.next)->prev != place))
        return broken(fault, 5, where);
    if (!links.prev) return m->bins[bin_of(units)] == place || broken(fault, 5, where);
    if (links.prev < m->first || links.prev >= m->end - 2u ||
        links_at(m, links.prev)->next != place)
        return broken(fault, 5, where);
    return true;
}

static bool check_tiles(const ea_movable_t *m, tally_t *tally, ea_movable_fault_t *fault)
{
    bool below_is_hole = false, has_cursor = m->cursor == m->end, has_lowest = m->lowest == m->end;
    units_t units;
    for (units_t place = m->first; place != m->end; place += units) {
        head_t head = *at(m, place);
        bool is_hole = (head & EAI_HOLE) != 0;
        units = units_of(head);
        if (units == 0 || units > m->end - place || (!is_hole && units < EAI_MIN_UNITS))
            return broken(fault, 2, at(m, place));
        if (((head & EAI_PREV_FREE) != 0) != below_is_hole || (is_hole && below_is_hole))
            return broken(fault, 3, at(m, place));
        if (is_hole) {
            if (!check_hole(m, place, units, fault)) return false;
            tally->free_units += units;
            tally->n_holes += units >= EAI_LISTED;
#if EA_CFG_MOVABLE_FIXED
        } else if (is_fixed(head)) {
            tally->n_fixed++;
#endif
        } else {
            if (!check_block(m, place, fault)) return false;
            if (m->move.n && place == m->move.to - 1u)
                tally->free_units += m->move.from - m->move.to;
            tally->n_blocks++;
        }
        below_is_hole = is_hole;
        has_cursor |= place == m->cursor;
        has_lowest |= place == m->lowest;
    }
    if (!has_cursor || !has_lowest) return broken(fault, 1, m);
    head_t end = *at(m, m->end);
    return (units_of(end) == 0 && ((end & EAI_PREV_FREE) != 0) == below_is_hole) ||
           broken(fault, 3, at(m, m->end));
}

static bool check_bins(const ea_movable_t *m, const tally_t *tally, ea_movable_fault_t *fault)
{
    uint32_t n = 0;
    for (uint32_t bin = 0; bin < EAI_BINS; bin++) {
        units_t hole = m->bins[bin];
        if (((m->words[bin >> 5] & eai_bit(bin)) != 0) != (hole != 0))
            return broken(fault, 6, &m->bins[bin]);
        while (hole) { /* at most as many as there are holes */
            if (hole < m->first || hole >= m->end || n == tally->n_holes ||
                !(*at(m, hole) & EAI_HOLE) || bin_of(units_of(*at(m, hole))) != bin)
                return broken(fault, 5, &m->bins[bin]);
            n++;
            hole = links_at(m, hole)->next;
        }
    }
    for (uint32_t bit = EAI_BINS; bit < EAI_BIN_WORDS * 32u; bit++) {
        if (m->words[bit >> 5] & eai_bit(bit)) return broken(fault, 6, m->words);
    }
    return n == tally->n_holes || broken(fault, 5, m->bins);
}

static bool check_entries(const ea_movable_t *m, ea_movable_fault_t *fault)
{
    uint32_t n_free = 0;
    for (uint32_t i = m->first_entry; i < EAI_INDEXES; i++) {
        bool is_free = is_free_entry(EAI_STATE(entry(m, i)));
        if (is_free && gen_of(m, i, *entry(m, i)) == 0) return broken(fault, 7, entry(m, i));
        n_free += is_free;
#if EAI_SMALL
        if (((*free_word(m, i >> 5) >> (i & 31u) & 1u) != 0) != is_free)
            return broken(fault, 7, entry(m, i));
        if ((i & 31u) == 0 &&
            ((m->chunks[i >> 10] >> (i >> 5 & 31u) & 1u) != 0) != (*free_word(m, i >> 5) != 0))
            return broken(fault, 7, m->chunks);
#endif
    }
    if (n_free != m->n_handles - m->n_live) return broken(fault, 8, m);
#if EAI_SMALL
    for (uint32_t chunk = 0; chunk < m->first_entry >> 5; chunk++) {
        if (m->chunks[chunk >> 5] >> (chunk & 31u) & 1u) return broken(fault, 7, m->chunks);
    }
    if (m->next_entry < m->first_entry || m->next_entry >= EAI_INDEXES) return broken(fault, 7, m);
#else
    uint32_t index = m->free_head, n = 0;
    for (; n < n_free; n++) {
        if (index < m->first_entry || index >= EAI_INDEXES ||
            !is_free_entry(EAI_STATE(entry(m, index))))
            return broken(fault, 7, m);
        if (n + 1u == n_free && index != m->free_tail) return broken(fault, 7, m);
        index = place_of(m, index, *entry(m, index));
    }
#endif
    return true;
}

ea_status_t ea_movable_check(const ea_movable_t *m, ea_movable_fault_t *fault)
{
    ea_movable_fault_t found = {NULL, NULL};
    tally_t tally = {0};
    bool good = check_control(m, &found) && check_tiles(m, &tally, &found) &&
                check_bins(m, &tally, &found) && check_entries(m, &found);
    if (good && (tally.free_units != m->free_units || tally.n_blocks != m->n_live))
        good = broken(&found, 8, m);
#if EA_CFG_MOVABLE_FIXED
    if (good && tally.n_fixed != m->n_fixed) good = broken(&found, 8, m);
#endif
    if (fault) *fault = found;
    return good ? EA_OK : EA_ERR_CORRUPT;
}
