/* SPDX-License-Identifier: Apache-2.0
 *
 * base/text.h: base/text.c, base/number.c, base/date.c and base/status.c. */
#include "base/text.h"

#include <locale.h>
#include <time.h>

#include "base/hash.h"
#include "tests/support.h"

static char buffer[4096];

/* A builder over `buffer`, for one call. */
#define WRITTEN(call)                                                                              \
    (__extension__({                                                                               \
        rn_text text = rn_text_over(buffer, sizeof(buffer));                                       \
        call;                                                                                      \
        buffer;                                                                                    \
    }))

/* -------------------------------------------------------------------------------------- builder */

START_TEST(test_text__counts_beyond_its_capacity)
{
    char small[8] = "xxxxxxx";
    rn_text text = rn_text_over(small, 6);
    ck_assert_str_eq(small, "");
    rn_text_put(&text, "abc");
    rn_text_format(&text, "%d", 12345);
    ck_assert_str_eq(small, "abc12");
    rn_text_put_bytes(&text, "zz", 2);
    rn_text_format(&text, "%s", "yy");
    ck_assert_str_eq(small, "abc12");
    ck_assert_uint_eq(text.length, 12);
    ck_assert_int_eq(small[6], 'x');
    text = rn_text_over(NULL, 0);
    rn_text_put(&text, "abc");
    rn_text_format(&text, "%d", 12345);
    ck_assert_uint_eq(text.length, 8);
    rn_copy_text(small, 4, "abcdef");
    ck_assert_str_eq(small, "abc");
}
END_TEST

START_TEST(test_text__puts_sizes)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 B"},
        {17, "17 B"},
        {1023, "1023 B"},
        {1024, "1 KiB"},
        {1536, "1.5 KiB"},
        {1127, "1.1 KiB"},
        {1260, "1.23 KiB"},
        {1044, "1.02 KiB"},
        {65536, "64 KiB"},
        {INT64_C(512) << 20, "512 MiB"},
        {INT64_C(3) << 29, "1.5 GiB"},
        {(INT64_C(1) << 20) - 1, "1 MiB"},
        {(INT64_C(1) << 30) - 1, "1 GiB"},
        {12 * 1024 + 512, "12.5 KiB"},
        {INT64_MAX, "unlimited"},
        {INT64_MAX - 1, "8 EiB"},
        {-17, "-17 B"},
        {-1536, "-1.5 KiB"},
        {INT64_MIN, "-8 EiB"},
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        ck_assert_str_eq(WRITTEN(rn_text_put_size(&text, rows[i].bytes)), rows[i].text);
    }
}
END_TEST

