/* SPDX-License-Identifier: MIT
 *
 * The bounds of ealloc bound against values reckoned by hand and against every order of requests
 * that there is, for memories of a few units.
 */
#include <stdlib.h>
#include <string.h>

#include "bound.h"
#include "movable_run.h"
#include "tap.h"

static bound_load_t load(uint64_t live, uint64_t largest, uint64_t smallest, uint64_t n_blocks)
{
    bound_load_t found = {live, largest, smallest, n_blocks};
    return found;
}

/* --- memories of up to 31 units --------------------------------------------------------------- */

/* Which units are in blocks, and which begin one. */
typedef struct {
    uint32_t used, starts;
} layout_t;

typedef struct {
    layout_t *layouts; /* in the order in which they were found: the queue of the search too */
    uint32_t *slots;   /* hash table: number plus 1 */
    uint32_t n, bits;
} set_t;

static void set_init(set_t *set, uint32_t bits)
{
    set->n = 0;
    set->bits = bits;
    set->layouts = calloc((size_t)1 << bits, sizeof *set->layouts);
    set->slots = calloc((size_t)2 << bits, sizeof *set->slots);
}

static void set_release(set_t *set)
{
    free(set->layouts);
    free(set->slots);
}

/* The layout's number; it is added if add, else UINT32_MAX if it is not there. */
static uint32_t set_find(set_t *set, layout_t layout, bool add)
{
    uint64_t key = (uint64_t)layout.used << 32 | layout.starts;
    uint32_t at = (uint32_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> (63 - set->bits));
    for (;; at = (at + 1) & ((2u << set->bits) - 1u)) {
        uint32_t number = set->slots[at];
        if (number == 0) break;
        if (memcmp(&set->layouts[number - 1], &layout, sizeof layout) == 0) return number - 1;
    }
    if (!add) return UINT32_MAX;
    if (set->n >> set->bits) abort();
    set->layouts[set->n] = layout;
    set->slots[at] = ++set->n;
    return set->n - 1;
}

static uint32_t ones(uint32_t n)
{
    return (1u << n) - 1u;
}

static layout_t with_block(layout_t layout, uint32_t at, uint32_t size)
{
    layout.used |= ones(size) << at;
    layout.starts |= 1u << at;
    return layout;
}

static layout_t without_block(layout_t layout, uint32_t at)
{
    uint32_t size = 1;
    while (layout.used >> (at + size) & 1u && !(layout.starts >> (at + size) & 1u)) size++;
    layout.used &= ~(ones(size) << at);
    layout.starts &= ~(1u << at);
    return layout;
}

static uint32_t count(uint32_t word)
{
    return (uint32_t)__builtin_popcount(word);
}

typedef struct {
    uint32_t units, live, largest, smallest, n_blocks;
    bool powers; /* of two only */
} game_t;

typedef enum { FIRST_FIT, BEST_FIT, ANY_FIT, HALF_FIT, BUDDY } policy_t;

/* The hole at `at`, and its length. */
static uint32_t hole_at(const game_t *game, layout_t layout, uint32_t at)
{
    uint32_t size = 0;
    if (layout.used >> at & 1u || (at > 0 && !(layout.used >> (at - 1) & 1u))) return 0;
    while (at + size < game->units && !(layout.used >> (at + size) & 1u)) size++;
    return size;
}

static uint32_t rank(policy_t policy, uint32_t hole)
{
    return policy == BEST_FIT ? hole : policy == HALF_FIT ? 31u - (uint32_t)__builtin_clz(hole) : 0;
}

/* Where a policy may put a block: a bit for each place; 0: refused. */
static uint32_t places(const game_t *game, policy_t policy, layout_t layout, uint32_t size)
{
    uint32_t found = 0, best = UINT32_MAX;
    if (policy == BUDDY) {
        for (uint32_t at = 0; at + size <= game->units; at += size)
            if (!(layout.used & ones(size) << at)) return 1u << at;
        return 0;
    }
    for (uint32_t at = 0; at < game->units; at++) {
        uint32_t hole = hole_at(game, layout, at);
        if (hole < size) continue;
        if (policy == FIRST_FIT) return 1u << at;
        if (rank(policy, hole) < best) {
            best = rank(policy, hole);
            found = 0;
        }
        if (rank(policy, hole) == best) found |= 1u << at;
    }
    return found;
}

