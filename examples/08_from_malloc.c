/* SPDX-License-Identifier: MIT
 *
 * Migration from malloc, in the order in which it pays. The program reads settings, "name=value" a
 * line, and keeps them in a list; it was written against malloc, with a line buffer, a copy of each
 * string and a node for each setting, and freed them one by one.
 *
 *   before                                   after
 *   p = malloc(n), free(p)                   1. p = ea_heap_alloc(heap, n), ea_heap_free(heap, p)
 *   node = malloc(sizeof *node), free(node)  2. one size, a known number: a pool
 *   strdup() and free() at each return       3. ends with the request: a scope of an arena
 *   realloc(buffer, 2 * n)                   4. grows at the end: the arena's last block
 *
 * Step 1 is a search and replace, and already bounds memory and time. Each later step takes one
 * kind of allocation off the heap; what is left there is what really varies in size and in
 * lifetime.
 */
#include <ealloc/ealloc.h>
#include <string.h>

#include "board.h"

#define MAX_SETTINGS 16u

typedef struct setting setting_t;
struct setting {
    setting_t *next;
    char *name;  /* on the heap: it varies in size and lives as long as the setting */
    char *value; /* in the same block */
};

EA_POOL_DEFINE(setting_pool, sizeof(setting_t), MAX_SETTINGS);
static unsigned char heap_memory[1024], arena_memory[512];
static ea_heap_t *heap;
static ea_arena_t arena;
static setting_t *settings;

/* --- what comes in ---------------------------------------------------------------------------- */

static const char *const input = "speed=115200\nmode = auto \n# a comment\nname=pump station 7\n"
                                 "limit=40\nbroken line\nlimit=45\n";

/* --- steps 3 and 4: scratch ------------------------------------------------------------------- */

/* The next line as a string in the arena, which grows as it is read; NULL at the end of input. */
static char *read_line(const char **at)
{
    size_t n = 0, room = 8;
    if (**at == '\0') return NULL;
    char *line = ea_arena_alloc(&arena, room);
    while (line != NULL && **at != '\0' && **at != '\n') {
        if (n + 1 == room) {
            line = ea_arena_realloc(&arena, line, room, 2 * room); /* in place: it is the last */
            room *= 2;
            if (line == NULL) return NULL;
        }
        line[n++] = *(*at)++;
    }
    if (line != NULL) line[n] = '\0';
    if (**at == '\n') ++*at;
    return line;
}

static char *trim(char *text)
{
    while (*text == ' ') text++;
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == ' ') text[--n] = '\0';
    return text;
}

/* --- steps 1 and 2: what is kept -------------------------------------------------------------- */

static bool keep(const char *name, const char *value)
{
    EA_SCOPED(setting_t *, setting, &setting_pool) = ea_pool_alloc(&setting_pool);
    size_t name_bytes = strlen(name) + 1, value_bytes = strlen(value) + 1;
    EA_SCOPED(char *, text, heap) = ea_heap_alloc(heap, name_bytes + value_bytes);
    if (setting == NULL || text == NULL) return false; /* whatever was taken goes back */
    memcpy(text, name, name_bytes);
    setting->value = memcpy(text + name_bytes, value, value_bytes);
    setting->name = ea_release(text); /* the setting owns it */
    setting->next = settings;
    settings = ea_release(setting);
    return true;
}

static void forget_all(void)
{
    while (settings != NULL) {
        setting_t *next = settings->next;
        ea_heap_free(heap, settings->name);
        ea_pool_free(&setting_pool, settings);
        settings = next;
    }
}

static unsigned read_settings(const char *text)
{
    unsigned n = 0;
    for (bool more = true; more;) {
        EA_ARENA_SCOPE(&arena)
        {
            char *line = read_line(&text);
            more = line != NULL;
            char *equals = more ? strchr(line, '=') : NULL;
            if (equals == NULL || *line == '#') continue; /* leaves the scope */
            *equals = '\0';
            n += keep(trim(line), trim(equals + 1));
        }
    }
    return n;
}

int main(void)
{
    heap = ea_heap_init(heap_memory, sizeof heap_memory, NULL);
    if (heap == NULL) return 1;
    if (ea_arena_init(&arena, arena_memory, sizeof arena_memory, NULL) != EA_OK) return 1;

    unsigned n = read_settings(input);
    for (const setting_t *s = settings; s != NULL; s = s->next) {
        board_put(s->name);
        board_put(" is \"");
        board_put(s->value);
        board_put("\"\n");
    }
    forget_all();

    ea_arena_stats_t scratch;
    ea_pool_stats_t pool;
    ea_arena_stats(&arena, &scratch);
    ea_pool_stats(&setting_pool, &pool);
    size_t n_leaked = ea_heap_deinit(heap) + pool.n_live + scratch.low_bytes;
    board_put("settings read ");
    board_put_number(n);
    board_put(", most scratch bytes ");
    board_put_number((long long)scratch.peak_bytes);
    board_put(", leaked ");
    board_put_number((long long)n_leaked);
    board_put("\n");
    return n_leaked == 0 ? 0 : 1;
}
