/* SPDX-License-Identifier: MIT
 *
 * How a process ended that is not our child: Linux 6.15 and later tell it through its pidfd.
 */
#ifndef EALLOC_ENDING_H
#define EALLOC_ENDING_H

#include <stdint.h>

typedef enum {
    ENDING_UNKNOWN, /* this system does not tell                              */
    ENDING_PENDING, /* it told its parent nothing yet: ask again after POLLHUP */
    ENDING_KNOWN
} ending_t;

/* Ask after pidfd reported POLLIN. *wait_status is as waitpid's. */
ending_t ending_ask(int pidfd, int *wait_status);

#endif
