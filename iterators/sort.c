/* SPDX-License-Identifier: Apache-2.0
 *
 * sort: all rows in order; ties are broken by the whole row, so the order is total.
 *
 * Holds: every row, and 16 bytes beside it (iterators/sorter.c). Spills: in sorted runs, as much as
 * is asked for; what is in memory at the end is merged with them from there. Minimum: scratch for
 * sorting one block of entries, that block and one of rows; or the buffers of a merge of two runs,
 * a block for the rows given and a batch of vectors. */
#include "iterators/minimum.h"
#include "iterators/registry.h"
#include "iterators/row_reader.h"
#include "iterators/sorter.h"

typedef struct sort_args {
    rn_order *order;
    uint32_t order_count;
} sort_args;

typedef struct sort_state {
    rn_sorter sorter;
    rn_row_reader reader;
    bool filled;
    uint64_t *keys;
    const rn_row **rows;
} sort_state;

static ration_status sort_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    sort_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    RN_TRY(rn_planner_order(planner, input, yaml, &args->order, &args->order_count));
    return rn_planner_output(planner, node, input, 0);
}

static void sort_explain(const rn_plan_node *node, rn_text *text)
{
    const sort_args *args = node->args;
    rn_order_put(args->order, args->order_count, &node->output, text);
}

static ration_status sort_open(rn_operator *op)
{
    sort_state *state = op->state;
    const sort_args *args = op->node->args;
    uint32_t rows = op->worker->batch_rows;
    RN_TRY(rn_sorter_open(op, &op->node->output, args->order, args->order_count, INT64_MAX,
                          &state->sorter));
    state->keys = ration_context_allocate(op->context, RN_BATCH_ROWS_MAX * sizeof *state->keys);
    state->rows = ration_context_allocate(op->context, rows * sizeof *state->rows);
    if (state->keys == NULL || state->rows == NULL) {
        return ration_context_status(op->context);
    }
    return rn_row_reader_open(op, &state->sorter.layout, 0, op->node->output.count, &state->reader);
}

static rn_minimum sort_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    rn_draft draft;
    rn_layout layout;
    rn_minimum_layout(&node->output, &layout);
    rn_minimum_open(node, &draft);
    rn_minimum_array(&draft, RN_BATCH_ROWS_MAX, sizeof(uint64_t));
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(const rn_row *));
    rn_minimum_reader(&draft, &layout, 0, layout.column_count, sizes);
    rn_minimum sorter = rn_sorter_minimum(&node->output, sizes);
    return (rn_minimum){draft.bytes + sorter.filling_bytes, draft.bytes + sorter.emitting_bytes};
}

static rn_spillable sort_spillable(const rn_operator *op)
{
    const sort_state *state = op->state;
    return rn_sorter_spillable(&state->sorter);
}

static ration_status sort_spill(rn_operator *op, int64_t want_bytes)
{
    sort_state *state = op->state;
    return rn_sorter_spill(&state->sorter, want_bytes);
}

static void sort_close(rn_operator *op)
{
    sort_state *state = op->state;
    rn_sorter_close(&state->sorter);
}

static ration_status fill(rn_operator *op)
{
    sort_state *state = op->state;
    const rn_batch *input;
    RN_TRY(rn_next(op, op->inputs[0], &input));
    while (input->rows > 0) {
        rn_sorter_keys(&state->sorter, input, state->keys);
        RN_TRY(rn_sorter_add(&state->sorter, input, state->keys, NULL, input->rows));
        RN_TRY(rn_next(op, op->inputs[0], &input));
    }
    state->filled = true;
    return RATION_OK;
}

static ration_status sort_next(rn_operator *op, const rn_batch **out_batch)
{
    sort_state *state = op->state;
    uint32_t rows;
    if (!state->filled) {
        RN_TRY(fill(op));
    }
    RN_TRY(rn_sorter_rows(&state->sorter, state->rows, op->worker->batch_rows, &rows));
    if (rows > 0) {
        RN_TRY(rn_row_reader_read(op, &state->reader, state->rows, rows, op->batch.columns));
    }
    op->batch.rows = rows;
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_sort_class = {
    .name = "sort",
    .sentence = "all rows in order",
    .args_bytes = sizeof(sort_args),
    .state_bytes = sizeof(sort_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = sort_plan,
    .explain = sort_explain,
    .open = sort_open,
    .next = sort_next,
    .minimum = sort_minimum,
    .spillable = sort_spillable,
    .spill = sort_spill,
    .close = sort_close,
};
