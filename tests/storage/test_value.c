/* SPDX-License-Identifier: Apache-2.0
 *
 * Types and values: order, equality and hashes agree, for the awkward values too. */
#include <math.h>

#include "storage/value.h"
#include "tests/storage/fixture.h"

START_TEST(test_value__kinds_have_names_and_widths)
{
    static const size_t widths[] = {1, 8, 8, 4, 8, 16, 4, 8, 16};
    char buffer[32];
    for (int kind = 0; kind < RN_KINDS; kind++) {
        ck_assert_uint_eq(rn_kind_bytes((rn_kind)kind), widths[kind]);
    }
    ck_assert_str_eq(rn_kind_name(RN_EDGE), "edge");
    ck_assert_str_eq(rn_kind_name((rn_kind)99), "unknown");
    rn_type list = rn_type_of(RN_LIST);
    list.element = RN_TIMESTAMP;
    ck_assert_str_eq(rn_type_name(list, buffer), "list of timestamp");
    ck_assert_str_eq(rn_type_name(rn_type_of(RN_BOOL), buffer), "bool");
}
END_TEST

START_TEST(test_value__parses_property_kinds_only)
{
    static const char *const yes[] = {"bool", "int64", "double", "date", "timestamp", "string"};
    static const char *const no[] = {"node", "edge", "list", "", "Int64", "int", "int64 "};
    rn_kind kind = RN_KINDS;
    for (size_t i = 0; i < RN_COUNT(yes); i++) {
        ck_assert(rn_kind_parse(yes[i], &kind));
        ck_assert_int_eq((int)kind, (int)i);
    }
    kind = RN_KINDS;
    for (size_t i = 0; i < RN_COUNT(no); i++) {
        ck_assert(!rn_kind_parse(no[i], &kind));
    }
    ck_assert_int_eq((int)kind, RN_KINDS);
}
END_TEST

