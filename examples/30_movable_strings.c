/* SPDX-License-Identifier: MIT
 *
 * A table of strings that come, change and go for ever, in memory that is nearly full: names are
 * handles, the strings move together when the system is idle, and whoever prints one locks it.
 */
#include <ealloc/movable.h>
#include <stdio.h>
#include <string.h>

#define N_NAMES 24

static _Alignas(8) unsigned char ram[2048];
static ea_movable_handle_t names[N_NAMES];

/* Replace a name by another one of a different length. */
static bool set_name(ea_movable_t *strings, unsigned i, unsigned number)
{
    char text[64];
    int n = snprintf(text, sizeof text, "sensor-%u-%.*s", number, (int)(number * 7 % 48),
                     "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
    if (!ea_movable_is_none(names[i])) (void)ea_movable_free(strings, names[i]);
    names[i] = ea_movable_alloc(strings, (size_t)n + 1, 1024); /* may move 1 KB of others */
    return !ea_movable_is_none(names[i]) &&
           ea_movable_write(strings, names[i], 0, text, (size_t)n + 1) == EA_OK;
}

int main(void)
{
    unsigned n_refused = 0;
    ea_movable_t *strings = ea_movable_init(ram, sizeof ram, NULL);
    if (strings == NULL) return 1;
    for (unsigned i = 0; i < 5000; i++) {
        if (!set_name(strings, i * 7 % N_NAMES, i)) n_refused++;
        (void)ea_movable_step(strings, 256); /* what idle time is for */
    }
    printf("refused %u\n", n_refused);
    EA_MOVABLE_LOCKED(strings, names[0], char, text)
    {
        if (text != NULL) printf("the first is %.9s\n", text);
    }
    while (ea_movable_step(strings, 256) == EA_ERR_AGAIN) continue;
    ea_movable_stats_t stats;
    ea_movable_stats(strings, &stats);
    printf("in one piece %s\n",
           stats.largest_bytes + EA_MOVABLE_HEADER_BYTES == stats.free_bytes ? "yes" : "no");
    return 0;
}
