/* SPDX-License-Identifier: MIT
 *
 * The test harness. Keeps no list and uses no printf, so that it takes about 1 KB of code; output
 * goes through board.h, so the same file serves the host and the boards.
 */
#include "tap.h"

#include <string.h>

#include "board.h"

#define FILL 0xA5
#define GUARD_BYTES 16u

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_ALL_SKIPPED 77 /* what CTest and Automake take for "skipped" */

/* What the board has to spare. The guard behind the part a test declared shows when it wrote past
 * that. */
static unsigned char *ram;
static size_t ram_bytes;

static unsigned n_test_failures; /* of the test under way */
static int n_args;
static char **args;

static void put_count(unsigned n, const char *what)
{
    board_put_number(n);
    board_put(what);
}

void *tap_ram(void)
{
    return ram;
}

void tap_note(const char *text, long long value)
{
    board_put("# ");
    board_put(text);
    board_put(" ");
    board_put_number(value);
    board_put("\n");
}

void tap_fail(const char *file, int line, const char *text, long long got, long long want)
{
    n_test_failures++;
    board_put("# ");
    board_put(file);
    board_put(":");
    board_put_number(line);
    board_put(": ");
    board_put(text);
    board_put(": got ");
    board_put_number(got);
    board_put(", want ");
    board_put_number(want);
    board_put("\n");
}

/* The value of argument "name=value", or NULL. */
static const char *find_arg(const char *name)
{
    size_t length = strlen(name);
    for (int i = 1; i < n_args; i++) {
        if (strncmp(args[i], name, length) == 0 && args[i][length] == '=')
            return args[i] + length + 1;
    }
    return NULL;
}

unsigned long tap_arg(const char *name, unsigned long otherwise)
{
    const char *text = find_arg(name);
    if (text == NULL) return otherwise;
    unsigned long value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (unsigned long)(*text++ - '0');
    return value;
}

static bool is_chosen(const char *name)
{
    bool any_name = false;
    for (int i = 1; i < n_args; i++) {
        if (strchr(args[i], '=') != NULL) continue;
        any_name = true;
        if (strcmp(args[i], name) == 0) return true;
    }
    return !any_name;
}

/* What a test may have trampled on: the bytes behind its RAM, and those below the stack. */
static void check_bounds(const tap_test_t *test)
{
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        unsigned char got = ram[test->ram_bytes + i];
        if (got != FILL) {
            tap_fail(__FILE__, __LINE__, "byte behind tap_ram()", got, FILL);
            break;
        }
    }
    size_t stack_bytes = board_stack_size_bytes();
    if (stack_bytes != 0 && board_stack_used_bytes() == stack_bytes) {
        tap_fail(__FILE__, __LINE__, "stack left over", 0, 1);
    }
}

int tap_main(int argc, char **argv, const tap_test_t *const *tests, size_t n_tests)
{
    unsigned n_run = 0, n_passed = 0, n_failed = 0, n_skipped = 0;
    n_args = argc;
    args = argv;
    ram = board_free_ram(&ram_bytes);
    for (size_t i = 0; i < n_tests; i++) {
        const tap_test_t *test = tests[i];
        if (!is_chosen(test->name)) continue;
        bool fits = test->ram_bytes + GUARD_BYTES <= ram_bytes;
        n_test_failures = 0;
        if (fits) {
            memset(ram, FILL, test->ram_bytes + GUARD_BYTES);
            test->run();
            check_bounds(test);
        }
        board_put(n_test_failures == 0 ? "ok " : "not ok ");
        board_put_number(++n_run);
        board_put(" - ");
        board_put(test->name);
        if (!fits) {
            board_put(" # SKIP needs ");
            board_put_number((long long)test->ram_bytes);
            board_put(" bytes of RAM");
            n_skipped++;
        } else if (n_test_failures == 0) {
            n_passed++;
        } else {
            n_failed++;
        }
        board_put("\n");
    }
    if (n_run == 0) {
        board_put("Bail out! no test of that name\n");
        return EXIT_USAGE;
    }
    board_put("1..");
    put_count(n_run, "\n");
    put_count(n_passed, " passed, ");
    put_count(n_failed, " failed, ");
    put_count(n_skipped, " skipped\n");
    if (n_failed != 0) return EXIT_FAILED;
    return n_passed == 0 ? EXIT_ALL_SKIPPED : 0;
}
