/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of a result on a stream, batch by batch: an aligned table, CSV, JSON, or one JSON object per
 * line.
 *
 *     rn_printer_open -> rn_printer_put (per batch) -> rn_printer_end
 *
 * Memory: the widest row, and for a table what cli/table.h keeps.
 */
#ifndef RATION_PRINTER_H
#define RATION_PRINTER_H

#include "cli/format.h"
#include "cli/table.h"

typedef enum rn_printer_format {
    RN_PRINT_TABLE,
    RN_PRINT_CSV,
    RN_PRINT_JSON,
    RN_PRINT_JSONL
} rn_printer_format;
/* "table", "csv", "json", "jsonl", NULL: in the order of the enum, for option tables. */
extern const char *const rn_printer_formats[];

typedef struct rn_printer {
    rn_printer_format format;
    FILE *stream;
    const rn_schema *schema;
    const rn_graph *graph;
    int64_t rows_max; /* rows shown at most; 0 = all */
    int64_t rows;     /* put so far, shown or not */
    rn_table table;
    rn_text text; /* of a row, or of a cell of a table */
} rn_printer;

/* Writes the heading. `schema` and `graph` (may be NULL) must outlive the printer. Errors:
 * NO_MEMORY; end it all the same. */
RATION_NODISCARD ration_status rn_printer_open(rn_printer *printer, rn_printer_format format,
                                               FILE *stream, int64_t rows_max,
                                               const rn_schema *schema, const rn_graph *graph);
/* Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_printer_put(rn_printer *printer, const rn_batch *batch);
/* Writes what is kept and gives the memory back. JSON: closes the rows and leaves the outermost
 * object open, so that the caller can add members: `, "name": value` and the closing brace. */
void rn_printer_end(rn_printer *printer);

#endif
