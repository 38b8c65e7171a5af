/* SPDX-License-Identifier: MIT
 *
 * A slot's word and the release queue under the model checker relacy; relacy chooses the order of
 * the accesses and which of the values the C11 memory model allows a load returns.
 *
 *     queue   two threads release queued resources, more than the queue has room for, a third one
 *             cleans up meanwhile, once as one that died and once again
 *     slots   three threads acquire and release in two slots of one stripe, one shares what another
 *             one made, and the last of the two releases it
 *
 * Each slot has a variable that its holder writes, and whoever ends it: two at once, or one that
 * does not see what the other did, are a data race. Each is ended once.
 *
 *     monitor_model             clean?
 *     monitor_model unordered   the same with the order of the compare-and-swaps taken away: must
 *     be
 *                               found
 */
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <streambuf>

#include <relacy/relacy.hpp>

#include "search.h"

#define EAI_SHARED(type) rl::atomic<type>
#define EAI_MODEL_CHECK 1
#define EAI_ATOMIC_HEADER "relacy_atomic.h"
#define EALLOC_BASE_MEM_H /* <cstring> declares the same */
#include "ealloc/compiler.h"
#undef EA_STATIC_ASSERT
#define EA_STATIC_ASSERT(what, why) struct eai_of_sizes /* relacy's words are larger */
#include "monitor/monitor.c"
#include "monitor/monitor_init.c"
#include "monitor/monitor_queue.c"
#include "monitor/monitor_release.c"
#include "monitor/monitor_slots.c"

#define N_THREADS 3
#define N_SLOTS 4u
#define N_CELLS 2u

uintptr_t model_keep_bits = UINTPTR_MAX;
rl::memory_order model_release = rl::mo_release;
rl::memory_order model_seq_cst = rl::mo_seq_cst;

namespace
{

typedef rl::var<unsigned> owner_t;

/* What a resource's destroy does: it knows the slot by the object. */
struct objects_t {
    owner_t owner[N_SLOTS];
    rl::var<unsigned> n_ended[N_SLOTS];
};

void end_object(void *context, uintptr_t object)
{
    objects_t *objects = (objects_t *)context;
    objects->owner[object]($) = 99;
    objects->n_ended[object]($) = objects->n_ended[object]($) + 1;
}

/* A monitor without ea_monitor_init(), whose memory relacy would not know. */
struct world_t {
    ea_monitor_t monitor;
    ea_accounts_t book;
    ea_account_t account;
    ea_resource_type_t type;
    eai_slot_t slots[N_SLOTS];
    eai_stripe_t stripe;
    eai_kind_t kind;
    eai_tally_t tally;
    rl::atomic<uint32_t> bits[1];
    rl::atomic<uintptr_t> cells[N_CELLS];
    objects_t objects;

