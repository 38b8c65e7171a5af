/* SPDX-License-Identifier: MIT
 *
 * The recording's writer and reader: what is written comes back, and no damage passes unseen.
 */
#define _GNU_SOURCE
#include "recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "format.h"
#include "tap.h"

#define N_SITES 40u

static uint32_t state;

static uint32_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void seed(uint32_t s)
{
    state = s * 2654435761u + 12345u;
    for (int i = 0; i < 8; i++) rnd();
}

static uint64_t rnd64(void)
{
    uint64_t high = (uint64_t)rnd() << 32;
    return high | rnd();
}

/* Mostly what programs do, at times the extremes of every field. */
static rec_event_t random_event(uint64_t *time_us)
{
    rec_event_t e = {.kind = (rec_kind_t)(1 + rnd() % 7)};
    bool extreme = rnd() % 50 == 0;
    *time_us += rnd() % 4 == 0 ? rnd() % 1000 : 0;
    e.time_us = *time_us;
    e.thread = extreme ? rnd() >> 1 : rnd() % 3;
    e.site = rnd() % (N_SITES + 1);
    if (e.kind != REC_FREE && e.kind != REC_USABLE) e.size = extreme ? rnd64() : rnd() % 5000;
    if (e.kind == REC_ALIGNED || e.kind == REC_FAIL) e.align = extreme ? rnd64() : 64;
    if (e.kind != REC_FAIL) e.ptr = extreme ? rnd64() : 0x7f0000000000u + rnd() % 100000u * 16u;
    if (e.kind == REC_REALLOC) e.old_ptr = extreme ? rnd64() : rnd() % 2 * (rnd() % 1000000u * 8u);
    return e;
}

static bool same_event(const rec_event_t *a, const rec_event_t *b)
{
    return a->kind == b->kind && a->thread == b->thread && a->site == b->site &&
           a->time_us == b->time_us && a->size == b->size && a->align == b->align &&
           a->ptr == b->ptr && a->old_ptr == b->old_ptr;
}

static const rec_info_t process = {.pid = 4711,
                                   .ppid = 1,
                                   .start_unix_us = 1700000000000000u,
                                   .command = "program with arguments",
                                   .machine = "x86_64",
                                   .forked_from = 4000};

/* What stands in a file, which is then removed. */
static uint8_t *take_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    unlink(path);
    if (file == NULL) return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*size);
    if (data != NULL && fread(data, 1, *size, file) != *size) *size = 0;
    fclose(file);
    return data;
}

/* Write n random events to a new file and give back what stands in it. */
static uint8_t *record(uint32_t s, uint32_t n, size_t *size)
{
    char path[] = "/tmp/recording_test.XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) return NULL;
    close(fd);
    rec_writer_t *w = rec_writer_open(path, &process);
    if (w == NULL) return NULL;
    bool ok = rec_write_module(w, &(rec_module_t){"/lib/one.so", "0a1b", 0x1000}) == 0;
    seed(s);
    uint64_t time_us = 0;
    for (uint32_t i = 1; i <= N_SITES / 2; i++) ok &= rec_write_site(w, 0x1000 + i, 0, i) == 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i == n / 2) {
            ok &= rec_write_module(w, &(rec_module_t){"/lib/two.so", "", 0x9000}) == 0;
            for (uint32_t k = N_SITES / 2 + 1; k <= N_SITES; k++)
                ok &= rec_write_site(w, 0x9000 + k, k % 2 != 0 ? 1 : -1, k) == 0;
        }
        rec_event_t e = random_event(&time_us);
        if (i < n / 2) e.site %= N_SITES / 2 + 1;
        ok &= rec_write(w, &e) == 0;
    }
    ok &= rec_writer_close(w, &(rec_end_t){.closed = true, .exit_known = true, .exit_status = 3}) ==
          0;
    uint8_t *data = take_file(path, size);
    return ok ? data : NULL;
}

/* Read all: the number of events, *status the last answer of rec_next or -2 if it did not open. */
static uint64_t read_all(const uint8_t *data, size_t size, int *status, char **error)
{
    uint64_t n = 0;
    rec_event_t e;
    *error = NULL;
    *status = -2;
    rec_reader_t *r = rec_open_memory(data, size, "name.rec", error);
    if (r == NULL) return 0;
    while ((*status = rec_next(r, &e)) > 0) n++;
    if (*status < 0) *error = strdup(rec_error(r));
    rec_close(r);
    return n;
}

