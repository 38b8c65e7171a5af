/* SPDX-License-Identifier: MIT
 *
 * Dumps of stores of movable blocks that are no allocator's (rows B2, A4): what is in them is what
 * a walk shows, also in the middle of a move and where the store is damaged.
 */
#include "ealloc/dump.h"

#include "dump_testing.h"
#include "tap.h"

#define RAM 2048u
#define MAX_DUMP_BYTES 4096u
#define MAX_BLOCKS 40u

typedef struct {
    unsigned char *ram, saved[RAM], bytes[MAX_DUMP_BYTES];
    size_t n_bytes;
    bool overrun;
    ea_movable_t *m;
    ea_dump_t dump;
    ea_dump_range_t memory, readable;
    ea_dump_options_t options;
    record_t store, blocks[MAX_BLOCKS];
    unsigned n_blocks, n_stores, n_troubles, n_raws;
    char trouble[8];     /* the text of the first one */
    uint64_t trouble_at; /* of the first one */
} bed_t;

#define BED_BYTES (sizeof(bed_t) + RAM + 16u)

static bed_t *the_bed; /* boards with less memory skip the tests */
#define bed (*the_bed)

static bool keep(void *context, const void *bytes, size_t n_bytes)
{
    (void)context;
    if (n_bytes > sizeof bed.bytes - bed.n_bytes) {
        bed.overrun = true;
        return false;
    }
    memcpy(bed.bytes + bed.n_bytes, bytes, n_bytes);
    bed.n_bytes += n_bytes;
    return true;
}

static void start(uint32_t n_handles)
{
    ea_movable_options_t options = {n_handles, n_handles};
    the_bed = tap_ram();
    memset(&bed, 0, sizeof bed);
    bed.ram = (unsigned char *)(((uintptr_t)(the_bed + 1) + 15u) & ~(uintptr_t)15u);
    memset(bed.ram, 0, RAM);
    bed.m = ea_movable_init(bed.ram, RAM, &options);
    bed.memory = (ea_dump_range_t){bed.ram, RAM, "messages"};
    bed.readable = bed.memory;
    bed.options = (ea_dump_options_t){.write = keep,
                                      .stores = EA_DUMP_STORES(&bed.memory, 1),
                                      .readable = &bed.readable,
                                      .n_readable = 1};
}

static void note_trouble(const record_t *r)
{
    if (bed.n_troubles++ != 0) return;
    bed.trouble_at = r->field[1];
    for (size_t i = 0; i < r->field[2] && i < sizeof bed.trouble - 1u; i++)
        bed.trouble[i] = (char)r->text[2][i];
}

/* Sort what was written. false: it is not well formed. */
static bool read_dump(void)
{
    reader_t r = {bed.bytes + 4, bed.bytes + bed.n_bytes, false};
    record_t record;
    const unsigned char *begin = r.at;
    unsigned n_records = 0, n_ends = 0;
    bed.n_blocks = bed.n_stores = bed.n_troubles = bed.n_raws = 0;
    memset(bed.trouble, 0, sizeof bed.trouble);
    while (begin = r.at, read_record(&r, &record)) {
        n_records++;
        if (record.kind == STORE) {
            bed.store = record;
            bed.n_stores++;
        }
        if (record.kind == STORE_BLOCK && bed.n_blocks < MAX_BLOCKS)
            bed.blocks[bed.n_blocks++] = record;
        if (record.kind == TROUBLE) note_trouble(&record);
        bed.n_raws += record.kind == RAW;
        if (record.kind != END) continue;
        n_ends++;
        if (record.field[0] != n_records ||
            record.field[1] != crc_of(bed.bytes, (size_t)(begin - bed.bytes)))
            return false;
    }
    return !r.bad && n_ends == 1;
}

static ea_status_t take(void)
{
    bed.n_bytes = 0;
    bed.overrun = false;
    return ea_dump(&bed.dump, NULL, &bed.options);
}

/* Take a dump and read it. */
static bool dump(void)
{
    return take() == EA_OK && !bed.overrun && read_dump();
}

/* --- the same as a walk ----------------------------------------------------------------------- */

