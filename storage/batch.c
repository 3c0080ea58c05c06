/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches: reading one value, measuring what lies behind pointers, passing columns on through a
 * selection.
 */
#include "storage/batch.h"

const void *rn_column_at(const rn_column *column, uint32_t row)
{
    return (const char *)column->data +
           rn_kind_bytes((rn_kind)column->type.kind) * rn_column_entry(column, row);
}

rn_value rn_column_value(const rn_column *column, uint32_t row)
{
    rn_value value;
    memset(&value, 0, sizeof value);
    value.type = column->type;
    value.null = !rn_column_valid(column, row);
    if (!value.null) {
        memcpy(&value.as, rn_column_at(column, row), rn_kind_bytes((rn_kind)column->type.kind));
    }
    return value;
}

static int64_t sum_strings(const rn_string *strings, uint32_t count)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += strings[i].length > RN_STRING_INLINE_MAX ? strings[i].length : 0;
    }
    return bytes;
}

static int64_t sum_list(const rn_list *list, rn_kind element)
{
    int64_t bytes = 0;
    for (const rn_list_segment *at = list->first; at != NULL; at = at->next) {
        bytes += (int64_t)at->count * (int64_t)rn_kind_bytes(element);
        if (element == RN_STRING) {
            bytes += sum_strings(rn_list_values(at), at->count);
        }
    }
    return bytes;
}

static int64_t sum_column(const rn_column *column, uint32_t rows)
{
    int64_t bytes = 0;
    for (uint32_t row = 0; row < rows; row++) {
        if (!rn_column_valid(column, row)) {
            continue;
        }
        if (column->type.kind == RN_STRING) {
            bytes += sum_strings(rn_column_at(column, row), 1);
        } else {
            bytes += sum_list(rn_column_at(column, row), (rn_kind)column->type.element);
        }
    }
    return bytes;
}

int64_t rn_batch_variable_bytes(const rn_batch *batch)
{
    int64_t bytes = 0;
    for (uint32_t c = 0; c < batch->column_count; c++) {
        const rn_column *column = &batch->columns[c];
        if (column->type.kind == RN_STRING && column->selection == NULL && column->valid == NULL) {
            bytes += sum_strings(column->data, batch->rows);
        } else if (column->type.kind == RN_STRING || column->type.kind == RN_LIST) {
            bytes += sum_column(column, batch->rows);
        }
    }
    return bytes;
}

int rn_schema_find(const rn_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        if (strcmp(schema->fields[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

ration_status rn_vector_open(ration_context *context, rn_kind kind, uint32_t rows,
                             rn_vector *out_vector)
{
    size_t valid_bytes = ((size_t)rows + 63) / 64 * sizeof(uint64_t);
    size_t data_bytes;
    if (rn_never(!rn_array_bytes(rows, rn_kind_bytes(kind), &data_bytes))) {
        return RATION_INVALID_ARGUMENT;
    }
    rn_vector vector = {ration_context_allocate(context, data_bytes), NULL};
    if (vector.data == NULL) {
        return ration_context_status(context);
    }
    vector.valid = ration_context_allocate_zero(context, valid_bytes);
    if (vector.valid == NULL) {
        return ration_context_status(context);
    }
    *out_vector = vector;
    return RATION_OK;
}

ration_status rn_picker_open(ration_context *context, uint32_t columns, uint32_t rows,
                             rn_picker *out_picker)
{
    size_t bytes;
    if (rn_never(!rn_array_bytes(columns, rows * sizeof(uint16_t), &bytes))) {
        return RATION_INVALID_ARGUMENT;
    }
    uint16_t *room = ration_context_allocate(context, bytes);
    if (room == NULL) {
        return ration_context_status(context);
    }
    *out_picker = (rn_picker){room, columns, rows};
    return RATION_OK;
}

/* The column before `column` that has the same selection, or `column` itself. */
static uint32_t first_with_selection(const rn_batch *input, uint32_t column)
{
    uint32_t other = 0;
    while (input->columns[other].selection != input->columns[column].selection) {
        other++;
    }
    return other;
}

void rn_picker_apply(rn_picker *picker, const rn_batch *input, const uint16_t *pick, uint32_t rows,
                     rn_column *out)
{
    rn_assert(rows <= RN_BATCH_ROWS_MAX && out != input->columns);
    uint32_t used = 0;
    for (uint32_t c = 0; c < input->column_count; c++) {
        const uint16_t *selection = input->columns[c].selection;
        out[c] = input->columns[c];
        out[c].selection = pick;
        if (selection == NULL) {
            continue;
        }
        uint32_t first = first_with_selection(input, c);
        if (first < c) {
            out[c].selection = out[first].selection;
            continue;
        }
        rn_assert(used < picker->room_columns && rows <= picker->room_rows);
        uint16_t *composed = picker->room + (size_t)used++ * picker->room_rows;
        for (uint32_t i = 0; i < rows; i++) {
            composed[i] = selection[pick[i]];
        }
        out[c].selection = composed;
    }
}
