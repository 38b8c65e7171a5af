/* SPDX-License-Identifier: MIT
 *
 * The workloads behind the project's figures. What the short definitions leave open, and how it is
 * settled here (each of these changes a figure, so none may change quietly):
 *
 *  all        The arena is the memory given to the allocator, its control structure included. A
 *             random number is drawn only where a line below draws it, in program order.
 *  w1         Slot and size are both drawn in every step, also when the slot is full. Blocks are
 *             written over their whole length.
 *  w2         The size is drawn after the free, in every step. A refused slot stays empty, so its
 *             next turn has nothing to free.
 *  holes      "To the end": until a request is refused (it counts as refused). The last 512 are
 *             freed in ascending order before the holes are made; holes are the blocks 0, 2, 4 ...
 *             of the rest. Only the seven blocks allocated after that are freed, in order.
 *  near-equal 200 blocks do not fit in 64 KB: as many as do, until the first refusal, which is what
 *             the reserve is for. The reserve is the first block, with a separator of its own; it
 *             is freed before the others. The failing requests are of 60000 bytes. Sizes are
 *             520 + (4 i mod 52) or r(520, 569).
 *  churn      The slots are the blocks of the fill, until the first refusal. Each is freed with
 *             probability 30/100. "Every 16th" counts the requests of the toggles only; 200 + rnd
 *             mod 800, all others 8 + rnd mod 57.
 *  controller "With 1/n" is rnd mod n == 0, drawn every second. A request is shed if live + size >
 *             cap. Of a request that is shed or refused nothing remains: a document frees the
 *             buffer it has; a replaced item stays if its successor came first, and is gone if it
 *             was freed first. "Under budget" is state + 100 < budget. A size that would pass the
 *             budget is drawn again as 12..71 only for new items; a replacement that would take the
 *             state over the budget drops the item instead. (Of the readings tried this one comes
 *             nearest to the hours known for other allocators.) A document's last doubling stops at
 *             its final size. An object that lives l seconds is freed in step 1 of the l-th second
 *             after. The end of an outage frees the queue at the end of the second, oldest first;
 *             messages after that live 1 s. While an outage lasts none begins, but the number is
 *             drawn.
 */
#include "workloads.h"

#include <string.h>

static uint32_t next_random(uint32_t *rnd)
{
    uint32_t x = *rnd;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *rnd = x;
    return x;
}

static uint32_t seed_random(uint32_t seed)
{
    uint32_t rnd = seed * 2654435761u + 12345u;
    if (rnd == 0) rnd = 1; /* the one state xorshift never leaves */
    for (int i = 0; i < 8; i++) (void)next_random(&rnd);
    return rnd;
}

static uint32_t range(uint32_t *rnd, uint32_t first, uint32_t last)
{
    return first + next_random(rnd) % (last - first + 1);
}

/* --- block workloads -------------------------------------------------------------------------- */

#define N_SLOTS 200u
#define N_STEPS 20000u

typedef struct {
    const wl_ops_t *ops;
    void **slots;
    uint32_t rnd;
    wl_result_t result;
} run_t;

static void *take(run_t *run, uint32_t size_bytes)
{
    void *ptr = run->ops->alloc(run->ops->context, size_bytes);
    run->result.n_requests++;
    run->result.n_refused += ptr == NULL;
    return ptr;
}

static void give(run_t *run, void **slot)
{
    if (*slot == NULL) return;
    run->ops->free(run->ops->context, *slot);
    *slot = NULL;
}

static void run_w1(run_t *run)
{
    for (uint32_t i = 0; i < N_STEPS; i++) {
        uint32_t slot = next_random(&run->rnd) % N_SLOTS;
        uint32_t size = range(&run->rnd, 8, 512);
        if (run->slots[slot] != NULL) {
            give(run, &run->slots[slot]);
        } else {
            run->slots[slot] = take(run, size);
            if (run->slots[slot] != NULL) memset(run->slots[slot], (int)(size & 0xFF), size);
        }
    }
}

static void run_w2(run_t *run)
{
    for (uint32_t i = 0; i < N_SLOTS; i++) run->slots[i] = take(run, range(&run->rnd, 8, 512));
    for (uint32_t i = 0; i < N_STEPS; i++) {
        uint32_t slot = next_random(&run->rnd) % N_SLOTS;
        give(run, &run->slots[slot]);
        run->slots[slot] = take(run, range(&run->rnd, 8, 512));
    }
}

