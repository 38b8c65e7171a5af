/* SPDX-License-Identifier: MIT
 *
 * Dumps (row B2): what is in them is what is there, also when what is there is damaged. They are
 * read with a reader of the test's own.
 */
#include "ealloc/dump.h"

#include "allocator_testing.h"
#include "dump_testing.h"

#define REGION_BYTES 1536u
#define MAX_DUMP_BYTES 6144u
#define POOL_BLOCK_BYTES 48u

/* All that is damaged, and put back. */
typedef struct {
    ea_allocator_t a;
    ea_accounts_t book;
    ea_account_t nodes[4];
    ea_poolset_t pools;
    _Alignas(16) unsigned char pool_memory[512];
    _Alignas(16) unsigned char region[REGION_BYTES];
} scene_t;

typedef struct {
    scene_t scene, saved;
    ea_dump_t dump;
    ea_dump_options_t options;
    ea_dump_range_t readable[1];
    ea_account_t *ui;
    void *large, *small, *gone, *last;
    size_t n_bytes, n_calls, fail_at; /* 0: never */
    bool overrun;
    unsigned char bytes[MAX_DUMP_BYTES];
} bed_t;

/* Emulated boards do less of what is the same everywhere. */
#if defined(__linux__)
#define IS_SLOW 0
#else
#define IS_SLOW 1
#endif
#define BED_BYTES (sizeof(bed_t) + 16u)

static bool keep(void *context, const void *bytes, size_t n_bytes)
{
    bed_t *bed = context;
#if EA_CFG_ALLOC_LOCKING == 3
    EXPECT_EQ(n_locks_held, 0);
#endif
    if (++bed->n_calls == bed->fail_at) return false;
    if (n_bytes == 0 || n_bytes > sizeof bed->bytes - bed->n_bytes) {
        bed->overrun = true;
        return false;
    }
    memcpy(bed->bytes + bed->n_bytes, bytes, n_bytes);
    bed->n_bytes += n_bytes;
    return true;
}

typedef struct {
    unsigned n[N_KINDS];
    unsigned n_by_state[8];
    uint64_t tiled; /* bytes of all blocks */
    uint64_t total;
    unsigned n_findings;
    bool seamless; /* each block begins where the one before it ends */
} summary_t;

/* Read all of a dump. false: it is not well formed. */
static bool summarize(const bed_t *bed, summary_t *s)
{
    static const unsigned char magic[] = {0xD9, 0xD9, 0xF7, 0x9F};
    reader_t r = {bed->bytes, bed->bytes + bed->n_bytes, false};
    record_t record;
    uint64_t next = 0;
    memset(s, 0, sizeof *s);
    s->seamless = true;
    if (bed->n_bytes < 4 || memcmp(bed->bytes, magic, 4) != 0) return false;
    r.at += 4;
    unsigned n_records = 0;
    const unsigned char *begin = r.at;
    while (begin = r.at, read_record(&r, &record)) {
        n_records++;
        s->n[record.kind]++;
        if (record.kind == REGION) next = 0;
        if (record.kind == HEAP) s->total += record.field[0];
        if (record.kind == BLOCK) {
            s->seamless &= next == 0 || next == record.field[0];
            next = record.field[0] + record.field[1];
            s->tiled += record.field[1];
            s->n_by_state[record.field[2] & 7u]++;
            s->n_findings += record.n_fields == 9;
        }
        if (record.kind == END &&
            (record.field[0] != n_records ||
             record.field[1] != crc_of(bed->bytes, (size_t)(begin - bed->bytes))))
            return false;
    }
    return !r.bad && s->n[END] == 1 && r.at + 1 == r.end;
}

/* --- scenes ----------------------------------------------------------------------------------- */

