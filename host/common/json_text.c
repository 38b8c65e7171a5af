/* SPDX-License-Identifier: MIT */
#include "json_text.h"

#include <stdlib.h>

#include "printable.h"

json_t *json_text(const char *text)
{
    if (text == NULL) return json_null();
    json_t *value = json_string(text); /* refuses what is not UTF-8 */
    if (value == NULL) {
        char *copy = printable(text);
        value = json_string(copy);
        free(copy);
    }
    if (value == NULL) abort();
    return value;
}

json_t *json_u64(uint64_t value)
{
    return value > INT64_MAX ? json_real((double)value) : json_integer((json_int_t)value);
}
