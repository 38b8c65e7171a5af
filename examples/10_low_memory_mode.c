/* SPDX-License-Identifier: MIT
 *
 * A low-memory mode that does not flap. A data logger keeps readings until they are sent. When 80 %
 * of memory are in use it goes into a mode in which it keeps every second reading only; it leaves
 * the mode when less than 60 % are in use. Between the two nothing changes, however often the use
 * swings. The levels are those of the allocator's pressure, medium being the one of interest; a
 * listener hears of every crossing once.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

#define MAX_READINGS 200u
#define READING_BYTES 120u

static unsigned char ram[16384];
static ea_allocator_t memory;

EA_EVENTS_DEFINE_STATIC(events, 8);

typedef struct {
    bool is_on;
    unsigned n_changes;
} mode_t;

static mode_t low_memory;

static size_t total_bytes(void)
{
    ea_allocator_stats_t stats;
    ea_allocator_stats(&memory, &stats);
    return stats.total_bytes;
}

/* Called by the task that allocates or frees, after its call is done with the regions. */
static void on_pressure(void *context, const ea_event_t *event)
{
    mode_t *mode = context;
    bool is_on = event->level >= EA_PRESSURE_MEDIUM;
    if (is_on == mode->is_on) return; /* low or critical was entered or left */
    mode->is_on = is_on;
    mode->n_changes++;
    printf("low-memory mode %s at %u %%\n", is_on ? "on " : "off",
           (unsigned)(event->size_bytes * 100u / total_bytes()));
}

/* --- the logger ------------------------------------------------------------------------------- */

static void *readings[MAX_READINGS];
static unsigned n_first, n_end; /* readings n_first to n_end - 1 wait to be sent */
static unsigned n_taken, n_skipped;

static bool take_reading(void)
{
    if (low_memory.is_on && ++n_taken % 2 != 0) {
        n_skipped++;
        return true;
    }
    if (n_end - n_first == MAX_READINGS) return false;
    void *reading = ea_malloc(&memory, READING_BYTES);
    if (reading == NULL) return false;
    readings[n_end++ % MAX_READINGS] = reading;
    return true;
}

static void send_reading(void)
{
    if (n_first != n_end) (void)ea_free(&memory, readings[n_first++ % MAX_READINGS]);
}

int main(void)
{
    /* low, medium, critical: each entered at so many permille and left below so many. */
    static const ea_pressure_options_t thresholds = {{{600, 500}, {800, 600}, {950, 850}}, 10000};
    const ea_allocator_options_t options = {.events = &events, .pressure = &thresholds};
    static ea_listener_t listener;
    if (ea_allocator_init(&memory, &options) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_events_listen(&events, &listener, EA_EVENT_BIT(EA_EVENT_PRESSURE), on_pressure,
                         &low_memory) != EA_OK)
        return 1;

    while (!low_memory.is_on && take_reading()) continue; /* the link is down: memory fills up */
    for (unsigned i = 0; i < 30; i++) {                   /* it comes and goes: the use swings */
        for (unsigned k = 0; k < 8; k++) send_reading();
        for (unsigned k = 0; k < 16; k++) (void)take_reading();
    }
    while (low_memory.is_on) send_reading(); /* it is up */

    ea_allocator_stats_t stats;
    ea_allocator_stats(&memory, &stats);
    printf("mode changes      %u\n", low_memory.n_changes);
    printf("readings skipped  %u\n", n_skipped);
    printf("requests refused  %u\n", (unsigned)stats.n_failures);
    while (n_first != n_end) send_reading();
    printf("blocks leaked     %u\n", ea_allocator_deinit(&memory, NULL) == EA_OK ? 0u : 1u);
    return 0;
}
