/* SPDX-License-Identifier: MIT */
#ifndef BOARD_START_H
#define BOARD_START_H

#include <stdint.h>

#define BOARD_FAULT_EXIT_CODE 70

/* Runs on the fresh stack with nothing else set up. */
_Noreturn void board_start(void);

/* The timer's interrupt. */
void board_tick_interrupt(void);

/* Any other exception ends here: print the program counter it came from and exit. */
_Noreturn void board_fault(uintptr_t where);

#endif
