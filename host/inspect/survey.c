/* SPDX-License-Identifier: MIT
 *
 * Rule as on the device: an address is followed if what it leads to is in the image, a number
 * bounds a loop if the image's size bounds it.
 */
#define _GNU_SOURCE
#include "survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ealloc/dump.h"
#include "history.h"
#include "survey_internal.h"

enum { MOST_NODES = 1 << 16, MOST_CLASSES = 256, MOST_SLABS = 1 << 12, MOST_HOOKS = 16 };
enum { RAW_BEFORE = 32, RAW_BEHIND = 64 };
#define STATE_LIVE 0xACC07A11u /* of an account's node */

void survey_trouble(survey_t *v, unsigned reason, uint64_t where, const char *text)
{
    snap_trouble_t *t = SNAP_ADD(v->s, troubles, n_troubles);
    *t = (snap_trouble_t){.reason = reason, .where = where};
    snprintf(t->text, sizeof t->text, "%s", text);
}

void survey_flaw(survey_t *v, const char *what, uint64_t where)
{
    if (v->s->flaw[0] == '\0')
        snprintf(v->s->flaw, sizeof v->s->flaw, "%s from 0x%" PRIx64 " on", what, where);
}

const uint8_t *survey_memory(survey_t *v, uint64_t address, uint64_t n, uint64_t *there)
{
    *there = image_room(v->image, address, n);
    if (*there == 0) return NULL;
    const uint8_t *bytes = image_at(v->image, address, *there);
    if (bytes != NULL) return bytes;
    uint8_t *copy = malloc((size_t)*there);
    if (copy == NULL) abort();
    (void)image_copy(v->image, address, copy, *there);
    *SNAP_ADD(v->s, copies, n_copies) = copy;
    return copy;
}

void survey_raw(survey_t *v, uint64_t where, uint64_t begin, uint64_t end)
{
    uint64_t there;
    if (where < begin || where >= end) return;
    if (where - begin > RAW_BEFORE) begin = where - RAW_BEFORE;
    if (end - where > RAW_BEHIND) end = where + RAW_BEHIND;
    const uint8_t *bytes = survey_memory(v, begin, end - begin, &there);
    if (bytes != NULL) *SNAP_ADD(v->s, raws, n_raws) = (snap_raw_t){begin, bytes, (size_t)there};
}

/* --- small records ---------------------------------------------------------------------------- */

static uint64_t constant(const survey_t *v, const char *name, uint64_t otherwise)
{
    uint64_t value;
    return layout_constant(v->layout, name, &value) ? value : otherwise;
}

/* What the program was configured with; where the allocator is not in it, the heap's own. */
static void read_rules(survey_t *v)
{
    snap_head_t *h = &v->s->head;
    bool wide = layout_pointer_bytes(v->layout) == 8;
    h->version = 1;
    h->pointer_bytes = wide ? 8 : 4;
    h->library = (uint32_t)constant(v, "EAI_LAYOUT_LIBRARY", 0);
    h->site_bits = wide ? 48 : 21;
    h->align_bytes = v->align_bytes = constant(v, "EAI_LAYOUT_ALIGN", wide ? 16 : 8);
    if (h->align_bytes != 8 && h->align_bytes != 16) h->align_bytes = v->align_bytes = 8;
    h->header_bytes = HEADER_BYTES;
    h->tags = (unsigned)constant(v, "EAI_LAYOUT_TAGS", 0);
    h->guard = (unsigned)constant(v, "EAI_LAYOUT_GUARD", 0);
    h->check_level = v->check_level = (unsigned)constant(v, "EAI_LAYOUT_CHECK_LEVEL", 1);
    v->pool_bits = constant(v, "EAI_LAYOUT_POOL_BITS", 0) != 0;
    v->pool_bits_turn = constant(v, "EAI_LAYOUT_POOL_BITS_TURN", 0) != 0;
}

/* Blocks of an allocator have tags, those of a heap alone have none. */
static void read_tag_rules(survey_t *v, view_t allocator)
{
    label_rules_t *rules = &v->rules;
    uint64_t front = constant(v, "EAI_LAYOUT_FRONT_BYTES", 0);
    if (front < 8 || front > 4096 || front % 4 != 0) return;
    rules->tag_bytes = layout_pointer_bytes(v->layout) == 8 ? 16 : 8;
    if (front < rules->tag_bytes) front = rules->tag_bytes;
    rules->front_bytes = (unsigned)front;
    rules->tags = v->s->head.tags;
    rules->guard = v->s->head.guard;
    rules->sampled = (unsigned)constant(v, "EAI_LAYOUT_GUARD_SAMPLED", 0);
    rules->key = (uint32_t)view_number(view_member(allocator, "eai_guard"), "key");
    v->s->head.front_bytes = front;
}

