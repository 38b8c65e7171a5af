/* SPDX-License-Identifier: MIT
 *
 * Tags and guards of a block (rows A8, A9), at every level: built once for each. The block lies in
 * the middle of memory that is watched, as in a heap and as in a pool.
 */
#include <string.h>

#include "memory/guard.h"
#include "tap.h"

#define MOST 64u /* bytes of a payload */
#define EDGE 32u

static _Alignas(16) unsigned char memory[EDGE + EAI_FRONT_BYTES + MOST + EDGE];
static unsigned char copy[sizeof memory];
static eai_tag_t side_tag;
static eai_guard_t guard;
static uint32_t random_state = 1;

static unsigned char *const payload = memory + EDGE + EAI_FRONT_BYTES;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static const eai_label_t label = {
    .site = (const void *)0x12344u, .birth = 0xBEE5u, .owner = 0x0A11u, .flags = EAI_LABEL_GUARDED};

#if EAI_TAGGED

static eai_tag_t *front_tag(void)
{
    return eai_guard_front_tag(payload);
}

static void dress(eai_tag_t *tag, size_t request, size_t usable)
{
    memset(memory, 0x77, sizeof memory);
    eai_guard_dress(&guard, tag, payload, request, usable, &label);
    memset(payload, 0x33, request);
}

static ea_guard_kind_t check(const eai_tag_t *tag, size_t usable)
{
    eai_finding_t finding;
    return eai_guard_check(&guard, tag, payload, usable, &finding);
}

/* Usable sizes a request can meet: the least, and more than that. */
static size_t next_usable(size_t request, size_t usable)
{
    size_t least = (request + EAI_BACK_BYTES + 3u) & ~(size_t)3;
    return usable == 0 ? (least > 0 ? least : 4u) : usable + 4u;
}
#define EACH_SHAPE(request, usable)                                                                \
    for (size_t request = 0; request <= MOST - 8u; request++)                                      \
        for (size_t usable = next_usable(request, 0); usable <= MOST && usable < request + 24u;    \
             usable = next_usable(request, usable))

TEST(guard_of_an_untouched_block_is_intact, 0)
{
    eai_guard_init(&guard, 1u, 2u);
    EACH_SHAPE(request, usable)
    {
        for (int in_pool = 0; in_pool < 2; in_pool++) {
            eai_tag_t *tag = in_pool ? &side_tag : front_tag();
            dress(tag, request, usable);
            EXPECT_EQ(check(tag, usable), EA_GUARD_NONE);
            size_t expected = EA_CFG_GUARD > 0 ? request : usable;
            EXPECT_EQ(eai_guard_request_bytes(&guard, tag, payload, usable), expected);
            EXPECT_EQ(payload[-1 - (in_pool ? 0 : (int)EAI_FRONT_BYTES)], 0x77);
            EXPECT_EQ(payload[usable], 0x77);
        }
    }
}

TEST(guard_check_changes_nothing, 0)
{
    eai_finding_t finding;
    dress(front_tag(), 13, 24);
    memcpy(copy, memory, sizeof memory);
    EXPECT_EQ(eai_guard_check(&guard, front_tag(), payload, 24, &finding), EA_GUARD_NONE);
    EXPECT_EQ(memcmp(copy, memory, sizeof memory), 0);
    payload[13] ^= 1u;
    payload[-1] ^= 1u;
    memcpy(copy, memory, sizeof memory);
    EXPECT(eai_guard_check(&guard, front_tag(), payload, 24, &finding) != EA_GUARD_NONE);
    EXPECT_EQ(memcmp(copy, memory, sizeof memory), 0);
}

#if EA_CFG_GUARD > 0

TEST(guard_finds_a_changed_byte_behind_and_names_it, 0)
{
    EACH_SHAPE(request, usable)
    {
        for (size_t i = request; i < usable; i++) {
            eai_finding_t finding;
            dress(front_tag(), request, usable);
            payload[i] ^= (unsigned char)(1u + next_random() % 255u);
            EXPECT_EQ(eai_guard_check(&guard, front_tag(), payload, usable, &finding),
                      EA_GUARD_TAIL);
            EXPECT_EQ(finding.kind, EA_GUARD_TAIL);
            /* Without a canary only what an overflow can leave of the trailer tells its length. */
            bool is_end = i > request && i >= usable - 4u;
            if (EAI_CANARY_BYTES > 0 || !is_end) {
                EXPECT_EQ((const unsigned char *)finding.first_bad - payload, i);
                EXPECT_EQ(finding.request, request);
            }
        }
    }
}

