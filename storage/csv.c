/* SPDX-License-Identifier: Apache-2.0
 *
 * Delimited text in 64 KiB pieces, split where it lies.
 *
 * Algorithm. The buffer ends in a line feed of its own, so the scan over a field looks at a class
 * table and at nothing else: one load and one compare per byte. A record that reaches the end of
 * the buffer is given up, the buffer is refilled behind its first byte, and the record is split
 * again from its start; that is one record per piece. Only when a record is complete are doubled
 * quotes folded, in place, so that splitting twice is harmless.
 *
 * Invariants
 *  1. A field handed out is valid UTF-8, has no NUL and lies inside the buffer.
 *  2. The buffer never holds more than a record of 1 MiB and one piece.
 *  3. `line` is the line of buffer[start] at every return.
 *
 * Rejected: mapping the file. A file that shrinks while it is read would kill the process, and
 * the pages would be the page cache's and not the pool's. */
#include "storage/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

/* Classes at or below CLASS_HIGH are part of a field. */
enum {
    CLASS_PLAIN,
    CLASS_HIGH,
    CLASS_DELIMITER,
    CLASS_LINE,
    CLASS_CARRIAGE,
    CLASS_NUL,
    CLASS_QUOTE
};

typedef enum split { SPLIT_DONE, SPLIT_MORE, SPLIT_BAD } split;

/* Where the splitter stands in one record. */
typedef struct cursor {
    char *at, *end;
    const char *line_start; /* moves in quoted fields that span lines */
    int line;
    bool doubled;           /* a field has doubled quotes to fold */
    const char *open_quote; /* of the field the bytes ran out in */
    int open_line, open_column;
} cursor;

static int count_line(int line)
{
    return line == INT_MAX ? line : line + 1;
}

static int column_of(const char *line_start, const char *at)
{
    return (int)(at - line_start) + 1;
}

static void set_classes(rn_csv *csv)
{
    memset(csv->classes, CLASS_PLAIN, 128);
    memset(csv->classes + 128, CLASS_HIGH, 128);
    csv->classes['\n'] = CLASS_LINE;
    csv->classes['\r'] = CLASS_CARRIAGE;
    csv->classes[0] = CLASS_NUL;
    if (csv->dialect.quoting) {
        csv->classes['"'] = CLASS_QUOTE;
    }
    if (csv->dialect.separation == RN_CSV_CHARACTER) {
        csv->classes[(uint8_t)csv->dialect.delimiter] = CLASS_DELIMITER;
        return;
    }
    csv->classes[' '] = csv->classes['\t'] = CLASS_DELIMITER;
    if (csv->dialect.separation == RN_CSV_LOOSE) {
        csv->classes[','] = CLASS_DELIMITER;
    }
}

ration_status rn_csv_open(rn_csv *csv, const char *path, const char *text, size_t length,
                          const rn_csv_dialect *dialect, ration_slot *slot, ration_error *error)
{
    void *buffer;
    int file = -1;

    if (text == NULL) {
        file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) {
            return rn_error_at(error, RATION_FILE, path, 0, 0, "", "cannot open the file: %s",
                               strerror(errno));
        }
    }
    size_t capacity = 2 * RN_CSV_PIECE_BYTES;
    ration_status status = rn_block_acquire(rn_slot_of(slot), (int64_t)capacity, &buffer);
    if (status != RATION_OK) {
        if (file >= 0) {
            (void)close(file);
        }
        return rn_error_at(error, status, path, 0, 0, "", "no room for the reader's buffer");
    }
    memset(csv, 0, offsetof(rn_csv, fields));
    csv->path = path;
    csv->dialect = *dialect;
    csv->slot = rn_slot_of(slot);
    csv->file = file;
    csv->source = text;
    csv->source_left = text == NULL ? 0 : length;
    csv->buffer = buffer;
    csv->buffer[0] = '\n';
    csv->capacity = capacity;
    csv->line = 1;
    set_classes(csv);
    return RATION_OK;
}

void rn_csv_close(rn_csv *csv)
{
    if (csv->file >= 0) {
        (void)close(csv->file);
    }
    if (csv->buffer != NULL) {
        rn_block_release(csv->slot, csv->buffer, (int64_t)csv->capacity);
    }
    csv->file = -1;
    csv->buffer = NULL;
}

/* ------------------------------------------------------------------------------------ refilling */

