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

#include "base/atomic.h"
#include "base/mem.h"
#include "memory/guard_inline.h"

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
    eai_guard_write(g, tag, payload, old_request, request, usable, label);
}

ea_guard_kind_t eai_guard_check(const eai_guard_t *g, const eai_tag_t *tag, const void *payload,
                                size_t usable, eai_finding_t *finding)
{
    eai_tag_t t;
    uint32_t veil;
    finding->kind = EA_GUARD_NONE;
    if (EA_LIKELY(eai_guard_is_intact(g, tag, payload, usable, &t, &veil))) return EA_GUARD_NONE;
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
    return eai_guard_write_mark(tag, t, veil);
}

#if EA_CFG_ALLOC_ISR
bool eai_guard_claim(const eai_guard_t *g, eai_tag_t *tag, const void *payload, bool *poisons)
{
    uint32_t veil = veil_of(g, payload);
    uint32_t *last = (uint32_t *)&tag->words[LAST];
    bool claimed = false;
    eai_tag_t t;
    EAI_ENTER(irq);
    do { /* bound: one context at a time tries again, after another one has claimed the block */
        uint32_t seen = EAI_LOAD(last, EAI_RELAXED);
        if (read_tag(tag, veil, &t) != LIVE) break;
        *poisons = EA_CFG_GUARD >= 2 && is_guarded(&t);
        t.words[LAST] = (t.words[LAST] & ~CHECK_MASK) | FREED;
        t.words[LAST] |= check_of(&t, LEFT_BY_LINKS, veil);
        hide(&t, veil);
        claimed = EAI_CAS_U32(last, seen, t.words[LAST]);
    } while (!claimed);
    EAI_LEAVE(irq);
    return claimed;
}
#else
bool eai_guard_claim(const eai_guard_t *g, eai_tag_t *tag, const void *payload, bool *poisons)
{
    eai_tag_t t;
    if (read_tag(tag, veil_of(g, payload), &t) != LIVE) return false;
    *poisons = eai_guard_mark(g, tag, payload);
    return true;
}
#endif

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
