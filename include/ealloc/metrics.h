/* SPDX-License-Identifier: MIT
 *
 * Metrics (row C8): named numbers, for whoever exports them. What has numbers is a source; a
 * collector is a list of sources, and yields one number after the other: name, kind, unit, labels,
 * value. An exporter knows the collector only; a source knows neither. Names, kinds and units are
 * those of OpenMetrics.
 *
 *     static ea_metrics_t metrics;                  (all zero: no sources)
 *     ea_metrics_add(&metrics, &my_source);
 *     ea_metric_cursor_t cursor = {0};
 *     ea_metric_t m;
 *     while (ea_metrics_next(&metrics, &cursor, &m) == EA_OK) ... print it
 *
 * Sources with one table of families are taken together: all numbers of a family come in one row,
 * as text formats want it.
 *
 * Numbers are read one by one while others are at work: each is right when it is read. What a
 * counter counts never becomes less but by wrapping, and the buckets of a histogram do not, since
 * each is read after those below it.
 *
 * Context: a task, one at a time on one collector.
 */
#ifndef EALLOC_METRICS_H
#define EALLOC_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    EA_METRIC_COUNTER = 1,  /* only rises                         */
    EA_METRIC_GAUGE = 2,    /* goes up and down                   */
    EA_METRIC_HISTOGRAM = 3 /* how many were of which size         */
} ea_metric_kind_t;

/* What numbers of one name have in common; constant. */
typedef struct {
    const char *name; /* with its unit, and "_total" if it is a counter: "ealloc_resource_used"   */
    const char *help; /* a sentence                                                              */
    const char *unit; /* of OpenMetrics: "seconds", "ratio", "bytes"; "": a plain number          */
    uint8_t kind;     /* ea_metric_kind_t                                                        */
    uint8_t decimals; /* value and bound are in 1/10^decimals of the unit                         */
} ea_metric_family_t;

/* What tells the numbers of a family apart. */
typedef struct {
    const char *name; /* "account"                   */
    const char *text; /* NULL: it is called by number */
    uint32_t number;
} ea_metric_label_t;

#define EA_METRIC_LABELS 4u

/* What of a metric it is. */
typedef enum {
    EA_METRIC_VALUE,  /* of a counter or gauge                                               */
    EA_METRIC_BUCKET, /* of a histogram: how many were not above bound; the last is of all    */
    EA_METRIC_COUNT   /* of a histogram: how many there were                                 */
} ea_metric_part_t;

typedef struct {
    const ea_metric_family_t *family;
    uint8_t part; /* ea_metric_part_t */
    uint8_t n_labels;
    ea_metric_label_t labels[EA_METRIC_LABELS];
    uint64_t bound; /* of a bucket; UINT64_MAX: none */
    uint64_t value;
} ea_metric_t;

/* Where a source is within a family: its own affair, all 0 at the beginning. */
typedef struct {
    uint32_t at[4];
    uint64_t carry;
} ea_metric_place_t;

/* Fill in the number at *place of family number `family`, but for metric->family, which is set, and
 * move on. What is not filled in is 0. Returns false: the family has no more. Must be bounded. */
typedef bool (*ea_metric_next_t)(void *context, uint32_t family, ea_metric_place_t *place,
                                 ea_metric_t *metric);

/* One that has numbers; the caller's object, in use from add to remove. */
typedef struct ea_metric_source {
    const ea_metric_family_t *families;
    uint32_t n_families;
    ea_metric_next_t next;
    void *context;
    struct ea_metric_source *eai_next;
} ea_metric_source_t;

/* Private. All zero: no sources. */
typedef struct {
    ea_metric_source_t *eai_first;
} ea_metrics_t;

/* Where an exporter is. All zero at the beginning; private. */
typedef struct {
    const ea_metric_source_t *eai_source;
    uint32_t eai_family;
    ea_metric_place_t eai_place;
    bool eai_is_begun;
} ea_metric_cursor_t;

/* One more source, behind the others.
 * Returns  EA_OK; EA_ERR_BUSY: it is there; EA_ERR_INVALID: NULL, or it has no families or no next.
 * Cost     O(sources). While nobody has a cursor. */
ea_status_t ea_metrics_add(ea_metrics_t *metrics, ea_metric_source_t *source);

/* Returns EA_OK; EA_ERR_NOT_FOUND. Cost O(sources). While nobody has a cursor. */
ea_status_t ea_metrics_remove(ea_metrics_t *metrics, ea_metric_source_t *source);

/* The next number.
 * Returns  EA_OK; EA_ERR_NOT_FOUND: that was all.
 * Owns     texts are the sources'.
 * Cost     what the source's next costs; where families have nothing to say O(sources^2 *
 *          families) of them. */
EA_NODISCARD ea_status_t ea_metrics_next(const ea_metrics_t *metrics, ea_metric_cursor_t *cursor,
                                         ea_metric_t *metric);

/* A kind as OpenMetrics calls it: "counter", "gauge", "histogram"; "unknown". Never NULL. Context:
 * any. */
const char *ea_metric_kind_name(uint8_t kind);

#ifdef __cplusplus
}
#endif
#endif
