/* SPDX-License-Identifier: MIT
 *
 * Quarantine of freed blocks (row A8): order, budget, writes to what waits, sweeps in bounded
 * steps, damaged links. Built at level 3, and where there is none.
 */
#include <string.h>

#include "memory/quarantine.h"
#include "tap.h"

#if EA_CFG_GUARD >= 3

#define N 12u
#define USABLE 60u
#define PITCH 128u
#define WEIGHT (USABLE + EAI_FRONT_BYTES)

static _Alignas(16) unsigned char memory[N * PITCH];
static eai_guard_t guard;
static eai_quarantine_t quarantine;
static eai_finding_t finding;

static unsigned char *block(unsigned i)
{
    return memory + i * PITCH + EAI_FRONT_BYTES;
}

/* Block i lives and dies. */
static bool bury(unsigned i)
{
    eai_tag_t *tag = eai_guard_front_tag(block(i));
    eai_label_t label = {.owner = (uint16_t)i, .flags = EAI_LABEL_GUARDED};
    eai_guard_dress(&guard, tag, block(i), USABLE - 8u, USABLE, &label);
    if (!eai_guard_undress(&guard, tag, block(i), USABLE)) return false;
    return eai_quarantine_push(&quarantine, &guard, block(i), USABLE);
}

static void bury_all(void)
{
    memset(memory, 0x77, sizeof memory);
    eai_guard_init(&guard, 3u, 4u);
    eai_quarantine_init(&quarantine, N * WEIGHT);
    for (unsigned i = 0; i < N; i++) EXPECT(bury(i));
    EXPECT(!eai_quarantine_is_over(&quarantine));
}

static void *pop(void)
{
    size_t usable = 0;
    void *payload = eai_quarantine_pop(&quarantine, &guard, &usable, &finding);
    if (payload != NULL) EXPECT_EQ(usable, USABLE);
    return payload;
}

TEST(quarantine_gives_back_the_oldest_first, 0)
{
    bury_all();
    for (unsigned i = 0; i < N; i++) {
        EXPECT(pop() == block(i));
        EXPECT_EQ(finding.kind, EA_GUARD_NONE);
    }
    EXPECT(pop() == NULL);
    EXPECT_EQ(finding.kind, EA_GUARD_NONE);
    EXPECT_EQ(quarantine.bytes, 0);
    EXPECT(bury(0));
    EXPECT(pop() == block(0));
}

TEST(quarantine_keeps_its_budget, 0)
{
    bury_all();
    eai_quarantine_init(&quarantine, 3 * WEIGHT + 1);
    for (unsigned i = 0; i < N; i++) {
        EXPECT(bury(i));
        if (i < 3) EXPECT(!eai_quarantine_is_over(&quarantine));
        while (eai_quarantine_is_over(&quarantine)) EXPECT(pop() == block(i - 3));
        EXPECT_EQ(quarantine.n_blocks, i < 3 ? i + 1 : 3);
    }
    eai_quarantine_set_budget(&quarantine, 0);
    while (eai_quarantine_is_over(&quarantine)) EXPECT(pop() != NULL);
    EXPECT_EQ(quarantine.n_blocks, 0);
    EXPECT(!bury(0));
    eai_quarantine_set_budget(&quarantine, WEIGHT - 1);
    EXPECT(!bury(0));
    eai_quarantine_set_budget(&quarantine, WEIGHT);
    EXPECT(bury(0));
}

TEST(quarantine_finds_a_write_to_a_freed_block_when_it_goes, 0)
{
    for (unsigned at = 0; at < USABLE; at++) {
        bury_all();
        block(1)[at] ^= 0x10u;
        EXPECT(pop() == block(0));
        EXPECT_EQ(finding.kind, EA_GUARD_NONE);
        EXPECT(pop() == block(1));
        EXPECT_EQ(finding.kind, EA_GUARD_POISON);
        EXPECT(finding.first_bad == block(1) + at);
        EXPECT(pop() == block(2));
        EXPECT_EQ(finding.kind, EA_GUARD_NONE);
    }
    bury_all();
    memset(eai_guard_front_tag(block(0)), 0x5A, sizeof(eai_tag_t));
    EXPECT(pop() == block(0));
    EXPECT_EQ(finding.kind, EA_GUARD_TAG);
}

