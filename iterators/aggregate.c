/* SPDX-License-Identifier: Apache-2.0
 *
 * aggregate: one row per group. A group is a row that holds the key and, behind it, the words that
 * the functions compute in (accumulator.h); so what a group costs is one row and one entry of the
 * table, and a function's loop over a batch adds to words in place.
 *
 * Without `by` there is one group from the start, also over no rows.
 *
 *     FILLING -> (COUNTING) -> HELD -> MERGED -> ENDED
 *
 * Holds: groups; distinct values, strings and lists of the functions. Spills: shards of groups with
 * all that belongs to them, in the order of the hash; what is written out of one group several
 * times is added up when it is read back (aggregate_spill.c). Shards that were never written out
 * are given from memory. Minimum: scratch for a batch, the first blocks of every shard and one
 * growth step; to read back, two blocks.
 *
 * Bound: settled for in two steps, the batch's fresh groups, then what all functions need; nothing
 * has changed until then but that there are groups of zeros. What was found is looked up again when
 * a spill came in between. Of a batch that needs more than RN_AGGREGATE_PART_BYTES for both, a half
 * is taken in: so with the minimum no step has to write out what the one before it made. */
#include "iterators/aggregate.h"

#include "iterators/registry.h"
#include "iterators/wide.h"

typedef rn_aggregate_args aggregate_args;
typedef rn_aggregate_state aggregate_state;

/* ----------------------------------------------------------------------------------------- open */

/* Columns of zeros, one per column of a state, behind the columns that a batch has: what a new
 * group starts with. `first` zeros entries serve all rows. */
static void set_zeros(const rn_type *types, const aggregate_args *args, rn_column *columns,
                      const uint64_t *zero, const uint16_t *first, uint32_t *sources,
                      uint32_t before)
{
    for (uint32_t c = args->key_count; c < args->column_count; c++) {
        columns[before + c - args->key_count] = (rn_column){types[c], zero, NULL, first};
        sources[c] = before + c - args->key_count;
    }
}

/* The batch in hand, its parts, and the keys of rows that count(distinct) reads back. */
static ration_status open_batches(rn_operator *op, const rn_type *types)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    uint32_t rows = op->worker->batch_rows, states = args->column_count - args->key_count;
    uint32_t whole = op->node->inputs[0]->output.count + args->function_count;
    uint64_t *zero = ration_context_allocate_zero(op->context, 2 * sizeof *zero);
    uint16_t *first = ration_context_allocate_zero(op->context, rows * sizeof *first);
    state->whole.column_count = whole;
    state->part.column_count = whole + states;
    state->keys.column_count = args->key_count + states;
    state->whole.columns = ration_context_allocate_zero(op->context, whole * sizeof(rn_column));
    state->part.columns =
        ration_context_allocate_zero(op->context, state->part.column_count * sizeof(rn_column));
    state->keys.columns =
        ration_context_allocate_zero(op->context, state->keys.column_count * sizeof(rn_column));
    state->sources =
        ration_context_allocate(op->context, args->column_count * sizeof *state->sources);
    state->key_sources =
        ration_context_allocate(op->context, args->column_count * sizeof *state->key_sources);
    state->picks = ration_context_allocate(op->context, rows * sizeof *state->picks);
    if (zero == NULL || first == NULL || state->whole.columns == NULL ||
        state->part.columns == NULL || state->keys.columns == NULL || state->sources == NULL ||
        state->key_sources == NULL || state->picks == NULL) {
        return ration_context_status(op->context);
    }
    for (uint32_t c = 0; c < args->key_count; c++) {
        state->sources[c] = args->keys[c];
        state->key_sources[c] = c;
    }
    set_zeros(types, args, state->part.columns, zero, first, state->sources, whole);
    set_zeros(types, args, state->keys.columns, zero, first, state->key_sources, args->key_count);
    return rn_picker_open(op->context, whole, rows, &state->picker);
}

static ration_status open_functions(rn_operator *op, const rn_type *types)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    const rn_layout *layout = &state->groups.layout;
    uint32_t column = args->key_count;
    RN_TRY(rn_accumulator_scratch_open(op, &state->scratch));
    for (uint32_t i = 0; i < args->function_count; i++) {
        const rn_aggregate *function = &args->functions[i];
        rn_accumulator *accumulator = &state->accumulators[i];
        rn_type of[RN_AGGREGATE_COLUMNS_MAX];
        uint32_t count = rn_aggregate_columns(function, of);
        rn_assert(layout->offsets[column + count - 1] - layout->offsets[column] <=
                  (count - 1) * sizeof(rn_list));
        RN_TRY(rn_accumulator_open(op, function, layout->offsets[column], types, args->key_count,
                                   &state->scratch, accumulator));
        if (function->argument != NULL) {
            RN_TRY(rn_evaluator_open(function->argument, args->graph, op->context,
                                     op->worker->batch_rows, &state->evaluators[i]));
        }
        if (accumulator->distinct != NULL) {
            RN_TRY(rn_row_reader_open(op, &accumulator->distinct->groups.layout, 0, args->key_count,
                                      &state->counted[i]));
        }
        column += count;
    }
    return RATION_OK;
}