    void set_up(uint32_t n_slots, uint8_t strategy)
    {
        std::memset((void *)&type, 0, sizeof type);
        type.book = &book;
        type.destroy = end_object;
        type.context = &objects;
        type.strategy = strategy;
        book.eai_nodes = &account;
        book.eai_n_nodes = 1;
        book.eai_n_waiting($) = 0;
        book.eai_holds($) = 0;
        account.eai_book = &book;
        account.eai_id = 1;
        monitor.eai_slots = slots;
        monitor.eai_types = &type;
        monitor.eai_tallies = (unsigned char *)&tally;
        monitor.eai_stripes = &stripe;
        monitor.eai_kinds = &kind;
        monitor.eai_bits = bits;
        monitor.eai_cells = cells;
        monitor.eai_events = NULL;
        monitor.eai_hooks = NULL;
        monitor.eai_n_slots = n_slots;
        monitor.eai_n_types = 1;
        monitor.eai_stripe_mask = 0;
        monitor.eai_n_cells = N_CELLS;
        monitor.eai_batch = 1;
        monitor.eai_stride = sizeof tally;
        monitor.eai_cell_shift = 1;
        monitor.eai_most_queued($) = 0;
        monitor.eai_cleaner($) = 0;
        monitor.eai_incarnation($) = 1;
        monitor.eai_is_closed($) = 0;
        monitor.eai_n_begun($) = monitor.eai_n_ended($) = 0;
        monitor.eai_n_full.n($) = monitor.eai_n_queued.n($) = monitor.eai_n_refused.n($) = 0;
        std::memset((void *)&monitor.eai_cleanup_waits, 0, sizeof monitor.eai_cleanup_waits);
        stripe.eai_hint($) = 0;
        stripe.eai_word($) = 0;
        stripe.eai_first = 0;
        stripe.eai_n = 1;
        kind.n_idle = 0;
        tally.acquired.n($) = 0;
        for (unsigned i = 0; i < EA_CFG_MONITOR_LIFETIMES; i++) tally.lived[i].n($) = 0;
        for (unsigned i = 0; i <= EA_REASON_DAMAGED; i++) tally.failures[i].n($) = 0;
        bits[0]($) = (1u << n_slots) - 1u;
        eai_queue_reset(&monitor);
        for (uint32_t i = 0; i < N_SLOTS; i++) {
            objects.owner[i]($) = 0;
            objects.n_ended[i]($) = 0;
            slots[i].eai_state($) = make_word(1, 0, SLOT_FREE);
        }
    }

    /* As acquire leaves it. */
    void make_live(uint32_t i)
    {
        slots[i].eai_units($) = 1;
        slots[i].eai_object($) = i;
        slots[i].eai_caller($) = 0;
        slots[i].eai_whose($) = 1u << 16;
        slots[i].eai_since($) = 0;
        record_t record = {1, i, 0, 1u << 16, 0, 0};
        write_seal(&monitor, &slots[i], make_word(1, 0, SLOT_LIVE), &record);
        slots[i].eai_state($) = with_state(make_word(1, 0, SLOT_FREE), SLOT_LIVE) | ONE_REFERENCE;
    }

    ea_resource_t handle(uint32_t i)
    {
        return handle_of(i, 0, make_word(1, 0, SLOT_LIVE));
    }
};

struct queue_suite : rl::test_suite<queue_suite, N_THREADS> {
    world_t world;

    void before()
    {
        world.set_up(N_SLOTS, EA_RELEASE_QUEUED);
        for (uint32_t i = 0; i < N_SLOTS; i++) world.make_live(i);
    }

    void thread(unsigned index)
    {
        if (index == 2) {
            (void)ea_monitor_cleanup(&world.monitor, 1);
            (void)ea_monitor_cleanup(&world.monitor, 2);
            return;
        }
        for (uint32_t i = 2 * index; i < 2 * index + 2; i++) {
            world.objects.owner[i]($) = index + 1;
            RL_ASSERT(ea_monitor_release(&world.monitor, world.handle(i)) == EA_OK);
            RL_ASSERT(ea_monitor_release(&world.monitor, world.handle(i)) != EA_OK);
        }
    }

    void after()
    {
        (void)ea_monitor_cleanup(&world.monitor, 9);
        for (uint32_t i = 0; i < N_SLOTS; i++) {
            RL_ASSERT(world.objects.n_ended[i]($) == 1);
            RL_ASSERT(world.slots[i].eai_state($) == make_word(2, 0, SLOT_FREE));
        }
        RL_ASSERT(eai_queue_is_sound(&world.monitor));
        RL_ASSERT(world.monitor.eai_tail($) - world.monitor.eai_head($) == 0);
    }
};

/* Threads 0 and 1 hold slot 0 together; 2 may get a reference of it in time. All acquire. */
struct slot_suite : rl::test_suite<slot_suite, N_THREADS> {
    world_t world;

    void before()
    {
        world.set_up(2, EA_RELEASE_NOW);
        world.make_live(0);
        world.slots[0].eai_state($) = make_word(1, 2, SLOT_LIVE);
        world.bits[0]($) = 2;
    }