/* Allocate the sizes, then n_fail requests that no allocator of this arena can grant, then free. */
static void probe(run_t *run, const uint16_t *sizes, uint32_t n_sizes, uint32_t n_fail)
{
    void *blocks[8 + 4] = {0};
    for (uint32_t i = 0; i < n_sizes; i++) blocks[i] = take(run, sizes[i]);
    for (uint32_t i = 0; i < n_fail; i++) blocks[n_sizes + i] = take(run, 60000);
    for (uint32_t i = 0; i < n_sizes + n_fail; i++) give(run, &blocks[i]);
}

static void run_holes(run_t *run, bool descending)
{
    static const uint16_t sizes[] = {24, 40, 100, 256, 512, 1000, 2000};
    uint32_t n = 0;
    while (n < WL_MAX_SLOTS && (run->slots[n] = take(run, 1)) != NULL) n++;

    uint32_t rest = n > 512 ? n - 512 : 0;
    for (uint32_t i = rest; i < n; i++) give(run, &run->slots[i]);
    uint32_t n_holes = (rest + 1) / 2;
    for (uint32_t i = 0; i < n_holes; i++) {
        give(run, &run->slots[2 * (descending ? n_holes - 1 - i : i)]);
    }
    probe(run, sizes, sizeof sizes / sizeof sizes[0], 4);
}

static void run_near_equal(run_t *run, bool descending, bool random)
{
    static const uint16_t sizes[] = {568, 574, 572, 700, 1500};
    void *reserve = take(run, 4000);
    (void)take(run, 8);
    uint32_t n = 0;
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t size = random ? range(&run->rnd, 520, 569) : 520 + 4 * i % 52;
        run->slots[n] = take(run, size);
        if (run->slots[n] == NULL) break;
        n++;
        if (take(run, 8) == NULL) break;
    }
    give(run, &reserve);
    for (uint32_t i = 0; i < n; i++) give(run, &run->slots[descending ? n - 1 - i : i]);
    probe(run, sizes, sizeof sizes / sizeof sizes[0], 3);
}

static void run_churn(run_t *run)
{
    uint32_t n = 0, n_toggled = 0;
    while (n < WL_MAX_SLOTS && (run->slots[n] = take(run, range(&run->rnd, 8, 64))) != NULL) n++;
    if (n == 0) return;
    for (uint32_t i = 0; i < n; i++) {
        if (next_random(&run->rnd) % 100 < 30) give(run, &run->slots[i]);
    }
    for (uint32_t i = 0; i < 12000; i++) {
        uint32_t slot = next_random(&run->rnd) % n;
        if (run->slots[slot] != NULL) {
            give(run, &run->slots[slot]);
        } else {
            bool large = ++n_toggled % 16 == 0;
            uint32_t size = large ? range(&run->rnd, 200, 999) : range(&run->rnd, 8, 64);
            run->slots[slot] = take(run, size);
        }
    }
}

wl_result_t wl_run(wl_kind_t kind, const wl_ops_t *ops, uint32_t seed, wl_scratch_t *scratch)
{
    run_t run = {ops, scratch->slots, seed_random(seed), {0, 0}};
    memset(scratch, 0, sizeof *scratch);
    switch (kind) {
    case WL_W1: run_w1(&run); break;
    case WL_W2: run_w2(&run); break;
    case WL_A1: run_holes(&run, false); break;
    case WL_A1D: run_holes(&run, true); break;
    case WL_A2A: run_near_equal(&run, false, false); break;
    case WL_A2D: run_near_equal(&run, true, false); break;
    case WL_A2R: run_near_equal(&run, false, true); break;
    case WL_A3: run_churn(&run); break;
    case WL_N_KINDS: break;
    }
    return run.result;
}

const char *wl_name(wl_kind_t kind)
{
    static const char *const names[] = {"w1", "w2", "a1", "a1d", "a2a", "a2d", "a2r", "a3"};
    return (unsigned)kind < WL_N_KINDS ? names[kind] : "?";
}

/* --- controller ------------------------------------------------------------------------------- */

void wl_controller_init(wl_controller_t *c, const wl_ops_t *ops, uint32_t seed,
                        uint32_t load_percent)
{
    uint32_t target_bytes = 491 * load_percent;
    memset(c, 0, sizeof *c);
    c->ops = *ops;
    c->rnd = seed_random(seed);
    c->cap_bytes = target_bytes + WL_CONTROLLER_ARENA_BYTES * 5 / 100;
    c->budget_bytes = target_bytes - 4300;
    for (uint32_t i = 1; i < WL_MAX_PENDING; i++) c->pending[i].next = (uint16_t)(i + 1);
    c->free_entry = 1;
}

