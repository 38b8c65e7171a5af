/* SPDX-License-Identifier: MIT
 *
 * Semihosting: a call into the emulator (or a debugger), by the rules of Arm's "Semihosting for
 * AArch32 and AArch64" and the RISC-V semihosting specification.
 */
#ifndef SEMIHOST_H
#define SEMIHOST_H

#include <stdint.h>

enum {
    SEMIHOST_OPEN = 0x01,
    SEMIHOST_WRITE = 0x05,
    SEMIHOST_GET_CMDLINE = 0x15,
    SEMIHOST_EXIT_EXTENDED = 0x20
};

/* Returns what the operation returns; block is its argument block. */
intptr_t semihost(uint32_t operation, void *block);

#endif
