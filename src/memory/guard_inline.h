/* SPDX-License-Identifier: MIT
 *
 * The parts of guards that a block passes through on its common way, to be compiled into their
 * callers. guard.c tells the story.
 */
#ifndef EALLOC_MEMORY_GUARD_INLINE_H
#define EALLOC_MEMORY_GUARD_INLINE_H

#include "base/mem.h"
#include "memory/guard.h"

#if EAI_TAGGED

typedef uint32_t EA_MAY_ALIAS word_t;
typedef unsigned char byte_t;

EA_STATIC_ASSERT((uint32_t)(EAI_SPREAD *EAI_GATHER) == 1u, "one undoes the other");

#define FILL_SLACK 0xEDu
#define FILL_FRESH 0xCBu
#define FILL_FREED 0xDFu
#define IN_EACH_BYTE(x) ((x)*0x01010101u)
#define FREED_WORD IN_EACH_BYTE(FILL_FREED)
#define FILL_WORDS 8u

/* Whether words begin with their low byte. */
#define LOW_FIRST (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/* The last word of a tag. */
#define LAST (EAI_TAG_WORDS - 1u)
#define FLAGS_SHIFT (EAI_TAG_WORDS == 2u ? 8u : 0u)
#define CHECK_MASK (EAI_TAG_WORDS == 2u ? 0xFFu : 0xFFFFFFF0u)
#define FREED (8u << FLAGS_SHIFT)

#define CANARY_WORDS (EAI_CANARY_BYTES / 4u)

EA_STATIC_ASSERT(sizeof(eai_tag_t) == 4u * EAI_TAG_WORDS, "a tag has no padding");
EA_STATIC_ASSERT(EAI_FRONT_BYTES % EA_HEAP_ALIGN == 0, "what follows the front is aligned");

/* --- words ------------------------------------------------------------------------------------ */

EA_INLINE uint32_t veil_of(const eai_guard_t *g, const void *payload)
{
    return eai_guard_hash(g, payload);
}

/* A tag in memory. On 64-bit machines two words at a time, written as they are read: what was
 * written just now comes back without a detour. */
#if UINTPTR_MAX > 0xFFFFFFFFu
typedef uint64_t EA_MAY_ALIAS pair_t;
EA_INLINE void load_tag(const eai_tag_t *tag, eai_tag_t *t)
{
    for (unsigned i = 0; i < EAI_TAG_WORDS; i += 2) {
        uint64_t pair = *(const pair_t *)(const void *)&tag->words[i];
        __asm__("" : "+r"(pair));
        t->words[LOW_FIRST ? i : i + 1u] = (uint32_t)pair;
        t->words[LOW_FIRST ? i + 1u : i] = (uint32_t)(pair >> 32);
    }
}
EA_INLINE void store_tag(eai_tag_t *tag, const eai_tag_t *t)
{
    for (unsigned i = 0; i < EAI_TAG_WORDS; i += 2) {
        uint64_t pair =
            t->words[LOW_FIRST ? i : i + 1u] | (uint64_t)t->words[LOW_FIRST ? i + 1u : i] << 32;
        __asm__("" : "+r"(pair));
        *(pair_t *)(void *)&tag->words[i] = pair;
    }
}
#else
EA_INLINE void load_tag(const eai_tag_t *tag, eai_tag_t *t)
{
    *t = *tag;
}
EA_INLINE void store_tag(eai_tag_t *tag, const eai_tag_t *t)
{
    *tag = *t;
}
#endif

/* Where a tag holds no label, nobody reads its words but us: all their bits check. */
EA_INLINE void hide(eai_tag_t *t, uint32_t veil)
{
    if (EA_CFG_TAGS) return;
    for (unsigned i = 0; i < LAST; i++) t->words[i] ^= eai_guard_rotate(veil, 5u + i);
    if (EAI_TAG_WORDS == 2u) t->words[LAST] ^= eai_guard_rotate(veil, 19u) & 0xFFFFF000u;
}

/* The check of a tag's words from first on. */
EA_INLINE uint32_t check_of(const eai_tag_t *t, unsigned first, uint32_t veil)
{
    uint32_t x = veil;
    if (first == 0) x ^= t->words[0];
#if UINTPTR_MAX > 0xFFFFFFFFu
    if (first == 0) x ^= eai_guard_rotate(t->words[1], 9u);
    x ^= eai_guard_rotate(t->words[2], 18u) ^ (t->words[3] & ~CHECK_MASK) << 8;
    x ^= x << 4;
#else
    x ^= t->words[1] & ~CHECK_MASK;
    x ^= x >> 16;
    x ^= x >> 8;
#endif
    return x & CHECK_MASK;
}
#define LEFT_BY_LINKS (EAI_TAG_WORDS / 2u) /* the first word that survives a heap's links */

