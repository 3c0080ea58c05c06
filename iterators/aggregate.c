/* SPDX-License-Identifier: Apache-2.0
 *
 * aggregate: one row per group. A group is a row that holds the key and, behind it, the words that
 * the functions compute in (accumulator.h); so what a group costs is one row and one entry of the
 * table, and a function's loop over a batch adds to words in place.
 *
 * Without `by` there is one group from the start, also over no rows.
 *
 * Holds: groups; distinct values, strings and lists of the functions. Spills: not yet. Minimum:
 * scratch for a batch, the first blocks of rows, table and each function's values.
 *
 * Bound: settled for in steps, each when what it needs is known to the byte: the batch's fresh
 * groups, then function by function. */
#include "iterators/accumulator.h"
#include "iterators/evaluation.h"
#include "iterators/registry.h"
#include "iterators/row_reader.h"
#include "iterators/wide.h"

typedef struct aggregate_args {
    const rn_graph *graph;
    uint32_t *keys; /* columns of the input */
    uint32_t key_count;
    rn_aggregate *functions;
    uint32_t function_count;
    uint32_t column_count; /* of a group's row */
} aggregate_args;

typedef struct aggregate_state {
    rn_groups groups;
    const rn_row *only; /* the group without keys */
    rn_row_reader reader;
    rn_accumulator_scratch scratch;
    rn_accumulator *accumulators;
    rn_evaluator **evaluators;
    rn_column *arguments; /* of the batch in hand, per function */
    rn_batch extended;    /* the input's columns and one of zeros */
    uint32_t *sources;    /* column of a group's row -> column of `extended` */
    const rn_row **rows;
    rn_rows_cursor cursor;
    bool filled;
} aggregate_state;

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
        RN_TRY(rn_planner_add(planner, node, item, item->key, function->output));
        args->column_count += rn_aggregate_words(function);
        if (args->column_count > RN_COLUMNS_MAX) {
            return rn_planner_error(planner, item, "",
                                    "keys and functions need more than %u words per group",
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

/* The input's columns, and behind them one of zeros: the words of a new group. */
static ration_status open_extended(rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    uint32_t input = op->node->inputs[0]->output.count, rows = op->worker->batch_rows;
    int64_t *zero = ration_context_allocate_zero(op->context, sizeof *zero);
    uint16_t *first = ration_context_allocate_zero(op->context, rows * sizeof *first);
    state->extended.column_count = input + 1;
    state->extended.columns =
        ration_context_allocate_zero(op->context, (input + 1) * sizeof(rn_column));
    state->sources =
        ration_context_allocate(op->context, args->column_count * sizeof *state->sources);
    if (zero == NULL || first == NULL || state->extended.columns == NULL ||
        state->sources == NULL) {
        return ration_context_status(op->context);
    }
    state->extended.columns[input] = (rn_column){rn_type_of(RN_INT64), zero, NULL, first};
    for (uint32_t c = 0; c < args->column_count; c++) {
        state->sources[c] = c < args->key_count ? args->keys[c] : input;
    }
    return RATION_OK;
}

static ration_status open_groups(rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    rn_type types[RN_COLUMNS_MAX];
    for (uint32_t c = 0; c < args->column_count; c++) {
        types[c] = c < args->key_count ? op->node->output.fields[c].type : rn_type_of(RN_INT64);
    }
    RN_TRY(rn_groups_open(op, types, args->column_count, args->key_count, &state->groups));
    if (args->key_count > 0) {
        return RATION_OK;
    }
    state->extended.rows = 1;
    return rn_rows_append(&state->groups.rows, &state->extended, state->sources, NULL, 1,
                          &state->only);
}

static ration_status open_functions(rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    uint32_t column = args->key_count;
    RN_TRY(rn_accumulator_scratch_open(op, &state->scratch));
    for (uint32_t i = 0; i < args->function_count; i++) {
        const rn_aggregate *function = &args->functions[i];
        const rn_layout *layout = &state->groups.layout;
        uint32_t words = rn_aggregate_words(function);
        rn_assert(layout->offsets[column + words - 1] ==
                  layout->offsets[column] + (words - 1) * sizeof(uint64_t));
        RN_TRY(rn_accumulator_open(op, function, layout->offsets[column], &state->scratch,
                                   &state->accumulators[i]));
        if (function->argument != NULL) {
            RN_TRY(rn_evaluator_open(function->argument, args->graph, op->context,
                                     op->worker->batch_rows, &state->evaluators[i]));
        }
        column += words;
    }
    return RATION_OK;
}

static ration_status aggregate_open(rn_operator *op)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    uint32_t count = args->function_count, rows = op->worker->batch_rows;
    state->accumulators =
        ration_context_allocate_zero(op->context, count * sizeof *state->accumulators);
    state->evaluators =
        ration_context_allocate_zero(op->context, count * sizeof(*state->evaluators));
    state->arguments = ration_context_allocate(op->context, count * sizeof *state->arguments);
    state->rows = ration_context_allocate(op->context, rows * sizeof *state->rows);
    if (state->accumulators == NULL || state->evaluators == NULL || state->arguments == NULL ||
        state->rows == NULL) {
        return ration_context_status(op->context);
    }
    RN_TRY(open_extended(op));
    RN_TRY(open_groups(op));
    RN_TRY(open_functions(op));
    return rn_row_reader_open(op, &state->groups.layout, 0, args->key_count, &state->reader);
}

/* ----------------------------------------------------------------------------------------- next */

static ration_status evaluate_arguments(rn_operator *op, const rn_batch *input)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    for (uint32_t i = 0; i < args->function_count; i++) {
        if (state->evaluators[i] != NULL) {
            RN_TRY(rn_operator_evaluate(op, state->evaluators[i], input, &state->arguments[i]));
        }
    }
    return RATION_OK;
}

