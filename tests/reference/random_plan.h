/* SPDX-License-Identifier: Apache-2.0
 *
 * Random plans as a syntax tree of our own: made here, printed as YAML for the engine, evaluated
 * naively for comparison.
 *
 * Every column of a plan has a name of its own, so that joins never collide. Columns carry what
 * decides whether a result is defined: properties are asked only of labels that have them where the
 * plan knows the label; `wild` values (near the ends of int64, or rounded doubles) are not summed,
 * since a sum of them depends on its order.
 */
#ifndef RATION_TESTS_RANDOM_PLAN_H
#define RATION_TESTS_RANDOM_PLAN_H

#include "tests/reference/random_graph.h"

typedef enum naive_term {
    TERM_LITERAL,
    TERM_PARAMETER, /* a literal given by name */
    TERM_COLUMN,
    TERM_PROPERTY,
    TERM_NEGATE,
    TERM_NOT,
    TERM_AND,
    TERM_OR,
    TERM_EQUAL,
    TERM_NOT_EQUAL,
    TERM_LESS,
    TERM_LESS_EQUAL,
    TERM_GREATER,
    TERM_GREATER_EQUAL,
    TERM_ADD,
    TERM_SUBTRACT,
    TERM_MULTIPLY,
    TERM_DIVIDE,
    TERM_REMAINDER,
    TERM_IN,
    TERM_NOT_IN,
    TERM_IS_NULL,
    TERM_IS_NOT_NULL,
    TERM_CALL
} naive_term;

typedef enum naive_call {
    CALL_STARTS_WITH,
    CALL_ENDS_WITH,
    CALL_CONTAINS,
    CALL_LENGTH,
    CALL_YEAR,
    CALL_MONTH,
    CALL_DAY,
    CALL_HOUR,
    CALL_MINUTE,
    CALL_SECOND,
    CALL_COALESCE,
    CALL_ABS,
    CALL_INT64,
    CALL_DOUBLE,
    CALL_LABEL
} naive_call;

#define EXPRESSION_OPERANDS_MAX 4

typedef struct naive_expression {
    naive_term term;
    naive_call call;
    naive_type type;
    naive_value literal;
    uint32_t number; /* parameter */
    uint32_t column, property;
    bool wild;
    int owner; /* as in naive_column */
    uint32_t count;
    struct naive_expression *operands[EXPRESSION_OPERANDS_MAX];
} naive_expression;

typedef struct naive_column {
    char name[24];
    naive_type type;
    bool wild;
    int owner; /* label of a node (or nodes in a list), type of an edge, when the plan knows it;
                  else -1 */
} naive_column;

#define PLAN_COLUMNS_MAX 40
typedef struct naive_schema {
    uint32_t count;
    naive_column columns[PLAN_COLUMNS_MAX];
} naive_schema;

typedef enum naive_operator {
    STEP_SCAN,
    STEP_RANGE,
    STEP_FILTER,
    STEP_PROJECT,
    STEP_EXPAND,
    STEP_EXISTS,
    STEP_NOT_EXISTS,
    STEP_SHORTEST_PATH,
    STEP_JOIN,
    STEP_UNION,
    STEP_UNWIND,
    STEP_DISTINCT,
    STEP_AGGREGATE,
    STEP_SORT,
    STEP_TOPK,
    STEP_LIMIT,
    STEP_SKIP,
    STEP_COLLECT,
    STEPS
} naive_operator;

typedef enum naive_direction { FOLLOW_OUT, FOLLOW_IN, FOLLOW_BOTH } naive_direction;
typedef enum naive_join { JOIN_INNER, JOIN_LEFT, JOIN_SEMI, JOIN_ANTI } naive_join;
typedef enum naive_function {
    COUNT_ROWS,
    COUNT_VALUES,
    COUNT_DISTINCT,
    SUM,
    MIN,
    MAX,
    AVG,
    COLLECT
} naive_function;

#define STEP_PARTS_MAX 6
struct naive_pipeline;

