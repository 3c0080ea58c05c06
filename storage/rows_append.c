/* SPDX-License-Identifier: Apache-2.0
 *
 * Appending rows, a batch at a time: measure every row, give every row its place, then one typed
 * loop per column. So types are looked at once per column and a value costs a load and a store;
 * value by value through a switch took four times as long.
 *
 * Block sizes: what fits into a context's first 8 KiB beside the context, then what just fits into
 * 32 KiB and 64 KiB, each in a block of the context of its own. So a few rows cost 8 KiB, nothing
 * is larger than a block but for wide rows, and the bound is exact: it walks the same blocks. */
#include "storage/rows_block.h"
#include "storage/run.h"

#define BLOCK_HEAD_BYTES ((uint32_t)sizeof(struct rn_rows_block))
#define PAGE_BYTES 4096

/* Sizes with the head, in the order in which they are taken; the last again and again: written out
 * as they are, they can be read back through a buffer of RN_RUN_BLOCK_BYTES. */
static const uint32_t block_sizes[] = {
    8 * 1024 - RN_CONTEXT_FIRST_BYTES, 32 * 1024 - RN_CONTEXT_ALONE_BYTES,
    (uint32_t)RN_BLOCK_BYTES - RN_CONTEXT_ALONE_BYTES - RN_RUN_HEAD_BYTES};

#define HEAD_WORDS_MAX (((4 + RN_COLUMNS_MAX / 8) + 7) / 8)

/* Everything an append works with; on the stack, about 20 KiB. */
typedef struct append_work {
    const rn_layout *layout;
    const rn_batch *batch;
    const uint16_t *picks;
    uint32_t count;
    int64_t widest; /* row, in bytes */
    char *rows[RN_BATCH_ROWS_MAX];
    int64_t bytes[RN_BATCH_ROWS_MAX]; /* size of the row; then where its next string or list goes */
    uint16_t entries[RN_BATCH_ROWS_MAX]; /* of the column in hand */
    const uint16_t *entries_of;          /* the selection that `entries` was made for */
    bool entries_set;
} append_work;

/* ------------------------------------------------------------------------------------ measuring */

static const rn_column *source_column(const rn_batch *batch, const uint32_t *columns, uint32_t c)
{
    return &batch->columns[columns == NULL ? c : columns[c]];
}

/* entries[i] = entry of row picks[i] in the column's array. */
static const uint16_t *column_entries(append_work *work, const rn_column *column)
{
    if (column->selection == NULL && work->picks != NULL) {
        return work->picks;
    }
    if (work->entries_set && work->entries_of == column->selection) {
        return work->entries;
    }
    work->entries_set = true;
    work->entries_of = column->selection;
    for (uint32_t i = 0; i < work->count; i++) {
        uint32_t row = work->picks == NULL ? i : work->picks[i];
        work->entries[i] = (uint16_t)rn_column_entry(column, row);
    }
    return work->entries;
}

static bool entry_valid(const rn_column *column, uint32_t entry)
{
    return column->valid == NULL || rn_bit_get(column->valid, entry);
}

static int64_t string_bytes(const rn_string *string)
{
    return string->length > RN_STRING_INLINE_MAX ? string->length : 0;
}

static int64_t list_bytes(const rn_list *list, rn_kind element)
{
    if (list->length == 0) {
        return 0;
    }
    int64_t bytes = (int64_t)sizeof(rn_list_segment);
    for (const rn_list_segment *at = list->first; at != NULL; at = at->next) {
        bytes += (int64_t)at->count * (int64_t)rn_kind_bytes(element);
        if (element == RN_STRING) {
            const rn_string *strings = rn_list_values(at);
            for (uint32_t i = 0; i < at->count; i++) {
                bytes += string_bytes(&strings[i]);
            }
        }
    }
    return bytes;
}

static void measure_column(append_work *work, const rn_column *column)
{
    const uint16_t *entries = column_entries(work, column);
    for (uint32_t i = 0; i < work->count; i++) {
        uint32_t entry = entries[i];
        if (!entry_valid(column, entry)) {
            continue;
        }
        if (column->type.kind == RN_STRING) {
            work->bytes[i] += string_bytes((const rn_string *)column->data + entry);
        } else {
            int64_t bytes =
                list_bytes((const rn_list *)column->data + entry, (rn_kind)column->type.element);
            work->bytes[i] = bytes == 0 ? work->bytes[i] : rn_round_up(work->bytes[i], 8) + bytes;
        }
    }
}

