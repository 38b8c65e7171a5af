/* SPDX-License-Identifier: MIT
 *
 * The reader of dumps, on libcbor's streaming decoder: one token after the other, so nothing is
 * allocated on the word of the dump.
 */
#include "snapshot.h"

#include <cbor.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "history.h"
#include "store.h"

enum { MAX_FIELDS = 64, MAX_INNER = 32 };

typedef enum { NONE, NUMBER, BYTES, TEXT, ARRAY, NOTHING, BREAK, OTHER } kind_t;

typedef struct {
    kind_t kind;
    uint64_t value;       /* of a number; elements of an array */
    const uint8_t *bytes; /* of bytes and text */
    size_t n;
    uint64_t inner[MAX_INNER]; /* of an array of numbers */
} field_t;

typedef struct {
    snapshot_t *s;
    const uint8_t *data;
    size_t size, at;
    field_t token;
    size_t n_fields;
    field_t fields[MAX_FIELDS];
    bool ended;
} reader_t;

/* --- tokens ----------------------------------------------------------------------------------- */

static void take_number(void *context, uint64_t value)
{
    field_t *token = context;
    token->kind = NUMBER;
    token->value = value;
}
static void take_u8(void *context, uint8_t value)
{
    take_number(context, value);
}
static void take_u16(void *context, uint16_t value)
{
    take_number(context, value);
}
static void take_u32(void *context, uint32_t value)
{
    take_number(context, value);
}
static void take_bytes(void *context, cbor_data bytes, size_t n)
{
    field_t *token = context;
    token->kind = BYTES;
    token->bytes = bytes;
    token->n = n;
}
static void take_text(void *context, cbor_data bytes, size_t n)
{
    take_bytes(context, bytes, n);
    ((field_t *)context)->kind = TEXT;
}
static void take_array(void *context, size_t n)
{
    take_number(context, n);
    ((field_t *)context)->kind = ARRAY;
}
static void take_null(void *context)
{
    ((field_t *)context)->kind = NOTHING;
}
static void take_break(void *context)
{
    ((field_t *)context)->kind = BREAK;
}

/* Read one token. false: the dump ends inside it, or it is no CBOR. */
static bool next_token(reader_t *r, bool *is_cut)
{
    struct cbor_callbacks callbacks = cbor_empty_callbacks;
    callbacks.uint8 = take_u8;
    callbacks.uint16 = take_u16;
    callbacks.uint32 = take_u32;
    callbacks.uint64 = take_number;
    callbacks.byte_string = take_bytes;
    callbacks.string = take_text;
    callbacks.array_start = take_array;
    callbacks.null = take_null;
    callbacks.indef_break = take_break;
    memset(&r->token, 0, sizeof r->token);
    r->token.kind = OTHER;
    struct cbor_decoder_result result =
        cbor_stream_decode(r->data + r->at, r->size - r->at, &callbacks, &r->token);
    *is_cut = result.status == CBOR_DECODER_NEDATA || r->at == r->size;
    if (result.status != CBOR_DECODER_FINISHED || r->at == r->size) return false;
    r->at += result.read;
    return true;
}

static void set_flaw(reader_t *r, const char *text, size_t at)
{
    if (r->s->flaw[0] == '\0') snprintf(r->s->flaw, sizeof r->s->flaw, "offset %zu: %s", at, text);
}

/* Read the record that begins here. false: there is none, and flaw says why unless it is the
 * end. */
