/* SPDX-License-Identifier: Apache-2.0
 *
 * One expression over one row. `and`, `or` and `coalesce` look at their operands from the left and
 * stop when they know; everything else evaluates all its operands, and is null when one of them is.
 */
#include <math.h>
#include <time.h>

#include "tests/reference/random_plan.h"

static naive_value fail(naive_evaluation *evaluation, naive_type type, const char *why)
{
    if (!evaluation->outcome.failed) {
        evaluation->outcome.failed = true;
        evaluation->outcome.why = why;
    }
    return naive_null(type);
}

static naive_value evaluate_logic(naive_evaluation *evaluation, const naive_expression *expression,
                                  const naive_value *row)
{
    bool decides = expression->term == TERM_OR; /* true or x = true, false and x = false */
    bool unknown = false;
    for (uint32_t i = 0; i < expression->count; i++) {
        naive_value value = naive_evaluate(evaluation, expression->operands[i], row);
        if (value.null) {
            unknown = true;
        } else if (value.boolean == decides) {
            return naive_bool(decides);
        }
    }
    return unknown ? naive_null(expression->type) : naive_bool(!decides);
}

static naive_value evaluate_coalesce(naive_evaluation *evaluation,
                                     const naive_expression *expression, const naive_value *row)
{
    for (uint32_t i = 0; i < expression->count; i++) {
        naive_value value = naive_evaluate(evaluation, expression->operands[i], row);
        if (!value.null) {
            return value;
        }
    }
    return naive_null(expression->type);
}

static naive_value property_of(const naive_evaluation *evaluation, const naive_value *owner,
                               uint32_t property)
{
    if (owner->null) {
        return naive_null(naive_type_of(random_property_kind(property)));
    }
    return owner->type.kind == NAIVE_NODE
               ? evaluation->graph->nodes[owner->integer].values[property]
               : evaluation->graph->edges[owner->integer].values[property];
}

/* Int64 that meets a double becomes a double. */
static void meet(naive_value *a, naive_value *b)
{
    if (a->type.kind == NAIVE_INT64 && b->type.kind == NAIVE_DOUBLE) {
        *a = naive_double((double)a->integer);
    } else if (a->type.kind == NAIVE_DOUBLE && b->type.kind == NAIVE_INT64) {
        *b = naive_double((double)b->integer);
    }
}

/* Compared as the numbers they are: above 2^53 not every int64 is a double. */
static int order_mixed(int64_t integer, double real)
{
    if (isnan(real) || real >= 0x1p63) {
        return -1;
    }
    if (real < -0x1p63) {
        return 1;
    }
    double whole = floor(real);
    if (integer != (int64_t)whole) {
        return integer < (int64_t)whole ? -1 : 1;
    }
    return real > whole ? -1 : 0;
}

static int order_of(const naive_value *a, const naive_value *b)
{
    if (a->type.kind == NAIVE_INT64 && b->type.kind == NAIVE_DOUBLE) {
        return order_mixed(a->integer, b->real);
    }
    if (a->type.kind == NAIVE_DOUBLE && b->type.kind == NAIVE_INT64) {
        return -order_mixed(b->integer, a->real);
    }
    return naive_compare(a, b);
}

static naive_value compare(naive_term term, naive_value a, naive_value b)
{
    int order = order_of(&a, &b);
    switch (term) {
    case TERM_EQUAL:
        return naive_bool(order == 0);
    case TERM_NOT_EQUAL:
        return naive_bool(order != 0);
    case TERM_LESS:
        return naive_bool(order < 0);
    case TERM_LESS_EQUAL:
        return naive_bool(order <= 0);
    case TERM_GREATER:
        return naive_bool(order > 0);
    default:
        return naive_bool(order >= 0);
    }
}

static naive_value add_doubles(naive_evaluation *evaluation, naive_term term, double a, double b)
{
    switch (term) {
    case TERM_ADD:
        return naive_double(a + b);
    case TERM_SUBTRACT:
        return naive_double(a - b);
    case TERM_MULTIPLY:
        return naive_double(a * b);
    default:
        return b == 0 ? fail(evaluation, naive_type_of(NAIVE_DOUBLE), "division by zero")
                      : naive_double(a / b);
    }
}

static naive_value add_integers(naive_evaluation *evaluation, naive_term term, int64_t a, int64_t b)
{
    __extension__ typedef __int128 wide;
    wide result;
    if (term == TERM_REMAINDER && a == INT64_MIN && b == -1) {
        evaluation->outcome.undefined = true; /* 0, or the overflow of the quotient? not said */
        return naive_int64(0);
    }
    if ((term == TERM_DIVIDE || term == TERM_REMAINDER) && b == 0) {
        return fail(evaluation, naive_type_of(NAIVE_INT64), "division by zero");
    }
    switch (term) {
    case TERM_ADD:
        result = (wide)a + b;
        break;
    case TERM_SUBTRACT:
        result = (wide)a - b;
        break;
    case TERM_MULTIPLY:
        result = (wide)a * b;
        break;
    case TERM_DIVIDE:
        result = (wide)a / b;
        break;
    default:
        result = (wide)a % b;
    }
    if (result > INT64_MAX || result < INT64_MIN) {
        return fail(evaluation, naive_type_of(NAIVE_INT64), "overflow");
    }
    return naive_int64((int64_t)result);
}

static naive_value negate(naive_evaluation *evaluation, const naive_value *value)
{
    if (value->type.kind == NAIVE_DOUBLE) {
        return naive_double(-value->real);
    }
    return add_integers(evaluation, TERM_SUBTRACT, 0, value->integer);
}

