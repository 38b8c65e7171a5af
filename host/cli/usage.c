/* SPDX-License-Identifier: MIT */
#include "usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

int usage_choose(struct argp_state *state, const char *option, const char *text, const char *zero,
                 const char *one)
{
    if (strcmp(text, zero) == 0) return 0;
    if (strcmp(text, one) != 0)
        argp_error(state, "--%s takes %s or %s, not '%s'", option, zero, one, printable(text));
    return 1;
}

const eai_movable_ops_t *usage_layout(struct argp_state *state, const char *name)
{
    for (int i = 0; i < MOVABLE_LAYOUTS; i++)
        if (strcmp(movable_layouts[i]->name, name) == 0) return movable_layouts[i];
    argp_error(state, "--layout takes small, medium or large, not '%s'", printable(name));
    return NULL;
}

uint64_t usage_bytes(const char *text)
{
    static const char suffixes[] = "KMG";
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9') return 0;
    const char *suffix = *end != '\0' ? strchr(suffixes, *end & ~0x20) : NULL;
    if (suffix != NULL && *suffix != '\0') {
        unsigned shift = 10 * (unsigned)(suffix - suffixes + 1);
        if (value > UINT64_MAX >> shift) return 0;
        value <<= shift;
        end++;
    }
    return *end == '\0' ? value : 0;
}
