/* SPDX-License-Identifier: MIT
 *
 * Tags and guards of blocks.
 *
 *     heap    [tag][canary] payload: request bytes [slack: EDEDED..][trailer]
 *                           ^ aligned                                       ^ payload + usable
 *     pool    tag in a side array; payload, slack and trailer in the block
 *
 *     tag     32-bit machines                     64-bit machines
 *             [birth 16 | owner 16]               [birth 32]
 *             [site 20 | flags 4 | check 8]       [site, low 32]
 *                                                 [site 16 | owner 16]
 *                                                 [check 28 | flags 4]
 *
 * Every check value depends on the veil, a hash of the block's address, the secret and the
 * allocator's identity: a tag copied elsewhere is none. The check of a tag is linear, so that no
 * single flipped bit is missed. One flag says that the block was freed; the check then covers the
 * last word and on 64-bit machines the one before, which a heap's free-list links leave alone: a
 * second free is told from garbage until other blocks use the memory.
 *
 * The trailer holds the slack's length and vouches for the tag:
 *
 *     trailer = slack * EAI_SPREAD ^ hash(tag) ^ veil
 *
 * EAI_SPREAD is odd, so every trailer decodes to one length; of the 2^32 only those up to usable
 * are plausible, and a length other than the true one must also find the slack's pattern in bytes
 * that are the user's. The inverse of EAI_SPREAD is 2^32 over the golden ratio, whose small
 * multiples lie far apart: a change of one byte gives a length off by 8 million at least, of two
 * neighbouring ones by 11 thousand. A tag that was written over gives another hash, whatever its
 * own check says.
 *
 * The canary holds two hashes and, hidden alike, the request: with it the first bad byte is known
 * even when the trailer is gone. Where there is none, the length is guessed from what is left of
 * the trailer.
 *
 * Level 1 fills and checks no more than the first FILL_WORDS words of the slack, and its costs are
 * constant: slack is longer only where a pool's or half fit's block is much larger than the
 * request.
 *
 * Rejected: the request's size in the tag (no room, and who writes before a block would move its
 * end); a CRC (a table, or 8 steps a byte); one canary value for all blocks (a stale or copied one
 * passes).
 */
#include "memory/guard.h"

#include "base/mem.h"

const char *ea_guard_kind_name(ea_guard_kind_t kind)
{
    static const char *const names[] = {
        "nothing",
        "write before the block",
        "write behind the block",
        "write to a freed block",
        "damaged tag",
        "double free",
        "pointer of no block",
        "block of another allocator",
        "block of another owner",
        "damaged store",
    };
    return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}

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
    *t = *tag;
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
    *tag = t;
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

EA_INLINE void fill_slack(void *payload, size_t request, size_t usable)
{
    fill_from(payload, request, end_of_slack(word_at(payload, request), payload, usable),
              FILL_SLACK);
}

EA_INLINE bool slack_is_intact(const void *payload, size_t request, size_t usable)
{
    const word_t *word = word_at(payload, request), *end = end_of_slack(word, payload, usable);
    if (word == end) return true;
    uint32_t wrong = (*word ^ IN_EACH_BYTE(FILL_SLACK)) & ~user_bits(payload, request);
    while (++word < end) wrong |= *word ^ IN_EACH_BYTE(FILL_SLACK); /* bound: as fill_slack() */
    return wrong == 0;
}

/* --- where the damage begins; only when something was found ----------------------------------- */

/* The first byte in [from, to) that is not value; to if there is none. */
static const byte_t *first_other(const byte_t *from, const byte_t *to, byte_t value)
{
    while (from < to && *from == value) from++; /* bound: the bytes given */
    return from;
}

/* The first of n bytes that differs from what it should be; NULL: none. */
static const byte_t *first_difference(const void *is, const void *should_be, size_t n)
{
    const byte_t *a = is, *b = should_be;
    for (size_t i = 0; i < n; i++) {
        if (a[i] != b[i]) return a + i;
    }
    return NULL;
}

/* How many of the last bytes of a word are what they should be. */
static unsigned count_left(const word_t *is, uint32_t should_be)
{
    const byte_t *a = (const void *)is, *b = (const void *)&should_be;
    unsigned n = 0;
    while (n < 4 && a[3 - n] == b[3 - n]) n++;
    return n;
}

#define UNKNOWN SIZE_MAX

/* The request that the trailer most likely spoke of: who writes behind a block comes from below, so
 * its last bytes are left. Else UNKNOWN. */
