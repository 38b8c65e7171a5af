/* SPDX-License-Identifier: MIT
 *
 * Build-time configuration: every knob, its unit, range, default and cost. Kconfig holds the same
 * list for menuconfig; scripts/check-config fails when the two differ.
 *
 * To change a knob define it on the compiler's command line, or name a header of your own in
 * EALLOC_CONFIG_HEADER (with its quotes). Library and application must be built with the same
 * values: a knob that changes what a caller may rely on is part of a symbol's name, so a mismatch
 * fails at link time.
 */
#ifndef EALLOC_CONFIG_H
#define EALLOC_CONFIG_H

#ifdef EALLOC_CONFIG_HEADER
#include EALLOC_CONFIG_HEADER
#endif

/* Profile of the heap. 0 default: least fragmentation that is strictly bounded. 1 fast: fewer
 * instructions, strictly bounded, somewhat more fragmentation. 2 throughput: adds quick lists, the
 * fastest on average; no worst-case claim. 3 tiny: the fewest bytes of code, strictly bounded. */
#ifndef EA_CFG_HEAP_PROFILE
#define EA_CFG_HEAP_PROFILE 0
#endif

/* Width of the free-list links in bits: 16 (spans up to 256 KB, smallest control structure) or 32
 * (spans up to 4 GB; native pointers on a 32-bit machine). 0 chooses 16 on 32-bit machines and 32
 * on 64-bit machines. */
#ifndef EA_CFG_HEAP_LINK_BITS
#define EA_CFG_HEAP_LINK_BITS 0
#endif

/* Alignment of every block in bytes: 8 or 16. 0 chooses 8 on 32-bit machines, 16 on 64-bit ones. */
#ifndef EA_CFG_HEAP_ALIGN
#define EA_CFG_HEAP_ALIGN 0
#endif

/* Half fit as an option of a heap: 0 or 1. Costs about 40 bytes of code and no cycle; without it
 * ea_heap_init() refuses EA_FIT_HALF. */
#ifndef EA_CFG_HEAP_HALF_FIT
#define EA_CFG_HEAP_HALF_FIT 1
#endif

/* Walks and checks in bounded steps that survive changes between the steps: 0 or 1. Costs about 150
 * bytes of code and 2 instructions in free (none with checks); without it a walk must finish in one
 * call. */
#ifndef EA_CFG_HEAP_STEPWISE
#define EA_CFG_HEAP_STEPWISE 1
#endif

/* Usage counters of the heap (free now, smallest free ever, numbers of calls): 0 or 1. Costs at
 * most 6 instructions an operation; without them the counters read 0. */
#ifndef EA_CFG_HEAP_STATS
#define EA_CFG_HEAP_STATS 1
#endif

/* A bit for each block of a pool, which lets free refuse what is no live block and alloc a damaged
 * list: 0 or 1. Costs an eighth of a byte a block and about 20 instructions an operation. */
#ifndef EA_CFG_POOL_VALIDATE
#define EA_CFG_POOL_VALIDATE 1
#endif

/* Usage counters of a pool (numbers of calls and of failures, live blocks): 0 or 1. Costs three
 * words a pool and 6 instructions an operation. */
#ifndef EA_CFG_POOL_STATS
#define EA_CFG_POOL_STATS 1
#endif

/* Most slabs a pool may have, its first one included: 1 to 16. A block outside the first slab costs
 * a few instructions per slab before its own. Above 1: about 200 bytes of code. */
#ifndef EA_CFG_POOL_SLABS
#define EA_CFG_POOL_SLABS 4
#endif

/* Tasks may wait for a block of a pool: 0 or 1. Costs one pointer a pool and 2 to 4 instructions in
 * free. */
#ifndef EA_CFG_POOL_WAIT
#define EA_CFG_POOL_WAIT 1
#endif

/* The classes of a pool set that is defined without naming its own: bytes of a block and number of
 * blocks, 1 to 65535 each. The sizes must ascend. */