static void read_failure(survey_t *v, view_t allocator)
{
    view_t f = view_member(allocator, "eai_failure");
    v->s->failure = (snap_failure_t){view_number(f, "sequence"),
                                     view_number(f, "reason"),
                                     view_number(f, "owner"),
                                     view_number(f, "limiter"),
                                     view_number(f, "size_bytes"),
                                     view_number(f, "alignment_bytes"),
                                     view_number(f, "capabilities"),
                                     view_number(f, "free_bytes"),
                                     view_number(f, "largest_free_bytes"),
                                     view_number(f, "caller"),
                                     view_number(f, "time_us")};
}

static snap_neighbour_t neighbour(view_t n)
{
    return (snap_neighbour_t){view_number(n, "block"), view_number(n, "size_bytes"),
                              view_number(n, "site"), view_number(n, "owner")};
}

static void read_report(survey_t *v, view_t allocator)
{
    view_t r = view_member(allocator, "eai_last_damage");
    v->s->report = (snap_report_t){view_number(r, "kind"),
                                   view_number(r, "block"),
                                   view_number(r, "size_bytes"),
                                   view_number(r, "first_bad"),
                                   view_number(r, "site"),
                                   view_number(r, "birth"),
                                   view_number(r, "owner"),
                                   neighbour(view_member(r, "below")),
                                   neighbour(view_member(r, "above"))};
}

static void read_counters(survey_t *v, view_t allocator)
{
    snap_counters_t *c = &v->s->counters;
    view_t chain = view_member(allocator, "eai_n_chain"),
           reasons = view_member(allocator, "eai_n_failures_by");
    c->level = view_number(view_member(allocator, "eai_pressure"), "eai_level");
    c->used_bytes = view_number(allocator, "eai_used_bytes");
    c->total_bytes = view_number(allocator, "eai_total_bytes");
    c->n_damaged = view_number(allocator, "eai_n_damaged");
    c->quarantine_bytes = view_number(view_member(allocator, "eai_quarantine"), "bytes");
    for (unsigned i = 0; i < SNAP_CHAIN && i < view_length(chain); i++)
        c->chain[i] = view_value(view_element(chain, i));
    for (unsigned i = 0; i < SNAP_REASONS && i < view_length(reasons); i++)
        c->by_reason[i] = view_value(view_element(reasons, i));
}

/* --- accounts --------------------------------------------------------------------------------- */

static uint32_t mix(uint32_t seal, uint64_t value)
{
    seal = (seal ^ (uint32_t)value) * 0x9E3779B1u;
    seal = (seal ^ seal >> 15 ^ (uint32_t)(value >> 32)) * 0x85EBCA77u;
    return seal ^ seal >> 13;
}

static uint32_t account_seal(view_t node)
{
    static const char *const words[] = {"eai_floor", "eai_max",    "eai_low",  "eai_high",
                                        "eai_batch", "eai_parent", "eai_book", "eai_name"};
    uint32_t seal = mix(0xACC0u, node.address);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        seal = mix(seal, view_number(node, words[i]));
    return mix(seal, view_number(node, "eai_id") << 16 | view_number(node, "eai_depth") << 8 |
                         view_number(node, "eai_priority"));
}

static void read_name(survey_t *v, uint64_t address, char *to, size_t size)
{
    size_t n = 0;
    for (uint64_t c; n + 1 < size && image_number(v->image, address + n, 1, &c) && c != 0; n++)
        to[n] = (char)(c >= ' ' && c <= '~' ? c : '?');
    to[n] = '\0';
}

