/* SPDX-License-Identifier: Apache-2.0
 *
 * limit: the first rows; its input is not pulled again once they are through. skip: all but the
 * first rows.
 *
 * Holds: skip one array of picks. Spills: nothing to spill. Minimum: that array, batch_rows x 2
 * bytes. */
#include "iterators/minimum.h"
#include "iterators/registry.h"

typedef struct limit_args {
    int64_t rows;
} limit_args;

typedef struct limit_state {
    int64_t left; /* limit: rows still to pass; skip: rows still to drop */
    uint16_t *picks;
    rn_picker picker;
} limit_state;

static ration_status limit_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    limit_args *args = node->args;
    RN_TRY(rn_planner_int64(planner, yaml, 0, INT64_MAX, &args->rows));
    return rn_planner_output(planner, node, &node->inputs[0]->output, 0);
}

static void limit_explain(const rn_plan_node *node, rn_text *text)
{
    const limit_args *args = node->args;
    rn_text_format(text, "%lld", (long long)args->rows);
}

static ration_status limit_open(rn_operator *op)
{
    limit_state *state = op->state;
    state->left = ((const limit_args *)op->node->args)->rows;
    return RATION_OK;
}

static rn_minimum limit_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    rn_draft draft;
    (void)sizes;
    rn_minimum_open(node, &draft);
    return rn_minimum_streaming(&draft);
}

static ration_status limit_next(rn_operator *op, const rn_batch **out_batch)
{
    limit_state *state = op->state;
    op->batch.rows = 0;
    *out_batch = &op->batch;
    if (state->left == 0) {
        return RATION_OK;
    }
    const rn_batch *input;
    RN_TRY(rn_next(op, op->inputs[0], &input));
    if (input->rows > 0) {
        memcpy(op->batch.columns, input->columns, input->column_count * sizeof(rn_column));
    }
    op->batch.rows = (uint32_t)RN_MIN(state->left, (int64_t)input->rows);
    state->left -= op->batch.rows;
    return RATION_OK;
}

static ration_status skip_open(rn_operator *op)
{
    limit_state *state = op->state;
    state->left = ((const limit_args *)op->node->args)->rows;
    RN_TRY(rn_picker_open(op->context, op->node->output.count, op->worker->batch_rows,
                          &state->picker));
    state->picks = ration_context_allocate(op->context, op->worker->batch_rows * sizeof(uint16_t));
    return state->picks != NULL ? RATION_OK : ration_context_status(op->context);
}

static rn_minimum skip_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    rn_draft draft;
    rn_minimum_open(node, &draft);
    rn_minimum_picker(&draft, node->output.count, sizes->batch_rows);
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(uint16_t));
    return rn_minimum_streaming(&draft);
}

static ration_status skip_next(rn_operator *op, const rn_batch **out_batch)
{
    limit_state *state = op->state;
    const rn_batch *input;
    RN_TRY(rn_next(op, op->inputs[0], &input));
    while (input->rows > 0 && state->left >= (int64_t)input->rows) {
        state->left -= input->rows;
        RN_TRY(rn_next(op, op->inputs[0], &input));
    }
    uint32_t dropped = (uint32_t)RN_MIN(state->left, (int64_t)input->rows);
    uint32_t rows = input->rows - dropped;
    if (rows > 0 && dropped == 0) {
        memcpy(op->batch.columns, input->columns, input->column_count * sizeof(rn_column));
    } else if (rows > 0) {
        for (uint32_t i = 0; i < rows; i++) {
            state->picks[i] = (uint16_t)(dropped + i);
        }
        rn_picker_apply(&state->picker, input, state->picks, rows, op->batch.columns);
        state->left = 0;
    }
    op->batch.rows = rows;
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_limit_class = {
    .name = "limit",
    .sentence = "the first rows",
    .args_bytes = sizeof(limit_args),
    .state_bytes = sizeof(limit_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = limit_plan,
    .explain = limit_explain,
    .open = limit_open,
    .next = limit_next,
    .minimum = limit_minimum,
};

const rn_operator_class rn_skip_class = {
    .name = "skip",
    .sentence = "all but the first rows",
    .args_bytes = sizeof(limit_args),
    .state_bytes = sizeof(limit_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = limit_plan,
    .explain = limit_explain,
    .open = skip_open,
    .next = skip_next,
    .minimum = skip_minimum,
};
