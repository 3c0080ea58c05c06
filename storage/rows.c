/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows held in blocks: layout, opening, walking. Appending is rows_append.c, reading values row.c.
 *
 *     rn_layout_set -> rn_rows_open -> (settle by rn_rows_bound) rn_rows_append ...
 *                   -> rn_rows_next -> rn_rows_close
 *
 * Invariants
 *   1. In a block the rows lie one behind the other: their `bytes` add up to `used`, which is at
 *      most `capacity`.
 *   2. bytes >= layout->fixed_bytes, a multiple of 8, and <= max_row_bytes.
 *   3. Variable bytes lie within the row, at offsets >= fixed_bytes; unused bytes are 0.
 *   4. `count` rows in all blocks together. */
#include "storage/rows_block.h"

#define ROW_BYTES_MAX (1 << 30)

/* --------------------------------------------------------------------------------------- layout */

void rn_layout_set(rn_layout *layout, const rn_type *types, uint32_t count)
{
    static const uint32_t widths[] = {4, 1, 8};
    rn_assert(count <= RN_COLUMNS_MAX);
    layout->column_count = count;
    layout->has_variable = false;
    uint32_t offset = 4 + (count + 7) / 8;
    for (size_t pass = 0; pass < RN_COUNT(widths); pass++) {
        uint32_t width = widths[pass];
        if (width == 8) {
            layout->head_bytes = offset = (offset + 7) & ~7u;
        }
        for (uint32_t c = 0; c < count; c++) {
            uint32_t bytes = (uint32_t)rn_kind_bytes((rn_kind)types[c].kind);
            if (RN_MIN(bytes, 8u) == width) {
                offset = (offset + width - 1) & ~(width - 1);
                layout->offsets[c] = offset;
                offset += bytes;
            }
        }
    }
    layout->fixed_bytes = (offset + 7) & ~7u;
    for (uint32_t c = 0; c < count; c++) {
        layout->types[c] = types[c];
        layout->has_variable |= types[c].kind == RN_STRING || types[c].kind == RN_LIST;
    }
}

/* ------------------------------------------------------------------------------- open and close */

ration_status rn_rows_open(const rn_layout *layout, ration_context *parent, ration_slot *slot,
                           const char *name, int64_t max_row_bytes, rn_rows *out_rows)
{
    rn_rows rows = {.layout = layout, .max_row_bytes = RN_MIN(max_row_bytes, ROW_BYTES_MAX)};
    RN_TRY(ration_context_create(parent, slot, RATION_CONTEXT_BUMP, name, &rows.context));
    *out_rows = rows;
    return RATION_OK;
}

void rn_rows_close(rn_rows *rows)
{
    ration_context_delete(rows->context);
    memset(rows, 0, sizeof *rows);
}

void rn_rows_reset(rn_rows *rows)
{
    ration_context_reset(rows->context);
    rows->first = rows->last = NULL;
    rows->count = 0;
}

void rn_rows_move(rn_rows *to, rn_rows *from)
{
    rn_assert(to->layout->column_count == from->layout->column_count);
    ration_context_set_parent(from->context, to->context);
    if (from->first != NULL) {
        if (to->last == NULL) {
            to->first = from->first;
        } else {
            to->last->next = from->first;
        }
        to->last = from->last;
        to->count += from->count;
        to->widest_bytes = RN_MAX(to->widest_bytes, from->widest_bytes);
    }
    memset(from, 0, sizeof *from);
}

/* -------------------------------------------------------------------------------------- walking */

uint32_t rn_rows_walk(const char **at, const char *end, const rn_row **out_rows, uint32_t capacity)
{
    const char *row = *at;
    uint32_t count = 0;
    while (row < end && count < capacity) {
        uint32_t bytes;
        memcpy(&bytes, row, 4);
        out_rows[count++] = (const rn_row *)(const void *)row;
        row += bytes;
    }
    *at = row;
    return count;
}