static void read_account(survey_t *v, view_t node, uint64_t nodes, uint64_t i)
{
    uint64_t one = view_bytes(node), parent = view_number(node, "eai_parent") - nodes;
    uint64_t avail = view_number(node, "eai_avail"), credit = view_number(node, "eai_credit");
    bool sound = view_number(node, "eai_seal") == account_seal(node);
    if (!sound) survey_trouble(v, EA_DUMP_SEAL, node.address, "account");
    snap_account_t *a = SNAP_ADD(v->s, accounts, n_accounts);
    *a = (snap_account_t){.id = i + 1,
                          .used = credit > avail ? credit - avail : 0,
                          .peak = view_number(node, "eai_peak"),
                          .min = view_number(node, "eai_floor"),
                          .low = view_number(node, "eai_low"),
                          .high = view_number(node, "eai_high"),
                          .max = view_number(node, "eai_max"),
                          .n_refused = view_number(node, "eai_n_refused"),
                          .n_limited = view_number(node, "eai_n_limited")};
    if (sound && parent % one == 0 && parent / one < MOST_NODES) a->parent = parent / one + 1;
    if (sound) read_name(v, view_number(node, "eai_name"), a->name, 33);
}

static void read_accounts(survey_t *v, view_t allocator)
{
    uint64_t address = view_number(allocator, "eai_accounts");
    view_t book = view_struct(v->layout, v->image, "ea_accounts", address);
    if (address == 0 || !book.has_type) return;
    uint64_t nodes = view_number(book, "eai_nodes"), n = view_number(book, "eai_n_nodes");
    view_t node = view_struct(v->layout, v->image, "ea_account", nodes);
    uint64_t one = view_bytes(node);
    if (!view_is_there(book) || one == 0 || n > MOST_NODES ||
        image_room(v->image, nodes, n * one) != n * one) {
        survey_trouble(v, EA_DUMP_RANGE, address, "book of accounts");
        return;
    }
    uint64_t state = view_offset(node, "eai_state");
    for (uint64_t i = 0, is; i < n; i++) {
        node.address = nodes + i * one;
        if (image_number(v->image, node.address + state, 4, &is) && is == STATE_LIVE)
            read_account(v, node, nodes, i);
    }
}

/* --- regions ---------------------------------------------------------------------------------- */

static void read_slot(survey_t *v, view_t slot, uint64_t number)
{
    uint64_t begin = view_number(slot, "eai_begin"), end = view_number(slot, "eai_end");
    if (begin == end) return;
    uint64_t line = view_number(slot, "eai_line_log2");
    snap_region_t *r = SNAP_ADD(v->s, regions, n_regions);
    *r = (snap_region_t){.number = number,
                         .begin = begin,
                         .end = end,
                         .heap = view_number(slot, "eai_heap"),
                         .capabilities = view_number(slot, "eai_capabilities"),
                         .priority = view_number(slot, "eai_priority"),
                         .policy = view_number(slot, "eai_policy"),
                         .line_bytes = line < 32 ? (uint64_t)1 << line : 0,
                         .reserve_bytes = view_number(slot, "eai_reserve_bytes"),
                         .first_block = v->s->n_blocks};
    uint64_t store = view_number(slot, "eai_store");
    if (begin < end && store >= begin && store < end)
        survey_store(v, store, end, view_number(slot, "eai_owners"), "");
    else if (begin > end || r->heap < begin || r->heap >= end)
        survey_trouble(v, EA_DUMP_RANGE, slot.address, "region");
    else
        survey_heap(v, r->heap, end, view_number(slot, "eai_moving"));
}

/* Where the object of a variable is; 0: nowhere. */
static uint64_t place_of(const survey_options_t *o, const object_t *object)
{
    uint64_t address = object->address + o->loaded;
    if (object->is_pointer)
        (void)image_number(o->image, address, layout_pointer_bytes(o->layout), &address);
    return address;
}

/* --- pools ------------------------------------------------------------------------------------ */

/* Blocks from index on that are handed out, of the slab of n blocks at base. */
static void read_pool_blocks(survey_t *v, snap_pool_t *pool, uint64_t base, uint64_t n,
                             uint64_t tags)
{
    unsigned tag_bytes = v->rules.tag_bytes;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bits = 0, address = base + i * pool->block_bytes, there;
        bool live = false;
        uint8_t tag[16];
        static const uint8_t none[16];
        if (v->pool_bits) {
            (void)image_number(v->image, base - (i / 32 + 1) * 4, 4, &bits);
            live = (bits >> (v->pool_bits_turn ? (32 - i % 32) % 32 : i % 32) & 1) != 0;
            if (!live) continue;
        }
        snap_block_t b = {.begin = address,
                          .bytes = pool->block_bytes,
                          .user = address,
                          .requested = pool->block_bytes,
                          .state = SNAP_USED,
                          .in_pool = true};
        const uint8_t *bytes = survey_memory(v, address, pool->block_bytes, &there);
        if (bytes == NULL || there < pool->block_bytes) {
            survey_flaw(v, "a pool's memory is missing", address + there);
            return;
        }
        if (tags != 0 && tag_bytes != 0 &&
            image_copy(v->image, tags + i * tag_bytes, tag, tag_bytes) &&
            memcmp(tag, none, tag_bytes) != 0) {
            bool tagged = label_read(&v->rules, &b, tag, bytes, pool->block_bytes, false);
            live |= tagged && b.state == SNAP_USED && b.finding == 0;
        }
        if (!live) continue;
        pool->n_live++;
        if (pool->name[0] != '\0') continue;
        if (b.finding != 0) survey_raw(v, b.first_bad, address, address + b.bytes);
        *SNAP_ADD(v->s, blocks, n_blocks) = b;
    }
}

