/* SPDX-License-Identifier: MIT
 *
 * Reads an image's chunks in their order, joins the two halves of reallocs, numbers the call sites,
 * turns ticks into microseconds and hands the events to the recording's writer.
 *
 * Joining reallocs. BEGIN(old) says: old may become free from here on; REALLOC(old, new) says: new
 * was got before here. If nobody else got `old` in between, one event at the second place is true.
 * If somebody did, the release must stand before that: the realloc is told as a free of old there
 * and an allocation of new at its end.
 */
#define _GNU_SOURCE
#include "collect.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "modules.h"
#include "recording.h"
#include "sizemap.h"

typedef struct {
    uint64_t address;
    uint32_t number; /* 0: the slot is empty */
    int32_t module;
    uint64_t offset;
} site_slot_t;

typedef struct {
    uint32_t thread, site;
    uint64_t old_ptr;
    bool given_up; /* already told as a free */
} pending_t;

struct collector {
    image_head_t *head;
    _Atomic uint64_t *words;
    char *base_path; /* of the image in the session, for its maps files */
    clock_anchor_t anchor;
    rec_writer_t *writer;

    uint32_t sequence; /* of the chunk being read */
    uint32_t offset;   /* its next word */
    int32_t slot;      /* where it lies; -1: not found yet */
    double us_per_tick;
    uint64_t chunk_ticks, chunk_us, time_us;

    site_slot_t *sites; /* open addressing, a power of two */
    uint32_t n_site_slots, n_used_slots, n_sites;
    modules_t *modules;

    pending_t *pending;
    uint32_t n_pending, pending_capacity;
    uint64_t n_events, n_lost;

    sizemap_t live; /* for the peak alone */
    uint64_t live_bytes, peak_bytes;
};