#ifndef EA_CFG_POOLSET_TINY_BYTES
#define EA_CFG_POOLSET_TINY_BYTES 32
#endif
#ifndef EA_CFG_POOLSET_TINY_BLOCKS
#define EA_CFG_POOLSET_TINY_BLOCKS 128
#endif
#ifndef EA_CFG_POOLSET_SMALL_BYTES
#define EA_CFG_POOLSET_SMALL_BYTES 64
#endif
#ifndef EA_CFG_POOLSET_SMALL_BLOCKS
#define EA_CFG_POOLSET_SMALL_BLOCKS 64
#endif
#ifndef EA_CFG_POOLSET_MEDIUM_BYTES
#define EA_CFG_POOLSET_MEDIUM_BYTES 128
#endif
#ifndef EA_CFG_POOLSET_MEDIUM_BLOCKS
#define EA_CFG_POOLSET_MEDIUM_BLOCKS 32
#endif
#ifndef EA_CFG_POOLSET_LARGE_BYTES
#define EA_CFG_POOLSET_LARGE_BYTES 256
#endif
#ifndef EA_CFG_POOLSET_LARGE_BLOCKS
#define EA_CFG_POOLSET_LARGE_BLOCKS 16
#endif
#ifndef EA_CFG_POOLSET_XLARGE_BYTES
#define EA_CFG_POOLSET_XLARGE_BYTES 512
#endif
#ifndef EA_CFG_POOLSET_XLARGE_BLOCKS
#define EA_CFG_POOLSET_XLARGE_BLOCKS 8
#endif

/* How contexts that use one lock-free object exclude each other. 0 by machine: 1 compare-and-swap
 * (several cores, RISC-V with the A extension; a pool then guards its list with a generation tag);
 * 2 load-linked/store-conditional (one core whose exceptions clear the monitor: Cortex-M3 and
 * later); 3 the port's interrupt mask (ARMv6-M, or where the width of a pool's tag does not
 * suffice). Choose 1 on a Cortex-M with several cores. */
#ifndef EA_CFG_ATOMICS
#define EA_CFG_ATOMICS 0
#endif

/* Levels of urgency that a wait queue tells apart: 1 to 32. Costs a pointer per level on the stack
 * of each task that waits, and nothing in the queue. Systems with one task need 1. */
#ifndef EA_CFG_WAIT_LEVELS
#define EA_CFG_WAIT_LEVELS 8
#endif

/* Arenas that take chunks from an upstream allocator: 0 or 1. Costs about 500 bytes of code and no
 * cycle where a block fits; without it ea_arena_init() refuses an upstream. */
#ifndef EA_CFG_ARENA_GROW
#define EA_CFG_ARENA_GROW 1
#endif

/* Guards at an arena's marks, as an option of an arena: 0 or 1. Costs about 350 bytes of code and 8
 * (64-bit: 16) bytes a mark where the option is used; without it ea_arena_init() refuses it. */
#ifndef EA_CFG_ARENA_GUARD
#define EA_CFG_ARENA_GUARD 1
#endif

/* The layout of stores of movable blocks. 0 small: regions up to 64 KB, 2048 blocks, 6 bytes a
 * block, 3 locks of one block at a time, a generation of 5 bits. 1 medium: 256 KB, 16376 blocks, 8
 * bytes, 125 locks, 8 bits. 2 large: 32 GB, 16 million blocks, 16 bytes, 125 locks, 8 bits. */
#ifndef EA_CFG_MOVABLE_LAYOUT
#define EA_CFG_MOVABLE_LAYOUT 1
#endif

/* Movable blocks may be locked by interrupts and other tasks than their store's owner: 0 or 1.
 * Costs about 5 instructions a lock and an unlock (where interrupts are masked for it, 12), and
 * about 200 bytes of code. */
#ifndef EA_CFG_MOVABLE_ISR
#define EA_CFG_MOVABLE_ISR 1
#endif

