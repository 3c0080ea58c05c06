/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/table.c: widths, alignment, narrow lines, results larger than what is kept. */
#include "cli/table.h"

#include <stdlib.h>

#include "tests/support.h"

/* Rows of two cells, NULL-terminated. */
static char *draw(int line_columns, const bool *right, const char *const *cells)
{
    char *bytes = NULL;
    size_t length;
    FILE *stream = open_memstream(&bytes, &length);
    ck_assert_ptr_nonnull(stream);
    rn_table table;
    rn_table_open(&table, stream, 2, right);
    table.line_columns = line_columns;
    for (; *cells != NULL; cells += 2) {
        ck_assert_int_eq(rn_table_row(&table, cells), RATION_OK);
    }
    rn_table_end(&table);
    fclose(stream);
    return bytes;
}

static void expect_table(int line_columns, const bool *right, const char *const *cells,
                         const char *expected)
{
    char *drawn = draw(line_columns, right, cells);
    ck_assert_str_eq(drawn, expected);
    free(drawn);
}

START_TEST(test_table__aligns_columns)
{
    static const char *const cells[] = {"name", "n", "a", "1", "long name", "100", NULL};
    static const bool right[] = {false, true};
    expect_table(0, right, cells,
                 "name         n\n---------  ---\na            1\nlong name  100\n");
}
END_TEST

START_TEST(test_table__counts_characters_not_bytes)
{
    static const char *const cells[] = {"x", "y", "\xc3\xa4\xc3\xb6", "1", "ab", "2", NULL};
    expect_table(0, NULL, cells, "x   y\n--  -\n\xc3\xa4\xc3\xb6  1\nab  2\n");
}
END_TEST

START_TEST(test_table__shows_control_characters)
{
    static const char *const cells[] = {"x", "y", "a\nb\tc", "\x1b[2J\x7f", NULL};
    expect_table(0, NULL, cells, "x        y\n-------  -----------\na\\nb\\tc  \\x1b[2J\\x7f\n");
}
END_TEST

START_TEST(test_table__narrows_the_widest_column)
{
    static const char *const cells[] = {"id", "text", "1",
                                        "0123456789012345678901234567890123456789", NULL};
    char *drawn = draw(24, NULL, cells);
    ck_assert_ptr_nonnull(strstr(drawn, "1   01234567890123456..."));
    for (const char *line = strtok(drawn, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        ck_assert_uint_le(strlen(line), 24);
    }
    free(drawn);
}
END_TEST

START_TEST(test_table__streams_what_it_does_not_keep)
{
    char *bytes = NULL;
    size_t length;
    FILE *stream = open_memstream(&bytes, &length);
    ck_assert_ptr_nonnull(stream);
    rn_table table;
    rn_table_open(&table, stream, 1, NULL);
    table.line_columns = 0;
    const int rows = 5 * RN_TABLE_ROWS_KEPT;
    size_t kept_most = 0;
    for (int i = 0; i < rows; i++) {
        char cell[16];
        (void)snprintf(cell, sizeof cell, "%05d", i);
        ck_assert_int_eq(rn_table_cell(&table, cell, strlen(cell)), RATION_OK);
        kept_most = RN_MAX(kept_most, table.kept.capacity);
    }
    ck_assert(table.streaming);
    ck_assert_uint_le(kept_most, 2 * RN_TABLE_BYTES_KEPT);
    rn_table_end(&table);
    fclose(stream);
    int lines = 0;
    for (size_t i = 0; i < length; i++) {
        lines += bytes[i] == '\n';
    }
    ck_assert_int_eq(
        lines, rows + 1); /* the heading is the first row; the rule below it is the one more */
    free(bytes);
}
END_TEST

START_TEST(test_table__keeps_a_bounded_number_of_bytes)
{
    FILE *stream = fopen("/dev/null", "w");
    ck_assert_ptr_nonnull(stream);
    char *wide = malloc(RN_TABLE_BYTES_KEPT / 4);
    ck_assert_ptr_nonnull(wide);
    memset(wide, 'x', RN_TABLE_BYTES_KEPT / 4);
    rn_table table;
    rn_table_open(&table, stream, 1, NULL);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(rn_table_cell(&table, wide, RN_TABLE_BYTES_KEPT / 4), RATION_OK);
    }
    ck_assert(table.streaming);
    rn_table_end(&table);
    free(wide);
    fclose(stream);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_table__aligns_columns,
        test_table__counts_characters_not_bytes,
        test_table__shows_control_characters,
        test_table__narrows_the_widest_column,
        test_table__streams_what_it_does_not_keep,
        test_table__keeps_a_bounded_number_of_bytes,
    };
    return support_run("table", tests, RN_COUNT(tests));
}