START_TEST(test_text__puts_json)
{
    static const struct {
        const char *bytes;
        size_t count;
        const char *text;
    } rows[] = {
        {"", 0, "\"\""},
        {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
        {"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
        {"\0\x1f\x7f", 3, "\"\\u0000\\u001f\x7f\""},
        {"gr\xC3\xBC\xC3\x9F", 6, "\"gr\xC3\xBC\xC3\x9F\""},
        {"\xF0\x9F\x98\x80", 4, "\"\xF0\x9F\x98\x80\""},
        {"a\xC3", 2, "\"a\xEF\xBF\xBD\""},                               /* cut */
        {"\xC0\x80", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                 /* overlong */
        {"\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""}, /* surrogate */
        {"\xF4\x90\x80\x80z", 5, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\""},
        {"\xFF!", 2, "\"\xEF\xBF\xBD!\""},
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        ck_assert_str_eq(WRITTEN(rn_text_put_json(&text, rows[i].bytes, rows[i].count)),
                         rows[i].text);
    }
}
END_TEST

START_TEST(test_text__finds_the_nearest_word)
{
    static const char *const words[] = {"limit_bytes",     "limit_ratio", "check_interval",
                                        "chunk_bytes_max", "max",         "x"};
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        {"limit_byte", "limit_bytes"},
        {"limt_bytes", "limit_bytes"},
        {"Limit_Ratio", "limit_ratio"},
        {"check_intreval", "check_interval"},
        {"interval", NULL},
        {"min", NULL},
        {"maxx", "max"},
        {"", NULL},
        {"something_else", NULL},
        {"chunk_max", NULL},
        {"limit_raito", "limit_ratio"},
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        const char *nearest = rn_nearest(rows[i].word, words, RN_COUNT(words));
        ck_assert_msg(nearest == rows[i].nearest || (nearest != NULL && rows[i].nearest != NULL &&
                                                     strcmp(nearest, rows[i].nearest) == 0),
                      "%s: %s", rows[i].word, nearest != NULL ? nearest : "none");
    }
    memset(buffer, 'a', 3000);
    buffer[3000] = '\0';
    ck_assert_ptr_null(rn_nearest(buffer, words, RN_COUNT(words)));
    const char *const long_word[] = {buffer};
    ck_assert_ptr_null(rn_nearest("aaaa", long_word, 1));
    ck_assert_ptr_null(rn_nearest("aaaa", NULL, 0));
}
END_TEST

/* -------------------------------------------------------------------------------------- numbers */

struct number {
    const char *text;
    int64_t value; /* INT64_MIN: must be refused */
};

static void check_numbers(bool (*parse)(const char *, size_t, int64_t *), const struct number *rows,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = -77;
        bool good = parse(rows[i].text, strlen(rows[i].text), &value);
        bool wanted = rows[i].value != INT64_MIN;
        ck_assert_msg(good == wanted, "'%s' is %s", rows[i].text, good ? "accepted" : "refused");
        ck_assert_msg(value == (wanted ? rows[i].value : -77), "'%s' reads %lld", rows[i].text,
                      (long long)value);
    }
}

START_TEST(test_text__parses_sizes_exactly)
{
    static const struct number rows[] = {
        {"0", 0},
        {"1048576", 1048576},
        {"512MiB", INT64_C(512) << 20},
        {"512 MiB", INT64_C(512) << 20},
        {"512mib", INT64_C(512) << 20},
        {"1.5GiB", INT64_C(3) << 29},
        {"1.50000000000000000000000GiB", INT64_C(3) << 29},
        {"0.1KB", 100},
        {"2GB", 2000000000},
        {"64 KiB", 65536},
        {"17B", 17},
        {"7.999999999999999999EiB", INT64_MIN}, /* not whole */
        {"7EiB", INT64_C(7) << 60},
        {"8EiB", INT64_MIN},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", INT64_MIN},
        {"9.223372036854775807EB", INT64_MAX},
        {"18446744073709551616", INT64_MIN},
        {"99999999999999999999999999", INT64_MIN},
        {"0.1KiB", INT64_MIN},
        {"0.5", INT64_MIN},
        {"0.5B", INT64_MIN},
        {"", INT64_MIN},
        {" 1", INT64_MIN},
        {"1 ", INT64_MIN},
        {"-1", INT64_MIN},
        {"+1", INT64_MIN},
        {"1.", INT64_MIN},
        {".5KiB", INT64_MIN},
        {"1.2.3", INT64_MIN},
        {"1M", INT64_MIN},
        {"1Mi", INT64_MIN},
        {"1XiB", INT64_MIN},
        {"1\tMiB", INT64_MIN},
        {"1MiBs", INT64_MIN},
        {"0x10", INT64_MIN},
        {"1e3", INT64_MIN},
        {"nan", INT64_MIN},
        {"inf", INT64_MIN},
        {"1.0000000000000000001KiB", INT64_MIN},
    };
    check_numbers(rn_parse_size, rows, RN_COUNT(rows));
}
END_TEST

START_TEST(test_text__parses_ratios_exactly)
{
    static const struct number rows[] = {
        {"0.8", 800000},          {"80%", 800000},
        {"80 %", 800000},         {"1", 1000000},
        {"1.2", 1200000},         {"0.000001", 1},
        {"0.0001%", 1},           {"0", 0},
        {"33.3333%", 333333},     {"0.80000000000", 800000},
        {"0.0000001", INT64_MIN}, {"33.33333%", INT64_MIN},
        {"", INT64_MIN},          {"%", INT64_MIN},
        {"-0.8", INT64_MIN},      {"nan", INT64_MIN},
        {"inf", INT64_MIN},       {"8e-1", INT64_MIN},
        {".8", INT64_MIN},        {"0.8 ", INT64_MIN},
        {"80%%", INT64_MIN},      {"80% ", INT64_MIN},
        {"0,8", INT64_MIN},       {"99999999999999999", INT64_MIN},
    };
    check_numbers(rn_parse_ratio, rows, RN_COUNT(rows));
}
END_TEST

START_TEST(test_text__parses_whole_numbers)
{
    static const struct number rows[] = {
        {"0", 0},
        {"-0", 0},
        {"+5", 5},
        {"-42", -42},
        {"0042", 42},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", INT64_MIN},
        {"-9223372036854775807", -INT64_MAX},
        {"-9223372036854775809", INT64_MIN},
        {"", INT64_MIN},
        {"-", INT64_MIN},
        {"+", INT64_MIN},
        {"--1", INT64_MIN},
        {"1 ", INT64_MIN},
        {" 1", INT64_MIN},
        {"1.0", INT64_MIN},
        {"1e3", INT64_MIN},
        {"0x1", INT64_MIN},
        {"1_000", INT64_MIN},
    };
    check_numbers(rn_parse_int64, rows, RN_COUNT(rows));
    int64_t value = 0;
    ck_assert(rn_parse_int64("-9223372036854775808", 20, &value));
    ck_assert_int_eq(value, INT64_MIN);
}
END_TEST

START_TEST(test_text__parses_doubles)
{
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "+1.5",
                                       "-1.5e3",
                                       "1e22",
                                       "1e23",
                                       ".5",
                                       "5.",
                                       "1E-5",
                                       "4.9e-324",
                                       "1.7976931348623157e308",
                                       "123456789012345678901234567890",
                                       "0.1",
                                       "1e-400",
                                       "8.5e+0000000000000000000000000001",
                                       "9007199254740993",
                                       "0.000000000000000000000000001"};
    static const char *const bad[] = {"",       " 1",    "1 ",    "1e",       "1e+",    "e5",
                                      ".",      "-",     "--1",   "0x10",     "1,5",    "1e999",
                                      "-1e999", "NaN",   "Inf",   "infinity", "nan(1)", "+inf",
                                      "1f",     "1e5.0", "1.2.3", "1e+-5"};
    double value;
    for (size_t i = 0; i < RN_COUNT(good); i++) {
        ck_assert_msg(rn_parse_double(good[i], strlen(good[i]), &value), "'%s'", good[i]);
        double wanted = strtod(good[i], NULL);
        ck_assert_msg(memcmp(&value, &wanted, sizeof(value)) == 0, "'%s' is %.17g", good[i], value);
    }
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        ck_assert_msg(!rn_parse_double(bad[i], strlen(bad[i]), &value), "'%s' is accepted", bad[i]);
    }
    ck_assert(rn_parse_double("inf", 3, &value) && value > __DBL_MAX__);
    ck_assert(rn_parse_double("-inf", 4, &value) && value < -__DBL_MAX__);
    ck_assert(rn_parse_double("nan", 3, &value) && value != value);
    ck_assert(rn_parse_double("12345", 2, &value) && value > 11.5 &&
              value < 12.5); /* the length counts */
    memset(buffer, '1', sizeof(buffer));
    ck_assert(!rn_parse_double(buffer, 512, &value));
    ck_assert(!rn_parse_double(buffer, 400, &value)); /* beyond the largest double */
}
END_TEST