static bool next_record(reader_t *r)
{
    size_t begin = r->at;
    bool is_cut;
    if (!next_token(r, &is_cut)) {
        set_flaw(r, is_cut ? "the dump ends here, cut off" : "this is no CBOR", begin);
        return false;
    }
    if (r->token.kind == BREAK) return false;
    uint64_t n = r->token.value;
    if (r->token.kind != ARRAY || n == 0 || n > MAX_FIELDS) {
        set_flaw(r, "this is no record of a dump", begin);
        return false;
    }
    memset(r->fields, 0, sizeof r->fields);
    r->n_fields = (size_t)n;
    for (size_t i = 0; i < r->n_fields; i++) {
        bool ok = next_token(r, &is_cut);
        r->fields[i] = r->token;
        uint64_t n_inner = ok && r->token.kind == ARRAY ? r->token.value : 0;
        for (uint64_t k = 0; ok && k < n_inner; k++) { /* each takes a byte at least */
            ok = next_token(r, &is_cut) && r->token.kind == NUMBER;
            if (k < MAX_INNER) r->fields[i].inner[k] = r->token.value;
        }
        if (ok && r->fields[i].kind != OTHER && r->fields[i].kind != BREAK) continue;
        set_flaw(r, is_cut ? "the dump is cut off in this record" : "this record is damaged",
                 begin);
        return false;
    }
    if (r->fields[0].kind == NUMBER) return true;
    set_flaw(r, "this record has no kind", begin);
    return false;
}

/* --- fields ----------------------------------------------------------------------------------- */

/* Element i behind the kind; 0 if it is missing, null, or no number. */
static uint64_t number(const reader_t *r, size_t i)
{
    return i + 1 < r->n_fields && r->fields[i + 1].kind == NUMBER ? r->fields[i + 1].value : 0;
}

static void text(const reader_t *r, size_t i, char *to, size_t size)
{
    const field_t *f = &r->fields[i + 1];
    to[0] = '\0';
    if (i + 1 >= r->n_fields || f->kind != TEXT) return;
    size_t n = f->n < size - 1 ? f->n : size - 1;
    for (size_t k = 0; k < n; k++)
        to[k] = (char)(f->bytes[k] >= ' ' && f->bytes[k] <= '~' ? f->bytes[k] : '?');
    to[n] = '\0';
}

void *snapshot_grown(void *list, size_t n, size_t size)
{
    if ((n & (n - 1)) != 0) return list; /* room for the next power of two is there */
    list = realloc(list, (n == 0 ? 1 : 2 * n) * size);
    if (list == NULL) abort();
    return list;
}

/* --- records ---------------------------------------------------------------------------------- */

static void read_head(reader_t *r)
{
    snap_head_t *h = &r->s->head;
    const field_t *id = &r->fields[5];
    h->version = (uint32_t)number(r, 0);
    h->pointer_bytes = (unsigned)number(r, 1);
    h->library = (uint32_t)number(r, 2);
    h->time_us = number(r, 3);
    if (r->n_fields > 5 && id->kind == BYTES && id->n <= SNAP_ID_BYTES) {
        memcpy(h->build_id, id->bytes, id->n);
        h->n_build_id = id->n;
    }
    h->anchor = number(r, 5);
    h->allocator = number(r, 6);
    h->align_bytes = number(r, 7);
    h->header_bytes = number(r, 8);
    h->front_bytes = number(r, 9);
    h->guard = (unsigned)number(r, 10);
    h->tags = (unsigned)number(r, 11);
    h->check_level = (unsigned)number(r, 12);
    h->site_bits = (unsigned)number(r, 13);
    h->is_live = number(r, 14) != 0;
    text(r, 15, h->cause, sizeof h->cause);
    h->fault_at = number(r, 16);
}

static void read_failure(reader_t *r)
{
    r->s->failure = (snap_failure_t){number(r, 0), number(r, 1), number(r, 2), number(r, 3),
                                     number(r, 4), number(r, 5), number(r, 6), number(r, 7),
                                     number(r, 8), number(r, 9), number(r, 10)};
}

static void read_report(reader_t *r)
{
    r->s->report = (snap_report_t){
        number(r, 0),
        number(r, 1),
        number(r, 2),
        number(r, 3),
        number(r, 4),
        number(r, 5),
        number(r, 6),
        {number(r, 7), number(r, 8), number(r, 9), number(r, 10)},
        {number(r, 11), number(r, 12), number(r, 13), number(r, 14)},
    };
}

