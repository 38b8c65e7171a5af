/* SPDX-License-Identifier: MIT
 *
 * What ealloc inspect found, in words and as a map.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ealloc/event.h"
#include "ealloc/guard.h"
#include "ealloc/trace.h"
#include "inspect.h"
#include "printable.h"
#include "store.h"

enum { NAME_BYTES = 512, MAP_ROWS = 8, MAX_WOUNDS = 50 };

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

char *inspect_owner(const snapshot_t *s, uint64_t id, char *to, size_t size)
{
    const snap_account_t *account = snapshot_account(s, id);
    if (account != NULL && account->name[0] != '\0')
        snprintf(to, size, "%s", account->name);
    else if (id == 0)
        snprintf(to, size, "nobody");
    else if (account != NULL && account->parent == 0)
        snprintf(to, size, "the root account");
    else
        snprintf(to, size, "account %" PRIu64, id);
    return to;
}

/* "REASON" of a refusal. */
static const char *reason_name(uint64_t reason)
{
    static const char *const names[] = {"no reason",  "EXHAUSTED",     "FRAGMENTED",
                                        "OVER_LIMIT", "NO_CAPABILITY", "TOO_LARGE",
                                        "TIMEOUT",    "INVALID",       "DAMAGED"};
    return reason < sizeof names / sizeof names[0] ? names[reason] : "?";
}

/* --- the map ---------------------------------------------------------------------------------- */

static unsigned columns(void)
{
    struct winsize size;
    const char *given = getenv("COLUMNS");
    unsigned n = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 0;
    if (n == 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) n = size.ws_col;
    if (n == 0) n = 80;
    return n < 40 ? 40 : n > 200 ? 200 : n;
}

static bool is_colourful(void)
{
    return isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
}

/* What a cell shows if several blocks fall into it: damage before all, then what is mixed. */
static char cell_of(char before, const snap_block_t *b)
{
    static const char signs[SNAP_STATES] = {'.', '#', 'w', 'i', '.', '#', '!', '~'};
    static const char of_store[SNAP_STATES] = {'.', '#', 'w', 'i', '.', 'm', '!', '~'};
    char sign = b->finding != 0 ? '!' : b->in_store ? of_store[b->state] : signs[b->state];
    if (sign == '#' && b->n_locks != 0) sign = 'L';
    if (sign == '#' && b->in_store && b->handle == 0) sign = 'x';
    if (before == ' ' || before == sign) return sign;
    if (before == '!' || sign == '!') return '!';
    return '+';
}

static void print_cell(char cell, bool colour)
{
    const char *on = cell == '!'                  ? "\033[1;31m"
                     : cell == '#'                ? "\033[34m"
                     : cell == '+'                ? "\033[36m"
                     : cell == 'L' || cell == 'x' ? "\033[35m"
                     : cell == 'w' || cell == 'i' ? "\033[33m"
                                                  : "";
    if (colour && on[0] != '\0')
        printf("%s%c\033[0m", on, cell);
    else
        putchar(cell);
}

/* r: a region, or what stands for a store that is in none. */
static void print_map(const snapshot_t *s, const snap_region_t *r, bool is_store)
{
    uint64_t bytes = r->end - r->begin, width = columns() - 20u;
    if (r->end <= r->begin || r->n_blocks == 0) return;
    uint64_t per_cell = (bytes + width * MAP_ROWS - 1) / (width * MAP_ROWS);
    per_cell = (per_cell + 15) / 16 * 16;
    size_t n_cells = (size_t)((bytes + per_cell - 1) / per_cell);
    char *cells = malloc(n_cells + 1);
    if (cells == NULL) abort();
    memset(cells, ' ', n_cells);
    for (size_t i = 0; i < r->n_blocks; i++) {
        const snap_block_t *b = &s->blocks[r->first_block + i];
        if (b->begin < r->begin || b->begin >= r->end || b->bytes == 0) continue;
        uint64_t end = b->bytes < r->end - b->begin ? b->begin + b->bytes : r->end;
        for (uint64_t c = (b->begin - r->begin) / per_cell; c <= (end - 1 - r->begin) / per_cell;
             c++)
            cells[c] = cell_of(cells[c], b);
    }
    bool colour = is_colourful();
    for (size_t at = 0; at < n_cells; at += (size_t)width) {
        printf("  0x%0*" PRIx64 "  ", s->head.pointer_bytes == 4 ? 8 : 12,
               r->begin + at * per_cell);
        for (size_t i = at; i < n_cells && i < at + width; i++) print_cell(cells[i], colour);
        putchar('\n');
    }
    printf("  a sign is %" PRIu64 " bytes: # used, . free, + both, w freed but waiting, i the "
           "allocator's own, ! damaged\n",
           per_cell);
    if (is_store)
        printf("  # with a handle, L locked, x fixed, m being moved, ~ where to, or not told of\n");
    free(cells);
}