TEST(guard_finds_overflows_of_every_length, 0)
{
    EACH_SHAPE(request, usable)
    {
        for (size_t n = 1; n <= 16; n++) {
            eai_finding_t finding;
            dress(front_tag(), request, usable);
            for (size_t i = 0; i < n; i++) {
                payload[request + i] ^= (unsigned char)(1u + next_random() % 255u);
            }
            EXPECT_EQ(eai_guard_check(&guard, front_tag(), payload, usable, &finding),
                      EA_GUARD_TAIL);
            /* One byte left of the trailer does not always suffice. */
            if (EAI_CANARY_BYTES > 0 || request + n + 2u <= usable) {
                EXPECT_EQ((const unsigned char *)finding.first_bad - payload, request);
                EXPECT_EQ(finding.request, request);
            }
        }
    }
}

TEST(guard_finds_a_changed_byte_before_and_names_it, 0)
{
    unsigned n_missed = 0;
    for (unsigned i = 1; i <= EAI_FRONT_BYTES; i++) {
        for (unsigned change = 1; change < 256; change++) {
            eai_finding_t finding;
            dress(front_tag(), 20, 32);
            payload[-(int)i] ^= (unsigned char)change;
            ea_guard_kind_t kind = eai_guard_check(&guard, front_tag(), payload, 32, &finding);
            n_missed += kind == EA_GUARD_NONE;
            if (i <= EAI_CANARY_BYTES) {
                EXPECT_EQ(kind, EA_GUARD_HEAD);
                EXPECT_EQ(payload - (const unsigned char *)finding.first_bad, i);
                EXPECT_EQ(finding.request, 20);
            }
        }
    }
    EXPECT_EQ(n_missed, 0);
}

TEST(guard_finds_random_bytes_in_the_first_word_of_a_tag, 0)
{
    for (unsigned round = 0; round < 2000; round++) {
        dress(&side_tag, 20, 32);
        side_tag.words[0] ^= 1u + next_random();
        EXPECT(check(&side_tag, 32) != EA_GUARD_NONE); /* its own check misses one in 256 */
    }
}

TEST(guard_of_a_shorter_slack_does_not_pass, 0)
{
    /* A valid trailer of the same block for another request: the slack between is the user's. */
    for (size_t request = 0; request < 40; request++) {
        dress(front_tag(), request, 48);
        unsigned char trailer[4];
        memcpy(trailer, payload + 44, 4);
        for (size_t other = 0; other < 40; other++) {
            dress(front_tag(), other, 48);
            memcpy(payload + 44, trailer, 4);
            bool is_same = other == request;
            bool is_hidden = EAI_CANARY_BYTES == 0 && request > other; /* pattern reaches on */
            if (is_same) {
                EXPECT_EQ(check(front_tag(), 48), EA_GUARD_NONE);
            } else if (!is_hidden) {
                EXPECT(check(front_tag(), 48) != EA_GUARD_NONE);
            }
        }
    }
}

TEST(guard_resize_moves_the_end_and_keeps_the_content, 0)
{
    for (size_t request = 0; request < 40; request++) {
        for (size_t other = 0; other < 40; other++) {
            dress(front_tag(), request, 48);
            eai_guard_resize(&guard, front_tag(), payload, request, other, 48, &label);
            EXPECT_EQ(check(front_tag(), 48), EA_GUARD_NONE);
            EXPECT_EQ(eai_guard_request_bytes(&guard, front_tag(), payload, 48), other);
            for (size_t i = 0; i < other; i++) {
                unsigned char expected = i < request ? 0x33 : 0xCB;
                if (i < request || EA_CFG_GUARD >= 2) EXPECT_EQ(payload[i], expected);
            }
        }
    }
}

