/* SPDX-License-Identifier: MIT
 *
 * What ealloc inspect found, as JSON. Addresses are text, "0x...": they do not fit a JSON number's
 * readers everywhere.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ealloc/trace.h"
#include "inspect.h"
#include "json_text.h"
#include "store.h"

static const char *const state_names[SNAP_STATES] = {"free",   "used",   "waiting", "internal",
                                                     "cached", "moving", "unknown", "room"};

static json_t *address(uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "0x%" PRIx64, value);
    return json_string(text);
}

static json_t *owner(const snapshot_t *s, uint64_t id)
{
    char text[64];
    return json_text(inspect_owner(s, id, text, sizeof text));
}

static json_t *site(const snapshot_t *s, firmware_t *f, uint64_t value)
{
    char text[512];
    return json_text(firmware_name(f, s, value, false, text, sizeof text));
}

/* What a block of a store is known by. */
static void add_handle(json_t *o, const snap_block_t *b)
{
    if (b->handle != 0)
        json_object_set_new(o, "handle", address(b->handle));
    else
        json_object_set_new(o, "fixed", json_true());
    json_object_set_new(o, "locks", json_u64(b->n_locks));
}

/* Where the bytes of a block are that is being moved. */
static json_t *pieces(const snapshot_t *s, const snap_block_t *b)
{
    json_t *list = json_array();
    piece_t of[2];
    for (size_t i = 0; i < s->n_stores; i++) {
        const snap_store_t *store = &s->stores[i];
        if (b->begin < store->first || b->begin >= store->end) continue;
        store_pieces(store, b, of);
        for (unsigned k = 0; k < 2; k++)
            json_array_append_new(list, json_pack("{s:o, s:o}", "address", address(of[k].address),
                                                  "bytes", json_u64(of[k].bytes)));
        break;
    }
    return list;
}

static json_t *block(const snapshot_t *s, firmware_t *f, const snap_block_t *b)
{
    json_t *o = json_pack("{s:o, s:o, s:s}", "begin", address(b->begin), "bytes",
                          json_u64(b->bytes), "state", state_names[b->state]);
    if (b->user == 0) return o;
    json_object_set_new(o, "address", address(b->user));
    json_object_set_new(o, "requested", json_u64(b->requested));
    json_object_set_new(o, "owner", owner(s, b->owner));
    json_object_set_new(o, "site", site(s, f, b->site));
    json_object_set_new(o, "birth", json_u64(b->birth));
    if (b->in_store) add_handle(o, b);
    if (b->in_store && b->state == SNAP_MOVING) json_object_set_new(o, "pieces", pieces(s, b));
    if (b->finding != 0) json_object_set_new(o, "finding", json_u64(b->finding));
    return o;
}

static json_t *wounds(const judgement_t *j, firmware_t *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < j->n_wounds; i++) {
        const wound_t *w = &j->wounds[i];
        json_t *o = json_pack("{s:s, s:o, s:o}", "what", w->what, "where", address(w->where),
                              "text", json_text(w->text));
        if (w->block != NULL) json_object_set_new(o, "block", block(j->s, f, w->block));
        if (w->culprit != NULL) json_object_set_new(o, "culprit", block(j->s, f, w->culprit));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *blocks(const judgement_t *j, firmware_t *f, size_t first, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, block(j->s, f, &j->s->blocks[first + i]));
    return list;
}

static json_t *regions(const judgement_t *j, firmware_t *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < j->s->n_regions; i++) {
        const snap_region_t *r = &j->s->regions[i];
        json_t *o = json_pack("{s:o, s:o, s:o, s:o}", "number", json_u64(r->number), "begin",
                              address(r->begin), "end", address(r->end), "blocks",
                              blocks(j, f, r->first_block, r->n_blocks));
        if (r->has_heap) {
            json_object_set_new(o, "total_bytes", json_u64(r->total));
            json_object_set_new(o, "free_bytes", json_u64(r->free_bytes));
            json_object_set_new(o, "min_free_bytes", json_u64(r->min_free));
            json_object_set_new(o, "largest_free_bytes", json_u64(r->largest));
            json_object_set_new(o, "allocations", json_u64(r->n_allocs));
            json_object_set_new(o, "refusals", json_u64(r->n_failures));
        }
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *pins(const judgement_t *j, firmware_t *f, const store_sums_t *sums)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sums->n_pins; i++) {
        const pin_t *pin = &sums->pins[i];
        json_array_append_new(list,
                              json_pack("{s:o, s:o, s:o}", "block", block(j->s, f, pin->block),
                                        "free_below_bytes", json_u64(pin->below),
                                        "free_above_bytes", json_u64(pin->above)));
    }
    return list;
}

static json_t *move(const snap_store_t *store)
{
    if (store->from == 0) return json_null();
    return json_pack("{s:o, s:o, s:o, s:o}", "from", address(store->from), "to", address(store->to),
                     "bytes", json_u64(store->move_bytes), "copied_bytes",
                     json_u64(store->copied_bytes));
}