/* --- parts ------------------------------------------------------------------------------------ */

static void print_time(uint64_t us)
{
    printf("%" PRIu64 ".%03" PRIu64 " s", us / 1000000, us / 1000 % 1000);
}

static void print_head(const judgement_t *j, firmware_t *f, const char *file)
{
    const snap_head_t *h = &j->s->head;
    static const char *const origins[] = {"dump", "core", "memory"};
    char name[NAME_BYTES], *shown = printable(file);
    printf("%-12s %s, %zu bytes, ", origins[j->s->origin], shown, j->s->n_bytes);
    free(shown);
    if (j->s->origin == SNAP_OF_DUMP) printf("format version %" PRIu32 ", ", h->version);
    printf("%u-bit", h->pointer_bytes * 8);
    if (h->library != 0)
        printf(", ealloc %u.%u.%u", h->library >> 16, h->library >> 8 & 255, h->library & 255);
    putchar('\n');
    if (j->s->subject[0] != '\0')
        printf("%-12s %s\n", h->allocator != 0 ? "allocator" : "store", j->s->subject);
    if (h->has_no_time) {
        printf("taken at     not known; ages count from the youngest block or event\n");
    } else {
        printf("taken at     ");
        print_time(h->time_us);
        printf(h->is_live ? ", from a running system\n" : ", nothing else running\n");
    }
    if (h->cause[0] != '\0') printf("cause        %s\n", h->cause);
    if (h->fault_at != 0)
        printf("where        %s\n", firmware_name(f, j->s, h->fault_at, true, name, sizeof name));
    if (h->n_build_id > 0) {
        printf("build id     ");
        for (size_t i = 0; i < h->n_build_id; i++) printf("%02x", h->build_id[i]);
        printf(f != NULL ? ", that of the ELF file\n" : "\n");
    }
}

static void print_totals(const judgement_t *j)
{
    const totals_t *t = &j->totals;
    printf("used         %" PRIu64 " bytes in %" PRIu64 " block%s, %" PRIu64 " of them asked for\n",
           t->used_bytes, t->n_used, plural(t->n_used), t->requested_bytes);
    printf("free         %" PRIu64 " bytes in %" PRIu64 " block%s, the largest %" PRIu64 "\n",
           t->free_bytes, t->n_free, plural(t->n_free), t->largest_free);
    if (t->n_waiting > 0)
        printf("waiting      %" PRIu64 " bytes in %" PRIu64 " freed block%s\n", t->waiting_bytes,
               t->n_waiting, plural(t->n_waiting));
    if (t->room_bytes > 0)
        printf("room         %" PRIu64 " bytes that blocks move to, or that are not told of\n",
               t->room_bytes);
    if (t->unknown_bytes > 0)
        printf("unknown      %" PRIu64 " bytes behind damaged headers\n", t->unknown_bytes);
}

static void print_failure(const judgement_t *j, firmware_t *f)
{
    const snap_failure_t *l = &j->s->failure;
    char owner[64], limiter[64], site[NAME_BYTES];
    if (l->n == 0) return;
    printf("last refusal %" PRIu64 " bytes for %s, %s", l->size,
           inspect_owner(j->s, l->owner, owner, sizeof owner), reason_name(l->reason));
    if (l->limiter != 0) printf(" of %s", inspect_owner(j->s, l->limiter, limiter, sizeof limiter));
    printf(", at ");
    print_time(l->time_us);
    printf("\n             by %s; %" PRIu64 " bytes were free, the largest %" PRIu64
           "; refusals: %" PRIu64 "\n",
           firmware_name(f, j->s, l->caller, false, site, sizeof site), l->free_bytes, l->largest,
           l->n);
}