void survey_pool(survey_t *v, view_t view, uint64_t number, const char *name, uint64_t tags_before)
{
    view_t counters = view_member(view, "eai_counters");
    snap_pool_t pool = {.number = number,
                        .base = view_number(view, "eai_base"),
                        .block_bytes = view_number(view, "eai_block_bytes"),
                        .n_blocks = view_number(view, "eai_n_blocks"),
                        .n_fresh = view_number(view, "eai_fresh"),
                        .n_allocs = view_number(counters, "eai_n_allocs"),
                        .n_failures = view_number(counters, "eai_n_failures"),
                        .first_block = v->s->n_blocks};
    snprintf(pool.name, sizeof pool.name, "%s", name);
    uint64_t first = pool.n_blocks, fresh = pool.n_fresh,
             most = pool.block_bytes != 0 ? image_bytes(v->image) / pool.block_bytes + 1 : 0;
    uint64_t tags = v->tags_of_pools != 0 && tags_before != UINT64_MAX
                        ? v->tags_of_pools + tags_before * v->rules.tag_bytes
                        : 0;
    if (pool.block_bytes == 0 || first > most) {
        survey_trouble(v, EA_DUMP_RANGE, view.address, "pool");
        *SNAP_ADD(v->s, pools, n_pools) = pool;
        return;
    }
    read_pool_blocks(v, &pool, pool.base, fresh < first ? fresh : first, tags);
    uint64_t slab = view_number(view, "eai_slabs");
    for (unsigned i = 0; slab != 0 && i < MOST_SLABS; i++) {
        view_t s = view_struct(v->layout, v->image, "eai_pool_slab", slab);
        if (!view_is_there(s)) break;
        uint64_t from = view_number(s, "first"), n = view_number(s, "n_blocks");
        uint64_t used = fresh > from ? fresh - from : 0;
        if (n > most) {
            survey_trouble(v, EA_DUMP_RANGE, slab, "slab of a pool");
            break;
        }
        read_pool_blocks(v, &pool, view_number(s, "base"), used < n ? used : n, 0);
        pool.n_blocks += n;
        slab = view_number(s, "next");
    }
    *SNAP_ADD(v->s, pools, n_pools) = pool;
}

static void read_pools(survey_t *v, view_t allocator)
{
    uint64_t address = view_number(allocator, "eai_pools"), before = 0;
    view_t set = view_struct(v->layout, v->image, "ea_poolset", address);
    if (address == 0 || !set.has_type) return;
    uint64_t pools = view_number(set, "eai_pools"), n = view_number(set, "eai_n_classes");
    v->tags_of_pools = view_number(allocator, "eai_pool_tags");
    if (!view_is_there(set) || n > MOST_CLASSES) {
        survey_trouble(v, EA_DUMP_RANGE, address, "pool set");
        return;
    }
    for (uint64_t k = 0; k < n; k++) {
        view_t pool = view_struct(v->layout, v->image, "ea_pool", pools);
        pool.address += k * view_bytes(pool);
        if (!view_is_there(pool)) {
            survey_trouble(v, EA_DUMP_RANGE, pool.address, "pool");
            return;
        }
        survey_pool(v, pool, k, "", before);
        before += view_number(pool, "eai_n_blocks");
    }
}

/* Pools that are variables of the program. */
static void read_own_pools(survey_t *v, uint64_t loaded)
{
    size_t n;
    const object_t *objects = layout_objects(v->layout, &n);
    for (size_t i = 0; i < n; i++) {
        uint64_t address = objects[i].address + loaded;
        view_t pool = view_struct(v->layout, v->image, "ea_pool", address);
        if (objects[i].kind == OF_POOL && view_is_there(pool) && view_number(pool, "eai_base") != 0)
            survey_pool(v, pool, v->s->n_pools, objects[i].name, UINT64_MAX);
    }
}