#define MOST_GUESSED 64u
static size_t guess_request(const eai_tag_t *t, uint32_t veil, const void *payload, size_t usable)
{
    uint32_t best = 0, key = trailer_key(t, veil);
    unsigned most = 0;
    bool is_tied = true;
    for (uint32_t slack = EAI_BACK_BYTES; slack <= MOST_GUESSED && slack <= usable; slack++) {
        unsigned n = count_left(trailer_of(payload, usable), slack * EAI_SPREAD ^ key);
        if (n > most) {
            best = slack;
            most = n;
            is_tied = false;
        } else if (n == most) {
            is_tied = true;
        }
    }
    return is_tied ? UNKNOWN : usable - best;
}

/* The request as the canary has it, if it could be one. */
static size_t request_in_canary(const void *payload, uint32_t veil, size_t usable)
{
    size_t request =
        (canary_of(payload)[WITH_REQUEST] ^ eai_guard_rotate(veil, 7u + WITH_REQUEST)) * EAI_GATHER;
    return is_plausible(usable - request, usable) ? request : UNKNOWN;
}

static const byte_t *first_bad_in_canary(const void *payload, uint32_t veil, size_t request)
{
    uint32_t should_be[CANARY_WORDS + 1u];
    for (unsigned i = CANARY_WORDS; i-- > 0;) should_be[i] = canary_word(i, veil, request);
    return first_difference(canary_of(payload), should_be, EAI_CANARY_BYTES);
}

/* The first bad byte behind the request, which is known. */
static const byte_t *first_bad_behind(const eai_tag_t *t, uint32_t veil, const void *payload,
                                      size_t request, size_t usable)
{
    const byte_t *trailer = (const byte_t *)trailer_of(payload, usable);
    const byte_t *from = (const byte_t *)payload + request;
    const byte_t *to = (const byte_t *)end_of_slack(word_at(payload, request), payload, usable);
    const byte_t *bad = first_other(from, to, FILL_SLACK);
    if (bad < to) return bad;
    uint32_t should_be = (uint32_t)(usable - request) * EAI_SPREAD ^ trailer_key(t, veil);
    return first_difference(trailer, &should_be, 4);
}

static EA_NOINLINE ea_guard_kind_t diagnose(const eai_guard_t *g, const eai_tag_t *tag,
                                            const void *payload, size_t usable,
                                            eai_finding_t *finding)
{
    eai_tag_t t;
    uint32_t veil = veil_of(g, payload);
    state_t state = read_tag(tag, veil, &t);
    *finding = (eai_finding_t){EA_GUARD_DOUBLE_FREE, NULL, 0};
    if (state == GONE) return EA_GUARD_DOUBLE_FREE;
    if (EA_CFG_GUARD == 0) {
        *finding = (eai_finding_t){EA_GUARD_TAG, tag, 0};
        return EA_GUARD_TAG;
    }

    size_t slack = read_slack(&t, veil, payload, usable), request = UNKNOWN;
    bool is_certain = false;
    if (state == LIVE && is_plausible(slack, usable)) {
        request = usable - slack; /* damage is all behind it, or an accident of 1 in many */
        is_certain = slack_is_intact(payload, request, usable);
    }
    if (has_canary(tag, payload) && (state == LIVE || !EA_CFG_GUARD_SAMPLED)) {
        if (!is_certain) request = request_in_canary(payload, veil, usable);
        const byte_t *bad = first_bad_in_canary(payload, veil, request);
        if (bad != NULL) {
            *finding = (eai_finding_t){EA_GUARD_HEAD, bad, is_certain ? request : 0};
            return EA_GUARD_HEAD;
        }
    } else if (state == LIVE && request == UNKNOWN) {
        request = guess_request(&t, veil, payload, usable);
    }
    if (state == DAMAGED) {
        *finding = (eai_finding_t){EA_GUARD_TAG, tag, request == UNKNOWN ? 0 : request};
        return EA_GUARD_TAG;
    }
    *finding = (eai_finding_t){EA_GUARD_TAIL, trailer_of(payload, usable), 0};
    if (request != UNKNOWN) {
        const void *bad = first_bad_behind(&t, veil, payload, request, usable);
        if (bad != NULL) finding->first_bad = bad;
        finding->request = request;
    }
    return EA_GUARD_TAIL;
}

/* --- what an allocator does with a block ------------------------------------------------------ */

void eai_guard_init(eai_guard_t *g, uint32_t secret, uint32_t identity)
{
    *g = (eai_guard_t){0};
    g->key = (secret ^ eai_guard_rotate(identity * EAI_GATHER, 16u)) * EAI_GATHER;
#if EA_CFG_GUARD_SAMPLED
    g->random = g->key;
    eai_guard_sample(g, 1);
#endif
}

void eai_guard_resize(const eai_guard_t *g, eai_tag_t *tag, void *payload, size_t old_request,
                      size_t request, size_t usable, const eai_label_t *label)
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

