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
 * all that belongs to them, in the order of the hash; what is written out of one group several times
 * is added up when it is read back (aggregate_spill.c). Shards that were never written out are given
 * from memory. Minimum: scratch for a batch, the first blocks of every shard and one growth step; to
 * read back, two blocks.
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

/* ----------------------------------------------------------------------------------------- plan */

static const struct {
    const char *name;
    rn_aggregate_kind kind;
} functions[] = {{"count", RN_COUNT_VALUES}, {"sum", RN_SUM},     {"min", RN_LEAST},
                 {"max", RN_GREATEST},       {"avg", RN_AVERAGE}, {"collect", RN_COLLECT}};

/* The parts of "name(argument)": offsets into the text. */
typedef struct call_text {
    size_t name, name_end, from, end;
} call_text;

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n';
}

static bool split_call(const rn_yaml *item, call_text *out_call)
{
    const char *open = memchr(item->text, '(', item->length);
    size_t end = item->length;
    while (end > 0 && is_blank(item->text[end - 1])) {
        end--;
    }
    if (open == NULL || end == 0 || item->text[end - 1] != ')') {
        return false;
    }
    size_t paren = (size_t)(open - item->text);
    call_text call = {0, paren, paren + 1, end - 1};
    while (is_blank(item->text[call.name])) {
        call.name++;
    }
    while (call.name_end > call.name && is_blank(item->text[call.name_end - 1])) {
        call.name_end--;
    }
    while (call.from < call.end && is_blank(item->text[call.from])) {
        call.from++;
    }
    *out_call = call;
    return true;
}

static ration_status find_function(rn_planner *planner, const rn_yaml *item, const call_text *call,
                                   rn_aggregate_kind *out_kind)
{
    const char *name = item->text + call->name;
    size_t length = call->name_end - call->name;
    for (size_t i = 0; i < RN_COUNT(functions); i++) {
        if (strlen(functions[i].name) == length && memcmp(functions[i].name, name, length) == 0) {
            *out_kind = functions[i].kind;
            return RATION_OK;
        }
    }
    return rn_planner_error(planner, item, "count, sum, min, max, avg or collect",
                            "unknown function '%.*s'", (int)length, name);
}

static const char *function_name(rn_aggregate_kind kind)
{
    for (size_t i = 0; i < RN_COUNT(functions); i++) {
        if (functions[i].kind == kind) {
            return functions[i].name;
        }
    }
    return "count"; /* of rows, or distinct */
}

/* What the argument's type allows, and what comes out. */
static ration_status plan_types(rn_planner *planner, const rn_yaml *item, rn_aggregate *function)
{
    char name[32];
    rn_kind kind = (rn_kind)function->type.kind;
    bool number = kind == RN_INT64 || kind == RN_DOUBLE;
    bool fits = kind != RN_LIST;
    function->output = function->type;
    switch (function->kind) {
    case RN_SUM:
        fits = number;
        break;
    case RN_AVERAGE:
        fits = number;
        function->output = rn_type_of(RN_DOUBLE);
        break;
    case RN_LEAST:
    case RN_GREATEST:
        break;
    case RN_COLLECT:
        function->output = rn_type_of(RN_LIST);
        function->output.element = function->type.kind;
        function->output.label = function->type.label;
        break;
    default:
        fits = true;
        function->output = rn_type_of(RN_INT64);
    }
    if (fits) {
        return RATION_OK;
    }
    return rn_planner_error(planner, item, "", "%s: %s of %s is not possible", item->key,
                            function_name(function->kind), rn_type_name(function->type, name));
}

static ration_status plan_function(rn_planner *planner, const rn_schema *input, const rn_yaml *item,
                                   rn_aggregate *function)
{
    static const char distinct[] = "distinct";
    const char *text;
    call_text call;
    RN_TRY(rn_planner_text(planner, item, &text));
    if (!split_call(item, &call)) {
        return rn_planner_error(planner, item, "write function(expression)",
                                "'%s' is no call of a function", text);
    }
    RN_TRY(find_function(planner, item, &call, &function->kind));
    bool counts = function->kind == RN_COUNT_VALUES;
    if (counts && call.from == call.end) {
        function->kind = RN_COUNT_ROWS;
        function->output = rn_type_of(RN_INT64);
        return RATION_OK;
    }
    size_t word = sizeof distinct - 1;
    if (counts && call.end - call.from > word && is_blank(text[call.from + word]) &&
        memcmp(text + call.from, distinct, word) == 0) {
        function->kind = RN_COUNT_DISTINCT;
        call.from += word + 1;
    }
    RN_TRY(rn_planner_expression_part(planner, input, item, call.from, call.end - call.from, -1,
                                      &function->argument));
    function->type = rn_expression_type(function->argument);
    return plan_types(planner, item, function);
}