static bool is_size(const game_t *game, uint32_t size)
{
    return !game->powers || (size & (size - 1)) == 0;
}

/* Is every request granted, whatever came before and wherever the policy puts its blocks? */
static bool always_serves(const game_t *game, policy_t policy)
{
    set_t set;
    bool ok = true;
    set_init(&set, 18);
    (void)set_find(&set, (layout_t){0, 0}, true);
    for (uint32_t i = 0; ok && i < set.n; i++) {
        layout_t layout = set.layouts[i];
        uint32_t live = count(layout.used);
        for (uint32_t starts = layout.starts; starts; starts &= starts - 1)
            (void)set_find(&set, without_block(layout, (uint32_t)__builtin_ctz(starts)), true);
        if (count(layout.starts) == game->n_blocks) continue;
        for (uint32_t s = game->smallest; ok && s <= game->largest && live + s <= game->live; s++) {
            if (!is_size(game, s)) continue;
            uint32_t where = places(game, policy, layout, s);
            ok = where != 0;
            for (; where; where &= where - 1)
                (void)set_find(&set, with_block(layout, (uint32_t)__builtin_ctz(where), s), true);
        }
    }
    set_release(&set);
    return ok;
}

/* The least memory in which a policy always serves. */
static uint32_t needed(game_t game, policy_t policy)
{
    for (game.units = game.live; game.units < 31; game.units++)
        if (always_serves(&game, policy)) return game.units;
    return 0;
}

static void all_layouts(const game_t *game, set_t *set, layout_t layout, uint32_t at)
{
    if (at >= game->units) {
        (void)set_find(set, layout, true);
        return;
    }
    all_layouts(game, set, layout, at + 1);
    for (uint32_t s = game->smallest; s <= game->largest && at + s <= game->units; s++)
        if (is_size(game, s) && count(layout.used) + s <= game->live &&
            count(layout.starts) < game->n_blocks)
            all_layouts(game, set, with_block(layout, at, s), at + s);
}

/* Can the allocator go on from here, if what is safe is? */
static bool is_safe(const game_t *game, set_t *set, const bool *safe, layout_t layout)
{
    for (uint32_t starts = layout.starts; starts; starts &= starts - 1)
        if (!safe[set_find(set, without_block(layout, (uint32_t)__builtin_ctz(starts)), false)])
            return false;
    if (count(layout.starts) == game->n_blocks) return true;
    for (uint32_t s = game->smallest; s <= game->largest; s++) {
        if (!is_size(game, s) || count(layout.used) + s > game->live) continue;
        bool found = false;
        for (uint32_t at = 0; !found && at + s <= game->units; at++)
            found = !(layout.used & ones(s) << at) &&
                    safe[set_find(set, with_block(layout, at, s), false)];
        if (!found) return false;
    }
    return true;
}