ea_guard_kind_t eai_guard_check(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                                size_t usable, eai_finding_t *finding)
{
    eai_tag_t t;
    uint32_t veil = veil_of(g, payload);
    finding->kind = EA_GUARD_NONE;
    if (EA_LIKELY(read_tag(tag, veil, &t) == LIVE)) {
        if (!is_guarded(&t)) return EA_GUARD_NONE;
        size_t slack = read_slack(&t, veil, payload, usable);
        if (EA_LIKELY(
                is_plausible(slack, usable) && slack_is_intact(payload, usable - slack, usable) &&
                (!has_canary(tag, payload) || canary_is_intact(payload, veil, usable - slack)))) {
            return EA_GUARD_NONE;
        }
    }
    return diagnose(g, tag, payload, usable, finding);
}

size_t eai_guard_request_bytes(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                               size_t usable)
{
    eai_tag_t t;
    uint32_t veil = veil_of(g, payload);
    if (read_tag(tag, veil, &t) != LIVE || !is_guarded(&t)) return usable;
    size_t slack = read_slack(&t, veil, payload, usable);
    return is_plausible(slack, usable) ? usable - slack : usable;
}

bool eai_guard_label(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                     eai_label_t *label)
{
    eai_tag_t t;
    state_t state = read_tag(tag, veil_of(g, payload), &t);
    *label = (eai_label_t){0};
    if (state != DAMAGED) unpack(&t, label);
    return state == LIVE;
}

void eai_guard_relabel(const eai_guard_t *g, eai_tag_t *tag, void *payload, size_t usable,
                       const eai_label_t *label)
{
    eai_tag_t t;
    eai_label_t changed = *label;
    uint32_t veil = veil_of(g, payload), slack = 0;
    (void)read_tag(tag, veil, &t);
    bool guarded = is_guarded(&t);
    if (guarded) slack = read_slack(&t, veil, payload, usable);
    changed.flags = (uint8_t)((changed.flags & ~EAI_LABEL_GUARDED) |
                              (t.words[LAST] >> FLAGS_SHIFT & EAI_LABEL_GUARDED));
    t = pack(&changed, veil);
    write_tag(tag, t, veil);
    if (guarded) write_slack(&t, veil, payload, usable, slack);
}

bool eai_guard_mark(const eai_guard_t *g, eai_tag_t *tag, const void *payload)
{
    eai_tag_t t;
    uint32_t veil = veil_of(g, payload);
    (void)read_tag(tag, veil, &t);
    t.words[LAST] = (t.words[LAST] & ~CHECK_MASK) | FREED;
    t.words[LAST] |= check_of(&t, LEFT_BY_LINKS, veil);
    bool poisons = EA_CFG_GUARD >= 2 && is_guarded(&t);
    write_tag(tag, t, veil);
    return poisons;
}

void eai_guard_poison(void *payload, size_t usable)
{
    fill_words(payload, (word_t *)(void *)((byte_t *)payload + usable), FREED_WORD);
}

bool eai_guard_undress(const eai_guard_t *g, eai_tag_t *tag, void *payload, size_t usable)
{
    bool poisons = eai_guard_mark(g, tag, payload);
    if (poisons) eai_guard_poison(payload, usable);
    return poisons;
}

void eai_guard_freshen(void *payload, size_t old_request, size_t request)
{
    if (EA_CFG_GUARD >= 2 && request > old_request)
        memset((byte_t *)payload + old_request, FILL_FRESH, request - old_request);
}

const void *eai_guard_unpoisoned(const void *payload, size_t from, size_t usable)
{
    const byte_t *first = payload, *end = first + usable;
    const word_t *word = (const word_t *)(const void *)(first + from);
    const word_t *last = (const word_t *)(const void *)end;
    while (word < last && *word == FREED_WORD) word++; /* bound: the bytes given */
    const byte_t *bad = first_other((const byte_t *)word, end, FILL_FREED);
    return bad < end ? bad : NULL;
}

/* --- reports ---------------------------------------------------------------------------------- */

void eai_guard_describe(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                        const eai_finding_t *finding, ea_guard_report_t *report)
{
    eai_label_t label;
    (void)eai_guard_label(g, tag, payload, &label);
    *report = (ea_guard_report_t){.kind = finding->kind,
                                  .block = payload,
                                  .size_bytes = finding->request,
                                  .first_bad = finding->first_bad,
                                  .site = label.site,
                                  .birth = label.birth,
                                  .owner = label.owner};
}

void eai_guard_describe_neighbour(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                                  size_t usable, ea_guard_neighbour_t *neighbour)
{
    eai_label_t label;
    *neighbour = (ea_guard_neighbour_t){0};
    if (!eai_guard_label(g, tag, payload, &label)) return;
    neighbour->block = payload;
    neighbour->size_bytes = eai_guard_request_bytes(g, tag, payload, usable);
    neighbour->site = label.site;
    neighbour->owner = label.owner;
}

#endif
