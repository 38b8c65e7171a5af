/* SPDX-License-Identifier: MIT
 *
 * The monitor's beginning: its memory is cut into what monitor.c draws.
 */
#include "monitor/monitor_internal.h"

#include "base/bits.h"
#include "base/mem.h"

#include "ealloc/port.h"

EA_STATIC_ASSERT(sizeof(void *) > 4 || sizeof(slot_t) == 28, "what the header says");
EA_STATIC_ASSERT(sizeof(eai_stripe_t) % EAI_MONITOR_LINE == 0, "stripes share no cache line");

static bool are_sound(const ea_monitor_options_t *options)
{
    size_t stripes = options->n_stripes, queue = options->n_queue;
    if (options->types == NULL || options->n_types == 0 ||
        options->n_types > EA_MONITOR_TYPES_MAX || options->n_slots == 0 ||
        options->n_slots > EA_MONITOR_SLOTS_MAX || (stripes & (stripes - 1u)) != 0 ||
        stripes > 0x8000u || (queue & (queue - 1u)) != 0 || queue == 1 ||
        queue > EA_MONITOR_QUEUE_MAX || options->batch > EA_MONITOR_QUEUE_MAX) {
        return false;
    }
    for (size_t i = 0; i < options->n_types; i++) {
        const type_t *type = &options->types[i];
        if (type->book == NULL || type->strategy > EA_RELEASE_UNCONTENDED) return false;
    }
    return true;
}

/* A piece of the memory, which is used up from the front. */
typedef struct {
    unsigned char *at;
    size_t left;
} rest_t;

static void *cut(rest_t *rest, size_t size_bytes, size_t align)
{
    size_t pad = (0u - (uintptr_t)rest->at) & (align - 1u);
    if (rest->left < pad || rest->left - pad < size_bytes) {
        rest->left = 0;
        return NULL;
    }
    void *piece = rest->at + pad;
    rest->at += pad + size_bytes;
    rest->left -= pad + size_bytes;
    return piece;
}

/* Types of one book share its sums. */
static void number_sums(monitor_t *monitor)
{
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        const ea_accounts_t *book = monitor->eai_types[i].book;
        uint32_t k = 0;
        while (k < i && monitor->eai_types[k].book != book) k++;
        monitor->eai_kinds[i].first_sum =
            k < i ? monitor->eai_kinds[k].first_sum : monitor->eai_n_sums;
        if (k == i) monitor->eai_n_sums += book->eai_n_nodes;
    }
}

/* What of a book's usage is this monitor's, nobody can tell any more if another one charges it. */
static void claim_books(const monitor_t *monitor)
{
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        ea_accounts_t *book = monitor->eai_types[i].book;
        if (book->eai_charger == NULL) book->eai_charger = monitor;
        if (book->eai_charger != monitor) book->eai_charger = book;
    }
}

static bool cut_kinds(monitor_t *monitor, rest_t *rest)
{
    for (uint32_t i = 0; i < monitor->eai_n_types; i++) {
        eai_kind_t *kind = &monitor->eai_kinds[i];
        kind->n_idle = monitor->eai_types[i].max_idle;
        if (kind->n_idle == 0) continue;
        kind->idle = cut(rest, kind->n_idle * sizeof *kind->idle, sizeof(word_t));
        if (kind->idle == NULL) return false;
        memset((void *)kind->idle, 0, kind->n_idle * sizeof *kind->idle);
    }
    return true;
}