typedef enum { LIVE, GONE, DAMAGED } state_t;

/* The tag with its words in the clear, and what it says of the block. */
EA_INLINE state_t read_tag(const eai_tag_t *tag, uint32_t veil, eai_tag_t *t)
{
    load_tag(tag, t);
    hide(t, veil);
    uint32_t check = t->words[LAST] & CHECK_MASK;
    if (EA_LIKELY(!(t->words[LAST] & FREED))) {
        if (EA_UNLIKELY(check != check_of(t, 0, veil))) return DAMAGED;
        if (!EA_CFG_TAGS) {
            uint32_t rest = EAI_TAG_WORDS == 2u ? t->words[LAST] >> 12 : 0;
            for (unsigned i = 0; i < LAST; i++) rest |= t->words[i];
            if (rest != 0) return DAMAGED;
        }
        return LIVE;
    }
    return check == check_of(t, LEFT_BY_LINKS, veil) ? GONE : DAMAGED;
}

/* The label's tag, its words in the clear. */
EA_INLINE eai_tag_t pack(const eai_label_t *label, uint32_t veil)
{
    eai_tag_t t = {{0}};
    uintptr_t site = (uintptr_t)label->site;
    uint32_t flags = (uint32_t)(label->flags & EAI_LABEL_FLAGS) << FLAGS_SHIFT;
#if !EA_CFG_TAGS
    (void)site;
    t.words[LAST] = flags;
#elif UINTPTR_MAX > 0xFFFFFFFFu
    t.words[0] = label->birth;
    t.words[1] = (uint32_t)site;
    t.words[2] = label->owner | (uint32_t)(site >> 32) << 16;
    t.words[3] = flags;
#else
    t.words[0] = label->owner | label->birth << 16;
    t.words[1] = site >> 1 << 12 | flags;
#endif
    t.words[LAST] |= check_of(&t, 0, veil);
    return t;
}

EA_INLINE void unpack(const eai_tag_t *t, eai_label_t *label)
{
#if !EA_CFG_TAGS
    *label = (eai_label_t){0};
#elif UINTPTR_MAX > 0xFFFFFFFFu
    label->birth = t->words[0];
    label->owner = (uint16_t)t->words[2];
    label->site = (const void *)((uintptr_t)t->words[1] | (uintptr_t)(t->words[2] >> 16) << 32);
#else
    label->birth = t->words[0] >> 16;
    label->owner = (uint16_t)t->words[0];
    label->site = (const void *)(t->words[1] >> 12 << 1);
#endif
    label->flags = (uint8_t)(t->words[LAST] >> FLAGS_SHIFT & EAI_LABEL_FLAGS);
}

EA_INLINE void write_tag(eai_tag_t *tag, eai_tag_t t, uint32_t veil)
{
    hide(&t, veil);
    store_tag(tag, &t);
}

EA_INLINE bool is_guarded(const eai_tag_t *t)
{
    if (!EA_CFG_GUARD_SAMPLED) return EA_CFG_GUARD > 0;
    return t->words[LAST] >> FLAGS_SHIFT & EAI_LABEL_GUARDED;
}

/* --- trailer, canary, slack ------------------------------------------------------------------- */

EA_INLINE word_t *trailer_of(const void *payload, size_t usable)
{
    return (word_t *)((uintptr_t)payload + usable - 4u);
}

EA_INLINE uint32_t trailer_key(const eai_tag_t *t, uint32_t veil)
{
    uint32_t hash = t->words[LAST];
    if (EAI_TAG_WORDS == 2u) hash += t->words[0] * EAI_GATHER;
    return hash ^ eai_guard_rotate(veil, 16u);
}

/* The slack's length; what it decodes to if it is damaged. */
EA_INLINE uint32_t read_slack(const eai_tag_t *t, uint32_t veil, const void *payload, size_t usable)
{
    return (*trailer_of(payload, usable) ^ trailer_key(t, veil)) * EAI_GATHER;
}

EA_INLINE void write_slack(const eai_tag_t *t, uint32_t veil, void *payload, size_t usable,
                           size_t slack)
{
    *trailer_of(payload, usable) = (uint32_t)slack * EAI_SPREAD ^ trailer_key(t, veil);
}

EA_INLINE bool is_plausible(size_t slack, size_t usable)
{
    return slack - EAI_BACK_BYTES <= usable - EAI_BACK_BYTES;
}

