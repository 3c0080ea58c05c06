/* SPDX-License-Identifier: Apache-2.0
 *
 * A random plan as YAML. Expressions get the parentheses they need and sometimes more, so that
 * precedence is tried too. */
#include "tests/reference/random_plan.h"

enum {
    LEVEL_OR,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_COMPARISON,
    LEVEL_SUM,
    LEVEL_PRODUCT,
    LEVEL_SIGN,
    LEVEL_OPERAND
};

static const char *const term_marks[] = {
    [TERM_AND] = " and ",
    [TERM_OR] = " or ",
    [TERM_EQUAL] = " = ",
    [TERM_NOT_EQUAL] = " <> ",
    [TERM_LESS] = " < ",
    [TERM_LESS_EQUAL] = " <= ",
    [TERM_GREATER] = " > ",
    [TERM_GREATER_EQUAL] = " >= ",
    [TERM_ADD] = " + ",
    [TERM_SUBTRACT] = " - ",
    [TERM_MULTIPLY] = " * ",
    [TERM_DIVIDE] = " / ",
    [TERM_REMAINDER] = " % ",
    [TERM_IN] = " in [",
    [TERM_NOT_IN] = " not in [",
    [TERM_IS_NULL] = " is null",
    [TERM_IS_NOT_NULL] = " is not null",
};

static const char *const call_names[] = {"starts_with", "ends_with", "contains", "length", "year",
                                         "month",       "day",       "hour",     "minute", "second",
                                         "coalesce",    "abs",       "int64",    "double", "label"};

static int level_of(const naive_expression *expression)
{
    switch (expression->term) {
    case TERM_OR:
        return LEVEL_OR;
    case TERM_AND:
        return LEVEL_AND;
    case TERM_NOT:
        return LEVEL_NOT;
    case TERM_EQUAL:
    case TERM_NOT_EQUAL:
    case TERM_LESS:
    case TERM_LESS_EQUAL:
    case TERM_GREATER:
    case TERM_GREATER_EQUAL:
    case TERM_IN:
    case TERM_NOT_IN:
    case TERM_IS_NULL:
    case TERM_IS_NOT_NULL:
        return LEVEL_COMPARISON;
    case TERM_ADD:
    case TERM_SUBTRACT:
        return LEVEL_SUM;
    case TERM_MULTIPLY:
    case TERM_DIVIDE:
    case TERM_REMAINDER:
        return LEVEL_PRODUCT;
    case TERM_NEGATE:
        return LEVEL_SIGN;
    case TERM_LITERAL: {
        const naive_value *value = &expression->literal;
        bool negative = (value->type.kind == NAIVE_INT64 && value->integer < 0) ||
                        (value->type.kind == NAIVE_DOUBLE && value->real < 0);
        return negative ? LEVEL_SIGN : LEVEL_OPERAND;
    }
    default:
        return LEVEL_OPERAND;
    }
}

static void put_literal(rn_text *text, const naive_value *value)
{
    switch (value->type.kind) {
    case NAIVE_STRING:
        rn_text_put(text, "'");
        for (size_t i = 0; i < value->length; i++) {
            rn_text_put(text, value->bytes[i] == '\'' ? "'" : "");
            rn_text_put_bytes(text, &value->bytes[i], 1);
        }
        rn_text_put(text, "'");
        break;
    case NAIVE_DATE:
    case NAIVE_TIMESTAMP:
        rn_text_format(text, "%s '", naive_kind_name(value->type.kind));
        naive_put(text, value);
        rn_text_put(text, "'");
        break;
    case NAIVE_DOUBLE:
        rn_text_format(text, value->real == (double)(int64_t)value->real ? "%.1f" : "%.17g",
                       value->real);
        break;
    default:
        naive_put(text, value);
    }
}

static void put_name(rn_text *text, const char *name)
{
    rn_text_format(text, strchr(name, '-') == NULL ? "%s" : "`%s`", name);
}

static void put_term(rn_text *text, const naive_expression *expression, const naive_schema *schema,
                     int level);

static void put_operands(rn_text *text, const naive_expression *expression,
                         const naive_schema *schema, uint32_t from, const char *mark,
                         int first_level, int level)
{
    for (uint32_t i = from; i < expression->count; i++) {
        rn_text_put(text, i == from ? "" : mark);
        put_term(text, expression->operands[i], schema, i == from ? first_level : level);
    }
}

