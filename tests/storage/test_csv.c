/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of delimited text: what RFC 4180 says, other dialects, pieces, hostile bytes. */
#include "storage/csv.h"

#include <time.h>

#include "base/hash.h"
#include "tests/storage/store.h"

static const rn_csv_dialect comma = {RN_CSV_CHARACTER, ',', true, false, false};
static const rn_csv_dialect blanks = {RN_CSV_BLANKS, ' ', true, false, false};
static const rn_csv_dialect loose = {RN_CSV_LOOSE, ',', false, false, true};

/* Records as "[a][b]\n", quoted fields as "['a']"; or "error: line:column: message (hint)". */
static const char *read_text(const char *text, size_t length, const rn_csv_dialect *dialect)
{
    static char shown[8192];
    static rn_csv csv;
    rn_text out = rn_text_over(shown, sizeof shown);
    ration_error error = {0};
    store made;

    store_open(&made, INT64_MAX);
    support_ok(rn_csv_open(&csv, "t.csv", text, length, dialect, made.slot, &error), &error);
    for (;;) {
        const rn_csv_field *fields;
        uint32_t count;
        ration_status status = rn_csv_next(&csv, &fields, &count, &error);
        if (status != RATION_OK) {
            ck_assert_int_eq(status, RATION_DATA);
            ck_assert_int_eq(error.status, RATION_DATA);
            ck_assert_str_eq(error.file, "t.csv");
            rn_text_format(&out, "error %d:%d: %s", error.line, error.column, error.message);
            break;
        }
        if (count == 0) {
            break;
        }
        for (uint32_t i = 0; i < count; i++) {
            rn_text_put(&out, fields[i].quoted ? "['" : "[");
            rn_text_put_bytes(&out, fields[i].text, fields[i].length);
            rn_text_put(&out, fields[i].quoted ? "']" : "]");
        }
        rn_text_put(&out, "\n");
    }
    rn_csv_close(&csv);
    store_close(&made);
    return shown;
}

#define check_text(text, dialect, expected)                                                        \
    ck_assert_str_eq(read_text(text, sizeof(text) - 1, dialect), expected)

START_TEST(test_csv__splits_records_and_fields)
{
    check_text("", &comma, "");
    check_text("a,b\nc,d\n", &comma, "[a][b]\n[c][d]\n");
    check_text("a,b\r\nc,d", &comma, "[a][b]\n[c][d]\n");
    check_text("a,,\n,\n", &comma, "[a][][]\n[][]\n");
    check_text("\n\na\n\n\nb", &comma, "[a]\n[b]\n");
    check_text("\xEF\xBB\xBFk\xC3\xB6ln,1\n", &comma, "[k\xC3\xB6ln][1]\n");
    check_text("a b\n", &comma, "[a b]\n");
    check_text("a|b,c\n", (&(rn_csv_dialect){RN_CSV_CHARACTER, '|', true, false, false}),
               "[a][b,c]\n");
    check_text("x,y\n1,2\n", (&(rn_csv_dialect){RN_CSV_CHARACTER, ',', true, true, false}),
               "[1][2]\n");
}
END_TEST

START_TEST(test_csv__reads_quoted_fields)
{
    check_text("\"a\",\"b,c\"\n", &comma, "['a']['b,c']\n");
    check_text("\"\",\"\"\"\"\n", &comma, "['']['\"']\n");
    check_text("\"a\"\"b\"\"\",c", &comma, "['a\"b\"'][c]\n");
    check_text("\"two\r\nlines\",x\r\ny", &comma, "['two\r\nlines'][x]\n[y]\n");
    check_text("\"\"\n\"\"", &comma, "['']\n['']\n");
    check_text("a\"b,\"c\n", (&(rn_csv_dialect){RN_CSV_CHARACTER, ',', false, false, false}),
               "[a\"b][\"c]\n");
}
END_TEST