/* Sets bytes[] of every row; only for layouts with variable columns. */
static void measure_rows(append_work *work, const uint32_t *columns)
{
    const rn_layout *layout = work->layout;
    for (uint32_t i = 0; i < work->count; i++) {
        work->bytes[i] = layout->fixed_bytes;
    }
    for (uint32_t c = 0; c < layout->column_count; c++) {
        if (layout->types[c].kind == RN_STRING || layout->types[c].kind == RN_LIST) {
            measure_column(work, source_column(work->batch, columns, c));
        }
    }
    for (uint32_t i = 0; i < work->count; i++) {
        work->bytes[i] = rn_round_up(work->bytes[i], 8);
        work->widest = RN_MAX(work->widest, work->bytes[i]);
    }
}

static void start_work(append_work *work, const rn_rows *rows, const rn_batch *batch,
                       const uint32_t *columns, const uint16_t *picks, uint32_t count)
{
    rn_assert(count <= RN_BATCH_ROWS_MAX);
    work->layout = rows->layout;
    work->batch = batch;
    work->picks = picks;
    work->count = count;
    work->widest = rows->layout->fixed_bytes;
    work->entries_set = false;
    if (rows->layout->has_variable) {
        measure_rows(work, columns);
    }
}

/* --------------------------------------------------------------------------------------- blocks */

/* Payload of the block that comes after one of `capacity` (0 = none) to hold a row of `row_bytes`.
 */
static uint32_t next_capacity(uint32_t capacity, int64_t row_bytes)
{
    size_t step = 0;
    while (step < RN_COUNT(block_sizes) && ((step + 1 < RN_COUNT(block_sizes) &&
                                             block_sizes[step] - BLOCK_HEAD_BYTES <= capacity) ||
                                            block_sizes[step] - BLOCK_HEAD_BYTES < row_bytes)) {
        step++;
    }
    if (step < RN_COUNT(block_sizes)) {
        return block_sizes[step] - BLOCK_HEAD_BYTES;
    }
    int64_t wide = rn_round_up(row_bytes + BLOCK_HEAD_BYTES + RN_CONTEXT_ALONE_BYTES, PAGE_BYTES);
    return (uint32_t)wide - RN_CONTEXT_ALONE_BYTES - BLOCK_HEAD_BYTES;
}

/* Adds a block for a row of `row_bytes` at the end. */
static ration_status add_block(rn_rows *rows, int64_t row_bytes)
{
    uint32_t capacity = next_capacity(rows->last == NULL ? 0 : rows->last->capacity, row_bytes);
    struct rn_rows_block *block =
        ration_context_allocate(rows->context, BLOCK_HEAD_BYTES + (size_t)capacity);
    if (block == NULL) {
        return ration_context_status(rows->context);
    }
    block->next = NULL;
    block->used = 0;
    block->capacity = capacity;
    if (rows->last == NULL) {
        rows->first = block;
    } else {
        rows->last->next = block;
    }
    rows->last = block;
    return RATION_OK;
}

static uint32_t rows_that_fit(const append_work *work, uint32_t from, uint32_t room)
{
    uint32_t fixed = work->layout->fixed_bytes;
    if (!work->layout->has_variable) {
        return RN_MIN(work->count - from, room / fixed);
    }
    uint32_t index = from;
    for (; index < work->count && work->bytes[index] <= room; index++) {
        room -= (uint32_t)work->bytes[index];
    }
    return index - from;
}

static int64_t row_bytes_of(const append_work *work, uint32_t index)
{
    return work->layout->has_variable ? work->bytes[index] : work->layout->fixed_bytes;
}

int64_t rn_rows_block_most(int64_t row_bytes)
{
    uint32_t capacity = next_capacity(block_sizes[RN_COUNT(block_sizes) - 1], row_bytes);
    return rn_round_up((int64_t)BLOCK_HEAD_BYTES + capacity + RN_CONTEXT_ALONE_BYTES, PAGE_BYTES);
}

