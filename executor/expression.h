/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed expressions over the columns of a batch: parsed and checked once per plan, evaluated a
 * batch at a time.
 *
 * Three-valued logic: null in, null out, but `false and null` = false, `true or null` = true, `is
 * null`, `coalesce`. `and`, `or` and coalesce evaluate from the left, and what is on the right only
 * for the rows that need it. int64 overflow and division by zero are errors (EVALUATION).
 * Comparisons use the order of storage/value.h: NaN equals NaN and is above all numbers. The
 * language: docs/plans.md.
 */
#ifndef RATION_EXPRESSION_H
#define RATION_EXPRESSION_H

#include "memory/context.h"
#include "storage/graph.h"

typedef struct rn_expression rn_expression; /* belongs to the plan's arena */
typedef struct rn_evaluator rn_evaluator;   /* one operator instance's scratch, in its context */

/* A named parameter and its value. */
typedef struct rn_parameter {
    char name[RN_NAME_BYTES];
    rn_value value;
} rn_parameter;
typedef struct rn_parameters {
    uint32_t count;
    const rn_parameter *values;
} rn_parameters;

/* What names in an expression mean. */
typedef struct rn_scope {
    const rn_schema *schema;
    const rn_graph *graph; /* may be NULL: no properties then */
    const rn_parameters *parameters;
    struct rn_arena *arena;
    const char *file; /* for errors */
    const char *site; /* operator, for errors */
} rn_scope;

/* Parses `text`, which starts at line:column of the scope's file. Errors: PLAN with place, operator
 * and column named; NO_MEMORY. */
RATION_NODISCARD ration_status rn_expression_parse(const rn_scope *scope, const char *text,
                                                   size_t length, int line, int column,
                                                   rn_expression **out_expression,
                                                   ration_error *error);
/* A literal as written in a plan's `parameters` or on the command line: int64, double, true/false,
 * null (needs a type from elsewhere: an error), date 'YYYY-MM-DD', timestamp '...', 'text';
 * anything else that is quoted in YAML is a string. */
RATION_NODISCARD ration_status rn_literal_parse(const char *text, size_t length, bool quoted,
                                                struct rn_arena *arena, rn_value *out_value);
rn_type rn_expression_type(const rn_expression *expression);
/* Index of the column when the expression is just a column, else -1. */
int rn_expression_column(const rn_expression *expression);
/* Back to text, fully parenthesised; for --explain. */
void rn_expression_put(const rn_expression *expression, rn_text *text);

/* Scratch for batches of up to `rows` rows. Errors: the limits' statuses, NO_MEMORY. */
RATION_NODISCARD ration_status rn_evaluator_open(const rn_expression *expression,
                                                 const rn_graph *graph, ration_context *context,
                                                 uint32_t rows, rn_evaluator **out_evaluator);
/* What that allocates, on paper. */
void rn_evaluator_draft(const rn_expression *expression, uint32_t rows, rn_context_draft *draft);
/* Evaluates all rows of `input`. The column is valid until the next call (a plain column is passed
 * through with its selection). Errors: EVALUATION with a message in `error`. */
RATION_NODISCARD ration_status rn_evaluate(rn_evaluator *evaluator, const rn_batch *input,
                                           rn_column *out_column, ration_error *error);
/* For a bool expression: the rows (ascending) for which it is true. `out_rows` has room for
 * input->rows. */
RATION_NODISCARD ration_status rn_evaluate_filter(rn_evaluator *evaluator, const rn_batch *input,
                                                  uint16_t *out_rows, uint32_t *out_count,
                                                  ration_error *error);

#endif