/* Is there any way at all to place blocks, without moving any, so that all requests are granted? */
static bool can_be_served(const game_t *game)
{
    set_t set;
    set_init(&set, 18);
    all_layouts(game, &set, (layout_t){0, 0}, 0);
    bool *safe = malloc(set.n);
    memset(safe, true, set.n);
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < set.n; i++) {
            if (!safe[i] || is_safe(game, &set, safe, set.layouts[i])) continue;
            safe[i] = false;
            changed = true;
        }
    }
    bool served = safe[set_find(&set, (layout_t){0, 0}, false)];
    free(safe);
    set_release(&set);
    return served;
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(bounds_are_those_reckoned_by_hand, 0)
{
    bound_load_t l = load(1024, 16, 1, 1024);
    EXPECT(bound_least(&l) == 1024 * 3 - 16 + 1);
    EXPECT(bound_first_fit(&l) == 1024 * 5);
    EXPECT(bound_any_fit(&l, &bound_exact_search) == 1024 + (1024 - 16) * 15);
    EXPECT(bound_half_fit(&l) == 1024 * 5);
    EXPECT(bound_buddy(&l) == 1024 * 5);
    EXPECT(bound_compacting(&l, 0) == 1024);
    EXPECT(bound_compacting(&l, 3) == 1024 + 3 * 15);
    EXPECT(bound_compacting(&l, UINT64_MAX) == 1024 + 1024 * 15);
    EXPECT(bound_sliding(&l, 4000) == 1024 + 16 + 256);
    EXPECT(bound_sliding(&l, 3000) == 1024 + 16 + 342);
    EXPECT(bound_sliding_steps(&l, 4000) == 1024 + 2 * (16 + 342));
    EXPECT(bound_sliding_steps(&l, 1001) == 1024 + 2 * (16 + 1024000));
    EXPECT(bound_sliding_steps(&l, 1000) == 0);
    /* 5/4 of 16 is 20: a hole of 19 may be overlooked, and a unit of waste. */
    EXPECT(bound_any_fit(&l, &bound_heap_search) == 1024 + 1008 * 20 + 4);
    EXPECT(bound_any_fit(&l, &bound_store_search) == 1024 + 1008 * 20 + 5);

    l = load(1000, 5, 3, 1000); /* no powers of two, no multiples */
    EXPECT(bound_least(&l) == 1000);
    EXPECT(bound_first_fit(&l) == 1000 + 995 * 4 / 3);
    EXPECT(bound_any_fit(&l, &bound_exact_search) == 1000 + 995 * 4 / 3);
    l = load(1000, 5, 3, 10); /* at most 9 when the tenth comes */
    EXPECT(bound_any_fit(&l, &bound_exact_search) == 1000 + 9 * 4);
    l = load(7, 7, 7, 1);
    EXPECT(bound_least(&l) == 7);
    EXPECT(bound_first_fit(&l) == 7);
    EXPECT(bound_any_fit(&l, &bound_exact_search) == 7);
    EXPECT(bound_buddy(&l) == 7);
    l = load(100, 100, 1, 100); /* half of the memory is the worst request */
    EXPECT(bound_any_fit(&l, &bound_exact_search) == 100 + 50 * 49);
    l = load(100, 60, 1, 21); /* 20 others: the worst request is the largest that leaves as many */
    EXPECT(bound_any_fit(&l, &bound_exact_search) == 100 + 20 * 59);
    l = load(100, 90, 1, 21);
    EXPECT(bound_any_fit(&l, &bound_exact_search) == 100 + 20 * 79);
    l = load(1000, 64, 1, 100); /* a hundred of 16, 32 and 64 do more than of 1 to 64 */
    EXPECT(bound_least(&l) == 16 * (60 + 60 - 4 + 1));
}

TEST(bounds_of_the_largest_programs_do_not_overflow, 0)
{
    uint64_t huge = UINT64_C(1) << 57;
    bound_load_t l = load(huge, huge / 2, 1, huge);
    EXPECT(bound_any_fit(&l, &bound_exact_search) ==
           huge + (bound_units_t)(huge / 2) * (huge / 2 - 1));
    EXPECT(bound_any_fit(&l, &bound_heap_search) > (bound_units_t)(huge / 2) * (huge / 2));
    EXPECT(bound_first_fit(&l) == (bound_units_t)huge * 57);
    EXPECT(bound_least(&l) == (bound_units_t)huge + (bound_units_t)huge * 28 - huge / 2 + 1);
    EXPECT(bound_sliding_steps(&l, 1001) == huge + 2 * ((bound_units_t)huge * 1000 + huge / 2));
    bound_program_t p;
    uint64_t most = BOUND_MAX_LIVE_BYTES;
    bound_program_of(&p, most, most, 1, 0, 8, NULL);
    EXPECT_EQ(p.n_blocks, most);
    EXPECT_EQ(p.heap.live, most / 8 * 16);
    EXPECT_EQ(p.power.live, most / 8 * 32);
    EXPECT(!p.is_held);
    EXPECT(p.pools_bytes > most && p.pools_bytes < most * 128);
    bound_program_of(&p, most, most, most, 0, 16, NULL);
    EXPECT_EQ(p.n_blocks, 1);
    EXPECT(!p.is_held);
}