static ration_status aggregate_open(rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    rn_type types[RN_COLUMNS_MAX];
    uint32_t count = args->function_count, rows = op->worker->batch_rows;
    state->accumulators =
        ration_context_allocate_zero(op->context, count * sizeof *state->accumulators);
    state->evaluators =
        ration_context_allocate_zero(op->context, count * sizeof(*state->evaluators));
    state->counted = ration_context_allocate_zero(op->context, (args->distinct ? count : 0) *
                                                                   sizeof *state->counted);
    state->rows = ration_context_allocate(op->context, rows * sizeof *state->rows);
    if (state->accumulators == NULL || state->evaluators == NULL || state->counted == NULL ||
        state->rows == NULL) {
        return ration_context_status(op->context);
    }
    rn_aggregate_types(op->node, types);
    RN_TRY(open_batches(op, types));
    RN_TRY(rn_groups_open(op, types, args->column_count, args->key_count, &state->groups));
    state->groups.may_double = true;
    RN_TRY(open_functions(op, types));
    RN_TRY(rn_aggregate_spill_open(op));
    return rn_row_reader_open(op, &state->groups.layout, 0, args->key_count, &state->reader);
}

static void aggregate_close(rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    rn_merge_close(&state->merge);
    rn_runs_close(&state->runs);
    for (uint32_t i = 0; state->accumulators != NULL && i < args->function_count; i++) {
        rn_accumulator_close(&state->accumulators[i]);
    }
}

/* -------------------------------------------------------------------------------------- filling */

/* Sets out_rows[i] to the group of row i, making the groups that are new; settles for those.
 * `sources` and `keys` as for rn_groups_find. out_rows is untouched when the groups would draw more
 * than *bytes; else *bytes is less by what they may have drawn. */
static ration_status find_groups(rn_operator *op, const rn_batch *batch, const uint32_t *keys,
                                 const uint32_t *sources, int64_t *bytes,
                                 const rn_row *const **out_rows)
{
    aggregate_state *state = op->state;
    rn_groups *groups = &state->groups;
    if (groups->key_count == 0 && state->only != NULL) {
        *out_rows = state->rows;
        return RATION_OK;
    }
    rn_batch one = *batch;
    one.rows = groups->key_count == 0 ? 1 : batch->rows;
    uint64_t spills;
    int64_t bound;
    do {
        spills = op->spills;
        rn_groups_find(groups, &one, keys, NULL, one.rows, true);
        bound = rn_groups_bound(groups, &one, sources);
        if (bound > *bytes) {
            return RATION_OK;
        }
        if (bound > 0) {
            RN_TRY(rn_settle(op, 0, bound));
        }
    } while (spills != op->spills);
    RN_TRY(rn_groups_add(groups, &one, sources));
    *bytes -= bound;
    *out_rows = groups->found;
    if (groups->key_count == 0) {
        state->only = groups->found[0];
        for (uint32_t i = 0; i < op->worker->batch_rows; i++) {
            state->rows[i] = state->only;
        }
        *out_rows = state->rows;
    }
    return RATION_OK;
}

/* Sets `part` to `count` rows of the batch from `start` on. */
static void set_part(aggregate_state *state, uint32_t start, uint32_t count)
{
    const rn_batch *whole = &state->whole;
    state->part.rows = count;
    if (count == whole->rows) {
        memcpy(state->part.columns, whole->columns, whole->column_count * sizeof(rn_column));
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        state->picks[i] = (uint16_t)(start + i);
    }
    rn_picker_apply(&state->picker, whole, state->picks, count, state->part.columns);
}

static const rn_column *argument_of(const rn_operator *op, uint32_t function)
{
    const aggregate_state *state = op->state;
    uint32_t input = op->node->inputs[0]->output.count;
    return state->evaluators[function] == NULL ? NULL : &state->part.columns[input + function];
}

static int64_t bound_functions(rn_operator *op, const rn_intake *intake)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    int64_t bytes = 0;
    for (uint32_t i = 0; i < args->function_count; i++) {
        bytes += rn_accumulator_bound(&state->accumulators[i], intake, argument_of(op, i));
    }
    return bytes;
}

