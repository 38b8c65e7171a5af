/* SPDX-License-Identifier: MIT
 *
 * Metrics: the list of sources and the way through it: table by table, of a table family by family,
 * of a family source by source. A table's turn is that of its first source.
 */
#include "ealloc/metrics.h"

#include "base/mem.h"

typedef ea_metric_source_t source_t;
typedef ea_metric_cursor_t cursor_t;

ea_status_t ea_metrics_add(ea_metrics_t *metrics, source_t *source)
{
    if (!metrics || !source || !source->families || source->n_families == 0 || !source->next)
        return EA_ERR_INVALID;
    source_t **end = &metrics->eai_first;
    for (; *end; end = &(*end)->eai_next)
        if (*end == source) return EA_ERR_BUSY;
    source->eai_next = NULL;
    *end = source;
    return EA_OK;
}

ea_status_t ea_metrics_remove(ea_metrics_t *metrics, source_t *source)
{
    if (!metrics || !source) return EA_ERR_NOT_FOUND;
    for (source_t **at = &metrics->eai_first; *at; at = &(*at)->eai_next) {
        if (*at != source) continue;
        *at = source->eai_next;
        return EA_OK;
    }
    return EA_ERR_NOT_FOUND;
}

/* --- the way through -------------------------------------------------------------------------- */

static const source_t *next_of_table(const source_t *source)
{
    const ea_metric_family_t *table = source->families;
    do source = source->eai_next;
    while (source && source->families != table);
    return source;
}

static const source_t *first_of_table(const ea_metrics_t *metrics, const source_t *source)
{
    const source_t *first = metrics->eai_first;
    while (first->families != source->families) first = first->eai_next;
    return first;
}

/* Behind a source that has said all of a family. */
static void move_on(const ea_metrics_t *metrics, cursor_t *cursor)
{
    const source_t *first = first_of_table(metrics, cursor->eai_source);
    cursor->eai_place = (ea_metric_place_t){0};
    cursor->eai_source = next_of_table(cursor->eai_source);
    if (cursor->eai_source) return;
    cursor->eai_source = first;
    if (++cursor->eai_family < first->n_families) return;
    cursor->eai_family = 0;
    do cursor->eai_source = cursor->eai_source->eai_next;
    while (cursor->eai_source && first_of_table(metrics, cursor->eai_source) != cursor->eai_source);
}

ea_status_t ea_metrics_next(const ea_metrics_t *metrics, cursor_t *cursor, ea_metric_t *metric)
{
    if (!metrics || !cursor || !metric) return EA_ERR_NOT_FOUND;
    if (!cursor->eai_is_begun) {
        *cursor = (cursor_t){.eai_source = metrics->eai_first, .eai_is_begun = true};
    }
    while (cursor->eai_source) { /* bound: sources * families */
        const source_t *source = cursor->eai_source;
        memset(metric, 0, sizeof *metric);
        metric->family = &source->families[cursor->eai_family];
        if (source->next(source->context, cursor->eai_family, &cursor->eai_place, metric))
            return EA_OK;
        move_on(metrics, cursor);
    }
    return EA_ERR_NOT_FOUND;
}

const char *ea_metric_kind_name(uint8_t kind)
{
    switch ((ea_metric_kind_t)kind) {
    case EA_METRIC_COUNTER: return "counter";
    case EA_METRIC_GAUGE: return "gauge";
    case EA_METRIC_HISTOGRAM: return "histogram";
    }
    return "unknown";
}
