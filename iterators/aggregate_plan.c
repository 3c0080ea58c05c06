/* SPDX-License-Identifier: Apache-2.0
 *
 * What aggregate computes, read from a plan: keys, and functions of expressions. */
#include "iterators/aggregate.h"

typedef rn_aggregate_args aggregate_args;

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

ration_status rn_aggregate_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
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

void rn_aggregate_explain(const rn_plan_node *node, rn_text *text)
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