/* "100 bytes of ui, allocated by main (main.c:7)" */
static void print_whose(const judgement_t *j, firmware_t *f, uint64_t size, uint64_t owner,
                        uint64_t site)
{
    char name[64], text[NAME_BYTES];
    if (size != 0) printf("%" PRIu64 " bytes ", size);
    printf("of %s, allocated by %s", inspect_owner(j->s, owner, name, sizeof name),
           firmware_name(f, j->s, site, false, text, sizeof text));
}

/* What a block of a store is known by. */
static void print_handle(const snap_block_t *b)
{
    if (!b->in_store) return;
    if (b->handle == 0)
        printf(", fixed");
    else
        printf(", handle 0x%" PRIx32, b->handle);
    if (b->n_locks != 0) printf(", %" PRIu32 " lock%s", b->n_locks, plural(b->n_locks));
}

static void print_size_and_whose(const judgement_t *j, firmware_t *f, const snap_block_t *b)
{
    uint64_t usable = b->begin + b->bytes - b->user;
    if (b->requested == 0) printf("up to ");
    if (b->in_store && b->site == 0 && b->owner == 0)
        printf("%" PRIu64 " bytes", b->requested != 0 ? b->requested : usable);
    else
        print_whose(j, f, b->requested != 0 ? b->requested : usable, b->owner, b->site);
    print_handle(b);
}

static void print_block(const judgement_t *j, firmware_t *f, const char *label,
                        const snap_block_t *b)
{
    printf("    %-10s0x%" PRIx64 ": ", label, b->user);
    print_size_and_whose(j, f, b);
    putchar('\n');
}

static void print_bytes(const snapshot_t *s, uint64_t where)
{
    const snap_raw_t *raw = find_raw(s, where);
    if (raw == NULL) return;
    size_t at = (size_t)(where - raw->address), n = raw->n - at < 16 ? raw->n - at : 16;
    printf("    bytes     ");
    for (size_t i = 0; i < n; i++) printf("%02x ", raw->bytes[at + i]);
    putchar(' ');
    for (size_t i = 0; i < n; i++) {
        uint8_t c = raw->bytes[at + i];
        putchar(c >= ' ' && c <= '~' ? c : '.');
    }
    putchar('\n');
}

static void print_wound(const judgement_t *j, firmware_t *f, const wound_t *w)
{
    printf("  %s, at 0x%" PRIx64 "%s%s\n", w->what, w->where, w->text[0] ? ": " : "", w->text);
    bool own = w->culprit == w->block;
    if (w->block != NULL && w->block->user != 0 && !own) print_block(j, f, "block", w->block);
    if (w->culprit != NULL) print_block(j, f, own ? "culprit" : "below", w->culprit);
    if (w->culprit != NULL && own && w->where > w->culprit->user)
        printf("    offset    %" PRIu64 "\n", w->where - w->culprit->user);
    if (w->culprit != NULL && !own)
        printf("    whoever uses the block below most likely wrote beyond its end\n");
    print_bytes(j->s, w->where);
}

static void print_wounds(const judgement_t *j, firmware_t *f)
{
    if (j->n_wounds == 0) {
        printf("damage       none was found\n");
        return;
    }
    printf("\ndamage: %zu place%s\n", j->n_wounds, plural(j->n_wounds));
    for (size_t i = 0; i < j->n_wounds && i < MAX_WOUNDS; i++) print_wound(j, f, &j->wounds[i]);
    if (j->n_wounds > MAX_WOUNDS) printf("  and %zu more\n", j->n_wounds - MAX_WOUNDS);
}

static void print_report(const judgement_t *j, firmware_t *f)
{
    const snap_report_t *r = &j->s->report;
    if (r->kind == 0) return;
    bool is_known = r->kind <= EA_GUARD_STORE;
    printf("last found   %s at 0x%" PRIx64 ", ",
           is_known ? ea_guard_kind_name((ea_guard_kind_t)r->kind) : "damage", r->block);
    print_whose(j, f, r->size, r->owner, r->site);
    putchar('\n');
    if (r->below.block != 0) {
        printf("             below it: ");
        print_whose(j, f, r->below.size, r->below.owner, r->below.site);
        putchar('\n');
    }
}

