/* SPDX-License-Identifier: MIT
 *
 * Sizes are below 2^57, so that products of two of them and small factors fit in 128 bits.
 */
#include "bound.h"

#include <stddef.h>

#include "movable_run.h"

#define HEADER_BYTES 4u
#define LEAST_HEAP_BYTES 16u
#define CLASSES 64

typedef bound_units_t wide_t;

/* A hole of the request's own bin may be overlooked: a bin is a quarter of its sizes wide. */
const bound_search_t bound_exact_search = {1, 1, 0, 0};
const bound_search_t bound_heap_search = {5, 4, 0, 1};  /* 8 bytes are no hole */
const bound_search_t bound_store_search = {5, 4, 1, 0}; /* holes of 1 and 2 units are in no bin */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

static unsigned log2_floor(uint64_t value)
{
    return 63u - (unsigned)__builtin_clzll(value);
}

static unsigned log2_ceil(uint64_t value)
{
    return value <= 1 ? 0 : log2_floor(value - 1) + 1;
}

/* --- no policy ------------------------------------------------------------------------------- */

/* With blocks of m, 2m, 4m up to n, as many as are allowed. */
static wide_t robson(const bound_load_t *load, uint64_t m)
{
    uint64_t live = load->live / m;
    if (live > load->n_blocks) live = load->n_blocks;
    unsigned log = log2_floor(least(load->largest / m, live));
    wide_t n = (wide_t)1 << log, most = live / n * n;
    return (most + most * log / 2 - n + 1) * m; /* n is even, or there is no logarithm to halve */
}

bound_units_t bound_least(const bound_load_t *load)
{
    wide_t most = load->live;
    /* Where blocks are few larger ones may do more. */
    for (uint64_t m = load->smallest; m <= load->largest; m *= 2) {
        wide_t units = robson(load, m);
        if (units > most) most = units;
    }
    return most;
}

/* --- policies that move nothing --------------------------------------------------------------- */

/* The most, over all requests of s, of M - s units live, k blocks' waste, and k + 1 holes one unit
 * less than may be overlooked; and one unit, so that a request is served. */
static wide_t when_refused(const bound_load_t *load, const bound_search_t *search, uint64_t s)
{
    wide_t d = search->denominator, m = load->smallest;
    wide_t overlooked = (wide_t)s * search->numerator + d * search->more; /* times d */
    wide_t around = overlooked + d * search->waste - d; /* a live block: its hole and its waste */
    wide_t blocks = load->live - s;                     /* times m */
    wide_t known = (wide_t)(load->n_blocks - 1) * m;
    if (known < blocks) blocks = known;
    return load->live + (blocks * around + m * (overlooked - d * s)) / (m * d);
}

bound_units_t bound_any_fit(const bound_load_t *load, const bound_search_t *search)
{
    /* A parabola in s, below a line where the blocks are few: its top, their crossing, the ends. */
    wide_t num = search->numerator, d = search->denominator;
    wide_t twice = num * load->live + load->smallest * (num - d) + d;
    wide_t off = d * (search->more + search->waste);
    uint64_t top = (uint64_t)((twice > off ? twice - off : 0) / (2 * num));
    wide_t known = (wide_t)(load->n_blocks - 1) * load->smallest;
    uint64_t crossing = known < load->live ? load->live - (uint64_t)known : 0;
    uint64_t tries[] = {top, top + 1, crossing, crossing + 1, load->smallest, load->largest};
    wide_t most = load->live;
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        uint64_t s = tries[i] < load->smallest ? load->smallest : least(tries[i], load->largest);
        wide_t units = when_refused(load, search, s);
        if (units > most) most = units;
    }
    return most;
}

bound_units_t bound_first_fit(const bound_load_t *load)
{
    wide_t robson = (wide_t)load->live * (1 + log2_ceil(load->largest));
    wide_t any = bound_any_fit(load, &bound_exact_search);
    return any < robson ? any : robson;
}

bound_units_t bound_half_fit(const bound_load_t *load)
{
    wide_t robson = (wide_t)load->live * (1 + log2_ceil(load->largest / load->smallest));
    wide_t any = bound_any_fit(load, &bound_exact_search);
    return any < robson ? any : robson;
}

bound_units_t bound_buddy(const bound_load_t *load)
{
    wide_t live = round_up(load->live, load->largest);
    return live * (1 + log2_ceil(load->largest / load->smallest));
}

/* --- policies that move ----------------------------------------------------------------------- */

bound_units_t bound_compacting(const bound_load_t *load, uint64_t n_pinned)
{
    uint64_t pins = least(n_pinned, least(load->n_blocks, load->live / load->smallest));
    return load->live + (wide_t)pins * (load->largest - 1);
}

bound_units_t bound_sliding(const bound_load_t *load, uint64_t permille)
{
    wide_t moved = ((wide_t)load->live * 1000 + permille - 1) / permille;
    return load->live + load->largest + moved;
}