/* Blocks that stay at their address, at the high end of a store of movable blocks: 0 or 1. Costs
 * about 1100 bytes of code where it is used, and 4 bytes a store. */
#ifndef EA_CFG_MOVABLE_FIXED
#define EA_CFG_MOVABLE_FIXED 1
#endif

/* A function of the application's is called after each move of a block, for blocks that hold
 * pointers to themselves: 0 or 1. Costs about 300 bytes of code, two words a store, and no byte a
 * block. */
#ifndef EA_CFG_MOVABLE_RELOCATE
#define EA_CFG_MOVABLE_RELOCATE 0
#endif

/* Links between a pool's free blocks are encoded with a key of the pool and a secret, so that a
 * write to a freed block leads the pool nowhere: 0 or 1; needs EA_CFG_POOL_VALIDATE, which says
 * where nowhere is. Costs a word a pool and at most 6 instructions an operation. A heap's links
 * check each other instead, from EA_CFG_CHECK_LEVEL 2 on. */
#ifndef EA_CFG_ENCODE_LINKS
#define EA_CFG_ENCODE_LINKS 0
#endif

/* A tag on every block of an allocator: whose it is, who asked for it and when. 0 or 1. Costs 8
 * bytes a block (64-bit: 16), which guards need anyhow, and about 15 instructions in alloc. Without
 * tags no block can be charged to its owner when it is freed. */
#ifndef EA_CFG_TAGS
#define EA_CFG_TAGS 1
#endif

/* Guards around every block of an allocator. 0 none. 1 finds writes behind and before a block when
 * it is freed: 12 bytes a block, tags included (64-bit: 20), a constant number of instructions. 2
 * also fills blocks when they come and poisons them when they go, and puts a canary before them: 8
 * (16) bytes more, O(bytes) an operation. 3 also holds freed blocks back for a while and finds
 * writes to them. */
#ifndef EA_CFG_GUARD
#define EA_CFG_GUARD 1
#endif

/* Guards around one allocation in N only, N chosen at run time: 0 or 1. The tag says which ones, so
 * tags are needed. Costs 3 words an allocator and 4 instructions an allocation; blocks that are not
 * chosen cost no more than their tag. */
#ifndef EA_CFG_GUARD_SAMPLED
#define EA_CFG_GUARD_SAMPLED 0
#endif

/* Most levels of a tree of accounts, the root's included: 2 to 16. Costs three words of stack a
 * level in a charge that is not served from the account's own credit. */
#ifndef EA_CFG_ACCOUNT_DEPTH
#define EA_CFG_ACCOUNT_DEPTH 8
#endif

/* The number of charges of an account that were not returned: 0 or 1. Costs two words an account
 * and an atomic addition (about 5 instructions) a charge and a return; without it the number reads
 * 0. */
#ifndef EA_CFG_ACCOUNT_COUNT
#define EA_CFG_ACCOUNT_COUNT 0
#endif

/* Classes of a resource's lifetime that the monitor counts: 1 (all in one) to 32; each spans twice
 * the one before, from 1 ms on. Costs a word each for every type and stripe. */
#ifndef EA_CFG_MONITOR_LIFETIMES
#define EA_CFG_MONITOR_LIFETIMES 12
#endif

/* Whoever watches a monitor's resources (ea_monitor_add_hook()): 0 or 1. Costs a load and a branch
 * (2 to 3 instructions) an acquire and a release. */
#ifndef EA_CFG_MONITOR_HOOK
#define EA_CFG_MONITOR_HOOK 1
#endif

/* Tasks may wait for resources: 0 or 1. Costs about 4 KB of code where it is used, 250 bytes where
 * it is not, and about 9 instructions an acquire with its release. */
#ifndef EA_CFG_MONITOR_WAIT
#define EA_CFG_MONITOR_WAIT 1
#endif

/* Most regions of an allocator: 1 to 32. Costs 32 (64-bit: 56) bytes of RAM each and four
 * instructions in free for each before the block's own. */