/* The blocks of a region's stand with the region. */
static json_t *store(const judgement_t *j, firmware_t *f, const snap_store_t *s)
{
    store_sums_t sums;
    store_sums(j->s, s, &sums);
    json_t *o =
        json_pack("{s:o, s:o, s:o, s:s, s:b, s:b, s:b}", "name", json_text(s->name), "begin",
                  address(s->address), "end", address(s->table_end), "layout", store_layout_name(s),
                  "interrupts_lock", (int)(s->features & 1u), "has_fixed",
                  (int)(s->features >> 1 & 1u), "relocates", (int)(s->features >> 2 & 1u));
    json_object_set_new(o, "region",
                        s->in_region ? json_u64(j->s->regions[s->region].number) : json_null());
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"total_bytes", sums.total},
                   {"used_blocks", sums.n_used},
                   {"used_bytes", sums.used_bytes},
                   {"fixed_blocks", sums.n_fixed},
                   {"fixed_bytes", sums.fixed_bytes},
                   {"free_holes", sums.n_free},
                   {"free_bytes", sums.free_bytes},
                   {"other_bytes", sums.rest_bytes},
                   {"largest_free_bytes", sums.largest_free},
                   {"fragmentation_permille", store_frag_permille(&sums)},
                   {"locked_blocks", sums.n_locked},
                   {"locked_bytes", sums.locked_bytes},
                   {"compactable_bytes", sums.compactable},
                   {"compactable_unlocked_bytes", sums.compactable_unlocked},
                   {"handles", s->n_handles},
                   {"max_handles", s->max_handles},
                   {"moved_bytes", s->moved_bytes},
                   {"moves", s->n_moves},
                   {"max_demand_bytes", s->max_demand_bytes},
                   {"refusals", s->n_failures},
                   {"refusals_for_budget", s->n_again}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        json_object_set_new(o, numbers[i].name, json_u64(numbers[i].value));
    json_object_set_new(o, "move", move(s));
    json_object_set_new(o, "pins", pins(j, f, &sums));
    if (!s->in_region) json_object_set_new(o, "blocks", blocks(j, f, s->first_block, s->n_blocks));
    store_sums_release(&sums);
    return o;
}

static json_t *stores(const judgement_t *j, firmware_t *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < j->s->n_stores; i++)
        json_array_append_new(list, store(j, f, &j->s->stores[i]));
    return list;
}

static json_t *pools(const judgement_t *j, firmware_t *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < j->s->n_pools; i++) {
        const snap_pool_t *p = &j->s->pools[i];
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "name", json_text(p->name), "block_bytes",
                      json_u64(p->block_bytes), "n_blocks", json_u64(p->n_blocks), "used_blocks",
                      json_u64(p->n_live), "most_used", json_u64(p->n_fresh), "blocks",
                      blocks(j, f, p->first_block, p->name[0] == '\0' ? p->n_live : 0)));
    }
    return list;
}

static json_t *accounts(const snapshot_t *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n_accounts; i++) {
        const snap_account_t *a = &s->accounts[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
                                              json_u64(a->id), "name", json_text(a->name), "parent",
                                              json_u64(a->parent), "used", json_u64(a->used),
                                              "peak", json_u64(a->peak), "max", json_u64(a->max),
                                              "refused", json_u64(a->n_refused)));
    }
    return list;
}

static json_t *sums(const judgement_t *j, firmware_t *f, const sum_t *list, size_t n, bool owners)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            array,
            json_pack("{s:o, s:o, s:o, s:o, s:o}", owners ? "owner" : "site",
                      owners ? owner(j->s, list[i].key) : site(j->s, f, list[i].key), "blocks",
                      json_u64(list[i].n_blocks), "bytes", json_u64(list[i].bytes), "gross_bytes",
                      json_u64(list[i].gross_bytes), "oldest_s", json_u64(list[i].oldest_s)));
    return array;
}

static json_t *failure(const judgement_t *j, firmware_t *f)
{
    const snap_failure_t *l = &j->s->failure;
    if (l->n == 0) return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "refusals", json_u64(l->n), "reason",
                     json_u64(l->reason), "bytes", json_u64(l->size), "owner",
                     owner(j->s, l->owner), "caller", site(j->s, f, l->caller));
}

static json_t *suspects(const judgement_t *j, firmware_t *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < j->n_suspects; i++) {
        const suspect_t *x = &j->suspects[i];
        json_t *quarters = json_array();
        for (unsigned q = 0; q < 4; q++)
            json_array_append_new(quarters, json_u64(x->by_quarter[q]));
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "site", site(j->s, f, x->sum.key),
                      "blocks", json_u64(x->sum.n_blocks), "bytes", json_u64(x->sum.bytes),
                      "oldest_s", json_u64(x->sum.oldest_s), "left_of_quarters", quarters,
                      "allocated", json_u64(x->n_allocs), "freed", json_u64(x->n_freed)));
    }
    return list;
}