START_TEST(test_csv__reads_blanks_and_edge_lists)
{
    check_text("1 2\n  3\t \t4  \n\n5 \"a b\"\n", &blanks, "[1][2]\n[3][4]\n[5]['a b']\n");
    check_text("1,2 3\n", &blanks, "[1,2][3]\n");
    check_text("# head\n1 2\n3,4\n5\t6 0.5\n 7 , 8\n#end", &loose,
               "[1][2]\n[3][4]\n[5][6][0.5]\n[7][8]\n");
    check_text("1,,2\n", &loose, "[1][][2]\n");
    check_text("1 2 \r\n3 4\r\n", &loose, "[1][2]\n[3][4]\n");
    check_text("#\n#\n", &loose, "");
}
END_TEST

START_TEST(test_csv__names_the_place_of_an_error)
{
    check_text("a,b\nc,d\0e\n", &comma, "[a][b]\nerror 2:4: a NUL byte");
    check_text("a,\"x\ny\0\"\n", &comma, "error 2:2: a NUL byte");
    check_text("ok\nab\xFF\n", &comma, "[ok]\nerror 2:3: invalid UTF-8");
    check_text("\xC0\x80\n", &comma, "error 1:1: invalid UTF-8");
    check_text("\xED\xA0\x80\n", &comma, "error 1:1: invalid UTF-8");
    check_text("\xF4\x90\x80\x80\n", &comma, "error 1:1: invalid UTF-8");
    check_text("x\xE2\x82", &comma, "error 1:2: invalid UTF-8");
    check_text("1,\"a\xFF\"\n", &comma, "error 1:5: invalid UTF-8 in a quoted field");
    check_text("a\n1,\"open\nx,y\n", &comma, "[a]\nerror 2:3: a quote is never closed");
    check_text("a,\"b\"c\n", &comma, "error 1:6: text after the closing quote");
    check_text("a,b\"c\n", &comma, "error 1:4: a quote inside an unquoted field");
    check_text("a\rb\n", &comma, "error 1:2: a carriage return without a line feed");
    check_text("\"a\nb\",\"c\nd\"e\n", &comma, "error 3:3: text after the closing quote");
}
END_TEST

/* `count` bytes: lines of "p\n", so that what follows begins at any offset of a piece. */
static void put_padding(char *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = i % 2 == 0 ? 'p' : '\n';
    }
    if (count % 2 == 1) {
        to[count - 1] = '\n';
    }
}

START_TEST(test_csv__a_record_may_lie_across_pieces)
{
    static const char record[] = "\"a \"\"x\"\"\r\n\xC3\xB6\",b\r\n\"\",\"\"\"\"\n";
    static char text[RN_CSV_PIECE_BYTES + 64];
    static rn_csv csv;
    store made;

    store_open(&made, INT64_MAX);
    for (size_t before = 0; before <= sizeof record; before++) {
        size_t padding = RN_CSV_PIECE_BYTES - before;
        ration_error error = {0};
        const rn_csv_field *fields;
        uint32_t count;
        put_padding(text, padding);
        memcpy(text + padding, record, sizeof record - 1);
        size_t length = padding + sizeof record - 1;
        support_ok(rn_csv_open(&csv, "t", text, length, &comma, made.slot, &error), &error);
        do {
            support_ok(rn_csv_next(&csv, &fields, &count, &error), &error);
        } while (count == 1);
        ck_assert_uint_eq(count, 2);
        ck_assert_uint_eq(fields[0].length, 9);
        ck_assert_int_eq(memcmp(fields[0].text, "a \"x\"\r\n\xC3\xB6", 9), 0);
        ck_assert_int_eq(fields[1].line, fields[0].line + 1);
        ck_assert_int_eq(fields[1].column, 5);
        support_ok(rn_csv_next(&csv, &fields, &count, &error), &error);
        ck_assert_uint_eq(count, 2);
        ck_assert_uint_eq(fields[1].length, 1);
        support_ok(rn_csv_next(&csv, &fields, &count, &error), &error);
        ck_assert_uint_eq(count, 0);
        rn_csv_close(&csv);
    }
    store_close(&made);
}
END_TEST

