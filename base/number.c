/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as people write them: whole numbers, byte amounts, ratios, doubles. Reading takes the
 * whole of its text or fails; blanks around it are not part of it. Nothing here obeys the process's
 * locale: a host that called setlocale gets the same numbers and the same text.
 *
 * Amounts and ratios are read as decimal fractions in integers (struct decimal), so that "1.5GiB"
 * and "80%" are exact and a fraction of a byte or of a millionth is an error instead of a rounding.
 * Bounds: less than 2^64 before and 18 digits after the point (trailing zeros apart); doubles at
 * most 511 bytes long. */
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/text.h"

__extension__ typedef unsigned __int128 wide;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool rn_parse_int64(const char *text, size_t length, int64_t *out_value)
{
    size_t at = length > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    if (at == length) {
        return false;
    }
    int64_t value = 0;
    bool negative = text[0] == '-';
    for (; at < length; at++) {
        if (!is_digit(text[at])) {
            return false;
        }
        int64_t digit = negative ? -(text[at] - '0') : text[at] - '0';
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    *out_value = value;
    return true;
}

/* ----------------------------------------------------------------------------- sizes and ratios */

/* whole + fraction / scale, scale = 10^digits of the fraction, fraction < scale <= 10^18. */
struct decimal {
    uint64_t whole, fraction, scale;
    size_t length; /* of text used */
};

/* "12", "12.50"; no sign, digits on both sides of a point. */
static bool read_decimal(const char *text, size_t length, struct decimal *out)
{
    struct decimal decimal = {.scale = 1};
    size_t at = 0;
    for (; at < length && is_digit(text[at]); at++) {
        if (__builtin_mul_overflow(decimal.whole, (uint64_t)10, &decimal.whole) ||
            __builtin_add_overflow(decimal.whole, (uint64_t)(text[at] - '0'), &decimal.whole)) {
            return false;
        }
    }
    if (at == 0) {
        return false;
    }
    if (at < length && text[at] == '.') {
        size_t first = ++at;
        while (at < length && is_digit(text[at])) {
            at++;
        }
        size_t end = at;
        while (end > first && text[end - 1] == '0') {
            end--;
        }
        if (at == first || end - first > 18) {
            return false;
        }
        for (size_t i = first; i < end; i++) {
            decimal.fraction = decimal.fraction * 10 + (uint64_t)(text[i] - '0');
            decimal.scale *= 10;
        }
    }
    decimal.length = at;
    *out = decimal;
    return true;
}

/* decimal * unit when that is a whole int64. */
static bool scale_decimal(const struct decimal *decimal, uint64_t unit, int64_t *out_value)
{
    wide part = (wide)decimal->fraction * unit;
    wide value = (wide)decimal->whole * unit + part / decimal->scale;
    if (part % decimal->scale != 0 || value > (wide)INT64_MAX) {
        return false;
    }
    *out_value = (int64_t)value;
    return true;
}

static size_t skip_blanks(const char *text, size_t length, size_t at)
{
    while (at < length && text[at] == ' ') {
        at++;
    }
    return at;
}

/* "", "B", "KiB", "kB", ... -> bytes of the unit; 0 when there is no such unit. Letters of either
 * case. */
static uint64_t read_unit(const char *text, size_t length)
{
    static const char letters[] = "KMGTPE";
    if (length == 0 || (length == 1 && (text[0] | 0x20) == 'b')) {
        return 1;
    }
    const char *letter = memchr(letters, text[0] & ~0x20, sizeof(letters) - 1);
    bool binary = length == 3 && (text[1] | 0x20) == 'i' && (text[2] | 0x20) == 'b';
    bool thousands = length == 2 && (text[1] | 0x20) == 'b';
    if (letter == NULL || !(binary || thousands)) {
        return 0;
    }
    uint64_t unit = 1;
    for (const char *at = letters; at <= letter; at++) {
        unit *= binary ? 1024 : 1000;
    }
    return unit;
}

bool rn_parse_size(const char *text, size_t length, int64_t *out_bytes)
{
    struct decimal decimal;
    if (!read_decimal(text, length, &decimal)) {
        return false;
    }
    size_t at = skip_blanks(text, length, decimal.length);
    if (at == length && at != decimal.length) {
        return false;
    }
    uint64_t unit = read_unit(text + at, length - at);
    return unit != 0 && scale_decimal(&decimal, unit, out_bytes);
}

bool rn_parse_ratio(const char *text, size_t length, int64_t *out_ppm)
{
    struct decimal decimal;
    if (!read_decimal(text, length, &decimal)) {
        return false;
    }
    if (decimal.length == length) {
        return scale_decimal(&decimal, 1000000, out_ppm);
    }
    size_t at = skip_blanks(text, length, decimal.length);
    return at + 1 == length && text[at] == '%' && scale_decimal(&decimal, 10000, out_ppm);
}

void rn_text_put_ratio(rn_text *text, int64_t ppm)
{
    int64_t fraction = ppm % 1000000;
    int digits = 6;
    fraction = fraction < 0 ? -fraction : fraction;
    while (fraction != 0 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    rn_text_format(text, "%s%lld", ppm < 0 && ppm > -1000000 ? "-" : "",
                   (long long)(ppm / 1000000));
    if (fraction != 0) {
        rn_text_format(text, ".%0*lld", digits, (long long)fraction);
    }
}

/* -------------------------------------------------------------------------------------- doubles */

static locale_t plain_locale;
static pthread_once_t plain_locale_once = PTHREAD_ONCE_INIT;

static void open_plain_locale(void)
{
    plain_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* A double taken apart: digits * 10^exponent, while the digits fit; `exact` says whether they
 * do. */
struct digits {
    uint64_t value;
    int exponent;
    bool exact;
};

/* [+-] digits [. digits] [e [+-] digits] with a digit before or after the point, and nothing
 * else. */
static bool scan_double(const char *text, size_t length, struct digits *out)
{
    struct digits digits = {.exact = true};
    size_t at = length > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    size_t count = 0;
    bool point = false;
    for (; at < length && (is_digit(text[at]) || (text[at] == '.' && !point)); at++) {
        if (text[at] == '.') {
            point = true;
            continue;
        }
        count++;
        digits.exponent -= point ? 1 : 0;
        digits.exact = digits.exact && digits.value < UINT64_C(900719925474099);
        digits.value = digits.exact ? digits.value * 10 + (uint64_t)(text[at] - '0') : 0;
    }
    if (count == 0) {
        return false;
    }
    if (at < length && (text[at] | 0x20) == 'e') {
        int64_t exponent;
        size_t first = at + 1;
        bool is_signed = first < length && (text[first] == '-' || text[first] == '+');
        for (at = first + (is_signed ? 1 : 0); at < length && is_digit(text[at]); at++) {
        }
        if (at != length ||
            !rn_parse_int64(text + first, RN_MIN(length - first, (size_t)18), &exponent)) {
            return false;
        }
        digits.exact = digits.exact && length - first <= 18 && exponent >= -400 && exponent <= 400;
        digits.exponent += digits.exact ? (int)exponent : 0;
    }
    *out = digits;
    return at == length;
}

static bool equals(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

bool rn_parse_double(const char *text, size_t length, double *out_value)
{
    /* Powers of ten that are doubles: a product or quotient of two exact doubles is rounded once,
     * hence correctly (Clinger 1990). Most numbers of real files take this way. */
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    char copy[512];
    struct digits digits;
    if (length >= sizeof(copy) || length == 0) {
        return false;
    }
    if (equals(text, length, "inf") || equals(text, length, "-inf")) {
        *out_value = text[0] == '-' ? -__builtin_inf() : __builtin_inf();
        return true;
    }
    if (equals(text, length, "nan")) {
        *out_value = __builtin_nan("");
        return true;
    }
    if (!scan_double(text, length, &digits)) {
        return false;
    }
    if (digits.exact && digits.exponent >= -22 && digits.exponent <= 22) {
        double value = (double)digits.value;
        value = digits.exponent < 0 ? value / powers[-digits.exponent]
                                    : value * powers[digits.exponent];
        *out_value = text[0] == '-' ? -value : value;
        return true;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    (void)pthread_once(&plain_locale_once, open_plain_locale);
    double value = strtod_l(copy, NULL, plain_locale);
    if (value > __DBL_MAX__ || value < -__DBL_MAX__) {
        return false;
    }
    *out_value = value;
    return true;
}

void rn_text_put_double(rn_text *text, double value)
{
    if (value != value) {
        rn_text_put(text, "nan");
        return;
    }
    if (value > __DBL_MAX__ || value < -__DBL_MAX__) {
        rn_text_put(text, value > 0 ? "inf" : "-inf");
        return;
    }
    (void)pthread_once(&plain_locale_once, open_plain_locale);
    locale_t before = uselocale(plain_locale);
    char digits[32];
    for (int precision = 15; precision <= 17; precision++) {
        double back;
        int count = snprintf(digits, sizeof(digits), "%.*g", precision, value);
        if (precision == 17 || (rn_parse_double(digits, (size_t)count, &back) &&
                                memcmp(&back, &value, sizeof(value)) == 0)) {
            break;
        }
    }
    (void)uselocale(before);
    rn_text_put(text, digits);
}

bool rn_parse_duration(const char *text, size_t length, int64_t *out_us)
{
    static const struct {
        const char *name;
        double us;
    } units[] = {{"us", 1}, {"ms", 1e3}, {"min", 60e6}, {"s", 1e6}};
    for (size_t i = 0; i < RN_COUNT(units); i++) {
        size_t unit = strlen(units[i].name);
        double value;
        if (length > unit && memcmp(text + length - unit, units[i].name, unit) == 0 &&
            rn_parse_double(text, length - unit, &value)) {
            bool fits = value >= 0 && value * units[i].us <= 1e15;
            if (fits) {
                *out_us = (int64_t)(value * units[i].us);
            }
            return fits;
        }
    }
    return false;
}
