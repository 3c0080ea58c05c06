/* SPDX-License-Identifier: Apache-2.0
 *
 * project: columns computed from the input's, each by an expression of its own; with `"*": all` the
 * input's columns come first.
 *
 * Holds: the scratch of its expressions. Spills: nothing to spill. Minimum: that scratch. A plain
 * column is passed on, not copied. */
#include "iterators/evaluation.h"
#include "iterators/minimum.h"
#include "iterators/registry.h"

typedef struct project_args {
    const rn_graph *graph;
    rn_expression **expressions;
    uint32_t count;
    uint32_t kept; /* columns of the input in front: all or none */
} project_args;

typedef struct project_state {
    rn_evaluator **evaluators;
} project_state;

static ration_status plan_star(rn_planner *planner, const rn_yaml *yaml, const rn_yaml *star)
{
    if (star != yaml->first) {
        return rn_planner_error(planner, star, "", "* must come first");
    }
    if (star->kind != RN_YAML_SCALAR || strcmp(star->text, "all") != 0) {
        return rn_planner_error(planner, star, "write \"*\": all", "* can only be all");
    }
    return RATION_OK;
}

static ration_status project_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    project_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    if (yaml->kind != RN_YAML_MAPPING || yaml->count == 0) {
        return rn_planner_error(planner, yaml, "project: { name: expression, ... }",
                                "needs a mapping of column names to expressions");
    }
    const rn_yaml *star = rn_yaml_get(yaml, "*");
    if (star != NULL) {
        RN_TRY(plan_star(planner, yaml, star));
        args->kept = input->count;
    }
    uint32_t more = (uint32_t)RN_MIN(yaml->count, RN_COLUMNS_MAX + 1) - (star != NULL);
    args->graph = rn_planner_graph(planner);
    args->expressions = rn_planner_allocate(planner, sizeof(rn_expression *) * (yaml->count + 1));
    if (args->expressions == NULL) {
        return RATION_NO_MEMORY;
    }
    RN_TRY(rn_planner_output(planner, node, star != NULL ? input : NULL, more));
    for (const rn_yaml *item = yaml->first; item != NULL; item = item->next) {
        if (item == star) {
            continue;
        }
        rn_expression **expression = &args->expressions[args->count++];
        RN_TRY(rn_planner_expression(planner, input, item, -1, expression));
        RN_TRY(rn_planner_add(planner, node, item, item->key, rn_expression_type(*expression)));
    }
    return RATION_OK;
}

static void project_explain(const rn_plan_node *node, rn_text *text)
{
    const project_args *args = node->args;
    rn_text_put(text, args->kept > 0 ? "*" : "");
    for (uint32_t i = 0; i < args->count; i++) {
        rn_text_format(text, "%s%s = ", i + args->kept > 0 ? ", " : "",
                       node->output.fields[args->kept + i].name);
        rn_expression_put(args->expressions[i], text);
    }
}

static ration_status project_open(rn_operator *op)
{
    const project_args *args = op->node->args;
    project_state *state = op->state;
    state->evaluators = ration_context_allocate(op->context, args->count * sizeof(rn_evaluator *));
    if (state->evaluators == NULL) {
        return ration_context_status(op->context);
    }
    for (uint32_t i = 0; i < args->count; i++) {
        RN_TRY(rn_evaluator_open(args->expressions[i], args->graph, op->context,
                                 op->worker->batch_rows, &state->evaluators[i]));
    }
    return RATION_OK;
}

static rn_minimum project_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    const project_args *args = node->args;
    rn_draft draft;
    rn_minimum_open(node, &draft);
    rn_minimum_array(&draft, args->count, sizeof(rn_evaluator *));
    for (uint32_t i = 0; i < args->count; i++) {
        rn_minimum_evaluator(&draft, args->expressions[i], sizes->batch_rows);
    }
    return rn_minimum_streaming(&draft);
}

static ration_status project_next(rn_operator *op, const rn_batch **out_batch)
{
    const project_args *args = op->node->args;
    project_state *state = op->state;
    const rn_batch *input;
    RN_TRY(rn_next(op, op->inputs[0], &input));
    if (args->kept > 0 && input->rows > 0) {
        memcpy(op->batch.columns, input->columns, args->kept * sizeof(rn_column));
    }
    for (uint32_t i = 0; i < args->count && input->rows > 0; i++) {
        rn_column *column = &op->batch.columns[args->kept + i];
        RN_TRY(rn_operator_evaluate(op, state->evaluators[i], input, column));
    }
    op->batch.rows = input->rows;
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_project_class = {
    .name = "project",
    .sentence = "columns computed by expressions",
    .args_bytes = sizeof(project_args),
    .state_bytes = sizeof(project_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = project_plan,
    .explain = project_explain,
    .open = project_open,
    .next = project_next,
    .minimum = project_minimum,
};