    /* A slot of its own for a moment. */
    void acquire(unsigned who)
    {
        eai_slot_t *slot = eai_slots_take(&world.monitor, 0);
        if (slot == NULL) return;
        uint32_t i = (uint32_t)(slot - world.slots);
        world.objects.owner[i]($) = who;
        eai_monitor_free(&world.monitor, slot, word_of(slot), 0);
    }

    void thread(unsigned index)
    {
        ea_resource_t shared = world.handle(0);
        if (index < 2) {
            RL_ASSERT(ea_monitor_release(&world.monitor, shared) == EA_OK);
        } else if (ea_monitor_share(&world.monitor, shared) == EA_OK) {
            RL_ASSERT(world.objects.n_ended[0]($) == 0);
            RL_ASSERT(ea_monitor_release(&world.monitor, shared) == EA_OK);
        }
        acquire(index + 1);
    }

    void after()
    {
        RL_ASSERT(world.objects.n_ended[0]($) == 1);
        for (uint32_t i = 0; i < 2; i++) {
            RL_ASSERT(state_of(world.slots[i].eai_state($)) == SLOT_FREE);
            RL_ASSERT(eai_slots_knows(&world.monitor, i)); /* nothing is lost */
        }
    }
};

} // namespace

/* --- what the monitor stands on, as far as it matters here ------------------------------------ */

ea_status_t ea_account_charge(ea_account_t *, size_t, ea_account_t **)
{
    return EA_OK;
}

ea_status_t ea_account_return(ea_account_t *, size_t)
{
    return EA_OK;
}

ea_status_t ea_account_transfer(ea_account_t *, ea_account_t *, size_t, ea_account_t **)
{
    return EA_OK;
}

ea_status_t eai_reservation_take(ea_reservation_t *, units_t, uint64_t)
{
    return EA_OK;
}

void eai_reservation_settle(ea_reservation_t *)
{
}
void eai_reservation_put_back(ea_reservation_t *, units_t)
{
}
void eai_accounts_tell_all(const book_t *)
{
}

bool eai_accounts_ask_all(const book_t *, const void *, const account_t *, units_t)
{
    return true;
}

void eai_hooks_tell(monitor_t *, ea_block_event_t, const slot_t *, const record_t *)
{
}

slot_t *eai_held_take(monitor_t *, ea_resource_t)
{
    return NULL;
}

bool eai_held_is(const monitor_t *, ea_resource_t, const slot_t *)
{
    return false;
}

void eai_held_put_back(monitor_t *, slot_t *)
{
}

uint64_t ea_port_time_coarse_us(void)
{
    return 0;
}

uint32_t ea_port_task_priority(void)
{
    return 0;
}

bool ea_waitq_hand_first(ea_waitq_t *, void *)
{
    return false;
}

void ea_waiter_init(ea_waiter_t *, uint32_t)
{
}
void ea_waitq_enter(ea_waitq_t *, ea_waiter_t *)
{
}

ea_status_t ea_waitq_sleep(ea_waiter_t *, uint64_t)
{
    return EA_ERR_TIMEOUT;
}

void ea_events_emit_isr(ea_events_t *, const ea_event_t *)
{
}

int main(int argc, char **argv)
{
    bool broken = argc > 1 && std::strcmp(argv[1], "unordered") == 0;
    unsigned n = argc > 2 ? (unsigned)std::strtoul(argv[2], NULL, 10) : 100000;
    if (!broken && argc > 1 && std::strcmp(argv[1], "sound") != 0) {
        std::cerr << "monitor_model [sound | unordered] [schedules]\n";
        return 2;
    }
    if (broken) model_seq_cst = rl::mo_relaxed;
    bool queue = is_clean<queue_suite>("queue", n, !broken);
    bool slots = is_clean<slot_suite>("slots", n, !broken);
    bool good = queue != broken && slots != broken;
    std::cout << (good ? "ok 1 - " : "not ok 1 - ") << "the monitor under the model checker"
              << (broken ? ", broken on purpose\n" : "\n");
    std::cout << (good ? "1 passed, 0 failed\n" : "0 passed, 1 failed\n");
    return good ? 0 : 1;
}