/* Takes in `part`; false in out_done when it needs too much at a time and has more than one row:
 * then nothing has changed but that there may be groups of zeros. */
static ration_status take_part(rn_operator *op, bool *out_done)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    int64_t most_bytes = state->part.rows == 1 ? INT64_MAX : RN_AGGREGATE_PART_BYTES;
    rn_intake intake = {state->part.columns, args->keys, args->key_count,
                        state->part.rows,    NULL,       NULL};
    uint64_t spills;
    *out_done = false;
    do {
        spills = op->spills;
        intake.groups = NULL;
        int64_t left_bytes = most_bytes;
        RN_TRY(
            find_groups(op, &state->part, args->keys, state->sources, &left_bytes, &intake.groups));
        if (intake.groups == NULL) {
            return RATION_OK;
        }
        intake.hashes = args->key_count == 0 ? NULL : state->groups.hashes;
        int64_t bound = bound_functions(op, &intake);
        if (bound > left_bytes) {
            return RATION_OK;
        }
        if (bound > 0) {
            RN_TRY(rn_settle(op, 0, bound));
        }
    } while (spills != op->spills);
    for (uint32_t i = 0; i < args->function_count; i++) {
        RN_TRY(rn_accumulator_update(&state->accumulators[i], &intake, argument_of(op, i)));
    }
    *out_done = true;
    return RATION_OK;
}

/* More runs than can be kept are merged here, where nothing that was found is in hand: one batch
 * may be written out in many parts. */
static ration_status narrow_runs(rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    for (uint32_t i = 0; args->distinct && i < args->function_count; i++) {
        rn_unique *distinct = state->accumulators[i].distinct;
        if (distinct != NULL && rn_runs_full(&distinct->runs)) {
            RN_TRY(rn_runs_narrow(&distinct->runs, RN_RUNS_MAX / 2));
        }
    }
    return rn_runs_full(&state->runs) ? rn_runs_narrow(&state->runs, RN_RUNS_MAX / 2) : RATION_OK;
}

static ration_status take_in(rn_operator *op, const rn_batch *input)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    uint32_t count = input->rows;
    memcpy(state->whole.columns, input->columns, input->column_count * sizeof(rn_column));
    state->whole.rows = input->rows;
    for (uint32_t i = 0; i < args->function_count; i++) {
        if (state->evaluators[i] != NULL) {
            RN_TRY(rn_operator_evaluate(op, state->evaluators[i], input,
                                        &state->whole.columns[input->column_count + i]));
        }
    }
    for (uint32_t start = 0; start < input->rows;) {
        bool done;
        count = RN_MIN(count, input->rows - start);
        RN_TRY(narrow_runs(op));
        set_part(state, start, count);
        RN_TRY(take_part(op, &done));
        start += done ? count : 0;
        count = done ? input->rows : (count + 1) / 2;
    }
    return RATION_OK;
}

static ration_status fill(rn_operator *op)
{
    aggregate_state *state = op->state;
    const rn_batch *input;
    RN_TRY(rn_next(op, op->inputs[0], &input));
    while (input->rows > 0) {
        ration_status status = take_in(op, input);
        if (status != RATION_OK) {
            return rn_append_failed(op, status);
        }
        RN_TRY(rn_next(op, op->inputs[0], &input));
    }
    state->phase = RN_AGGREGATE_COUNTING;
    state->shard = 0;
    return RATION_OK;
}

/* --------------------------------------------------------------------------- values written out */

/* Counts drained rows: each is one more value of its group. As many at a time as their groups may
 * draw. */
static ration_status count_drained(rn_operator *op, rn_accumulator *accumulator,
                                   rn_row_reader *reader, const rn_row *const *drained,
                                   uint32_t rows)
{
    aggregate_state *state = op->state;
    uint32_t count = rows;
    for (uint32_t start = 0; start < rows;) {
        count = RN_MIN(count, rows - start);
        int64_t bytes = count == 1 ? INT64_MAX : RN_AGGREGATE_PART_BYTES;
        const rn_row *const *groups = NULL;
        state->keys.rows = count;
        RN_TRY(rn_row_reader_read(op, reader, drained + start, count, state->keys.columns));
        RN_TRY(
            find_groups(op, &state->keys, state->key_sources, state->key_sources, &bytes, &groups));
        for (uint32_t i = 0; groups != NULL && i < count; i++) {
            *rn_group_word(groups[i], accumulator->offset, 0) += 1;
        }
        start += groups == NULL ? 0 : count;
        count = groups == NULL ? (count + 1) / 2 : rows;
    }
    return RATION_OK;
}