void wl_controller_init_gross(wl_controller_t *c, const wl_ops_t *ops, uint32_t seed,
                              uint32_t load_percent, uint32_t unit_bytes, uint32_t overhead_bytes)
{
    wl_controller_init(c, ops, seed, load_percent);
    c->cap_bytes = (WL_CONTROLLER_ARENA_BYTES - 256) * load_percent / 100;
    c->budget_bytes = c->cap_bytes - WL_CONTROLLER_ARENA_BYTES * 5 / 100 - 4300;
    c->unit_bytes = unit_bytes;
    c->overhead_bytes = overhead_bytes;
}

/* What a block of so many bytes counts for. */
static uint32_t gross(const wl_controller_t *c, uint32_t size_bytes)
{
    if (c->unit_bytes == 0) return size_bytes;
    return (size_bytes + c->unit_bytes - 1) / c->unit_bytes * c->unit_bytes + c->overhead_bytes;
}

static void *request(wl_controller_t *c, uint32_t size_bytes)
{
    uint32_t cost_bytes = gross(c, size_bytes);
    if (c->live_bytes + cost_bytes > c->cap_bytes) {
        c->n_shed++;
        return NULL;
    }
    void *ptr = c->ops.alloc(c->ops.context, size_bytes);
    c->n_requests++;
    if (ptr == NULL) {
        c->n_refused++;
    } else {
        c->live_bytes += cost_bytes;
    }
    return ptr;
}

static void release(wl_controller_t *c, void *ptr, uint32_t size_bytes)
{
    c->ops.free(c->ops.context, ptr);
    c->live_bytes -= gross(c, size_bytes);
}

static bool chance(wl_controller_t *c, uint32_t one_in)
{
    return next_random(&c->rnd) % one_in == 0;
}

static void free_later(wl_controller_t *c, void *ptr, uint32_t size_bytes, uint32_t seconds)
{
    if (ptr == NULL) return;
    uint16_t entry = c->free_entry;
    if (entry == 0) {
        release(c, ptr, size_bytes);
        return;
    }
    uint16_t *day = &c->calendar[(c->second + seconds) % WL_CALENDAR_SECONDS];
    c->free_entry = c->pending[entry].next;
    c->pending[entry].ptr = ptr;
    c->pending[entry].size_bytes = (uint16_t)size_bytes;
    c->pending[entry].next = *day;
    *day = entry;
}

static void free_what_is_due(wl_controller_t *c)
{
    uint16_t *day = &c->calendar[c->second % WL_CALENDAR_SECONDS];
    while (*day != 0) {
        uint16_t entry = *day;
        *day = c->pending[entry].next;
        release(c, c->pending[entry].ptr, c->pending[entry].size_bytes);
        c->pending[entry].next = c->free_entry;
        c->free_entry = entry;
    }
}

static uint32_t draw_state_size(wl_controller_t *c)
{
    uint32_t percent = next_random(&c->rnd) % 100;
    if (percent < 50) return range(&c->rnd, 12, 48);
    if (percent < 85) return range(&c->rnd, 48, 160);
    return range(&c->rnd, 160, 600);
}

static bool state_may_grow(const wl_controller_t *c)
{
    return c->state_bytes + 100 < c->budget_bytes && c->n_state < WL_MAX_STATE;
}

static void add_state(wl_controller_t *c)
{
    uint32_t size = draw_state_size(c);
    if (c->state_bytes + gross(c, size) > c->budget_bytes) size = range(&c->rnd, 12, 71);
    void *ptr = request(c, size);
    if (ptr == NULL) return;
    c->state[c->n_state].ptr = ptr;
    c->state[c->n_state].size_bytes = (uint16_t)size;
    c->n_state++;
    c->state_bytes += gross(c, size);
}

static void drop_state(wl_controller_t *c, uint32_t item)
{
    c->n_state--;
    c->state[item] = c->state[c->n_state];
}