uint32_t rn_rows_next(const rn_rows *rows, rn_rows_cursor *cursor, const rn_row **out_rows,
                      uint32_t capacity)
{
    uint32_t count = 0;
    if (cursor->block == NULL) {
        cursor->block = rows->first;
        cursor->offset = 0;
    }
    while (cursor->block != NULL && count < capacity) {
        const struct rn_rows_block *block = cursor->block;
        const char *bytes = rn_rows_block_bytes(block), *at = bytes + cursor->offset;
        count += rn_rows_walk(&at, bytes + block->used, out_rows + count, capacity - count);
        cursor->offset = (uint32_t)(at - bytes);
        if (cursor->offset < block->used || block->next == NULL) {
            break;
        }
        cursor->block = block->next;
        cursor->offset = 0;
    }
    return count;
}

/* --------------------------------------------------------------------------------- whole blocks */

const rn_rows_block *rn_rows_block_next(const rn_rows *rows, const rn_rows_block *block)
{
    return block == NULL ? rows->first : block->next;
}

const char *rn_rows_block_read(const rn_rows_block *block, uint32_t *out_bytes)
{
    *out_bytes = block->used;
    return rn_rows_block_bytes(block);
}

rn_rows_block *rn_rows_detach(rn_rows *rows)
{
    rn_rows_block *block = rows->first;
    const char *at = rn_rows_block_bytes(block), *end = at + block->used;
    const rn_row *walked[64];
    while (at < end) {
        rows->count -= rn_rows_walk(&at, end, walked, RN_COUNT(walked));
    }
    rows->first = block->next;
    if (rows->first == NULL) {
        rows->last = NULL;
    }
    return block;
}

/* Has it a block of the context of its own? */
static bool lies_alone(const rn_rows_block *block)
{
    return sizeof *block + block->capacity > (size_t)RN_CHUNK_BYTES_MAX;
}

int64_t rn_rows_block_charged(const rn_rows_block *block)
{
    int64_t bytes = (int64_t)(sizeof *block + block->capacity);
    return lies_alone(block) ? rn_block_round(bytes) : 0;
}

void rn_rows_block_free(rn_rows_block *block)
{
    if (lies_alone(block)) {
        ration_context_free(block); /* what is alone in its block has a header, also in bumps */
    }
}

/* ---------------------------------------------------------------------------------------- check */

/* Does the variable value of this column lie inside the row? */
static bool check_variable(const rn_layout *layout, const char *row, uint32_t bytes, uint32_t c)
{
    uint64_t words[2];
    memcpy(words, row + layout->offsets[c], sizeof words);
    if (layout->types[c].kind == RN_STRING) {
        uint32_t length = (uint32_t)words[0];
        return length <= RN_STRING_INLINE_MAX ||
               (words[1] >= layout->fixed_bytes && words[1] + length <= bytes);
    }
    size_t width = rn_kind_bytes((rn_kind)layout->types[c].element);
    return words[0] == 0 || (words[1] >= layout->fixed_bytes && words[1] % 8 == 0 &&
                             words[1] + sizeof(rn_list_segment) + words[0] * width <= bytes);
}

static const char *check_row(const rn_rows *rows, const char *row, uint32_t bytes)
{
    const rn_layout *layout = rows->layout;
    if (bytes < layout->fixed_bytes || bytes % 8 != 0 || bytes > rows->max_row_bytes) {
        return "a row's size is wrong (2)";
    }
    for (uint32_t c = 0; c < layout->column_count; c++) {
        if ((layout->types[c].kind == RN_STRING || layout->types[c].kind == RN_LIST) &&
            !check_variable(layout, row, bytes, c)) {
            return "a string or list lies outside its row (3)";
        }
    }
    return NULL;
}

bool rn_rows_check(const rn_rows *rows, char *text, size_t capacity)
{
    const char *wrong = NULL;
    int64_t count = 0;
    for (const struct rn_rows_block *block = rows->first; block != NULL && wrong == NULL;
         block = block->next) {
        uint32_t offset = 0, bytes;
        for (; offset < block->used && wrong == NULL; offset += bytes, count++) {
            memcpy(&bytes, rn_rows_block_bytes(block) + offset, 4);
            wrong = check_row(rows, rn_rows_block_bytes(block) + offset, bytes);
        }
        if (wrong == NULL && (offset != block->used || block->used > block->capacity)) {
            wrong = "a block's rows do not fill what is used (1)";
        }
    }
    if (wrong == NULL && count != rows->count) {
        wrong = "the number of rows is wrong (4)";
    }
    rn_copy_text(text, capacity, wrong == NULL ? "" : wrong);
    return wrong == NULL;
}