static const record_t *find(uint32_t handle, uint64_t begin)
{
    for (unsigned i = 0; i < bed.n_blocks; i++) {
        const record_t *r = &bed.blocks[i];
        if (handle != 0 ? r->field[3] == handle : r->field[0] == begin) return r;
    }
    return NULL;
}

static bool is_fixed_block(const ea_movable_block_t *b)
{
#if EA_CFG_MOVABLE_FIXED
    return b->is_fixed;
#else
    (void)b;
    return false;
#endif
}

static void expect_as_walked(void)
{
    ea_movable_block_t b;
    size_t position = 0, header = EA_MOVABLE_HEADER_BYTES;
    unsigned n = 0;
    uint64_t free_bytes = 0;
    EXPECT(dump());
    EXPECT_EQ(bed.n_stores, 1);
    EXPECT_EQ(bed.n_troubles, 0);
    while (ea_movable_walk(bed.m, &position, &b)) {
        uint64_t begin = (uintptr_t)bed.m + b.offset_bytes - header;
        const record_t *r = find(b.handle.eai_word, begin);
        n++;
        REQUIRE(r != NULL);
        EXPECT_EQ(r->field[1], b.size_bytes + header);
        if (ea_movable_is_none(b.handle)) {
            EXPECT_EQ(r->field[2], is_fixed_block(&b) ? EA_DUMP_USED : EA_DUMP_FREE);
            EXPECT_EQ(r->field[3], 0);
            if (r->field[2] == EA_DUMP_FREE) free_bytes += r->field[1];
            continue;
        }
        EXPECT_EQ(r->field[2], b.moving ? EA_DUMP_MOVING : EA_DUMP_USED);
        EXPECT_EQ(r->field[4], b.n_locks);
        EXPECT_EQ(r->field[5], b.size_bytes);
        if (b.moving)
            EXPECT_EQ(r->field[0] + header, bed.store.field[19]);
        else
            EXPECT_EQ(r->field[0], begin);
        if (b.moving) free_bytes += bed.store.field[19] - bed.store.field[20];
    }
    EXPECT_EQ(bed.n_blocks, n);
    EXPECT_EQ(bed.store.field[11], free_bytes);
}

static ea_movable_handle_t make(size_t size_bytes, int byte)
{
    ea_movable_handle_t h = ea_movable_alloc(bed.m, size_bytes, 0);
    EA_MOVABLE_LOCKED(bed.m, h, char, bytes)
    {
        if (bytes) memset(bytes, byte, size_bytes);
    }
    return h;
}

/* A locked block and others with holes between, a fixed one at the end. */
static ea_movable_handle_t handles[6];
static void fill(void)
{
    start(32);
    REQUIRE(bed.m != NULL);
    for (unsigned i = 0; i < 6; i++) handles[i] = make(40 + 20 * i, 'a' + (int)i);
    EXPECT_EQ(ea_movable_free(bed.m, handles[0]), EA_OK);
    EXPECT_EQ(ea_movable_free(bed.m, handles[3]), EA_OK);
    EXPECT(ea_movable_lock(bed.m, handles[4]) != NULL);
    EXPECT(ea_movable_lock(bed.m, handles[4]) != NULL);
#if EA_CFG_MOVABLE_FIXED
    EXPECT(ea_movable_alloc_fixed(bed.m, 48, 8, 0) != NULL);
#endif
}

