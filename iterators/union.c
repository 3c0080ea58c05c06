/* SPDX-License-Identifier: Apache-2.0
 *
 * union: the input's rows, then those of each sub-plan, one after the other. Duplicates stay.
 *
 * Holds: nothing. Spills: nothing to spill. Minimum: its state. */
#include "iterators/minimum.h"
#include "iterators/registry.h"

#define UNION_INPUTS_MAX 64u

typedef struct union_state {
    uint32_t current; /* input */
} union_state;

/* Same number of columns and same types; names are those of the first. A label that differs is not
 * known afterwards. */
static ration_status join_schema(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    const rn_schema *other = &node->inputs[node->input_count - 1]->output;
    rn_schema *output = &node->output;
    if (other->count != output->count) {
        return rn_planner_error(planner, yaml, "",
                                "this plan has %u columns, the rows before have %u", other->count,
                                output->count);
    }
    for (uint32_t i = 0; i < output->count; i++) {
        rn_type have = other->fields[i].type;
        rn_type *want = &output->fields[i].type;
        if (!rn_type_equal(have, *want)) {
            char have_name[32], want_name[32];
            return rn_planner_error(planner, yaml, "",
                                    "column %u (%s) of this plan is %s, %s before is %s", i + 1,
                                    other->fields[i].name, rn_type_name(have, have_name),
                                    output->fields[i].name, rn_type_name(*want, want_name));
        }
        if (have.label != want->label) {
            want->label = RN_LABEL_ANY;
        }
    }
    return RATION_OK;
}

static ration_status union_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"with"};
    const rn_yaml *with;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "with", &with));
    RN_TRY(rn_planner_output(planner, node, &node->inputs[0]->output, 0));
    bool single = with->kind != RN_YAML_SEQUENCE ||
                  (with->first != NULL && with->first->kind == RN_YAML_MAPPING);
    if (!single && with->count == 0) {
        return rn_planner_error(planner, with, "", "with names no plan");
    }
    for (const rn_yaml *item = single ? with : with->first; item != NULL;
         item = single ? NULL : item->next) {
        RN_TRY(rn_planner_input(planner, node, item));
        RN_TRY(join_schema(planner, node, item));
    }
    return RATION_OK;
}

static void union_explain(const rn_plan_node *node, rn_text *text)
{
    rn_text_format(text, "of %u", node->input_count);
}

static ration_status union_open(rn_operator *op)
{
    rn_assert(op->input_count >= 2);
    (void)op;
    return RATION_OK;
}

static rn_minimum union_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    rn_draft draft;
    (void)sizes;
    rn_minimum_open(node, &draft);
    return rn_minimum_streaming(&draft);
}

static ration_status union_next(rn_operator *op, const rn_batch **out_batch)
{
    union_state *state = op->state;
    op->batch.rows = 0;
    while (op->batch.rows == 0 && state->current < op->input_count) {
        const rn_batch *input;
        RN_TRY(rn_next(op, op->inputs[state->current], &input));
        if (input->rows == 0) {
            state->current += 1;
            continue;
        }
        memcpy(op->batch.columns, input->columns, input->column_count * sizeof(rn_column));
        op->batch.rows = input->rows;
    }
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_union_class = {
    .name = "union",
    .sentence = "the input's rows, then those of other plans",
    .state_bytes = sizeof(union_state),
    .inputs_min = 2,
    .inputs_max = UNION_INPUTS_MAX,
    .plan = union_plan,
    .explain = union_explain,
    .open = union_open,
    .next = union_next,
    .minimum = union_minimum,
};