static void read_counters(reader_t *r)
{
    snap_counters_t *c = &r->s->counters;
    c->level = number(r, 0);
    c->used_bytes = number(r, 1);
    c->total_bytes = number(r, 2);
    c->n_damaged = number(r, 3);
    for (size_t i = 0; i < SNAP_CHAIN; i++) c->chain[i] = r->fields[5].inner[i];
    for (size_t i = 0; i < SNAP_REASONS; i++) c->by_reason[i] = r->fields[6].inner[i];
    c->quarantine_bytes = number(r, 6);
}

static void read_account(reader_t *r)
{
    snap_account_t *a = SNAP_ADD(r->s, accounts, n_accounts);
    *a = (snap_account_t){.id = number(r, 0),
                          .parent = number(r, 2),
                          .used = number(r, 3),
                          .peak = number(r, 4),
                          .min = number(r, 5),
                          .low = number(r, 6),
                          .high = number(r, 7),
                          .max = number(r, 8),
                          .n_refused = number(r, 9),
                          .n_limited = number(r, 10)};
    text(r, 1, a->name, sizeof a->name);
}

static void read_region(reader_t *r)
{
    snap_region_t *region = SNAP_ADD(r->s, regions, n_regions);
    *region = (snap_region_t){.number = number(r, 0),
                              .begin = number(r, 1),
                              .end = number(r, 2),
                              .heap = number(r, 3),
                              .capabilities = number(r, 4),
                              .priority = number(r, 5),
                              .policy = number(r, 6),
                              .line_bytes = number(r, 7),
                              .reserve_bytes = number(r, 8),
                              .first_block = r->s->n_blocks};
}

static void read_heap(reader_t *r)
{
    if (r->s->n_regions == 0) return;
    snap_region_t *region = &r->s->regions[r->s->n_regions - 1];
    region->has_heap = true;
    region->total = number(r, 0);
    region->free_bytes = number(r, 1);
    region->min_free = number(r, 2);
    region->largest = number(r, 3);
    region->n_live = number(r, 4);
    region->n_allocs = number(r, 5);
    region->n_frees = number(r, 6);
    region->n_failures = number(r, 7);
    region->n_corruptions = number(r, 8);
    region->control_bytes = number(r, 9);
}

static void read_label(reader_t *r, snap_block_t *block, size_t from)
{
    block->requested = number(r, from);
    block->owner = (uint32_t)number(r, from + 1);
    block->site = number(r, from + 2);
    block->birth = number(r, from + 3);
    block->finding = (uint8_t)number(r, from + 4);
    block->first_bad = number(r, from + 5);
}

static void read_block(reader_t *r, size_t offset)
{
    if (r->s->n_regions == 0) return set_flaw(r, "a block stands before its region", offset);
    if (number(r, 2) >= SNAP_ROOM) return set_flaw(r, "a block of an unknown state", offset);
    snap_block_t *block = SNAP_ADD(r->s, blocks, n_blocks);
    *block = (snap_block_t){
        .begin = number(r, 0), .bytes = number(r, 1), .state = (uint8_t)number(r, 2)};
    r->s->regions[r->s->n_regions - 1].n_blocks++;
    if (block->state == SNAP_FREE || block->state == SNAP_CACHED || block->state == SNAP_DAMAGED)
        return;
    block->user = block->begin + r->s->head.header_bytes + r->s->head.front_bytes;
    read_label(r, block, 3);
}

static void read_pool(reader_t *r)
{
    snap_pool_t *pool = SNAP_ADD(r->s, pools, n_pools);
    *pool = (snap_pool_t){number(r, 0),
                          number(r, 1),
                          number(r, 2),
                          number(r, 3),
                          number(r, 4),
                          number(r, 5),
                          number(r, 6),
                          r->s->n_blocks,
                          0,
                          ""};
}