static void build(bed_t *bed, const char *ui_name)
{
    scene_t *s = &bed->scene;
    memset(bed, 0, sizeof *bed);
    ea_allocator_options_t options = {.secret = 0x5EC2E7};
#if HAS_OWNERS
    const ea_account_options_t named = {.name = ui_name};
    REQUIRE(ea_accounts_init(&s->book, s->nodes, 4, NULL) == EA_OK);
    bed->ui = ea_account_create(&s->book, ea_accounts_root(&s->book), &named);
    REQUIRE(bed->ui != NULL);
    options.accounts = &s->book;
    options.owner = bed->ui;
#endif
    (void)ui_name;
    REQUIRE(init(&s->a, &options) == EA_OK);
    REQUIRE(ea_allocator_add_region(&s->a, s->region, sizeof s->region, NULL) == EA_OK);
#if EA_CFG_ALLOC_POOLS
    static const ea_poolset_class_t classes[] = {{POOL_BLOCK_BYTES, 4}};
    REQUIRE(ea_poolset_init(&s->pools, s->pool_memory, sizeof s->pool_memory, classes, 1, NULL) ==
            EA_OK);
    REQUIRE(ea_allocator_set_pools(&s->a, &s->pools) == EA_OK);
#endif
    bed->large = ea_malloc(&s->a, 200);
    bed->gone = ea_malloc(&s->a, 90);
    bed->small = ea_malloc(&s->a, 20);
    bed->last = ea_malloc(&s->a, 100);
    REQUIRE(bed->large && bed->gone && bed->small && bed->last);
    EXPECT_EQ(ea_free(&s->a, bed->gone), EA_OK);
    bed->options = (ea_dump_options_t){.write = keep, .context = bed};
}

/* Nothing but the scene may be read. */
static void fence(bed_t *bed)
{
    bed->readable[0] = (ea_dump_range_t){&bed->scene, sizeof bed->scene, NULL};
    bed->options.readable = bed->readable;
    bed->options.n_readable = 1;
}

static ea_status_t take(bed_t *bed)
{
    bed->n_bytes = bed->n_calls = 0;
    bed->overrun = false;
    return ea_dump(&bed->dump, &bed->scene.a, &bed->options);
}