START_TEST(test_csv__a_line_ends_at_one_mebibyte)
{
    static char text[RN_CSV_LINE_BYTES_MAX + 16];
    static rn_csv csv;
    const rn_csv_field *fields;
    ration_error error = {0};
    uint32_t count;
    store made;

    store_open(&made, INT64_MAX);
    for (size_t extra = 0; extra <= 2; extra++) {
        for (int quote = 0; quote <= 1; quote++) {
            size_t length = RN_CSV_LINE_BYTES_MAX - 1 + extra;
            memset(text, 'x', length);
            text[length] = '\n';
            text[0] = quote ? '"' : 'x';
            text[length - 1] = quote ? '"' : 'x';
            support_ok(rn_csv_open(&csv, "t", text, length + 1, &comma, made.slot, &error), &error);
            ration_status status = rn_csv_next(&csv, &fields, &count, &error);
            ck_assert_int_eq(status, extra == 0 ? RATION_OK : RATION_DATA);
            if (extra == 0) {
                ck_assert_uint_eq(count, 1);
                ck_assert_uint_eq(fields[0].length, length - (quote ? 2u : 0u));
            } else {
                ck_assert_str_eq(error.message, "a line longer than 1 MiB");
                ck_assert_int_eq(error.line, 1);
            }
            rn_csv_close(&csv);
        }
    }
    memset(text, 'x', sizeof text);
    text[3] = ',';
    text[4] = '"';
    support_ok(rn_csv_open(&csv, "t", text, sizeof text, &comma, made.slot, &error), &error);
    ck_assert_int_eq(rn_csv_next(&csv, &fields, &count, &error), RATION_DATA);
    ck_assert_int_eq(error.column, 5);
    rn_csv_close(&csv);
    text[0] = '#';
    memcpy(text + sizeof text - 5, "\n1 2\n", 5);
    support_ok(rn_csv_open(&csv, "t", text, sizeof text, &loose, made.slot, &error), &error);
    support_ok(rn_csv_next(&csv, &fields, &count, &error), &error);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(fields[0].line, 2);
    rn_csv_close(&csv);
    store_close(&made);
}
END_TEST

START_TEST(test_csv__refuses_too_many_fields)
{
    static char text[2 * RN_CSV_FIELDS_MAX + 8];
    char expected[64];

    memset(text, ',', RN_CSV_FIELDS_MAX - 1);
    text[RN_CSV_FIELDS_MAX - 1] = '\n';
    ck_assert_ptr_null(strstr(read_text(text, RN_CSV_FIELDS_MAX, &comma), "error"));
    memset(text, ',', RN_CSV_FIELDS_MAX);
    snprintf(expected, sizeof expected, "error 1:%u: more than 512 fields in a line",
             RN_CSV_FIELDS_MAX + 1);
    ck_assert_str_eq(read_text(text, RN_CSV_FIELDS_MAX, &comma), expected);
}
END_TEST

START_TEST(test_csv__says_why_a_file_cannot_be_read)
{
    static rn_csv csv;
    const rn_csv_field *fields;
    ration_error error = {0};
    uint32_t count;
    store made;

    store_open(&made, INT64_MAX);
    ck_assert_int_eq(rn_csv_open(&csv, "/no/such/file", NULL, 0, &comma, made.slot, &error),
                     RATION_FILE);
    ck_assert_str_eq(error.message, "cannot open the file: No such file or directory");
    support_ok(rn_csv_open(&csv, "/", NULL, 0, &comma, made.slot, &error), &error);
    ck_assert_int_eq(rn_csv_next(&csv, &fields, &count, &error), RATION_FILE);
    rn_csv_close(&csv);
    store_close(&made);
}
END_TEST