static bool search_text(naive_call call, const naive_value *text, const naive_value *part)
{
    if (part->length > text->length) {
        return false;
    }
    size_t last = text->length - part->length;
    for (size_t at = call == CALL_ENDS_WITH ? last : 0; at <= last; at++) {
        bool same = true;
        for (size_t i = 0; i < part->length; i++) {
            same = same && text->bytes[at + i] == part->bytes[i];
        }
        if (same) {
            return true;
        }
        if (call == CALL_STARTS_WITH) {
            return false;
        }
    }
    return false;
}

static naive_value part_of_time(naive_call call, const naive_value *value)
{
    int64_t us = value->integer;
    int64_t seconds = value->type.kind == NAIVE_TIMESTAMP ? us / 1000000 - (us % 1000000 < 0)
                                                          : value->integer * 86400;
    time_t moment = (time_t)seconds;
    struct tm parts;
    gmtime_r(&moment, &parts);
    switch (call) {
    case CALL_YEAR:
        return naive_int64(parts.tm_year + 1900);
    case CALL_MONTH:
        return naive_int64(parts.tm_mon + 1);
    case CALL_DAY:
        return naive_int64(parts.tm_mday);
    case CALL_HOUR:
        return naive_int64(parts.tm_hour);
    case CALL_MINUTE:
        return naive_int64(parts.tm_min);
    default:
        return naive_int64(parts.tm_sec);
    }
}

static naive_value convert(naive_evaluation *evaluation, const naive_value *value)
{
    double whole = trunc(value->real);
    if (!(whole >= -0x1p63 && whole < 0x1p63)) {
        return fail(evaluation, naive_type_of(NAIVE_INT64), "out of range");
    }
    return naive_int64((int64_t)whole);
}

static const char *name_of(const naive_evaluation *evaluation, const naive_value *value)
{
    const random_graph *graph = evaluation->graph;
    return value->type.kind == NAIVE_NODE ? graph->labels[graph->nodes[value->integer].label].name
                                          : graph->types[graph->edges[value->integer].type].name;
}

static naive_value call(naive_evaluation *evaluation, naive_call function,
                        const naive_value *values)
{
    const naive_value *value = &values[0];
    switch (function) {
    case CALL_STARTS_WITH:
    case CALL_ENDS_WITH:
    case CALL_CONTAINS:
        return naive_bool(search_text(function, value, &values[1]));
    case CALL_LENGTH:
        return naive_int64(
            (int64_t)(value->type.kind == NAIVE_STRING ? value->length : value->count));
    case CALL_ABS:
        if (value->type.kind == NAIVE_DOUBLE) {
            return naive_double(fabs(value->real));
        }
        return value->integer < 0 ? negate(evaluation, value) : *value;
    case CALL_INT64:
        return convert(evaluation, value);
    case CALL_DOUBLE:
        return naive_double((double)value->integer);
    case CALL_LABEL: {
        const char *name = name_of(evaluation, value);
        return naive_string(name, strlen(name));
    }
    default:
        return part_of_time(function, value);
    }
}

/* Terms that are null when an operand is. */
static naive_value evaluate_strict(naive_evaluation *evaluation, const naive_expression *expression,
                                   const naive_value *row)
{
    naive_value values[EXPRESSION_OPERANDS_MAX];
    bool null = false;
    for (uint32_t i = 0; i < expression->count; i++) {
        values[i] = naive_evaluate(evaluation, expression->operands[i], row);
        null = null || values[i].null;
    }
    if (null) {
        return naive_null(expression->type);
    }
    switch (expression->term) {
    case TERM_NOT:
        return naive_bool(!values[0].boolean);
    case TERM_NEGATE:
        return negate(evaluation, &values[0]);
    case TERM_IN:
    case TERM_NOT_IN: {
        bool found = false;
        for (uint32_t i = 1; i < expression->count; i++) {
            found = found || naive_compare(&values[0], &values[i]) == 0;
        }
        return naive_bool(found == (expression->term == TERM_IN));
    }
    case TERM_ADD:
    case TERM_SUBTRACT:
    case TERM_MULTIPLY:
    case TERM_DIVIDE:
    case TERM_REMAINDER:
        meet(&values[0], &values[1]);
        return values[0].type.kind == NAIVE_DOUBLE
                   ? add_doubles(evaluation, expression->term, values[0].real, values[1].real)
                   : add_integers(evaluation, expression->term, values[0].integer,
                                  values[1].integer);
    case TERM_CALL:
        return call(evaluation, expression->call, values);
    default:
        return compare(expression->term, values[0], values[1]);
    }
}

naive_value naive_evaluate(naive_evaluation *evaluation, const naive_expression *expression,
                           const naive_value *row)
{
    switch (expression->term) {
    case TERM_LITERAL:
    case TERM_PARAMETER:
        return expression->literal;
    case TERM_COLUMN:
        return row[expression->column];
    case TERM_PROPERTY: {
        naive_value owner = naive_evaluate(evaluation, expression->operands[0], row);
        return property_of(evaluation, &owner, expression->property);
    }
    case TERM_AND:
    case TERM_OR:
        return evaluate_logic(evaluation, expression, row);
    case TERM_IS_NULL:
        return naive_bool(naive_evaluate(evaluation, expression->operands[0], row).null);
    case TERM_IS_NOT_NULL:
        return naive_bool(!naive_evaluate(evaluation, expression->operands[0], row).null);
    case TERM_CALL:
        if (expression->call == CALL_COALESCE) {
            return evaluate_coalesce(evaluation, expression, row);
        }
        return evaluate_strict(evaluation, expression, row);
    default:
        return evaluate_strict(evaluation, expression, row);
    }
}