/* Makes room for one piece and the closing line feed behind `end`. */
static ration_status make_room(rn_csv *csv)
{
    size_t kept = csv->end - csv->start;
    void *larger;

    if (csv->capacity - csv->end > RN_CSV_PIECE_BYTES) {
        return RATION_OK;
    }
    if (csv->capacity - kept > RN_CSV_PIECE_BYTES) {
        memmove(csv->buffer, csv->buffer + csv->start, kept);
    } else {
        RN_TRY(rn_block_acquire(csv->slot, (int64_t)csv->capacity * 2, &larger));
        memcpy(larger, csv->buffer + csv->start, kept);
        rn_block_release(csv->slot, csv->buffer, (int64_t)csv->capacity);
        csv->buffer = larger;
        csv->capacity *= 2;
    }
    csv->start = 0;
    csv->end = kept;
    rn_assert(csv->capacity - csv->end > RN_CSV_PIECE_BYTES);
    return RATION_OK;
}

static ssize_t read_piece(rn_csv *csv, char *to)
{
    ssize_t got;

    if (csv->file < 0) {
        size_t count = RN_MIN(csv->source_left, RN_CSV_PIECE_BYTES);
        memcpy(to, csv->source, count);
        csv->source += count;
        csv->source_left -= count;
        return (ssize_t)count;
    }
    do {
        got = read(csv->file, to, RN_CSV_PIECE_BYTES);
    } while (got < 0 && errno == EINTR);
    return got;
}

static ration_status refill(rn_csv *csv, ration_error *error)
{
    ration_status status = make_room(csv);
    if (status != RATION_OK) {
        csv->buffer[csv->end] = '\n';
        return rn_error_at(error, status, csv->path, csv->line, 1, "", "no room for a long line");
    }
    ssize_t got = read_piece(csv, csv->buffer + csv->end);
    if (got < 0) {
        csv->buffer[csv->end] = '\n';
        return rn_error_at(error, RATION_FILE, csv->path, csv->line, 0, "",
                           "cannot read the file: %s", strerror(errno));
    }
    bool first = csv->read_bytes == 0;
    csv->at_end = got == 0;
    csv->end += (size_t)got;
    csv->read_bytes += got;
    csv->buffer[csv->end] = '\n';
    if (first && csv->end - csv->start >= 3 &&
        memcmp(csv->buffer + csv->start, "\xEF\xBB\xBF", 3) == 0) {
        csv->start += 3;
    }
    return RATION_OK;
}

/* --------------------------------------------------------------------------------------- errors */

static split report_bad(const rn_csv *csv, const cursor *c, const char *at, const char *hint,
                        const char *message, ration_error *error)
{
    (void)rn_error_at(error, RATION_DATA, csv->path, c->line, column_of(c->line_start, at), hint,
                      "%s", message);
    return SPLIT_BAD;
}

/* Length of the UTF-8 character at `at`, or 0: overlong forms, surrogates and values above
 * U+10FFFF are none. */
static size_t character_bytes(const unsigned char *at, size_t left)
{
    unsigned char lead = at[0];
    unsigned char low = 0x80, high = 0xBF;
    size_t bytes;

    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        bytes = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        bytes = 3;
        low = lead == 0xE0 ? 0xA0 : 0x80;
        high = lead == 0xED ? 0x9F : 0xBF;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        bytes = 4;
        low = lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (left < bytes || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < bytes; i++) {
        if (at[i] < 0x80 || at[i] > 0xBF) {
            return 0;
        }
    }
    return bytes;
}

