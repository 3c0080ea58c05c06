/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/format.c and cli/printer.c: every kind in every notation, CSV quoting read back, cut buffers,
 * whole documents. */
#include "cli/printer.h"

#include <math.h>
#include <stdlib.h>

#include "base/heap.h"
#include "tests/support.h"

static rn_column column_of(rn_kind kind, const void *data, const uint64_t *valid)
{
    rn_column column = {.type = rn_type_of(kind), .data = data, .valid = valid};
    return column;
}

typedef void format_function(rn_text *text, const rn_graph *graph, const rn_column *column,
                             uint32_t row);

static void expect_value(format_function *format, rn_kind kind, const void *data,
                         const char *expected)
{
    char buffer[256];
    rn_text text = rn_text_over(buffer, sizeof buffer);
    rn_column column = column_of(kind, data, NULL);
    format(&text, NULL, &column, 0);
    ck_assert_str_eq(buffer, expected);
    ck_assert_uint_eq(text.length, strlen(expected));
}

START_TEST(test_format__kinds_as_text)
{
    expect_value(rn_format_text, RN_BOOL, &(uint8_t){1}, "true");
    expect_value(rn_format_text, RN_INT64, &(int64_t){INT64_MIN}, "-9223372036854775808");
    expect_value(rn_format_text, RN_DOUBLE, &(double){0.1}, "0.1");
    expect_value(rn_format_text, RN_DATE, &(int32_t){0}, "1970-01-01");
    expect_value(rn_format_text, RN_STRING, &(rn_string){.length = 0}, "");
    rn_string string = rn_string_over("a string of more than twelve bytes", 34);
    expect_value(rn_format_text, RN_STRING, &string, "a string of more than twelve bytes");
    expect_value(rn_format_text, RN_NODE, &(uint32_t){7}, "node(7)");
}
END_TEST

START_TEST(test_format__kinds_as_json)
{
    expect_value(rn_format_json, RN_BOOL, &(uint8_t){0}, "false");
    expect_value(rn_format_json, RN_INT64, &(int64_t){INT64_MAX}, "9223372036854775807");
    expect_value(rn_format_json, RN_DOUBLE, &(double){NAN}, "\"nan\"");
    expect_value(rn_format_json, RN_DOUBLE, &(double){-INFINITY}, "\"-inf\"");
    expect_value(rn_format_json, RN_DATE, &(int32_t){0}, "\"1970-01-01\"");
    rn_string string = rn_string_over("a\"\n", 3);
    expect_value(rn_format_json, RN_STRING, &string, "\"a\\\"\\n\"");
}
END_TEST

START_TEST(test_format__null_differs_from_empty)
{
    static const uint64_t none = 0;
    const rn_string empty = {.length = 0};
    rn_column null = column_of(RN_STRING, &empty, &none);
    char buffer[16];
    rn_text text = rn_text_over(buffer, sizeof buffer);
    rn_format_csv(&text, NULL, &null, 0);
    ck_assert_str_eq(buffer, "");
    expect_value(rn_format_csv, RN_STRING, &empty, "\"\"");
    rn_format_json(&text, NULL, &null, 0);
    ck_assert_str_eq(buffer, "null");
}
END_TEST

START_TEST(test_format__csv_quotes_what_it_must)
{
    static const char *const pairs[][2] = {{"plain", "plain"},
                                           {"a,b", "\"a,b\""},
                                           {"a\"b", "\"a\"\"b\""},
                                           {"\"", "\"\"\"\""},
                                           {"a\nb", "\"a\nb\""},
                                           {"a\rb", "\"a\rb\""},
                                           {"\"\"\"", "\"\"\"\"\"\"\"\""}};
    for (size_t i = 0; i < RN_COUNT(pairs); i++) {
        rn_string string = rn_string_over(pairs[i][0], (uint32_t)strlen(pairs[i][0]));
        expect_value(rn_format_csv, RN_STRING, &string, pairs[i][1]);
    }
}
END_TEST

START_TEST(test_format__lists_do_not_show_their_segments)
{
    struct {
        rn_list_segment head;
        int64_t values[2];
    } second = {{NULL, 1, 2}, {3, 0}}, first = {{&second.head, 2, 2}, {1, 2}};
    const rn_list list = {3, &first.head};
    rn_column column = column_of(RN_LIST, &list, NULL);
    column.type.element = RN_INT64;
    char buffer[64];
    rn_text text = rn_text_over(buffer, sizeof buffer);
    rn_format_text(&text, NULL, &column, 0);
    rn_format_json(&text, NULL, &column, 0);
    rn_format_csv(&text, NULL, &column, 0);
    ck_assert_str_eq(buffer, "[1, 2, 3][1,2,3]\"[1, 2, 3]\"");
}
END_TEST

/* Whatever room there is, the length told is enough for the whole: a caller that grows to it ends.
 */
