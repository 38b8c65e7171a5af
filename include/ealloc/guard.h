/* SPDX-License-Identifier: MIT
 *
 * What guards find (rows A8, A9): damaged blocks, blocks freed twice, blocks of somebody else. An
 * allocator dresses its blocks in guards by itself, as far as EA_CFG_GUARD and EA_CFG_TAGS say;
 * here is what it reports and what may happen then. docs/guards.md says what each level finds and
 * costs.
 */
#ifndef EALLOC_GUARD_H
#define EALLOC_GUARD_H

#include <stddef.h>
#include <stdint.h>

#include "ealloc/compiler.h"
#include "ealloc/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Has a block a tag? Private, as what follows. */
#define EAI_TAGGED (EA_CFG_TAGS || EA_CFG_GUARD > 0)

/* One an allocator; private. */
typedef struct {
    uint32_t key;
#if EA_CFG_GUARD_SAMPLED
    uint32_t every; /* guards one allocation in so many, on average; 0: none */
    uint32_t countdown;
    uint32_t random;
#endif
} eai_guard_t;

/* Freed blocks that wait before they are used again; private. Costs no RAM below level 3. */
typedef struct eai_waiting eai_waiting_t; /* a link, in the front of a block */
typedef struct {
#if EA_CFG_GUARD >= 3
    eai_waiting_t *first, *last; /* the oldest, the youngest; NULL: none */
    eai_waiting_t *swept;        /* where the sweep is; NULL: at the oldest */
    uint32_t swept_bytes;        /* of that block */
    uint32_t last_bytes;         /* usable bytes of the youngest */
    uint32_t budget_bytes;
    uint32_t bytes; /* fronts included */
    uint32_t n_blocks;
    uint32_t n_lost; /* blocks since init whose link was damaged, or stood behind such a one */
#endif
    char eai_none; /* C has no empty struct */
} eai_quarantine_t;

/* What was found. The numbers are stable across versions. */
typedef enum {
    EA_GUARD_NONE = 0,        /* nothing                                                       */
    EA_GUARD_HEAD = 1,        /* bytes before the block were written                           */
    EA_GUARD_TAIL = 2,        /* bytes behind the block were written                           */
    EA_GUARD_POISON = 3,      /* the block was written after it had been freed                 */
    EA_GUARD_TAG = 4,         /* the block's tag is damaged, or there never was one            */
    EA_GUARD_DOUBLE_FREE = 5, /* the block is free already                                     */
    EA_GUARD_FOREIGN = 6,     /* the pointer is none of a block                                */
    EA_GUARD_WRONG_ALLOCATOR = 7, /* the block belongs to another allocator                    */
    EA_GUARD_WRONG_OWNER = 8,     /* the block belongs to another owner                        */
    EA_GUARD_STORE = 9            /* what a store writes between blocks is damaged             */
} ea_guard_kind_t;

/* A block next to the one of a report: who overflowed into it, or whom it overflowed into. */
typedef struct {
    const void *block; /* NULL: there is none, or it is not known  */
    size_t size_bytes; /* as requested                             */
    const void *site;
    uint16_t owner;
} ea_guard_neighbour_t;

/* What is known of a finding. Owner, site and birth are 0 without tags, and where the tag itself is
 * damaged. */
typedef struct {
    ea_guard_kind_t kind;
    const void *block;     /* as the caller knows it                                          */
    size_t size_bytes;     /* as requested; 0: not known                                      */
    const void *first_bad; /* the first byte that is not what it should be; NULL: not one     */
    const void *site;      /* return address of the request; 32-bit: its bits 1 to 20         */
    uint32_t birth;        /* tick of the request; 32-bit: its low 16 bits                    */
    uint16_t owner;
    ea_guard_neighbour_t below, above;
} ea_guard_report_t;

/* What happens when something is found: it is reported and the call refused; or the program stops
 * (ea_port_panic()); or the application is asked which of both. */
typedef enum { EA_GUARD_REFUSE = 0, EA_GUARD_PANIC = 1, EA_GUARD_CALL = 2 } ea_guard_policy_t;

/* The application's answer: EA_GUARD_REFUSE or EA_GUARD_PANIC. The report is gone when it returns.
 * Context: that of the call that found it, outside locks. */
typedef ea_guard_policy_t (*ea_guard_callback_t)(void *context, const ea_guard_report_t *report);

/* In words, e.g. "write behind the block"; "?" for a number that is none. Never NULL, static
 * storage. Context: any. */
const char *ea_guard_kind_name(ea_guard_kind_t kind);

#ifdef __cplusplus
}
#endif
#endif