static void read_pool_block(reader_t *r, size_t offset)
{
    if (r->s->n_pools == 0) return set_flaw(r, "a block stands before its pool", offset);
    snap_pool_t *pool = &r->s->pools[r->s->n_pools - 1];
    snap_block_t *block = SNAP_ADD(r->s, blocks, n_blocks);
    *block = (snap_block_t){.begin = number(r, 0),
                            .bytes = pool->block_bytes,
                            .user = number(r, 0),
                            .state = number(r, 1) < SNAP_ROOM ? (uint8_t)number(r, 1) : 0,
                            .in_pool = true};
    pool->n_live++;
    read_label(r, block, 2);
}

/* Behind a region whose heap is none it is the region's. */
static void read_store(reader_t *r)
{
    snapshot_t *s = r->s;
    snap_region_t *region =
        s->n_regions > 0 && s->n_pools == 0 ? &s->regions[s->n_regions - 1] : NULL;
    snap_store_t *store = SNAP_ADD(s, stores, n_stores);
    *store = (snap_store_t){.address = number(r, 1),
                            .layout = number(r, 2),
                            .features = number(r, 3),
                            .unit_bytes = number(r, 4),
                            .header_bytes = number(r, 5),
                            .first = number(r, 6),
                            .end = number(r, 7),
                            .table_end = number(r, 8),
                            .n_handles = number(r, 9),
                            .max_handles = number(r, 10),
                            .free_bytes = number(r, 11),
                            .n_live = number(r, 12),
                            .n_fixed = number(r, 13),
                            .moved_bytes = number(r, 14),
                            .n_moves = number(r, 15),
                            .max_demand_bytes = number(r, 16),
                            .n_failures = number(r, 17),
                            .n_again = number(r, 18),
                            .from = number(r, 19),
                            .to = number(r, 20),
                            .move_bytes = number(r, 21),
                            .copied_bytes = number(r, 22),
                            .first_block = s->n_blocks};
    text(r, 0, store->name, sizeof store->name);
    store->in_region = region != NULL && region->heap == 0 && region->n_blocks == 0 &&
                       store->address - region->begin < region->end - region->begin;
    if (store->in_region) store->region = s->n_regions - 1;
    s->store_is_open = true;
}

static void read_store_block(reader_t *r, size_t offset)
{
    snapshot_t *s = r->s;
    if (!s->store_is_open) return set_flaw(r, "a block stands before its store", offset);
    if (number(r, 2) >= SNAP_ROOM) return set_flaw(r, "a block of an unknown state", offset);
    snap_block_t *block = SNAP_ADD(s, blocks, n_blocks);
    *block = (snap_block_t){
        .begin = number(r, 0), .bytes = number(r, 1), .state = (uint8_t)number(r, 2)};
    block->handle = (uint32_t)number(r, 3);
    block->n_locks = (uint32_t)number(r, 4);
    read_label(r, block, 5);
}

static void read_range(reader_t *r)
{
    snap_range_t *range = SNAP_ADD(r->s, ranges, n_ranges);
    *range = (snap_range_t){.address = number(r, 1), .bytes = number(r, 2)};
    text(r, 0, range->name, sizeof range->name);
}

static void read_raw(reader_t *r)
{
    if (r->n_fields < 3 || r->fields[2].kind != BYTES) return;
    snap_raw_t *raw = SNAP_ADD(r->s, raws, n_raws);
    *raw = (snap_raw_t){number(r, 0), r->fields[2].bytes, r->fields[2].n};
}

static void read_trouble(reader_t *r)
{
    snap_trouble_t *trouble = SNAP_ADD(r->s, troubles, n_troubles);
    *trouble = (snap_trouble_t){.reason = number(r, 0), .where = number(r, 1)};
    text(r, 2, trouble->text, sizeof trouble->text);
}

