/* SPDX-License-Identifier: Apache-2.0
 *
 * Text without allocation: a bounded builder, byte amounts and ratios as people write them, JSON.
 * A builder over a too small buffer keeps counting: `length` is what would have been written, the
 * text is cut and always ends in NUL.
 */
#ifndef RATION_TEXT_H
#define RATION_TEXT_H

#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"

typedef struct rn_text {
    char *bytes;
    size_t capacity; /* with the NUL; 0 = only count */
    size_t length;   /* without the NUL; may exceed capacity - 1 */
} rn_text;

rn_text rn_text_over(char *bytes, size_t capacity);
void rn_text_put(rn_text *text, const char *string);
void rn_text_put_bytes(rn_text *text, const char *bytes, size_t count);
void rn_text_format(rn_text *text, const char *format, ...) RN_PRINTF(2, 3);
/* "512 MiB", "1.5 GiB", "17 B"; INT64_MAX is "unlimited". Rounded to 3 significant digits. */
void rn_text_put_size(rn_text *text, int64_t bytes);
/* A JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void rn_text_put_json(rn_text *text, const char *bytes, size_t count);

/* Bytes of the UTF-8 character at `at`, of which `count` > 0 bytes are there; 0 = none begins here.
 */
size_t rn_utf8_length(const unsigned char *at, size_t count);

/* Copies with truncation and NUL; capacity > 0. */
void rn_copy_text(char *to, size_t capacity, const char *from);

/* "512MiB", "1.5GiB", "64 KiB", "1048576", "2GB" (decimal) -> bytes, exactly; false when malformed,
 * not a whole number of bytes, negative, or above INT64_MAX. */
bool rn_parse_size(const char *text, size_t length, int64_t *out_bytes);
/* "0.8", "80%", "80 %" -> 800000; exact to a millionth, false when malformed, NaN, infinite,
 * negative or finer. */
bool rn_parse_ratio(const char *text, size_t length, int64_t *out_ppm);
/* "250us", "500ms", "1.5s", "2min" -> microseconds, cut to whole ones; false when malformed,
 * negative or above 10^15. */
bool rn_parse_duration(const char *text, size_t length, int64_t *out_us);
/* Whole decimal int64 with optional sign; false when malformed or out of range. */
bool rn_parse_int64(const char *text, size_t length, int64_t *out_value);
/* Decimal double, and "inf", "-inf", "nan"; independent of the locale; the whole of the text must
 * be used. */
bool rn_parse_double(const char *text, size_t length, double *out_value);
/* "2021-02-28" -> days since 1970-01-01 (proleptic Gregorian); false when malformed or no such
 * day. */
bool rn_parse_date(const char *text, size_t length, int32_t *out_days);
/* "2021-02-28T12:34:56[.123456][Z|+hh:mm|+hhmm]" ('T' or blank) -> microseconds since 1970-01-01
 * UTC. */
bool rn_parse_timestamp(const char *text, size_t length, int64_t *out_us);
void rn_date_parts(int32_t days, int32_t *out_year, int32_t *out_month, int32_t *out_day);
void rn_text_put_date(rn_text *text, int32_t days);
void rn_text_put_timestamp(rn_text *text, int64_t us);
/* Shortest decimal that reads back as the same double; "nan", "inf", "-inf". */
void rn_text_put_double(rn_text *text, double value);
/* Millionths as a decimal: 800000 -> "0.8", exactly. */
void rn_text_put_ratio(rn_text *text, int64_t ppm);

/* The candidate nearest to `word` (edit distance at most 2, or a third of its length), or NULL. */
const char *rn_nearest(const char *word, const char *const *candidates, size_t count);

/* Fills an error value; `error` may be NULL. Returns `status`, so that `return rn_error_set(...)`
 * reads well. */
ration_status rn_error_set(ration_error *error, ration_status status, const char *hint,
                           const char *format, ...) RN_PRINTF(4, 5);
/* The same with a place. */
ration_status rn_error_at(ration_error *error, ration_status status, const char *file, int line,
                          int column, const char *hint, const char *format, ...) RN_PRINTF(7, 8);

#endif