uint32_t rn_rows_fit(const rn_rows *rows, const rn_batch *batch, const uint32_t *columns,
                     const uint16_t *picks, uint32_t count, int64_t up_to_bytes, int64_t *out_bytes)
{
    append_work work;
    start_work(&work, rows, batch, columns, picks, count);
    *out_bytes = 0;
    if (work.widest > rows->max_row_bytes) {
        return count;
    }
    uint32_t capacity = rows->last == NULL ? 0 : rows->last->capacity;
    uint32_t room = rows->last == NULL ? 0 : capacity - rows->last->used;
    for (uint32_t placed = 0;;) {
        placed += rows_that_fit(&work, placed, room);
        if (placed == count) {
            return count;
        }
        room = capacity = next_capacity(capacity, row_bytes_of(&work, placed));
        int64_t bytes = rn_context_bound_one(rows->context, BLOCK_HEAD_BYTES + (size_t)capacity);
        if (placed > 0 && *out_bytes + bytes > up_to_bytes) {
            return placed;
        }
        *out_bytes += bytes;
    }
}

int64_t rn_rows_bound(const rn_rows *rows, const rn_batch *batch, const uint32_t *columns,
                      const uint16_t *picks, uint32_t count)
{
    int64_t bytes;
    (void)rn_rows_fit(rows, batch, columns, picks, count, INT64_MAX, &bytes);
    return bytes;
}

/* ------------------------------------------------------------------------------------ appending */

/* The first words of every row: size, and the validity bits of the columns that have a value in
 * every row. */
typedef struct row_head {
    uint64_t words[HEAD_WORDS_MAX];
    uint32_t count;
} row_head;

static void make_head(const append_work *work, const uint32_t *columns, row_head *head)
{
    const rn_layout *layout = work->layout;
    memset(head, 0, sizeof *head);
    head->count = (4 + (layout->column_count + 7) / 8 + 7) / 8;
    unsigned char *validity = (unsigned char *)head->words + 4;
    for (uint32_t c = 0; c < layout->column_count; c++) {
        if (source_column(work->batch, columns, c)->valid == NULL) {
            validity[c / 8] = (unsigned char)(validity[c / 8] | 1u << (c % 8));
        }
    }
}

/* Writes the head of the row and zeroes the words that may keep padding: the last before the 8-byte
 * slots and the last of the row. */
static inline void start_row(char *row, const rn_layout *layout, const row_head *head,
                             int64_t bytes)
{
    const uint64_t zero = 0;
    uint32_t size = (uint32_t)bytes;
    for (uint32_t i = 0; i < head->count; i++) {
        memcpy(row + 8 * (size_t)i, &head->words[i], 8);
    }
    if (layout->head_bytes > 8 * head->count) {
        memcpy(row + layout->head_bytes - 8, &zero, 8);
    }
    if (size > layout->fixed_bytes) {
        memcpy(row + size - 8, &zero, 8);
    }
    memcpy(row, &size, 4);
}

static ration_status place_rows(rn_rows *rows, append_work *work, const row_head *head)
{
    const rn_layout *layout = work->layout;
    for (uint32_t placed = 0;;) {
        uint32_t room = rows->last == NULL ? 0 : rows->last->capacity - rows->last->used;
        uint32_t end = placed + rows_that_fit(work, placed, room);
        char *row = rows->last == NULL ? NULL : rn_rows_block_bytes(rows->last) + rows->last->used;
        const char *start = row;
        for (; placed < end; placed++) {
            int64_t bytes = row_bytes_of(work, placed);
            start_row(row, layout, head, bytes);
            work->rows[placed] = row;
            work->bytes[placed] = layout->fixed_bytes;
            row += bytes;
        }
        if (row != NULL) {
            rows->last->used += (uint32_t)(row - start);
        }
        if (placed == work->count) {
            return RATION_OK;
        }
        RN_TRY(add_block(rows, row_bytes_of(work, placed)));
    }
}

static inline void set_valid(char *row, uint32_t column, bool valid)
{
    unsigned char *byte = (unsigned char *)row + 4 + column / 8;
    *byte = (unsigned char)(*byte | (unsigned)valid << (column % 8));
}

/* One loop per width: 8, 4 or 1 bytes, with and without nulls. A null is stored as 0. */
#define WRITE_COLUMN(type_)                                                                        \
    do {                                                                                           \
        const type_ *from = column->data;                                                          \
        if (column->valid == NULL) {                                                               \
            for (uint32_t i = 0; i < work->count; i++) {                                           \
                memcpy(work->rows[i] + offset, &from[entries[i]], sizeof(type_));                  \
            }                                                                                      \
            break;                                                                                 \
        }                                                                                          \
        for (uint32_t i = 0; i < work->count; i++) {                                               \
            bool valid = rn_bit_get(column->valid, entries[i]);                                    \
            type_ value = valid ? from[entries[i]] : 0;                                            \
            memcpy(work->rows[i] + offset, &value, sizeof value);                                  \
            set_valid(work->rows[i], c, valid);                                                    \
        }                                                                                          \
    } while (0)