static void share_out(monitor_t *monitor, uint32_t n_stripes)
{
    uint32_t n_words = (monitor->eai_n_slots + BITS_PER_WORD - 1u) / BITS_PER_WORD;
    for (uint32_t i = 0; i < n_stripes; i++) {
        eai_stripe_t *stripe = &monitor->eai_stripes[i];
        memset((void *)stripe, 0, sizeof *stripe);
        stripe->eai_first = (uint32_t)((uint64_t)n_words * i / n_stripes);
        stripe->eai_n = (uint32_t)((uint64_t)n_words * (i + 1u) / n_stripes) - stripe->eai_first;
        EAI_STORE(&stripe->eai_word, stripe->eai_first, EAI_RELAXED);
        EAI_STORE(&stripe->eai_hint, stripe->eai_first * BITS_PER_WORD, EAI_RELAXED);
    }
    for (uint32_t i = 0; i < n_words; i++) {
        uint32_t n = monitor->eai_n_slots - i * BITS_PER_WORD, bits = UINT32_MAX;
        for (uint32_t k = n; k < BITS_PER_WORD; k++) bits &= ~eai_bit(k);
        EAI_STORE(&monitor->eai_bits[i], bits, EAI_RELAXED);
    }
    memset((void *)monitor->eai_slots, 0, monitor->eai_n_slots * sizeof(slot_t));
    for (uint32_t i = 0; i < monitor->eai_n_slots; i++) {
        EAI_STORE(&monitor->eai_slots[i].eai_state, make_word(1, 0, SLOT_FREE), EAI_RELAXED);
    }
}

ea_status_t ea_monitor_init(monitor_t *monitor, void *mem, size_t size_bytes,
                            const ea_monitor_options_t *options)
{
    if (monitor == NULL || mem == NULL || options == NULL || !are_sound(options)) {
        return EA_ERR_INVALID;
    }
    const uint32_t n_stripes = options->n_stripes == 0 ? 1u : (uint32_t)options->n_stripes;
    const size_t n_words = (options->n_slots + BITS_PER_WORD - 1u) / BITS_PER_WORD;
    rest_t rest = {mem, size_bytes};

    memset((void *)monitor, 0, sizeof *monitor);
    monitor->eai_types = options->types;
    monitor->eai_n_types = (uint32_t)options->n_types;
    monitor->eai_n_slots = (uint32_t)options->n_slots;
    monitor->eai_stripe_mask = n_stripes - 1u;
    monitor->eai_n_cells = (uint32_t)options->n_queue;
    monitor->eai_batch = options->batch == 0 ? 1u : (uint32_t)options->batch;
    monitor->eai_delay_us = options->delay_us;
    monitor->eai_events = options->events;
    monitor->eai_peaks_since_us = ea_port_time_coarse_us();
    EAI_STORE(&monitor->eai_incarnation, 1u, EAI_RELAXED);
    monitor->eai_stride = (uint32_t)EAI_MONITOR_TALLIES(options->n_types);
    while ((uint32_t)1 << monitor->eai_cell_shift < monitor->eai_n_cells) monitor->eai_cell_shift++;

    monitor->eai_stripes = cut(&rest, n_stripes * sizeof(eai_stripe_t), EAI_MONITOR_LINE);
    monitor->eai_tallies = cut(&rest, n_stripes * (size_t)monitor->eai_stride, EAI_MONITOR_LINE);
    monitor->eai_slots = cut(&rest, options->n_slots * sizeof(slot_t), sizeof(word_t));
    size_t kinds_bytes = options->n_types * sizeof(eai_kind_t);
    monitor->eai_kinds = cut(&rest, kinds_bytes, sizeof(word_t));
    if (monitor->eai_kinds == NULL) return EA_ERR_NO_MEMORY;
    memset((void *)monitor->eai_kinds, 0, kinds_bytes);
    memset(monitor->eai_tallies, 0, n_stripes * (size_t)monitor->eai_stride);
    number_sums(monitor);

    size_t sum_bytes = sizeof(eai_sum_t);
    monitor->eai_type_sums = cut(&rest, options->n_types * sum_bytes, sizeof(word_t));
    monitor->eai_sums = cut(&rest, monitor->eai_n_sums * sum_bytes, sizeof(word_t));
    monitor->eai_cells =
        cut(&rest, monitor->eai_n_cells * sizeof *monitor->eai_cells, sizeof(word_t));
    if (!cut_kinds(monitor, &rest)) return EA_ERR_NO_MEMORY;
    monitor->eai_bits = cut(&rest, n_words * sizeof *monitor->eai_bits, sizeof(uint32_t));
    if (monitor->eai_bits == NULL) return EA_ERR_NO_MEMORY; /* nor was there for what is before */

    share_out(monitor, n_stripes);
    eai_queue_reset(monitor);
    claim_books(monitor);
    return EA_OK;
}
