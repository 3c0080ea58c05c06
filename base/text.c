/* SPDX-License-Identifier: Apache-2.0
 *
 * Text without allocation: the bounded builder, what it can put, and the nearest word.
 * Numbers are base/number.c, the calendar base/date.c, errors base/status.c.
 *
 * Invariants
 * 1. With capacity > 0 there is always a NUL inside the buffer, at min(length, capacity - 1). */
#include "base/text.h"

/* -------------------------------------------------------------------------------------- builder */

rn_text rn_text_over(char *bytes, size_t capacity)
{
    if (capacity > 0) {
        bytes[0] = '\0';
    }
    return (rn_text){.bytes = bytes, .capacity = capacity, .length = 0};
}

void rn_text_put_bytes(rn_text *text, const char *bytes, size_t count)
{
    if (text->capacity > 0 && text->length < text->capacity - 1) {
        size_t room = text->capacity - 1 - text->length;
        size_t copied = RN_MIN(count, room);
        memcpy(text->bytes + text->length, bytes, copied);
        text->bytes[text->length + copied] = '\0';
    }
    text->length += count;
}

void rn_text_put(rn_text *text, const char *string)
{
    rn_text_put_bytes(text, string, strlen(string));
}

void rn_text_format(rn_text *text, const char *format, ...)
{
    size_t at = text->capacity > 0 ? RN_MIN(text->length, text->capacity - 1) : 0;
    size_t room = text->capacity - at;
    char *end = room > 0 ? text->bytes + at : NULL;
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(end, room, format, arguments);
    va_end(arguments);
    if (rn_always(count >= 0)) {
        text->length += (size_t)count;
    }
}

void rn_copy_text(char *to, size_t capacity, const char *from)
{
    rn_assert(capacity > 0);
    rn_text text = rn_text_over(to, capacity);
    rn_text_put(&text, from);
}

/* ---------------------------------------------------------------------------------------- sizes */

/* Three significant digits, rounded half up in integers; digits before the point are never cut. */
void rn_text_put_size(rn_text *text, int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes == INT64_MAX) {
        rn_text_put(text, "unlimited");
        return;
    }
    __extension__ typedef unsigned __int128 wide;
    wide amount = bytes < 0 ? (wide)(-(bytes + 1)) + 1 : (wide)bytes;
    size_t unit = 0;
    while (unit + 1 < RN_COUNT(units) && amount >> (10 * (unit + 1)) > 0) {
        unit++;
    }
    uint64_t whole = (uint64_t)(amount >> (10 * unit));
    unsigned scale = whole >= 100 || unit == 0 ? 1 : whole >= 10 ? 10 : 100;
    wide half = unit == 0 ? 0 : (wide)1 << (10 * unit - 1);
    uint64_t scaled = (uint64_t)((amount * scale + half) >> (10 * unit));
    if (scaled == (uint64_t)1024 * scale && unit + 1 < RN_COUNT(units)) {
        scaled = scale;
        unit++;
    }
    rn_text_format(text, "%s%llu", bytes < 0 ? "-" : "", (unsigned long long)(scaled / scale));
    unsigned fraction = (unsigned)(scaled % scale);
    if (fraction > 0 && scale == 100 && fraction % 10 != 0) {
        rn_text_format(text, ".%02u", fraction);
    } else if (fraction > 0) {
        rn_text_format(text, ".%u", scale == 100 ? fraction / 10 : fraction);
    }
    rn_text_format(text, " %s", units[unit]);
}

/* ----------------------------------------------------------------------------------------- JSON */

/* Length of the well-formed UTF-8 sequence at `at`, or 0 (Unicode 15, table 3-7). */
size_t rn_utf8_length(const unsigned char *at, size_t count)
{
    unsigned char first = at[0];
    if (first < 0x80) {
        return 1;
    }
    size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                    : (first & 0xF0) == 0xE0         ? 3
                    : first >= 0xF0 && first <= 0xF4 ? 4
                                                     : 0;
    if (length == 0 || length > count) {
        return 0;
    }
    unsigned char lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char highest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < lowest || at[1] > highest) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

static void put_json_control(rn_text *text, unsigned char byte)
{
    static const char names[] = "\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(names); i += 2) {
        if ((unsigned char)names[i] == byte) {
            char escape[2] = {'\\', names[i + 1]};
            rn_text_put_bytes(text, escape, 2);
            return;
        }
    }
    rn_text_format(text, "\\u%04x", byte);
}

void rn_text_put_json(rn_text *text, const char *bytes, size_t count)
{
    const unsigned char *at = (const unsigned char *)bytes;
    rn_text_put_bytes(text, "\"", 1);
    size_t plain = 0; /* bytes before `at` not yet put */
    size_t i = 0;
    while (i < count) {
        size_t length = rn_utf8_length(at + i, count - i);
        bool verbatim =
            length > 1 || (length == 1 && at[i] >= 0x20 && at[i] != '"' && at[i] != '\\');
        if (verbatim) {
            i += length;
            plain += length;
            continue;
        }
        rn_text_put_bytes(text, bytes + i - plain, plain);
        plain = 0;
        if (length == 0) {
            rn_text_put(text, "\xEF\xBF\xBD");
        } else if (at[i] < 0x20) {
            put_json_control(text, at[i]);
        } else {
            char escape[2] = {'\\', bytes[i]};
            rn_text_put_bytes(text, escape, 2);
        }
        i++;
    }
    rn_text_put_bytes(text, bytes + count - plain, plain);
    rn_text_put_bytes(text, "\"", 1);
}

/* --------------------------------------------------------------------------------- nearest word */

#define WORD_MAX 64

static char fold_case(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Edit distance where swapping two neighbours is one edit; both at most WORD_MAX long. Three rows
 * of the table suffice. */
static size_t measure_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++) {
        above[j] = j;
        before[j] = 0;
    }
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            char x = fold_case(a[i - 1]), y = fold_case(b[j - 1]);
            size_t edit = RN_MIN(above[j], row[j - 1]) + 1;
            size_t same = above[j - 1] + (x == y ? 0 : 1);
            row[j] = RN_MIN(edit, same);
            if (i > 1 && j > 1 && x == fold_case(b[j - 2]) && y == fold_case(a[i - 2])) {
                row[j] = RN_MIN(row[j], before[j - 2] + 1);
            }
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b_length];
}

const char *rn_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t length = strlen(word);
    if (length == 0 || length > WORD_MAX) {
        return NULL;
    }
    /* Two edits turn any word of three letters into most others: those get one. */
    size_t best = length <= 3 ? 1 : RN_MAX((size_t)2, length / 3);
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(candidates[i]);
        if (other > WORD_MAX) {
            continue;
        }
        size_t distance = measure_distance(word, length, candidates[i], other);
        if (distance < best || (distance == best && nearest == NULL)) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