TEST(movable_dump_shows_what_a_walk_shows, BED_BYTES)
{
    start(32);
    REQUIRE(bed.m != NULL);
    expect_as_walked();
    fill();
    expect_as_walked();
    const record_t *r = find(handles[4].eai_word, 0);
    REQUIRE(r != NULL);
    EXPECT_EQ(r->field[4], 2);
    EXPECT_EQ(bed.store.field[1], (uintptr_t)bed.m);
    EXPECT_EQ(bed.store.field[2], EA_CFG_MOVABLE_LAYOUT);
    EXPECT_EQ(bed.store.field[3],
              EA_CFG_MOVABLE_ISR + 2 * EA_CFG_MOVABLE_FIXED + 4 * EA_CFG_MOVABLE_RELOCATE);
    EXPECT_EQ(bed.store.field[4], EA_MOVABLE_ALIGN);
    EXPECT_EQ(bed.store.field[5], EA_MOVABLE_HEADER_BYTES);
    EXPECT_EQ(bed.store.field[9], 32);
    EXPECT_EQ(bed.store.field[10], 32);
    EXPECT_EQ(bed.store.field[12], 4);
    EXPECT_EQ(bed.store.field[13], EA_CFG_MOVABLE_FIXED);
    EXPECT(bed.store.field[0] == 8 && memcmp(bed.store.text[0], "messages", 8) == 0);
    EXPECT_EQ(bed.store.field[8], (uintptr_t)bed.ram + RAM);
    EXPECT(ea_movable_is_none(ea_movable_alloc(bed.m, 100000, 0)));
    EXPECT_EQ(ea_movable_step(bed.m, 2000), EA_ERR_AGAIN);
    expect_as_walked();
    ea_movable_stats_t stats;
    ea_movable_stats(bed.m, &stats);
    EXPECT(stats.moved_bytes > 0);
    EXPECT_EQ(bed.store.field[14], stats.moved_bytes);
    EXPECT_EQ(bed.store.field[15], stats.n_moves);
    EXPECT_EQ(bed.store.field[17], 1);
}

#if !EA_CFG_MOVABLE_RELOCATE /* with which no move outlives a call */
TEST(movable_dump_shows_a_move_under_way, BED_BYTES)
{
    unsigned n_in_flight = 0;
    fill();
    for (unsigned i = 0; i < 60; i++) {
        (void)ea_movable_step(bed.m, 36);
        expect_as_walked();
        if (bed.store.field[19] == 0) continue;
        n_in_flight++;
        EXPECT(bed.store.field[22] <= bed.store.field[21]);
        EXPECT(bed.store.field[20] < bed.store.field[19]);
    }
    EXPECT(n_in_flight > 1);
}
#endif

TEST(movable_dump_of_a_running_system_shows_each_block_once, BED_BYTES)
{
    ea_status_t status;
    unsigned n_steps = 0;
    fill();
    bed.options.is_live = true;
    EXPECT_EQ(ea_dump_begin(&bed.dump, NULL, &bed.options), EA_OK);
    do { /* blocks move meanwhile, and others come and go */
        status = ea_dump_step(&bed.dump, 1);
        (void)ea_movable_step(bed.m, 40);
        ea_movable_handle_t passing = make(24, 'p');
        if (n_steps++ % 3 != 2) EXPECT_EQ(ea_movable_free(bed.m, passing), EA_OK);
    } while (status == EA_ERR_AGAIN && n_steps < 400);
    EXPECT_EQ(status, EA_OK);
    REQUIRE(read_dump());
    EXPECT_EQ(bed.n_troubles, 0);
    static const unsigned live[] = {1, 2, 4, 5};
    for (unsigned i = 0; i < 4; i++) {
        unsigned n = 0;
        for (unsigned k = 0; k < bed.n_blocks; k++)
            n += bed.blocks[k].field[3] == handles[live[i]].eai_word;
        EXPECT_EQ(n, 1);
    }
    for (unsigned k = 0; k < bed.n_blocks; k++) EXPECT(bed.blocks[k].field[2] != EA_DUMP_DAMAGED);
}

/* --- damage ----------------------------------------------------------------------------------- */

/* How many of ours are in the dump where they are. */
static unsigned count_found(void)
{
    static const unsigned live[] = {1, 2, 4, 5};
    unsigned n = 0;
    for (unsigned i = 0; i < 4; i++) {
        const record_t *r = find(handles[live[i]].eai_word, 0);
        char *bytes = r != NULL ? (char *)(uintptr_t)r->field[0] + EA_MOVABLE_HEADER_BYTES : NULL;
        n += r != NULL && r->field[2] == EA_DUMP_USED && r->field[1] != 0 &&
             bytes[0] == 'a' + (int)live[i];
    }
    return n;
}