TEST(recording_round_trip_gives_back_every_event, 0)
{
    enum { N = 300000 }; /* several frames */
    size_t size;
    uint8_t *data = record(1, N, &size);
    REQUIRE(data != NULL);
    rec_reader_t *r = rec_open_memory(data, size, "name.rec", NULL);
    REQUIRE(r != NULL);
    EXPECT_EQ(rec_info(r)->pid, 4711);
    EXPECT_EQ(rec_info(r)->ppid, 1);
    EXPECT_EQ(rec_info(r)->forked_from, 4000);
    EXPECT_EQ(rec_info(r)->start_unix_us, 1700000000000000);
    EXPECT(strcmp(rec_info(r)->command, "program with arguments") == 0);
    EXPECT(rec_end(r) == NULL);

    seed(1);
    uint64_t time_us = 0;
    uint32_t n_different = 0;
    for (uint32_t i = 0; i < N; i++) {
        rec_event_t want = random_event(&time_us), got;
        if (i < N / 2) want.site %= N_SITES / 2 + 1;
        REQUIRE(rec_next(r, &got) == 1);
        if (!same_event(&got, &want)) n_different++;
    }
    EXPECT_EQ(n_different, 0);
    rec_event_t e;
    EXPECT_EQ(rec_next(r, &e), 0);
    EXPECT_EQ(rec_next(r, &e), 0);
    EXPECT(!rec_unclosed(r));
    REQUIRE(rec_end(r) != NULL);
    EXPECT_EQ(rec_end(r)->exit_status, 3);
    EXPECT_EQ(rec_end(r)->n_events, N);
    EXPECT_EQ(rec_end(r)->duration_us, time_us);

    const char *module;
    uint64_t offset;
    EXPECT_EQ(rec_n_sites(r), N_SITES);
    EXPECT_EQ(rec_site(r, 7, &module, &offset), 0x1007);
    EXPECT(module != NULL && strcmp(module, "/lib/one.so") == 0);
    EXPECT_EQ(offset, 7);
    EXPECT_EQ(rec_site(r, N_SITES, &module, &offset), 0x9000 + N_SITES);
    EXPECT(module == NULL);
    EXPECT_EQ(rec_n_modules(r), 2);
    EXPECT(strcmp(rec_module(r, 0).build_id, "0a1b") == 0);
    rec_close(r);
    free(data);
}

TEST(recording_every_flipped_bit_is_detected, 0)
{
    size_t size;
    uint8_t *data = record(2, 300, &size);
    REQUIRE(data != NULL);
    uint32_t n_unseen = 0, n_unnamed = 0;
    for (size_t bit = 0; bit < size * 8; bit++) {
        int status;
        char *error;
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        read_all(data, size, &status, &error);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (status >= 0) n_unseen++;
        if (error == NULL || strncmp(error, "name.rec: ", 10) != 0 ||
            strstr(error, " at offset ") == NULL)
            n_unnamed++;
        free(error);
    }
    EXPECT_EQ(n_unseen, 0);
    EXPECT_EQ(n_unnamed, 0);
    free(data);
}

TEST(recording_every_truncation_is_detected_and_the_rest_is_kept, 0)
{
    enum { N = 140000, MOST_LOST = 20000 }; /* a frame and what its bytes vary by */
    size_t size;
    uint8_t *data = record(3, N, &size);
    REQUIRE(data != NULL);
    uint32_t n_unseen = 0, n_too_much = 0;
    for (size_t cut = 0; cut < size; cut += cut < 4096 ? 1 : 49999) {
        int status;
        char *error;
        uint64_t n = read_all(data, cut, &status, &error);
        if (status >= 0 || error == NULL) n_unseen++;
        if (n + MOST_LOST < (uint64_t)N * cut / size) n_too_much++;
        free(error);
    }
    int status;
    char *error;
    EXPECT_EQ(read_all(data, size - 1, &status, &error), N); /* all but the end frame */
    EXPECT_EQ(status, -1);
    free(error);
    EXPECT_EQ(n_too_much, 0);
    EXPECT_EQ(n_unseen, 0);
    free(data);
}

/* Read all, going on behind every damage. */
static uint64_t read_on(const uint8_t *data, size_t size, rec_damage_t *damage, bool *ordered)
{
    uint64_t n = 0, time_us = 0;
    int status;
    rec_event_t e;
    *damage = (rec_damage_t){0};
    *ordered = true;
    rec_reader_t *r = rec_open_memory(data, size, "name.rec", NULL);
    if (r == NULL) return 0;
    while ((status = rec_next(r, &e)) != 0) {
        if (status < 0 && !rec_resume(r)) break;
        if (status < 0) continue;
        *ordered &= e.time_us >= time_us && e.site <= rec_n_sites(r);
        time_us = e.time_us;
        n++;
    }
    *damage = rec_damage(r);
    rec_close(r);
    return n;
}