#endif

TEST(guard_finds_every_flipped_bit_of_a_tag, 0)
{
    for (int in_pool = 0; in_pool < 2; in_pool++) {
        eai_tag_t *tag = in_pool ? &side_tag : front_tag();
        for (unsigned bit = 0; bit < 8u * sizeof(eai_tag_t); bit++) {
            eai_label_t found;
            dress(tag, 20, 32);
            ((unsigned char *)tag)[bit / 8u] ^= (unsigned char)(1u << bit % 8u);
            EXPECT_EQ(check(tag, 32), EA_GUARD_TAG);
            EXPECT(!eai_guard_label(&guard, tag, payload, &found));
            EXPECT_EQ(found.owner, 0);
        }
    }
}

TEST(guard_tells_the_second_free_from_garbage, 0)
{
    for (int in_pool = 0; in_pool < 2; in_pool++) {
        eai_tag_t *tag = in_pool ? &side_tag : front_tag();
        dress(tag, 20, 32);
        bool is_poisoned = eai_guard_undress(&guard, tag, payload, 32);
        EXPECT_EQ(is_poisoned, EA_CFG_GUARD >= 2);
        EXPECT_EQ(check(tag, 32), EA_GUARD_DOUBLE_FREE);
        /* What a heap's free-list links write over. */
        memset(tag, 0x5A, sizeof(eai_tag_t) / 2);
        EXPECT_EQ(check(tag, 32), EA_GUARD_DOUBLE_FREE);
        for (unsigned bit = 4u * sizeof(eai_tag_t); bit < 8u * sizeof(eai_tag_t); bit++) {
            ((unsigned char *)tag)[bit / 8u] ^= (unsigned char)(1u << bit % 8u);
            EXPECT(check(tag, 32) != EA_GUARD_NONE);
            ((unsigned char *)tag)[bit / 8u] ^= (unsigned char)(1u << bit % 8u);
        }
        /* The memory is used again. */
        dress(tag, 20, 32);
        EXPECT_EQ(check(tag, 32), EA_GUARD_NONE);
    }
}

TEST(guard_takes_no_random_bytes_for_a_block, 0)
{
    unsigned n_taken = 0;
    for (unsigned round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof memory; i++) memory[i] = (unsigned char)next_random();
        n_taken += check(front_tag(), 32) == EA_GUARD_NONE;
    }
    /* A tag alone has 8 bits of check on small machines. */
    bool has_little =
        (EA_CFG_GUARD == 0 || EA_CFG_GUARD_SAMPLED) && EA_CFG_TAGS && sizeof(void *) == 4;
    EXPECT(n_taken <= (has_little ? 30u : 0u));
}

TEST(guard_takes_no_block_of_another_allocator, 0)
{
    eai_guard_t other;
    eai_finding_t finding;
    unsigned n_taken = 0;
    for (uint32_t identity = 3; identity < 203; identity++) {
        eai_guard_init(&other, 1u, identity);
        eai_guard_dress(&other, front_tag(), payload, 20, 32, &label);
        n_taken += check(front_tag(), 32) == EA_GUARD_NONE;
        EXPECT_EQ(eai_guard_check(&other, front_tag(), payload, 32, &finding), EA_GUARD_NONE);
    }
    EXPECT(n_taken <= 5);
}

#if EA_CFG_TAGS

TEST(tag_keeps_the_label, 0)
{
    for (unsigned round = 0; round < 1000; round++) {
        eai_label_t in = label, out;
        in.owner = (uint16_t)next_random();
        in.birth = next_random() << 8 ^ next_random();
        in.flags = (uint8_t)(EAI_LABEL_GUARDED | (next_random() & 6u));
        in.site = (const void *)(uintptr_t)(next_random() & 0x1FFFFEu);
        eai_guard_dress(&guard, front_tag(), payload, 20, 32, &in);
        REQUIRE(eai_guard_label(&guard, front_tag(), payload, &out));
        EXPECT_EQ(out.owner, in.owner);
        EXPECT_EQ(out.birth, EAI_BIRTH_BITS == 32u ? in.birth : in.birth & 0xFFFFu);
        EXPECT_EQ(out.flags, in.flags);
        EXPECT_EQ((uintptr_t)out.site, (uintptr_t)in.site);
    }
}