collector_t *collector_open(const char *directory, const char *image, clock_anchor_t anchor)
{
    collector_t *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    c->anchor = anchor;
    c->sequence = 1;
    c->slot = -1;
    c->n_site_slots = 4096;
    c->sites = calloc(c->n_site_slots, sizeof *c->sites);
    c->modules = modules_new();
    if (asprintf(&c->base_path, "%s/%s", directory, image) < 0) c->base_path = NULL;
    if (c->sites == NULL || c->modules == NULL || c->base_path == NULL || !sizemap_init(&c->live))
        abort();

    void *map = MAP_FAILED;
    int fd = open(c->base_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == IMAGE_BYTES)
        map = mmap(NULL, IMAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    unlink(c->base_path);
    if (map != MAP_FAILED) {
        c->head = map;
        c->words = (_Atomic uint64_t *)((char *)map + IMAGE_HEAD_BYTES);
    }
    if (map == MAP_FAILED || c->head->version != SESSION_VERSION) {
        collector_close(c, NULL, NULL);
        return NULL;
    }
    return c;
}

const image_head_t *collector_head(const collector_t *c)
{
    return c->head;
}

/* ---- sites
 * -------------------------------------------------------------------------------------- */

static site_slot_t *find_site(const collector_t *c, uint64_t address)
{
    uint32_t mask = c->n_site_slots - 1;
    uint32_t at = (uint32_t)((address * UINT64_C(0x9E3779B97F4A7C15)) >> 40) & mask;
    while (c->sites[at].number != 0 && c->sites[at].address != address) at = (at + 1) & mask;
    return &c->sites[at];
}

static void grow_sites(collector_t *c)
{
    site_slot_t *old = c->sites;
    uint32_t n_old = c->n_site_slots;
    c->n_site_slots *= 2;
    c->sites = calloc(c->n_site_slots, sizeof *c->sites);
    if (c->sites == NULL) abort();
    for (uint32_t i = 0; i < n_old; i++)
        if (old[i].number != 0) *find_site(c, old[i].address) = old[i];
    free(old);
}

static void define_site(collector_t *c, site_slot_t *s)
{
    s->module = modules_find(c->modules, c->writer, s->address, &s->offset);
    s->number = ++c->n_sites;
    rec_write_site(c->writer, s->address, s->module, s->offset);
}

static inline uint32_t site_number(collector_t *c, uint64_t address)
{
    if (address == 0) return 0;
    site_slot_t *s = find_site(c, address);
    if (s->number != 0) return s->number;
    if (c->n_used_slots * 2 > c->n_site_slots) {
        grow_sites(c);
        s = find_site(c, address);
    }
    c->n_used_slots++;
    s->address = address;
    define_site(c, s);
    return s->number;
}

/* The program's modules changed: a known address may mean another place from now on. */
static void read_maps(collector_t *c, uint64_t number)
{
    char path[512];
    snprintf(path, sizeof path, "%s.maps.%u", c->base_path, (unsigned)number);
    modules_read(c->modules, path);
    unlink(path);
    for (uint32_t i = 0; i < c->n_site_slots; i++) {
        site_slot_t *s = &c->sites[i];
        if (s->number == 0) continue;
        uint64_t offset;
        int32_t module = modules_find(c->modules, c->writer, s->address, &offset);
        if (module >= 0 && (module != s->module || offset != s->offset)) define_site(c, s);
    }
}

/* ---- events
 * ------------------------------------------------------------------------------------- */

static inline void count_live(collector_t *c, const rec_event_t *e)
{
    if (e->kind >= REC_USABLE || c->live.slots == NULL) return;
    uint64_t gone = e->kind == REC_FREE ? e->ptr : e->old_ptr;
    if (gone != 0) c->live_bytes -= sizemap_take(&c->live, gone);
    if (e->kind == REC_FREE) return;
    c->live_bytes += e->size - sizemap_put(&c->live, e->ptr, e->size);
    if (c->live_bytes > c->peak_bytes) c->peak_bytes = c->live_bytes;
}

static inline int put(collector_t *c, const rec_event_t *e)
{
    c->n_events++;
    count_live(c, e);
    return rec_write(c->writer, e);
}

static void begin_realloc(collector_t *c, const rec_event_t *e)
{
    if (c->n_pending == c->pending_capacity) {
        c->pending_capacity = c->pending_capacity * 2 + 16;
        c->pending = realloc(c->pending, c->pending_capacity * sizeof *c->pending);
        if (c->pending == NULL) abort();
    }
    c->pending[c->n_pending++] = (pending_t){e->thread, e->site, e->ptr, false};
}

/* Somebody got ptr: if a realloc under way has it, it must have been given up by now. */
static int give_up(collector_t *c, const rec_event_t *e)
{
    for (uint32_t i = 0; i < c->n_pending; i++) {
        pending_t *p = &c->pending[i];
        if (p->old_ptr != e->ptr || p->given_up || p->thread == e->thread) continue;
        p->given_up = true;
        rec_event_t freed = {.kind = REC_FREE,
                             .thread = p->thread,
                             .site = p->site,
                             .time_us = e->time_us,
                             .ptr = p->old_ptr};
        if (put(c, &freed) != 0) return -1;
    }
    return 0;
}

/* The end of this thread's realloc: true if its release was told already. */
static bool end_realloc(collector_t *c, uint32_t thread)
{
    for (uint32_t i = 0; i < c->n_pending; i++) {
        if (c->pending[i].thread != thread) continue;
        bool given_up = c->pending[i].given_up;
        c->pending[i] = c->pending[--c->n_pending];
        return given_up;
    }
    return false;
}

static int put_raw(collector_t *c, raw_kind_t kind, rec_event_t *e, uint64_t extra)
{
    switch (kind) {
    case RAW_REALLOC_BEGIN: begin_realloc(c, e); return 0;
    case RAW_REALLOC:
        e->old_ptr = extra;
        if (c->n_pending > 0 && end_realloc(c, e->thread)) {
            e->kind = REC_ALLOC;
            e->old_ptr = 0;
        }
        break;
    case RAW_REALLOC_FREED:
        e->kind = REC_FREE;
        if (c->n_pending > 0 && end_realloc(c, e->thread)) return 0;
        break;
    case RAW_REALLOC_FAILED:
        end_realloc(c, e->thread);
        e->kind = REC_FAIL;
        e->ptr = 0;
        break;
    case RAW_ALIGNED:
    case RAW_FAIL: e->align = extra; break;
    default: break;
    }
    if (c->n_pending > 0 && kind <= RAW_REALLOC && give_up(c, e) != 0) return -1;
    return put(c, e);
}

static void set_time(collector_t *c, uint64_t ticks)
{
    double passed = (double)(int64_t)(ticks - c->chunk_ticks) * c->us_per_tick;
    uint64_t now = passed > 0 ? c->chunk_us + (uint64_t)passed : c->chunk_us;
    if (now > c->time_us) c->time_us = now;
}

/* Read the records from words + offset on, up to the first that is not there yet or the chunk's
 * end. True at the chunk's end. */
static int read_chunk(collector_t *c, bool *at_end)
{
    const _Atomic uint64_t *words = c->words + (size_t)c->slot * CHUNK_WORDS;
    *at_end = false;
    while (c->offset < CHUNK_WORDS) {
        const _Atomic uint64_t *at = words + c->offset;
        uint64_t first =
            atomic_load_explicit(at, memory_order_acquire); /* pairs with recorder_event */
        raw_kind_t kind = (raw_kind_t)(first & ((1u << RAW_KIND_BITS) - 1));
        uint64_t value = first >> RAW_KIND_BITS;
        if (first == 0) return 0;
        if (kind == RAW_CHUNK_END) break;
        if (kind == RAW_TICK || kind == RAW_MAPS) {
            if (kind == RAW_TICK)
                set_time(c, value);
            else
                read_maps(c, value);
            c->offset++;
            continue;
        }
        uint32_t n = (first & RAW_WIDE) != 0 ? RAW_WIDE_WORDS : RAW_NARROW_WORDS;
        if (kind == 0 || kind > RAW_REALLOC_FREED || c->offset + n > CHUNK_WORDS)
            break; /* overwritten */
        rec_event_t e = {.kind = (rec_kind_t)kind, .time_us = c->time_us};
        uint64_t extra = 0;
        e.site = site_number(c, first >> RAW_SITE_SHIFT);
        if (n == RAW_WIDE_WORDS) {
            e.ptr = atomic_load_explicit(at + 1, memory_order_relaxed);
            e.size = atomic_load_explicit(at + 2, memory_order_relaxed);
            extra = atomic_load_explicit(at + 3, memory_order_relaxed);
            e.thread = (uint32_t)atomic_load_explicit(at + 4, memory_order_relaxed);
        } else {
            uint64_t second = atomic_load_explicit(at + 1, memory_order_relaxed);
            e.ptr = second >> RAW_SIZE_BITS << 3;
            e.size = second & ((1u << RAW_SIZE_BITS) - 1);
            e.thread = (uint32_t)(first >> RAW_THREAD_SHIFT) & RAW_THREAD_MAX;
        }
        c->offset += n;
        if (e.thread >= (1u << 31)) e.thread = 0;
        if (put_raw(c, kind, &e, extra) != 0) return -1;
    }
    *at_end = true;
    return 0;
}

static void find_chunk(collector_t *c)
{
    for (int32_t i = 0; i < (int32_t)N_CHUNKS && c->slot < 0; i++) {
        const chunk_head_t *chunk = &c->head->chunk[i];
        if (atomic_load_explicit(&chunk->sequence, memory_order_acquire) != c->sequence) continue;
        c->slot = i;
        c->offset = 0;
        c->chunk_ticks = chunk->start_ticks;
        c->chunk_us = (chunk->start_ns - c->head->start_ns) / 1000;
    }
}

static void give_back(collector_t *c)
{
    chunk_head_t *chunk = &c->head->chunk[c->slot];
    memset((void *)(c->words + (size_t)c->slot * CHUNK_WORDS), 0, CHUNK_WORDS * 8);
    atomic_store_explicit(&chunk->sequence, 0, memory_order_release); /* pairs with take_chunk */
    atomic_fetch_add_explicit(&c->head->n_released, 1, memory_order_release);
    syscall(SYS_futex, &c->head->n_released, FUTEX_WAKE, 1, NULL, NULL, 0);
    c->slot = -1;
    c->sequence++;
}

static int create(collector_t *c, const char *path)
{
    struct utsname machine;
    uname(&machine);
    image_head_t *head = c->head;
    uint32_t n = head->command_bytes;
    if (n > sizeof head->command - 1) n = sizeof head->command - 1;
    char *command = malloc(n + 1u);
    if (command == NULL) abort();
    memcpy(command, head->command, n);
    while (n > 0 && command[n - 1] == '\0') n--;
    for (uint32_t i = 0; i < n; i++)
        if (command[i] == '\0') command[i] = ' ';
    command[n] = '\0';
    rec_info_t info = {.pid = head->pid,
                       .ppid = head->ppid,
                       .forked_from = head->forked_from,
                       .start_unix_us = head->start_unix_us,
                       .command = command,
                       .machine = machine.machine};
    c->writer = rec_writer_open(path, &info);
    free(command);
    return c->writer != NULL ? 0 : -1;
}

int collector_run(collector_t *c, const char *path, bool dead)
{
    if (c->writer == NULL && create(c, path) != 0) return -1;
    uint64_t ticks = clock_ticks() - c->anchor.ticks, ns = clock_ns() - c->anchor.ns;
    c->us_per_tick = ticks > 0 ? (double)ns / (double)ticks / 1000.0 : 0.0;
    for (;;) {
        if (c->slot < 0) find_chunk(c);
        if (c->slot < 0) return 0;
        /* Before the words are read: a chunk that is full now has all its reservations made. */
        bool full = atomic_load_explicit(&c->head->chunk[c->slot].full, memory_order_acquire) != 0;
        bool at_end;
        if (read_chunk(c, &at_end) != 0) return -1;
        /* A hole in a dead program's chunk stays one: what a thread was about to write is lost. */
        if (!at_end && !(dead && full)) return 0;
        if (!at_end) c->n_lost++;
        give_back(c);
    }
}

int collector_flush(collector_t *c)
{
    return c->writer != NULL ? rec_writer_flush(c->writer) : 0;
}

uint64_t collector_peak_bytes(const collector_t *c)
{
    return c->peak_bytes;
}

int collector_close(collector_t *c, const rec_end_t *how, uint64_t *n_events)
{
    int failed = 0;
    if (c->writer != NULL) {
        rec_end_t end = *how;
        end.closed = atomic_load_explicit(&c->head->closed, memory_order_acquire) != 0;
        end.exec &= !end.closed;
        end.n_lost = c->n_lost;
        if (!end.exit_known) end.exit_status = 0;
        failed = rec_writer_close(c->writer, &end);
    }
    if (n_events != NULL) *n_events = c->n_events;
    if (c->head != NULL) munmap(c->head, IMAGE_BYTES);
    sizemap_free(&c->live);
    modules_free(c->modules);
    free(c->base_path);
    free(c->pending);
    free(c->sites);
    free(c);
    return failed;
}
