/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading rows back: one value, one column of many rows, comparisons of rows with rows and with
 * batches.
 *
 * A column of many rows is read by one typed loop. A missing row (NULL) is replaced by a row of
 * zeros, which says null in every column, so that the loop has no branch.
 *
 * Strings and lists are returned as views into the row. Only a list of strings must be rebuilt,
 * because its elements point by offset: a copy in the caller's context, in segments that fit into a
 * block.
 */
#include "storage/rows.h"

#define SEGMENT_STRINGS_MAX                                                                        \
    1000u /* of a rebuilt list: less than the 16 KiB a context cuts from its blocks */

static const uint64_t row_of_zeros[(4 + RN_COLUMNS_MAX / 8 + RN_COLUMNS_MAX * 16) / 8 + 2];

static const char *row_bytes(const rn_row *row)
{
    return (const char *)row;
}

static bool bit_at(const char *row, uint32_t column)
{
    return ((unsigned char)row[4 + column / 8] >> (column % 8)) & 1;
}

bool rn_row_valid(const rn_layout *layout, const rn_row *row, uint32_t column)
{
    rn_assert(column < layout->column_count);
    (void)layout;
    return bit_at(row_bytes(row), column);
}

const void *rn_row_fixed(const rn_layout *layout, const rn_row *row, uint32_t column)
{
    return row_bytes(row) + layout->offsets[column];
}

void rn_row_patch(const rn_layout *layout, const rn_row *row, uint32_t column, uint64_t word)
{
    rn_assert(rn_kind_bytes((rn_kind)layout->types[column].kind) == 8);
    memcpy((char *)(uintptr_t)row + layout->offsets[column], &word, sizeof word);
}

/* A string slot of a row, its offset made a pointer. */
static inline rn_string view_string(const char *row, const void *slot)
{
    rn_string string;
    memcpy(&string, slot, sizeof string);
    if (string.length > RN_STRING_INLINE_MAX) {
        uint64_t offset;
        memcpy(&offset, string.rest.tail, sizeof offset);
        string.rest.pointer = row + offset;
    }
    return string;
}

rn_string rn_string_at(const void *row, const void *slot)
{
    return view_string(row, slot);
}

rn_string rn_row_string(const rn_layout *layout, const rn_row *row, uint32_t column)
{
    return view_string(row_bytes(row), rn_row_fixed(layout, row, column));
}

/* A list slot of a row; the strings of a list of strings still hold offsets. */
static rn_list view_list(const char *row, const void *slot)
{
    uint64_t words[2];
    memcpy(words, slot, sizeof words);
    rn_list list = {words[0], NULL};
    if (list.length > 0) {
        list.first = (rn_list_segment *)(uintptr_t)(row + words[1]);
    }
    return list;
}

/* ------------------------------------------------------------------------------------ comparing */

/* A list of strings of a row (`row` set: elements hold offsets) or of a batch (`row` NULL). */
typedef struct string_reader {
    const char *row;
    const rn_list_segment *segment;
    uint32_t index;
} string_reader;

static rn_string read_string(string_reader *reader)
{
    while (reader->index >= reader->segment->count) {
        reader->segment = reader->segment->next;
        reader->index = 0;
    }
    const rn_string *string = (const rn_string *)rn_list_values(reader->segment) + reader->index++;
    return reader->row == NULL ? *string : view_string(reader->row, string);
}

static int compare_string_lists(const char *row_a, const rn_list *a, const char *row_b,
                                const rn_list *b)
{
    string_reader reader_a = {row_a, a->first, 0}, reader_b = {row_b, b->first, 0};
    for (uint64_t left = RN_MIN(a->length, b->length); left > 0; left--) {
        rn_string x = read_string(&reader_a), y = read_string(&reader_b);
        int order = rn_string_compare(&x, &y);
        if (order != 0) {
            return order;
        }
    }
    return (a->length > b->length) - (a->length < b->length);
}

/* Values of one type at two places; row_* is the row a value lies in, or NULL for a value of a
 * batch. */