START_TEST(test_value__doubles_have_a_total_order)
{
    double ordered[] = {-INFINITY, -1.0, -0.0, 5e-324, 1.0, INFINITY, NAN};
    rn_type type = rn_type_of(RN_DOUBLE);
    for (size_t i = 0; i < RN_COUNT(ordered); i++) {
        for (size_t j = 0; j < RN_COUNT(ordered); j++) {
            int order = rn_value_compare(type, &ordered[i], &ordered[j]);
            ck_assert_int_eq((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    double zero = 0.0, other_nan = -NAN;
    ck_assert(rn_value_equal(type, &zero, &ordered[2]));
    ck_assert(rn_value_hash(type, 1, &zero) == rn_value_hash(type, 1, &ordered[2]));
    ck_assert(rn_value_equal(type, &other_nan, &ordered[6]));
    ck_assert(rn_value_hash(type, 1, &other_nan) == rn_value_hash(type, 1, &ordered[6]));
}
END_TEST

START_TEST(test_value__strings_compare_as_bytes)
{
    /* Ascending; among them prefixes of each other, NUL bytes, bytes above 127, 4, 12 and 13 bytes.
     */
    static const struct {
        const char *bytes;
        uint32_t length;
    } ordered[] = {{"", 0},
                   {"\0", 1},
                   {"\0\0", 2},
                   {"a", 1},
                   {"a\0", 2},
                   {"a\0\0\0b", 5},
                   {"ab", 2},
                   {"abc", 3},
                   {"abcd", 4},
                   {"abcdefghijkl", 12},
                   {"abcdefghijklm", 13},
                   {"abcdefghijklmA", 14},
                   {"abcdefghijklma", 14},
                   {"abce", 4},
                   {"b", 1},
                   {"\xc3\xa4", 2},
                   {"\xff", 1}};
    for (size_t i = 0; i < RN_COUNT(ordered); i++) {
        for (size_t j = 0; j < RN_COUNT(ordered); j++) {
            char copy[16];
            memcpy(copy, ordered[j].bytes, ordered[j].length);
            rn_string a = rn_string_over(ordered[i].bytes, ordered[i].length);
            rn_string b = rn_string_over(copy, ordered[j].length);
            int order = rn_string_compare(&a, &b);
            ck_assert_msg((order > 0) - (order < 0) == (i > j) - (i < j), "%zu %zu", i, j);
            ck_assert(rn_string_equal(&a, &b) == (i == j));
            if (i == j) {
                ck_assert(rn_value_hash(rn_type_of(RN_STRING), 3, &a) ==
                          rn_value_hash(rn_type_of(RN_STRING), 3, &b));
            }
        }
    }
}
END_TEST

START_TEST(test_value__words_hash_as_in_key_loops)
{
    int64_t negative = -5;
    uint32_t node = 77;
    ck_assert(rn_value_hash(rn_type_of(RN_INT64), 9, &negative) ==
              rn_value_hash_word(9, (uint64_t)negative));
    ck_assert(rn_value_hash(rn_type_of(RN_NODE), 9, &node) == rn_value_hash_word(9, 77));
}
END_TEST

/* Over random values of every type: antisymmetric, transitive on triples, equal <=> compare 0 =>
 * same hash. */
START_TEST(test_value__order_equality_and_hash_agree)
{
    uint64_t seed = sample_seed("order");
    static sample made;
    for (int round = 0; round < 60; round++) {
        rn_type type = sample_type(&seed, true);
        sample_open(&made, &seed, &type, 1, 40);
        const rn_column *column = &made.columns[0];
        for (uint32_t i = 0; i < 40; i++) {
            for (uint32_t j = 0; j < 40; j++) {
                if (!rn_column_valid(column, i) || !rn_column_valid(column, j)) {
                    continue;
                }
                const void *a = rn_column_at(column, i), *b = rn_column_at(column, j);
                int order = rn_value_compare(type, a, b), back = rn_value_compare(type, b, a);
                ck_assert_int_eq((order > 0) - (order < 0), (back < 0) - (back > 0));
                ck_assert(rn_value_equal(type, a, b) == (order == 0));
                if (order == 0) {
                    ck_assert(rn_value_hash(type, 5, a) == rn_value_hash(type, 5, b));
                }
                uint32_t k = (i * 7 + j) % 40;
                if (rn_column_valid(column, k) && order <= 0 &&
                    rn_value_compare(type, b, rn_column_at(column, k)) <= 0) {
                    ck_assert_int_le(rn_value_compare(type, a, rn_column_at(column, k)), 0);
                }
            }
        }
        sample_close(&made);
    }
}
END_TEST

/* 1,2,3 in one segment, in three, and with empty segments between: one value. */
START_TEST(test_value__lists_do_not_show_their_segments)
{
    struct {
        rn_list_segment head;
        int64_t values[3];
    } whole = {{NULL, 3, 3}, {1, 2, 3}}, parts[4] = {{{NULL, 1, 3}, {1, 0, 0}},
                                                     {{NULL, 0, 3}, {9, 9, 9}},
                                                     {{NULL, 1, 3}, {2, 0, 0}},
                                                     {{NULL, 1, 3}, {3, 0, 0}}};
    for (int i = 0; i < 3; i++) {
        parts[i].head.next = &parts[i + 1].head;
    }
    rn_list a = {3, &whole.head}, b = {3, &parts[0].head}, shorter = {2, &whole.head};
    rn_type type = rn_type_of(RN_LIST);
    type.element = RN_INT64;
    ck_assert(rn_value_equal(type, &a, &b));
    ck_assert_int_eq(rn_value_compare(type, &a, &b), 0);
    ck_assert(rn_value_hash(type, 1, &a) == rn_value_hash(type, 1, &b));
    ck_assert_int_lt(rn_value_compare(type, &shorter, &a), 0);
    ck_assert(!rn_value_equal(type, &shorter, &a));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_value__kinds_have_names_and_widths,      test_value__parses_property_kinds_only,
        test_value__doubles_have_a_total_order,       test_value__strings_compare_as_bytes,
        test_value__words_hash_as_in_key_loops,       test_value__order_equality_and_hash_agree,
        test_value__lists_do_not_show_their_segments,
    };
    return support_run("value", tests, RN_COUNT(tests));
}