TEST(quarantine_sweep_finds_a_write_in_bounded_steps, 0)
{
    void *where;
    for (unsigned step = 1; step <= 2 * USABLE; step += 7) {
        bury_all();
        unsigned n = 1;
        while (eai_quarantine_sweep(&quarantine, &guard, step, &where, &finding) == EA_ERR_AGAIN)
            n++;
        EXPECT_EQ(finding.kind, EA_GUARD_NONE);
        unsigned bytes = (step | 3u) + 1u, per_block = (USABLE + bytes - 1u) / bytes;
        EXPECT(n <= N * per_block && n >= N);
        block(5)[USABLE - 1] ^= 1u;
        ea_status_t status;
        do status = eai_quarantine_sweep(&quarantine, &guard, step, &where, &finding);
        while (status == EA_ERR_AGAIN);
        EXPECT_EQ(status, EA_ERR_CORRUPT);
        EXPECT_EQ(finding.kind, EA_GUARD_POISON);
        EXPECT(where == block(5) && finding.first_bad == block(5) + USABLE - 1);
        do status = eai_quarantine_sweep(&quarantine, &guard, step, &where, &finding);
        while (status == EA_ERR_AGAIN);
        EXPECT_EQ(status, EA_OK); /* it went on behind it */
        memset(eai_guard_front_tag(block(0)), 0x5A, sizeof(eai_tag_t));
        EXPECT_EQ(eai_quarantine_sweep(&quarantine, &guard, step, &where, &finding),
                  EA_ERR_CORRUPT);
        EXPECT_EQ(finding.kind, EA_GUARD_TAG);
    }
}

TEST(quarantine_sweep_goes_on_while_blocks_come_and_go, 0)
{
    void *where;
    bury_all();
    for (unsigned round = 0; round < 500; round++) {
        ea_status_t status = eai_quarantine_sweep(&quarantine, &guard, 24, &where, &finding);
        EXPECT(status == EA_OK || status == EA_ERR_AGAIN);
        if (round % 3 == 0) {
            unsigned char *oldest = pop();
            REQUIRE(oldest != NULL);
            EXPECT_EQ(finding.kind, EA_GUARD_NONE);
            EXPECT(bury((unsigned)(oldest - memory) / PITCH));
        }
        EXPECT_EQ(quarantine.n_blocks, N);
    }
    for (unsigned i = 0; i < N; i++) EXPECT(pop() != NULL);
    EXPECT_EQ(eai_quarantine_sweep(&quarantine, &guard, 24, &where, &finding), EA_OK);
}

TEST(quarantine_notices_every_flipped_bit_of_a_link, 0)
{
    unsigned n_bits = sizeof(uintptr_t) * 8u + 32u;
    for (unsigned i = 0; i < N; i += N - 1) { /* the oldest; the youngest */
        for (unsigned bit = 0; bit < n_bits; bit++) {
            void *where;
            bury_all();
            unsigned char *link = block(i) - EAI_CANARY_BYTES;
            link[bit / 8] ^= (unsigned char)(1u << bit % 8);
            for (unsigned k = 0; k < i; k++) EXPECT(pop() == block(k));
            if (bit % 2 == 0) {
                EXPECT(pop() == NULL);
            } else {
                EXPECT_EQ(eai_quarantine_sweep(&quarantine, &guard, 8, &where, &finding),
                          EA_ERR_CORRUPT);
                EXPECT(where == block(i));
            }
            EXPECT_EQ(finding.kind, EA_GUARD_STORE);
            EXPECT_EQ(quarantine.n_lost, N - i);
            EXPECT_EQ(quarantine.n_blocks, 0);
            EXPECT(bury(0)); /* and on it goes */
            EXPECT(pop() == block(0));
        }
    }
}

TEST_MAIN(&quarantine_gives_back_the_oldest_first, &quarantine_keeps_its_budget,
          &quarantine_finds_a_write_to_a_freed_block_when_it_goes,
          &quarantine_sweep_finds_a_write_in_bounded_steps,
          &quarantine_sweep_goes_on_while_blocks_come_and_go,
          &quarantine_notices_every_flipped_bit_of_a_link)

#else

TEST(quarantine_holds_nothing_where_it_is_configured_out, 0)
{
    eai_guard_t guard = {0};
    eai_quarantine_t q;
    eai_finding_t finding;
    size_t usable = 0;
    void *where = NULL;
    unsigned char payload[32];
    eai_quarantine_init(&q, 100);
    eai_quarantine_set_budget(&q, 200);
    EXPECT(!eai_quarantine_push(&q, &guard, payload, sizeof payload));
    EXPECT(!eai_quarantine_is_over(&q));
    EXPECT(eai_quarantine_pop(&q, &guard, &usable, &finding) == NULL);
    EXPECT_EQ(finding.kind, EA_GUARD_NONE);
    EXPECT_EQ(eai_quarantine_sweep(&q, &guard, 100, &where, &finding), EA_OK);
    EXPECT_EQ(sizeof q, 1);
}

TEST_MAIN(&quarantine_holds_nothing_where_it_is_configured_out)

#endif
