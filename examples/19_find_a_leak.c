/* SPDX-License-Identifier: MIT
 *
 * Find a leak. A modem builds a frame for each message and forgets to free it when the line is
 * busy; a cache fills up to what it may hold; a log keeps its last lines. The detector is polled
 * in small steps, as an idle task would. Its windows, 6 hours otherwise, are of 6 simulated
 * seconds here. Call sites are addresses in the program: addr2line names them; here each request
 * names itself.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

#define N_SITES 8
#define N_BLOCKS 256
#define N_LINES 8
#define SECONDS 90

static _Alignas(8) unsigned char tables[EA_LEAKS_BYTES(N_SITES, N_BLOCKS)];
static _Alignas(8) unsigned char ram[8192];
static ea_allocator_t memory;
static ea_leaks_t leaks;
static volatile uint32_t ms; /* what a system's tick interrupt counts */

static const char frames[] = "frames", cache[] = "cache", lines[] = "lines";

static void *take(const char *what, size_t size_bytes)
{
    return ea_malloc_ex(&memory, size_bytes, &(ea_request_t){.caller = what});
}

static void send_message(uint32_t now)
{
    void *frame = take(frames, 40);
    bool is_busy = now % 37 == 0;
    if (!is_busy) (void)ea_free(&memory, frame);
}

static void write_line(uint32_t now)
{
    static void *last[N_LINES];
    void **line = &last[now % N_LINES];
    (void)ea_free(&memory, *line);
    *line = take(lines, 24);
}

/* One entry more every two seconds, until there is no room for another. */
static void look_up(uint32_t now)
{
    static uint32_t n_entries;
    if (now % 20 == 0 && n_entries < 40 && take(cache, 32)) n_entries++;
}

static const char *name_of(const void *site)
{
    return site == frames || site == cache || site == lines ? (const char *)site : "?";
}

int main(void)
{
    static const ea_leaks_rule_t rules[] = {{.site = cache, .may_hold_bytes = 40 * 32}};
    const ea_leaks_options_t options = {.n_sites = N_SITES,
                                        .n_blocks = N_BLOCKS,
                                        .clock = &ms,
                                        .tick_us = 1000,
                                        .window_us = 6000000,
                                        .rules = rules,
                                        .n_rules = 1};
    if (ea_allocator_init(&memory, NULL) != EA_OK ||
        ea_allocator_add_region(&memory, ram, sizeof ram, NULL) != EA_OK ||
        ea_leaks_init(&leaks, tables, sizeof tables, &options) != EA_OK ||
        ea_leaks_attach(&leaks, &memory) != EA_OK)
        return 1;
    for (uint32_t now = 0; now < SECONDS * 10; now++) {
        ms = now * 100;
        send_message(now);
        write_line(now);
        look_up(now);
        (void)ea_leaks_poll(&leaks, 32);
    }
    printf("older than 30 s: %lu blocks\n", (unsigned long)ea_leaks_detect(&leaks, 30000000));

    ea_leak_t found[3];
    size_t n = ea_leaks_top(&leaks, found, 3);
    for (const ea_leak_t *leak = found; leak < found + n; leak++)
        printf("%s: %s, %s: %lu old blocks, %lu bytes, memory ends in %lu min\n",
               name_of(leak->site), ea_leak_kind_name(leak->kinds),
               ea_leak_severity_name(leak->severity), (unsigned long)leak->n_suspects,
               (unsigned long)leak->suspect_bytes, (unsigned long)(leak->room_ends_us / 60000000));
    return ea_leaks_detach(&leaks, &memory) == EA_OK ? 0 : 1;
}