START_TEST(test_csv__a_refusal_leaves_nothing)
{
    static char text[400 * 1024];
    static rn_csv csv;
    const rn_csv_field *fields;
    ration_error error = {0};
    uint32_t count;
    store made;

    memset(text, 'x', sizeof text);
    for (int64_t limit = 0; limit <= 1024 * 1024; limit += 128 * 1024) {
        store_open(&made, limit);
        ration_status status = rn_csv_open(&csv, "t", text, sizeof text, &comma, made.slot, &error);
        if (status == RATION_OK) {
            status = rn_csv_next(&csv, &fields, &count, &error);
            rn_csv_close(&csv);
        }
        ck_assert_int_eq(status, limit < 768 * 1024 ? RATION_DATA_LIMIT : RATION_OK);
        store_close(&made);
    }
}
END_TEST

/* Fields of random bytes, written by the rules, come back. */
static void check_random(uint64_t seed)
{
    static char text[1 << 20];
    static char plain[1 << 20];
    static rn_csv csv;
    static const char bytes[] = "ab,\"\n\r| \t\xC3\xB6";
    uint64_t state = seed;
    uint32_t lengths[256][8], counts[256], records = 1 + (uint32_t)rn_random_below(&state, 255);
    size_t at = 0, from = 0;
    store made;

    for (uint32_t r = 0; r < records; r++) {
        counts[r] = 2 + (uint32_t)rn_random_below(&state, 6);
        for (uint32_t f = 0; f < counts[r]; f++) {
            uint32_t length = (uint32_t)rn_random_below(&state, r % 64 == 0 ? 20000 : 12);
            lengths[r][f] = 0;
            text[at++] = '"';
            for (uint32_t i = 0; i < length; i++) {
                uint64_t choice = rn_random_below(&state, 10);
                size_t count = choice == 9 ? 2 : 1;
                memcpy(plain + from, bytes + choice, count);
                memcpy(text + at, bytes + choice, count);
                at += count;
                if (bytes[choice] == '"') {
                    text[at++] = '"';
                }
                from += count;
                lengths[r][f] += (uint32_t)count;
            }
            text[at++] = '"';
            text[at++] = f + 1 < counts[r] ? ',' : '\n';
        }
        if (at > sizeof text / 2 || from > sizeof plain / 2) {
            records = r + 1;
        }
    }
    from = 0;
    store_open(&made, INT64_MAX);
    ration_error error = {0};
    support_ok(rn_csv_open(&csv, "t", text, at, &comma, made.slot, &error), &error);
    for (uint32_t r = 0; r < records; r++) {
        const rn_csv_field *fields;
        uint32_t count;
        support_ok(rn_csv_next(&csv, &fields, &count, &error), &error);
        ck_assert_uint_eq(count, counts[r]);
        for (uint32_t f = 0; f < count; f++) {
            ck_assert_uint_eq(fields[f].length, lengths[r][f]);
            ck_assert_int_eq(memcmp(fields[f].text, plain + from, fields[f].length), 0);
            from += fields[f].length;
        }
    }
    rn_csv_close(&csv);
    store_close(&made);
}

START_TEST(test_csv__random_fields_come_back)
{
    uint64_t seed = (uint64_t)time(NULL);

    printf("seed=%llu\n", (unsigned long long)seed);
    for (uint64_t i = 0; i < 200; i++) {
        check_random(seed + i);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_csv__splits_records_and_fields,      test_csv__reads_quoted_fields,
        test_csv__reads_blanks_and_edge_lists,    test_csv__names_the_place_of_an_error,
        test_csv__a_record_may_lie_across_pieces, test_csv__a_line_ends_at_one_mebibyte,
        test_csv__refuses_too_many_fields,        test_csv__says_why_a_file_cannot_be_read,
        test_csv__a_refusal_leaves_nothing,       test_csv__random_fields_come_back};
    return support_run("csv", tests, RN_COUNT(tests));
}
