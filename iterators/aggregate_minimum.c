/* SPDX-License-Identifier: Apache-2.0
 *
 * The least bytes aggregate works with. The draft follows aggregate_open step by step. */
#include "iterators/aggregate.h"

typedef rn_aggregate_args aggregate_args;

void rn_aggregate_types(const rn_plan_node *node, rn_type *out_types)
{
    const aggregate_args *args = node->args;
    uint32_t column = args->key_count;
    for (uint32_t c = 0; c < args->key_count; c++) {
        out_types[c] = node->output.fields[c].type;
    }
    for (uint32_t i = 0; i < args->function_count; i++) {
        rn_type of[RN_AGGREGATE_COLUMNS_MAX];
        uint32_t count = rn_aggregate_columns(&args->functions[i], of);
        memcpy(out_types + column, of, count * sizeof *out_types);
        column += count;
    }
}

static void draft_batches(const rn_plan_node *node, const rn_sizes *sizes, rn_draft *draft)
{
    const aggregate_args *args = node->args;
    uint32_t rows = sizes->batch_rows, states = args->column_count - args->key_count;
    uint32_t whole = node->inputs[0]->output.count + args->function_count;
    rn_minimum_array(draft, 2, sizeof(uint64_t));
    rn_minimum_array(draft, rows, sizeof(uint16_t));
    rn_minimum_array(draft, whole, sizeof(rn_column));
    rn_minimum_array(draft, whole + states, sizeof(rn_column));
    rn_minimum_array(draft, args->key_count + states, sizeof(rn_column));
    rn_minimum_array(draft, args->column_count, sizeof(uint32_t));
    rn_minimum_array(draft, args->column_count, sizeof(uint32_t));
    rn_minimum_array(draft, rows, sizeof(uint16_t));
    rn_minimum_picker(draft, whole, rows);
}

/* What a function's values take: in the draft, besides, and per row taken in. */
static void draft_function(const rn_plan_node *node, const rn_aggregate *function,
                           const rn_sizes *sizes, rn_draft *draft, int64_t *others, int64_t *step)
{
    const aggregate_args *args = node->args;
    uint32_t shards = args->key_count == 0 ? 1 : RN_GROUP_SHARDS;
    rn_minimum_vector(draft, (rn_kind)function->output.kind, sizes->batch_rows);
    if (rn_aggregate_points(function)) {
        *others += shards * rn_minimum_context();
        *step += rn_minimum_buffer(sizes->max_row_bytes) + RN_BLOCK_BYTES;
    }
    if (function->kind == RN_COUNT_DISTINCT) {
        rn_minimum_array(draft, 1, sizeof(rn_unique));
        rn_minimum_array(draft, args->key_count + 1, sizeof(rn_column));
        rn_unique_draft(draft, args->key_count + 1, sizes);
        *others += rn_groups_shards_bytes();
        *step += rn_groups_step_bytes(sizes->max_row_bytes);
    }
    if (function->argument != NULL) {
        rn_minimum_evaluator(draft, function->argument, sizes->batch_rows);
    }
}

rn_minimum rn_aggregate_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    const aggregate_args *args = node->args;
    uint32_t rows = sizes->batch_rows, count = args->function_count;
    rn_type types[RN_COLUMNS_MAX];
    rn_layout layout;
    rn_draft draft;
    int64_t others = rn_groups_shards_bytes() + rn_minimum_context(), step = 0;
    rn_aggregate_types(node, types);
    rn_layout_set(&layout, types, args->column_count);
    rn_minimum_open(node, &draft);
    rn_minimum_array(&draft, count, sizeof(rn_accumulator));
    rn_minimum_array(&draft, count, sizeof(rn_evaluator *));
    rn_minimum_array(&draft, args->distinct ? count : 0, sizeof(rn_row_reader));
    rn_minimum_array(&draft, rows, sizeof(rn_row *));
    draft_batches(node, sizes, &draft);
    rn_groups_draft(&draft, sizes);
    rn_minimum_array(&draft, rows, sizeof(uint64_t));
    rn_minimum_array(&draft, rows, sizeof(uint16_t));
    for (uint32_t i = 0; i < count; i++) {
        draft_function(node, &args->functions[i], sizes, &draft, &others, &step);
        if (args->functions[i].kind == RN_COUNT_DISTINCT) {
            rn_minimum_reader(&draft, &layout, 0, args->key_count, sizes);
        }
    }
    if (args->points) {
        rn_minimum_array(&draft, 1, rn_aggregate_scratch_bytes(sizes->max_row_bytes));
    }
    rn_minimum_array(&draft, 1, RN_RUNS_OPEN_BYTES);
    rn_minimum_reader(&draft, &layout, 0, args->key_count, sizes);

    /* Rows in runs: a key, and where a state points a value. */
    int64_t row_bytes =
        rn_minimum_row_bytes(&layout, sizes) + (args->points ? sizes->max_row_bytes : 0);
    rn_sizes widest = {rows, row_bytes};
    int64_t lists = rn_minimum_lists(&layout, 0, args->key_count, RN_BATCH_BYTES_MAX);
    int64_t opened = draft.bytes + others + lists;
    int64_t merging = rn_runs_minimum(&widest);
    step += rn_groups_step_bytes(rn_minimum_row_bytes(&layout, sizes));
    int64_t filling = RN_MAX(RN_MAX(step, (int64_t)RN_AGGREGATE_PART_BYTES), merging);
    if (args->distinct) { /* counting what was written out while groups are taken in */
        rn_sizes value = {rows, sizes->max_row_bytes};
        filling = rn_add(filling, rn_unique_draining_bytes(sizes->max_row_bytes, &value));
    }
    int64_t read_back = 3 * RN_BLOCK_BYTES + rn_minimum_buffer(row_bytes);
    return (rn_minimum){opened + filling, opened + merging + read_back};
}
