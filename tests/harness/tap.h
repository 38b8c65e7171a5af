/* SPDX-License-Identifier: MIT
 *
 * The test harness: small enough for a microcontroller, the same on the host. Prints TAP lines and,
 * last, "N passed, N failed, N skipped". A test file is
 *
 *     #include "tap.h"
 *     TEST(heap_free_merges_both_neighbours, 2048) { ... EXPECT(x); EXPECT_EQ(a, b); }
 *     TEST_MAIN(&heap_free_merges_both_neighbours, ...)
 *
 * The number is the RAM in bytes the test takes with tap_ram(); on a board with less it is skipped
 * and says so. A failed EXPECT prints file, line and both values and marks the test failed; it does
 * not stop it. REQUIRE returns from the test.
 *
 * `./test` runs all, `./test NAME...` those; `./test seed=7` sets what tap_arg("seed", 1) returns.
 * Exit code 0: all passed or some skipped; 1: one failed; 2: no such test; 77: all skipped.
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    size_t ram_bytes;
    void (*run)(void);
} tap_test_t;

/* The test's RAM: 16-byte aligned, of the size it declared, filled with 0xA5 before each test. A
 * test that writes into the 16 bytes behind it fails. */
void *tap_ram(void);
/* The number given on the command line as name=number, else otherwise. */
unsigned long tap_arg(const char *name, unsigned long otherwise);
/* A line of the log: "# text value". A random test prints its seed with this. */
void tap_note(const char *text, long long value);
void tap_fail(const char *file, int line, const char *text, long long got, long long want);
int tap_main(int argc, char **argv, const tap_test_t *const *tests, size_t n_tests);

#define TEST(test_name, ram)                                                                       \
    static void test_name##_run(void);                                                             \
    static const tap_test_t test_name = {#test_name, (ram), test_name##_run};                      \
    static void test_name##_run(void)

/* TEST_MAIN takes the tests' addresses: TEST_MAIN(&a, &b). */
#define TEST_MAIN(...)                                                                             \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const tap_test_t *const all[] = {__VA_ARGS__};                                      \
        return tap_main(argc, argv, all, sizeof all / sizeof all[0]);                              \
    }

#define EXPECT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond)) tap_fail(__FILE__, __LINE__, #cond, 0, 1);                                    \
    } while (0)
#define EXPECT_EQ(got, want)                                                                       \
    do {                                                                                           \
        long long tap_g = (long long)(got), tap_w = (long long)(want);                             \
        if (tap_g != tap_w) tap_fail(__FILE__, __LINE__, #got " == " #want, tap_g, tap_w);         \
    } while (0)
#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            tap_fail(__FILE__, __LINE__, #cond, 0, 1);                                             \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#endif
