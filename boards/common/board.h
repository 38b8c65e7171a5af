/* SPDX-License-Identifier: MIT
 *
 * What the tests, benches and examples ask of the machine they run on. The emulated boards answer
 * through semihosting, the host through libc.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

void board_write(const char *text, size_t n_bytes);
_Noreturn void board_exit(int code);

/* Text and decimal numbers through board_write(), without printf and its kilobytes. */
void board_put(const char *text);
void board_put_number(long long value);

/* The RAM that the program and its stack leave over, 16-byte aligned. */
void *board_free_ram(size_t *size_bytes);

/* Most bytes of stack used since reset: the start-up code paints the stack. 0 on the host. */
size_t board_stack_used_bytes(void);
size_t board_stack_size_bytes(void);

/* Call handler every period_us, at most half a second, from now on: from the timer's interrupt, on
 * the host from a signal. Stop before board_count_call(). */
void board_tick_start(uint32_t period_us, void (*handler)(void));
void board_tick_stop(void);

/* --- emulated boards only --------------------------------------------------------------------- */

/* Split the command line into at most max_args words, which live in static storage. */
int board_args(char **argv, int max_args);

#define BOARD_MAX_ARGS 8

/* Call function(args[0], ... args[4]) and count the instructions from the call to the return, both
 * included: 2 for an empty function. Exact only under `boards/run --icount`; a count wraps beyond
 * two million. */
#define BOARD_CALL_ARGS 5
typedef struct {
    uintptr_t result;
    uint32_t instructions;
} board_call_t;
typedef void (*board_function_t)(void); /* convert a function of at most five words to this */
board_call_t board_count_call(board_function_t function, const uintptr_t args[BOARD_CALL_ARGS]);

/* The counter itself, for what is no call: the instructions from one read to another, which include
 * one of the two reads. The counter runs only after a first board_count_call(). */
uint32_t board_counter(void);
uint32_t board_instructions_between(uint32_t begin, uint32_t end);

#endif