static void read_own_store(survey_t *v, uint64_t address, const char *name)
{
    bool is_known = false;
    for (size_t k = 0; k < v->s->n_stores; k++) is_known |= v->s->stores[k].address == address;
    if (!is_known && survey_is_store(v, address)) survey_store(v, address, UINT64_MAX, 0, name);
}

/* Stores that variables of the program lead to and that are no allocator's; and the one at chosen,
 * if that is none of these. */
static void read_own_stores(survey_t *v, const survey_options_t *o, uint64_t chosen)
{
    size_t n;
    const object_t *objects = layout_objects(v->layout, &n);
    for (size_t i = 0; i < n; i++) {
        if (objects[i].kind != OF_STORE || !objects[i].is_pointer) continue;
        read_own_store(v, place_of(o, &objects[i]), objects[i].name);
    }
    if (chosen != 0) read_own_store(v, chosen, NULL);
}

/* --- the history ------------------------------------------------------------------------------ */

static bool read_history(survey_t *v, uint64_t address)
{
    uint64_t there, n = history_bytes_at(v->image, layout_pointer_bytes(v->layout), address);
    const uint8_t *bytes = n != 0 ? survey_memory(v, address, n, &there) : NULL;
    return bytes != NULL &&
           history_read(v->s, bytes, (size_t)there, layout_pointer_bytes(v->layout));
}

/* The ring is one of the allocator's hooks, or a variable leads to it. */
static void find_history(survey_t *v, view_t allocator, uint64_t loaded)
{
    uint64_t hook = view_number(allocator, "eai_hooks");
    view_t trace = view_struct(v->layout, v->image, "ea_trace", 0);
    if (!trace.has_type) return;
    for (unsigned i = 0; hook != 0 && i < MOST_HOOKS; i++) {
        view_t node = view_struct(v->layout, v->image, "ea_alloc_hook", hook);
        if (read_history(v, hook - view_offset(trace, "eai_hook")) || !view_is_there(node)) break;
        hook = view_number(node, "eai_next");
    }
    size_t n;
    const object_t *objects = layout_objects(v->layout, &n);
    for (size_t i = 0; i < n && v->s->n_events == 0; i++) {
        uint64_t address = objects[i].address + loaded;
        if (objects[i].kind != OF_TRACE) continue;
        if (objects[i].is_pointer)
            (void)image_number(v->image, address, layout_pointer_bytes(v->layout), &address);
        (void)read_history(v, address);
    }
}

/* --- which one -------------------------------------------------------------------------------- */

static bool is_allocator(const survey_t *v, uint64_t address)
{
    view_t a = view_struct(v->layout, v->image, "ea_allocator", address);
    view_t slots = view_member(a, "eai_slots");
    if (!view_is_there(a)) return false;
    for (uint64_t i = 0; i < view_length(slots); i++) {
        view_t slot = view_element(slots, i);
        if (view_number(slot, "eai_begin") < view_number(slot, "eai_end")) return true;
    }
    return false;
}

static bool is_sound(const survey_t *v, object_kind_t kind, uint64_t address)
{
    uint64_t end;
    if (kind == OF_ALLOCATOR) return is_allocator(v, address);
    if (kind == OF_STORE) return survey_is_store(v, address);
    return kind == OF_HEAP && address != 0 && survey_is_heap(v, address, &end);
}