/* Nothing in the dump leads out of the store. */
static bool is_inside(void)
{
    const uint64_t *f = bed.store.field;
    if (f[19] != 0 &&
        (f[19] < f[6] || f[20] < f[6] || f[19] + f[21] > f[7] || f[20] + f[21] > f[7]))
        return false;
    for (unsigned i = 0; i < bed.n_blocks; i++) {
        const uint64_t *b = bed.blocks[i].field;
        if (b[0] < f[6] || b[0] >= f[7] || b[1] > f[7] - b[0]) return false;
    }
    return f[22] <= f[21];
}

TEST(movable_dump_survives_any_damaged_word_of_the_control_structure, BED_BYTES)
{
    ea_movable_stats_t stats;
    unsigned n_told = 0;
    fill();
    ea_movable_stats(bed.m, &stats);
    size_t skipped = (size_t)((unsigned char *)bed.m - bed.ram);
    memcpy(bed.saved, bed.ram, RAM);
    static const unsigned char masks[] = {0xFF, 0x01, 0x80, 0x10};
    for (size_t at = skipped; at < skipped + stats.control_bytes; at++) {
        for (unsigned i = 0; i < sizeof masks; i++) {
            bed.ram[at] ^= masks[i];
            if (!dump() || count_found() != 4 || !is_inside()) {
                tap_note("damaged byte", (long long)(at - skipped));
                EXPECT_EQ(count_found(), 4);
                return;
            }
            n_told += bed.n_troubles != 0;
            memcpy(bed.ram, bed.saved, RAM);
        }
    }
    tap_note("damages told of", n_told);
    EXPECT(n_told > stats.control_bytes);
}

/* The same in the middle of a move, and of the table: what is not damaged itself is found. */
TEST(movable_dump_stays_inside_whatever_byte_of_move_or_table_is_damaged, BED_BYTES)
{
    ea_movable_stats_t stats;
    fill();
    (void)ea_movable_step(bed.m, 36);
    ea_movable_stats(bed.m, &stats);
    size_t skipped = (size_t)((unsigned char *)bed.m - bed.ram);
    memcpy(bed.saved, bed.ram, RAM);
    for (size_t at = skipped; at < RAM; at++) {
        if (at == skipped + stats.control_bytes) at = RAM - stats.table_bytes;
        for (unsigned i = 0; i < 2; i++) {
            bed.ram[at] ^= i == 0 ? 0xFF : 0x11;
            if (!dump() || count_found() < 2 || !is_inside()) {
                tap_note("damaged byte", (long long)at);
                EXPECT(!"the others are found, inside of the store");
                return;
            }
            memcpy(bed.ram, bed.saved, RAM);
        }
    }
}

/* A header as the layout has it. */
#if EA_CFG_MOVABLE_LAYOUT == 2
typedef uint64_t head_t;
#define UNITS_SHIFT 32
#else
typedef uint32_t head_t;
#define UNITS_SHIFT (EA_CFG_MOVABLE_LAYOUT == 0 ? 18 : 16)
#endif
#define IS_HOLE 1u
#define PREV_FREE 2u

/* The header of the first or the last hole, and how many bytes it has. */
static unsigned char *find_hole(bool is_last, size_t *size_bytes)
{
    ea_movable_block_t b;
    size_t position = 0, found = 0;
    while (ea_movable_walk(bed.m, &position, &b)) {
        if (!ea_movable_is_none(b.handle) || is_fixed_block(&b)) continue;
        if (found != 0 && !is_last) continue;
        found = b.offset_bytes;
        *size_bytes = b.size_bytes + EA_MOVABLE_HEADER_BYTES;
    }
    return (unsigned char *)bed.m + found - EA_MOVABLE_HEADER_BYTES;
}

