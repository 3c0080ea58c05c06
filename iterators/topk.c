/* SPDX-License-Identifier: Apache-2.0
 *
 * topk: the first rows of an order, as sort and limit would give them.
 *
 * Rows are collected in a sorter; whenever it has taken in PRUNE_FACTOR times the rows asked for,
 * its first rows are put into a fresh one and it is closed. From then on a row whose word is
 * later than the last kept one's is not held at all, so almost every row of a long input costs
 * one comparison of words.
 *
 * Holds: up to PRUNE_FACTOR x k rows (PRUNE_ROWS_MIN at least), and k more while pruning. Spills:
 * as sort, each run k rows at most; runs are pruned like rows in memory. Minimum: a sorter that
 * gives and one that fills. */
#include "iterators/minimum.h"
#include "iterators/registry.h"
#include "iterators/row_reader.h"
#include "iterators/sorter.h"

#define PRUNE_FACTOR 4
#define PRUNE_ROWS_MIN 4000

typedef struct topk_args {
    int64_t rows;
    rn_order *order;
    uint32_t order_count;
} topk_args;

typedef struct topk_state {
    rn_sorter sorters[2]; /* the one in use, and while pruning the one to come */
    uint32_t current;
    rn_row_reader reader;
    bool filled;
    uint64_t last_key; /* rows with a later word cannot be among the first */
    uint64_t *keys;
    uint16_t *picks;
    const rn_row **rows;
    rn_column *columns; /* of rows on their way from one sorter to the next */
} topk_state;

static ration_status topk_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"rows", "by"};
    topk_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    const rn_yaml *rows, *by;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    RN_TRY(rn_planner_require(planner, yaml, "rows", &rows));
    RN_TRY(rn_planner_int64(planner, rows, 0, INT64_MAX / (2 * PRUNE_FACTOR), &args->rows));
    RN_TRY(rn_planner_require(planner, yaml, "by", &by));
    RN_TRY(rn_planner_order(planner, input, by, &args->order, &args->order_count));
    return rn_planner_output(planner, node, input, 0);
}

static void topk_explain(const rn_plan_node *node, rn_text *text)
{
    const topk_args *args = node->args;
    rn_text_format(text, "%lld by ", (long long)args->rows);
    rn_order_put(args->order, args->order_count, &node->output, text);
}

static int64_t rows_asked(const rn_operator *op)
{
    return ((const topk_args *)op->node->args)->rows;
}

static ration_status open_sorter(rn_operator *op, rn_sorter *sorter)
{
    const topk_args *args = op->node->args;
    return rn_sorter_open(op, &op->node->output, args->order, args->order_count, args->rows,
                          sorter);
}

static ration_status topk_open(rn_operator *op)
{
    topk_state *state = op->state;
    uint32_t rows = op->worker->batch_rows;
    state->last_key = UINT64_MAX;
    RN_TRY(open_sorter(op, &state->sorters[0]));
    state->keys = ration_context_allocate(op->context, RN_BATCH_ROWS_MAX * sizeof *state->keys);
    state->picks = ration_context_allocate(op->context, RN_BATCH_ROWS_MAX * sizeof *state->picks);
    state->rows = ration_context_allocate(op->context, rows * sizeof *state->rows);
    state->columns =
        ration_context_allocate_zero(op->context, op->node->output.count * sizeof *state->columns);
    if (state->keys == NULL || state->picks == NULL || state->rows == NULL ||
        state->columns == NULL) {
        return ration_context_status(op->context);
    }
    return rn_row_reader_open(op, &state->sorters[0].layout, 0, op->node->output.count,
                              &state->reader);
}

static rn_minimum topk_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    rn_draft draft;
    rn_layout layout;
    rn_minimum_layout(&node->output, &layout);
    rn_minimum_open(node, &draft);
    rn_minimum_array(&draft, RN_BATCH_ROWS_MAX, sizeof(uint64_t));
    rn_minimum_array(&draft, RN_BATCH_ROWS_MAX, sizeof(uint16_t));
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(const rn_row *));
    rn_minimum_array(&draft, node->output.count, sizeof(rn_column));
    rn_minimum_reader(&draft, &layout, 0, layout.column_count, sizes);
    rn_minimum sorter = rn_sorter_minimum(&node->output, sizes);
    return (rn_minimum){draft.bytes + sorter.filling_bytes + sorter.emitting_bytes,
                        draft.bytes + sorter.emitting_bytes};
}

