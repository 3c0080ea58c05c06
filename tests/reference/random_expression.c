/* SPDX-License-Identifier: Apache-2.0
 *
 * Random typed expressions. Leaves are literals, parameters, columns and properties; int64
 * arithmetic near the ends of the range, division by what may be zero and conversions out of range
 * are made only in plans that are `risky`. */
#include "base/hash.h"
#include "tests/reference/random_plan.h"

uint64_t pick_below(plan_maker *maker, uint64_t bound)
{
    return rn_random_below(&maker->random, bound);
}

bool pick_one_in(plan_maker *maker, uint64_t chances)
{
    return pick_below(maker, chances) == 0;
}

int pick_column(plan_maker *maker, const naive_schema *schema, int kind)
{
    int found = -1;
    uint64_t seen = 0;
    for (uint32_t c = 0; c < schema->count; c++) {
        if ((kind < 0 || (int)schema->columns[c].type.kind == kind) && pick_one_in(maker, ++seen)) {
            found = (int)c;
        }
    }
    return found;
}

static naive_expression *new_term(plan_maker *maker, naive_term term, naive_kind kind)
{
    naive_expression *expression = naive_allocate(maker->arena, sizeof *expression);
    expression->term = term;
    expression->type = naive_type_of(kind);
    expression->owner = -1;
    return expression;
}

static void add_operand(naive_expression *expression, naive_expression *operand)
{
    expression->operands[expression->count++] = operand;
    expression->wild = expression->wild || operand->wild;
}

naive_expression *column_expression(plan_maker *maker, const naive_schema *schema, uint32_t column)
{
    naive_expression *expression = new_term(maker, TERM_COLUMN, NAIVE_BOOL);
    expression->column = column;
    expression->type = schema->columns[column].type;
    expression->wild = schema->columns[column].wild;
    expression->owner = schema->columns[column].owner;
    return expression;
}

static naive_expression *literal(plan_maker *maker, naive_value value)
{
    naive_expression *expression = new_term(maker, TERM_LITERAL, value.type.kind);
    expression->literal = value;
    return expression;
}

static naive_expression *random_literal(plan_maker *maker, naive_kind kind)
{
    naive_value value = random_value(kind, &maker->random);
    if (kind == NAIVE_DOUBLE) {
        value.real = (double)pick_below(maker, 60) / 4.0 - 5.0; /* special values have no literal */
    }
    if (kind == NAIVE_INT64 && maker->plan->risky && pick_one_in(maker, 3)) {
        naive_expression *big = literal(maker, random_big(&maker->random));
        big->wild = true;
        return big;
    }
    naive_expression *expression = literal(maker, value);
    naive_plan *plan = maker->plan;
    if (pick_one_in(maker, 5) && plan->parameter_count < PLAN_PARAMETERS_MAX) {
        expression->term = TERM_PARAMETER;
        expression->number = plan->parameter_count;
        plan->parameters[plan->parameter_count++] = value;
    }
    return expression;
}

/* Does a label (or edge type) that the column may have know the property? */
static bool property_exists(const random_graph *graph, const naive_column *column,
                            uint32_t property)
{
    bool node = column->type.kind == NAIVE_NODE;
    for (uint32_t i = 0; i < (node ? graph->label_count : graph->type_count); i++) {
        const bool *has = node ? graph->labels[i].has : graph->types[i].has;
        if (has[property] && (column->owner < 0 || column->owner == (int)i)) {
            return true;
        }
    }
    return false;
}

static naive_expression *random_property(plan_maker *maker, const naive_schema *schema,
                                         naive_kind kind)
{
    naive_kind owner = pick_one_in(maker, 3) ? NAIVE_EDGE : NAIVE_NODE;
    int column = pick_column(maker, schema, (int)owner);
    if (column < 0) {
        return NULL;
    }
    uint32_t property = (uint32_t)pick_below(maker, PROPERTIES);
    bool wild = property == PROPERTY_BIG;
    if (random_property_kind(property) != kind ||
        !property_exists(maker->plan->graph, &schema->columns[column], property) ||
        (wild && !maker->plan->risky && !pick_one_in(maker, 4))) {
        return NULL;
    }
    naive_expression *expression = new_term(maker, TERM_PROPERTY, kind);
    add_operand(expression, column_expression(maker, schema, (uint32_t)column));
    expression->property = property;
    expression->wild = wild;
    return expression;
}