/* Every bit pattern goes through text and back; nothing shorter does. */
START_TEST(test_text__doubles_round_trip)
{
    uint64_t state = 20240229;
    printf("seed=%llu\n", (unsigned long long)state);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = rn_random(&state);
        double value, back;
        memcpy(&value, &bits, sizeof(value));
        value = i % 4 == 0 ? (double)(int64_t)(bits >> 30) / 1000 : value;
        if (value != value) {
            continue;
        }
        (void)WRITTEN(rn_text_put_double(&text, value));
        ck_assert(rn_parse_double(buffer, strlen(buffer), &back));
        ck_assert_msg(memcmp(&back, &value, sizeof(value)) == 0, "%s", buffer);
    }
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0.1, "0.1"},       {1.0, "1"},
                {-0.0, "-0"},       {0.1 + 0.2, "0.30000000000000004"},
                {1e21, "1e+21"},    {123456789.125, "123456789.125"},
                {2.5e-7, "2.5e-07"}};
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        ck_assert_str_eq(WRITTEN(rn_text_put_double(&text, rows[i].value)), rows[i].text);
    }
    ck_assert_str_eq(WRITTEN(rn_text_put_double(&text, __builtin_nan(""))), "nan");
    ck_assert_str_eq(WRITTEN(rn_text_put_double(&text, __builtin_inf())), "inf");
    ck_assert_str_eq(WRITTEN(rn_text_put_double(&text, -__builtin_inf())), "-inf");
}
END_TEST