static void put_bare(rn_text *text, const naive_expression *expression, const naive_schema *schema)
{
    int level = level_of(expression);
    switch (expression->term) {
    case TERM_LITERAL:
        put_literal(text, &expression->literal);
        break;
    case TERM_PARAMETER:
        rn_text_format(text, "$p%u", expression->number);
        break;
    case TERM_COLUMN:
        put_name(text, schema->columns[expression->column].name);
        break;
    case TERM_PROPERTY:
        put_term(text, expression->operands[0], schema, LEVEL_OPERAND);
        rn_text_format(text, ".%s", random_property_name(expression->property));
        break;
    case TERM_NEGATE:
        rn_text_put(text, "-");
        put_term(text, expression->operands[0], schema, LEVEL_OPERAND);
        break;
    case TERM_NOT:
        rn_text_put(text, "not ");
        put_term(text, expression->operands[0], schema, LEVEL_NOT);
        break;
    case TERM_IN:
    case TERM_NOT_IN:
        put_term(text, expression->operands[0], schema, LEVEL_SUM);
        rn_text_put(text, term_marks[expression->term]);
        put_operands(text, expression, schema, 1, ", ", LEVEL_OR, LEVEL_OR);
        rn_text_put(text, "]");
        break;
    case TERM_IS_NULL:
    case TERM_IS_NOT_NULL:
        put_term(text, expression->operands[0], schema, LEVEL_SUM);
        rn_text_put(text, term_marks[expression->term]);
        break;
    case TERM_CALL:
        rn_text_format(text, "%s(", call_names[expression->call]);
        put_operands(text, expression, schema, 0, ", ", LEVEL_OR, LEVEL_OR);
        rn_text_put(text, ")");
        break;
    default: /* binary; arithmetic leans to the left, comparisons do not chain */
        put_operands(text, expression, schema, 0, term_marks[expression->term],
                     level == LEVEL_COMPARISON ? level + 1 : level, level + 1);
    }
}

static void put_term(rn_text *text, const naive_expression *expression, const naive_schema *schema,
                     int level)
{
    bool wrap = level_of(expression) < level ||
                (expression->count > 1 && text->length % 5 == 0 && expression->term != TERM_CALL);
    rn_text_put(text, wrap ? "(" : "");
    put_bare(text, expression, schema);
    rn_text_put(text, wrap ? ")" : "");
}

void naive_expression_put(rn_text *text, const naive_expression *expression,
                          const naive_schema *schema)
{
    put_term(text, expression, schema, LEVEL_OR);
}

/* ---- YAML ---- */

static void put_quoted(rn_text *text, const char *bytes, size_t length)
{
    rn_text_put(text, "\"");
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\') {
            rn_text_put(text, "\\");
        }
        if (bytes[i] == '\n') {
            rn_text_put(text, "\\n");
        } else {
            rn_text_put_bytes(text, &bytes[i], 1);
        }
    }
    rn_text_put(text, "\"");
}

static void put_expression(rn_text *text, const naive_expression *expression,
                           const naive_schema *schema, const char *before, const char *after)
{
    static char bytes[65536];
    rn_text inner = rn_text_over(bytes, sizeof bytes);
    rn_text_put(&inner, before);
    if (expression != NULL) {
        naive_expression_put(&inner, expression, schema);
    }
    rn_text_put(&inner, after);
    put_quoted(text, bytes, inner.length);
}

static void put_value(rn_text *text, const naive_value *value)
{
    if (value->type.kind == NAIVE_STRING) {
        put_quoted(text, value->bytes, value->length);
        return;
    }
    bool quoted = value->type.kind == NAIVE_DATE || value->type.kind == NAIVE_TIMESTAMP;
    rn_text_put(text, quoted ? "\"" : "");
    put_literal(text, value);
    rn_text_put(text, quoted ? "\"" : "");
}

static void put_names(rn_text *text, const naive_schema *schema, const uint32_t *columns,
                      const bool *descending, uint32_t count)
{
    rn_text_put(text, "[");
    for (uint32_t i = 0; i < count; i++) {
        const char *order =
            descending == NULL ? "" : (descending[i] ? " desc" : (i % 2 == 0 ? "" : " asc"));
        rn_text_format(text, "%s%s%s", i == 0 ? "" : ", ", schema->columns[columns[i]].name, order);
    }
    rn_text_put(text, "]");
}

static void put_edges(rn_text *text, const naive_step *step, const random_graph *graph)
{
    static const char *const directions[] = {"out", "in", "both"};
    rn_text_put(text, step->type_count == 1 ? ", edge: " : ", edge: [");
    for (uint32_t i = 0; i < step->type_count; i++) {
        rn_text_format(text, "%s%s", i == 0 ? "" : ", ", graph->types[step->types[i]].name);
    }
    rn_text_format(text, "%s, direction: %s", step->type_count == 1 ? "" : "]",
                   directions[step->direction]);
}

