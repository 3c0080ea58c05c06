/* SPDX-License-Identifier: Apache-2.0
 *
 * exists keeps the rows that have an edge (semi), not_exists those that have none (anti); with
 * `to`, an edge between two bound nodes. A null at either end has no edge.
 *
 * Holds: one array of picks. Spills: nothing to spill. Minimum: that array, batch_rows x 2 bytes.
 */
#include "iterators/minimum.h"
#include "iterators/registry.h"
#include "iterators/sides.h"

typedef struct exists_args {
    const rn_graph *graph;
    rn_edges edges;
    rn_sides sides;
    uint32_t from;
    uint32_t to; /* column, when bound */
    bool bound;
} exists_args;

typedef struct exists_state {
    uint16_t *picks;
    rn_picker picker;
} exists_state;

static ration_status exists_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"from", "edge", "direction", "to"};
    exists_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    const rn_yaml *from;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "from", &from));
    RN_TRY(rn_planner_column(planner, input, from, RN_NODE, &args->from));
    RN_TRY(rn_planner_edges(planner, yaml, &args->edges));
    const rn_yaml *to = rn_yaml_get(yaml, "to");
    if (to != NULL) {
        RN_TRY(rn_planner_column(planner, input, to, RN_NODE, &args->to));
        args->bound = true;
    }
    args->graph = rn_planner_graph(planner);
    RN_TRY(rn_sides_plan(planner, &args->edges, RN_LABEL_ANY, false, &args->sides));
    return rn_planner_output(planner, node, input, 0);
}

static void exists_explain(const rn_plan_node *node, rn_text *text)
{
    const exists_args *args = node->args;
    rn_text_put(text, node->output.fields[args->from].name);
    rn_text_put(text, " ");
    rn_edges_put(text, args->graph, &args->edges);
    if (args->bound) {
        rn_text_format(text, " %s", node->output.fields[args->to].name);
    }
}

static ration_status exists_open(rn_operator *op)
{
    exists_state *state = op->state;
    RN_TRY(rn_picker_open(op->context, op->node->output.count, op->worker->batch_rows,
                          &state->picker));
    state->picks = ration_context_allocate(op->context, op->worker->batch_rows * sizeof(uint16_t));
    return state->picks != NULL ? RATION_OK : ration_context_status(op->context);
}

static rn_minimum exists_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    rn_draft draft;
    rn_minimum_open(node, &draft);
    rn_minimum_picker(&draft, node->output.count, sizes->batch_rows);
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(uint16_t));
    return rn_minimum_streaming(&draft);
}

static bool has_edge(const exists_args *args, const rn_batch *input, uint32_t row)
{
    const rn_column *from = &input->columns[args->from];
    if (!rn_column_valid(from, row)) {
        return false;
    }
    rn_sides_cursor cursor;
    rn_sides_start(&cursor, ((const uint32_t *)from->data)[rn_column_entry(from, row)]);
    if (!args->bound) {
        return rn_sides_next(&args->sides, &cursor);
    }
    const rn_column *to = &input->columns[args->to];
    return rn_column_valid(to, row) &&
           rn_sides_next_to(&args->sides, &cursor,
                            ((const uint32_t *)to->data)[rn_column_entry(to, row)]);
}

static ration_status pick_rows(rn_operator *op, bool wanted, const rn_batch **out_batch)
{
    exists_state *state = op->state;
    const rn_batch *input;
    uint32_t count = 0;
    do {
        RN_TRY(rn_next(op, op->inputs[0], &input));
        for (uint32_t row = 0; row < input->rows; row++) {
            state->picks[count] = (uint16_t)row;
            count += has_edge(op->node->args, input, row) == wanted;
        }
    } while (count == 0 && input->rows > 0);
    rn_picker_apply(&state->picker, input, state->picks, count, op->batch.columns);
    op->batch.rows = count;
    *out_batch = &op->batch;
    return RATION_OK;
}

static ration_status exists_next(rn_operator *op, const rn_batch **out_batch)
{
    return pick_rows(op, true, out_batch);
}

static ration_status not_exists_next(rn_operator *op, const rn_batch **out_batch)
{
    return pick_rows(op, false, out_batch);
}

const rn_operator_class rn_exists_class = {
    .name = "exists",
    .sentence = "keeps rows that have an edge",
    .args_bytes = sizeof(exists_args),
    .state_bytes = sizeof(exists_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = exists_plan,
    .explain = exists_explain,
    .open = exists_open,
    .next = exists_next,
    .minimum = exists_minimum,
};

const rn_operator_class rn_not_exists_class = {
    .name = "not_exists",
    .sentence = "keeps rows that have no edge",
    .args_bytes = sizeof(exists_args),
    .state_bytes = sizeof(exists_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = exists_plan,
    .explain = exists_explain,
    .open = exists_open,
    .next = not_exists_next,
    .minimum = exists_minimum,
};