bound_units_t bound_sliding_steps(const bound_load_t *load, uint64_t permille)
{
    if (permille <= 1000) return 0;
    wide_t sweep = ((wide_t)load->live * 1000 + permille - 1001) / (permille - 1000);
    return load->live + 2 * (load->largest + sweep);
}

/* --- a program -------------------------------------------------------------------------------- */

static uint64_t heap_bytes(uint32_t align_bytes, uint64_t size_bytes)
{
    uint64_t bytes = round_up(size_bytes + HEADER_BYTES, align_bytes);
    return bytes < LEAST_HEAP_BYTES ? LEAST_HEAP_BYTES : bytes;
}

static uint64_t power_bytes(uint32_t align_bytes, uint64_t size_bytes)
{
    return (uint64_t)1 << log2_ceil(heap_bytes(align_bytes, size_bytes));
}

static uint64_t class_bytes(uint32_t align_bytes, uint64_t size_bytes)
{
    unsigned log = log2_ceil(size_bytes);
    uint64_t bytes = (uint64_t)1 << log;
    return bytes < align_bytes ? align_bytes : bytes;
}

/* The most that blocks take which together ask for so much: each a header and rounding more, or
 * what the smallest has beyond its size. */
static uint64_t most_bytes(const bound_program_t *p, uint64_t smallest_block, uint64_t header,
                           uint64_t unit)
{
    uint64_t each = header + unit - 1, small = smallest_block - p->smallest_bytes;
    if (small > each) each = small;
    return (p->live_bytes + p->n_blocks * each) / unit * unit;
}

static bound_load_t load_of(const bound_program_t *p, uint64_t live, uint64_t largest,
                            uint64_t smallest, uint64_t unit)
{
    bound_load_t load = {live / unit, largest / unit, smallest / unit, p->n_blocks};
    if (load.live < load.largest) load.live = load.largest; /* one block is there */
    return load;
}

/* The layout that was asked for, or the smallest that holds what fits into each. */
static void choose_layout(bound_program_t *p, const eai_movable_ops_t *asked_for,
                          const uint64_t slid_bytes[MOVABLE_LAYOUTS],
                          const uint64_t store_bytes[MOVABLE_LAYOUTS])
{
    for (int i = 0; i < MOVABLE_LAYOUTS; i++) {
        const eai_movable_ops_t *ops = p->layout = movable_layouts[i];
        if (asked_for != NULL && asked_for != ops) continue;
        uint64_t smallest = movable_block_bytes(ops, p->smallest_bytes);
        uint64_t largest = movable_block_bytes(ops, p->largest_bytes);
        p->store = load_of(p, store_bytes[i], largest, smallest, ops->unit_bytes);
        p->slid = load_of(p, slid_bytes[i], largest, smallest, ops->unit_bytes);
        p->table_bytes = movable_table_bytes(ops, p->n_blocks);
        p->is_held =
            p->n_blocks <= ops->max_handles &&
            p->slid.live * ops->unit_bytes + p->table_bytes + ops->control_bytes <= ops->most_bytes;
        if (p->is_held || asked_for != NULL) return;
    }
}

void bound_program_of(bound_program_t *p, uint64_t live_bytes, uint64_t largest_bytes,
                      uint64_t smallest_bytes, uint64_t n_blocks, uint32_t align_bytes,
                      const eai_movable_ops_t *layout)
{
    uint64_t fit = live_bytes / smallest_bytes, store_bytes[MOVABLE_LAYOUTS];
    *p = (bound_program_t){.live_bytes = live_bytes,
                           .largest_bytes = largest_bytes,
                           .smallest_bytes = smallest_bytes,
                           .n_blocks = n_blocks == 0 ? fit : least(n_blocks, fit),
                           .align_bytes = align_bytes};
    uint64_t smallest = heap_bytes(align_bytes, smallest_bytes);
    uint64_t largest = heap_bytes(align_bytes, largest_bytes);
    p->heap = load_of(p, most_bytes(p, smallest, HEADER_BYTES, align_bytes), largest, smallest,
                      align_bytes);
    /* Two blocks have more header than rounding it up adds, and one is no larger than the
     * largest. */
    p->sure = load_of(p, round_up(live_bytes, align_bytes), largest, smallest, align_bytes);
    /* Less than twice the size, and all the same where all are. */
    uint64_t smallest_power = power_bytes(align_bytes, smallest_bytes);
    uint64_t largest_power = power_bytes(align_bytes, largest_bytes);
    uint64_t live =
        largest == smallest ? p->n_blocks * largest_power : 2 * p->heap.live * align_bytes;
    p->power = load_of(p, live, largest_power, smallest_power, align_bytes);
    for (int i = 0; i < MOVABLE_LAYOUTS; i++) {
        const eai_movable_ops_t *ops = movable_layouts[i];
        store_bytes[i] = most_bytes(p, movable_block_bytes(ops, smallest_bytes), ops->header_bytes,
                                    ops->unit_bytes);
    }
    choose_layout(p, layout, store_bytes, store_bytes);
    /* All may be of one class, the smallest of it. */
    uint64_t from = smallest_bytes, last = class_bytes(align_bytes, largest_bytes);
    for (uint64_t class = class_bytes(align_bytes, smallest_bytes);; class *= 2) {
        p->pools_bytes += class * least(p->n_blocks, live_bytes / from);
        if (class == last) break;
        from = class + 1;
    }
}