TEST(no_order_of_requests_needs_more_than_the_bound, 0)
{
    static const game_t games[] = {
        {0, 4, 2, 1, 9, false}, {0, 6, 3, 1, 9, false}, {0, 6, 4, 1, 9, false},
        {0, 7, 2, 1, 9, false}, {0, 8, 4, 2, 9, false}, {0, 9, 4, 3, 9, false},
        {0, 6, 4, 1, 3, false}, {0, 6, 6, 1, 2, false},
    };
    for (size_t i = 0; i < sizeof games / sizeof games[0]; i++) {
        game_t game = games[i];
        bound_load_t l = load(game.live, game.largest, game.smallest, game.n_blocks);
        uint32_t first = needed(game, FIRST_FIT), best = needed(game, BEST_FIT);
        uint32_t any = needed(game, ANY_FIT);
        EXPECT(first > 0 && first <= bound_first_fit(&l));
        EXPECT(best > 0 && best <= bound_any_fit(&l, &bound_exact_search));
        EXPECT(any > 0 && any <= bound_any_fit(&l, &bound_exact_search));
        EXPECT(any >= best && any >= first);
        EXPECT(first >= bound_least(&l) && best >= bound_least(&l));
    }
}

TEST(the_trivial_bound_is_reached, 0)
{
    /* Holes of 1 between blocks of 1, and a request of 2: no policy that chooses at will does
     * better. */
    game_t game = {0, 5, 2, 1, 9, false};
    bound_load_t l = load(5, 2, 1, 9);
    EXPECT(bound_any_fit(&l, &bound_exact_search) == 8);
    EXPECT_EQ(needed(game, ANY_FIT), 8);
    game.n_blocks = l.n_blocks = 3;
    EXPECT(bound_any_fit(&l, &bound_exact_search) == 7);
    EXPECT_EQ(needed(game, ANY_FIT), 7);
}

TEST(no_order_of_powers_of_two_needs_more_than_the_bound, 0)
{
    static const game_t games[] = {{0, 4, 2, 1, 9, true},
                                   {0, 4, 4, 1, 9, true},
                                   {0, 8, 4, 1, 9, true},
                                   {0, 8, 4, 2, 9, true},
                                   {0, 6, 4, 1, 9, true}};
    for (size_t i = 0; i < sizeof games / sizeof games[0]; i++) {
        game_t game = games[i];
        bound_load_t l = load(game.live, game.largest, game.smallest, game.n_blocks);
        uint32_t half = needed(game, HALF_FIT), buddy = needed(game, BUDDY);
        EXPECT(half > 0 && half <= bound_half_fit(&l));
        EXPECT(buddy > 0 && buddy <= bound_buddy(&l));
        EXPECT(half >= bound_least(&l) && buddy >= bound_least(&l));
    }
}

TEST(no_allocator_does_with_less_than_robsons_bound, 0)
{
    static const game_t games[] = {
        {0, 4, 2, 1, 9, true}, {0, 4, 4, 1, 9, true}, {0, 6, 2, 1, 9, true}, {0, 8, 4, 1, 9, true}};
    for (size_t i = 0; i < sizeof games / sizeof games[0]; i++) {
        game_t game = games[i];
        bound_load_t l = load(game.live, game.largest, game.smallest, game.n_blocks);
        game.units = (uint32_t)bound_least(&l);
        EXPECT(can_be_served(&game)); /* there is an allocator that does with that */
        game.units--;
        EXPECT(!can_be_served(&game));
    }
    game_t few = {0, 8, 4, 1, 3, true}; /* of at most three blocks */
    bound_load_t l = load(8, 4, 1, 3);
    few.units = (uint32_t)bound_least(&l) - 1;
    EXPECT(!can_be_served(&few));
}

TEST_MAIN(&bounds_are_those_reckoned_by_hand, &bounds_of_the_largest_programs_do_not_overflow,
          &no_order_of_requests_needs_more_than_the_bound, &the_trivial_bound_is_reached,
          &no_order_of_powers_of_two_needs_more_than_the_bound,
          &no_allocator_does_with_less_than_robsons_bound)
