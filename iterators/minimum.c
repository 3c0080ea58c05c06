/* SPDX-License-Identifier: Apache-2.0
 *
 * The least bytes operators work with, on paper; see minimum.h.
 *
 * What is below mirrors the allocations of executor/execution.c, storage/batch.c, rows_append.c and
 * row_reader.c; tests/iterators/test_minimum.c compares it with what contexts then draw. */
#include "iterators/minimum.h"

#include "storage/row_run.h"

#define LIST_SEGMENT_BYTES 16016 /* of a list of strings that a reader rebuilds (storage/row.c) */

void rn_minimum_open(const rn_plan_node *node, rn_draft *out_draft)
{
    rn_context_draft_open(out_draft);
    rn_minimum_array(out_draft, node->output.count, sizeof(rn_column));
    rn_minimum_array(out_draft, 1, node->class_->state_bytes);
    rn_minimum_array(out_draft, 1, node->class_->shared_bytes);
    rn_minimum_array(out_draft, node->input_count, sizeof(rn_operator *));
}

void rn_minimum_array(rn_draft *draft, size_t count, size_t bytes)
{
    size_t all;
    rn_context_draft_add(draft, rn_array_bytes(count, bytes, &all) ? all : SIZE_MAX);
}

void rn_minimum_vector(rn_draft *draft, rn_kind kind, uint32_t rows)
{
    rn_minimum_array(draft, rows, rn_kind_bytes(kind));
    rn_minimum_array(draft, ((size_t)rows + 63) / 64, sizeof(uint64_t));
}

void rn_minimum_picker(rn_draft *draft, uint32_t columns, uint32_t rows)
{
    rn_minimum_array(draft, columns, rows * sizeof(uint16_t));
}

void rn_minimum_evaluator(rn_draft *draft, const rn_expression *expression, uint32_t rows)
{
    rn_evaluator_draft(expression, rows, draft);
}

void rn_minimum_reader(rn_draft *draft, const rn_layout *layout, uint32_t first, uint32_t count,
                       const rn_sizes *sizes)
{
    rn_minimum_array(draft, count, sizeof(uint32_t));
    rn_minimum_array(draft, count, sizeof(rn_vector));
    for (uint32_t i = 0; i < count; i++) {
        rn_minimum_vector(draft, (rn_kind)layout->types[first + i].kind, sizes->batch_rows);
    }
}

int64_t rn_minimum_lists(const rn_layout *layout, uint32_t first, uint32_t count, int64_t bytes)
{
    for (uint32_t i = first; i < first + count; i++) {
        if (layout->types[i].kind == RN_LIST && layout->types[i].element == RN_STRING) {
            rn_draft draft;
            rn_context_draft_open(&draft);
            return draft.bytes + rn_context_draft_bound(&draft, bytes, LIST_SEGMENT_BYTES);
        }
    }
    return 0;
}

int64_t rn_minimum_context(void)
{
    rn_draft draft;
    rn_context_draft_open(&draft);
    return draft.bytes;
}

int64_t rn_minimum_row_bytes(const rn_layout *layout, const rn_sizes *sizes)
{
    return layout->has_variable ? RN_MAX(sizes->max_row_bytes, (int64_t)layout->fixed_bytes)
                                : layout->fixed_bytes;
}

int64_t rn_minimum_block(int64_t row_bytes)
{
    return rn_rows_block_most(row_bytes);
}

int64_t rn_minimum_buffer(int64_t bytes)
{
    rn_draft draft;
    rn_context_draft_open(&draft);
    int64_t before = draft.bytes;
    rn_context_draft_add(&draft, (size_t)bytes);
    return draft.bytes - before;
}

int64_t rn_minimum_run_buffer(int64_t row_bytes, int64_t word_bytes)
{
    return rn_minimum_buffer(
        RN_MAX((int64_t)RN_RUN_BLOCK_BYTES, row_bytes + word_bytes + (int64_t)RN_RUN_HEAD_BYTES));
}

rn_minimum rn_minimum_streaming(const rn_draft *draft)
{
    return (rn_minimum){0, draft->bytes};
}

void rn_minimum_layout(const rn_schema *schema, rn_layout *out_layout)
{
    rn_type types[RN_COLUMNS_MAX];
    for (uint32_t c = 0; c < schema->count; c++) {
        types[c] = schema->fields[c].type;
    }
    rn_layout_set(out_layout, types, schema->count);
}