TEST(tag_of_a_freed_block_says_who_asked_for_it, 0)
{
    eai_label_t out;
    dress(&side_tag, 20, 32);
    (void)eai_guard_undress(&guard, &side_tag, payload, 32);
    EXPECT(!eai_guard_label(&guard, &side_tag, payload, &out));
    EXPECT_EQ(out.owner, label.owner);
    EXPECT_EQ(out.birth, label.birth);
    EXPECT_EQ((uintptr_t)out.site, (uintptr_t)label.site);
}

TEST(tag_changes_owner_and_the_guards_stay, 0)
{
    eai_label_t other = label, out;
    other.owner = 7;
    other.flags = EAI_LABEL_DEFERRED;
    dress(front_tag(), 21, 32);
    eai_guard_relabel(&guard, front_tag(), payload, 32, &other);
    EXPECT_EQ(check(front_tag(), 32), EA_GUARD_NONE);
    REQUIRE(eai_guard_label(&guard, front_tag(), payload, &out));
    EXPECT_EQ(out.owner, 7);
    EXPECT_EQ(out.flags, EAI_LABEL_DEFERRED | EAI_LABEL_GUARDED);
    EXPECT_EQ(eai_guard_request_bytes(&guard, front_tag(), payload, 32),
              EA_CFG_GUARD > 0 ? 21 : 32);
    /* Damage from before is not made good. */
    dress(front_tag(), 21, 32);
    payload[22] ^= 1u;
    eai_guard_relabel(&guard, front_tag(), payload, 32, &other);
    EXPECT_EQ(check(front_tag(), 32), EA_CFG_GUARD > 0 ? EA_GUARD_TAIL : EA_GUARD_NONE);
}

TEST(guard_describes_a_finding_and_the_neighbours, 0)
{
    eai_finding_t finding = {EA_GUARD_TAIL, payload + 20, 20};
    ea_guard_report_t report;
    dress(front_tag(), 20, 32);
    eai_guard_describe(&guard, front_tag(), payload, &finding, &report);
    EXPECT_EQ(report.kind, EA_GUARD_TAIL);
    EXPECT(report.block == payload && report.first_bad == payload + 20);
    EXPECT_EQ(report.size_bytes, 20);
    EXPECT_EQ(report.owner, label.owner);
    EXPECT_EQ(report.birth, label.birth);
    EXPECT(report.site == label.site && report.below.block == NULL && report.above.block == NULL);
    eai_guard_describe_neighbour(&guard, front_tag(), payload, 32, &report.below);
    EXPECT(report.below.block == payload && report.below.site == label.site);
    EXPECT_EQ(report.below.size_bytes, EA_CFG_GUARD > 0 ? 20 : 32);
    EXPECT_EQ(report.below.owner, label.owner);
    (void)eai_guard_undress(&guard, front_tag(), payload, 32);
    eai_guard_describe_neighbour(&guard, front_tag(), payload, 32, &report.below);
    EXPECT(report.below.block == NULL);
}

#endif

TEST(poison_shows_the_first_byte_that_was_written, 0)
{
    if (EA_CFG_GUARD < 2) return;
    for (size_t i = 0; i < 32; i++) {
        dress(front_tag(), 20, 32);
        EXPECT(eai_guard_undress(&guard, front_tag(), payload, 32));
        EXPECT(eai_guard_unpoisoned(payload, 0, 32) == NULL);
        payload[i] ^= (unsigned char)(1u << i % 8u);
        EXPECT(eai_guard_unpoisoned(payload, 0, 32) == payload + i);
        EXPECT(eai_guard_unpoisoned(payload, 8, 32) == (i < 8 ? NULL : payload + i));
    }
}