#if EA_CFG_MOVABLE_FIXED
TEST(movable_dump_finds_a_fixed_block_behind_a_hole_of_a_wrong_size, BED_BYTES)
{
    size_t size;
    head_t head;
    fill();
    unsigned char *hole = find_hole(true, &size), *fixed = hole + size;
    memcpy(&head, hole, sizeof head);
    head += (head_t)3 << UNITS_SHIFT; /* into the fixed block */
    memcpy(hole, &head, sizeof head);
    REQUIRE(dump());
    const record_t *r = find(0, (uintptr_t)fixed);
    REQUIRE(r != NULL);
    EXPECT_EQ(r->field[2], EA_DUMP_USED);
    EXPECT(r->field[1] >= 48 + EA_MOVABLE_HEADER_BYTES && r->field[1] < 64);
}
#endif

/* A block whose header is damaged is full of what looks like headers of holes and fixed blocks, but
 * for the holes' ends. */
TEST(movable_dump_takes_bytes_of_a_block_for_no_headers, BED_BYTES)
{
    fill();
    ea_movable_handle_t h = make(40 * EA_MOVABLE_ALIGN, 0);
    unsigned char *bytes = ea_movable_lock(bed.m, h);
    REQUIRE(bytes != NULL);
    for (unsigned i = 0; i < 40; i++) {
        static const head_t flags[] = {IS_HOLE, 0, PREV_FREE, 0};
        head_t head = i % 2 ? 0 : (head_t)2 << UNITS_SHIFT | flags[i % 4];
        memcpy(bytes + i * sizeof head, &head, sizeof head);
    }
    memset(bytes - sizeof(head_t), 0xFF, sizeof(head_t));
    REQUIRE(dump());
    for (unsigned i = 0; i < bed.n_blocks; i++) {
        uint64_t begin = bed.blocks[i].field[0];
        bool is_within =
            begin >= (uintptr_t)bytes && begin < (uintptr_t)bytes + 40 * sizeof(head_t);
        EXPECT(!is_within);
    }
}

/* What is damaged and what has changed since the last look cannot be told apart. */
TEST(movable_dump_of_a_running_system_tells_of_no_damage, BED_BYTES)
{
    size_t size, first_size;
    fill();
    unsigned char *hole = find_hole(true, &size), *first = find_hole(false, &first_size);
    memset(first + first_size - EA_MOVABLE_ALIGN, 0, EA_MOVABLE_ALIGN);
    bed.options.is_live = true;
    for (unsigned i = 0; i < 2; i++) {
        REQUIRE(dump());
        EXPECT_EQ(bed.n_troubles, 0);
        for (unsigned k = 0; k < bed.n_blocks; k++)
            EXPECT(bed.blocks[k].field[2] != EA_DUMP_DAMAGED);
        memset(hole, 0, EA_MOVABLE_ALIGN); /* not even a size */
    }
}

TEST(movable_dump_names_a_damaged_header_and_goes_on, BED_BYTES)
{
    fill();
    unsigned char *bytes = ea_movable_lock(bed.m, handles[2]), *header;
    REQUIRE(bytes != NULL);
    header = bytes - EA_MOVABLE_HEADER_BYTES;
    EXPECT_EQ(ea_movable_unlock(bed.m, handles[2]), EA_OK);
    memset(header, 0x5A, EA_MOVABLE_HEADER_BYTES);
    REQUIRE(dump());
    EXPECT_EQ(count_found(), 3);
    EXPECT(bed.n_troubles > 1 && bed.n_raws > 0);
    EXPECT(memcmp(bed.trouble, "I2", 2) == 0);
    unsigned n_without_size = 0, n_lost = 0;
    for (unsigned i = 0; i < bed.n_blocks; i++) {
        const record_t *r = &bed.blocks[i];
        if (r->field[0] != (uintptr_t)header) continue;
        n_without_size += r->field[2] == EA_DUMP_USED && r->field[1] == 0;
        n_lost += r->field[2] == EA_DUMP_DAMAGED && r->field[1] == 80 + EA_MOVABLE_HEADER_BYTES;
    }
    EXPECT_EQ(n_without_size, 1);
    EXPECT_EQ(n_lost, 1);
}