#ifndef EA_CFG_ALLOC_REGIONS
#define EA_CFG_ALLOC_REGIONS 4
#endif

/* Who keeps the contexts that use an allocator apart. 0 nobody: one context at a time. 1 one lock.
 * 2 a lock for each region. 3 lock objects of the application. 1 and 2 are the port's locks. */
#ifndef EA_CFG_ALLOC_LOCKING
#define EA_CFG_ALLOC_LOCKING 1
#endif

/* Every block has an owner, who is charged for it: 0 or 1. Without EA_CFG_TAGS there are none.
 * Costs a charge and a return per block, see docs/accounts.md. */
#ifndef EA_CFG_ALLOC_OWNERS
#define EA_CFG_ALLOC_OWNERS 1
#endif

/* Small requests from a pool set, as an option of an allocator: 0 or 1. Costs about 300 bytes of
 * code. */
#ifndef EA_CFG_ALLOC_POOLS
#define EA_CFG_ALLOC_POOLS 1
#endif

/* Interrupts may free, and with locks allocate: 0 or 1. Costs about 200 bytes of code and two
 * instructions an operation. */
#ifndef EA_CFG_ALLOC_ISR
#define EA_CFG_ALLOC_ISR 1
#endif

/* Reclaimers and the hook for compaction, when memory ends: 0 or 1. Costs about 400 bytes of code
 * and no cycle while there is memory. */
#ifndef EA_CFG_ALLOC_RECLAIM
#define EA_CFG_ALLOC_RECLAIM 1
#endif

/* Requests may wait: 0 or 1. Costs about 400 bytes of code and three instructions in free. */
#ifndef EA_CFG_ALLOC_WAIT
#define EA_CFG_ALLOC_WAIT 1
#endif

/* A reserve for critical requests: 0 or 1. Costs about 400 bytes of code and four instructions in
 * free. */
#ifndef EA_CFG_ALLOC_RESERVE
#define EA_CFG_ALLOC_RESERVE 1
#endif

/* A handler of the application's for when memory ends: 0 or 1. Costs about 300 bytes of code and no
 * cycle while there is memory. */
#ifndef EA_CFG_ALLOC_HANDLER
#define EA_CFG_ALLOC_HANDLER 1
#endif

/* Events, the last failure and the last damage, counters by reason: 0 or 1. Costs about 200 bytes
 * of RAM an allocator, 600 bytes of code and no cycle while all is well. */
#ifndef EA_CFG_ALLOC_REPORT
#define EA_CFG_ALLOC_REPORT 1
#endif

/* Pressure levels and stall times of all memory: 0 or 1. Costs about 200 bytes of RAM an allocator
 * and 20 instructions an operation. */
#ifndef EA_CFG_ALLOC_PRESSURE
#define EA_CFG_ALLOC_PRESSURE 1
#endif

/* Regions of movable blocks, from whose high end blocks with an address come: 0 or 1. Costs the
 * store's code, about 2000 bytes of the allocator's, and a few instructions a free. */
#ifndef EA_CFG_ALLOC_MOVABLE
#define EA_CFG_ALLOC_MOVABLE 0
#endif

/* Hooks that are told of every block of an allocator, which the history of allocations (trace.h)
 * needs: 0 or 1. Costs a pointer an allocator, about 500 bytes of code and, while nobody listens, 3
 * instructions an operation (Cortex-M0 5); while somebody does, the general way instead of the
 * quick one. */
#ifndef EA_CFG_ALLOC_HOOK
#define EA_CFG_ALLOC_HOOK 1
#endif

/* EA_TRACK() measures: 0 or 1. With 0 it is the block behind it and nothing more; with 1 it costs
 * what docs/scope.md says, where it stands. */
#ifndef EA_CFG_TRACK
#define EA_CFG_TRACK 1
#endif

/* Checks on every operation. 0 none. 1 double free and damaged headers, at most 6 instructions an
 * operation. 2 also foreign pointers and the links of every block touched, and the seals of an
 * allocator's slots and pools (O(regions)). 3 the whole heap on every operation (O(n), for tests
 * only). */
