/* SPDX-License-Identifier: MIT */
#include "label.h"

#include <string.h>

#include "ealloc/guard.h"
#include "memory/guard.h"

#define FILL_SLACK 0xEDu
#define FILL_BYTES 32u /* of the slack that level 1 fills */
#define BACK_BYTES 4u
#define MOST_GUESSED 64u
#define UNKNOWN UINT64_MAX
#define WITH_REQUEST 1u /* the canary's word that holds it */

typedef struct {
    const label_rules_t *rules;
    unsigned n_words, last;
    uint32_t words[4]; /* of the tag, in the clear */
    uint32_t veil, freed, check_mask;
    unsigned flags_shift;
    const uint8_t *payload;
    uint64_t usable;
    unsigned canary_bytes;
} look_t;

typedef enum { LIVE, GONE, DAMAGED } tag_state_t;

static uint32_t load(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t veil_of(uint32_t key, uint64_t address)
{
    uint32_t x = (uint32_t)address + (uint32_t)(address >> 32);
    x = (x ^ key) * EAI_GATHER;
    return x ^ x >> 15;
}

static uint32_t check_of(const look_t *l, unsigned first)
{
    const uint32_t *w = l->words;
    uint32_t x = l->veil;
    if (first == 0) x ^= w[0];
    if (l->n_words == 4) {
        if (first == 0) x ^= eai_guard_rotate(w[1], 9u);
        x ^= eai_guard_rotate(w[2], 18u) ^ (w[3] & ~l->check_mask) << 8;
        x ^= x << 4;
    } else {
        x ^= w[1] & ~l->check_mask;
        x ^= x >> 16;
        x ^= x >> 8;
    }
    return x & l->check_mask;
}

static tag_state_t read_tag(look_t *l, const uint8_t *tag)
{
    for (unsigned i = 0; i < l->n_words; i++) l->words[i] = load(tag + 4u * i);
    if (!l->rules->tags) { /* nobody reads its words, and they are hidden */
        for (unsigned i = 0; i < l->last; i++) l->words[i] ^= eai_guard_rotate(l->veil, 5u + i);
        if (l->n_words == 2) l->words[1] ^= eai_guard_rotate(l->veil, 19u) & 0xFFFFF000u;
    }
    uint32_t check = l->words[l->last] & l->check_mask;
    if ((l->words[l->last] & l->freed) != 0)
        return check == check_of(l, l->n_words / 2u) ? GONE : DAMAGED;
    if (check != check_of(l, 0)) return DAMAGED;
    if (!l->rules->tags) {
        uint32_t rest = l->n_words == 2 ? l->words[1] >> 12 : 0;
        for (unsigned i = 0; i < l->last; i++) rest |= l->words[i];
        if (rest != 0) return DAMAGED;
    }
    return LIVE;
}

static void unpack(const look_t *l, snap_block_t *b)
{
    const uint32_t *w = l->words;
    if (!l->rules->tags) return;
    b->owner = (uint16_t)w[l->n_words == 4 ? 2 : 0];
    if (l->n_words == 4) {
        b->birth = w[0];
        b->site = w[1] | (uint64_t)(w[2] >> 16) << 32;
    } else {
        b->birth = w[0] >> 16;
        b->site = w[1] >> 12 << 1;
    }
}

static unsigned flags_of(const look_t *l)
{
    return l->words[l->last] >> l->flags_shift & EAI_LABEL_FLAGS;
}

static bool is_guarded(const look_t *l)
{
    return l->rules->sampled ? (flags_of(l) & EAI_LABEL_GUARDED) != 0 : l->rules->guard > 0;
}

/* --- trailer, slack, canary ------------------------------------------------------------------- */

static const uint8_t *trailer_of(const look_t *l)
{
    return l->payload + l->usable - 4;
}

static uint32_t trailer_key(const look_t *l)
{
    uint32_t hash = l->words[l->last];
    if (l->n_words == 2) hash += l->words[0] * EAI_GATHER;
    return hash ^ eai_guard_rotate(l->veil, 16u);
}

static uint64_t read_slack(const look_t *l)
{
    return (load(trailer_of(l)) ^ trailer_key(l)) * EAI_GATHER;
}

static bool is_plausible(uint64_t slack, uint64_t usable)
{
    return slack - BACK_BYTES <= usable - BACK_BYTES;
}

/* Where the slack's pattern ends that begins at request. */
static uint64_t end_of_slack(const look_t *l, uint64_t request)
{
    uint64_t most = (request & ~(uint64_t)3) + FILL_BYTES, trailer = l->usable - 4;
    return l->rules->guard == 1 && most < trailer ? most : trailer;
}

/* The first byte of the slack that is not as it was written; the slack's end: none. */
static uint64_t first_bad_in_slack(const look_t *l, uint64_t request)
{
    uint64_t at = request, end = end_of_slack(l, request);
    while (at < end && l->payload[at] == FILL_SLACK) at++;
    return at < end ? at : end;
}

static uint32_t canary_word(const look_t *l, unsigned i, uint64_t request)
{
    return eai_guard_rotate(l->veil, 7u + i) ^
           (i == WITH_REQUEST ? (uint32_t)request * EAI_SPREAD : 0x5A17C0DEu);
}

/* How far before the payload the first bad byte of the canary is; 0: it is intact. */
static unsigned bad_in_canary(const look_t *l, uint64_t request)
{
    for (unsigned i = 0; i < l->canary_bytes; i++) {
        uint32_t word = canary_word(l, i / 4u, request);
        if (*(l->payload - l->canary_bytes + i) != (uint8_t)(word >> 8u * (i % 4u)))
            return l->canary_bytes - i;
    }
    return 0;
}

static uint64_t request_in_canary(const look_t *l)
{
    uint32_t word = load(l->payload - l->canary_bytes + 4u * WITH_REQUEST);
    uint64_t request = (word ^ eai_guard_rotate(l->veil, 7u + WITH_REQUEST)) * EAI_GATHER;
    return is_plausible(l->usable - request, l->usable) ? request : UNKNOWN;
}

/* The request that the trailer most likely spoke of; UNKNOWN. */
static uint64_t guess_request(const look_t *l)
{
    uint32_t best = 0, key = trailer_key(l), is = load(trailer_of(l));
    unsigned most = 0;
    bool is_tied = true;
    for (uint32_t slack = BACK_BYTES; slack <= MOST_GUESSED && slack <= l->usable; slack++) {
        uint32_t other = is ^ (slack * EAI_SPREAD ^ key);
        unsigned n = 0;
        while (n < 4 && (uint8_t)(other >> 8u * (3u - n)) == 0) n++;
        if (n > most) {
            best = slack;
            most = n;
            is_tied = false;
        } else if (n == most) {
            is_tied = true;
        }
    }
    return is_tied ? UNKNOWN : l->usable - best;
}

/* --- the whole -------------------------------------------------------------------------------- */

static bool is_intact(const look_t *l)
{
    if (!is_guarded(l)) return true;
    uint64_t slack = read_slack(l), request = l->usable - slack;
    return is_plausible(slack, l->usable) &&
           first_bad_in_slack(l, request) == end_of_slack(l, request) &&
           bad_in_canary(l, request) == 0;
}

static void find(snap_block_t *b, ea_guard_kind_t kind, uint64_t first_bad, uint64_t request)
{
    b->finding = (uint8_t)kind;
    b->first_bad = first_bad;
    b->requested = request == UNKNOWN ? 0 : request;
}

static void diagnose(const look_t *l, snap_block_t *b, uint64_t tag, tag_state_t state)
{
    if (l->rules->guard == 0) return find(b, EA_GUARD_TAG, tag, 0);
    uint64_t slack = read_slack(l), request = UNKNOWN;
    bool is_certain = false;
    if (state == LIVE && is_plausible(slack, l->usable)) {
        request = l->usable - slack;
        is_certain = first_bad_in_slack(l, request) == end_of_slack(l, request);
    }
    if (l->canary_bytes > 0 && (state == LIVE || !l->rules->sampled)) {
        if (!is_certain) request = request_in_canary(l);
        unsigned bad = bad_in_canary(l, request);
        if (bad != 0) return find(b, EA_GUARD_HEAD, b->user - bad, is_certain ? request : UNKNOWN);
    } else if (state == LIVE && request == UNKNOWN) {
        request = guess_request(l);
    }
    if (state == DAMAGED) return find(b, EA_GUARD_TAG, tag, request);
    uint64_t at = l->usable - 4;
    if (request != UNKNOWN && first_bad_in_slack(l, request) != end_of_slack(l, request)) {
        at = first_bad_in_slack(l, request);
    } else if (request != UNKNOWN) {
        uint32_t other =
            load(trailer_of(l)) ^ ((uint32_t)(l->usable - request) * EAI_SPREAD ^ trailer_key(l));
        for (unsigned i = 0; i < 4 && (uint8_t)(other >> 8u * i) == 0; i++) at++;
        if (other == 0) at = l->usable - 4;
    }
    find(b, EA_GUARD_TAIL, b->user + at, request);
}

bool label_read(const label_rules_t *rules, snap_block_t *b, const uint8_t *tag,
                const uint8_t *payload, uint64_t usable, bool in_front)
{
    bool wide = rules->tag_bytes == 16;
    look_t l = {.rules = rules,
                .n_words = wide ? 4 : 2,
                .last = wide ? 3 : 1,
                .veil = veil_of(rules->key, b->user),
                .check_mask = wide ? 0xFFFFFFF0u : 0xFFu,
                .flags_shift = wide ? 0 : 8,
                .freed = 8u << (wide ? 0 : 8),
                .payload = payload,
                .usable = usable,
                .canary_bytes =
                    in_front && rules->guard > 0 ? rules->front_bytes - rules->tag_bytes : 0};
    tag_state_t state = read_tag(&l, tag);
    b->requested = usable;
    if (state != DAMAGED) unpack(&l, b);
    if (state == LIVE && (flags_of(&l) & EAI_LABEL_INTERNAL) != 0) b->state = SNAP_INTERNAL;
    if (state == GONE) {
        b->state = SNAP_WAITING;
        return false;
    }
    if (rules->guard > 0 && usable < BACK_BYTES) return state == LIVE;
    if (state == LIVE && is_intact(&l)) {
        if (is_guarded(&l)) b->requested = usable - read_slack(&l);
        return true;
    }
    diagnose(&l, b, in_front ? b->user - rules->front_bytes : 0, state);
    return state == LIVE;
}
