/* SPDX-License-Identifier: MIT
 *
 * Resources that belong to resources of another monitor (row C7): released when the last goes, and
 * the way from each to what it belongs to and back.
 */
#include "monitor/monitor_internal.h"
#include "tap.h"

#define N_SLOTS 12u
#define N_NODES 2u
#define BYTES EA_MONITOR_BYTES(N_SLOTS, 2, 2 * N_NODES, 1, 4, 2)
#define RAM (2 * BYTES)

static ea_account_t file_nodes[N_NODES], map_nodes[N_NODES];
static ea_accounts_t file_book, map_book;
static ea_monitor_t files, maps;
static uintptr_t ended[8];
static unsigned n_ended;

static void end_object(void *context, uintptr_t object)
{
    (void)context;
    if (n_ended < 8) ended[n_ended] = object;
    n_ended++;
}

/* A file; a lock on a mapping. A mapping of a file; a note on another mapping. */
enum { FILE_, LOCK };
enum { MAP, NOTE };
static const ea_resource_type_t file_types[2] = {
    [FILE_] = {.name = "file", .book = &file_book, .destroy = end_object, .is_idempotent = true},
    [LOCK] = {.name = "lock", .book = &file_book, .destroy = end_object, .parents = &maps}};
static const ea_resource_type_t map_types[2] = {
    [MAP] = {.name = "mapping",
             .book = &map_book,
             .destroy = end_object,
             .is_idempotent = true,
             .strategy = EA_RELEASE_QUEUED,
             .parents = &files},
    [NOTE] = {.name = "note", .book = &map_book, .destroy = end_object}};

static bool start(void)
{
    const ea_account_limits_t all = {.max = 10};
    ea_monitor_options_t options = {.types = file_types, .n_types = 2, .n_slots = N_SLOTS};
    n_ended = 0;
    unsigned char *memory = tap_ram();
    if (ea_accounts_init(&file_book, file_nodes, N_NODES, &all) != EA_OK ||
        ea_accounts_init(&map_book, map_nodes, N_NODES, &all) != EA_OK ||
        ea_monitor_init(&files, memory, BYTES, &options) != EA_OK) {
        return false;
    }
    options.types = map_types;
    options.n_queue = 4;
    return ea_monitor_init(&maps, memory + BYTES, BYTES, &options) == EA_OK;
}

static ea_resource_t acquire(ea_monitor_t *monitor, uint8_t type, uintptr_t object,
                             ea_resource_t parent)
{
    ea_resource_t resource;
    const ea_resource_request_t request = {.account = monitor == &files ? file_nodes : map_nodes,
                                           .object = object,
                                           .type = type,
                                           .parent = parent};
    EXPECT_EQ(ea_monitor_acquire(monitor, &request, &resource), EA_OK);
    return resource;
}

