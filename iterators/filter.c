/* SPDX-License-Identifier: Apache-2.0
 *
 * filter: keeps the rows for which an expression is true. The columns are passed on through a
 * selection; nothing is copied.
 *
 * Holds: the expression's scratch and one array of picks. Spills: nothing to spill. Minimum: those.
 */
#include "iterators/evaluation.h"
#include "iterators/minimum.h"
#include "iterators/registry.h"

typedef struct filter_args {
    rn_expression *condition;
    const rn_graph *graph;
} filter_args;

typedef struct filter_state {
    rn_evaluator *evaluator;
    uint16_t *picks;
    rn_picker picker;
} filter_state;

static ration_status filter_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    filter_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    args->graph = rn_planner_graph(planner);
    RN_TRY(rn_planner_expression(planner, input, yaml, RN_BOOL, &args->condition));
    return rn_planner_output(planner, node, input, 0);
}

static void filter_explain(const rn_plan_node *node, rn_text *text)
{
    const filter_args *args = node->args;
    rn_expression_put(args->condition, text);
}

static ration_status filter_open(rn_operator *op)
{
    const filter_args *args = op->node->args;
    filter_state *state = op->state;
    uint32_t rows = op->worker->batch_rows;
    RN_TRY(rn_evaluator_open(args->condition, args->graph, op->context, rows, &state->evaluator));
    RN_TRY(rn_picker_open(op->context, op->node->output.count, op->worker->batch_rows,
                          &state->picker));
    state->picks = ration_context_allocate(op->context, rows * sizeof(uint16_t));
    return state->picks != NULL ? RATION_OK : ration_context_status(op->context);
}

static rn_minimum filter_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    const filter_args *args = node->args;
    rn_draft draft;
    rn_minimum_open(node, &draft);
    rn_minimum_evaluator(&draft, args->condition, sizes->batch_rows);
    rn_minimum_picker(&draft, node->output.count, sizes->batch_rows);
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(uint16_t));
    return rn_minimum_streaming(&draft);
}

static ration_status filter_next(rn_operator *op, const rn_batch **out_batch)
{
    filter_state *state = op->state;
    const rn_batch *input;
    uint32_t count = 0;
    do {
        RN_TRY(rn_next(op, op->inputs[0], &input));
        if (input->rows == 0) {
            break;
        }
        RN_TRY(rn_operator_filter(op, state->evaluator, input, state->picks, &count));
    } while (count == 0);
    if (count == 0) {
        op->batch.rows = 0; /* the end: there are no columns any more */
        *out_batch = &op->batch;
        return RATION_OK;
    }
    if (count == input->rows) {
        memcpy(op->batch.columns, input->columns, input->column_count * sizeof(rn_column));
    } else {
        rn_picker_apply(&state->picker, input, state->picks, count, op->batch.columns);
    }
    op->batch.rows = count;
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_filter_class = {
    .name = "filter",
    .sentence = "keeps the rows for which an expression is true",
    .args_bytes = sizeof(filter_args),
    .state_bytes = sizeof(filter_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = filter_plan,
    .explain = filter_explain,
    .open = filter_open,
    .next = filter_next,
    .minimum = filter_minimum,
};