static int compare_values(rn_type type, const char *row_a, const void *a, const char *row_b,
                          const void *b)
{
    if (type.kind == RN_STRING) {
        rn_string x = view_string(row_a, a);
        rn_string y = row_b == NULL ? *(const rn_string *)b : view_string(row_b, b);
        return rn_string_compare(&x, &y);
    }
    if (type.kind == RN_LIST) {
        rn_list x = view_list(row_a, a);
        rn_list y = row_b == NULL ? *(const rn_list *)b : view_list(row_b, b);
        return type.element == RN_STRING ? compare_string_lists(row_a, &x, row_b, &y)
                                         : rn_value_compare(type, &x, &y);
    }
    return rn_value_compare(type, a, b);
}

int rn_row_compare(const rn_layout *layout, const rn_row *a, const rn_row *b, uint32_t column)
{
    bool valid_a = bit_at(row_bytes(a), column), valid_b = bit_at(row_bytes(b), column);
    if (!valid_a || !valid_b) {
        return (int)valid_b - (int)valid_a;
    }
    uint32_t offset = layout->offsets[column];
    return compare_values(layout->types[column], row_bytes(a), row_bytes(a) + offset, row_bytes(b),
                          row_bytes(b) + offset);
}

static bool equal_at(rn_type type, const char *row, const char *slot, const void *value)
{
    uint64_t x, y;
    switch ((rn_kind)type.kind) {
    case RN_INT64:
    case RN_TIMESTAMP:
    case RN_EDGE:
        memcpy(&x, slot, 8);
        memcpy(&y, value, 8);
        return x == y;
    case RN_NODE:
    case RN_DATE:
        return memcmp(slot, value, 4) == 0;
    case RN_STRING: {
        rn_string string = view_string(row, slot);
        return rn_string_equal(&string, value);
    }
    default:
        return compare_values(type, row, slot, NULL, value) == 0;
    }
}

bool rn_row_equals(const rn_layout *layout, const rn_row *row, const rn_batch *batch,
                   const uint32_t *columns, uint32_t count, uint32_t index)
{
    for (uint32_t i = 0; i < count; i++) {
        const rn_column *column = &batch->columns[columns == NULL ? i : columns[i]];
        uint32_t entry = rn_column_entry(column, index);
        bool valid = column->valid == NULL || rn_bit_get(column->valid, entry);
        if (bit_at(row_bytes(row), i) != valid) {
            return false;
        }
        const char *value =
            (const char *)column->data + rn_kind_bytes((rn_kind)column->type.kind) * entry;
        if (valid && !equal_at(layout->types[i], row_bytes(row),
                               row_bytes(row) + layout->offsets[i], value)) {
            return false;
        }
    }
    return true;
}

static bool same_at(rn_type type, const char *row_a, const char *a, const char *row_b,
                    const char *b)
{
    if (type.kind == RN_STRING) {
        rn_string x = view_string(row_a, a), y = view_string(row_b, b);
        return rn_string_equal(&x, &y);
    }
    return type.kind == RN_DOUBLE || type.kind == RN_LIST
               ? compare_values(type, row_a, a, row_b, b) == 0
               : memcmp(a, b, rn_kind_bytes((rn_kind)type.kind)) == 0;
}

bool rn_row_same(const rn_layout *layout_a, const rn_row *a, const rn_layout *layout_b,
                 const rn_row *b, uint32_t count)
{
    const char *row_a = row_bytes(a), *row_b = row_bytes(b);
    for (uint32_t i = 0; i < count; i++) {
        bool valid = bit_at(row_a, i);
        if (valid != bit_at(row_b, i) ||
            (valid && !same_at(layout_a->types[i], row_a, row_a + layout_a->offsets[i], row_b,
                               row_b + layout_b->offsets[i]))) {
            return false;
        }
    }
    return true;
}

/* -------------------------------------------------------------------------------------- reading */

static inline const char *row_or_zeros(const rn_row *row)
{
    return row == NULL ? (const char *)row_of_zeros : row_bytes(row);
}

/* Fills the validity bits; true when every row has a value. */
static bool read_validity(const rn_row *const *rows, uint32_t count, uint32_t column,
                          uint64_t *out_bits)
{
    uint64_t missing = 0;
    for (uint32_t start = 0; start < count; start += 64) {
        uint32_t end = RN_MIN(count, start + 64);
        uint64_t word = 0;
        for (uint32_t i = start; i < end; i++) {
            word |= (uint64_t)bit_at(row_or_zeros(rows[i]), column) << (i - start);
        }
        out_bits[start / 64] = word;
        uint64_t full = end - start == 64 ? UINT64_MAX : (UINT64_C(1) << (end - start)) - 1;
        missing |= word ^ full;
    }
    return missing == 0;
}