static void expect_rest(void)
{
    ea_audit_report_t report;
    EXPECT_EQ(ea_monitor_audit(&files, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    EXPECT_EQ(ea_monitor_audit(&maps, EA_AUDIT_ALONE, SIZE_MAX, &report), EA_OK);
    EXPECT_EQ(report.n_found, 0);
    EXPECT_EQ(ea_account_committed(file_nodes), 0);
    EXPECT_EQ(ea_account_committed(map_nodes), 0);
}

static bool is_same(ea_resource_t a, ea_resource_t b)
{
    return a.eai_slot == b.eai_slot && a.eai_generation == b.eai_generation;
}

TEST(file_lives_as_long_as_its_mappings_in_another_monitor, RAM)
{
    REQUIRE(start());
    ea_resource_t file = acquire(&files, FILE_, 1, EA_RESOURCE_NONE);
    ea_resource_t a = acquire(&maps, MAP, 10, file), b = acquire(&maps, MAP, 11, file);
    ea_resource_info_t info;
    REQUIRE(ea_monitor_info(&maps, a, &info) == EA_OK);
    EXPECT(info.monitor == &maps && info.parents == &files);
    EXPECT(is_same(info.parent, file));
    REQUIRE(ea_monitor_info(&files, file, &info) == EA_OK);
    EXPECT_EQ(info.n_references, 3);
    EXPECT(info.monitor == &files && info.parents == &files);
    EXPECT_EQ(ea_monitor_release(&files, file), EA_OK);
    EXPECT_EQ(ea_monitor_release(&maps, a), EA_OK);
    EXPECT_EQ(ea_monitor_release(&maps, b), EA_OK);
    EXPECT_EQ(n_ended, 0);
    EXPECT_EQ(ea_monitor_cleanup(&maps, 1), 1);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(ea_monitor_cleanup(&maps, 1), 1);
    EXPECT_EQ(n_ended, 3);
    EXPECT_EQ(ended[2], 1); /* the file, last */
    EXPECT_EQ(ea_monitor_release(&files, file), EA_ERR_DOUBLE_FREE);
    expect_rest();
}

TEST(mapping_needs_a_live_file_of_the_other_monitor, RAM)
{
    REQUIRE(start());
    ea_resource_t file = acquire(&files, FILE_, 1, EA_RESOURCE_NONE), more;
    /* A handle of the wrong monitor is none of this one's: its slot there is free. */
    ea_resource_t note = acquire(&maps, NOTE, 20, EA_RESOURCE_NONE),
                  second = acquire(&maps, NOTE, 21, note);
    ea_resource_request_t request = {.account = map_nodes, .type = MAP, .parent = second};
    EXPECT_EQ(ea_monitor_acquire(&maps, &request, &more), EA_ERR_NOT_FOUND);
    /* A refusal lets the file go again. */
    request.parent = file;
    request.units = 11;
    EXPECT_EQ(ea_monitor_acquire(&maps, &request, &more), EA_ERR_LIMIT);
    ea_resource_info_t info;
    REQUIRE(ea_monitor_info(&files, file, &info) == EA_OK);
    EXPECT_EQ(info.n_references, 1);
    EXPECT_EQ(ea_monitor_release(&files, file), EA_OK);
    EXPECT_EQ(ended[0], 1);
    request.units = 1;
    EXPECT_EQ(ea_monitor_acquire(&maps, &request, &more), EA_ERR_NOT_FOUND);
    EXPECT_EQ(ea_monitor_release(&maps, second), EA_OK);
    EXPECT_EQ(ea_monitor_release(&maps, note), EA_OK);
    expect_rest();
}

static uintptr_t seen[8];
static unsigned n_seen, most_seen;
static bool note_object(void *context, const ea_resource_info_t *info)
{
    EXPECT(context == &n_seen);
    if (n_seen < 8) seen[n_seen] = info->object;
    return ++n_seen < most_seen;
}

/* file <- mapping <- lock, in the monitor of files again. */
TEST(ancestry_leads_from_monitor_to_monitor, RAM)
{
    REQUIRE(start());
    ea_resource_t file = acquire(&files, FILE_, 1, EA_RESOURCE_NONE);
    ea_resource_t map = acquire(&maps, MAP, 2, file), lock = acquire(&files, LOCK, 3, map);
    n_seen = 0;
    most_seen = 100;
    EXPECT_EQ(ea_monitor_ancestry(&files, lock, 3, note_object, &n_seen), EA_OK);
    EXPECT_EQ(n_seen, 3);
    for (unsigned i = 0; i < 3; i++) EXPECT_EQ(seen[i], 3 - i);
    n_seen = 0;
    EXPECT_EQ(ea_monitor_ancestry(&files, lock, 2, note_object, &n_seen), EA_ERR_AGAIN);
    EXPECT_EQ(n_seen, 2);
    n_seen = 0;
    most_seen = 1;
    EXPECT_EQ(ea_monitor_ancestry(&files, lock, 3, note_object, &n_seen), EA_OK);
    EXPECT_EQ(n_seen, 1);

    /* Let go from the root on, all end with the last. */
    EXPECT_EQ(ea_monitor_release(&files, file), EA_OK);
    EXPECT_EQ(ea_monitor_release(&maps, map), EA_OK);
    EXPECT_EQ(n_ended, 0);
    EXPECT_EQ(ea_monitor_release(&files, lock), EA_OK);
    EXPECT_EQ(n_ended, 1);
    EXPECT_EQ(ea_monitor_cleanup(&maps, 9), 1);
    EXPECT_EQ(n_ended, 3);
    for (unsigned i = 0; i < 3; i++) EXPECT_EQ(ended[i], 3 - i);
    EXPECT_EQ(ea_monitor_ancestry(&files, lock, 3, note_object, &n_seen), EA_ERR_NOT_FOUND);
    expect_rest();
}

TEST(children_are_found_in_bounded_steps, RAM)
{
    REQUIRE(start());
    ea_resource_t file = acquire(&files, FILE_, 1, EA_RESOURCE_NONE),
                  other = acquire(&files, FILE_, 2, EA_RESOURCE_NONE), held[6];
    for (unsigned i = 0; i < 6; i++) {
        held[i] = i == 3 ? acquire(&maps, NOTE, 103, held[0])
                         : acquire(&maps, MAP, 100 + i, i % 2 == 0 ? file : other);
    }
    size_t cursor = 0;
    unsigned n_steps = 1;
    n_seen = 0;
    most_seen = 100;
    while (ea_monitor_children(&maps, &files, file, &cursor, 5, note_object, &n_seen) ==
           EA_ERR_AGAIN) {
        n_steps++;
    }
    EXPECT_EQ(n_steps, 3);
    EXPECT_EQ(n_seen, 3);
    for (unsigned i = 0; i < 3; i++) EXPECT_EQ(seen[i], 100 + 2 * i);
    cursor = n_seen = 0;
    EXPECT_EQ(ea_monitor_children(&maps, &maps, held[0], &cursor, 99, note_object, &n_seen), EA_OK);
    EXPECT_EQ(n_seen, 1);
    EXPECT_EQ(seen[0], 103);
    /* Of the same number, in the other monitor; of an earlier generation; of none. */
    cursor = n_seen = 0;
    EXPECT_EQ(ea_monitor_children(&maps, &maps, file, &cursor, 99, note_object, &n_seen), EA_OK);
    EXPECT_EQ(n_seen, file.eai_slot == held[0].eai_slot);
    cursor = n_seen = 0;
    ea_resource_t older = {file.eai_slot, file.eai_generation + 1};
    EXPECT_EQ(ea_monitor_children(&maps, &files, older, &cursor, 99, note_object, &n_seen), EA_OK);
    EXPECT_EQ(n_seen, 0);
    cursor = 0;
    EXPECT_EQ(ea_monitor_children(&maps, &files, EA_RESOURCE_NONE, &cursor, 99, note_object, NULL),
              EA_OK);
    for (unsigned i = 0; i < 6; i++) {
        EXPECT_EQ(ea_monitor_release(&maps, held[i]), EA_OK);
        (void)ea_monitor_cleanup(&maps, 9);
    }
    EXPECT_EQ(ea_monitor_release(&files, file), EA_OK);
    EXPECT_EQ(ea_monitor_release(&files, other), EA_OK);
    expect_rest();
}

/* A mapping whose release was begun by one that died; and one for which the queue has no entry. */
TEST(audit_lets_the_parent_in_the_other_monitor_go, RAM)
{
    for (unsigned is_queued = 0; is_queued < 2; is_queued++) {
        REQUIRE(start());
        ea_resource_t file = acquire(&files, FILE_, 1, EA_RESOURCE_NONE),
                      map = acquire(&maps, MAP, 2, file);
        EXPECT_EQ(ea_monitor_release(&files, file), EA_OK);
        slot_t *slot = slot_with(&maps, map);
        maps.eai_n_cells = is_queued ? 0 : maps.eai_n_cells; /* it finds no place there */
        slot->eai_state =
            make_word(generation_of(slot->eai_state), 0, is_queued ? SLOT_QUEUED : SLOT_RELEASING);
        ea_audit_report_t report;
        EXPECT_EQ(ea_monitor_audit(&maps, EA_AUDIT_ALONE | EA_AUDIT_REPAIR, SIZE_MAX, &report),
                  EA_OK);
        EXPECT_EQ(n_ended, 2);
        EXPECT_EQ(ended[1], 1);
        EXPECT_EQ(ea_monitor_share(&files, file), EA_ERR_NOT_FOUND);
        expect_rest();
    }
}

TEST_MAIN(&file_lives_as_long_as_its_mappings_in_another_monitor,
          &mapping_needs_a_live_file_of_the_other_monitor, &ancestry_leads_from_monitor_to_monitor,
          &children_are_found_in_bounded_steps, &audit_lets_the_parent_in_the_other_monitor_go)
