/* SPDX-License-Identifier: MIT
 *
 * Puts events into the session's image (session.h) at the cost of a few stores.
 *
 * A record's place is reserved by one atomic addition to the cursor (chunk 32 | word 32). That
 * addition also is the order of the recording: allocations are recorded after they succeeded and
 * frees before they happen, so an address is never seen allocated twice at once, whatever the
 * threads do.
 *
 *   I1  Reservations are disjoint. Exactly one of them crosses the end of a chunk (it begins at or
 *       before the limit and ends behind it); its thread installs the next chunk, all others that
 *       begin behind the limit wait for that and reserve again.
 *   I2  A reserved record is written payload first, first word last with release; the reader's
 *       acquire load of that word is the partner.
 *   I3  All state that must not outlive a fork stands in `here`, which the kernel hands to the
 *       child zeroed (MADV_WIPEONFORK). Zero means: cursor 0, limit 0, so that the child's first
 *       event crosses the end of "the chunk" and starts an image of its own. No atfork handler, no
 *       pid check.
 *   I4  Nothing here allocates or waits for another program thread that could be interrupted:
 *       signals are blocked while a chunk is installed.
 *   I5  No file stays open: programs that close all descriptors do no harm.
 *
 * A vfork child shares the memory and so records into its parent's image, which is the truth: it is
 * its parent's heap that it changes.
 *
 * Rejected: one lock around a compact encoder. It costs two locked instructions in place of one,
 * makes signal handlers deadlock, and the encoder's time is better spent in the other process.
 */
#define _GNU_SOURCE
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Ticks between two time stamps: some 20 to 60 us. */
#if defined(__x86_64__) || !defined(__aarch64__)
#define TICK_PERIOD 65536u
#else
#define TICK_PERIOD 2048u
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define N_SEEN 1024u /* sites known to lie in known modules, direct mapped */
#define N_RANGES 512u
#define N_MAPS_MAX 200u /* code made at run time must not make us read maps for ever */
#define PAGE_MAX 65536u

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

typedef struct {
    uint64_t start, end;
} range_t;

static union {
    struct {
        _Alignas(64) _Atomic uint64_t cursor;
        _Alignas(64) _Atomic uint32_t limit; /* CHUNK_WORDS; 0: not recording (yet) */
        _Atomic uint64_t *words;
        _Atomic uint64_t last_tick;
        uint32_t generation;
        _Alignas(64) _Atomic uint32_t n_installed; /* futex: threads wait here for the next chunk */
        _Atomic uint32_t off;
        _Atomic uint32_t n_threads;
        _Atomic uint32_t maps_lock;
        uint32_t sequence;
        uint32_t populated; /* a bit a chunk */
        uint32_t n_maps;
        uint32_t pid;
        image_head_t *head;
        char image_path[SESSION_PATH_MAX + 64];
    };
    char page[PAGE_MAX];
} here __attribute__((aligned(PAGE_MAX)));

/* What a fork's child inherits on purpose. */
static char session_dir[SESSION_PATH_MAX];
static uint32_t generations;
static uint32_t image_pid; /* of the image this memory belongs to or was forked from */
static _Atomic uint32_t seen[N_SEEN];
static range_t ranges[N_RANGES]; /* executable; under here.maps_lock */
static uint32_t n_ranges;

THREAD_LOCAL uint32_t my_generation, my_thread;

/* ---- system calls without libc's side doors
 * ----------------------------------------------------- */

static long open_at(const char *path, int flags)
{
    return syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *timeout,
                       bool shared)
{
    syscall(SYS_futex, word, shared ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE, value, timeout, NULL, 0);
}