static void read_end(reader_t *r, size_t offset)
{
    r->ended = true;
    if (number(r, 1) != crc32_z(0, r->data, offset))
        set_flaw(r, "the checksum does not match: bytes were damaged on the way", offset);
    else if (number(r, 0) != r->s->n_records)
        set_flaw(r, "records are missing", offset);
}

static void read_record(reader_t *r, size_t offset)
{
    uint64_t kind = r->fields[0].value;
    if (kind != 11 && kind != 12 && kind != 15) store_close(r->s);
    switch (kind) {
    case 0: read_head(r); break;
    case 1: read_failure(r); break;
    case 2: read_report(r); break;
    case 3: read_counters(r); break;
    case 4: read_account(r); break;
    case 5: read_region(r); break;
    case 6: read_heap(r); break;
    case 7: read_block(r, offset); break;
    case 8: read_pool(r); break;
    case 9: read_pool_block(r, offset); break;
    case 10: read_range(r); break;
    case 11: read_raw(r); break;
    case 12: read_trouble(r); break;
    case 13: read_end(r, offset); break;
    case 14: read_store(r); break;
    case 15: read_store_block(r, offset); break;
    default: break; /* of a later version */
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static const uint8_t magic[] = {0xD9, 0xD9, 0xF7, 0x9F};

/* The first record, without which nothing else means anything. */
static bool begin(reader_t *r, char *error, size_t size)
{
    if (r->size == 0) return snprintf(error, size, "the file is empty"), false;
    if (r->size < sizeof magic || memcmp(r->data, magic, sizeof magic) != 0)
        return snprintf(error, size, "offset 0: not a dump"), false;
    r->at = sizeof magic;
    if (!next_record(r))
        return snprintf(error, size, "%s", r->s->flaw[0] ? r->s->flaw : "offset 4: no head"), false;
    if (r->fields[0].value != 0) return snprintf(error, size, "offset 4: no head"), false;
    read_head(r);
    const snap_head_t *h = &r->s->head;
    if (h->version != 1)
        return snprintf(error, size,
                        "offset 6: dump format version %" PRIu32 "; this tool reads version 1",
                        h->version),
               false;
    if ((h->pointer_bytes != 4 && h->pointer_bytes != 8) || h->header_bytes > 64 ||
        h->front_bytes > 4096)
        return snprintf(error, size, "offset 4: the head is damaged"), false;
    r->s->n_records = 1;
    return true;
}

snapshot_t *snapshot_read(const uint8_t *data, size_t size, char *error, size_t error_size)
{
    reader_t *r = calloc(1, sizeof *r);
    snapshot_t *s = calloc(1, sizeof *s);
    if (r == NULL || s == NULL) abort();
    r->s = s;
    r->data = data;
    r->size = s->n_bytes = size;
    if (!begin(r, error, error_size)) {
        free(r);
        snapshot_free(s);
        return NULL;
    }
    for (size_t offset = r->at; !r->ended && next_record(r); offset = r->at) {
        s->n_records++;
        read_record(r, offset);
    }
    store_close(s);
    if (!r->ended) set_flaw(r, "the dump has no end", r->at);
    bool is_cut;
    if (r->ended && (!next_token(r, &is_cut) || r->token.kind != BREAK))
        set_flaw(r, "the dump is cut off", r->at);
    else if (r->ended && r->at != size)
        set_flaw(r, "something follows the dump", r->at);
    history_find(s);
    free(r);
    return s;
}

void snapshot_free(snapshot_t *s)
{
    if (s == NULL) return;
    free(s->accounts);
    free(s->regions);
    free(s->pools);
    free(s->stores);
    free(s->blocks);
    free(s->raws);
    free(s->ranges);
    free(s->troubles);
    free(s->events);
    for (size_t i = 0; i < s->n_copies; i++) free(s->copies[i]);
    free(s->copies);
    free(s);
}

const snap_account_t *snapshot_account(const snapshot_t *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_accounts; i++)
        if (s->accounts[i].id == id) return &s->accounts[i];
    return NULL;
}
