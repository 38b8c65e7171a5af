/* SPDX-License-Identifier: MIT
 *
 * Worst and median instructions of every operation of a store of movable blocks: random blocks of
 * 8 to 200 bytes in 16 KB, kept at nine tenths, with steps in between. Requests that move blocks
 * are not counted here: they cost what their budget allows.
 */
#include "count.h"
#include "ealloc/movable.h"

#define MEMORY_BYTES 16384u
#define N_SLOTS 400u
#define N_ROUNDS 20000u

static _Alignas(16) unsigned char memory[MEMORY_BYTES];
static ea_movable_handle_t slots[N_SLOTS];
static ea_movable_t *m;
static uint32_t random_state = 1;
static uint32_t alloc_sum, n_allocs;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

static void stop(const char *what)
{
    board_put(what);
    board_exit(1);
}

static bool alloc(ea_movable_handle_t *slot, size_t size_bytes)
{
    uint32_t n = 0;
    slot->eai_word = (uint32_t)COUNTED(&n, ea_movable_alloc, m, size_bytes, 0, 0, 0);
    count_note(slot->eai_word ? OP_ALLOC : OP_ALLOC_FAIL, n);
    if (slot->eai_word) alloc_sum += n, n_allocs++;
    return slot->eai_word != 0;
}

static void give_back(ea_movable_handle_t *slot)
{
    uint32_t n = 0;
    if (COUNTED(&n, ea_movable_free, m, slot->eai_word, 0, 0, 0) != EA_OK) stop("not freed\n");
    count_note(OP_FREE, n);
    slot->eai_word = 0;
}

static void lock_and_unlock(ea_movable_handle_t handle)
{
    uint32_t n = 0;
    void *unused;
    if (ea_movable_try_lock(m, handle, &unused) != EA_OK) return; /* in flight */
    (void)ea_movable_unlock(m, handle);
    if (!COUNTED(&n, ea_movable_lock, m, handle.eai_word, 0, 0, 0)) stop("not locked\n");
    count_note(OP_LOCK, n);
    n = 0;
    if (COUNTED(&n, ea_movable_unlock, m, handle.eai_word, 0, 0, 0) != EA_OK)
        stop("not unlocked\n");
    count_note(OP_UNLOCK, n);
}

static void step(op_t op, size_t budget)
{
    uint32_t n = 0;
    (void)COUNTED(&n, ea_movable_step, m, budget, 0, 0, 0);
    count_note(op, n);
}

static void lock_in_flight(void)
{
    m = ea_movable_init(memory, MEMORY_BYTES, NULL);
    ea_movable_handle_t a = ea_movable_alloc(m, 8, 0), b = ea_movable_alloc(m, 1000, 0);
    ea_movable_handle_t c = ea_movable_alloc(m, 8, 0);
    uint32_t n = 0;
    if (ea_movable_free(m, a) != EA_OK || ea_movable_is_none(c)) stop("not set up\n");
    void *unused;
    while (ea_movable_try_lock(m, b, &unused) == EA_OK) { /* until it is in flight */
        (void)ea_movable_unlock(m, b);
        (void)ea_movable_step(m, 8);
    }
    if (!COUNTED(&n, ea_movable_lock, m, b.eai_word, 0, 0, 0)) stop("not locked\n");
    count_note(OP_LOCK_IN_FLIGHT, n);
}

/* A request that may move nothing, and finds no hole. */
static void refused(void)
{
    ea_movable_handle_t none = {0};
    m = ea_movable_init(memory, MEMORY_BYTES, NULL);
    ea_movable_handle_t a = ea_movable_alloc(m, 200, 0), b = ea_movable_alloc(m, 200, 0);
    if (ea_movable_is_none(b) || ea_movable_free(m, a) != EA_OK) stop("not set up\n");
    ea_movable_stats_t stats;
    ea_movable_stats(m, &stats);
    if (alloc(&none, stats.largest_bytes + 100)) stop("not refused\n");
}

int main(void)
{
    count_calibrate();
    count_scenario("churn");
    m = ea_movable_init(memory, MEMORY_BYTES, NULL);
    if (!m) stop("init failed\n");
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        ea_movable_handle_t *slot = &slots[random_below(N_SLOTS)];
        if (slot->eai_word) {
            lock_and_unlock(*slot);
            give_back(slot);
        } else {
            ea_movable_stats_t stats;
            ea_movable_stats(m, &stats);
            if (stats.free_bytes > stats.total_bytes / 10) (void)alloc(slot, 8 + random_below(193));
        }
        if (i % 4 == 0) step(OP_STEP_256, 256);
        if (i % 4 == 1) step(OP_STEP_64, 64);
        if (i % 4 == 2) step(OP_STEP_1024, 1024);
        if (i % 8 == 3) step(OP_STEP_128, 128);
        if (i % 8 == 7) step(OP_STEP_512, 512);
    }
    if (ea_movable_check(m, NULL) != EA_OK) stop("not sound\n");
    count_note(OP_ALLOC_MEAN, alloc_sum / n_allocs);
    lock_in_flight();
    refused();
    count_report();
    count_report_all();
    board_put("end\n");
    return 0;
}