static void put_expand(rn_text *text, const naive_step *step, const naive_schema *input,
                       const random_graph *graph)
{
    const naive_column *columns = step->output.columns;
    rn_text_format(text, "{ from: %s", input->columns[step->from].name);
    put_edges(text, step, graph);
    bool expands = step->kind == STEP_EXPAND;
    if (expands || step->kind == STEP_SHORTEST_PATH || step->bound) {
        rn_text_format(text, ", to: %s", columns[step->to].name);
    }
    if (step->kind == STEP_SHORTEST_PATH) {
        rn_text_format(text, ", length: %s", columns[step->output.count - 1].name);
        if (step->max_hops >= 0) {
            rn_text_format(text, ", max_hops: %d", step->max_hops);
        }
    }
    if (step->with_edge) {
        rn_text_format(text, ", as: %s", columns[step->output.count - 1].name);
    }
    if (step->hops_max > 0 && step->hops_min == step->hops_max) {
        rn_text_format(text, ", hops: %u", step->hops_max);
    } else if (step->hops_max > 0) {
        rn_text_format(text, ", hops: { min: %u, max: %u }", step->hops_min, step->hops_max);
    }
    if (expands && step->label >= 0) {
        rn_text_format(text, ", label: %s", graph->labels[step->label].name);
    }
    rn_text_put(text, step->optional ? ", optional: true }" : " }");
}

static void put_pipeline(rn_text *text, const naive_pipeline *pipeline, uint32_t steps,
                         const random_graph *graph, int indent);

static void put_with(rn_text *text, const naive_pipeline *with, const random_graph *graph,
                     int indent)
{
    if (with->name != NULL) {
        rn_text_format(text, " %s\n", with->name);
    } else {
        rn_text_put(text, "\n");
        put_pipeline(text, with, with->count, graph, indent);
    }
}

static void put_join(rn_text *text, const naive_step *step, const naive_schema *input,
                     const random_graph *graph, int indent)
{
    static const char *const types[] = {"inner", "left", "semi", "anti"};
    const naive_schema *other = naive_pipeline_schema(step->with[0]);
    rn_text_format(text, "\n%*stype: %s\n%*son: {", indent + 4, "", types[step->join], indent + 4,
                   "");
    for (uint32_t i = 0; i < step->pairs; i++) {
        rn_text_format(text, "%s %s: %s", i == 0 ? "" : ",", input->columns[step->left[i]].name,
                       other->columns[step->right[i]].name);
    }
    rn_text_format(text, " }\n%*swith:", indent + 4, "");
    put_with(text, step->with[0], graph, indent + 6);
}

static void put_union(rn_text *text, const naive_step *step, const random_graph *graph, int indent)
{
    rn_text_format(text, "\n%*swith:", indent + 4, "");
    if (step->with_count == 1) {
        put_with(text, step->with[0], graph, indent + 6);
        return;
    }
    rn_text_put(text, "\n");
    for (uint32_t i = 0; i < step->with_count; i++) {
        rn_text_format(text, "%*s-", indent + 6, "");
        put_with(text, step->with[i], graph, indent + 8);
    }
}

static void put_aggregate(rn_text *text, const naive_step *step, const naive_schema *input)
{
    static const char *const calls[] = {"count(", "count(", "count(distinct ", "sum(", "min(",
                                        "max(",   "avg(",   "collect("};
    rn_text_put(text, "{ ");
    if (step->column_count > 0) {
        rn_text_put(text, "by: ");
        put_names(text, input, step->columns, NULL, step->column_count);
        rn_text_put(text, ", ");
    }
    rn_text_put(text, "compute: {");
    for (uint32_t i = 0; i < step->count; i++) {
        rn_text_format(text, "%s %s: ", i == 0 ? "" : ",",
                       step->output.columns[step->first_new + i].name);
        put_expression(text, step->expressions[i], input, calls[step->functions[i]], ")");
    }
    rn_text_put(text, " } }");
}

