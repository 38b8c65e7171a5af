/* SPDX-License-Identifier: MIT
 *
 * Text and numbers for programs too small for printf.
 */
#include <string.h>

#include "board.h"

void board_put(const char *text)
{
    board_write(text, strlen(text));
}

void board_put_number(long long value)
{
    char digits[24];
    char *at = digits + sizeof digits;
    /* Through unsigned, where negating the smallest number is defined. */
    unsigned long long rest = (unsigned long long)value;
    if (value < 0) rest = 0 - rest;
    do {
        *--at = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest != 0);
    if (value < 0) *--at = '-';
    board_write(at, (size_t)(digits + sizeof digits - at));
}