/* Counts what one function has written out, then gives back what it holds. */
static ration_status count_function(rn_operator *op, uint32_t function)
{
    aggregate_state *state = op->state;
    rn_accumulator *accumulator = &state->accumulators[function];
    rn_unique *distinct = accumulator->distinct;
    const rn_row *drained[RN_BATCH_ROWS_MAX];
    uint32_t capacity = RN_MIN(op->worker->batch_rows, RN_BATCH_ROWS_MAX / 8);
    bool ended = false;
    RN_TRY(rn_unique_finish(distinct));
    while (!ended) {
        uint32_t count;
        RN_TRY(rn_settle(op, 0, 0));
        RN_TRY(narrow_runs(op));
        RN_TRY(rn_unique_drain(distinct, drained, capacity, &count, &ended));
        if (count > 0) {
            state->drains = true;
            ration_status status =
                count_drained(op, accumulator, &state->counted[function], drained, count);
            state->drains = false;
            RN_TRY(status);
        }
    }
    rn_unique_forget(distinct);
    return RATION_OK;
}

static ration_status count_values(rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    for (; state->shard < args->function_count; state->shard++) {
        if (state->accumulators[state->shard].distinct != NULL) {
            RN_TRY(count_function(op, state->shard));
        }
    }
    if (args->key_count == 0 && state->only == NULL && state->spilled == 0) { /* over no rows */
        const rn_row *const *groups;
        state->keys.rows = 1;
        int64_t any = INT64_MAX;
        RN_TRY(
            find_groups(op, &state->keys, state->key_sources, state->key_sources, &any, &groups));
    }
    state->phase = RN_AGGREGATE_HELD;
    state->shard = 0;
    state->cursor = (rn_rows_cursor){NULL, 0};
    return RATION_OK;
}

/* --------------------------------------------------------------------------------------- giving */

/* The next groups of shards that were never written out; 0 when there are no more. */
static uint32_t give_held(rn_operator *op)
{
    aggregate_state *state = op->state;
    uint32_t rows = 0;
    for (; rows == 0 && state->shard < RN_GROUP_SHARDS;) {
        if ((state->spilled >> state->shard & 1) == 0) {
            rows = rn_rows_next(&state->groups.shards[state->shard].rows, &state->cursor,
                                state->rows, op->worker->batch_rows);
        }
        if (rows == 0) {
            if ((state->spilled >> state->shard & 1) == 0) {
                rn_aggregate_forget(op, state->shard);
            }
            state->shard += 1;
            state->cursor = (rn_rows_cursor){NULL, 0};
        }
    }
    return rows;
}

static ration_status give_groups(rn_operator *op, uint32_t *out_count)
{
    aggregate_state *state = op->state;
    *out_count = 0;
    if (state->phase == RN_AGGREGATE_HELD) {
        *out_count = give_held(op);
        if (*out_count > 0) {
            return RATION_OK;
        }
        state->phase = state->spilled == 0 ? RN_AGGREGATE_ENDED : RN_AGGREGATE_MERGED;
    }
    if (state->phase == RN_AGGREGATE_MERGED) {
        RN_TRY(rn_aggregate_merge_rows(op, out_count));
        state->phase = *out_count == 0 ? RN_AGGREGATE_ENDED : RN_AGGREGATE_MERGED;
    }
    return RATION_OK;
}

static ration_status aggregate_next(rn_operator *op, const rn_batch **out_batch)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    uint32_t rows;
    if (state->phase == RN_AGGREGATE_FILLING) {
        RN_TRY(fill(op));
    }
    if (state->phase == RN_AGGREGATE_COUNTING) {
        RN_TRY(count_values(op));
    }
    RN_TRY(rn_settle(op, 0, 0));
    RN_TRY(give_groups(op, &rows));
    op->batch.rows = rows;
    *out_batch = &op->batch;
    if (rows == 0) {
        return RATION_OK;
    }
    for (uint32_t i = 0; i < args->function_count; i++) {
        RN_TRY(rn_accumulator_finish(op, &state->accumulators[i], state->rows, rows,
                                     &op->batch.columns[args->key_count + i]));
    }
    return rn_row_reader_read(op, &state->reader, state->rows, rows, op->batch.columns);
}

const rn_operator_class rn_aggregate_class = {
    .name = "aggregate",
    .sentence = "one row per group: count, sum, min, max, avg, collect",
    .args_bytes = sizeof(aggregate_args),
    .state_bytes = sizeof(aggregate_state),
    .inputs_min = 1,
    .inputs_max = 1,
    .plan = rn_aggregate_plan,
    .explain = rn_aggregate_explain,
    .minimum = rn_aggregate_minimum,
    .open = aggregate_open,
    .next = aggregate_next,
    .spillable = rn_aggregate_spillable,
    .spill = rn_aggregate_spill,
    .close = aggregate_close,
};