/* --- stores of movable blocks ----------------------------------------------------------------- */

static void print_move(const snap_store_t *store)
{
    if (store->from == 0) return;
    printf("  move         %" PRIu64 " bytes from 0x%" PRIx64 " to 0x%" PRIx64 ", %" PRIu64
           " of them are there\n",
           store->move_bytes, store->from, store->to, store->copied_bytes);
}

static void print_pins(const judgement_t *j, firmware_t *f, const store_sums_t *sums,
                       uint32_t n_rows)
{
    if (sums->n_pins == 0) return;
    printf("  locked       %" PRIu64 " block%s, %" PRIu64 " bytes; without locks a hole of %" PRIu64
           " could be made\n",
           sums->n_locked, plural(sums->n_locked), sums->locked_bytes, sums->compactable_unlocked);
    for (size_t i = 0; i < sums->n_pins && i < n_rows; i++) {
        const pin_t *pin = &sums->pins[i];
        printf("    0x%" PRIx64 ": ", pin->block->user);
        print_size_and_whose(j, f, pin->block);
        printf("; free below %" PRIu64 ", above %" PRIu64 "\n", pin->below, pin->above);
    }
    if (sums->n_pins > n_rows) printf("    and %zu more\n", sums->n_pins - n_rows);
}

static void print_store(const judgement_t *j, firmware_t *f, const snap_store_t *store,
                        uint32_t n_rows)
{
    store_sums_t sums;
    store_sums(j->s, store, &sums);
    unsigned frag = store_frag_permille(&sums);
    printf("  blocks       %" PRIu64 " bytes in %" PRIu64 " with a handle, %" PRIu64
           " bytes in %" PRIu64 " fixed\n",
           sums.used_bytes, sums.n_used, sums.fixed_bytes, sums.n_fixed);
    printf("  free         %" PRIu64 " bytes in %" PRIu64 " hole%s, the largest %" PRIu64
           "; fragmentation %u.%u %%\n",
           sums.free_bytes, sums.n_free, plural(sums.n_free), sums.largest_free, frag / 10u,
           frag % 10u);
    if (sums.rest_bytes > 0) printf("  other        %" PRIu64 " bytes\n", sums.rest_bytes);
    printf("  compaction   can make a hole of %" PRIu64 " bytes; moved %" PRIu64
           " bytes in %" PRIu64 " moves until now\n",
           sums.compactable, store->moved_bytes, store->n_moves);
    printf("  handles      %" PRIu64 " of at most %" PRIu64 ", %s layout; refusals: %" PRIu64
           ", for want of budget %" PRIu64 "\n",
           store->n_handles, store->max_handles, store_layout_name(store), store->n_failures,
           store->n_again);
    print_move(store);
    print_pins(j, f, &sums, n_rows);
    store_sums_release(&sums);
}

/* The store of a region; NULL: it has a heap. */
static const snap_store_t *store_of(const snapshot_t *s, size_t region)
{
    for (size_t i = 0; i < s->n_stores; i++)
        if (s->stores[i].in_region && s->stores[i].region == region) return &s->stores[i];
    return NULL;
}

/* Those that are no allocator's. */
static void print_stores(const judgement_t *j, firmware_t *f, uint32_t n_rows)
{
    for (size_t i = 0; i < j->s->n_stores; i++) {
        const snap_store_t *store = &j->s->stores[i];
        const snap_region_t stands = {.begin = store->first,
                                      .end = store->end,
                                      .first_block = store->first_block,
                                      .n_blocks = store->n_blocks};
        if (store->in_region) continue;
        printf("\nstore%s%s: 0x%" PRIx64 " to 0x%" PRIx64 "\n", store->name[0] != '\0' ? " " : "",
               store->name, store->address, store->table_end);
        print_map(j->s, &stands, true);
        print_store(j, f, store, n_rows);
    }
}

