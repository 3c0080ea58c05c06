/* SPDX-License-Identifier: Apache-2.0
 *
 * Held rows back into a batch: vectors for the columns wanted, and a context for lists that must be
 * rebuilt. */
#ifndef RATION_ROW_READER_H
#define RATION_ROW_READER_H

#include "executor/plan.h"

typedef struct rn_row_reader {
    const rn_layout *layout;
    uint32_t count;
    uint32_t *columns;     /* of the layout, in the order of the output */
    rn_vector *vectors;    /* one per column */
    ration_context *lists; /* NULL when no column is a list of strings */
} rn_row_reader;

/* The same outside an operator: memory below `parent`, batches of up to `batch_rows` rows. */
RATION_NODISCARD ration_status rn_row_reader_open_in(ration_context *parent, ration_slot *slot,
                                                     uint32_t batch_rows, const rn_layout *layout,
                                                     uint32_t first, uint32_t count,
                                                     rn_row_reader *out_reader);
/* Reads without settling: lists of strings are charged as they come. */
RATION_NODISCARD ration_status rn_row_reader_fill(rn_row_reader *reader, const rn_row *const *rows,
                                                  uint32_t row_count, rn_column *out_columns);

/* Reads columns first, first + 1, ... of the layout, `count` of them. Errors: the limits' statuses,
 * NO_MEMORY. */
RATION_NODISCARD ration_status rn_row_reader_open(rn_operator *op, const rn_layout *layout,
                                                  uint32_t first, uint32_t count,
                                                  rn_row_reader *out_reader);
/* Reads up to a batch of rows (NULL = a row of nulls) into out_columns[0..count), valid until the
 * next read. Settles for what lists of strings need: nothing charged ahead before is left. Errors:
 * the limits' statuses. */
RATION_NODISCARD ration_status rn_row_reader_read(rn_operator *op, rn_row_reader *reader,
                                                  const rn_row *const *rows, uint32_t row_count,
                                                  rn_column *out_columns);

#endif