/* Sets `out_rows`[i] to the group of row i, making the groups that are new. */
static ration_status find_groups(rn_operator *op, const rn_batch *input,
                                 const rn_row *const **out_rows)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    rn_groups *groups = &state->groups;
    if (args->key_count == 0) {
        for (uint32_t i = 0; i < input->rows; i++) {
            state->rows[i] = state->only;
        }
        *out_rows = state->rows;
        return RATION_OK;
    }
    memcpy(state->extended.columns, input->columns, input->column_count * sizeof(rn_column));
    state->extended.rows = input->rows;
    rn_groups_find(groups, &state->extended, args->keys, NULL, input->rows, true);
    if (groups->fresh_count > 0) {
        RN_TRY(rn_settle(op, 0, rn_groups_bound(groups, &state->extended, state->sources)));
        RN_TRY(rn_groups_add(groups, &state->extended, state->sources));
    }
    *out_rows = groups->found;
    return RATION_OK;
}

static ration_status take_in(rn_operator *op, const rn_batch *input)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    const rn_row *const *rows;
    RN_TRY(evaluate_arguments(op, input));
    RN_TRY(find_groups(op, input, &rows));
    for (uint32_t i = 0; i < args->function_count; i++) {
        const rn_column *argument = state->evaluators[i] == NULL ? NULL : &state->arguments[i];
        RN_TRY(rn_accumulator_update(op, &state->accumulators[i], argument, input->rows, rows));
    }
    return RATION_OK;
}

static ration_status fill(rn_operator *op)
{
    for (;;) {
        const rn_batch *input;
        RN_TRY(rn_next(op, op->inputs[0], &input));
        if (input->rows == 0) {
            return RATION_OK;
        }
        ration_status status = take_in(op, input);
        if (status != RATION_OK) {
            return rn_append_failed(op, status);
        }
    }
}

static ration_status aggregate_next(rn_operator *op, const rn_batch **out_batch)
{
    const aggregate_args *args = op->node->args;
    aggregate_state *state = op->state;
    if (!state->filled) {
        RN_TRY(fill(op));
        state->filled = true;
    }
    uint32_t rows =
        rn_rows_next(&state->groups.rows, &state->cursor, state->rows, op->worker->batch_rows);
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
    .open = aggregate_open,
    .next = aggregate_next,
};
