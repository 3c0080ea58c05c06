/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches: what operators hand each other. At most RN_BATCH_ROWS_MAX rows; owned by the producer,
 * valid until the producer's next call.
 *
 * A column is a typed array, validity bits (1 = value; NULL = every row has one) and an optional
 * selection: row i of the batch is entry selection[i] of the array and of the validity bits. So
 * filter and expand pass columns on without copying them.
 */
#ifndef RATION_BATCH_H
#define RATION_BATCH_H

#include "ration_context.h"
#include "storage/value.h"

#define RN_BATCH_ROWS_MAX 1024u
#define RN_BATCH_BYTES_MAX (256 * 1024)
#define RN_COLUMNS_MAX 256u
#define RN_NAME_BYTES 64 /* of a column, label, edge type or property, with the NUL */

typedef struct rn_column {
    rn_type type;
    const void *data;          /* entries of rn_kind_bytes(type.kind) */
    const uint64_t *valid;     /* bit e of word e / 64 for entry e; NULL = all */
    const uint16_t *selection; /* NULL = row i is entry i */
} rn_column;

typedef struct rn_batch {
    uint32_t rows; /* 0 = end of the stream */
    uint32_t column_count;
    rn_column *columns;
} rn_batch;

static inline uint32_t rn_column_entry(const rn_column *column, uint32_t row)
{
    return column->selection == NULL ? row : column->selection[row];
}
static inline bool rn_bit_get(const uint64_t *bits, uint32_t index)
{
    return (bits[index >> 6] >> (index & 63)) & 1;
}
static inline void rn_bit_set(uint64_t *bits, uint32_t index)
{
    bits[index >> 6] |= UINT64_C(1) << (index & 63);
}
static inline void rn_bit_clear(uint64_t *bits, uint32_t index)
{
    bits[index >> 6] &= ~(UINT64_C(1) << (index & 63));
}
static inline bool rn_column_valid(const rn_column *column, uint32_t row)
{
    return column->valid == NULL || rn_bit_get(column->valid, rn_column_entry(column, row));
}
/* Address of row's value (meaningful only when valid). */
const void *rn_column_at(const rn_column *column, uint32_t row);
/* The value as rn_value (strings and lists still point). */
rn_value rn_column_value(const rn_column *column, uint32_t row);

/* Bytes behind pointers in the batch's rows: long strings and lists as they would be copied. Cost:
 * one pass over string and list columns, nothing when there are none. */
int64_t rn_batch_variable_bytes(const rn_batch *batch);

typedef struct rn_field {
    char name[RN_NAME_BYTES];
    rn_type type;
} rn_field;

/* Columns' names and types, in order. `fields` belongs to the plan. */
typedef struct rn_schema {
    uint32_t count;
    rn_field *fields;
} rn_schema;

/* Index of a column, or -1. */
int rn_schema_find(const rn_schema *schema, const char *name);

/* Arrays for one output column of up to `rows` entries, from a context. */
typedef struct rn_vector {
    void *data;
    uint64_t *valid; /* all bits kept; the owner decides whether to pass NULL on */
} rn_vector;

/* Errors: the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_vector_open(ration_context *context, rn_kind kind, uint32_t rows,
                                              rn_vector *out_vector);

/* Composes selections: passes the columns of `input` on through `pick[0..rows)`, one composed array
 * per distinct selection in the input, from `room` (rn_picker_open: columns x rows entries at
 * worst). */
typedef struct rn_picker {
    uint16_t *room;
    uint32_t room_columns;
    uint32_t room_rows;
} rn_picker;

/* For batches of at most `columns` columns and `rows` rows. Errors: the limits' statuses,
 * NO_MEMORY. */
RATION_NODISCARD ration_status rn_picker_open(ration_context *context, uint32_t columns,
                                              uint32_t rows, rn_picker *out_picker);
/* out[c] = input column c seen through pick. `pick` must stay valid as long as `out`. */
void rn_picker_apply(rn_picker *picker, const rn_batch *input, const uint16_t *pick, uint32_t rows,
                     rn_column *out);

#endif
