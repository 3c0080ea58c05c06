/* SPDX-License-Identifier: Apache-2.0
 *
 * A held result set: rows kept under the limit, readable as often as wanted. `collect` makes one,
 * views (iterators/views.h) read it.
 *
 *     rn_held_open -> rn_held_add ... -> rn_held_scan -> rn_held_next until 0 rows -> ... ->
 * rn_held_close
 */
#ifndef RATION_HELD_H
#define RATION_HELD_H

#include "iterators/row_reader.h"

typedef struct rn_held {
    rn_schema schema; /* of the plan node that was held */
    rn_layout layout;
    ration_context *context; /* all of it; owned */
    rn_rows rows;
} rn_held;

/* A reader's place, with its own vectors: several may read one held set. */
typedef struct rn_held_scan {
    const rn_held *held;
    rn_row_reader reader;
    rn_rows_cursor cursor;
    const rn_row **rows;
    uint32_t batch_rows;
    rn_batch batch;
} rn_held_scan;

/* The struct must not move afterwards. Errors: the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_held_open(const rn_schema *schema, ration_context *parent,
                                            ration_slot *slot, int64_t max_row_bytes,
                                            rn_held *out_held);
void rn_held_close(rn_held *held);
/* What a settle must charge ahead so that rn_held_add of this batch cannot be refused. */
int64_t rn_held_bound(const rn_held *held, const rn_batch *batch);
RATION_NODISCARD ration_status rn_held_add(rn_held *held, const rn_batch *batch);

/* Starts reading from the first row; the scan's memory is below `parent`. Errors: the limits'
 * statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_held_scan_open(const rn_held *held, ration_context *parent,
                                                 ration_slot *slot, uint32_t batch_rows,
                                                 rn_held_scan *out_scan);
/* Back to the first row. */
void rn_held_scan_restart(rn_held_scan *scan);
/* The next batch, valid until the next call; 0 rows at the end, again and again. Errors: the
 * limits' statuses, for lists of strings. */
RATION_NODISCARD ration_status rn_held_scan_next(rn_held_scan *scan, const rn_batch **out_batch);

#endif
