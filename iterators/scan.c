/* SPDX-License-Identifier: Apache-2.0
 *
 * scan: one row per node of a label, in the order of their numbers; or the nodes with given
 * external ids.
 *
 * Holds: one vector of node numbers. Spills: nothing to spill. Minimum: that vector, batch_rows x 4
 * bytes.
 *
 * External ids are looked up once, when the plan is built: an id that does not exist gives no row,
 * one that is named twice gives one. */
#include "iterators/minimum.h"
#include "iterators/registry.h"

#include <stdlib.h>

typedef struct scan_args {
    const rn_label *label;
    uint32_t *nodes; /* ascending, each once; NULL = all of the label */
    uint32_t count;
} scan_args;

typedef struct scan_state {
    rn_vector nodes;
    uint32_t done;
} scan_state;

static int compare_nodes(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static ration_status find_node(rn_planner *planner, scan_args *args, uint16_t label,
                               const rn_yaml *id)
{
    rn_value value;
    RN_TRY(rn_planner_value(planner, id, &value));
    if (value.null) {
        return RATION_OK;
    }
    rn_type key = args->label->properties[args->label->key].type;
    if (value.type.kind != key.kind) {
        char want[32], have[32];
        return rn_planner_error(planner, id, "", "ids of %s are %s, not %s", args->label->name,
                                rn_type_name(key, want), rn_type_name(value.type, have));
    }
    uint32_t node;
    if (rn_graph_find_node(rn_planner_graph(planner), label, &value, &node)) {
        args->nodes[args->count++] = node;
    }
    return RATION_OK;
}

static ration_status plan_ids(rn_planner *planner, scan_args *args, uint16_t label,
                              const rn_yaml *ids)
{
    bool several = ids->kind == RN_YAML_SEQUENCE;
    args->nodes = rn_planner_allocate(planner, sizeof(uint32_t) * (several ? ids->count + 1 : 1));
    if (args->nodes == NULL) {
        return RATION_NO_MEMORY;
    }
    for (const rn_yaml *id = several ? ids->first : ids; id != NULL;
         id = several ? id->next : NULL) {
        RN_TRY(find_node(planner, args, label, id));
    }
    qsort(args->nodes, args->count, sizeof(uint32_t), compare_nodes);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < args->count; i++) {
        if (kept == 0 || args->nodes[kept - 1] != args->nodes[i]) {
            args->nodes[kept++] = args->nodes[i];
        }
    }
    args->count = kept;
    return RATION_OK;
}

static ration_status scan_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"label", "as", "id"};
    scan_args *args = node->args;
    const rn_yaml *label_yaml, *as_yaml;
    const char *name;
    uint16_t label;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "label", &label_yaml));
    RN_TRY(rn_planner_require(planner, yaml, "as", &as_yaml));
    RN_TRY(rn_planner_label(planner, label_yaml, &label));
    RN_TRY(rn_planner_text(planner, as_yaml, &name));
    args->label = rn_graph_label(rn_planner_graph(planner), label);
    const rn_yaml *ids = rn_yaml_get(yaml, "id");
    if (ids != NULL) {
        RN_TRY(plan_ids(planner, args, label, ids));
    }
    rn_type type = rn_type_of(RN_NODE);
    type.label = label;
    RN_TRY(rn_planner_output(planner, node, NULL, 1));
    return rn_planner_add(planner, node, as_yaml, name, type);
}

static void scan_explain(const rn_plan_node *node, rn_text *text)
{
    const scan_args *args = node->args;
    rn_text_format(text, "%s as %s", args->label->name, node->output.fields[0].name);
    if (args->nodes != NULL) {
        rn_text_format(text, ", %u found by id", args->count);
    }
}

static ration_status scan_open(rn_operator *op)
{
    scan_state *state = op->state;
    return rn_vector_open(op->context, RN_NODE, op->worker->batch_rows, &state->nodes);
}

static rn_minimum scan_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    rn_draft draft;
    rn_minimum_open(node, &draft);
    rn_minimum_vector(&draft, RN_NODE, sizes->batch_rows);
    return rn_minimum_streaming(&draft);
}

static ration_status scan_next(rn_operator *op, const rn_batch **out_batch)
{
    const scan_args *args = op->node->args;
    scan_state *state = op->state;
    uint32_t total = args->nodes != NULL ? args->count : args->label->count;
    uint32_t rows = RN_MIN(total - state->done, op->worker->batch_rows);
    rn_column *column = &op->batch.columns[0];
    *column = (rn_column){.type = op->node->output.fields[0].type, .data = state->nodes.data};
    if (args->nodes != NULL) {
        column->data = args->nodes + state->done;
    } else {
        uint32_t *nodes = state->nodes.data;
        uint32_t first = args->label->first + state->done;
        for (uint32_t i = 0; i < rows; i++) {
            nodes[i] = first + i;
        }
    }
    state->done += rows;
    op->batch.rows = rows;
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_scan_class = {
    .name = "scan",
    .sentence = "one row per node of a label, or per external id",
    .args_bytes = sizeof(scan_args),
    .state_bytes = sizeof(scan_state),
    .plan = scan_plan,
    .explain = scan_explain,
    .open = scan_open,
    .next = scan_next,
    .minimum = scan_minimum,
};