TEST(movable_dump_names_a_hole_whose_end_was_written_to, BED_BYTES)
{
    ea_movable_block_t b;
    size_t position = 0;
    fill();
    do REQUIRE(ea_movable_walk(bed.m, &position, &b));
    while (!ea_movable_is_none(b.handle) || position * EA_MOVABLE_ALIGN < 200);
    unsigned char *end = (unsigned char *)bed.m + b.offset_bytes + b.size_bytes;
    end[-1] ^= 0x40;
    REQUIRE(dump());
    EXPECT_EQ(count_found(), 4);
    bool told = false;
    reader_t r = {bed.bytes + 4, bed.bytes + bed.n_bytes, false};
    record_t record;
    while (read_record(&r, &record))
        told |= record.kind == TROUBLE && record.field[0] == EA_DUMP_TAIL &&
                record.field[1] == (uintptr_t)end - EA_MOVABLE_HEADER_BYTES;
    EXPECT(told);
}

/* Runs of random bytes anywhere, and single bits; nothing else than the store may be read. */
TEST(movable_dump_survives_wild_writes, BED_BYTES)
{
    uint32_t random = (uint32_t)tap_arg("seed", 1);
    tap_note("seed", random);
    fill();
    (void)ea_movable_step(bed.m, 36);
    memcpy(bed.saved, bed.ram, RAM);
#if defined(__linux__)
    const unsigned n_trials = 3000;
#else
    const unsigned n_trials = 150;
#endif
    for (unsigned trial = 0; trial < n_trials; trial++) {
        for (unsigned i = 0; i < 1 + trial % 3; i++) {
            random = random * 1664525u + 1013904223u;
            size_t at = (random >> 8) % RAM, n = trial % 2 ? 1 : 1 + (random >> 4) % 64;
            for (; n > 0 && at < RAM; n--, at++) {
                random = random * 1664525u + 1013904223u;
                bed.ram[at] = (unsigned char)(random >> 24);
            }
        }
        if (take() != EA_OK || bed.overrun || !read_dump()) {
            tap_note("trial", trial);
            EXPECT(!"the dump ends and is well formed");
            return;
        }
        memcpy(bed.ram, bed.saved, RAM);
    }
}

TEST(movable_dump_follows_no_memory_that_may_not_be_read, BED_BYTES)
{
    fill();
    bed.readable.size_bytes = RAM / 2;
    REQUIRE(dump());
    EXPECT_EQ(bed.n_stores, 0);
    EXPECT_EQ(bed.n_troubles, 1);
    EXPECT_EQ(bed.trouble_at, (uintptr_t)bed.ram);
    bed.readable.size_bytes = RAM;
    bed.memory.size_bytes = 64; /* no store fits there */
    REQUIRE(dump());
    EXPECT_EQ(bed.n_stores, 0);
    EXPECT_EQ(bed.n_troubles, 1);
    bed.memory.size_bytes = bed.readable.size_bytes = RAM / 2; /* less than the store says */
    REQUIRE(dump());
    EXPECT(bed.n_troubles > 0);
    if (bed.n_stores != 0) EXPECT(bed.store.field[8] <= (uintptr_t)bed.ram + RAM / 2);
    bed.options.stores = (ea_dump_stores_t){0};
    EXPECT_EQ(take(), EA_ERR_INVALID);
    EXPECT_EQ(ea_dump_step(&bed.dump, 1), EA_OK); /* the one before has ended */
}

TEST_MAIN(&movable_dump_shows_what_a_walk_shows,
#if !EA_CFG_MOVABLE_RELOCATE
          &movable_dump_shows_a_move_under_way,
#endif
          &movable_dump_of_a_running_system_shows_each_block_once,
          &movable_dump_survives_any_damaged_word_of_the_control_structure,
          &movable_dump_stays_inside_whatever_byte_of_move_or_table_is_damaged,
#if EA_CFG_MOVABLE_FIXED
          &movable_dump_finds_a_fixed_block_behind_a_hole_of_a_wrong_size,
#endif
          &movable_dump_takes_bytes_of_a_block_for_no_headers,
          &movable_dump_of_a_running_system_tells_of_no_damage,
          &movable_dump_names_a_damaged_header_and_goes_on,
          &movable_dump_names_a_hole_whose_end_was_written_to, &movable_dump_survives_wild_writes,
          &movable_dump_follows_no_memory_that_may_not_be_read)