/* The first byte that is not UTF-8, or NULL. */
static const char *find_invalid(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t bytes = character_bytes((const unsigned char *)text + at, length - at);
        if (bytes == 0) {
            return text + at;
        }
        at += bytes;
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------ splitting */

/* A field that starts without a quote: everything up to a delimiter or the line's end. */
static split scan_plain(const rn_csv *csv, cursor *c, rn_csv_field *field, ration_error *error)
{
    const uint8_t *classes = csv->classes;
    char *begin = c->at;
    char *at = begin;
    uint8_t seen = 0, class;

    while ((class = classes[(uint8_t)*at]) <= CLASS_HIGH) {
        seen |= class;
        at++;
    }
    c->at = at;
    if (at == c->end && !csv->at_end) {
        return SPLIT_MORE;
    }
    if (class == CLASS_NUL) {
        return report_bad(csv, c, at, "", "a NUL byte", error);
    }
    if (class == CLASS_QUOTE) {
        return report_bad(
            csv, c, at,
            "quote the whole field and double the quotes inside it, or say quoting: false",
            "a quote inside an unquoted field", error);
    }
    if (seen != 0) {
        const char *invalid = find_invalid(begin, (size_t)(at - begin));
        if (invalid != NULL) {
            return report_bad(csv, c, invalid, "the file must be UTF-8", "invalid UTF-8", error);
        }
    }
    field->text = begin;
    field->length = (uint32_t)(at - begin);
    field->quoted = false;
    return SPLIT_DONE;
}

/* Lines and validity of the bytes between two quotes, which may hold line feeds. */
static split check_quoted(const rn_csv *csv, cursor *c, const char *begin, const char *end,
                          ration_error *error)
{
    uint8_t seen = 0;

    for (const char *at = begin; at < end; at++) {
        seen |= (uint8_t)*at;
        if (*at == '\0') {
            return report_bad(csv, c, at, "", "a NUL byte", error);
        }
        if (*at == '\n') {
            c->line = count_line(c->line);
            c->line_start = at + 1;
        }
    }
    if (seen >= 0x80) {
        const char *invalid = find_invalid(begin, (size_t)(end - begin));
        if (invalid != NULL) {
            return report_bad(csv, c, RN_MAX(invalid, c->line_start), "the file must be UTF-8",
                              "invalid UTF-8 in a quoted field", error);
        }
    }
    return SPLIT_DONE;
}

/* A quoted field; doubled quotes stay until the record is complete. */
static split scan_quoted(const rn_csv *csv, cursor *c, rn_csv_field *field, ration_error *error)
{
    char *begin = c->at + 1;
    char *at = begin;

    c->open_quote = c->at;
    c->open_line = c->line;
    c->open_column = column_of(c->line_start, c->at);
    for (;;) {
        at = memchr(at, '"', (size_t)(c->end - at));
        if (at == NULL && !csv->at_end) {
            return SPLIT_MORE;
        }
        if (at == NULL) {
            return report_bad(csv, c, c->open_quote, "close it before the end of the file",
                              "a quote is never closed", error);
        }
        /* A quote that ends the buffer is taken as the closing one: end_record asks for more. */
        if (at + 1 == c->end || at[1] != '"') {
            break;
        }
        c->doubled = true;
        at += 2;
    }
    if (check_quoted(csv, c, begin, at, error) == SPLIT_BAD) {
        return SPLIT_BAD;
    }
    field->text = begin;
    field->length = (uint32_t)(at - begin);
    field->quoted = true;
    c->at = at + 1;
    uint8_t class = c->at == c->end ? CLASS_LINE : csv->classes[(uint8_t)*c->at];
    if (class != CLASS_DELIMITER && class != CLASS_LINE && class != CLASS_CARRIAGE) {
        return report_bad(csv, c, c->at, "double a quote that belongs to the field",
                          "text after the closing quote", error);
    }
    c->open_quote = NULL;
    return SPLIT_DONE;
}

static void skip_blanks(cursor *c)
{
    while (*c->at == ' ' || *c->at == '\t') {
        c->at++;
    }
}

/* Steps over what separates two fields; true when another field follows. */
static bool step_delimiter(const rn_csv *csv, cursor *c)
{
    if (csv->dialect.separation == RN_CSV_CHARACTER) {
        if (csv->classes[(uint8_t)*c->at] != CLASS_DELIMITER) {
            return false;
        }
        c->at++;
        return true;
    }
    skip_blanks(c);
    if (csv->dialect.separation == RN_CSV_LOOSE && *c->at == ',') {
        c->at++;
        skip_blanks(c);
        return true;
    }
    return *c->at != '\n' && *c->at != '\r';
}

/* The end of the record at c->at: a line feed, CR and LF, or the end of the file. */
static split end_record(const rn_csv *csv, cursor *c, ration_error *error)
{
    if (*c->at == '\r') {
        if (c->at + 1 == c->end && !csv->at_end) {
            return SPLIT_MORE;
        }
        if (c->at[1] != '\n') {
            return report_bad(csv, c, c->at, "", "a carriage return without a line feed", error);
        }
        c->at++;
    }
    if (c->at == c->end) {
        return csv->at_end ? SPLIT_DONE : SPLIT_MORE;
    }
    c->at++;
    c->line = count_line(c->line);
    c->line_start = c->at;
    return SPLIT_DONE;
}

static split split_record(rn_csv *csv, cursor *c, ration_error *error)
{
    csv->count = 0;
    if (csv->dialect.separation != RN_CSV_CHARACTER) {
        skip_blanks(c);
    }
    do {
        if (csv->count == RN_CSV_FIELDS_MAX) {
            return report_bad(csv, c, c->at, "", "more than 512 fields in a line", error);
        }
        rn_csv_field *field = &csv->fields[csv->count++];
        field->line = c->line;
        field->column = column_of(c->line_start, c->at);
        bool quoted = csv->dialect.quoting && c->at < c->end && *c->at == '"';
        split state = quoted ? scan_quoted(csv, c, field, error) : scan_plain(csv, c, field, error);
        if (state != SPLIT_DONE) {
            return state;
        }
    } while (step_delimiter(csv, c));
    return end_record(csv, c, error);
}

static void fold_quotes(rn_csv *csv)
{
    for (uint32_t i = 0; i < csv->count; i++) {
        rn_csv_field *field = &csv->fields[i];
        if (!field->quoted) {
            continue;
        }
        char *to = csv->buffer + (field->text - csv->buffer);
        const char *from = field->text;
        const char *end = from + field->length;
        while (from < end) {
            *to++ = *from;
            from += *from == '"' ? 2 : 1;
        }
        field->length = (uint32_t)(to - field->text);
    }
}

/* -------------------------------------------------------------------------------------- records */

static ration_status refuse_long(const rn_csv *csv, const cursor *c, ration_error *error)
{
    if (c->open_quote != NULL) {
        return rn_error_at(error, RATION_DATA, csv->path, c->open_line, c->open_column,
                           "is the closing quote missing?",
                           "a quoted field that makes its line longer than 1 MiB");
    }
    return rn_error_at(error, RATION_DATA, csv->path, csv->line, 1, "", "a line longer than 1 MiB");
}

/* Skips a comment line; false when its end is not in the buffer yet. A comment may be of any
 * length: what was seen of it is dropped, so the next call goes on inside it. */
static bool skip_comment(rn_csv *csv)
{
    char *at = csv->buffer + csv->start;
    char *feed = memchr(at, '\n', csv->end - csv->start);

    if (feed != NULL) {
        csv->start = (size_t)(feed + 1 - csv->buffer);
        csv->line = count_line(csv->line);
        return true;
    }
    csv->start = csv->at_end ? csv->end : csv->end - 1;
    csv->buffer[csv->start] = csv->at_end ? '\n' : '#';
    return csv->at_end;
}

/* Splits the record at `start`, refilling as often as it takes; *out_count 0 for an empty line. */
static ration_status take_record(rn_csv *csv, ration_error *error)
{
    for (;;) {
        cursor c = {.at = csv->buffer + csv->start,
                    .end = csv->buffer + csv->end,
                    .line_start = csv->buffer + csv->start,
                    .line = csv->line};
        split state = split_record(csv, &c, error);
        if (state == SPLIT_BAD) {
            return RATION_DATA;
        }
        size_t length = (size_t)((state == SPLIT_DONE ? c.at : c.end) - csv->buffer) - csv->start;
        if (length > RN_CSV_LINE_BYTES_MAX) {
            return refuse_long(csv, &c, error);
        }
        if (state == SPLIT_DONE) {
            if (c.doubled) {
                fold_quotes(csv);
            }
            csv->start = (size_t)(c.at - csv->buffer);
            csv->line = c.line;
            return RATION_OK;
        }
        RN_TRY(refill(csv, error));
    }
}

ration_status rn_csv_next(rn_csv *csv, const rn_csv_field **out_fields, uint32_t *out_count,
                          ration_error *error)
{
    for (;;) {
        if (csv->start == csv->end) {
            if (!csv->at_end) {
                RN_TRY(refill(csv, error));
                continue;
            }
            *out_count = 0;
            return RATION_OK;
        }
        if (csv->dialect.comments && csv->buffer[csv->start] == '#') {
            if (!skip_comment(csv)) {
                RN_TRY(refill(csv, error));
            }
            continue;
        }
        RN_TRY(take_record(csv, error));
        bool empty = csv->count == 1 && csv->fields[0].length == 0 && !csv->fields[0].quoted;
        if (empty) {
            continue;
        }
        if (csv->dialect.header) {
            csv->dialect.header = false;
            continue;
        }
        *out_fields = csv->fields;
        *out_count = csv->count;
        return RATION_OK;
    }
}