TEST(guard_samples_one_in_n, 0)
{
    eai_guard_t sampled;
    eai_guard_init(&sampled, 5u, 6u);
    EXPECT_EQ(eai_guard_picks(&sampled), EA_CFG_GUARD > 0 || EA_CFG_GUARD_SAMPLED);
#if EA_CFG_GUARD_SAMPLED
    for (unsigned every = 0; every <= 64; every = every * 2 + (every == 0)) {
        unsigned n = 0;
        eai_guard_sample(&sampled, every);
        for (unsigned i = 0; i < 6400; i++) n += eai_guard_picks(&sampled);
        unsigned mean = every == 0 ? 0 : 6400u / every;
        EXPECT(n >= mean - mean / 3 && n <= mean + mean / 3);
        if (every <= 1) EXPECT_EQ(n, mean);
    }
    eai_label_t plain = label;
    plain.flags = 0;
    memset(memory, 0x77, sizeof memory);
    eai_guard_dress(&guard, front_tag(), payload, 20, 32, &plain);
    EXPECT_EQ(payload[20], 0x77);
    EXPECT_EQ(check(front_tag(), 32), EA_GUARD_NONE);
    EXPECT_EQ(eai_guard_request_bytes(&guard, front_tag(), payload, 32), 32);
    EXPECT(!eai_guard_undress(&guard, front_tag(), payload, 32));
    EXPECT_EQ(check(front_tag(), 32), EA_GUARD_DOUBLE_FREE);
#endif
}

#else

TEST(guard_is_nothing_where_it_is_configured_out, 0)
{
    eai_tag_t *tag = eai_guard_front_tag(payload);
    eai_finding_t finding;
    eai_label_t out;
    eai_guard_init(&guard, next_random(), 0);
    EXPECT_EQ(EAI_FRONT_BYTES, 0);
    EXPECT_EQ(EAI_BACK_BYTES, 0);
    EXPECT((void *)tag == payload);
    memset(memory, 0x77, sizeof memory);
    memcpy(copy, memory, sizeof memory);
    eai_guard_dress(&guard, tag, payload, 20, 32, &label);
    EXPECT(!eai_guard_picks(&guard));
    EXPECT(!eai_guard_undress(&guard, &side_tag, payload, 32));
    EXPECT(!eai_guard_label(&guard, tag, payload, &out));
    EXPECT_EQ(eai_guard_check(&guard, tag, payload, 32, &finding), EA_GUARD_NONE);
    EXPECT_EQ(eai_guard_request_bytes(&guard, tag, payload, 32), 32);
    EXPECT_EQ(memcmp(copy, memory, sizeof memory), 0);
}

#endif

TEST(guard_kinds_have_names, 0)
{
    EXPECT_EQ(strcmp(ea_guard_kind_name(EA_GUARD_NONE), "nothing"), 0);
    EXPECT_EQ(strcmp(ea_guard_kind_name(EA_GUARD_STORE), "damaged store"), 0);
    EXPECT_EQ(strcmp(ea_guard_kind_name((ea_guard_kind_t)10), "?"), 0);
    EXPECT_EQ(strcmp(ea_guard_kind_name((ea_guard_kind_t)-1), "?"), 0);
}

TEST_MAIN(
#if EAI_TAGGED
    &guard_of_an_untouched_block_is_intact, &guard_check_changes_nothing,
#if EA_CFG_GUARD > 0
    &guard_finds_a_changed_byte_behind_and_names_it, &guard_finds_overflows_of_every_length,
    &guard_finds_a_changed_byte_before_and_names_it,
    &guard_finds_random_bytes_in_the_first_word_of_a_tag, &guard_of_a_shorter_slack_does_not_pass,
    &guard_resize_moves_the_end_and_keeps_the_content,
#endif
    &guard_finds_every_flipped_bit_of_a_tag, &guard_tells_the_second_free_from_garbage,
    &guard_takes_no_random_bytes_for_a_block, &guard_takes_no_block_of_another_allocator,
#if EA_CFG_TAGS
    &tag_keeps_the_label, &tag_of_a_freed_block_says_who_asked_for_it,
    &tag_changes_owner_and_the_guards_stay, &guard_describes_a_finding_and_the_neighbours,
#endif
    &poison_shows_the_first_byte_that_was_written, &guard_samples_one_in_n,
#else
    &guard_is_nothing_where_it_is_configured_out,
#endif
    &guard_kinds_have_names)