START_TEST(test_format__a_cut_text_asks_for_enough)
{
    rn_string string = rn_string_over("\"\"\"\"\"\"\"\"\",\"\"\"\"\"\"", 16);
    rn_column column = column_of(RN_STRING, &string, NULL);
    char whole[128], buffer[128];
    rn_text text = rn_text_over(whole, sizeof whole);
    rn_format_csv(&text, NULL, &column, 0);
    for (size_t capacity = 0; capacity <= text.length; capacity++) {
        rn_text cut = rn_text_over(buffer, capacity);
        rn_format_csv(&cut, NULL, &column, 0);
        ck_assert_uint_ge(cut.length, text.length);
    }
}
END_TEST

/* ---- whole documents ---- */

typedef struct document {
    char *bytes;
    size_t length;
    ration_status status;
} document;

/* Three rows of {id int64, name string}, the second name null, put twice. */
static document print_rows(rn_printer_format format, int64_t rows_max)
{
    static const int64_t ids[] = {1, 22, 333};
    static const uint64_t valid = 5;
    const rn_string names[] = {rn_string_over("Ann", 3), rn_string_over("", 0),
                               rn_string_over("\x1b[1m,\"", 6)};
    rn_column columns[] = {column_of(RN_INT64, ids, NULL), column_of(RN_STRING, names, &valid)};
    const rn_batch batch = {.rows = 3, .column_count = 2, .columns = columns};
    rn_field fields[] = {{"id", rn_type_of(RN_INT64)}, {"name", rn_type_of(RN_STRING)}};
    const rn_schema schema = {2, fields};
    document result = {.bytes = NULL};
    FILE *stream = open_memstream(&result.bytes, &result.length);
    ck_assert_ptr_nonnull(stream);
    rn_printer printer;
    result.status = rn_printer_open(&printer, format, stream, rows_max, &schema, NULL);
    for (int i = 0; i < 2 && result.status == RATION_OK; i++) {
        result.status = rn_printer_put(&printer, &batch);
    }
    rn_printer_end(&printer);
    fclose(stream);
    return result;
}

static void expect_document(rn_printer_format format, int64_t rows_max, const char *expected)
{
    document result = print_rows(format, rows_max);
    ck_assert_int_eq(result.status, RATION_OK);
    ck_assert_str_eq(result.bytes, expected);
    free(result.bytes);
}

START_TEST(test_printer__table)
{
    expect_document(RN_PRINT_TABLE, 3,
                    " id  name\n"
                    "---  ---------\n"
                    "  1  Ann\n"
                    " 22  null\n"
                    "333  \\x1b[1m,\"\n");
}
END_TEST

START_TEST(test_printer__csv)
{
    expect_document(RN_PRINT_CSV, 3, "id,name\n1,Ann\n22,\n333,\"\x1b[1m,\"\"\"\n");
}
END_TEST

START_TEST(test_printer__jsonl)
{
    expect_document(RN_PRINT_JSONL, 3,
                    "{\"id\":1,\"name\":\"Ann\"}\n{\"id\":22,\"name\":null}\n"
                    "{\"id\":333,\"name\":\"\\u001b[1m,\\\"\"}\n");
}
END_TEST

START_TEST(test_printer__json_counts_rows_it_does_not_show)
{
    expect_document(
        RN_PRINT_JSON, 1,
        "{\"schema_version\":1,\"columns\":[{\"name\":\"id\",\"type\":\"int64\"},"
        "{\"name\":\"name\",\"type\":\"string\"}],\"rows\":[\n[1,\"Ann\"]\n],\"row_count\":6");
}
END_TEST

START_TEST(test_printer__every_allocation_may_fail)
{
    for (int format = RN_PRINT_TABLE; format <= RN_PRINT_JSONL; format++) {
        for (int forever = 0; forever < 2; forever++) {
            bool passed = false;
            for (int64_t n = 1; !passed; n++) {
                int64_t before = rn_heap_bytes();
                rn_heap_fail_after(n, forever != 0);
                document result = print_rows((rn_printer_format)format, 0);
                rn_heap_fail_after(0, false);
                passed = result.status == RATION_OK && n > 4;
                ck_assert(result.status == RATION_OK || result.status == RATION_NO_MEMORY);
                ck_assert_int_eq(rn_heap_bytes(), before);
                free(result.bytes);
            }
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_format__kinds_as_text,
        test_format__kinds_as_json,
        test_format__null_differs_from_empty,
        test_format__csv_quotes_what_it_must,
        test_format__lists_do_not_show_their_segments,
        test_format__a_cut_text_asks_for_enough,
        test_printer__table,
        test_printer__csv,
        test_printer__jsonl,
        test_printer__json_counts_rows_it_does_not_show,
        test_printer__every_allocation_may_fail,
    };
    return support_run("format", tests, RN_COUNT(tests));
}