START_TEST(test_text__ignores_the_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    bool comma = false;
    for (size_t i = 0; i < RN_COUNT(names) && !comma; i++) {
        comma =
            setlocale(LC_ALL, names[i]) != NULL && strcmp(localeconv()->decimal_point, ",") == 0;
    }
    if (!comma) {
        printf("skipped: no locale with a decimal comma is installed\n");
        return;
    }
    double value;
    ck_assert(rn_parse_double("123456789.12345678901234", 24, &value));
    ck_assert_str_eq(WRITTEN(rn_text_put_double(&text, value)), "123456789.12345679");
    (void)setlocale(LC_ALL, "C");
}
END_TEST

START_TEST(test_text__puts_ratios)
{
    ck_assert_str_eq(WRITTEN(rn_text_put_ratio(&text, 800000)), "0.8");
    ck_assert_str_eq(WRITTEN(rn_text_put_ratio(&text, 1)), "0.000001");
    ck_assert_str_eq(WRITTEN(rn_text_put_ratio(&text, 1000000)), "1");
    ck_assert_str_eq(WRITTEN(rn_text_put_ratio(&text, 1250000)), "1.25");
    ck_assert_str_eq(WRITTEN(rn_text_put_ratio(&text, 0)), "0");
    ck_assert_str_eq(WRITTEN(rn_text_put_ratio(&text, -50000)), "-0.05");
    ck_assert_str_eq(WRITTEN(rn_text_put_ratio(&text, -1500000)), "-1.5");
}
END_TEST

/* ------------------------------------------------------------------------------------- calendar */

/* Counts through 1200 years day by day, by the rule everybody knows. */
START_TEST(test_text__calendar_counts_day_by_day)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int32_t days;
    ck_assert(rn_parse_date("1500-01-01", 10, &days));
    for (int year = 1500; year < 2700; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (int month = 1; month <= 12; month++) {
            int length = lengths[month - 1] + (leap && month == 2 ? 1 : 0);
            for (int day = 1; day <= length; day++, days++) {
                int32_t y, m, d, back;
                rn_date_parts(days, &y, &m, &d);
                ck_assert(y == year && m == month && d == day);
                if (day == 1 || day == length) {
                    (void)WRITTEN(rn_text_put_date(&text, days));
                    ck_assert(rn_parse_date(buffer, strlen(buffer), &back));
                    ck_assert_int_eq(back, days);
                }
            }
        }
    }
}
END_TEST

START_TEST(test_text__dates_know_their_days)
{
    static const struct {
        const char *text;
        int64_t days; /* INT64_MIN: no such day */
    } rows[] = {
        {"1970-01-01", 0},
        {"1969-12-31", -1},
        {"2000-02-29", 11016},
        {"2021-02-28", 18686},
        {"0000-01-01", -719528},
        {"0000-02-29", -719469},
        {"9999-12-31", 2932896},
        {"+12345-06-07", 3789548},
        {"-0001-12-31", -719529},
        {"2021-02-29", INT64_MIN},
        {"1900-02-29", INT64_MIN},
        {"2021-13-01", INT64_MIN},
        {"2021-00-01", INT64_MIN},
        {"2021-01-00", INT64_MIN},
        {"2021-04-31", INT64_MIN},
        {"2021-1-01", INT64_MIN},
        {"21-01-01", INT64_MIN},
        {"12345-01-01", INT64_MIN},
        {"2021-01-01 ", INT64_MIN},
        {" 2021-01-01", INT64_MIN},
        {"2021/01/01", INT64_MIN},
        {"20210101", INT64_MIN},
        {"", INT64_MIN},
        {"-", INT64_MIN},
        {"+99999999-01-01", INT64_MIN},
        {"+9999999-01-01", INT64_MIN},
        {"2021-01-1a", INT64_MIN},
        {"2021-01", INT64_MIN},
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        int32_t days = 77;
        bool good = rn_parse_date(rows[i].text, strlen(rows[i].text), &days);
        ck_assert_msg(good == (rows[i].days != INT64_MIN), "'%s'", rows[i].text);
        ck_assert_msg(days == (good ? rows[i].days : 77), "'%s' is day %d", rows[i].text, days);
    }
    ck_assert_str_eq(WRITTEN(rn_text_put_date(&text, INT32_MAX)), "+5881580-07-11");
    ck_assert_str_eq(WRITTEN(rn_text_put_date(&text, INT32_MIN)), "-5877641-06-23");
    ck_assert_str_eq(WRITTEN(rn_text_put_date(&text, -719529)), "-0001-12-31");
}
END_TEST

