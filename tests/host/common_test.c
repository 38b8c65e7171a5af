/* SPDX-License-Identifier: MIT
 *
 * Text made printable, text as JSON, sums that do not run over.
 */
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "printable.h"
#include "sane.h"
#include "tap.h"

TEST(printable_keeps_text_and_shows_what_is_none, 0)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"gcc -O2 'a b' \\n ~", "gcc -O2 'a b' \\n ~"},
        {"a\nb\tc\x1b[2J\x7f", "a\\x0ab\\x09c\\x1b[2J\\x7f"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"caf\xe9", "caf\\xe9"},
        {"\xc3", "\\xc3"},
        {"\xe2\x82", "\\xe2\\x82"},
        {"\xc0\xaf", "\\xc0\\xaf"},                   /* overlong */
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},          /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* a surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
        {"\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"},
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m"}, /* C1: another escape sequence */
        {"\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6", "\\xe2\\x80\\xa8\\xe2\\x80\\xae\\xe2\\x81\\xa6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *shown = printable(cases[i].text), *again = printable(shown);
        EXPECT(strcmp(shown, cases[i].shown) == 0);
        EXPECT(strcmp(again, shown) == 0);
        free(shown);
        free(again);
    }
}

TEST(printable_is_cut_between_characters, 0)
{
    char to[16];
    for (size_t size = 1; size <= sizeof to; size++) {
        memset(to, 'x', sizeof to);
        printable_to(to, size, "ab\xe2\x82\xac\x01yz");
        EXPECT(strlen(to) < size);
        EXPECT(strlen(to) != 3 && strlen(to) != 4); /* within the euro sign */
        EXPECT(strlen(to) < 6 || strlen(to) > 8);   /* within the escape */
    }
    EXPECT(strcmp(to, "ab\xe2\x82\xac\\x01yz") == 0);
}

TEST(json_takes_any_text_and_any_number, 0)
{
    json_t *values[] = {json_text("plain\n\x1b"), json_text("\xff"), json_text(NULL),
                        json_u64(INT64_MAX), json_u64(UINT64_MAX)};
    EXPECT(strcmp(json_string_value(values[0]), "plain\n\x1b") == 0);
    EXPECT(strcmp(json_string_value(values[1]), "\\xff") == 0);
    EXPECT(json_is_null(values[2]));
    EXPECT(json_integer_value(values[3]) == INT64_MAX);
    EXPECT(json_real_value(values[4]) > 1.8e19);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) json_decref(values[i]);
}

TEST(sums_stop_at_the_greatest_number, 0)
{
    EXPECT_EQ(add_saturating(1, 2), 3);
    EXPECT(add_saturating(INT64_MAX - 1, 1) == INT64_MAX);
    EXPECT(add_saturating(INT64_MAX, 1) == INT64_MAX);
    EXPECT(add_saturating(0, UINT64_MAX) == INT64_MAX);
    EXPECT(add_saturating(INT64_MAX, UINT64_MAX) == INT64_MAX);
}

TEST_MAIN(&printable_keeps_text_and_shows_what_is_none, &printable_is_cut_between_characters,
          &json_takes_any_text_and_any_number, &sums_stop_at_the_greatest_number)