/* The record of the block at ptr; NULL: there is none. */
static const record_t *find_block(const bed_t *bed, const void *ptr, record_t *record)
{
    reader_t r = {bed->bytes + 4, bed->bytes + bed->n_bytes, false};
    uint64_t front = 0;
    while (read_record(&r, record)) {
        if (record->kind == HEAD) front = record->field[8] + record->field[9];
        if (record->kind == BLOCK && record->field[0] + front == (uintptr_t)ptr) return record;
        if (record->kind == POOL_BLOCK && record->field[0] == (uintptr_t)ptr) return record;
    }
    return NULL;
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(dump_holds_what_is_there, BED_BYTES)
{
    bed_t *bed = tap_ram();
    summary_t s;
    record_t r;
    build(bed, "ui");
    EXPECT_EQ(take(bed), EA_OK);
    REQUIRE(summarize(bed, &s));
    EXPECT_EQ(s.n[HEAD], 1);
    EXPECT_EQ(s.n[REGION], 1);
    EXPECT_EQ(s.n[HEAP], 1);
    EXPECT_EQ(s.n[TROUBLE], 0);
    EXPECT_EQ(s.n_findings, 0);
    EXPECT(s.seamless);
    EXPECT_EQ(s.tiled, s.total);
    EXPECT_EQ(s.n[ACCOUNT], HAS_OWNERS ? 2 : 0);
    EXPECT_EQ(s.n[POOL], EA_CFG_ALLOC_POOLS);

    REQUIRE(find_block(bed, bed->large, &r) != NULL);
    EXPECT_EQ(r.kind, BLOCK);
    EXPECT_EQ(r.field[2], EA_DUMP_USED);
    ea_block_info_t info;
    EXPECT_EQ(ea_block_info(&bed->scene.a, bed->large, &info), EA_OK);
    EXPECT_EQ(r.field[3], info.size_bytes);
    EXPECT_EQ(r.field[4], info.owner);
    EXPECT_EQ(r.field[5], (uintptr_t)info.site);
    EXPECT_EQ(r.field[6], info.birth);
    EXPECT_EQ(info.owner != 0, HAS_OWNERS);
    REQUIRE(find_block(bed, bed->small, &r) != NULL);
    EXPECT_EQ(r.kind, EA_CFG_ALLOC_POOLS && (EA_CFG_POOL_VALIDATE || EA_CFG_TAGS || EA_CFG_GUARD)
                          ? POOL_BLOCK
                          : BLOCK);
}

TEST(a_refusal_and_an_owners_name_are_in_the_dump, BED_BYTES)
{
    bed_t *bed = tap_ram();
    record_t record;
    bool named = false, refused = false;
    build(bed, "display \x01");
    EXPECT(ea_malloc(&bed->scene.a, 100000) == NULL);
    EXPECT_EQ(take(bed), EA_OK);
    reader_t r = {bed->bytes + 4, bed->bytes + bed->n_bytes, false};
    while (read_record(&r, &record)) {
        if (record.kind == ACCOUNT && record.text[1] != NULL)
            named |= record.field[1] == 9 && memcmp(record.text[1], "display ?", 9) == 0;
        if (record.kind == FAILURE) refused |= record.field[0] == 1 && record.field[4] == 100000;
    }
    EXPECT_EQ(named, HAS_OWNERS);
    EXPECT_EQ(refused, EA_CFG_ALLOC_REPORT);
}

TEST(ranges_of_the_application_are_in_the_dump, BED_BYTES)
{
    bed_t *bed = tap_ram();
    static const char text[] = "0123456789";
    const ea_dump_range_t extra[] = {{text, 10, "ring"}, {NULL, 0, NULL}};
    record_t record;
    unsigned n_ranges = 0, n_raw = 0;
    build(bed, NULL);
    bed->options.extra = extra;
    bed->options.n_extra = 2;
    EXPECT_EQ(take(bed), EA_OK);
    reader_t r = {bed->bytes + 4, bed->bytes + bed->n_bytes, false};
    while (read_record(&r, &record)) {
        n_ranges += record.kind == RANGE;
        if (record.kind != RAW) continue;
        n_raw++;
        EXPECT_EQ(record.field[0], (uintptr_t)text);
        EXPECT(record.field[1] == 10 && memcmp(record.text[1], text, 10) == 0);
    }
    EXPECT_EQ(n_ranges, 2);
    EXPECT_EQ(n_raw, 1);
}

TEST(a_write_that_fails_ends_the_dump_wherever_it_is, BED_BYTES)
{
    bed_t *bed = tap_ram();
    build(bed, "ui");
    EXPECT_EQ(take(bed), EA_OK);
    size_t n_calls = bed->n_calls;
    for (unsigned live = 0; live < 2; live++) {
        bed->options.is_live = live;
        for (size_t at = 1; at <= n_calls; at++) {
            bed->fail_at = at;
            EXPECT_EQ(take(bed), EA_ERR_CANCELLED);
            EXPECT_EQ(bed->n_calls, at);
            EXPECT_EQ(ea_dump_step(&bed->dump, 1), EA_ERR_CANCELLED);
            EXPECT_EQ(bed->n_calls, at);
        }
    }
    bed->fail_at = 0;
    EXPECT_EQ(take(bed), EA_OK); /* no walk was left behind */
    summary_t s;
    EXPECT(summarize(bed, &s));
}

TEST(a_live_dump_sees_each_block_once_while_others_come_and_go, BED_BYTES)
{
    bed_t *bed = tap_ram();
    summary_t s;
    record_t r;
    ea_status_t status;
    if (!EA_CFG_HEAP_STEPWISE) return;
    build(bed, "ui");
    bed->options.is_live = true;
    EXPECT_EQ(ea_dump_begin(&bed->dump, &bed->scene.a, &bed->options), EA_OK);
    do {
        status = ea_dump_step(&bed->dump, 1);
        void *passing = ea_malloc(&bed->scene.a, 120);
        EXPECT_EQ(ea_free(&bed->scene.a, passing), EA_OK);
    } while (status == EA_ERR_AGAIN);
    EXPECT_EQ(status, EA_OK);
    REQUIRE(summarize(bed, &s));
    EXPECT_EQ(s.n[TROUBLE], 0);
    EXPECT(find_block(bed, bed->large, &r) != NULL);
    EXPECT(find_block(bed, bed->last, &r) != NULL);

    EXPECT_EQ(ea_dump_begin(&bed->dump, &bed->scene.a, &bed->options), EA_OK);
    do status = ea_dump_step(&bed->dump, 1);
    while (status == EA_ERR_AGAIN && bed->dump.eai_cursor.eai_state == 0);
    ea_dump_end(&bed->dump); /* or the next walk would find this one under way */
    EXPECT_EQ(ea_free(&bed->scene.a, bed->large), EA_OK);
    EXPECT_EQ(ea_free(&bed->scene.a, bed->small), EA_OK);
    EXPECT_EQ(ea_free(&bed->scene.a, bed->last), EA_OK);
    EXPECT_SOUND(&bed->scene.a);
}

TEST(behind_a_damaged_header_the_dump_goes_on, BED_BYTES)
{
    bed_t *bed = tap_ram();
    summary_t s;
    record_t r;
    build(bed, "ui");
    void *next = ea_malloc(&bed->scene.a, 64), *third = ea_malloc(&bed->scene.a, 72);
    REQUIRE(next != NULL && third != NULL);
    EXPECT_EQ(take(bed), EA_OK);
    REQUIRE(find_block(bed, bed->large, &r) != NULL);
    unsigned char *header = (unsigned char *)(uintptr_t)r.field[0];
    memset(header, 0x5A, 4);
    EXPECT_EQ(take(bed), EA_OK);
    REQUIRE(summarize(bed, &s));
    EXPECT_EQ(s.n_by_state[EA_DUMP_DAMAGED], 1);
    EXPECT(s.n[TROUBLE] > 0 && s.n[RAW] > 0);
    EXPECT(s.seamless);
    EXPECT_EQ(s.tiled, s.total);
    EXPECT(find_block(bed, third, &r) != NULL);
}

#if EA_CFG_GUARD > 0 && !EA_CFG_GUARD_SAMPLED
TEST(a_write_behind_a_block_is_found_with_its_owner_and_its_bytes, BED_BYTES)
{
    bed_t *bed = tap_ram();
    record_t record;
    bool raw = false;
    build(bed, "ui");
    memcpy((char *)bed->last + 100, "ovr", 3);
    EXPECT_EQ(take(bed), EA_OK);
    REQUIRE(find_block(bed, bed->last, &record) != NULL);
    REQUIRE(record.n_fields == 9);
    EXPECT_EQ(record.field[7], EA_GUARD_TAIL);
    EXPECT_EQ(record.field[8], (uintptr_t)bed->last + 100);
    EXPECT_EQ(record.field[4] != 0, HAS_OWNERS);
    reader_t r = {bed->bytes + 4, bed->bytes + bed->n_bytes, false};
    while (read_record(&r, &record))
        if (record.kind == RAW)
            for (uint64_t i = 0; i + 3 <= record.field[1]; i++)
                raw |= memcmp(record.text[1] + i, "ovr", 3) == 0;
    EXPECT(raw);
}
#endif

/* Damage a byte of everything there is, one at a time. */
TEST(no_damaged_byte_crashes_a_dump_or_makes_it_endless, BED_BYTES)
{
    bed_t *bed = tap_ram();
    summary_t s;
    unsigned n_other = 0;
    build(bed, NULL);
    fence(bed);
    EXPECT_EQ(take(bed), EA_OK);
    uint32_t whole = crc_of(bed->bytes, bed->n_bytes);
    memcpy(&bed->saved, &bed->scene, sizeof bed->scene);
    static const unsigned char masks[] = {0xFF, 0x01, 0x80, 0x04};
    for (size_t at = 0; at < sizeof bed->scene; at++) {
        for (unsigned m = 0; m < (IS_SLOW ? 1 : sizeof masks); m++) {
            ((unsigned char *)&bed->scene)[at] ^= masks[m];
            ea_status_t status = take(bed);
            if (status != EA_OK || bed->overrun || !summarize(bed, &s)) {
                tap_note("damaged byte", (long long)at);
                EXPECT_EQ(status, EA_OK);
                return;
            }
            n_other += crc_of(bed->bytes, bed->n_bytes) != whole;
            memcpy(&bed->scene, &bed->saved, sizeof bed->scene);
        }
    }
    tap_note("damages that changed the dump", n_other);
    EXPECT(n_other > (IS_SLOW ? 100 : 1000));
}

/* Runs of random bytes anywhere, as wild writes leave them. */
TEST(no_wild_write_crashes_a_dump_or_makes_it_endless, BED_BYTES)
{
    bed_t *bed = tap_ram();
    summary_t s;
    uint32_t random = (uint32_t)tap_arg("seed", 1);
    tap_note("seed", random);
    build(bed, NULL);
    fence(bed);
    memcpy(&bed->saved, &bed->scene, sizeof bed->scene);
    for (unsigned trial = 0; trial < (IS_SLOW ? 300 : 3000); trial++) {
        size_t at = 0, n = 0;
        for (unsigned i = 0; i < 1 + trial % 3; i++) {
            random = random * 1664525u + 1013904223u;
            at = (random >> 8) % sizeof bed->scene;
            n = 1 + (random >> 4) % 64;
            for (; n > 0 && at < sizeof bed->scene; n--, at++) {
                random = random * 1664525u + 1013904223u;
                ((unsigned char *)&bed->scene)[at] = (unsigned char)(random >> 24);
            }
        }
        ea_status_t status = take(bed);
        if (status != EA_OK || bed->overrun || !summarize(bed, &s)) {
            tap_note("trial", trial);
            EXPECT_EQ(status, EA_OK);
            return;
        }
        memcpy(&bed->scene, &bed->saved, sizeof bed->scene);
    }
}

TEST(an_invalid_call_is_refused, BED_BYTES)
{
    bed_t *bed = tap_ram();
    build(bed, NULL);
    ea_dump_options_t none = {.write = NULL};
    EXPECT_EQ(ea_dump(NULL, &bed->scene.a, &bed->options), EA_ERR_INVALID);
    EXPECT_EQ(ea_dump(&bed->dump, NULL, &bed->options), EA_ERR_INVALID);
    EXPECT_EQ(ea_dump(&bed->dump, &bed->scene.a, NULL), EA_ERR_INVALID);
    EXPECT_EQ(ea_dump(&bed->dump, &bed->scene.a, &none), EA_ERR_INVALID);
    EXPECT_EQ(ea_dump_step(NULL, 1), EA_ERR_INVALID);
    ea_dump_end(NULL);
}

TEST_MAIN(&dump_holds_what_is_there, &a_refusal_and_an_owners_name_are_in_the_dump,
          &ranges_of_the_application_are_in_the_dump,
          &a_write_that_fails_ends_the_dump_wherever_it_is,
          &a_live_dump_sees_each_block_once_while_others_come_and_go,
          &behind_a_damaged_header_the_dump_goes_on,
#if EA_CFG_GUARD > 0 && !EA_CFG_GUARD_SAMPLED
          &a_write_behind_a_block_is_found_with_its_owner_and_its_bytes,
#endif
          &no_damaged_byte_crashes_a_dump_or_makes_it_endless,
          &no_wild_write_crashes_a_dump_or_makes_it_endless, &an_invalid_call_is_refused)
