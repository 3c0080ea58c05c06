/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading held rows into batches; see row_reader.h. */
#include "iterators/row_reader.h"

ration_status rn_row_reader_open_in(ration_context *parent, ration_slot *slot, uint32_t batch_rows,
                                    const rn_layout *layout, uint32_t first, uint32_t count,
                                    rn_row_reader *out_reader)
{
    rn_row_reader reader = {.layout = layout, .count = count};
    bool lists = false;
    reader.columns = ration_context_allocate(parent, count * sizeof *reader.columns);
    reader.vectors = ration_context_allocate(parent, count * sizeof *reader.vectors);
    if (reader.columns == NULL || reader.vectors == NULL) {
        return ration_context_status(parent);
    }
    for (uint32_t i = 0; i < count; i++) {
        rn_type type = layout->types[first + i];
        reader.columns[i] = first + i;
        lists |= type.kind == RN_LIST && type.element == RN_STRING;
        RN_TRY(rn_vector_open(parent, (rn_kind)type.kind, batch_rows, &reader.vectors[i]));
    }
    if (lists) {
        RN_TRY(ration_context_create(parent, slot, RATION_CONTEXT_BUMP, "lists", &reader.lists));
    }
    *out_reader = reader;
    return RATION_OK;
}

ration_status rn_row_reader_open(rn_operator *op, const rn_layout *layout, uint32_t first,
                                 uint32_t count, rn_row_reader *out_reader)
{
    return rn_row_reader_open_in(op->context, op->worker->slot, op->worker->batch_rows, layout,
                                 first, count, out_reader);
}

static int64_t lists_bound(const rn_row_reader *reader, const rn_row *const *rows,
                           uint32_t row_count)
{
    size_t bytes = 0, largest = 0;
    for (uint32_t i = 0; i < reader->count; i++) {
        rn_rows_read_chunks(reader->layout, rows, row_count, reader->columns[i], reader->lists,
                            &bytes, &largest);
    }
    return rn_context_bound(reader->lists, bytes, largest);
}

ration_status rn_row_reader_fill(rn_row_reader *reader, const rn_row *const *rows,
                                 uint32_t row_count, rn_column *out_columns)
{
    if (reader->lists != NULL) {
        ration_context_reset(reader->lists);
    }
    for (uint32_t i = 0; i < reader->count; i++) {
        RN_TRY(rn_rows_read(reader->layout, rows, row_count, reader->columns[i], reader->lists,
                            &reader->vectors[i], &out_columns[i]));
    }
    return RATION_OK;
}

ration_status rn_row_reader_read(rn_operator *op, rn_row_reader *reader, const rn_row *const *rows,
                                 uint32_t row_count, rn_column *out_columns)
{
    if (reader->lists != NULL) {
        ration_context_reset(reader->lists);
        RN_TRY(rn_settle(op, 0, lists_bound(reader, rows, row_count)));
    }
    return rn_row_reader_fill(reader, rows, row_count, out_columns);
}
