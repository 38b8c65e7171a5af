/* SPDX-License-Identifier: MIT
 *
 * The collector (row C8): every number of every source once, the numbers of a family in one row.
 */
#include "ealloc/metrics.h"
#include "tap.h"

static const ea_metric_family_t two[] = {
    {.name = "a_total", .help = "A.", .unit = "", .kind = EA_METRIC_COUNTER},
    {.name = "b_seconds", .help = "B.", .unit = "seconds", .kind = EA_METRIC_GAUGE, .decimals = 6}};
static const ea_metric_family_t one[] = {
    {.name = "c", .help = "C.", .unit = "", .kind = EA_METRIC_GAUGE}};

/* n numbers of each family: their value says which. */
typedef struct {
    uint32_t n, first;
} numbers_t;

static bool next_number(void *context, uint32_t family, ea_metric_place_t *place,
                        ea_metric_t *metric)
{
    const numbers_t *numbers = context;
    EXPECT(metric->family != NULL && metric->n_labels == 0 && metric->value == 0);
    if (place->at[0] >= numbers->n) return false;
    metric->value = numbers->first + 10 * family + place->at[0]++;
    return true;
}

#define SOURCE(table, numbers)                                                                     \
    {                                                                                              \
        .families = (table), .n_families = sizeof(table) / sizeof *(table), .next = next_number,   \
        .context = (numbers)                                                                       \
    }

static void expect_numbers(const ea_metrics_t *metrics, const uint32_t *expected, size_t n)
{
    ea_metric_cursor_t cursor = {0};
    ea_metric_t metric;
    for (size_t i = 0; i < n; i++) {
        REQUIRE(ea_metrics_next(metrics, &cursor, &metric) == EA_OK);
        EXPECT_EQ(metric.value, expected[i]);
        EXPECT(metric.family == (expected[i] % 100 >= 50 ? one : &two[expected[i] / 10 % 10]));
    }
    EXPECT_EQ(ea_metrics_next(metrics, &cursor, &metric), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_metrics_next(metrics, &cursor, &metric), EA_ERR_NOT_FOUND);
}

TEST(metrics_of_one_family_come_in_one_row, 0)
{
    numbers_t a = {2, 100}, b = {1, 250}, c = {3, 300}, none = {0, 0}, d = {1, 450};
    ea_metric_source_t sources[] = {SOURCE(two, &a), SOURCE(one, &b), SOURCE(two, &none),
                                    SOURCE(two, &c), SOURCE(one, &d)};
    ea_metrics_t metrics = {0};
    expect_numbers(&metrics, NULL, 0);
    for (unsigned i = 0; i < 5; i++) EXPECT_EQ(ea_metrics_add(&metrics, &sources[i]), EA_OK);
    const uint32_t all[] = {100, 101, 300, 301, 302, 110, 111, 310, 311, 312, 250, 450};
    expect_numbers(&metrics, all, 12);
    EXPECT_EQ(ea_metrics_remove(&metrics, &sources[0]), EA_OK);
    EXPECT_EQ(ea_metrics_remove(&metrics, &sources[0]), EA_ERR_NOT_FOUND);
    const uint32_t rest[] = {250, 450, 300, 301, 302, 310, 311, 312};
    expect_numbers(&metrics, rest, 8);
    EXPECT_EQ(ea_metrics_add(&metrics, &sources[0]), EA_OK);
    EXPECT_EQ(ea_metrics_remove(&metrics, &sources[4]), EA_OK);
    EXPECT_EQ(ea_metrics_remove(&metrics, &sources[1]), EA_OK);
    const uint32_t other[] = {300, 301, 302, 100, 101, 310, 311, 312, 110, 111};
    expect_numbers(&metrics, other, 10);
}

TEST(metrics_refuse_what_is_no_source, 0)
{
    numbers_t a = {2, 100};
    ea_metric_source_t good = SOURCE(two, &a), bad = good;
    ea_metrics_t metrics = {0};
    ea_metric_cursor_t cursor = {0};
    ea_metric_t metric;
    EXPECT_EQ(ea_metrics_add(NULL, &good), EA_ERR_INVALID);
    EXPECT_EQ(ea_metrics_add(&metrics, NULL), EA_ERR_INVALID);
    bad.next = NULL;
    EXPECT_EQ(ea_metrics_add(&metrics, &bad), EA_ERR_INVALID);
    bad = good;
    bad.families = NULL;
    EXPECT_EQ(ea_metrics_add(&metrics, &bad), EA_ERR_INVALID);
    bad = good;
    bad.n_families = 0;
    EXPECT_EQ(ea_metrics_add(&metrics, &bad), EA_ERR_INVALID);
    EXPECT_EQ(ea_metrics_add(&metrics, &good), EA_OK);
    EXPECT_EQ(ea_metrics_add(&metrics, &good), EA_ERR_BUSY);
    EXPECT_EQ(ea_metrics_remove(&metrics, NULL), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_metrics_remove(NULL, &good), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_metrics_next(NULL, &cursor, &metric), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_metrics_next(&metrics, NULL, &metric), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_metrics_next(&metrics, &cursor, NULL), EA_ERR_NOT_FOUND);
}

TEST(metric_kinds_have_the_names_of_openmetrics, 0)
{
    static const char *const names[] = {"unknown", "counter", "gauge", "histogram", "unknown"};
    for (uint8_t i = 0; i < 5; i++) {
        const char *name = ea_metric_kind_name(i);
        for (unsigned k = 0; names[i][k] != '\0' || name[k] != '\0'; k++) {
            REQUIRE(name[k] == names[i][k]);
        }
    }
}

TEST_MAIN(&metrics_of_one_family_come_in_one_row, &metrics_refuse_what_is_no_source,
          &metric_kinds_have_the_names_of_openmetrics)