static void print_regions(const judgement_t *j, firmware_t *f, uint32_t n_rows)
{
    for (size_t i = 0; i < j->s->n_regions; i++) {
        const snap_region_t *r = &j->s->regions[i];
        const snap_store_t *store = store_of(j->s, i);
        printf("\nregion %" PRIu64 ": 0x%" PRIx64 " to 0x%" PRIx64, r->number, r->begin, r->end);
        if (store != NULL) printf(", movable blocks");
        if (r->has_heap) printf(", %" PRIu64 " of %" PRIu64 " bytes free", r->free_bytes, r->total);
        if (r->has_heap && store == NULL &&
            (r->largest != 0 || r->free_bytes == 0)) /* else the heap is damaged */
            printf(", least ever %" PRIu64 ", largest request %" PRIu64, r->min_free, r->largest);
        putchar('\n');
        print_map(j->s, r, store != NULL);
        if (store != NULL) print_store(j, f, store, n_rows);
    }
    if (j->s->n_pools > 0) printf("\npools\n");
    for (size_t i = 0; i < j->s->n_pools; i++) {
        const snap_pool_t *p = &j->s->pools[i];
        printf("  %6" PRIu64 " bytes: %zu of %" PRIu64 " blocks used, at most %" PRIu64 "%s%s\n",
               p->block_bytes, p->n_live, p->n_blocks, p->n_fresh, p->name[0] != '\0' ? "  " : "",
               p->name);
    }
    print_stores(j, f, n_rows);
}

static void print_owners(const judgement_t *j, uint32_t n_rows)
{
    char name[64];
    if (j->n_owners == 0) return;
    printf("\n%-24s %8s %12s %12s\n", "owner", "blocks", "bytes", "limit");
    for (size_t i = 0; i < j->n_owners && i < n_rows; i++) {
        const sum_t *sum = &j->owners[i];
        const snap_account_t *a = snapshot_account(j->s, sum->key);
        uint64_t none = j->s->head.pointer_bytes == 4 ? UINT32_MAX : UINT64_MAX;
        printf("%-24s %8" PRIu64 " %12" PRIu64, inspect_owner(j->s, sum->key, name, sizeof name),
               sum->n_blocks, sum->bytes);
        if (a != NULL && a->max != 0 && a->max != none)
            printf(" %12" PRIu64 "\n", a->max);
        else
            printf(" %12s\n", "none");
    }
}

static void print_sites(const judgement_t *j, firmware_t *f, uint32_t n_rows)
{
    char name[NAME_BYTES];
    if (j->n_sites == 0) return;
    printf("\n%8s %12s %10s  %s\n", "blocks", "bytes", "oldest", "allocated by");
    for (size_t i = 0; i < j->n_sites && i < n_rows; i++)
        printf("%8" PRIu64 " %12" PRIu64 " %8" PRIu64 " s  %s\n", j->sites[i].n_blocks,
               j->sites[i].bytes, j->sites[i].oldest_s,
               firmware_name(f, j->s, j->sites[i].key, false, name, sizeof name));
}

static void print_quarters(const char *of, const uint64_t q[4])
{
    printf("\n    left of each quarter of the %s: %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64,
           of, q[0], q[1], q[2], q[3]);
}

static void print_suspects(const judgement_t *j, firmware_t *f, uint32_t n_rows)
{
    char name[NAME_BYTES];
    if (j->n_suspects == 0) return;
    printf("\nleak suspects\n");
    for (size_t i = 0; i < j->n_suspects && i < n_rows; i++) {
        const suspect_t *x = &j->suspects[i];
        printf("  %s\n    %" PRIu64 " bytes in %" PRIu64 " blocks",
               firmware_name(f, j->s, x->sum.key, false, name, sizeof name), x->sum.bytes,
               x->sum.n_blocks);
        if (x->grows) print_quarters("time since the oldest block", x->by_quarter);
        if (x->is_kept) {
            print_quarters("history", x->kept_by_quarter);
            printf(" (%" PRIu64 " allocated, %" PRIu64 " freed)", x->n_allocs, x->n_freed);
        }
        putchar('\n');
    }
}

static void print_free(const judgement_t *j)
{
    if (j->totals.n_free == 0) return;
    printf("\n%-24s %8s %12s\n", "free blocks of", "blocks", "bytes");
    for (unsigned c = 0; c < FREE_CLASSES; c++) {
        char range[40];
        if (j->n_free[c] == 0) continue;
        snprintf(range, sizeof range, "%" PRIu64 " to %" PRIu64, (uint64_t)1 << c,
                 ((uint64_t)2 << c) - 1);
        printf("%-24s %8" PRIu64 " %12" PRIu64 "\n", range, j->n_free[c], j->free_bytes[c]);
    }
}

