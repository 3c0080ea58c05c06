/* SPDX-License-Identifier: Apache-2.0
 *
 * distinct: one row per different combination of some columns, as soon as it is met: the first rows
 * with their key are passed on through a selection, so nothing is copied but what is kept to
 * compare with. Where that was written out, rows are passed on after the last of the input.
 *
 * Holds: one row per combination and its entry in the table. Spills: shards of them, in the order
 * of the hash (iterators/unique.c). Minimum: scratch for a batch, the first blocks of rows and
 * tables and one growth step of each; to read back, two blocks. */
#include "iterators/minimum.h"
#include "iterators/registry.h"
#include "iterators/row_reader.h"
#include "iterators/unique.h"
#include "iterators/wide.h"

#define DISTINCT_PART_BYTES (4 * RN_BLOCK_BYTES) /* taken in at a time */

typedef struct distinct_args {
    uint32_t *columns; /* of the input */
    uint32_t count;
    bool all;
} distinct_args;

typedef struct distinct_state {
    rn_unique unique;
    rn_picker picker;
    rn_row_reader reader; /* of what is drained */
    rn_batch narrow;      /* the input's columns that count */
    uint16_t *fresh, *picks;
    const rn_row **rows;
    bool filled, ended;
    bool in_hand; /* a batch that refers to rows that were drained */
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

static rn_minimum distinct_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    const distinct_args *args = node->args;
    rn_type types[RN_COLUMNS_MAX];
    rn_layout layout;
    rn_draft draft;
    for (uint32_t i = 0; i < args->count; i++) {
        types[i] = node->output.fields[i].type;
    }
    types[args->count] = rn_type_of(RN_BOOL);
    rn_layout_set(&layout, types, args->count + 1);
    rn_minimum_open(node, &draft);
    rn_minimum_array(&draft, args->count, sizeof(rn_column));
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(uint16_t));
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(uint16_t));
    rn_minimum_array(&draft, sizes->batch_rows, sizeof(rn_row *));
    rn_minimum_picker(&draft, args->count, sizes->batch_rows);
    rn_unique_draft(&draft, args->count, sizes);
    rn_minimum_reader(&draft, &layout, 0, args->count, sizes);
    int64_t row_bytes = rn_minimum_row_bytes(&layout, sizes);
    int64_t opened = draft.bytes + rn_groups_shards_bytes();
    int64_t lists = rn_minimum_lists(&layout, 0, args->count, RN_BATCH_BYTES_MAX);
    rn_sizes widest = {sizes->batch_rows, row_bytes};
    int64_t filling =
        opened + RN_MAX(RN_MAX((int64_t)DISTINCT_PART_BYTES, rn_groups_step_bytes(row_bytes)),
                        rn_runs_minimum(&widest));
    return (rn_minimum){
        filling, RN_MAX(filling, opened + lists + rn_unique_draining_bytes(row_bytes, sizes))};
}

static ration_status distinct_open(rn_operator *op)
{
    const distinct_args *args = op->node->args;
    distinct_state *state = op->state;
    uint32_t rows = op->worker->batch_rows;
    rn_type types[RN_COLUMNS_MAX];
    for (uint32_t i = 0; i < args->count; i++) {
        types[i] = op->node->output.fields[i].type;
    }
    state->narrow.column_count = args->count;
    state->narrow.columns =
        ration_context_allocate(op->context, args->count * sizeof *state->narrow.columns);
    state->fresh = ration_context_allocate(op->context, rows * sizeof *state->fresh);
    state->picks = ration_context_allocate(op->context, rows * sizeof *state->picks);
    state->rows = ration_context_allocate(op->context, rows * sizeof *state->rows);
    if (state->narrow.columns == NULL || state->fresh == NULL || state->picks == NULL ||
        state->rows == NULL) {
        return ration_context_status(op->context);
    }
    RN_TRY(rn_picker_open(op->context, args->count, rows, &state->picker));
    RN_TRY(rn_unique_open(op, types, args->count, &state->unique));
    return rn_row_reader_open(op, &state->unique.groups.layout, 0, args->count, &state->reader);
}

/* Holds what is new of rows picks[0..count) of the batch; appends what is new for certain to
 * `fresh`. *out_done false: they need too much at a time, and nothing has changed. */