TEST(recording_is_read_on_behind_damage_anywhere, 0)
{
    enum { N = 100000, MOST_LOST = 16384 };
    size_t size;
    uint8_t *data = record(6, N, &size);
    REQUIRE(data != NULL);
    uint32_t n_wrong = 0;
    for (size_t at = 200; at < size - 64; at += 3001) {
        rec_damage_t damage;
        bool ordered;
        data[at] ^= 0x40;
        uint64_t n = read_on(data, size, &damage, &ordered);
        data[at] ^= 0x40;
        bool right = n >= N - MOST_LOST && damage.n_places == 1 && damage.n_missing_known &&
                     n + damage.n_missing == N && ordered;
        if (!right) n_wrong++;
    }
    EXPECT_EQ(n_wrong, 0);
    free(data);
}

TEST(recording_of_which_a_piece_is_missing_loses_the_frame_it_was_in, 0)
{
    enum { N = 200000, N_CUTS = 40, CUT = 1000, FRAME = 16384 };
    size_t size;
    uint8_t *data = record(9, N, &size);
    REQUIRE(data != NULL);
    uint8_t *copy = malloc(size);
    REQUIRE(copy != NULL);
    uint64_t n_lost = 0;
    for (size_t i = 0; i < N_CUTS; i++) {
        rec_damage_t damage;
        bool ordered;
        size_t at = 1000 + (size - 3000) / N_CUTS * i;
        memcpy(copy, data, at);
        memcpy(copy + at, data + at + CUT, size - at - CUT);
        n_lost += N - read_on(copy, size - CUT, &damage, &ordered);
    }
    EXPECT(n_lost < (uint64_t)N_CUTS * FRAME * 5 / 4); /* a few cuts touch two frames */
    free(copy);
    free(data);
}

TEST(recording_reader_goes_on_through_garbage_and_ends, 0)
{
    size_t size;
    uint8_t *data = record(7, 60000, &size);
    REQUIRE(data != NULL);
    uint8_t *copy = malloc(size * 2);
    REQUIRE(copy != NULL);
    seed(8);
    uint32_t n_wrong = 0;
    for (int round = 0; round < 300; round++) {
        rec_damage_t damage;
        bool ordered;
        size_t from = 200 + rnd() % (size - 300), n = rnd() % (size - from);
        /* A piece cut out, or standing there twice. */
        size_t resume = rnd() % 2 != 0 ? from + n : from - rnd() % (from - 100);
        memcpy(copy, data, from);
        memcpy(copy + from, data + resume, size - resume);
        uint64_t n_read = read_on(copy, from + size - resume, &damage, &ordered);
        if (n_read > 60000 || !ordered || (damage.n_places == 0 && resume != from)) n_wrong++;
    }
    EXPECT_EQ(n_wrong, 0);
    free(copy);
    free(data);
}

TEST(recording_reader_survives_garbage, 0)
{
    size_t size;
    uint8_t *data = record(4, 2000, &size);
    REQUIRE(data != NULL);
    uint8_t *copy = malloc(size);
    REQUIRE(copy != NULL);
    seed(5);
    uint32_t n_unseen = 0;
    for (int round = 0; round < 2000; round++) {
        memcpy(copy, data, size);
        size_t from = 8 + rnd() % (size - 8), n = 1 + rnd() % 64;
        for (size_t i = from; i < size && i < from + n; i++) copy[i] = (uint8_t)rnd();
        int status;
        char *error;
        read_all(copy, size, &status, &error);
        if (status >= 0 && memcmp(copy, data, size) != 0) n_unseen++;
        free(error);
    }
    EXPECT_EQ(n_unseen, 0);
    free(copy);
    free(data);
}

/* A module whose second string is said to be longer than its frame: wrong in spite of right
 * checksums. What the reader has of it is whole modules only. */
