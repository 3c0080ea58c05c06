/* SPDX-License-Identifier: Apache-2.0
 *
 * The proleptic Gregorian calendar: days since 1970-01-01 and microseconds since
 * 1970-01-01T00:00:00Z, to and from text.
 *
 * A year here begins on 1 March, so that the leap day is its last day and the days before a month
 * are (153 m + 2) / 5 (m = 0 in March). 400 such years are an era of 146097 days; everything inside
 * an era is non-negative arithmetic. 1970-01-01 is day 719468 from 0000-03-01.
 *
 * Text follows ISO 8601: four digits of year; outside 0000..9999 a sign and four to seven digits.
 * All days of an int32 and all microseconds of an int64 can be written, and what is written reads
 * back. No leap seconds. */
#include "base/text.h"

#define ERA_DAYS 146097
#define EPOCH_DAY 719468
#define DAY_US INT64_C(86400000000)

static int64_t divide_down(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

static int64_t count_days(int64_t year, int32_t month, int32_t day)
{
    int64_t march_year = month <= 2 ? year - 1 : year;
    int64_t era = divide_down(march_year, 400);
    int64_t year_of_era = march_year - era * 400;
    int64_t march_month = month <= 2 ? month + 9 : month - 3;
    int64_t day_of_year = (153 * march_month + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - EPOCH_DAY;
}

static void split_days(int64_t days, int64_t *out_year, int32_t *out_month, int32_t *out_day)
{
    int64_t shifted = days + EPOCH_DAY;
    int64_t era = divide_down(shifted, ERA_DAYS);
    int64_t day_of_era = shifted - era * ERA_DAYS;
    /* Without leap days every year has 365: 1460 days hold one leap day, 36524 miss one, the last
     * day has one again. */
    int64_t leap_days = day_of_era / 1460 - day_of_era / 36524 + day_of_era / 146096;
    int64_t year_of_era = (day_of_era - leap_days) / 365;
    int64_t day_of_year = day_of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    *out_day = (int32_t)(day_of_year - (153 * march_month + 2) / 5 + 1);
    *out_month = (int32_t)(march_month < 10 ? march_month + 3 : march_month - 9);
    *out_year = era * 400 + year_of_era + (*out_month <= 2 ? 1 : 0);
}

static int32_t days_of_month(int64_t year, int32_t month)
{
    static const int8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (leap && month == 2 ? 1 : 0);
}

void rn_date_parts(int32_t days, int32_t *out_year, int32_t *out_month, int32_t *out_day)
{
    int64_t year;
    split_days(days, &year, out_month, out_day);
    *out_year = (int32_t)year;
}

/* ----------------------------------------------------------------------------------------- text */

/* Text read from the front; `bad` sticks. */
struct reader {
    const char *at, *end;
    bool bad;
};

static bool next_is(const struct reader *reader, char c)
{
    return reader->at < reader->end && *reader->at == c;
}

static void take(struct reader *reader, char c)
{
    if (next_is(reader, c)) {
        reader->at++;
    } else {
        reader->bad = true;
    }
}

static size_t count_digits(const struct reader *reader)
{
    size_t count = 0;
    while (reader->at + count < reader->end && reader->at[count] >= '0' &&
           reader->at[count] <= '9') {
        count++;
    }
    return count;
}

static int32_t take_number(struct reader *reader, size_t digits, int32_t minimum, int32_t maximum)
{
    int32_t value = 0;
    if (reader->bad || digits > 7 || count_digits(reader) < digits) {
        reader->bad = true;
        return minimum;
    }
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (*reader->at++ - '0');
    }
    reader->bad = value < minimum || value > maximum;
    return reader->bad ? minimum : value;
}

static int64_t take_date(struct reader *reader)
{
    bool negative = next_is(reader, '-');
    bool is_signed = negative || next_is(reader, '+');
    reader->at += is_signed ? 1 : 0;
    size_t digits = count_digits(reader);
    reader->bad = reader->bad || digits < 4 || (!is_signed && digits > 4);
    int64_t year = take_number(reader, digits, 0, 9999999);
    year = negative ? -year : year;
    take(reader, '-');
    int32_t month = take_number(reader, 2, 1, 12);
    take(reader, '-');
    int32_t day = take_number(reader, 2, 1, days_of_month(year, month));
    return count_days(year, month, day);
}

/* "", "Z", "+hh:mm", "-hhmm" -> microseconds east of UTC. */
static int64_t take_offset(struct reader *reader)
{
    if (reader->at == reader->end) {
        return 0;
    }
    if (next_is(reader, 'Z')) {
        reader->at++;
        return 0;
    }
    bool west = next_is(reader, '-');
    take(reader, west ? '-' : '+');
    int64_t minutes = 60 * (int64_t)take_number(reader, 2, 0, 23);
    reader->at += next_is(reader, ':') ? 1 : 0;
    minutes += take_number(reader, 2, 0, 59);
    return (west ? -minutes : minutes) * 60 * INT64_C(1000000);
}

bool rn_parse_date(const char *text, size_t length, int32_t *out_days)
{
    struct reader reader = {.at = text, .end = text + length, .bad = length == 0};
    int64_t days = take_date(&reader);
    if (reader.bad || reader.at != reader.end || days < INT32_MIN || days > INT32_MAX) {
        return false;
    }
    *out_days = (int32_t)days;
    return true;
}

bool rn_parse_timestamp(const char *text, size_t length, int64_t *out_us)
{
    struct reader reader = {.at = text, .end = text + length, .bad = length == 0};
    int64_t days = take_date(&reader);
    take(&reader, next_is(&reader, ' ') ? ' ' : 'T');
    int64_t seconds = 3600 * (int64_t)take_number(&reader, 2, 0, 23);
    take(&reader, ':');
    seconds += 60 * (int64_t)take_number(&reader, 2, 0, 59);
    take(&reader, ':');
    seconds += take_number(&reader, 2, 0, 59);
    int64_t us = seconds * 1000000;
    if (next_is(&reader, '.')) {
        reader.at++;
        size_t digits = count_digits(&reader);
        reader.bad = reader.bad || digits == 0 || digits > 6;
        int64_t fraction = take_number(&reader, digits, 0, 999999);
        for (; digits < 6; digits++) {
            fraction *= 10;
        }
        us += fraction;
    }
    us -= take_offset(&reader);
    __extension__ typedef __int128 wide;
    wide sum = (wide)days * DAY_US + us;
    if (reader.bad || reader.at != reader.end || sum < INT64_MIN || sum > INT64_MAX) {
        return false;
    }
    *out_us = (int64_t)sum;
    return true;
}

static void put_day(rn_text *text, int64_t days)
{
    int64_t year;
    int32_t month, day;
    split_days(days, &year, &month, &day);
    const char *sign = year < 0 ? "-" : year > 9999 ? "+" : "";
    rn_text_format(text, "%s%04lld-%02d-%02d", sign, (long long)(year < 0 ? -year : year), month,
                   day);
}

void rn_text_put_date(rn_text *text, int32_t days)
{
    put_day(text, days);
}

void rn_text_put_timestamp(rn_text *text, int64_t us)
{
    int64_t days = divide_down(us, DAY_US);
    /* days * DAY_US may lie below INT64_MIN by less than a day: the remainder is taken of `us`
     * itself. */
    int64_t rest = us % DAY_US + (us % DAY_US < 0 ? DAY_US : 0);
    int64_t seconds = rest / 1000000;
    int fraction = (int)(rest % 1000000);
    put_day(text, days);
    rn_text_format(text, "T%02d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60),
                   (int)(seconds % 60));
    if (fraction % 1000 != 0) {
        rn_text_format(text, ".%06d", fraction);
    } else if (fraction != 0) {
        rn_text_format(text, ".%03d", fraction / 1000);
    }
    rn_text_put(text, "Z");
}
