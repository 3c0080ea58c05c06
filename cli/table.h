/* SPDX-License-Identifier: Apache-2.0
 *
 * Aligned tables of text in bounded memory: the first rows are kept to learn the widths, later ones
 * are printed as they come.
 *
 *     rn_table_open -> rn_table_cell or rn_table_row (the first row is the heading) -> rn_table_end
 */
#ifndef RATION_TABLE_H
#define RATION_TABLE_H

#include "cli/cli.h"

#define RN_TABLE_COLUMNS_MAX 256u
#define RN_TABLE_ROWS_KEPT 1000
#define RN_TABLE_BYTES_KEPT ((size_t)1024 * 1024)

typedef struct rn_table {
    FILE *stream;
    uint32_t columns;
    uint32_t column;  /* of the row in hand */
    int line_columns; /* of the terminal; 0 = unlimited: the owner may set that after open */
    bool streaming;   /* widths are fixed */
    bool headed;      /* the heading was printed */
    bool right[RN_TABLE_COLUMNS_MAX];
    uint32_t widths[RN_TABLE_COLUMNS_MAX];
    bool narrowed[RN_TABLE_COLUMNS_MAX]; /* to fit the line: its cells may be cut */
    int64_t rows_kept;
    rn_text kept; /* rows: cells, each with a NUL */
    rn_text row;  /* the row in hand, likewise */
} rn_table;

/* `right` (may be NULL): which columns are aligned to the right. */
void rn_table_open(rn_table *table, FILE *stream, uint32_t columns, const bool *right);
/* The next cell. Control characters are shown as \n, \t, \x1b. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_table_cell(rn_table *table, const char *bytes, size_t count);
/* A whole row of NUL-terminated cells. */
RATION_NODISCARD ration_status rn_table_row(rn_table *table, const char *const *cells);
/* Prints what is kept and gives the memory back. Also after an error. */
void rn_table_end(rn_table *table);

#endif