#define READ_COLUMN(type_)                                                                         \
    do {                                                                                           \
        type_ *to = data;                                                                          \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            memcpy(&to[i], row_or_zeros(rows[i]) + offset, sizeof(type_));                         \
        }                                                                                          \
    } while (0)

static void read_fixed(rn_kind kind, const rn_row *const *rows, uint32_t count, uint32_t offset,
                       void *data)
{
    switch (rn_kind_bytes(kind)) {
    case 8:
        READ_COLUMN(uint64_t);
        break;
    case 4:
        READ_COLUMN(uint32_t);
        break;
    default:
        READ_COLUMN(uint8_t);
        break;
    }
}

static void read_strings(const rn_row *const *rows, uint32_t count, uint32_t offset,
                         rn_string *strings)
{
    for (uint32_t i = 0; i < count; i++) {
        const char *row = row_or_zeros(rows[i]);
        strings[i] = view_string(row, row + offset);
    }
}

/* Copies a row's list of strings in segments that fit into a block, with pointers for offsets. */
static ration_status rebuild_list(const char *row, const rn_list *stored, ration_context *context,
                                  rn_list *out_list)
{
    rn_list list = {stored->length, NULL};
    rn_list_segment **link = &list.first;
    const rn_string *from = stored->length == 0 ? NULL : rn_list_values(stored->first);
    for (uint64_t left = stored->length; left > 0;) {
        uint32_t part = (uint32_t)RN_MIN(left, SEGMENT_STRINGS_MAX);
        rn_list_segment *segment =
            ration_context_allocate(context, sizeof *segment + part * sizeof(rn_string));
        if (segment == NULL) {
            return ration_context_status(context);
        }
        *segment = (rn_list_segment){NULL, part, part};
        rn_string *to = rn_list_values(segment);
        for (uint32_t i = 0; i < part; i++) {
            to[i] = view_string(row, from++);
        }
        *link = segment;
        link = &segment->next;
        left -= part;
    }
    *out_list = list;
    return RATION_OK;
}

static ration_status read_lists(rn_kind element, const rn_row *const *rows, uint32_t count,
                                uint32_t offset, ration_context *context, rn_list *lists)
{
    for (uint32_t i = 0; i < count; i++) {
        const char *row = row_or_zeros(rows[i]);
        lists[i] = view_list(row, row + offset);
        if (element == RN_STRING) {
            RN_TRY(rebuild_list(row, &lists[i], context, &lists[i]));
        }
    }
    return RATION_OK;
}

ration_status rn_rows_read(const rn_layout *layout, const rn_row *const *rows, uint32_t count,
                           uint32_t column, ration_context *lists, rn_vector *out,
                           rn_column *out_column)
{
    rn_type type = layout->types[column];
    uint32_t offset = layout->offsets[column];
    if (type.kind == RN_LIST) {
        RN_TRY(read_lists((rn_kind)type.element, rows, count, offset, lists, out->data));
    } else if (type.kind == RN_STRING) {
        read_strings(rows, count, offset, out->data);
    } else {
        read_fixed((rn_kind)type.kind, rows, count, offset, out->data);
    }
    bool all = read_validity(rows, count, column, out->valid);
    *out_column = (rn_column){type, out->data, all ? NULL : out->valid, NULL};
    return RATION_OK;
}

void rn_rows_read_chunks(const rn_layout *layout, const rn_row *const *rows, uint32_t count,
                         uint32_t column, const ration_context *lists, size_t *chunk_bytes,
                         size_t *largest)
{
    rn_type type = layout->types[column];
    if (type.kind != RN_LIST || type.element != RN_STRING) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *row = row_or_zeros(rows[i]);
        for (uint64_t left = view_list(row, row + layout->offsets[column]).length; left > 0;) {
            uint64_t part = RN_MIN(left, SEGMENT_STRINGS_MAX);
            size_t segment = sizeof(rn_list_segment) + part * sizeof(rn_string);
            *chunk_bytes += (size_t)rn_context_chunk_bytes(lists, segment);
            *largest = RN_MAX(*largest, segment);
            left -= part;
        }
    }
}