void inspect_text(const judgement_t *j, firmware_t *firmware, const char *file, uint32_t n_rows)
{
    print_head(j, firmware, file);
    if (j->s->head.allocator != 0 || j->s->n_regions > 0) print_totals(j);
    print_failure(j, firmware);
    print_report(j, firmware);
    print_wounds(j, firmware);
    print_regions(j, firmware, n_rows);
    print_owners(j, n_rows);
    print_sites(j, firmware, n_rows);
    print_suspects(j, firmware, n_rows);
    print_free(j);
    inspect_lineages(j->s, firmware, n_rows);
}

/* --- one address ------------------------------------------------------------------------------ */

const snap_block_t *inspect_next_to(const snapshot_t *s, const snap_block_t *b, int step)
{
    const snap_block_t *first = s->blocks, *behind = first + s->n_blocks;
    if ((step < 0 && b == first) || (step > 0 && b + 1 == behind)) return NULL;
    const snap_block_t *other = step < 0 ? b - 1 : b + 1;
    const snap_block_t *low = step < 0 ? other : b, *high = step < 0 ? b : other;
    bool touches = low->begin + low->bytes == high->begin ||
                   (b->in_pool && low->begin < high->begin && low->bytes == high->bytes);
    return other->in_pool == b->in_pool && touches ? other : NULL;
}

static void print_any_block(const judgement_t *j, firmware_t *f, const char *label,
                            const snap_block_t *b)
{
    static const char *const states[SNAP_STATES] = {"free",
                                                    "used",
                                                    "freed, waits",
                                                    "the allocator's own",
                                                    "free, cached",
                                                    "in the middle of a realloc",
                                                    "behind a damaged header",
                                                    "where a block moves to, or not told of"};
    bool is_moving = b->in_store && b->state == SNAP_MOVING;
    printf("%-12s 0x%" PRIx64 " to 0x%" PRIx64 ", %s\n", label, b->begin, b->begin + b->bytes,
           is_moving ? "being moved" : states[b->state]);
    if (b->user == 0) return;
    printf("             ");
    print_size_and_whose(j, f, b);
    if (j->s->head.tags != 0 && b->handle == 0 && !b->is_alone)
        printf(", %" PRIu64 " s ago", judge_age(j->s, b));
    printf(b->finding != 0 ? "; damaged\n" : "\n");
}

static void print_event(const judgement_t *j, firmware_t *f, const snap_event_t *e)
{
    char owner[64], site[NAME_BYTES];
    print_time(e->time_us);
    printf("  %-9s", ea_trace_kind_name(e->kind));
    if (e->max_size_bytes == e->size_bytes)
        printf(" %" PRIu64 " bytes", e->size_bytes);
    else
        printf(" %" PRIu64 " to %" PRIu64 " bytes", e->size_bytes, e->max_size_bytes);
    printf(" at 0x%" PRIx64 ", %s, by %s\n", e->block,
           inspect_owner(j->s, e->owner, owner, sizeof owner),
           firmware_name(f, j->s, e->site, false, site, sizeof site));
}

void inspect_address(const judgement_t *j, firmware_t *f, uint64_t address)
{
    const snap_block_t *b = find_block(j->s, address);
    size_t n = 0;
    printf("address      0x%" PRIx64 ", ", address);
    if (b == NULL)
        printf("in no block of this allocator\n");
    else if (b->user != 0 && address >= b->user)
        printf("%" PRIu64 " bytes into a block\n", address - b->user);
    else
        printf(b->user != 0 ? "in the header of a block\n" : "in no block that is used\n");
    if (b != NULL) {
        const snap_block_t *below = inspect_next_to(j->s, b, -1);
        const snap_block_t *above = inspect_next_to(j->s, b, 1);
        print_any_block(j, f, "block", b);
        if (below != NULL) print_any_block(j, f, "below it", below);
        if (above != NULL) print_any_block(j, f, "above it", above);
    }
    print_bytes(j->s, address);
    for (size_t i = 0; i < j->n_wounds; i++) {
        const wound_t *w = &j->wounds[i];
        if (w->block != b && w->culprit != b && w->where != address) continue;
        if (b == NULL && w->where != address) continue;
        print_wound(j, f, w);
    }
    if (j->s->n_events == 0) {
        printf("history      there is none\n");
        return;
    }
    for (size_t i = 0; i < j->s->n_events; i++) n += is_about(&j->s->events[i], address);
    printf("history      %zu of %zu events are about it\n", n, j->s->n_events);
    for (size_t i = 0; i < j->s->n_events; i++)
        if (is_about(&j->s->events[i], address)) print_event(j, f, &j->s->events[i]);
}