/* Say "look again". False if nobody is there to look. */
static bool ring_bell(void)
{
    char path[SESSION_PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/bell", session_dir);
    long fd = open_at(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return errno != ENXIO && errno != ENOENT;
    syscall(SYS_write, (int)fd, "!", (size_t)1);
    syscall(SYS_close, (int)fd);
    return true;
}

/* ---- modules
 * ------------------------------------------------------------------------------------ */

/* Keep the range of one line of maps if it is executable: "start-end rwxp ...". */
static void note_range(const char *line)
{
    char *at;
    uint64_t start = strtoull(line, &at, 16);
    if (*at != '-') return;
    uint64_t end = strtoull(at + 1, &at, 16);
    if (strlen(at) < 5 || at[3] != 'x') return;
    if (n_ranges > 0 && ranges[n_ranges - 1].end == start)
        ranges[n_ranges - 1].end = end;
    else if (n_ranges < N_RANGES)
        ranges[n_ranges++] = (range_t){start, end};
}

/* Copy /proc/self/maps into the session and learn the executable ranges. Caller holds maps_lock. */
static bool copy_maps_locked(void)
{
    char path[SESSION_PATH_MAX + 80], buffer[4096], line[64];
    size_t n_line = 0;
    snprintf(path, sizeof path, "%s.maps.%u", here.image_path, here.n_maps);
    long from = open_at("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    long to = open_at(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    bool done = false;
    n_ranges = 0;
    while (from >= 0 && to >= 0) {
        long n = syscall(SYS_read, (int)from, buffer, sizeof buffer);
        if (n <= 0) {
            done = n == 0;
            break;
        }
        if (syscall(SYS_write, (int)to, buffer, (size_t)n) != n) break;
        for (long i = 0; i < n; i++) {
            if (buffer[i] == '\n') {
                line[n_line] = '\0';
                note_range(line);
                n_line = 0;
            } else if (n_line < sizeof line - 1) {
                line[n_line++] = buffer[i];
            }
        }
    }
    if (from >= 0) syscall(SYS_close, (int)from);
    if (to >= 0) syscall(SYS_close, (int)to);
    return done;
}

static bool range_known_locked(uint64_t site)
{
    for (uint32_t i = 0; i < n_ranges; i++)
        if (site >= ranges[i].start && site < ranges[i].end) return true;
    return false;
}

static _Atomic uint64_t *reserve(uint32_t n);

/* A site that the table of seen ones does not hold: make sure its module is known to the reader. */
static __attribute__((noinline)) void meet_site(uint64_t site, _Atomic uint32_t *entry)
{
    if (here.head == NULL) return;
    uint32_t unlocked = 0;
    int saved_errno = errno;
    /* Somebody else is at it: the reader looks unknown sites up again after every MAPS. */
    if (!atomic_compare_exchange_strong_explicit(&here.maps_lock, &unlocked, 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return;
    if (!range_known_locked(site) && here.n_maps < N_MAPS_MAX && copy_maps_locked()) {
        uint64_t number = here.n_maps++;
        _Atomic uint64_t *at = reserve(1);
        if (at != NULL)
            atomic_store_explicit(at, RAW_MAPS | number << RAW_KIND_BITS, memory_order_release);
    }
    atomic_store_explicit(entry, (uint32_t)site, memory_order_relaxed);
    atomic_store_explicit(&here.maps_lock, 0,
                          memory_order_release); /* pairs with the acquire above */
    errno = saved_errno;
}

/* ---- images and chunks
 * -------------------------------------------------------------------------- */

static uint32_t read_command(char *to, size_t size)
{
    size_t used = 0;
    long fd = open_at("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && used < size) {
        long n = syscall(SYS_read, (int)fd, to + used, size - used);
        if (n <= 0) break;
        used += (size_t)n;
    }
    if (fd >= 0) syscall(SYS_close, (int)fd);
    return (uint32_t)used;
}

/* One call in place of many page faults; and a full disk is an error here, not a SIGBUS later. */
static bool populate(void *start, size_t n_bytes)
{
    /* Kernels before 5.14 do not know it. */
    return madvise(start, n_bytes, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
}

/* Begin a new image: a file under a hidden name, complete, then visible. */
static bool start_image(void)
{
    if (session_dir[0] == '\0') {
        const char *dir = environ != NULL ? getenv(SESSION_ENV) : NULL;
        if (dir == NULL || strlen(dir) >= sizeof session_dir) return false;
        strcpy(session_dir, dir);
    }
    if (madvise(&here, sizeof here, MADV_WIPEONFORK) != 0) return false; /* Linux before 4.14 */
    /* A file beyond the limit is a signal that ends the program. */
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < IMAGE_BYTES) return false;
    here.pid = (uint32_t)syscall(SYS_getpid);
    uint64_t ticks = clock_ticks();
    char hidden[SESSION_PATH_MAX + 64];
    snprintf(hidden, sizeof hidden, "%s/.%u.%llx", session_dir, here.pid,
             (unsigned long long)ticks);
    snprintf(here.image_path, sizeof here.image_path, "%s/%u.%llx", session_dir, here.pid,
             (unsigned long long)ticks);
    long fd = open_at(hidden, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC);
    if (fd < 0) return false;
    void *map = MAP_FAILED;
    if (syscall(SYS_ftruncate, (int)fd, IMAGE_BYTES) == 0)
        map = mmap(NULL, IMAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
    syscall(SYS_close, (int)fd);
    if (map == MAP_FAILED) return false;
    if (!populate(map, IMAGE_HEAD_BYTES)) goto fail;

    image_head_t *head = map;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    head->version = SESSION_VERSION;
    head->pid = here.pid;
    head->ppid = (uint32_t)syscall(SYS_getppid);
    head->forked_from = image_pid; /* still the parent's, or 0 */
    head->start_ticks = ticks;
    head->start_ns = clock_ns();
    head->start_unix_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
    head->command_bytes = read_command(head->command, sizeof head->command);
    if (rename(hidden, here.image_path) != 0) goto fail;
    image_pid = here.pid;
    here.generation = ++generations;
    atomic_store_explicit(&here.n_threads, 0, memory_order_relaxed);
    here.words = (_Atomic uint64_t *)((char *)map + IMAGE_HEAD_BYTES);
    here.head = head;
    return true;

fail:
    munmap(map, IMAGE_BYTES);
    unlink(hidden);
    return false;
}

/* A free chunk's number; waits for one as long as there is somebody to give it back. -1: there is
 * not. */
static int take_chunk(void)
{
    image_head_t *head = here.head;
    for (;;) {
        bool some_busy = false;
        uint32_t released = atomic_load_explicit(&head->n_released, memory_order_acquire);
        for (uint32_t i = 0; i < N_CHUNKS; i++) {
            /* pairs with the reader's release after it zeroed the chunk */
            if (atomic_load_explicit(&head->chunk[i].sequence, memory_order_acquire) != 0) {
                some_busy = true;
                continue;
            }
            if ((here.populated & 1u << i) == 0 &&
                !populate((void *)(here.words + (size_t)i * CHUNK_WORDS), CHUNK_WORDS * 8))
                continue;
            here.populated |= 1u << i;
            return (int)i;
        }
        if (!some_busy || !ring_bell()) return -1;
        futex_wait(&head->n_released, released, &(struct timespec){0, 100000000}, true);
    }
}

/* The work of the one thread whose reservation crossed the chunk's end, at word offset. */
static void next_chunk(uint64_t cursor)
{
    uint32_t slot = (uint32_t)(cursor >> 32), offset = (uint32_t)cursor;
    bool first = here.head == NULL;
    if (first) {
        if (!start_image()) goto off;
    } else {
        chunk_head_t *old = &here.head->chunk[slot];
        if (offset < CHUNK_WORDS)
            atomic_store_explicit(&here.words[(size_t)slot * CHUNK_WORDS + offset], RAW_CHUNK_END,
                                  memory_order_release);
        atomic_store_explicit(&old->full, 1,
                              memory_order_release); /* pairs with the reader's acquire */
        if (!ring_bell()) goto off;
    }
    int next = take_chunk();
    if (next < 0) goto off;
    chunk_head_t *chunk = &here.head->chunk[next];
    chunk->start_ticks = clock_ticks();
    chunk->start_ns = clock_ns();
    atomic_store_explicit(&chunk->full, 0, memory_order_relaxed);
    atomic_store_explicit(&chunk->sequence, ++here.sequence, memory_order_release);
    atomic_store_explicit(&here.last_tick, 0, memory_order_relaxed);
    uint64_t cursor_next = (uint64_t)next << 32;
    if (first) {
        /* Nobody else is here yet: a program's first allocation, and a fork's child, is one
         * thread. */
        if (copy_maps_locked()) {
            atomic_store_explicit(&here.words[(size_t)next * CHUNK_WORDS], RAW_MAPS,
                                  memory_order_release);
            here.n_maps = 1;
            cursor_next++;
        }
        atomic_store_explicit(&here.limit, CHUNK_WORDS, memory_order_relaxed);
    }
    atomic_store_explicit(&here.cursor, cursor_next, memory_order_release);
    if (first) ring_bell();
    return;

off:
    atomic_store_explicit(&here.off, 1, memory_order_relaxed);
    atomic_store_explicit(&here.limit, 0, memory_order_relaxed);
    atomic_store_explicit(&here.cursor, 0, memory_order_release);
}

/* The reservation did not fit: NULL if the program is not being recorded, else come again. */
static __attribute__((noinline)) bool chunk_full(uint64_t cursor)
{
    int saved_errno = errno;
    if (atomic_load_explicit(&here.off, memory_order_relaxed) != 0) {
        atomic_store_explicit(&here.cursor, 0, memory_order_relaxed);
        return false;
    }
    uint32_t limit = atomic_load_explicit(&here.limit, memory_order_relaxed);
    if ((uint32_t)cursor <= limit) {
        /* In a signal handler this thread would wait for itself. */
        uint64_t all = ~UINT64_C(0), before = 0;
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
        next_chunk(cursor);
        atomic_fetch_add_explicit(&here.n_installed, 1, memory_order_release);
        syscall(SYS_futex, &here.n_installed, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    } else {
        uint32_t installed = atomic_load_explicit(&here.n_installed, memory_order_acquire);
        uint64_t now = atomic_load_explicit(&here.cursor, memory_order_acquire);
        if ((uint32_t)now > limit) futex_wait(&here.n_installed, installed, NULL, false);
    }
    errno = saved_errno;
    return atomic_load_explicit(&here.off, memory_order_relaxed) == 0;
}

/* n words of the image for the caller to fill; NULL: not recording. */
static inline _Atomic uint64_t *reserve(uint32_t n)
{
    for (;;) {
        /* acquire: pairs with the release that installed the chunk */
        uint64_t cursor = atomic_fetch_add_explicit(&here.cursor, n, memory_order_acq_rel);
        uint32_t offset = (uint32_t)cursor;
        if (LIKELY(offset + n <= atomic_load_explicit(&here.limit, memory_order_relaxed)))
            return here.words + (cursor >> 32) * CHUNK_WORDS + offset;
        if (!chunk_full(cursor)) return NULL;
    }
}

/* ---- events
 * ------------------------------------------------------------------------------------- */

static inline uint32_t thread_number(void)
{
    if (!LIKELY(my_generation == here.generation)) {
        my_generation = here.generation;
        my_thread = atomic_fetch_add_explicit(&here.n_threads, 1, memory_order_relaxed);
    }
    return my_thread;
}

void recorder_event(raw_kind_t kind, const void *caller, uint64_t ptr, uint64_t size,
                    uint64_t extra)
{
    uint64_t site = (uint64_t)(uintptr_t)caller;
    _Atomic uint32_t *entry = &seen[(site ^ site >> 10) % N_SEEN];
    if (!LIKELY(atomic_load_explicit(entry, memory_order_relaxed) == (uint32_t)site))
        meet_site(site, entry);

    uint32_t thread = thread_number();
    bool narrow = extra == 0 && size < (1u << RAW_SIZE_BITS) && (ptr & 7) == 0 && ptr >> 47 == 0 &&
                  thread <= RAW_THREAD_MAX;
    uint64_t now = clock_ticks();
    bool tick = now - atomic_load_explicit(&here.last_tick, memory_order_relaxed) > TICK_PERIOD;
    _Atomic uint64_t *at = reserve((narrow ? RAW_NARROW_WORDS : RAW_WIDE_WORDS) + tick);
    if (at == NULL) return;
    if (tick) {
        atomic_store_explicit(&here.last_tick, now, memory_order_relaxed);
        atomic_store_explicit(at++, RAW_TICK | now << RAW_KIND_BITS, memory_order_release);
    }
    uint64_t first = (uint64_t)kind | site << RAW_SITE_SHIFT;
    if (LIKELY(narrow)) {
        atomic_store_explicit(at + 1, ptr >> 3 << RAW_SIZE_BITS | size, memory_order_relaxed);
        first |= (uint64_t)thread << RAW_THREAD_SHIFT;
    } else {
        atomic_store_explicit(at + 1, ptr, memory_order_relaxed);
        atomic_store_explicit(at + 2, size, memory_order_relaxed);
        atomic_store_explicit(at + 3, extra, memory_order_relaxed);
        atomic_store_explicit(at + 4, thread, memory_order_relaxed);
        first |= RAW_WIDE;
    }
    atomic_store_explicit(at, first, memory_order_release); /* pairs with the reader's acquire */
}

void recorder_closed(int status)
{
    if (here.head == NULL) return;
    here.head->exit_status = (uint32_t)status & 0xFF;
    atomic_store_explicit(&here.head->closed, 1, memory_order_release);
}