START_TEST(test_text__timestamps_know_their_microseconds)
{
    static const struct number rows[] = {
        {"1970-01-01T00:00:00", 0},
        {"1970-01-01 00:00:00Z", 0},
        {"1970-01-01T00:00:00.000001Z", 1},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2021-02-28T12:34:56.1Z", INT64_C(1614515696100000)},
        {"2021-02-28T12:34:56.123456+00:00", INT64_C(1614515696123456)},
        {"2021-02-28T14:34:56+02:00", INT64_C(1614515696000000)},
        {"2021-02-28T07:04:56-0530", INT64_C(1614515696000000)},
        {"+294247-01-10T04:00:54.775807Z", INT64_MAX},
        {"+294247-01-10T04:00:54.775808Z", INT64_MIN},
        {"2021-02-28T24:00:00", INT64_MIN},
        {"2021-02-28T23:60:00", INT64_MIN},
        {"2021-02-28T23:59:60", INT64_MIN},
        {"2021-02-28T23:59", INT64_MIN},
        {"2021-02-28", INT64_MIN},
        {"2021-02-28X12:34:56", INT64_MIN},
        {"2021-02-28T12:34:56.", INT64_MIN},
        {"2021-02-28T12:34:56.1234567", INT64_MIN},
        {"2021-02-28T12:34:56z", INT64_MIN},
        {"2021-02-28T12:34:56ZZ", INT64_MIN},
        {"2021-02-28T12:34:56+2", INT64_MIN},
        {"2021-02-28T12:34:56+24:00", INT64_MIN},
        {"2021-02-28T12:34:56 +02:00", INT64_MIN},
        {"2021-02-30T12:34:56", INT64_MIN},
        {"", INT64_MIN},
        {"T", INT64_MIN},
    };
    check_numbers(rn_parse_timestamp, rows, RN_COUNT(rows));
    ck_assert_str_eq(WRITTEN(rn_text_put_timestamp(&text, 0)), "1970-01-01T00:00:00Z");
    ck_assert_str_eq(WRITTEN(rn_text_put_timestamp(&text, -1)), "1969-12-31T23:59:59.999999Z");
    ck_assert_str_eq(WRITTEN(rn_text_put_timestamp(&text, 1500000)), "1970-01-01T00:00:01.500Z");
    ck_assert_str_eq(WRITTEN(rn_text_put_timestamp(&text, INT64_MIN)),
                     "-290308-12-21T19:59:05.224192Z");
}
END_TEST

/* Against the C library, and through text. */
START_TEST(test_text__timestamps_round_trip)
{
    uint64_t state = 31;
    printf("seed=31\n");
    for (int i = 0; i < 50000; i++) {
        int64_t us = (int64_t)rn_random(&state), back = 0;
        us = i % 2 == 0 ? us : us / 1000000;
        (void)WRITTEN(rn_text_put_timestamp(&text, us));
        ck_assert_msg(rn_parse_timestamp(buffer, strlen(buffer), &back), "%s", buffer);
        ck_assert_int_eq(back, us);
        time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0 ? 1 : 0));
        struct tm parts;
        ck_assert_ptr_nonnull(gmtime_r(&seconds, &parts));
        int32_t year, month, day;
        rn_date_parts((int32_t)(seconds / 86400 - (seconds % 86400 < 0 ? 1 : 0)), &year, &month,
                      &day);
        ck_assert(year == parts.tm_year + 1900 && month == parts.tm_mon + 1 &&
                  day == parts.tm_mday);
    }
}
END_TEST

/* --------------------------------------------------------------------------------------- errors */

