/* SPDX-License-Identifier: MIT
 *
 * Leaks: what was found over boots, in memory that a reset leaves alone.
 *
 * Each entry, and the head, has a check word of its own, which is written last; so a reset costs at
 * most the entry that was being written, and nothing that is read is believed without it. Words
 * that are random pass for an entry once in 2^32.
 */
#include "base/mem.h"
#include "observe/leaks_internal.h"

#define MAGIC 0x45414C4Bu /* EALK */
#define VERSION 1u

typedef eai_leaks_past_t past_t;

EA_INLINE uint32_t mix(uint32_t sum, uint32_t word)
{
    sum = (sum ^ word) * 0x85EBCA6Bu;
    return sum ^ sum >> 15;
}

EA_INLINE uint32_t mix_word(uint32_t sum, uintptr_t word)
{
#if UINTPTR_MAX > 0xFFFFFFFFu
    sum = mix(sum, (uint32_t)(word >> 32));
#endif
    return mix(sum, (uint32_t)word);
}

static uint32_t check_of_past(const past_t *past)
{
    uint32_t sum = mix_word(MAGIC, past->eai_site);
    return mix(mix(mix(sum, past->eai_n_boots), past->eai_last), past->eai_kinds);
}

static uint32_t check_of_head(const ea_leaks_history_t *h)
{
    return mix_word(mix(mix(MAGIC, VERSION << 8 | (uint32_t)sizeof *h), h->eai_n_boots),
                    h->eai_image);
}

bool eai_leaks_is_past(const past_t *past)
{
    return past->eai_n_boots != 0 && past->eai_check == check_of_past(past);
}

static void seal_head(ea_leaks_history_t *h)
{
    EAI_ROUGH_STORE(&h->eai_check, check_of_head(h));
}

void eai_leaks_open_history(ea_leaks_history_t *h, uintptr_t image)
{
    bool is_sound =
        h->eai_magic == MAGIC && h->eai_image == image && h->eai_check == check_of_head(h);
    if (!is_sound) {
        memset(h, 0, sizeof *h);
        h->eai_magic = MAGIC;
        h->eai_image = image;
    }
    for (unsigned i = 0; i < EA_LEAKS_HISTORY; i++)
        if (!eai_leaks_is_past(&h->eai_past[i]) || h->eai_past[i].eai_last > h->eai_n_boots)
            h->eai_past[i] = (past_t){0};
    h->eai_n_boots++;
    seal_head(h);
}

const past_t *eai_leaks_past(const ea_leaks_history_t *h, uintptr_t site)
{
    for (unsigned i = 0; i < EA_LEAKS_HISTORY; i++)
        if (h->eai_past[i].eai_site == site && eai_leaks_is_past(&h->eai_past[i]))
            return &h->eai_past[i];
    return NULL;
}

/* The site's entry, or an empty one, or the one that was found in the fewest boots, of those
 * longest ago. */
static past_t *entry_for(ea_leaks_history_t *h, uintptr_t site)
{
    past_t *least = NULL;
    for (unsigned i = 0; i < EA_LEAKS_HISTORY; i++) {
        past_t *past = &h->eai_past[i];
        if (!eai_leaks_is_past(past)) *past = (past_t){0};
        if (past->eai_site == site && past->eai_n_boots != 0) return past;
        if (!least || past->eai_n_boots < least->eai_n_boots ||
            (past->eai_n_boots == least->eai_n_boots && past->eai_last < least->eai_last))
            least = past;
    }
    return least;
}

void eai_leaks_note(ea_leaks_history_t *h, uintptr_t site, uint8_t kinds)
{
    past_t *past = entry_for(h, site);
    if (past->eai_site != site || past->eai_n_boots == 0) *past = (past_t){.eai_site = site};
    past_t is = *past;
    if (is.eai_last != h->eai_n_boots) is.eai_n_boots++;
    is.eai_last = h->eai_n_boots;
    is.eai_kinds |= kinds;
    is.eai_check = check_of_past(&is);
    EAI_ROUGH_STORE(&past->eai_check, ~is.eai_check); /* void until it is whole */
    past->eai_n_boots = is.eai_n_boots;
    past->eai_last = is.eai_last;
    past->eai_kinds = is.eai_kinds;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    EAI_ROUGH_STORE(&past->eai_check, is.eai_check);
}
