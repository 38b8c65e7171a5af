/* SPDX-License-Identifier: MIT
 *
 * A dump of everything an allocator knows (row B2): its regions block by block, pools, owners, the
 * last refusal and the last damage, and of stores of movable blocks that belong to no allocator, as
 * CBOR through a callback; `ealloc inspect` reads it on the host. docs/formats/dump.md describes
 * the format, docs/dump.md how to take one.
 *
 *     static ea_dump_t dump; // not on a fault handler's stack
 *     static const ea_dump_options_t options = {.write = write_to_uart};
 *     (void)ea_dump(&dump, &memory, &options);
 *
 * Nothing is allocated and nothing of the allocator is changed. What is damaged is no obstacle:
 * every address and size is tested before it is followed, what cannot be read is named in the dump
 * with the reason, and behind a damaged block header the dump goes on with the next block that
 * makes sense. So it may be called from a fault handler, also if the fault interrupted the
 * allocator: then nothing is locked (is_live false), and nothing may run meanwhile.
 *
 * From a running system (is_live true) a dump is taken a step at a time, each under the locks it
 * needs for the time of one look; what changes between the steps is dumped before or after its
 * change. It walks the heaps as ea_allocator_walk() does: one walk at a time.
 *
 * Stack: less than 512 bytes on 32-bit machines, the callback itself not counted.
 */
#ifndef EALLOC_DUMP_H
#define EALLOC_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ealloc/allocator.h"
#include "ealloc/compiler.h"
#include "ealloc/heap.h"
#include "ealloc/movable.h"
#include "ealloc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EA_DUMP_VERSION 1u

/* What a block is. The numbers are stable across versions. */
typedef enum {
    EA_DUMP_FREE = 0,
    EA_DUMP_USED = 1,
    EA_DUMP_WAITING = 2,  /* freed, and not in its heap yet: in quarantine, or by an interrupt */
    EA_DUMP_INTERNAL = 3, /* the allocator's own                                               */
    EA_DUMP_CACHED = 4,   /* free, in a quick list                                             */
    EA_DUMP_MOVING = 5,   /* in the middle of a realloc; a movable block: of a move            */
    EA_DUMP_DAMAGED = 6   /* from a damaged header to the next block that makes sense          */
} ea_dump_state_t;

/* Why something could not be read, or is not as it should be. The numbers are stable. */
typedef enum {
    EA_DUMP_SEAL = 1,      /* what is sealed does not match its seal                       */
    EA_DUMP_RANGE = 2,     /* an address or size leads out of the memory it should lie in   */
    EA_DUMP_HEADER = 3,    /* a block's header is impossible                               */
    EA_DUMP_FLAGS = 4,     /* a header disagrees with the block below about its being free */
    EA_DUMP_TAIL = 5,      /* a free block's size does not stand at its end                */
    EA_DUMP_INVARIANT = 6, /* what ea_heap_check() or ea_movable_check() found             */
    EA_DUMP_BUSY = 7       /* another walk of this heap is under way                       */
} ea_dump_trouble_t;

/* A piece of memory. */
typedef struct {
    const void *begin;
    size_t size_bytes;
    const char *name; /* of extra ranges; NULL: none */
} ea_dump_range_t;

/* Stores of movable blocks that are no allocator's: EA_DUMP_STORES(). */
typedef struct {
    const ea_dump_range_t *eai_list;
    size_t eai_n;
    const struct eai_dump_stores *eai_how; /* what is not named is not linked */
} ea_dump_stores_t;

/* To initialise that with: n memories as ea_movable_init() was given them; a name may be NULL. */
#define EA_DUMP_STORES(list, n)                                                                    \
    {                                                                                              \
        (list), (n), &ea_dump_of_stores                                                            \
    }
extern const struct eai_dump_stores ea_dump_of_stores; /* private */