/* One step; which fields count is said by `kind`. `output` holds the columns after it. */
typedef struct naive_step {
    naive_operator kind;
    naive_schema output;
    uint32_t first_new; /* output columns from here on are made by this step */

    int label;                          /* scan, expand; -1 = none */
    int64_t rows;                       /* range, topk, limit, skip */
    uint32_t count;                     /* of values / expressions / columns / functions below */
    bool by_ids;                        /* scan */
    naive_value values[STEP_PARTS_MAX]; /* scan: ids; range: start and step of each column */
    naive_expression *expressions[STEP_PARTS_MAX]; /* filter, project, aggregate arguments */
    naive_function functions[STEP_PARTS_MAX];
    bool all; /* project "*": all, distinct: all */

    uint32_t from, to; /* columns of the input; `to` is below first_new when bound */
    bool bound, with_edge, optional;
    uint32_t types[RANDOM_TYPES_MAX], type_count;
    naive_direction direction;
    uint32_t hops_min, hops_max; /* 0, 0 = not written */
    int max_hops;                /* -1 = none */

    struct naive_pipeline *with[2];
    uint32_t with_count;
    naive_join join;
    uint32_t left[STEP_PARTS_MAX], right[STEP_PARTS_MAX], pairs;

    uint32_t columns[STEP_PARTS_MAX], column_count; /* distinct, by, sort keys, unwind's list */
    bool descending[STEP_PARTS_MAX];
} naive_step;

#define PIPELINE_STEPS_MAX 12
typedef struct naive_pipeline {
    const char *name; /* NULL = written in place */
    uint32_t count;
    naive_step steps[PIPELINE_STEPS_MAX];
} naive_pipeline;

#define PLAN_PARAMETERS_MAX 8
typedef struct naive_plan {
    const random_graph *graph;
    naive_pipeline *main;
    naive_pipeline *named[4];
    uint32_t named_count;
    naive_value parameters[PLAN_PARAMETERS_MAX];
    uint32_t parameter_count;
    bool risky; /* arithmetic that may overflow or divide by zero */
    bool lazy;  /* not every row need be looked at: an error may or may not be met */
} naive_plan;

static inline const naive_schema *naive_pipeline_schema(const naive_pipeline *pipeline)
{
    return &pipeline->steps[pipeline->count - 1].output;
}

/* What making a plan needs. */
typedef struct plan_maker {
    rn_arena *arena;
    uint64_t random;
    naive_plan *plan;
    uint32_t names;
} plan_maker;

uint64_t pick_below(plan_maker *maker, uint64_t bound);
bool pick_one_in(plan_maker *maker, uint64_t chances);
/* Rows of a column of this type, or -1: one at random. */
int pick_column(plan_maker *maker, const naive_schema *schema, int kind);

/* A random expression of `kind`, or NULL where only a column could be one and there is none. */
naive_expression *random_expression(plan_maker *maker, const naive_schema *schema, naive_kind kind,
                                    uint32_t depth);
/* Just this column. */
naive_expression *column_expression(plan_maker *maker, const naive_schema *schema, uint32_t column);

naive_plan *random_plan(rn_arena *arena, const random_graph *graph, uint64_t seed);

/* The plan as YAML; `steps` cuts the main pipeline after that many. */
void naive_plan_put(rn_text *text, const naive_plan *plan, uint32_t steps);
void naive_expression_put(rn_text *text, const naive_expression *expression,
                          const naive_schema *schema);

/* What an evaluation came to. */
typedef struct naive_outcome {
    bool failed;    /* overflow, division by zero, conversion out of range */
    bool undefined; /* such as a sum whose overflow depends on its order */
    bool too_large; /* given up */
    const char *why;
} naive_outcome;

typedef struct naive_evaluation {
    const random_graph *graph;
    rn_arena *arena;
    naive_outcome outcome;
    size_t work; /* rows made so far */
} naive_evaluation;

/* The value for one row; null and `outcome.failed` when it has none. */
naive_value naive_evaluate(naive_evaluation *evaluation, const naive_expression *expression,
                           const naive_value *row);
/* The rows after the first `steps` steps. */
naive_table naive_run(naive_evaluation *evaluation, const naive_pipeline *pipeline, uint32_t steps);
/* Counts the row; false when it is time to give up. */
bool naive_go_on(naive_evaluation *evaluation);

/* The operators that follow edges, and the others; each takes the step and its input. */
naive_table naive_expand(naive_evaluation *evaluation, const naive_step *step,
                         const naive_table *input);
naive_table naive_exists(naive_evaluation *evaluation, const naive_step *step,
                         const naive_table *input);
naive_table naive_shortest_path(naive_evaluation *evaluation, const naive_step *step,
                                const naive_table *input);
naive_table naive_aggregate(naive_evaluation *evaluation, const naive_step *step,
                            const naive_table *input);

#endif
