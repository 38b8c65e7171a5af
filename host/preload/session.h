/* SPDX-License-Identifier: MIT
 *
 * What the recorder inside a program (recorder.c) and `ealloc record` share: a session directory
 * with
 *
 *     bell               a FIFO; a byte in it says "look again". Nobody reads it: `ealloc record`
 *                        died
 *     <pid>.<ticks>      one image: a program in a process, from its start (or fork) to its end (or
 *     exec) <image>.maps.<n>   /proc/self/maps as it was when the image wrote its n-th MAPS record
 *
 * An image file is a head (image_head_t) and a ring of chunks. The program fills chunks with
 * records of whole 64-bit words; `ealloc record` reads them, zeroes them and gives them back.
 * Because the file is a shared mapping, what was written survives any death of the program.
 *
 * A record's first word is never zero and is stored last (release), so a zero word where a record
 * should begin means: not written yet. Both sides always agree on what is valid without a lock.
 *
 *     word 0   kind 4 | wide 1 | thread 11 | site 48
 *     word 1   address / 8 44 | size 20                         (not wide)
 *     word 1.. address, size, alignment or old address, thread  (wide)
 *     TICK and MAPS are one word: kind 4 | value 60
 */
#ifndef EALLOC_SESSION_H
#define EALLOC_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define SESSION_ENV "EALLOC_SESSION"
#define SESSION_VERSION 1u
#define SESSION_PATH_MAX 160u /* of the directory */

#define CHUNK_WORDS 32768u /* 256 KB: a chunk in use stays in the processor's cache */
#define N_CHUNKS 32u

typedef enum {
    RAW_ALLOC = 1, /* 1 to 7 are the kinds of recording.h */
    RAW_CALLOC,
    RAW_ALIGNED,
    RAW_REALLOC,
    RAW_FREE,
    RAW_USABLE,
    RAW_FAIL,
    RAW_REALLOC_BEGIN,  /* the address that a realloc is about to give up            */
    RAW_REALLOC_FAILED, /* ... and kept after all                                    */
    RAW_REALLOC_FREED,  /* ... and was freed: realloc(p, 0)                          */
    RAW_TICK,           /* value: ticks                                              */
    RAW_MAPS,           /* value: number of the maps file                            */
    RAW_CHUNK_END       /* the rest of the chunk is empty                            */
} raw_kind_t;

enum {
    RAW_KIND_BITS = 4,
    RAW_WIDE = 1 << 4,
    RAW_THREAD_SHIFT = 5,
    RAW_THREAD_MAX = (1 << 11) - 1,
    RAW_SITE_SHIFT = 16,
    RAW_SIZE_BITS = 20,
    RAW_NARROW_WORDS = 2,
    RAW_WIDE_WORDS = 5
};

typedef struct {
    _Atomic uint32_t sequence; /* 0: free; else the how-manieth chunk this is, from 1 */
    _Atomic uint32_t full;     /* no further record will begin here                   */
    uint64_t start_ticks, start_ns;
} chunk_head_t;

typedef struct {
    uint32_t version;
    uint32_t pid, ppid, forked_from;
    uint64_t start_ticks, start_ns, start_unix_us;
    _Atomic uint32_t closed; /* the exit handlers ran; exit_status holds           */
    uint32_t exit_status;
    _Atomic uint32_t n_released; /* chunks given back so far: the program waits on it  */
    uint32_t zero;
    chunk_head_t chunk[N_CHUNKS];
    uint32_t command_bytes;
    char command[48 * 1024]; /* arguments, each ended by a zero byte */
} image_head_t;

#define IMAGE_HEAD_BYTES (64u * 1024)
#define IMAGE_BYTES (IMAGE_HEAD_BYTES + (size_t)N_CHUNKS * CHUNK_WORDS * 8)
_Static_assert(sizeof(image_head_t) <= IMAGE_HEAD_BYTES, "the head has its place");
_Static_assert(sizeof(_Atomic uint64_t) == 8, "a word is a plain word");

/* The cheapest clock there is; never runs backwards by more than two processors differ. */
static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

static inline uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