START_TEST(test_error__formats_what_it_knows)
{
    ration_error error;
    char text[64];
    ck_assert_int_eq(rn_error_at(&error, RATION_CONFIG, "a.yaml", 3, 7, "try b", "bad %d", 5),
                     RATION_CONFIG);
    ck_assert_str_eq(support_error(&error), "a.yaml:3:7: error: bad 5 (try b)");
    ck_assert_uint_eq(error.size, sizeof(error));
    ck_assert_int_eq(rn_error_at(&error, RATION_FILE, "a.yaml", 0, 0, NULL, "gone"), RATION_FILE);
    ck_assert_str_eq(support_error(&error), "a.yaml: error: gone");
    ck_assert_int_eq(rn_error_at(&error, RATION_DATA, "a.csv", 9, 0, "", "short"), RATION_DATA);
    ck_assert_str_eq(support_error(&error), "a.csv:9: error: short");
    ck_assert_int_eq(rn_error_set(&error, RATION_NO_MEMORY, NULL, "no %s", "more"),
                     RATION_NO_MEMORY);
    ck_assert_str_eq(support_error(&error), "error: no more");
    ck_assert_uint_eq(ration_error_format(&error, text, 10), 14);
    ck_assert_str_eq(text, "error: no");
    ck_assert_uint_eq(ration_error_format(&error, NULL, 0), 14);
    ck_assert_uint_eq(ration_error_format(NULL, text, 10), 0);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(rn_error_set(NULL, RATION_PLAN, "", "x"), RATION_PLAN);
}
END_TEST

/* Its own message may be an argument; bytes from outside do not reach a terminal; a cut text is
 * still UTF-8. */
START_TEST(test_error__is_safe_to_print)
{
    ration_error error;
    char wide[500];
    ck_assert_int_eq(rn_error_set(&error, RATION_DATA, NULL, "inner"), RATION_DATA);
    ck_assert_int_eq(rn_error_set(&error, RATION_PLAN, NULL, "outer: %s", error.message),
                     RATION_PLAN);
    ck_assert_str_eq(error.message, "outer: inner");
    ck_assert_int_eq(
        rn_error_at(&error, RATION_DATA, "a\nb", 0, 0, "\t", "\x1b[31m%s", "\xC2\x9B \xC3\xBC"),
        RATION_DATA);
    ck_assert_str_eq(error.message, "?[31m?? \xC3\xBC");
    ck_assert_str_eq(error.file, "a?b");
    ck_assert_str_eq(error.hint, "?");
    for (size_t i = 0; i + 2 < sizeof(wide); i += 2) {
        memcpy(wide + i, "\xC3\xBC", 3);
    }
    ck_assert_int_eq(rn_error_set(&error, RATION_DATA, NULL, "%s", wide), RATION_DATA);
    ck_assert_uint_eq(strlen(error.message), sizeof(error.message) - 2);
}
END_TEST

START_TEST(test_status__tables_agree)
{
    static const struct {
        ration_status status;
        int exit_code;
        const char *name;
    } rows[] = {{RATION_OK, 0, "OK"},
                {RATION_CONFIG, 3, "CONFIG"},
                {RATION_INVALID_ARGUMENT, 2, "INVALID_ARGUMENT"},
                {RATION_ENVIRONMENT, 5, "ENVIRONMENT"},
                {RATION_INTERRUPTED, 130, "INTERRUPTED"}};
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        ck_assert_str_eq(ration_status_name(rows[i].status), rows[i].name);
        ck_assert_int_eq(ration_status_exit_code(rows[i].status), rows[i].exit_code);
        ck_assert_uint_gt(strlen(ration_status_sentence(rows[i].status)), 3);
    }
    ration_status beyond = (ration_status)(RATION_INTERRUPTED + 1);
    ck_assert_str_eq(ration_status_name(beyond), "UNKNOWN");
    ck_assert_int_eq(ration_status_exit_code(beyond), 1);
    ck_assert_str_eq(ration_status_sentence(beyond), "an unknown status");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_text__counts_beyond_its_capacity,
        test_text__puts_sizes,
        test_text__puts_json,
        test_text__finds_the_nearest_word,
        test_text__parses_sizes_exactly,
        test_text__parses_ratios_exactly,
        test_text__parses_whole_numbers,
        test_text__parses_doubles,
        test_text__doubles_round_trip,
        test_text__ignores_the_locale,
        test_text__puts_ratios,
        test_text__calendar_counts_day_by_day,
        test_text__dates_know_their_days,
        test_text__timestamps_know_their_microseconds,
        test_text__timestamps_round_trip,
        test_error__formats_what_it_knows,
        test_error__is_safe_to_print,
        test_status__tables_agree,
    };
    return support_run("text", tests, RN_COUNT(tests));
}