TEST(recording_of_half_a_module_keeps_whole_ones_only, 0)
{
    size_t size, at = REC_HEAD_BYTES;
    uint8_t *data = record(6, 0, &size);
    REQUIRE(data != NULL);
    while (data[at + 4] != REC_FRAME_MODULES)
        at += REC_FRAME_HEADER_BYTES + rec_get32(data + at + 12);
    uint8_t *header = data + at, *payload = header + REC_FRAME_HEADER_BYTES;
    REQUIRE(header[5] == REC_CODEC_STORED);
    uint8_t *name = (uint8_t *)memmem(payload, rec_get32(header + 12), "0a1b", 4);
    REQUIRE(name != NULL && name[-1] == 4);
    name[-1] = 100;
    rec_put32(header + 24, (uint32_t)crc32(0, payload, rec_get32(header + 12)));
    rec_put32(header + 28, (uint32_t)crc32(0, header, 28));

    rec_reader_t *r = rec_open_memory(data, size, "name.rec", NULL);
    REQUIRE(r != NULL);
    rec_event_t e;
    EXPECT_EQ(rec_next(r, &e), -1);
    EXPECT(rec_error(r) != NULL && strstr(rec_error(r), "malformed modules frame") != NULL);
    EXPECT_EQ(rec_n_modules(r), 0);
    rec_close(r);
    free(data);
}

TEST(recording_of_too_many_modules_is_refused, 0)
{
    char path[] = "/tmp/recording_test.XXXXXX";
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    close(fd);
    rec_writer_t *w = rec_writer_open(path, &process);
    REQUIRE(w != NULL);
    bool ok = true;
    for (uint32_t i = 0; i <= 2 * REC_MAX_MODULES; i++)
        ok &= rec_write_module(w, &(rec_module_t){"", "", i}) == 0;
    EXPECT(ok && rec_writer_close(w, &(rec_end_t){.closed = true}) == 0);
    size_t size;
    uint8_t *data = take_file(path, &size);
    REQUIRE(data != NULL);
    int status;
    char *error;
    EXPECT_EQ(read_all(data, size, &status, &error), 0);
    EXPECT_EQ(status, -1);
    EXPECT(error != NULL && strstr(error, "too many modules") != NULL);
    free(error);
    free(data);
}

TEST(recording_that_is_none_is_refused_with_its_reason, 0)
{
    static const struct {
        const char *data;
        size_t size;
        const char *reason;
    } cases[] = {
        {"", 0, "empty file"},
        {"\x7f"
         "ELF and so on",
         15, "not a recording"},
        {"\x89", 1, "truncated"},
        {"\x89"
         "EAR\r\n\x1a\n\1\0\0",
         11, "truncated"},
        {"\x89"
         "EAR\r\n\x1a\n\1\0\0\0\0\0\0\0",
         16, "damaged file header"},
        {"\x89"
         "EAR\r\n\x1a\n\x63\0\0\0\xf3\x08\x63\xf2",
         16, "format version 99"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *error = NULL;
        rec_reader_t *r = rec_open_memory(cases[i].data, cases[i].size, "name.rec", &error);
        EXPECT(r == NULL);
        EXPECT(error != NULL && strstr(error, cases[i].reason) != NULL);
        if (error != NULL && strstr(error, cases[i].reason) == NULL) printf("# %s\n", error);
        free(error);
        rec_close(r);
    }
}

TEST(recording_without_its_exit_is_unclosed, 0)
{
    char path[] = "/tmp/recording_test.XXXXXX";
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    close(fd);
    rec_writer_t *w = rec_writer_open(path, &process);
    REQUIRE(w != NULL);
    EXPECT_EQ(rec_writer_close(w, &(rec_end_t){.closed = false}), 0);
    rec_reader_t *r = rec_open(path, NULL);
    REQUIRE(r != NULL);
    rec_event_t e;
    EXPECT_EQ(rec_next(r, &e), 0);
    EXPECT(rec_unclosed(r));
    uint64_t done, total;
    rec_progress(r, &done, &total);
    EXPECT(done == total && done > 0);
    rec_close(r);
    unlink(path);
}

TEST(recording_to_a_full_disk_says_so, 0)
{
    rec_writer_t *w = rec_writer_open("/dev/full", &process);
    EXPECT(w == NULL);
    if (w != NULL) rec_writer_close(w, &(rec_end_t){0});
}

TEST_MAIN(&recording_round_trip_gives_back_every_event, &recording_every_flipped_bit_is_detected,
          &recording_every_truncation_is_detected_and_the_rest_is_kept,
          &recording_is_read_on_behind_damage_anywhere,
          &recording_of_which_a_piece_is_missing_loses_the_frame_it_was_in,
          &recording_reader_goes_on_through_garbage_and_ends, &recording_reader_survives_garbage,
          &recording_of_half_a_module_keeps_whole_ones_only,
          &recording_of_too_many_modules_is_refused,
          &recording_that_is_none_is_refused_with_its_reason,
          &recording_without_its_exit_is_unclosed, &recording_to_a_full_disk_says_so)