static json_t *free_classes(const judgement_t *j)
{
    json_t *list = json_array();
    for (unsigned c = 0; c < FREE_CLASSES; c++)
        if (j->n_free[c] != 0)
            json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "least_bytes",
                                                  json_u64((uint64_t)1 << c), "blocks",
                                                  json_u64(j->n_free[c]), "bytes",
                                                  json_u64(j->free_bytes[c])));
    return list;
}

static json_t *about(const judgement_t *j, firmware_t *f, uint64_t where)
{
    const snap_block_t *b = find_block(j->s, where);
    json_t *o = json_pack("{s:o}", "address", address(where)), *events = json_array();
    const snap_block_t *below = b != NULL ? inspect_next_to(j->s, b, -1) : NULL;
    const snap_block_t *above = b != NULL ? inspect_next_to(j->s, b, 1) : NULL;
    if (b != NULL) json_object_set_new(o, "block", block(j->s, f, b));
    if (below != NULL) json_object_set_new(o, "below", block(j->s, f, below));
    if (above != NULL) json_object_set_new(o, "above", block(j->s, f, above));
    for (size_t i = 0; i < j->s->n_events; i++) {
        const snap_event_t *e = &j->s->events[i];
        if (!is_about(e, where)) continue;
        json_array_append_new(
            events, json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "number", json_u64(e->number),
                              "time_us", json_u64(e->time_us), "kind", ea_trace_kind_name(e->kind),
                              "block", address(e->block), "least_bytes", json_u64(e->size_bytes),
                              "owner", owner(j->s, e->owner), "site", site(j->s, f, e->site)));
    }
    json_object_set_new(o, "events", events);
    return o;
}

static void print(json_t *root)
{
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

void inspect_json(const judgement_t *j, firmware_t *f, const uint64_t *of)
{
    static const char *const origins[] = {"dump", "core", "memory"};
    const snap_head_t *h = &j->s->head;
    char id[2 * SNAP_ID_BYTES + 1] = "";
    for (size_t i = 0; i < h->n_build_id; i++) snprintf(id + 2 * i, 3, "%02x", h->build_id[i]);
    json_t *root = json_pack("{s:o, s:b, s:o, s:o, s:s, s:o, s:b}", "version", json_u64(h->version),
                             "complete", j->s->flaw[0] == '\0', "flaw", json_text(j->s->flaw),
                             "time_us", json_u64(h->time_us), "build_id", id, "cause",
                             json_text(h->cause), "live", h->is_live);
    json_object_set_new(root, "used_bytes", json_u64(j->totals.used_bytes));
    json_object_set_new(root, "used_blocks", json_u64(j->totals.n_used));
    json_object_set_new(root, "free_bytes", json_u64(j->totals.free_bytes));
    json_object_set_new(root, "free_blocks", json_u64(j->totals.n_free));
    json_object_set_new(root, "largest_free_bytes", json_u64(j->totals.largest_free));
    json_object_set_new(root, "last_failure", failure(j, f));
    json_object_set_new(root, "damage", wounds(j, f));
    json_object_set_new(root, "regions", regions(j, f));
    json_object_set_new(root, "pools", pools(j, f));
    json_object_set_new(root, "stores", stores(j, f));
    json_object_set_new(root, "accounts", accounts(j->s));
    json_object_set_new(root, "owners", sums(j, f, j->owners, j->n_owners, true));
    json_object_set_new(root, "sites", sums(j, f, j->sites, j->n_sites, false));
    json_object_set_new(root, "suspects", suspects(j, f));
    json_object_set_new(root, "free", free_classes(j));
    json_object_set_new(root, "events", json_u64(j->s->n_events));
    json_object_set_new(root, "from", json_string(origins[j->s->origin]));
    if (of != NULL) json_object_set_new(root, "about", about(j, f, *of));
    print(root);
}

static json_t *changes(const judgement_t *a, const judgement_t *b, firmware_t *f, bool owners)
{
    size_t n;
    json_t *array = json_array();
    change_t *list = owners ? inspect_changes(a->owners, a->n_owners, b->owners, b->n_owners, &n)
                            : inspect_changes(a->sites, a->n_sites, b->sites, b->n_sites, &n);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            array,
            json_pack("{s:o, s:o, s:o, s:o, s:o}", owners ? "owner" : "site",
                      owners ? owner(b->s, list[i].key) : site(a->s, f, list[i].key), "bytes_a",
                      json_u64(list[i].bytes_a), "bytes_b", json_u64(list[i].bytes_b), "blocks_a",
                      json_u64(list[i].blocks_a), "blocks_b", json_u64(list[i].blocks_b)));
    free(list);
    return array;
}

void inspect_diff_json(const judgement_t *a, const judgement_t *b, firmware_t *f)
{
    print(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "used_bytes_a",
                    json_u64(a->totals.used_bytes), "used_bytes_b", json_u64(b->totals.used_bytes),
                    "free_bytes_a", json_u64(a->totals.free_bytes), "free_bytes_b",
                    json_u64(b->totals.free_bytes), "owners", changes(a, b, f, true), "sites",
                    changes(a, b, f, false)));
}