/* All but write may be 0 or NULL. */
typedef struct {
    /* Takes the next n_bytes (1 or more) of the dump. false: the dump ends here. Called with no
     * lock held. */
    bool (*write)(void *context, const void *bytes, size_t n_bytes);
    void *context;
    const void
        *build_id; /* of the firmware, as its ELF file has it: lets the host refuse another */
    size_t build_id_bytes;           /* at most 64 are written */
    const char *cause;               /* why the dump is taken */
    const void *fault_at;            /* where the program was then */
    const ea_dump_range_t *readable; /* memory that may be read: an address outside is not
                                        followed. NULL: all of it */
    size_t n_readable;
    const ea_dump_range_t *extra; /* memory to dump as it is, e.g. a trace's ring */
    size_t n_extra;
    ea_dump_stores_t stores;
    bool is_live; /* other contexts may use the allocator meanwhile: take its locks. Task only */
} ea_dump_options_t;

/* A block as a dump sees it; private. */
typedef struct {
    const char *eai_begin; /* of its header */
    size_t eai_bytes;      /* header included */
    size_t eai_requested;
    const void *eai_site;
    const void *eai_first_bad; /* what guards say of the block */
    const void *eai_where;     /* of trouble */
    const char *eai_text;      /* of trouble */
    uint32_t eai_birth;
    uint32_t eai_handle, eai_n_locks; /* of a movable block */
    uint16_t eai_owner;
    uint8_t eai_state;
    uint8_t eai_finding; /* ea_guard_kind_t */
    uint8_t eai_trouble; /* ea_dump_trouble_t; 0: none */
} eai_dump_sight_t;

/* Where a dump is in a heap; private. Offsets count from the heap. */
typedef struct {
    const ea_heap_t *eai_heap;
    uint32_t eai_first, eai_end; /* of its blocks */
    uint32_t eai_at;             /* the next one */
    uint32_t eai_lost;           /* a damaged header that is being passed over; 0: none */
} eai_dump_heap_t;

#define EAI_DUMP_SIGHTS 3u
#define EAI_DUMP_BUFFER_BYTES 64u

/* A dump under way, in the caller's memory; private. */
typedef struct {
    const ea_allocator_t *eai_allocator;
    const ea_dump_options_t *eai_options;
    uint32_t eai_crc;
    uint32_t eai_n_records;
    uint32_t eai_index, eai_inner, eai_tags_before;
    uint8_t eai_phase;
    uint8_t eai_n_buffered;
    uint8_t eai_n_sights;
    bool eai_failed;
    bool eai_in_region; /* the store that is looked at */
    union {
        eai_dump_heap_t eai_heap;
        eai_movable_look_t eai_look;
    };
    ea_heap_cursor_t eai_cursor;
    const char *eai_raw;
    size_t eai_raw_bytes;
    eai_dump_sight_t eai_sights[EAI_DUMP_SIGHTS];
    unsigned char eai_buffer[EAI_DUMP_BUFFER_BYTES];
} ea_dump_t;

/* Begin a dump: nothing is written yet. allocator NULL: of the stores of the options alone.
 * Returns  EA_OK; EA_ERR_INVALID: dump, options or options->write is NULL, or allocator is and no
 *          stores are given.
 * Owns     the dump uses *allocator and *options, and what they point to, until it ends.
 * Context  any. Cost O(1). */
EA_NODISCARD ea_status_t ea_dump_begin(ea_dump_t *dump, const ea_allocator_t *allocator,
                                       const ea_dump_options_t *options);

/* Go on, for about max_steps blocks or other records.
 * Returns  EA_ERR_AGAIN: call again; EA_OK: all is written; EA_ERR_CANCELLED: write returned false,
 *          and the dump is over; EA_ERR_INVALID: dump is NULL or was not begun.
 * Context  as the options say: any, alone; or a task, which has to be the owner of the stores given
 *          for as long as the call lasts. Cost O(max_steps); where the system is not live one step
 *          a region and a store checks all of it. */
EA_NODISCARD ea_status_t ea_dump_step(ea_dump_t *dump, size_t max_steps);

/* A whole dump at once. Returns as ea_dump_step(), never EA_ERR_AGAIN, and as ea_dump_begin(). A
 * live dump that is given up before its end: ea_dump_end(). */
ea_status_t ea_dump(ea_dump_t *dump, const ea_allocator_t *allocator,
                    const ea_dump_options_t *options);

/* Give a dump up before it is done, so that another walk of a live system may begin. dump NULL:
 * nothing. Context: as ea_dump_step(). */
void ea_dump_end(ea_dump_t *dump);

#ifdef __cplusplus
}
#endif
#endif