/* --- two dumps -------------------------------------------------------------------------------- */

static int by_growth(const void *x, const void *y)
{
    const change_t *a = x, *b = y;
    uint64_t up = a->bytes_b - a->bytes_a, vp = b->bytes_b - b->bytes_a;
    int64_t u = (int64_t)up, v = (int64_t)vp;
    return u > v ? -1 : u < v ? 1 : a->key < b->key ? -1 : a->key > b->key;
}

change_t *inspect_changes(const sum_t *a, size_t n_a, const sum_t *b, size_t n_b, size_t *n)
{
    change_t *list = calloc(n_a + n_b + 1, sizeof *list);
    if (list == NULL) abort();
    *n = 0;
    for (size_t i = 0; i < n_a; i++)
        list[(*n)++] = (change_t){a[i].key, a[i].n_blocks, a[i].bytes, 0, 0};
    for (size_t i = 0; i < n_b; i++) {
        size_t k = 0;
        while (k < n_a && list[k].key != b[i].key) k++;
        if (k == n_a) list[k = (*n)++] = (change_t){b[i].key, 0, 0, 0, 0};
        list[k].blocks_b = b[i].n_blocks;
        list[k].bytes_b = b[i].bytes;
    }
    qsort(list, *n, sizeof *list, by_growth);
    return list;
}

static void print_changes(const char *title, const judgement_t *j, firmware_t *f, bool owners,
                          change_t *list, size_t n, uint32_t n_rows)
{
    char name[NAME_BYTES];
    uint32_t shown = 0;
    printf("\n%-24s %12s %12s %12s\n", title, "bytes in A", "in B", "change");
    for (size_t i = 0; i < n && shown < n_rows; i++) {
        if (list[i].bytes_a == list[i].bytes_b && list[i].blocks_a == list[i].blocks_b) continue;
        shown++;
        if (owners)
            inspect_owner(j->s, list[i].key, name, sizeof name);
        else
            firmware_name(f, j->s, list[i].key, false, name, sizeof name);
        printf("%-24s %12" PRIu64 " %12" PRIu64 " %+12" PRId64 "\n", name, list[i].bytes_a,
               list[i].bytes_b, (int64_t)(list[i].bytes_b - list[i].bytes_a));
    }
    if (shown == 0) printf("nothing changed\n");
}

void inspect_diff_text(const judgement_t *a, const judgement_t *b, firmware_t *firmware,
                       uint32_t n_rows)
{
    size_t n;
    printf("%-24s %12s %12s %12s\n", "", "A", "B", "change");
    const struct {
        const char *name;
        uint64_t a, b;
    } rows[] = {
        {"used bytes", a->totals.used_bytes, b->totals.used_bytes},
        {"used blocks", a->totals.n_used, b->totals.n_used},
        {"free bytes", a->totals.free_bytes, b->totals.free_bytes},
        {"free blocks", a->totals.n_free, b->totals.n_free},
        {"largest free", a->totals.largest_free, b->totals.largest_free},
        {"refusals", a->s->failure.n, b->s->failure.n},
        {"damaged places", a->n_wounds, b->n_wounds},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        printf("%-24s %12" PRIu64 " %12" PRIu64 " %+12" PRId64 "\n", rows[i].name, rows[i].a,
               rows[i].b, (int64_t)(rows[i].b - rows[i].a));
    change_t *list = inspect_changes(a->owners, a->n_owners, b->owners, b->n_owners, &n);
    print_changes("owner", b, firmware, true, list, n, n_rows);
    free(list);
    list = inspect_changes(a->sites, a->n_sites, b->sites, b->n_sites, &n);
    print_changes("allocated by", a, firmware, false, list, n, n_rows);
    free(list);
}