static void replace_state(wl_controller_t *c)
{
    if (c->n_state == 0) return;
    uint32_t item = next_random(&c->rnd) % c->n_state;
    void *old = c->state[item].ptr;
    uint32_t old_size = c->state[item].size_bytes;
    uint32_t size = draw_state_size(c);
    uint32_t old_cost = gross(c, old_size);
    if (c->state_bytes - old_cost + gross(c, size) > c->budget_bytes) {
        release(c, old, old_size);
        c->state_bytes -= old_cost;
        drop_state(c, item);
        return;
    }
    bool free_first = next_random(&c->rnd) % 2 == 0;
    if (free_first) release(c, old, old_size);
    void *ptr = request(c, size);
    if (ptr == NULL && !free_first) return;
    if (!free_first) release(c, old, old_size);
    c->state_bytes -= old_cost;
    if (ptr == NULL) {
        drop_state(c, item);
        return;
    }
    c->state[item].ptr = ptr;
    c->state[item].size_bytes = (uint16_t)size;
    c->state_bytes += gross(c, size);
}

static void step_state(wl_controller_t *c)
{
    if (!state_may_grow(c)) {
        if (chance(c, 60)) replace_state(c);
        return;
    }
    for (int i = 0; i < 4 && state_may_grow(c); i++) add_state(c);
}

static void step_event(wl_controller_t *c)
{
    static const uint8_t sizes[] = {24, 32, 40, 56, 72};
    uint32_t size = sizes[next_random(&c->rnd) % 5];
    uint32_t seconds = range(&c->rnd, 1, 20);
    free_later(c, request(c, size), size, seconds);
}

static void step_document(wl_controller_t *c)
{
    if (!chance(c, 5)) return;
    uint32_t final_size = range(&c->rnd, 80, 700);
    uint32_t seconds = range(&c->rnd, 2, 30);
    uint32_t size = 64;
    void *ptr = request(c, size);
    while (ptr != NULL && size < final_size) {
        uint32_t new_size = 2 * size < final_size ? 2 * size : final_size;
        void *grown = request(c, new_size);
        release(c, ptr, size);
        ptr = grown;
        size = new_size;
    }
    free_later(c, ptr, size, seconds);
}

static void step_web(wl_controller_t *c)
{
    if (!chance(c, 20)) return;
    uint32_t body = range(&c->rnd, 512, 1460);
    uint32_t answer = range(&c->rnd, 600, 3000);
    uint32_t seconds = range(&c->rnd, 1, 5);
    free_later(c, request(c, 96), 96, seconds);
    free_later(c, request(c, body), body, seconds);
    free_later(c, request(c, answer), answer, seconds + 1);
}

static void step_session(wl_controller_t *c)
{
    if (!chance(c, 600)) return;
    uint32_t size = range(&c->rnd, 200, 350);
    uint32_t seconds = range(&c->rnd, 300, 3600);
    free_later(c, request(c, size), size, seconds);
}

static void free_oldest_message(wl_controller_t *c)
{
    release(c, c->queue[c->queue_head].ptr, c->queue[c->queue_head].size_bytes);
    c->queue_head = (c->queue_head + 1) % WL_MAX_QUEUE;
    c->n_queued--;
}

static void step_publish(wl_controller_t *c)
{
    bool begins = chance(c, 21600);
    if (begins && c->second >= c->outage_end) c->outage_end = c->second + range(&c->rnd, 180, 900);
    bool outage = c->second < c->outage_end;

    if (chance(c, 10)) {
        uint32_t size = range(&c->rnd, 64, 400);
        if (!outage) {
            free_later(c, request(c, size), size, 1);
        } else {
            if (c->n_queued == WL_MAX_QUEUE) free_oldest_message(c);
            void *ptr = request(c, size);
            if (ptr != NULL) {
                uint32_t tail = (c->queue_head + c->n_queued) % WL_MAX_QUEUE;
                c->queue[tail].ptr = ptr;
                c->queue[tail].size_bytes = (uint16_t)size;
                c->n_queued++;
            }
        }
    }
    while (!outage && c->n_queued != 0) free_oldest_message(c);
}

void wl_controller_step(wl_controller_t *c)
{
    free_what_is_due(c);
    step_state(c);
    step_event(c);
    step_document(c);
    step_web(c);
    step_session(c);
    step_publish(c);
    c->second++;
}

uint32_t wl_controller_run(wl_controller_t *c, uint32_t max_seconds)
{
    while (c->second < max_seconds) {
        wl_controller_step(c);
        if (c->n_refused != 0) return c->second - 1;
    }
    return max_seconds;
}
