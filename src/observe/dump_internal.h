/* SPDX-License-Identifier: MIT
 *
 * What the dump's sources share: how it looks at one heap. dump.c tells the story.
 */
#ifndef EALLOC_OBSERVE_DUMP_INTERNAL_H
#define EALLOC_OBSERVE_DUMP_INTERNAL_H

#include "ealloc/dump.h"

/* The records, as docs/formats/dump.md numbers them. */
enum {
    EAI_RECORD_HEAD,
    EAI_RECORD_FAILURE,
    EAI_RECORD_DAMAGE,
    EAI_RECORD_COUNTERS,
    EAI_RECORD_ACCOUNT,
    EAI_RECORD_REGION,
    EAI_RECORD_HEAP,
    EAI_RECORD_BLOCK,
    EAI_RECORD_POOL,
    EAI_RECORD_POOL_BLOCK,
    EAI_RECORD_RANGE,
    EAI_RECORD_RAW,
    EAI_RECORD_TROUBLE,
    EAI_RECORD_END,
    EAI_RECORD_STORE,
    EAI_RECORD_STORE_BLOCK
};

/* --- writing (dump_write.c) ------------------------------------------------------------------- */

#define EAI_CBOR_UINT 0u
#define EAI_CBOR_BYTES 2u
#define EAI_CBOR_TEXT 3u
#define EAI_CBOR_ARRAY 4u
#define EAI_CBOR_NULL 0xF6u

void eai_dump_flush(ea_dump_t *d);
void eai_dump_put(ea_dump_t *d, const void *bytes, size_t n);
void eai_dump_put_head(ea_dump_t *d, unsigned major, uint64_t value);
void eai_dump_put_u(ea_dump_t *d, uint64_t value);
void eai_dump_put_address(ea_dump_t *d, const void *address);
void eai_dump_put_null(ea_dump_t *d);
/* The next record: n_fields values follow. */
void eai_dump_open(ea_dump_t *d, unsigned kind, unsigned n_fields);
/* Text of the library or of the caller, which needs no leave to be read; NULL: none. */
void eai_dump_put_text(ea_dump_t *d, const char *text);
void eai_dump_put_raw(ea_dump_t *d, const char *begin, size_t n);
void eai_dump_put_trouble(ea_dump_t *d, ea_dump_trouble_t what, const void *where,
                          const char *text);
/* May n bytes be read; and is it besides aligned as an object must be? */
bool eai_dump_is_readable(const ea_dump_t *d, const void *ptr, size_t n);
bool eai_dump_is_object(const ea_dump_t *d, const void *ptr, size_t n);

/* --- blocks and pools (dump_pools.c) ---------------------------------------------------------- */

#if EAI_TAGGED
/* Whose the block with its tag at where is, what was asked for, what the guards say of it. */
void eai_dump_look_at_tag(const ea_allocator_t *a, const void *where, const char *payload,
                          size_t usable, eai_dump_sight_t *sight);
#endif
#if EA_CFG_ALLOC_POOLS
typedef enum { EAI_DUMP_NO_POOL, EAI_DUMP_NEXT_POOL, EAI_DUMP_ITS_BLOCKS } eai_dump_pool_t;
/* The record of the next pool, and what to do then. */
eai_dump_pool_t eai_dump_pool(ea_dump_t *d);
/* Some of its blocks. false: those were the last. */
bool eai_dump_pool_blocks(ea_dump_t *d);
#endif

/* --- regions (dump.c) ------------------------------------------------------------------------- */

/* A region's lock, if the system is live; slot NULL: of none. */
void eai_dump_lock(const ea_dump_t *d, const eai_region_slot_t *slot);
void eai_dump_unlock(const ea_dump_t *d, const eai_region_slot_t *slot);
/* Fill in what the allocator knows of a used block, of so many usable bytes, of its region. */
void eai_dump_look_closer(const ea_dump_t *d, const eai_region_slot_t *slot, const char *raw,
                          size_t usable, eai_dump_sight_t *sight);
/* What follows a block's state in its record; the finding only if there is one. */
void eai_dump_put_whose(ea_dump_t *d, const eai_dump_sight_t *sight);
/* The trouble of a look, and the bytes around what is damaged as far as they are in that memory. */
void eai_dump_put_wounds(ea_dump_t *d, const eai_dump_sight_t *sight, const char *begin,
                         const char *end);

/* --- stores of movable blocks (dump_movable.c) ------------------------------------------------ */

/* The record of the store in this memory. false: no block can be looked at. */
bool eai_dump_store(ea_dump_t *d, const eai_region_slot_t *slot, const char *mem, const char *end,
                    const char *name);
/* Look at its next block; slot NULL: it is no allocator's. false: that was all. */
bool eai_dump_store_block(ea_dump_t *d, const eai_region_slot_t *slot);
/* The two, as EA_DUMP_STORES() brings them. */
struct eai_dump_stores {
    bool (*begin)(ea_dump_t *d, const eai_region_slot_t *slot, const char *mem, const char *end,
                  const char *name);
    bool (*next)(ea_dump_t *d, const eai_region_slot_t *slot);
};

/* --- a heap (dump_heap.c) --------------------------------------------------------------------- */

/* No block was met in this step. */
#define EAI_DUMP_NOTHING 0xFFu

/* Look at the control structure of a heap that should lie from begin up to end, memory that may be
 * read.
 * Returns  true: its blocks can be looked at; sight->eai_trouble says if something is damaged all
 *          the same. false: it is too damaged. */
bool eai_dump_heap_begin(eai_dump_heap_t *h, const ea_heap_t *heap, const char *begin,
                         const char *end, eai_dump_sight_t *sight);

/* The next block, or (EAI_DUMP_NOTHING) a step on the way to it, with its trouble if it has one.
 * Returns  false behind the last one; sight may hold trouble then too. Cost O(1). */
bool eai_dump_heap_next(eai_dump_heap_t *h, eai_dump_sight_t *sight);

/* Numbers of a heap whose control structure was found possible; largest_free_bytes only if it is
 * sound throughout. checks: see to that, O(blocks); what is broken stands in *sight. */
void eai_dump_heap_stats(const eai_dump_heap_t *h, bool checks, ea_heap_stats_t *stats,
                         eai_dump_sight_t *sight);

#endif
