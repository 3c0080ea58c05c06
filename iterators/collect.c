/* SPDX-License-Identifier: Apache-2.0
 *
 * collect: holds the whole result before handing it on, so that what is delivered is complete and
 * can be read again.
 *
 * Holds: every row. Spills: row blocks as they are. Minimum: one block of rows and a batch of
 * vectors. */
#include "iterators/held.h"
#include "iterators/registry.h"
#include "iterators/wide.h"

typedef struct collect_state {
    rn_held held;
    rn_held_scan scan;
    bool filled;
} collect_state;

static ration_status collect_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    const char *what;
    RN_TRY(rn_planner_text(planner, yaml, &what));
    if (strcmp(what, "all") != 0) {
        return rn_planner_error(planner, yaml, "write collect: all", "'%s' is not known", what);
    }
    return rn_planner_output(planner, node, &node->inputs[0]->output, 0);
}

static void collect_explain(const rn_plan_node *node, rn_text *text)
{
    (void)node;
    rn_text_put(text, "all");
}

static ration_status collect_open(rn_operator *op)
{
    collect_state *state = op->state;
    RN_TRY(rn_held_open(&op->node->output, op->context, op->worker->slot, op->worker->max_row_bytes,
                        &state->held));
    return rn_held_scan_open(&state->held, op->context, op->worker->slot, op->worker->batch_rows,
                             &state->scan);
}

static int64_t collect_bound(const rn_operator *op, const rn_batch *input)
{
    return rn_held_bound(&((const collect_state *)op->state)->held, input);
}

static ration_status collect_next(rn_operator *op, const rn_batch **out_batch)
{
    collect_state *state = op->state;
    while (!state->filled) {
        const rn_batch *input;
        RN_TRY(rn_next(op, op->inputs[0], &input));
        state->filled = input->rows == 0;
        if (!state->filled) {
            ration_status status = rn_held_add(&state->held, input);
            if (status != RATION_OK) {
                return rn_append_failed(op, status);
            }
        }
    }
    return rn_held_scan_next(&state->scan, out_batch);
}

const rn_operator_class rn_collect_class = {
    .name = "collect",
    .sentence = "holds the whole result, then hands it on",
    .state_bytes = sizeof(collect_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = collect_plan,
    .explain = collect_explain,
    .open = collect_open,
    .bound = collect_bound,
    .next = collect_next,
};