#ifndef EA_CFG_CHECK_LEVEL
#define EA_CFG_CHECK_LEVEL 1
#endif

/* A value out of range stops here, not in a component that happens to use it. */
#if EA_CFG_HEAP_PROFILE < 0 || EA_CFG_HEAP_PROFILE > 3
#error "EA_CFG_HEAP_PROFILE is 0 (default), 1 (fast), 2 (throughput) or 3 (tiny)"
#endif
#if EA_CFG_HEAP_LINK_BITS != 0 && EA_CFG_HEAP_LINK_BITS != 16 && EA_CFG_HEAP_LINK_BITS != 32
#error "EA_CFG_HEAP_LINK_BITS is 0 (by machine), 16 or 32"
#endif
#if EA_CFG_HEAP_ALIGN != 0 && EA_CFG_HEAP_ALIGN != 8 && EA_CFG_HEAP_ALIGN != 16
#error "EA_CFG_HEAP_ALIGN is 0 (by machine), 8 or 16"
#endif
#if EA_CFG_HEAP_HALF_FIT != 0 && EA_CFG_HEAP_HALF_FIT != 1
#error "EA_CFG_HEAP_HALF_FIT is 0 or 1"
#endif
#if EA_CFG_HEAP_STEPWISE != 0 && EA_CFG_HEAP_STEPWISE != 1
#error "EA_CFG_HEAP_STEPWISE is 0 or 1"
#endif
#if EA_CFG_HEAP_STATS != 0 && EA_CFG_HEAP_STATS != 1
#error "EA_CFG_HEAP_STATS is 0 or 1"
#endif
#if EA_CFG_POOL_VALIDATE != 0 && EA_CFG_POOL_VALIDATE != 1
#error "EA_CFG_POOL_VALIDATE is 0 or 1"
#endif
#if EA_CFG_POOL_STATS != 0 && EA_CFG_POOL_STATS != 1
#error "EA_CFG_POOL_STATS is 0 or 1"
#endif
#if EA_CFG_POOL_SLABS < 1 || EA_CFG_POOL_SLABS > 16
#error "EA_CFG_POOL_SLABS is 1 to 16"
#endif
#if EA_CFG_POOL_WAIT != 0 && EA_CFG_POOL_WAIT != 1
#error "EA_CFG_POOL_WAIT is 0 or 1"
#endif
#if EA_CFG_POOLSET_TINY_BYTES < 1 || EA_CFG_POOLSET_TINY_BYTES > 65535
#error "EA_CFG_POOLSET_TINY_BYTES is 1 to 65535"
#endif
#if EA_CFG_POOLSET_TINY_BLOCKS < 1 || EA_CFG_POOLSET_TINY_BLOCKS > 65535
#error "EA_CFG_POOLSET_TINY_BLOCKS is 1 to 65535"
#endif
#if EA_CFG_POOLSET_SMALL_BYTES < 1 || EA_CFG_POOLSET_SMALL_BYTES > 65535
#error "EA_CFG_POOLSET_SMALL_BYTES is 1 to 65535"
#endif
#if EA_CFG_POOLSET_SMALL_BLOCKS < 1 || EA_CFG_POOLSET_SMALL_BLOCKS > 65535
#error "EA_CFG_POOLSET_SMALL_BLOCKS is 1 to 65535"
#endif
#if EA_CFG_POOLSET_MEDIUM_BYTES < 1 || EA_CFG_POOLSET_MEDIUM_BYTES > 65535
#error "EA_CFG_POOLSET_MEDIUM_BYTES is 1 to 65535"
#endif
#if EA_CFG_POOLSET_MEDIUM_BLOCKS < 1 || EA_CFG_POOLSET_MEDIUM_BLOCKS > 65535
#error "EA_CFG_POOLSET_MEDIUM_BLOCKS is 1 to 65535"
#endif
#if EA_CFG_POOLSET_LARGE_BYTES < 1 || EA_CFG_POOLSET_LARGE_BYTES > 65535
#error "EA_CFG_POOLSET_LARGE_BYTES is 1 to 65535"
#endif
#if EA_CFG_POOLSET_LARGE_BLOCKS < 1 || EA_CFG_POOLSET_LARGE_BLOCKS > 65535
#error "EA_CFG_POOLSET_LARGE_BLOCKS is 1 to 65535"
#endif
#if EA_CFG_POOLSET_XLARGE_BYTES < 1 || EA_CFG_POOLSET_XLARGE_BYTES > 65535
#error "EA_CFG_POOLSET_XLARGE_BYTES is 1 to 65535"
#endif
#if EA_CFG_POOLSET_XLARGE_BLOCKS < 1 || EA_CFG_POOLSET_XLARGE_BLOCKS > 65535
#error "EA_CFG_POOLSET_XLARGE_BLOCKS is 1 to 65535"
#endif
#if EA_CFG_ATOMICS < 0 || EA_CFG_ATOMICS > 3
#error "EA_CFG_ATOMICS is 0 (by machine) to 3"
#endif
#if EA_CFG_WAIT_LEVELS < 1 || EA_CFG_WAIT_LEVELS > 32
#error "EA_CFG_WAIT_LEVELS is 1 to 32"
#endif
#if EA_CFG_ARENA_GROW != 0 && EA_CFG_ARENA_GROW != 1
#error "EA_CFG_ARENA_GROW is 0 or 1"
#endif
#if EA_CFG_ARENA_GUARD != 0 && EA_CFG_ARENA_GUARD != 1
#error "EA_CFG_ARENA_GUARD is 0 or 1"
#endif
#if EA_CFG_MOVABLE_LAYOUT < 0 || EA_CFG_MOVABLE_LAYOUT > 2
#error "EA_CFG_MOVABLE_LAYOUT is 0 (small), 1 (medium) or 2 (large)"
#endif
#if EA_CFG_MOVABLE_ISR != 0 && EA_CFG_MOVABLE_ISR != 1
#error "EA_CFG_MOVABLE_ISR is 0 or 1"
#endif
#if EA_CFG_MOVABLE_FIXED != 0 && EA_CFG_MOVABLE_FIXED != 1
#error "EA_CFG_MOVABLE_FIXED is 0 or 1"
#endif
#if EA_CFG_MOVABLE_RELOCATE != 0 && EA_CFG_MOVABLE_RELOCATE != 1
#error "EA_CFG_MOVABLE_RELOCATE is 0 or 1"
#endif
#if EA_CFG_ENCODE_LINKS != 0 && EA_CFG_ENCODE_LINKS != 1
#error "EA_CFG_ENCODE_LINKS is 0 or 1"
#endif
#if EA_CFG_ENCODE_LINKS && !EA_CFG_POOL_VALIDATE
#error "EA_CFG_ENCODE_LINKS needs EA_CFG_POOL_VALIDATE"
#endif
#if EA_CFG_TAGS != 0 && EA_CFG_TAGS != 1
#error "EA_CFG_TAGS is 0 or 1"
#endif
#if EA_CFG_GUARD < 0 || EA_CFG_GUARD > 3
#error "EA_CFG_GUARD is 0 to 3"
#endif
#if EA_CFG_GUARD_SAMPLED != 0 && EA_CFG_GUARD_SAMPLED != 1
#error "EA_CFG_GUARD_SAMPLED is 0 or 1"
#endif
#if EA_CFG_GUARD_SAMPLED && !EA_CFG_TAGS
#error "EA_CFG_GUARD_SAMPLED needs EA_CFG_TAGS"
#endif
#if EA_CFG_ACCOUNT_DEPTH < 2 || EA_CFG_ACCOUNT_DEPTH > 16
#error "EA_CFG_ACCOUNT_DEPTH is 2 to 16"
#endif
#if EA_CFG_ACCOUNT_COUNT != 0 && EA_CFG_ACCOUNT_COUNT != 1
#error "EA_CFG_ACCOUNT_COUNT is 0 or 1"
#endif
#if EA_CFG_MONITOR_LIFETIMES < 1 || EA_CFG_MONITOR_LIFETIMES > 32
#error "EA_CFG_MONITOR_LIFETIMES is 1 to 32"
#endif
#if EA_CFG_MONITOR_HOOK != 0 && EA_CFG_MONITOR_HOOK != 1
#error "EA_CFG_MONITOR_HOOK is 0 or 1"
#endif
#if EA_CFG_MONITOR_WAIT != 0 && EA_CFG_MONITOR_WAIT != 1
#error "EA_CFG_MONITOR_WAIT is 0 or 1"
#endif
#if EA_CFG_ALLOC_REGIONS < 1 || EA_CFG_ALLOC_REGIONS > 32
#error "EA_CFG_ALLOC_REGIONS is 1 to 32"
#endif
#if EA_CFG_ALLOC_LOCKING < 0 || EA_CFG_ALLOC_LOCKING > 3
#error "EA_CFG_ALLOC_LOCKING is 0 to 3"
#endif
#if EA_CFG_ALLOC_OWNERS != 0 && EA_CFG_ALLOC_OWNERS != 1
#error "EA_CFG_ALLOC_OWNERS is 0 or 1"
#endif
#if EA_CFG_ALLOC_POOLS != 0 && EA_CFG_ALLOC_POOLS != 1
#error "EA_CFG_ALLOC_POOLS is 0 or 1"
#endif
#if EA_CFG_ALLOC_ISR != 0 && EA_CFG_ALLOC_ISR != 1
#error "EA_CFG_ALLOC_ISR is 0 or 1"
#endif
#if EA_CFG_ALLOC_RECLAIM != 0 && EA_CFG_ALLOC_RECLAIM != 1
#error "EA_CFG_ALLOC_RECLAIM is 0 or 1"
#endif
#if EA_CFG_ALLOC_WAIT != 0 && EA_CFG_ALLOC_WAIT != 1
#error "EA_CFG_ALLOC_WAIT is 0 or 1"
#endif
#if EA_CFG_ALLOC_RESERVE != 0 && EA_CFG_ALLOC_RESERVE != 1
#error "EA_CFG_ALLOC_RESERVE is 0 or 1"
#endif
#if EA_CFG_ALLOC_HANDLER != 0 && EA_CFG_ALLOC_HANDLER != 1
#error "EA_CFG_ALLOC_HANDLER is 0 or 1"
#endif
#if EA_CFG_ALLOC_REPORT != 0 && EA_CFG_ALLOC_REPORT != 1
#error "EA_CFG_ALLOC_REPORT is 0 or 1"
#endif
#if EA_CFG_ALLOC_PRESSURE != 0 && EA_CFG_ALLOC_PRESSURE != 1
#error "EA_CFG_ALLOC_PRESSURE is 0 or 1"
#endif
#if EA_CFG_ALLOC_MOVABLE != 0 && EA_CFG_ALLOC_MOVABLE != 1
#error "EA_CFG_ALLOC_MOVABLE is 0 or 1"
#endif
#if EA_CFG_ALLOC_MOVABLE && !EA_CFG_MOVABLE_FIXED
#error "EA_CFG_ALLOC_MOVABLE needs EA_CFG_MOVABLE_FIXED"
#endif
#if EA_CFG_ALLOC_HOOK != 0 && EA_CFG_ALLOC_HOOK != 1
#error "EA_CFG_ALLOC_HOOK is 0 or 1"
#endif
#if EA_CFG_TRACK != 0 && EA_CFG_TRACK != 1
#error "EA_CFG_TRACK is 0 or 1"
#endif
#if EA_CFG_CHECK_LEVEL < 0 || EA_CFG_CHECK_LEVEL > 3
#error "EA_CFG_CHECK_LEVEL is 0 to 3"
#endif

#endif
