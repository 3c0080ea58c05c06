/* SPDX-License-Identifier: Apache-2.0
 *
 * collect: holds the whole result before handing it on, so that what is delivered is complete.
 *
 * Holds: every row, until it was handed on. Spills: row blocks as they are, oldest first, to one
 * run that is read back in order. Minimum: one block of rows or, when emitting, one to read into; a
 * batch of vectors. */
#include "iterators/held.h"
#include "iterators/minimum.h"
#include "iterators/registry.h"
#include "iterators/wide.h"

typedef struct collect_state {
    rn_held held;
    rn_held_scan scan;
    uint32_t fits; /* rows of the batch in hand that were settled for */
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
    rn_worker *worker = op->worker;
    RN_TRY(rn_held_open(&op->node->output, op->context, worker->slot, worker->max_row_bytes,
                        worker->spill_file, &state->held));
    return rn_held_scan_open(&state->held, op->context, worker->slot, worker->batch_rows, true,
                             &state->scan);
}

static rn_minimum collect_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    rn_draft draft;
    rn_layout layout;
    uint32_t columns = node->output.count;
    rn_minimum_layout(&node->output, &layout);
    int64_t row_bytes = rn_minimum_row_bytes(&layout, sizes);
    int64_t block_bytes = rn_minimum_block(row_bytes);
    rn_minimum_open(node, &draft);
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(rn_row *));
    rn_minimum_array(&draft, columns, sizeof(rn_column));
    rn_minimum_reader(&draft, &layout, 0, columns, sizes);
    int64_t open_bytes = draft.bytes + rn_held_minimum() + rn_minimum_lists(&layout, 0, columns, 0);
    int64_t reading_bytes = RN_MAX(block_bytes, rn_minimum_run_buffer(row_bytes, 0)) +
                            rn_minimum_lists(&layout, 0, columns, block_bytes) -
                            rn_minimum_lists(&layout, 0, columns, 0);
    return (rn_minimum){open_bytes + block_bytes, open_bytes + reading_bytes};
}

static int64_t collect_bound(const rn_operator *op, const rn_batch *input)
{
    collect_state *state = op->state;
    int64_t bytes;
    state->fits = rn_held_fit(&state->held, input, 0, &bytes);
    return bytes;
}

/* Adds what was settled for, then settles for the next part. */
static ration_status hold_batch(rn_operator *op, const rn_batch *input, bool settled)
{
    collect_state *state = op->state;
    for (uint32_t from = 0; from < input->rows;) {
        if (settled) {
            ration_status status = rn_held_put(&state->held, input, from, state->fits);
            if (status != RATION_OK) {
                return rn_append_failed(op, status);
            }
            from += state->fits;
        }
        if (from < input->rows) {
            int64_t bytes;
            uint64_t spills = op->spills;
            state->fits = rn_held_fit(&state->held, input, from, &bytes);
            RN_TRY(rn_settle(op, 0, bytes));
            settled = op->spills == spills; /* else it is another block that they go into */
        }
    }
    return RATION_OK;
}

static ration_status collect_next(rn_operator *op, const rn_batch **out_batch)
{
    collect_state *state = op->state;
    while (!state->filled) {
        const rn_batch *input;
        uint64_t spills = op->spills;
        RN_TRY(rn_next(op, op->inputs[0], &input));
        state->filled = input->rows == 0;
        RN_TRY(hold_batch(op, input, op->spills == spills));
    }
    return rn_held_scan_read(op, &state->scan, out_batch);
}

static rn_spillable collect_spillable(const rn_operator *op)
{
    return rn_held_spillable(&((const collect_state *)op->state)->held);
}

static ration_status collect_spill(rn_operator *op, int64_t want_bytes)
{
    collect_state *state = op->state;
    return rn_held_spill(&state->held, want_bytes);
}

static void collect_close(rn_operator *op)
{
    collect_state *state = op->state;
    rn_held_scan_close(&state->scan);
    rn_held_close(&state->held);
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
    .minimum = collect_minimum,
    .spillable = collect_spillable,
    .spill = collect_spill,
    .close = collect_close,
};
