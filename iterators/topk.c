/* SPDX-License-Identifier: Apache-2.0
 *
 * topk: the first rows of an order, as sort and limit would give them.
 *
 * Rows are collected in a sorter; whenever it holds PRUNE_FACTOR times the rows asked for, it is
 * put in order and only the first are kept, copied into a fresh sorter. From then on a row whose
 * first key is later than the last kept one is not held at all, so almost every row of a long input
 * costs one comparison of words.
 *
 * Holds: up to PRUNE_FACTOR x k rows (PRUNE_ROWS_MIN at least), and k more while pruning. Spills:
 * as sort. Minimum: as sort. */
#include "iterators/registry.h"
#include "iterators/row_reader.h"
#include "iterators/sorter.h"
#include "iterators/wide.h"

#define PRUNE_FACTOR 4
#define PRUNE_ROWS_MIN 4000

typedef struct topk_args {
    int64_t rows;
    rn_order *order;
    uint32_t order_count;
} topk_args;

typedef struct topk_state {
    rn_sorter sorter;
    rn_row_reader reader;
    bool filled;
    uint64_t last_key; /* rows with a later word cannot be among the first */
    int64_t left;      /* still to emit */
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

static ration_status open_sorter(rn_operator *op, rn_sorter *sorter)
{
    const topk_args *args = op->node->args;
    return rn_sorter_open(&op->node->output, args->order, args->order_count, op->context,
                          op->worker->slot, op->worker->max_row_bytes, sorter);
}

static ration_status topk_open(rn_operator *op)
{
    topk_state *state = op->state;
    uint32_t rows = op->worker->batch_rows;
    state->last_key = UINT64_MAX;
    state->left = ((const topk_args *)op->node->args)->rows;
    RN_TRY(open_sorter(op, &state->sorter));
    state->keys = ration_context_allocate(op->context, RN_BATCH_ROWS_MAX * sizeof *state->keys);
    state->picks = ration_context_allocate(op->context, RN_BATCH_ROWS_MAX * sizeof *state->picks);
    state->rows = ration_context_allocate(op->context, rows * sizeof *state->rows);
    state->columns =
        ration_context_allocate_zero(op->context, op->node->output.count * sizeof *state->columns);
    if (state->keys == NULL || state->picks == NULL || state->rows == NULL ||
        state->columns == NULL) {
        return ration_context_status(op->context);
    }
    return rn_row_reader_open(op, &state->sorter.layout, 0, op->node->output.count, &state->reader);
}

/* Rows of the batch that may be among the first. */
static uint32_t pick_rows(topk_state *state, const rn_batch *batch)
{
    rn_sorter_keys(&state->sorter, batch, state->keys);
    uint32_t count = 0;
    for (uint32_t row = 0; row < batch->rows; row++) {
        state->picks[count] = (uint16_t)row;
        count += state->keys[row] <= state->last_key;
    }
    return count;
}

static ration_status add_rows(rn_operator *op, rn_sorter *sorter, const rn_batch *batch)
{
    topk_state *state = op->state;
    uint32_t count = pick_rows(state, batch);
    if (count == 0) {
        return RATION_OK;
    }
    RN_TRY(rn_settle(op, 0, rn_sorter_bound(sorter, batch, state->picks, count)));
    ration_status status = rn_sorter_add(sorter, batch, state->keys, state->picks, count);
    return status == RATION_OK ? RATION_OK : rn_append_failed(op, status);
}

/* Copies the first k rows into a fresh sorter and drops the old one. */
static ration_status prune(rn_operator *op)
{
    topk_state *state = op->state;
    rn_sorter fresh = {.context = NULL};
    RN_TRY(rn_settle(op, 0, 4 * RN_BLOCK_BYTES_MIN));
    ration_status status = open_sorter(op, &fresh);
    int64_t left = ((const topk_args *)op->node->args)->rows;
    uint64_t last_key = state->last_key;
    rn_sorter_finish(&state->sorter);
    while (status == RATION_OK && left > 0) {
        uint32_t count =
            rn_sorter_next(&state->sorter, state->rows,
                           (uint32_t)RN_MIN(left, (int64_t)op->worker->batch_rows), &last_key);
        rn_batch batch = {count, op->node->output.count, state->columns};
        status = rn_row_reader_read(op, &state->reader, state->rows, count, state->columns);
        if (status == RATION_OK) {
            status = add_rows(op, &fresh, &batch);
        }
        left -= count;
    }
    if (status != RATION_OK) {
        rn_sorter_close(&fresh);
        return status;
    }
    rn_sorter_close(&state->sorter);
    state->sorter = fresh;
    state->sorter.rows.layout = &state->sorter.layout;
    state->reader.layout = &state->sorter.layout;
    state->last_key = last_key;
    return RATION_OK;
}

static ration_status fill(rn_operator *op)
{
    topk_state *state = op->state;
    int64_t asked = state->left;
    int64_t prune_at = RN_MAX(asked * PRUNE_FACTOR, PRUNE_ROWS_MIN);
    const rn_batch *input;
    RN_TRY(rn_next(op, op->inputs[0], &input));
    while (input->rows > 0) {
        if (asked > 0) {
            RN_TRY(add_rows(op, &state->sorter, input));
        }
        if (state->sorter.rows.count >= prune_at) {
            RN_TRY(prune(op));
        }
        RN_TRY(rn_next(op, op->inputs[0], &input));
    }
    rn_sorter_finish(&state->sorter);
    state->filled = true;
    return RATION_OK;
}

static ration_status topk_next(rn_operator *op, const rn_batch **out_batch)
{
    topk_state *state = op->state;
    if (!state->filled) {
        RN_TRY(fill(op));
    }
    uint32_t capacity = (uint32_t)RN_MIN(state->left, (int64_t)op->worker->batch_rows);
    uint32_t rows = rn_sorter_next(&state->sorter, state->rows, capacity, NULL);
    if (rows > 0) {
        RN_TRY(rn_row_reader_read(op, &state->reader, state->rows, rows, op->batch.columns));
    }
    state->left -= rows;
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
};