static naive_expression *random_leaf(plan_maker *maker, const naive_schema *schema, naive_kind kind)
{
    for (int attempt = 0; attempt < 12; attempt++) {
        naive_expression *property = random_property(maker, schema, kind);
        if (property != NULL) {
            return property;
        }
        int column = pick_column(maker, schema, (int)kind);
        if (column >= 0 && pick_one_in(maker, 2)) {
            return column_expression(maker, schema, (uint32_t)column);
        }
    }
    return random_literal(maker, kind);
}

/* A kind that comparisons and `is null` can look at. */
static naive_kind random_scalar(plan_maker *maker)
{
    return (naive_kind)pick_below(maker, NAIVE_STRING + 1);
}

static naive_expression *random_call(plan_maker *maker, const naive_schema *schema, naive_kind kind,
                                     naive_call call, naive_kind argument, uint32_t count,
                                     uint32_t depth)
{
    naive_expression *expression = new_term(maker, TERM_CALL, kind);
    expression->call = call;
    for (uint32_t i = 0; i < count; i++) {
        naive_expression *operand = random_expression(maker, schema, argument, depth - 1);
        if (operand == NULL) {
            return random_literal(maker, kind);
        }
        add_operand(expression, operand);
    }
    return expression;
}

static naive_expression *random_comparison(plan_maker *maker, const naive_schema *schema,
                                           uint32_t depth)
{
    naive_term term = (naive_term)(TERM_EQUAL + pick_below(maker, 6));
    naive_kind kind = random_scalar(maker);
    naive_kind other = kind;
    if (kind == NAIVE_INT64 && pick_one_in(maker, 4)) {
        other = NAIVE_DOUBLE;
    }
    if (pick_one_in(maker, 6) && pick_column(maker, schema, NAIVE_NODE) >= 0) {
        kind = other = NAIVE_NODE;
        term = pick_one_in(maker, 2) ? TERM_EQUAL : TERM_NOT_EQUAL;
    }
    naive_expression *expression = new_term(maker, term, NAIVE_BOOL);
    add_operand(expression, random_expression(maker, schema, kind, depth - 1));
    add_operand(expression, random_expression(maker, schema, other, depth - 1));
    return expression;
}

static naive_expression *random_membership(plan_maker *maker, const naive_schema *schema,
                                           uint32_t depth)
{
    naive_kind kind = random_scalar(maker);
    naive_expression *expression =
        new_term(maker, pick_one_in(maker, 3) ? TERM_NOT_IN : TERM_IN, NAIVE_BOOL);
    add_operand(expression, random_expression(maker, schema, kind, depth - 1));
    for (uint64_t left = 1 + pick_below(maker, EXPRESSION_OPERANDS_MAX - 1); left > 0; left--) {
        naive_value value = random_value(kind, &maker->random);
        if (kind == NAIVE_DOUBLE) {
            value.real = (double)pick_below(maker, 60) / 4.0;
        }
        add_operand(expression, literal(maker, value));
    }
    return expression;
}

static naive_expression *random_condition(plan_maker *maker, const naive_schema *schema,
                                          uint32_t depth)
{
    switch (pick_below(maker, 10)) {
    case 0:
    case 1: {
        naive_expression *expression =
            new_term(maker, pick_one_in(maker, 2) ? TERM_AND : TERM_OR, NAIVE_BOOL);
        for (uint64_t left = 2 + pick_below(maker, 2); left > 0; left--) {
            add_operand(expression, random_expression(maker, schema, NAIVE_BOOL, depth - 1));
        }
        return expression;
    }
    case 2: {
        naive_expression *expression = new_term(maker, TERM_NOT, NAIVE_BOOL);
        add_operand(expression, random_expression(maker, schema, NAIVE_BOOL, depth - 1));
        return expression;
    }
    case 3: {
        naive_kind kind = random_scalar(maker);
        if (pick_one_in(maker, 4) && pick_column(maker, schema, NAIVE_NODE) >= 0) {
            kind = NAIVE_NODE;
        }
        naive_expression *expression =
            new_term(maker, pick_one_in(maker, 2) ? TERM_IS_NULL : TERM_IS_NOT_NULL, NAIVE_BOOL);
        add_operand(expression, random_expression(maker, schema, kind, depth - 1));
        return expression;
    }
    case 4:
        return random_membership(maker, schema, depth);
    case 5:
        return random_call(maker, schema, NAIVE_BOOL,
                           (naive_call)(CALL_STARTS_WITH + pick_below(maker, 3)), NAIVE_STRING, 2,
                           depth);
    default:
        return random_comparison(maker, schema, depth);
    }
}