/* Copies the string's bytes to the row when it is long, and its 16 bytes to `slot`, with an offset
 * for the pointer. */
static void write_string(char *row, int64_t *at, const rn_string *string, void *slot)
{
    rn_string copy = *string;
    if (copy.length > RN_STRING_INLINE_MAX) {
        uint64_t offset = (uint64_t)*at;
        memcpy(row + *at, string->rest.pointer, copy.length);
        memcpy(copy.rest.tail, &offset, sizeof offset);
        *at += copy.length;
    }
    memcpy(slot, &copy, sizeof copy);
}

static void write_list(char *row, int64_t *at, const rn_list *list, rn_kind element, char *slot)
{
    uint64_t words[2] = {list->length, 0};
    if (list->length > 0) {
        uint32_t count = (uint32_t)list->length;
        rn_list_segment head = {NULL, count, count};
        size_t width = rn_kind_bytes(element);
        int64_t start = rn_round_up(*at, 8);
        memset(row + *at, 0, (size_t)(start - *at));
        words[1] = (uint64_t)start;
        memcpy(row + start, &head, sizeof head);
        char *to = row + start + sizeof head;
        *at = start + (int64_t)(sizeof head + width * count);
        for (const rn_list_segment *from = list->first; from != NULL; from = from->next) {
            const char *values = rn_list_values(from);
            for (uint32_t i = 0; element == RN_STRING && i < from->count; i++) {
                write_string(row, at, (const rn_string *)(const void *)values + i, to + width * i);
            }
            if (element != RN_STRING) {
                memcpy(to, values, width * from->count);
            }
            to += width * from->count;
        }
    }
    memcpy(slot, words, sizeof words);
}

static void write_variable(append_work *work, const rn_column *column, const uint16_t *entries,
                           uint32_t c, uint32_t offset)
{
    for (uint32_t i = 0; i < work->count; i++) {
        char *row = work->rows[i];
        if (!entry_valid(column, entries[i])) {
            memset(row + offset, 0, 16);
            continue;
        }
        if (column->valid != NULL) {
            set_valid(row, c, true);
        }
        if (column->type.kind == RN_STRING) {
            write_string(row, &work->bytes[i], (const rn_string *)column->data + entries[i],
                         row + offset);
        } else {
            write_list(row, &work->bytes[i], (const rn_list *)column->data + entries[i],
                       (rn_kind)column->type.element, row + offset);
        }
    }
}

static void write_column(append_work *work, const rn_column *column, uint32_t c)
{
    const uint16_t *entries = column_entries(work, column);
    uint32_t offset = work->layout->offsets[c];
    rn_assert(rn_type_equal(column->type, work->layout->types[c]));
    if (column->type.kind == RN_STRING || column->type.kind == RN_LIST) {
        write_variable(work, column, entries, c, offset);
    } else if (rn_kind_bytes((rn_kind)column->type.kind) == 8) {
        WRITE_COLUMN(uint64_t);
    } else if (rn_kind_bytes((rn_kind)column->type.kind) == 4) {
        WRITE_COLUMN(uint32_t);
    } else {
        WRITE_COLUMN(uint8_t);
    }
}

ration_status rn_rows_append(rn_rows *rows, const rn_batch *batch, const uint32_t *columns,
                             const uint16_t *picks, uint32_t count, const rn_row **out_rows)
{
    append_work work;
    row_head head;
    if (count == 0) {
        return RATION_OK;
    }
    start_work(&work, rows, batch, columns, picks, count);
    if (work.widest > rows->max_row_bytes) {
        return RATION_ROW_TOO_WIDE;
    }
    make_head(&work, columns, &head);
    struct rn_rows_block *last = rows->last;
    uint32_t used = last == NULL ? 0 : last->used;
    ration_status status = place_rows(rows, &work, &head);
    if (status != RATION_OK) {
        rows->last = last;
        if (last == NULL) {
            rows->first = NULL;
        } else {
            last->next = NULL;
            last->used = used;
        }
        return status;
    }
    for (uint32_t c = 0; c < work.layout->column_count; c++) {
        write_column(&work, source_column(batch, columns, c), c);
    }
    rows->count += count;
    rows->widest_bytes = RN_MAX(rows->widest_bytes, work.widest);
    if (out_rows != NULL) {
        memcpy(out_rows, work.rows, count * sizeof *out_rows);
    }
    return RATION_OK;
}