typedef struct {
    uint64_t now, most;
} sum_t;

static void change(sum_t *sum, uint64_t less, uint64_t more)
{
    sum->now += more - less;
    if (sum->now > sum->most) sum->most = sum->now;
}

typedef struct {
    sum_t blocks, sure, heap, power, store[MOVABLE_LAYOUTS], slid[MOVABLE_LAYOUTS],
        classes[CLASSES];
} sums_t;

/* A block comes to be of another size; 0: of none. What moves nothing, or not enough to grow in
 * place, makes a new block while the old one is there, unless that shrinks. */
static void replace(sum_t *sum, bool is_copied, uint64_t old, uint64_t new)
{
    if (is_copied) {
        change(sum, 0, new);
        change(sum, old, 0);
    } else {
        change(sum, old, new);
    }
}

static void count(sums_t *sums, uint32_t align, uint64_t old, uint64_t new)
{
    bool was = old != 0, is = new != 0, is_copied = was;
    if (new <= old) is_copied = false;
    uint64_t heap[] = {was ? heap_bytes(align, old) : 0, is ? heap_bytes(align, new) : 0};
    uint64_t power[] = {was ? power_bytes(align, old) : 0, is ? power_bytes(align, new) : 0};
    replace(&sums->blocks, is_copied, was, is);
    replace(&sums->sure, false, heap[0], heap[1]);
    replace(&sums->heap, is_copied, heap[0], heap[1]);
    replace(&sums->power, is_copied, power[0], power[1]);
    for (int i = 0; i < MOVABLE_LAYOUTS; i++) {
        const eai_movable_ops_t *ops = movable_layouts[i];
        uint64_t bytes[] = {was ? movable_block_bytes(ops, old) : 0,
                            is ? movable_block_bytes(ops, new) : 0};
        replace(&sums->slid[i], false, bytes[0], bytes[1]);
        replace(&sums->store[i], is_copied, bytes[0], bytes[1]);
    }
    if (is) change(&sums->classes[log2_ceil(class_bytes(align, new))], 0, 1);
    if (was) change(&sums->classes[log2_ceil(class_bytes(align, old))], 1, 0);
}

bool bound_program_of_trace(bound_program_t *p, const trace_t *trace, uint32_t align_bytes,
                            const eai_movable_ops_t *layout)
{
    bigmem_array_t memory = {0};
    sums_t sums = {0};
    uint64_t smallest = UINT64_MAX, largest = 0, slid[MOVABLE_LAYOUTS], store[MOVABLE_LAYOUTS];
    if (!bigmem_reserve(&memory, ((size_t)trace->n_slots + 1) * sizeof(uint64_t))) return false;
    uint64_t *sizes = memory.data;
    for (size_t i = 0; i < trace->n_ops; i++) {
        trace_op_t op = trace->ops[i];
        uint64_t *size = &sizes[op_slot(op)];
        uint64_t new_bytes = op_kind(op) == OP_FREE ? 0 : op_request_bytes(op);
        count(&sums, align_bytes, *size, new_bytes);
        *size = new_bytes;
        if (new_bytes > largest) largest = new_bytes;
        if (new_bytes != 0 && new_bytes < smallest) smallest = new_bytes;
    }
    bigmem_release(&memory);
    if (largest == 0) return false;
    *p = (bound_program_t){.live_bytes = trace->peak_live_bytes,
                           .largest_bytes = largest,
                           .smallest_bytes = smallest,
                           .n_blocks = sums.blocks.most,
                           .align_bytes = align_bytes};
    p->heap = load_of(p, sums.heap.most, heap_bytes(align_bytes, largest),
                      heap_bytes(align_bytes, smallest), align_bytes);
    p->sure = p->heap;
    p->sure.live = sums.sure.most / align_bytes;
    p->power = load_of(p, sums.power.most, power_bytes(align_bytes, largest),
                       power_bytes(align_bytes, smallest), align_bytes);
    for (int i = 0; i < MOVABLE_LAYOUTS; i++) {
        slid[i] = sums.slid[i].most;
        store[i] = sums.store[i].most;
    }
    choose_layout(p, layout, slid, store);
    for (int i = 0; i < CLASSES; i++) p->pools_bytes += sums.classes[i].most << i;
    return true;
}