/* Sets kind and address. false: there is none, and error says so. */
static bool choose(survey_t *v, const survey_options_t *o, object_kind_t *kind, uint64_t *address,
                   char *error, size_t size)
{
    size_t n, n_others = 0;
    const object_t *objects = layout_objects(o->layout, &n), *chosen = NULL;
    if (o->which != NULL && o->which[0] >= '0' && o->which[0] <= '9') {
        uint64_t end;
        *address = strtoull(o->which, NULL, 0);
        *kind = survey_is_heap(v, *address, &end) ? OF_HEAP
                : survey_is_store(v, *address)    ? OF_STORE
                                                  : OF_ALLOCATOR;
        snprintf(v->s->subject, sizeof v->s->subject, "at 0x%" PRIx64, *address);
        if (*kind != OF_ALLOCATOR || is_allocator(v, *address)) return true;
        snprintf(error, size,
                 "no allocator, heap or store of movable blocks of ealloc is at 0x%" PRIx64,
                 *address);
        return false;
    }
    static const object_kind_t order[] = {OF_ALLOCATOR, OF_HEAP, OF_STORE};
    for (unsigned pass = 0; pass < sizeof order / sizeof order[0]; pass++) {
        for (size_t i = 0; i < n; i++) {
            object_kind_t is = objects[i].kind;
            if (is != order[pass]) continue;
            if (o->which != NULL && strcmp(o->which, objects[i].name) != 0) continue;
            uint64_t at = place_of(o, &objects[i]);
            if (!is_sound(v, is, at)) continue;
            if (chosen != NULL) {
                n_others += at != *address;
                continue;
            }
            chosen = &objects[i];
            *kind = is;
            *address = at;
        }
        if (chosen != NULL) break;
    }
    if (chosen == NULL && o->which != NULL) {
        snprintf(error, size, "no allocator, heap or store in use is called that (--heap)");
        return false;
    }
    if (chosen == NULL) {
        snprintf(error, size,
                 "no allocator, heap or store of ealloc in use is among the variables of what was "
                 "compiled with -g; --heap ADDRESS names one");
        return false;
    }
    int at = snprintf(v->s->subject, sizeof v->s->subject, "%.60s, at 0x%" PRIx64, chosen->name,
                      *address);
    if (n_others > 0 && at > 0 && (size_t)at < sizeof v->s->subject)
        snprintf(v->s->subject + at, sizeof v->s->subject - (size_t)at, "; %zu more: --heap NAME",
                 n_others);
    return true;
}

/* Nothing tells the time but the blocks and the history. */
static void read_time(survey_t *v)
{
    snapshot_t *s = v->s;
    uint64_t tick = 0;
    for (size_t i = 0; i < s->n_blocks; i++)
        if (s->blocks[i].state == SNAP_USED && s->blocks[i].birth > tick) tick = s->blocks[i].birth;
    s->head.time_us = tick << 22;
    s->head.has_no_time = true;
    if (s->n_events > 0 && s->events[s->n_events - 1].time_us >= s->head.time_us) {
        s->head.time_us = s->events[s->n_events - 1].time_us;
    }
}

static void survey_bare_heap(survey_t *v, uint64_t address)
{
    uint64_t end = 0;
    (void)survey_is_heap(v, address, &end);
    v->s->head.tags = 0;
    *SNAP_ADD(v->s, regions, n_regions) =
        (snap_region_t){.begin = address, .end = end, .heap = address, .first_block = 0};
    survey_heap(v, address, end, 0);
}

snapshot_t *survey(const survey_options_t *o, char *error, size_t error_size)
{
    survey_t v = {.image = o->image, .layout = o->layout};
    object_kind_t kind = OF_ALLOCATOR;
    uint64_t address = 0;
    v.s = calloc(1, sizeof *v.s);
    if (v.s == NULL) abort();
    read_rules(&v);
    if (!choose(&v, o, &kind, &address, error, error_size)) {
        snapshot_free(v.s);
        return NULL;
    }
    v.s->n_bytes = (size_t)image_bytes(o->image);
    view_t allocator = view_struct(o->layout, o->image, "ea_allocator", address);
    v.s->head.allocator = address;
    if (kind == OF_ALLOCATOR) {
        read_tag_rules(&v, allocator);
        v.reserve = view_number(allocator, "eai_reserve");
        read_failure(&v, allocator);
        read_report(&v, allocator);
        read_counters(&v, allocator);
        read_accounts(&v, allocator);
        view_t slots = view_member(allocator, "eai_slots");
        for (uint64_t i = 0; i < view_length(slots); i++) read_slot(&v, view_element(slots, i), i);
        read_pools(&v, allocator);
        find_history(&v, allocator, o->loaded);
    } else if (kind == OF_HEAP) {
        survey_bare_heap(&v, address);
    } else {
        v.s->head.allocator = 0; /* the stores below are all there is */
        v.s->head.tags = 0;
    }
    read_own_pools(&v, o->loaded);
    read_own_stores(&v, o, kind == OF_STORE ? address : 0);
    read_time(&v);
    if (v.s->flaw[0] == '\0' && image_flaw(o->image)[0] != '\0')
        snprintf(v.s->flaw, sizeof v.s->flaw, "%s", image_flaw(o->image));
    return v.s;
}
