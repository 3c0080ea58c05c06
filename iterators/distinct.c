/* SPDX-License-Identifier: Apache-2.0
 *
 * distinct: one row per different combination of some columns, as soon as it is met: the first rows
 * with their key are passed on through a selection, so nothing is copied but what is kept to
 * compare with.
 *
 * Holds: one row per combination and its entry in the table. Spills: not yet. Minimum: scratch for
 * a batch, the first block of rows and table. */
#include "iterators/groups.h"
#include "iterators/registry.h"
#include "iterators/wide.h"

typedef struct distinct_args {
    uint32_t *columns; /* of the input */
    uint32_t count;
    bool all;
} distinct_args;

typedef struct distinct_state {
    rn_groups groups;
    rn_picker picker;
    rn_batch narrow; /* the input's columns that count */
    bool ended;
} distinct_state;

static ration_status name_all_columns(rn_planner *planner, const rn_schema *input,
                                      distinct_args *args)
{
    args->columns = rn_planner_allocate(planner, input->count * sizeof *args->columns);
    if (args->columns == NULL) {
        return RATION_NO_MEMORY;
    }
    args->count = input->count;
    for (uint32_t c = 0; c < input->count; c++) {
        args->columns[c] = c;
    }
    return RATION_OK;
}

static ration_status distinct_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    distinct_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    args->all = yaml->kind == RN_YAML_SCALAR && !yaml->quoted && strcmp(yaml->text, "all") == 0;
    if (args->all) {
        RN_TRY(name_all_columns(planner, input, args));
    } else {
        RN_TRY(rn_planner_columns(planner, input, yaml, &args->columns, &args->count));
    }
    RN_TRY(rn_planner_output(planner, node, NULL, args->count));
    for (uint32_t i = 0; i < args->count; i++) {
        const rn_field *field = &input->fields[args->columns[i]];
        RN_TRY(rn_planner_add(planner, node, yaml, field->name, field->type));
    }
    return RATION_OK;
}

static void distinct_explain(const rn_plan_node *node, rn_text *text)
{
    const distinct_args *args = node->args;
    if (args->all) {
        rn_text_put(text, "all");
        return;
    }
    for (uint32_t i = 0; i < node->output.count; i++) {
        rn_text_format(text, "%s%s", i == 0 ? "" : ", ", node->output.fields[i].name);
    }
}

static ration_status distinct_open(rn_operator *op)
{
    const distinct_args *args = op->node->args;
    distinct_state *state = op->state;
    rn_type types[RN_COLUMNS_MAX];
    for (uint32_t i = 0; i < args->count; i++) {
        types[i] = op->node->output.fields[i].type;
    }
    state->narrow.column_count = args->count;
    state->narrow.columns =
        ration_context_allocate(op->context, args->count * sizeof *state->narrow.columns);
    if (state->narrow.columns == NULL) {
        return ration_context_status(op->context);
    }
    RN_TRY(rn_picker_open(op->context, args->count, op->worker->batch_rows, &state->picker));
    return rn_groups_open(op, types, args->count, args->count, &state->groups);
}

static ration_status distinct_next(rn_operator *op, const rn_batch **out_batch)
{
    const distinct_args *args = op->node->args;
    distinct_state *state = op->state;
    rn_groups *groups = &state->groups;
    op->batch.rows = 0;
    while (!state->ended && op->batch.rows == 0) {
        const rn_batch *input;
        RN_TRY(rn_next(op, op->inputs[0], &input));
        if (input->rows == 0) {
            state->ended = true;
            break;
        }
        state->narrow.rows = input->rows;
        for (uint32_t i = 0; i < args->count; i++) {
            state->narrow.columns[i] = input->columns[args->columns[i]];
        }
        rn_groups_find(groups, input, args->columns, NULL, input->rows, true);
        if (groups->fresh_count > 0) {
            RN_TRY(rn_settle(op, 0, rn_groups_bound(groups, input, args->columns)));
            ration_status status = rn_groups_add(groups, input, args->columns);
            if (status != RATION_OK) {
                return rn_append_failed(op, status);
            }
        }
        op->batch.rows = groups->fresh_count;
        rn_picker_apply(&state->picker, &state->narrow, groups->fresh, groups->fresh_count,
                        op->batch.columns);
    }
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_distinct_class = {
    .name = "distinct",
    .sentence = "one row per different combination of some columns",
    .args_bytes = sizeof(distinct_args),
    .state_bytes = sizeof(distinct_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = distinct_plan,
    .explain = distinct_explain,
    .open = distinct_open,
    .next = distinct_next,
};