static ration_status plan_compute(rn_planner *planner, rn_plan_node *node, const rn_yaml *compute,
                                  aggregate_args *args)
{
    if (compute->kind != RN_YAML_MAPPING) {
        return rn_planner_error(planner, compute, "write compute: { name: function(expression) }",
                                "compute must map names to functions");
    }
    args->functions =
        rn_planner_allocate(planner, RN_MAX(compute->count, 1u) * sizeof *args->functions);
    if (args->functions == NULL) {
        return RATION_NO_MEMORY;
    }
    for (const rn_yaml *item = compute->first; item != NULL; item = item->next) {
        rn_aggregate *function = &args->functions[args->function_count++];
        RN_TRY(plan_function(planner, &node->inputs[0]->output, item, function));
        rn_type types[RN_AGGREGATE_COLUMNS_MAX];
        RN_TRY(rn_planner_add(planner, node, item, item->key, function->output));
        args->column_count += rn_aggregate_columns(function, types);
        args->points |= rn_aggregate_points(function);
        args->distinct |= function->kind == RN_COUNT_DISTINCT;
        if (args->column_count > RN_COLUMNS_MAX) {
            return rn_planner_error(planner, item, "",
                                    "keys and functions need more than %u columns per group",
                                    RN_COLUMNS_MAX);
        }
    }
    return RATION_OK;
}

static ration_status aggregate_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    static const char *const keys[] = {"by", "compute"};
    aggregate_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output;
    RN_TRY(rn_planner_check_keys(planner, yaml, keys, RN_COUNT(keys)));
    const rn_yaml *by = rn_yaml_get(yaml, "by"), *compute = rn_yaml_get(yaml, "compute");
    args->graph = rn_planner_graph(planner);
    if (by != NULL && !(by->kind == RN_YAML_SEQUENCE && by->count == 0)) {
        RN_TRY(rn_planner_columns(planner, input, by, &args->keys, &args->key_count));
    }
    if (compute == NULL && args->key_count == 0) {
        return rn_planner_error(planner, yaml, "", "needs by or compute");
    }
    args->column_count = args->key_count;
    RN_TRY(rn_planner_output(planner, node, NULL, args->key_count));
    for (uint32_t i = 0; i < args->key_count; i++) {
        const rn_field *field = &input->fields[args->keys[i]];
        RN_TRY(rn_planner_add(planner, node, by, field->name, field->type));
    }
    return compute == NULL ? RATION_OK : plan_compute(planner, node, compute, args);
}

static void explain_function(const rn_aggregate *function, rn_text *text)
{
    rn_text_format(text, "%s(%s", function_name(function->kind),
                   function->kind == RN_COUNT_DISTINCT ? "distinct " : "");
    if (function->argument != NULL) {
        rn_expression_put(function->argument, text);
    }
    rn_text_put(text, ")");
}

static void aggregate_explain(const rn_plan_node *node, rn_text *text)
{
    const aggregate_args *args = node->args;
    for (uint32_t i = 0; i < args->key_count; i++) {
        rn_text_format(text, "%s%s", i == 0 ? "by " : ", ", node->output.fields[i].name);
    }
    for (uint32_t i = 0; i < args->function_count; i++) {
        const char *between = i > 0 ? ", " : args->key_count > 0 ? ": " : "";
        rn_text_format(text, "%s%s = ", between, node->output.fields[args->key_count + i].name);
        explain_function(&args->functions[i], text);
    }
}

/* ----------------------------------------------------------------------------------------- open */

/* Columns of zeros, one per column of a state, behind the columns that a batch has: what a new group
 * starts with. `first` zeros entries serve all rows. */
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

/* --------------------------------------------------------------------------------------- filling */

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

/* More runs than can be kept are merged here, where nothing that was found is in hand: one batch may
 * be written out in many parts. */
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

/* ------------------------------------------------------------------------- values written out */

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

/* ---------------------------------------------------------------------------------------- giving */

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
    .plan = aggregate_plan,
    .explain = aggregate_explain,
    .minimum = rn_aggregate_minimum,
    .open = aggregate_open,
    .next = aggregate_next,
    .spillable = rn_aggregate_spillable,
    .spill = rn_aggregate_spill,
    .close = aggregate_close,
};