EA_INLINE word_t *canary_of(const void *payload)
{
    return (word_t *)((uintptr_t)payload - EAI_CANARY_BYTES);
}

/* Only a block with its front before it has a canary. */
EA_INLINE bool has_canary(const eai_tag_t *tag, const void *payload)
{
    return EAI_CANARY_BYTES > 0 && (uintptr_t)tag + EAI_FRONT_BYTES == (uintptr_t)payload;
}

#define WITH_REQUEST 1u /* the canary's word that holds it */
EA_INLINE uint32_t canary_word(unsigned i, uint32_t veil, size_t request)
{
    return eai_guard_rotate(veil, 7u + i) ^
           (i == WITH_REQUEST ? (uint32_t)request * EAI_SPREAD : 0x5A17C0DEu);
}

EA_INLINE void write_canary(void *payload, uint32_t veil, size_t request)
{
    for (unsigned i = CANARY_WORDS; i-- > 0;) canary_of(payload)[i] = canary_word(i, veil, request);
}

EA_INLINE bool canary_is_intact(const void *payload, uint32_t veil, size_t request)
{
    uint32_t wrong = 0;
    for (unsigned i = CANARY_WORDS; i-- > 0;)
        wrong |= canary_of(payload)[i] ^ canary_word(i, veil, request);
    return wrong == 0;
}

/* The word that holds a byte of the payload. Where a pattern begins with it, the bytes before it
 * are the user's. */
EA_INLINE word_t *word_at(const void *payload, size_t offset)
{
    return (word_t *)(((uintptr_t)payload + offset) & ~(uintptr_t)3);
}
/* Where the pattern that begins with this word ends. */
EA_INLINE const word_t *end_of_slack(const word_t *first, const void *payload, size_t usable)
{
    const word_t *trailer = trailer_of(payload, usable), *most = first + FILL_WORDS;
    return EA_CFG_GUARD == 1 && most < trailer ? most : trailer;
}

/* The bits of the first word that are the user's. */
EA_INLINE uint32_t user_bits(const void *payload, size_t request)
{
    unsigned n = (unsigned)(((uintptr_t)payload + request) % 4u) * 8u;
    return LOW_FIRST ? ~(UINT32_MAX << n) : ~(UINT32_MAX >> n);
}

/* Words, four at a time; a compiler that made a call of memset() of it would spend more on its way
 * there than most blocks take. */
EA_INLINE void fill_words(word_t *word, const word_t *end, uint32_t value)
{
    for (; EA_CFG_GUARD > 1 && end - word >= 4; word += 4) { /* bound: the words given */
        word[0] = word[1] = word[2] = word[3] = value;
        __asm__("" : "+r"(word));
    }
    for (; word < end; word++) { /* bound: 3; level 1: FILL_WORDS */
        *word = value;
        __asm__("" : "+r"(word));
    }
}

/* From byte offset from of the payload to end. */
EA_INLINE void fill_from(void *payload, size_t from, const word_t *end, unsigned char value)
{
    word_t *word = word_at(payload, from);
    uint32_t users = user_bits(payload, from), each = IN_EACH_BYTE(value);
    if (word >= end) return;
    *word = (*word & users) | (each & ~users);
    fill_words(word + 1, end, each);
}

/* On 64-bit machines the slack that rounding leaves, up to 15 bytes before the trailer, is treated
 * at once: the number of turns of a loop would be guessed wrong every other time. Wherever it
 * begins, masks + its length holds two words with the slack's bits set. */
