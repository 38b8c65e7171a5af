/* SPDX-License-Identifier: MIT */
#include "usage.h"

#include <errno.h>
#include <stdlib.h>

#include "printable.h"

uint32_t usage_count(struct argp_state *state, const char *option, const char *argument)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(argument, &end, 10);
    if (*argument < '0' || *argument > '9' || *end != '\0' || errno != 0 || n > UINT32_MAX)
        argp_error(state, "--%s takes a number, not '%s'", option, printable(argument));
    return (uint32_t)n;
}