static void put_source(rn_text *text, const naive_step *step, const random_graph *graph)
{
    if (step->kind == STEP_SCAN) {
        rn_text_format(text, "{ label: %s", graph->labels[step->label].name);
        if (step->by_ids) {
            rn_text_put(text, step->count == 1 ? ", id: " : ", id: [");
            for (uint32_t i = 0; i < step->count; i++) {
                rn_text_put(text, i == 0 ? "" : ", ");
                put_value(text, &step->values[i]);
            }
            rn_text_put(text, step->count == 1 ? "" : "]");
        }
        rn_text_format(text, ", as: %s }", step->output.columns[0].name);
        return;
    }
    rn_text_format(text, "{ rows: %lld, columns: {", (long long)step->rows);
    for (uint32_t i = 0; i < step->count; i++) {
        rn_text_format(text, "%s %s: { sequence: %lld, step: %lld }", i == 0 ? "" : ",",
                       step->output.columns[i].name, (long long)step->values[2 * i].integer,
                       (long long)step->values[2 * i + 1].integer);
    }
    rn_text_put(text, " } }");
}

static void put_project(rn_text *text, const naive_step *step, const naive_schema *input)
{
    rn_text_put(text, step->all ? "{ \"*\": all" : "{");
    for (uint32_t i = 0; i < step->count; i++) {
        rn_text_format(text, "%s %s: ", i == 0 && !step->all ? "" : ",",
                       step->output.columns[step->first_new + i].name);
        put_expression(text, step->expressions[i], input, "", "");
    }
    rn_text_put(text, " }");
}

static void put_step(rn_text *text, const naive_step *step, const naive_schema *input,
                     const random_graph *graph, int indent)
{
    static const char *const names[STEPS] = {
        "scan",       "range",         "filter", "project", "expand", "exists",
        "not_exists", "shortest_path", "join",   "union",   "unwind", "distinct",
        "aggregate",  "sort",          "topk",   "limit",   "skip",   "collect"};
    rn_text_format(text, "%*s- %s: ", indent, "", names[step->kind]);
    switch (step->kind) {
    case STEP_SCAN:
    case STEP_RANGE:
        put_source(text, step, graph);
        break;
    case STEP_FILTER:
        put_expression(text, step->expressions[0], input, "", "");
        break;
    case STEP_PROJECT:
        put_project(text, step, input);
        break;
    case STEP_JOIN:
        put_join(text, step, input, graph, indent);
        return;
    case STEP_UNION:
        put_union(text, step, graph, indent);
        return;
    case STEP_UNWIND:
        rn_text_format(
            text, "{ list: %s, as: %s, optional: %s }", input->columns[step->columns[0]].name,
            step->output.columns[step->output.count - 1].name, step->optional ? "true" : "false");
        break;
    case STEP_DISTINCT:
        if (step->all) {
            rn_text_put(text, "all");
        } else {
            put_names(text, input, step->columns, NULL, step->column_count);
        }
        break;
    case STEP_AGGREGATE:
        put_aggregate(text, step, input);
        break;
    case STEP_SORT:
        put_names(text, input, step->columns, step->descending, step->column_count);
        break;
    case STEP_TOPK:
        rn_text_format(text, "{ rows: %lld, by: ", (long long)step->rows);
        put_names(text, input, step->columns, step->descending, step->column_count);
        rn_text_put(text, " }");
        break;
    case STEP_LIMIT:
    case STEP_SKIP:
        rn_text_format(text, "%lld", (long long)step->rows);
        break;
    case STEP_COLLECT:
        rn_text_put(text, "all");
        break;
    default:
        put_expand(text, step, input, graph);
    }
    rn_text_put(text, "\n");
}

static void put_pipeline(rn_text *text, const naive_pipeline *pipeline, uint32_t steps,
                         const random_graph *graph, int indent)
{
    for (uint32_t i = 0; i < steps; i++) {
        put_step(text, &pipeline->steps[i], i == 0 ? NULL : &pipeline->steps[i - 1].output, graph,
                 indent);
    }
}

void naive_plan_put(rn_text *text, const naive_plan *plan, uint32_t steps)
{
    if (plan->parameter_count > 0) {
        rn_text_put(text, "parameters: {");
        for (uint32_t i = 0; i < plan->parameter_count; i++) {
            rn_text_format(text, "%s p%u: ", i == 0 ? "" : ",", i);
            put_value(text, &plan->parameters[i]);
        }
        rn_text_put(text, " }\n");
    }
    if (plan->named_count == 0) {
        rn_text_put(text, "pipeline:\n");
        put_pipeline(text, plan->main, steps, plan->graph, 2);
        return;
    }
    rn_text_put(text, "plans:\n  whole:\n    pipeline:\n");
    put_pipeline(text, plan->main, steps, plan->graph, 6);
    for (uint32_t i = 0; i < plan->named_count; i++) {
        rn_text_format(text, "  %s:\n    pipeline:\n", plan->named[i]->name);
        put_pipeline(text, plan->named[i], plan->named[i]->count, plan->graph, 6);
    }
    rn_text_put(text, "main: whole\n");
}
