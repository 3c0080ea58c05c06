/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows in blocks, read back a batch at a time in the order they came. */
#include "iterators/held.h"

ration_status rn_held_open(const rn_schema *schema, ration_context *parent, ration_slot *slot,
                           int64_t max_row_bytes, rn_held *out_held)
{
    rn_type types[RN_COLUMNS_MAX];
    for (uint32_t c = 0; c < schema->count; c++) {
        types[c] = schema->fields[c].type;
    }
    out_held->schema = *schema;
    rn_layout_set(&out_held->layout, types, schema->count);
    RN_TRY(ration_context_create(parent, slot, RATION_CONTEXT_BUMP, "held", &out_held->context));
    ration_status status = rn_rows_open(&out_held->layout, out_held->context, slot, "held rows",
                                        max_row_bytes, &out_held->rows);
    if (status != RATION_OK) {
        rn_held_close(out_held);
    }
    return status;
}

void rn_held_close(rn_held *held)
{
    ration_context_delete(held->context);
    held->context = NULL;
}

int64_t rn_held_bound(const rn_held *held, const rn_batch *batch)
{
    return rn_rows_bound(&held->rows, batch, NULL, NULL, batch->rows);
}

ration_status rn_held_add(rn_held *held, const rn_batch *batch)
{
    return rn_rows_append(&held->rows, batch, NULL, NULL, batch->rows, NULL);
}

ration_status rn_held_scan_open(const rn_held *held, ration_context *parent, ration_slot *slot,
                                uint32_t batch_rows, rn_held_scan *out_scan)
{
    rn_held_scan scan = {.held = held, .batch_rows = batch_rows};
    scan.rows = ration_context_allocate(parent, batch_rows * sizeof *scan.rows);
    scan.batch.columns =
        ration_context_allocate_zero(parent, held->schema.count * sizeof(rn_column));
    scan.batch.column_count = held->schema.count;
    if (scan.rows == NULL || scan.batch.columns == NULL) {
        return ration_context_status(parent);
    }
    RN_TRY(rn_row_reader_open_in(parent, slot, batch_rows, &held->layout, 0, held->schema.count,
                                 &scan.reader));
    *out_scan = scan;
    return RATION_OK;
}

void rn_held_scan_restart(rn_held_scan *scan)
{
    memset(&scan->cursor, 0, sizeof scan->cursor);
}

ration_status rn_held_scan_next(rn_held_scan *scan, const rn_batch **out_batch)
{
    uint32_t rows = rn_rows_next(&scan->held->rows, &scan->cursor, scan->rows, scan->batch_rows);
    if (rows > 0) {
        RN_TRY(rn_row_reader_fill(&scan->reader, scan->rows, rows, scan->batch.columns));
    }
    scan->batch.rows = rows;
    *out_batch = &scan->batch;
    return RATION_OK;
}
