/* SPDX-License-Identifier: MIT
 *
 * Quarantine: a list of freed blocks, oldest first.
 *
 *     first -> [tag][next, usable] poison..   -> [tag][next, usable] poison..   <- last
 *
 *     stored next     next ^ hash(address of the link)
 *     stored usable   usable * EAI_SPREAD ^ hash(next) ^ hash(address of the link)
 *
 * The stored usable vouches for both words: of its 2^32 values only multiples of 4 up to what waits
 * altogether are plausible.
 *
 * Invariants
 *   Q1 first and last are NULL together, n_blocks and bytes are 0 then
 *   Q2 links lead from first to last, over n_blocks blocks of bytes altogether
 *   Q3 swept is one of them, or NULL
 *
 * Rejected: links in the payload (the first bytes of a freed block are what stale pointers write
 * to); a second link backwards to go on behind damage (a word a block for what should not happen);
 * a ring of pointers (a limit of blocks besides that of bytes).
 */
#include "memory/quarantine.h"

#if EA_CFG_GUARD >= 3

struct eai_waiting {
    EA_MAY_ALIAS uintptr_t next;
    EA_MAY_ALIAS uint32_t usable;
};
EA_STATIC_ASSERT(sizeof(eai_waiting_t) <= EAI_CANARY_BYTES, "a link stands where the canary was");

/* --- links ------------------------------------------------------------------------------------ */

static eai_waiting_t *waiting_link_of(const void *payload)
{
    return (eai_waiting_t *)((uintptr_t)payload - EAI_CANARY_BYTES);
}

static void *payload_of(const eai_waiting_t *link)
{
    return (void *)((uintptr_t)link + EAI_CANARY_BYTES);
}

static uint32_t usable_key(uint32_t hash, uintptr_t next)
{
    uint32_t x = (uint32_t)next * EAI_GATHER;
    if (sizeof next > 4) x += (uint32_t)((uint64_t)next >> 32);
    return x ^ eai_guard_rotate(hash, 9u);
}

static void write_link(const eai_guard_t *g, eai_waiting_t *link, const eai_waiting_t *next,
                       uint32_t usable)
{
    uint32_t hash = eai_guard_hash(g, link);
    link->next = (uintptr_t)next ^ hash;
    link->usable = usable * EAI_SPREAD ^ usable_key(hash, (uintptr_t)next);
}

/* false: it is damaged. */
static bool read_link(const eai_quarantine_t *q, const eai_guard_t *g, const eai_waiting_t *link,
                      eai_waiting_t **next, uint32_t *usable)
{
    uint32_t hash = eai_guard_hash(g, link);
    uintptr_t after = link->next ^ hash;
    *usable = (link->usable ^ usable_key(hash, after)) * EAI_GATHER;
    *next = (eai_waiting_t *)after;
    if (*usable % 4u != 0 || *usable > q->bytes - EAI_FRONT_BYTES) return false;
    return ((uintptr_t)payload_of(*next) % EA_HEAP_ALIGN == 0 || after == 0) &&
           (after == 0) == (link == q->last);
}

/* Nobody knows any more what waits. */
static void lose_all(eai_quarantine_t *q)
{
    q->n_lost += q->n_blocks;
    q->first = q->last = q->swept = NULL;
    q->n_blocks = q->bytes = q->swept_bytes = 0;
}

/* Whether the tag still says that the block was freed, and the bytes given still hold poison. */
static bool is_untouched(const eai_guard_t *g, const void *payload, uint32_t usable, uint32_t from,
                         uint32_t to, eai_finding_t *finding)
{
    const eai_tag_t *tag = eai_guard_front_tag(payload);
    bool is_freed = eai_guard_check(g, tag, payload, usable, finding) == EA_GUARD_DOUBLE_FREE;
    const void *bad = is_freed ? eai_guard_unpoisoned(payload, from, to) : tag;
    ea_guard_kind_t kind = is_freed ? EA_GUARD_POISON : EA_GUARD_TAG;
    *finding = (eai_finding_t){bad != NULL ? kind : EA_GUARD_NONE, bad, 0};
    return bad == NULL;
}

/* --- public ----------------------------------------------------------------------------------- */

void eai_quarantine_init(eai_quarantine_t *q, uint32_t budget_bytes)
{
    *q = (eai_quarantine_t){.budget_bytes = budget_bytes};
}

bool eai_quarantine_push(eai_quarantine_t *q, const eai_guard_t *g, void *payload, size_t usable)
{
    eai_waiting_t *link = waiting_link_of(payload);
    if (q->budget_bytes < EAI_FRONT_BYTES || usable > q->budget_bytes - EAI_FRONT_BYTES)
        return false;
    write_link(g, link, NULL, (uint32_t)usable);
    if (q->last != NULL) {
        write_link(g, q->last, link, q->last_bytes);
    } else {
        q->first = link;
    }
    q->last = link;
    q->last_bytes = (uint32_t)usable;
    q->bytes += (uint32_t)usable + EAI_FRONT_BYTES;
    q->n_blocks++;
    return true;
}

void *eai_quarantine_pop(eai_quarantine_t *q, const eai_guard_t *g, size_t *usable,
                         eai_finding_t *finding)
{
    eai_waiting_t *link = q->first, *next;
    uint32_t bytes;
    *finding = (eai_finding_t){EA_GUARD_NONE, NULL, 0};
    if (link == NULL) return NULL;
    if (!read_link(q, g, link, &next, &bytes)) {
        *finding = (eai_finding_t){EA_GUARD_STORE, link, 0};
        lose_all(q);
        return NULL;
    }
    if (q->swept == link) {
        q->swept = NULL;
        q->swept_bytes = 0;
    }
    q->first = next;
    if (next == NULL) q->last = NULL;
    q->bytes -= bytes + EAI_FRONT_BYTES;
    q->n_blocks--;

    void *payload = payload_of(link);
    *usable = bytes;
    (void)is_untouched(g, payload, bytes, 0, bytes, finding);
    return payload;
}

ea_status_t eai_quarantine_sweep(eai_quarantine_t *q, const eai_guard_t *g, size_t max_bytes,
                                 void **payload, eai_finding_t *finding)
{
    eai_waiting_t *link = q->swept != NULL ? q->swept : q->first, *next;
    uint32_t usable, from = q->swept_bytes;
    *finding = (eai_finding_t){EA_GUARD_NONE, NULL, 0};
    *payload = NULL;
    if (link == NULL) return EA_OK;
    *payload = payload_of(link);
    if (!read_link(q, g, link, &next, &usable)) {
        *finding = (eai_finding_t){EA_GUARD_STORE, link, 0};
        lose_all(q);
        return EA_ERR_CORRUPT;
    }
    uint32_t to = usable - from > max_bytes ? from + ((uint32_t)max_bytes | 3u) + 1u : usable;
    if (to > usable) to = usable;
    bool is_sound = is_untouched(g, *payload, usable, from, to, finding);
    bool is_done = to == usable || !is_sound;
    q->swept = is_done ? next : link;
    q->swept_bytes = is_done ? 0 : to;
    if (!is_sound) return EA_ERR_CORRUPT;
    return q->swept == NULL ? EA_OK : EA_ERR_AGAIN;
}

#else

typedef int eai_no_quarantine_t; /* C wants something in every source */

#endif
