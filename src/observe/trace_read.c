/* SPDX-License-Identifier: MIT
 *
 * Reading the ring while others write to it; trace.c tells the story. A reader takes no lock and
 * changes nothing but its cursor.
 */
#include "observe/trace_internal.h"

typedef struct {
    uintptr_t words[4];
} event_t;

/* Is the event there, whole? */
static bool fetch(const trace_t *t, ticket_t ticket, event_t *e)
{
    const slot_t *slot = eai_slot(t, ticket);
    e->words[0] = EAI_LOAD(&slot->eai_words[0], EAI_ACQUIRE); /* pairs with the commit */
    for (unsigned i = 1; i < 4; i++) e->words[i] = EAI_LOAD(&slot->eai_words[i], EAI_RELAXED);
    return e->words[0] ==
           eai_commit_of(ticket, eai_check_of(e->words[1], e->words[2], e->words[3]));
}

EA_INLINE uint8_t kind_of(const event_t *e)
{
    return (uint8_t)(e->words[3] & (EAI_KINDS - 1u));
}

/* The upper part of the time from an event on: what was in force before the next SYNC, or if
 * there is none, is so now. Bound: the events of the ring. */
static uintptr_t find_upper(const trace_t *t, ticket_t from)
{
    uintptr_t upper = EAI_LOAD(&t->eai_upper, EAI_ACQUIRE); /* first: a SYNC may come meanwhile */
    ticket_t next = EAI_LOAD(&t->eai_next, EAI_ACQUIRE);
    uintptr_t n = next - from < eai_lap(t) ? next - from : eai_lap(t);
    event_t e;
    for (uintptr_t i = 0; i < n; i += 2) {
        if (!fetch(t, from + i, &e) || kind_of(&e) != EA_TRACE_SYNC) continue;
        /* It keeps all of the one before but the highest bits, which seldom change. */
        uintptr_t kept = UINTPTR_MAX >> EAI_SIZE_SHIFT;
        return (e.words[2] & ~kept) | (e.words[3] >> EAI_SIZE_SHIFT);
    }
    return upper;
}

/* In units. The event may belong to the part before or after upper: then bit 15 says so. */
static uint64_t time_of(uintptr_t upper, uintptr_t low)
{
    uintptr_t lower = low & (((uintptr_t)1 << EAI_UPPER_SHIFT) - 1u);
    if (((low >> EAI_UPPER_SHIFT ^ upper) & 1u) != 0)
        upper += lower >> (EAI_UPPER_SHIFT - 1u) != 0 ? UINTPTR_MAX : 1u;
    return ((uint64_t)upper << EAI_UPPER_SHIFT) + lower;
}

/* The smallest size of a class. */
static size_t least_of(uintptr_t class)
{
    return class < 8 ? class : (size_t)(4u + class % 4u) << (class / 4u - 1u);
}

static void decode(const trace_t *t, const event_t *e, ea_trace_event_t *event)
{
    uintptr_t rest = e->words[3] >> EAI_SIZE_SHIFT;
    event->site = (const void *)e->words[2];
    event->owner = (uint16_t)e->words[1];
    event->kind = kind_of(e);
    if (event->kind == EA_TRACE_BOOT) {
        event->block = NULL;
        event->size_bytes = event->max_size_bytes = rest;
        return;
    }
    uintptr_t address = e->words[3] >> EAI_BLOCK_SHIFT & ~(uintptr_t)(EAI_BLOCK_ALIGN - 1u);
    uintptr_t kept = UINTPTR_MAX >> EAI_BLOCK_SHIFT;
    if (address != 0) address = t->eai_base + ((address - t->eai_base) & kept);
    event->block = (const void *)address;
    uintptr_t class = rest & ((EAI_BLOCK_ALIGN << EAI_BLOCK_SHIFT >> EAI_SIZE_SHIFT) - 1u);
    event->size_bytes = least_of(class);
    event->max_size_bytes = least_of(class + 1u) - 1u;
}

ea_status_t ea_trace_read(const trace_t *t, ea_trace_cursor_t *cursor, ea_trace_event_t *event)
{
    if (!t || !cursor || !event) return EA_ERR_INVALID;
    for (uintptr_t n = 0; n < eai_lap(t); n += 2) {
        event_t e;
        ticket_t next = EAI_LOAD(&t->eai_next, EAI_ACQUIRE), oldest = eai_oldest(t, next);
        if (!cursor->eai_has_begun || next - cursor->eai_next > next - oldest) {
            if (cursor->eai_has_begun) cursor->n_overwritten += (oldest - cursor->eai_next) / 2u;
            cursor->eai_next = oldest;
            cursor->eai_has_begun = true;
            cursor->eai_is_timed = false;
        }
        if (cursor->eai_next == next) return EA_ERR_NOT_FOUND;
        ticket_t ticket = cursor->eai_next;
        cursor->eai_next += 2;
        if (!fetch(t, ticket, &e)) {
            cursor->n_void++;
            cursor->eai_is_timed = false; /* it may have been a SYNC */
            continue;
        }
        if (kind_of(&e) == EAI_NO_EVENT) continue;
        if (kind_of(&e) == EA_TRACE_SYNC) {
            cursor->eai_upper = e.words[2];
            cursor->eai_is_timed = true;
            continue;
        }
        if (!cursor->eai_is_timed) {
            cursor->eai_upper = find_upper(t, cursor->eai_next);
            cursor->eai_is_timed = true;
        }
        decode(t, &e, event);
        event->number = ticket / 2u;
        event->time_us =
            time_of(cursor->eai_upper, e.words[1] >> EAI_TIME_BITS) * (uint64_t)t->eai_unit_us;
        return EA_OK;
    }
    return EA_ERR_AGAIN;
}

void ea_trace_stats(const trace_t *t, ea_trace_stats_t *stats)
{
    *stats = (ea_trace_stats_t){
        .n_events = eai_lap(t) / 2u,
        .n_recorded = (EAI_LOAD(&t->eai_next, EAI_RELAXED) - eai_lap(t)) / 2u,
        .n_dropped = EAI_LOAD(&t->eai_n_dropped, EAI_RELAXED),
        .n_unsampled = EAI_LOAD(&t->eai_n_skipped, EAI_RELAXED),
        .n_boots = EAI_LOAD(&t->eai_n_boots, EAI_RELAXED),
        .unit_us = (uint32_t)t->eai_unit_us,
    };
}

/* A switch, not a table: the compiler warns when a kind is added and its name is not. */
const char *ea_trace_kind_name(uint8_t kind)
{
    switch ((ea_trace_kind_t)(kind > EA_TRACE_USER && kind < EAI_KINDS ? EA_TRACE_USER : kind)) {
    case EA_TRACE_ALLOC: return "ALLOC";
    case EA_TRACE_FREE: return "FREE";
    case EA_TRACE_MOVE: return "MOVE";
    case EA_TRACE_REALLOC: return "REALLOC";
    case EA_TRACE_FAIL: return "FAIL";
    case EA_TRACE_TRANSFER: return "TRANSFER";
    case EA_TRACE_BAD_FREE: return "BAD_FREE";
    case EA_TRACE_BOOT: return "BOOT";
    case EA_TRACE_SYNC: return "SYNC";
    case EA_TRACE_USER: return "USER";
    }
    return "?";
}