#if defined(__SANITIZE_THREAD__) /* what it reads beside the slack, and masks, is the user's */
#define AT_ONCE 0u
#else
#define AT_ONCE (sizeof(uintptr_t) > 4 ? 15u : 0u)
#endif
static const byte_t masks[32] = {0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
                                 0,    0,    0,    0,    0,    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
#define EACH_OF_8 (IN_EACH_BYTE((uint64_t)FILL_SLACK) | IN_EACH_BYTE((uint64_t)FILL_SLACK) << 32)

/* Are there such a slack, and 16 bytes of block before the trailer? */
EA_INLINE bool is_at_once(size_t request, size_t usable)
{
    return AT_ONCE > 0 && usable - EAI_BACK_BYTES - request <= AT_ONCE &&
           usable >= AT_ONCE + 1u + EAI_BACK_BYTES;
}

EA_INLINE void fill_slack(void *payload, size_t request, size_t usable)
{
    if (EA_LIKELY(is_at_once(request, usable))) {
        uint64_t words[2], mask[2];
        byte_t *where = (byte_t *)trailer_of(payload, usable) - sizeof words;
        memcpy(mask, masks + (usable - EAI_BACK_BYTES - request), sizeof mask);
        memcpy(words, where, sizeof words);
        words[0] = (words[0] & ~mask[0]) | (EACH_OF_8 & mask[0]);
        words[1] = (words[1] & ~mask[1]) | (EACH_OF_8 & mask[1]);
        memcpy(where, words, sizeof words);
        return;
    }
    fill_from(payload, request, end_of_slack(word_at(payload, request), payload, usable),
              FILL_SLACK);
}

/* The first word may hold the user's bytes, which change while a sweep reads it and have no part in
 * what it is compared to. ThreadSanitizer, which cannot know that, is shown bytes. */
EA_INLINE uint32_t read_first_slack(const word_t *word, const void *payload, size_t request)
{
#if defined(__SANITIZE_THREAD__)
    uint32_t seen = 0;
    for (size_t i = ((uintptr_t)payload + request) % 4u; i < 4; i++)
        ((byte_t *)&seen)[i] = ((const byte_t *)word)[i];
    return seen;
#else
    (void)payload, (void)request;
    return *word;
#endif
}

EA_INLINE bool slack_is_intact(const void *payload, size_t request, size_t usable)
{
    if (EA_LIKELY(is_at_once(request, usable))) {
        uint64_t words[2], mask[2];
        memcpy(mask, masks + (usable - EAI_BACK_BYTES - request), sizeof mask);
        memcpy(words, (const byte_t *)trailer_of(payload, usable) - sizeof words, sizeof words);
        return (((words[0] ^ EACH_OF_8) & mask[0]) | ((words[1] ^ EACH_OF_8) & mask[1])) == 0;
    }
    const word_t *word = word_at(payload, request), *end = end_of_slack(word, payload, usable);
    if (word == end) return true;
    uint32_t wrong = (read_first_slack(word, payload, request) ^ IN_EACH_BYTE(FILL_SLACK)) &
                     ~user_bits(payload, request);
    while (++word < end) wrong |= *word ^ IN_EACH_BYTE(FILL_SLACK); /* bound: as fill_slack() */
    return wrong == 0;
}

/* --- whole steps ------------------------------------------------------------------------------ */

/* eai_guard_resize(). */
EA_INLINE void eai_guard_write(const eai_guard_t *g, eai_tag_t *tag, void *payload,
                               size_t old_request, size_t request, size_t usable,
                               const eai_label_t *label)
{
    uint32_t veil = veil_of(g, payload);
    eai_tag_t t = pack(label, veil);
    write_tag(tag, t, veil);
    if (!is_guarded(&t)) return;
    if (has_canary(tag, payload)) write_canary(payload, veil, request);
    if (EA_CFG_GUARD >= 2) /* what this writes beyond the request is slack */
        fill_from(payload, old_request, word_at(payload, request + 3u), FILL_FRESH);
    fill_slack(payload, request, usable);
    write_slack(&t, veil, payload, usable, usable - request);
}

/* Is the block live and as it should be? Then *t is its tag, to be unpacked or marked. */
EA_INLINE bool eai_guard_is_intact(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                                   size_t usable, eai_tag_t *t, uint32_t *veil)
{
    *veil = veil_of(g, payload);
    if (EA_UNLIKELY(read_tag(tag, *veil, t) != LIVE)) return false;
    if (!is_guarded(t)) return true;
    size_t slack = read_slack(t, *veil, payload, usable);
    return EA_LIKELY(
        is_plausible(slack, usable) && slack_is_intact(payload, usable - slack, usable) &&
        (!has_canary(tag, payload) || canary_is_intact(payload, *veil, usable - slack)));
}

/* The owner in a tag in the clear. */
EA_INLINE uint16_t eai_tag_owner(const eai_tag_t *t)
{
    return (uint16_t)t->words[EAI_TAG_WORDS == 2u ? 0 : 2];
}

/* Mark the block whose tag was read as *t as freed. Returns whether it is to be poisoned. */
EA_INLINE bool eai_guard_write_mark(eai_tag_t *tag, eai_tag_t t, uint32_t veil)
{
    t.words[LAST] = (t.words[LAST] & ~CHECK_MASK) | FREED;
    t.words[LAST] |= check_of(&t, LEFT_BY_LINKS, veil);
    bool poisons = EA_CFG_GUARD >= 2 && is_guarded(&t);
    write_tag(tag, t, veil);
    return poisons;
}

#endif
#endif