static rn_spillable topk_spillable(const rn_operator *op)
{
    const topk_state *state = op->state;
    rn_spillable one = rn_sorter_spillable(&state->sorters[0]);
    rn_spillable other = rn_sorter_spillable(&state->sorters[1]);
    return (rn_spillable){one.now_bytes + other.now_bytes, one.later_bytes + other.later_bytes};
}

static ration_status topk_spill(rn_operator *op, int64_t want_bytes)
{
    topk_state *state = op->state;
    rn_sorter *current = &state->sorters[state->current];
    rn_sorter *other = &state->sorters[1 - state->current];
    int64_t held_bytes = rn_sorter_spillable(current).now_bytes;
    if (held_bytes > 0) {
        RN_TRY(rn_sorter_spill(current, want_bytes));
        want_bytes -= held_bytes - rn_sorter_spillable(current).now_bytes;
    }
    return want_bytes > 0 && rn_sorter_spillable(other).now_bytes > 0
               ? rn_sorter_spill(other, want_bytes)
               : RATION_OK;
}

static void topk_close(rn_operator *op)
{
    topk_state *state = op->state;
    rn_sorter_close(&state->sorters[0]);
    rn_sorter_close(&state->sorters[1]);
}

/* Holds the rows of the batch that may be among the first. */
static ration_status add_rows(topk_state *state, rn_sorter *sorter, const rn_batch *batch)
{
    uint64_t last_key = RN_MIN(state->last_key, sorter->last_key);
    uint32_t count = 0;
    rn_sorter_keys(sorter, batch, state->keys);
    for (uint32_t row = 0; row < batch->rows; row++) {
        state->picks[count] = (uint16_t)row;
        count += state->keys[row] <= last_key;
    }
    return count == 0 ? RATION_OK : rn_sorter_add(sorter, batch, state->keys, state->picks, count);
}

/* Puts the first rows into a fresh sorter and closes the old one. */
static ration_status prune(rn_operator *op)
{
    topk_state *state = op->state;
    rn_sorter *old = &state->sorters[state->current];
    rn_sorter *fresh = &state->sorters[1 - state->current];
    uint32_t count = 1;
    RN_TRY(rn_settle(op, 0, rn_sorter_open_bytes()));
    RN_TRY(open_sorter(op, fresh));
    while (count > 0) {
        RN_TRY(rn_sorter_rows(old, state->rows, op->worker->batch_rows, &count));
        if (count > 0) {
            rn_batch batch = {count, op->node->output.count, state->columns};
            RN_TRY(rn_row_reader_read(op, &state->reader, state->rows, count, state->columns));
            RN_TRY(add_rows(state, fresh, &batch));
        }
    }
    if (old->rows_left == 0) {
        state->last_key = RN_MIN(state->last_key, old->given_key);
    }
    state->reader.layout = &fresh->layout;
    rn_sorter_close(old);
    state->current = 1 - state->current;
    return RATION_OK;
}

static ration_status fill(rn_operator *op)
{
    topk_state *state = op->state;
    int64_t asked = rows_asked(op);
    int64_t prune_at = RN_MAX(asked * PRUNE_FACTOR, PRUNE_ROWS_MIN);
    const rn_batch *input;
    RN_TRY(rn_next(op, op->inputs[0], &input));
    while (input->rows > 0) {
        if (asked > 0) {
            RN_TRY(add_rows(state, &state->sorters[state->current], input));
        }
        if (state->sorters[state->current].count >= prune_at) {
            RN_TRY(prune(op));
        }
        RN_TRY(rn_next(op, op->inputs[0], &input));
    }
    state->filled = true;
    return RATION_OK;
}

static ration_status topk_next(rn_operator *op, const rn_batch **out_batch)
{
    topk_state *state = op->state;
    uint32_t rows;
    if (!state->filled) {
        RN_TRY(fill(op));
    }
    RN_TRY(rn_sorter_rows(&state->sorters[state->current], state->rows, op->worker->batch_rows,
                          &rows));
    if (rows > 0) {
        RN_TRY(rn_row_reader_read(op, &state->reader, state->rows, rows, op->batch.columns));
    }
    op->batch.rows = rows;
    *out_batch = &op->batch;
    return RATION_OK;
}

const rn_operator_class rn_topk_class = {
    .name = "topk",
    .sentence = "the first rows of an order",
    .args_bytes = sizeof(topk_args),
    .state_bytes = sizeof(topk_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = topk_plan,
    .explain = topk_explain,
    .open = topk_open,
    .next = topk_next,
    .minimum = topk_minimum,
    .spillable = topk_spillable,
    .spill = topk_spill,
    .close = topk_close,
};