static ration_status hold_part(rn_operator *op, const uint16_t *picks, uint32_t count,
                               uint32_t *fresh_count, bool *out_done)
{
    distinct_state *state = op->state;
    rn_unique *unique = &state->unique;
    uint64_t spills;
    uint32_t fresh;
    *out_done = true;
    do {
        spills = op->spills;
        rn_unique_find(unique, state->narrow.columns, state->narrow.rows, picks, count);
        if (unique->groups.fresh_count == 0) {
            return RATION_OK;
        }
        int64_t bound = rn_unique_bound(unique);
        *out_done = count == 1 || bound <= DISTINCT_PART_BYTES;
        if (!*out_done) {
            return RATION_OK;
        }
        RN_TRY(rn_settle(op, 0, bound));
    } while (spills != op->spills);
    ration_status status = rn_unique_add(unique, state->fresh + *fresh_count, &fresh);
    *fresh_count += status == RATION_OK ? fresh : 0;
    return status == RATION_OK ? RATION_OK : rn_append_failed(op, status);
}

/* Holds what is new of the batch; sets `fresh` to what is new for certain. */
static ration_status hold_new(rn_operator *op, uint32_t *out_fresh)
{
    distinct_state *state = op->state;
    uint32_t rows = state->narrow.rows, count = rows;
    *out_fresh = 0;
    for (uint32_t start = 0; start < rows;) {
        bool done;
        count = RN_MIN(count, rows - start);
        if (rn_runs_full(&state->unique.runs)) { /* one batch may be written out in many parts */
            RN_TRY(rn_runs_narrow(&state->unique.runs, RN_RUNS_MAX / 2));
        }
        for (uint32_t i = 0; i < count && count < rows; i++) {
            state->picks[i] = (uint16_t)(start + i);
        }
        RN_TRY(hold_part(op, count == rows ? NULL : state->picks, count, out_fresh, &done));
        start += done ? count : 0;
        count = done ? rows : (count + 1) / 2;
    }
    return RATION_OK;
}

/* Passes on what is new of the next batches, until there is some, or the input has ended. */
static ration_status pass_on(rn_operator *op)
{
    const distinct_args *args = op->node->args;
    distinct_state *state = op->state;
    uint32_t count = 0;
    while (count == 0) {
        const rn_batch *input;
        RN_TRY(rn_next(op, op->inputs[0], &input));
        state->filled = input->rows == 0;
        if (state->filled) {
            return rn_unique_finish(&state->unique);
        }
        state->narrow.rows = input->rows;
        for (uint32_t i = 0; i < args->count; i++) {
            state->narrow.columns[i] = input->columns[args->columns[i]];
        }
        RN_TRY(hold_new(op, &count));
    }
    rn_picker_apply(&state->picker, &state->narrow, state->fresh, count, op->batch.columns);
    op->batch.rows = count;
    return RATION_OK;
}

/* Gives rows that were held back. */
static ration_status drain(rn_operator *op)
{
    distinct_state *state = op->state;
    while (!state->ended && op->batch.rows == 0) {
        RN_TRY(rn_settle(op, 0, 0));
        RN_TRY(rn_unique_drain(&state->unique, state->rows, op->worker->batch_rows, &op->batch.rows,
                               &state->ended));
    }
    state->in_hand = op->batch.rows > 0;
    return op->batch.rows == 0 ? RATION_OK
                               : rn_row_reader_read(op, &state->reader, state->rows, op->batch.rows,
                                                    op->batch.columns);
}

static ration_status distinct_next(rn_operator *op, const rn_batch **out_batch)
{
    distinct_state *state = op->state;
    op->batch.rows = 0;
    state->in_hand = false;
    if (!state->filled) {
        RN_TRY(pass_on(op));
    }
    if (op->batch.rows == 0) {
        RN_TRY(drain(op));
    }
    *out_batch = &op->batch;
    return RATION_OK;
}

static rn_spillable distinct_spillable(const rn_operator *op)
{
    const distinct_state *state = op->state;
    int64_t bytes = rn_unique_spillable(&state->unique);
    return state->in_hand ? (rn_spillable){0, bytes} : (rn_spillable){bytes, 0};
}

static ration_status distinct_spill(rn_operator *op, int64_t want_bytes)
{
    distinct_state *state = op->state;
    return rn_unique_spill(&state->unique, want_bytes);
}

static void distinct_close(rn_operator *op)
{
    distinct_state *state = op->state;
    rn_unique_close(&state->unique);
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
    .minimum = distinct_minimum,
    .open = distinct_open,
    .next = distinct_next,
    .spillable = distinct_spillable,
    .spill = distinct_spill,
    .close = distinct_close,
};
