/* SPDX-License-Identifier: Apache-2.0
 *
 * A table learns its widths from at most RN_TABLE_ROWS_KEPT rows and RN_TABLE_BYTES_KEPT bytes;
 * then the widths are fixed, and a wider cell of a later row pushes the rest of its line to the
 * right. Rejected: reading all rows first (a result larger than memory could not be shown).
 *
 * Where the line is bounded, the widest columns are narrowed, and what does not fit ends in "...".
 * A column of text is counted as code points, which is exact for all but combining and double-width
 * characters. */
#include "cli/table.h"

#define GAP 2u
#define NARROWEST 8u
#define RULE_LONGEST 20u

void rn_table_open(rn_table *table, FILE *stream, uint32_t columns, const bool *right)
{
    rn_assert(columns <= RN_TABLE_COLUMNS_MAX);
    memset(table, 0, sizeof *table);
    table->stream = stream;
    table->columns = columns;
    table->line_columns = rn_cli_columns();
    if (right != NULL) {
        memcpy(table->right, right, columns * sizeof *right);
    }
}

static uint32_t count_characters(const char *cell)
{
    uint32_t count = 0;
    for (; *cell != '\0'; cell++) {
        count += ((unsigned char)*cell & 0xC0) != 0x80;
    }
    return count;
}

/* Bytes of the first `characters` of a cell. */
static int count_bytes(const char *cell, uint32_t characters)
{
    int bytes = 0;
    for (uint32_t seen = 0; cell[bytes] != '\0'; bytes++) {
        if (((unsigned char)cell[bytes] & 0xC0) != 0x80 && ++seen > characters) {
            break;
        }
    }
    return bytes;
}

static void print_blanks(FILE *stream, uint32_t count)
{
    fprintf(stream, "%*s", (int)count, "");
}

static void print_cell(const rn_table *table, uint32_t column, const char *cell)
{
    uint32_t width = table->widths[column], characters = count_characters(cell);
    bool cut = table->narrowed[column] && characters > width;
    uint32_t blanks = characters < width ? width - characters : 0;
    if (table->right[column]) {
        print_blanks(table->stream, blanks);
    }
    if (cut) {
        fprintf(table->stream, "%.*s...", count_bytes(cell, width - 3), cell);
    } else {
        fputs(cell, table->stream);
    }
    if (column + 1 < table->columns) {
        print_blanks(table->stream, (table->right[column] ? 0 : blanks) + GAP);
    }
}

/* Below the heading. That of a last column aligned to the left ends early: it may be a sentence. */
static void print_rule(const rn_table *table)
{
    for (uint32_t i = 0; i < table->columns; i++) {
        bool last = i + 1 == table->columns;
        uint32_t width = table->widths[i];
        if (last && !table->right[i]) {
            width = RN_MIN(width, RULE_LONGEST);
        }
        for (uint32_t j = 0; j < width; j++) {
            fputc('-', table->stream);
        }
        print_blanks(table->stream, last ? 0 : GAP);
    }
    fputc('\n', table->stream);
}

/* Prints one row of cells and returns what follows it. */
static const char *print_row(rn_table *table, const char *cells)
{
    for (uint32_t i = 0; i < table->columns; i++) {
        print_cell(table, i, cells);
        cells += strlen(cells) + 1;
    }
    fputc('\n', table->stream);
    if (!table->headed) {
        table->headed = true;
        print_rule(table);
    }
    return cells;
}

static void narrow_columns(rn_table *table)
{
    if (table->line_columns == 0) {
        return;
    }
    for (;;) {
        uint32_t line = GAP * (table->columns - 1), widest = 0;
        for (uint32_t i = 0; i < table->columns; i++) {
            line += table->widths[i];
            widest = table->widths[i] > table->widths[widest] ? i : widest;
        }
        if (line <= (uint32_t)table->line_columns || table->widths[widest] <= NARROWEST) {
            return;
        }
        uint32_t over = line - (uint32_t)table->line_columns;
        uint32_t spare = table->widths[widest] - NARROWEST;
        /* Halfway each time, so that several wide columns share the loss. */
        table->widths[widest] -= RN_MIN(over, RN_MAX(spare / 2, 1u));
        table->narrowed[widest] = true;
    }
}

static void print_kept(rn_table *table)
{
    table->streaming = true;
    narrow_columns(table);
    const char *cells = table->kept.bytes;
    for (int64_t i = 0; i < table->rows_kept; i++) {
        cells = print_row(table, cells);
    }
    rn_cli_text_free(&table->kept);
}

static bool keep_row(rn_table *table)
{
    rn_text *kept = &table->kept;
    if (table->rows_kept > RN_TABLE_ROWS_KEPT ||
        kept->length + table->row.length > RN_TABLE_BYTES_KEPT ||
        !rn_cli_text_grow(kept, kept->length + table->row.length + 1)) {
        return false;
    }
    rn_text_put_bytes(kept, table->row.bytes, table->row.length);
    table->rows_kept += 1;
    const char *cell = table->row.bytes;
    for (uint32_t i = 0; i < table->columns; i++) {
        uint32_t width = count_characters(cell);
        table->widths[i] = RN_MAX(table->widths[i], width);
        cell += strlen(cell) + 1;
    }
    return true;
}

static void take_row(rn_table *table)
{
    if (!table->streaming && !keep_row(table)) {
        print_kept(table);
    }
    if (table->streaming) {
        (void)print_row(table, table->row.bytes);
    }
    table->row.length = 0;
    table->column = 0;
}

static void put_visible(rn_text *text, unsigned char byte)
{
    if (byte == '\n') {
        rn_text_put(text, "\\n");
    } else if (byte == '\t') {
        rn_text_put(text, "\\t");
    } else {
        rn_text_format(text, "\\x%02x", byte);
    }
}

ration_status rn_table_cell(rn_table *table, const char *bytes, size_t count)
{
    size_t worst = 4 * count + 1; /* every byte as \xNN */
    if (!rn_cli_text_grow(&table->row, table->row.length + worst + 1)) {
        return RATION_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte < 0x20 || byte == 0x7f) {
            put_visible(&table->row, byte);
        } else {
            rn_text_put_bytes(&table->row, bytes + i, 1);
        }
    }
    rn_text_put_bytes(&table->row, "", 1);
    table->column += 1;
    if (table->column == table->columns) {
        take_row(table);
    }
    return RATION_OK;
}

ration_status rn_table_row(rn_table *table, const char *const *cells)
{
    for (uint32_t i = 0; i < table->columns; i++) {
        RN_TRY(rn_table_cell(table, cells[i], strlen(cells[i])));
    }
    return RATION_OK;
}

void rn_table_end(rn_table *table)
{
    if (!table->streaming) {
        print_kept(table);
    }
    rn_cli_text_free(&table->row);
}
