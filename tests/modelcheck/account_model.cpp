/* SPDX-License-Identifier: MIT
 *
 * The accounts' charge, return and recall under the model checker relacy: three threads on two
 * leaves below one root; relacy chooses the order of their accesses and which of the values the C11
 * memory model allows a load returns. Every unit in use is a variable that its holder writes, so
 * two holders of one unit, or one that does not see that the other is done, are a data race or a
 * limit passed, which are reported.
 *
 *     account_model             clean?
 *     account_model unordered   the same with the release of put and lower taken away: must be
 *     found
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
#define EA_CFG_MONITOR_WAIT 0 /* with which put and lower are stronger than what is shown here */
#define EAI_ATOMIC_HEADER "relacy_atomic.h"
#include "accounts/account.c"

#define N_THREADS 3
#define N_NODES 3
#define ROOT_MAX 4u

uintptr_t model_keep_bits = UINTPTR_MAX;
rl::memory_order model_release = rl::mo_release;

namespace
{

struct account_suite : rl::test_suite<account_suite, N_THREADS> {
    book_t book;
    account_t nodes[N_NODES];
    rl::var<unsigned> turn; /* who may write it holds more than half of all there is */

    void make(unsigned i, account_t *parent, units_t min, units_t max, units_t batch)
    {
        account_t *node = &nodes[i];
        node->eai_avail($) = i == 0 ? max - 1u : min;
        node->eai_credit($) = i == 0 ? max : min;
        node->eai_floor($) = i == 0 ? max : min;
        node->eai_max($) = max;
        node->eai_peak($) = 0;
        node->eai_low($) = 0;
        node->eai_high($) = 0;
        node->eai_reserved($) = 0;
        node->eai_n_refused($) = 0;
        node->eai_n_limited($) = 0;
        node->eai_n_overruns($) = 0;
        node->eai_state($) = STATE_LIVE;
        node->eai_batch = batch;
        node->eai_parent = parent;
        node->eai_book = &book;
        node->eai_depth = parent == NULL ? 0 : 1;
        node->eai_id = (uint16_t)(i + 1);
    }

    void before()
    {
        book.eai_nodes = nodes;
        book.eai_n_nodes = N_NODES;
        book.eai_n_used($) = N_NODES;
        book.eai_enforce($) = 1;
        book.eai_holds($) = 1;
        book.eai_loose($) = 0;
        book.eai_n_inside($) = 0;
        make(0, NULL, 0, ROOT_MAX + 1u, 0);
        make(1, &nodes[0], 1, UINTPTR_MAX, 0); /* a guarantee of the unit taken above */
        make(2, &nodes[0], 0, UINTPTR_MAX, 1); /* a batch                             */
        turn($) = 0;
    }

    /* 3 of 5: no two at a time. */
    void charge_most(account_t *account, unsigned who)
    {
        if (ea_account_charge(account, 3, NULL) != EA_OK) return;
        turn($) = who;
        RL_ASSERT(ea_account_return(account, 3) == EA_OK);
    }

    void thread(unsigned index)
    {
        account_t *account = &nodes[index == 0 ? 1 : 2];
        charge_most(account, index + 1);
        if (index == 2 && ea_account_charge(&nodes[1], 1, NULL) == EA_OK) {
            RL_ASSERT(ea_account_return(&nodes[1], 1) == EA_OK);
        }
    }

    void after()
    {
        units_t sum = nodes[1].eai_credit($) + nodes[2].eai_credit($);
        RL_ASSERT(nodes[0].eai_credit($) - nodes[0].eai_avail($) == sum);
        RL_ASSERT(nodes[0].eai_credit($) == ROOT_MAX + 1u);
        RL_ASSERT(nodes[1].eai_credit($) >= 1);
        for (unsigned i = 1; i < N_NODES; i++) {
            RL_ASSERT(nodes[i].eai_credit($) == nodes[i].eai_avail($)); /* nothing is charged */
        }
        RL_ASSERT(book.eai_n_inside($) == 0);
        /* All but the guarantee can be had: nothing is lost. */
        RL_ASSERT(ea_account_charge(&nodes[2], ROOT_MAX, NULL) == EA_OK);
        RL_ASSERT(ea_account_charge(&nodes[1], 1, NULL) == EA_OK);
    }
};

} // namespace

int main(int argc, char **argv)
{
    bool broken = argc > 1 && std::strcmp(argv[1], "unordered") == 0;
    unsigned n = argc > 2 ? (unsigned)std::strtoul(argv[2], NULL, 10) : 100000;
    if (!broken && argc > 1 && std::strcmp(argv[1], "sound") != 0) {
        std::cerr << "account_model [sound | unordered] [schedules]\n";
        return 2;
    }
    if (broken) model_release = rl::mo_relaxed;
    bool clean = is_clean<account_suite>("accounts", n, !broken);
    bool good = clean != broken;
    std::cout << (good ? "ok 1 - " : "not ok 1 - ") << "accounts under the model checker"
              << (broken ? ", broken on purpose\n" : "\n");
    std::cout << (good ? "1 passed, 0 failed\n" : "0 passed, 1 failed\n");
    return good ? 0 : 1;
}