static naive_expression *random_arithmetic(plan_maker *maker, const naive_schema *schema,
                                           naive_kind kind, uint32_t depth)
{
    naive_term term = (naive_term)(TERM_ADD + pick_below(maker, 3));
    bool divides = pick_one_in(maker, 4);
    if (divides) {
        term = kind == NAIVE_INT64 && pick_one_in(maker, 2) ? TERM_REMAINDER : TERM_DIVIDE;
    }
    naive_expression *expression = new_term(maker, term, kind);
    add_operand(expression, random_expression(maker, schema, kind, depth - 1));
    if (divides && (!maker->plan->risky || kind == NAIVE_DOUBLE)) {
        static const int64_t divisors[] = {1, 2, 3, 7, -4};
        int64_t divisor = divisors[pick_below(maker, RN_COUNT(divisors))];
        add_operand(expression,
                    literal(maker, kind == NAIVE_INT64 ? naive_int64(divisor)
                                                       : naive_double((double)divisor)));
    } else {
        naive_kind other = kind == NAIVE_DOUBLE && pick_one_in(maker, 3) ? NAIVE_INT64 : kind;
        add_operand(expression, random_expression(maker, schema, other, depth - 1));
    }
    if (kind == NAIVE_DOUBLE && (divides || term == TERM_MULTIPLY)) {
        expression->wild = true; /* rounded */
    }
    return expression;
}

static naive_expression *random_number(plan_maker *maker, const naive_schema *schema,
                                       naive_kind kind, uint32_t depth)
{
    uint64_t choice = pick_below(maker, kind == NAIVE_INT64 ? 9 : 5);
    if (maker->plan->risky && pick_one_in(maker, 2)) {
        return random_arithmetic(maker, schema, kind, depth);
    }
    naive_kind moment = pick_one_in(maker, 2) ? NAIVE_DATE : NAIVE_TIMESTAMP;
    switch (choice) {
    case 0: {
        naive_expression *expression = new_term(maker, TERM_NEGATE, kind);
        add_operand(expression, random_expression(maker, schema, kind, depth - 1));
        return expression;
    }
    case 1:
        return random_call(maker, schema, kind, CALL_ABS, kind, 1, depth);
    case 2:
        if (kind == NAIVE_DOUBLE) {
            return random_call(maker, schema, kind, CALL_DOUBLE, NAIVE_INT64, 1, depth);
        }
        return maker->plan->risky
                   ? random_call(maker, schema, kind, CALL_INT64, NAIVE_DOUBLE, 1, depth)
                   : random_leaf(maker, schema, kind);
    case 5:
        return random_call(maker, schema, kind, CALL_LENGTH, NAIVE_STRING, 1, depth);
    case 6:
        return random_call(maker, schema, kind, (naive_call)(CALL_YEAR + pick_below(maker, 3)),
                           moment, 1, depth);
    case 7:
        return random_call(maker, schema, kind, (naive_call)(CALL_HOUR + pick_below(maker, 3)),
                           NAIVE_TIMESTAMP, 1, depth);
    case 8:
        return random_call(maker, schema, kind, CALL_LENGTH,
                           pick_one_in(maker, 2) ? NAIVE_LIST : NAIVE_STRING, 1, depth);
    default:
        return random_arithmetic(maker, schema, kind, depth);
    }
}

naive_expression *random_expression(plan_maker *maker, const naive_schema *schema, naive_kind kind,
                                    uint32_t depth)
{
    if (kind >= NAIVE_NODE) {
        int column = pick_column(maker, schema, (int)kind);
        return column < 0 ? NULL : column_expression(maker, schema, (uint32_t)column);
    }
    if (depth == 0 || pick_one_in(maker, 4)) {
        return random_leaf(maker, schema, kind);
    }
    if (pick_one_in(maker, 10)) {
        return random_call(maker, schema, kind, CALL_COALESCE, kind,
                           2 + (uint32_t)pick_below(maker, 2), depth);
    }
    switch (kind) {
    case NAIVE_BOOL:
        return random_condition(maker, schema, depth);
    case NAIVE_INT64:
    case NAIVE_DOUBLE:
        return random_number(maker, schema, kind, depth);
    case NAIVE_STRING: {
        naive_kind owner = pick_one_in(maker, 2) ? NAIVE_EDGE : NAIVE_NODE;
        return pick_one_in(maker, 4) && pick_column(maker, schema, (int)owner) >= 0
                   ? random_call(maker, schema, kind, CALL_LABEL, owner, 1, depth)
                   : random_leaf(maker, schema, kind);
    }
    default:
        return random_leaf(maker, schema, kind);
    }
}
